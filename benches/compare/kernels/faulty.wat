;; Gives each item back; traps at one that begins with a `t`, and never ends at one that begins with an `l`.
(module
  (memory (export "memory") 1)
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 116)) (then unreachable))
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 108)) (then (loop $ever (br $ever))))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))
