/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A SeedWriter that keeps what it was given, by path. Any thread.
 */
#pragma once

#include "driver/fake/fault.h"
#include "driver/seed.h"

SeedWriter *fake_seed_new(void);

/* What was last written to that path; NULL if nothing. Belongs to the fake, until the next write to
 * it. */
const SeedConfig *fake_seed_get(SeedWriter *s, const char *path);
unsigned fake_seed_calls(SeedWriter *s);
unsigned fake_seed_changes(SeedWriter *s); /* calls that wrote */
/* Somebody deletes the file. */
void fake_seed_forget(SeedWriter *s, const char *path);
/* From now on every call fails with this code; ERR_NONE = works again. */
void fake_seed_set_failure(SeedWriter *s, ErrorCode code);

/* Owns inner, not fault. */
SeedWriter *faulty_seed_new(SeedWriter *inner, Fault *fault);
