/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three files of a seed. JSON throughout, which cloud-init reads as the YAML it is: no name or
 * key can end its string. Pure; any thread.
 */
#pragma once

#include "base/strbuf.h"
#include "driver/seed.h"

void seed_meta_data(const SeedConfig *c, StrBuf *out);
/* Network configuration version 2, interfaces matched by MAC. */
void seed_network_config(const SeedConfig *c, StrBuf *out);
void seed_user_data(const SeedConfig *c, StrBuf *out);
