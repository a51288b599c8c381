/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging a qcow2 file. See qcow2.h and header.h.
 *
 * Memory is bounded by the file: level 2 tables must lie in it and be used once, so there is at
 * most one remembered offset per eight bytes read.
 */
#include "driver/image/qcow2.h"

#include <errno.h>

#include "base/memory.h"

#define QCOW2_V2_LENGTH   72
#define QCOW2_V3_LENGTH   104
#define QCOW2_L1_MAX      (32u * 1024 * 1024 / 8)
#define QCOW2_SNAPSHOTS   16
#define QCOW2_ENTRIES_MAX (64u * 1024 * 1024)
#define QCOW2_EXT_DATA    0x44415441
#define QCOW2_EXT_BACKING 0xe2792aca
#define QCOW2_EXT_CRYPTO  0x0537be77
#define QCOW2_EXT_END     0

#define INCOMPATIBLE_DIRTY       (1ULL << 0)
#define INCOMPATIBLE_CORRUPT     (1ULL << 1)
#define INCOMPATIBLE_DATA_FILE   (1ULL << 2)
#define INCOMPATIBLE_COMPRESSION (1ULL << 3) /* zstd, told by the byte at 104 */
#define INCOMPATIBLE_EXTENDED_L2 (1ULL << 4)

#define OFFSET_MASK     0x00fffffffffffe00ULL
#define L2_ZERO         (1ULL << 0)
#define L2_COMPRESSED   (1ULL << 62)
#define L2_RESERVED_STD 0x3f000000000001feULL

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

int qcow2_header_parse(const uint8_t *buf, size_t len, Qcow2Header *ret, Error *err)
{
	Qcow2Header h = { .refcount_order = 4, .length = QCOW2_V2_LENGTH };

	if (len < QCOW2_V2_LENGTH || memcmp(buf, "QFI\xfb", 4) != 0)
		return error_set(err, ERR_INVALID, "qcow2 header is cut off");
	h.version = be32(buf + 4);
	if (h.version != 2 && h.version != 3)
		return error_set(err, ERR_INVALID, "qcow version %u; only qcow2 (2, 3) is taken",
				 h.version);
	h.backing_offset = be64(buf + 8);
	h.backing_len = be32(buf + 16);
	h.cluster_bits = be32(buf + 20);
	h.size = be64(buf + 24);
	h.crypt_method = be32(buf + 32);
	h.l1_size = be32(buf + 36);
	h.l1_offset = be64(buf + 40);
	h.refcount_offset = be64(buf + 48);
	h.refcount_clusters = be32(buf + 56);
	h.n_snapshots = be32(buf + 60);
	h.snapshots_offset = be64(buf + 64);
	if (h.version == 3) {
		if (len < QCOW2_V3_LENGTH)
			return error_set(err, ERR_INVALID, "qcow2 header is cut off");
		h.incompatible = be64(buf + 72);
		h.refcount_order = be32(buf + 96);
		h.length = be32(buf + 100);
	}
	*ret = h;
	return 0;
}

static int features_check(const Qcow2Header *h, Error *err)
{
	if (h->backing_offset || h->backing_len)
		return error_set(err, ERR_INVALID, "the qcow2 image names a backing file");
	if (h->crypt_method)
		return error_set(err, ERR_INVALID, "the qcow2 image is encrypted");
	if (h->incompatible & INCOMPATIBLE_DATA_FILE)
		return error_set(err, ERR_INVALID, "the qcow2 image names an external data file");
	if (h->incompatible & INCOMPATIBLE_CORRUPT)
		return error_set(err, ERR_INVALID, "the qcow2 image is marked corrupt");
	if (h->incompatible & INCOMPATIBLE_EXTENDED_L2)
		return error_set(err, ERR_INVALID,
				 "the qcow2 image uses subclusters, which are not taken");
	if (h->incompatible & ~(INCOMPATIBLE_DIRTY | INCOMPATIBLE_COMPRESSION))
		return error_set(err, ERR_INVALID,
				 "the qcow2 image needs features 0x%llx that are unknown",
				 (unsigned long long)h->incompatible);
	if (h->n_snapshots > QCOW2_SNAPSHOTS)
		return error_set(err, ERR_INVALID, "the qcow2 image has %u snapshots, at most %u",
				 h->n_snapshots, QCOW2_SNAPSHOTS);
	return 0;
}

static int geometry_check(const Qcow2Header *h, uint64_t file_size, uint64_t max_size, Error *err)
{
	uint64_t cluster, l1_needed;

	if (h->cluster_bits < 9 || h->cluster_bits > 21)
		return error_set(err, ERR_INVALID, "qcow2 clusters of 2^%u bytes", h->cluster_bits);
	if (h->version == 3 &&
	    (h->length < QCOW2_V3_LENGTH || h->length % 8 || h->length > (1ULL << h->cluster_bits)))
		return error_set(err, ERR_INVALID, "qcow2 header of %u bytes", h->length);
	if (h->refcount_order > 6)
		return error_set(err, ERR_INVALID, "qcow2 reference counts of 2^%u bits",
				 h->refcount_order);
	if (h->size == 0)
		return error_set(err, ERR_INVALID, "the qcow2 image has no bytes");
	if (h->size > max_size)
		return error_set(err, ERR_EXHAUSTED,
				 "the disk has %llu bytes, at most %llu are allowed",
				 (unsigned long long)h->size, (unsigned long long)max_size);
	cluster = 1ULL << h->cluster_bits;
	l1_needed = (h->size + cluster * (cluster / 8) - 1) / (cluster * (cluster / 8));
	if (h->l1_size > QCOW2_L1_MAX || h->l1_size < l1_needed)
		return error_set(err, ERR_INVALID,
				 "qcow2 level 1 table of %u entries for %llu bytes", h->l1_size,
				 (unsigned long long)h->size);
	if (h->l1_offset % cluster || h->l1_offset > file_size ||
	    (uint64_t)h->l1_size * 8 > file_size - h->l1_offset)
		return error_set(err, ERR_INVALID,
				 "the qcow2 image is cut off: its level 1 table is not in it");
	if (!h->refcount_offset || h->refcount_offset % cluster ||
	    h->refcount_offset >= file_size ||
	    (uint64_t)h->refcount_clusters * cluster > file_size - h->refcount_offset)
		return error_set(err, ERR_INVALID,
				 "the qcow2 image is cut off: its reference counts are not in it");
	if (h->n_snapshots && (h->snapshots_offset % cluster || h->snapshots_offset >= file_size))
		return error_set(err, ERR_INVALID,
				 "the qcow2 image is cut off: its snapshots are not in it");
	return 0;
}

/* Header extensions name external files too. */
static int extensions_check(const Qcow2Header *h, const uint8_t *buf, size_t len, Error *err)
{
	size_t at = h->length, end = (size_t)1 << h->cluster_bits;

	/* What is not read is not judged: the list must end in what is here. */
	while (at + 8 <= end) {
		uint32_t type, size;

		if (at + 8 > len)
			return error_set(err, ERR_INVALID, "qcow2 header extensions without end");
		type = be32(buf + at);
		size = be32(buf + at + 4);
		if (type == QCOW2_EXT_END)
			return 0;
		if (type == QCOW2_EXT_DATA)
			return error_set(err, ERR_INVALID,
					 "the qcow2 image names an external data file");
		if (type == QCOW2_EXT_BACKING)
			return error_set(err, ERR_INVALID,
					 "the qcow2 image names a backing format");
		if (type == QCOW2_EXT_CRYPTO)
			return error_set(err, ERR_INVALID, "the qcow2 image is encrypted");
		if (size > len - at - 8)
			return error_set(err, ERR_INVALID, "qcow2 header extension of %u bytes",
					 size);
		at += 8 + (((size_t)size + 7) & ~(size_t)7);
	}
	return 0;
}

static int table_read(int fd, uint64_t *table, size_t n, uint64_t offset, Error *err)
{
	uint8_t *bytes = (uint8_t *)table;
	size_t want = n * 8, done = 0;

	while (done < want) {
		ssize_t got = pread(fd, bytes + done, want - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set_errno(err, errno, "read");
		if (got == 0)
			return error_set(err, ERR_INVALID, "the qcow2 image is cut off");
		done += (size_t)got;
	}
	for (size_t i = 0; i < n; i++)
		table[i] = be64(bytes + i * 8);
	return 0;
}

typedef struct Offsets {
	uint64_t *v;
	size_t n, cap;
} Offsets;

static void offsets_done(Offsets *o)
{
	free(o->v);
}

static int offsets_add(Offsets *o, uint64_t v, Error *err)
{
	if (o->n >= QCOW2_ENTRIES_MAX)
		return error_set(err, ERR_INVALID, "the qcow2 image has too many clusters");
	GROW_ARRAY(o->v, o->n, o->cap);
	o->v[o->n++] = v;
	return 0;
}

static int offset_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int offsets_unique(Offsets *o, Error *err)
{
	if (!o->n)
		return 0;
	qsort(o->v, o->n, sizeof(*o->v), offset_compare);
	for (size_t i = 1; i < o->n; i++)
		if (o->v[i] == o->v[i - 1])
			return error_set(err, ERR_INVALID,
					 "the qcow2 image uses a cluster more than once");
	return 0;
}

static int entry_check(const Qcow2Header *h, uint64_t entry, uint64_t file_size, Offsets *seen,
		       Error *err)
{
	unsigned shift = 62 - (h->cluster_bits - 8);
	uint64_t offset = entry & OFFSET_MASK;

	if (entry & L2_COMPRESSED) {
		offset = entry & ((1ULL << shift) - 1);
		if (offset >= file_size)
			return error_set(err, ERR_INVALID,
					 "the qcow2 image is cut off: a cluster is not in it");
		return offsets_add(seen, offset, err);
	}
	if (entry & L2_RESERVED_STD)
		return error_set(err, ERR_INVALID, "the qcow2 image has a damaged table");
	if (!offset || (entry & L2_ZERO))
		return 0; /* reads as zeros whatever it points to */
	if (offset % (1ULL << h->cluster_bits) || offset >= file_size)
		return error_set(err, ERR_INVALID,
				 "the qcow2 image is cut off: a cluster is not in it");
	return offsets_add(seen, offset, err);
}

/* Every cluster of a table that lies in one piece. */
static int offsets_add_range(Offsets *o, uint64_t from, uint64_t bytes, size_t cluster, Error *err)
{
	int rc = 0;

	for (uint64_t at = 0; rc == 0 && at < bytes; at += cluster)
		rc = offsets_add(o, from + at, err);
	return rc;
}

/* The clusters that a table names, which must be in the file; their offsets are left in it. */
static int table_check(int fd, uint64_t *table, size_t n, uint64_t at, uint64_t cluster,
		       uint64_t file_size, const char *what, Offsets *used, Error *err)
{
	int rc = table_read(fd, table, n, at, err);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		table[i] &= OFFSET_MASK;
		if (!table[i])
			continue;
		if (table[i] % cluster || table[i] > file_size || cluster > file_size - table[i])
			return error_set(err, ERR_INVALID,
					 "the qcow2 image is cut off: %s is not in it", what);
		rc = offsets_add(used, table[i], err);
	}
	return rc;
}

/* Header and tables of the first level, and what those of the second and the counts lie in. */
static int metadata_check(int fd, const Qcow2Header *h, uint64_t *l1, uint64_t file_size,
			  Offsets *used, Error *err)
{
	uint64_t cluster = 1ULL << h->cluster_bits, counts = h->refcount_clusters * cluster;
	_cleanup_(xfreep) uint64_t *blocks = xnew(uint64_t, MAX(counts / 8, (uint64_t)1));
	int rc = offsets_add(used, 0, err);

	if (rc == 0)
		rc = offsets_add_range(used, h->l1_offset, h->l1_size * 8ULL, cluster, err);
	if (rc == 0)
		rc = offsets_add_range(used, h->refcount_offset, counts, cluster, err);
	if (rc == 0)
		rc = table_check(fd, l1, h->l1_size, h->l1_offset, cluster, file_size,
				 "a level 2 table", used, err);
	if (rc == 0)
		rc = table_check(fd, blocks, counts / 8, h->refcount_offset, cluster, file_size,
				 "a block of reference counts", used, err);
	return rc;
}

static int tables_check(int fd, const Qcow2Header *h, uint64_t file_size, Error *err)
{
	size_t n = ((size_t)1 << h->cluster_bits) / 8;
	_cleanup_(xfreep) uint64_t *l1 = xnew(uint64_t, MAX(h->l1_size, 1u));
	_cleanup_(xfreep) uint64_t *l2 = xnew(uint64_t, n);
	_cleanup_(offsets_done) Offsets used = { 0 };
	int rc = metadata_check(fd, h, l1, file_size, &used, err);

	/* Tables first: one that is used again and again would be read as often. */
	if (rc == 0)
		rc = offsets_unique(&used, err);
	for (size_t i = 0; rc == 0 && i < h->l1_size; i++) {
		if (!l1[i])
			continue;
		rc = table_read(fd, l2, n, l1[i], err);
		for (size_t j = 0; rc == 0 && j < n; j++)
			rc = entry_check(h, l2[j], file_size, &used, err);
	}
	return rc < 0 ? rc : offsets_unique(&used, err);
}

int qcow2_check(int fd, const uint8_t *buf, size_t len, uint64_t file_size, uint64_t max_size,
		uint64_t *ret_size, Error *err)
{
	Qcow2Header h;
	int rc = qcow2_header_parse(buf, len, &h, err);

	if (rc == 0)
		rc = features_check(&h, err);
	if (rc == 0)
		rc = geometry_check(&h, file_size, max_size, err);
	if (rc == 0)
		rc = extensions_check(&h, buf, len, err);
	if (rc == 0)
		rc = tables_check(fd, &h, file_size, err);
	if (rc == 0)
		*ret_size = h.size;
	return rc;
}
