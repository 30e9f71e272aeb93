-- What was done in Proxmox is read later than it happened: events are in the
-- order of their times, and those of one moment in the order of their arrival.
DROP INDEX IF EXISTS events_timeline;
DROP INDEX IF EXISTS events_filtered;
CREATE INDEX IF NOT EXISTS events_by_time ON events (container_id, at, seq);
CREATE INDEX IF NOT EXISTS events_by_type ON events (container_id, type, at, seq);
