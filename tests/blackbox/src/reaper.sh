# Waits until its standard input is closed, which happens however its lab's process ends, then
# ends every process that has a thread in one of the lab's namespaces, and takes away all that
# carries the lab's name.
trap '' INT TERM HUP
prefix=$1
cat >/dev/null

for round in 1 2 3 4 5; do
    namespaces=$(stat -L -c 'net:[%i]' /run/netns/"$prefix"-* 2>/dev/null)
    [ -n "$namespaces" ] || break
    processes=$(stat -c '%N' /proc/[0-9]*/task/[0-9]*/ns/net 2>/dev/null |
        grep -F "$namespaces" | cut -d/ -f3 | sort -u)
    [ -n "$processes" ] || break
    kill -KILL $processes 2>/dev/null
    sleep 0.02
done
for namespace in /run/netns/"$prefix"-*; do
    [ -e "$namespace" ] && ip netns delete "$(basename "$namespace")"
done
rm -rf /etc/frr/"$prefix"-* /var/run/frr/"$prefix"-* /run/portcullis/"$prefix"*
exit 0
