# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the end-to-end tests share: sfd in the background, waiting with a deadline, manifests, a hand inside of guests,
# and the proof that nothing is left. Every wait has a deadline and says what it waited for.
#
# Guests run under emulation on few cores: deadlines are far above what is usual, and no test measures time by them.

PATH=$BUILD:$PATH
unset SFD_NAMESPACE
export IMAGE_URL=http://127.0.0.1:8099/guest.qcow2
CLIENTS=${CLIENTS:-$TOP/build/clients}
BOOT=${BOOT:-90} # seconds for a guest to be up
# shellcheck source=tests/lib/services.bash
. "$TOP/tests/lib/services.bash"

# ---- waiting ---------------------------------------------------------------------------------------------------

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || {
			echo "not within the deadline: $*" >&2
			"$@" >&2 || :
			return 1
		}
		sleep 0.1
	done
}

not() { ! "$@"; }

# same WHAT EXPECTED GOT
same() {
	[ "$2" = "$3" ] && return
	printf '%s: expected "%s", got "%s"\n' "$1" "$2" "$3" >&2
	return 1
}

# has TEXT PATTERN (extended regular expression)
has() {
	grep -qE -- "$2" <<<"$1" && return
	printf 'no match for "%s" in:\n%s\n' "$2" "$1" >&2
	return 1
}

# ---- sfd -------------------------------------------------------------------------------------------------------

# As under systemd: standard error is the journal, and JOURNAL_STREAM says so.
sfd_start() {
	(
		exec 3>&- 4>&-
		# shellcheck disable=SC2016 # expanded by the inner shell
		setsid -f systemd-cat -t sfd bash -c 'echo $$ >/run/sandbox/sfd.pid
			JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@"' - \
			"$BUILD/sfd" --virt-type qemu --image-allow-loopback "$@" </dev/null
	)
	sfd_ready
}

sfd_ready() { wait_for 30 curl -fsS --unix-socket /run/sfd/sfd.sock http://localhost/readyz; }
sfd_pid() { cat /run/sandbox/sfd.pid; }
sfd_kill() { service_kill sfd; }
sfd_stop() { service_stop sfd; }
net_role_pid() { pgrep -f -- '--role=net' | head -n 1; }

image_server_start() {
	local www=/run/sandbox/www
	mkdir -p $www
	[ -e $www/guest.qcow2 ] || ln -s "$TOP/build/guest/guest.qcow2" $www/guest.qcow2
	(cd $www && sha256sum guest.qcow2 >SHA256SUMS)
	(
		exec >/dev/null 2>&1 </dev/null 3>&- 4>&-
		setsid -f bash -c 'echo $$ >/run/sandbox/images.pid; exec busybox httpd -f -p 127.0.0.1:8099 -h /run/sandbox/www'
	)
	wait_for 10 curl -fsSI $IMAGE_URL
}

# For setup_file and teardown_file.
e2e_setup() {
	image_server_start
	sfd_start "$@"
}

e2e_teardown() {
	if [ -n "${E2E_LOGS:-}" ]; then
		rm -rf "$E2E_LOGS"
		mkdir -p "$E2E_LOGS"
		cp /var/log/libvirt/*.log /var/log/libvirt/*.out "$E2E_LOGS/" 2>/dev/null
		cp -r /var/log/libvirt/qemu "$E2E_LOGS/qemu" 2>/dev/null
		sfctl get all,events -A -o wide >"$E2E_LOGS/objects" 2>&1
		journalctl --sync
		journalctl -o short-monotonic --no-pager >"$E2E_LOGS/journal" 2>&1
	fi
	sfd_stop
}

# ---- objects ---------------------------------------------------------------------------------------------------

apply() { sfctl apply -f - "$@"; }

image() { # image NAME
	apply <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Image
		metadata: {name: $1}
		spec: {source: {url: "$IMAGE_URL"}}
	END
}

network() { # network NAME CIDR [CIDR6] [EXTRA-LINES]
	apply <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Network
		metadata: {name: $1}
		spec:
		  cidrs: ["$2"${3:+, "$3"}]
		  dns: {domain: lab.internal}
		  ${4:-egress: NAT}
	END
}

# instance NAME NETWORK [INTERFACE-FIELDS] [SPEC-LINE]; the image is "guest".
instance() {
	apply <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Instance
		metadata: {name: $1}
		spec:
		  memory: 128Mi
		  terminationGracePeriodSeconds: 20
		  disks: [{name: root, image: guest, size: 1Gi}]
		  interfaces: [{name: eth0, network: $2${3:+, $3}}]
		  ${4:-runStrategy: Always}
	END
}

field() { sfctl get "$1" "$2" -o "jsonpath={$3}" 2>/dev/null; } # field KIND NAME JSONPATH
field_is() { [ "$(field "$1" "$2" "$3")" = "$4" ]; }
status_is() { field_is instance "$1" .status.printableStatus "$2"; }
address() { field instance "$1" '.status.interfaces[0].addresses[0]'; }
condition() { field "$1" "$2" ".status.conditions[?(@.type==\"$3\")].$4"; } # condition KIND NAME TYPE status|reason|message
condition_has() { grep -qE -- "$5" <<<"$(condition "$1" "$2" "$3" "$4")"; }
uid() { field "${2:-instance}" "$1" .metadata.uid; }
qemu_pid() { cat "/run/libvirt/qemu/${2:-default}.$1.pid"; }
domain_state() { virsh -q domstate "${2:-default}.$1" 2>/dev/null; }
domain_runs() { [ "$(domain_state "$1")" = running ]; }

# ---- guests ----------------------------------------------------------------------------------------------------

console_has() { sfctl logs "$1" | tr -d '\r' | grep -qE -- "$2"; }
fact() { sfctl logs "$1" | tr -d '\r' | grep -E "^SF-FACT $2" | tail -n 1; }
guest_up() { wait_for "${2:-$BOOT}" console_has "$1" '^SF-FACT ready'; }
guests_up() { local i; for i; do guest_up "$i" || return; done; }

# guest_run INSTANCE SCRIPT: runs it in the guest, prints its output; succeeds if it does. Comes by the network's router,
# the only place that reaches guests.
guest_run() {
	local net out
	net=$(field instance "$1" '.spec.interfaces[0].network')
	out=$(ip netns exec "sf-$(field network "$net" .status.vni)" \
		curl -sS --max-time 60 --data-binary "$2" "http://$(address "$1")/cgi-bin/run") || return
	printf '%s\n' "$out" | sed '$d'
	[ "$(tail -n 1 <<<"$out")" = rc=0 ]
}

# How often the guest has booted, counted by itself on its disk; 0 before it has told.
boots() {
	local n
	n=$(fact "$1" state | sed -n 's/.* boots=\([0-9]*\) .*/\1/p')
	echo "${n:-0}"
}

# ---- leftovers -------------------------------------------------------------------------------------------------

nothing_left() { "$TOP/tests/prove/invariants" --empty; }

delete_all() {
	sfctl delete instance --all --timeout=120s --ignore-not-found
	sfctl delete network --all --timeout=60s --ignore-not-found
	sfctl delete image --all --timeout=60s --ignore-not-found
}
