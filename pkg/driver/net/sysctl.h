/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sysctls under /proc/sys/net: the namespace is that of the calling thread at the time of the call.
 */
#pragma once

#include "base/error.h"
#include "driver/net/change.h"

/* key: "ipv6/conf/all/forwarding". */
int sysctl_read(const char *key, int *ret, Error *err);
int sysctl_write(const char *key, int value, Error *err);

typedef struct SysctlWant {
	const char *key;
	int value;
	bool optional; /* the kernel may lack it */
} SysctlWant;

/* Compares and writes what differs, inside netns_fd (-1 = here). */
int sysctl_converge(int netns_fd, const SysctlWant *want, size_t n, const char *where, Change *c,
		    Error *err);
