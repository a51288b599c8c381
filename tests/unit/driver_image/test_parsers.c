/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is pure in the image driver: checksums and their files, the address guard, URLs in messages.
 */
#include <arpa/inet.h>
#include <setjmp.h>

#include "base/memory.h"
#include "driver/image/guard.h"
#include "driver/image/sums.h"
#include "driver/image/transfer.h"

#include <cmocka.h>

#define HEX_A  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define EMPTY  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define UPPERA "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void test_checksum_parse(void **state)
{
	Checksum c;
	char buf[CHECKSUM_TEXT_MAX];

	(void)state;
	assert_int_equal(checksum_parse("sha256:" UPPERA, &c, NULL), 0);
	assert_string_equal(checksum_format(&c, buf), "sha256:" HEX_A);
	assert_int_equal(checksum_parse("SHA512:" HEX_A HEX_B, &c, NULL), 0);
	assert_int_equal(c.algorithm, SHA_512);
	assert_int_equal(checksum_parse("sha512:" HEX_A, &c, NULL), -ERR_INVALID);
	assert_int_equal(checksum_parse("sha256:" HEX_A "0", &c, NULL), -ERR_INVALID);
	assert_int_equal(checksum_parse("md5:0123", &c, NULL), -ERR_INVALID);
	assert_int_equal(checksum_parse(HEX_A, &c, NULL), -ERR_INVALID);
	assert_int_equal(checksum_parse("", &c, NULL), -ERR_INVALID);
	assert_int_equal(checksum_parse("sha256:" EMPTY, &c, NULL), -ERR_INVALID);
}

static void test_checksum_find(void **state)
{
	static const struct {
		const char *text, *hex; /* NULL = refused */
	} cases[] = {
		{HEX_A "  d.img\n",				       HEX_A      },
		{ HEX_A " *d.img\r\n",                                    HEX_A      },
		{ HEX_B "  e.img\n" HEX_A "  ./sub/d.img\n",              HEX_A      },
		{ "SHA256 (d.img) = " HEX_A "\n",                         HEX_A      },
		{ "SHA512 (d.img) = " HEX_A HEX_B "\n",                   HEX_A HEX_B},
		{ "SHA512 (d.img) = " HEX_A "\n",                         NULL       },
		{ "# comment\nSHA256 (x) = " HEX_B "\n" UPPERA "  d.img", HEX_A      },
		{ HEX_A "\n",					     HEX_A      },
		{ HEX_A "  d.img\n" HEX_A HEX_B "  d.img\n",              HEX_A HEX_B},
		{ HEX_A "  d.img\n" HEX_B "  d.img\n",                    NULL       },
		{ HEX_A "  xd.img\n",                                     NULL       },
		{ HEX_A "  d.img.sig\n",                                  NULL       },
		{ "<!DOCTYPE html>" HEX_A "  d.img\n",                    NULL       },
		{ "aaaa  d.img\n",					NULL       },
		{ EMPTY "  d.img\n",				      NULL       },
		{ "",						     NULL       },
		{ "\n\n",						 NULL       },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Checksum c;
		int rc = checksum_find(cases[i].text, strlen(cases[i].text), "d.img", &c, NULL);

		if (rc != (cases[i].hex ? 0 : -ERR_INVALID))
			fail_msg("case %zu: %d", i, rc);
		if (cases[i].hex)
			assert_string_equal(c.hex, cases[i].hex);
	}
	Checksum c;
	assert_int_equal(checksum_find(HEX_A "\0x", 66, "d.img", &c, NULL), -ERR_INVALID);
}

static void test_file_name(void **state)
{
	char buf[256];

	(void)state;
	assert_string_equal(url_file_name("https://h/a/d.img?x=/y#z", buf), "d.img");
	assert_string_equal(url_file_name("https://h/a/", buf), "");
	assert_string_equal(url_file_name("https://h", buf), "");
	assert_string_equal(url_file_name("nonsense", buf), "");
}

static int guard(const char *text, bool deny_private, bool allow_loopback)
{
	Guard g = { deny_private, allow_loopback };
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
		return guard_check(&g, (struct sockaddr *)&in, NULL);
	assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	return guard_check(&g, (struct sockaddr *)&in6, NULL);
}

static void test_guard(void **state)
{
	static const char *const always[] = {
		"0.0.0.0",
		"169.254.169.254",
		"169.254.0.1",
		"224.0.0.1",
		"240.0.0.1",
		"255.255.255.255",
		"100.100.100.200",
		"168.63.129.16",
		"::",
		"fe80::1",
		"ff02::1",
		"fd73:6664::1",
		"fd73:6664:ffff::1",
		"fd00:ec2::254",
		"::ffff:169.254.169.254",
		"64:ff9b::a9fe:a9fe",
		"2002:a9fe:a9fe::1",
		"::ffff:0.0.0.0",
		"::169.254.1.1",
	};
	static const char *const loopback[] = { "127.0.0.1", "127.255.0.1", "::1",
						"::ffff:127.0.0.1" };
	static const char *const private[] = { "10.0.0.1",    "172.16.0.1", "172.31.255.255",
					       "192.168.1.1", "100.64.0.1", "fd00::1",
					       "fc00::1",     "198.18.0.1", "::ffff:10.0.0.1" };
	static const char *const public[] = { "1.1.1.1",         "172.32.0.1", "151.101.2.132",
					      "2606:4700::1111", "192.0.2.1",  "100.128.0.1" };
	struct sockaddr un = { .sa_family = AF_UNIX };
	Guard g = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		if (guard(always[i], false, true) != -ERR_FORBIDDEN)
			fail_msg("%s is let through", always[i]);
	for (size_t i = 0; i < ARRAY_SIZE(loopback); i++) {
		assert_int_equal(guard(loopback[i], false, false), -ERR_FORBIDDEN);
		assert_int_equal(guard(loopback[i], true, true), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(private); i++) {
		assert_int_equal(guard(private[i], false, false), 0);
		assert_int_equal(guard(private[i], true, false), -ERR_FORBIDDEN);
	}
	for (size_t i = 0; i < ARRAY_SIZE(public); i++)
		assert_int_equal(guard(public[i], true, false), 0);
	assert_int_equal(guard_check(&g, &un, NULL), -ERR_FORBIDDEN);
}

static void test_redact(void **state)
{
	_cleanup_(xfreep) char *a = url_redact("https://u:secret@h.example/x/d.img?token=secret#f");
	_cleanup_(xfreep) char *b = url_redact("::::");

	(void)state;
	assert_string_equal(a, "https://h.example/x/d.img");
	assert_string_equal(b, "(malformed URL)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksum_parse), cmocka_unit_test(test_checksum_find),
		cmocka_unit_test(test_file_name),      cmocka_unit_test(test_guard),
		cmocka_unit_test(test_redact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
