;; Wants its items outside of its memory.
(module
  (memory (export "memory") 16)
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 0x7fffff00))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))
