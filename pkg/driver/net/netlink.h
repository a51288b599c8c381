/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink requests and dumps over libnl-3's messages. A socket belongs to the network namespace it
 * was opened in and works from anywhere. One thread.
 */
#pragma once

#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "base/error.h"

typedef struct Netlink Netlink;

/* netns_fd -1 = where the thread is. protocol: NETLINK_ROUTE or NETLINK_NETFILTER. */
int netlink_open(int netns_fd, int protocol, Netlink **ret, Error *err);
Netlink *netlink_free(Netlink *n);
DEFINE_CLEANUP(Netlink *, netlink_free)

typedef struct nl_msg NetlinkMessage;
static inline void netlink_message_freep(NetlinkMessage **m)
{
	if (*m)
		nlmsg_free(*m);
}

/* A request with its fixed header in place; never NULL. */
NetlinkMessage *netlink_message_new(int type, int flags, const void *header, size_t len);
void netlink_put(NetlinkMessage *m, int type, const void *p, size_t n);
void netlink_put_u8(NetlinkMessage *m, int type, uint8_t v);
void netlink_put_u32(NetlinkMessage *m, int type, uint32_t v);
void netlink_put_string(NetlinkMessage *m, int type, const char *s);

/* Sends and waits for the acknowledgement; the kernel's own words are part of the text. */
int netlink_talk(Netlink *n, NetlinkMessage *m, Error *err);

typedef void (*NetlinkFn)(void *arg, const struct nlmsghdr *h);
/* A dump that is consistent (taken again when it was interrupted), then fn for each message. */
int netlink_dump(Netlink *n, NetlinkMessage *m, NetlinkFn fn, void *arg, Error *err);
/* One answer (or several without the dump flag), then the acknowledgement. */
int netlink_get(Netlink *n, NetlinkMessage *m, NetlinkFn fn, void *arg, Error *err);
