/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink requests and dumps. See netlink.h.
 *
 * Messages are built with libnl-3; receiving is our own loop, because a dump has to be thrown away
 * and taken again as a whole when the kernel says that it was interrupted.
 */
#include "driver/net/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "base/strbuf.h"
#include "driver/net/netns.h"

#define RECEIVE_MAX     (256u * 1024)
#define RECEIVE_TIMEOUT 5 /* seconds; the kernel answers at once or has a bug */
#define DUMP_ATTEMPTS   10

struct Netlink {
	struct nl_sock *socket;
	uint32_t sequence;
};

int netlink_open(int netns_fd, int protocol, Netlink **ret, Error *err)
{
	struct timeval timeout = { .tv_sec = RECEIVE_TIMEOUT };
	_cleanup_(netlink_freep) Netlink *n = xnew0(Netlink, 1);
	NetnsSaved saved;
	int on = 1, rc;

	n->socket = nl_socket_alloc();
	assert(n->socket);
	rc = netns_enter(netns_fd, &saved, err);
	if (rc < 0)
		return rc;
	rc = nl_connect(n->socket, protocol);
	netns_leave(&saved);
	if (rc < 0)
		return error_set(err, ERR_UNAVAILABLE, "open netlink socket: %s", nl_geterror(rc));
	setsockopt(nl_socket_get_fd(n->socket), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(nl_socket_get_fd(n->socket), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(nl_socket_get_fd(n->socket), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on,
		   sizeof(on));
	*ret = TAKE_PTR(n);
	return 0;
}

Netlink *netlink_free(Netlink *n)
{
	if (!n)
		return NULL;
	nl_socket_free(n->socket);
	free(n);
	return NULL;
}

NetlinkMessage *netlink_message_new(int type, int flags, const void *header, size_t len)
{
	NetlinkMessage *m = nlmsg_alloc_size(16384);

	assert(m && nlmsg_put(m, NL_AUTO_PORT, NL_AUTO_SEQ, type, 0, NLM_F_REQUEST | flags));
	assert(nlmsg_append(m, (void *)(uintptr_t)header, len, NLMSG_ALIGNTO) == 0);
	return m;
}

/* Messages are bounded by what we put into them, so running out of room is a bug. */
void netlink_put(NetlinkMessage *m, int type, const void *p, size_t n)
{
	int rc = nla_put(m, type, (int)n, p);

	assert(rc == 0);
}

void netlink_put_u8(NetlinkMessage *m, int type, uint8_t v)
{
	netlink_put(m, type, &v, sizeof(v));
}

void netlink_put_u32(NetlinkMessage *m, int type, uint32_t v)
{
	netlink_put(m, type, &v, sizeof(v));
}

void netlink_put_string(NetlinkMessage *m, int type, const char *s)
{
	netlink_put(m, type, s, strlen(s) + 1);
}

static int netlink_send(Netlink *n, NetlinkMessage *m, Error *err)
{
	struct nlmsghdr *h = nlmsg_hdr(m);
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	h->nlmsg_seq = ++n->sequence;
	h->nlmsg_pid = nl_socket_get_local_port(n->socket);
	if (sendto(nl_socket_get_fd(n->socket), h, h->nlmsg_len, 0, (struct sockaddr *)&kernel,
		   sizeof(kernel)) < 0)
		return error_set_errno(err, errno, "netlink send");
	return 0;
}

/* The code and text of an NLMSG_ERROR; 0 for an acknowledgement. */
static int netlink_error(const struct nlmsghdr *h, Error *err)
{
	const struct nlmsgerr *e = nlmsg_data(h);
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1] = { 0 };
	const char *text = NULL;
	int skip = (int)sizeof(*e);

	if (e->error == 0)
		return 0;
	if (h->nlmsg_flags & NLM_F_ACK_TLVS) {
		if (!(h->nlmsg_flags & NLM_F_CAPPED))
			skip += (int)(e->msg.nlmsg_len - sizeof(e->msg));
		skip = NLMSG_ALIGN(skip);
		if (nlmsg_datalen(h) > skip &&
		    nla_parse(tb, NLMSGERR_ATTR_MAX,
			      (struct nlattr *)((char *)(uintptr_t)nlmsg_data(h) + skip),
			      nlmsg_datalen(h) - skip, NULL) == 0 &&
		    tb[NLMSGERR_ATTR_MSG])
			text = nla_get_string(tb[NLMSGERR_ATTR_MSG]);
	}
	return text ? error_set_errno(err, -e->error, "kernel: %s", text)
		    : error_set_errno(err, -e->error, "kernel");
}

typedef struct Reply {
	StrBuf messages; /* complete messages, aligned */
	bool done, interrupted;
} Reply;

static int reply_add(Netlink *n, Reply *r, const struct nlmsghdr *h, bool dump, Error *err)
{
	if (h->nlmsg_seq != n->sequence)
		return 0; /* of an earlier request that timed out */
	if (h->nlmsg_flags & NLM_F_DUMP_INTR)
		r->interrupted = true;
	if (h->nlmsg_type == NLMSG_ERROR) {
		r->done = true;
		return netlink_error(h, err);
	}
	if (h->nlmsg_type == NLMSG_DONE) {
		r->done = dump;
		if (dump && nlmsg_datalen(h) >= (int)sizeof(int) && *(int *)nlmsg_data(h) < 0)
			return error_set_errno(err, -*(int *)nlmsg_data(h), "netlink dump");
		return 0;
	}
	strbuf_add(&r->messages, h, NLMSG_ALIGN(h->nlmsg_len));
	return 0;
}

static int netlink_receive(Netlink *n, Reply *r, bool dump, Error *err)
{
	static _Thread_local char *buf;
	int result = 0, rc;

	if (!buf)
		buf = xmalloc(RECEIVE_MAX);
	while (!r->done) {
		ssize_t len = recv(nl_socket_get_fd(n->socket), buf, RECEIVE_MAX, 0);
		struct nlmsghdr *h = (struct nlmsghdr *)buf;
		int left = (int)len;

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return error_set_errno(err, errno == EAGAIN ? ETIMEDOUT : errno,
					       "netlink receive");
		for (; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
			rc = reply_add(n, r, h, dump, err);
			result = result < 0 ? result : rc;
		}
	}
	return result;
}

int netlink_talk(Netlink *n, NetlinkMessage *m, Error *err)
{
	return netlink_get(n, m, NULL, NULL, err);
}

static void reply_walk(Reply *r, NetlinkFn fn, void *arg)
{
	struct nlmsghdr *h = (struct nlmsghdr *)r->messages.buf;
	int left = (int)r->messages.len;

	if (!fn)
		return;
	for (; left > 0 && nlmsg_ok(h, left); h = nlmsg_next(h, &left))
		fn(arg, h);
}

int netlink_get(Netlink *n, NetlinkMessage *m, NetlinkFn fn, void *arg, Error *err)
{
	Reply r = { 0 };
	int rc;

	nlmsg_hdr(m)->nlmsg_flags |= NLM_F_ACK;
	rc = netlink_send(n, m, err);
	if (rc == 0)
		rc = netlink_receive(n, &r, false, err);
	if (rc == 0)
		reply_walk(&r, fn, arg);
	strbuf_done(&r.messages);
	return rc;
}

int netlink_dump(Netlink *n, NetlinkMessage *m, NetlinkFn fn, void *arg, Error *err)
{
	nlmsg_hdr(m)->nlmsg_flags |= NLM_F_DUMP;
	for (int attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
		Reply r = { 0 };
		int rc = netlink_send(n, m, err);

		if (rc == 0)
			rc = netlink_receive(n, &r, true, err);
		if (rc == 0 && !r.interrupted)
			reply_walk(&r, fn, arg);
		strbuf_done(&r.messages);
		if (rc < 0 || !r.interrupted)
			return rc;
	}
	return error_set(err, ERR_UNAVAILABLE, "netlink dump was interrupted %d times",
			 DUMP_ATTEMPTS);
}
