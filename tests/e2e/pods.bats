#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# kubectl's own words for a running guest: get pods, logs, attach over a WebSocket, wait; what cannot be done says so. And
# what typed clients keep in Secrets, ConfigMaps and Leases: kubectl create, helm with its default driver.
# Sandbox: --libvirtd --journal

load lib

server=http://127.0.0.1:6443
kubectl() { "$CLIENTS/bin/kubectl-1.35" -s $server --cache-dir /run/sandbox/kube "$@"; }
helm() { "$CLIENTS/bin/helm" --kube-apiserver $server "$@"; }

setup_file() {
	export HOME=/run/sandbox
	e2e_setup --listen unix:/run/sfd/sfd.sock --listen tcp:127.0.0.1:6443 --listen tls:127.0.0.1:6444
	image guest
	network front 10.20.0.0/24
	instance vm front
	guest_up vm
}
teardown_file() { e2e_teardown; }
setup() { export HOME=/run/sandbox; }

@test "get pods shows the guest, and waits for it" {
	kubectl wait --for=condition=Ready pod/vm --timeout=30s
	run kubectl get pods -o wide
	has "$output" '^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE'
	has "$output" "^vm +1/1 +Running +0 +[0-9smh]+ +$(address vm) +"
	run kubectl describe pod vm
	has "$output" 'Controlled By: +Instance/vm'
	has "$output" 'State: +Running'
	has "$output" 'Normal +Started'
	same "node" "$(field instance vm .spec.nodeName)" "$(kubectl get pod vm -o 'jsonpath={.spec.nodeName}')"
}

@test "logs is the guest's console" {
	run kubectl logs vm
	[ "$status" -eq 0 ]
	has "$output" 'SF-FACT ready'
	same "lines" 3 "$(kubectl logs vm --tail=3 | grep -c '')"
	has "$(kubectl logs vm --tail=1 --timestamps)" '^20[0-9-]+T[0-9:]+\.[0-9]{9}Z '
	run kubectl logs vm -c nobody
	[ "$status" -ne 0 ]
	has "$output" 'nobody'
	run kubectl logs vm --previous
	[ "$status" -ne 0 ]
	has "$output" 'previous terminated container'
}

# shellcheck disable=SC2016 # expanded by the guest
followed() {
	guest_run vm 'echo "follow-$((40+2))" >/dev/console' && grep -q 'follow-42' /run/sandbox/followed
}

@test "logs -f goes on with what the guest prints" {
	kubectl logs -f --tail=0 vm >/run/sandbox/followed 2>&1 3>&- 4>&- &
	follower=$!
	# Again and again: it may take kubectl a moment to be there.
	wait_for 30 followed
	kill $follower
}

# attached [-t] OPTIONS...: kubectl attach in the background, on a terminal with -t. It reads from descriptor 8 and writes
# to /run/sandbox/attached; $client is its process. As whom: $kubeconfig, or by plain TCP.
attached() {
	# --foreground: else timeout makes a process group of its own, and whoever is not in the terminal's may not read it.
	local run=(timeout --foreground 60 "$CLIENTS/bin/kubectl-1.35" --cache-dir /run/sandbox/kube)
	[ -n "${kubeconfig:-}" ] && run+=(--kubeconfig "$kubeconfig") || run+=(-s "$server")
	run+=(attach vm)
	rm -f /run/sandbox/typed /run/sandbox/attached
	mkfifo /run/sandbox/typed
	exec 8<>/run/sandbox/typed
	if [ "${1:-}" = -t ]; then
		shift
		run=(script -qec "${run[*]} -t $*" /dev/null)
	else
		run+=("$@")
	fi
	"${run[@]}" </run/sandbox/typed >/run/sandbox/attached 2>&1 3>&- 4>&- 8>&- &
	client=$!
	wait_for 20 grep -q 'press' /run/sandbox/attached
}

# What is typed is echoed; the mark is computed by the guest, so that the echo does not match.
@test "attach -it types on the console and shows the answer" {
	attached -t -i
	# shellcheck disable=SC2016 # expanded by the guest
	printf 'echo mark-$((40+2))\n' >&8
	wait_for 20 grep -q 'mark-42' /run/sandbox/attached
	kill $client
}

@test "attach -i takes a pipe, and what the guest says goes on after its end" {
	attached -i
	# shellcheck disable=SC2016 # expanded by the guest
	printf '(sleep 1; echo pipe-$((40+3)))&\n' >&8
	exec 8>&-
	wait_for 20 grep -q 'pipe-43' /run/sandbox/attached
	kill $client
}

as() { # as USER ARGUMENT...: over TLS
	"$CLIENTS/bin/kubectl-1.35" --kubeconfig "/run/sandbox/$1.conf" --cache-dir "/run/sandbox/kube-$1" "${@:2}"
}

@test "the same over TLS: who may view reads logs, who may edit attaches" {
	sfctl kubeconfig --user viewer --output /run/sandbox/viewer.conf
	sfctl kubeconfig --user editor --token --output /run/sandbox/editor.conf
	kubectl create rolebinding viewer --clusterrole=view --user=viewer
	kubectl create rolebinding editor --clusterrole=edit --user=editor
	wait_for 20 as viewer get pod vm
	has "$(as viewer logs vm --tail=200)" 'SF-FACT ready'
	run as viewer attach vm
	[ "$status" -ne 0 ]
	has "$output" 'forbidden.*pods/attach|pods/attach.*forbidden'
	wait_for 20 as editor get pod vm
	kubeconfig=/run/sandbox/editor.conf attached -t -i
	# shellcheck disable=SC2016 # expanded by the guest
	printf 'echo tls-$((40+4))\n' >&8
	wait_for 20 grep -q 'tls-44' /run/sandbox/attached
	# Who is revoked is cut off, also in the middle.
	sfctl certificates revoke "$(sfctl get credentials -o name | sed -n 's|.*/\(editor-.*\)|\1|p')"
	wait_for 20 not kill -0 $client
}

@test "the Python client reads the log, attaches and forwards a port" {
	same "what worked" "log attach portforward" "$("$TOP/tests/e2e/pods.py" $server | paste -sd' ')"
}

@test "what a virtual machine has not is said, with what to use instead" {
	run kubectl exec vm -- ls
	[ "$status" -ne 0 ]
	has "$output" 'kubectl attach -it vm'
	run kubectl port-forward pod/vm 18081:80
	[ "$status" -ne 0 ]
	has "$output" 'sfctl port-forward vm'
	run kubectl delete pod vm
	[ "$status" -ne 0 ]
	has "$output" 'write to instances.shakenfist.io instead'
	domain_runs vm
}

@test "attach to a guest that ends is told so, and ends well" {
	attached
	sfctl stop vm
	wait_for 60 status_is vm Stopped
	wait $client
	run kubectl get pod vm
	has "$output" '^vm +0/1 +Stopped'
	run kubectl attach vm
	[ "$status" -ne 0 ]
	has "$output" 'completed pod|not running'
	sfctl start vm
}

@test "secrets and configmaps of every make" {
	dir=$BATS_TEST_TMPDIR
	printf 'geheim' >"$dir/password"
	printf '\000\377' >"$dir/binary"
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/key" -out "$dir/crt" -subj /CN=x 2>/dev/null
	kubectl create secret generic s1 --from-file="$dir/password" --from-literal=user=me
	kubectl create secret tls s2 --cert="$dir/crt" --key="$dir/key"
	kubectl create secret docker-registry s3 --docker-server=r --docker-username=u --docker-password=geheim
	same "data" geheim "$(kubectl get secret s1 -o 'jsonpath={.data.password}' | base64 -d)"
	has "$(kubectl get secret s2 --no-headers)" '^s2 +kubernetes.io/tls +2 '
	run kubectl describe secret s1
	has "$output" 'password: +6 bytes'
	not grep -q geheim <<<"$output"
	kubectl create configmap c1 --from-file="$dir/binary" --from-literal=a=b
	same "binary" AP8= "$(kubectl get configmap c1 -o 'jsonpath={.binaryData.binary}')"
	has "$(kubectl get configmap c1 --no-headers)" '^c1 +2 '
	kubectl patch configmap c1 -p '{"immutable":true}'
	run kubectl patch configmap c1 -p '{"data":{"a":"c"}}'
	[ "$status" -ne 0 ]
	has "$output" 'field is immutable when `immutable` is set'
	run kubectl create secret tls s4 --cert="$dir/crt" --key="$dir/password"
	[ "$status" -ne 0 ]
	# Nothing confidential has gone into a log.
	journalctl --sync
	not grep -qE 'geheim|Z2VoZWlt' <(journalctl -o cat --no-pager)
}

@test "helm keeps its releases in Secrets, as it does by default" {
	chart=$BATS_TEST_TMPDIR/chart
	mkdir -p "$chart/templates"
	printf 'apiVersion: v2\nname: demo\nversion: 0.1.0\n' >"$chart/Chart.yaml"
	printf 'mode: NAT\n' >"$chart/values.yaml"
	cat >"$chart/templates/network.yaml" <<-'END'
		apiVersion: shakenfist.io/v1alpha1
		kind: Network
		metadata: {name: "{{ .Release.Name }}-net"}
		spec: {cidrs: [10.77.0.0/24], egress: "{{ .Values.mode }}"}
	END
	helm install r1 "$chart"
	helm upgrade r1 "$chart" --set mode=None
	same "egress" None "$(field network r1-net .spec.egress)"
	helm rollback r1 1
	same "egress" NAT "$(field network r1-net .spec.egress)"
	has "$(helm history r1)" '^3 .*deployed .*Rollback to 1'
	has "$(kubectl get secrets --no-headers)" '^sh.helm.release.v1.r1.v1 +helm.sh/release.v1 +1 '
	helm uninstall r1
	wait_for 30 not kubectl get network r1-net
	same "releases" '' "$(kubectl get secrets -l owner=helm -o name)"
}
