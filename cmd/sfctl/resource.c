/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource: kinds by the words people use, paths of objects, and lists of them. Compiled-in kinds
 * need no server; any other word asks it once.
 */
#include <ctype.h>
#include <strings.h>

#include "sfctl.h"
#include "table.h"
#include "json/json.h"

/* ---- names and paths ---------------------------------------------------------------------- */

char *resource_full_name(const Resource *r)
{
	return *r->group ? xasprintf("%s.%s", r->plural, r->group) : xstrdup(r->plural);
}

char *resource_object_name(const Resource *r, const char *name)
{
	return xasprintf("%s%s%s/%s", r->singular, *r->group ? "." : "", r->group, name);
}

char *resource_path(const Resource *r, const char *namespace, const char *name, const char *sub)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	if (*r->group)
		strbuf_addf(&b, "/apis/%s/%s", r->group, r->version);
	else
		strbuf_addf(&b, "/api/%s", r->version);
	if (r->namespaced && namespace) {
		strbuf_adds(&b, "/namespaces/");
		url_encode(&b, namespace);
	}
	strbuf_addf(&b, "/%s", r->plural);
	if (name) {
		strbuf_addc(&b, '/');
		url_encode(&b, name);
	}
	if (sub)
		strbuf_addf(&b, "/%s", sub);
	return strbuf_take(&b);
}

void path_add_query(StrBuf *path, const char *key, const char *value)
{
	strbuf_addc(path, strchr(strbuf_str(path), '?') ? '&' : '?');
	strbuf_adds(path, key);
	strbuf_addc(path, '=');
	url_encode(path, value);
}

int name_check(const char *name, Error *err)
{
	bool bad = streq(name, ".") || streq(name, "..");
	_cleanup_(xfreep) char *shown = NULL;

	if (!*name)
		return error_set(err, ERR_INVALID, "the name is empty");
	if (strlen(name) >= KEY_NAME_MAX)
		return error_set(err, ERR_INVALID, "'%.32s…' is too long for a name", name);
	for (const char *p = name; *p; p++)
		bad |= *p == '/' || *p == '%' || iscntrl((unsigned char)*p) || *p == ' ';
	if (!bad)
		return 0;
	shown = text_escape(name);
	return error_set(err, ERR_INVALID,
			 "'%s' cannot be a name: use lower-case letters, digits, '-' and '.'",
			 shown);
}

/* ---- which kinds there are ---------------------------------------------------------------- */

static void resource_add(Cli *cli, Resource *r)
{
	GROW_ARRAY(cli->resources, cli->n_resources, cli->cap_resources);
	cli->resources[cli->n_resources++] = r;
}

static char **strv_of(const char *const *v)
{
	char **copy = strv_copy((char *const *)v);

	return copy ? copy : xnew0(char *, 1);
}

/* Versions come in the order in which the server prefers them. */
static bool is_alternate(const Cli *cli, const char *group, const char *plural)
{
	for (size_t i = 0; i < cli->n_resources; i++)
		if (streq(cli->resources[i]->group, group) &&
		    streq(cli->resources[i]->plural, plural))
			return true;
	return false;
}

void cli_add_kind(Cli *cli, const Kind *k)
{
	Resource *r = xnew0(Resource, 1);

	r->alternate = is_alternate(cli, k->group, k->plural);
	r->group = xstrdup(k->group);
	r->version = xstrdup(k->version);
	r->api_version = xstrdup(k->api_version);
	r->kind = xstrdup(k->kind);
	r->plural = xstrdup(k->plural);
	r->singular = xstrdup(k->singular);
	r->short_names = strv_of(k->short_names);
	r->categories = strv_of(k->categories);
	r->verbs = xnew0(char *, 1);
	r->namespaced = k->namespaced;
	r->compiled = kind_ref(k);
	resource_add(cli, r);
}

static void load_compiled(Cli *cli)
{
	size_t n = 0;
	Kind **all;

	if (cli->kinds)
		return;
	cli->kinds = kind_registry_new();
	all = kind_registry_list(cli->kinds, &n);
	for (size_t i = 0; i < n; i++) {
		cli_add_kind(cli, all[i]);
		kind_unref(all[i]);
	}
	free(all);
	cli->n_compiled = cli->n_resources;
}

static char **strv_from_json(const json_t *array)
{
	char **v = xnew0(char *, 1);
	const json_t *item;
	size_t i;

	json_array_foreach (array, i, item)
		if (json_is_string(item))
			v = strv_append(v, json_string_value(item));
	return v;
}

static Resource *find_plural(Cli *cli, const char *group, const char *version, const char *plural)
{
	for (size_t i = 0; i < cli->n_resources; i++)
		if (streq(cli->resources[i]->group, group) &&
		    streq(cli->resources[i]->version, version) &&
		    streq(cli->resources[i]->plural, plural))
			return cli->resources[i];
	return NULL;
}

static void discovered_add(Cli *cli, const char *group, const char *version, const json_t *item)
{
	const char *plural = json_string_at(item, "name"), *kind = json_string_at(item, "kind");
	const char *singular = json_string_at(item, "singularName");
	_cleanup_(xfreep) char *lower = NULL;
	Resource *r;

	if (!plural || !kind || strchr(plural, '/'))
		return; /* a subresource */
	r = find_plural(cli, group, version, plural);
	if (r) { /* compiled in: the server adds what it allows */
		strv_free(r->verbs);
		r->verbs = strv_from_json(json_object_get(item, "verbs"));
		return;
	}
	lower = xstrdup(kind);
	for (char *p = lower; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	r = xnew0(Resource, 1);
	r->alternate = is_alternate(cli, group, plural);
	r->group = xstrdup(group);
	r->version = xstrdup(version);
	r->api_version = *group ? xasprintf("%s/%s", group, version) : xstrdup(version);
	r->kind = xstrdup(kind);
	r->plural = xstrdup(plural);
	r->singular = xstrdup(str_is_empty(singular) ? lower : singular);
	r->short_names = strv_from_json(json_object_get(item, "shortNames"));
	r->categories = strv_from_json(json_object_get(item, "categories"));
	r->verbs = strv_from_json(json_object_get(item, "verbs"));
	r->namespaced = json_bool_at(item, "namespaced", false);
	resource_add(cli, r);
}

static int discover_version(Cli *cli, const char *group, const char *version, Error *err)
{
	_cleanup_(xfreep) char *path =
		*group ? xasprintf("/apis/%s/%s", group, version) : xasprintf("/api/%s", version);
	json_t *list = NULL, *item;
	size_t i;
	int rc;

	rc = cli_get(cli, path, &list, err);
	if (rc == 0)
		json_array_foreach (json_object_get(list, "resources"), i, item)
			discovered_add(cli, group, version, item);
	json_decref(list);
	return rc == -ERR_NOT_FOUND ? error_ignore(err) : rc; /* gone since it was listed */
}

int cli_discover(Cli *cli, Error *err)
{
	json_t *groups = NULL, *item;
	size_t i;
	int rc;

	load_compiled(cli);
	if (cli->discovered)
		return 0;
	rc = discover_version(cli, "", "v1", err);
	if (rc == 0)
		rc = cli_get(cli, "/apis", &groups, err);
	json_array_foreach (json_object_get(groups, "groups"), i, item) {
		const char *name = json_string_at(item, "name");
		json_t *v;
		size_t j;

		json_array_foreach (json_object_get(item, "versions"), j, v) {
			const char *version = json_string_at(v, "version");

			if (rc == 0 && name && version)
				rc = discover_version(cli, name, version, err);
		}
	}
	json_decref(groups);
	if (rc < 0)
		return error_wrap_rc(err, rc, "ask the server for its kinds");
	cli->discovered = true;
	return 0;
}

void cli_forget_discovery(Cli *cli)
{
	cli->discovered = false;
}

/* "shakenfist.io", or "v1alpha1.shakenfist.io" */
static bool group_matches(const Resource *r, const char *words)
{
	size_t n = strlen(r->version);

	return strcasecmp(words, r->group) == 0
		       ? !r->alternate
		       : strncasecmp(words, r->version, n) == 0 && words[n] == '.' &&
				 strcasecmp(words + n + 1, r->group) == 0;
}

/* "instances", "instance", "vm", "Instance", "instances.shakenfist.io",
 * "instances.v1alpha1.shakenfist.io" */
static bool resource_matches(const Resource *r, const char *word)
{
	const char *dot = strchr(word, '.');
	size_t n = dot ? (size_t)(dot - word) : strlen(word);
	const char *names[] = { r->plural, r->singular, r->kind };

	if (dot ? !group_matches(r, dot + 1) : r->alternate)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == n && strncasecmp(names[i], word, n) == 0)
			return true;
	if (!dot)
		strv_foreach (s, r->short_names)
			if (strcasecmp(*s, word) == 0)
				return true;
	return false;
}

static const Resource *find_word(const Cli *cli, const char *word)
{
	for (size_t i = 0; i < cli->n_resources; i++)
		if (resource_matches(cli->resources[i], word))
			return cli->resources[i];
	return NULL;
}

static int unknown_word(Cli *cli, const char *word, Error *err)
{
	const char *names[256], *near;
	size_t n = 0;

	for (size_t i = 0; i < cli->n_resources && n + 2 < ARRAY_SIZE(names); i++) {
		names[n++] = cli->resources[i]->plural;
		names[n++] = cli->resources[i]->singular;
	}
	near = suggest(word, names, n);
	return error_set(err, ERR_NOT_FOUND, "there is no kind '%s'%s%s%s", word,
			 near ? " (did you mean " : "; `sfctl api-resources` lists them",
			 near ? near : "", near ? "?)" : "");
}

int cli_resource_by_word(Cli *cli, const char *word, const Resource **ret, Error *err)
{
	int rc;

	load_compiled(cli);
	*ret = find_word(cli, word);
	if (*ret)
		return 0;
	rc = cli_discover(cli, err);
	if (rc < 0)
		return rc;
	*ret = find_word(cli, word);
	return *ret ? 0 : unknown_word(cli, word, err);
}

bool cli_word_is_kind(Cli *cli, const char *word)
{
	load_compiled(cli);
	return find_word(cli, word) != NULL;
}

static const Resource *find_kind(const Cli *cli, const char *api_version, const char *kind)
{
	for (size_t i = 0; i < cli->n_resources; i++)
		if (streq(cli->resources[i]->api_version, api_version) &&
		    streq(cli->resources[i]->kind, kind))
			return cli->resources[i];
	return NULL;
}

/* Why no kind fits: another version, another spelling, or nothing near. */
static int unknown_kind(Cli *cli, const char *api_version, const char *kind, Error *err)
{
	const char *names[256], *near;
	size_t n = 0;

	for (size_t i = 0; i < cli->n_resources; i++)
		if (streq(cli->resources[i]->kind, kind))
			return error_set(err, ERR_INVALID,
					 "there is no kind %s in %s (did you mean apiVersion: %s?)",
					 kind, api_version, cli->resources[i]->api_version);
	for (size_t i = 0; i < cli->n_resources && n < ARRAY_SIZE(names); i++)
		names[n++] = cli->resources[i]->kind;
	near = suggest(kind, names, n);
	return error_set(err, ERR_INVALID, "there is no kind %s in %s%s%s%s", kind, api_version,
			 near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

int cli_resource_by_kind(Cli *cli, const char *api_version, const char *kind, const Resource **ret,
			 Error *err)
{
	int rc;

	load_compiled(cli);
	*ret = find_kind(cli, api_version, kind);
	if (*ret)
		return 0;
	rc = cli_discover(cli, err);
	if (rc < 0)
		return rc;
	*ret = find_kind(cli, api_version, kind);
	return *ret ? 0 : unknown_kind(cli, api_version, kind, err);
}

const Resource *cli_resource_by_group_kind(const Cli *cli, const char *word)
{
	size_t n = strcspn(word, ".");
	const char *group = word[n] ? word + n + 1 : "";

	for (size_t i = 0; i < cli->n_resources; i++) {
		const Resource *r = cli->resources[i];

		if (streq(r->group, group) && strlen(r->kind) == n &&
		    strncmp(r->kind, word, n) == 0)
			return r;
	}
	return NULL;
}

static int kind_of_version(const json_t *crd, const char *version, Kind **ret, Error *err)
{
	_cleanup_(kind_unrefp) Kind *stored = NULL;
	int rc = kind_from_crd(crd, false, &stored, err);

	if (rc < 0)
		return rc;
	for (const Kind *const *v = stored->versions; *v; v++)
		if (streq((*v)->version, version)) {
			*ret = kind_ref(*v);
			return 0;
		}
	return error_set(err, ERR_NOT_FOUND, "it has no version %s", version);
}

int cli_kind_schema(Cli *cli, const Resource *r, Kind **ret, Error *err)
{
	_cleanup_(xfreep) char *full = NULL, *path = NULL;
	const Resource *crds;
	json_t *crd = NULL;
	int rc;

	if (r->compiled) {
		*ret = kind_ref(r->compiled);
		return 0;
	}
	rc = cli_resource_by_word(cli, "customresourcedefinitions", &crds, err);
	if (rc < 0)
		return rc;
	full = resource_full_name(r);
	path = resource_path(crds, NULL, full, NULL);
	rc = cli_get(cli, path, &crd, err);
	if (rc == 0)
		rc = kind_of_version(crd, r->version, ret, err);
	json_decref(crd);
	return error_wrap_rc(err, rc, "the definition of %s", full);
}

/* ---- lists -------------------------------------------------------------------------------- */

/* token NULL: the first page; paged false: all of it in one. */
static int list_page(Cli *cli, const char *path, const char *accept, bool paged, const char *token,
		     json_t **ret, Error *err)
{
	_cleanup_(strbuf_done) StrBuf full = STRBUF_INIT;
	char limit[16];

	snprintf(limit, sizeof(limit), "%d", LIST_PAGE);
	strbuf_adds(&full, path);
	if (paged)
		path_add_query(&full, "limit", limit);
	if (!str_is_empty(token))
		path_add_query(&full, "continue", token);
	return cli_call(
		cli,
		&(ClientRequest){ .method = "GET", .path = strbuf_str(&full), .accept = accept },
		ret, err);
}

int cli_list(Cli *cli, const char *path, const char *accept, json_t **ret, Error *err)
{
	json_t *list = NULL, *page = NULL;
	const char *key, *token;
	int rc;

	rc = list_page(cli, path, accept, true, NULL, &list, err);
	if (rc < 0) {
		json_decref(list);
		return rc;
	}
	key = json_object_get(list, "rows") ? "rows" : "items";
	token = json_string_at(list, "metadata.continue");
	while (!str_is_empty(token)) {
		json_t *next = NULL;

		rc = list_page(cli, path, accept, true, token, &next, err);
		json_decref(page);
		page = next;
		if (rc < 0)
			break;
		if (json_array_extend(json_object_get(list, key), json_object_get(page, key)) < 0)
			break; /* a page without the array: there is no more */
		token = json_string_at(page, "metadata.continue");
	}
	json_decref(page);
	if (rc == -ERR_GONE) {
		/* More was written meanwhile than the server keeps: in one go, then. */
		error_done(err);
		json_decref(TAKE_PTR(list));
		rc = list_page(cli, path, accept, false, NULL, &list, err);
	}
	if (rc < 0) {
		json_decref(list);
		return rc;
	}
	json_object_del(json_object_get(list, "metadata"), "continue");
	json_object_del(json_object_get(list, "metadata"), "remainingItemCount");
	*ret = list;
	return 0;
}
