;; Takes a while over each item, three quarters of it in `long` and one in `short`.
(module
    (memory (export "memory") 1)
    (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 16))
    (func $long (local $round i32)
        (loop $more
            (local.set $round (i32.add (local.get $round) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $round) (i32.const 3000000)))))
    (func $short (local $round i32)
        (loop $more
            (local.set $round (i32.add (local.get $round) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $round) (i32.const 1000000)))))
    (func $both (call $long) (call $short))
    (func $process (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
        (call $both)
        (i64.or
            (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
            (i64.extend_i32_u (local.get $len)))))
