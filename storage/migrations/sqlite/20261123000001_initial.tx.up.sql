-- The tables of the first release. Times are text in UTC, such as
-- 2026-11-23T12:04:05.000000Z: all of one length, so that they compare as times do.

CREATE TABLE clusters (
    name text NOT NULL PRIMARY KEY,
    claimed integer NOT NULL -- start of the last claimed period, microseconds since 1970
);

CREATE TABLE containers (
    id text NOT NULL PRIMARY KEY,
    cluster text NOT NULL,
    vmid integer NOT NULL,
    hostname text, -- NULL where Proxmox gives none
    node text NOT NULL,
    state text NOT NULL,
    trouble text NOT NULL,
    trouble_at text,
    tags text NOT NULL,
    pool text NOT NULL,
    fingerprint text NOT NULL,
    first_seen text NOT NULL,
    seen_at text NOT NULL, -- when the row last changed
    gone_at text
);

-- A VMID is free again once its container is gone.
CREATE UNIQUE INDEX containers_present ON containers (cluster, vmid) WHERE gone_at IS NULL;

CREATE TABLE events (
    seq integer PRIMARY KEY AUTOINCREMENT,
    container_id text NOT NULL,
    at text NOT NULL,
    type text NOT NULL,
    text text NOT NULL,
    actor text NOT NULL,
    meta text NOT NULL, -- a JSON object of strings
    upid text NOT NULL
);

CREATE INDEX events_timeline ON events (container_id, seq);
CREATE INDEX events_filtered ON events (container_id, type, seq);
CREATE INDEX events_task ON events (container_id, upid);

CREATE TABLE jobs (
    id text NOT NULL PRIMARY KEY,
    container_id text NOT NULL,
    cluster text NOT NULL,
    node text NOT NULL,
    vmid integer NOT NULL,
    name text NOT NULL,
    action text NOT NULL,
    forced integer NOT NULL,
    state text NOT NULL,
    upid text NOT NULL,
    error text NOT NULL,
    warnings integer NOT NULL,
    platform text NOT NULL,
    person_id text NOT NULL,
    person text NOT NULL,
    channel text NOT NULL,
    request text NOT NULL,
    created_at text NOT NULL,
    submitted_at text,
    finished_at text, -- NULL while the job is open
    notified_at text,
    holder text NOT NULL,
    fence integer NOT NULL,
    lease_until text NOT NULL
);

-- One open job per container.
CREATE UNIQUE INDEX jobs_open ON jobs (container_id) WHERE finished_at IS NULL;
CREATE INDEX jobs_untold ON jobs (finished_at) WHERE notified_at IS NULL;

CREATE TABLE boards (
    platform text NOT NULL,
    channel text NOT NULL,
    message text NOT NULL,
    filter text NOT NULL,
    digest text NOT NULL,
    changed_at text NOT NULL,
    edited_at text NOT NULL,
    created_by text NOT NULL,
    PRIMARY KEY (platform, channel)
);

CREATE TABLE incidents (
    id text NOT NULL PRIMARY KEY,
    key text NOT NULL,
    cluster text NOT NULL,
    text text NOT NULL,
    opened_at text NOT NULL,
    closed_at text,
    posts text NOT NULL -- a JSON array of {platform, channel, message}
);

-- One open incident per thing that is wrong.
CREATE UNIQUE INDEX incidents_open ON incidents (key) WHERE closed_at IS NULL;

CREATE TABLE audit (
    seq integer PRIMARY KEY AUTOINCREMENT,
    at text NOT NULL,
    platform text NOT NULL,
    person_id text NOT NULL,
    person text NOT NULL,
    action text NOT NULL,
    container_id text NOT NULL,
    target text NOT NULL,
    outcome text NOT NULL,
    detail text NOT NULL,
    request text NOT NULL,
    job text NOT NULL
);

CREATE TABLE confirmations (
    token text NOT NULL PRIMARY KEY,
    person text NOT NULL,
    container_id text NOT NULL,
    action text NOT NULL,
    expires_at text NOT NULL
);

CREATE INDEX confirmations_expiry ON confirmations (expires_at);

CREATE TABLE invocations (
    key text NOT NULL PRIMARY KEY,
    expires_at text NOT NULL
);

CREATE INDEX invocations_expiry ON invocations (expires_at);

CREATE TABLE sealed (
    table_name text NOT NULL,
    row_id text NOT NULL,
    column_name text NOT NULL,
    value blob NOT NULL,
    PRIMARY KEY (table_name, row_id, column_name)
);
