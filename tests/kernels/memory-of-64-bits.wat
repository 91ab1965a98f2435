;; Has a memory of 64 bits, in which no pointer of the contract would fit.
(module
  (memory (export "memory") i64 1)
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (i64.const 0)))
