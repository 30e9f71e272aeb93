-- What an alert says is kept while it lasts, and so is whether its end was told.
ALTER TABLE incidents ADD COLUMN IF NOT EXISTS data text NOT NULL DEFAULT '{}'; -- JSON
ALTER TABLE incidents ADD COLUMN IF NOT EXISTS told_at timestamptz; -- when its end had been told

-- Before, the end of an incident was told when it was closed, or not at all.
UPDATE incidents SET told_at = closed_at WHERE closed_at IS NOT NULL;

CREATE INDEX IF NOT EXISTS incidents_untold ON incidents (closed_at) WHERE closed_at IS NOT NULL AND told_at IS NULL;
CREATE INDEX IF NOT EXISTS incidents_by_key ON incidents (key, closed_at);

CREATE TABLE IF NOT EXISTS mutes (
    key text NOT NULL PRIMARY KEY, -- of incidents
    incident text NOT NULL,
    title text NOT NULL,
    until_at timestamptz, -- NULL: no end
    back boolean NOT NULL, -- until the incident is over
    by_person text NOT NULL,
    at timestamptz NOT NULL
);
