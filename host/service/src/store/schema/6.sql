-- Contents that come in parts, until the last one has come. Each counts in full from its beginning.
CREATE TABLE uploads (
    tenant INTEGER NOT NULL REFERENCES tenants (id),
    digest TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    -- When a part was last begun.
    touched INTEGER NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_by_age ON uploads (touched);
