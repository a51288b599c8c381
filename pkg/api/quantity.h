/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes quantities: "1Gi", "500M", "1.5Gi", "250m", "1e3"; JSON numbers too. Value in whole
 * units, rounded up; negative, overflowing and malformed ones are errors. Source:
 * k8s.io/apimachinery resource.Quantity documentation.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"

int quantity_parse(const char *s, uint64_t *ret, Error *err);
int quantity_parse_floor(const char *s, uint64_t *ret, Error *err); /* rounded down */
int quantity_parse_json(const json_t *v, uint64_t *ret, Error *err);
/* Canonical binary form: "1Gi", "1536Mi", "1000" bytes where nothing larger divides. */
#define QUANTITY_TEXT_MAX 32
const char *quantity_format(uint64_t bytes, char buf[static QUANTITY_TEXT_MAX]);
/* For people: "44Mi", "2.2Gi"; rounded up, so that a disk of that size holds it. */
const char *quantity_round(uint64_t bytes, char buf[static QUANTITY_TEXT_MAX]);
