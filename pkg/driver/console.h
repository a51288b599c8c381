/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port: a guest's serial console: its log, and a live connection to it. Addressed by node, so that
 * a server can later serve a guest of another host. Implementations: libvirt/ and fake/. Any
 * thread.
 */
#pragma once

#include "base/context.h"

typedef struct Console Console;

typedef struct ConsoleOps {
	const char *name;
	/*
	 * A stream socket: what the guest prints comes out, what is written goes in; end of file
	 * when the guest ends. Several readers may be attached; the last writer wins nothing, input
	 * is merged. Caller closes.
	 */
	int (*attach)(Console *self, Context *ctx, const char *node, const char *domain,
		      int *ret_fd, Error *err);
	/*
	 * The log as far as it is kept, for reading from the start; -ERR_NOT_FOUND before the first
	 * start. The file is moved away when it reaches its size limit, and another one has
	 * its name: follow it by ConsoleOps.log again when its name changed or it shrank.
	 */
	int (*log)(Console *self, Context *ctx, const char *node, const char *instance_uid,
		   int *ret_fd, Error *err);
	Console *(*free)(Console *self);
} ConsoleOps;

struct Console {
	const ConsoleOps *ops;
};
