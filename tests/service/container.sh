#!/usr/bin/env bash
# The container of examples/serve, built and tried: tests/service/container.sh [IMAGE]
#
# With IMAGE that one is tried, else it is built, which takes as long as compiling the program. For root, with
#
#   apt-get install --no-install-recommends podman runc containernetworking-plugins iptables mmdebstrap
#
# The two images that it is made from are made of Debian's packages and of the compiler that is here when there are none of that name:
# not every machine can reach a registry. Nothing of it is part of .ci/run.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
port=${PORT:-8420}
name=taskhost-trial-$$
trap 'podman rm --force --time 0 "$name" >/dev/null 2>&1 || true; podman volume rm "$name" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
# What a container may have is no more than what its maker has: some machines let nobody raise a limit.
nproc=$(ulimit -Hu)
[ "$nproc" != unlimited ] && [ "$nproc" -lt 32768 ] || nproc=32768
printf '[containers]\ndefault_ulimits = ["nofile=%s:%s", "nproc=%s:%s"]\n' "$(ulimit -Hn)" "$(ulimit -Hn)" "$nproc" "$nproc" >"$work/containers.conf"
export CONTAINERS_CONF=$work/containers.conf
engine() { podman --runtime runc "$@"; }

debian=docker.io/library/debian:bookworm-slim rust=docker.io/library/rust:1.95-slim-bookworm
image=${1:-}
if [ -z "$image" ]; then
    image=localhost/taskhost-trial
    if ! podman image exists "$debian"; then
        mmdebstrap --quiet --variant=minbase bookworm "$work/debian.tar"
        podman import --quiet "$work/debian.tar" "$debian"
    fi
    if ! podman image exists "$rust"; then
        mkdir "$work/rust"
        cp -r "$(rustc --print sysroot)"/{bin,lib} "$work/rust"
        printf 'FROM %s\nRUN apt-get update && apt-get install -y --no-install-recommends ca-certificates\nCOPY . /usr/local\n' "$debian" >"$work/Containerfile"
        engine build --quiet -f "$work/Containerfile" -t "$rust" "$work/rust"
    fi
    # What cargo has fetched here: the container may reach nothing.
    cargo fetch --locked --quiet
    registry=${CARGO_HOME:-$HOME/.cargo}/registry
    printf '[net]\noffline = true\n' >"$work/config.toml"
    for home in /usr/local/cargo /root/.cargo; do
        volumes+=(-v "$registry:$home/registry:O" -v "$work/config.toml:$home/config.toml:ro")
    done
    engine build "${volumes[@]}" -f examples/serve/Containerfile -t "$image" .
fi

say() { curl --silent --show-error --fail-with-body --max-time 60 --header "Authorization: Bearer $token" "$@"; }
field() { sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }
stops() { engine stop "$name" >/dev/null && [ "$(engine inspect -f '{{.State.ExitCode}}' "$name")" = 0 ]; }
starts() {
    until curl --silent --output /dev/null "$url/healthz"; do
        [ "$(engine inspect -f '{{.State.Running}}' "$name")" = true ] || { engine logs "$name" >&2; return 1; }
    done
}

# As the file says it is run.
engine run -d --name "$name" --security-opt seccomp=unconfined --security-opt apparmor=unconfined --cap-drop=ALL \
    --security-opt no-new-privileges --read-only --tmpfs /tmp -v "$name:/var/lib/taskhost" -p "127.0.0.1:$port:8420" "$image" >/dev/null
url=http://127.0.0.1:$port
starts
token=$(engine exec "$name" taskhost tenant create anna --data /var/lib/taskhost 2>/dev/null)

# From nothing to a result, as in run.sh.
digest=$(say --data-binary @plugins/dist/sobel.wasm --header 'Content-Type: application/wasm' "$url/v1/kernels" | field digest)
say --request PUT --data "{\"digest\": \"$digest\"}" "$url/v1/aliases/edges" >/dev/null
job=$(say --data-binary @examples/pictures/astronaut.png --header 'Content-Type: image/png' "$url/v1/jobs?kernel=edges&name=a.png" | field id)
[ "$(say --header 'Prefer: wait=30' "$url/v1/jobs/$job" | field state)" = succeeded ]
say --output "$work/edges.png" "$url/v1/jobs/$job/result"
echo "a picture: $(wc -c <"$work/edges.png") bytes"

# A job that is ended leaves nothing, although its workers were children of a process that is gone.
digest=$(say --data-binary @plugins/dist/primes.wasm --header 'Content-Type: application/wasm' "$url/v1/kernels" | field digest)
long=$(say --data '0 4000000000' "$url/v1/jobs?kernel=$digest&name=in.txt" | field id)
until say "$url/v1/jobs/$long" | grep -q '"state":"running"'; do :; done
say --request POST "$url/v1/jobs/$long/cancel" >/dev/null
until [ "$(engine top "$name" state | grep -c .)" -le 3 ]; do :; done
echo 'a job that is cancelled leaves nothing'

# What runs when it is stopped is parked, and goes on.
job=$(say --data-binary "$(yes '0 300000' | head -n 1000)" "$url/v1/jobs?kernel=$digest&name=in.txt" | field id)
until say "$url/v1/jobs/$job" | grep -q '"items":[1-9]'; do :; done
stops
engine start "$name" >/dev/null
starts
until say --header 'Prefer: wait=30' "$url/v1/jobs/$job" >"$work/job" && ! grep -q '"ended":null' "$work/job"; do :; done
[ "$(field state <"$work/job")" = succeeded ] && grep -q '"attempts":2' "$work/job"
echo 'a job that was stopped has gone on'
stops
