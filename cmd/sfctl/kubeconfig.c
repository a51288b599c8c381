/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl kubeconfig: what kubectl and every Kubernetes library need to reach sfd, ready to use.
 */
#include "credential.h"
#include "pki/pki.h"
#include "json/json.h"

#define SELF_REVIEW "/apis/authentication.k8s.io/v1/selfsubjectreviews"
#define MASTERS     "system:masters"
#define TTL_MIN     (600 * (int64_t)USEC_PER_SEC)

typedef struct KubeconfigOptions {
	const char *user, *server, *output;
	char **groups;
	int64_t ttl;
	bool token, certificate;
} KubeconfigOptions;

static const Option options[] = {
	OPTION(0, "user", STRING, KubeconfigOptions, user, "NAME",
	       "whose; without it your own name, and what you may do here you may do there"),
	OPTION(0, "group", LIST, KubeconfigOptions, groups, "GROUP",
	       "with --user: a group that user is in; repeatable"),
	OPTION(0, "ttl", DURATION, KubeconfigOptions, ttl, "DURATION", "how long it is valid",
	       .preset = "8760h"),
	OPTION(0, "certificate", FLAG, KubeconfigOptions, certificate, NULL,
	       "with a client certificate (default)"),
	OPTION(0, "token", FLAG, KubeconfigOptions, token, NULL, "with a bearer token instead"),
	OPTION(0, "server", STRING, KubeconfigOptions, server, "https://HOST:PORT",
	       "the server to write into it; else that of the TLS listener"),
	OPTION(0, "output", STRING, KubeconfigOptions, output, "FILE",
	       "write it there, for you alone to read", .choices = "@file"),
	OPTIONS_END
};

/* The caller as the server sees him: an administrator's kubeconfig is an administrator's. */
static int ask_who(Cli *cli, char **ret_user, char ***ret_groups, Error *err)
{
	_cleanup_(json_decrefp) json_t *body = json_object(), *review = NULL;
	const json_t *info, *group;
	const char *name;
	size_t i;
	int rc = cli_call(cli,
			  &(ClientRequest){ .method = "POST", .path = SELF_REVIEW, .body = body },
			  &review, err);

	if (rc < 0)
		return rc;
	info = json_at(review, "status.userInfo");
	name = json_string_at(info, "username");
	/* The server's own names are nobody's to take along. */
	*ret_user = xstrdup(!name || str_has_prefix(name, "system:") ? "admin" : name);
	json_array_foreach (json_object_get(info, "groups"), i, group)
		if (streq_ptr(json_string_value(group), MASTERS))
			*ret_groups = strv_append(*ret_groups, MASTERS);
	return 0;
}

static int check(Cli *cli, const KubeconfigOptions *o, const Parsed *parsed)
{
	if (parsed->args[0])
		return (int)cli_usage(cli,
				      "kubeconfig: unexpected '%s'; the user is named by --user",
				      parsed->args[0]);
	if (o->token && o->certificate)
		return (int)cli_usage(cli, "kubeconfig: either --token or --certificate");
	if (o->user && !pki_name_is_valid(o->user, strlen(o->user)))
		return (int)cli_usage(cli, "kubeconfig: --user: '%s' cannot be a user's name",
				      o->user);
	strv_foreach (g, o->groups)
		if (!pki_name_is_valid(*g, strlen(*g)))
			return (int)cli_usage(
				cli, "kubeconfig: --group: '%s' cannot be a group's name", *g);
	/* Your own comes with your own groups: others would only take yours away. */
	if (o->groups && !o->user)
		return (int)cli_usage(cli, "kubeconfig: --group needs --user");
	if (o->ttl < TTL_MIN)
		return (int)cli_usage(cli, "kubeconfig: --ttl: at least 10m");
	return EXIT_OK;
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	const KubeconfigOptions *o = values;
	CredentialWish wish = { .user = o->user,
				.groups = o->groups,
				.ttl = o->ttl,
				.token = o->token,
				.output = o->output,
				.namespace = cli->global.namespace };
	_cleanup_(strv_freep) char **groups = NULL;
	_cleanup_(xfreep) char *user = NULL;
	int rc = check(cli, o, parsed);

	if (rc != EXIT_OK)
		return rc;
	/* After the verb, too, somebody may mean the server to ask. */
	if (o->server && str_has_prefix(o->server, "https://"))
		wish.server = o->server;
	else if (o->server)
		cli->global.endpoint.server = o->server;
	if (!o->user) {
		rc = ask_who(cli, &user, &groups, err);
		wish.user = user;
		wish.groups = groups;
	}
	return rc < 0 ? rc : credential_write(cli, &wish, NULL, err);
}

const Verb verb_kubeconfig = {
	.name = "kubeconfig",
	.synopsis = "",
	.summary = "print a kubeconfig for kubectl and others",
	.details =
		"  sfctl kubeconfig > ~/.kube/config           yours: what you may do here\n"
		"  sfctl kubeconfig --user alice --group ops   a user's; RBAC says what she may\n"
		"  sfctl kubeconfig --user ci --token --ttl 24h\n\n"
		"A Credential is made on the server, which signs the certificate; key and token\n"
		"are made here and never reach it. sfctl certificates lists and revokes them.\n",
	.options = options,
	.options_size = sizeof(KubeconfigOptions),
	.offline = true, /* until it is known which --server was meant */
	.completes = "",
	.run = run,
};
