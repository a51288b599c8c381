/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orphans: what carries our mark but has no object. See orphan.c.
 */
#pragma once

#include "reconcile/internal.h"

/* One look around; reports on `node`, collects what may be collected, evicts what the image cache
 * need not keep. */
void orphans_sweep(Reconcilers *r, Context *ctx, const Object *node);
