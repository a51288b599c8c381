#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Bad input on its way to the end, and what an attacker would be after: what is written for libvirt, nftables, dnsmasq
# and cloud-init holds no line that somebody smuggled in. bad.bats asks for single words of single errors, and
# tests/prove/manifests for those of a whole corpus; this one that nothing at all happens.
# Sandbox: --libvirtd --journal --outside

load lib

setup_file() {
	e2e_setup
	image guest
	network front 10.20.0.0/24
	instance web front 'addresses: [10.20.0.10]'
	wait_for 30 condition_has network front Ready status True
	wait_for "$BOOT" condition_has instance web Ready status True
	wait_for 30 condition_has node sandbox Ready status True
	sfd_pid >/run/sandbox/first
}
teardown_file() { e2e_teardown; }

alive() {
	same process "$(cat /run/sandbox/first)" "$(sfd_pid)"
	curl -fsS --unix-socket /run/sfd/sfd.sock http://localhost/livez
	not journalctl -q --no-pager -g 'AddressSanitizer|runtime error|assertion|LeakSanitizer' -t sfd
}

# What is stored but for status, which goes on living: every object's generation, all kinds.
stored() {
	sfctl get instances,networks,images,secrets,configmaps,namespaces,customresourcedefinitions,nodes -A -o json |
		jq -S '[.items[] | [.kind, .metadata.namespace, .metadata.name, .metadata.uid, .metadata.generation]] | sort'
}

# refuse_file FILE: exit code 4, every line but the last with its place, nothing stored.
refuse_file() {
	local line
	run timeout 20 sfctl apply -f "$1"
	[ "$status" -eq 4 ] && [ "${#lines[@]}" -ge 2 ] || {
		printf '%s: exit code %d:\n%s\n' "$1" "$status" "$output" >&2
		return 1
	}
	for line in "${lines[@]::${#lines[@]}-1}"; do
		[[ $line =~ ^$1:[0-9]+:[0-9]+:\ .+ ]] || [[ $line =~ ^' ' ]] || {
			printf '%s: no place in: %s\n' "$1" "$line" >&2
			return 1
		}
	done
	same "last line of $1" 'error: nothing was applied' "${lines[-1]}"
	not grep -qP '[^\x09\x0a\x20-\x7e\x80-\xff]' <<<"$output"
}

@test "hostile manifests in one folder with good files: the good ones are not stored either" {
	mkdir "$BATS_TEST_TMPDIR/all"
	cp "$TOP"/tests/manifests/bad/*.yaml "$BATS_TEST_TMPDIR/all"
	printf '{apiVersion: v1, kind: ConfigMap, metadata: {name: good}}\n' >"$BATS_TEST_TMPDIR/all/0.yaml"
	before=$(stored)
	run timeout 60 sfctl apply -f "$BATS_TEST_TMPDIR/all"
	same "exit code" 4 "$status"
	same stored "$before" "$(stored)"
	alive
}

@test "every prefix of a good manifest, and the manifest with any byte changed: an error or the manifest" {
	file=$BATS_TEST_TMPDIR/m.yaml
	printf '{apiVersion: v1, kind: ConfigMap, metadata: {name: cut, labels: {a: "b"}}, data: {k: "v"}}' >"$file"
	size=$(stat -c %s "$file")
	for ((i = 0; i < size; i += 3)); do
		head -c $i "$file" >"$BATS_TEST_TMPDIR/cut.yaml"
		run timeout 20 sfctl apply -f "$BATS_TEST_TMPDIR/cut.yaml"
		[ "$status" -ne 0 ]
		[ "$status" -le 9 ]
	done
	for ((i = 0; i < size; i += 5)); do
		for byte in '\n' '"' '{' '\377' '\0' ':'; do
			{ head -c $i "$file" && printf "$byte" && tail -c +$((i + 2)) "$file"; } >"$BATS_TEST_TMPDIR/cut.yaml"
			run timeout 20 sfctl apply --dry-run=server -f "$BATS_TEST_TMPDIR/cut.yaml"
			[ "$status" -le 9 ]
		done
	done
	code=$(sfctl get cm cut >/dev/null 2>&1; echo $?)
	same "exit code" 3 "$code"
	alive
}

@test "texts with quotes, markup and lines that are allowed: stored as they are, injected nowhere" {
	# shellcheck disable=SC2016
	evil=$'x\'"</name><disk type=\'file\'/>&amp;\ndhcp-script=/run/pwned\n}; add table inet pwned; #\n$(touch /run/pwned)'
	jq -n --arg evil "$evil" '{apiVersion: "shakenfist.io/v1alpha1", kind: "Instance",
		metadata: {name: "evil", annotations: {"example.com/x": $evil}},
		spec: {memory: "128Mi", terminationGracePeriodSeconds: 1,
			disks: [{name: "root", image: "guest", size: "1Gi"}], interfaces: [{name: "eth0", network: "front"}],
			cloudInit: {userData: ("#cloud-config\n# " + $evil + "\n")}}}' >"$BATS_TEST_TMPDIR/evil.json"
	sfctl apply -f "$BATS_TEST_TMPDIR/evil.json"
	wait_for "$BOOT" status_is evil Running
	same annotation "$evil" "$(sfctl get vm evil -o json | jq -r '.metadata.annotations["example.com/x"]')"
	same disks "$(virsh dumpxml default.web | grep -c '<disk ')" "$(($(virsh dumpxml default.evil | grep -c '<disk ')))"
	not grep -rq pwned /run/sfd/net /etc/libvirt/qemu
	not grep -q pwned <(nft list ruleset)
	not test -e /run/pwned
	# On a terminal nothing of it is a control sequence.
	sfctl annotate vm evil 'example.com/y='$'\e]0;pwned\a\e[31m'
	run timeout 20 script -qec 'TERM=dumb sfctl describe vm evil' /dev/null
	not grep -q $'\e' <<<"$output"
	sfctl delete vm evil --timeout=30s
	alive
}

@test "every text field of every kind with a line break, a quote, a path: refused, or in no file" {
	file=$BATS_TEST_TMPDIR/x.yaml
	for value in 'a\ndhcp-script=/run/pwned' "a' pwned='" '../../run/pwned' '<pwned/>' 'a;pwned' '{pwned}' '$(pwned)' 'a pwned' '-pwned'; do
		n=0
		: >"$file"
		for spec in 'kind: Network, metadata: {name: N}, spec: {cidrs: [10.9.0.0/24], dns: {domain: "%"}}' \
			'kind: Network, metadata: {name: N}, spec: {cidrs: ["%"]}' \
			'kind: Network, metadata: {name: N}, spec: {cidrs: [10.9.0.0/24], gateways: ["%"]}' \
			'kind: Network, metadata: {name: N}, spec: {cidrs: [10.9.0.0/24], dns: {upstreams: ["%"]}}' \
			'kind: Network, metadata: {name: N}, spec: {cidrs: [10.9.0.0/24], egress: "%"}' \
			'kind: Instance, metadata: {name: N}, spec: {disks: [{name: "%", size: 1Gi}]}' \
			'kind: Instance, metadata: {name: N}, spec: {disks: [{name: a, size: "%"}]}' \
			'kind: Instance, metadata: {name: N}, spec: {disks: [{name: a, image: "%"}]}' \
			'kind: Instance, metadata: {name: N}, spec: {disks: [{name: a, size: 1Gi, bus: "%"}]}' \
			'kind: Instance, metadata: {name: N}, spec: {machineType: "%", disks: [{name: a, size: 1Gi}]}' \
			'kind: Instance, metadata: {name: N}, spec: {cpuModel: "%", disks: [{name: a, size: 1Gi}]}' \
			'kind: Instance, metadata: {name: N}, spec: {disks: [{name: a, size: 1Gi}], cloudInit: {hostname: "%"}}' \
			'kind: Instance, metadata: {name: N}, spec: {disks: [{name: a, size: 1Gi}], interfaces: [{name: "%", network: front}]}' \
			'kind: Instance, metadata: {name: N}, spec: {disks: [{name: a, size: 1Gi}], interfaces: [{name: a, network: "%"}]}' \
			'kind: Instance, metadata: {name: N}, spec: {disks: [{name: a, size: 1Gi}], interfaces: [{name: a, network: front, model: "%"}]}' \
			'kind: Instance, metadata: {name: N}, spec: {disks: [{name: a, size: 1Gi}], interfaces: [{name: a, network: front, macAddress: "%"}]}' \
			'kind: Instance, metadata: {name: N}, spec: {disks: [{name: a, size: 1Gi}], interfaces: [{name: a, network: front, addresses: ["%"]}]}' \
			'kind: Image, metadata: {name: N}, spec: {source: {url: "%"}}' \
			'kind: Image, metadata: {name: N}, spec: {source: {url: "http://h/x", checksum: "%"}}'; do
			n=$((n + 1)) spec=${spec/name: N/name: bad$n}
			printf -- '---\n{apiVersion: shakenfist.io/v1alpha1, %s}\n' "${spec//%/$value}" >>"$file"
		done
		refuse_file "$file"
		for ((i = 1; i <= n; i++)); do # each document has its error
			has "$output" "^$file:$((2 * i)):[0-9]+: " || {
				sed -n $((2 * i))p "$file" >&2
				return 1
			}
		done
	done
	not grep -rq pwned /run/sfd/net /etc/libvirt/qemu
	not test -e /run/pwned
	alive
}

@test "what cannot be known at apply is a condition that says what to do" {
	instance nowhere nosuchnetwork
	wait_for 20 condition_has instance nowhere Ready message 'there is no network "nosuchnetwork" in namespace "default"'
	status_is nowhere WaitingForNetwork
	apply <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Instance
		metadata: {name: imageless}
		spec: {memory: 128Mi, disks: [{name: root, image: nosuchimage}]}
	END
	wait_for 20 condition_has instance imageless Ready message 'there is no image "nosuchimage" in namespace "default"'
	instance second front 'addresses: [10.20.0.10]'
	wait_for 20 condition_has instance second Ready message '10\.20\.0\.10.*(web|taken|in use)'
	domain_runs web
	run instance outside front 'addresses: [10.21.0.10]'
	same "exit code" 4 "$status"
	has "$output" '10\.21\.0\.10'
	sfctl delete vm nowhere imageless second --timeout=30s
	domain_runs web
}
