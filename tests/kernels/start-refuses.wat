;; Refuses to start.
(module
  (memory (export "memory") 16)
  (data (i32.const 16) "not today")
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_error") (result i64) (i64.const 0x10_0000_0009))
  (func (export "taskhost_start") (result i64) (i64.const -2))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))
