/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel says about links and what hangs on them, about nf_tables, and about the names of
 * namespaces; of the host and of every router namespace, through sockets in the host. Turned into
 * "look at this network again". One thread.
 */
#pragma once

#include "driver/net/network.h"

typedef struct Events {
	int route, nft, names; /* descriptors to poll */
	bool host_changed;     /* filters of the host were changed by somebody else */
	char blame[64];        /* who changed nf_tables last, "nft (pid 7)" */
	uint32_t carriers;     /* changes of taps' carriers seen */
} Events;

int events_open(Events *e, Error *err);
void events_close(Events *e);
/* Reads everything that is there and marks networks dirty; true if any was. */
bool events_read(Events *e, int fd, Networks *n);
