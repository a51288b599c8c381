#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Networks as guests see them: names, addresses, NAT, isolation between networks of equal range and from the host, and
# which addresses can be asked for.
# Sandbox: --libvirtd --journal --outside

load lib

setup_file() {
	e2e_setup
	image guest
	network front 10.20.0.0/24 fd00:20::/64
	network other 10.20.0.0/24
	instance web front 'addresses: [10.20.0.10], macAddress: "02:00:00:aa:bb:01"'
	instance db front
	instance twin other 'addresses: [10.20.0.10]'
	guests_up web db twin
}
teardown_file() { e2e_teardown; }

@test "the specific address and MAC are honoured, in status and in the guest" {
	same address 10.20.0.10 "$(address web)"
	same mac 02:00:00:aa:bb:01 "$(field instance web '.status.interfaces[0].macAddress')"
	has "$(fact web 'nic eth0')" 'mac=02:00:00:aa:bb:01'
	has "$(fact web 'addr eth0 addr=10')" 'addr=10.20.0.10/24'
}

@test "two guests of one network reach each other, by address and by name" {
	guest_run web "ping -c 2 -W 2 $(address db)"
	guest_run web "wget -q -O - http://$(address db)/facts" | grep -q hostname=db
	guest_run db 'nslookup web.lab.internal' | grep -q 10.20.0.10
	guest_run db 'wget -q -O - http://web.lab.internal/facts' | grep -q hostname=web
	guest_run db 'ping -c 1 -W 2 web'
}

@test "IPv6: an address by DHCPv6, the other guest, the router" {
	six=$(field instance db '.status.interfaces[0].addresses[1]')
	has "$six" '^fd00:20::'
	wait_for 30 guest_run db "ip -6 addr show dev eth0 | grep -q $six"
	wait_for 30 guest_run web "ping -6 -c 1 -W 2 $six"
	guest_run web 'ping -6 -c 1 -W 2 fd00:20::1'
}

@test "two networks of equal range do not see each other" {
	same address 10.20.0.10 "$(address twin)"
	guest_run db 'wget -q -O - http://10.20.0.10/facts' | grep -q hostname=web
	guest_run twin 'wget -q -O - http://10.20.0.10/facts' | grep -q hostname=twin
	run guest_run twin "ping -c 2 -W 1 $(address db)"
	[ "$status" -ne 0 ]
	run guest_run twin 'nslookup db.lab.internal'
	[ "$status" -ne 0 ]
}

@test "NAT reaches a server outside, which sees the host's address; names outside resolve" {
	same peer 192.0.2.2 "$(guest_run web 'wget -q -O - http://192.0.2.1/cgi-bin/peer')"
	guest_run db 'wget -q -O - http://outside.test/hello' | grep -q 'hello from outside'
	guest_run web 'wget -q -O - "http://[2001:db8:2::1]/cgi-bin/peer"' | grep -q 2001:db8:2::2
}

@test "guests reach nothing on the host, and the host and outside nothing in the guests" {
	run guest_run web 'nc -w 2 192.0.2.2 8099 </dev/null'
	[ "$status" -ne 0 ]
	run guest_run web 'ping -c 1 -W 1 192.0.2.2'
	[ "$status" -ne 0 ]
	run curl -s --max-time 2 http://10.20.0.10/facts
	[ "$status" -ne 0 ]
	ip -n outside route add 10.20.0.0/24 via 192.0.2.2
	run ip netns exec outside curl -s --max-time 2 http://10.20.0.10/facts
	[ "$status" -ne 0 ]
	ip -n outside route del 10.20.0.0/24
}

@test "an address outside of the range is refused, and the condition says what to do" {
	run instance far front 'addresses: [10.99.0.5]'
	if [ "$status" -eq 0 ]; then
		wait_for 20 condition_has instance far Ready message '10\.99\.0\.5'
		[ -z "$(domain_state far)" ] || not domain_runs far
	else
		has "$output" '10\.99\.0\.5'
	fi
	sfctl delete instance far --ignore-not-found
}

@test "an address that is taken is refused until it is free" {
	instance second front "addresses: [$(address web)]" 'runStrategy: Always'
	wait_for 20 condition_has instance second Ready message '10\.20\.0\.10'
	not domain_runs second
	domain_runs web
	sfctl delete instance second
	has "$(sfctl events --for instance/web 2>&1; true)" '.*'
	same address 10.20.0.10 "$(address web)"
}

@test "/30 and /32 are refused, /29 is fine" {
	run network small30 10.30.0.0/30
	[ "$status" -eq 4 ]
	has "$output" '/29|too small|prefix'
	run network small32 10.30.0.0/32
	[ "$status" -eq 4 ]
	network small29 10.30.0.0/29
	sfctl wait network small29 --timeout=30s
	sfctl delete network small29
}

@test "what is deleted from the kernel by hand is made again, without touching other guests' taps" {
	vni=$(field network front .status.vni)
	pid=$(qemu_pid web)
	ip netns exec "sf-$vni" nft flush ruleset
	wait_for 10 ip netns exec "sf-$vni" nft list table inet sfd
	nft delete table bridge sfd
	wait_for 10 nft list table bridge sfd
	ip netns exec "sf-$vni" ip addr flush dev lan0
	wait_for 10 guest_run web 'ping -c 1 -W 2 10.20.0.1'
	ip link del "sfb$vni"
	wait_for 10 ip link show "sfb$vni"
	wait_for 30 guest_run web "ping -c 1 -W 2 $(address db)"
	same "qemu pid" "$pid" "$(qemu_pid web)"
	sfctl events --for network/front | grep -q Repaired
}

@test "a tap that is deleted under a running guest is told, until a restart gives it the new one" {
	tap=$(field instance db '.status.interfaces[0].tap')
	pid=$(qemu_pid db)
	ip link del "$tap"
	wait_for 20 condition_has instance db Ready reason '^InterfaceDetached$'
	same status False "$(condition instance db Ready status)"
	has "$(condition instance db Ready message)" 'eth0 .*restart db'
	status_is db Running
	same "qemu pid" "$pid" "$(qemu_pid db)"
	wait_for 10 ip link show "$tap"
	same "the other guest" True "$(condition instance web Ready status)"
	has "$(sfctl events --types=Warning --for instance/db)" InterfaceDetached
	not ip netns exec "sf-$(field network front .status.vni)" ping -c 1 -W 1 "$(address db)"
	sfctl restart db
	wait_for 60 condition_has instance db Ready status '^True$'
	wait_for "$BOOT" guest_run db 'ping -c 1 -W 2 10.20.0.1'
	guest_run web "ping -c 1 -W 2 $(address db)"
	same reason Running "$(condition instance db Ready reason)"
}

@test "settings of a network change without touching its guests" {
	pid=$(qemu_pid web)
	network front 10.20.0.0/24 fd00:20::/64 'egress: None'
	wait_for 20 not guest_run web 'timeout 3 wget -q -O - http://192.0.2.1/hello'
	network front 10.20.0.0/24 fd00:20::/64 'egress: NAT'
	wait_for 20 guest_run web 'timeout 3 wget -q -O - http://192.0.2.1/hello'
	same "qemu pid" "$pid" "$(qemu_pid web)"
	guest_run web "ping -c 1 -W 2 $(address db)"
}

@test "a network in use is not deleted under its guests; all of it goes when they do" {
	sfctl delete network other --wait=false
	wait_for 20 condition_has network other Ready message 'twin|use'
	domain_runs twin
	sfctl delete instance twin --timeout=60s
	sfctl wait network other --for=delete --timeout=60s
	delete_all
	wait_for 30 nothing_left
}
