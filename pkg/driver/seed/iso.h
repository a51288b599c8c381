/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SeedWriter port over libisofs: a NoCloud image with Joliet and Rock Ridge names. The same
 * config gives the same bytes, so an unchanged seed is left alone. Any thread; libisofs is used by
 * one at a time.
 */
#pragma once

#include "driver/seed.h"

SeedWriter *iso_seed_writer_new(void);
