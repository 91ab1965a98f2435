;; Returns all of its memory, a megabyte, for each item; never comes back from the item `7`.
(module
  (memory (export "memory") 16)
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 55))
      (then (loop $for-ever (br $for-ever))))
    (i64.const 0x0000_0000_0010_0000)))
