#!/bin/sh
# Runs one agent, keeps its output, and writes down how it ended. Started by launcher.py in a session of its own;
# no process of the control plane is needed from then on.
#
#   launcher.sh RUN_DIR SEGMENT_BYTES TOOLS_PATH SETSID CGROUP_PROCS -- PROGRAM [ARGUMENT...]
#
# fd 0 is the agent's stdin, fd 1 the pipe that takes its output, fd 2 the other end of that pipe. The environment
# is the agent's, except that its marker is in SWARMYARD_LAUNCH: so /proc tells the launcher's side from the agent's.
# `exit` and `pid` exist already and are overwritten in place, which needs no new block on a full disk.

run=$1 segment=$2 tools=$3 setsid=$4 group=$5
shift 6

# Handlers rather than '': what is ignored here would be ignored in the agent too.
trap : HUP INT QUIT TERM

lost='[output was lost here: its file could not be written]'

# The output in files of $segment bytes, of which the last two are kept: out.1, out.2, ... Byte b of the output is
# in out.$((b / segment + 1)).
keep_output() {
    n=1
    while :; do
        size=0 told=
        # -o0: a line is in the file when it was printed, not 4096 bytes later.
        until stdbuf -o0 head -c "$((segment - size))" >>"$run/out.$n"; do
            # Most likely the disk is full. The agent shall not hang on that: what it prints for a second is lost.
            timeout 1 cat
            case $? in
                0) return ;;
                124) ;;
                *) sleep 1 ;;
            esac
            measure
            [ "$told" ] || [ "$((segment - size))" -lt 100 ] || printf '\n%s\n' "$lost" >>"$run/out.$n" && told=1
            measure
        done
        measure
        [ "$size" -ge "$segment" ] || return
        rm -f "$run/out.$((n - 1))"
        n=$((n + 1))
    done
}

measure() {
    size=$(wc -c <"$run/out.$n") || size=0
}

# Ends when nobody has the pipe open any more, which may be later than the agent.
(
    trap '' HUP INT QUIT TERM
    exec <&2 >/dev/null 2>/dev/null
    unset LD_PRELOAD LD_LIBRARY_PATH
    PATH=$tools
    cd / && keep_output
) &

exec 2>/dev/null

write_pid() {
    read -r stat </proc/self/stat
    # shellcheck disable=SC2086 # it is split on purpose: the first field is the pid, the 22nd the start in ticks
    set -- $stat
    printf '%-40s\n' "$1 ${22}" 1<>"$run/pid"
}

join_group() {
    [ -z "$group" ] || echo 0 >"$group" || {
        echo "swarmyard: the agent's memory limit could not be set ($group), so it was not started"
        exit 126
    }
}

# In the foreground: a shell starts what it runs in the background with SIGINT and SIGQUIT ignored.
(
    write_pid
    exec 2>&1
    join_group
    SWARMYARD_RUN=$SWARMYARD_LAUNCH
    export SWARMYARD_RUN
    unset SWARMYARD_LAUNCH
    exec "$setsid" -- "$@"
)
printf '%-16s\n' "$?" 1<>"$run/exit"
