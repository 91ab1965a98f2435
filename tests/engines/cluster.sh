#!/usr/bin/env bash
# A throw-away Slurm cluster of two nodes on this machine, without munge, accounting or systemd. All that it writes is in
# FOLDER, and all that it starts is known by the numbers in FOLDER/run.
#
#   cluster.sh up FOLDER [apart]     starts it; with `apart` each node has a network of its own, for which root is needed
#   cluster.sh node FOLDER N         starts node N again
#   cluster.sh control FOLDER        starts the controller again
#   cluster.sh cut FOLDER N          takes the network of node N away; `join FOLDER N` gives it back
#   cluster.sh limits FOLDER         says whether jobs are held to their memory
#   cluster.sh down FOLDER           ends everything
#
# Needs slurmctld, slurmd and slurm-client; tests/engines/setup.sh gets them on Debian and Ubuntu.
set -euo pipefail

command=${1:?up, node, control, cut, join or down}
folder=$(realpath -m "${2:?a folder}")
export SLURM_CONF=$folder/slurm.conf
host=$(hostname -s)

# Network names of this cluster: a few letters fit into the name of an interface.
tag=$(printf '%s' "$folder" | cksum | cut -d ' ' -f 1 | tail -c 6)
subnet=10.$((16#$(printf '%s' "$folder" | md5sum | cut -c 1-2) % 200 + 20)).$((16#$(printf '%s' "$folder" | md5sum | cut -c 3-4) % 250))

# Whether jobs can be held to their memory here, which takes control groups of the first kind.
limits() {
    [ -w /sys/fs/cgroup/memory/cgroup.procs ]
}

configuration() {
    local apart=$1 control=127.0.0.1 port=$((20000 + RANDOM % 20000)) node
    [ "$apart" = no ] || control=$subnet.1
    local tasks=task/affinity
    if limits; then
        tasks=task/cgroup,task/affinity
        printf '%s\n' CgroupPlugin=cgroup/v1 CgroupAutomount=no ConstrainCores=no ConstrainRAMSpace=yes MinRAMSpace=1 >"$folder/cgroup.conf"
    fi
    cat <<END
ClusterName=taskhost-tests
SlurmctldHost=$host($control)
SlurmctldPort=$port
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
# Nobody else is asked who anybody is: this is for one user, on one machine.
AuthType=auth/none
CredType=cred/none
# An element that is run again waits for that long.
AuthInfo=cred_expire=3
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=$tasks
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/run/control.pid
SlurmdPidFile=$folder/run/node.%n.pid
SlurmctldLogFile=$folder/log/control.log
SlurmdLogFile=$folder/log/node.%n.log
# Quickly, where a real cluster is patient.
SlurmdTimeout=5
SlurmctldTimeout=5
KillWait=2
BatchStartTimeout=5
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
SlurmdParameters=config_overrides
END
    for node in 1 2; do
        local address=127.0.0.1
        [ "$apart" = no ] || address=$subnet.$((10 + node))
        echo "NodeName=n$node NodeHostname=$host NodeAddr=$address Port=$((port + node)) CPUs=1 RealMemory=4000 State=UNKNOWN"
    done
    echo 'PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefMemPerNode=1000 State=UP'
}

network() {
    local node
    ip link add "thb$tag" type bridge
    ip address add "$subnet.1/24" dev "thb$tag"
    ip link set "thb$tag" up
    for node in 1 2; do
        ip netns add "th$tag-$node"
        ip link add "thv$tag$node" type veth peer name eth0 netns "th$tag-$node"
        ip link set "thv$tag$node" master "thb$tag" up
        ip -n "th$tag-$node" address add "$subnet.$((10 + node))/24" dev eth0
        ip -n "th$tag-$node" link set eth0 up
        ip -n "th$tag-$node" link set lo up
    done
}

node() {
    # `ip netns exec` would take /sys away from it.
    if [ -e "/run/netns/th$tag-$1" ]; then
        nsenter --net="/run/netns/th$tag-$1" slurmd -N "n$1" -f "$SLURM_CONF"
    else
        slurmd -N "n$1" -f "$SLURM_CONF"
    fi
}

# Ends the daemon of this cluster that has left its number in a file, and waits for it. The number may be another's by now.
end() {
    local number
    [ -s "$1" ] || return 0
    number=$(cat "$1")
    tr '\0' '\n' <"/proc/$number/cmdline" 2>/dev/null | grep -qxF "$SLURM_CONF" || return 0
    kill -9 "$number" 2>/dev/null || return 0
    for _ in $(seq 100); do
        kill -0 "$number" 2>/dev/null || return 0
        sleep 0.02
    done
}

case $command in
up)
    mkdir -p "$folder"/{state,spool,log,run}
    apart=no
    if [ "${3:-}" = apart ]; then
        apart=yes
        network
    fi
    configuration $apart >"$SLURM_CONF"
    slurmctld -i -f "$SLURM_CONF"
    node 1
    node 2
    for _ in $(seq 1200); do
        [ "$(timeout 5 sinfo --noheader --format=%t 2>/dev/null)" != idle ] || exit 0
        sleep 0.05
    done
    echo "the nodes never came up; see $folder/log" >&2
    exit 1
    ;;
limits) limits ;;
node) node "${3:?which node}" ;;
control) slurmctld -f "$SLURM_CONF" ;;
cut) ip -n "th$tag-${3:?which node}" link set eth0 down ;;
join) ip -n "th$tag-${3:?which node}" link set eth0 up ;;
down)
    # What runs is ended by those who started it.
    timeout 5 scancel --user="$(id -un)" --quiet 2>/dev/null || true
    for _ in $(seq 100); do
        [ -n "$(timeout 5 squeue --noheader --states=RUNNING,COMPLETING 2>/dev/null)" ] || break
        sleep 0.05
    done
    for file in "$folder"/run/*.pid; do
        end "$file"
    done
    if ip link show "thb$tag" >/dev/null 2>&1; then
        ip netns delete "th$tag-1"
        ip netns delete "th$tag-2"
        ip link delete "thb$tag"
    fi
    ;;
*)
    echo "cluster.sh does not know $command" >&2
    exit 2
    ;;
esac
