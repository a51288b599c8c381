#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The journal tells the story of each object: every event is an entry with the object's fields and a catalog id, found by
# them and explained by journalctl -x. Nothing that a user writes can make a field of its own.
# Sandbox: --libvirtd --journal

load lib

setup_file() {
	mkdir -p /usr/local/lib/systemd/catalog
	cp "$TOP/systemd/sfd.catalog" /usr/local/lib/systemd/catalog/
	journalctl --update-catalog
	e2e_setup
	image guest
	network front 10.20.0.0/24
	# Nothing to boot from: it sits in its firmware, which is enough of a guest here.
	apply <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Instance
		metadata: {name: web-1}
		spec:
		  memory: 128Mi
		  terminationGracePeriodSeconds: 1
		  disks: [{name: root, size: 1Gi}]
		  interfaces: [{name: eth0, network: front}]
	END
	wait_for 30 status_is web-1 Running
	sfctl wait image guest --timeout=60s
}
teardown_file() { e2e_teardown; }

# entries MATCH...: one JSON object a line.
entries() {
	journalctl --sync
	journalctl -o json "$@"
}

@test "every event has its object's fields, a reason and a catalog id" {
	for object in Instance/web-1 Network/front Image/guest; do
		kind=${object%/*} name=${object#*/}
		story=$(entries SF_KIND="$kind" SF_NAME="$name" SF_NAMESPACE=default)
		[ -n "$story" ]
		same "$object: incomplete" "" "$(jq -c --arg uid "$(uid "$name" "${kind,,}")" 'select(.SF_UID != $uid or
			(.SF_REASON | type) != "string" or (.MESSAGE_ID | test("^[0-9a-f]{32}$") | not))' <<<"$story")"
	done
	has "$(entries SF_KIND=Node SF_NAME=sandbox)" '"SF_REASON":"NodeReady"'
}

@test "the journal has what the API has: every Event once, with the same text" {
	want=$(sfctl get events -o json | jq -r '.items[] | "\(.involvedObject.name) \(.reason) \(.message)"' | sort -u)
	got=$(entries _COMM=sfd | jq -r 'select(.MESSAGE_ID) | "\(.SF_NAME) \(.SF_REASON) \(.MESSAGE |
		sub("^[^:]*: [^:]*: "; ""))"' | sort -u)
	[ -n "$want" ]
	same "events that are not in the journal" "" "$(comm -23 <(echo "$want") <(echo "$got"))"
}

@test "journalctl SF_NAME=web-1 tells the life of the instance, in order" {
	sfctl delete instance web-1 --timeout=60s
	reasons=$(entries SF_NAME=web-1 SF_KIND=Instance | jq -r .SF_REASON | paste -sd ' ')
	has "$reasons" 'AddressAssigned.* Created Started .*Deleted'
}

@test "journalctl -x explains each of them" {
	told=$(journalctl -x SF_NAME=web-1)
	for subject in 'was created' 'was started' 'was deleted'; do
		has "$told" "Subject: Instance default/web-1 $subject"
	done
	has "$told" 'Documentation: man:sfd\(8\)'
	not has "$told" '@SF_[A-Z]+@' 2>/dev/null
	has "$(journalctl -x SF_NAME=guest)" 'Subject: Image default/guest is in the cache'
}

@test "the catalog knows every id that sfd writes" {
	for id in $(entries _COMM=sfd | jq -r '.MESSAGE_ID // empty' | sort -u); do
		journalctl --dump-catalog "$id" | grep -q 'Defined-By: Shaken Fist'
	done
}

@test "a warning is a warning: a failure has its priority and names its cause" {
	apply <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Image
		metadata: {name: broken}
		spec: {source: {url: "$IMAGE_URL.missing"}}
	END
	wait_for 20 eval '[ -n "$(entries SF_NAME=broken SF_REASON=FetchFailed)" ]'
	entry=$(entries SF_NAME=broken SF_REASON=FetchFailed | tail -n 1)
	same priority 4 "$(jq -r .PRIORITY <<<"$entry")"
	has "$(jq -r .MESSAGE <<<"$entry")" 404
	sfctl delete image broken
}

@test "no user's text makes a field" {
	apply <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Image
		metadata: {name: sly}
		spec: {source: {url: "http://127.0.0.1:8099/a%0ASF_UID=forged"}}
	END
	wait_for 20 eval '[ -n "$(entries SF_NAME=sly SF_REASON=FetchFailed)" ]'
	same forged "" "$(entries SF_UID=forged)"
	sfctl delete image sly
}
