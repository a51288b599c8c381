/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubeconfig files, read as kubectl reads them: several merged, the first that names something is
 * believed; contexts, clusters and users by name; files relative to the kubeconfig they stand in.
 */
#include <limits.h>

#include "base/base64.h"
#include "base/fs.h"
#include "base/memory.h"
#include "endpoint.h"
#include "pki/pki.h"
#include "yaml/yaml.h"
#include "json/json.h"

#define FILES_MAX 16

typedef struct ConfigFile {
	char *path;
	YamlDocs *docs;
	const json_t *tree; /* of docs */
} ConfigFile;

typedef struct Config {
	ConfigFile files[FILES_MAX];
	size_t n;
} Config;

/* Something with a name, and the file it stands in. */
typedef struct Entry {
	const json_t *body;
	const ConfigFile *file;
	const char *name;
} Entry;

static void config_done(Config *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->files[i].path);
		yaml_docs_free(c->files[i].docs);
	}
}

static int config_add(Config *c, const char *path, Error *err)
{
	_cleanup_(xfreep) char *text = NULL;
	ConfigFile *f = &c->files[c->n];
	size_t n;
	int rc = fs_read(path, YAML_BYTES_MAX, &text, &n, err);

	if (rc == 0)
		rc = yaml_parse(text, n, path, &f->docs, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "kubeconfig");
	f->path = xstrdup(path);
	f->tree = f->docs->n ? yaml_doc_tree(f->docs->docs[0]) : NULL;
	c->n++;
	if (f->tree && !json_is_object(f->tree))
		return error_set(err, ERR_INVALID, "kubeconfig: %s is none", path);
	return 0;
}

/* Of several, some may be missing; of one, it may not. */
static int config_read(const char *paths, Config *c, Error *err)
{
	_cleanup_(strv_freep) char **list = strv_split(paths, ':');
	size_t given = strv_len(list);
	int rc;

	strv_foreach (path, list) {
		if (!**path || c->n == FILES_MAX)
			continue;
		rc = config_add(c, *path, err);
		if (rc == -ERR_NOT_FOUND && given > 1)
			error_ignore(err);
		else if (rc < 0)
			return rc;
	}
	if (c->n == 0)
		return error_set(err, ERR_NOT_FOUND, "kubeconfig: there is none of %s", paths);
	return 0;
}

static bool find_in(const ConfigFile *f, const char *list, const char *kind, const char *name,
		    Entry *ret)
{
	const json_t *item;
	size_t i;

	json_array_foreach (json_object_get(f->tree, list), i, item)
		if (streq_ptr(json_string_at(item, "name"), name)) {
			*ret = (Entry){ json_object_get(item, kind), f, name };
			return true;
		}
	return false;
}

static int config_find(const Config *c, const char *kind, const char *name, Entry *ret, Error *err)
{
	char list[32];

	snprintf(list, sizeof(list), "%ss", kind);
	for (size_t i = 0; i < c->n; i++)
		if (find_in(&c->files[i], list, kind, name, ret))
			return 0;
	return error_set(err, ERR_NOT_FOUND, "kubeconfig %s: there is no %s \"%s\"",
			 c->files[0].path, kind, name);
}

/* ---- values ---- */

/* Relative to the folder of the file that says so. */
static char *path_beside(const ConfigFile *f, const char *path)
{
	const char *slash = strrchr(f->path, '/');

	return *path == '/' || !slash ? xstrdup(path)
				      : xasprintf("%.*s/%s", (int)(slash - f->path), f->path, path);
}

/* "X-data" in base64, else the file named by "X". */
static int take_data(const Entry *e, const char *field, char **ret, Error *err)
{
	_cleanup_(xfreep) char *data_field = xasprintf("%s-data", field), *path = NULL;
	const char *data = json_string_value(json_object_get(e->body, data_field));
	const char *file = json_string_value(json_object_get(e->body, field));
	int rc = 0;

	if (!str_is_empty(data)) {
		rc = base64_decode(data, ret, NULL, err);
	} else if (!str_is_empty(file)) {
		path = path_beside(e->file, file);
		rc = endpoint_file(path, ret, err);
	}
	return error_wrap_rc(err, rc, "kubeconfig %s: %s: %s", e->file->path, e->name, field);
}

static char *take_string(const Entry *e, const char *field)
{
	const char *s = json_string_value(json_object_get(e->body, field));

	return str_is_empty(s) ? NULL : xstrdup(s);
}

static int read_cluster(const Entry *e, Endpoint *c, bool *ret_insecure, Error *err)
{
	c->server = take_string(e, "server");
	if (!c->server)
		return error_set(err, ERR_INVALID, "kubeconfig %s: cluster \"%s\" has no server",
				 e->file->path, e->name);
	c->server_name = take_string(e, "tls-server-name");
	*ret_insecure = json_is_true(json_object_get(e->body, "insecure-skip-tls-verify"));
	return take_data(e, "certificate-authority", &c->ca, err);
}

static int read_user(const Entry *e, Endpoint *c, Error *err)
{
	static const char *const foreign[] = { "exec", "auth-provider", "username" };
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		if (json_object_get(e->body, foreign[i]))
			return error_set(err, ERR_UNSUPPORTED,
					 "kubeconfig %s: user \"%s\" logs in by \"%s\", which sfd "
					 "does not know: sfctl kubeconfig makes one that works",
					 e->file->path, e->name, foreign[i]);
	rc = take_data(e, "client-certificate", &c->certificate, err);
	if (rc == 0)
		rc = take_data(e, "client-key", &c->key, err);
	if (rc < 0)
		return rc;
	c->token = take_string(e, "token");
	if (!c->token && json_object_get(e->body, "tokenFile")) {
		_cleanup_(xfreep) char *file = take_string(e, "tokenFile");
		_cleanup_(xfreep) char *path = path_beside(e->file, file ? file : "");

		rc = endpoint_file(path, &c->token, err);
	}
	return error_wrap_rc(err, rc, "kubeconfig %s: user \"%s\"", e->file->path, e->name);
}

static const char *current_context(const Config *c)
{
	for (size_t i = 0; i < c->n; i++) {
		const char *s =
			json_string_value(json_object_get(c->files[i].tree, "current-context"));

		if (!str_is_empty(s))
			return s;
	}
	return NULL;
}

int kubeconfig_read(const char *paths, const char *context, Endpoint *ret, bool *ret_insecure,
		    Error *err)
{
	_cleanup_(config_done) Config config = { 0 };
	const char *cluster, *user;
	Entry e;
	int rc = config_read(paths, &config, err);

	if (rc == 0 && !context)
		context = current_context(&config);
	if (rc == 0 && !context)
		rc = error_set(err, ERR_INVALID,
			       "kubeconfig %s: it has no current-context: give --context",
			       config.files[0].path);
	if (rc == 0)
		rc = config_find(&config, "context", context, &e, err);
	if (rc < 0)
		return rc;
	ret->namespace = take_string(&e, "namespace");
	cluster = json_string_value(json_object_get(e.body, "cluster"));
	user = json_string_value(json_object_get(e.body, "user"));
	rc = config_find(&config, "cluster", cluster ? cluster : "", &e, err);
	if (rc == 0)
		rc = read_cluster(&e, ret, ret_insecure, err);
	if (rc == 0 && user) {
		rc = config_find(&config, "user", user, &e, err);
		if (rc == 0)
			rc = read_user(&e, ret, err);
	}
	return rc;
}
