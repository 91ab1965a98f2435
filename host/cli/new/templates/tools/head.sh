#!/usr/bin/env bash
# Builds {name}.wasm: ./build.sh
#
# {needs}
set -euo pipefail
cd "$(dirname "$0")"

# The compilers that were installed here, if any: the folder may be deleted.
tools=$PWD/.tools
