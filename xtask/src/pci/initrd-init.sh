#!/bin/busybox sh
# The first program in the guest, from the initrd: the guest's root is the machine's own, read over 9p and never
# written to, with a file system in memory on top.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

give_up() {
    echo "the guest's root can't be had"
    poweroff -f
}

while read -r module; do
    insmod "/modules/$module" || give_up
done < /modules/order

plan9=trans=virtio,version=9p2000.L,msize=262144
mkdir /lower /upper /new
mount -t 9p -o $plan9,cache=loose,ro root /lower || give_up
mount -t tmpfs -o size=1G upper /upper || give_up
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /new || give_up
mkdir -p /new/kernel /new/guest /new/usr/lib/modules /new/root
mount -t 9p -o $plan9,cache=loose,ro kernel /new/kernel || give_up
mount -t 9p -o $plan9,cache=none guest /new/guest || give_up
mount -o bind /new/kernel/lib/modules /new/usr/lib/modules || give_up
umount /proc /sys
exec switch_root /new /bin/bash /guest/guest-init.sh
