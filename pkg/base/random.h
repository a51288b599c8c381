/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes and UUIDs, from getrandom(2); and hexadecimal. Any thread.
 */
#pragma once

#include "base/error.h"

#define UUID_MAX 37 /* 36 characters and NUL */

void random_bytes(void *p, size_t n);
uint64_t random_u64(void);
/* A version 4 UUID in lower case. */
const char *uuid_new(char buf[static UUID_MAX]);
/* 8-4-4-4-12 hexadecimal digits in either case. */
bool uuid_is_valid(const char *s);
/* 2n lower-case digits and NUL into out. */
void hex_encode(const void *p, size_t n, char *out);
