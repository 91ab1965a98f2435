-- What a tenant has stored, in bytes, kept as it changes: to add up all its contents for each question took longer the more there
-- were. A content counts as what it takes on a disk at least, which is a block of 4096 bytes.
CREATE TABLE stored (
    tenant INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT;

INSERT INTO stored (tenant, bytes)
    SELECT id, (SELECT coalesce(sum(max(bytes, 4096)), 0) FROM blobs WHERE tenant = tenants.id)
             + (SELECT coalesce(sum(max(bytes, 4096)), 0) FROM kernels WHERE tenant = tenants.id)
             + (SELECT coalesce(sum(max(bytes, 4096)), 0) FROM uploads WHERE tenant = tenants.id)
             + (SELECT coalesce(sum(counted), 0) FROM jobs WHERE tenant = tenants.id)
    FROM tenants;

CREATE TRIGGER blob_comes AFTER INSERT ON blobs BEGIN
    INSERT INTO stored VALUES (new.tenant, max(new.bytes, 4096)) ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER blob_goes AFTER DELETE ON blobs BEGIN
    UPDATE stored SET bytes = bytes - max(old.bytes, 4096) WHERE tenant = old.tenant;
END;
CREATE TRIGGER kernel_comes AFTER INSERT ON kernels BEGIN
    INSERT INTO stored VALUES (new.tenant, max(new.bytes, 4096)) ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER kernel_goes AFTER DELETE ON kernels BEGIN
    UPDATE stored SET bytes = bytes - max(old.bytes, 4096) WHERE tenant = old.tenant;
END;
CREATE TRIGGER upload_comes AFTER INSERT ON uploads BEGIN
    INSERT INTO stored VALUES (new.tenant, max(new.bytes, 4096)) ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER upload_changes AFTER UPDATE OF bytes ON uploads BEGIN
    UPDATE stored SET bytes = bytes - max(old.bytes, 4096) + max(new.bytes, 4096) WHERE tenant = new.tenant;
END;
CREATE TRIGGER upload_goes AFTER DELETE ON uploads BEGIN
    UPDATE stored SET bytes = bytes - max(old.bytes, 4096) WHERE tenant = old.tenant;
END;
CREATE TRIGGER record_comes AFTER INSERT ON jobs WHEN new.counted > 0 BEGIN
    INSERT INTO stored VALUES (new.tenant, new.counted) ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER record_changes AFTER UPDATE OF counted ON jobs WHEN new.counted <> old.counted BEGIN
    INSERT INTO stored VALUES (new.tenant, new.counted - old.counted)
        ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER record_goes AFTER DELETE ON jobs WHEN old.counted > 0 BEGIN
    UPDATE stored SET bytes = bytes - old.counted WHERE tenant = old.tenant;
END;

DROP INDEX blobs_by_size;
DROP INDEX jobs_counted;

-- For whoever looks for a few jobs among many that are over. Those that are not have an index already; one that is handed in has
-- no more to write.
CREATE INDEX jobs_by_state ON jobs (tenant, state, id) WHERE ended IS NOT NULL;
