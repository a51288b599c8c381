/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl completion: the scripts for bash and zsh, and what they call to learn what may come next.
 * The scripts know nothing; the verb table and the server do. Asking the server takes a second at
 * most and fails silently: a slow server must not freeze anybody's prompt.
 */
#include "sfctl.h"
#include "json/json.h"

static const char bash_script[] =
	"# bash completion of sfctl. To use it: source <(sfctl completion bash)\n"
	"_sfctl()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} line words=() i\n"
	"\t# bash takes --name=value and KIND/NAME apart at = and :, put them together again\n"
	"\tfor ((i = 1; i <= COMP_CWORD; i++)); do\n"
	"\t\tif [[ ${COMP_WORDS[i]} == = && ${#words[@]} -gt 0 ]] ||\n"
	"\t\t   [[ ${#words[@]} -gt 0 && ${words[-1]} == --*= ]]; then\n"
	"\t\t\twords[-1]+=${COMP_WORDS[i]}\n"
	"\t\telse\n"
	"\t\t\twords+=(\"${COMP_WORDS[i]}\")\n"
	"\t\tfi\n"
	"\tdone\n"
	"\tCOMPREPLY=()\n"
	"\twhile IFS= read -r line; do\n"
	"\t\tcase $line in\n"
	"\t\t@file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
	"\t\t*) [[ $line == \"${cur#=}\"* || $cur == = ]] && COMPREPLY+=(\"$line\") ;;\n"
	"\t\tesac\n"
	"\tdone < <(\"${COMP_WORDS[0]}\" __complete -- \"${words[@]}\" 2>/dev/null)\n"
	"\t[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
	"\treturn 0\n"
	"}\n"
	"complete -F _sfctl sfctl\n";

static const char zsh_script[] =
	"#compdef sfctl\n"
	"# zsh completion of sfctl. To use it: source <(sfctl completion zsh)\n"
	"_sfctl()\n"
	"{\n"
	"\tlocal -a found\n"
	"\tlocal line\n"
	"\twhile IFS= read -r line; do\n"
	"\t\tif [[ $line == @file ]]; then\n"
	"\t\t\t_files\n"
	"\t\telse\n"
	"\t\t\tfound+=(\"$line\")\n"
	"\t\tfi\n"
	"\tdone < <(\"${words[1]}\" __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
	"\t[[ ${words[CURRENT]} == --*=* ]] && compset -P '*='\n"
	"\tcompadd -a found\n"
	"}\n"
	"(( $+functions[compdef] )) && compdef _sfctl sfctl\n";

static int run(Cli *cli, const void *values _unused_, const Parsed *parsed, Error *err _unused_)
{
	const char *shell = parsed->args[0];

	if (shell && !parsed->args[1] && streq(shell, "bash"))
		fputs(bash_script, cli->out);
	else if (shell && !parsed->args[1] && streq(shell, "zsh"))
		fputs(zsh_script, cli->out);
	else
		return (int)cli_usage(cli, "completion: bash or zsh");
	return EXIT_OK;
}

const Verb verb_completion = {
	.name = "completion",
	.synopsis = "bash|zsh",
	.summary = "print a script that completes sfctl's command line",
	.details = "  source <(sfctl completion bash)      in ~/.bashrc\n"
		   "  source <(sfctl completion zsh)       in ~/.zshrc\n",
	.completes = "shell",
	.offline = true,
	.run = run,
};

/* ---- what may come next ------------------------------------------------------------------- */

typedef struct Completion {
	Cli *cli;
	const Verb *verb;       /* NULL = not typed yet */
	const char *kind;       /* first argument of the verb, if there is one */
	size_t n_args;          /* arguments of the verb before the word at the cursor */
	const Option *awaiting; /* the option whose value is at the cursor */
	const char *word;       /* at the cursor; "" if nothing is typed */
} Completion;

static const Option *find_option(const Completion *c, const char *word)
{
	const Option *tables[] = { c->verb ? c->verb->options : NULL, c->cli->global_options };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const Option *o = tables[i]; o && o->name; o++)
			if ((str_has_prefix(word, "--") && streq(word + 2, o->name)) ||
			    (o->letter && word[0] == '-' && word[1] == o->letter && !word[2]))
				return o;
	return NULL;
}

static bool takes_value(const Option *o)
{
	return o->type != OPTION_FLAG && o->type != OPTION_BOOL && !o->implied;
}

/* Where names are asked for decides what is offered. */
static void take_value(Completion *c, const char *option, size_t n, const char *value)
{
	GlobalOptions *global = &c->cli->global;
	const struct {
		const char *name;
		const char **slot;
	} known[] = {
		{"namespace",              &global->namespace                     },
		{ "server",                &global->endpoint.server               },
		{ "kubeconfig",            &global->endpoint.kubeconfig           },
		{ "context",               &global->endpoint.context              },
		{ "token-file",            &global->endpoint.token_file           },
		{ "certificate-authority", &global->endpoint.certificate_authority},
		{ "client-certificate",    &global->endpoint.client_certificate   },
		{ "client-key",            &global->endpoint.client_key           },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i].name) == n && memcmp(known[i].name, option, n) == 0)
			*known[i].slot = value;
}

/* Walks over what stands before the cursor. */
static void read_line(Completion *c, char *const *words)
{
	for (; *words && words[1]; words++) {
		const char *w = *words;

		if (c->awaiting) {
			take_value(c, c->awaiting->name, strlen(c->awaiting->name), w);
			c->awaiting = NULL;
		} else if (*w == '-') {
			const Option *o = find_option(c, w);

			c->awaiting = o && takes_value(o) ? o : NULL;
			if (str_has_prefix(w, "--") && strchr(w, '='))
				take_value(c, w + 2, strcspn(w + 2, "="), strchr(w, '=') + 1);
		} else if (!c->verb) {
			c->verb = cli_find_verb(c->cli, w);
		} else {
			if (c->n_args++ == 0)
				c->kind = w;
		}
	}
	c->word = *words ? *words : "";
}

static void offer_names(const Completion *c, const char *kind, const char *prefix)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	const Resource *r;
	Targets t = { 0 };

	if (cli_resource_by_word(c->cli, kind, &r, &err) < 0)
		return;
	if (targets_list(c->cli, r, false, NULL, &t, &err) == 0)
		for (size_t i = 0; i < t.n; i++)
			fprintf(c->cli->out, "%s%s\n", prefix, t.items[i].name);
	targets_done(&t);
}

static void offer_kinds(const Completion *c)
{
	const Resource *r;

	cli_resource_by_word(c->cli, "instances", &r, NULL); /* loads what is compiled in */
	cli_discover(c->cli, NULL);
	for (size_t i = 0; i < c->cli->n_resources; i++)
		if (!c->cli->resources[i]->alternate)
			fprintf(c->cli->out, "%s\n", c->cli->resources[i]->plural);
}

static void offer_choices(const Completion *c, const char *choices)
{
	_cleanup_(strv_freep) char **words = strv_split(choices, ' ');

	strv_foreach (w, words) {
		if (streq(*w, "@namespace"))
			offer_names(c, "namespaces", "");
		else
			fprintf(c->cli->out, "%s\n", *w);
	}
}

static void offer_options(const Completion *c)
{
	const Option *tables[] = { c->verb ? c->verb->options : NULL, c->cli->global_options };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const Option *o = tables[i]; o && o->name; o++)
			fprintf(c->cli->out, "--%s%s\n", o->name, takes_value(o) ? "=" : "");
}

static void offer_arguments(const Completion *c)
{
	const char *what = c->verb->completes ? c->verb->completes : "";
	const char *slash = strchr(c->word, '/');

	if (streq(what, "shell") && !c->n_args) {
		fputs("bash\nzsh\n", c->cli->out);
	} else if (streq(what, "instance")) {
		offer_names(c, "instances", "");
	} else if (str_has_prefix(what, "kind") && slash) {
		_cleanup_(xfreep) char *kind = xstrndup(c->word, (size_t)(slash - c->word));
		_cleanup_(xfreep) char *prefix = xasprintf("%s/", kind);

		offer_names(c, kind, prefix);
	} else if (str_has_prefix(what, "kind") && !c->n_args) {
		offer_kinds(c);
	} else if (streq(what, "certificates") && !c->n_args) {
		offer_choices(c, "list ca renew revoke");
	} else if (streq(what, "certificates") &&
		   (streq(c->kind, "renew") || streq(c->kind, "revoke"))) {
		offer_names(c, "credentials", "");
	} else if (streq(what, "kind name") && c->kind) {
		offer_names(c, c->kind, "");
	}
}

static int run_complete(Cli *cli, const void *values _unused_, const Parsed *parsed,
			Error *err _unused_)
{
	Completion c = { .cli = cli };
	const char *equals;

	read_line(&c, parsed->args);
	cli->global.request_timeout = (int64_t)USEC_PER_SEC;
	if (cli->global.namespace)
		cli->namespace = cli->global.namespace;
	equals = str_has_prefix(c.word, "--") ? strchr(c.word, '=') : NULL;
	if (equals) {
		_cleanup_(xfreep) char *name = xstrndup(c.word, (size_t)(equals - c.word));

		c.awaiting = find_option(&c, name);
	}
	if (c.awaiting) {
		if (c.awaiting->choices)
			offer_choices(&c, c.awaiting->choices);
	} else if (*c.word == '-') {
		offer_options(&c);
	} else if (!c.verb) {
		for (const Verb *const *v = cli->verbs; *v; v++)
			if ((*v)->summary)
				fprintf(cli->out, "%s\n", (*v)->name);
	} else {
		offer_arguments(&c);
	}
	return EXIT_OK;
}

const Verb verb_complete = {
	.name = "__complete",
	.synopsis = "-- WORD...",
	.completes = "",
	.offline = true,
	.run = run_complete,
};
