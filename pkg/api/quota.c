/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas: charges, names, amounts. See quota.h. The names are those of Kubernetes
 * (https://kubernetes.io/docs/concepts/policy/resource-quotas/); kinds that no server of ours will
 * ever have may be bounded too and are used 0 times.
 */
#include "api/quota.h"

#include <stdlib.h>

#include "api/quantity.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "json/json.h"

/* ---- charges ---- */

static uint64_t amount_at(const json_t *tree, const char *path)
{
	const json_t *v = json_at(tree, path);
	uint64_t n = 0;

	return v && quantity_parse_json(v, &n, NULL) == 0 ? n : 0;
}

static void add_reference(StrBuf *b, char what, const char *namespace, const char *ref)
{
	if (strchr(ref, '/'))
		strbuf_addf(b, " %c%s", what, ref);
	else
		strbuf_addf(b, " %c%s/%s", what, namespace, ref);
}

char *quota_charge(const Key *key, const json_t *tree)
{
	const json_t *disks = json_at(tree, "spec.disks"), *nics = json_at(tree, "spec.interfaces");
	_cleanup_(strbuf_done) StrBuf refs = STRBUF_INIT;
	uint64_t cpus, memory, storage = 0;
	const json_t *v;
	size_t i;

	if (key->gr != GR_INSTANCE)
		return NULL;
	cpus = amount_at(tree, "spec.cpus");
	memory = amount_at(tree, "spec.memory");
	json_array_foreach (disks, i, v) {
		const char *image = json_string_at(v, "image");
		uint64_t size = amount_at(v, "size");

		storage += size;
		if (!size && image)
			add_reference(&refs, 'i', key->namespace, image);
	}
	json_array_foreach (nics, i, v) {
		const char *network = json_string_at(v, "network");

		if (network)
			add_reference(&refs, 'n', key->namespace, network);
	}
	return xasprintf("%llu %llu %llu %llu %llu%s", (unsigned long long)cpus,
			 (unsigned long long)MAX(cpus, amount_at(tree, "spec.maxCpus")),
			 (unsigned long long)memory,
			 (unsigned long long)MAX(memory, amount_at(tree, "spec.maxMemory")),
			 (unsigned long long)storage, strbuf_str(&refs));
}

/* ---- names ---- */

static const struct {
	const char *name;
	QuotaUnit unit;
	const char *kind; /* of a count */
} names[] = {
	{"cpu",			       QUOTA_CPUS,       NULL                     },
	{ "requests.cpu",                     QUOTA_CPUS,       NULL                     },
	{ "limits.cpu",                       QUOTA_MAX_CPUS,   NULL                     },
	{ "memory",			   QUOTA_MEMORY,     NULL                     },
	{ "requests.memory",                  QUOTA_MEMORY,     NULL                     },
	{ "limits.memory",                    QUOTA_MAX_MEMORY, NULL                     },
	{ "requests.storage",                 QUOTA_STORAGE,    NULL                     },
	{ "requests.shakenfist.io/addresses", QUOTA_ADDRESSES,  NULL                     },
	{ "pods",			     QUOTA_COUNT,      "instances.shakenfist.io"},
	{ "count/pods",                       QUOTA_COUNT,      "instances.shakenfist.io"},
	{ "configmaps",                       QUOTA_COUNT,      "configmaps"             },
	{ "secrets",			  QUOTA_COUNT,      "secrets"                },
	{ "resourcequotas",                   QUOTA_COUNT,      "resourcequotas"         },
	{ "ephemeral-storage",                QUOTA_COUNT,      ""                       }, /* nothing of ours has any */
	{ "requests.ephemeral-storage",       QUOTA_COUNT,      ""                       },
	{ "limits.ephemeral-storage",         QUOTA_COUNT,      ""                       },
	{ "services",			 QUOTA_COUNT,      "services"               },
	{ "services.loadbalancers",           QUOTA_COUNT,      "services"               },
	{ "services.nodeports",               QUOTA_COUNT,      "services"               },
	{ "persistentvolumeclaims",           QUOTA_COUNT,      "persistentvolumeclaims" },
	{ "replicationcontrollers",           QUOTA_COUNT,      "replicationcontrollers" },
};

bool quota_unit(const char *name, QuotaUnit *ret, const char **ret_kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(names[i].name, name)) {
			*ret = names[i].unit;
			*ret_kind = names[i].kind;
			return true;
		}
	if (!str_has_prefix(name, "count/") || !name[6])
		return false;
	*ret = QUOTA_COUNT;
	*ret_kind = name + 6;
	return true;
}

/* ---- amounts ---- */

json_t *quota_amount(QuotaUnit unit, uint64_t value)
{
	char text[QUANTITY_TEXT_MAX];

	if (unit == QUOTA_MEMORY || unit == QUOTA_MAX_MEMORY || unit == QUOTA_STORAGE)
		return json_string(quantity_format(value, text));
	return json_sprintf("%llu", (unsigned long long)value);
}

int quota_bound(const json_t *hard, uint64_t *ret)
{
	if (json_is_string(hard))
		return quantity_parse_floor(json_string_value(hard), ret, NULL);
	return quantity_parse_json(hard, ret, NULL);
}

bool quota_is_whole(const json_t *hard)
{
	uint64_t down, up;

	return quota_bound(hard, &down) == 0 && quantity_parse_json(hard, &up, NULL) == 0 &&
	       up == down;
}

void quota_normalize(json_t *tree)
{
	json_t *hard = json_at(tree, "spec.hard"), *v;
	const char *name;
	void *next;

	json_object_foreach_safe(hard, next, name, v) if (json_is_integer(v)) json_object_set_new(
		hard, name, json_sprintf("%lld", (long long)json_integer_value(v)));
}

static void add_amount(StrBuf *b, const json_t *v)
{
	if (json_is_string(v))
		strbuf_adds(b, json_string_value(v));
	else
		strbuf_addf(b, "%lld", (long long)json_integer_value(v));
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *quota_cell(const json_t *tree, bool limits)
{
	json_t *hard = json_at(tree, "status.hard"), *used = json_at(tree, "status.used"), *v;
	_cleanup_(xfreep) const char **keys = xnew(const char *, json_object_size(hard) + 1);
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	const char *key;
	size_t n = 0;

	json_object_foreach (hard, key, v)
		if (str_has_prefix(key, "limits.") == limits)
			keys[n++] = key;
	qsort(keys, n, sizeof(*keys), compare_names);
	for (size_t i = 0; i < n; i++) {
		strbuf_addf(&b, "%s%s: ", i ? ", " : "", keys[i]);
		add_amount(&b, json_object_get(used, keys[i]));
		strbuf_addc(&b, '/');
		add_amount(&b, json_object_get(hard, keys[i]));
	}
	return json_string(strbuf_str(&b));
}
