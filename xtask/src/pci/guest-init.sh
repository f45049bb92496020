#!/bin/bash
# Sets the guest up, runs the checks that /guest/checks names, and powers off. /guest is a folder of the machine's; the
# results are there, a line "NAME EXIT-CODE" for each check.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
ln -s /proc/self/fd /dev/fd
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
for folder in /dev/shm /run /tmp; do
    mount -t tmpfs tmpfs $folder
done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/netns /run/lock
ulimit -c 0
hostname guest
ip link set lo up
modprobe -a tun vfio-pci

# host NAMESPACE MAC ADDRESS GATEWAY ADDRESS6 GATEWAY6: a host, with the device that has this MAC address.
host() {
    local device
    device=$(ip -brief link | awk -v mac="$2" '$3 == mac { print $1 }')
    ip netns add "$1"
    ip link set "$device" netns "$1" name e0
    ip -netns "$1" link set lo up
    ip -netns "$1" link set e0 up
    ip -netns "$1" address add "$3" dev e0
    ip -netns "$1" address add "$5" dev e0 nodad
    ip -netns "$1" route add default via "$4"
    ip -netns "$1" route add default via "$6"
}

host near 02:00:00:00:01:01 192.0.2.2/24 192.0.2.1 2001:db8:1::2/64 2001:db8:1::1
host far 02:00:00:00:02:01 10.0.0.2/24 10.0.0.1 2001:db8:2::2/64 2001:db8:2::1

# The log is written to memory, so that the gateway never waits for the machine.
touch /run/gateway.log
tail -n +1 -f /run/gateway.log > /guest/gateway.log &

mkdir /guest/logs
while read -r check; do
    timeout --kill-after=2 45 bash -x /guest/guest-test.sh "check_$check" \
        < /dev/null > "/guest/logs/$check.log" 2>&1
    code=$?
    echo "$check $code" >> /guest/results
    # Without a gateway there is nothing to see.
    if [ "$check" = start ] && [ $code != 0 ]; then
        break
    fi
done < /guest/checks

dmesg > /guest/dmesg.log
cp /run/gateway.log /guest/gateway.log
sync
busybox poweroff -f
