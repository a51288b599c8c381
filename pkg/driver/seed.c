/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every seed writer refuses, so that the fake and the real one agree. See seed.h.
 */
#include "driver/seed.h"

#include "base/memory.h"
#include "driver/text.h"

static bool label_is_valid(const char *s, size_t n)
{
	if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-'))
			return false;
	return true;
}

static bool domain_is_valid(const char *s)
{
	size_t n;

	if (strlen(s) > 253)
		return false;
	for (;; s += n + 1) {
		n = strcspn(s, ".");
		if (!label_is_valid(s, n))
			return false;
		if (!s[n])
			return true;
	}
}

static int nic_validate(const SeedConfig *c, size_t i, Error *err)
{
	const SeedNic *n = &c->nics[i];

	/* The kernel's rule for interface names, and nothing a shell or YAML could misread. */
	if (str_is_empty(n->name) || strlen(n->name) > 15 || streq(n->name, ".") ||
	    streq(n->name, "..") || !text_is_printable(n->name) || strpbrk(n->name, "/: %"))
		return error_set(err, ERR_INVALID, "bad name of an interface");
	if (n->n_addresses > 4 || n->n_name_servers > 4)
		return error_set(err, ERR_INVALID, "interface %s: too many addresses", n->name);
	for (size_t k = 0; k < n->n_addresses; k++)
		if (n->prefix_lengths[k] > (n->addresses[k].family == AF_INET ? 32U : 128U))
			return error_set(err, ERR_INVALID, "interface %s: bad prefix length",
					 n->name);
	if (n->search && !domain_is_valid(n->search))
		return error_set(err, ERR_INVALID, "interface %s: bad search domain", n->name);
	for (size_t k = 0; k < i; k++)
		if (streq(c->nics[k].name, n->name) || mac_equal(&c->nics[k].mac, &n->mac))
			return error_set(err, ERR_INVALID, "interface %s is given twice", n->name);
	return 0;
}

int seed_config_validate(const SeedConfig *c, Error *err)
{
	int rc;

	if (str_is_empty(c->path) || *c->path != '/' || !str_has_suffix(c->path, ".iso"))
		return error_set(err, ERR_INVALID, "path of the seed is not an absolute .iso");
	if (str_is_empty(c->instance_id) || !text_is_printable(c->instance_id))
		return error_set(err, ERR_INVALID, "bad instance id");
	if (!c->hostname || !label_is_valid(c->hostname, strlen(c->hostname)))
		return error_set(err, ERR_INVALID, "bad host name");
	if (c->domain && !domain_is_valid(c->domain))
		return error_set(err, ERR_INVALID, "bad domain");
	if (c->user_data_len > SEED_USER_DATA_MAX)
		return error_set(err, ERR_INVALID, "user data is larger than %u bytes",
				 SEED_USER_DATA_MAX);
	strv_foreach (key, c->ssh_keys)
		if (!text_is_printable(*key))
			return error_set(err, ERR_INVALID, "an SSH key is not one line of text");
	for (size_t i = 0; i < c->n_nics; i++)
		if ((rc = nic_validate(c, i, err)) < 0)
			return rc;
	return 0;
}
