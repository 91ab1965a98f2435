#!/usr/bin/env bash
# Gets engines that pipe, for tests/engines/python.rs: tests/engines/python.sh [ENGINE…], all of them unless some are named.
#
# Each is a package of PyPI of one version, in an environment of Python's own below target/engines. What is there already is
# not fetched again. Spark is some 500 MB, and needs Java, which comes from Debian's packages where it is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

environment() {
    local name=$1
    shift
    [ ! -e "target/engines/$name/complete" ] || return 0
    rm -rf "target/engines/$name"
    python3 -m venv "target/engines/$name"
    "target/engines/$name/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir "$@"
    touch "target/engines/$name/complete"
}

[ $# -gt 0 ] || set -- dask spark
for engine; do
    case $engine in
    dask) environment dask dask==2026.8.0 distributed==2026.8.0 ;;
    spark)
        if ! command -v java >/dev/null; then
            apt-get update -qq
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless
        fi
        environment spark pyspark==4.3.0
        ;;
    *)
        echo "python.sh does not know $engine" >&2
        exit 2
        ;;
    esac
    echo "target/engines/$engine"
done
