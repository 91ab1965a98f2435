;; Says that results are as long as their items, and makes them longer: they would lie over the next result.
(module
  (memory (export "memory") 16)
  (data (i32.const 16) "split=chunks:4\0aresult-length=same\0a")
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_describe") (result i64) (i64.const 0x10_0000_0022))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.const 8))))
