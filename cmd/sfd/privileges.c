/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dropping capabilities, by libcap-ng. Capabilities belong to a thread and are inherited by those
 * it starts: main drops them before there is another one. See privileges.h.
 */
#include "privileges.h"

#include <cap-ng.h>
#include <sys/resource.h>

int privileges_drop_daemon(Error *err)
{
	capng_clear(CAPNG_SELECT_CAPS);
	/* Disks and logs change hands between root and QEMU's user under libvirt; we must still
	 * read and remove them. */
	capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_OVERRIDE, CAP_FOWNER,
		      CAP_CHOWN, CAP_KILL, -1);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return error_set(err, ERR_FORBIDDEN, "cannot drop capabilities");
	return 0;
}

void privileges_no_core(void)
{
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){ .rlim_cur = 0, .rlim_max = 0 });
}
