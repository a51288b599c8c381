/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prune: see prune.h.
 */
#include "prune.h"

#include "json/json.h"

#define ANNOTATION_PRUNE "shakenfist.io/prune"

/* ---- what speaks for a member ---- */

static bool is_kind(const Resource *r, const char *group, const char *kind)
{
	return streq(r->group, group) && streq(r->kind, kind);
}

static bool holds_data(const Resource *r)
{
	return is_kind(r, "shakenfist.io", "Instance") || is_kind(r, "", "Namespace") ||
	       is_kind(r, "apiextensions.k8s.io", "CustomResourceDefinition");
}

static const char *prune_wish(const Member *m)
{
	const json_t *metadata = json_object_get(m->object, "metadata");

	return json_string_value(
		json_object_get(json_object_get(metadata, "annotations"), ANNOTATION_PRUNE));
}

static void decide(Member *m, const PruneOptions *o)
{
	const char *wish = prune_wish(m);

	if (m->fate == FATE_APPLIED)
		return;
	if (streq_ptr(wish, "disabled"))
		m->fate = FATE_PROTECTED;
	else if (holds_data(m->resource) && !o->data && !streq_ptr(wish, "allow"))
		m->fate = FATE_DATA;
	else
		m->fate = FATE_PRUNED;
}

/* ---- networks in use ---- */

/* True if that instance is itself about to go. */
static bool goes_too(const ApplySet *s, const json_t *instance)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->members[i].fate == FATE_PRUNED &&
		    is_kind(s->members[i].resource, "shakenfist.io", "Instance") &&
		    streq_ptr(s->members[i].name, json_string_at(instance, "metadata.name")) &&
		    streq_ptr(s->members[i].namespace,
			      json_string_at(instance, "metadata.namespace")))
			return true;
	return false;
}

static bool is_on(const json_t *instance, const Member *network)
{
	const char *own = json_string_at(instance, "metadata.namespace");
	_cleanup_(xfreep) char *full = xasprintf("%s/%s", network->namespace, network->name);
	const json_t *nic;
	size_t i;

	json_array_foreach (json_at(instance, "spec.interfaces"), i, nic) {
		const char *ref = json_string_at(nic, "network");

		if (ref && (streq(ref, full) ||
			    (streq(ref, network->name) && streq_ptr(own, network->namespace))))
			return true;
	}
	return false;
}

/* Deleting it would only leave it Terminating for as long as its instances live. */
static int spare_networks(ApplySet *s, Error *err)
{
	const Resource *r = NULL;
	json_t *list = NULL, *instance;
	size_t n = 0, j;
	int rc;

	for (size_t i = 0; i < s->n; i++)
		n += s->members[i].fate == FATE_PRUNED &&
		     is_kind(s->members[i].resource, "shakenfist.io", "Network");
	if (n == 0)
		return 0;
	rc = cli_resource_by_word(s->cli, "instances", &r, err);
	if (rc == 0) {
		_cleanup_(xfreep) char *path = resource_path(r, NULL, NULL, NULL);

		rc = cli_list(s->cli, path, NULL, &list, err);
	}
	for (size_t i = 0; rc == 0 && i < s->n; i++) {
		Member *m = &s->members[i];

		if (m->fate != FATE_PRUNED || !is_kind(m->resource, "shakenfist.io", "Network"))
			continue;
		json_array_foreach (json_object_get(list, "items"), j, instance) {
			if (!is_on(instance, m) || goes_too(s, instance))
				continue;
			m->fate = FATE_IN_USE;
			free(m->user);
			m->user =
				resource_object_name(r, json_string_at(instance, "metadata.name"));
			break;
		}
	}
	json_decref(list);
	return rc;
}

/* ---- the plan ---- */

int prune_allowed(const ApplySet *s, const PruneOptions *o)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->members[i].fate == FATE_PRUNED;
	if (n <= PRUNE_ALWAYS_ALLOWED || n * 100 <= s->n * (uint64_t)o->max_percent)
		return EXIT_OK;
	error_set(&err, ERR_EXHAUSTED,
		  "%zu of %zu members would be pruned, more than --prune-max-percent=%lld allows: "
		  "are these the manifests of this ApplySet?",
		  n, s->n, (long long)o->max_percent);
	return (int)cli_report(s->cli, -ERR_EXHAUSTED, &err);
}

static int compare_members(const void *a, const void *b)
{
	const Member *x = a, *y = b;
	int d = document_kind_order(y->resource->kind) - document_kind_order(x->resource->kind);

	if (d)
		return d;
	d = strcmp(x->resource->plural, y->resource->plural);
	if (!d)
		d = strcmp(x->namespace ? x->namespace : "", y->namespace ? y->namespace : "");
	return d ? d : strcmp(x->name, y->name);
}

static void sort_members(ApplySet *s)
{
	if (s->n)
		qsort(s->members, s->n, sizeof(*s->members), compare_members);
}

static int plan(ApplySet *s, const PruneOptions *o, Error *err)
{
	int rc;

	for (size_t i = 0; i < s->n; i++)
		decide(&s->members[i], o);
	rc = spare_networks(s, err);
	if (rc == 0)
		sort_members(s);
	return rc;
}

int prune_options_check(Cli *cli, const PruneOptions *o)
{
	if (o->prune && !o->applyset)
		return (int)cli_usage(cli, "--prune needs --applyset NAME: what belongs together");
	if (!o->prune && (o->applyset || o->data))
		return (int)cli_usage(cli, "--applyset and --prune-data are for --prune");
	if (o->max_percent < 0 || o->max_percent > 100)
		return (int)cli_usage(cli, "--prune-max-percent: a number from 0 to 100");
	return EXIT_OK;
}

int prune_begin(Cli *cli, const PruneOptions *o, Manifests *m, bool take_over, ApplySet *ret)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	int rc = applyset_open(cli, o->applyset, ret, &err);

	if (rc == 0) {
		int code = applyset_join(ret, m, take_over);

		if (code != EXIT_OK)
			return code;
		rc = applyset_list(ret, m, &err);
	}
	if (rc == 0)
		rc = plan(ret, o, &err);
	return rc == 0 ? EXIT_OK : (int)cli_report(cli, rc, &err);
}

char *prune_kept_because(const Member *m)
{
	switch (m->fate) {
	case FATE_PROTECTED:
		return xstrdup("kept (annotation " ANNOTATION_PRUNE "=disabled)");
	case FATE_DATA:
		return xstrdup("kept (data: needs --prune-data)");
	case FATE_IN_USE:
		return xasprintf("kept (in use by %s)", m->user);
	default:
		return NULL;
	}
}

bool prune_was_held_back(const ApplySet *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->members[i].fate == FATE_DATA || s->members[i].fate == FATE_IN_USE)
			return true;
	return false;
}

/* ---- doing it ---- */

static void say(FILE *to, const Member *m, const char *what, bool dry_run)
{
	_cleanup_(xfreep) char *name = resource_object_name(m->resource, m->name);

	fprintf(to, "%s %s%s\n", name, what, dry_run ? " (server dry run)" : "");
	fflush(to);
}

/* Only the very object that was looked at: one made anew meanwhile is nobody's to prune. */
static int delete_member(const ApplySet *s, const Member *m, Error *err)
{
	_cleanup_(xfreep) char *path = resource_path(m->resource, m->namespace, m->name, NULL);
	json_t *body = json_pack("{s:s, s:s, s:s, s:{s:s}}", "kind", "DeleteOptions", "apiVersion",
				 "v1", "propagationPolicy", "Background", "preconditions", "uid",
				 json_string_at(m->object, "metadata.uid"));
	int rc =
		cli_call(s->cli, &(ClientRequest){ .method = "DELETE", .path = path, .body = body },
			 NULL, err);

	json_decref(body);
	return rc == -ERR_NOT_FOUND ? error_ignore(err) : rc;
}

static int wait_gone(const ApplySet *s, usec_t deadline)
{
	int code = EXIT_OK;
	Progress progress;

	progress_init(&progress, s->cli);
	for (size_t i = 0; i < s->n && code == EXIT_OK; i++) {
		const Member *m = &s->members[i];
		Target t = { .resource = m->resource, .namespace = m->namespace, .name = m->name };
		WaitFor gone = wait_for_gone(json_string_at(m->object, "metadata.uid"));
		_cleanup_(error_done) Error err = ERROR_INIT;
		int rc;

		if (m->fate != FATE_PRUNED)
			continue;
		rc = wait_object(s->cli, &t, &gone, deadline, &progress, &err);
		if (rc < 0 && rc != -ERR_NOT_FOUND)
			code = (int)cli_report(s->cli, rc, &err);
	}
	progress_done(&progress);
	return code;
}

int prune_run(ApplySet *s, FILE *to, bool dry_run, bool wait, usec_t deadline)
{
	int code = EXIT_OK;

	for (size_t i = 0; i < s->n; i++) {
		const Member *m = &s->members[i];
		_cleanup_(xfreep) char *kept = prune_kept_because(m);
		_cleanup_(error_done) Error err = ERROR_INIT;
		int rc;

		if (kept)
			say(to, m, kept, dry_run);
		if (m->fate != FATE_PRUNED)
			continue;
		rc = dry_run ? 0 : delete_member(s, m, &err);
		if (rc < 0)
			exit_code_merge(&code, (int)cli_report(s->cli, rc, &err));
		else
			say(to, m, "pruned", dry_run);
		if (rc == -ERR_UNAVAILABLE)
			return code;
	}
	return code == EXIT_OK && wait && !dry_run ? wait_gone(s, deadline) : code;
}
