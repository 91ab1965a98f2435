;; Never comes back from the item `7`.
(module
  (memory (export "memory") 16)
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (if (i32.and (i32.eq (local.get $len) (i32.const 1)) (i32.eq (i32.load8_u (local.get $at)) (i32.const 55)))
      (then (loop $for-ever (br $for-ever))))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))
