#!/usr/bin/env bash
# Writes docs/cli.md, the whole command line, from the program's own help, and docs/openapi.json, the HTTP interface of the
# service: docs/update.sh [TASKHOST]
#
#   docs/update.sh --check [TASKHOST]   compares instead of writing; also whether the README shows examples/first-kernel as it is
set -euo pipefail
docs=$(cd "$(dirname "$0")" && pwd)

check=
if [ "${1:-}" = --check ]; then
    check=yes
    shift
fi
taskhost=$(command -v "${1:-taskhost}")

# Lines are as long as the terminal is wide; off a terminal, as this says.
export COLUMNS=100

section() {
    printf '\n## %s\n\n```text\n' "$1"
    shift
    # Whatever the file is called, the help says `taskhost`.
    (exec -a taskhost "$taskhost" "$@" --help) | sed 's/[[:space:]]*$//'
    printf '```\n'
}

page() {
    printf '# The command line\n\n'
    printf 'Written by `docs/update.sh` from the program itself; a test compares.\n'
    section taskhost
    for command in run stdio inspect new check compile resume replay plan merge attach bench doctor; do
        section "taskhost $command" "$command"
    done
    section 'taskhost shard' shard
    section 'taskhost shard run' shard run
    section 'taskhost serve' serve
    section 'taskhost job' job
    for command in list show cancel logs; do
        section "taskhost job $command" job "$command"
    done
    section 'taskhost tenant' tenant
    for command in create list show set rotate page audit backup pause resume block unblock blocked disable; do
        section "taskhost tenant $command" tenant "$command"
    done
    section 'taskhost cache' cache
    for command in path ls clear; do
        section "taskhost cache $command" cache "$command"
    done
    section 'taskhost completions' completions
    section 'taskhost man' man
}

if [ -z "$check" ]; then
    page >"$docs/cli.md"
    "$taskhost" serve --openapi >"$docs/openapi.json"
    exit
fi

diff <("$taskhost" serve --openapi) "$docs/openapi.json" || {
    echo "docs/openapi.json is not what the program says: run docs/update.sh" >&2
    exit 1
}
diff <(page) "$docs/cli.md" || {
    echo "docs/cli.md is not what the program says: run docs/update.sh" >&2
    exit 1
}
# The first block of Rust in the README is the kernel up to its tests.
diff <(awk '/^#\[cfg\(test\)\]/ { exit } NR > 1 { print before } { before = $0 }' "$docs/../examples/first-kernel/src/lib.rs") \
    <(awk '/^```rust$/ { inside = 1; next } inside && /^```$/ { exit } inside' "$docs/../README.md") || {
    echo "the kernel in README.md is not examples/first-kernel/src/lib.rs" >&2
    exit 1
}
