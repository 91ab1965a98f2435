#!/usr/bin/env bash
# Builds every kernel in plugins/kernels to a component in plugins/dist, with SHA256SUMS and README.md, and those of the
# examples.
#
#   plugins/build.sh                build into plugins/dist
#   plugins/build.sh --output DIR   build into DIR
#   plugins/build.sh --check        build into a temporary folder and compare with plugins/dist
#   plugins/build.sh --kernel NAME FILE [MANIFEST]    build one kernel, of this workspace or of another, into a file
#
# Takes whichever toolchain is there:
#   1. rustup's, when it has the target:  rustup target add wasm32-unknown-unknown
#   2. Debian's compiler with the standard library built from its source, for machines that cannot download targets:
#      apt-get install rustc-web rust-web-src  (done here when running as root)
# Both link with wasm-component-ld, which is part of rustup's toolchain and makes components in one step.
set -euo pipefail

plugins=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$plugins")
target=wasm32-unknown-unknown
# A release of the compiler changes sizes a little. More than this many per cent is another kernel.
size_tolerance=10

fail() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}

mode=build
kernel_manifest=$plugins/Cargo.toml
output=$plugins/dist
while [ $# -gt 0 ]; do
    case $1 in
        --check) mode=check ;;
        --output)
            [ $# -ge 2 ] || fail "--output needs a folder"
            mkdir -p "$2"
            output=$(cd "$2" && pwd)
            shift
            ;;
        --kernel)
            [ $# -ge 3 ] || fail "--kernel needs the name of a package and a file"
            mode=kernel
            kernel=$2
            file=$(realpath "$3")
            shift 2
            if [ $# -ge 2 ]; then
                kernel_manifest=$(realpath "$2")
                shift
            fi
            ;;
        -h | --help)
            sed -n '2,15s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        *) fail "unknown argument $1 (see --help)" ;;
    esac
    shift
done
if [ $mode = check ]; then
    output=$(mktemp -d)
    trap 'rm -rf "$output"' EXIT
fi

cd "$plugins" # so that rust-toolchain.toml chooses the compiler
sysroot=$(rustc --print sysroot)
host=$(rustc -vV | sed -n 's/^host: //p')
tools=$sysroot/lib/rustlib/$host/bin
[ -x "$tools/wasm-component-ld" ] || fail "no wasm-component-ld in $tools: install Rust with rustup (https://rustup.rs)"

# The source of the standard library lies elsewhere in every installation: panics name it, so it is mapped away.
library_source=
choose_debian_compiler() {
    if ! [ -x /usr/bin/rustc ] || ! [ -d /usr/lib/rustlib/src/rust/library ]; then
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
            fail "no wasm32 standard library: run 'rustup target add $target', or, as root, 'apt-get install rustc-web rust-web-src'"
        apt-get install -y -qq --no-install-recommends rustc-web rust-web-src >/dev/null ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends rustc-web rust-web-src >/dev/null; } ||
            fail "cannot install rustc-web and rust-web-src; 'rustup target add $target' would do as well"
    fi
    # -Zbuild-std is not stable; this makes a stable compiler take it.
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    library_source=$(realpath /usr/lib/rustlib/src/rust)
    build_std=(-Zbuild-std=std,panic_abort)
}
build_std=()
if compgen -G "$sysroot/lib/rustlib/$target/lib/libstd-*.rlib" >/dev/null; then
    library_source=$sysroot/lib/rustlib/src/rust
else
    choose_debian_compiler
fi
compiler=$("${RUSTC:-rustc}" -V)
printf 'building with %s\n' "$compiler" >&2

# No path of this machine ends up in a component, so that every machine with the same compiler makes the same bytes.
# simd128: every engine of today has it, and the kernels' loops become vector code.
RUSTFLAGS="--remap-path-prefix=/usr/lib/rustlib/src/rust=/rustc"
RUSTFLAGS+=" --remap-path-prefix=$library_source=/rustc"
RUSTFLAGS+=" --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
RUSTFLAGS+=" --remap-path-prefix=$repository=/taskhost"
RUSTFLAGS+=" -Ctarget-feature=+simd128"
export RUSTFLAGS
export CARGO_TARGET_DIR=$plugins/target/guest
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$tools/wasm-component-ld
export PATH=$tools/gcc-ld:$PATH # wasm-ld, which wasm-component-ld runs

if [ $mode = kernel ]; then
    cargo build --release --locked --target $target "${build_std[@]}" --package "$kernel" --manifest-path "$kernel_manifest"
    install -m 644 "$CARGO_TARGET_DIR/$target/release/${kernel//-/_}.wasm" "$file"
    exit
fi
cargo build --release --locked --target $target "${build_std[@]}" --workspace --exclude taskhost-kernel

# Kernels of the examples, each beside the program that uses it: package and file.
of_examples=(
    'csv-sum articles/csv-sum' 'row-sum articles/row-sum' 'sobel-strip articles/sobel-strip' 'squares articles/squares'
    'primes-of-values embed/primes' 'csv-transform pipeline/transform' 'csv-validate pipeline/validate'
)

names=()
for manifest in kernels/*/Cargo.toml; do
    names+=("$(basename "$(dirname "$manifest")")")
done

# The interfaces a component exports and imports, as they stand in its bytes.
interfaces() {
    grep -aoE 'taskhost:kernel/[a-z-]+@[0-9.]+' "$1" | sort -u
}

rm -f "$output"/*.wasm
for name in "${names[@]}"; do
    built=$CARGO_TARGET_DIR/$target/release/${name//-/_}.wasm
    # Byte 4 of a component is 0x0d, of a core module 0x01.
    [ "$(od -An -tx1 -j4 -N1 "$built" | tr -d ' ')" = 0d ] || fail "$built is not a component"
    cp "$built" "$output/$name.wasm"
    chmod 644 "$output/$name.wasm"
done
(cd "$output" && sha256sum -- *.wasm >SHA256SUMS)

# The table of the README is written by hand, but for the sizes.
readme=$(cat "$plugins/dist/README.md")
for name in "${names[@]}"; do
    size=$(stat -c %s "$output/$name.wasm")
    printf '%s\n' "$readme" | grep -q "^| \`$name\` |" || fail "plugins/dist/README.md has no row for $name"
    readme=$(printf '%s\n' "$readme" | sed "s/^\(| \`$name\` |.*| \)[0-9]* |\$/\1$size |/")
done
printf '%s\n' "$readme" >"$output/README.md"

different=0
failed=0
for pair in "${of_examples[@]}"; do
    read -r package file <<<"$pair"
    built=$CARGO_TARGET_DIR/$target/release/${package//-/_}.wasm
    kept=$repository/examples/$file.wasm
    if [ $mode = build ]; then
        [ "$output" = "$plugins/dist" ] && install -m 644 "$built" "$kept"
    elif [ "$(interfaces "$kept")" != "$(interfaces "$built")" ]; then
        printf 'examples/%s.wasm: other interfaces than its source; run plugins/build.sh\n' "$file" >&2
        failed=1
    fi
done
[ $mode = build ] && exit 0

for name in "${names[@]}"; do
    kept=dist/$name.wasm
    new=$output/$name.wasm
    if ! [ -f "$kept" ]; then
        printf '%s: not in plugins/dist; run plugins/build.sh\n' "$name" >&2
        failed=1
        continue
    fi
    cmp -s "$kept" "$new" && continue
    different=1
    kept_size=$(stat -c %s "$kept")
    new_size=$(stat -c %s "$new")
    difference=$((new_size > kept_size ? new_size - kept_size : kept_size - new_size))
    if [ "$(interfaces "$kept")" != "$(interfaces "$new")" ]; then
        printf '%s: other interfaces than in plugins/dist; run plugins/build.sh\n' "$name" >&2
        failed=1
    elif [ $((difference * 100)) -gt $((kept_size * size_tolerance)) ]; then
        printf '%s: %s bytes, %s in plugins/dist; run plugins/build.sh\n' "$name" "$new_size" "$kept_size" >&2
        failed=1
    else
        printf '%s: same interfaces, other bytes (%s, %s in plugins/dist)\n' "$name" "$new_size" "$kept_size" >&2
    fi
done
for kept in dist/*.wasm; do
    [ -f "$output/$(basename "$kept")" ] || { printf '%s has no source in plugins/kernels\n' "$kept" >&2; failed=1; }
done
[ $failed = 0 ] || fail "plugins/dist is out of date"
if [ $different = 1 ]; then
    printf 'note: plugins/dist was built with another compiler than this one (%s)\n' "$compiler" >&2
else
    printf 'plugins/dist is what the sources give, byte for byte\n' >&2
fi
