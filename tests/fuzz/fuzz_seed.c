/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seed of a guest from {"hostname", "domain", "instanceID", "search", "nic", "keys",
 * "userData"}: what the check takes ends up as data in JSON files and nowhere else.
 */
#include "driver/seed/text.h"
#include "fuzz.h"

static char **keys_of(const json_t *list)
{
	char **keys = NULL;
	json_t *k;
	size_t i;

	json_array_foreach (list, i, k)
		if (json_is_string(k))
			keys = strv_append(keys, json_string_value(k));
	return keys;
}

static json_t *decoded(const StrBuf *text)
{
	json_t *v = NULL;

	FUZZ_REQUIRE(json_decode(strbuf_str(text), text->len, &v, NULL) == 0);
	return v;
}

static void write_seed(const SeedConfig *c)
{
	_cleanup_(strbuf_done) StrBuf meta = STRBUF_INIT, network = STRBUF_INIT, user = STRBUF_INIT;
	_cleanup_(json_decrefp) json_t *m = NULL, *n = NULL;

	seed_meta_data(c, &meta);
	m = decoded(&meta);
	FUZZ_REQUIRE(streq_ptr(json_string_at(m, "instance-id"), c->instance_id));
	FUZZ_REQUIRE(streq_ptr(json_string_at(m, "local-hostname"), c->hostname) || c->domain);
	seed_network_config(c, &network);
	n = decoded(&network);
	FUZZ_REQUIRE(json_object_get(json_object_get(n, "ethernets"), c->nics[0].name));
	seed_user_data(c, &user);
	FUZZ_REQUIRE(!c->user_data || user.len == c->user_data_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(json_decrefp) json_t *v = fuzz_json(data, size);
	_cleanup_(strv_freep) char **keys = keys_of(json_object_get(v, "keys"));
	const char *user = json_string_at(v, "userData");
	SeedNic nic = { .name = json_string_at(v, "nic"),
			.search = json_string_at(v, "search"),
			.dhcp4 = true,
			.mac = { { 0x52, 0x54, 0, 1, 2, 3 } } };
	SeedConfig c = { .path = "/var/lib/sfd/seed.iso",
			 .instance_id = json_string_at(v, "instanceID"),
			 .hostname = json_string_at(v, "hostname"),
			 .domain = json_string_at(v, "domain"),
			 .user_data = user,
			 .user_data_len = user ? strlen(user) : 0,
			 .ssh_keys = keys,
			 .nics = &nic,
			 .n_nics = 1 };
	_cleanup_(error_done) Error err = ERROR_INIT;

	if (seed_config_validate(&c, &err) == 0)
		write_seed(&c);
	else
		FUZZ_REQUIRE(*error_message(&err));
	return 0;
}
