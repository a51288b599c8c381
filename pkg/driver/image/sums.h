/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checksums: one written inline ("sha256:hex"), or the line of a checksum file that is about one
 * file name. Pure; any thread.
 */
#pragma once

#include "base/sha.h"

typedef struct Checksum {
	ShaAlgorithm algorithm;
	char hex[SHA_HEX_MAX]; /* lower case */
} Checksum;

#define CHECKSUM_TEXT_MAX 140

/* "sha256:..." or "sha512:...", either case; -ERR_INVALID. The empty file's sums are refused. */
int checksum_parse(const char *s, Checksum *ret, Error *err);
const char *checksum_format(const Checksum *c, char buf[static CHECKSUM_TEXT_MAX]);

/*
 * Finds `name` in a checksum file: GNU ("hex  name", "hex *name"), BSD ("SHA256 (name) = hex"), or
 * a file that is nothing but one sum. sha512 wins over sha256. Two lines that disagree, HTML, and a
 * file that does not mention the name are -ERR_INVALID.
 */
int checksum_find(const char *text, size_t len, const char *name, Checksum *ret, Error *err);

/* The last component of a URL's path: what a checksum file calls it. "" if there is none. */
const char *url_file_name(const char *url, char buf[static 256]);
