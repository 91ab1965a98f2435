;; Gives each item back after about a millisecond, and counts items and their bytes.
(module
  (import "taskhost" "counter_add" (func $count (param i32 i32 i64)))
  (memory (export "memory") 16)
  (data (i32.const 16) "itemsbytes")
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (local $left i32)
    (call $count (i32.const 16) (i32.const 5) (i64.const 1))
    (local.set $left (i32.const 1000000))
    (loop $more
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $more (local.get $left)))
    (call $count (i32.const 21) (i32.const 5) (i64.extend_i32_u (local.get $len)))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))
