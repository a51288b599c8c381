#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A folder of manifests that says what there is: what a change costs, what is pruned and what is kept, quotas, and what
# goes with its owner. With a guest that runs.
# Sandbox: --libvirtd --journal

load lib

setup_file() {
	e2e_setup
	image guest
	network front 10.20.0.0/24
	instance web front 'model: virtio' 'maxCpus: 2'
	wait_for $BOOT condition_has instance web Ready status True
}

teardown_file() { e2e_teardown; }

setup() {
	SET=$BATS_TEST_TMPDIR/set
	mkdir -p "$SET"
}

config() { # config NAME VALUE [METADATA]
	cat >"$SET/$1.yaml" <<-END
		apiVersion: v1
		kind: ConfigMap
		metadata: {name: $1${3:+, $3}}
		data: {v: "$2"}
	END
}

machine() { # machine NAME: an instance that is off
	cat >"$SET/$1.yaml" <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Instance
		metadata: {name: $1}
		spec: {runStrategy: Halted, memory: 128Mi, disks: [{name: root, size: 1Gi}], interfaces: [{name: eth0, network: ${2:-front}}]}
	END
}

prune() { sfctl apply -f "$SET" --prune --applyset "$1" "${@:2}"; }

@test "diff: the cost of each change, for a guest that runs and one that does not" {
	sfctl get instance web -o yaml >"$SET/web.yaml"
	run sfctl diff -f "$SET/web.yaml" --force-conflicts
	same "exit code" 0 "$status"
	same "output" "" "$output"
	sed -i 's/^  cpus: 1$/  cpus: 2/; s/^  memory: 128Mi$/  memory: 96Mi/' "$SET/web.yaml"
	run sfctl diff -f "$SET/web.yaml" --force-conflicts
	same "exit code" 1 "$status"
	has "$output" '^-  cpus: 1$'
	has "$output" '^# spec.cpus: 1 -> 2: live$'
	has "$output" '^# spec.memory: 128Mi -> 96Mi: restart \(can only grow while the guest runs\)$'
	has "$output" '^# 1 changed \(1 restart\)$'
	sed -i 's/^  firmware: BIOS$/  firmware: UEFI/' "$SET/web.yaml"
	run sfctl diff -f "$SET/web.yaml" --force-conflicts
	same "exit code of what is refused" 4 "$status"
	has "$output" '^# spec.firmware: blocked \(.*immutable'
	machine off
	sfctl apply -f "$SET/off.yaml"
	sed -i 's/memory: 128Mi/memory: 256Mi/' "$SET/off.yaml"
	run sfctl diff -f "$SET/off.yaml" -o json
	same "exit code" 1 "$status"
	same "cost" none "$(jq -r '.[0].cost' <<<"$output")"
	same "path" spec.memory "$(jq -r '.[0].changes[0].path' <<<"$output")"
	sfctl delete instance off
}

@test "apply: what waits for a restart is a warning" {
	run sfctl annotate instance web example.com/x=1 --overwrite
	has "$output" 'annotated'
	not has "$output" warning 2>/dev/null
	sfctl get instance web -o yaml | sed 's/^  memory: 128Mi$/  memory: 96Mi/' >"$SET/web.yaml"
	run sfctl apply -f "$SET/web.yaml" --dry-run --force-conflicts
	same "exit code" 0 "$status"
	has "$output" '^warning: spec.memory: takes effect when the guest restarts'
}

@test "prune: what the folder no longer names goes, data only when told" {
	config a 1
	config b 1
	config c 1 'annotations: {shakenfist.io/prune: disabled}'
	machine vm
	prune one
	run prune one
	same "exit code of nothing to do" 0 "$status"
	not has "$output" 'pruned|kept' 2>/dev/null
	rm "$SET"/{b,c,vm}.yaml
	run sfctl diff -f "$SET" --prune --applyset one
	same "exit code of diff" 1 "$status"
	has "$output" '^--- live/configmap/b$'
	has "$output" '^# instance.shakenfist.io/vm: kept \(data: needs --prune-data\)$'
	run prune one --dry-run
	has "$output" '^configmap/b pruned \(server dry run\)$'
	sfctl get configmap b
	run prune one
	same "exit code of what was kept for its data" 1 "$status"
	has "$output" '^configmap/b pruned$'
	has "$output" '^configmap/c kept \(annotation shakenfist.io/prune=disabled\)$'
	has "$output" '^instance.shakenfist.io/vm kept \(data: needs --prune-data\)$'
	not sfctl get configmap b 2>/dev/null
	run prune one --prune-data --wait
	same "exit code" 0 "$status"
	has "$output" '^instance.shakenfist.io/vm pruned$'
	not sfctl get instance vm 2>/dev/null
	sfctl get configmap c
	has "$(field secret one '.metadata.annotations')" 'contains-group-kinds":"ConfigMap"'
}

@test "prune: more than a share of the set, or nothing to apply, is refused before anything happens" {
	for i in 1 2 3 4 5 6; do config "many-$i" 1; done
	prune many
	rm "$SET"/many-[2-6].yaml
	config many-1 changed
	run prune many
	same "exit code" 1 "$status"
	has "$output" '^error: 5 of 6 members would be pruned, more than --prune-max-percent=50 allows'
	run sfctl diff -f "$SET" --prune --applyset many
	same "exit code of diff" 9 "$status"
	has "$output" '^--- live/configmap/many-6$'
	has "$output" '^error: 5 of 6 members'
	same "what was not applied" 1 "$(field configmap many-1 .data.v)"
	mkdir "$SET/empty"
	run sfctl apply -f "$SET/empty" --prune --applyset many
	not same "exit code of an empty folder" 0 "$status" 2>/dev/null
	echo '---' >"$SET/empty/none.yaml"
	run sfctl apply -f "$SET/empty" --prune --applyset many
	same "exit code of no object" 4 "$status"
	sfctl get configmap many-6
	rm -r "$SET/empty"
	run prune many --prune-max-percent 90
	same "exit code" 0 "$status"
	same "configmaps left" many-1 "$(sfctl get configmaps -o jsonpath='{.items[?(@.metadata.name!="x")].metadata.name}' -l "applyset.kubernetes.io/part-of=$(field secret many '.metadata.labels.applyset\.kubernetes\.io/id')")"
}

@test "prune: nothing goes unless everything was applied; the same again goes on" {
	config p-1 1
	config p-2 1
	prune steps
	rm "$SET/p-2.yaml"
	config p-1 changed
	cat >"$SET/bad.yaml" <<-END
		apiVersion: v1
		kind: ConfigMap
		metadata: {name: bad}
		dato: {}
	END
	run prune steps
	same "exit code" 4 "$status"
	sfctl get configmap p-2
	rm "$SET/bad.yaml"
	run prune steps
	same "exit code" 0 "$status"
	has "$output" '^configmap/p-2 pruned$'
}

@test "prune: a network that an instance is on stays; sets and tools keep apart" {
	cat >"$SET/net.yaml" <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Network
		metadata: {name: back}
		spec: {cidrs: [10.30.0.0/24]}
	END
	config k 1
	machine on-back back
	prune net
	rm "$SET/net.yaml" "$SET/on-back.yaml"
	run prune net
	has "$output" '^network.shakenfist.io/back kept \(in use by instance.shakenfist.io/on-back\)$'
	run sfctl apply -f "$SET" --prune --applyset other
	same "exit code of another set's member" 5 "$status"
	has "$output" 'k.yaml:1:1: is a member of another ApplySet'
	sfctl annotate secret net applyset.kubernetes.io/tooling=kubectl/v1.35.2 --overwrite
	run prune net
	same "exit code of another tool's set" 5 "$status"
	has "$output" 'is kept by "kubectl/v1.35.2"'
	sfctl annotate secret net applyset.kubernetes.io/tooling=sfctl/v1.0.0 --overwrite
	run prune net --prune-data --wait
	same "exit code" 0 "$status"
	not sfctl get network back 2>/dev/null
}

@test "quota: what would be too much is refused, and describe tells how much is left" {
	apply <<-END
		apiVersion: v1
		kind: Namespace
		metadata: {name: small}
		---
		apiVersion: v1
		kind: ResourceQuota
		metadata: {name: compute, namespace: small}
		spec: {hard: {requests.cpu: "2", requests.storage: 3Gi, count/instances.shakenfist.io: "5"}}
	END
	machine a
	sfctl -n small apply -f "$SET/a.yaml"
	sed -i 's/name: a}/name: b}/; s/Halted,/Halted, cpus: 2,/' "$SET/a.yaml"
	run sfctl -n small apply -f "$SET/a.yaml"
	same "exit code" 8 "$status"
	has "$output" 'instances.shakenfist.io "b" is forbidden: exceeded quota: compute, requested: requests.cpu=2, used: requests.cpu=1, limited: requests.cpu=2'
	wait_for 10 eval '[ "$(sfctl -n small get quota compute -o jsonpath="{.status.used.requests\\.storage}")" = 1Gi ]'
	has "$(sfctl -n small get quota)" 'requests.cpu: 1/2, requests.storage: 1Gi/3Gi'
	sfd_kill
	sfd_start
	run sfctl -n small apply -f "$SET/a.yaml"
	same "exit code after a crash" 8 "$status"
	sfctl delete namespace small
}

@test "owners: background, foreground, orphan" {
	for how in background foreground orphan; do
		config "owner-$how" 1
		sfctl apply -f "$SET/owner-$how.yaml"
		config "owned-$how" 1 "ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: owner-$how, uid: $(field configmap owner-$how .metadata.uid), blockOwnerDeletion: true}]"
		sfctl apply -f "$SET/owned-$how.yaml"
		sfctl delete configmap "owner-$how" --cascade=$how
		not sfctl get configmap "owner-$how" 2>/dev/null
	done
	not sfctl get configmap owned-foreground 2>/dev/null
	wait_for 10 not sfctl get configmap owned-background
	same "references of the orphan" "" "$(field configmap owned-orphan .metadata.ownerReferences)"
	sfctl delete configmap owned-orphan
}
