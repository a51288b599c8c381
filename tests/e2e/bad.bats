#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Bad input: each a clear error with its place, or a condition that says what to do; never a crash, never half a
# document stored, never an injected line. Everything is refused with exit code 4, and sfd is the same process after it.
# Sandbox: --libvirtd --journal --outside

load lib

setup_file() {
	e2e_setup
	sfd_pid >/run/sandbox/first
}
teardown_file() { e2e_teardown; }

# refused PATTERN: what is on standard input is refused with a text that matches, and nothing of it is stored.
refused() {
	local before after
	before=$(sfctl get instances,networks,images,secrets -A -o name 2>/dev/null)
	cat >"$BATS_TEST_TMPDIR/bad.yaml"
	run sfctl apply -f "$BATS_TEST_TMPDIR/bad.yaml"
	same "exit code" 4 "$status"
	has "$output" "$1"
	after=$(sfctl get instances,networks,images,secrets -A -o name 2>/dev/null)
	same stored "$before" "$after"
	same process "$(cat /run/sandbox/first)" "$(pgrep -f "^$BUILD/sfd" | sort -n | head -n 1)"
}

instance_with() { # instance_with NAME SPEC-LINES
	printf 'apiVersion: shakenfist.io/v1alpha1\nkind: Instance\nmetadata: {name: %s}\nspec:\n' "$1"
	printf '  disks: [{name: root, size: 1Gi}]\n%s\n' "$2"
}

@test "YAML that is none: broken, truncated, tabs, duplicate keys" {
	printf 'kind: Image\nmetadata: {name: [\n' | refused 'bad.yaml:[0-9]+:[0-9]+'
	printf 'kind: Image\nmetadata:\n\tname: x\n' | refused 'bad.yaml:[0-9]+:[0-9]+'
	printf 'kind: Image\nkind: Network\n' | refused 'bad.yaml:2:1.*[Dd]uplicate'
	printf 'kind: "Image\n' | refused 'bad.yaml:[0-9]+:[0-9]+'
	printf '%s' '---' '- just' '- a list' | refused 'bad.yaml'
}

@test "YAML that is a weapon: aliases, self-aliases, tags, depth, size, bad UTF-8, NUL" {
	printf 'a: &x [1]\nb: *x\n' | refused 'alias|anchor'
	printf 'a: &x [*x]\n' | refused 'alias|anchor'
	printf 'kind: !!python/object:os.system x\n' | refused 'tag'
	(printf 'a: '; printf '[%.0s' {1..5000}) | refused 'deep|nest|depth|level'
	(printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: big}\ndata:\n  x: "'
		head -c 4000000 /dev/zero | tr '\0' a
		printf '"\n') | refused 'large|big|bytes|long|limit|size'
	printf 'kind: "\xff\xfe"\n' | refused 'UTF-8'
	printf 'kind: "a\\0b"\n' | refused 'NUL|character|escape'
}

@test "unknown keys, with what was meant, and all errors at once with their places" {
	refused 'bad.yaml:6:.*cpuz' < <(instance_with web '  cpuz: 2
  memory: -1
  firmware: Bios')
	has "$output" 'did you mean.*cpus'
	has "$output" 'spec.memory'
	has "$output" 'spec.firmware'
}

@test "values: zero, negative, wrong type, too large, empty" {
	instance_with web '  cpus: 0' | refused 'spec\.cpus.*greater than or equal to 1'
	instance_with web '  cpus: "two"' | refused 'spec\.cpus'
	instance_with web '  memory: -1' | refused 'spec\.memory'
	instance_with web '  memory: 1Zi' | refused 'spec\.memory'
	instance_with web '  cpus: 100000000000000000000' | refused 'bad.yaml:6:9: .*64 bits'
	instance_with web '  interfaces: [{name: eth0, network: front, macAddress: "zz"}]' | refused 'macAddress'
	instance_with web '  interfaces: [{name: eth0, network: front}, {name: eth0, network: front}]' | refused '[Dd]uplicate'
}

@test "names that are paths, commands, markup or lines" {
	for name in '"../x"' '"a/b"' '".."' '"a\nb"' '"a\"b"' '"a<b>"' '"-rf"' '"A"' '""' '"a b"' "\"$(printf 'x%.0s' {1..300})\"" \
		'"{{x}}"' '"a;b"' '"💥"'; do
		instance_with "$name" '  cpus: 1' | refused 'metadata\.name|name'
	done
	printf 'apiVersion: shakenfist.io/v1alpha1\nkind: Network\nmetadata: {name: n}\nspec: {cidrs: [10.0.0.0/24], dns: {domain: "%s"}}\n' \
		'x\ndhcp-script=/tmp/x' | refused 'domain'
	instance_with web '  cloudInit: {hostname: "a\ndhcp-script=/tmp/x"}' | refused 'hostname'
}

@test "kinds and versions that do not exist" {
	printf 'apiVersion: shakenfist.io/v1alpha1\nkind: Instanze\nmetadata: {name: x}\n' >"$BATS_TEST_TMPDIR/k.yaml"
	run sfctl apply -f "$BATS_TEST_TMPDIR/k.yaml"
	[ "$status" -eq 3 ] || [ "$status" -eq 4 ]
	has "$output" 'Instanze'
	printf 'apiVersion: shakenfist.io/v9\nkind: Instance\nmetadata: {name: x}\n' >"$BATS_TEST_TMPDIR/k.yaml"
	run sfctl apply -f "$BATS_TEST_TMPDIR/k.yaml"
	[ "$status" -eq 3 ] || [ "$status" -eq 4 ]
}

@test "one bad document of three: nothing of the file is stored" {
	refused 'third|spec\.cidrs' <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Network
		metadata: {name: first}
		spec: {cidrs: [10.1.0.0/24], dns: {domain: lab.internal}}
		---
		apiVersion: shakenfist.io/v1alpha1
		kind: Network
		metadata: {name: second}
		spec: {cidrs: [10.2.0.0/24], dns: {domain: lab.internal}}
		---
		apiVersion: shakenfist.io/v1alpha1
		kind: Network
		metadata: {name: third}
		spec: {cidrs: [not-a-network]}
	END
}

@test "an unknown image or network is a condition that says what to do" {
	instance_with waits '  interfaces: [{name: eth0, network: nowhere}]' | apply
	wait_for 20 condition_has instance waits Ready message 'nowhere'
	same status False "$(condition instance waits Ready status)"
	sfctl delete instance waits --timeout=30s
}

@test "HTTP: junk on the socket does not hurt" {
	for junk in 'GET' 'GET / HTTP/9.9\r\n\r\n' 'POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n' \
		'POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' \
		'GET /apis/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n' 'GET /%00%ff HTTP/1.1\r\nHost: x\r\n\r\n'; do
		printf "${junk//%/%%}" | timeout 3 socat -t 1 - UNIX-CONNECT:/run/sfd/sfd.sock >/dev/null || :
	done
	head -c 100000 /dev/urandom | timeout 3 socat -t 1 - UNIX-CONNECT:/run/sfd/sfd.sock >/dev/null || :
	curl -fsS --unix-socket /run/sfd/sfd.sock http://localhost/readyz
	same process "$(cat /run/sandbox/first)" "$(sfd_pid)"
	code=$(curl -s -o /dev/null -w '%{http_code}' --unix-socket /run/sfd/sfd.sock -X POST -H 'Content-Type: application/json' \
		--data-binary '{"kind":' http://localhost/apis/shakenfist.io/v1alpha1/namespaces/default/instances)
	same code 400 "$code"
}
