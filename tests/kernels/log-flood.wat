;; Writes a thousand log lines for each item, with control characters in them.
(module
  (import "taskhost" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 16)
  (data (i32.const 16) "\1b[2J\07look at me\0d\0a")
  (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (local $left i32)
    (local.set $left (i32.const 1000))
    (loop $again
      (call $log (i32.const 1) (i32.const 16) (i32.const 17))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $again (local.get $left)))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))
