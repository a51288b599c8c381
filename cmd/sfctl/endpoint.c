/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoint: options, kubeconfig and environment brought together. see endpoint.h.
 */
#include "endpoint.h"

#include "base/fs.h"
#include "base/memory.h"
#include "pki/pki.h"
#include "sfctl.h"

#define FILE_MAX (256u * 1024)

static void replace(char **slot, const char *value)
{
	if (str_is_empty(value))
		return;
	free(*slot);
	*slot = xstrdup(value);
}

int endpoint_file(const char *path, char **ret, Error *err)
{
	char *text;
	size_t n;
	int rc = fs_read(path, FILE_MAX, &text, &n, err);

	if (rc < 0)
		return rc;
	while (n && strchr(" \t\r\n", text[n - 1]))
		text[--n] = '\0';
	*ret = text;
	return 0;
}

static int replace_by_file(char **slot, const char *path, const char *option, Error *err)
{
	char *text;
	int rc;

	if (!path)
		return 0;
	rc = endpoint_file(path, &text, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "--%s", option);
	pki_secret_free(*slot);
	*slot = text;
	return 0;
}

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return str_is_empty(value) ? NULL : value;
}

static int apply_options(const EndpointOptions *o, Endpoint *c, bool insecure, Error *err)
{
	int rc = replace_by_file(&c->ca, o->certificate_authority, "certificate-authority", err);

	if (rc == 0)
		rc = replace_by_file(&c->certificate, o->client_certificate, "client-certificate",
				     err);
	if (rc == 0)
		rc = replace_by_file(&c->key, o->client_key, "client-key", err);
	if (rc == 0)
		rc = replace_by_file(&c->token, o->token_file, "token-file", err);
	replace(&c->token, o->token ? o->token : o->token_file ? NULL : environment("SFD_TOKEN"));
	replace(&c->server_name, o->tls_server_name);
	c->client = (ClientOptions){ .server = c->server,
				     .ca = c->ca,
				     .certificate = c->certificate,
				     .key = c->key,
				     .token = c->token,
				     .server_name = c->server_name,
				     .insecure = insecure || o->insecure };
	return rc;
}

int endpoint_resolve(const EndpointOptions *o, Endpoint *ret, Error *err)
{
	const char *paths = o->kubeconfig, *server = o->server;
	Endpoint c = { 0 };
	bool insecure = false;
	int rc = 0;

	if (!server && !paths && !o->context)
		server = environment("SFD_SERVER");
	if (!paths && (o->context || !server))
		paths = environment("KUBECONFIG");
	if (!paths && o->context)
		rc = error_set(err, ERR_INVALID,
			       "--context needs a kubeconfig: give --kubeconfig FILE or set "
			       "KUBECONFIG");
	else if (paths)
		rc = kubeconfig_read(paths, o->context, &c, &insecure, err);
	replace(&c.server, server);
	if (rc == 0 && !c.server)
		c.server = xstrdup(DEFAULT_SERVER);
	if (rc == 0)
		rc = apply_options(o, &c, insecure, err);
	if (rc < 0)
		endpoint_done(&c);
	else
		*ret = c;
	return rc;
}

void endpoint_done(Endpoint *c)
{
	free(c->server);
	free(c->namespace);
	free(c->ca);
	free(c->certificate);
	free(c->server_name);
	pki_secret_free(c->key);
	pki_secret_free(c->token);
	*c = (Endpoint){ 0 };
}
