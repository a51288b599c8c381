/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of roles: what one allows, and whether some cover another. See rbac.h. Pure; any thread.
 */
#include "server/rbac.h"

#include <stdatomic.h>

#include "base/hashmap.h"
#include "base/memory.h"
#include "json/json.h"

/* ---- rule sets ---- */

static char **strings_of(const json_t *rule, const char *member)
{
	const json_t *list = json_object_get(rule, member);
	char **v = xnew0(char *, json_array_size(list) + 1);
	size_t i, n = 0;
	json_t *s;

	json_array_foreach (list, i, s)
		if (json_is_string(s))
			v[n++] = xstrdup(json_string_value(s));
	return v;
}

RuleSet *rule_set_new(const json_t *rules)
{
	size_t n = json_array_size(rules), i;
	RuleSet *s = xcalloc(1, sizeof(*s) + n * sizeof(s->rules[0]));
	json_t *rule;

	s->refs = 1;
	s->n = n;
	json_array_foreach (rules, i, rule)
		s->rules[i] = (PolicyRule){ .verbs = strings_of(rule, "verbs"),
					    .groups = strings_of(rule, "apiGroups"),
					    .resources = strings_of(rule, "resources"),
					    .names = strings_of(rule, "resourceNames"),
					    .urls = strings_of(rule, "nonResourceURLs") };
	return s;
}

RuleSet *rule_set_ref(RuleSet *s)
{
	if (s)
		atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

RuleSet *rule_set_unref(RuleSet *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	for (size_t i = 0; i < s->n; i++) {
		strv_free(s->rules[i].verbs);
		strv_free(s->rules[i].groups);
		strv_free(s->rules[i].resources);
		strv_free(s->rules[i].names);
		strv_free(s->rules[i].urls);
	}
	free(s);
	return NULL;
}

void rule_sets_done(RuleSets *sets)
{
	for (size_t i = 0; i < sets->n; i++)
		rule_set_unref(sets->items[i]);
	free(sets->items);
	*sets = (RuleSets){ 0 };
}

/* ---- what a rule allows ---- */

static bool has(char *const *list, const char *s)
{
	strv_foreach (item, list)
		if (streq(*item, "*") || streq(*item, s))
			return true;
	return false;
}

/* "pods", "pods/log", "*", and "*" + "/status" for that subresource of everything. */
static bool resource_matches(const char *pattern, const char *resource, const char *subresource)
{
	size_t n = strlen(resource);

	if (streq(pattern, "*"))
		return true;
	if (!subresource)
		return streq(pattern, resource);
	if (str_has_prefix(pattern, "*/") && streq(pattern + 2, subresource))
		return true;
	return strncmp(pattern, resource, n) == 0 && pattern[n] == '/' &&
	       streq(pattern + n + 1, subresource);
}

static bool url_matches(const char *pattern, const char *path)
{
	size_t n = strlen(pattern);

	if (streq(pattern, path))
		return true;
	if (n == 0 || pattern[n - 1] != '*')
		return false;
	while (n && pattern[n - 1] == '*')
		n--;
	return strncmp(pattern, path, n) == 0;
}

static bool allows_resource(const PolicyRule *rule, const AccessRequest *r)
{
	const char *sub = str_is_empty(r->subresource) ? NULL : r->subresource;
	bool found = false;

	if (!has(rule->groups, r->group))
		return false;
	for (char **p = rule->resources; *p && !found; p++)
		found = resource_matches(*p, r->resource, sub);
	if (!found)
		return false;
	return !*rule->names || strv_contains(rule->names, r->name ? r->name : "");
}

bool rule_allows(const PolicyRule *rule, const AccessRequest *r)
{
	if (!has(rule->verbs, r->verb))
		return false;
	if (!r->path)
		return allows_resource(rule, r);
	for (char **p = rule->urls; *p; p++)
		if (url_matches(*p, r->path))
			return true;
	return false;
}

/* ---- whether some rules cover another ---- */

#define MISSING_MAX 500 /* nobody reads more */

/* One thing that a rule says: a verb on a resource (of one name, or NULL), or on a URL. */
typedef struct Grant {
	const char *verb, *group, *resource, *name, *url;
} Grant;

/* "*" of the grant is only covered by "*". */
static bool covers_resource(char *const *held, const char *resource)
{
	const char *slash = strchr(resource, '/');

	strv_foreach (h, held) {
		if (streq(*h, "*") || streq(*h, resource))
			return true;
		if (slash && str_has_prefix(*h, "*/") && streq(*h + 2, slash + 1))
			return true;
	}
	return false;
}

static bool rule_covers(const PolicyRule *rule, const Grant *g)
{
	if (!has(rule->verbs, g->verb))
		return false;
	if (g->url) {
		for (char **p = rule->urls; *p; p++)
			if (url_matches(*p, g->url))
				return true;
		return false;
	}
	if (!has(rule->groups, g->group) || !covers_resource(rule->resources, g->resource))
		return false;
	return !*rule->names || (g->name && strv_contains(rule->names, g->name));
}

static bool is_covered(const RuleSets *held, const Grant *g)
{
	for (size_t i = 0; i < held->n; i++)
		for (size_t k = 0; k < held->items[i]->n; k++)
			if (rule_covers(&held->items[i]->rules[k], g))
				return true;
	return false;
}

static json_t *single(const char *value)
{
	json_t *list = value ? json_array() : NULL;

	if (list)
		json_array_append_new(list, json_string(value));
	return list;
}

typedef struct Cover {
	const RuleSets *held;
	json_t *missing; /* may be NULL */
	Hashmap *told;   /* what of missing is about the same thing: its verbs, borrowed */
	size_t left;     /* how many more things may be asked */
	int rc;          /* 1 = all covered so far */
} Cover;

/* Verbs on the same thing are told together. */
static void add_missing(Cover *c, const Grant *g)
{
	_cleanup_(xfreep) char *thing = xasprintf(
		"%s\n%s\n%s\n%s\n%d%d", g->group ? g->group : "", g->resource ? g->resource : "",
		g->name ? g->name : "", g->url ? g->url : "", !!g->name, !!g->url);
	json_t *verbs = hashmap_get(c->told, thing);

	if (!verbs && json_array_size(c->missing) >= MISSING_MAX)
		return;
	if (!verbs) {
		verbs = json_array();
		json_array_append_new(c->missing,
				      json_pack("{s:o*, s:o*, s:o*, s:o*, s:o}", "apiGroups",
						single(g->group), "resources", single(g->resource),
						"resourceNames", single(g->name), "nonResourceURLs",
						single(g->url), "verbs", verbs));
		hashmap_put(c->told, thing, verbs);
	}
	json_array_append_new(verbs, json_string(g->verb));
}

static void cover_grant(Cover *c, const Grant *g)
{
	if (c->left == 0) {
		c->rc = -ERR_EXHAUSTED;
		return;
	}
	c->left--;
	if (is_covered(c->held, g))
		return;
	c->rc = 0;
	if (c->missing)
		add_missing(c, g);
}

static void cover_resource(Cover *c, const PolicyRule *rule, Grant *g)
{
	if (!*rule->names)
		cover_grant(c, g);
	for (char **name = rule->names; *name && c->rc >= 0; name++) {
		g->name = *name;
		cover_grant(c, g);
	}
	g->name = NULL;
}

static void cover_rule(Cover *c, const PolicyRule *rule)
{
	strv_foreach (verb, rule->verbs) {
		Grant g = { .verb = *verb };

		strv_foreach (url, rule->urls) {
			g.url = *url;
			if (c->rc >= 0)
				cover_grant(c, &g);
		}
		g.url = NULL;
		strv_foreach (group, rule->groups) {
			strv_foreach (resource, rule->resources) {
				g.group = *group;
				g.resource = *resource;
				if (c->rc >= 0)
					cover_resource(c, rule, &g);
			}
		}
	}
}

int rules_cover(const RuleSets *held, const RuleSet *wanted, json_t *missing)
{
	_cleanup_(hashmap_freep) Hashmap *told = hashmap_new(NULL);
	Cover c = { .held = held,
		    .missing = missing,
		    .told = told,
		    .left = RULE_COMBINATIONS_MAX,
		    .rc = 1 };

	for (size_t i = 0; i < wanted->n && c.rc >= 0; i++)
		cover_rule(&c, &wanted->rules[i]);
	return c.rc;
}

void rule_describe(const json_t *rule, StrBuf *out)
{
	static const struct {
		const char *member, *word;
	} parts[] = {
		{"apiGroups",        "APIGroups"      },
		{ "resources",       "Resources"      },
		{ "nonResourceURLs", "NonResourceURLs"},
		{ "resourceNames",   "ResourceNames"  },
		{ "verbs",           "Verbs"          },
	};
	bool first = true;

	strbuf_addc(out, '{');
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		const json_t *list = json_object_get(rule, parts[i].member);
		json_t *v;
		size_t k;

		if (json_array_size(list) == 0)
			continue;
		strbuf_addf(out, "%s%s:[", first ? "" : ", ", parts[i].word);
		json_array_foreach (list, k, v)
			strbuf_addf(out, "%s\"%s\"", k ? " " : "", json_string_value(v));
		strbuf_addc(out, ']');
		first = false;
	}
	strbuf_addc(out, '}');
}
