-- By what others name a content. None of those from before, until they are stored once more.
ALTER TABLE blobs ADD COLUMN sha256 TEXT;
ALTER TABLE kernels ADD COLUMN sha256 TEXT;
CREATE INDEX blobs_by_sha256 ON blobs (tenant, sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX kernels_by_sha256 ON kernels (sha256, tenant) WHERE sha256 IS NOT NULL;
