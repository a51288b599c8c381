#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The units on a machine that runs systemd: a container booted from an overlay of /, with Debian's own libvirtd, dbus and
# journald. make install, systemctl start, guests that survive restarts of every unit, privileges, the journal and its
# catalog, an orderly shutdown, and a second boot.
# Sandbox:

load lib

setup_file() {
	machine=/run/sandbox/machine
	mkdir -p $machine/upper $machine/work $machine/root
	mount -t overlay -o lowerdir=/,upperdir=$machine/upper,workdir=$machine/work machine $machine/root
	root=$machine/root
	rm -f $root/etc/machine-id
	echo 5fd00000000040008000000000000002 >$root/etc/machine-id
	echo vm >$root/etc/hostname
	rm -rf $root/var/lib/libvirt/* $root/var/cache/libvirt/qemu/* $root/etc/libvirt/qemu/networks/autostart \
		$root/etc/libvirt/qemu/*.xml $root/var/log/journal/*
	mkdir -p $root/etc/sfd $root/var/cache/libvirt/qemu
	printf 'virt-type = qemu\nimage-allow-loopback = true\n' >$root/etc/sfd/sfd.conf
	printf 'ON_SHUTDOWN=shutdown\nSHUTDOWN_TIMEOUT=60\n' >$root/etc/default/libvirt-guests
	# What a workstation may run besides, and what waits for networks, is not part of this.
	for unit in NetworkManager systemd-networkd-wait-online NetworkManager-wait-online ssh docker containerd cron; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit.service"
	done
	make -s -C "$TOP" BUILD="$BUILD" DESTDIR=$root install >&2
	cp "$TOP/build/guest/guest.qcow2" $root/srv/guest.qcow2
	boot
}

teardown_file() {
	if [ -n "${E2E_LOGS:-}" ]; then
		mkdir -p "$E2E_LOGS"
		inside journalctl --no-pager -o short-monotonic >"$E2E_LOGS/journal" 2>&1 || :
		cp /run/sandbox/boot.log "$E2E_LOGS/" || :
	fi
	kill -KILL "$(cat /run/sandbox/nspawn.pid)" || :
}

# The first process of the container, the only child of nspawn.
leader() { pgrep -P "$(cat /run/sandbox/nspawn.pid)" | head -n 1; }
inside() { nsenter -t "$(leader)" -a -- "$@"; }
booted() { inside systemctl is-system-running | grep -qE '^(running|degraded)'; }

boot() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 setsid -f bash -c 'echo $$ >/run/sandbox/nspawn.pid; exec "$@"' - \
		systemd-nspawn -q -D /run/sandbox/machine/root --boot --register=no --keep-unit --private-network \
		--machine=vm --capability=all --bind=/dev/net/tun --console=pipe systemd.unit=multi-user.target \
		>>/run/sandbox/boot.log 2>&1 </dev/null 3>&- 4>&-
	wait_for 60 booted
	inside systemd-run -q --unit=images busybox httpd -f -p 127.0.0.1:8099 -h /srv
}

pid_of() { inside systemctl show -P MainPID "$1"; }
guest() { inside sfctl get instance hello -o "jsonpath={$1}"; }
qemu() { inside cat /run/libvirt/qemu/default.hello.pid; }
answers() {
	inside ip netns exec "sf-$(inside sfctl get network hello -o 'jsonpath={.status.vni}')" \
		curl -fsS --max-time 5 "http://$(guest '.status.interfaces[0].addresses[0]')/facts"
}
caps() { # caps PID: the names of its effective capabilities, one a line
	inside sh -c "capsh --decode=\$(sed -n 's/^CapEff:[ \t]*//p' /proc/$1/status)" 2>/dev/null | sed 's/.*=//' | tr , '\n'
}

@test "make install, then the steps it names, and sfd is ready" {
	inside systemd-sysusers
	inside systemd-tmpfiles --create
	inside journalctl --update-catalog
	inside systemctl daemon-reload
	inside systemctl enable --now sfd.socket sfd.service libvirt-guests.service
	same state active "$(inside systemctl is-active sfd)"
	same state active "$(inside systemctl is-active sfd-net)"
	wait_for 60 inside sfctl wait node vm --timeout=1s
	has "$(inside systemctl show -P StatusText sfd)" '.'
	run inside systemd-analyze verify --man=no sfd.service sfd-net.service sfd.socket
	not grep -E 'sfd[a-z-]*\.(service|socket):.*(Unknown|ignoring|[Ff]ailed)' <<<"$output"
	inside getent group sfd
	has "$(inside stat -c %U:%G:%a /run/sfd/sfd.sock)" 'root:sfd:660'
}

@test "sfd --check says this host is ready" {
	run inside sfd --check
	same "exit code" 0 "$status"
}

@test "hello runs under the units" {
	cp -r "$TOP/manifests/examples/hello" /run/sandbox/machine/root/srv/
	inside sfctl apply -f /srv/hello
	inside sfctl wait instance hello --for=condition=AddressReady --timeout=120s
	wait_for 30 answers
}

@test "each role has the privileges of its row, and no more" {
	has "$(inside cat "/proc/$(pid_of sfd)/status")" 'NoNewPrivs:.*1'
	for pid in $(pid_of sfd); do
		eff=$(inside sed -n 's/^CapEff:[ \t]*//p' "/proc/$pid/status")
		# CAP_NET_ADMIN 12, CAP_SYS_ADMIN 21, CAP_SYS_PTRACE 19, CAP_SYS_MODULE 16, CAP_NET_RAW 13
		same "forbidden capabilities of sfd" 0 $((0x$eff & ((1 << 12) | (1 << 13) | (1 << 16) | (1 << 19) | (1 << 21))))
	done
	eff=$(inside sed -n 's/^CapEff:[ \t]*//p' "/proc/$(pid_of sfd-net)/status")
	same "CAP_NET_ADMIN of the net role" $((1 << 12)) $((0x$eff & (1 << 12)))
	same "CAP_SYS_MODULE of the net role" 0 $((0x$eff & (1 << 16)))
	same "mount namespace of the net role" "$(inside readlink /proc/1/ns/mnt)" "$(inside readlink "/proc/$(pid_of sfd-net)/ns/mnt")"
}

@test "journalctl SF_NAME= tells the story, journalctl -x explains it" {
	inside journalctl --sync
	run inside journalctl --no-pager -x SF_NAME=hello SF_KIND=Instance
	has "$output" 'the guest was started'
	has "$output" 'Instance default/hello was started'
	has "$output" 'Defined-By: Shaken Fist'
}

@test "the guest survives restarts of every unit" {
	pid=$(qemu)
	for unit in sfd.service sfd-net.service libvirtd.service virtlogd.service sfd.socket; do
		inside systemctl restart $unit
		wait_for 30 inside sfctl get instances
		wait_for 30 answers
		same "qemu after restart of $unit" "$pid" "$(qemu)"
	done
	inside systemctl reload sfd
	wait_for 10 inside sfctl get instances
	wait_for 60 eval '[ "$(guest .status.printableStatus)" = Running ]'
	same restarts 0 "$(guest .status.restarts | grep . || echo 0)"
}

@test "kill -9 and a hang: systemd starts each again, the guest does not notice" {
	pid=$(qemu)
	for unit in sfd sfd-net; do
		old=$(pid_of $unit)
		kill -KILL "$(pgrep -f "$(inside tr '\0' ' ' <"/proc/$(leader)/root/proc/$old/cmdline" | sed 's/ $//')" | head -n 1)"
		wait_for 30 eval '[ "$(pid_of '"$unit"')" != 0 ] && [ "$(pid_of '"$unit"')" != '"$old"' ]'
		wait_for 30 inside sfctl get instances
		wait_for 30 answers
	done
	same qemu "$pid" "$(qemu)"
}

@test "dnsmasq lives in its own cgroup's sight of sfd-net and outlives a stop of it" {
	before=$(inside pgrep dnsmasq)
	inside systemctl stop sfd-net
	same dnsmasq "$before" "$(inside pgrep dnsmasq)"
	inside systemctl start sfd-net
	same dnsmasq "$before" "$(inside pgrep dnsmasq)"
	wait_for 30 answers
}

@test "orderly shutdown: the guest is asked, not killed, and sfd starts nothing meanwhile" {
	disk=$(find /run/sandbox/machine/root/var/lib/sfd/instances -name console.log)
	inside systemctl poweroff
	wait_for 120 not kill -0 "$(cat /run/sandbox/nspawn.pid)"
	grep -a 'SF-EVENT power-button' "$disk"
	not grep -aE 'sfd.*(Starting|Restarted|Started: the guest)' <(tail -n 50 /run/sandbox/boot.log)
}

@test "the next boot brings the guest back, with its address" {
	boot
	wait_for 120 eval '[ "$(guest .status.printableStatus)" = Running ]'
	wait_for 120 answers
	same address 10.20.0.10 "$(guest '.status.interfaces[0].addresses[0]')"
}

@test "delete under the units leaves nothing; uninstall removes what install put there" {
	inside sfctl delete -f /srv/hello --timeout=120s
	same domains "" "$(inside virsh -q list --all --name | grep . || :)"
	inside systemctl disable --now sfd.service sfd.socket sfd-net.service
	make -s -C "$TOP" BUILD="$BUILD" DESTDIR=/run/sandbox/machine/root uninstall
	same files "" "$(find /run/sandbox/machine/root/usr/local -name '*sfd*' -o -name 'sfctl*' | grep -v '/share/man$' || :)"
}
