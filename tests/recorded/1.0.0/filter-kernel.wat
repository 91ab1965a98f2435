;; Each byte of each line as a line of its own; nothing of an empty line.
(data (i32.const 1024) "Each byte as a line.")
(data (i32.const 1200) "lines")
(data (i32.const 1300) "lines")
(func (export "taskhost:kernel/describe@1.0.0#describe") (result i32)
    (i32.store (i32.const 64) (i32.const 1024)) (i32.store (i32.const 68) (i32.const 20))
    (i32.store (i32.const 72) (i32.const 1200)) (i32.store (i32.const 76) (i32.const 5))
    (i32.store (i32.const 80) (i32.const 1300)) (i32.store (i32.const 84) (i32.const 5))
    ;; The result's length is unknown, and there are no settings.
    (i32.store (i32.const 88) (i32.const 0)) (i32.store (i32.const 92) (i32.const 0))
    (i32.store (i32.const 96) (i32.const 0)) (i32.store (i32.const 100) (i32.const 0))
    (i32.const 64))
(func (export "taskhost:kernel/flat-mapper@1.0.0#process") (param $at i32) (param $len i32) (result i32)
    (local $list i32) (local $i i32)
    (local.set $list (call $realloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.shl (local.get $len) (i32.const 3))))
    (block $done
        (loop $more
            (br_if $done (i32.eq (local.get $i) (local.get $len)))
            (i32.store
                (i32.add (local.get $list) (i32.shl (local.get $i) (i32.const 3)))
                (i32.add (local.get $at) (local.get $i)))
            (i32.store offset=4 (i32.add (local.get $list) (i32.shl (local.get $i) (i32.const 3))) (i32.const 1))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $more)))
    (call $ok (local.get $list) (local.get $len)))
(func (export "cabi_post_taskhost:kernel/flat-mapper@1.0.0#process") (param i32) (call $reset))
