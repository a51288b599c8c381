# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The world of guests.py: sfd, libvirt and two guests under emulation, and what may happen to a host. Runs in the
# sandbox (--libvirtd --journal --outside); the first argument is sample or full.
set -eu
mode=$1
# shellcheck source=tests/e2e/lib.bash
. "$TOP/tests/e2e/lib.bash"
# shellcheck source=tests/prove/lib.bash
. "$TOP/tests/prove/lib.bash"
here=$TOP/tests/prove/tenancy.d

matrix() { PYTHONDONTWRITEBYTECODE=1 python3 "$here/guests.py" run "$1"; }
rules_are_back() { nft list set bridge sfd mac | grep -q "$(virsh -q domiflist default.mallory | awk '{ print $1 }')"; }
# Those by DHCPv6 come a moment later.
both_have_addresses() {
	local guest
	for guest in mallory alice; do
		wait_for "$BOOT" guest_run $guest "ip -6 addr show dev eth0 |
			grep -q '$(field instance $guest '.status.interfaces[0].addresses[1]')'"
	done
}
has_booted() { [ "$(boots "$1")" -gt "$2" ]; }

e2e_setup
image guest
network front 10.20.0.0/24 fd00:20::/64
network other 10.20.0.0/24 fd00:20::/64
network routed 10.30.0.0/24 fd00:30::/64 'egress: Routed'
instance mallory front
instance alice front
cc -std=gnu17 -O2 -static -o /run/sandbox/outside/send "$here/guest_send.c"
guests_up mallory alice
sfctl wait network other routed --timeout=60s
guest_run mallory 'wget -q -O /run/send http://192.0.2.1/send && chmod 0755 /run/send'
both_have_addresses

matrix "two guests"
nft flush ruleset
wait_for 60 rules_are_back
matrix "after nft flush ruleset"
sfd_stop
sfd_start
matrix "after a restart of sfd and its net role"
service_stop libvirtd
service_start libvirtd
service_wait libvirtd
matrix "after a restart of libvirtd"
if [ "$mode" = full ]; then
	kill -KILL "$(net_role_pid)"
	wait_for 60 net_role_pid
	matrix "after kill -9 of the net role"
	sfd_kill
	sfd_start
	matrix "after kill -9 of sfd"
	service_kill libvirtd
	service_start libvirtd
	service_wait libvirtd
	matrix "after kill -9 of libvirtd"
	for table in ip ip6 arp; do echo 1 >/proc/sys/net/bridge/bridge-nf-call-${table}tables; done
	matrix "with br_netfilter"
	before=$(boots alice)
	virsh -q reboot default.alice
	wait_for "$BOOT" has_booted alice "$before"
	both_have_addresses
	matrix "after a reboot of one guest"
fi
PYTHONDONTWRITEBYTECODE=1 python3 "$here/guests.py" rows "$mode"
agree=0
"$TOP/tests/prove/invariants" --settled || agree=1
row "store and host agree after all of it" "$([ $agree -eq 0 ] && echo yes || echo no)" "" yes $agree
sfd_stop
