/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base: errors, strings, the hash map, clocks and times, files, addresses, hashes, the log.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/hashmap.h"
#include "base/ip.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/sha.h"
#include "base/strbuf.h"

static void errors_carry_code_and_context(void **state _unused_)
{
	_cleanup_(error_done) Error err = ERROR_INIT, copy = ERROR_INIT;

	assert_int_equal(error_set(&err, ERR_NOT_FOUND, "no domain %s", "web"), -ERR_NOT_FOUND);
	assert_int_equal(error_wrap(&err, "inspect"), -ERR_NOT_FOUND);
	assert_string_equal(error_message(&err), "inspect: no domain web");
	assert_int_equal(error_move(&copy, &err), -ERR_NOT_FOUND);
	assert_int_equal(err.code, ERR_NONE);
	assert_string_equal(copy.message, "inspect: no domain web");
	assert_int_equal(error_ignore(&copy), 0);
	assert_null(copy.message);
}

static void errors_work_without_an_error(void **state _unused_)
{
	assert_int_equal(error_set(NULL, ERR_CONFLICT, "x"), -ERR_CONFLICT);
	assert_int_equal(error_set_errno(NULL, ENOSPC, "x"), -ERR_EXHAUSTED);
	assert_int_equal(error_wrap_rc(NULL, -ERR_TIMEOUT, "x"), -ERR_TIMEOUT);
	assert_string_equal(error_message(NULL), "unknown error");
}

static void errno_becomes_our_code(void **state _unused_)
{
	_cleanup_(error_done) Error err = ERROR_INIT;

	assert_int_equal(error_set_errno(&err, ENOENT, "open %s", "/x"), -ERR_NOT_FOUND);
	assert_string_equal(err.message, "open /x: No such file or directory");
	assert_int_equal(err.os_errno, ENOENT);
	assert_string_equal(error_code_to_string(-ERR_GONE), "Expired");
	assert_true(error_code_is_terminal(-ERR_INVALID));
	assert_false(error_code_is_terminal(-ERR_UNAVAILABLE));
}

static void strbuf_stops_at_its_maximum(void **state _unused_)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT_MAX(5);

	assert_string_equal(strbuf_str(&b), "");
	strbuf_addf(&b, "%d", 123);
	assert_false(b.overflow);
	strbuf_adds(&b, "abcdef");
	assert_true(b.overflow);
	assert_string_equal(strbuf_str(&b), "123ab");
}

static void strv_splits_and_joins(void **state _unused_)
{
	_cleanup_(strv_freep) char **v = strv_split("a,,b,", ',');
	_cleanup_(xfreep) char *joined = strv_join(v, ",");

	assert_int_equal(strv_len(v), 4);
	assert_string_equal(joined, "a,,b,");
	assert_true(strv_contains(v, "b"));
	assert_false(strv_contains(v, "c"));
}

static void hashmap_keeps_what_was_put(void **state _unused_)
{
	_cleanup_(hashmap_freep) Hashmap *m = hashmap_new(free);
	size_t seen = 0;
	char key[16];

	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		hashmap_put(m, key, xstrdup(key));
	}
	for (int i = 0; i < 1000; i += 2) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_true(hashmap_remove(m, key));
		assert_false(hashmap_remove(m, key));
	}
	assert_int_equal(hashmap_size(m), 500);
	assert_null(hashmap_get(m, "k2"));
	assert_string_equal(hashmap_get(m, "k3"), "k3");
	hashmap_foreach (it, m) {
		assert_string_equal(it.key, it.value);
		seen++;
	}
	assert_int_equal(seen, 500);
}

static void hashmap_lists_its_uuids(void **state _unused_)
{
	static const char one[] = "0b9ad8a3-4c2f-4a57-9f6e-1d2c3b4a5f60";
	_cleanup_(hashmap_freep) Hashmap *m = hashmap_new(NULL);
	char(*uuids)[UUID_MAX] = NULL;

	assert_int_equal(hashmap_uuids(m, &uuids), 0);
	free(uuids);
	hashmap_put(m, "gone", m);
	hashmap_put(m, one, m);
	hashmap_remove(m, "gone");
	assert_int_equal(hashmap_uuids(m, &uuids), 1);
	assert_string_equal(uuids[0], one);
	free(uuids);
}

/* Put and removed over and over, the table must not grow or lose its free slots. */
static void hashmap_survives_churn(void **state _unused_)
{
	_cleanup_(hashmap_freep) Hashmap *m = hashmap_new(NULL);
	char key[16];

	for (int i = 0; i < 100000; i++) {
		snprintf(key, sizeof(key), "%d", i);
		hashmap_put(m, key, m);
		assert_ptr_equal(hashmap_take(m, key), m);
	}
	assert_int_equal(hashmap_size(m), 0);
	assert_null(hashmap_get(m, "1"));
}

static void times_are_rfc3339(void **state _unused_)
{
	char buf[TIMESTAMP_MAX];
	usec_t t;

	assert_string_equal(timestamp_format(0, buf), "1970-01-01T00:00:00Z");
	assert_int_equal(timestamp_parse("2026-01-31T12:00:00Z", &t), 0);
	assert_string_equal(timestamp_format(t, buf), "2026-01-31T12:00:00Z");
	assert_int_equal(timestamp_parse("2026-01-31T13:00:00.5+01:00", &t), 0);
	assert_int_equal(t % USEC_PER_SEC, USEC_PER_SEC / 2);
	assert_string_equal(timestamp_format(t, buf), "2026-01-31T12:00:00Z");
	assert_int_equal(timestamp_parse("yesterday", &t), -ERR_INVALID);
	assert_int_equal(timestamp_parse("2026-01-31T12:00:00", &t), -ERR_INVALID);
	assert_int_equal(timestamp_parse("1931-01-31T12:00:00Z", &t), -ERR_INVALID);
}

static void ages_read_like_kubectl(void **state _unused_)
{
	static const struct {
		usec_t d;
		const char *text;
	} cases[] = {
		{0,                    "0s"   },
		{ 119 * USEC_PER_SEC,  "119s" },
		{ 120 * USEC_PER_SEC,  "2m"   },
		{ 125 * USEC_PER_SEC,  "2m5s" },
		{ 30 * USEC_PER_MIN,   "30m"  },
		{ 200 * USEC_PER_MIN,  "3h20m"},
		{ 30 * USEC_PER_HOUR,  "30h"  },
		{ 75 * USEC_PER_HOUR,  "3d3h" },
		{ 240 * USEC_PER_HOUR, "10d"  },
	};
	char buf[TIMESTAMP_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(duration_format(cases[i].d, buf), cases[i].text);
}

static void fake_clock_moves_only_when_told(void **state _unused_)
{
	Clock *c = fake_clock_new(100, 1000);

	assert_int_equal(clock_now(c), 100);
	fake_clock_advance(c, 5);
	assert_int_equal(clock_now(c), 105);
	assert_int_equal(clock_wall(c), 1005);
	fake_clock_free(c);
}

static void files_are_written_whole(void **state _unused_)
{
	char dir[] = "/tmp/test-base-XXXXXX";
	_cleanup_(xfreep) char *path = NULL, *text = NULL, *deep = NULL, *link = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;
	struct stat st;
	size_t n;

	assert_non_null(mkdtemp(dir));
	path = xasprintf("%s/f", dir);
	deep = xasprintf("%s/a/b/c", dir);
	assert_int_equal(fs_write_atomic(path, "hello", 5, 0640, true, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(fs_read(path, 100, &text, &n, &err), 0);
	assert_string_equal(text, "hello");
	assert_int_equal(fs_read(path, 4, &text, &n, &err), -ERR_EXHAUSTED);
	assert_int_equal(fs_mkdir_p(deep, 0755, &err), 0);
	assert_int_equal(fs_mkdir_p(path, 0755, NULL), -ERR_INTERNAL);
	link = xasprintf("%s/a/link", dir);
	assert_int_equal(symlink("/etc", link), 0);
	assert_int_equal(fs_remove_tree(dir, &err), 0);
	assert_false(fs_exists(dir));
	assert_true(fs_exists("/etc/passwd"));
}

static void temporary_files_of_the_dead_are_dropped(void **state _unused_)
{
	static const struct {
		const char *name;
		bool ours;
	} files[] = {
		{".f.01234567.tmp",       true },
                { ".f.json.89abcdef.tmp", true },
		{ "..01234567.tmp",       false}, /* of nothing */
		{ "f.01234567.tmp",       false},
                { ".f.0123456g.tmp",      false},
		{ ".f.tmp",               false},
                { "f",                    false},
	};
	char dir[] = "/tmp/test-base-XXXXXX";

	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_(xfreep) char *path = xasprintf("%s/%s", dir, files[i].name);

		assert_int_equal(fs_write_atomic(path, "", 0, 0600, false, NULL), 0);
	}
	fs_drop_temporary(dir);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_(xfreep) char *path = xasprintf("%s/%s", dir, files[i].name);

		assert_int_equal(fs_exists(path), !files[i].ours);
	}
	assert_int_equal(fs_remove_tree(dir, NULL), 0);
	fs_drop_temporary(dir);
}

static void nothing_is_opened_outside_a_directory(void **state _unused_)
{
	char dir[] = "/tmp/test-base-XXXXXX";
	_cleanup_(xfreep) char *link = NULL;
	_cleanup_(fd_closep) int fd = -1;

	assert_non_null(mkdtemp(dir));
	link = xasprintf("%s/link", dir);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_true(fs_open_beneath(fd, "../../etc/passwd", O_RDONLY, 0, NULL) < 0);
	assert_true(fs_open_beneath(fd, "/etc/passwd", O_RDONLY, 0, NULL) < 0);
	assert_true(fs_open_beneath(fd, "link", O_RDONLY, 0, NULL) < 0);
	assert_int_equal(fs_remove_tree(dir, NULL), 0);
}

static void addresses_are_parsed_strictly(void **state _unused_)
{
	static const char *const bad[] = {
		"",          "10.0.0",          "10.0.0.256",   "010.0.0.1",
		"10.0.0.1 ", "::ffff:10.0.0.1", "fe80::1%eth0", "x"
	};
	char buf[IP_TEXT_MAX];
	IpAddress a;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(ip_parse(bad[i], &a, NULL), -ERR_INVALID);
	assert_int_equal(ip_parse("FD00:0:0::1", &a, NULL), 0);
	assert_string_equal(ip_format(&a, buf), "fd00::1");
}

static void prefixes_count_and_contain(void **state _unused_)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	char buf[IP_TEXT_MAX];
	IpAddress a;
	IpPrefix p, q;

	assert_int_equal(ip_prefix_parse("10.20.0.5/24", &p, &err), -ERR_INVALID);
	assert_non_null(strstr(err.message, "did you mean 10.20.0.0/24"));
	assert_int_equal(ip_prefix_parse("10.20.0.0/24", &p, NULL), 0);
	assert_int_equal(ip_prefix_size(&p), 256);
	a = ip_prefix_nth(&p, 10);
	assert_string_equal(ip_format(&a, buf), "10.20.0.10");
	assert_true(ip_prefix_contains(&p, &a));
	a = ip_prefix_last(&p);
	assert_string_equal(ip_format(&a, buf), "10.20.0.255");
	a = ip_prefix_nth(&p, 256);
	assert_false(ip_prefix_contains(&p, &a));
	assert_int_equal(ip_prefix_parse("10.0.0.0/8", &q, NULL), 0);
	assert_true(ip_prefix_overlaps(&p, &q));
	assert_true(ip_prefix_overlaps(&q, &p));
	assert_int_equal(ip_prefix_parse("fd00::/64", &q, NULL), 0);
	assert_false(ip_prefix_overlaps(&p, &q));
	assert_int_equal(ip_prefix_size(&q), UINT64_MAX);
	assert_int_equal(ip_prefix_parse("10.0.0.0/33", &q, NULL), -ERR_INVALID);
	assert_int_equal(ip_prefix_parse("10.0.0.0/08", &q, NULL), -ERR_INVALID);
	assert_int_equal(ip_prefix_parse("10.0.0.0", &q, NULL), -ERR_INVALID);
}

static void macs_are_parsed_strictly(void **state _unused_)
{
	static const char *const bad[] = { "",
					   "52:54:00:12:34",
					   "52:54:00:12:34:567",
					   "52-54-00-12-34-56",
					   "01:00:5e:00:00:01",
					   "00:00:00:00:00:00",
					   " 2:54:00:12:34:56" };
	char buf[MAC_TEXT_MAX];
	MacAddress m;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(mac_parse(bad[i], &m, NULL), -ERR_INVALID);
	assert_int_equal(mac_parse("52:54:00:AB:cd:EF", &m, NULL), 0);
	assert_string_equal(mac_format(&m, buf), "52:54:00:ab:cd:ef");
}

static void hashes_are_the_standard_ones(void **state _unused_)
{
	_cleanup_(sha_freep) Sha *s = sha_new(SHA_256);
	char buf[SHA_HEX_MAX];

	assert_string_equal(sha_hex_of(SHA_256, "abc", 3, buf),
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha_update(s, "a", 1);
	sha_hex(s, buf);
	sha_update(s, "bc", 2);
	assert_string_equal(sha_hex(s, buf),
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(strlen(sha_hex_of(SHA_512, "", 0, buf)), sha_hex_len(SHA_512));
}

static void base64_goes_both_ways(void **state _unused_)
{
	static const char *const texts[] = { "", "a", "ab", "abc", "#cloud-config\n" };
	char *back;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(xfreep) char *encoded = base64_encode(texts[i], strlen(texts[i]));

		assert_int_equal(base64_decode(encoded, &back, &n, NULL), 0);
		assert_string_equal(back, texts[i]);
		assert_int_equal(n, strlen(texts[i]));
		free(back);
	}
	assert_int_equal(base64_decode("a b!", &back, &n, NULL), -ERR_INVALID);
}

static void uuids_are_version_four(void **state _unused_)
{
	char a[UUID_MAX], b[UUID_MAX];

	assert_true(uuid_is_valid(uuid_new(a)));
	assert_true(a[14] == '4' && strchr("89ab", a[19]));
	assert_string_not_equal(a, uuid_new(b));
	assert_false(uuid_is_valid("5f0d3a7c-5c1e-4d0e-9a4c-1b8a6e2f100"));
	assert_false(uuid_is_valid("5f0d3a7c-5c1e-4d0e-9a4c-1b8a6e2f100g"));
	assert_false(uuid_is_valid("5f0d3a7c-5c1e-4d0e-9a4c-1b8a6e2f10011"));
}

static void terminals_get_no_control_characters(void **state _unused_)
{
	char buf[64];

	log_escape("a\033[2J\nb\xff\xc3\xa9\xc2\x9b", buf, sizeof(buf));
	assert_string_equal(buf, "a\\x1b[2J\\x0ab\\xff\xc3\xa9\\xc2\\x9b");
	log_escape("0123456789", buf, 8);
	assert_true(strlen(buf) < 8);
}

typedef struct Caught {
	char text[64], name[32];
	size_t n_fields;
} Caught;

static void catch_line(void *arg, LogLevel level _unused_, const char *id _unused_,
		       const char *text, const LogField *fields, size_t n)
{
	Caught *c = arg;

	snprintf(c->text, sizeof(c->text), "%s", text);
	snprintf(c->name, sizeof(c->name), "%s", n ? fields[0].value : "");
	c->n_fields = n;
}

static void lines_carry_the_threads_fields(void **state _unused_)
{
	LogField frame[] = {
		{"SF_NAME",  "web"},
                { "SF_KIND", NULL }
	};
	Caught c = { 0 };
	size_t depth;

	log_set_sink(catch_line, &c);
	depth = log_push(frame, 2);
	log_info("hello %d", 1);
	assert_string_equal(c.text, "hello 1");
	assert_string_equal(c.name, "web");
	assert_int_equal(c.n_fields, 1);
	log_pop(depth);
	log_info("out");
	assert_int_equal(c.n_fields, 0);
	log_debug("silent");
	assert_string_equal(c.text, "out");
	log_set_sink(NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_carry_code_and_context),
		cmocka_unit_test(errors_work_without_an_error),
		cmocka_unit_test(errno_becomes_our_code),
		cmocka_unit_test(strbuf_stops_at_its_maximum),
		cmocka_unit_test(strv_splits_and_joins),
		cmocka_unit_test(hashmap_keeps_what_was_put),
		cmocka_unit_test(hashmap_lists_its_uuids),
		cmocka_unit_test(hashmap_survives_churn),
		cmocka_unit_test(times_are_rfc3339),
		cmocka_unit_test(ages_read_like_kubectl),
		cmocka_unit_test(fake_clock_moves_only_when_told),
		cmocka_unit_test(files_are_written_whole),
		cmocka_unit_test(temporary_files_of_the_dead_are_dropped),
		cmocka_unit_test(nothing_is_opened_outside_a_directory),
		cmocka_unit_test(addresses_are_parsed_strictly),
		cmocka_unit_test(prefixes_count_and_contain),
		cmocka_unit_test(macs_are_parsed_strictly),
		cmocka_unit_test(hashes_are_the_standard_ones),
		cmocka_unit_test(base64_goes_both_ways),
		cmocka_unit_test(uuids_are_version_four),
		cmocka_unit_test(terminals_get_no_control_characters),
		cmocka_unit_test(lines_carry_the_threads_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
