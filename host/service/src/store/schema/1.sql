-- Times are milliseconds since 1970 (UTC), days are days since 1970. Digests are written as the interface writes them.

CREATE TABLE tenants (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    enabled INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    quotas TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
    key TEXT PRIMARY KEY,
    tenant INTEGER NOT NULL REFERENCES tenants (id),
    secret BLOB NOT NULL,
    scopes TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE kernels (
    tenant INTEGER NOT NULL REFERENCES tenants (id),
    digest TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    info TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE aliases (
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    version INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (tenant, name),
    FOREIGN KEY (tenant, digest) REFERENCES kernels (tenant, digest)
) STRICT, WITHOUT ROWID;

-- Contents that count against the tenant's bytes: inputs and results. One that was stored by itself stays until somebody
-- deletes it; others go with the last job that needs them.
CREATE TABLE blobs (
    tenant INTEGER NOT NULL REFERENCES tenants (id),
    digest TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created INTEGER NOT NULL,
    stays INTEGER NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    tenant INTEGER NOT NULL REFERENCES tenants (id),
    kernel TEXT NOT NULL,
    state TEXT NOT NULL,
    spec TEXT NOT NULL,
    created INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER,
    exit INTEGER,
    message TEXT,
    items INTEGER,
    failed INTEGER,
    input_bytes INTEGER,
    output_bytes INTEGER,
    cpu_ms INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    result TEXT,
    failures TEXT,
    log TEXT,
    -- How many items failed in which way, as JSON.
    verdicts TEXT,
    -- When its contents go, once it is over; none any more when they are gone.
    expires INTEGER,
    gone INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_of_tenant ON jobs (tenant, id);
CREATE INDEX jobs_to_do ON jobs (id) WHERE ended IS NULL;
CREATE INDEX jobs_to_forget ON jobs (expires) WHERE expires IS NOT NULL;

CREATE TABLE job_labels (
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (tenant, name, value, job)
) STRICT, WITHOUT ROWID;

-- What a job needs or made, so that no content goes while somebody may still ask for it.
CREATE TABLE job_blobs (
    tenant INTEGER NOT NULL,
    digest TEXT NOT NULL,
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (tenant, digest, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_of_job ON job_blobs (job);

CREATE TABLE attempts (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    began INTEGER NOT NULL,
    ended INTEGER,
    outcome TEXT,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

-- What was answered to a request that may come again.
CREATE TABLE idempotency (
    tenant INTEGER NOT NULL,
    key TEXT NOT NULL,
    request BLOB NOT NULL,
    job TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (created);

CREATE TABLE usage (
    tenant INTEGER NOT NULL,
    day INTEGER NOT NULL,
    cpu_ms INTEGER NOT NULL,
    jobs INTEGER NOT NULL,
    items INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (tenant, day)
) STRICT, WITHOUT ROWID;

-- Each row carries the hash of the one before it: none can be changed or left out unseen.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    tenant INTEGER,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    outcome TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE INDEX audit_of_tenant ON audit (tenant, number);
