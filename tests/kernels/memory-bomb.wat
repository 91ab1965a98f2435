;; Takes memory until it gets no more, uses all of it, and then says how it went.
(module
  (memory (export "memory") 16)
  (data (i32.const 16) "no more memory")
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_error") (result i64) (i64.const 0x10_0000_000e))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (local $pages i32)
    (loop $more
      (local.set $pages (memory.grow (i32.const 16)))
      (if (i32.ne (local.get $pages) (i32.const -1))
        (then
          (memory.fill (i32.shl (local.get $pages) (i32.const 16)) (i32.const 1) (i32.const 0x100000))
          (br $more))))
    (i64.const -2)))
