/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfd --check: a doctor. Says what on this host is missing and how to mend it.
 */
#pragma once

#include "options.h"

/* Prints a line per finding; 0 = sfd can do its work here, 1 = something is missing. */
int check_host(const Options *o);
