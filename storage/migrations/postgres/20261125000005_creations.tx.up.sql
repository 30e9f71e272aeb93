-- Creations of containers are jobs: what is to be made, how far it is, and the
-- drafts of those who are still choosing.

ALTER TABLE jobs ADD COLUMN IF NOT EXISTS spec text NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS progress text NOT NULL DEFAULT '';

CREATE TABLE IF NOT EXISTS drafts (
    id text NOT NULL PRIMARY KEY,
    person text NOT NULL,
    spec text NOT NULL, -- a JSON object
    updated_at timestamptz NOT NULL
);
