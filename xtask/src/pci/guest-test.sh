#!/bin/bash
# The checks, each a function: the first command that fails makes it fail. guest-init.sh calls them one by one, in the
# order of CHECKS in pci.rs; each finds the gateway as the one before left it.
set -euo pipefail

PROGRAM=/guest/portcullis
LOG=/run/gateway.log
PIDFILE=/run/gateway.pid
EXITFILE=/run/gateway.exit
HUGE=/sys/kernel/mm/hugepages/hugepages-2048kB
DEVICES=/sys/bus/pci/devices
WAN=0000:01:00.0
LAN=0000:02:00.0
# The gateway's file does not name it.
THIRD=0000:03:00.0
WAN_MAC=02:00:00:00:01:02

near() { ip netns exec near "$@"; }
far() { ip netns exec far "$@"; }
vpc() { ip netns exec vpc "$@"; }

# within SECONDS COMMAND...: repeats the command until it succeeds.
within() {
    local - end=$((SECONDS + $1))
    set +x
    shift
    until "$@"; do
        if [ $SECONDS -ge $end ]; then
            echo "not in time: $*"
            return 1
        fi
        sleep 0.2
    done
}

# fails COMMAND...: succeeds if the command does not.
fails() {
    if "$@"; then
        return 1
    fi
}

# shows INTERFACE TEXT: whether `show interfaces` has the text for the interface.
shows() {
    "$PROGRAM" show interfaces --json | grep -F "\"name\":\"$1\"" | grep -F "$2" > /dev/null
}

# From here on `logged` looks at new lines only.
mark() { seen=$(wc -l < $LOG); }
logged() { grep -E "$1" <(tail -n "+$((seen + 1))" $LOG) > /dev/null; }

is_bound() { [ "$(basename "$(readlink "$DEVICES/$1/driver")")" = vfio-pci ]; }
bind() {
    echo vfio-pci > "$DEVICES/$1/driver_override"
    if [ -e "$DEVICES/$1/driver" ]; then
        echo "$1" > "$DEVICES/$1/driver/unbind"
    fi
    echo "$1" > /sys/bus/pci/drivers_probe
    is_bound "$1"
}

# Whether a process has the device's group of vfio open.
is_open() {
    local group
    group=$(basename "$(readlink "$DEVICES/$1/iommu_group")")
    [ -n "$group" ] && [ -n "$(find /proc/[0-9]*/fd -lname "/dev/vfio/$group" 2> /dev/null || true)" ]
}

write_file() {
    cat > /root/gateway.toml <<EOF
[gateway]
name = "gw1"
workers = 1

[dpdk]
memory = 256

[[interface]]
name = "wan"
driver = "dpdk"
device = "$WAN"
addresses = ["192.0.2.1/24", "2001:db8:1::1/64"]

[[interface]]
name = "lan"
driver = "dpdk"
device = "${LAN#0000:}"
addresses = ["10.0.0.1/24", "2001:db8:2::1/64"]
EOF
}

# Runs the gateway, and leaves its exit code.
run_gateway() {
    local code=0
    "$PROGRAM" run -c /root/gateway.toml --log-level debug >> $LOG 2>&1 &
    echo $! > $PIDFILE
    wait $! || code=$?
    echo $code > $EXITFILE
}

ended() { [ -s $EXITFILE ]; }
ended_or_ready() { ended || logged 'INFO ready'; }
has_carrier() { shows wan '"carrier":true' && shows lan '"carrier":true'; }

# Starts it beside this check, which it outlives.
start() {
    mark
    rm -f $PIDFILE $EXITFILE
    setsid bash "$0" run_gateway < /dev/null > /dev/null 2>&1 &
    within 25 ended_or_ready
    fails ended
    within 10 has_carrier
}

stop() {
    kill -TERM "$(cat $PIDFILE)"
    within 5 ended
    [ "$(cat $EXITFILE)" = 0 ]
}

pings() { near ping -n -q -c 1 -W 1 10.0.0.2 > /dev/null; }
pings6() { near ping -6 -n -q -c 1 -W 1 2001:db8:2::2 > /dev/null; }

# Both hosts reach each other: soon, and then without loss.
passes() {
    within 10 pings
    within 10 pings6
    near ping -n -c 5 -i 0.2 -W 2 10.0.0.2 | grep -F ' 0% packet loss'
    near ping -6 -n -c 5 -i 0.2 -W 2 2001:db8:2::2 | grep -F ' 0% packet loss'
}

check_start() {
    write_file
    for device in $WAN $LAN $THIRD; do
        bind $device
    done
    start
    logged 'DPDK .* in huge pages'
    shows wan '"problem":null'
    shows lan '"problem":null'
}

check_ping() {
    passes
    far ping -n -c 5 -i 0.2 -W 2 192.0.2.2 | grep -F ' 0% packet loss'
}

is_served() { far ss --listening --tcp --numeric | grep -F ':5201' > /dev/null; }

# transfer OPTION...: more than 10 Mbit/s of TCP.
transfer() {
    far iperf3 --server --one-off --daemon
    within 5 is_served
    near iperf3 --client 10.0.0.2 --time 2 --format m "$@" > /tmp/iperf3
    cat /tmp/iperf3
    awk '/receiver/ && $7 > 10 { fast = 1 } END { exit !fast }' /tmp/iperf3
}

check_tcp() {
    transfer
    transfer --reverse
}

is_listening() { grep 'listening on' /tmp/tcpdump.err > /dev/null; }
# have_come COUNT PORT: whether so many frames to this UDP port are at the far side.
have_come() { [ "$(grep -c "\.$2: UDP" /tmp/tcpdump)" = "$1" ]; }

check_checksum() {
    local capture
    ip netns exec far tcpdump -n -l -i e0 udp > /tmp/tcpdump 2> /tmp/tcpdump.err &
    capture=$!
    trap "kill $capture 2> /dev/null || true" EXIT
    within 10 is_listening
    # First the wrong ones: when the right ones are there, those would be too.
    near python3 /guest/frames.py e0 "$(vpc cat /sys/class/net/wan/address)" 20
    within 5 have_come 20 5001
    kill $capture
    wait $capture || true
    have_come 20 5001
    have_come 0 5002
    "$PROGRAM" show drops --json | grep -F '"ip4-bad-checksum"' | grep -F '"packets":20,'
}

check_third() {
    # The others are, so this would be seen.
    is_open $WAN
    is_open $LAN
    is_bound $THIRD
    fails is_open $THIRD
}

check_rights() {
    "$PROGRAM" show threads --json | grep -F '"name":"pc-dpdk"' > /tmp/thread
    cat /tmp/thread
    grep -F '"cap_effective":["CAP_IPC_LOCK"]' /tmp/thread
    grep -F '"cap_permitted":["CAP_IPC_LOCK"]' /tmp/thread
    grep -F '"cap_inheritable":[]' /tmp/thread
    grep -F '"cap_ambient":[]' /tmp/thread
}

# Full frames to the near side.
large() { far ping -n -c 1 -W 1 -M do -s 1472 192.0.2.2 > /dev/null; }
large6() { far ping -6 -n -c 1 -W 1 -M do -s 1452 2001:db8:1::2 > /dev/null; }
is_too_big() { grep 'mtu \?= \?1400' <(far ping -n -c 1 -W 1 -M do -s 1472 192.0.2.2 2>&1); }
is_too_big6() { grep 'mtu \?= \?1400' <(far ping -6 -n -c 1 -W 1 -M do -s 1452 2001:db8:1::2 2>&1); }

check_mtu() {
    within 5 large
    vpc ip link set wan mtu 1400
    within 5 shows wan '"mtu":1400'
    within 10 is_too_big
    within 10 is_too_big6
    passes
    vpc ip link set wan mtu 1500
    within 5 shows wan '"mtu":1500'
    far ip route flush cache
    far ip -6 route flush cache
    within 10 large
    within 10 large6
}

has_mtu() { [ "$(vpc cat /sys/class/net/wan/mtu)" = "$1" ]; }

check_mtu_refused() {
    mark
    vpc ip link set wan mtu 4000
    within 5 logged 'takes an MTU from'
    within 5 has_mtu 1500
    shows wan '"mtu":1500'
    passes
}

check_down() {
    vpc ip link set wan down
    within 5 shows wan '"admin_up":false'
    fails pings
    vpc ip link set wan up
    within 10 has_carrier
    passes
}

# moves MAC: the interface gets this address, and is reached by it.
moves() {
    vpc ip link set wan address "$1"
    within 5 shows wan "\"mac\":\"$1\""
    near ip neighbor flush dev e0
    passes
    near ip neighbor show 192.0.2.1 | grep -F "$1"
    near ip neighbor show 2001:db8:1::1 | grep -F "$1"
}

check_address() {
    moves 02:aa:bb:cc:dd:01
    moves $WAN_MAC
}

is_away() { [ ! -e $DEVICES/$WAN ]; }

check_unplug() {
    local traffic
    ip netns exec near ping -n -q -i 0.02 10.0.0.2 > /dev/null &
    traffic=$!
    trap "kill $traffic" EXIT
    pings
    mark
    # This waits until the gateway lets go of it.
    echo 1 > $DEVICES/$WAN/remove &
    within 5 logged 'interface wan: its device is gone'
    within 5 is_away
    shows wan '"problem":"'
    shows lan '"problem":null'
    far ping -n -c 3 -i 0.2 -W 2 10.0.0.1 | grep -F ' 0% packet loss'
    far ping -6 -n -c 3 -i 0.2 -W 2 2001:db8:2::1 | grep -F ' 0% packet loss'
    fails ended
}

check_plug() {
    mark
    echo 1 > /sys/bus/pci/rescan
    bind $WAN
    within 10 logged 'interface wan: its device is there'
    within 10 has_carrier
    shows wan '"problem":null'
    passes
}

check_kill() {
    kill -KILL "$(cat $PIDFILE)"
    within 5 ended
    start
    passes
}

# Whether all huge pages are free.
are_free() { [ "$(cat $HUGE/free_hugepages)" = "$(cat $HUGE/nr_hugepages)" ]; }

check_end() {
    fails are_free
    stop
    within 1 are_free
    fails is_open $WAN
    fails is_open $LAN
}

check_ordinary_pages() {
    echo 0 > $HUGE/nr_hugepages
    start
    logged 'DPDK .* in ordinary pages'
    passes
    stop
}

"$1"
