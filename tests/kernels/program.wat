;; A WASI program. Its first argument says by its first letter what it does; without one it copies its input to its output.
(module
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 2)
    (global $runs (mut i32) (i32.const 48))
    (data (i32.const 64) "words")
    (data (i32.const 80) "out of luck\n")

    ;; At 0 one buffer, at 8 how much was read or written, at 16 sizes, at 512 pointers, from 4096 on bytes.
    (func $write (param $fd i32) (param $at i32) (param $len i32)
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4) (local.get $len))
        (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
    (func $print (param $at i32) (param $len i32) (call $write (i32.const 1) (local.get $at) (local.get $len)))
    (func $read (param $fd i32) (result i32)
        (i32.store (i32.const 0) (i32.const 4096))
        (i32.store (i32.const 4) (i32.const 32768))
        (if (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
        (i32.load (i32.const 8)))
    (func $copy (param $from i32) (param $to i32)
        (local $len i32)
        (block $end
            (loop $more
                (br_if $end (i32.eqz (local.tee $len (call $read (local.get $from)))))
                (call $write (local.get $to) (i32.const 4096) (local.get $len))
                (br $more))))

    (func (export "_start")
        (local $what i32)
        (global.set $runs (i32.add (global.get $runs) (i32.const 1)))
        (drop (call $args_sizes (i32.const 16) (i32.const 20)))
        (drop (call $args (i32.const 512) (i32.const 4096)))
        (if (i32.ge_u (i32.load (i32.const 16)) (i32.const 2))
            (then (local.set $what (i32.load8_u (i32.load (i32.const 516))))))
        ;; a: its arguments, each with a NUL behind it.
        (if (i32.eq (local.get $what) (i32.const 97)) (then
            (call $print (i32.const 4096) (i32.load (i32.const 20)))
            (return)))
        ;; e: its environment, likewise.
        (if (i32.eq (local.get $what) (i32.const 101)) (then
            (drop (call $environ_sizes (i32.const 16) (i32.const 20)))
            (drop (call $environ (i32.const 512) (i32.const 4096)))
            (call $print (i32.const 4096) (i32.load (i32.const 20)))
            (return)))
        ;; x: its input to its errors, and exit code 7.
        (if (i32.eq (local.get $what) (i32.const 120)) (then
            (call $print (i32.const 80) (i32.const 11))
            (call $copy (i32.const 0) (i32.const 2))
            (call $exit (i32.const 7))))
        ;; q: exit code 9, without a word; z: exit code 0; h: one of those that the general implementation refuses.
        (if (i32.eq (local.get $what) (i32.const 113)) (then (call $exit (i32.const 9))))
        (if (i32.eq (local.get $what) (i32.const 122)) (then
            (call $copy (i32.const 0) (i32.const 1))
            (call $exit (i32.const 0))))
        (if (i32.eq (local.get $what) (i32.const 104)) (then (call $exit (i32.const 200))))
        ;; s: its input to its errors, and all is well.
        (if (i32.eq (local.get $what) (i32.const 115)) (then
            (call $copy (i32.const 0) (i32.const 2))
            (return)))
        ;; t: a trap with last words.
        (if (i32.eq (local.get $what) (i32.const 116)) (then
            (call $write (i32.const 2) (i32.const 80) (i32.const 12))
            unreachable))
        ;; l: for ever; o: output without end.
        (if (i32.eq (local.get $what) (i32.const 108)) (then (loop $ever (br $ever))))
        (if (i32.eq (local.get $what) (i32.const 111)) (then
            (loop $ever
                (call $print (i32.const 4096) (i32.const 32768))
                (br $ever))))
        ;; r: random bytes; c: the time.
        (if (i32.eq (local.get $what) (i32.const 114)) (then
            (drop (call $random (i32.const 4096) (i32.const 16)))
            (call $print (i32.const 4096) (i32.const 16))
            (return)))
        (if (i32.eq (local.get $what) (i32.const 99)) (then
            (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 4096)))
            (call $print (i32.const 4096) (i32.const 8))
            (return)))
        ;; b: the broadcast data `words`, or the error number of opening it.
        (if (i32.eq (local.get $what) (i32.const 98)) (then
            (i32.store (i32.const 16)
                (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 0) (i64.const 2)
                    (i64.const 0) (i32.const 0) (i32.const 24)))
            (if (i32.load (i32.const 16))
                (then (call $print (i32.const 16) (i32.const 4)))
                (else (call $copy (i32.load (i32.const 24)) (i32.const 1))))
            (return)))
        ;; d: the entries of the folder with it.
        (if (i32.eq (local.get $what) (i32.const 100)) (then
            (if (call $fd_readdir (i32.const 3) (i32.const 4096) (i32.const 4096) (i64.const 0) (i32.const 16))
                (then unreachable))
            (call $print (i32.const 4096) (i32.load (i32.const 16)))
            (return)))
        ;; n: how often this instance was run.
        (if (i32.eq (local.get $what) (i32.const 110)) (then
            (i32.store (i32.const 16) (global.get $runs))
            (call $print (i32.const 16) (i32.const 1))
            (return)))
        (call $copy (i32.const 0) (i32.const 1))))
