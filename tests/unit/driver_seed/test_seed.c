/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeds: what cloud-init finds in them, that nothing can be injected, and that an unchanged one is
 * left alone. xorriso reads the image back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/spawn.h"
#include "driver/seed/iso.h"
#include "driver/seed/text.h"
#include "json/json.h"

static Context ctx;
static char *dir;

static char *keys[] = { (char *)"ssh-ed25519 AAAA me@host", (char *)"ssh-rsa \"B\": x\\n", NULL };

static SeedNic nics[2];

static SeedConfig config(const char *path)
{
	nics[0] = (SeedNic){ .name = "eth0",
			     .mac = { { 0x52, 0x54, 0, 0, 0, 1 } },
			     .dhcp4 = true,
			     .search = "lab.internal" };
	nics[1] = (SeedNic){
		.name = "eth1",
		.mac = {{ 0x52, 0x54, 0, 0, 0, 2 }},
		.n_addresses = 2,
		.prefix_lengths = { 24,                        64 },
		.n_name_servers = 1,
		.mtu = 1400
	};
	ip_parse("10.0.0.5", &nics[1].addresses[0], NULL);
	ip_parse("fd00::5", &nics[1].addresses[1], NULL);
	ip_parse("10.0.0.1", &nics[1].gateway4, NULL);
	ip_parse("fd00::1", &nics[1].gateway6, NULL);
	ip_parse("10.0.0.1", &nics[1].name_servers[0], NULL);
	return (SeedConfig){ .path = path,
			     .instance_id = "i-\"1\"",
			     .hostname = "web-1",
			     .domain = "lab.internal",
			     .ssh_keys = keys,
			     .nics = nics,
			     .n_nics = 2 };
}

static json_t *parse(void (*write)(const SeedConfig *, StrBuf *), const SeedConfig *c)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	json_t *tree = NULL;

	write(c, &b);
	assert_int_equal(json_decode(b.buf, b.len, &tree, NULL), 0);
	return tree;
}

static void test_meta_data(void **state _unused_)
{
	SeedConfig c = config("/x.iso");
	json_t *o = parse(seed_meta_data, &c);

	assert_string_equal(json_string_at(o, "instance-id"), "i-\"1\"");
	assert_string_equal(json_string_value(json_object_get(o, "local-hostname")),
			    "web-1.lab.internal");
	assert_int_equal(json_array_size(json_object_get(o, "public-keys")), 2);
	assert_string_equal(json_string_value(json_array_get(json_object_get(o, "public-keys"), 1)),
			    keys[1]);
	json_decref(o);
}

static void test_network_config(void **state _unused_)
{
	SeedConfig c = config("/x.iso");
	json_t *o = parse(seed_network_config, &c), *e;

	assert_int_equal(json_integer_at(o, "version", 0), 2);
	e = json_at(o, "ethernets.eth0");
	assert_string_equal(json_string_at(e, "match.macaddress"), "52:54:00:00:00:01");
	assert_string_equal(json_string_at(e, "set-name"), "eth0");
	assert_true(json_bool_at(e, "dhcp4", false));
	assert_false(json_bool_at(e, "dhcp6", true));
	assert_null(json_at(e, "addresses"));
	e = json_at(o, "ethernets.eth1");
	assert_string_equal(json_string_value(json_array_get(json_at(e, "addresses"), 0)),
			    "10.0.0.5/24");
	assert_string_equal(json_string_value(json_array_get(json_at(e, "addresses"), 1)),
			    "fd00::5/64");
	assert_int_equal(json_array_size(json_at(e, "routes")), 2);
	assert_int_equal(json_integer_at(e, "mtu", 0), 1400);
	json_decref(o);
}

static void test_refused(void **state _unused_)
{
	SeedWriter *s = iso_seed_writer_new();
	SeedConfig c = config("/x.iso");

	c.hostname = "a\nb";
	assert_int_equal(s->ops->ensure(s, &ctx, &c, NULL, NULL), -ERR_INVALID);
	c = config("/x.iso");
	keys[1] = (char *)"ssh-rsa A\nruncmd: x";
	assert_int_equal(s->ops->ensure(s, &ctx, &c, NULL, NULL), -ERR_INVALID);
	keys[1] = (char *)"ssh-rsa \"B\": x\\n";
	c = config("relative.iso");
	assert_int_equal(s->ops->ensure(s, &ctx, &c, NULL, NULL), -ERR_INVALID);
	c = config("/x.iso");
	nics[0].name = "eth0: {}";
	assert_int_equal(s->ops->ensure(s, &ctx, &c, NULL, NULL), -ERR_INVALID);
	c = config("/nonexistent/x.iso");
	assert_int_equal(s->ops->ensure(s, &ctx, &c, NULL, NULL), -ERR_NOT_FOUND);
	s->ops->free(s);
}

static char *extract(const char *iso, const char *name)
{
	_cleanup_(xfreep) char *out = xasprintf("%s/out", dir), *from = xasprintf("/%s", name);
	const char *argv[] = { "/usr/bin/xorriso", "-osirrox", "on", "-indev", iso,
			       "-extract",         from,       out,  NULL };
	char *text = NULL;

	unlink(out);
	assert_int_equal(spawn_run(&ctx, argv, NULL, NULL, NULL), 0);
	assert_int_equal(fs_read(out, 1 << 20, &text, NULL, NULL), 0);
	return text;
}

static void test_image(void **state _unused_)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/seed.iso", dir);
	_cleanup_(xfreep) char *user_data = NULL, *raw = NULL, *meta = NULL;
	SeedWriter *s = iso_seed_writer_new();
	SeedConfig c = config(path);
	bool changed = false;
	struct stat before, after;
	size_t len;

	assert_int_equal(s->ops->ensure(s, &ctx, &c, &changed, NULL), 0);
	assert_true(changed);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(before.st_mode & 07777, 0600);
	assert_int_equal(s->ops->ensure(s, &ctx, &c, &changed, NULL), 0);
	assert_false(changed);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(fs_read(path, 8 << 20, &raw, &len, NULL), 0);
	assert_memory_equal(raw + 32808, "cidata ", 7);
	user_data = extract(path, "user-data");
	assert_string_equal(user_data, "#cloud-config\n{}\n");
	meta = extract(path, "meta-data");
	assert_non_null(strstr(meta, "web-1.lab.internal"));
	free(user_data);
	c.user_data = "#!/bin/sh\necho '<&>'\n";
	c.user_data_len = strlen(c.user_data);
	assert_int_equal(s->ops->ensure(s, &ctx, &c, &changed, NULL), 0);
	assert_true(changed);
	user_data = extract(path, "user-data");
	assert_string_equal(user_data, c.user_data);
	/* Empty is not absent. */
	c.user_data_len = 0;
	assert_int_equal(s->ops->ensure(s, &ctx, &c, &changed, NULL), 0);
	assert_true(changed);
	s->ops->free(s);
}

static int setup(void **state _unused_)
{
	char name[] = "/tmp/test-seed.XXXXXX";

	ctx = CONTEXT_BACKGROUND;
	dir = xstrdup(mkdtemp(name));
	return dir ? 0 : -1;
}

static int teardown(void **state _unused_)
{
	fs_remove_tree(dir, NULL);
	free(dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_meta_data),
		cmocka_unit_test(test_network_config),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_image),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
