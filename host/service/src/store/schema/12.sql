-- Other kernels that a name means now and then, and how often; most of the time it means that of its own row.
CREATE TABLE alias_weights (
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    weight REAL NOT NULL,
    PRIMARY KEY (tenant, name, digest),
    FOREIGN KEY (tenant, name) REFERENCES aliases (tenant, name) ON DELETE CASCADE,
    FOREIGN KEY (tenant, digest) REFERENCES kernels (tenant, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX weights_of_kernel ON alias_weights (tenant, digest);

-- The same of each change, as JSON.
ALTER TABLE alias_history ADD COLUMN weights TEXT;
