-- Who has vouched for a kernel: the number of the key, and the signature as it came. Neither when nobody had to.
ALTER TABLE kernels ADD COLUMN signed_by TEXT;
ALTER TABLE kernels ADD COLUMN signature TEXT;
