;; Exports a function of the contract with another type.
(module
  (memory (export "memory") 16)
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param i32) (result i32) (local.get 0)))
