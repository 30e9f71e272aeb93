-- Each line of the audit carries a code over itself and the line before it, and
-- lines are neither changed nor removed.

ALTER TABLE audit ADD COLUMN IF NOT EXISTS mac text NOT NULL DEFAULT ''; -- '': older than the codes

CREATE TABLE IF NOT EXISTS audit_head (
    id bigint PRIMARY KEY, -- 1: there is one row
    seq bigint NOT NULL, -- of the newest line
    mac text NOT NULL, -- its code
    pruned bigint NOT NULL, -- the newest line that retention removed; older ones may be deleted
    pruned_mac text NOT NULL -- its code
);

INSERT INTO audit_head (id, seq, mac, pruned, pruned_mac)
SELECT 1, COALESCE(MAX(seq), 0), '', 0, '' FROM audit
ON CONFLICT (id) DO NOTHING;

CREATE INDEX IF NOT EXISTS audit_container ON audit (container_id, seq);
CREATE INDEX IF NOT EXISTS audit_person ON audit (person_id, seq);
CREATE INDEX IF NOT EXISTS audit_job ON audit (job);

CREATE OR REPLACE FUNCTION audit_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_LEVEL = 'ROW' AND TG_OP = 'DELETE' THEN
        IF OLD.seq <= COALESCE((SELECT pruned FROM audit_head WHERE id = 1), 0) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit is append-only';
END $$;

CREATE TRIGGER audit_keeps BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_keeps();
CREATE TRIGGER audit_stays BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_keeps();
