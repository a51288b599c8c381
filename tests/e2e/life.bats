#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The life of an instance: power verbs and run strategies, crash and shutdown told apart, changes that are live and those
# that wait, user data and keys, deletion that always ends.
# Sandbox: --libvirtd --journal --outside

load lib

setup_file() {
	e2e_setup
	image guest
	network front 10.20.0.0/24
	instance web front
	guest_up web
}
teardown_file() { e2e_teardown; }

@test "stop asks the guest, and it stays off; start brings it back" {
	sfctl stop web --wait --timeout=60s
	wait_for 10 status_is web Stopped
	same state 'shut off' "$(domain_state web)"
	console_has web 'SF-EVENT power-button'
	sfctl start web --wait --timeout=60s
	wait_for 30 status_is web Running
	guest_up web
}

@test "restart gives a new boot of the same machine" {
	id=$(uid web) before=$(boots web)
	sfctl restart web --wait --timeout=90s
	wait_for "$BOOT" eval '[ "$(boots web)" -gt '"$before"' ]'
	wait_for 30 status_is web Running
	same uid "$id" "$(uid web)"
	guest_run web true || wait_for "$BOOT" guest_run web true
}

@test "pause and resume" {
	sfctl pause web --wait --timeout=30s
	wait_for 10 status_is web Paused
	same state paused "$(domain_state web)"
	sfctl resume web --wait --timeout=30s
	wait_for 10 status_is web Running
	wait_for 20 guest_run web true
}

@test "a guest that shuts itself down under Always is started again, and the reason is told" {
	before=$(boots web)
	guest_run web '(sleep 1; echo power >/run/events) >/dev/null 2>&1 &' || :
	wait_for "$BOOT" eval '[ "$(boots web)" -gt '"$before"' ]'
	sfctl events --for instance/web | grep -q GuestShutdown
	guest_up web
}

@test "runStrategy Once: ends and stays off; Halted stops; Manual starts only by hand" {
	instance once front '' 'runStrategy: Once'
	guest_up once
	wait_for 20 guest_run once '(sleep 1; echo power >/run/events) >/dev/null 2>&1 &'
	wait_for 60 status_is once Stopped
	not domain_runs once
	instance once front '' 'runStrategy: Manual'
	sfctl start once --wait --timeout=60s
	wait_for 30 status_is once Running
	instance once front '' 'runStrategy: Halted'
	wait_for 60 status_is once Stopped
	sfctl delete instance once --timeout=60s
}

@test "a change that needs a restart is told, waits, and is done by the restart" {
	pid=$(qemu_pid web)
	instance web front '' 'cpus: 2'
	wait_for 20 eval "[ \"\$(field instance web '.status.pendingChanges[0].path')\" = spec.cpus ]"
	same "qemu pid" "$pid" "$(qemu_pid web)"
	sfctl diff -f - <<-END || :
		apiVersion: shakenfist.io/v1alpha1
		kind: Instance
		metadata: {name: web}
		spec: {memory: 256Mi, disks: [{name: root, image: guest, size: 1Gi}]}
	END
	before=$(boots web)
	sfctl restart web --wait --timeout=90s
	wait_for "$BOOT" eval '[ "$(boots web)" -gt '"$before"' ]'
	wait_for 30 eval "[ -z \"\$(field instance web '.status.pendingChanges[*].path')\" ]"
	wait_for "$BOOT" eval 'has "$(fact web cpu)" count=2'
}

@test "disks: root grows to the size asked for, blank data disks, order and serials" {
	apply <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Instance
		metadata: {name: disks}
		spec:
		  memory: 128Mi
		  disks:
		  - {name: root, image: guest, size: 2Gi}
		  - {name: data, size: 3Gi}
		  interfaces: [{name: eth0, network: front}]
		  cloudInit:
		    sshAuthorizedKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5K1KQ0mO8x0qVZJc2uO3kQmW8S3hN1o0M1t0V8e3bN tester]
		    userData: |
		      #cloud-config
		      write_files:
		      - {path: /run/written, content: "by user data"}
		      runcmd:
		      - cat /run/written
	END
	guest_up disks
	has "$(fact disks 'disk vda')" "bytes=$((2 << 30))"
	has "$(fact disks 'disk vdb')" "bytes=$((3 << 30))"
	console_has disks 'by user data'
	console_has disks '^SF-FACT key ssh-ed25519 AAAAC3'
	console_has disks 'user-data ran=yes'
	same base 1 "$(find /var/lib/sfd/images -name '*.qcow2' | wc -l)"
	sfctl delete instance disks --timeout=60s
}

@test "user data from a Secret, which never shows in the instance" {
	apply <<-END
		apiVersion: v1
		kind: Secret
		metadata: {name: seed}
		stringData: {userdata: "#cloud-config\nruncmd: [[echo, \"from the secret\"]]\n"}
		---
		apiVersion: shakenfist.io/v1alpha1
		kind: Instance
		metadata: {name: secretive}
		spec:
		  memory: 128Mi
		  disks: [{name: root, image: guest, size: 1Gi}]
		  interfaces: [{name: eth0, network: front}]
		  cloudInit: {userDataSecretRef: {name: seed}}
	END
	wait_for "$BOOT" console_has secretive 'from the secret'
	not grep -q 'from the secret' <<<"$(sfctl get instance secretive -o yaml)"
	sfctl delete instance secretive --timeout=60s
}

@test "an instance that waits for an image or a network says so, and goes on when it comes" {
	apply <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Instance
		metadata: {name: early}
		spec:
		  memory: 128Mi
		  disks: [{name: root, image: late, size: 1Gi}]
		  interfaces: [{name: eth0, network: later}]
	END
	wait_for 10 eval 'has "$(field instance early .status.printableStatus)" "WaitingFor(Image|Network)"'
	condition_has instance early Ready message 'late'
	network later 10.41.0.0/24
	image late
	wait_for "$BOOT" status_is early Running
	sfctl delete instance early --timeout=60s
	sfctl delete network later
	sfctl delete image late
}

@test "a guest that does not obey is switched off after its grace period, deletion always ends" {
	apply <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Instance
		metadata: {name: deaf}
		spec:
		  memory: 128Mi
		  terminationGracePeriodSeconds: 2
		  disks: [{name: root, size: 1Gi}]
		  interfaces: [{name: eth0, network: front}]
	END
	wait_for 30 status_is deaf Running # nothing to boot from: it sits in its firmware
	sfctl delete instance deaf --timeout=60s
	not virsh -q dominfo default.deaf
	[ -z "$(find /var/lib/sfd/instances -name '*deaf*')" ]
}

@test "deleting a namespace deletes what is in it" {
	sfctl apply -f - <<-END
		apiVersion: v1
		kind: Namespace
		metadata: {name: team}
		---
		apiVersion: shakenfist.io/v1alpha1
		kind: Network
		metadata: {name: inner, namespace: team}
		spec: {cidrs: [10.20.0.0/24], dns: {domain: lab.internal}}
		---
		apiVersion: shakenfist.io/v1alpha1
		kind: Instance
		metadata: {name: lone, namespace: team}
		spec:
		  memory: 128Mi
		  terminationGracePeriodSeconds: 1
		  disks: [{name: root, size: 1Gi}]
		  interfaces: [{name: eth0, network: inner}]
	END
	wait_for 30 eval '[ "$(sfctl -n team get instance lone -o jsonpath={.status.printableStatus})" = Running ]'
	sfctl delete namespace team --timeout=90s
	not virsh -q dominfo team.lone
	same objects "" "$(sfctl -n team get instances,networks -o name 2>/dev/null)"
	run sfctl get namespace team
	[ "$status" -eq 3 ]
}

@test "everything goes, nothing is left" {
	delete_all
	wait_for 30 nothing_left
}
