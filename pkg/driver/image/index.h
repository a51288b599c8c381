/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Index: what the cache holds, in memory, and as one small file beside each content. A content is
 * known by its digest and by the sources it came from; a source gives one content at a time. Under
 * its owner's lock.
 */
#pragma once

#include "base/hashmap.h"
#include "driver/image.h"
#include "driver/image/sums.h"

#define SOURCE_NAME_MAX 65 /* sha256 in hexadecimal */

typedef struct ContentSource {
	char name[SOURCE_NAME_MAX];
	char etag[256], last_modified[64];
	usec_t checked; /* monotonic, this process; 0 = not yet */
} ContentSource;

typedef struct Content {
	char digest[IMAGE_DIGEST_MAX];
	uint64_t virtual_size, file_size;
	char source_checksum[CHECKSUM_TEXT_MAX], source_sha512[SHA_HEX_MAX];
	char source_format[16];
	ContentSource *sources;
	size_t n_sources, cap_sources;
	usec_t used; /* wall clock: it outlives us */
} Content;

typedef struct Index {
	char *directory;   /* absolute */
	int fd;            /* of it */
	Hashmap *contents; /* digest -> Content */
} Index;

/* Opens the directory and reads all there is. Content without its file is forgotten; a file without
 * its description is kept, without sources. */
int index_open(Index *x, const char *directory, Error *err);
void index_close(Index *x);

Content *index_get(const Index *x, const char *digest);
/* By source; ret_source says which of the content's. NULL if unknown. */
Content *index_find_source(const Index *x, const char *name, ContentSource **ret_source);
/* By what was downloaded. */
Content *index_find_checksum(const Index *x, const Checksum *c);
/* True if the content's file is still there; otherwise the content is forgotten (and freed). */
bool index_verify(Index *x, Content *c);
/* Takes ownership (merging into what is there under the digest) and writes the description. The
 * source leaves other contents. */
int index_add(Index *x, Content *c, const ContentSource *source, Error *err);
void index_touch(Index *x, Content *c, usec_t wall);
/* Removes files and entry; *ret_freed bytes. */
int index_remove(Index *x, Content *c, uint64_t *ret_freed, Error *err);

Content *content_free(Content *c);
/* "SHA256.qcow2" of a digest; -ERR_INVALID if it is none. */
int content_file_name(const char *digest, const char *suffix, char buf[static 80], Error *err);
