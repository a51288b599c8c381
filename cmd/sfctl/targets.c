/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets: the objects that a command line names, by kind and name or by labels.
 */
#include "progress.h"
#include "sfctl.h"
#include "json/json.h"

void targets_add(Targets *t, const Resource *r, const char *namespace, const char *name)
{
	GROW_ARRAY(t->items, t->n, t->cap);
	t->items[t->n++] = (Target){ .resource = r,
				     .namespace = r->namespaced ? xstrdup(namespace) : NULL,
				     .name = xstrdup(name) };
}

void targets_done(Targets *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->items[i].namespace);
		free(t->items[i].name);
	}
	free(t->items);
	*t = (Targets){ 0 };
}

static int parse_slash(Cli *cli, const char *arg, Targets *ret, Error *err)
{
	const char *slash = strchr(arg, '/');
	_cleanup_(xfreep) char *word = xstrndup(arg, (size_t)(slash - arg));
	const Resource *r;
	int rc;

	rc = cli_resource_by_word(cli, word, &r, err);
	if (rc == 0)
		rc = name_check(slash + 1, err);
	if (rc == 0)
		targets_add(ret, r, cli->namespace, slash + 1);
	return rc;
}

static int parse_kinds(Cli *cli, char *const *args, Targets *ret, Error *err)
{
	_cleanup_(strv_freep) char **words = strv_split(args[0], ',');
	const Resource *r;
	int rc;

	strv_foreach (w, words) {
		if (streq(*w, "all") && !args[1]) {
			rc = cli_discover(cli, err);
			for (size_t i = 0; rc == 0 && i < cli->n_resources; i++)
				if (!cli->resources[i]->alternate &&
				    strv_contains(cli->resources[i]->categories, "all"))
					targets_add(ret, cli->resources[i], cli->namespace, NULL);
			if (rc < 0)
				return rc;
			continue;
		}
		rc = cli_resource_by_word(cli, *w, &r, err);
		if (rc < 0)
			return rc;
		if (!args[1])
			targets_add(ret, r, cli->namespace, NULL);
		strv_foreach (name, args + 1) {
			rc = name_check(*name, err);
			if (rc < 0)
				return rc;
			targets_add(ret, r, cli->namespace, *name);
		}
	}
	return 0;
}

int targets_parse(Cli *cli, char *const *args, Targets *ret, Error *err)
{
	bool slashes = args[0] && strchr(args[0], '/');
	int rc = 0;

	if (!args[0])
		return error_set(err, ERR_INVALID, "say which: KIND NAME, or KIND/NAME");
	if (!slashes)
		rc = parse_kinds(cli, args, ret, err);
	for (char *const *a = args; slashes && *a && rc == 0; a++) {
		if (!strchr(*a, '/'))
			rc = error_set(err, ERR_INVALID, "'%s': write KIND/NAME here too", *a);
		else
			rc = parse_slash(cli, *a, ret, err);
	}
	if (rc < 0)
		targets_done(ret);
	return rc;
}

int targets_list(Cli *cli, const Resource *r, bool all_namespaces, const char *selector,
		 Targets *ret, Error *err)
{
	_cleanup_(xfreep) char *base =
		resource_path(r, all_namespaces ? NULL : cli->namespace, NULL, NULL);
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;
	json_t *list = NULL, *item;
	size_t i;
	int rc;

	strbuf_adds(&path, base);
	if (selector)
		path_add_query(&path, "labelSelector", selector);
	rc = cli_list(cli, strbuf_str(&path), NULL, &list, err);
	json_array_foreach (json_object_get(list, "items"), i, item)
		if (json_string_at(item, "metadata.name")) /* a target without a name is all */
			targets_add(ret, r, json_string_at(item, "metadata.namespace"),
				    json_string_at(item, "metadata.name"));
	json_decref(list);
	return rc;
}

static bool is_among(const Targets *t, const Target *one)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->items[i].resource == one->resource &&
		    streq_ptr(t->items[i].namespace, one->namespace) &&
		    streq_ptr(t->items[i].name, one->name))
			return true;
	return false;
}

/* What is written twice is meant once. */
static void drop_duplicates(Targets *t)
{
	Targets once = { 0 };

	for (size_t i = 0; i < t->n; i++)
		if (!is_among(&once, &t->items[i]))
			targets_add(&once, t->items[i].resource, t->items[i].namespace,
				    t->items[i].name);
	targets_done(t);
	*t = once;
}

int targets_select(Cli *cli, char *const *args, bool all, bool all_namespaces, const char *selector,
		   Targets *ret, Error *err)
{
	Targets kinds = { 0 };
	int rc;

	rc = targets_parse(cli, args, &kinds, err);
	if (rc == 0)
		drop_duplicates(&kinds);
	for (size_t i = 0; i < kinds.n && rc == 0; i++) {
		const Target *t = &kinds.items[i];

		if (t->name && (all || selector || all_namespaces))
			rc = error_set(err, ERR_INVALID,
				       "a name together with -l, -A or --all says two things");
		else if (t->name)
			targets_add(ret, t->resource, t->namespace, t->name);
		else if (all || selector)
			rc = targets_list(cli, t->resource, all_namespaces, selector, ret, err);
		else
			rc = error_set(err, ERR_INVALID,
				       "which %s? Give names, -l SELECTOR or --all",
				       t->resource->plural);
	}
	targets_done(&kinds);
	if (rc < 0)
		targets_done(ret);
	return rc;
}

int cli_instance(Cli *cli, const char *arg, const Resource **ret, char **ret_name, Error *err)
{
	const char *slash = arg ? strchr(arg, '/') : NULL, *name = slash ? slash + 1 : arg;
	_cleanup_(xfreep) char *word = slash ? xstrndup(arg, (size_t)(slash - arg)) : NULL;
	int rc;

	if (!arg)
		return error_set(err, ERR_INVALID, "which instance?");
	rc = cli_resource_by_word(cli, slash ? word : "instances", ret, err);
	if (rc < 0)
		return rc;
	if (!streq((*ret)->plural, "instances"))
		return error_set(err, ERR_INVALID, "'%s' is no instance", arg);
	rc = name_check(name, err);
	if (rc == 0)
		*ret_name = xstrdup(name);
	return rc;
}

int instance_check_running(const json_t *object, const char *name, Error *err)
{
	_cleanup_(xfreep) char *state = NULL;
	const char *word = json_string_at(object, "status.printableStatus");

	/* Unknown and Stopping guests may well answer: who tries finds out. */
	if (word && (streq(word, "Running") || streq(word, "Stopping") || streq(word, "Unknown")))
		return 0;
	state = object_state(object);
	return error_set(err, ERR_CONFLICT, "instance %s is not running: %s", name, state);
}
