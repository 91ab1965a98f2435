;; Takes about a millisecond for each item, and traps at those that begin with `7`. `slow-echo` is the mended kernel.
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
    (if (i32.and (i32.ne (local.get $len) (i32.const 0)) (i32.eq (i32.load8_u (local.get $at)) (i32.const 55)))
      (then unreachable))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))
