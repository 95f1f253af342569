# Ends the server of the cluster in $1 and removes $1, once standard input ends.
#
# Its owner holds the other end of that pipe and never writes: the kernel closes it when the owner ends,
# however it ends. An argument is the only input; it is absolute and names a directory of the owner's.
trap '' HUP INT TERM
read -r _

pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
case $pid in '' | *[!0-9]*) pid= ;; esac

# Whether $pid is a server on this very directory: its number may have gone to another process. The
# arguments are asked because everybody may read them; a link to the working directory would not tell a
# root that lacks CAP_SYS_PTRACE, as in a container.
serves() {
    [ -n "$pid" ] || return 1
    if [ -r /proc/self/cmdline ]; then
        tr '\0' '\n' <"/proc/$pid/cmdline" | grep -Fqx -- "$1/data"
    else
        ps -o command= -p "$pid" | grep -Fq -- "$1/data"
    fi
} 2>/dev/null

# QUIT: an immediate shutdown, which takes the backends along and never waits for a client. The server
# kills a hung one after 5 s, so it gets more time than that.
for signal in QUIT KILL; do
    serves "$1" && kill -s "$signal" "$pid"
    left=80
    while [ "$left" -gt 0 ] && serves "$1"; do
        sleep 0.1
        left=$((left - 1))
    done
done

# Backends that outlived a killed server may still be writing for a moment.
left=20
while [ -e "$1" ] && [ "$left" -gt 0 ]; do
    rm -rf -- "$1" && break
    sleep 0.1
    left=$((left - 1))
done
