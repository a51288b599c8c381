/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DomainConfig that owns its strings. Pure; any thread.
 */
#pragma once

#include "driver/hypervisor.h"

DomainConfig *domain_config_copy(const DomainConfig *c);
DomainConfig *domain_config_free(DomainConfig *c); /* one made by domain_config_copy() */
