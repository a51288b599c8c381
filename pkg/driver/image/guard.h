/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses a download may connect to. Asked with the address of every socket, right before
 * connect(2), so that neither spellings (127.1, 2130706433), nor redirects, nor a name server that
 * answers differently the second time get around it. Pure; any thread.
 */
#pragma once

#include "base/ip.h"

typedef struct Guard {
	bool deny_private;   /* RFC 1918, CGNAT, ULA, benchmarking */
	bool allow_loopback; /* tests only */
} Guard;

/* -ERR_FORBIDDEN with the reason. */
int guard_check(const Guard *g, const struct sockaddr *address, Error *err);
