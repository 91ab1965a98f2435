;; Gives each item back, but for those that begin with the name of a misdeed, which it commits. Most of them end the
;; process from inside, which takes imports that only a debug build offers.
;;
;; In the process: abort segv kill sys exit panic memory stack block spin
;; In the kernel: trap, error (invalid input), temporary, huge (a result of more than 256 MiB), grow (takes memory until
;; it gets no more, and traps), loop (never returns)
(module
  (import "taskhost-fault" "abort" (func $abort))
  (import "taskhost-fault" "segv" (func $segv))
  (import "taskhost-fault" "kill" (func $kill))
  (import "taskhost-fault" "sys" (func $sys))
  (import "taskhost-fault" "exit42" (func $exit42))
  (import "taskhost-fault" "panic" (func $panic))
  (import "taskhost-fault" "exhaust-memory" (func $exhaust_memory))
  (import "taskhost-fault" "overflow-stack" (func $overflow_stack))
  (import "taskhost-fault" "block" (func $block))
  (import "taskhost-fault" "spin" (func $spin))
  (memory (export "memory") 16)
  (data (i32.const 16) "as the item asked for")
  (func (export "taskhost_error") (result i64) (i64.const 0x10_0000_0015))
  (func (export "taskhost_alloc") (param $len i32) (result i32)
    ;; A short item is not taken for one with what is left of the item before.
    (i32.store (i32.const 1024) (i32.const 0))
    (i32.const 1024))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (local $name i32)
    ;; The first three letters, the first of them lowest.
    (local.set $name (i32.and (i32.load (local.get $at)) (i32.const 0xffffff)))
    (if (i32.eq (local.get $name) (i32.const 0x6f6261)) (then (call $abort)))
    (if (i32.eq (local.get $name) (i32.const 0x676573)) (then (call $segv)))
    (if (i32.eq (local.get $name) (i32.const 0x6c696b)) (then (call $kill)))
    (if (i32.eq (local.get $name) (i32.const 0x737973)) (then (call $sys)))
    (if (i32.eq (local.get $name) (i32.const 0x697865)) (then (call $exit42)))
    (if (i32.eq (local.get $name) (i32.const 0x6e6170)) (then (call $panic)))
    (if (i32.eq (local.get $name) (i32.const 0x6d656d)) (then (call $exhaust_memory)))
    (if (i32.eq (local.get $name) (i32.const 0x617473)) (then (call $overflow_stack)))
    (if (i32.eq (local.get $name) (i32.const 0x6f6c62)) (then (call $block)))
    (if (i32.eq (local.get $name) (i32.const 0x697073)) (then (call $spin)))
    (if (i32.eq (local.get $name) (i32.const 0x617274)) (then unreachable))
    (if (i32.eq (local.get $name) (i32.const 0x727265)) (then (return (i64.const -1))))
    (if (i32.eq (local.get $name) (i32.const 0x6d6574)) (then (return (i64.const -3))))
    (if (i32.eq (local.get $name) (i32.const 0x677568))
      (then
        (drop (memory.grow (i32.const 4096)))
        (return (i64.extend_i32_u (i32.shl (memory.size) (i32.const 16))))))
    (if (i32.eq (local.get $name) (i32.const 0x6f7267))
      (then
        (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        unreachable))
    (if (i32.eq (local.get $name) (i32.const 0x6f6f6c)) (then (loop $ever (br $ever))))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))
