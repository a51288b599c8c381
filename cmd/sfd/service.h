/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The long-running roles: the daemon and the net role. Each runs on the calling (main) thread until
 * told to stop, and returns an exit code.
 */
#pragma once

#include "options.h"

int service_run(const Options *o);
int net_service_run(const Options *o);
