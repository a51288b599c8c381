#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The first five minutes: the hello example is applied, a guest runs, has its address, tells what it was given; the
# tables, events, journal, console and port-forward tell the truth; a second apply does nothing; a delete leaves nothing.
# Sandbox: --libvirtd --journal --outside

load lib

setup_file() { e2e_setup; }
teardown_file() { e2e_teardown; }

@test "apply of hello creates each object once, in an order that works" {
	run sfctl apply -f "$TOP/manifests/examples/hello"
	[ "$status" -eq 0 ]
	has "$output" 'network.* created'
	has "$output" 'image.* created'
	has "$output" 'instance.* created'
}

@test "its guest runs, is ready, and uses the address it was given" {
	name=$(sfctl get instances -o name | head -n 1 | cut -d/ -f2)
	sfctl wait instance "$name" --for=condition=Ready --timeout=120s
	sfctl wait instance "$name" --for=condition=AddressReady --timeout=120s
	guest_up "$name"
	status_is "$name" Running
	has "$(fact "$name" 'addr eth0 addr=10')" "addr=$(address "$name")/"
	has "$(fact "$name" seed)" "hostname=$name"
	virsh -q list --name | grep -qx "default.$name"
}

@test "tables, yaml, json, name and jsonpath show it" {
	name=$(sfctl get instances -o name | head -n 1 | cut -d/ -f2)
	run sfctl get instances
	has "$output" "^$name +Running"
	has "$output" "$(address "$name")"
	run sfctl get instance "$name" -o yaml
	has "$output" 'kind: Instance'
	sfctl get instance "$name" -o json | jq -e '.status.printableStatus == "Running"'
	run sfctl get networks,images
	[ "$status" -eq 0 ]
	run sfctl describe instance "$name"
	has "$output" 'Started'
}

@test "metrics and health tell it" {
	name=$(sfctl get instances -o name | head -n 1 | cut -d/ -f2)
	metrics=$(curl -fsS --unix-socket /run/sfd/sfd.sock http://localhost/metrics)
	has "$metrics" '^sf_instances.namespace="default",status="Running". 1$'
	has "$metrics" "^sf_instance_ready.namespace=\"default\",name=\"$name\". 1$"
	has "$metrics" '^sf_images.namespace="default",phase="Ready". 1$'
	has "$metrics" '^sf_networks.namespace="default",phase="Ready". 1$'
	has "$metrics" '^controller_runtime_reconcile_total.controller="instance",result="success". [1-9]'
	has "$(curl -fsS --unix-socket /run/sfd/sfd.sock 'http://localhost/readyz?verbose')" '^readyz check passed$'
}

@test "a second apply says unchanged and writes nothing" {
	before=$(sfctl get instances,networks,images -o json | jq -S '[.items[].metadata | {uid, resourceVersion, generation}]')
	run sfctl apply -f "$TOP/manifests/examples/hello"
	[ "$status" -eq 0 ]
	[ "$(grep -vc ' unchanged' <<<"$output")" -eq 0 ]
	after=$(sfctl get instances,networks,images -o json | jq -S '[.items[].metadata | {uid, resourceVersion, generation}]')
	same "versions" "$before" "$after"
	run sfctl diff -f "$TOP/manifests/examples/hello"
	[ "$status" -eq 0 ]
}

@test "events and the journal tell its story, with fields and catalog ids" {
	name=$(sfctl get instances -o name | head -n 1 | cut -d/ -f2)
	run sfctl events --for "instance/$name"
	has "$output" 'Started'
	journalctl --sync
	journalctl --no-pager -o json SF_NAME="$name" SF_KIND=Instance >"$BATS_TEST_TMPDIR/journal"
	jq -se --arg uid "$(uid "$name")" 'any(.[]; .SF_REASON == "Started" and .SF_NAMESPACE == "default" and .SF_UID == $uid
		and (.MESSAGE_ID | length) == 32)' "$BATS_TEST_TMPDIR/journal"
}

@test "logs is the console, console is interactive, port-forward reaches the guest" {
	name=$(sfctl get instances -o name | head -n 1 | cut -d/ -f2)
	run sfctl logs "$name" --tail=500
	has "$output" 'SF-FACT ready'
	# The mark is computed by the guest, so that the echo of what was typed does not match.
	run bash -c "(sleep 2; printf 'echo mark-\$((40+2))\n'; sleep 6; printf '\035') |
		timeout 30 script -qec 'sfctl console $name' /dev/null"
	has "$output" 'mark-42'
	sfctl port-forward "$name" 18080:80 >/run/sandbox/forward.log 2>&1 3>&- 4>&- &
	forward=$!
	wait_for 20 curl -fsS http://127.0.0.1:18080/facts
	curl -fsS http://127.0.0.1:18080/facts | grep -q 'SF-FACT serving'
	kill $forward
}

@test "delete waits for the end, and nothing is left" {
	run sfctl delete -f "$TOP/manifests/examples/hello" --timeout=120s
	[ "$status" -eq 0 ]
	same objects "" "$(sfctl get instances,networks,images -o name 2>/dev/null)"
	wait_for 30 nothing_left
	[ "$(find /var/lib/sfd/images -name '*.qcow2' | wc -l)" -le 1 ] # the cache may keep content for the next time
}
