# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the conformance suite shares: sfd, its kubeconfig, and the clients on PATH, under the names that people type.
# The rest (waiting, guests, the image server) is the end-to-end tests'.

# shellcheck source=tests/e2e/lib.bash
. "$TOP/tests/e2e/lib.bash"
API=http://127.0.0.1:6443
mkdir -p "$HOME/bin" "$HOME/work"
ln -sf "$CLIENTS/bin/kubectl-${KUBECTL_CLIENT:-1.35}" "$HOME/bin/kubectl"
ln -sf "$CLIENTS/bin/helm" "$HOME/bin/helm"
PATH=$HOME/bin:$PATH
unset KUBECONFIG
cd "$HOME/work" || exit

# Without a journal its words go to a file beside the logs.
sfd_up() {
	kubeconfig_write
	# shellcheck disable=SC2086 # options are words
	if [ -S /run/systemd/journal/socket ]; then
		sfd_start --listen unix:/run/sfd/sfd.sock --listen "tcp:${API#http://}" $SFD_OPTIONS
	else
		service_spawn sfd "$BUILD/sfd" --virt-type qemu --image-allow-loopback \
			--listen unix:/run/sfd/sfd.sock --listen "tcp:${API#http://}" $SFD_OPTIONS && sfd_ready
	fi || return
	# What sfctl kubeconfig reads is written by a controller.
	case $SFD_OPTIONS in
	*cluster-info*) wait_for 10 kubectl get configmap cluster-info -n kube-public ;;
	esac
}
sfd_restart() { sfd_stop && sfd_up; }

# client-node takes plain HTTP only with skipTLSVerify.
kubeconfig_write() {
	[ -e "$HOME/.kube/config" ] && return
	mkdir -p "$HOME/.kube"
	cat >"$HOME/.kube/config" <<-END
		apiVersion: v1
		kind: Config
		clusters: [{name: sf, cluster: {server: "$API", insecure-skip-tls-verify: true}}]
		users: [{name: me, user: {}}]
		contexts: [{name: sf, context: {cluster: sf, user: me}}]
		current-context: sf
	END
}

# vm NAME [LABELS] [SPEC-LINES]: an Instance that does not run, as a manifest.
vm() {
	cat <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Instance
		metadata:
		  name: $1
		  labels: {${2:-}}
		spec:
		  runStrategy: Halted
		  cpus: 1
		  memory: 128Mi
		  disks:
		  - {name: root, size: 1Gi}
		${3:-}
	END
}

# Waits until somebody watches, for what is to happen before their eyes.
is_watched() { curl -fsS "$API/metrics" | grep -E '^apiserver_longrunning_requests\{.*verb="WATCH"' | grep -qv ' 0$'; }
watched() { wait_for 10 is_watched; }
