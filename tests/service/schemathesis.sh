#!/usr/bin/env bash
# Gets schemathesis, which holds the service's HTTP interface against its own description: tests/service/schemathesis.sh [FOLDER]
#
# It comes from PyPI, in one version, into an environment of its own, which is kept in target/schemathesis.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-target/schemathesis}
version=4.32.5
if [ "$("$folder/bin/st" --version 2>/dev/null)" = "st, version $version" ]; then
    exit
fi
rm -rf "$folder"
if ! python3 -m venv "$folder" 2>/dev/null; then
    # Debian's Python comes without what an environment needs.
    rm -rf "$folder"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends python3-venv
    python3 -m venv "$folder"
fi
"$folder/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
"$folder/bin/st" --version
