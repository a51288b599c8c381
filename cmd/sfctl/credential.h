/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credential: how sfctl gets one for a user, and the kubeconfig that uses it. The private key or
 * the token is made here and goes nowhere but into that kubeconfig.
 */
#pragma once

#include "sfctl.h"

#define CREDENTIALS "/apis/shakenfist.io/v1alpha1/credentials"

typedef struct CredentialWish {
	const char *user;
	char *const *groups;   /* strv; may be NULL */
	int64_t ttl;           /* microseconds */
	bool token;            /* else a certificate */
	const char *server;    /* to be written; NULL = as the cluster says */
	const char *namespace; /* of the context; NULL = none */
	const char *output;    /* a file; NULL = cli->out */
} CredentialWish;

/* Makes the credential and writes the kubeconfig. *ret_name (may be NULL) is the caller's. */
int credential_write(Cli *cli, const CredentialWish *wish, char **ret_name, Error *err);
/* Where the API is reached over TLS, and its CA (PEM), as kube-public/cluster-info says. Caller's.
 */
int cluster_info(Cli *cli, char **ret_server, char **ret_ca, Error *err);
