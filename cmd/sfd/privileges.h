/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon may still do once it has started.
 */
#pragma once

#include "base/error.h"

/*
 * Keeps the capabilities of ordinary file ownership, in this thread and all that it starts; no
 * network, no administration. The bounding set is the unit's business: the net role and the image
 * roles are started through exec and get theirs from it.
 */
int privileges_drop_daemon(Error *err);

/* Memory holds Secrets and keys: what is left of a crash must not. Whoever needs a core allows it
 * by prlimit(1) while it runs. */
void privileges_no_core(void);
