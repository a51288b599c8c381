# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the figures of hack/bench share. A figure is an executable tests/bench/NAME that hack/bench runs in a sandbox of
# its own (tests/lib/sandbox --libvirtd --journal --disk) with TOP, BUILD, PAIRS, BENCH_ROWS and, for a short look,
# QUICK=true in the environment. It appends a row for each thing that it measured; what is a row of the table is
# compared with its goal by report.py. It fails when it could not measure, not when a goal is missed.
#
# The programs tests/bench/*.c write rows too: bench_row() of bench.h.

# shellcheck source=tests/e2e/lib.bash
. "$TOP/tests/e2e/lib.bash"
work=/var/lib/sfd/bench # on the disk of the store
mkdir -m 0711 -p $work

# row NAME VALUE UNIT [PEER THEIRS] [GOAL]: GOAL is "value <= 500" or "ratio >= 2", the ratio being VALUE / THEIRS; each of
# these is a number, of one run, or what spread() gives.
row() { row_append false "$@"; }
# The same for what is among the raw numbers only.
detail() { row_append true "$@"; }

row_append() {
	local detail=$1 name=$2 value=$3 unit=$4 peer='' theirs=0 goal=''
	case $# in
	4) ;;
	5) goal=$5 ;;
	*) peer=$5 theirs=$6 goal=${7:-} ;;
	esac
	jq -cn --argjson detail "$detail" --arg name "$name" --argjson value "$value" --arg unit "$unit" --arg peer "$peer" \
		--argjson theirs "$theirs" --arg goal "$goal" '
			def sample: if type == "number" then {median: ., runs: 1} else . end;
			{name: $name, unit: $unit, ours: ($value | sample)}
			+ if $peer == "" then {} else ($theirs | sample) as $theirs
			  | {peer: $peer, theirs: $theirs, ratio: (($value | sample).median / $theirs.median)} end
			+ if $goal == "" then {} else {goal: $goal} end + if $detail then {detail: true} else {} end' \
		>>"$BENCH_ROWS" || exit 2
	tail -n 1 "$BENCH_ROWS" | jq -r '[.name, .ours.median, .unit, if .peer then " beside it: \(.peer): \(.theirs.median)" else "" end] | @tsv' |
		while IFS=$'\t' read -r name value unit peer; do printf '  %-44s %10s %-5s%s\n' "$name" "$value" "$unit" "$peer"; done
}

# point SERIES UNIT N VALUE: of the picture.
point() {
	jq -cn --arg series "$1" --arg unit "$2" --argjson x "$3" --argjson y "$4" '$ARGS.named' >>"$BENCH_ROWS" || exit 2
}

# spread COLUMN FILE [DIVISOR]: median, 10th and 90th percentile, and how many there were.
spread() {
	sort -n -k "$1,$1" "$2" | awk -v k="$1" -v by="${3:-1}" '
		function at(q, i) { i = int(NR * q + 0.5); return v[i < 1 ? 1 : i] / by }
		{ v[NR] = $k }
		END { printf "{\"median\":%.6g,\"low\":%.6g,\"high\":%.6g,\"runs\":%d}", at(0.5), at(0.1), at(0.9), NR }'
}
median() { sort -n -k "$1,$1" "$2" | awk -v k="$1" '{ v[NR] = $k } END { print v[int((NR + 1) / 2)] }'; } # median COLUMN FILE
pss() { awk '/^Pss:/ { printf "%.1f", $2 / 1024 }' "/proc/$1/smaps_rollup"; }
metric() { curl -sS --unix-socket /run/sfd/sfd.sock http://localhost/metrics | awk -v n="$1" '$1 == n { print $2 }'; }

# sfctl wait, which tells how it goes only when it went wrong.
wait_until() {
	sfctl wait "$@" >$work/wait.log 2>&1 && return
	cat $work/wait.log >&2
	exit 2
}

# Twice the same revision, two seconds apart.
settled() {
	local r
	r=$(metric sf_store_revision) && sleep 2 && [ "$r" = "$(metric sf_store_revision)" ]
}

# A network (of $CIDR) and an image that is cached: what an Instance needs.
base_apply() {
	image_server_start || exit 2
	cat >$work/base.yaml <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Network
		metadata: {name: front}
		spec:
		  cidrs: [${CIDR:-10.20.0.0/24}]
		  dns: {domain: lab.internal}
		---
		apiVersion: shakenfist.io/v1alpha1
		kind: Image
		metadata: {name: guest}
		spec:
		  source: {url: "$IMAGE_URL"}
	END
	sfctl apply -f $work/base.yaml >/dev/null || exit 2
	wait_until --for=condition=Ready network/front image/guest --timeout=60s
}

document() { # document NAME RUNSTRATEGY
	cat <<-END
		---
		apiVersion: shakenfist.io/v1alpha1
		kind: Instance
		metadata: {name: $1}
		spec:
		  runStrategy: $2
		  memory: 128Mi
		  terminationGracePeriodSeconds: 0
		  disks: [{name: root, image: guest, size: 1Gi}]
		  interfaces: [{name: eth0, network: front}]
	END
}
