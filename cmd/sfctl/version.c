/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl version: ours and the server's.
 */
#include "sfctl.h"
#include "table.h"
#include "json/json.h"

typedef struct VersionOptions {
	bool client;
	const char *output;
} VersionOptions;

static const Option options[] = { OPTION(0, "client", FLAG, VersionOptions, client, NULL,
					 "ask no server"),
				  OPTION('o', "output", STRING, VersionOptions, output, "FORMAT",
					 "yaml or json", .choices = "yaml json"),
				  OPTIONS_END };

static int run(Cli *cli, const void *values, const Parsed *parsed _unused_, Error *err)
{
	const VersionOptions *o = values;
	json_t *server = NULL, *tree;
	const char *template;
	OutputFormat format;
	int rc = 0, code;

	if (output_parse(o->output, &format, &template, err) < 0 || format == OUTPUT_JSONPATH)
		return (int)cli_usage(cli, "version: -o yaml or -o json");
	if (!o->client)
		rc = cli_get(cli, "/version", &server, err);
	tree = json_pack("{s:s}", "clientVersion", SF_VERSION);
	if (rc == 0 && server)
		json_object_set(tree, "serverVersion", server);
	if (format == OUTPUT_YAML || format == OUTPUT_JSON) {
		code = output_tree(cli, format, NULL, tree, NULL);
	} else {
		const char *git = rc == 0 ? json_string_at(server, "gitVersion") : NULL;
		_cleanup_(xfreep) char *safe = text_escape(git ? git : "");
		char *ours = strstr(safe, "+sf"); /* v1.34.0+sfVERSION */

		code = EXIT_OK;
		fprintf(cli->out, "sfctl %s\n", SF_VERSION);
		if (git && ours) {
			*ours = '\0';
			fprintf(cli->out, "sfd   %s (Kubernetes API %s)\n", ours + strlen("+sf"),
				safe);
		} else if (git) {
			fprintf(cli->out, "sfd   %s\n", safe);
		}
	}
	json_decref(tree);
	json_decref(server);
	return rc < 0 ? rc : code;
}

const Verb verb_version = {
	.name = "version",
	.synopsis = "",
	.summary = "print the versions of sfctl and of the server",
	.options = options,
	.options_size = sizeof(VersionOptions),
	.completes = "",
	.run = run,
};
