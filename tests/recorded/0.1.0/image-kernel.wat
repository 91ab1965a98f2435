;; Copies pictures of 8-bit samples, with a halo of 2 that is left out of results.
(func (export "taskhost:kernel/image-filter@0.1.0#prepare") (param i32 i32 i32 i32) (result i32)
    (if (local.get 3) (then unreachable))
    (i32.store (i32.const 16) (i32.const 0))
    ;; Strips, with a halo of 2; the format of the result is that of the input.
    (i32.store (i32.const 20) (i32.const 0)) (i32.store (i32.const 24) (i32.const 2))
    (i32.store (i32.const 28) (local.get 0)) (i32.store (i32.const 32) (local.get 1))
    (i32.store (i32.const 36) (local.get 2)) (i32.store (i32.const 40) (local.get 3))
    (i32.const 16))
;; Width, height, channels, sample, first row, rows, above, below, samples, their length.
(func (export "taskhost:kernel/image-filter@0.1.0#filter") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (local $row i32)
    (local.set $row (i32.mul (local.get 0) (local.get 2)))
    (call $ok
        (i32.add (local.get 8) (i32.mul (local.get 6) (local.get $row)))
        (i32.mul (local.get 5) (local.get $row))))
(func (export "cabi_post_taskhost:kernel/image-filter@0.1.0#filter") (param i32) (call $reset))
