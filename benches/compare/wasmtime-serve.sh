#!/usr/bin/env bash
# Gets what the row `service-calls` needs beside the service: benches/compare/wasmtime-serve.sh [FOLDER]
#
# Into FOLDER (target/compare): `bin/wasmtime`, built from its registry, of the same release as the engine here, and
# `primes-http.wasm`, the component that it serves. A quarter of an hour on two cores; what is there in the right version stays.
# A wasmtime from elsewhere is taken by `--wasmtime PROGRAM`.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p "${1:-target/compare}"
folder=$(realpath "${1:-target/compare}")

version=$(sed -n '/^name = "wasmtime"$/{n;s/^version = "\(.*\)"$/\1/p}' Cargo.lock)
if ! "$folder/bin/wasmtime" --version 2>/dev/null | grep -qF "wasmtime $version"; then
    # What serves and compiles, with the allocator that it serves fastest with.
    cargo install wasmtime-cli --version "$version" --locked --root "$folder" --target-dir "$folder/wasmtime-build" \
        --no-default-features --features serve,run,cranelift,component-model,component-model-async,pooling-allocator,parallel-compilation
    rm -rf "$folder/wasmtime-build"
fi
plugins/build.sh --kernel primes-http "$folder/primes-http.wasm" benches/compare/http/Cargo.toml
"$folder/bin/wasmtime" --version
