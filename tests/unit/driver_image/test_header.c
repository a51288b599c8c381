/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header check: hostile images, each a good one with one thing wrong, and what must pass.
 */
#include <setjmp.h>
#include <sys/mman.h>

#include "base/fs.h"
#include "base/memory.h"
#include "driver/image/header.h"

#include <cmocka.h>

#define CLUSTER 65536u
#define SIZE    (8 * CLUSTER)
#define GIB     ((uint64_t)1 << 30)

/* Where things are in the image that image_good() makes. */
#define REFCOUNTS (1 * CLUSTER)
#define L1        (3 * CLUSTER)
#define L2        (4 * CLUSTER)
#define DATA      (5 * CLUSTER)

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

/* A version 3 qcow2 of 1 GiB with three clusters of data. */
static void image_good(uint8_t *b)
{
	memset(b, 0, SIZE);
	memcpy(b, "QFI\xfb", 4);
	put32(b + 4, 3);
	put32(b + 20, 16);
	put64(b + 24, GIB);
	put32(b + 36, 2);
	put64(b + 40, L1);
	put64(b + 48, REFCOUNTS);
	put32(b + 56, 1);
	put32(b + 96, 4);
	put32(b + 100, 104);
	put64(b + L1, L2 | 1ULL << 63);
	for (unsigned i = 0; i < 3; i++)
		put64(b + L2 + 8 * i, (DATA + i * CLUSTER) | 1ULL << 63);
}

static int check(const uint8_t *b, size_t n, ImageHeader *ret, Error *err)
{
	_cleanup_(fd_closep) int fd = memfd_create("image", MFD_CLOEXEC);
	ImageHeader h;

	assert_int_equal(fs_write_all(fd, b, n, NULL), 0);
	return image_header_check(fd, 64 * GIB, ret ? ret : &h, err);
}

typedef struct Mutation {
	const char *what;
	const char *text; /* part of the message */
	size_t offset;
	unsigned bytes; /* 4 or 8; 0 = fn */
	uint64_t value;
	void (*fn)(uint8_t *b);
} Mutation;

static void backing(uint8_t *b)
{
	put64(b + 8, 200);
	put32(b + 16, 11);
	memcpy(b + 200, "/etc/shadow", 11);
}

static void data_file(uint8_t *b)
{
	put32(b + 104, 0x44415441);
	put32(b + 108, 11);
	memcpy(b + 112, "/etc/shadow", 11);
}

static void backing_format(uint8_t *b)
{
	put32(b + 104, 0xe2792aca);
	put32(b + 108, 3);
	memcpy(b + 112, "raw", 3);
}

static void extension_long(uint8_t *b)
{
	put32(b + 104, 0x12345678);
	put32(b + 108, 0xffffffff);
}

/* The bomb: a whole level 2 table of one cluster. */
static void reuse(uint8_t *b)
{
	for (unsigned i = 0; i < CLUSTER / 8; i++)
		put64(b + L2 + 8 * i, DATA);
}

static void reuse_table(uint8_t *b)
{
	put64(b + L1 + 8, L2);
}

static void reuse_compressed(uint8_t *b)
{
	for (unsigned i = 0; i < 100; i++)
		put64(b + L2 + 8 * i, 1ULL << 62 | DATA);
}

static const Mutation mutations[] = {
	{"version 1",                 "version",        4,					  4,1        },
	{ "version 4",                "version",        4,					  4,4        },
	{ "backing file",             "backing file",   0,                                          0,0,         backing },
	{ "backing length alone",                          "backing file",                    16,                       4,5},
	{ "data file bit",                          "data file",                           72,                                 8,4},
	{ "data file extension",                          "data file",                     0,                           0,0,data_file },
	{ "backing format",                  "backing format",                                 0,							   0,0,        backing_format },
	{ "long extension",                          "extension",                            0,								     0,                            0,extension_long },
	{ "corrupt bit",			  "corrupt",					 72, 8,2},
	{ "subclusters",			 "subclusters",72,                                         8,								    16																										       },
	{ "unknown feature",                         "unknown",					 72,                                         8,1ULL << 40},
	{ "AES",			 "encrypted",32,4,                   1																																																	       },
	{ "LUKS",			 "encrypted",					 32,											   4,2},
	{ "10,000 snapshots",                         "snapshots",60,4,10000																																								},
	{ "8 EiB",			 "at most",					 24,																8,															   1ULL << 63},
	{ "1 PiB",			 "at most",24,8,1ULL << 50},
	{ "no bytes",			 "no bytes",					 24,																					 8,																																																   0																																																																		     },
	{ "clusters of 1 byte",                         "clusters",20,4,0},
	{ "clusters of 2^63",                         "clusters",                                         20,																										  4,																																																																																										    63																																																																																																																																																																																																																																													   },
	{ "level 1 bomb",                         "level 1",36,4,0xffffffff},
	{ "level 1 too short",                         "level 1",                                         36,																														   4,																																																																																																																																														1																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																										 },
	{ "level 1 outside",                         "level 1",40,8,1ULL << 40},
	{ "level 1 unaligned",                         "level 1",                                         40,																																		   8,																																																																																																																																																																																																									    L1 + 8																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																										  },
	{ "level 2 outside",                         "level 2",L1,8,1ULL << 40},
	{ "cluster outside",                         "cut off",					 L2,																																							8,																																																																																																																																																																																																																																																																														  SIZE																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																															    },
	{ "cluster far outside",                         "cut off",L2,8,1ULL << 50},
	{ "compressed outside",                         "cut off",                                         L2,																																											   8,																																																																																																																																																																																																																																																																																																																																																											      1ULL << 62 | 1ULL << 40																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																											    },
	{ "cluster twice",                         "more than once",0,0,0,reuse },
	{ "table twice",			  "more than once",                                          0,																																																			   0,																																																																																																																																																																																																																																																																																																																																																																																																																																																							    0,																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																									 reuse_table },
	{ "compressed cluster twice","more than once",0,0,0,reuse_compressed },
	{ "reserved bits", "damaged",                L2,												  8,																																															     DATA | 1ULL << 57																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																																											},
	{ "reference counts outside",                          "reference",                           48,							    8,1ULL << 40},
	{ "refcount order",                          "reference",                96,                      4,7},
	{ "header length",                          "header",                          100,                                4,0xfffffff8                                                 },
};

static void test_hostile_qcow2(void **state)
{
	_cleanup_(xfreep) uint8_t *b = xmalloc(SIZE);
	unsigned missed = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(mutations); i++) {
		const Mutation *m = &mutations[i];
		_cleanup_(error_done) Error err = ERROR_INIT;
		int rc;

		image_good(b);
		if (m->bytes == 4)
			put32(b + m->offset, (uint32_t)m->value);
		else if (m->bytes == 8)
			put64(b + m->offset, m->value);
		else
			m->fn(b);
		rc = check(b, SIZE, NULL, &err);
		if ((rc != -ERR_INVALID && rc != -ERR_EXHAUSTED) ||
		    !strstr(error_message(&err), m->text)) {
			print_error("%s: %d %s\n", m->what, rc, error_message(&err));
			missed++;
		}
	}
	print_message("%zu hostile qcow2 images\n", ARRAY_SIZE(mutations));
	assert_int_equal(missed, 0);
}

/* An extension that fills what is read of the header hides the next one. */
static void test_extensions_without_end(void **state)
{
	_cleanup_(xfreep) uint8_t *b = xcalloc(1, 4 * SIZE);
	_cleanup_(error_done) Error err = ERROR_INIT;

	(void)state;
	image_good(b);
	put32(b + 20, 17); /* clusters of 128 KiB */
	put64(b + 40, 2 * CLUSTER);
	put64(b + 48, 4 * CLUSTER);
	put32(b + 104, 0x12345678);
	put32(b + 108, CLUSTER - 112);
	put32(b + CLUSTER, 0x44415441);
	put32(b + CLUSTER + 4, 8);
	assert_int_equal(check(b, 4 * SIZE, NULL, &err), -ERR_INVALID);
	assert_non_null(strstr(error_message(&err), "extension"));
}

static void test_snapshots_outside(void **state)
{
	_cleanup_(xfreep) uint8_t *b = xmalloc(SIZE);
	_cleanup_(error_done) Error err = ERROR_INIT;

	(void)state;
	image_good(b);
	put32(b + 60, 1);
	put64(b + 64, 1ULL << 40);
	assert_int_equal(check(b, SIZE, NULL, &err), -ERR_INVALID);
	assert_non_null(strstr(error_message(&err), "snapshots"));
}

static void test_truncated(void **state)
{
	static const size_t lengths[] = { 0,    1,  4,      71, 80,       103, 104,
					  4096, L1, L1 + 8, L2, L2 + 100, DATA };
	_cleanup_(xfreep) uint8_t *b = xmalloc(SIZE);

	(void)state;
	image_good(b);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		if (check(b, lengths[i], NULL, NULL) != -ERR_INVALID)
			fail_msg("%zu bytes pass", lengths[i]);
}

static void test_good_qcow2(void **state)
{
	_cleanup_(xfreep) uint8_t *b = xmalloc(SIZE);
	ImageHeader h;

	(void)state;
	image_good(b);
	assert_int_equal(check(b, SIZE, &h, NULL), 0);
	assert_int_equal(h.format, IMAGE_FORMAT_QCOW2);
	assert_int_equal(h.virtual_size, GIB);
	put64(b + L2 + 24, 1); /* a cluster of zeros, wherever it points */
	put64(b + L2 + 32, 1ULL << 62 | (DATA + 77));
	assert_int_equal(check(b, SIZE, &h, NULL), 0);
}

static void test_posing_as_raw(void **state)
{
	static const struct {
		const char *what;
		size_t offset, len;
		const char *magic;
	} cases[] = {
		{"VMDK",       0,     4,  "KDMV"            },
		{ "VMDK",      0,     4,  "COWD"            },
		{ "VDI",       64,    4,  "\x7f\x10\xda\xbe"},
		{ "VHD",       0,     8,  "conectix"        },
		{ "VHD",       65024, 8,  "conectix"        },
		{ "VHDX",      0,     8,  "vhdxfile"        },
		{ "DMG",       65024, 4,  "koly"            },
		{ "QED",       0,     4,  "QED\0"           },
		{ "LUKS",      0,     6,  "LUKS\xba\xbe"    },
		{ "ISO",       32769, 5,  "CD001"           },
		{ "gzip",      0,     2,  "\x1f\x8b"        },
		{ "xz",        0,     6,  "\xfd\x37zXZ\0"   },
		{ "zstd",      0,     4,  "\x28\xb5\x2f\xfd"},
		{ "zip",       0,     4,  "PK\x03\x04"      },
		{ "tar",       257,   5,  "ustar"           },
		{ "ELF",       0,     4,
                 "\x7f"
		  "ELF"				     },
		{ "Parallels", 0,     16, "WithoutFreeSpace"},
	};
	_cleanup_(xfreep) uint8_t *b = xmalloc(CLUSTER);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;

		memset(b, 0, CLUSTER);
		b[510] = 0x55;
		b[511] = 0xaa;
		memcpy(b + cases[i].offset, cases[i].magic, cases[i].len);
		if (check(b, CLUSTER, NULL, &err) != -ERR_INVALID ||
		    !strstr(error_message(&err), cases[i].what))
			fail_msg("%s: %s", cases[i].what, error_message(&err));
	}
}

static void test_raw(void **state)
{
	_cleanup_(xfreep) uint8_t *b = xcalloc(1, CLUSTER);
	_cleanup_(error_done) Error err = ERROR_INIT;
	ImageHeader h;

	(void)state;
	assert_int_equal(check(b, CLUSTER, NULL, NULL), -ERR_INVALID); /* no boot sector */
	b[510] = 0x55;
	b[511] = 0xaa;
	assert_int_equal(check(b, CLUSTER, &h, NULL), 0);
	assert_int_equal(h.format, IMAGE_FORMAT_RAW);
	assert_int_equal(h.virtual_size, CLUSTER);
	assert_int_equal(check(b, CLUSTER - 100, NULL, NULL), -ERR_INVALID); /* cut off */
	memset(b, ' ', CLUSTER);
	memcpy(b, "<html>", 6);
	assert_int_equal(check(b, CLUSTER, NULL, &err), -ERR_INVALID);
	assert_non_null(strstr(error_message(&err), "text"));
}

/* Every single byte of the header and tables flipped: never a crash, never a hang. */
static void test_flipped(void **state)
{
	_cleanup_(xfreep) uint8_t *b = xmalloc(SIZE);

	(void)state;
	image_good(b);
	for (size_t i = 4; i < 120; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			b[i] ^= (uint8_t)(1u << bit);
			(void)check(b, SIZE, NULL, NULL);
			b[i] ^= (uint8_t)(1u << bit);
		}
	}
}

/* Random damage in header and tables, always the same: an answer each time, no crash, no hang. */
static void test_mutants(void **state)
{
	_cleanup_(fd_closep) int fd = memfd_create("image", MFD_CLOEXEC);
	_cleanup_(xfreep) uint8_t *b = xmalloc(SIZE);
	uint64_t seed = 20260131;
	ImageHeader h;

	(void)state;
	image_good(b);
	assert_int_equal(fs_write_all(fd, b, SIZE, NULL), 0);
	for (unsigned i = 0; i < 3000; i++) {
		static const uint32_t starts[] = { 4, L1, L2 };
		off_t at[4];

		for (unsigned k = 0; k < ARRAY_SIZE(at); k++) {
			uint8_t v;

			seed = seed * 6364136223846793005u + 1442695040888963407u;
			v = (uint8_t)(seed >> 56);
			at[k] = starts[(seed >> 40) % 3] + (off_t)((seed >> 20) % 120);
			assert_int_equal(pwrite(fd, &v, 1, at[k]), 1);
		}
		(void)image_header_check(fd, 64 * GIB, &h, NULL);
		for (unsigned k = 0; k < ARRAY_SIZE(at); k++)
			assert_int_equal(pwrite(fd, b + at[k], 1, at[k]), 1);
	}
	assert_int_equal(image_header_check(fd, 64 * GIB, &h, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_qcow2),
		cmocka_unit_test(test_hostile_qcow2),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_posing_as_raw),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_mutants),
		cmocka_unit_test(test_extensions_without_end),
		cmocka_unit_test(test_snapshots_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
