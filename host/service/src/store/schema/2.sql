-- Where tenants want to be told of the end of their jobs.
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    tenant INTEGER NOT NULL REFERENCES tenants (id),
    url TEXT NOT NULL,
    -- What messages are signed with: it has to be known as it is.
    secret TEXT NOT NULL,
    created INTEGER NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1,
    -- Since when nothing has got through; none when the last message did.
    failing_since INTEGER,
    -- Before this nothing is sent, while nothing gets through.
    rests_until INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX webhooks_of_tenant ON webhooks (tenant, id);

-- Messages, each until it has got through or is given up, and for some days after that.
CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    webhook TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event TEXT NOT NULL,
    job TEXT,
    body TEXT NOT NULL,
    created INTEGER NOT NULL,
    -- When it is tried again; none when it is over.
    next INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- What the last attempt was answered, or why it was not.
    status INTEGER,
    error TEXT,
    delivered INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_of_webhook ON deliveries (webhook, id);
CREATE INDEX deliveries_due ON deliveries (next) WHERE next IS NOT NULL;

-- How many jobs of a tenant are not over is asked for with each that comes. With `ended`, though it is always null here: without it
-- the row of each is looked up to see that it is.
CREATE INDEX jobs_open ON jobs (tenant, ended) WHERE ended IS NULL;

-- How much a tenant has stored is asked for with each thing that comes.
CREATE INDEX blobs_by_size ON blobs (tenant, bytes);
