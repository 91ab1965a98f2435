#!/bin/sh
# Stands in for the program that looks at kernels and runs jobs: what it does is said by what it is given. The words of a run are on
# its standard input.
case $1 in
inspect)
    for file; do :; done
    if grep -q refused "$file"; then echo "error: $file: it is not WebAssembly" >&2; exit 4; fi
    echo '{"kind": "stand-in", "functions": [{"name": "math#add"}, {"name": "refused"}]}'
    ;;
run)
    output=$(tr '\0' '\n' | sed -n 's/^--output=//p')
    # Whoever sees it sees all of it.
    echo "$output" >begun
    mv begun journal
    : >errors.jsonl
    if grep -q slow in-0-*; then
        trap 'exit 143' TERM
        # What is left of it when it is killed ends by itself, and holds nothing that somebody waits for.
        while :; do
            sleep 1 2>/dev/null &
            wait
        done
    fi
    if grep -q "no walls" in-0-*; then rm journal; exit 6; fi
    if grep -q dies in-0-*; then kill -KILL $$; fi
    if grep -q fails in-0-*; then
        rm journal
        echo '{"exit_code":3,"items":2,"failed_items":1,"input_bytes":4,"output_bytes":0,"cpu_seconds":0.5,"coordinator":{"cpu_seconds":0.25}}' >report.json
        echo '{"item": 1}' >errors.jsonl
        echo 'error: one item failed' >&2
        exit 3
    fi
    cat in-* >"$output"
    echo '{"exit_code":0,"items":1,"failed_items":0,"input_bytes":4,"output_bytes":4,"cpu_seconds":1.5,"coordinator":{"cpu_seconds":0.5}}' >report.json
    rm journal
    ;;
resume)
    cat in-* >"$(cat journal)"
    echo '{"exit_code":0,"items":1,"failed_items":0,"input_bytes":4,"output_bytes":4,"cpu_seconds":0.5,"coordinator":{"cpu_seconds":0.5}}' >report.json
    rm journal
    ;;
esac
