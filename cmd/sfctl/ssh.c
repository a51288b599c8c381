/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl ssh: OpenSSH, with `sfctl port-forward --stdio` as its way to the guest, so that networks
 * need no route from here. The host key is remembered by the instance's uid: another instance with
 * an old name is no alarm, and an exchanged key of the same one still is.
 */
#include <errno.h>
#include <limits.h>

#include "sfctl.h"
#include "json/json.h"

typedef struct SshOptions {
	const char *user, *identity, *interface;
	int64_t port;
	char **more;
} SshOptions;

static const Option options[] = { OPTION('l', "user", STRING, SshOptions, user, "USER",
					 "who to be in the guest"),
				  OPTION('i', "identity", STRING, SshOptions, identity, "FILE",
					 "the private key to use", .choices = "@file"),
				  OPTION('p', "port", INTEGER, SshOptions, port, "PORT",
					 "where sshd listens in the guest", .preset = "22"),
				  OPTION(0, "interface", STRING, SshOptions, interface, "NAME",
					 "reach it by the address of this interface"),
				  OPTION('o', "ssh-option", LIST, SshOptions, more, "NAME=VALUE",
					 "handed on to ssh(1); may be given several times"),
				  OPTIONS_END };

/* One word for the shell that runs ProxyCommand, where ssh also expands "%". */
static void add_quoted(StrBuf *out, const char *word)
{
	if (out->len)
		strbuf_addc(out, ' ');
	strbuf_addc(out, '\'');
	for (; *word; word++) {
		if (*word == '\'')
			strbuf_adds(out, "'\\''");
		else if (*word == '%')
			strbuf_adds(out, "%%");
		else
			strbuf_addc(out, *word);
	}
	strbuf_addc(out, '\'');
}

/* How we reach sfd, the proxy reaches it, by the same options and the same environment; a token
 * goes by the latter, where not everybody sees it. */
static void add_endpoint(Cli *cli, StrBuf *out)
{
	const EndpointOptions *o = &cli->global.endpoint;
	const struct {
		const char *option, *value;
	} same[] = {
		{"--server",                 o->server               },
		{ "--kubeconfig",            o->kubeconfig           },
		{ "--context",               o->context              },
		{ "--token-file",            o->token_file           },
		{ "--certificate-authority", o->certificate_authority},
		{ "--client-certificate",    o->client_certificate   },
		{ "--client-key",            o->client_key           },
		{ "--tls-server-name",       o->tls_server_name      },
	};

	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		if (same[i].value) {
			add_quoted(out, same[i].option);
			add_quoted(out, same[i].value);
		}
	if (o->insecure)
		add_quoted(out, "--insecure-skip-tls-verify");
	if (cli->endpoint.token && !o->token_file)
		setenv("SFD_TOKEN", cli->endpoint.token, 1);
}

static void make_proxy(Cli *cli, const SshOptions *o, const char *name, StrBuf *out)
{
	char self[PATH_MAX], port[32];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	snprintf(self + MAX(n, 0), sizeof(self) - (size_t)MAX(n, 0), "%s", n > 0 ? "" : "sfctl");
	snprintf(port, sizeof(port), "%lld", (long long)o->port);
	strbuf_adds(out, "ProxyCommand="); /* ssh puts "exec" before it */
	add_quoted(out, self);
	add_endpoint(cli, out);
	add_quoted(out, "--namespace");
	add_quoted(out, cli->namespace);
	add_quoted(out, "port-forward");
	if (o->interface) {
		add_quoted(out, "--interface");
		add_quoted(out, o->interface);
	}
	add_quoted(out, "--stdio");
	add_quoted(out, port);
	add_quoted(out, "--");
	add_quoted(out, name);
}

static char **add_option(char **argv, const char *value)
{
	return strv_append(strv_append(argv, "-o"), value);
}

static char **make_argv(Cli *cli, const SshOptions *o, const char *name, const char *uid,
			const char *user, char *const *command)
{
	_cleanup_(strbuf_done) StrBuf proxy = STRBUF_INIT;
	_cleanup_(xfreep) char *alias = xasprintf("HostKeyAlias=%s.sfd", uid);
	char **argv = strv_append(NULL, "ssh");

	make_proxy(cli, o, name, &proxy);
	argv = add_option(argv, strbuf_str(&proxy));
	argv = add_option(argv, alias);
	strv_foreach (m, o->more) /* the first value wins in ssh: yours before our habits */
		argv = add_option(argv, *m);
	argv = add_option(argv, "StrictHostKeyChecking=accept-new");
	if (o->identity)
		argv = strv_append(strv_append(argv, "-i"), o->identity);
	if (user)
		argv = strv_append(strv_append(argv, "-l"), user);
	argv = strv_append(strv_append(argv, "--"), name);
	strv_foreach (c, command)
		argv = strv_append(argv, *c);
	return argv;
}

/* That there is such an instance, and its uid. */
static int look_up(Cli *cli, const Resource *r, const char *name, char **ret_uid, Error *err)
{
	_cleanup_(xfreep) char *path = resource_path(r, cli->namespace, name, NULL);
	json_t *object = NULL;
	const char *uid;
	int rc;

	rc = cli_get(cli, path, &object, err);
	uid = json_string_at(object, "metadata.uid");
	if (rc == 0 && !uid)
		rc = error_set(err, ERR_INTERNAL, "%s has no uid", name);
	if (rc == 0)
		rc = instance_check_running(object, name, err);
	if (rc == 0)
		*ret_uid = xstrdup(uid);
	json_decref(object);
	return rc;
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	const SshOptions *o = values;
	const char *arg = parsed->args[0], *at = arg ? strchr(arg, '@') : NULL;
	_cleanup_(xfreep) char *user = at ? xstrndup(arg, (size_t)(at - arg)) : xstrdup(o->user);
	_cleanup_(xfreep) char *name = NULL, *uid = NULL;
	_cleanup_(strv_freep) char **argv = NULL;
	const Resource *r;
	int rc;

	if (!arg || !parsed->n_before)
		return (int)cli_usage(cli, "ssh: [USER@]INSTANCE [-- COMMAND]");
	if (o->port < 1 || o->port > 65535)
		return (int)cli_usage(cli, "ssh: --port=%lld is no port", (long long)o->port);
	rc = cli_instance(cli, at ? at + 1 : arg, &r, &name, err);
	if (rc == 0)
		rc = look_up(cli, r, name, &uid, err);
	if (rc < 0)
		return rc;
	argv = make_argv(cli, o, name, uid, user, parsed->args + 1);
	fflush(cli->out);
	execvp(argv[0], argv);
	return error_set_errno(err, errno, "start ssh (Debian: apt install openssh-client)");
}

const Verb verb_ssh = {
	.name = "ssh",
	.synopsis = "[USER@]INSTANCE [-- COMMAND [ARGUMENT...]]",
	.summary = "log in to an instance, whatever network it is on",
	.details = "Exits with the code of ssh(1). The guest must run sshd and know your key\n"
		   "(spec.cloudInit.sshAuthorizedKeys).\n\n"
		   "  sfctl ssh debian@web-1\n"
		   "  sfctl ssh debian@web-1 -- uptime\n",
	.options = options,
	.options_size = sizeof(SshOptions),
	.completes = "instance",
	.run = run,
};
