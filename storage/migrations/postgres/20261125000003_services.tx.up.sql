-- What runs inside the containers, as it was seen over SSH.

CREATE TABLE IF NOT EXISTS scans (
    container_id text NOT NULL PRIMARY KEY,
    claimed_until timestamptz, -- while a process is at it
    tried_at timestamptz, -- the last scan, good or not
    checked_at timestamptz, -- the last good one
    took_ms bigint NOT NULL,
    problem text NOT NULL, -- why the last one was none
    detail text NOT NULL,
    host_key text NOT NULL, -- that was shown and is not trusted
    addrs text NOT NULL, -- a JSON array
    missing text NOT NULL, -- a JSON array: what could not be found out
    more bigint NOT NULL -- services that are not kept
);

CREATE INDEX IF NOT EXISTS scans_tried ON scans (tried_at);

CREATE TABLE IF NOT EXISTS services (
    container_id text NOT NULL,
    key text NOT NULL,
    kind text NOT NULL,
    unit text NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    system boolean NOT NULL,
    ports text NOT NULL, -- a JSON array of {addr, port, web, web6}
    since timestamptz, -- NULL where it was in this state before anybody looked
    gone_at timestamptz, -- when it was seen last; NULL while it is there
    PRIMARY KEY (container_id, key)
);

-- Host keys that somebody has accepted. They are public.
CREATE TABLE IF NOT EXISTS host_keys (
    container_id text NOT NULL,
    key text NOT NULL, -- as in an authorized_keys file
    accepted_at timestamptz NOT NULL,
    accepted_by text NOT NULL,
    PRIMARY KEY (container_id, key)
);
