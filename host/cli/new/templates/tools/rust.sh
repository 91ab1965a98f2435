target=wasm32-unknown-unknown
# Paths of this machine are no part of a kernel; simd128: every engine of today has it.
export RUSTFLAGS="--remap-path-prefix=$PWD=/{name} --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo -Ctarget-feature=+simd128"
export CARGO_TARGET_DIR=$PWD/target
sysroot=$(rustc --print sysroot)
build_std=()
if ! compgen -G "$sysroot/lib/rustlib/$target/lib/libstd-*.rlib" >/dev/null; then
    # A machine whose rustup cannot download the target may have Debian's compiler and the source of the library.
    host=$(rustc -vV | sed -n 's/^host: //p')
    tools=$sysroot/lib/rustlib/$host/bin
    if ! { [ -x /usr/bin/rustc ] && [ -d /usr/lib/rustlib/src/rust/library ] && [ -x "$tools/wasm-component-ld" ]; }; then
        echo "build.sh: type 'rustup target add $target', or, where that cannot be, 'apt-get install rustc-web rust-web-src'" >&2
        exit 1
    fi
    # -Zbuild-std is not stable; this makes a stable compiler take it. The linker is rustup's.
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$tools/wasm-component-ld PATH=$tools/gcc-ld:$PATH
    RUSTFLAGS+=" --remap-path-prefix=$(realpath /usr/lib/rustlib/src/rust)=/rustc"
    build_std=(-Zbuild-std=std,panic_abort)
fi
cargo build --release --target $target ${build_std[@]+"${build_std[@]}"} --package {name}
cp "target/$target/release/{name_}.wasm" {name}.wasm
