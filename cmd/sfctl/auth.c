/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl auth: who the server takes us for, and what we may do. The server answers from the decision
 * that every request passes, so nothing is guessed here.
 */
#include "rules.h"
#include "sfctl.h"
#include "json/json.h"

#define REVIEWS "/apis/authorization.k8s.io/v1/"

typedef struct AuthOptions {
	const char *output, *subresource;
	bool all_namespaces, list, quiet;
} AuthOptions;

static const Option options[] = { OPTION(0, "list", FLAG, AuthOptions, list, NULL,
					 "of can-i: everything that you may do in the namespace"),
				  OPTION(0, "subresource", STRING, AuthOptions, subresource, "NAME",
					 "of can-i: such as log, console or status"),
				  OPTION('A', "all-namespaces", FLAG, AuthOptions, all_namespaces,
					 NULL, "of can-i: in every namespace"),
				  OPTION('q', "quiet", FLAG, AuthOptions, quiet, NULL,
					 "of can-i: print nothing, the exit code says it"),
				  OPTION('o', "output", STRING, AuthOptions, output, "FORMAT",
					 "of whoami: yaml or json", .choices = "yaml json"),
				  OPTIONS_END };

/* spec is stolen. *ret is the caller's. */
static int review(Cli *cli, const char *path, json_t *spec, json_t **ret, Error *err)
{
	_cleanup_(json_decrefp) json_t *body = json_pack("{s:o}", "spec", spec);

	return cli_call(cli, &(ClientRequest){ .method = "POST", .path = path, .body = body }, ret,
			err);
}

/* ---- can-i ---- */

/* KIND, KIND/NAME or *, with what the server calls it. */
static json_t *attributes(Cli *cli, const AuthOptions *o, const char *verb, const char *what,
			  const char *name)
{
	const char *slash = strchr(what, '/');
	_cleanup_(xfreep) char *word = slash ? xstrndup(what, (size_t)(slash - what)) : NULL;
	const char *kind = word ? word : what;
	const Resource *r = NULL;
	json_t *a = json_pack("{s:s, s:s}", "verb", verb, "resource", kind);

	if (streq(kind, "*")) {
		json_object_set_new(a, "group", json_string("*"));
	} else if (cli_resource_by_word(cli, kind, &r, NULL) == 0) {
		json_object_set_new(a, "group", json_string(r->group));
		json_object_set_new(a, "version", json_string(r->version));
		json_object_set_new(a, "resource", json_string(r->plural));
	} else {
		fprintf(cli->err, "warning: the server has no kind \"%s\"\n", kind);
	}
	if (slash || name)
		json_object_set_new(a, "name", json_string(slash ? slash + 1 : name));
	if (o->subresource)
		json_object_set_new(a, "subresource", json_string(o->subresource));
	if (!o->all_namespaces && (!r || r->namespaced))
		json_object_set_new(a, "namespace", json_string(cli->namespace));
	return a;
}

static int can_i(Cli *cli, const AuthOptions *o, char *const *args, Error *err)
{
	_cleanup_(json_decrefp) json_t *answer = NULL;
	const char *reason;
	json_t *spec;
	bool allowed;
	int rc;

	if (*args[1] == '/')
		spec = json_pack("{s:{s:s, s:s}}", "nonResourceAttributes", "verb", args[0], "path",
				 args[1]);
	else
		spec = json_pack("{s:o}", "resourceAttributes",
				 attributes(cli, o, args[0], args[1], args[2]));
	rc = review(cli, REVIEWS "selfsubjectaccessreviews", spec, &answer, err);
	if (rc < 0)
		return rc;
	allowed = json_bool_at(answer, "status.allowed", false);
	reason = json_string_at(answer, "status.reason");
	if (!o->quiet) {
		_cleanup_(xfreep) char *safe = text_escape(reason ? reason : "");

		/* Why not is worth a word; why is not. */
		fprintf(cli->out, "%s%s%s\n", allowed ? "yes" : "no",
			*safe && !allowed ? " - " : "", allowed ? "" : safe);
	}
	return allowed ? EXIT_OK : EXIT_FAILED;
}

static int list_rules(Cli *cli, Error *err)
{
	static const char *const members[] = { "status.resourceRules", "status.nonResourceRules" };
	_cleanup_(json_decrefp) json_t *answer = NULL;
	_cleanup_(hashmap_freep) Hashmap *seen = hashmap_new(NULL);
	_cleanup_(table_freep) Table *t = rules_table();
	json_t *rule;
	size_t i;
	int rc = review(cli, REVIEWS "selfsubjectrulesreviews",
			json_pack("{s:s}", "namespace", cli->namespace), &answer, err);

	if (rc < 0)
		return rc;
	for (size_t m = 0; m < ARRAY_SIZE(members); m++)
		json_array_foreach (json_at(answer, members[m]), i, rule)
			rules_table_add(t, seen, rule);
	table_print(t, cli->out, true, false, "");
	return EXIT_OK;
}

/* ---- whoami ---- */

static int whoami(Cli *cli, const AuthOptions *o, Error *err)
{
	_cleanup_(json_decrefp) json_t *answer = NULL;
	_cleanup_(xfreep) char *groups = NULL;
	const char *template;
	OutputFormat format;
	Table *t;
	int rc;

	if (output_parse(o->output, &format, &template, err) < 0 || format == OUTPUT_NAME)
		return (int)cli_usage(cli, "auth whoami: -o yaml, -o json or -o jsonpath=...");
	rc = review(cli, "/apis/authentication.k8s.io/v1/selfsubjectreviews", json_object(),
		    &answer, err);
	if (rc < 0)
		return rc;
	if (format != OUTPUT_TABLE && format != OUTPUT_WIDE)
		return output_tree(cli, format, template, answer, err);
	groups = strings_joined(json_at(answer, "status.userInfo.groups"));
	t = table_new();
	table_column(t, "User");
	table_column(t, "Groups");
	table_cell(t, json_string_at(answer, "status.userInfo.username"));
	table_cell(t, groups);
	table_end_row(t);
	table_print(t, cli->out, true, false, "");
	table_free(t);
	return EXIT_OK;
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	const AuthOptions *o = values;
	char *const *args = parsed->args;
	size_t n = strv_len(args);
	int rc;

	if (n == 1 && streq(args[0], "whoami"))
		return whoami(cli, o, err);
	if (n == 0 || !streq(args[0], "can-i") || (o->list ? n != 1 : n < 3 || n > 4))
		return (int)cli_usage(cli, "auth: say whoami, can-i VERB KIND[/NAME], can-i VERB "
					   "/PATH, or can-i --list");
	rc = cli_endpoint(cli, err);
	if (rc < 0)
		return rc;
	return o->list ? list_rules(cli, err) : can_i(cli, o, args + 1, err);
}

const Verb verb_auth = {
	.name = "auth",
	.synopsis = "whoami | can-i VERB KIND[/NAME] | can-i --list",
	.summary = "who you are for the server, and what you may do",
	.details =
		"  sfctl auth whoami\n"
		"  sfctl auth can-i create instances\n"
		"  sfctl auth can-i get instance/web-1 --subresource=console -n lab\n"
		"  sfctl auth can-i --list\n"
		"Exit code of can-i: 0 for yes, 1 for no. Roles and their bindings are objects:\n"
		"`sfctl get clusterroles`, `sfctl describe clusterrole view`; kubectl makes them\n"
		"with `create role` and `create rolebinding`, sfctl from files.\n",
	.options = options,
	.options_size = sizeof(AuthOptions),
	.completes = "",
	.run = run,
};
