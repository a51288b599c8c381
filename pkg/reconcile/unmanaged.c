/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unmanaged: guests and disks that carry our mark but have no object, told in the Node's status.
 *
 * They are somebody's data and their object may have been lost with a store, so they stay until a
 * person names them, by uid, in a request kept in the Node's annotation. Each request is carried
 * out once; what it names is removed only if it is still unmanaged then, and never while the store
 * is one that was put back. What a driver could not tell is unknown: the old entries stay, and the
 * request waits. The drivers are asked before the store: what they found was made for an object
 * that the store then either has or has no more. Runs on the node's worker.
 */
#include "base/failpoint.h"
#include "base/memory.h"
#include "controller/reasons.h"
#include "reconcile/orphan.h"

#define REQUEST_ID_MAX 64
#define RETRY          (10 * USEC_PER_SEC)

typedef struct Search {
	Reconcilers *r;
	Context *ctx;
	const Object *node;
	json_t *before;  /* status.unmanaged as it was; borrowed */
	json_t *found;   /* as it will be */
	json_t *wanted;  /* uids to collect; NULL = no request; borrowed from request */
	json_t *request; /* owned */
	Hashmap *disks;  /* that are there after the store was asked; NULL = unknown */
	bool looked;     /* for them */
	unsigned collected;
	bool unknown;
	Error failure; /* the first thing that could not be removed */
} Search;

static bool was_told(const Search *s, const char *type, const char *uid)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (s->before, i, entry)
		if (streq_ptr(json_string_at(entry, "type"), type) &&
		    streq_ptr(json_string_at(entry, "uid"), uid))
			return true;
	return false;
}

static void tell(Search *s, const char *domain, const char *uid)
{
	Recorder *recorder = s->r->env.recorder;

	if (domain)
		recorder_event(recorder, s->node, EVENT_WARNING, REASON_INSTANCE_UNMANAGED,
			       "domain %s (instance %s) has our mark but no object; it is left "
			       "alone",
			       domain, uid);
	else
		recorder_event(recorder, s->node, EVENT_WARNING, REASON_INSTANCE_UNMANAGED,
			       "disks of instance %s have no object; they are left alone", uid);
}

static bool guest_went(const Search *s, const char *name, const char *uid)
{
	_cleanup_(xfreep) DomainInfo *d = xnew0(DomainInfo, 1);
	Hypervisor *h = s->r->env.hypervisor;

	return h->ops->inspect(h, s->ctx, name, d, NULL) >= 0 &&
	       (d->state == DOMAIN_ABSENT || !streq(d->uid, uid));
}

/* One look for all of them. */
static void look_again(Search *s)
{
	_cleanup_(xfreep) char(*uids)[UUID_MAX] = NULL;
	DiskStore *d = s->r->env.disks;
	size_t n = 0;

	s->looked = true;
	if (d->ops->list(d, s->ctx, &uids, &n, NULL) < 0)
		return;
	s->disks = hashmap_new(NULL);
	for (size_t i = 0; i < n; i++)
		hashmap_put(s->disks, uids[i], NULL);
}

static bool disks_went(Search *s, const char *uid)
{
	if (!s->looked)
		look_again(s);
	return s->disks && !hashmap_contains(s->disks, uid);
}

/* It was listed, then its instance went, in order and with all it had, and the store was asked. */
static bool went_meanwhile(Search *s, const char *type, const char *name, const char *uid)
{
	return !was_told(s, type, uid) && (name ? guest_went(s, name, uid) : disks_went(s, uid));
}

/* One thing without an object: away with it if that was asked for, else told. */
static void found(Search *s, const char *type, const char *name, const char *uid,
		  int (*collect)(Search *s, const char *name, const char *uid, Error *err))
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	json_t *entry;

	if (went_meanwhile(s, type, name, uid))
		return;
	if (json_list_has(s->wanted, uid)) {
		if (collect(s, name, uid, &err) == 0) {
			s->collected++;
			recorder_event(s->r->env.recorder, s->node, EVENT_NORMAL,
				       REASON_INSTANCE_COLLECTED,
				       "%s of instance %s removed, as asked",
				       name ? "the guest" : "the disks", uid);
			return;
		}
		if (!s->failure.code)
			error_move(&s->failure, &err);
	}
	if (!was_told(s, type, uid))
		tell(s, name, uid);
	entry = json_pack("{s:s, s:s}", "type", type, "uid", uid);
	if (name)
		json_object_set_new(entry, "name", json_string(name));
	json_array_append_new(s->found, entry);
}

/* Nobody knows: what was known before still is. */
static void keep(Search *s, const char *type)
{
	json_t *entry;
	size_t i;

	s->unknown = true;
	json_array_foreach (s->before, i, entry)
		if (streq_ptr(json_string_at(entry, "type"), type))
			json_array_append(s->found, entry);
}

static int collect_guest(Search *s, const char *name, const char *uid _unused_, Error *err)
{
	Hypervisor *h = s->r->env.hypervisor;

	return FAIL_POINT_AROUND("unmanaged.remove-guest", h->ops->remove(h, s->ctx, name, err));
}

static int collect_disks(Search *s, const char *name _unused_, const char *uid, Error *err)
{
	DiskStore *d = s->r->env.disks;

	return FAIL_POINT_AROUND("unmanaged.remove-disks", d->ops->remove(d, s->ctx, uid, err));
}

static void look_for_guests(Search *s)
{
	_cleanup_(hashmap_freep) Hashmap *known = NULL;
	_cleanup_(xfreep) DomainEntry *domains = NULL;
	Hypervisor *h = s->r->env.hypervisor;
	size_t n = 0;

	if (FAIL_POINT_AROUND("unmanaged.list-guests",
			      h->ops->list(h, s->ctx, &domains, &n, NULL)) < 0 ||
	    !(known = stored_uids(s->r, GR_INSTANCE, NULL))) {
		keep(s, "Guest");
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (streq(domains[i].store_id, store_id(s->r->env.store)) &&
		    !hashmap_contains(known, domains[i].uid))
			found(s, "Guest", domains[i].name, domains[i].uid, collect_guest);
}

/* The disks of a guest that is still there are its own: they go after it. */
static bool guest_is_there(const Search *s, const char *uid)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (s->found, i, entry)
		if (streq_ptr(json_string_at(entry, "type"), "Guest") &&
		    streq_ptr(json_string_at(entry, "uid"), uid))
			return true;
	return false;
}

static int refuse_disks(Search *s _unused_, const char *name _unused_, const char *uid, Error *err)
{
	return error_set(err, ERR_CONFLICT, "the disks of %s belong to a guest that is still there",
			 uid);
}

static void look_for_disks(Search *s)
{
	_cleanup_(hashmap_freep) Hashmap *known = NULL;
	_cleanup_(xfreep) char(*uids)[UUID_MAX] = NULL;
	DiskStore *d = s->r->env.disks;
	bool guests_unknown = s->unknown;
	size_t n = 0;

	if (FAIL_POINT_AROUND("unmanaged.list-disks", d->ops->list(d, s->ctx, &uids, &n, NULL)) <
		    0 ||
	    !(known = stored_uids(s->r, GR_INSTANCE, NULL))) {
		keep(s, "Disks");
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (!hashmap_contains(known, uids[i]))
			found(s, "Disks", NULL, uids[i],
			      guests_unknown || guest_is_there(s, uids[i]) ? refuse_disks
									   : collect_disks);
}

/* The request of the annotation, unless the status says that it was carried out. */
static const char *read_request(Search *s, const json_t *tree, const json_t *status)
{
	const json_t *annotations = json_at(tree, "metadata.annotations");
	const char *text = json_string_value(json_object_get(annotations, ANNOTATION_COLLECT)), *id;

	if (!text || json_decode(text, strlen(text), &s->request, NULL) < 0)
		return NULL;
	id = json_string_at(s->request, "id");
	if (!id || !*id || strlen(id) >= REQUEST_ID_MAX ||
	    streq_ptr(json_string_at(status, "collectRequest.id"), id))
		return NULL;
	return id;
}

static void report_request(const Search *s, json_t *status, const char *id, bool refused)
{
	json_t *report = json_pack("{s:s, s:s, s:i}", "id", id, "state",
				   refused || s->failure.code ? "Failed" : "Done", "collected",
				   (int)s->collected);

	if (refused)
		json_object_set_new(report, "message",
				    json_string("the store is older than what was once "
						"acknowledged: nothing is collected before it is "
						"accepted"));
	else if (s->failure.code)
		json_object_set_new(report, "message", json_string(error_message(&s->failure)));
	json_object_set_new(status, "collectRequest", report);
}

static void report_found(const Search *s, json_t *status)
{
	size_t n = json_array_size(s->found);
	char text[160];

	if (!n) {
		json_object_del(status, "unmanaged");
		condition_remove(status, "Unmanaged");
		return;
	}
	json_object_set(status, "unmanaged", s->found);
	snprintf(text, sizeof(text),
		 "%zu guest%s or set%s of disks with our mark ha%s no object: sfctl gc lists %s", n,
		 n == 1 ? "" : "s", n == 1 ? "" : "s", n == 1 ? "s" : "ve", n == 1 ? "it" : "them");
	status_condition(s->r, s->node, status, "Unmanaged", CONDITION_TRUE, "NoObject", text);
}

usec_t unmanaged_observe(Reconcilers *r, Context *ctx, const Object *node, const json_t *tree,
			 json_t *status)
{
	Search s = { .r = r,
		     .ctx = ctx,
		     .node = node,
		     .before = json_object_get(json_object_get(tree, "status"), "unmanaged"),
		     .found = json_array() };
	const char *id = read_request(&s, tree, status);
	bool refused = id && store_is_restored(r->env.store);

	if (id && !refused)
		s.wanted = json_object_get(s.request, "uids");
	look_for_guests(&s);
	look_for_disks(&s);
	report_found(&s, status);
	/* What could not be looked at may be what was named: the request waits. */
	if (id && (refused || !s.unknown))
		report_request(&s, status, id, refused);
	json_decref(s.found);
	json_decref(s.request);
	hashmap_free(s.disks);
	error_done(&s.failure);
	return id && s.unknown && !refused ? RETRY : 0;
}
