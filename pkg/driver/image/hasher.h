/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hasher: the sum of a file that grows, taken by a thread of its own behind the writer, from pages
 * that are still in memory: on a machine with two processors the sum is ready when the last byte
 * is. One thread calls; what it hands in is only read.
 */
#pragma once

#include "base/sha.h"

typedef struct Hasher Hasher;

/* fd stays the caller's and open as long as the Hasher lives. */
Hasher *hasher_new(int fd, ShaAlgorithm algorithm);
Hasher *hasher_free(Hasher *h);
/* The file's bytes up to `size` are there and stay as they are. */
void hasher_grow(Hasher *h, uint64_t size);
/* Waits until all of them are in the sum. */
int hasher_hex(Hasher *h, char buf[static SHA_HEX_MAX], Error *err);
