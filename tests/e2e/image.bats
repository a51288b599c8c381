#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Images from sources that go away, lie, stall or are hostile; one download for many users; resume after a restart.
# Sandbox: --libvirtd --journal --outside

load lib

setup_file() {
	e2e_setup
	sha=$(sha256sum <"$TOP/build/guest/guest.qcow2" | cut -d' ' -f1)
	echo "$sha" >/run/sandbox/sha
	printf '%s  guest.qcow2\n' "$sha" >/run/sandbox/www/SHA256SUMS
	network front 10.20.0.0/24
}
teardown_file() { e2e_teardown; }

source_image() { # source_image NAME URL [EXTRA]
	apply <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Image
		metadata: {name: $1}
		spec: {source: {url: "$2"${3:+, $3}}}
	END
}
ready() { condition_has image "$1" Ready status True; }

# A server that sends the first 3 MiB, the rest in drops until /run/sandbox/fast is there, and notes its requests.
slow_server() {
	cat >/run/sandbox/slow <<-'END'
		#!/bin/sh
		read -r line; from=0
		while read -r h; do h=${h%?}; case $h in '') break ;; [Rr]ange:*) from=${h##*=}; from=${from%-*} ;; esac; done
		echo "$line $from" >>/run/sandbox/slow.log
		size=$(stat -L -c %s /run/sandbox/www/guest.qcow2)
		if [ "$from" -gt 0 ]; then
			printf 'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\n' $from $((size - 1)) $size
		else printf 'HTTP/1.1 200 OK\r\n'; fi
		printf 'ETag: "one"\r\nAccept-Ranges: bytes\r\nContent-Length: %d\r\nConnection: close\r\n\r\n' $((size - from))
		tail -c +$((from + 1)) /run/sandbox/www/guest.qcow2 | {
			dd bs=65536 count=48 iflag=fullblock 2>/dev/null
			until [ -e /run/sandbox/fast ]; do dd bs=32768 count=1 iflag=fullblock 2>/dev/null && sleep 0.2; done
			cat
		}
	END
	chmod +x /run/sandbox/slow
	setsid -f socat TCP-LISTEN:8098,bind=127.0.0.1,reuseaddr,fork EXEC:/run/sandbox/slow >/dev/null 2>&1 </dev/null 3>&- 4>&-
	wait_for 10 bash -c 'exec 9<>/dev/tcp/127.0.0.1/8098'
	rm -f /run/sandbox/slow.log
}

@test "a checksum, inline and from a file, is honoured" {
	source_image inline $IMAGE_URL "checksum: \"sha256:$(cat /run/sandbox/sha)\""
	source_image file $IMAGE_URL 'checksumURL: "http://127.0.0.1:8099/SHA256SUMS"'
	wait_for 60 ready inline
	wait_for 60 ready file
	same "one content" 1 "$(find /var/lib/sfd/images -name '*.qcow2' | wc -l)"
	same digest "$(field image inline .status.digest)" "$(field image file .status.digest)"
}

@test "a wrong checksum: never used, and told with both values" {
	source_image wrong $IMAGE_URL "checksum: \"sha256:$(printf '0%.0s' {1..64})\""
	wait_for 30 condition_has image wrong Ready message "$(cat /run/sandbox/sha)|checksum"
	same status False "$(condition image wrong Ready status)"
	sfctl events --for image/wrong | grep -q FetchFailed
	sfctl delete image wrong
	source_image guest $IMAGE_URL "checksum: \"sha256:$(cat /run/sandbox/sha)\""
	wait_for 60 ready guest
}

@test "the source disappears: what is cached is used on, also for new guests" {
	instance one front
	guest_up one
	service_kill images
	apply <<-END
		apiVersion: shakenfist.io/v1alpha1
		kind: Image
		metadata: {name: guest}
		spec: {pullPolicy: Always, source: {url: "$IMAGE_URL", checksum: "sha256:$(cat /run/sandbox/sha)"}}
	END
	instance two front
	guest_up two
	status_is one Running
	ready guest
	image_server_start
}

@test "what does not answer, is no image, or may not be asked is told" {
	source_image gone http://127.0.0.1:8099/none.qcow2
	source_image refused http://127.0.0.1:1/x.qcow2
	echo '<html>not an image</html>' >/run/sandbox/www/page.qcow2
	source_image page http://127.0.0.1:8099/page.qcow2
	wait_for 30 condition_has image gone Ready message '404'
	wait_for 30 condition_has image refused Ready message '127\.0\.0\.1|connect|refused'
	sfctl delete image gone refused page
	run source_image file 'file:///etc/passwd'
	if [ "$status" -eq 0 ]; then
		wait_for 20 condition_has image file Ready status False
		sfctl delete image file
	fi
}

@test "an image with a backing file is refused before any tool opens it" {
	echo content-of-a-host-file >/run/sandbox/secret
	qemu-img create -q -f qcow2 -b /run/sandbox/secret -F raw /run/sandbox/www/evil.qcow2 1M
	source_image evil http://127.0.0.1:8099/evil.qcow2
	wait_for 30 condition_has image evil Ready message 'backing'
	not grep -rqs content-of-a-host-file /var/lib/sfd/images
	sfctl delete image evil
}

@test "progress is told; a restart of sfd resumes; many users share one download" {
	slow_server
	source_image slow http://127.0.0.1:8098/guest.qcow2
	source_image slow2 http://127.0.0.1:8098/guest.qcow2
	wait_for 30 eval '[ "$(field image slow .status.progress.bytes)" -gt 1000000 ]'
	same total "$(stat -L -c %s "$TOP/build/guest/guest.qcow2")" "$(field image slow .status.progress.total)"
	same downloads 1 "$(grep -c GET /run/sandbox/slow.log)"
	sfd_kill
	wait_for 10 not pgrep -f -- '--role=fetch' # it ends with its parent
	: >/run/sandbox/fast
	sfd_start
	wait_for 60 ready slow
	wait_for 60 ready slow2
	has "$(tail -n 1 /run/sandbox/slow.log)" ' [1-9][0-9]{5,}$' # it went on where it stood
	same digest "$(field image inline .status.digest)" "$(field image slow .status.digest)"
	sfctl delete image slow slow2
}

@test "loopback and link-local sources are refused when not allowed for tests" {
	sfd_stop
	setsid -f systemd-cat -t sfd bash -c 'echo $$ >/run/sandbox/sfd.pid; exec "$@"' - "$BUILD/sfd" --virt-type qemu \
		</dev/null 3>&- 4>&-
	sfd_ready
	for url in http://127.0.0.1:8099/guest.qcow2?1 http://127.1:8099/x 'http://[::ffff:127.0.0.1]:8099/x' \
		http://2130706433:8099/x http://169.254.169.254/x; do
		source_image inner "$url" || continue
		wait_for 30 condition_has image inner Ready message 'not allowed|refused|forbidden|loopback|link-local|address'
		same status False "$(condition image inner Ready status)"
		sfctl delete image inner
	done
	sfd_stop
	sfd_start
}

@test "everything goes, nothing is left" {
	delete_all
	wait_for 30 nothing_left
}
