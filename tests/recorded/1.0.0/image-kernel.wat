;; Copies pictures of 8-bit samples, with a halo of 2 that is left out of results.
(data (i32.const 1024) "Copies pictures.")
(data (i32.const 1200) "whole")
(data (i32.const 1300) "concat")
(func (export "taskhost:kernel/describe@1.0.0#describe") (result i32)
    (i32.store (i32.const 64) (i32.const 1024)) (i32.store (i32.const 68) (i32.const 16))
    (i32.store (i32.const 72) (i32.const 1200)) (i32.store (i32.const 76) (i32.const 5))
    (i32.store (i32.const 80) (i32.const 1300)) (i32.store (i32.const 84) (i32.const 6))
    ;; The result's length is unknown, and there are no settings.
    (i32.store (i32.const 88) (i32.const 0)) (i32.store (i32.const 92) (i32.const 0))
    (i32.store (i32.const 96) (i32.const 0)) (i32.store (i32.const 100) (i32.const 0))
    (i32.const 64))
(func (export "taskhost:kernel/image-filter@1.0.0#prepare") (param i32 i32 i32 i32) (result i32)
    (if (local.get 3) (then unreachable))
    (i32.store (i32.const 16) (i32.const 0))
    ;; Strips, with a halo of 2; the format of the result is that of the input.
    (i32.store (i32.const 20) (i32.const 0)) (i32.store (i32.const 24) (i32.const 2))
    (i32.store (i32.const 28) (local.get 0)) (i32.store (i32.const 32) (local.get 1))
    (i32.store (i32.const 36) (local.get 2)) (i32.store (i32.const 40) (local.get 3))
    (i32.const 16))
;; Width, height, channels, sample, first row, rows, above, below, samples, their length.
(func (export "taskhost:kernel/image-filter@1.0.0#filter") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (local $row i32)
    (local.set $row (i32.mul (local.get 0) (local.get 2)))
    (call $ok
        (i32.add (local.get 8) (i32.mul (local.get 6) (local.get $row)))
        (i32.mul (local.get 5) (local.get $row))))
(func (export "cabi_post_taskhost:kernel/image-filter@1.0.0#filter") (param i32) (call $reset))
