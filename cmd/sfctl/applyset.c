/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ApplySet: the parent object, the label, the members. See applyset.h.
 */
#include "applyset.h"

#include "base/base64.h"
#include "base/retry.h"
#include "base/sha.h"
#include "json/json.h"

#define LABEL_ID              "applyset.kubernetes.io/id"
#define LABEL_PART_OF         "applyset.kubernetes.io/part-of"
#define LABEL_PARENT_TYPE     "applyset.kubernetes.io/is-parent-type"
#define ANNOTATION_TOOLING    "applyset.kubernetes.io/tooling"
#define ANNOTATION_KINDS      "applyset.kubernetes.io/contains-group-kinds"
#define ANNOTATION_NAMESPACES "applyset.kubernetes.io/additional-namespaces"
#define TOOL                  "sfctl"
#define TOOLING               TOOL "/v1.0.0" /* the version of how sets are kept, not of sfctl */
#define MANAGER               "sfctl-applyset"

static const char *metadata_string(const json_t *object, const char *map, const char *key)
{
	const json_t *metadata = json_object_get(object, "metadata");

	return json_string_value(json_object_get(json_object_get(metadata, map), key));
}

/* ---- sets of words ---- */

static char **words_add(char **words, const char *word)
{
	return strv_contains(words, word) ? words : strv_append(words, word);
}

static char **words_add_list(char **words, const char *text)
{
	_cleanup_(strv_freep) char **parts = strv_split(text ? text : "", ',');

	strv_foreach (p, parts)
		if (**p)
			words = words_add(words, *p);
	return words;
}

static int compare_words(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted and joined by commas; words are freed. */
static char *words_join(char **words)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	if (strv_len(words))
		qsort(words, strv_len(words), sizeof(*words), compare_words);
	strv_foreach (w, words)
		strbuf_addf(&b, "%s%s", b.len ? "," : "", *w);
	strv_free(words);
	return strbuf_take(&b);
}

/* ---- the parent ---- */

char *applyset_name(const ApplySet *s)
{
	return resource_object_name(s->resource, s->name);
}

/* applyset-<base64url(sha256("<name>.<namespace>.<kind>.<group>"))>-v1 */
static char *set_id(const ApplySet *s)
{
	_cleanup_(xfreep) char *text =
		xasprintf("%s.%s.%s.%s", s->name, s->namespace ? s->namespace : "",
			  s->resource->kind, s->resource->group);
	_cleanup_(xfreep) char *hash = NULL;
	unsigned char bytes[32];
	char hex[SHA_HEX_MAX];

	sha_hex_of(SHA_256, text, strlen(text), hex);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		const char pair[] = { hex[2 * i], hex[2 * i + 1], '\0' };

		bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	hash = base64url_encode(bytes, sizeof(bytes));
	return xasprintf("applyset-%s-v1", hash);
}

static int parse_ref(ApplySet *s, const char *ref, Error *err)
{
	const char *slash = strchr(ref, '/');
	_cleanup_(xfreep) char *word =
		slash ? xstrndup(ref, (size_t)(slash - ref)) : xstrdup("secrets");
	int rc = cli_resource_by_word(s->cli, word, &s->resource, err);

	if (rc < 0)
		return rc;
	s->name = xstrdup(slash ? slash + 1 : ref);
	s->namespace = s->resource->namespaced ? xstrdup(s->cli->namespace) : NULL;
	s->id = set_id(s);
	return name_check(s->name, err);
}

static bool is_plain_parent(const Resource *r)
{
	return !*r->group && (streq(r->plural, "secrets") || streq(r->plural, "configmaps"));
}

/* A kind of somebody's own must say that it is made for this. */
static int check_parent_kind(const ApplySet *s, Error *err)
{
	_cleanup_(xfreep) char *name = resource_full_name(s->resource), *path = NULL;
	json_t *crd = NULL;
	bool may;
	int rc;

	if (is_plain_parent(s->resource))
		return 0;
	path = xasprintf("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/%s", name);
	rc = cli_get(s->cli, path, &crd, err);
	may = rc == 0 && streq_ptr(metadata_string(crd, "labels", LABEL_PARENT_TYPE), "true");
	json_decref(crd);
	if (rc < 0 && rc != -ERR_NOT_FOUND)
		return rc;
	error_done(err);
	return may ? 0
		   : error_set(err, ERR_INVALID,
			       "a %s cannot be the parent of an ApplySet: use a Secret, a "
			       "ConfigMap, or a kind whose definition has the label %s=true",
			       s->resource->kind, LABEL_PARENT_TYPE);
}

/* What stands there already must be this set, and ours to change. */
static int check_parent(const ApplySet *s, Error *err)
{
	const char *id = metadata_string(s->parent, "labels", LABEL_ID);
	const char *tooling = metadata_string(s->parent, "annotations", ANNOTATION_TOOLING);
	_cleanup_(xfreep) char *name = applyset_name(s);
	size_t tool = tooling ? strcspn(tooling, "/") : 0;

	/* A kind that is made for it may wait for its first members. */
	if (!id && !tooling && !is_plain_parent(s->resource))
		return 0;
	if (str_is_empty(id))
		return error_set(err, ERR_CONFLICT,
				 "%s exists and is no ApplySet: it has no label %s; choose "
				 "another name",
				 name, LABEL_ID);
	if (!streq(id, s->id))
		return error_set(err, ERR_INVALID,
				 "%s: its label %s is \"%s\", expected \"%s\": it was copied or "
				 "renamed",
				 name, LABEL_ID, id, s->id);
	if (str_is_empty(tooling))
		return error_set(err, ERR_INVALID, "%s: the annotation %s is missing", name,
				 ANNOTATION_TOOLING);
	if (tool != strlen(TOOL) || strncmp(tooling, TOOL, tool) != 0)
		return error_set(err, ERR_CONFLICT,
				 "%s: this ApplySet is kept by \"%s\", and only one tool may; to "
				 "hand it over: sfctl annotate %s %s=%s --overwrite",
				 name, tooling, name, ANNOTATION_TOOLING, TOOLING);
	return 0;
}

/* As it is now; there may be none yet. */
static int parent_read(ApplySet *s, Error *err)
{
	_cleanup_(xfreep) char *path = resource_path(s->resource, s->namespace, s->name, NULL);
	int rc;

	json_decref(TAKE_PTR(s->parent));
	rc = cli_get(s->cli, path, &s->parent, err);
	if (rc == 0)
		return check_parent(s, err);
	json_decref(TAKE_PTR(s->parent));
	return rc == -ERR_NOT_FOUND && is_plain_parent(s->resource) ? error_ignore(err) : rc;
}

int applyset_open(Cli *cli, const char *ref, ApplySet *ret, Error *err)
{
	ApplySet s = { .cli = cli };
	int rc = parse_ref(&s, ref, err);

	if (rc == 0)
		rc = check_parent_kind(&s, err);
	if (rc == 0)
		rc = parent_read(&s, err);
	*ret = s;
	return rc;
}

void applyset_done(ApplySet *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->members[i].namespace);
		free(s->members[i].name);
		free(s->members[i].user);
		json_decref(s->members[i].object);
	}
	free(s->members);
	free(s->name);
	free(s->namespace);
	free(s->id);
	json_decref(s->parent);
	*s = (ApplySet){ 0 };
}

static json_t *parent_tree(const ApplySet *s, const char *kinds, const char *namespaces)
{
	json_t *metadata = json_pack("{s:s, s:{s:s}, s:{s:s, s:s, s:s}}", "name", s->name, "labels",
				     LABEL_ID, s->id, "annotations", ANNOTATION_TOOLING, TOOLING,
				     ANNOTATION_KINDS, kinds, ANNOTATION_NAMESPACES, namespaces);

	if (s->namespace)
		json_object_set_new(metadata, "namespace", json_string(s->namespace));
	if (s->parent)
		json_object_set_new(
			metadata, "resourceVersion",
			json_string(json_string_at(s->parent, "metadata.resourceVersion")));
	return json_pack("{s:s, s:s, s:o}", "apiVersion", s->resource->api_version, "kind",
			 s->resource->kind, "metadata", metadata);
}

/*
 * Over what was read, or where nothing was: -ERR_CONFLICT or -ERR_EXISTS if somebody else has
 * written it since, whose kinds would be forgotten.
 */
static int parent_write(ApplySet *s, const char *kinds, const char *namespaces, Error *err)
{
	_cleanup_(xfreep) char *base =
		resource_path(s->resource, s->namespace, s->parent ? s->name : NULL, NULL);
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	json_t *stored = NULL;
	int rc;

	if (s->parent &&
	    streq_ptr(metadata_string(s->parent, "annotations", ANNOTATION_KINDS), kinds) &&
	    streq_ptr(metadata_string(s->parent, "annotations", ANNOTATION_NAMESPACES), namespaces))
		return 0;
	tree = parent_tree(s, kinds, namespaces);
	strbuf_adds(&path, base);
	path_add_query(&path, "fieldManager", MANAGER);
	if (s->parent)
		path_add_query(&path, "force", "true");
	rc = cli_call(s->cli,
		      &(ClientRequest){ .method = s->parent ? "PATCH" : "POST",
					.path = strbuf_str(&path),
					.content_type = s->parent ? TYPE_APPLY : NULL,
					.body = tree },
		      &stored, err);
	if (rc < 0) {
		json_decref(stored);
		return error_wrap_rc(err, rc, "the ApplySet's parent %s/%s", s->resource->singular,
				     s->name);
	}
	json_decref(s->parent);
	s->parent = stored;
	return 0;
}

/* ---- what is in it ---- */

/* "Instance.shakenfist.io", "Secret" */
static char **add_kind(char **words, const Resource *r)
{
	_cleanup_(xfreep) char *word = xasprintf("%s%s%s", r->kind, *r->group ? "." : "", r->group);

	return words_add(words, word);
}

/* The parent's own namespace goes without saying. */
static char **add_namespace(const ApplySet *s, char **words, const char *namespace)
{
	return namespace && !streq_ptr(namespace, s->namespace) ? words_add(words, namespace)
								: words;
}

static int write_with(ApplySet *s, const Manifests *m, char **kinds, char **namespaces, Error *err)
{
	_cleanup_(xfreep) char *kinds_text = NULL, *namespaces_text = NULL;

	for (size_t i = 0; i < m->n; i++) {
		kinds = add_kind(kinds, m->items[i].resource);
		namespaces = add_namespace(s, namespaces, m->items[i].namespace);
	}
	kinds_text = words_join(kinds);
	namespaces_text = words_join(namespaces);
	return parent_write(s, kinds_text, namespaces_text, err);
}

typedef struct Widening {
	ApplySet *set;
	const Manifests *m;
	bool again;
} Widening;

static int widen_once(void *arg, Error *err)
{
	Widening *w = arg;
	ApplySet *s = w->set;
	int rc = w->again ? parent_read(s, err) : 0;

	w->again = true;
	if (rc < 0)
		return rc;
	rc = write_with(
		s, w->m,
		words_add_list(NULL, metadata_string(s->parent, "annotations", ANNOTATION_KINDS)),
		words_add_list(NULL,
			       metadata_string(s->parent, "annotations", ANNOTATION_NAMESPACES)),
		err);
	return rc == -ERR_EXISTS ? RETRY_CONFLICT : retry_if_conflict(rc);
}

int applyset_widen(ApplySet *s, const Manifests *m, Error *err)
{
	Widening w = { .set = s, .m = m };

	return retry_on_conflict(widen_once, &w, err);
}

int applyset_narrow(ApplySet *s, const Manifests *m, Error *err)
{
	char **kinds = NULL, **namespaces = NULL;
	int rc;

	for (size_t i = 0; i < s->n; i++) {
		if (s->members[i].fate == FATE_APPLIED || s->members[i].fate == FATE_PRUNED)
			continue;
		kinds = add_kind(kinds, s->members[i].resource);
		namespaces = add_namespace(s, namespaces, s->members[i].namespace);
	}
	rc = write_with(s, m, kinds, namespaces, err);
	/* Somebody else is at work on the set: too many kinds harm nobody, too few hide members. */
	return rc == -ERR_CONFLICT ? error_ignore(err) : rc;
}

/* ---- members ---- */

/* In which set the stored object is already; NULL = in none or in this one. Caller frees. */
static int foreign_set(const ApplySet *s, const Document *d, char **ret, Error *err)
{
	_cleanup_(xfreep) char *path = resource_path(d->resource, d->namespace, d->name, NULL);
	json_t *live = NULL;
	const char *id;
	int rc = cli_get(s->cli, path, &live, err);

	id = rc == 0 ? metadata_string(live, "labels", LABEL_PART_OF) : NULL;
	if (!str_is_empty(id) && !streq(id, s->id))
		*ret = xstrdup(id);
	json_decref(live);
	return rc == -ERR_NOT_FOUND ? error_ignore(err) : rc;
}

static int join_one(ApplySet *s, Document *d, bool take_over)
{
	json_t *metadata = json_object_get(d->tree, "metadata");
	json_t *labels = json_object_get(metadata, "labels");
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *other = NULL, *text = NULL;
	int rc;

	if (json_object_get(labels, LABEL_PART_OF)) {
		document_error(s->cli, d, "metadata.labels",
			       "the label " LABEL_PART_OF " is set by --applyset: take it out");
		return EXIT_INVALID;
	}
	rc = take_over ? 0 : foreign_set(s, d, &other, &err);
	if (rc < 0)
		return (int)cli_report(s->cli, rc, &err);
	if (other) {
		text = xasprintf("is a member of another ApplySet (%s); --force-conflicts takes it",
				 other);
		document_error(s->cli, d, "", text);
		return EXIT_CONFLICT;
	}
	if (!json_is_object(labels)) {
		if (labels && !json_is_null(labels))
			return EXIT_OK; /* the server will say what it should be */
		labels = json_object();
		json_object_set_new(metadata, "labels", labels);
	}
	json_object_set_new(labels, LABEL_PART_OF, json_string(s->id));
	return EXIT_OK;
}

int applyset_join(ApplySet *s, Manifests *m, bool take_over)
{
	int code = EXIT_OK, one;

	for (size_t i = 0; i < m->n; i++) {
		one = join_one(s, &m->items[i], take_over);
		exit_code_merge(&code, one);
		if (one == EXIT_UNREACHABLE)
			break;
	}
	return code;
}

static bool is_named(const Manifests *m, const Resource *r, const char *namespace, const char *name)
{
	for (size_t i = 0; i < m->n; i++) {
		const Document *d = &m->items[i];

		if (streq(d->resource->group, r->group) && streq(d->resource->plural, r->plural) &&
		    streq_ptr(d->namespace, namespace) && streq(d->name, name))
			return true;
	}
	return false;
}

static void member_add(ApplySet *s, const Manifests *m, const Resource *r, json_t *object)
{
	const char *namespace = json_string_at(object, "metadata.namespace");
	const char *name = json_string_at(object, "metadata.name");
	bool named;

	if (!name || json_string_at(object, "metadata.deletionTimestamp"))
		return; /* it is on its way already */
	namespace = r->namespaced ? namespace : NULL;
	named = is_named(m, r, namespace, name);
	GROW_ARRAY(s->members, s->n, s->cap);
	s->members[s->n++] = (Member){ .resource = r,
				       .namespace = namespace ? xstrdup(namespace) : NULL,
				       .name = xstrdup(name),
				       .object = json_incref(object),
				       .fate = named ? FATE_APPLIED : FATE_PRUNED };
}

static int list_kind(ApplySet *s, const Manifests *m, const Resource *r, const char *namespace,
		     Error *err)
{
	_cleanup_(xfreep) char *base = resource_path(r, namespace, NULL, NULL);
	_cleanup_(xfreep) char *selector = xasprintf(LABEL_PART_OF "=%s", s->id);
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;
	json_t *list = NULL, *item;
	size_t i;
	int rc;

	strbuf_adds(&path, base);
	path_add_query(&path, "labelSelector", selector);
	rc = cli_list(s->cli, strbuf_str(&path), NULL, &list, err);
	json_array_foreach (json_object_get(list, "items"), i, item)
		member_add(s, m, r, item);
	json_decref(list);
	return rc == -ERR_NOT_FOUND ? error_ignore(err) : rc; /* a kind that is no longer served */
}

int applyset_list(ApplySet *s, const Manifests *m, Error *err)
{
	_cleanup_(strv_freep) char **kinds =
		words_add_list(NULL, metadata_string(s->parent, "annotations", ANNOTATION_KINDS));
	_cleanup_(strv_freep) char **namespaces = words_add_list(
		NULL, metadata_string(s->parent, "annotations", ANNOTATION_NAMESPACES));
	int rc = s->parent ? cli_discover(s->cli, err) : 0;

	if (s->namespace)
		namespaces = words_add(namespaces, s->namespace);
	strv_foreach (k, kinds) {
		const Resource *r = cli_resource_by_group_kind(s->cli, *k);

		if (rc < 0 || !r)
			continue;
		if (!r->namespaced) {
			rc = list_kind(s, m, r, NULL, err);
			continue;
		}
		strv_foreach (n, namespaces)
			if (rc == 0)
				rc = list_kind(s, m, r, *n, err);
	}
	return rc < 0 ? error_wrap_rc(err, rc, "read the members of the ApplySet") : 0;
}
