/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which cached images the disks of this host stand on, read from the disks themselves. Any thread.
 */
#pragma once

#include "base/hashmap.h"
#include "driver/image/header.h"

/*
 * Puts the digest of every base of every disk under STATE/instances into `digests` (values are
 * meaningless, not NULL). A disk that cannot be read is an error: what it stands on is unknown.
 */
int chain_bases(const char *state_dir, Hashmap *digests, Error *err);
/* "sha256:..." of a path that ends in SHA256.qcow2; false if it does not. */
bool chain_digest(const char *base_path, char ret[static 72]);
