/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz targets. Each fuzz_*.c is one libFuzzer target: hostile bytes in, and what must hold of the
 * result as FUZZ_REQUIRE()s. hack/fuzz builds them with libFuzzer; the ordinary build links each
 * with lib_corpus.c instead, which feeds it every file of corpus/<target>/ as a test of its own.
 * Targets keep no state between inputs, but for fuzz_http, which has one server for all of them.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_REQUIRE(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
				#condition); \
			abort(); \
		} \
	} while (0)

/* The bytes as a string: a copy with a NUL behind it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	return xmemdup(size ? (const void *)data : "", size);
}

/* Decoded as the server does it; NULL if that refuses it. */
static inline json_t *fuzz_json(const uint8_t *data, size_t size)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	json_t *v = NULL;

	if (json_decode(size ? (const char *)data : "", size, &v, &err) < 0) {
		FUZZ_REQUIRE(*error_message(&err));
		return NULL;
	}
	return v;
}
