/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Part: the file a download is written to, NAME.part, and what is known about it, NAME.json beside
 * it (validators of the server's copy, its length, whether it is complete), so that a later process
 * can go on where this one ended. Sums are kept on the way; what an earlier process wrote is read
 * again for them. One thread.
 */
#pragma once

#include "driver/image/sums.h"

typedef struct Part {
	int directory_fd; /* borrowed */
	char name[80];
	int fd;
	Sha *sha256, *sha512;
	uint64_t size; /* bytes in the file, all of them in the sums */
	char etag[256], last_modified[64];
	uint64_t length; /* of the whole, 0 = not told */
	bool complete;
} Part;

/* Opens or makes it. What cannot be continued (no strong validator) is emptied. */
int part_open(Part *p, int directory_fd, const char *name, Error *err);
/* The "If-Range" value, NULL when there is nothing to continue. */
const char *part_validator(const Part *p);
/* Forgets the content. */
int part_reset(Part *p, Error *err);
int part_write(Part *p, const void *data, size_t n, Error *err);
/* Writes NAME.json; a complete part is synced to disk first. */
int part_save(Part *p, Error *err);
/* Removes both files. */
void part_remove(Part *p);
void part_done(Part *p);
