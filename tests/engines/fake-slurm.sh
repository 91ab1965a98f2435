#!/bin/sh
# Answers as sbatch, squeue, sacct, scancel and scontrol, by the name it is called. Jobs are run while sbatch is at work.
# What it is asked is in $FAKE_SLURM/calls, or in the file that $FAKE_SLURM_CALLS names. Files there say what goes wrong:
#
#   lose-N      element N is not run, and ends in the state that the file names; `once` behind it says how often
#   no-merge    the next merge is not run, and fails
#   refuse      sbatch refuses everything, in these words
#   hold        nothing is run; `release` runs it
set -u
state=${FAKE_SLURM:?a folder}
calls=${FAKE_SLURM_CALLS:-$state/calls}
name=$(basename "$0")
printf '%s' "$name" >>"$calls"
for word; do
    printf ' %s' "$word" >>"$calls"
done
echo >>"$calls"

# What an array is: `0-3,7`.
indices() {
    for range in $(printf '%s' "$1" | tr , ' '); do
        seq "${range%-*}" "${range#*-}"
    done
}

note() {
    echo "$1" >>"$state/states"
}

run_array() {
    number=$1
    log=$(cat "$state/$number.log")
    for index in $(indices "$(cat "$state/$number.array")"); do
        if [ -e "$state/lose-$index" ]; then
            read -r word often <"$state/lose-$index"
            [ "${often:-}" != once ] || rm "$state/lose-$index"
            note "${number}_$index|$word|None"
            continue
        fi
        if SLURM_ARRAY_TASK_ID=$index sh "$state/$number.script" >>"$(echo "$log" | sed "s/%a/$index/")" 2>&1; then
            note "${number}_$index|COMPLETED|None"
        else
            note "${number}_$index|FAILED|NonZeroExitCode"
        fi
    done
}

run_merge() {
    number=$1
    if [ -e "$state/no-merge" ]; then
        rm "$state/no-merge"
        note "$number|FAILED|NonZeroExitCode"
    elif sh "$state/$number.script" >>"$(cat "$state/$number.log")" 2>&1; then
        note "$number|COMPLETED|None"
    else
        note "$number|FAILED|NonZeroExitCode"
    fi
}

case $name in
sbatch)
    if [ -e "$state/refuse" ]; then
        cat "$state/refuse" >&2
        exit 1
    fi
    number=$(($(cat "$state/last" 2>/dev/null || echo 100) + 1))
    echo $number >"$state/last"
    cat >"$state/$number.script"
    kind=merge
    for word; do
        case $word in
        --array=*)
            kind=array
            echo "${word#*=}" >"$state/$number.array"
            ;;
        --output=*) echo "${word#*=}" >"$state/$number.log" ;;
        esac
    done
    if [ -e "$state/hold" ]; then
        echo "$kind $number" >>"$state/held"
        [ $kind = merge ] || for index in $(indices "$(cat "$state/$number.array")"); do note "${number}_$index|PENDING|BeginTime"; done
        [ $kind = array ] || note "$number|PENDING|Dependency"
    else
        run_$kind $number
    fi
    echo "$number;fake"
    ;;
release)
    rm -f "$state/hold"
    while read -r kind number; do
        run_"$kind" "$number"
    done <"$state/held"
    ;;
squeue) cat "$state/states" 2>/dev/null || true ;;
sacct)
    echo 'Slurm accounting storage is disabled' >&2
    exit 1
    ;;
scancel)
    sed -i 's/|PENDING|.*/|CANCELLED|None/' "$state/states"
    : >"$state/held"
    ;;
scontrol) echo 'MaxArraySize            = 12' ;;
esac
