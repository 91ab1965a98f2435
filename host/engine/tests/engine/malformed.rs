//! Files that somebody has damaged, or made up: whatever they are, they are refused or compile.

use std::path::{Path, PathBuf};

use taskhost_engine::compile;
use taskhost_protocol::fault::Refusal;
use taskhost_protocol::kernel::CompileOptions;

use crate::raw;
use crate::support::mapper;

/// Changes of each prebuilt kernel.
const FLIPPED: usize = 12;

/// Numbers that look random and are the same every time (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Whether it compiles; it must not be refused for what is the compiler's own fault.
fn try_compile(wasm: &[u8]) -> bool {
    match compile(wasm, CompileOptions::default()) {
        Ok(_) => true,
        Err(Refusal::Start(text)) => panic!("{text}"),
        Err(_) => false,
    }
}

fn binary(text: &[u8]) -> Vec<u8> {
    wat::parse_bytes(text).expect("it parses").into_owned()
}

#[test]
fn a_kernel_with_flipped_bits_is_refused_or_compiles() {
    let echo = "(call $ok (local.get $at) (local.get $len))";
    let kernels = [(binary(&raw::module("", raw::ECHO, "")), 400), (mapper("", echo), 300)];
    let mut numbers = Numbers(0x5eed);
    for (kernel, rounds) in kernels {
        let compiled = (0..rounds)
            .filter(|round| {
                let mut wasm = kernel.clone();
                for _ in 0..=round % 3 {
                    let at = 8 + numbers.below(wasm.len() - 8);
                    wasm[at] ^= 1 << numbers.below(8);
                }
                try_compile(&wasm)
            })
            .count();
        assert!((1..rounds).contains(&compiled), "{compiled} of {rounds}: both must happen for this to test anything");
    }
}

/// They take long to compile, so there are few changes of each.
#[test]
fn kernels_of_toolchains_with_flipped_bits_are_refused_or_compile() {
    let mut numbers = Numbers(0xd157);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/dist");
    let mut kernels: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("it can be read").path()).collect();
    kernels.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    kernels.sort();
    assert!(kernels.len() > 10, "{kernels:?}");
    let (mut compiled, mut refused) = (0, 0);
    for path in kernels {
        let kernel = std::fs::read(&path).expect("it can be read");
        for _ in 0..FLIPPED {
            let mut wasm = kernel.clone();
            let at = 8 + numbers.below(wasm.len() - 8);
            wasm[at] ^= 1 << numbers.below(8);
            *if try_compile(&wasm) { &mut compiled } else { &mut refused } += 1;
        }
    }
    assert!(compiled > 0 && refused > 0, "{compiled} compiled, {refused} were refused");
}

#[test]
fn sections_with_anything_in_them_are_refused_or_compile() {
    let mut numbers = Numbers(0xfeed);
    for round in 0..2_000 {
        // A module's header or a component's.
        let mut wasm = if round % 2 == 0 { b"\0asm\x01\0\0\0".to_vec() } else { b"\0asm\x0d\0\x01\0".to_vec() };
        for _ in 0..numbers.below(6) {
            let len = numbers.below(100);
            wasm.extend([numbers.below(14) as u8, len as u8]);
            // Small numbers are more often something.
            wasm.extend((0..len).map(|_| (numbers.next() >> 32) as u8 >> (numbers.below(8))));
        }
        try_compile(&wasm);
    }
}

#[test]
fn bodies_with_anything_in_them_are_refused_or_compile() {
    let kernel = crate::generate::kernel(
        1,
        &crate::generate::function(3, |body| {
            body.repeat(100, &[crate::generate::I::Nop]);
        }),
    );
    let body = kernel.len() - 101;
    let mut numbers = Numbers(0xbeef);
    for _ in 0..1_000 {
        let mut wasm = kernel.clone();
        for at in 0..numbers.below(100) {
            wasm[body + at] = (numbers.next() >> 32) as u8;
        }
        try_compile(&wasm);
    }
}

#[test]
fn text_that_is_nested_deeply_is_refused() {
    for text in ["(".repeat(1_000_000), "(module (func ".to_owned() + &"(block ".repeat(200_000)] {
        assert!(!try_compile(text.as_bytes()));
    }
}
