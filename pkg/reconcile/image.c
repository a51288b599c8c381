/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image reconciler: the cache of this host holds what the Image's source says.
 *
 * plan() turns what the cache reports into a status and says when to look again; reconcile() asks
 * the cache, which works on its own and wakes us. Deleting an Image stops its fetch; cached content
 * stays while disks or other Images use it. Runs on controller workers.
 */
#include "api/types.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "controller/reasons.h"
#include "reconcile/internal.h"

#define RETRY_MIN (2 * USEC_PER_SEC)

static void set_string(json_t *o, const char *name, const char *value)
{
	if (str_is_empty(value))
		json_object_del(o, name);
	else
		json_object_set_new(o, name, json_string(value));
}

static void report_progress(json_t *status, const ImageState *st)
{
	json_t *p;

	if (st->phase == IMAGE_READY || (!st->bytes_fetched && !st->bytes_total)) {
		json_object_del(status, "progress");
		return;
	}
	p = json_pack("{s:I, s:I}", "bytes", (json_int_t)st->bytes_fetched, "rate",
		      (json_int_t)st->rate);
	if (st->bytes_total) {
		json_object_set_new(p, "total", json_integer((json_int_t)st->bytes_total));
		json_object_set_new(
			p, "percent",
			json_integer((json_int_t)(st->bytes_fetched * 100 / st->bytes_total)));
	}
	json_object_set_new(status, "progress", p);
}

static void report_content(json_t *status, const ImageState *st)
{
	set_string(status, "digest", st->digest);
	set_string(status, "sourceChecksum", st->source_checksum);
	set_string(status, "format", st->source_format);
	set_string(status, "etag", st->etag);
	set_string(status, "lastModified", st->last_modified);
	json_object_set_new(status, "virtualSize", json_integer((json_int_t)st->virtual_size));
	json_object_set_new(status, "fileSize", json_integer((json_int_t)st->file_size));
}

static void report_ready(Reconcilers *r, const Object *obj, json_t *status, const ImageState *st)
{
	_cleanup_(xfreep) char *text = NULL;
	const char *error = error_message(&st->error);

	if (st->phase == IMAGE_READY && st->source_gone) {
		text = xasprintf("cached; asking the source again failed: %s", error);
		status_condition(r, obj, status, "Ready", CONDITION_TRUE, "SourceUnavailable",
				 text);
	} else if (st->phase == IMAGE_READY) {
		status_condition(r, obj, status, "Ready", CONDITION_TRUE, "Cached",
				 "the image is in the cache");
	} else if (st->phase != IMAGE_FAILED && st->digest[0]) {
		status_condition(r, obj, status, "Ready", CONDITION_TRUE, "Revalidating",
				 "cached; the source is asked whether it has changed");
	} else if (st->phase == IMAGE_FAILED && st->digest[0]) {
		/* What is cached stays good for disks while its source cannot be had again. */
		text = xasprintf("cached; fetching it again failed: %s", error);
		status_condition(r, obj, status, "Ready", CONDITION_TRUE, "SourceUnavailable",
				 text);
	} else if (st->phase == IMAGE_FAILED) {
		status_condition(r, obj, status, "Ready", CONDITION_FALSE, "FetchFailed", error);
	} else {
		text = st->phase == IMAGE_PENDING
			       ? xstrdup("the image waits to be fetched")
			       : xasprintf("%s the image", image_phase_to_string(st->phase));
		status_condition(r, obj, status, "Ready", CONDITION_FALSE,
				 image_phase_to_string(st->phase), text);
	}
}

/* The events that a change of phase is worth. */
static void tell(Reconcilers *r, const Object *obj, const char *before, bool same_digest,
		 const ImageState *st)
{
	const char *now = image_phase_to_string(st->phase);

	/* Asking again about something that is cached is no news, whatever phase it goes through.
	 */
	if (streq_ptr(before, now) || (st->digest[0] && st->phase != IMAGE_FAILED && same_digest))
		return;
	if (st->phase == IMAGE_READY)
		recorder_event(r->env.recorder, obj, EVENT_NORMAL, REASON_IMAGE_FETCHED,
			       "cached as %s, %llu bytes", st->digest,
			       (unsigned long long)st->file_size);
	else if (st->phase == IMAGE_FETCHING)
		recorder_event(r->env.recorder, obj, EVENT_NORMAL, REASON_IMAGE_FETCHING,
			       "fetching");
	else if (st->phase == IMAGE_FAILED)
		recorder_event(r->env.recorder, obj, EVENT_WARNING, REASON_IMAGE_FAILED, "%s",
			       error_message(&st->error));
}

static json_t *node_entry(const Reconcilers *r, const ImageState *st)
{
	json_t *n = json_pack("{s:s, s:s}", "nodeName", r->env.node_name, "phase",
			      image_phase_to_string(st->phase));

	set_string(n, "digest", st->digest);
	return json_pack("[o]", n);
}

static int image_report(Reconcilers *r, Context *ctx, const Object *obj, const json_t *tree,
			const ImageState *st, Error *err)
{
	_cleanup_(xfreep) char *what =
		waitlist_what("image", object_key(obj)->namespace, object_key(obj)->name);
	const char *before = json_string_at(tree, "status.phase");
	json_t *status = status_begin(tree);
	int rc;

	json_object_set_new(status, "phase", json_string(image_phase_to_string(st->phase)));
	json_object_set_new(status, "observedGeneration",
			    json_integer(object_head(obj)->generation));
	report_progress(status, st);
	if (st->phase == IMAGE_READY)
		report_content(status, st);
	json_object_set_new(status, "nodes", node_entry(r, st));
	report_ready(r, obj, status, st);
	tell(r, obj, before, streq_ptr(json_string_at(tree, "status.digest"), st->digest), st);
	rc = status_write(r, ctx, obj, tree, status, NULL, err);
	if (rc == 0 && (st->phase == IMAGE_READY || st->phase == IMAGE_FAILED))
		waitlist_wake(r->waits, what, r->env.manager);
	census_set(r->census, object_head(obj)->uid, "Image", image_phase_to_string(st->phase));
	return rc;
}

static int image_delete(Reconcilers *r, Context *ctx, const Object *obj, Error *err)
{
	int rc = FAIL_POINT_AROUND(
		"image.forget",
		r->env.images->ops->forget(r->env.images, ctx, object_head(obj)->uid, err));

	if (rc < 0)
		return error_wrap_rc(err, rc, "forget image %s", object_key(obj)->name);
	return object_release(r, ctx, obj, NULL, err);
}

static int image_reconcile(void *self, Context *ctx, const Key *key, Result *ret, Error *err)
{
	_cleanup_(image_spec_freep) ImageSpec *spec = NULL;
	_cleanup_(image_state_done) ImageState st = { 0 };
	_cleanup_(object_unrefp) Object *obj = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	Reconcilers *r = self;
	ImageRequest request;
	int rc = store_get(r->env.store, key, &obj, err);

	if (rc == -ERR_NOT_FOUND)
		return error_ignore(err);
	if (rc < 0)
		return rc;
	if (object_is_deleting(obj))
		return image_delete(r, ctx, obj, err);
	tree = object_decode_lean(obj);
	rc = image_spec_decode(tree, &spec, err);
	if (rc < 0)
		return status_undecodable(r, ctx, obj, tree, rc, err);
	request = (ImageRequest){ .uid = object_head(obj)->uid,
				  .url = spec->source.url,
				  .checksum = spec->source.checksum,
				  .checksum_url = spec->source.checksum_url,
				  .revalidate = spec->pull_policy == PULL_POLICY_ALWAYS,
				  .etag = json_string_at(tree, "status.etag"),
				  .last_modified = json_string_at(tree, "status.lastModified"),
				  .digest = json_string_at(tree, "status.digest") };
	/* Another source is another image: what is cached says nothing about it. */
	if (json_integer_at(tree, "status.observedGeneration", 0) != object_head(obj)->generation)
		request.digest = request.etag = request.last_modified = NULL;
	rc = FAIL_POINT_AROUND("image.ensure",
			       r->env.images->ops->ensure(r->env.images, ctx, &request, &st, err));
	if (rc < 0)
		return error_wrap_rc(err, rc, "image cache");
	if (st.phase == IMAGE_FAILED) {
		usec_t now = clock_now(r->env.clock);

		ret->requeue_after =
			st.retry_after > now + RETRY_MIN ? st.retry_after - now : RETRY_MIN;
	}
	return image_report(r, ctx, obj, tree, &st, err);
}

ControllerSpec image_controller(void)
{
	static const Trigger triggers[] = { { NULL } };

	return (ControllerSpec){ .name = "image",
				 .gr = GR_IMAGE,
				 .workers = 2,
				 .triggers = triggers,
				 .reconcile = image_reconcile };
}
