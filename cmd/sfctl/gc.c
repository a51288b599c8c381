/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl gc: what the nodes found that carries our mark but has no object, and its removal.
 *
 * Only what is named is removed, by its own node, which looks again before it does; the request is
 * an annotation of the Node, the answer is in its status.
 */
#include "api/wellknown.h"
#include "base/random.h"
#include "table.h"
#include "waiter.h"

typedef struct GcOptions {
	bool enforce, all, no_headers;
	int64_t timeout;
} GcOptions;

static const Option options[] = {
	OPTION(0, "enforce", FLAG, GcOptions, enforce, NULL, "remove what is named, for good"),
	OPTION(0, "all", FLAG, GcOptions, all, NULL, "with --enforce: everything that is listed"),
	OPTION(0, "timeout", DURATION, GcOptions, timeout, "DURATION",
	       "how long to wait for a node; negative: for ever", .preset = "5m"),
	OPTION(0, "no-headers", FLAG, GcOptions, no_headers, NULL,
	       "leave the line of headings out"),
	OPTIONS_END
};

typedef struct Gc {
	Cli *cli;
	const GcOptions *o;
	const Resource *nodes;
	json_t *list;   /* of Nodes */
	json_t *wanted; /* uid -> true once a node has it */
	int code;
} Gc;

static const json_t *unmanaged_of(const json_t *node)
{
	return json_at(node, "status.unmanaged");
}

static int read_nodes(Gc *gc, Error *err)
{
	_cleanup_(xfreep) char *path = resource_path(gc->nodes, NULL, NULL, NULL);

	return cli_list(gc->cli, path, NULL, &gc->list, err);
}

static void show(Gc *gc)
{
	_cleanup_(table_freep) Table *t = table_new();
	static const char *const columns[] = { "Node", "Type", "Name", "UID" };
	const json_t *node, *entry;
	size_t i, k;

	for (i = 0; i < ARRAY_SIZE(columns); i++)
		table_column(t, columns[i]);
	json_array_foreach (json_object_get(gc->list, "items"), i, node)
		json_array_foreach (unmanaged_of(node), k, entry) {
			const char *name = json_string_at(entry, "name");

			table_cell(t, json_string_at(node, "metadata.name"));
			table_cell(t, json_string_at(entry, "type"));
			table_cell(t, name ? name : "<none>");
			table_cell(t, json_string_at(entry, "uid"));
			table_end_row(t);
		}
	if (!table_rows(t)) {
		fputs("nothing is unmanaged\n", gc->cli->err);
		return;
	}
	table_print(t, gc->cli->out, !gc->o->no_headers, gc->cli->color, "");
	fflush(gc->cli->out);
	fputs("`sfctl gc --enforce UID` removes a guest and its disks for good\n", gc->cli->err);
}

/* Those uids of the node that are wanted, in no order; caller's. Marks them as found. */
static json_t *wanted_of(Gc *gc, const json_t *node)
{
	json_t *uids = json_object(), *list = json_array();
	const json_t *entry;
	const char *uid;
	json_t *v;
	size_t i;

	json_array_foreach (unmanaged_of(node), i, entry) {
		uid = json_string_at(entry, "uid");
		if (uid && (gc->o->all || json_object_get(gc->wanted, uid)))
			json_object_set_new(uids, uid, json_true());
	}
	json_object_foreach (uids, uid, v) {
		json_array_append_new(list, json_string(uid));
		json_object_set_new(gc->wanted, uid, json_true());
	}
	json_decref(uids);
	return list;
}

static int send_request(Gc *gc, const Target *node, const char *id, json_t *uids, Error *err)
{
	_cleanup_(xfreep) char *path = resource_path(node->resource, NULL, node->name, NULL);
	_cleanup_(json_decrefp) json_t *request = json_pack("{s:s, s:O}", "id", id, "uids", uids);
	_cleanup_(xfreep) char *text = json_text(request);
	_cleanup_(json_decrefp) json_t *body =
		json_pack("{s:{s:{s:s}}}", "metadata", "annotations", ANNOTATION_COLLECT, text);

	return cli_call(gc->cli,
			&(ClientRequest){ .method = "PATCH",
					  .path = path,
					  .content_type = TYPE_MERGE_PATCH,
					  .body = body },
			NULL, err);
}

static int await_answer(Gc *gc, const Target *node, const char *id, Error *err)
{
	_cleanup_(xfreep) char *text = xasprintf("jsonpath={.status.collectRequest.id}=%s", id);
	WaitFor what = { 0 };
	Progress progress;
	int rc = wait_for_parse(text, &what, err);

	if (rc < 0)
		return rc;
	progress_init(&progress, gc->cli);
	rc = wait_object(gc->cli, node, &what, wait_deadline(gc->o->timeout), &progress, err);
	progress_done(&progress);
	wait_for_done(&what);
	return rc;
}

static int tell_answer(Gc *gc, const Target *node, json_t *uids, Error *err)
{
	_cleanup_(xfreep) char *path = resource_path(node->resource, NULL, node->name, NULL);
	_cleanup_(json_decrefp) json_t *object = NULL;
	const char *message;
	const json_t *uid;
	size_t i;
	int rc = cli_get(gc->cli, path, &object, err);

	if (rc < 0)
		return rc;
	message = json_string_at(object, "status.collectRequest.message");
	if (message)
		return error_set(err, ERR_CONFLICT, "node %s: %s", node->name, message);
	json_array_foreach (uids, i, uid)
		fprintf(gc->cli->out, "%s removed from node %s\n", json_string_value(uid),
			node->name);
	fflush(gc->cli->out);
	return 0;
}

static int collect_on(Gc *gc, const json_t *item, Error *err)
{
	_cleanup_(json_decrefp) json_t *uids = wanted_of(gc, item);
	Target node = { gc->nodes, NULL, (char *)json_string_at(item, "metadata.name") };
	char id[UUID_MAX];
	int rc;

	if (!node.name || !json_array_size(uids))
		return 0;
	rc = send_request(gc, &node, uuid_new(id), uids, err);
	if (rc == 0)
		rc = await_answer(gc, &node, id, err);
	return rc < 0 ? rc : tell_answer(gc, &node, uids, err);
}

static int enforce(Gc *gc, char *const *uids, Error *err)
{
	const json_t *node;
	const char *uid;
	json_t *seen;
	size_t i;
	int rc;

	strv_foreach (u, uids)
		json_object_set_new(gc->wanted, *u, json_false());
	json_array_foreach (json_object_get(gc->list, "items"), i, node) {
		rc = collect_on(gc, node, err);
		if (rc < 0)
			exit_code_merge(&gc->code, (int)cli_report(gc->cli, rc, err));
	}
	json_object_foreach (gc->wanted, uid, seen)
		if (json_is_false(seen)) {
			error_set(err, ERR_NOT_FOUND, "nothing unmanaged has the uid \"%s\"", uid);
			exit_code_merge(&gc->code, (int)cli_report(gc->cli, -ERR_NOT_FOUND, err));
		}
	return gc->code;
}

static int run_gc(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	Gc gc = { .cli = cli, .o = values };
	bool named = parsed->args[0];
	int rc;

	if (gc.o->enforce && named == gc.o->all)
		return (int)cli_usage(cli,
				      "gc --enforce: name uids as `sfctl gc` lists them, or --all");
	if (!gc.o->enforce && (named || gc.o->all))
		return (int)cli_usage(cli, "gc: only --enforce removes what is named");
	rc = cli_resource_by_kind(cli, "shakenfist.io/v1alpha1", "Node", &gc.nodes, err);
	if (rc < 0 || (rc = read_nodes(&gc, err)) < 0)
		return rc;
	gc.wanted = json_object();
	if (gc.o->enforce)
		rc = enforce(&gc, parsed->args, err);
	else
		show(&gc);
	json_decref(gc.wanted);
	json_decref(gc.list);
	return rc;
}

const Verb verb_gc = {
	.name = "gc",
	.synopsis = "[--enforce UID...]",
	.summary = "list guests and disks that have no object, or remove them",
	.details =
		"They carry the mark of this cloud, but their Instance is not in the store: it "
		"was\n"
		"restored from an older copy, perhaps. They are left alone until you name them.\n\n"
		"  sfctl gc\n"
		"  sfctl gc --enforce 6a1f0c3e-5d1b-4f0e-9a57-0d2c3b9f8e11\n",
	.options = options,
	.options_size = sizeof(GcOptions),
	.completes = "",
	.run = run_gc,
};
