/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dnsmasq of one network: its files, and the process, which outlives us and is adopted again.
 *
 * Rendering is pure; everything in it was parsed into values before and is printed from them.
 * A removed or changed DHCP record means a restart, because dnsmasq keeps what it once read and
 * what it leased in memory; new records, and all DNS records, are picked up at once by inotify. A
 * restart takes 12 ms and loses nothing: the next process answers renewals from the same records.
 */
#pragma once

#include <sys/types.h>

#include "driver/net/change.h"
#include "driver/net/nft_text.h"

typedef struct Dnsmasq {
	pid_t pid; /* 0 = not running */
	int pidfd;
} Dnsmasq;

typedef struct DnsmasqConfig {
	const NetworkConfig *network;
	unsigned mtu;                 /* what guests are told */
	const AddressList *upstreams; /* that can be reached */
	const char *directory;        /* /run/sfd/net/<uid> */
	const char *user;             /* "dnsmasq" or "nobody" */
} DnsmasqConfig;

static inline bool dnsmasq_wanted(const NetworkConfig *c)
{
	return c->dhcp || c->dns;
}

void dnsmasq_render_conf(const DnsmasqConfig *c, StrBuf *out);
void dnsmasq_render_options(const DnsmasqConfig *c, StrBuf *out);
void dnsmasq_render_dhcp(const NetworkPort *p, StrBuf *out);
void dnsmasq_render_hosts(const NetworkPort *p, const char *domain, StrBuf *out);

/* Makes the files right and the process run with them, in that namespace. */
int dnsmasq_converge(Dnsmasq *d, const DnsmasqConfig *c, int netns_fd, Change *change, Error *err);
/* Finds a process of ours by its pid file or in /proc; pid stays 0 if there is none. One that runs
 * in another namespace is ended. netns_fd -1 = any namespace will do. */
int dnsmasq_adopt(Dnsmasq *d, const char *directory, int netns_fd, Error *err);
/* A fresh memory: leases of an earlier guest life are forgotten. */
int dnsmasq_restart(Dnsmasq *d, const char *directory, int netns_fd, Error *err);
/* Ends it and waits for that. */
int dnsmasq_stop(Dnsmasq *d, Error *err);
/* Called when pidfd became readable. */
void dnsmasq_reap(Dnsmasq *d);
bool dnsmasq_runs(const Dnsmasq *d);
const char *dnsmasq_user(void);
