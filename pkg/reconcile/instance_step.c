/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instance reconciler: doing one step. A step acts and decides nothing; each may be repeated after
 * a crash, because all that it makes is named from the object's uid. See instance.h.
 */
#include "api/quantity.h"
#include "base/base64.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "controller/reasons.h"
#include "reconcile/instance.h"

#define CAPACITY_RECHECK USEC_PER_MIN

int instance_waits(InstanceWork *w, const char *reason, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->wait_message, sizeof(w->wait_message), fmt, ap);
	va_end(ap);
	w->wait_reason = reason;
	return STEP_WAITS;
}

void instance_wait_on(InstanceWork *w, const char *word, const char *reference)
{
	_cleanup_(xfreep) char *what = waitlist_what(word, w->key.namespace, reference);

	waitlist_add(w->r->waits, what, &w->key);
}

/* ---- prepare ---- */

/* The digest to make a disk from; STEP_WAITS while the image is not in the cache. */
static int disk_image(InstanceWork *w, const char *disk, const char *image,
		      char digest[static IMAGE_DIGEST_MAX], Error *err)
{
	_cleanup_(object_unrefp) Object *obj = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	_cleanup_(error_done) Error trouble = ERROR_INIT;
	const char *found, *why;
	int rc;

	instance_wait_on(w, "image", image);
	rc = reference_get(w->r, GR_IMAGE, w->key.namespace, image, &obj, &trouble);
	if (rc == -ERR_NOT_FOUND)
		return instance_waits(w, "WaitingForImage", "disk %s: %s", disk,
				      error_message(&trouble));
	if (rc < 0)
		return error_move(err, &trouble);
	tree = object_decode_lean(obj);
	found = json_string_at(tree, "status.digest");
	/* What the status says may still be about another source. */
	if (json_integer_at(tree, "status.observedGeneration", 0) != object_head(obj)->generation)
		return instance_waits(w, "WaitingForImage", "disk %s: image %s: it was changed",
				      disk, image);
	if (!found || !condition_is_true(json_object_get(tree, "status"), "Ready")) {
		why = json_string_at(condition_find(json_object_get(tree, "status"), "Ready"),
				     "message");
		return instance_waits(w, "WaitingForImage", "disk %s: image %s: %s", disk, image,
				      why ? why : "not fetched yet");
	}
	snprintf(digest, IMAGE_DIGEST_MAX, "%s", found);
	return 0;
}

static int prepare_disk(InstanceWork *w, size_t i, bool offline, Error *err)
{
	DiskStore *d = w->r->env.disks;
	const char *name = w->spec->disks[i].name, *image = w->spec->disks[i].image;
	char digest[IMAGE_DIGEST_MAX] = "";
	DiskRequest q = { .instance_uid = w->uid, .name = name, .size = w->spec->disks[i].size };
	int rc = FAIL_POINT_AROUND("disk.inspect",
				   d->ops->inspect(d, w->ctx, w->uid, name, &w->disks[i], NULL));

	/* A disk that is there needs its image no more; a blank one never did. */
	if (rc == -ERR_NOT_FOUND && image) {
		rc = disk_image(w, name, image, digest, err);
		if (rc != 0)
			return rc;
		q.digest = digest;
	}
	rc = FAIL_POINT_AROUND("disk.ensure",
			       d->ops->ensure(d, w->ctx, &q, offline, &w->disks[i], err));
	return rc < 0 ? error_wrap_rc(err, rc, "spec.disks[%zu]", i) : 0;
}

static void status_disks(InstanceWork *w)
{
	json_t *list = json_array(), *entry;

	for (size_t i = 0; i < w->spec->n_disks; i++) {
		entry = json_pack("{s:s, s:I}", "name", w->spec->disks[i].name, "size",
				  (json_int_t)w->disks[i].virtual_size);
		if (*w->disks[i].base_digest)
			json_object_set_new(entry, "imageDigest",
					    json_string(w->disks[i].base_digest));
		json_array_append_new(list, entry);
	}
	json_object_set_new(w->status, "disks", list);
}

/* The user-data of the seed: inline, from a Secret, or none. Caller frees *ret. */
static int seed_user_data(InstanceWork *w, char **ret, Error *err)
{
	const char *name = w->spec->cloud_init.user_data_secret_ref.name, *value;
	const char *member = w->spec->cloud_init.user_data_secret_ref.key;
	_cleanup_(object_unrefp) Object *secret = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	Key key;
	int rc;

	*ret = xstrdup(w->spec->cloud_init.user_data);
	if (*ret || !name)
		return 0;
	member = member ? member : "userdata";
	instance_wait_on(w, "secret", name);
	key = key_make(GR_SECRET, w->key.namespace, name);
	rc = store_get(w->r->env.store, &key, &secret, err);
	if (rc == -ERR_NOT_FOUND) {
		error_ignore(err);
		return instance_waits(w, "WaitingForSecret",
				      "cloudInit: there is no secret \"%s\" in namespace \"%s\"",
				      name, w->key.namespace);
	}
	if (rc < 0)
		return rc;
	tree = object_decode_lean(secret);
	value = json_string_value(json_object_get(json_object_get(tree, "data"), member));
	if (!value)
		return instance_waits(w, "WaitingForSecret",
				      "cloudInit: secret \"%s\" has no key \"%s\"", name, member);
	rc = base64_decode(value, ret, NULL, err);
	return rc < 0 ? error_wrap_rc(err, rc, "cloudInit: secret \"%s\", key \"%s\"", name, member)
		      : 0;
}

static void seed_nics(const InstanceWork *w, SeedNic *nics)
{
	for (size_t i = 0; i < w->n_nics; i++) {
		const InstanceNic *n = &w->nics[i];
		bool dhcp = n->spec->dhcp.enabled;
		SeedNic *s = &nics[i];

		*s = (SeedNic){ .name = n->name,
				.mac = n->port.mac,
				.dhcp4 = dhcp && n->addressing.prefix4.address.family,
				.dhcp6 = dhcp && n->addressing.prefix6.address.family,
				.search = n->spec->dns.enabled ? n->spec->dns.domain : NULL };
		if (dhcp)
			continue;
		s->gateway4 = n->addressing.gateway4;
		s->gateway6 = n->addressing.gateway6;
		for (size_t a = 0; a < n->port.n_addresses && a < ARRAY_SIZE(s->addresses); a++) {
			s->addresses[a] = n->port.addresses[a];
			s->prefix_lengths[a] = n->port.addresses[a].family == AF_INET
						       ? n->addressing.prefix4.length
						       : n->addressing.prefix6.length;
			s->n_addresses++;
		}
		if (n->spec->dns.enabled && n->addressing.gateway4.family)
			s->name_servers[s->n_name_servers++] = n->addressing.gateway4;
	}
}

static int prepare_seed(InstanceWork *w, Error *err)
{
	_cleanup_(xfreep) char *user_data = NULL;
	_cleanup_(strv_freep) char **keys = NULL;
	SeedNic nics[DOMAIN_NICS_MAX];
	SeedWriter *seeds = w->r->env.seeds;
	SeedConfig c;
	int rc = seed_user_data(w, &user_data, err);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < w->spec->cloud_init.n_ssh_authorized_keys; i++)
		keys = strv_append(keys, w->spec->cloud_init.ssh_authorized_keys[i]);
	seed_nics(w, nics);
	c = (SeedConfig){ .path = w->seed_path,
			  .instance_id = w->uid,
			  .hostname = w->spec->cloud_init.hostname ? w->spec->cloud_init.hostname
								   : w->key.name,
			  .domain = w->n_nics && w->nics[0].spec->dns.enabled
					    ? w->nics[0].spec->dns.domain
					    : NULL,
			  .user_data = user_data,
			  .user_data_len = user_data ? strlen(user_data) : 0,
			  .ssh_keys = keys,
			  .nics = nics,
			  .n_nics = w->n_nics };
	rc = FAIL_POINT_AROUND("seed.ensure", seeds->ops->ensure(seeds, w->ctx, &c, NULL, err));
	return rc < 0 ? error_wrap_rc(err, rc, "seed") : 0;
}

static int prepare_directory(InstanceWork *w, Error *err)
{
	char directory[4096];
	DiskStore *d = w->r->env.disks;
	int rc = FAIL_POINT_AROUND("disk.directory",
				   d->ops->directory(d, w->ctx, w->uid, directory, err));

	if (rc < 0)
		return rc;
	snprintf(w->seed_path, sizeof(w->seed_path), "%.4000s/seed.iso", directory);
	snprintf(w->console_path, sizeof(w->console_path), "%.4000s/console.log", directory);
	return 0;
}

/* More memory than the node has for guests at all: a start would only fail, again and again. */
static int check_capacity(InstanceWork *w)
{
	Key key = key_make(GR_NODE, "", w->r->env.node_name);
	_cleanup_(object_unrefp) Object *node = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	char wanted[QUANTITY_TEXT_MAX], has[QUANTITY_TEXT_MAX];
	const char *text;
	uint64_t memory;

	if (store_get(w->r->env.store, &key, &node, NULL) < 0)
		return 0;
	tree = object_decode_lean(node);
	text = json_string_at(tree, "status.allocatable.memory");
	if (!text || quantity_parse(text, &memory, NULL) < 0 || w->spec->memory <= memory)
		return 0;
	w->wait_for = CAPACITY_RECHECK;
	return instance_waits(w, "Unschedulable",
			      "spec.memory is %s, and node %s has %s for guests",
			      quantity_format(w->spec->memory, wanted), w->r->env.node_name,
			      quantity_format(memory, has));
}

static int step_prepare(InstanceWork *w, Error *err)
{
	bool off = domain_is_off(&w->domain);
	int rc = off ? check_capacity(w) : 0;

	if (rc == 0 && off)
		rc = instance_release_removed(w, err);
	for (size_t i = 0; rc == 0 && i < w->n_nics; i++)
		rc = instance_prepare_network(w, &w->nics[i], err);
	for (size_t i = 0; rc == 0 && i < w->spec->n_disks && i < DOMAIN_DISKS_MAX; i++)
		rc = prepare_disk(w, i, off, err);
	if (rc == 0)
		rc = prepare_directory(w, err);
	/* The seed of a running guest is open in its QEMU: it changes at the next start. */
	if (rc == 0 && off)
		rc = prepare_seed(w, err);
	if (rc != 0)
		return rc;
	status_disks(w);
	w->view.prepared = true;
	return 0;
}

/* ---- the domain ---- */

static int step_define(InstanceWork *w, Error *err)
{
	bool first = w->domain.state == DOMAIN_ABSENT;
	Hypervisor *h = w->r->env.hypervisor;
	DomainConfig config;
	int rc;

	instance_domain_config(w, &config);
	rc = FAIL_POINT_AROUND("domain.define", h->ops->define(h, w->ctx, &config, err));
	if (rc == 0)
		recorder_event(w->r->env.recorder, w->obj, EVENT_NORMAL,
			       first ? REASON_INSTANCE_CREATED : REASON_INSTANCE_UPDATED,
			       "domain %s %s", w->domain_name,
			       first ? "defined" : "definition updated");
	return rc;
}

static int domain_power(InstanceWork *w, DomainPower action, Error *err)
{
	Hypervisor *h = w->r->env.hypervisor;

	return FAIL_POINT_AROUND(
		"domain.power", h->ops->power(h, w->ctx, w->domain_name, action,
					      w->view.request_pending ? w->request_id : NULL, err));
}

static int step_start(InstanceWork *w, Error *err)
{
	bool again = w->view.has_run;
	int rc = domain_power(w, POWER_START, err);
	char text[TIMESTAMP_MAX];

	if (rc < 0)
		return rc;
	json_object_set_new(w->status, "startTime",
			    json_string(timestamp_format(clock_wall(w->r->env.clock), text)));
	json_object_del(w->status, "nextRestartTime");
	json_object_set_new(w->status, "restarts",
			    json_integer(json_integer_at(w->status, "restarts", 0) + again));
	recorder_event(w->r->env.recorder, w->obj, EVENT_NORMAL,
		       again ? REASON_INSTANCE_RESTARTED : REASON_INSTANCE_STARTED,
		       "the guest was started");
	return 0;
}

/* It could not be asked, or does not answer: no reason to be late when its time is over. */
static int ask_unheard(InstanceWork *w, const StopState *stop, Error *err)
{
	usec_t over = stop->first + w->view.grace;

	w->view.stop_asked = stop->first;
	w->wait_for = MIN(over > stop->last ? over - stop->last : 1, INSTANCE_ASK_AGAIN);
	instance_waits(w, error_code_to_string(-ERR_UNAVAILABLE), "%s", error_message(err));
	error_done(err);
	return STEP_WAITS;
}

/*
 * A force off or a removal that goes on by itself, or waits for others to end, is no failure: its
 * end wakes us. A hypervisor that is busy, gone or out of memory answers alike and tells nothing
 * later: so we look again. One that takes too long is a failure, in its turn, or in however many
 * tries and waits between them. Other results pass through.
 */
static int wait_for_end(InstanceWork *w, const char *doing, int rc, Error *err)
{
	usec_t now = clock_now(w->r->env.clock), end;
	StopState stop = { 0 };

	if (rc != -ERR_UNAVAILABLE && rc != -ERR_EXHAUSTED) {
		instance_late_forget(w->r, w->uid, STEP_SETTLED);
		return rc;
	}
	instance_stop_get(w->r, w->uid, &stop);
	if (stop.late.step != w->plan.step)
		stop.late.asked = now;
	if (stop.late.step != w->plan.step || stop.late.code != rc)
		stop.late.turn = now;
	stop.late.step = w->plan.step;
	stop.late.code = rc;
	instance_stop_set(w->r, w->uid, &stop);
	end = stop.late.asked + INSTANCE_TURN_MAX;
	if (rc == -ERR_UNAVAILABLE)
		end = MIN(stop.late.turn, end) + INSTANCE_LATE_MAX;
	if (now >= end)
		return rc;
	w->view.stop_asked = stop.first;
	w->wait_for = MIN(end - now, INSTANCE_LOOK_AGAIN);
	instance_waits(w, w->plan.reason, "%s: %s", doing, error_message(err));
	error_done(err);
	return STEP_WAITS;
}

/* Once, however often it takes; one that was never asked was not late either. */
static void tell_off(InstanceWork *w, const StopState *stop, bool force)
{
	if (!stop->first)
		recorder_event(w->r->env.recorder, w->obj, EVENT_NORMAL, REASON_INSTANCE_STOPPING,
			       "%s", force ? "forcing it off" : "asking the guest to shut down");
	else if (force && !stop->forced)
		recorder_event(w->r->env.recorder, w->obj, EVENT_WARNING,
			       REASON_INSTANCE_FORCED_OFF,
			       "the guest did not shut down in time and is forced off");
}

static int step_off(InstanceWork *w, bool force, Error *err)
{
	StopState stop = { 0 };
	usec_t now = clock_wall(w->r->env.clock);
	Hypervisor *h = w->r->env.hypervisor;
	int rc;

	instance_stop_get(w->r, w->uid, &stop);
	tell_off(w, &stop, force);
	if (!stop.first)
		stop.first = now;
	stop.last = now;
	stop.ours = true;
	stop.forced |= force;
	instance_stop_set(w->r, w->uid, &stop);
	/* No request id: a stop is done when the guest is off, a restart when it runs again. */
	rc = FAIL_POINT_AROUND("domain.stop",
			       h->ops->power(h, w->ctx, w->domain_name,
					     force ? POWER_DESTROY : POWER_SHUTDOWN, NULL, err));
	if (force)
		return wait_for_end(w, "the guest is being forced off", rc, err);
	return rc == -ERR_UNAVAILABLE ? ask_unheard(w, &stop, err) : rc;
}

static int step_pause(InstanceWork *w, bool pause, Error *err)
{
	int rc = domain_power(w, pause ? POWER_SUSPEND : POWER_RESUME, err);

	if (rc == 0)
		recorder_event(w->r->env.recorder, w->obj, EVENT_NORMAL,
			       pause ? REASON_INSTANCE_PAUSED : REASON_INSTANCE_RESUMED,
			       "the guest was %s", pause ? "paused" : "resumed");
	return rc;
}

static int step_update_live(InstanceWork *w, Error *err)
{
	Hypervisor *h = w->r->env.hypervisor;
	DomainConfig config;
	int rc = step_prepare(w, err);

	if (rc != 0)
		return rc;
	instance_domain_config(w, &config);
	rc = FAIL_POINT_AROUND("domain.update-live", h->ops->update_live(h, w->ctx, &config, err));
	if (rc == 0)
		recorder_event(w->r->env.recorder, w->obj, EVENT_NORMAL, REASON_INSTANCE_UPDATED,
			       "the running guest was changed: %u CPUs, %llu bytes of memory",
			       config.cpus, (unsigned long long)config.memory);
	return rc;
}

static int step_remove(InstanceWork *w, Error *err)
{
	Hypervisor *h = w->r->env.hypervisor;
	int rc = FAIL_POINT_AROUND("domain.remove", h->ops->remove(h, w->ctx, w->domain_name, err));

	return wait_for_end(w, "the domain is being removed", rc, err);
}

/* Records first (the address may be somebody else's soon), then the taps that follow from them,
 * then the disks. */
static int step_release(InstanceWork *w, Error *err)
{
	_cleanup_(txn_freep) Txn *t = txn_new();
	Reconcilers *r = w->r;
	NetworkStatus st;
	int rc = nic_release(r->env.store, r->env.clock, t, w->uid, NULL, err);

	if (rc == 0 && !txn_is_empty(t))
		rc = FAIL_POINT_AROUND("instance.release-records",
				       store_commit(r->env.store, w->ctx, t, NULL, err));
	for (size_t i = 0; rc == 0 && i < w->n_nics; i++) {
		if (!w->nics[i].object || !w->nics[i].vni)
			continue;
		rc = network_ensure(r, w->ctx, w->nics[i].object, w->nics[i].vni, &w->key, &st,
				    err);
		if (rc == NETWORK_BUSY)
			return STEP_WAITS;
		manager_enqueue(r->env.manager, object_key(w->nics[i].object));
	}
	/* Where the spec could not be read, some network still has a tap of it: let them all look.
	 */
	if (rc == 0 && w->n_nics == 0 && json_array_size(json_object_get(w->status, "interfaces")))
		manager_resync(r->env.manager, GR_NETWORK);
	if (rc == 0)
		rc = FAIL_POINT_AROUND("disk.remove", r->env.disks->ops->remove(
							      r->env.disks, w->ctx, w->uid, err));
	if (rc < 0)
		return rc;
	recorder_event(r->env.recorder, w->obj, EVENT_NORMAL, REASON_INSTANCE_DELETED,
		       "the instance and its disks are gone");
	instance_stop_set(r, w->uid, NULL);
	return object_release(r, w->ctx, w->obj, NULL, err);
}

int instance_do(InstanceWork *w, InstanceStep step, Error *err)
{
	switch (step) {
	case STEP_ALLOCATE:
		return FAIL_POINT_AROUND("instance.allocate", instance_allocate(w, err));
	case STEP_PREPARE:
		return FAIL_POINT_AROUND("instance.prepare", step_prepare(w, err));
	case STEP_DEFINE:
		return FAIL_POINT_AROUND("instance.define", step_define(w, err));
	case STEP_START:
		return FAIL_POINT_AROUND("instance.start", step_start(w, err));
	case STEP_SHUTDOWN:
		return FAIL_POINT_AROUND("instance.shutdown", step_off(w, false, err));
	case STEP_DESTROY:
		return FAIL_POINT_AROUND("instance.destroy", step_off(w, true, err));
	case STEP_PAUSE:
		return FAIL_POINT_AROUND("instance.pause", step_pause(w, true, err));
	case STEP_RESUME:
		return FAIL_POINT_AROUND("instance.resume", step_pause(w, false, err));
	case STEP_UPDATE_LIVE:
		return FAIL_POINT_AROUND("instance.update-live", step_update_live(w, err));
	case STEP_REMOVE:
		return FAIL_POINT_AROUND("instance.remove", step_remove(w, err));
	case STEP_RELEASE:
		return FAIL_POINT_AROUND("instance.release", step_release(w, err));
	default:
		return 0;
	}
}
