/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoint: which server sfctl talks to, and what it shows there: by options, by a kubeconfig, by
 * the environment, or the socket of this host. One thread; what it holds is then only read.
 */
#pragma once

#include "client/client.h"

/* What the command line says about it; NULL or false = nothing. */
typedef struct EndpointOptions {
	const char *server, *kubeconfig, *context;
	const char *token, *token_file;
	const char *certificate_authority, *client_certificate, *client_key; /* files */
	const char *tls_server_name;
	bool insecure;
} EndpointOptions;

typedef struct Endpoint {
	ClientOptions client;     /* points into the rest */
	char *server, *namespace; /* namespace: of the context; NULL = none */
	char *ca, *certificate, *key, *token, *server_name;
} Endpoint;

/*
 * A server that is named counts most, then a kubeconfig or context that is named, $SFD_SERVER,
 * $KUBECONFIG, and at last the socket. Single options replace what a kubeconfig says.
 */
int endpoint_resolve(const EndpointOptions *o, Endpoint *ret, Error *err);
void endpoint_done(Endpoint *c);

/* kubeconfig_file.c: fills in what the file says of that context (NULL = its current one). paths:
 * as $KUBECONFIG has them; the first that says something about a name is believed. */
int kubeconfig_read(const char *paths, const char *context, Endpoint *ret, bool *ret_insecure,
		    Error *err);
/* A small file, without the white space at its end. */
int endpoint_file(const char *path, char **ret, Error *err);
