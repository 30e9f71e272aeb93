-- What one person asks of several containers at once, and how far a deletion goes.

ALTER TABLE jobs ADD COLUMN IF NOT EXISTS leftovers boolean NOT NULL DEFAULT false;
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS batch text NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS batch_size bigint NOT NULL DEFAULT 0;
ALTER TABLE confirmations ADD COLUMN IF NOT EXISTS subject text NOT NULL DEFAULT '';

CREATE INDEX IF NOT EXISTS jobs_batch ON jobs (batch);
