/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CRDs of manifests/crds as JSON inside the binary; the .c file is generated at build time.
 * Private to pkg/api.
 */
#pragma once

#include <stddef.h>

typedef struct BuiltinCrd {
	const char *text;
	size_t len;
} BuiltinCrd;

extern const BuiltinCrd builtin_crds[];
extern const size_t builtin_crds_n;
