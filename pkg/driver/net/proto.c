/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values and frames of the net role's protocol. See proto.h.
 */
#include "driver/net/proto.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "json/json.h"

#define READ_CHUNK 65536

/* ---- values ---- */

static json_t *address_encode(const IpAddress *a)
{
	char text[IP_TEXT_MAX];

	return a->family ? json_string(ip_format(a, text)) : json_null();
}

static json_t *prefix_encode(const IpPrefix *p)
{
	char text[IP_TEXT_MAX];

	return p->address.family ? json_string(ip_prefix_format(p, text)) : json_null();
}

static json_t *addresses_encode(const IpAddress *a, size_t n)
{
	json_t *v = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(v, address_encode(&a[i]));
	return v;
}

static json_t *port_encode(const NetworkPort *p)
{
	char mac[MAC_TEXT_MAX];

	return json_pack("{s:I, s:s, s:s, s:s, s:o, s:b}", "id", (json_int_t)p->id, "uid", p->uid,
			 "hostname", p->hostname, "mac", mac_format(&p->mac, mac), "addresses",
			 addresses_encode(p->addresses, p->n_addresses), "multiQueue",
			 p->multi_queue);
}

json_t *proto_config_encode(const NetworkConfig *c)
{
	json_t *ports = json_array();

	for (size_t i = 0; i < c->n_ports; i++)
		json_array_append_new(ports, port_encode(&c->ports[i]));
	return json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:I, s:b, s:b, s:s, s:o, s:i, s:o}",
			 "store", c->store_id, "uid", c->uid, "vni", (json_int_t)c->vni, "prefix4",
			 prefix_encode(&c->prefix4), "prefix6", prefix_encode(&c->prefix6),
			 "gateway4", address_encode(&c->gateway4), "gateway6",
			 address_encode(&c->gateway6), "mtu", (json_int_t)c->mtu, "dhcp", c->dhcp,
			 "dns", c->dns, "domain", c->domain, "upstreams",
			 addresses_encode(c->upstreams, c->n_upstreams), "egress", (int)c->egress,
			 "ports", ports);
}

static int malformed(Error *err, const char *what)
{
	return error_set(err, ERR_INVALID, "net protocol: %s", what);
}

/* false if it does not fit or holds anything but one string. */
static bool string_into(const json_t *v, char *to, size_t size)
{
	if (!json_is_string(v) || json_string_length(v) >= size ||
	    strlen(json_string_value(v)) != json_string_length(v))
		return false;
	memcpy(to, json_string_value(v), json_string_length(v) + 1);
	return true;
}

static int address_decode(const json_t *v, IpAddress *ret, Error *err)
{
	char text[IP_TEXT_MAX];

	if (json_is_null(v)) {
		*ret = (IpAddress){ 0 };
		return 0;
	}
	if (!string_into(v, text, sizeof(text)))
		return malformed(err, "bad address");
	return ip_parse(text, ret, err);
}

static int prefix_decode(const json_t *v, IpPrefix *ret, Error *err)
{
	char text[IP_TEXT_MAX];

	if (json_is_null(v)) {
		*ret = (IpPrefix){ 0 };
		return 0;
	}
	if (!string_into(v, text, sizeof(text)))
		return malformed(err, "bad prefix");
	return ip_prefix_parse(text, ret, err);
}

static int addresses_decode(const json_t *v, IpAddress *to, size_t max, size_t *ret_n, Error *err)
{
	if (!json_is_array(v) || json_array_size(v) > max)
		return malformed(err, "bad address list");
	for (size_t i = 0; i < json_array_size(v); i++) {
		int rc = address_decode(json_array_get(v, i), &to[i], err);

		if (rc < 0)
			return rc;
		if (!to[i].family)
			return malformed(err, "empty address");
	}
	*ret_n = json_array_size(v);
	return 0;
}

static int port_decode(const json_t *v, NetworkPort *p, Error *err)
{
	json_t *uid, *hostname, *mac, *addresses;
	char text[MAC_TEXT_MAX];
	json_int_t id;
	int multi_queue, rc;

	if (json_unpack((json_t *)(uintptr_t)v, "{s:I, s:o, s:o, s:o, s:o, s:b !}", "id", &id,
			"uid", &uid, "hostname", &hostname, "mac", &mac, "addresses", &addresses,
			"multiQueue", &multi_queue) < 0 ||
	    id < 1 || id > UINT32_MAX || !string_into(uid, p->uid, sizeof(p->uid)) ||
	    !string_into(hostname, p->hostname, sizeof(p->hostname)) ||
	    !string_into(mac, text, sizeof(text)))
		return malformed(err, "bad port");
	p->id = (uint32_t)id;
	p->multi_queue = multi_queue;
	rc = mac_parse(text, &p->mac, err);
	if (rc < 0)
		return rc;
	return addresses_decode(addresses, p->addresses, NETWORK_PORT_ADDRESSES_MAX,
				&p->n_addresses, err);
}

static int ports_decode(const json_t *v, NetworkConfig *c, NetworkPort **ret_ports, Error *err)
{
	_cleanup_(xfreep) NetworkPort *ports = NULL;
	int rc;

	if (!json_is_array(v) || json_array_size(v) > NETWORK_PORTS_MAX)
		return malformed(err, "bad list of ports");
	ports = xnew0(NetworkPort, json_array_size(v) + 1);
	for (size_t i = 0; i < json_array_size(v); i++) {
		rc = port_decode(json_array_get(v, i), &ports[i], err);
		if (rc < 0)
			return rc;
	}
	c->ports = ports;
	c->n_ports = json_array_size(v);
	rc = network_config_validate(c, err);
	if (rc < 0)
		return rc;
	*ret_ports = TAKE_PTR(ports);
	return 0;
}

int proto_config_decode(const json_t *v, NetworkConfig *ret, NetworkPort **ret_ports, Error *err)
{
	json_t *store, *uid, *prefix4, *prefix6, *gateway4, *gateway6, *domain, *upstreams, *ports;
	NetworkConfig c = { 0 };
	json_int_t vni, mtu;
	int egress, dhcp, dns, rc;

	if (json_unpack((json_t *)(uintptr_t)v,
			"{s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:I, s:b, s:b, s:o, s:o, s:i, s:o !}",
			"store", &store, "uid", &uid, "vni", &vni, "prefix4", &prefix4, "prefix6",
			&prefix6, "gateway4", &gateway4, "gateway6", &gateway6, "mtu", &mtu, "dhcp",
			&dhcp, "dns", &dns, "domain", &domain, "upstreams", &upstreams, "egress",
			&egress, "ports", &ports) < 0 ||
	    vni < 1 || vni > 0xffffff || mtu < 0 || mtu > 65535 || egress < EGRESS_NONE ||
	    egress > EGRESS_ROUTED || !string_into(store, c.store_id, sizeof(c.store_id)) ||
	    !string_into(uid, c.uid, sizeof(c.uid)) ||
	    !string_into(domain, c.domain, sizeof(c.domain)))
		return malformed(err, "bad network");
	c.vni = (uint32_t)vni;
	c.mtu = (unsigned)mtu;
	c.dhcp = dhcp;
	c.dns = dns;
	c.egress = (NetworkEgress)egress;
	rc = prefix_decode(prefix4, &c.prefix4, err);
	if (rc == 0)
		rc = prefix_decode(prefix6, &c.prefix6, err);
	if (rc == 0)
		rc = address_decode(gateway4, &c.gateway4, err);
	if (rc == 0)
		rc = address_decode(gateway6, &c.gateway6, err);
	if (rc == 0)
		rc = addresses_decode(upstreams, c.upstreams, NETWORK_UPSTREAMS_MAX, &c.n_upstreams,
				      err);
	if (rc == 0)
		rc = ports_decode(ports, &c, ret_ports, err);
	if (rc == 0)
		*ret = c;
	return rc;
}

json_t *proto_status_encode(const NetworkStatus *s)
{
	return json_pack("{s:b, s:I, s:b, s:b, s:b, s:s, s:s, s:s, s:I, s:I}", "ready", s->ready,
			 "changes", (json_int_t)s->changes, "repaired", s->repaired,
			 "egressBlocked", s->egress_blocked, "noUpstreams", s->no_upstreams,
			 "message", s->message, "bridge", s->bridge, "netns", s->netns, "mtu",
			 (json_int_t)s->mtu, "dnsmasq", (json_int_t)s->dnsmasq_pid);
}

int proto_status_decode(const json_t *v, NetworkStatus *ret, Error *err)
{
	json_t *message, *bridge, *netns;
	int ready, repaired, blocked, no_upstreams;
	json_int_t changes, mtu, pid;
	NetworkStatus s = { 0 };

	if (json_unpack((json_t *)(uintptr_t)v,
			"{s:b, s:I, s:b, s:b, s:b, s:o, s:o, s:o, s:I, s:I !}", "ready", &ready,
			"changes", &changes, "repaired", &repaired, "egressBlocked", &blocked,
			"noUpstreams", &no_upstreams, "message", &message, "bridge", &bridge,
			"netns", &netns, "mtu", &mtu, "dnsmasq", &pid) < 0 ||
	    !string_into(message, s.message, sizeof(s.message)) ||
	    !string_into(bridge, s.bridge, sizeof(s.bridge)) ||
	    !string_into(netns, s.netns, sizeof(s.netns)))
		return malformed(err, "bad status");
	s.ready = ready;
	s.changes = (unsigned)changes;
	s.repaired = repaired;
	s.egress_blocked = blocked;
	s.no_upstreams = no_upstreams;
	s.mtu = (unsigned)mtu;
	s.dnsmasq_pid = (pid_t)pid;
	*ret = s;
	return 0;
}

json_t *proto_entries_encode(const NetworkEntry *entries, size_t n)
{
	json_t *v = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(v, json_pack("{s:I, s:s, s:s}", "vni",
						   (json_int_t)entries[i].vni, "store",
						   entries[i].store_id, "uid", entries[i].uid));
	return v;
}

int proto_entries_decode(const json_t *v, NetworkEntry **ret, size_t *ret_n, Error *err)
{
	_cleanup_(xfreep) NetworkEntry *entries = xnew0(NetworkEntry, json_array_size(v) + 1);

	if (!json_is_array(v))
		return malformed(err, "bad list");
	for (size_t i = 0; i < json_array_size(v); i++) {
		json_t *store, *uid;
		json_int_t vni;

		if (json_unpack(json_array_get(v, i), "{s:I, s:o, s:o !}", "vni", &vni, "store",
				&store, "uid", &uid) < 0 ||
		    !string_into(store, entries[i].store_id, UUID_MAX) ||
		    !string_into(uid, entries[i].uid, UUID_MAX))
			return malformed(err, "bad list entry");
		entries[i].vni = (uint32_t)vni;
	}
	*ret_n = json_array_size(v);
	*ret = TAKE_PTR(entries);
	return 0;
}

json_t *proto_error_encode(const Error *e, int rc)
{
	json_t *text = json_string(error_message(e));

	if (!text) /* something from outside that is no UTF-8 */
		text = json_string(error_code_to_string(rc));
	return json_pack("{s:i, s:o}", "code", -rc, "message", text);
}

int proto_error_decode(const json_t *v, Error *err)
{
	const char *text;
	int code;

	if (json_unpack((json_t *)(uintptr_t)v, "{s:i, s:s !}", "code", &code, "message", &text) <
		    0 ||
	    code <= ERR_NONE || code >= _ERR_MAX)
		return malformed(err, "bad error");
	return error_set(err, (ErrorCode)code, "%s", text);
}

/* ---- frames ---- */

static int wait_writable(int socket, Context *ctx, Error *err)
{
	struct pollfd p = { .fd = socket, .events = POLLOUT };
	usec_t left;
	int rc = context_check(ctx, err);

	if (rc < 0)
		return rc;
	left = MIN(context_remaining(ctx), USEC_PER_SEC);
	if (poll(&p, 1, (int)(left / USEC_PER_MSEC) + 1) < 0 && errno != EINTR)
		return error_set_errno(err, errno, "poll");
	return 0;
}

static ssize_t send_some(int socket, const char *p, size_t n, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec io = { .iov_base = (char *)(uintptr_t)p, .iov_len = n };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *c = &control.align;

		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
				       .cmsg_type = SCM_RIGHTS,
				       .cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	return sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int proto_send(int socket, const json_t *v, int fd, Context *ctx, Error *err)
{
	_cleanup_(xfreep) char *text = json_dumps(v, JSON_COMPACT);
	_cleanup_(strbuf_done) StrBuf frame = STRBUF_INIT;
	uint32_t head;
	size_t at = 0;

	assert(text);
	if (strlen(text) > PROTO_FRAME_MAX)
		return error_set(err, ERR_EXHAUSTED, "net protocol: message too long");
	head = htonl((uint32_t)strlen(text));
	strbuf_add(&frame, &head, sizeof(head));
	strbuf_adds(&frame, text);
	while (at < frame.len) {
		ssize_t n = send_some(socket, frame.buf + at, frame.len - at, at ? -1 : fd);
		int rc = 0;

		if (n >= 0)
			at += (size_t)n;
		else if (errno == EAGAIN)
			rc = wait_writable(socket, ctx, err);
		else if (errno != EINTR)
			rc = error_set_errno(err, errno, "send to net role");
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Keeps the first descriptor, closes others: nobody sends us more than one per frame. */
static void take_descriptors(ProtoReader *r, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (r->fd < 0)
				r->fd = fd;
			else
				fd_close(fd);
		}
	}
}

int proto_read(ProtoReader *r, int socket, Error *err)
{
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control;
	_cleanup_(xfreep) char *chunk = xmalloc(READ_CHUNK);
	struct iovec io = { .iov_base = chunk, .iov_len = READ_CHUNK };
	struct msghdr m = { .msg_iov = &io,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return error_set_errno(err, errno, "receive");
	if (n == 0)
		return error_set(err, ERR_UNAVAILABLE, "the other side has gone");
	take_descriptors(r, &m);
	strbuf_add(&r->buf, chunk, (size_t)n);
	return 1;
}

int proto_next(ProtoReader *r, json_t **ret, int *ret_fd, Error *err)
{
	uint32_t len;
	json_t *v;
	int rc;

	if (r->buf.len < sizeof(len))
		return 0;
	memcpy(&len, r->buf.buf, sizeof(len));
	len = ntohl(len);
	if (len > PROTO_FRAME_MAX)
		return malformed(err, "frame too long");
	if (r->buf.len < sizeof(len) + len)
		return 0;
	rc = json_decode(r->buf.buf + sizeof(len), len, &v, err);
	if (rc < 0)
		return rc;
	r->buf.len -= sizeof(len) + len;
	memmove(r->buf.buf, r->buf.buf + sizeof(len) + len, r->buf.len + 1);
	*ret = v;
	/* A read may end one frame and begin the next, which is the one the descriptor came with.
	 */
	*ret_fd = json_is_true(json_object_get(v, "fd")) ? TAKE_FD(r->fd) : -1;
	return 1;
}

void proto_reader_done(ProtoReader *r)
{
	strbuf_done(&r->buf);
	r->fd = fd_close(r->fd);
}
