;; Behaves, but takes about a millisecond for each item.
(module
  (memory (export "memory") 16)
  (data (i32.const 16) "result-length=same\0a")
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_describe") (result i64) (i64.const 0x10_0000_0013))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (local $left i32)
    (local.set $left (i32.const 1000000))
    (loop $more
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $more (local.get $left)))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))
