#!/usr/bin/env bash
# From nothing to the result of a picture job, with curl: examples/serve/run.sh [TASKHOST [FOLDER]]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
taskhost=$(realpath "$(command -v "${1:-taskhost}")")
out=${2:-out}
mkdir -p "$out"
out=$(realpath "$out")
rm -rf "$out/data"

# What a machine allows decides how many walls there are; a service insists on all of them unless it is told otherwise.
"$taskhost" serve --data "$out/data" --listen 127.0.0.1:0 --sandbox "${TASKHOST_SANDBOX:-auto}" >"$out/server.out" 2>"$out/server.log" &
server=$!
trap 'kill $server; wait $server || true' EXIT
until [ -s "$out/server.out" ]; do kill -0 $server; sleep 0.05; done
url=$(sed 's/^listening on //' "$out/server.out")

# 1. Somebody who may use it. The token is shown this once.
token=$("$taskhost" tenant create anna --data "$out/data" 2>/dev/null)
say() { curl --silent --show-error --fail-with-body --header "Authorization: Bearer $token" "$@"; }

# 2. A kernel, which is looked at and compiled behind walls, and a name for it.
digest=$(say --data-binary "@$here/../../plugins/dist/sobel.wasm" --header 'Content-Type: application/wasm' \
    "$url/v1/kernels" | sed 's/.*"digest":"\([^"]*\)".*/\1/')
say --request PUT --data "{\"digest\": \"$digest\"}" "$url/v1/aliases/edges" >/dev/null

# 3. A job: the picture is the body. It is kept before this is answered.
job=$(say --data-binary "@$here/../pictures/astronaut.png" --header 'Content-Type: image/png' \
    "$url/v1/jobs?kernel=edges&name=astronaut.png" | sed 's/.*"id":"\([^"]*\)".*/\1/')

# 4. Its result, when it is there.
say --header 'Prefer: wait=30' "$url/v1/jobs/$job" >"$out/job.json"
say --output "$out/edges.png" "$url/v1/jobs/$job/result"

"$taskhost" run sobel "$here/../pictures/astronaut.png" --output "$out/expected.png" --quiet
cmp "$out/edges.png" "$out/expected.png"
echo "job $job: the same picture as a run of one's own"
