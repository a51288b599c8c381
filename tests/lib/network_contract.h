/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every NetworkDriver promises (driver/network.h), as assertions. Run over the fake, and in
 * the sandbox over the real one.
 */
#pragma once

#include "driver/network.h"

/* The driver has no networks, before and after. */
void network_contract(NetworkDriver *d);
