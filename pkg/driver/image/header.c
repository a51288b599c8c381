/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header check. See header.h. The walk over the qcow2 tables is in qcow2.c.
 */
#include "driver/image/header.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "driver/image/qcow2.h"

#define SECTOR        512
#define PROBE_SIZE    (64u * 1024)
#define MBR_SIGNATURE 510

/* Formats by their magic, with the place it sits at: none of them may pose as raw. */
static const struct {
	const char *name;
	size_t offset, len;
	const char *magic;
} foreign_magics[] = {
	{"QED",			  0,     4,  "QED\0"                 },
	{ "VMDK",			0,     4,  "KDMV"                  },
	{ "VMDK",			0,     4,  "COWD"                  },
	{ "VMDK descriptor",             0,     21, "# Disk DescriptorFile" },
	{ "VDI",			 64,    4,  "\x7f\x10\xda\xbe"      },
	{ "VHD",			 0,     8,  "conectix"              },
	{ "VHDX",			0,     8,  "vhdxfile"              },
	{ "LUKS",			0,     6,  "LUKS\xba\xbe"          },
	{ "Parallels",                   0,     16, "WithoutFreeSpace"      },
	{ "Parallels",                   0,     16, "WithouFreSpacExt"      },
	{ "Bochs",		       0,     22, "Bochs Virtual HD Image"},
	{ "cloop",		       0,     10, "#!/bin/sh\n"           },
	{ "DMG",			 0,     4,  "koly"                  },
	{ "ISO 9660",                    32769, 5,  "CD001"                 },
	{ "UDF",			 32769, 5,  "BEA01"                 },
	{ "gzip (decompress it first)",  0,     2,  "\x1f\x8b"              },
	{ "xz (decompress it first)",    0,     6,  "\xfd\x37zXZ\0"         },
	{ "bzip2 (decompress it first)", 0,     3,  "BZh"                   },
	{ "zstd (decompress it first)",  0,     4,  "\x28\xb5\x2f\xfd"      },
	{ "zip (unpack it first)",       0,     4,  "PK\x03\x04"            },
	{ "7z (unpack it first)",        0,     6,  "7z\xbc\xaf\x27\x1c"    },
	{ "tar (unpack it first)",       257,   5,  "ustar"                 },
	{ "ELF",			 0,     4,
         "\x7f"
	  "ELF"							     },
};

const char *image_format_to_string(ImageFormat f)
{
	return f == IMAGE_FORMAT_QCOW2 ? "qcow2" : "raw";
}

static int probe_read(int fd, uint8_t *buf, size_t *ret_len, uint64_t *ret_size, Error *err)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return error_set_errno(err, errno, "stat");
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_INVALID, "not a regular file");
	n = pread(fd, buf, PROBE_SIZE, 0);
	if (n < 0)
		return error_set_errno(err, errno, "read");
	*ret_len = (size_t)n;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static bool looks_like_text(const uint8_t *buf, size_t len)
{
	size_t n = MIN(len, (size_t)SECTOR);

	for (size_t i = 0; i < n; i++)
		if (buf[i] < 0x20 && buf[i] != '\n' && buf[i] != '\r' && buf[i] != '\t')
			return false;
	return n > 0;
}

static int foreign_check(const uint8_t *buf, size_t len, Error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(foreign_magics); i++) {
		size_t end = foreign_magics[i].offset + foreign_magics[i].len;

		if (len >= end && memcmp(buf + foreign_magics[i].offset, foreign_magics[i].magic,
					 foreign_magics[i].len) == 0)
			return error_set(err, ERR_INVALID,
					 "the image is %s; only qcow2 and raw disks are taken",
					 foreign_magics[i].name);
	}
	return 0;
}

/* A VHD of fixed size is raw data with its header at the end, and so is a DMG. */
static int footer_check(int fd, uint64_t size, Error *err)
{
	char footer[8] = "";

	if (size >= SECTOR && pread(fd, footer, sizeof(footer), (off_t)(size - SECTOR)) < 0)
		return error_set_errno(err, errno, "read");
	if (memcmp(footer, "conectix", 8) == 0)
		return error_set(err, ERR_INVALID,
				 "the image is VHD; only qcow2 and raw disks are taken");
	if (memcmp(footer, "koly", 4) == 0)
		return error_set(err, ERR_INVALID,
				 "the image is DMG; only qcow2 and raw disks are taken");
	return 0;
}

static int raw_check(int fd, const uint8_t *buf, size_t len, uint64_t size, uint64_t max,
		     Error *err)
{
	int rc = foreign_check(buf, len, err);

	if (rc == 0)
		rc = footer_check(fd, size, err);
	if (rc < 0)
		return rc;
	if (looks_like_text(buf, len))
		return error_set(err, ERR_INVALID,
				 "the image is text (an error page?), not a disk");
	if (size < SECTOR || buf[MBR_SIGNATURE] != 0x55 || buf[MBR_SIGNATURE + 1] != 0xaa)
		return error_set(err, ERR_INVALID,
				 "the image is neither qcow2 nor a raw disk with a boot sector");
	if (size % SECTOR)
		return error_set(
			err, ERR_INVALID,
			"a raw disk of %llu bytes is no whole number of sectors (cut off?)",
			(unsigned long long)size);
	if (size > max)
		return error_set(err, ERR_EXHAUSTED,
				 "the disk has %llu bytes, at most %llu are allowed",
				 (unsigned long long)size, (unsigned long long)max);
	return 0;
}

int image_header_check(int fd, uint64_t max_virtual_size, ImageHeader *ret, Error *err)
{
	_cleanup_(xfreep) uint8_t *buf = xmalloc(PROBE_SIZE);
	ImageHeader h = { .format = IMAGE_FORMAT_RAW };
	size_t len;
	int rc = probe_read(fd, buf, &len, &h.file_size, err);

	if (rc < 0)
		return rc;
	if (h.file_size == 0)
		return error_set(err, ERR_INVALID, "the image is empty");
	if (len >= 4 && memcmp(buf, "QFI\xfb", 4) == 0) {
		h.format = IMAGE_FORMAT_QCOW2;
		rc = qcow2_check(fd, buf, len, h.file_size, max_virtual_size, &h.virtual_size, err);
	} else {
		h.virtual_size = h.file_size;
		rc = raw_check(fd, buf, len, h.file_size, max_virtual_size, err);
	}
	if (rc == 0)
		*ret = h;
	return rc;
}

int qcow2_header_read(int fd, ImageHeader *ret, Error *err)
{
	_cleanup_(xfreep) uint8_t *buf = xmalloc(PROBE_SIZE);
	ImageHeader h = { .format = IMAGE_FORMAT_QCOW2 };
	Qcow2Header q;
	size_t len;
	int rc = probe_read(fd, buf, &len, &h.file_size, err);

	if (rc < 0)
		return rc;
	if (qcow2_header_parse(buf, len, &q, NULL) < 0)
		return error_set(err, ERR_INTERNAL, "damaged: no qcow2 header");
	if (q.backing_len >= sizeof(h.backing) || q.backing_offset > len ||
	    q.backing_len > len - q.backing_offset)
		return error_set(err, ERR_INTERNAL, "damaged: backing file name out of bounds");
	if (q.backing_offset)
		memcpy(h.backing, buf + q.backing_offset, q.backing_len);
	h.virtual_size = q.size;
	*ret = h;
	return 0;
}
