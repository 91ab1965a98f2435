//! What a program that is a component gets of preview 2: its words, its standard input and output. The rest is as for any
//! component.

use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;

use super::stdio::{Gathered, Stdio};

/// Gives a context what a program is given; gives back where its output goes.
pub(crate) fn give(builder: &mut WasiCtxBuilder, stdio: Stdio) -> Gathered {
    builder
        .args(&stdio.arguments)
        .envs(&stdio.environment)
        .stdin(MemoryInputPipe::new(stdio.input))
        .stdout(stdio.output.clone());
    stdio.output
}
