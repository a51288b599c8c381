#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Reaching sfd over TLS as a person does: sfctl kubeconfig, kubectl and sfctl with it, certificates listed, renewed and
# revoked; what a restart keeps; what sfd --check says; errors of people who come with the wrong thing.
# Sandbox: --libvirtd --journal

load lib

conf=/run/sandbox/conf

setup_file() {
	mkdir -p /run/sandbox/conf
	sfd_start --listen unix:/run/sfd/sfd.sock --listen tls:127.0.0.1:6444 --tls-san sfd.lab.internal --log-level debug
	wait_for 20 sfctl get configmap cluster-info -n kube-public
}

teardown_file() { e2e_teardown; }

kube() { # kube CONFIG ARGUMENT...
	"$CLIENTS/bin/kubectl-1.35" --kubeconfig "$conf/$1" --cache-dir "/run/sandbox/kube-cache" "${@:2}"
}

# The name is in the certificate but in no DNS of the sandbox.
at_localhost() { sed -i 's,https://sfd.lab.internal:,https://localhost:,' "$conf/$1"; }

config() { # config NAME ARGUMENT...
	sfctl kubeconfig --output "$conf/$1" "${@:2}"
	at_localhost "$1"
}

name_of() { sfctl certificates -o json | jq -r --arg u "$1" '.items[] | select(.spec.user == $u) | .metadata.name' | tail -n 1; }

@test "files of the CA are root's alone" {
	same "modes" '700 600 600 600 600' "$(stat -c %a /var/lib/sfd/pki /var/lib/sfd/pki/{ca,server}.{crt,key} | xargs)"
	openssl verify -CAfile /var/lib/sfd/pki/ca.crt /var/lib/sfd/pki/server.crt
	names=$(openssl x509 -in /var/lib/sfd/pki/server.crt -noout -ext subjectAltName)
	has "$names" 'DNS:sfd.lab.internal'
	has "$names" 'DNS:localhost'
	has "$names" 'IP Address:127.0.0.1'
}

@test "an administrator's kubeconfig is an administrator's, and works at once" {
	(umask 022 && sfctl kubeconfig >$conf/admin 2>$conf/said)
	same "mode of the file" 600 "$(stat -c %a $conf/admin)"
	has "$(cat $conf/said)" '^credential root-[a-z0-9]{5}: user "root", groups system:masters, valid for 365d'
	has "$(cat $conf/admin)" 'server: https://sfd.lab.internal:6444'
	at_localhost admin
	has "$(kube admin auth whoami)" 'Username +root'
	has "$(kube admin get namespaces)" '^default +Active'
	kube admin create configmap made --from-literal=a=b
	same "what it made" b "$(sfctl get configmap made -o 'jsonpath={.data.a}')"
	kube admin get credentials -o wide
}

@test "a user with nothing but a name may nothing, until a binding says so" {
	config y --user y --group ops
	has "$(kube y auth whoami)" 'Username +y'
	run kube y get configmaps
	same "exit code" 1 "$status"
	has "$output" 'configmaps is forbidden: User "y" cannot list resource "configmaps"'
	kube admin create rolebinding ops-view --clusterrole=view --group=ops
	wait_for 5 kube y get configmaps
	run kube y delete configmap made
	has "$output" 'cannot delete resource'
	run kube y get credentials
	has "$output" 'cannot list resource "credentials"'
}

@test "a token: it works, is stored as its hash only, and a changed one is refused" {
	config ci --user ci --group system:masters --token --ttl 24h
	token=$(sed -n 's/.*token: //p' $conf/ci)
	has "$token" '^sfp_[0-9A-Za-z]{36}$'
	has "$(kube ci auth whoami)" 'Username +ci'
	hash=$(sfctl get credential "$(name_of ci)" -o 'jsonpath={.spec.tokenHash}')
	same "its hash" "sha256:$(printf %s "$token" | sha256sum | cut -d' ' -f1)" "$hash"
	sed "s/token: .*/token: ${token%?}_/" $conf/ci >$conf/bad
	run kube bad get namespaces
	same "exit code" 1 "$status"
	has "$output" 'You must be logged in to the server \(Unauthorized\)'
	journalctl --sync
	not grep -rq "$token" /var/lib/sfd
	not grep -q "$token" <(journalctl -t sfd -o cat)
}

@test "sfctl itself works over TLS" {
	export KUBECONFIG=$conf/admin
	unset SFD_SERVER
	has "$(sfctl get ns)" '^default +Active'
	has "$(sfctl --kubeconfig $conf/y get configmaps)" '^made '
	run sfctl --kubeconfig $conf/bad get ns
	same "exit code" 8 "$status"
	has "$output" '^error: Unauthorized'
	has "$output" 'has expired or was revoked'
	run sfctl --server https://127.0.0.1:6444 get ns
	same "exit code" 7 "$status"
	has "$output" 'signed by a CA that is not trusted here: CN=sfd CA'
	sfctl certificates ca >$conf/ca.crt
	run sfctl --server https://127.0.0.1:6444 --certificate-authority $conf/ca.crt --tls-server-name example.com get ns
	has "$output" 'is not for "example.com" but for localhost, '
	SFD_TOKEN=$(sed -n 's/.*token: //p' $conf/ci) sfctl --server https://127.0.0.1:6444 \
		--certificate-authority $conf/ca.crt get ns
	run sfctl --context nobody get ns
	has "$output" 'there is no context "nobody"'
	run sfctl console nosuch
	same "exit code of a console over TLS" 3 "$status"
}

@test "certificates: list, renew, revoke; a revoked one is refused and its watch is cut" {
	has "$(sfctl certificates)" '^NAME +USER +GROUPS +KIND +EXPIRES +SERIAL'
	has "$(sfctl certificates)" '^ci-[a-z0-9]+ +ci +system:masters +Token +20.*Z +<none>'
	old=$(name_of y)
	sfctl certificates renew "$old" --revoke -o $conf/y2
	at_localhost y2
	wait_for 5 kube y2 get configmaps
	run kube y get configmaps
	has "$output" 'Unauthorized'
	kube y2 get configmaps -w >/run/sandbox/watched 2>&1 3>&- &
	watcher=$!
	wait_for 10 grep -q made /run/sandbox/watched
	sfctl certificates revoke "$(name_of y)"
	wait_for 10 not kill -0 $watcher
	run kube y2 get configmaps
	has "$output" 'Unauthorized'
	run sfctl certificates revoke nosuch
	same "exit code" 3 "$status"
}

@test "console, logs and port-forward of a guest over TLS; revoking ends them" {
	image_server_start
	network front 10.71.0.0/24
	image guest
	instance web front
	guest_up web
	export KUBECONFIG=$conf/admin
	unset SFD_SERVER
	has "$(sfctl logs web | tr -d '\r')" '^SF-FACT ready'
	timeout 60 python3 "$TOP/tests/e2e/terminal.py" sfctl console web -- \
		'Ctrl-] ends it' $'\r' '/ #' $'echo mark-$((40+2))\r' 'mark-42' $'\x1d' 'The guest goes on'
	printf 'GET /facts HTTP/1.0\r\n\r\n' | timeout 20 sfctl port-forward web --stdio=80 | grep -q 'SF-FACT serving'
	run timeout 20 sfctl port-forward web --stdio=81 </dev/null
	same "exit code where nobody listens" 7 "$status"
	sfctl port-forward web 18080:80 >/run/sandbox/forward.log 2>&1 3>&- 4>&- &
	forward=$!
	wait_for 20 curl -fsS http://127.0.0.1:18080/facts
	for _ in 1 2 3; do
		curl -fsS --max-time 20 http://127.0.0.1:18080/facts | grep -q 'SF-FACT serving'
	done
	# More than any buffer on the way: what is posted is run, and told again.
	head -c 300000 /dev/zero | tr '\0' x | sed 's/^/echo /' >/run/sandbox/big
	same "bytes there and back" 300001 "$(curl -sS --max-time 60 --data-binary @/run/sandbox/big \
		http://127.0.0.1:18080/cgi-bin/run | sed '$d' | wc -c)"
	kill $forward
	config watcher --user watcher --group system:masters
	sfctl --kubeconfig $conf/watcher logs web -f >/run/sandbox/followed 2>&1 3>&- 4>&- &
	follower=$!
	wait_for 20 grep -q 'SF-FACT ready' /run/sandbox/followed
	sfctl certificates revoke "$(name_of watcher)"
	wait_for 10 not kill -0 $follower
	sfctl delete instance web --timeout=120s
}

@test "what is asked wrongly is refused, and leaves nothing" {
	before=$(sfctl certificates -o name | wc -l)
	run sfctl kubeconfig --user system:admin
	same "exit code" 4 "$status"
	has "$output" 'names that begin with "system:" are the server.s own'
	run sfctl kubeconfig --user a --ttl 1m
	same "exit code" 2 "$status"
	run sfctl kubeconfig --user a --token --certificate
	same "exit code" 2 "$status"
	run kube admin create -f - <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Credential
		metadata: {name: both}
		spec: {user: a, request: nonsense, tokenHash: "sha256:abc"}
	END
	has "$output" 'spec.tokenHash'
	same "how many there are" "$before" "$(sfctl certificates -o name | wc -l)"
	run kube admin patch credential "$(name_of ci)" --type=merge -p '{"spec":{"user":"root"}}'
	has "$output" 'field is immutable'
}

@test "the doctor knows the listener and the ends" {
	run sfd --check --listen tls:127.0.0.1:6444
	has "$output" 'ok +TLS +certificates of .*: CA until 20'
	chmod 644 /var/lib/sfd/pki/ca.key
	run sfd --check
	has "$output" 'FAIL +TLS +/var/lib/sfd/pki/ca.key is not root.s alone: .*chmod 600'
	chmod 600 /var/lib/sfd/pki/ca.key
}

@test "a restart keeps the CA, certificates and tokens; what was revoked stays so" {
	ca=$(sha256sum </var/lib/sfd/pki/ca.crt)
	sfd_stop
	sfd_start --listen tls:127.0.0.1:6444 --tls-san sfd.lab.internal
	same "the CA" "$ca" "$(sha256sum </var/lib/sfd/pki/ca.crt)"
	kube admin get ns
	kube ci get ns
	run kube y2 get ns
	has "$output" 'Unauthorized'
}

@test "a broken file of the CA stops the start and is named" {
	sfd_stop
	cp /var/lib/sfd/pki/ca.key /run/sandbox/ca.key
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out /var/lib/sfd/pki/ca.key
	run timeout 20 sfd --virt-type qemu --listen tls:127.0.0.1:6444
	has "$output" '/var/lib/sfd/pki/ca.key is not the key of ca.crt: put the pair back'
	cp /run/sandbox/ca.key /var/lib/sfd/pki/ca.key
	run timeout 20 sfd --virt-type qemu --listen tcp:0.0.0.0:6444
	has "$output" 'plain TCP is for loopback addresses only, not 0.0.0.0:6444: use tls:0.0.0.0:6444'
	sfd_start
}
