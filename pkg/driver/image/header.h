/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header check: what an image may be before any other program opens it.
 *
 * Allowed are qcow2 without anything that points out of the file, and raw disks that begin with a
 * boot sector (MBR, or GPT with its protective MBR). A raw file is whatever qemu-img is told it is,
 * so the magics of all other formats are refused by name, and so is a file without a boot
 * signature: an error page or a tarball would otherwise become a disk that does not boot.
 *
 * The qcow2 tables are walked too: every cluster must lie inside the file and be used once. That
 * finds truncated downloads that came without a checksum, and files of a few KiB that expand to
 * terabytes. Format: QEMU, docs/interop/qcow2.txt. Reads only through the given descriptor; any
 * thread.
 */
#pragma once

#include "base/error.h"

typedef enum ImageFormat { IMAGE_FORMAT_RAW, IMAGE_FORMAT_QCOW2 } ImageFormat;

typedef struct ImageHeader {
	ImageFormat format;
	uint64_t virtual_size; /* bytes */
	uint64_t file_size;
	char backing[4096]; /* only from qcow2_header_read() */
} ImageHeader;

const char *image_format_to_string(ImageFormat f); /* "raw", "qcow2": qemu-img's words */

/* -ERR_INVALID: not an image we take; -ERR_EXHAUSTED: larger than max_virtual_size. */
int image_header_check(int fd, uint64_t max_virtual_size, ImageHeader *ret, Error *err);

/* Reads a qcow2 header of our own making: size and backing file; -ERR_INTERNAL if it is none. */
int qcow2_header_read(int fd, ImageHeader *ret, Error *err);
