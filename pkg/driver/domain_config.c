/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deep copies of a DomainConfig, for those who outlive their caller's strings.
 */
#include "driver/domain_config.h"

#include "base/memory.h"

typedef void (*StringFn)(const char **s);

/* Visits every string of it, so that copying and freeing cannot disagree. */
static void each_string(DomainConfig *c, StringFn fn)
{
	const char **fields[] = { &c->name,    &c->uuid,       &c->store_id,    &c->uid,
				  &c->title,   &c->request_id, &c->config_hash, &c->cpu_model,
				  &c->machine, &c->console_log };

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		fn(fields[i]);
	for (size_t i = 0; i < c->n_disks; i++) {
		fn(&c->disks[i].name);
		fn(&c->disks[i].path);
		fn(&c->disks[i].format);
		fn(&c->disks[i].base_path);
		fn(&c->disks[i].base_format);
		fn(&c->disks[i].bus);
	}
	for (size_t i = 0; i < c->n_nics; i++) {
		fn(&c->nics[i].name);
		fn(&c->nics[i].model);
	}
}

static void string_copy(const char **s)
{
	*s = xstrdup(*s);
}

static void string_free(const char **s)
{
	free((char *)*s);
}

DomainConfig *domain_config_copy(const DomainConfig *c)
{
	DomainConfig *copy = xmemdup(c, sizeof(*c));

	each_string(copy, string_copy);
	return copy;
}

DomainConfig *domain_config_free(DomainConfig *c)
{
	if (!c)
		return NULL;
	each_string(c, string_free);
	free(c);
	return NULL;
}
