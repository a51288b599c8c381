/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Related: see related.h. A reference is "name" in the own namespace or "namespace/name".
 */
#include "related.h"

#include "progress.h"
#include "table.h"
#include "json/json.h"

typedef struct Related {
	Cli *cli;
	const char *namespace; /* of the object that is described */
	Table *table;
} Related;

static void add(Related *r, const char *kind, const char *name, const char *as,
		const json_t *object)
{
	_cleanup_(xfreep) char *state = object_state(object);

	table_cell(r->table, kind);
	table_cell(r->table, name);
	table_cell(r->table, as);
	table_cell(r->table, state);
	table_end_row(r->table);
}

static void split_reference(const Related *r, const char *reference, char **ret_namespace,
			    char **ret_name)
{
	const char *slash = strchr(reference, '/');

	*ret_namespace =
		slash ? xstrndup(reference, (size_t)(slash - reference)) : xstrdup(r->namespace);
	*ret_name = xstrdup(slash ? slash + 1 : reference);
}

/* What is referred to: there, missing, or (said so) not to be found out. */
static void add_used(Related *r, const char *word, const char *reference, const char *as)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *namespace = NULL, *name = NULL, *path = NULL;
	const Resource *resource;
	json_t *object = NULL;
	int rc;

	if (!reference || cli_resource_by_word(r->cli, word, &resource, &err) < 0)
		return;
	split_reference(r, reference, &namespace, &name);
	if (name_check(name, &err) < 0)
		return;
	path = resource_path(resource, namespace, name, NULL);
	rc = cli_get(r->cli, path, &object, &err);
	if (rc == 0 || rc == -ERR_NOT_FOUND)
		add(r, resource->kind, reference, as, rc == 0 ? object : NULL);
	json_decref(object);
}

static void instance_uses(Related *r, const json_t *object)
{
	const json_t *item;
	size_t i;

	json_array_foreach (json_at(object, "spec.disks"), i, item) {
		const char *name = json_string_at(item, "name");
		_cleanup_(xfreep) char *as = xasprintf("disk %s", name ? name : "?");

		add_used(r, "images", json_string_at(item, "image"), as);
	}
	json_array_foreach (json_at(object, "spec.interfaces"), i, item) {
		const char *name = json_string_at(item, "name");
		_cleanup_(xfreep) char *as = xasprintf("interface %s", name ? name : "?");

		add_used(r, "networks", json_string_at(item, "network"), as);
	}
	add_used(r, "secrets", json_string_at(object, "spec.cloudInit.userDataSecretRef.name"),
		 "user data");
	add_used(r, "nodes", json_string_at(object, "status.nodeName"), "runs there");
}

/* The instances that name this object in spec.LIST[].FIELD. */
static void used_by(Related *r, const json_t *object, const char *list_path, const char *field)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	const char *own_name = json_string_at(object, "metadata.name");
	_cleanup_(xfreep) char *path = NULL;
	const Resource *instances;
	json_t *list = NULL;
	const json_t *instance, *item;
	size_t i, j;

	if (!own_name || cli_resource_by_word(r->cli, "instances", &instances, &err) < 0)
		return;
	path = resource_path(instances, NULL, NULL, NULL);
	if (cli_list(r->cli, path, NULL, &list, &err) < 0)
		return;
	json_array_foreach (json_object_get(list, "items"), i, instance) {
		const char *home = json_string_at(instance, "metadata.namespace");
		const char *name = json_string_at(instance, "metadata.name");
		_cleanup_(xfreep) char *shown =
			xasprintf("%s%s%s",
				  streq_ptr(home, r->namespace) ? ""
				  : home                        ? home
								: "",
				  streq_ptr(home, r->namespace) ? "" : "/", name ? name : "?");

		json_array_foreach (json_at(instance, list_path), j, item) {
			const char *reference = json_string_at(item, field);
			_cleanup_(xfreep) char *full = xasprintf("%s/%s", r->namespace, own_name);
			bool here = streq_ptr(home, r->namespace) && streq_ptr(reference, own_name);

			if (here || streq_ptr(reference, full)) {
				const char *as = json_string_at(item, "name");

				add(r, "Instance", shown, as, instance);
			}
		}
	}
	json_decref(list);
}

void related_print(Cli *cli, const Resource *resource, const json_t *object)
{
	const char *namespace = json_string_at(object, "metadata.namespace");
	_cleanup_(table_freep) Table *t = table_new();
	Related r = { .cli = cli, .namespace = namespace ? namespace : "", .table = t };

	table_column(t, "Kind");
	table_column(t, "Name");
	table_column(t, "As");
	table_column(t, "State");
	if (streq(resource->kind, "Instance"))
		instance_uses(&r, object);
	else if (streq(resource->kind, "Image"))
		used_by(&r, object, "spec.disks", "image");
	else if (streq(resource->kind, "Network"))
		used_by(&r, object, "spec.interfaces", "network");
	if (!table_rows(t))
		return;
	fputs("\nRelated:\n", cli->out);
	table_print(t, cli->out, true, cli->color, "  ");
}
