-- What was used on each day, by the kernel it was used for; of each day as many kernels as are told apart.
CREATE TABLE usage_of_kernels (
    tenant INTEGER NOT NULL,
    day INTEGER NOT NULL,
    kernel TEXT NOT NULL,
    cpu_ms INTEGER NOT NULL,
    jobs INTEGER NOT NULL,
    items INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, kernel)
) STRICT, WITHOUT ROWID;

-- What each name has meant: a row for each change, of whoever made it when that is known; without a digest it was forgotten.
CREATE TABLE alias_history (
    number INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT,
    at INTEGER NOT NULL,
    actor TEXT
) STRICT;
CREATE INDEX history_of_alias ON alias_history (tenant, name, number);
CREATE INDEX history_of_tenant ON alias_history (tenant, number);
INSERT INTO alias_history (tenant, name, version, digest, at) SELECT tenant, name, version, digest, updated FROM aliases ORDER BY updated;
