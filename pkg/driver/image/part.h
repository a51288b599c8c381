/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Part: the file a download is written to, NAME.part, and what is known about it, NAME.json beside
 * it (validators of the server's copy, its length, whether it is complete), so that a later process
 * can go on where this one ended. Sums are taken on the way (hasher.h); what an earlier process
 * wrote is read again for them. A complete part is not synced: its sum is in NAME.json, and what a
 * power cut left of it does not have that sum. One thread.
 */
#pragma once

#include "driver/image/hasher.h"
#include "driver/image/sums.h"

typedef struct Part {
	int directory_fd; /* borrowed */
	char name[80];
	int fd;
	Hasher *sums[2]; /* by ShaAlgorithm: always sha256, sha512 where it is wanted */
	bool wants_sha512;
	uint64_t size; /* bytes in the file */
	char etag[256], last_modified[64];
	uint64_t length; /* of the whole, 0 = not told */
	bool complete;
} Part;

/* Opens or makes it. What cannot be continued (no strong validator) is emptied. A sum nobody asked
 * for costs more than the transfer: that is for sha512 to say. */
int part_open(Part *p, int directory_fd, const char *name, bool sha512, Error *err);
/* The "If-Range" value, NULL when there is nothing to continue. */
const char *part_validator(const Part *p);
/* Forgets the content. */
int part_reset(Part *p, Error *err);
int part_write(Part *p, const void *data, size_t n, Error *err);
/* The sum of all there is. */
int part_sum(Part *p, ShaAlgorithm algorithm, char buf[static SHA_HEX_MAX], Error *err);
/* Writes NAME.json. */
int part_save(Part *p, Error *err);
/* Removes both files. */
void part_remove(Part *p);
void part_done(Part *p);
