/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cli: from the command line to a verb, and from an error to a message that helps and an exit code.
 */
#include <errno.h>
#include <grp.h>
#include <sys/stat.h>

#include "base/log.h"
#include "sfctl.h"
#include "table.h"

static const Option global_options[] = {
	OPTION('n', "namespace", STRING, GlobalOptions, namespace, "NAME",
	       "the namespace to work in; else $SFD_NAMESPACE, else default",
	       .choices = "@namespace"),
	OPTION(0, "server", STRING, GlobalOptions, endpoint.server, "ADDRESS",
	       "unix:PATH, https://HOST:PORT; else $SFD_SERVER, $KUBECONFIG, " DEFAULT_SERVER),
	OPTION(0, "kubeconfig", STRING, GlobalOptions, endpoint.kubeconfig, "FILE",
	       "server, CA and credentials as kubectl has them", .choices = "@file"),
	OPTION(0, "context", STRING, GlobalOptions, endpoint.context, "NAME",
	       "of the kubeconfig; else its current one"),
	OPTION(0, "token", STRING, GlobalOptions, endpoint.token, "TOKEN",
	       "bearer token; better in $SFD_TOKEN or a file, where others cannot see it"),
	OPTION(0, "token-file", STRING, GlobalOptions, endpoint.token_file, "FILE",
	       "file with the bearer token", .choices = "@file"),
	OPTION(0, "certificate-authority", STRING, GlobalOptions, endpoint.certificate_authority,
	       "FILE", "the CA that signs the server's certificate", .choices = "@file"),
	OPTION(0, "client-certificate", STRING, GlobalOptions, endpoint.client_certificate, "FILE",
	       "client certificate", .choices = "@file"),
	OPTION(0, "client-key", STRING, GlobalOptions, endpoint.client_key, "FILE",
	       "its private key", .choices = "@file"),
	OPTION(0, "tls-server-name", STRING, GlobalOptions, endpoint.tls_server_name, "NAME",
	       "the name that the server's certificate must have"),
	OPTION(0, "insecure-skip-tls-verify", FLAG, GlobalOptions, endpoint.insecure, NULL,
	       "talk to whoever answers"),
	OPTION(0, "request-timeout", DURATION, GlobalOptions, request_timeout, "DURATION",
	       "how long one request may take", .preset = "60s"),
	OPTION('v', "verbose", FLAG, GlobalOptions, verbose, NULL,
	       "say on stderr what is asked of the server"),
	OPTIONS_END
};

void cli_init(Cli *cli, FILE *out, FILE *err)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	bool dumb = term && streq(term, "dumb");

	*cli = (Cli){ .out = out, .err = err, .global_options = global_options };
	cli->color = fileno(out) >= 0 && isatty(fileno(out)) && str_is_empty(no_color) && !dumb;
	cli->terminal = fileno(err) >= 0 && isatty(fileno(err)) && !dumb;
	options_init(global_options, &cli->global);
}

static void resource_free(Resource *r)
{
	free(r->group);
	free(r->version);
	free(r->api_version);
	free(r->kind);
	free(r->plural);
	free(r->singular);
	strv_free(r->short_names);
	strv_free(r->categories);
	strv_free(r->verbs);
	kind_unref(r->compiled);
	free(r);
}

void cli_done(Cli *cli)
{
	for (size_t i = 0; i < cli->n_resources; i++)
		resource_free(cli->resources[i]);
	free(cli->resources);
	kind_registry_free(cli->kinds);
	client_free(cli->client);
	endpoint_done(&cli->endpoint);
	options_done(global_options, &cli->global);
}

/* ---- the server --------------------------------------------------------------------------- */

usec_t cli_request_timeout(const Cli *cli)
{
	return cli->global.request_timeout > 0 ? (usec_t)cli->global.request_timeout : 0;
}

/* Others of this host see our command line for as long as we run. */
static void hide_token(EndpointOptions *o)
{
	if (o->token)
		memset((char *)o->token, 'x', strlen(o->token));
	o->token = NULL;
}

int cli_endpoint(Cli *cli, Error *err)
{
	int rc = 0;

	if (cli->endpoint.server)
		return 0;
	rc = endpoint_resolve(&cli->global.endpoint, &cli->endpoint, err);
	hide_token(&cli->global.endpoint);
	if (rc == 0 && !cli->global.namespace && str_is_empty(getenv("SFD_NAMESPACE")) &&
	    cli->endpoint.namespace)
		cli->namespace = cli->endpoint.namespace;
	return rc;
}

int cli_client(Cli *cli, Client **ret, Error *err)
{
	int rc = cli_endpoint(cli, err);

	if (rc == 0 && !cli->client)
		rc = client_new_with(&cli->endpoint.client, &cli->client, err);
	if (rc == 0)
		*ret = cli->client;
	return rc;
}

int cli_call(Cli *cli, const ClientRequest *request, json_t **ret, Error *err)
{
	ClientRequest r = *request;
	Client *client;
	int rc;

	rc = cli_client(cli, &client, err);
	if (rc < 0)
		return rc;
	if (!r.timeout)
		r.timeout = cli_request_timeout(cli);
	rc = client_call(client, &r, ret, err);
	strv_foreach (w, client_warnings(client)) {
		_cleanup_(xfreep) char *text = text_escape(*w);

		if (!cli->hush)
			fprintf(cli->err, "warning: %s\n", text);
	}
	return rc;
}

int cli_get(Cli *cli, const char *path, json_t **ret, Error *err)
{
	return cli_call(cli, &(ClientRequest){ .method = "GET", .path = path }, ret, err);
}

/* ---- errors ------------------------------------------------------------------------------- */

ExitCode exit_code_from_error(int rc)
{
	static const ExitCode codes[_ERR_MAX] = {
		[ERR_INVALID] = EXIT_INVALID,         [ERR_NOT_FOUND] = EXIT_NOT_FOUND,
		[ERR_EXISTS] = EXIT_CONFLICT,         [ERR_CONFLICT] = EXIT_CONFLICT,
		[ERR_GONE] = EXIT_CONFLICT,           [ERR_FORBIDDEN] = EXIT_FORBIDDEN,
		[ERR_UNAVAILABLE] = EXIT_UNREACHABLE, [ERR_TIMEOUT] = EXIT_TIMEOUT,
		[ERR_CANCELED] = EXIT_FAILED,         [ERR_UNSUPPORTED] = EXIT_INVALID,
		[ERR_EXHAUSTED] = EXIT_FAILED,        [ERR_INTERNAL] = EXIT_FAILED,
	};

	if (rc >= 0)
		return EXIT_OK;
	return -rc < _ERR_MAX ? codes[-rc] : EXIT_FAILED;
}

void exit_code_merge(int *code, int next)
{
	if (*code == EXIT_OK)
		*code = next;
}

static bool in_group(const char *name)
{
	const struct group *g = getgrnam(name);
	gid_t groups[256];
	int n;

	if (!g)
		return false;
	if (getegid() == g->gr_gid)
		return true;
	n = getgroups(ARRAY_SIZE(groups), groups);
	for (int i = 0; i < n; i++)
		if (groups[i] == g->gr_gid)
			return true;
	return false;
}

/* What to do when no sfd can be reached: by why the socket could not be opened. */
static void print_hint(Cli *cli, int os_errno)
{
	switch (os_errno) {
	case ENOENT:
		fputs("  There is no such socket: sfd is not running here, or it listens "
		      "elsewhere.\n"
		      "  Start it:     sudo systemctl start sfd\n"
		      "  Why it ended: journalctl -u sfd -e\n"
		      "  Elsewhere:    sfctl --server unix:PATH …, or set SFD_SERVER\n",
		      cli->err);
		break;
	case ECONNREFUSED:
		if (cli->endpoint.server && str_has_prefix(cli->endpoint.server, "https:")) {
			fputs("  Nobody listens there: is \"listen = tls:…\" in sfd.conf there, "
			      "and is the port right?\n",
			      cli->err);
			break;
		}
		fputs("  Nobody listens there: sfd has ended.\n"
		      "  Start it:     sudo systemctl restart sfd\n"
		      "  Why it ended: journalctl -u sfd -e\n",
		      cli->err);
		break;
	case EACCES:
	case EPERM:
		if (in_group("sfd"))
			fputs("  You are in group sfd, yet the socket is not open to it.\n"
			      "  See who may: ls -l of the socket and of its folder\n",
			      cli->err);
		else
			fputs("  Only root and the group sfd may use it.\n"
			      "  Once:       sudo sfctl …\n"
			      "  For good:   sudo usermod -aG sfd $USER, then log in again\n",
			      cli->err);
		break;
	}
}

ExitCode cli_report(Cli *cli, int rc, Error *err)
{
	_cleanup_(xfreep) char *text = NULL;
	int os_errno = err->os_errno;
	bool unreachable = rc == -ERR_UNAVAILABLE;

	fflush(cli->out);
	/* A message may have several lines, one per error: each is escaped by itself. */
	if (err->message) {
		_cleanup_(strv_freep) char **lines = strv_split(err->message, '\n');

		strv_foreach (line, lines) {
			_cleanup_(xfreep) char *safe = text_escape(*line);

			fprintf(cli->err, "%s%s\n", line == lines ? "error: " : "  ", safe);
		}
	} else {
		fprintf(cli->err, "error: %s\n", error_code_to_string(rc));
	}
	if (unreachable)
		print_hint(cli, os_errno);
	if (cli->client && client_http_code(cli->client) == 401)
		fputs("  What was shown to sfd is no certificate or token of its own, or it has "
		      "expired or was revoked.\n"
		      "  On its host:  sudo sfctl kubeconfig --user NAME\n"
		      "  Here:         sfctl --kubeconfig FILE …, or set KUBECONFIG\n",
		      cli->err);
	error_done(err);
	return exit_code_from_error(rc);
}

ExitCode cli_usage(Cli *cli, const char *fmt, ...)
{
	_cleanup_(xfreep) char *text = NULL, *safe = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	safe = text_escape(text);
	fprintf(cli->err, "error: %s\n", safe);
	return EXIT_USAGE;
}

/* ---- help and dispatch -------------------------------------------------------------------- */

static void print_help(const Cli *cli, FILE *out)
{
	fputs("sfctl looks after instances, networks and images of Shaken Fist.\n\n"
	      "Usage: sfctl [OPTIONS] VERB [ARGUMENTS]\n\nVerbs:\n",
	      out);
	for (const Verb *const *v = cli->verbs; *v; v++)
		if ((*v)->summary)
			fprintf(out, "  %-14s%s\n", (*v)->name, (*v)->summary);
	fputs("\nOptions of every verb:\n", out);
	options_help(global_options, out);
	fputs("\n`sfctl VERB --help` tells more about one, sfctl(1) about all of them.\n", out);
}

static void print_verb_help(const Verb *v, FILE *out)
{
	fprintf(out, "%s\n\nUsage: sfctl %s%s%s\n", v->summary ? v->summary : v->name, v->name,
		*v->synopsis ? " " : "", v->synopsis);
	if (v->details)
		fprintf(out, "\n%s", v->details);
	if (v->options) {
		fputs("\nOptions:\n", out);
		options_help(v->options, out);
	}
	fputs("\nOptions of every verb:\n", out);
	options_help(global_options, out);
}

const Verb *cli_find_verb(const Cli *cli, const char *name)
{
	for (const Verb *const *v = cli->verbs; *v; v++)
		if (streq((*v)->name, name))
			return *v;
	return NULL;
}

static int unknown_verb(Cli *cli, const char *name)
{
	const char *names[64], *near;
	size_t n = 0;

	for (const Verb *const *v = cli->verbs; *v && n < ARRAY_SIZE(names); v++)
		if ((*v)->summary)
			names[n++] = (*v)->name;
	near = suggest(name, names, n);
	if (near)
		return cli_usage(cli, "unknown verb '%s' (did you mean %s?)", name, near);
	return cli_usage(cli, "unknown verb '%s'; `sfctl --help` lists them", name);
}

/* Options may stand before the verb: `sfctl -n lab get vm`. Returns how many words they take. */
static int leading_options(Cli *cli, char *const *words, size_t *ret_n, bool *ret_help, Error *err)
{
	size_t n = 0;
	int rc;

	for (; words[n] && words[n][0] == '-' && words[n][1]; n++) {
		char *const pair[] = { words[n], words[n + 1], NULL };
		Parsed p;

		if (streq(words[n], "--version") || streq(words[n], "-V")) {
			fprintf(cli->out, "sfctl %s\n", SF_VERSION);
			return 1;
		}
		rc = options_parse(NULL, NULL, global_options, &cli->global, pair, &p, err);
		if (rc < 0)
			return rc;
		*ret_help |= p.wants_help;
		if (words[n + 1] && strv_len(p.args) == 0 && words[n + 1][0] != '-')
			n++; /* the next word was its value */
		parsed_done(&p);
	}
	*ret_n = n;
	return 0;
}

static void cli_settle(Cli *cli)
{
	const char *namespace = getenv("SFD_NAMESPACE");

	cli->namespace = cli->global.namespace      ? cli->global.namespace
			 : !str_is_empty(namespace) ? namespace
						    : "default";
	if (cli->global.verbose)
		log_set_level(LOG_LEVEL_DEBUG);
}

static int run_verb(Cli *cli, const Verb *v, char *const *words)
{
	_cleanup_(xfreep) void *values = xcalloc(1, MAX(v->options_size, (size_t)1));
	_cleanup_(error_done) Error err = ERROR_INIT;
	Parsed parsed = { 0 };
	int rc;

	options_init(v->options, values);
	rc = options_parse(v->options, values, global_options, &cli->global, words, &parsed, &err);
	if (rc < 0) {
		options_done(v->options, values);
		return cli_usage(cli, "%s: %s; see `sfctl %s --help`", v->name, error_message(&err),
				 v->name);
	}
	cli_settle(cli);
	if (parsed.wants_help) {
		print_verb_help(v, cli->out);
		rc = EXIT_OK;
	} else {
		/* The namespace may be the context's; what is wrong there, verbs that need no
		 * server do not mind. */
		rc = v->offline ? 0 : cli_endpoint(cli, &err);
		if (rc == 0)
			rc = error_wrap_rc(&err, name_check(cli->namespace, &err), "namespace");
		if (rc == 0)
			rc = v->run(cli, values, &parsed, &err);
	}
	options_done(v->options, values);
	parsed_done(&parsed);
	return rc < 0 ? (int)cli_report(cli, rc, &err) : rc;
}

int cli_main(Cli *cli, const Verb *const *verbs, int argc, char *const *argv)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	char *const *words = argc > 0 ? argv + 1 : argv;
	bool help = false;
	size_t skip = 0;
	const Verb *v;
	int rc;

	cli->verbs = verbs;
	rc = leading_options(cli, words, &skip, &help, &err);
	if (rc != 0)
		return rc > 0 ? EXIT_OK : (int)cli_usage(cli, "%s", error_message(&err));
	words += skip;
	if (*words && streq(*words, "help")) {
		help = true;
		words++;
	}
	v = *words ? cli_find_verb(cli, *words) : NULL;
	if (!*words || (help && !v)) {
		print_help(cli, help ? cli->out : cli->err);
		return help ? EXIT_OK : EXIT_USAGE;
	}
	if (!v)
		return unknown_verb(cli, *words);
	if (help) {
		print_verb_help(v, cli->out);
		return EXIT_OK;
	}
	return run_verb(cli, v, words + 1);
}
