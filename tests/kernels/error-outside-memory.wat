;; Has an error whose text lies outside of its memory.
(module
  (memory (export "memory") 16)
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_error") (result i64) (i64.const 0x7fff_ffff_7fff_ffff))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (i64.const -2)))
