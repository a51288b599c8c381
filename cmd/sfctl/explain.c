/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl explain: what a kind's fields mean. Needs no server for the kinds that are compiled in.
 */
#include "api/schema.h"
#include "sfctl.h"

typedef struct ExplainOptions {
	bool recursive;
} ExplainOptions;

static const Option options[] = { OPTION(0, "recursive", FLAG, ExplainOptions, recursive, NULL,
					 "all fields below, without their descriptions"),
				  OPTIONS_END };

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	const ExplainOptions *o = values;
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	_cleanup_(xfreep) char *word = NULL;
	_cleanup_(kind_unrefp) Kind *kind = NULL;
	const char *arg = parsed->args[0], *dot;
	const Resource *r;
	int rc;

	if (!arg || parsed->args[1])
		return (int)cli_usage(cli, "explain: one of KIND or KIND.FIELD.FIELD");
	dot = strchr(arg, '.');
	word = dot ? xstrndup(arg, (size_t)(dot - arg)) : xstrdup(arg);
	rc = cli_resource_by_word(cli, word, &r, err);
	if (rc == 0)
		rc = cli_kind_schema(cli, r, &kind, err);
	if (rc == 0)
		rc = schema_explain(kind, dot ? dot + 1 : "", o->recursive, &out, err);
	if (rc < 0)
		return rc;
	fwrite(strbuf_str(&out), 1, out.len, cli->out);
	return EXIT_OK;
}

const Verb verb_explain = {
	.name = "explain",
	.synopsis = "KIND[.FIELD...]",
	.summary = "tell what the fields of a kind mean",
	.details = "  sfctl explain instance\n"
		   "  sfctl explain instance.spec.disks\n"
		   "  sfctl explain network.spec --recursive\n",
	.options = options,
	.options_size = sizeof(ExplainOptions),
	.completes = "kind",
	.run = run,
};
