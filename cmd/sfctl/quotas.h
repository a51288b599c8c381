/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas as `describe` shows them: what is used of each resource beside what is allowed.
 */
#pragma once

#include "sfctl.h"

void quota_print(Cli *cli, const json_t *quota);
/* Those of one namespace, under a head; nothing if there are none. Failures are left out. */
void quotas_print(Cli *cli, const char *namespace);
