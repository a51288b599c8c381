/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Hypervisor and Console ports over libvirt.
 *
 * One connection is kept up by a thread of its own (keepalive, reconnect with backoff); every call
 * runs on a helper thread, so that a caller never waits past its deadline. A call that does not
 * come back is abandoned: its domain is then refused (-ERR_UNAVAILABLE) until it answers, after
 * three of them the connection is replaced, and at ten no more calls are made. Events come from
 * libvirt's event loop, which has a thread too. All of these threads belong to this folder.
 */
#pragma once

#include "driver/console.h"
#include "driver/hypervisor.h"

typedef struct LibvirtOptions {
	const char *uri;       /* NULL = "qemu:///system" */
	const char *virt_type; /* "auto" (NULL), "kvm" or "qemu": what new domains get */
	const char *store_id;  /* the mark of our domains; NULL = any store's mark is ours */
	const char *log_dir;   /* QEMU's logs, removed with their domain; NULL = libvirt's default
				  for qemu:///system, "" = leave them */
	bool validate;         /* let libvirt check every definition against its schema (slow) */
} LibvirtOptions;

/*
 * Does not wait for libvirtd: calls do, and say what is wrong. -ERR_INVALID: bad virt_type. Free
 * the consoles made from it first; a call that hangs at free is left behind with its thread.
 */
int libvirt_hypervisor_new(const LibvirtOptions *options, Hypervisor **ret, Error *err);

/*
 * Consoles of that hypervisor's guests, over its connection; h must come from
 * libvirt_hypervisor_new() and outlive the Console. Logs are
 * <state_dir>/instances/<uid>/console.log, written by virtlogd with its size limit. Each console
 * somebody is attached to costs a thread.
 */
int libvirt_console_new(Hypervisor *h, const char *state_dir, Console **ret, Error *err);
