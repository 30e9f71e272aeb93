-- Creations of containers are jobs: what is to be made, how far it is, and the
-- drafts of those who are still choosing.

ALTER TABLE jobs ADD COLUMN spec text NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN progress text NOT NULL DEFAULT '';

CREATE TABLE IF NOT EXISTS drafts (
    id text NOT NULL PRIMARY KEY,
    person text NOT NULL,
    spec text NOT NULL, -- a JSON object
    updated_at text NOT NULL
);
