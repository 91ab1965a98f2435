#!/usr/bin/env bash
# Installs pyarrow from PyPI, which the tests of Parquet files are held against: tests/programs/pyarrow.sh
#
# Into a virtual environment in the target folder, and nowhere else. What is there in the right version stays. As root,
# Debian's python3-venv is installed where it is missing.
set -euo pipefail

version=26.0.1

repository=$(cd "$(dirname "$0")/../.." && pwd)
folder=${CARGO_TARGET_DIR:-$repository/target}/pyarrow

if [ "$(cat "$folder/installed" 2>/dev/null)" = "$version" ]; then
    echo "pyarrow $version is there"
    exit
fi
rm -rf "$folder"
if ! python3 -m venv "$folder" 2>/dev/null; then
    rm -rf "$folder"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    python3 -m venv "$folder"
fi
"$folder/bin/pip" install -q --disable-pip-version-check --no-input "pyarrow==$version"
echo "$version" >"$folder/installed"
