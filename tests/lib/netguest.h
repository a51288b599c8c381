/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest without QEMU: a network namespace whose eth0 is wired to a tap of a network, so that a
 * whole Linux stack sits where a virtual machine would. A thread carries frames between the two.
 * For tests that run as root in the sandbox.
 */
#pragma once

#include "base/strbuf.h"
#include "driver/network.h"

typedef struct NetGuest NetGuest;

/* Attaches to the tap of port_id (as QEMU does: the tap gets its carrier). The namespace is `name`.
 */
NetGuest *netguest_new(const char *name, uint32_t port_id, const char *mac);
NetGuest *netguest_free(NetGuest *g);
/* Runs a shell command inside; its exit code. *out (may be NULL) gets stdout. */
int netguest_sh(NetGuest *g, StrBuf *out, const char *fmt, ...) _printf_(3, 4);
/* The same on the host. */
int host_sh(StrBuf *out, const char *fmt, ...) _printf_(2, 3);
/* Sends a raw frame, given in hexadecimal (blanks are ignored), out of the guest. */
void netguest_send(NetGuest *g, const char *hex);
