-- What the service must remember: what users asked for, what was last observed of it, and the operations between.
-- Times are RFC 3339 in UTC with milliseconds, so that they sort as text. Lists and maps are JSON.

-- Marks the file as drydock's: "dryd".
PRAGMA application_id = 1685223780;

CREATE TABLE cluster (
    uid TEXT PRIMARY KEY NOT NULL,
    -- A cluster's identity is its scope and name; the uid outlives the name.
    provider TEXT NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    pod_cidr TEXT NOT NULL,
    service_cidr TEXT NOT NULL,
    labels TEXT NOT NULL,
    -- The TLS endpoint's port, for as long as the cluster lives.
    port INTEGER NOT NULL UNIQUE,
    state TEXT NOT NULL,
    reason_code TEXT,
    reason_message TEXT,
    -- Goes up with every change of the row; the ETag. It begins at the time of creation, so that no two rows of a name
    -- ever have the same.
    revision INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (provider, account, region, name)
) STRICT;

-- The native API names clusters of its own account by name alone.
CREATE UNIQUE INDEX cluster_native_name ON cluster (name) WHERE account = 'default';

CREATE TABLE node_pool (
    uid TEXT PRIMARY KEY NOT NULL,
    cluster_uid TEXT NOT NULL REFERENCES cluster (uid) ON DELETE CASCADE,
    name TEXT NOT NULL,
    instance_type TEXT NOT NULL,
    -- How many nodes are wanted.
    nodes INTEGER NOT NULL,
    version TEXT NOT NULL,
    kubelet TEXT NOT NULL,
    zones TEXT NOT NULL,
    labels TEXT NOT NULL,
    taints TEXT NOT NULL,
    spot INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason_code TEXT,
    reason_message TEXT,
    -- Last observed.
    machines INTEGER NOT NULL DEFAULT 0,
    ready INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (cluster_uid, name)
) STRICT;

CREATE TABLE operation (
    -- In order of creation.
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    state TEXT NOT NULL,
    -- Not references: an operation is remembered when what it was about is gone.
    cluster_uid TEXT NOT NULL,
    cluster_name TEXT NOT NULL,
    node_pool_uid TEXT,
    node_pool_name TEXT,
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 1,
    message TEXT NOT NULL DEFAULT '',
    error_code TEXT,
    error_message TEXT,
    revision INTEGER NOT NULL DEFAULT 1,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    finished_at TEXT
) STRICT;

CREATE INDEX operation_open ON operation (cluster_uid) WHERE finished_at IS NULL;
CREATE INDEX operation_finished ON operation (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE idempotency_key (
    key TEXT PRIMARY KEY NOT NULL,
    -- Of the request that used the key first.
    fingerprint TEXT NOT NULL,
    operation_id TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

-- Machines that node pools want, as `drydock-cloud` describes them. A row is there before its machine is launched and
-- until it is gone.
CREATE TABLE machine (
    cluster_uid TEXT NOT NULL REFERENCES cluster (uid) ON DELETE CASCADE,
    client_token TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (cluster_uid, client_token)
) STRICT;
