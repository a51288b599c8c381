#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What sfd says to who starts it wrongly: which option or line it was, and what would be right. And on a host without
# a libvirt: it starts, and says at once what is missing.
# Sandbox: --libvirtd --journal

load lib

# refuses EXIT-CODE PATTERN ARGUMENT...
refuses() {
	local code=$1 pattern=$2
	shift 2
	run timeout 20 sfd --virt-type qemu --state-dir "$BATS_TEST_TMPDIR/state" "$@"
	same "exit code of sfd $*" "$code" "$status"
	has "$output" "$pattern"
}

@test "options: each error names the option and what it may be" {
	refuses 2 '^sfd: there is no option --stat-dir: see sfd --help' --stat-dir /x
	refuses 2 '^sfd: --virt-type: .*"kvmm".*auto\|kvm\|qemu' --virt-type kvmm
	refuses 2 '^sfd: --store: .*"etcd:http://x".*sqlite\|memory' --store etcd:http://x
	refuses 2 '^sfd: --state-dir: "here" is no absolute path' --state-dir here
	refuses 2 '^sfd: --node-name: "a b" cannot be a name' --node-name 'a b'
	refuses 2 '^sfd: --image-cache-age: "soon"' --image-cache-age soon
	refuses 2 '^sfd: --image-cache-size: "-1"' --image-cache-size -1
	refuses 2 '^sfd: --image-max-size: "much"' --image-max-size much
	refuses 2 '^sfd: --image-timeout: "1m"' --image-timeout 1m
	refuses 2 '^sfd: unexpected argument "more"' more
	refuses 1 '^--runtime-dir: /etc/passwd: Not a directory' --runtime-dir /etc/passwd
	busybox httpd -f -p 127.0.0.1:8444 -h /run >/dev/null 2>&1 3>&- &
	wait_for 10 curl -s -o /dev/null http://127.0.0.1:8444/
	refuses 1 'listen: 127.0.0.1:8444: Address already in use' --listen tcp:127.0.0.1:8444
	kill $!
	run setpriv --reuid 65534 --regid 65534 --clear-groups "$(command -v sfd)"
	has "$output" '^sfd needs root'
	refuses 2 '^sfd: --tls-san: "a b" cannot be a name' --tls-san 'a b'
	refuses 78 'loopback' --listen tcp:0.0.0.0:8443
	refuses 78 'choose all, none, or a list' --controllers instances
}

@test "the configuration file: each error has file, line and option" {
	file=$BATS_TEST_TMPDIR/sfd.conf
	refuses 78 "^sfd: open $file: No such file" --config "$file"
	printf '# ours\n\nvirt-typ = kvm\n' >"$file"
	refuses 78 "^sfd: $file:3: there is no option \"virt-typ\": did you mean \"virt-type\"[?]$" --config "$file"
	printf 'quite-another = 1\n' >"$file"
	refuses 78 "^sfd: $file:1: there is no option \"quite-another\": see sfd --help$" --config "$file"
	has "$(sfd --config "$file" --help)" '^  --virt-type auto'
	has "$(sfd --config "$file" --version)" '^sfd [0-9]'
	refuses 2 '^sfd: there is no option --x: see sfd --help' --config "$file" --x
	printf '[sfd]\n' >"$file"
	refuses 78 "^sfd: $file:1: expected \"option = value\"" --config "$file"
	printf 'group = sfd\nvirt-type = kvmm # fast\n' >"$file"
	refuses 78 "^sfd: $file:2: virt-type: there is no \"kvmm\"" --config "$file"
}

@test "the doctor does not fail what only root can tell" {
	state=$BATS_TEST_TMPDIR/state
	mkdir -p "$state/pki"
	: >"$state/pki/ca.crt"
	chmod 700 "$state/pki"
	run setpriv --reuid 65534 --regid 65534 --clear-groups "$(command -v sfd)" --check --state-dir "$state"
	has "$output" '^warn +TLS +only root can tell: open .*/pki/ca.crt: Permission denied; run sudo sfd --check$'
	run sfd --check --state-dir "$state"
	has "$output" '^FAIL +TLS '
}

@test "a host without libvirt: sfd runs, says so at once, and goes on when it is there" {
	mv /run/libvirt /run/libvirt.away
	sfd_start
	wait_for 20 condition_has node sandbox Ready status False
	has "$(condition node sandbox Ready message)" 'libvirt-sock.*No such file'
	journalctl --sync
	journalctl --no-pager -t sfd | grep -q 'NodeNotReady: .*libvirt-sock'
	run sfd --check
	same "exit code of sfd --check" 1 "$status"
	has "$output" 'FAIL +libvirt .*Is libvirtd running'
	mv /run/libvirt.away /run/libvirt
	wait_for 90 condition_has node sandbox Ready status True
	sfd_stop
}
