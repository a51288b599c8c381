#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# kill -9 of every process, one after the other: each is healed, and the guests do not notice. What "guests untouched"
# means is measured: the same QEMU process, the guest's own boot counter, and its open connection.
# Sandbox: --libvirtd --journal --outside

load lib

setup_file() {
	e2e_setup
	image guest
	network front 10.20.0.0/24
	instance a front
	instance b front
	guests_up a b
}
teardown_file() { e2e_teardown; }

# Remembers what must not change.
remember() {
	pid_a=$(qemu_pid a) pid_b=$(qemu_pid b) address_a=$(address a)
}
untouched() {
	same "qemu of a" "$pid_a" "$(qemu_pid a)"
	same "qemu of b" "$pid_b" "$(qemu_pid b)"
	kill -0 "$pid_a"
	kill -0 "$pid_b"
	same "address of a" "$address_a" "$(address a)"
	same "boots of a" 1 "$(boots a)"
	wait_for 20 guest_run b "ping -c 1 -W 2 $address_a"
}

@test "sfd: comes back with everything, guests untouched, nothing lost" {
	remember
	apply <<-END
		apiVersion: v1
		kind: ConfigMap
		metadata: {name: acknowledged}
		data: {written: "just before"}
	END
	sfd_kill
	kill -0 "$pid_a"
	sfd_start
	field_is configmap acknowledged .data.written 'just before'
	wait_for 20 status_is a Running
	wait_for 20 status_is b Running
	untouched
	same restarts "" "$(field instance a .status.restarts | grep -v '^0$')"
}

@test "sfd: a guest that was deleted while it was away goes, one that was asked for comes" {
	remember
	instance c front
	sfd_kill
	sfd_start
	wait_for "$BOOT" status_is c Running
	sfctl delete instance c --wait=false
	sfd_kill
	sfd_start
	sfctl wait instance c --for=delete --timeout=60s
	untouched
}

@test "the net role: is started again, adopts its networks, dnsmasq and taps stay" {
	remember
	dnsmasq=$(pgrep -f 'dnsmasq.*/run/sfd')
	role=$(net_role_pid)
	kill -9 "$role"
	wait_for 20 eval '[ -n "$(net_role_pid)" ] && [ "$(net_role_pid)" != '"$role"' ]'
	untouched
	same dnsmasq "$dnsmasq" "$(pgrep -f 'dnsmasq.*/run/sfd')"
	network later 10.40.0.0/24
	sfctl wait network later --timeout=30s
	sfctl delete network later
}

@test "libvirtd: is reconnected to, and works at once" {
	remember
	service_kill libvirtd
	service_start libvirtd
	service_wait libvirtd
	untouched
	instance c front
	wait_for "$BOOT" status_is c Running
	sfctl delete instance c --timeout=60s
	wait_for 30 condition_has node sandbox Ready status True
	untouched
}

@test "libvirtd away: status says unknown or not ready, nothing is destroyed, nothing made twice" {
	remember
	service_kill libvirtd
	wait_for 60 condition_has node sandbox Ready status 'False|Unknown'
	sfctl delete instance b --wait=false
	wait_for 5 kill -0 "$pid_b"
	service_start libvirtd
	service_wait libvirtd
	sfctl wait instance b --for=delete --timeout=60s
	kill -0 "$pid_a"
	instance b front
	guest_up b
	remember
	untouched
}

@test "dnsmasq: another takes its place, leases and names go on" {
	remember
	old=$(pgrep -f 'dnsmasq.*/run/sfd')
	kill -9 "$old"
	wait_for 10 eval '[ -n "$(pgrep -f "dnsmasq.*/run/sfd")" ] && [ "$(pgrep -f "dnsmasq.*/run/sfd")" != "'"$old"'" ]'
	wait_for 20 guest_run b 'nslookup a.lab.internal'
	untouched
}

@test "a guest's qemu: crash is told, the guest comes back with its disk, address and MAC, others untouched" {
	remember
	mac=$(field instance a '.status.interfaces[0].macAddress')
	guest_run a 'echo kept >/state/kept; sync'
	kill -9 "$pid_a"
	wait_for 20 eval '[ -n "$(field instance a .status.restarts)" ] && [ "$(field instance a .status.restarts)" -ge 1 ]'
	wait_for "$BOOT" eval '[ "$(boots a)" -ge 2 ]'
	wait_for "$BOOT" guest_run a 'grep -q kept /state/kept'
	same mac "$mac" "$(field instance a '.status.interfaces[0].macAddress')"
	same address "$address_a" "$(address a)"
	same "qemu of b" "$pid_b" "$(qemu_pid b)"
	sfctl events --for instance/a | grep -q Crashed
	has "$(field instance a .status.lastTermination.reason)" "Crashed|Died"
}

@test "virsh destroy under runStrategy Always is healed" {
	virsh -q destroy default.b
	wait_for 30 domain_runs b
	wait_for 30 status_is b Running
}

@test "a domain that is not ours is left alone, even with our name" {
	cat >"$BATS_TEST_TMPDIR/foreign.xml" <<-END
		<domain type='qemu'><name>default.foreign</name><memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>
	END
	virsh -q define "$BATS_TEST_TMPDIR/foreign.xml"
	before=$(virsh dumpxml default.foreign)
	instance foreign front
	wait_for 20 condition_has instance foreign Ready message 'default\.foreign|not ours|foreign'
	sfctl delete instance foreign --timeout=30s
	same xml "$before" "$(virsh dumpxml default.foreign)"
	virsh -q undefine default.foreign
}

@test "a store that was lost destroys nothing: the guests run on" {
	remember
	wait_for "$BOOT" guest_run a true
	remember
	sfd_stop
	mv /var/lib/sfd/store /var/lib/sfd/store.lost
	sfd_start
	# As long as it takes sfd to look at everything: it has seen libvirt when the Node is ready.
	wait_for 60 condition_has node sandbox Ready status True
	kill -0 "$pid_a"
	kill -0 "$pid_b"
	same domains 2 "$(virsh -q list --name | grep -c .)"
	[ -n "$(find /var/lib/sfd/instances -name '*.qcow2')" ]
	sfd_stop
	rm -rf /var/lib/sfd/store
	mv /var/lib/sfd/store.lost /var/lib/sfd/store
	sfd_start
	wait_for 30 status_is a Running
	kill -0 "$pid_a"
}

gc_lists() { sfctl gc 2>/dev/null | grep -q "$1"; }

@test "an older store put back: what it does not know is told, left alone, and removed when named" {
	sfd_stop
	cp -a /var/lib/sfd/store "$BATS_TEST_TMPDIR/store"
	sfd_start
	instance late front
	wait_for 60 status_is late Running
	pid=$(qemu_pid late)
	id=$(uid late)
	sfd_stop
	rm -rf /var/lib/sfd/store
	cp -a "$BATS_TEST_TMPDIR/store" /var/lib/sfd/store
	sfd_start
	wait_for 60 gc_lists "Guest *default.late *$id"
	wait_for 10 condition_has node sandbox Unmanaged message 'sfctl gc'

	run sfctl gc --enforce "$id"
	same "exit code" 5 "$status"
	has "$output" "nothing is collected before it is accepted"
	kill -0 "$pid"

	sfd_stop
	sfd_start --accept-store
	wait_for 60 gc_lists "$id"
	run sfctl gc --enforce 00000000-0000-4000-8000-000000000000
	same "exit code" 3 "$status"
	kill -0 "$pid"
	has "$(sfctl gc --enforce "$id")" "$id removed from node"
	not kill -0 "$pid"
	[ ! -e "/var/lib/sfd/instances/$id" ]
	has "$(sfctl gc 2>&1)" "nothing is unmanaged"
	wait_for 30 status_is a Running
}

@test "delete everything, and nothing is left" {
	delete_all
	wait_for 30 nothing_left
}
