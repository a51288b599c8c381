/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instance reconciler: what is wanted and what is there. Reads the store and inspects the domain;
 * fills the working copy of the status. An end that it finds is the one thing it commits and tells,
 * and what a guest that is off was asked is forgotten. See instance.h.
 */
#include "base/failpoint.h"
#include "base/memory.h"
#include "base/sha.h"
#include "controller/reasons.h"
#include "reconcile/instance.h"

#define GRACE_UNKNOWN 60 /* seconds, where the spec cannot be read */

void instance_domain_name(const Key *instance, char buf[static DOMAIN_NAME_MAX])
{
	snprintf(buf, DOMAIN_NAME_MAX, "%s.%.63s", instance->namespace, instance->name);
}

int instance_work_init(InstanceWork *w, Reconcilers *r, Context *ctx, const Key *key, Error *err)
{
	int rc;

	*w = (InstanceWork){ .r = r, .ctx = ctx, .key = *key };
	rc = store_get(r->env.store, key, &w->obj, err);
	if (rc == -ERR_NOT_FOUND) {
		error_ignore(err);
		return INSTANCE_GONE;
	}
	if (rc < 0)
		return rc;
	w->uid = object_head(w->obj)->uid;
	w->tree = object_decode_lean(w->obj);
	w->status = status_begin(w->tree);
	instance_domain_name(key, w->domain_name);
	snprintf(w->owner, sizeof(w->owner), "%s/%s", key->namespace, key->name);
	rc = instance_spec_decode(w->tree, &w->spec, err);
	if (rc == -ERR_INVALID && object_is_deleting(w->obj)) {
		/* Stored by another version, and of no meaning to this one: it can still go, with
		 * all it holds. */
		error_ignore(err);
		w->spec = xnew0(InstanceSpec, 1);
		w->spec->termination_grace_period_seconds = GRACE_UNKNOWN;
		rc = 0;
	}
	return rc < 0 ? error_wrap_rc(err, rc, "decode spec") : rc;
}

int instance_reload(InstanceWork *w, Error *err)
{
	_cleanup_(object_unrefp) Object *fresh = NULL;
	int rc = store_get(w->r->env.store, &w->key, &fresh, err);

	if (rc < 0)
		return rc;
	/* Who goes on with the old spec must not say that it is the new one. */
	if (object_head(fresh)->generation != object_head(w->obj)->generation ||
	    !streq(object_head(fresh)->uid, w->uid))
		return error_set(err, ERR_CONFLICT, "instance %s changed meanwhile", w->owner);
	object_unref(w->obj);
	w->obj = TAKE_PTR(fresh);
	w->uid = object_head(w->obj)->uid;
	json_decref(w->tree);
	w->tree = object_decode_lean(w->obj);
	return 0;
}

/* What was found of its network. */
static void nic_forget(InstanceNic *n)
{
	n->object = object_unref(n->object);
	network_spec_free(n->spec);
	n->spec = NULL;
	n->vni = 0;
	n->allocated = false;
	error_done(&n->trouble);
}

static void nic_done(InstanceNic *n)
{
	strv_free(n->addresses);
	nic_forget(n);
}

void instance_work_done(InstanceWork *w)
{
	for (size_t i = 0; i < w->n_nics; i++)
		nic_done(&w->nics[i]);
	instance_spec_free(w->spec);
	json_decref(w->status);
	json_decref(w->tree);
	object_unref(w->obj);
}

int instance_resolve_nic(InstanceWork *w, InstanceNic *n, Error *err)
{
	_cleanup_(json_decrefp) json_t *tree = NULL;
	Reconcilers *r = w->r;
	int rc;

	nic_forget(n);
	rc = reference_get(r, GR_NETWORK, w->key.namespace, n->network, &n->object, &n->trouble);
	if (rc == -ERR_NOT_FOUND)
		return 0;
	if (rc < 0)
		return error_move(err, &n->trouble);
	tree = object_decode_lean(n->object);
	rc = network_spec_decode(tree, &n->spec, &n->trouble);
	if (rc == 0)
		rc = network_addressing(n->spec, &n->addressing, &n->trouble);
	if (rc < 0) {
		/* Its own status says so too; for us it is not there until somebody mends it. */
		error_wrap(&n->trouble, "network %s", n->network);
		n->object = object_unref(n->object);
		return 0;
	}
	rc = vni_get(r->env.store, object_head(n->object)->uid,
		     (uint32_t)json_integer_at(tree, "status.vni", 0), &n->vni, err);
	if (rc == -ERR_NOT_FOUND) /* its own controller has not come to it */
		return error_ignore(err);
	if (rc < 0)
		return rc;
	rc = nic_get(r->env.store, object_head(n->object)->uid, w->uid, n->name, &n->port, err);
	n->allocated = rc == 0;
	return rc == -ERR_NOT_FOUND ? error_ignore(err) : rc;
}

static int resolve_nics(InstanceWork *w, Error *err)
{
	int rc;

	if (w->n_nics)
		for (size_t i = 0; i < w->n_nics; i++)
			nic_done(&w->nics[i]);
	w->n_nics = 0;
	for (size_t i = 0; i < w->spec->n_interfaces && i < DOMAIN_NICS_MAX; i++) {
		InstanceNic *n = &w->nics[w->n_nics++];

		*n = (InstanceNic){ .name = w->spec->interfaces[i].name,
				    .network = w->spec->interfaces[i].network,
				    .model = w->spec->interfaces[i].model
						     ? w->spec->interfaces[i].model
						     : "virtio",
				    .mac = w->spec->interfaces[i].mac_address };
		for (size_t a = 0; a < w->spec->interfaces[i].n_addresses; a++)
			n->addresses =
				strv_append(n->addresses, w->spec->interfaces[i].addresses[a]);
		rc = instance_resolve_nic(w, n, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The newest power request, from its annotation. */
static void read_request(InstanceWork *w)
{
	json_t *annotations = json_at(w->tree, "metadata.annotations");
	const char *text = json_string_value(json_object_get(annotations, ANNOTATION_POWER));
	_cleanup_(json_decrefp) json_t *request = NULL;
	const char *id, *told = json_string_at(w->status, "powerRequest.id");
	bool over = !streq_ptr(json_string_at(w->status, "powerRequest.state"), "Pending");

	w->view.request = POWER_REQUEST_NONE;
	w->view.request_pending = false;
	if (!text || json_decode(text, strlen(text), &request, NULL) < 0)
		return;
	id = json_string_at(request, "id");
	if (!id || strlen(id) >= sizeof(w->request_id))
		return;
	snprintf(w->request_id, sizeof(w->request_id), "%s", id);
	w->view.request = power_action_from_string(json_string_at(request, "action"));
	w->view.force = json_bool_at(request, "force", false);
	/* Told of as Pending it still is: a guest may take long to obey. */
	w->view.request_pending = w->view.request != POWER_REQUEST_NONE &&
				  !(over && streq_ptr(told, id)) &&
				  !streq(w->domain.request_id, id);
}

static usec_t status_time(const json_t *status, const char *path)
{
	const char *text = json_string_at(status, path);
	usec_t t;

	return text && timestamp_parse(text, &t) == 0 ? t : 0;
}

static void set_time(json_t *status, const char *path, usec_t wall)
{
	char text[TIMESTAMP_MAX];

	json_set_at(status, path, json_string(timestamp_format(wall, text)));
}

static bool ended_by_crash(const DomainInfo *d)
{
	return d->reason == DOMAIN_REASON_CRASHED || d->reason == DOMAIN_REASON_FAILED;
}

static void tell_end(InstanceWork *w, bool ours, const char *reason)
{
	const char *event = ended_by_crash(&w->domain)                   ? REASON_INSTANCE_CRASHED
			    : ours                                       ? REASON_INSTANCE_STOPPED
			    : w->domain.reason == DOMAIN_REASON_SHUTDOWN ? REASON_INSTANCE_SHUTDOWN
			    : w->domain.reason == DOMAIN_REASON_NONE     ? REASON_INSTANCE_UNSEEN
								     : REASON_INSTANCE_FORCED_OFF;

	recorder_event(w->r->env.recorder, w->obj,
		       ended_by_crash(&w->domain) ? EVENT_WARNING : EVENT_NORMAL, event,
		       "the guest has ended: %s", reason);
}

/* Fills in why, and when it may start again; returns how long that is. */
static usec_t describe_end(InstanceWork *w, bool ours, bool unseen, const char *reason)
{
	usec_t now = w->view.now, started = status_time(w->status, "startTime"), wait;
	unsigned failures = (unsigned)json_integer_at(w->status, "failures", 0);

	json_set_at(w->status, "lastTermination.reason", json_string(reason));
	set_time(w->status, "lastTermination.time", now);
	json_object_del(w->status, "startTime");
	if (!unseen)
		failures = ours ? 0 : now >= started + INSTANCE_STABLE ? 1 : failures + 1;
	json_object_set_new(w->status, "failures", json_integer(failures));
	wait = unseen ? 0 : instance_backoff(failures);
	if (wait)
		set_time(w->status, "nextRestartTime", now + wait);
	else
		json_object_del(w->status, "nextRestartTime");
	return wait;
}

/*
 * Before anything follows from it: what we know of this end, that we caused it above all, nobody
 * can find out again. Only a lost race is a reason to begin anew; guests are started, too, while
 * the store cannot be written.
 */
static int keep_end(InstanceWork *w, Error *err)
{
	int rc = status_write(w->r, w->ctx, w->obj, w->tree, json_deep_copy(w->status), NULL, err);

	if (rc == 0)
		rc = instance_reload(w, err);
	return rc == 0 || rc == -ERR_CONFLICT || rc == -ERR_CANCELED ? rc : error_ignore(err);
}

/*
 * The status says that it runs and it does not. An end that we caused is no failure; one of a guest
 * that had run for long starts the back-off over.
 */
static int note_end(InstanceWork *w, Error *err)
{
	const char *reason = w->domain.state == DOMAIN_ABSENT
				     ? "DomainVanished"
				     : domain_reason_to_string(w->domain.reason);
	StopState stop = { 0 };
	bool ours = instance_stop_get(w->r, w->uid, &stop) && stop.ours;
	/* libvirt forgets with the host's /run: the host went down, or libvirt was new. */
	bool unseen = !ours && w->domain.state == DOMAIN_SHUTOFF &&
		      w->domain.reason == DOMAIN_REASON_NONE;
	usec_t wait;
	int rc;

	if (unseen)
		reason = REASON_INSTANCE_UNSEEN;
	if (ours)
		reason = ended_by_crash(&w->domain) ? reason : "Stopped";
	wait = describe_end(w, ours, unseen, reason);
	rc = keep_end(w, err);
	if (rc < 0)
		return rc;
	if (wait)
		recorder_event(w->r->env.recorder, w->obj, EVENT_WARNING, REASON_INSTANCE_BACKOFF,
			       "ended %u times in a row; the next start waits %llu s",
			       (unsigned)json_integer_at(w->status, "failures", 0),
			       (unsigned long long)(wait / USEC_PER_SEC));
	tell_end(w, ours, reason);
	return 0;
}

/* It is off: what it was asked counts no more, but since when its removal is under way. */
static void forget_asking(InstanceWork *w)
{
	StopState stop;

	if (!w->view.deleting)
		instance_stop_set(w->r, w->uid, NULL);
	else if (instance_stop_get(w->r, w->uid, &stop))
		instance_stop_set(w->r, w->uid, &(StopState){ .late = stop.late });
}

static int fill_history(InstanceWork *w, Error *err)
{
	InstanceView *v = &w->view;
	const char *last;
	StopState stop;
	int rc = 0;

	if (domain_is_off(&w->domain)) {
		if (!w->domain.foreign && json_string_at(w->status, "startTime"))
			rc = note_end(w, err);
		if (rc < 0)
			return rc;
		forget_asking(w);
	} else if (!json_string_at(w->status, "startTime")) {
		/* started by somebody else, or before we could write it down */
		set_time(w->status, "startTime", v->now);
		if (json_string_at(w->status, "lastTermination.reason"))
			json_object_set_new(
				w->status, "restarts",
				json_integer(json_integer_at(w->status, "restarts", 0) + 1));
	}
	last = json_string_at(w->status, "lastTermination.reason");
	v->has_run = last || json_string_at(w->status, "startTime");
	v->ended_in_order = streq_ptr(last, "Stopped") ||
			    streq_ptr(last, domain_reason_to_string(DOMAIN_REASON_SHUTDOWN));
	v->next_start = status_time(w->status, "nextRestartTime");
	if (instance_stop_get(w->r, w->uid, &stop)) {
		v->stop_asked = stop.first;
		v->stop_asked_last = stop.last;
	}
	return 0;
}

static bool all_allocated(const InstanceWork *w)
{
	for (size_t i = 0; i < w->n_nics; i++)
		if (!w->nics[i].allocated)
			return false;
	return true;
}

/* Of a guest that its disk paused. What cannot be looked at has no room as far as is known. */
static void look_at_disks(InstanceWork *w)
{
	_cleanup_(xfreep) DiskInfo *info = xnew0(DiskInfo, 1);
	const json_t *ready = condition_find(w->status, "Ready");
	DiskStore *d = w->r->env.disks;

	if (streq_ptr(json_string_at(ready, "reason"),
		      domain_reason_to_string(DOMAIN_REASON_IO_ERROR)))
		w->view.io_error_told = status_time(ready, "lastTransitionTime");
	w->view.disk_room = UINT64_MAX;
	for (size_t i = 0; i < w->spec->n_disks; i++) {
		int rc = d->ops->inspect(d, w->ctx, w->uid, w->spec->disks[i].name, info, NULL);

		w->view.disk_room = rc < 0 ? 0 : MIN(w->view.disk_room, info->room);
	}
}

int instance_observe(InstanceWork *w, Error *err)
{
	bool prepared = w->view.prepared, live = false;
	Hypervisor *h = w->r->env.hypervisor;
	_cleanup_(json_decrefp) json_t *pending = NULL;
	InstanceView *v = &w->view;
	int rc = FAIL_POINT_AROUND("domain.inspect",
				   h->ops->inspect(h, w->ctx, w->domain_name, &w->domain, err));

	if (rc < 0)
		return error_wrap_rc(err, rc, "inspect domain %s", w->domain_name);
	/* Another store's or another object's domain is as foreign as one without any mark. */
	if (w->domain.state != DOMAIN_ABSENT &&
	    (!streq(w->domain.store_id, store_id(w->r->env.store)) ||
	     !streq(w->domain.uid, w->uid)))
		w->domain.foreign = true;
	rc = resolve_nics(w, err);
	if (rc < 0)
		return rc;
	*v = (InstanceView){ .strategy = w->spec->run_strategy,
			     .deleting = object_is_deleting(w->obj),
			     .grace = (usec_t)w->spec->termination_grace_period_seconds *
				      USEC_PER_SEC,
			     .domain = &w->domain,
			     .prepared = prepared,
			     .now = clock_wall(w->r->env.clock) };
	read_request(w);
	rc = fill_history(w, err);
	if (rc < 0)
		return rc;
	if (w->domain.state == DOMAIN_PAUSED && w->domain.reason == DOMAIN_REASON_IO_ERROR)
		look_at_disks(w);
	v->allocated = all_allocated(w);
	instance_config_hash(w, w->config_hash);
	v->config_changed = w->domain.state != DOMAIN_ABSENT && *w->config_hash &&
			    !streq(w->domain.config_hash, w->config_hash);
	pending = instance_pending_changes(w, &live);
	v->live_changed = live;
	/* Asked only when something would be started: the answer may come from another process. */
	v->host_stopping = domain_is_off(&w->domain) && !v->deleting && instance_wants_running(v) &&
			   w->r->env.host_is_stopping &&
			   w->r->env.host_is_stopping(w->r->env.host_arg);
	return 0;
}
