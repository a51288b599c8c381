/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials and kubeconfigs. See credential.h.
 */
#include "credential.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "api/condition.h"
#include "base/base64.h"
#include "base/fs.h"
#include "pki/pki.h"
#include "yaml/yaml.h"
#include "json/json.h"

#define INFO_PATH     "/api/v1/namespaces/kube-public/configmaps/cluster-info"
#define ISSUE_TIMEOUT (15 * USEC_PER_SEC)
#define NAME_STEM_MAX 40
#define SIGN_HINT     "is the controller \"credential\" running? journalctl -u sfd -e"

/* ---- where the server is ---- */

static int info_fields(const char *text, char **ret_server, char **ret_ca, Error *err)
{
	_cleanup_(yaml_docs_freep) YamlDocs *docs = NULL;
	const json_t *cluster;
	const char *server, *data;
	int rc = yaml_parse(text, strlen(text), "cluster-info", &docs, err);

	if (rc < 0)
		return rc;
	cluster = docs->n ? json_at(json_array_get(json_object_get(yaml_doc_tree(docs->docs[0]),
								   "clusters"),
						   0),
				    "cluster")
			  : NULL;
	server = json_string_at(cluster, "server");
	data = json_string_at(cluster, "certificate-authority-data");
	if (!server || !data)
		return error_set(err, ERR_INTERNAL,
				 "kube-public/cluster-info names no server and CA");
	rc = base64_decode(data, ret_ca, NULL, err);
	if (rc == 0)
		*ret_server = xstrdup(server);
	return rc;
}

int cluster_info(Cli *cli, char **ret_server, char **ret_ca, Error *err)
{
	_cleanup_(json_decrefp) json_t *info = NULL;
	const char *text;
	int rc = cli_get(cli, INFO_PATH, &info, err);

	if (rc == -ERR_NOT_FOUND)
		return error_set(err, ERR_NOT_FOUND,
				 "sfd is not reached over TLS yet: put \"listen = "
				 "tls:0.0.0.0:6443\" into /etc/sfd/sfd.conf and run systemctl "
				 "restart sfd");
	if (rc < 0)
		return rc;
	text = json_string_at(json_object_get(info, "data"), "kubeconfig");
	return info_fields(text ? text : "", ret_server, ret_ca, err);
}

/* ---- the object ---- */

/* "Alice@Example.com" -> "alice-example.com-"; the server adds what makes it unique. */
static char *name_stem(const char *user)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	for (const char *p = user; *p && b.len < NAME_STEM_MAX; p++) {
		bool letter = isalnum((unsigned char)*p) && (unsigned char)*p < 0x80;

		if (letter)
			strbuf_addc(&b, (char)tolower((unsigned char)*p));
		else if (b.len && isalnum((unsigned char)b.buf[b.len - 1]))
			strbuf_addc(&b, *p == '.' && isalnum((unsigned char)p[1]) ? '.' : '-');
	}
	while (b.len && !isalnum((unsigned char)b.buf[b.len - 1]))
		strbuf_truncate(&b, b.len - 1);
	return xasprintf("%s-", b.len ? strbuf_str(&b) : "user");
}

static json_t *credential_body(const CredentialWish *w, const char *field, const char *proof)
{
	_cleanup_(xfreep) char *stem = name_stem(w->user);
	json_t *groups = json_array();

	strv_foreach (g, w->groups)
		json_array_append_new(groups, json_string(*g));
	return json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:o, s:s, s:I}}", "apiVersion",
			 "shakenfist.io/v1alpha1", "kind", "Credential", "metadata", "generateName",
			 stem, "spec", "user", w->user, "groups", groups, field, proof,
			 "expirationSeconds", (json_int_t)(w->ttl / (int64_t)USEC_PER_SEC));
}

static int create(Cli *cli, const CredentialWish *w, const char *field, const char *proof,
		  json_t **ret, Error *err)
{
	_cleanup_(json_decrefp) json_t *body = credential_body(w, field, proof);

	if (!body)
		return error_set(err, ERR_INVALID, "user and groups must be UTF-8 text");
	return cli_call(cli,
			&(ClientRequest){ .method = "POST",
					  .path = CREDENTIALS "?fieldManager=" FIELD_MANAGER
							      "&fieldValidation=Strict",
					  .body = body },
			ret, err);
}

static void discard(Cli *cli, const json_t *object)
{
	_cleanup_(xfreep) char *path =
		xasprintf(CREDENTIALS "/%s", json_string_at(object, "metadata.name"));

	(void)cli_call(cli, &(ClientRequest){ .method = "DELETE", .path = path }, NULL, NULL);
}

typedef struct Waiting {
	char *certificate;
	Error *err;
} Waiting;

static int on_event(void *arg, const json_t *event)
{
	const json_t *status = json_at(event, "object.status"), *issued;
	Waiting *w = arg;

	if (streq_ptr(json_string_at(event, "type"), "DELETED"))
		return error_set(w->err, ERR_GONE, "somebody revoked it");
	issued = condition_find(status, "Issued");
	if (!issued)
		return 0;
	if (!condition_is_true(status, "Issued"))
		return error_set(w->err, ERR_UNAVAILABLE, "it was not signed: %s",
				 json_string_at(issued, "message"));
	w->certificate = xstrdup(json_string_at(status, "certificate"));
	return 1;
}

static int await_certificate(Cli *cli, const json_t *object, char **ret, Error *err)
{
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;
	_cleanup_(xfreep) char *selector =
		xasprintf("metadata.name=%s", json_string_at(object, "metadata.name"));
	Context background = CONTEXT_BACKGROUND,
		ctx = context_with_timeout(&background, ISSUE_TIMEOUT);
	Waiting w = { .err = err };
	Client *client;
	int rc = cli_client(cli, &client, err);

	strbuf_adds(&path, CREDENTIALS);
	path_add_query(&path, "watch", "true");
	path_add_query(&path, "fieldSelector", selector);
	path_add_query(&path, "resourceVersion",
		       json_string_at(object, "metadata.resourceVersion"));
	if (rc == 0)
		rc = client_watch(client, &ctx, strbuf_str(&path), NULL, on_event, &w, err);
	if (w.certificate) {
		*ret = w.certificate;
		return 0;
	}
	if (rc == 0 || rc == -ERR_TIMEOUT)
		return error_set(err, ERR_TIMEOUT, "nobody signed the certificate: " SIGN_HINT);
	return rc;
}

/* ---- the kubeconfig ---- */

typedef struct Kubeconfig {
	char *server, *ca;
	json_t *user; /* what proves it */
} Kubeconfig;

static void kubeconfig_done(Kubeconfig *k)
{
	free(k->server);
	free(k->ca);
	json_decref(k->user);
}

static json_t *base64_json(const char *text)
{
	_cleanup_(pki_secret_freep) char *encoded = base64_encode(text, strlen(text));

	return json_string(encoded);
}

/* "192.0.2.7" of "https://192.0.2.7:6443", without brackets. */
static char *host_of(const char *server)
{
	const char *host = strstr(server, "://") ? strstr(server, "://") + 3 : server;

	if (*host == '[')
		return xstrndup(host + 1, strcspn(host + 1, "]"));
	return xstrndup(host, strcspn(host, ":/"));
}

/* Names say who and where, so that several of these can be merged. */
static json_t *kubeconfig_tree(const Kubeconfig *k, const CredentialWish *w)
{
	_cleanup_(xfreep) char *cluster = host_of(k->server),
			       *who = xasprintf("%s@%s", w->user, cluster);
	json_t *context = json_pack("{s:s, s:s}", "cluster", cluster, "user", who);

	if (w->namespace)
		json_object_set_new(context, "namespace", json_string(w->namespace));
	return json_pack("{s:s, s:s, s:[{s:s, s:{s:o, s:s}}], s:[{s:s, s:o}], s:s, s:[{s:s, s:O}]}",
			 "apiVersion", "v1", "kind", "Config", "clusters", "name", cluster,
			 "cluster", "certificate-authority-data", base64_json(k->ca), "server",
			 k->server, "contexts", "name", who, "context", context, "current-context",
			 who, "users", "name", who, "user", k->user);
}

/* A shell made the file for everybody to read; what goes into it is not for everybody. */
static void protect(FILE *out)
{
	struct stat st;

	if (fstat(fileno(out), &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    st.st_size == 0)
		(void)fchmod(fileno(out), 0600);
}

static int kubeconfig_print(Cli *cli, const Kubeconfig *k, const CredentialWish *w, Error *err)
{
	_cleanup_(json_decrefp) json_t *tree = kubeconfig_tree(k, w);
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	int rc = 0;

	yaml_emit(tree, &text);
	if (w->output) {
		rc = fs_write_atomic(w->output, strbuf_str(&text), text.len, 0600, false, err);
	} else {
		protect(cli->out);
		if (fputs(strbuf_str(&text), cli->out) == EOF || fflush(cli->out) != 0)
			rc = error_set_errno(err, errno, "write");
	}
	explicit_bzero(text.buf, text.len);
	return rc;
}

/* ---- both kinds ---- */

static int make_token(Cli *cli, const CredentialWish *w, Kubeconfig *k, json_t **ret, Error *err)
{
	_cleanup_(pki_secret_freep) char *token = bearer_new();
	char hash[BEARER_HASH_MAX];
	int rc = create(cli, w, "tokenHash", bearer_hash(token, hash), ret, err);

	if (rc == 0)
		k->user = json_pack("{s:s}", "token", token);
	return rc;
}

static int make_certificate(Cli *cli, const CredentialWish *w, Kubeconfig *k, json_t **ret,
			    Error *err)
{
	_cleanup_(pki_secret_freep) char *key = pki_key_new();
	_cleanup_(xfreep) char *request = NULL, *certificate = NULL;
	_cleanup_(json_decrefp) json_t *object = NULL;
	int rc = pki_request_new(key, w->user, w->groups, &request, err);

	if (rc == 0)
		rc = create(cli, w, "request", request, &object, err);
	if (rc < 0)
		return rc;
	rc = await_certificate(cli, object, &certificate, err);
	if (rc < 0) {
		discard(cli, object);
		return rc;
	}
	k->user = json_pack("{s:o, s:o}", "client-certificate-data", base64_json(certificate),
			    "client-key-data", base64_json(key));
	*ret = TAKE_PTR(object);
	return 0;
}

static void tell(Cli *cli, const CredentialWish *w, const json_t *object)
{
	_cleanup_(xfreep) char *groups = w->groups ? strv_join(w->groups, ", ") : NULL;
	_cleanup_(xfreep) char *text =
		xasprintf("credential %s: user \"%s\"%s%s", json_string_at(object, "metadata.name"),
			  w->user, groups ? ", groups " : "", groups ? groups : "");
	char age[TIMESTAMP_MAX];

	fprintf(cli->err, "%s, valid for %s; sfctl certificates revoke %s ends it\n", text,
		duration_format((usec_t)w->ttl, age), json_string_at(object, "metadata.name"));
}

int credential_write(Cli *cli, const CredentialWish *wish, char **ret_name, Error *err)
{
	_cleanup_(kubeconfig_done) Kubeconfig k = { 0 };
	_cleanup_(json_decrefp) json_t *object = NULL;
	int rc = cluster_info(cli, &k.server, &k.ca, err);

	if (rc < 0)
		return rc;
	if (wish->server) {
		free(k.server);
		k.server = xstrdup(wish->server);
	}
	rc = wish->token ? make_token(cli, wish, &k, &object, err)
			 : make_certificate(cli, wish, &k, &object, err);
	if (rc < 0)
		return rc;
	rc = kubeconfig_print(cli, &k, wish, err);
	if (rc < 0) {
		discard(cli, object);
		return rc;
	}
	tell(cli, wish, object);
	if (ret_name)
		*ret_name = xstrdup(json_string_at(object, "metadata.name"));
	return 0;
}
