# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A machine of its own with a real systemd, for the tests of the units: systemd-nspawn over an overlay of / inside of
# the sandbox, so that it ends with the sandbox and leaves nothing. What it changes stays from boot to boot until then.
#     machine_make; machine_boot; inside systemctl status; machine_poweroff; machine_boot
# machine_tools makes the tools that lib.bash uses run inside.

MACHINE=/run/sandbox/machine
MACHINE_ROOT=$MACHINE/root
MACHINE_BOOT=60 # seconds until its start or stop must be over

machine_make() {
	mkdir -p $MACHINE/upper $MACHINE/work $MACHINE_ROOT
	mount -t overlay -o "lowerdir=/,upperdir=$MACHINE/upper,workdir=$MACHINE/work" machine $MACHINE_ROOT || return
	(
		cd $MACHINE_ROOT || exit
		# What the host may have of libvirt and of us is not this machine's; nor are services that have no part in it.
		rm -rf etc/sfd var/lib/sfd var/lib/libvirt/qemu var/lib/libvirt/dnsmasq etc/libvirt/qemu/* var/log/journal/*
		find etc/systemd/system -path '*.wants/*' ! -name '*virt*' -type l -exec rm -f {} +
		rm -f etc/machine-id usr/sbin/policy-rc.d etc/resolv.conf
		echo 5fd00000000040008000000000000002 >etc/machine-id
		echo machine >etc/hostname
		printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 machine\n' >etc/hosts
		: >etc/resolv.conf
		# A sanitized build: confined as the units are, LeakSanitizer cannot look, and makes of every exit status 1.
		mkdir -p etc/systemd/system.conf.d
		printf '[Manager]\nDefaultEnvironment=ASAN_OPTIONS=detect_leaks=0\n' >etc/systemd/system.conf.d/sanitizer.conf
		mkdir -p var/log/journal var/lib/libvirt/qemu etc/libvirt/qemu var/cache/libvirt/qemu
		# libvirt asks each emulator what it can do, which takes seconds; the sandbox has the answers.
		[ ! -d "$TOP/build/sandbox/capabilities" ] ||
			cp -r "$TOP/build/sandbox/capabilities" var/cache/libvirt/qemu/capabilities
	)
}

machine_boot() {
	(
		exec 3>&- 4>&-
		setsid -f systemd-nspawn --quiet --register=no --keep-unit --boot --console=pipe --private-network \
			--link-journal=no --resolv-conf=off --timezone=off --hostname=machine -D $MACHINE_ROOT \
			--bind-ro="$TOP" --bind-ro="$BUILD" systemd.unit=multi-user.target \
			</dev/null >>$MACHINE/console 2>&1
	)
	wait_for $MACHINE_BOOT machine_is_up && return
	tail -n 40 $MACHINE/console >&2
	return 1
}

# nspawn has one child: PID 1 of the machine. Not remembered, for it is another one after each boot.
machine_leader() { command pgrep -P "$(command pgrep -x systemd-nspawn | head -n 1)" 2>/dev/null; }
machine_is_up() {
	[ -n "$(machine_leader)" ] &&
		[[ $(inside systemctl is-system-running 2>/dev/null) =~ ^(running|degraded)$ ]]
}
machine_is_off() { ! command pgrep -x systemd-nspawn; }

inside() {
	nsenter --target "$(machine_leader)" --mount --uts --ipc --net --pid --cgroup --root --wd=/ -- \
		env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 SYSTEMD_COLORS=0 SYSTEMD_PAGER=cat \
		SFD_NAMESPACE="$SFD_NAMESPACE" "$@"
}
# inside_as USER COMMAND...: as that user, a member of its groups.
inside_as() {
	local user=$1
	shift
	inside setpriv --reuid "$user" --regid "$user" --init-groups -- "$@"
}

machine_poweroff() {
	inside systemctl poweroff
	wait_for $MACHINE_BOOT machine_is_off
}

machine_tools() {
	local tool
	for tool in sfctl virsh ip nft pgrep curl systemctl journalctl; do
		eval "$tool() { inside $tool \"\$@\"; }"
	done
}
