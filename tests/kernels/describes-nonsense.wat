;; Describes a split that does not exist.
(module
  (memory (export "memory") 16)
  (data (i32.const 16) "split=bananas\0a")
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_describe") (result i64) (i64.const 0x10_0000_000e))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))
