;; Makes one row of a noise picture: a line with the row's number gives 2000 random f64 in [0, 1).
;;
;; Sample n of the picture is the number that SplitMix64 with seed 0 gives as its n-th, so that any program can make the
;; same picture. This file is also what a kernel looks like without any tools: a raw module.
(module
  (memory (export "memory") 1)

  ;; Where an argument goes, where a row is made, and the texts.
  (global $argument i32 (i32.const 1024))
  (global $row i32 (i32.const 4096))
  (global $columns i64 (i64.const 2000))
  (data (i32.const 0) "summary=A row of SplitMix64 noise.\nsplit=lines\nmerge=concat\nresult-length=16000\n")
  (data (i32.const 256) "expected the number of a row, in digits")

  ;; Row numbers are short; a longer line would not fit in front of the row.
  (func (export "taskhost_alloc") (param $len i32) (result i32)
    (select (global.get $argument) (i32.const 0) (i32.le_u (local.get $len) (i32.const 3072))))

  (func (export "taskhost_describe") (result i64) (call $place (i32.const 0) (i32.const 80)))
  (func (export "taskhost_error") (result i64) (call $place (i32.const 256) (i32.const 39)))

  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (local $end i32) (local $digit i32) (local $number i64) (local $column i32)
    (local.set $end (i32.add (local.get $at) (local.get $len)))
    (if (i32.eqz (local.get $len)) (then (return (i64.const -1))))
    (loop $next
      (local.set $digit (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))
      (if (i32.gt_u (local.get $digit) (i32.const 9)) (then (return (i64.const -1))))
      (local.set $number
        (i64.add (i64.mul (local.get $number) (i64.const 10)) (i64.extend_i32_u (local.get $digit))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
    (local.set $number (i64.mul (local.get $number) (global.get $columns)))
    (loop $next
      (f64.store
        (i32.add (global.get $row) (i32.shl (local.get $column) (i32.const 3)))
        (call $random (i64.add (local.get $number) (i64.extend_i32_u (local.get $column)))))
      (local.set $column (i32.add (local.get $column) (i32.const 1)))
      (br_if $next (i64.lt_u (i64.extend_i32_u (local.get $column)) (global.get $columns))))
    (call $place (global.get $row) (i32.const 16000)))

  ;; The n-th number of SplitMix64, from 0; its upper 53 bits as a fraction.
  (func $random (param $n i64) (result f64)
    (local $z i64)
    (local.set $z (i64.mul (i64.add (local.get $n) (i64.const 1)) (i64.const 0x9e3779b97f4a7c15)))
    (local.set $z (i64.mul (call $fold (local.get $z) (i64.const 30)) (i64.const 0xbf58476d1ce4e5b9)))
    (local.set $z (i64.mul (call $fold (local.get $z) (i64.const 27)) (i64.const 0x94d049bb133111eb)))
    (f64.mul
      (f64.convert_i64_u (i64.shr_u (call $fold (local.get $z) (i64.const 31)) (i64.const 11)))
      (f64.const 0x1p-53)))

  (func $fold (param $z i64) (param $by i64) (result i64)
    (i64.xor (local.get $z) (i64.shr_u (local.get $z) (local.get $by))))

  ;; An answer: where it begins and how long it is.
  (func $place (param $at i32) (param $len i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))
