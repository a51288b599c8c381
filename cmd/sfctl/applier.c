/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applier: see applier.h.
 */
#include "applier.h"

#include "api/schema.h"
#include "json/json.h"

static int apply_call(Cli *cli, const Document *d, const json_t *body, const ApplyAs *as,
		      bool dry_run, json_t **ret, Error *err)
{
	_cleanup_(xfreep) char *base = resource_path(d->resource, d->namespace, d->name, NULL);
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;

	strbuf_adds(&path, base);
	path_add_query(&path, "fieldManager", as->manager ? as->manager : FIELD_MANAGER);
	path_add_query(&path, "fieldValidation", "Strict");
	if (as->force)
		path_add_query(&path, "force", "true");
	if (dry_run)
		path_add_query(&path, "dryRun", "All");
	return cli_call(cli,
			&(ClientRequest){ .method = "PATCH",
					  .path = strbuf_str(&path),
					  .content_type = TYPE_APPLY,
					  .body = body },
			ret, err);
}

int document_store(Cli *cli, const Document *d, const ApplyAs *as, const char *version,
		   json_t **ret, Error *err)
{
	_cleanup_(json_decrefp) json_t *body = json_copy((json_t *)d->tree);
	json_t *metadata = json_copy(json_object_get(body, "metadata"));

	if (version && !json_object_get(metadata, "resourceVersion"))
		json_object_set_new(metadata, "resourceVersion", json_string(version));
	json_object_set_new(body, "metadata", metadata);
	return apply_call(cli, d, body, as, false, ret, err);
}

int document_live(Cli *cli, const Document *d, json_t **ret, Error *err)
{
	_cleanup_(xfreep) char *path = resource_path(d->resource, d->namespace, d->name, NULL);
	json_t *live = NULL;
	int rc;

	rc = cli_get(cli, path, &live, err);
	if (rc == 0) {
		*ret = live;
		return 0;
	}
	json_decref(live);
	return rc == -ERR_NOT_FOUND ? error_ignore(err) : rc;
}

static bool namespace_defined_here(const Manifests *m, const char *namespace)
{
	for (size_t i = 0; namespace && i < m->n; i++)
		if (m->items[i].resource && streq(m->items[i].resource->plural, "namespaces") &&
		    streq(m->items[i].name, namespace))
			return true;
	return false;
}

/* The server knows the kind or the namespace only later: the same rules, run here. */
static int check_here(Cli *cli, const Document *d)
{
	const Kind *k = d->resource->compiled;
	FieldErrors errors = FIELD_ERRORS_INIT;
	json_t *tree, *metadata;
	int code;

	if (!k)
		return EXIT_OK;
	tree = json_deep_copy(d->tree);
	metadata = json_object_get(tree, "metadata");
	if (d->namespace && !json_object_get(metadata, "namespace"))
		json_object_set_new(metadata, "namespace", json_string(d->namespace));
	schema_prune(k->schema, tree, &errors);
	schema_default(k->schema, tree);
	object_validate(k, tree, NULL, &errors);
	for (size_t i = 0; i < errors.n; i++)
		document_error(cli, d, errors.items[i].path, errors.items[i].message);
	code = errors.n ? EXIT_INVALID : EXIT_OK;
	field_errors_done(&errors);
	json_decref(tree);
	return code;
}

int document_try(Cli *cli, const Manifests *m, const Document *d, const ApplyAs *as, json_t **ret)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	json_t *answer = NULL;
	int rc;

	*ret = NULL;
	rc = apply_call(cli, d, d->tree, as, true, &answer, &err);
	if (rc == 0) {
		*ret = answer;
		return EXIT_OK;
	}
	json_decref(answer);
	if (rc == -ERR_NOT_FOUND && (d->pending_kind || namespace_defined_here(m, d->namespace))) {
		error_ignore(&err);
		return check_here(cli, d);
	}
	return (int)document_report(cli, d, rc, &err);
}

void print_conflict_hint(Cli *cli)
{
	fputs("  Somebody else has set these fields to other values. Leave them out of the "
	      "manifest to\n"
	      "  let them be; write the values that they have to own them together; or take them "
	      "over\n"
	      "  with --force-conflicts.\n",
	      cli->err);
}
