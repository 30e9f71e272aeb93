-- A creation that is cancelled ends itself, once it is known what there is.
-- The last creation of a container is looked for whenever that is opened.
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS cancelled text NOT NULL DEFAULT '';

CREATE INDEX IF NOT EXISTS jobs_last ON jobs (container_id, action, created_at, id);
