#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# People of this machine who are not root: what each may do with a guest, and what they are told otherwise. Everybody may
# connect to the socket; who it is says the kernel.
# Sandbox: --libvirtd --journal

load lib

setup_file() {
	groupadd --system sfd
	groupadd lab
	useradd --no-create-home --groups sfd member
	useradd --no-create-home --groups lab vera # views
	useradd --no-create-home edgar              # edits
	useradd --no-create-home ada                # administrates the namespace
	useradd --no-create-home stranger
	install -m 755 "$BUILD/sfctl" /run/sandbox/sfctl
	chmod 755 /run/sandbox
	e2e_setup
	sfctl apply -f - <<-END
		$(binding vera view Group unix:lab)
		---
		$(binding edgar edit User edgar)
		---
		$(binding ada admin User ada)
	END
	image guest
	network front 10.20.0.0/24
	as edgar apply -f - <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Instance
		metadata: {name: web}
		spec:
		  memory: 128Mi
		  terminationGracePeriodSeconds: 20
		  disks: [{name: root, image: guest, size: 1Gi}]
		  interfaces: [{name: eth0, network: front}]
	END
	guest_up web
}
teardown_file() { e2e_teardown; }

# binding NAME CLUSTERROLE SUBJECT-KIND SUBJECT
binding() {
	cat <<-END
		apiVersion: rbac.authorization.k8s.io/v1
		kind: RoleBinding
		metadata: {name: $1}
		roleRef: {kind: ClusterRole, name: $2}
		subjects: [{kind: $3, name: "$4"}]
	END
}

as() { # as USER SFCTL-ARGUMENT...
	local user=$1
	shift
	(cd / && setpriv --reuid "$user" --regid "$user" --init-groups -- /run/sandbox/sfctl "$@")
}

# may USER ARGUMENT... / refused USER PATTERN ARGUMENT...: with the exit code of "you may not"
may() { as "$@" >/dev/null; }
refused() {
	local user=$1 pattern=$2
	shift 2
	run as "$user" "$@"
	same "exit code of sfctl $* as $user" 8 "$status" || {
		echo "$output" >&2
		return 1
	}
	has "$output" "$pattern"
}

@test "everybody may connect; who is nobody here is told what to do" {
	same "mode of the socket" 666 "$(stat -c %a /run/sfd/sfd.sock)"
	refused stranger 'User "stranger" cannot list resource "instances" in API group "shakenfist.io" in the namespace "default"' get vm
	refused stranger 'kubectl create rolebinding stranger --clusterrole=view --user=stranger --namespace=default.*usermod -aG sfd stranger' get vm
	refused stranger 'clusterrolebinding' get nodes
	may stranger version
	may stranger api-resources
	has "$(as stranger auth whoami)" '^stranger +unix:stranger system:authenticated$'
}

@test "root and the group do everything" {
	may member get secrets
	may member get nodes
	has "$(as member auth whoami)" '^member +system:masters system:authenticated$'
	same "can-i of a member" yes "$(as member auth can-i '*' '*')"
}

@test "view: sees what there is and the log, by a group of this machine; changes nothing, no secret, no console" {
	has "$(as vera get vm)" '^web +Running'
	may vera describe vm web
	as vera logs web | grep -q SF-FACT
	refused vera 'cannot list resource "secrets"' get secrets
	refused vera 'cannot get resource "instances/console"' console web
	refused vera 'cannot create resource "instances/stop"' stop web
	refused vera 'cannot delete resource "instances"' delete vm web
	refused vera 'cannot patch resource "instances"' label vm web a=b
	refused vera 'in the namespace "other"' get vm -n other
	status_is web Running
}

@test "edit: runs and changes instances, types at the console; no roles, no status" {
	may edgar pause web
	may edgar resume web
	may edgar label vm web by=edgar
	may edgar get secrets
	printf '\035' | timeout 20 bash -c 'cd / && exec setpriv --reuid edgar --regid edgar --init-groups -- script -qec "/run/sandbox/sfctl console web" /dev/null' | grep -q .
	refused edgar 'cannot list resource "roles"' get roles
	refused edgar 'cannot list resource "credentials"' get credentials
	run as edgar auth can-i update vm/web --subresource=status
	same "exit code of can-i" 1 "$status"
}

@test "admin: gives others what he has, and no more; taking it back works at once" {
	as ada apply -f - < <(binding stranger view User stranger)
	may stranger get vm
	run as ada apply -f - < <(binding evil cluster-admin User ada)
	has "$output" 'is attempting to grant RBAC permissions not currently held'
	as ada delete rolebinding stranger
	refused stranger 'cannot list' get vm
}

@test "a group that is joined counts from the next login on" {
	refused stranger 'cannot list' get vm
	usermod -aG lab stranger
	may stranger get vm
	gpasswd -d stranger lab
	refused stranger 'cannot list' get vm
}

@test "a restart of sfd changes none of it" {
	sfd_kill
	sfd_start
	may vera get vm
	refused vera 'cannot list resource "secrets"' get secrets
	refused stranger 'cannot list' get vm
}
