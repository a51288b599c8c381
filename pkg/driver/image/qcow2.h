/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2, as much of it as judging a file needs. Format: QEMU, docs/interop/qcow2.txt. Pure but for
 * pread(2); any thread.
 */
#pragma once

#include "base/error.h"

typedef struct Qcow2Header {
	unsigned version; /* 2 or 3 */
	uint64_t backing_offset;
	uint32_t backing_len;
	unsigned cluster_bits;
	uint64_t size;
	uint32_t crypt_method;
	uint32_t l1_size; /* entries */
	uint64_t l1_offset;
	uint64_t refcount_offset;
	uint32_t refcount_clusters;
	uint32_t n_snapshots;
	uint64_t snapshots_offset;
	uint64_t incompatible;
	uint32_t refcount_order;
	uint32_t length;
} Qcow2Header;

int qcow2_header_parse(const uint8_t *buf, size_t len, Qcow2Header *ret, Error *err);

/* Everything header.h promises of a qcow2 file; buf is its beginning. */
int qcow2_check(int fd, const uint8_t *buf, size_t len, uint64_t file_size, uint64_t max_size,
		uint64_t *ret_size, Error *err);
