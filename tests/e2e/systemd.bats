#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The units under a real systemd, in a machine that boots, shuts down and boots again: make install and what it tells to
# do, socket activation, readiness, status, watchdog, reload, privileges, who may use the socket; restarts and crashes of
# every unit with a guest that does not notice; an orderly shutdown of the host. The tests build on each other.
# Sandbox: --libvirtd

load lib
load nspawn

setup_file() {
	# The sandbox's own libvirt only fills the cache of what the emulators can do.
	service_stop libvirtd
	machine_make
	machine_boot
}
teardown_file() {
	machine_tools
	if [ -n "${E2E_LOGS:-}" ] && ! machine_is_off; then
		rm -rf "$E2E_LOGS"
		mkdir -p "$E2E_LOGS"
		sfctl get all,events -A -o wide >"$E2E_LOGS/objects" 2>&1
		journalctl -o short-monotonic >"$E2E_LOGS/journal" 2>&1
		cp -r $MACHINE_ROOT/var/log/libvirt/qemu "$E2E_LOGS/qemu" 2>/dev/null
	fi
	machine_is_off || machine_poweroff
}
setup() { machine_tools; }

unit_pid() { systemctl show -P MainPID "$1"; }
unit_prop() { systemctl show -P "$2" "$1"; }
unit_active() { systemctl is-active --quiet "$1"; }
ready() { curl -fsS --unix-socket /run/sfd/sfd.sock http://localhost/readyz; }
machine_qemu() { inside cat /run/libvirt/qemu/default.web.pid; }
# Those that serve: libvirtd asks one for its version when it starts.
machine_dnsmasq() { pgrep -x -f '[^ ]*dnsmasq --conf-file=[^ ]*'; }

# The names of a process's capabilities, for: capabilities PID Eff|Prm|Bnd
capabilities() {
	local bits
	bits=$(inside sed -n "s/^Cap$2:\t//p" "/proc/$1/status")
	capsh --decode="$bits" | sed 's/^[^=]*=//' | tr , '\n' | sort | paste -sd ' '
}

remember() { qemu=$(machine_qemu) dnsmasq=$(machine_dnsmasq) started=$(unit_prop "$1" InvocationID); }
restarted() { [ "$(unit_prop "$1" InvocationID)" != "$started" ] && unit_active "$1"; }
untouched() {
	same qemu "$qemu" "$(machine_qemu)"
	same dnsmasq "$dnsmasq" "$(machine_dnsmasq)"
	inside kill -0 "$qemu"
	same boots 1 "$(boots web)"
	wait_for 20 guest_run web true
	ping_unbroken
}

# Both look at the machine from outside, when it is off. The guest was asked, once, and went.
was_shut_down() {
	same boots 1 "$(tr -d '\r' <"$1" | grep -c '^SF-FACT boot ')" &&
		has "$(tail -n 3 "$1" | tr -d '\r')" 'SF-EVENT power-button'
}
shutdown_story() {
	local journal=$MACHINE_ROOT/var/log/journal
	command journalctl -D "$journal" -o short-monotonic --grep 'default/|libvirt-guests|Stopp|qemu' | tail -n 30 >&2
	grep -aE 'SF-FACT (boot|ready|seed)|SF-EVENT|[Pp]anic|Power' "$1" >&2
	return 1
}

# The guest pings a neighbour outside, by NAT, all the time; unbroken = it has had an answer to every single one since
# it began, and goes on.
outside_make() {
	inside sh -ec 'ip netns add outside
		ip link add eth0 type veth peer name eth0 netns outside
		ip addr add 192.0.2.2/24 dev eth0; ip link set eth0 up; ip route add default via 192.0.2.1
		ip -n outside link set lo up; ip -n outside addr add 192.0.2.1/24 dev eth0; ip -n outside link set eth0 up'
}
ping_start() { guest_run web 'ping -i 0.1 192.0.2.1 >/run/ping.log 2>&1 & echo started'; }
ping_answers() { guest_run web 'sed -n "s/.* seq=\([0-9]*\) .*/\1/p" /run/ping.log'; }
ping_goes_on() { [ "$(ping_answers | tail -n 1)" -gt "$1" ]; }
ping_unbroken() {
	local answers last
	answers=$(ping_answers)
	last=$(tail -n 1 <<<"$answers")
	wait_for 10 ping_goes_on "$last"
	same "answers to $last pings" "$(seq 0 "$last")" "$answers"
	echo "$last pings answered, 0 lost" >&2
}

@test "make install into DESTDIR: binaries, units, man pages, catalog; uninstall takes all of it away" {
	destdir=$BATS_FILE_TMPDIR/destdir
	make -s -C "$TOP" -o all install DESTDIR="$destdir" PREFIX=/usr BUILD="$BUILD"
	got=$(cd "$destdir" && find . -type f | sort)
	for file in bin/sfctl sbin/sfd lib/systemd/system/{sfd.service,sfd.socket,sfd-net.service} lib/sysusers.d/sfd.conf \
		lib/tmpfiles.d/sfd.conf lib/systemd/catalog/sfd.catalog share/man/man8/sfd.8 share/man/man1/sfctl.1 \
		share/bash-completion/completions/sfctl; do
		has "$got" "^\./usr/$file$"
	done
	not grep -rq '@SBINDIR@' "$destdir/usr/lib"
	make -s -C "$TOP" uninstall DESTDIR="$destdir" PREFIX=/usr BUILD="$BUILD"
	same left "" "$(find "$destdir" -type f)"
}

@test "make install, and the steps it tells: everything starts" {
	told=$(inside make -s -C "$TOP" -o all install PREFIX=/usr BUILD="$BUILD")
	mkdir -p $MACHINE_ROOT/etc/sfd
	printf 'virt-type = qemu\nimage-allow-loopback = true\n' >$MACHINE_ROOT/etc/sfd/sfd.conf
	steps=$(sed -n 's/^  //p' <<<"$told")
	has "$steps" 'systemd-sysusers'
	has "$steps" 'daemon-reload'
	inside sh -ec "cd /; $steps"
	for unit in sfd.service sfd.socket sfd-net.service; do
		unit_active $unit
		same $unit enabled "$(systemctl is-enabled $unit)"
	done
	inside man -w sfd
	inside man -w sfctl
	sfctl version
	same socket root:sfd:666 "$(inside stat -c %U:%G:%a /run/sfd/sfd.sock)"
	inside sfd --check
}

@test "the units pass systemd-analyze" {
	inside systemd-analyze verify --man=yes /usr/lib/systemd/system/sfd{.service,-net.service,.socket}
	inside systemd-analyze security --offline=true --threshold=25 /usr/lib/systemd/system/sfd.service
	inside systemd-analyze security --offline=true --threshold=52 /usr/lib/systemd/system/sfd-net.service
}

@test "a guest runs" {
	inside sh -c "cd /; mkdir /run/www; ln -s '$TOP/build/guest/guest.qcow2' /run/www; exec systemd-run --quiet \
		--unit=www busybox httpd -f -p 127.0.0.1:8099 -h /run/www"
	image guest
	network front 10.20.0.0/24
	instance web front
	guest_up web
	outside_make
	# sfd hears of the new uplink by itself.
	wait_for 20 guest_run web 'ping -c 1 -W 1 192.0.2.1'
	ping_start
	wait_for 10 ping_goes_on 5
}

@test "STATUS says how things are; reload keeps it" {
	wait_for 10 eval 'has "$(systemctl status sfd)" "Status: \"1 of 1 instances running, 1 of 1 networks"'
	has "$(systemctl status sfd-net)" 'Status: "networks are watched"'
	sfd=$(unit_pid sfd) net=$(unit_pid sfd-net)
	systemctl reload sfd sfd-net
	has "$(systemctl status sfd)" 'Status: "1 of 1 instances running'
	same "pid of sfd" "$sfd" "$(unit_pid sfd)"
	same "pid of sfd-net" "$net" "$(unit_pid sfd-net)"
	ping_unbroken
}

@test "each unit has the capabilities of its role and no others" {
	sfd=$(unit_pid sfd) net=$(unit_pid sfd-net)
	for set in Eff Prm Bnd; do
		same "sfd $set" "cap_chown cap_dac_override cap_fowner cap_kill" "$(capabilities "$sfd" $set)"
		same "sfd-net $set" "cap_kill cap_net_admin cap_net_bind_service cap_net_broadcast cap_net_raw cap_setgid \
cap_setuid cap_sys_admin cap_sys_ptrace" "$(capabilities "$net" $set)"
	done
	for pid in "$sfd" "$net"; do
		for set in Inh Amb; do same "$set of $pid" "" "$(capabilities "$pid" $set)"; done
		same "no new privileges" 1 "$(inside sed -n 's/^NoNewPrivs:\t//p' "/proc/$pid/status")"
	done
	# What the net role mounts must be everybody's: a namespace that is its own dies with it.
	same "mount namespace" "$(inside readlink /proc/1/ns/mnt)" "$(inside readlink "/proc/$net/ns/mnt")"
	# dnsmasq leaves root.
	not has "$(inside stat -c %U "/proc/$(machine_dnsmasq)")" root 2>/dev/null
}

@test "the group sfd may use the socket; others are told how to" {
	inside useradd --no-create-home --groups sfd member
	inside useradd --no-create-home stranger
	inside_as member sfctl get nodes
	run inside_as stranger sfctl get nodes
	[ "$status" -ne 0 ]
	has "$output" 'group sfd|adduser|usermod'
}

@test "restarts of each unit: the guest and its dnsmasq do not notice" {
	for unit in sfd sfd-net libvirtd sfd.socket; do
		remember $unit
		systemctl restart $unit
		restarted $unit
		wait_for 10 ready
		untouched
	done
	# virtlogd holds the ends of the guests' consoles: it is reloaded, never restarted.
	systemctl reload virtlogd
	untouched
	wait_for 30 condition_has node machine Ready status True
	wait_for 20 status_is web Running
}

@test "guests and networks outlive a stop of each unit" {
	for unit in sfd-net sfd libvirtd; do
		remember $unit
		systemctl stop $unit
		same dnsmasq "$dnsmasq" "$(machine_dnsmasq)"
		inside kill -0 "$qemu"
		systemctl start $unit
		restarted $unit
		wait_for 10 ready
		untouched
	done
}

@test "kill -9 of each unit: it comes back, the guest and its dnsmasq do not notice" {
	for unit in sfd sfd-net libvirtd; do
		remember $unit
		systemctl kill --kill-who=main --signal=KILL $unit
		wait_for 10 restarted $unit
		wait_for 10 ready
		untouched
	done
	wait_for 30 condition_has node machine Ready status True
	wait_for 20 status_is web Running
	network later 10.40.0.0/24
	sfctl wait network later --timeout=30s
	sfctl delete network later
}

@test "socket activation: the first client starts sfd, and clients wait while it restarts" {
	systemctl stop sfd
	unit_active sfd.socket
	not unit_active sfd
	sfctl get nodes
	unit_active sfd
	# While sfd is away nobody is refused.
	systemctl restart sfd &
	for _ in 1 2 3 4 5 6 7 8; do sfctl get nodes; done
	wait
}

@test "one line of configuration opens the API over TLS, beside the socket of systemd" {
	remember sfd.service
	printf 'listen = tls:127.0.0.1:6443\n' >>$MACHINE_ROOT/etc/sfd/sfd.conf
	systemctl restart sfd.service
	wait_for 30 inside sh -c 'sfctl kubeconfig --server https://127.0.0.1:6443 >/root/config'
	has "$(inside sfctl --kubeconfig /root/config get instances)" '^web +Running'
	same "modes" '700 600' "$(inside stat -c %a /var/lib/sfd/pki /var/lib/sfd/pki/ca.key | xargs)"
	same "listeners of the socket" /run/sfd/sfd.sock "$(unit_prop sfd.socket Listen | sed 's/ .*//')"
	untouched
}

@test "a wrong line of configuration fails each unit once, and is not tried again for ever" {
	remember sfd
	conf=$MACHINE_ROOT/etc/sfd/sfd.conf
	cp "$conf" "$BATS_FILE_TMPDIR/sfd.conf"
	echo 'lisen = tcp:127.0.0.1:8080' >>"$conf"
	for unit in sfd-net sfd; do
		not systemctl restart $unit
		wait_for 20 systemctl is-failed --quiet $unit
		same "exit status of $unit" 78 "$(unit_prop $unit ExecMainStatus)"
	done
	cp "$BATS_FILE_TMPDIR/sfd.conf" "$conf"
	systemctl start sfd-net sfd
	wait_for 20 ready
	untouched
}

@test "the watchdog is petted, and ends a role that hangs" {
	for unit in sfd sfd-net; do
		inside mkdir -p /run/systemd/system/$unit.service.d
		printf '[Service]\nWatchdogSec=3\n' | inside tee /run/systemd/system/$unit.service.d/watchdog.conf >/dev/null
	done
	systemctl daemon-reload
	systemctl restart sfd-net sfd
	for unit in sfd sfd-net; do
		remember $unit
		seen=$(unit_prop $unit WatchdogTimestampMonotonic)
		wait_for 15 eval '[ "$(unit_prop '$unit' WatchdogTimestampMonotonic)" -gt '$((seen + 1500000))' ]'
		not restarted $unit
		inside kill -STOP "$(unit_pid $unit)"
		wait_for 20 restarted $unit
	done
	inside rm -r /run/systemd/system/sfd.service.d /run/systemd/system/sfd-net.service.d
	systemctl daemon-reload
	systemctl restart sfd-net sfd
	remember sfd
	untouched
}

@test "the journal has the story of an object, with explanations" {
	story=$(journalctl SF_KIND=Instance SF_NAME=web)
	has "$story" 'sfd\[[0-9]+\]: Instance default/web: Started'
	has "$(journalctl -x SF_NAME=web)" 'Subject: Instance default/web was started'
	same "unit" sfd.service "$(journalctl SF_NAME=web -o json --output-fields=_SYSTEMD_UNIT | jq -r ._SYSTEMD_UNIT | sort -u)"
}

@test "shutdown of the host: guests are shut down in order, none is started meanwhile" {
	# One of each way to run that a boot tells apart.
	instance rerun front '' 'runStrategy: RerunOnFailure'
	instance manual front '' 'runStrategy: Manual'
	sfctl start manual
	instance once front '' 'runStrategy: Once'
	guests_up rerun manual once
	machine_poweroff
	for log in "$MACHINE_ROOT"/var/lib/sfd/instances/*/console.log; do
		was_shut_down "$log" || shutdown_story "$log"
	done
}

@test "the next boot: sfd starts the guests again, and the journal tells of the shutdown" {
	machine_boot
	wait_for 20 ready
	wait_for "$BOOT" eval '[ "$(boots web)" = 2 ]'
	wait_for 20 status_is web Running
	guest_up web
	wait_for "$BOOT" guest_run web true
	# Asked by the host, none has ended by itself: those that are to run again do, those that run once or by hand do not.
	wait_for "$BOOT" eval '[ "$(boots rerun)" = 2 ]'
	wait_for 20 status_is rerun Running
	for name in manual once; do
		not domain_runs $name
		same "boots of $name" 1 "$(boots $name)"
	done
	reasons=$(journalctl -b -o json SF_NAME=web | jq -r .SF_REASON | paste -sd ' ')
	has "$reasons" '^EndedUnseen Restarted'
	before=$(journalctl -b -1 -o short-unix)
	stopping=$(sed -n 's/^\([0-9.]*\).*Stopping sfd.service.*/\1/p' <<<"$before" | tail -n 1)
	[ -n "$stopping" ]
	same "started meanwhile" "" "$(awk -v t="$stopping" '$1 > t && /sfd\[.*: (Re)?[Ss]tarted/' <<<"$before")"
	has "$(grep libvirt-guests <<<"$before")" 'default.web'
	not has "$before" "Can't connect to default" 2>/dev/null
	same "failed units" "" "$(systemctl --failed --quiet --plain --no-legend)"
}

@test "everything is deleted, nothing is left; uninstall leaves state and configuration" {
	sfctl delete instance,network,image --all --timeout=60s
	wait_for 20 eval '[ -z "$(ip netns list; virsh -q list --all --name | grep .; pgrep -x dnsmasq)" ]'
	systemctl disable --quiet --now sfd sfd.socket sfd-net
	inside make -s -C "$TOP" uninstall PREFIX=/usr BUILD="$BUILD"
	for file in usr/sbin/sfd usr/bin/sfctl usr/lib/systemd/system/sfd.service; do [ ! -e $MACHINE_ROOT/$file ]; done
	[ -e $MACHINE_ROOT/etc/sfd/sfd.conf ]
	[ -d $MACHINE_ROOT/var/lib/sfd/store ]
}

@test "installed for good, word by word as the README says" {
	steps=$(sed -n '/^To install for good/,/^##/s/^    sudo \([^#]*\).*/\1/p' "$TOP/README.md" | sed 's/&& sudo /\&\& /g')
	has "$steps" '^hack/setup .* && make && make install$'
	steps=$(sed "s|^hack/setup .*|make -s -C '$TOP' -o all install BUILD='$BUILD'|" <<<"$steps")
	inside groupdel sfd
	inside sh -ec "cd /; PATH=/usr/local/sbin:/usr/local/bin:\$PATH; $steps" >&2
	for unit in sfd.service sfd.socket sfd-net.service; do
		unit_active $unit
		same $unit enabled "$(systemctl is-enabled $unit)"
	done
	same "group of the socket" sfd "$(inside stat -c %G /run/sfd/sfd.sock)"
	inside /usr/local/bin/sfctl get nodes
	# The program and its units are those of /usr/local, and the catalog is known.
	has "$(inside readlink "/proc/$(unit_pid sfd)/exe")" '^/usr/local/sbin/sfd$'
	has "$(inside journalctl --list-catalog)" 'Shaken Fist|shakenfist|sfd'
}
