target=wasm32-wasip1
export CARGO_TARGET_DIR=$PWD/target
sysroot=$(rustc --print sysroot)
host=$(rustc -vV | sed -n 's/^host: //p')
linker=$sysroot/lib/rustlib/$host/bin/rust-lld
build_std=()
if ! compgen -G "$sysroot/lib/rustlib/$target/lib/libstd-*.rlib" >/dev/null; then
    # A machine whose rustup cannot download the target may have Debian's compiler and the source of the library; the C library
    # is zig's.
    if ! { [ -x /usr/bin/rustc ] && [ -d /usr/lib/rustlib/src/rust/library ] && [ -x "$linker" ]; }; then
        echo "build.sh: type 'rustup target add $target', or, where that cannot be, 'apt-get install rustc-web rust-web-src'" >&2
        exit 1
    fi
    if ! [ -e "$tools/libc/libc.a" ]; then
        if ! command -v zig >/dev/null; then
            mkdir -p "$tools/bin"
            python3 -m venv "$tools/zig"
            "$tools/zig/bin/pip" install -q --disable-pip-version-check "ziglang=={version}"
            printf '#!/bin/sh\nexec "%s" -m ziglang "$@"\n' "$tools/zig/bin/python" >"$tools/bin/zig"
            chmod +x "$tools/bin/zig"
            export PATH="$tools/bin:$PATH"
        fi
        ./wasi-libc.sh "$tools/libc"
    fi
    # -Zbuild-std is not stable; this makes a stable compiler take it.
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_WASIP1_LINKER=$linker
    export RUSTFLAGS="-Clink-self-contained=no -Clink-arg=$tools/libc/crt1-command.o -Lnative=$tools/libc"
    build_std=(-Zbuild-std=std,panic_abort)
fi
cargo build --release --target $target ${build_std[@]+"${build_std[@]}"}
cp "target/$target/release/{name}.wasm" {name}.wasm
