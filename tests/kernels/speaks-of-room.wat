;; Calls the item `7` invalid, in the words in which a run says that its results have become too large; never comes back from
;; any other.
(module
  (memory (export "memory") 16)
  (data (i32.const 16) "bytes that they may have")
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_error") (result i64) (i64.const 0x10_0000_0018))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 55))
      (then (loop $for-ever (br $for-ever))))
    (i64.const -1)))
