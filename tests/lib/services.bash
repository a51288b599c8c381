# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The services of a sandbox, for sandbox-init and for tests that stop, kill and start them again:
#     . tests/lib/services.bash
#     service_kill libvirtd        # SIGKILL, as a crash would
#     service_start libvirtd && service_wait libvirtd
# Names: libvirtd virtlogd journald. Each returns 0, or 1 when it did not work.

service_pid() { cat "/run/sandbox/$1.pid" 2>/dev/null; }

service_start() {
	case $1 in
	libvirtd)
		service_configure_libvirt
		service_spawn libvirtd /usr/sbin/libvirtd
		;;
	virtlogd)
		service_configure_libvirt
		service_spawn virtlogd /usr/sbin/virtlogd
		;;
	journald)
		mkdir -p /run/systemd/journald.conf.d /run/log/journal
		printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\nRateLimitBurst=0\n' \
			>/run/systemd/journald.conf.d/sandbox.conf
		service_spawn journald /lib/systemd/systemd-journald
		;;
	*) return 1 ;;
	esac
}

# Started by a child that ends at once, so that PID 1 owns it, as on a real machine, and no shell reports its end.
service_spawn() {
	local name=$1
	shift
	mkdir -p /var/log/libvirt
	(
		exec >"/var/log/libvirt/$name.out" 2>&1 </dev/null 3>&- 4>&- # bats waits for whoever holds its 3
		setsid -f bash -c 'echo $$ >"/run/sandbox/$1.pid"; shift; exec "$@"' - "$name" "$@"
	)
	local deadline=$((SECONDS + 10))
	until [ -s "/run/sandbox/$name.pid" ]; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.01
	done
}

# Waits until the service answers, 60 s at most.
service_wait() {
	local deadline=$((SECONDS + 60))
	until service_answers "$1"; do
		[ $SECONDS -lt $deadline ] && kill -0 "$(service_pid "$1")" 2>/dev/null || return 1
		sleep 0.05
	done
}

service_answers() {
	case $1 in
	libvirtd) [ -S /run/libvirt/libvirt-sock ] && virsh -q -c qemu:///system uri >/dev/null 2>&1 ;;
	virtlogd) [ -S /run/libvirt/virtlogd-sock ] ;;
	journald) [ -S /run/systemd/journal/socket ] && [ -S /run/systemd/journal/stdout ] ;;
	esac
}

service_end() {
	local name=$1 signal=$2 pid deadline=$((SECONDS + 20))
	pid=$(service_pid "$name") && kill "-$signal" "$pid" 2>/dev/null || return 1
	while kill -0 "$pid" 2>/dev/null; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.02
	done
	rm -f "/run/sandbox/$name.pid"
}

service_stop() { service_end "$1" TERM; }
service_kill() { service_end "$1" KILL; }

service_configure_libvirt() {
	[ -e /etc/libvirt/libvirtd.conf ] && return
	mkdir -p /etc/libvirt/qemu
	printf '%s\n' 'auth_unix_rw = "none"' 'auth_unix_ro = "none"' 'log_level = 3' \
		'log_outputs = "3:file:/var/log/libvirt/libvirtd.log"' >/etc/libvirt/libvirtd.conf
	printf '%s\n' 'log_level = 3' 'log_outputs = "3:file:/var/log/libvirt/virtlogd.log"' >/etc/libvirt/virtlogd.conf
	# No systemd here to make scopes, and no /dev of its own for each guest; everything else is Debian's default,
	# so guests run as libvirt-qemu.
	printf '%s\n' 'cgroup_controllers = []' 'namespaces = []' 'security_driver = "none"' >/etc/libvirt/qemu.conf
	printf '%s\n' 'uri_default = "qemu:///system"' >/etc/libvirt/libvirt.conf
}

# libvirt asks each emulator what it can do, which takes seconds, and keeps the answers; so do we between sandboxes.
service_prime_libvirt() {
	mkdir -p /var/cache/libvirt/qemu
	[ -d "$1" ] && cp -r "$1" /var/cache/libvirt/qemu/capabilities
	return 0
}

service_save_libvirt() {
	local new=$1.$RANDOM$RANDOM
	diff -rq /var/cache/libvirt/qemu/capabilities "$1" >/dev/null 2>&1 && return
	mkdir -p "${1%/*}" && cp -r /var/cache/libvirt/qemu/capabilities "$new" 2>/dev/null || return 0
	rm -rf "$1.old" && { mv "$1" "$1.old" 2>/dev/null || :; } && mv -T "$new" "$1" 2>/dev/null
	rm -rf "$1.old" "$new"
}

# A neighbour outside of the machine. NAT is proven by what it sees: /cgi-bin/peer prints the asker's address.
service_outside() {
	local www=/run/sandbox/outside
	ip netns add outside &&
		ip link add eth0 type veth peer name eth0 netns outside &&
		ip addr add 192.0.2.2/24 dev eth0 && ip addr add 2001:db8:2::2/64 dev eth0 nodad &&
		ip link set eth0 up &&
		ip -n outside link set lo up &&
		ip -n outside addr add 192.0.2.1/24 dev eth0 && ip -n outside addr add 2001:db8:2::1/64 dev eth0 nodad &&
		ip -n outside link set eth0 up &&
		ip route add default via 192.0.2.1 && ip -6 route add default via 2001:db8:2::1 dev eth0 || return 1
	mkdir -p $www/cgi-bin
	echo "hello from outside" >$www/hello
	cat >$www/cgi-bin/peer <<-'END'
		#!/bin/sh
		peer=${REMOTE_ADDR#[} peer=${peer%]}
		printf 'Content-Type: text/plain\r\n\r\n%s\n' "${peer#::ffff:}"
	END
	chmod 0755 $www/cgi-bin/peer
	echo 'nameserver 192.0.2.1' >/etc/resolv.conf
	setsid -f ip netns exec outside busybox httpd -f -p '[::]:80' -h $www >/dev/null 2>&1 </dev/null
	setsid -f ip netns exec outside dnsmasq --conf-file=/dev/null --keep-in-foreground --no-hosts --no-resolv \
		--bind-interfaces --interface=eth0 --except-interface=lo --pid-file= --user=root \
		--host-record=outside.test,192.0.2.1,2001:db8:2::1 >/dev/null 2>&1 </dev/null
}
