#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A kind and a controller of somebody else's, from outside: manifests/examples/fleet with the stock Python client, under
# a user who may do no more than it needs. Guests really run. The kind outlives sfd, and goes with its objects.
# Sandbox: --libvirtd --journal

load lib

server=http://127.0.0.1:6443
fleet=$TOP/manifests/examples/fleet
kubectl() { "$CLIENTS/bin/kubectl-1.35" -s $server --cache-dir /run/sandbox/kube "$@"; }

controller_start() {
	(
		exec 3>&- 4>&-
		setsid -f bash -c 'echo $$ >/run/sandbox/controller.pid
			exec "$@" >>/run/sandbox/controller.log 2>&1' - \
			"$fleet/controller.py" --kubeconfig /run/sandbox/fleet.kubeconfig </dev/null
	)
}
controller_stop() { service_stop controller; }

setup_file() {
	export HOME=/run/sandbox
	e2e_setup --listen unix:/run/sfd/sfd.sock --listen tcp:127.0.0.1:6443 --listen tls:127.0.0.1:6444
	image guest
	kubectl apply -f "$fleet/definition.yaml" -f "$fleet/rbac.yaml"
	kubectl wait --for=condition=Established crd/fleets.example.com --timeout=10s
	sfctl kubeconfig --user fleet-controller >/run/sandbox/fleet.kubeconfig
	controller_start
}
teardown_file() {
	controller_stop
	cp /run/sandbox/controller.log "${E2E_LOGS:-/run/sandbox}/" 2>/dev/null || :
	e2e_teardown
}
setup() { export HOME=/run/sandbox; }

is() { same "$1 of $2" "$3" "$(kubectl get "$2" -o "jsonpath={$1}")"; }
instances() { kubectl get instances -l example.com/fleet=web -o 'jsonpath={.items[*].metadata.name}'; }
instances_are() { [ "$(instances)" = "$1" ]; }

@test "a Fleet becomes Instances that its controller owns" {
	kubectl apply -f "$fleet/web.yaml"
	wait_for 30 instances_are 'web-0 web-1'
	wait_for 30 is .status.replicas fleet/web 2
	same "owner" "$(kubectl get fleet web -o 'jsonpath={.metadata.uid}')" \
		"$(kubectl get instance web-1 -o 'jsonpath={.metadata.ownerReferences[0].uid}')"
	run kubectl get fleets
	has "$output" '^NAME +DESIRED +CURRENT +READY +AGE'
	has "$output" '^web +2 +2 +0 +'
}

@test "scaling it makes and deletes Instances" {
	kubectl scale fleet/web --replicas=3
	wait_for 30 instances_are 'web-0 web-1 web-2'
	kubectl scale fleet/web --replicas=1
	wait_for 60 instances_are 'web-0'
	wait_for 30 is .status.replicas fleet/web 1
}

@test "a guest made from a changed template runs; what one cannot take is told" {
	kubectl patch fleet/web --type=merge -p '{"spec":{"replicas":2,"template":{"spec":{"runStrategy":"Always",
		"disks":[{"name":"root","size":"1Gi","image":"guest"}]}}}}'
	wait_for 30 instances_are 'web-0 web-1'
	guest_up web-1
	wait_for 30 is .status.readyReplicas fleet/web 1
	# The disk of the first one was made from nothing, and an image is for life.
	is '.status.conditions[0].reason' fleet/web Blocked
	has "$(condition fleet web Ready message)" 'Instance.shakenfist.io "web-0" is invalid: spec.disks'
	# Not waited for: its successor of the same name comes at once, and kubectl would wait for that one's end.
	kubectl delete instance web-0 --wait=false
	wait_for 60 is '.status.conditions[0].status' fleet/web True
	wait_for 60 is .status.readyReplicas fleet/web 2
}

@test "what is wrong with a template is told by the Instance's rules, and with a Fleet by its schema" {
	kubectl apply -f - <<-END
		apiVersion: example.com/v1
		kind: Fleet
		metadata: {name: bad}
		spec: {template: {spec: {cpus: -1, disks: [{name: root, size: 1Gi}]}}}
	END
	wait_for 30 condition_has fleet bad Ready message 'spec.cpus: Invalid value: -1'
	kubectl delete fleet/bad
	run kubectl apply -f - <<-END
		apiVersion: example.com/v1
		kind: Fleet
		metadata: {name: worse}
		spec: {replicas: many}
	END
	[ "$status" -eq 1 ]
	has "$output" 'spec.template: Required value'
	has "$output" 'spec.replicas: Invalid value: "many"'
}

@test "the controller's user may do no more than it needs" {
	local kubeconfig=/run/sandbox/fleet.kubeconfig
	run "$CLIENTS/bin/kubectl-1.35" --kubeconfig $kubeconfig --cache-dir /run/sandbox/kube2 auth can-i patch fleets --subresource=status
	same "status" yes "$output"
	run "$CLIENTS/bin/kubectl-1.35" --kubeconfig $kubeconfig --cache-dir /run/sandbox/kube2 delete fleet web
	[ "$status" -eq 1 ]
	has "$output" 'User "fleet-controller" cannot delete resource "fleets" in API group "example.com"'
}

@test "the kind is there at once after a restart of sfd, and the controller goes on" {
	sfd_kill
	sfd_start --listen unix:/run/sfd/sfd.sock --listen tcp:127.0.0.1:6443 --listen tls:127.0.0.1:6444
	is .spec.replicas fleet/web 2
	kubectl scale fleet/web --replicas=3
	wait_for 60 instances_are 'web-0 web-1 web-2'
}

@test "what happened while the controller was away is made up for" {
	controller_stop
	kubectl delete instance web-2
	kubectl scale fleet/web --replicas=2
	controller_start
	wait_for 60 is .status.observedGeneration fleet/web "$(kubectl get fleet web -o 'jsonpath={.metadata.generation}')"
	instances_are 'web-0 web-1'
}

@test "deleting the definition deletes Fleets, and they their Instances" {
	kubectl delete crd fleets.example.com --timeout=60s
	run kubectl get fleets
	[ "$status" -eq 1 ]
	has "$output" 'the server could not find the requested resource'
	wait_for 120 instances_are ''
	wait_for 60 not qemu_pid web-1
}
