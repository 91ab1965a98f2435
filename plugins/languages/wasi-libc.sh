#!/usr/bin/env bash
# Puts zig's C library for WASI into a folder: crt1-command.o and libc.a, which Rust programs are linked with where rustup has
# no wasm32-wasip1 target: wasi-libc.sh FOLDER
#
# zig links what it compiled before, so a program is linked, and what zig says about it tells where the parts lie.
set -euo pipefail

mkdir -p "$1"
folder=$(cd "$1" && pwd)
if [ -e "$folder/libc.a" ]; then
    exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo 'int main(void) { return 0; }' >main.c
zig build-exe -lc -target wasm32-wasi -OReleaseFast --verbose-link main.c -femit-bin=main.wasm 2>linked
mapfile -t parts < <(grep '^wasm-ld' linked | tail -n 1 | tr ' ' '\n' | grep -E '/(crt1-command\.o|lib(c|zigc|compiler_rt)\.a)$')
[ ${#parts[@]} -gt 1 ] || { echo "wasi-libc.sh: zig did not say what it linked" >&2; exit 1; }
{
    echo "create libc.a"
    for part in "${parts[@]}"; do
        case $part in
            *.o) cp "$part" "$folder/crt1-command.o" ;;
            *) echo "addlib $part" ;;
        esac
    done
    echo save
    echo end
} >script
zig ar -M <script
mv libc.a "$folder/libc.a"
