-- Each line of the audit carries a code over itself and the line before it, and
-- lines are neither changed nor removed.

ALTER TABLE audit ADD COLUMN mac text NOT NULL DEFAULT ''; -- '': older than the codes

CREATE TABLE audit_head (
    id integer NOT NULL PRIMARY KEY, -- 1: there is one row
    seq integer NOT NULL, -- of the newest line
    mac text NOT NULL, -- its code
    pruned integer NOT NULL, -- the newest line that retention removed; older ones may be deleted
    pruned_mac text NOT NULL -- its code
);

INSERT INTO audit_head (id, seq, mac, pruned, pruned_mac)
SELECT 1, COALESCE(MAX(seq), 0), '', 0, '' FROM audit;

CREATE INDEX audit_container ON audit (container_id, seq);
CREATE INDEX audit_person ON audit (person_id, seq);
CREATE INDEX audit_job ON audit (job);

CREATE TRIGGER audit_keeps BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;

CREATE TRIGGER audit_stays BEFORE DELETE ON audit
WHEN OLD.seq > COALESCE((SELECT pruned FROM audit_head WHERE id = 1), 0)
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;

-- INSERT OR REPLACE deletes without firing the trigger above.
CREATE TRIGGER audit_once BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
