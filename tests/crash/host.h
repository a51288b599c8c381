/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What real drivers leave on a host: links, namespaces, filters, dnsmasq and files. Only inside a
 * sandbox (tests/lib/sandbox): all networks of ours on the machine are taken for those of one
 * cloud.
 */
#pragma once

#include <stdio.h>

#include "base/strbuf.h"
#include "store/store.h"

/* Ends every process that has to do with `dir`, and takes away all networks, as a start of the host
 * would. Nothing of that cloud may run on. */
void host_reset(const char *dir);
/* Tells every file with a temporary name of drivers or store below `dir`; nothing may be writing.
 */
void host_check_files(const char *dir, FILE *out);
/* Tells what no object accounts for and what an object lacks, a line each. */
void host_check(const char *dir, Store *store, FILE *out);
/* All of it, so that a change can be seen: also what was made anew just as it was. */
void host_fingerprint(const char *dir, StrBuf *out);
