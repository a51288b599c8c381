#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Every verb of sfctl against a real sfd with real guests: what it prints, what it changes, what it waits for, and the
# exit codes that sfctl(1) promises.
# Sandbox: --libvirtd --journal --outside

load lib

setup_file() {
	e2e_setup
	image guest
	network front 10.20.0.0/24
	instance web front
	instance idle front 'addresses: [10.20.0.77]' 'runStrategy: Halted'
	sfctl label vm web app=web
	guest_up web
}
teardown_file() { e2e_teardown; }

# code EXPECTED COMMAND...: its exit code; its output is in $output.
code() {
	local expected=$1
	shift
	run "$@"
	same "exit code of $*" "$expected" "$status" || {
		printf '%s\n' "$output" >&2
		return 1
	}
}

spec() { # spec SED-SCRIPT: web's manifest, changed
	cat >"$BATS_TEST_TMPDIR/web.yaml" <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Instance
		metadata: {name: web}
		spec:
		  memory: 128Mi
		  terminationGracePeriodSeconds: 20
		  disks: [{name: root, image: guest, size: 1Gi}]
		  interfaces: [{name: eth0, network: front}]
		  runStrategy: Always
	END
	sed -i "$1" "$BATS_TEST_TMPDIR/web.yaml"
	printf '%s' "$BATS_TEST_TMPDIR/web.yaml"
}

revision() { sfctl get ns default -o json >/dev/null && curl -fsS --unix-socket /run/sfd/sfd.sock \
	http://localhost/apis/shakenfist.io/v1alpha1/instances | jq -r .metadata.resourceVersion; }

# In the background, with its output in a file; bats' own descriptors are closed so that it does not wait for it.
background() { # background FILE COMMAND...
	local file=$1
	shift
	"$@" >"$file" 2>&1 </dev/null 3>&- 4>&- &
}

escapes() { LC_ALL=C grep -q $'\e' <<<"$1"; }

# ---- seeing ------------------------------------------------------------------------------------------------------

@test "get: table, wide, names, yaml, json, jsonpath, labels, sorting" {
	code 0 sfctl get vm
	has "${lines[0]}" '^NAME +STATUS +READY +IP +CPUS +MEMORY +AGE$'
	has "$output" "^web +Running +True +$(address web) +1 +128Mi +[0-9]+s$"
	has "$output" '^idle +Stopped +False '
	[ "$(wc -L <<<"$output")" -le 80 ]
	code 0 sfctl get vm web -o wide
	has "$output" ' sandbox +guest '
	code 0 sfctl get vm,networks -o name
	same names "$(printf 'instance.shakenfist.io/idle\ninstance.shakenfist.io/web\nnetwork.shakenfist.io/front')" "$output"
	sfctl get vm web -o json | jq -e '.kind == "Instance" and .status.printableStatus == "Running" and
		(.metadata | has("managedFields") | not)'
	sfctl get vm web -o yaml >"$BATS_TEST_TMPDIR/web.yaml"
	code 0 sfctl apply -f "$BATS_TEST_TMPDIR/web.yaml" --dry-run=server
	same jsonpath 'idle web' "$(sfctl get vm -o jsonpath='{.items[*].metadata.name}')"
	code 0 sfctl get vm -l app=web --no-headers
	same rows 1 "${#lines[@]}"
	code 0 sfctl get vm -l 'app!=web' -o name
	same rows instance.shakenfist.io/idle "$output"
	code 0 sfctl get vm -A --show-labels
	has "$output" '^NAMESPACE +NAME .*LABELS$'
	has "$output" '^default +web .* app=web$'
	code 0 sfctl get vm --sort-by=.spec.interfaces[0].addresses[0] -o name
	code 0 sfctl get vm -l app=none
	same nothing 'no instances found in namespace default' "$output"
	code 0 sfctl get nodes,ns,img,net -o wide
}

@test "get -w prints each change, of a new object too" {
	background "$BATS_TEST_TMPDIR/watch" sfctl get cm -w
	watch=$!
	wait_for 10 sfctl get ns
	sfctl apply -f - <<-END
		{apiVersion: v1, kind: ConfigMap, metadata: {name: seen}, data: {a: b}}
	END
	wait_for 10 grep -q '^seen ' "$BATS_TEST_TMPDIR/watch"
	sfctl delete cm seen
	kill $watch
}

@test "describe: spec, status, conditions, what belongs to it, events" {
	code 0 sfctl describe vm web
	for part in '^State: +Running$' '^Labels: +app=web$' '^Spec:$' '^Status:$' '^Conditions:$' '  Ready +True ' \
		'  Network +front +interface eth0 +Ready' '  Image +guest +disk root +Ready' '^Events:$' 'Started +the guest was started'; do
		has "$output" "$part"
	done
	code 0 sfctl describe net front
	has "$output" '  Instance +web +eth0 +Running'
	code 0 sfctl describe img guest
	code 0 sfctl describe node
}

@test "explain, api-resources, version" {
	code 0 sfctl explain instance.spec.disks
	has "$output" '^FIELD: spec.disks <\[\]Object>'
	has "$output" 'size	<quantity>'
	code 0 sfctl explain vm.spec.firmware
	has "$output" 'One of: BIOS, UEFI, UEFISecure'
	code 3 sfctl explain vm.spec.nope
	code 0 sfctl api-resources
	has "$output" '^instances +vm,inst +shakenfist.io/v1alpha1 +true +Instance$'
	code 0 sfctl version
	has "$output" '^sfctl [^ ]+'
	has "$output" '^sfd   [^ ]+ \(Kubernetes API v1\.'
	code 0 sfctl version --client --server=unix:/nonexistent
}

@test "events: all, of one object, by type, as they come" {
	code 0 sfctl events --for vm/web
	has "$output" ' Started +Instance/web '
	not grep -q Network <<<"$output"
	code 0 sfctl events --types=Warning --for vm/idle
	same none 'no events found in namespace default' "$output"
	background "$BATS_TEST_TMPDIR/events" sfctl events -w --for network/later
	watch=$!
	network later 10.99.0.0/24
	wait_for 15 grep -q ' NetworkCreated ' "$BATS_TEST_TMPDIR/events"
	kill $watch
	sfctl delete net later
}

# ---- changing ----------------------------------------------------------------------------------------------------

@test "diff: exit code 1, the lines, what the change costs; --dry-run stores nothing" {
	code 0 sfctl diff -f "$(spec '')"
	same nothing '' "$output"
	before=$(sfctl get vm web -o jsonpath='{.metadata.resourceVersion}')
	code 1 sfctl diff -f "$(spec 's/128Mi/192Mi/; s/Seconds: 20/Seconds: 30/')"
	has "$output" '^-  memory: 128Mi$'
	has "$output" '^\+  memory: 192Mi$'
	has "$output" "^# spec.memory: .*: restart "
	has "$output" '^# spec.terminationGracePeriodSeconds: 20 -> 30: live$'
	code 0 sfctl apply --dry-run=server -f "$(spec 's/128Mi/192Mi/')"
	has "$output" '^instance.shakenfist.io/web configured \(server dry run\)$'
	has "$output" '^warning: spec.memory: takes effect when the guest restarts'
	code 0 sfctl apply --dry-run=server -f - <<-END
		{apiVersion: v1, kind: ConfigMap, metadata: {name: never}, data: {a: b}}
	END
	same line 'configmap/never created (server dry run)' "$output"
	code 3 sfctl get cm never
	same version "$before" "$(sfctl get vm web -o jsonpath='{.metadata.resourceVersion}')"
	code 4 sfctl diff -f "$(spec 's/128Mi/-1/')"
	has "$output" 'web.yaml:5:3: spec.memory: '
}

@test "apply: created, configured, unchanged; a value of a secret is not shown" {
	cat >"$BATS_TEST_TMPDIR/s.yaml" <<-END
		{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {password: hunter2}}
	END
	code 0 sfctl apply -f "$BATS_TEST_TMPDIR/s.yaml"
	same line 'secret/s created' "$output"
	code 0 sfctl apply -f "$BATS_TEST_TMPDIR/s.yaml"
	same line 'secret/s unchanged' "$output"
	sed -i s/hunter2/hunter3/ "$BATS_TEST_TMPDIR/s.yaml"
	code 1 sfctl diff -f "$BATS_TEST_TMPDIR/s.yaml"
	not grep -qE 'hunter|aHVudGVy' <<<"$output"
	code 0 sfctl apply -f "$BATS_TEST_TMPDIR/s.yaml"
	same line 'secret/s configured' "$output"
	code 0 sfctl describe secret s
	has "$output" 'password: 7 bytes'
	code 0 sfctl delete -f "$BATS_TEST_TMPDIR/s.yaml"
}

@test "label and annotate: set, refuse to overwrite, overwrite, remove" {
	code 0 sfctl label vm web tier=one
	code 5 sfctl label vm web tier=two
	has "$output" 'already has tier=one'
	code 0 sfctl label vm web tier=two --overwrite
	same label two "$(field vm web .metadata.labels.tier)"
	code 0 sfctl label vm web tier-
	code 0 sfctl label vm web tier-
	same line 'instance.shakenfist.io/web unchanged' "$output"
	code 4 sfctl label vm web 'tier=a b'
	code 2 sfctl label vm web
	code 0 sfctl annotate vm web note='two words "quoted"'
	same note 'two words "quoted"' "$(field vm web .metadata.annotations.note)"
	code 0 sfctl annotate vm web note-
}

editor() { # editor SCRIPT: what EDITOR runs on the file
	printf '#!/bin/sh\necho >>%q\n%s\n' "$BATS_TEST_TMPDIR/edits" "$1" >"$BATS_TEST_TMPDIR/editor"
	chmod +x "$BATS_TEST_TMPDIR/editor"
	: >"$BATS_TEST_TMPDIR/edits"
	export EDITOR=$BATS_TEST_TMPDIR/editor TMPDIR=$BATS_TEST_TMPDIR
}

@test "edit: changed, unchanged, invalid, with a broken editor" {
	editor 'sed -i "s/terminationGracePeriodSeconds: 20/terminationGracePeriodSeconds: 25/" "$1"'
	code 0 sfctl edit vm web
	same line 'instance.shakenfist.io/web edited' "$output"
	same grace 25 "$(field vm web .spec.terminationGracePeriodSeconds)"
	editor 'sed -i "s/Seconds: 25/Seconds: 20/" "$1"'
	code 0 sfctl edit vm/web
	editor :
	code 0 sfctl edit vm web
	same line 'instance.shakenfist.io/web unchanged' "$output"
	# Refused: opened again with the error on top; saved as it is: given up, and the text is kept.
	editor 'cp "$1" "$1.$(wc -l <"'"$BATS_TEST_TMPDIR"'/edits").seen"; sed -i "s/ cpus: 1/ cpus: 0/" "$1"'
	code 4 sfctl edit vm web
	has "$output" 'spec.cpus: Invalid value: 0'
	kept=$(sed -n 's/.*your text is kept in //p' <<<"$output")
	grep -q 'cpus: 0' "$kept"
	grep -q '^#   spec.cpus: Invalid value: 0' "$kept".2.seen
	rm -f "$kept"*
	editor 'sed -i "s/ cpus: 1/ cpus: [/" "$1"'
	code 4 sfctl edit vm web
	has "$output" 'your text:[0-9]+:[0-9]+: '
	rm -f "$BATS_TEST_TMPDIR"/sfctl-edit*
	editor 'exit 1'
	code 1 sfctl edit vm web
	has "$output" 'nothing was changed'
	EDITOR=/nonexistent code 1 sfctl edit vm web
	code 3 sfctl edit vm nope
	same cpus 1 "$(field vm web .spec.cpus)"
	same "files left" '' "$(ls "$BATS_TEST_TMPDIR" | grep sfctl-edit)"
}

@test "a kind of one's own: applied with an object of it in one file, used, explained, deleted" {
	cp "$TOP"/manifests/examples/custom-kind/*.yaml "$BATS_TEST_TMPDIR/2.yaml"
	cat >"$BATS_TEST_TMPDIR/1.yaml" <<-END
		apiVersion: example.com/v1
		kind: Backup
		metadata: {name: nightly}
		spec: {instance: web}
	END
	code 0 sfctl apply -f "$BATS_TEST_TMPDIR"
	has "$output" '^customresourcedefinition.apiextensions.k8s.io/backups.example.com created$'
	has "$output" '^backup.example.com/nightly created$'
	code 0 sfctl apply -f "$BATS_TEST_TMPDIR"
	not grep -v ' unchanged$' <<<"$output"
	code 0 sfctl get bk
	has "${lines[0]}" '^NAME +INSTANCE +AGE'
	has "$output" '^nightly +web '
	code 0 sfctl explain backup.spec
	has "$output" 'instance	<string> -required-'
	code 4 sfctl apply -f - <<-END
		apiVersion: example.com/v1
		kind: Backup
		metadata: {name: bad}
		spec:
		  instanse: web
	END
	has "$output" '<stdin>:5:3: spec.instanse: unknown field, did you mean "instance"\?'
	# A definition takes its objects along.
	code 0 sfctl delete crd backups.example.com
	code 0 sfctl apply -f "$BATS_TEST_TMPDIR"
	has "$output" '^backup.example.com/nightly created$'
	code 0 sfctl delete -f "$BATS_TEST_TMPDIR"
	code 3 sfctl get bk
	has "$output" "there is no kind 'bk'"
}

# ---- waiting -----------------------------------------------------------------------------------------------------

@test "wait: condition, jsonpath, delete, create; not in time is exit code 6" {
	code 0 sfctl wait vm web --for=condition=Ready --timeout=30s
	same line 'instance.shakenfist.io/web condition met' "$output"
	code 0 sfctl wait vm web --for=condition=AddressReady --timeout=30s
	code 0 sfctl wait vm web --for='jsonpath={.status.printableStatus}=Running' --timeout=10s
	code 6 sfctl wait vm idle --for=condition=Ready --timeout=500ms
	has "$output" 'timed out waiting for condition=Ready of instance.shakenfist.io/idle, which is: Stopped'
	code 6 sfctl wait vm web --for='jsonpath={.status.printableStatus}=Stopped' --timeout=500ms
	code 6 sfctl wait vm web --for=delete --timeout=500ms
	code 3 sfctl wait vm nope --timeout=500ms
	code 0 sfctl wait vm nope --for=delete --timeout=500ms
	code 2 sfctl wait vm web --for=nonsense
	background "$BATS_TEST_TMPDIR/wait" sfctl wait net late --for=create --timeout=30s
	waiter=$!
	network late 10.98.0.0/24
	wait $waiter
	background "$BATS_TEST_TMPDIR/wait" sfctl wait net late --for=delete --timeout=30s
	waiter=$!
	sfctl delete net late --wait=false
	wait $waiter
}

@test "delete waits for the end; --wait=false does not; --ignore-not-found" {
	instance gone front
	wait_for "$BOOT" status_is gone Running
	code 0 sfctl delete vm gone --timeout=60s
	has "$output" 'instance.shakenfist.io "gone" deleted'
	code 3 sfctl get vm gone
	same domain '' "$(domain_state gone)"
	code 3 sfctl delete vm gone
	code 0 sfctl delete vm gone --ignore-not-found
	code 0 sfctl delete vm idle --dry-run
	code 0 sfctl get vm idle
	code 2 sfctl delete vm
	code 8 sfctl delete ns default
}

# ---- guests ------------------------------------------------------------------------------------------------------

@test "logs -f shows what the guest writes from now on" {
	background "$BATS_TEST_TMPDIR/logs" sfctl logs web -f --tail=1
	logs=$!
	wait_for 10 test -s "$BATS_TEST_TMPDIR/logs"
	# shellcheck disable=SC2016 # computed by the guest
	guest_run web 'echo heard-$((40+2)) >/dev/console'
	wait_for 10 grep -q heard-42 "$BATS_TEST_TMPDIR/logs"
	kill $logs
	code 0 sfctl logs web --tail=500
	has "$output" 'SF-FACT ready'
	code 5 sfctl logs idle
	code 3 sfctl logs nope
}

@test "console on a terminal: the guest's shell answers, Ctrl-] leaves, the terminal is as before" {
	code 0 timeout 60 python3 "$TOP/tests/e2e/terminal.py" sfctl console web -- \
		'Ctrl-] ends it' $'\r' '/ #' $'echo mark-$((40+2))\r' 'mark-42' $'\x1d' 'The guest goes on'
	domain_runs web
	code 5 sfctl console idle
	has "$output" 'not running'
	code 3 sfctl console nope
}

@test "port-forward: LOCAL:REMOTE and --stdio; a port where nobody listens" {
	background "$BATS_TEST_TMPDIR/forward" sfctl port-forward web :80
	forward=$!
	wait_for 10 grep -q '^forwarding 127.0.0.1:[0-9]* to web port 80$' "$BATS_TEST_TMPDIR/forward"
	port=$(sed -n 's/.*127.0.0.1:\([0-9]*\) .*/\1/p' "$BATS_TEST_TMPDIR/forward")
	for i in 1 2 3; do
		curl -fsS --max-time 20 "http://127.0.0.1:$port/facts" | grep -q 'SF-FACT serving'
	done
	kill $forward
	printf 'GET /facts HTTP/1.0\r\n\r\n' | timeout 20 sfctl port-forward web --stdio=80 | grep -q 'SF-FACT serving'
	code 7 timeout 20 sfctl port-forward web --stdio=81 </dev/null
	has "$output" 'nothing answers at port 81 of instance web'
	code 5 timeout 20 sfctl port-forward idle --stdio=80 </dev/null
	code 5 timeout 20 sfctl port-forward idle :80
	has "$output" 'instance idle is not running: '
	code 4 sfctl port-forward web x
	code 2 sfctl port-forward web
}

@test "ssh: what listens in the guest is reached through sfd" {
	guest_run web 'echo "#!/bin/sh
echo SSH-2.0-guest-of-web" >/run/banner; chmod +x /run/banner; nc -ll -p 22 -e /run/banner >/dev/null 2>&1 </dev/null &'
	run timeout 30 sfctl ssh root@web -o LogLevel=DEBUG1 -o BatchMode=yes -o UserKnownHostsFile=/dev/null -- true
	same "exit code" 255 "$status"
	has "$output" 'remote software version guest-of-web'
	code 3 sfctl ssh nope -- true
	code 5 timeout 20 sfctl ssh idle -- true
	has "$output" 'instance idle is not running: '
	code 2 sfctl ssh
}

@test "stop, start, restart, pause, resume with --wait: done when it says so" {
	code 0 sfctl pause web --wait --timeout=30s
	same state paused "$(domain_state web)"
	code 0 sfctl resume web --wait --timeout=30s
	same state running "$(domain_state web)"
	wait_for "$BOOT" guest_run web true
	pid=$(qemu_pid web)
	code 0 sfctl restart web --wait --timeout=60s
	[ "$pid" != "$(qemu_pid web)" ]
	# Right after a start the guest is deaf for a while: it is asked again until it hears.
	pid=$(qemu_pid web)
	code 0 sfctl restart web --wait --timeout=60s
	[ "$pid" != "$(qemu_pid web)" ]
	code 0 sfctl stop web --force --wait --timeout=60s
	same state 'shut off' "$(domain_state web)"
	code 5 sfctl pause web --wait --timeout=10s
	code 5 sfctl resume web --wait --timeout=10s
	code 0 sfctl start web --wait --timeout=60s
	same state running "$(domain_state web)"
	code 5 sfctl start idle --wait --timeout=10s # spec says Halted
	code 3 sfctl stop nope
	code 2 sfctl stop
}

# ---- terminals and shells ----------------------------------------------------------------------------------------

@test "colours and redrawn lines only on a terminal; NO_COLOR" {
	for line in 'get vm' 'describe vm web' 'events' "diff -f $(spec 's/128Mi/192Mi/')" 'wait vm web' 'get vm nope'; do
		# shellcheck disable=SC2086 # words
		run sfctl $line
		not escapes "$output"
	done
	run timeout 20 script -qec 'sfctl get vm' /dev/null
	escapes "$output"
	run timeout 20 env NO_COLOR=1 script -qec 'sfctl get vm' /dev/null
	not escapes "$output"
	run timeout 20 env TERM=dumb script -qec 'sfctl get vm' /dev/null
	not escapes "$output"
	sfctl get vm | head -n 1 | grep -q NAME # a pipe that closes is no noise
}

completed() { # completed WORD...: what bash offers for the last one
	bash -c 'source <(sfctl completion bash)
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
		_sfctl sfctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
		printf "%s\n" "${COMPREPLY[@]}"' - "$@" | sed 's/ *$//'
}

@test "completion: verbs, kinds, names, options" {
	has "$(completed sfctl des)" '^describe$'
	has "$(completed sfctl get inst)" '^instances$'
	has "$(completed sfctl get vm w)" '^web$'
	has "$(completed sfctl stop w)" '^web$'
	has "$(completed sfctl get --show-l)" '^--show-labels$'
	has "$(completed sfctl get vm -o w)" '^wide$'
	code 0 bash -c 'sfctl completion bash | bash -n'
	code 0 sfctl completion zsh
	has "$output" '^#compdef sfctl'
	code 2 sfctl completion nosuchshell
}

@test "exit codes and errors of sfctl(1)" {
	code 2 sfctl
	code 2 sfctl nope
	has "$output" "unknown verb 'nope'"
	code 2 sfctl get --nope
	code 2 sfctl get
	code 2 sfctl get vm -o nope
	code 3 sfctl get vm nope
	same text 'error: instances.shakenfist.io "nope" not found' "$output"
	code 3 sfctl get instanze
	has "$output" 'did you mean instance'
	code 4 sfctl get vm -o jsonpath='{.items['
	code 1 sfctl apply -f /nonexistent.yaml
	code 7 sfctl get vm --server=unix:/nonexistent
	has "$output" 'cannot reach sfd at unix:/nonexistent'
	# Whoever flushes it, the verb or its end.
	for verb in version events; do
		code 1 sh -c "sfctl $verb >/dev/full"
		same text 'error: standard output could not be written' "$output"
	done
	code 0 sfctl help
	for verb in apply diff get describe delete wait explain events logs console ssh port-forward start stop restart pause \
		resume label annotate edit api-resources version completion; do
		code 0 sfctl "$verb" --help
		has "$output" "^Usage: sfctl $verb"
	done
}
