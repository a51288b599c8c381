/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the signer and the authenticator must agree on about a Credential. Pure; any thread.
 */
#pragma once

#include <jansson.h>

#include "base/clock.h"

#define CREDENTIAL_LIFE_DEFAULT (365 * 24 * USEC_PER_HOUR)

/* When it stops being valid, microseconds since 1970: by its spec alone; 0 = never was. */
usec_t credential_expires(const json_t *tree);
