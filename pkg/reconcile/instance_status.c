/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instance reconciler: telling how it is. One status per reconcile, written only if it says
 * something new. See instance.h.
 */
#include <stdatomic.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "controller/reasons.h"
#include "reconcile/instance.h"

#define LINK_PATIENCE USEC_PER_SEC /* a few milliseconds, when all is well */
#define LINK_RECHECK  (10 * USEC_PER_SEC)

/* Waiting reasons that are words of printableStatus as they are; every other one is told by its
 * condition. */
static const char *const waiting_words[] = { "WaitingForImage", "WaitingForNetwork",
					     "CrashLoopBackOff", "Unschedulable" };

static bool is_failure(const char *reason)
{
	return streq(reason, "InvalidAddress") || streq(reason, "NoFreeAddress") ||
	       streq(reason, "AddressInUse");
}

static const char *printable_off(const InstanceWork *w)
{
	const char *reason = w->wait_reason ? w->wait_reason : w->plan.reason;

	if (!instance_wants_running(&w->view))
		return "Stopped";
	for (size_t i = 0; i < ARRAY_SIZE(waiting_words); i++)
		if (streq(reason, waiting_words[i]))
			return waiting_words[i];
	if (is_failure(reason))
		return "Failed";
	if (streq(reason, "HostShuttingDown"))
		return "Stopped";
	return streq(reason, "Starting") ? "Starting" : "Provisioning";
}

static const char *printable(const InstanceWork *w)
{
	if (w->view.deleting)
		return "Terminating";
	if (w->domain.foreign)
		return "Failed";
	switch (w->domain.state) {
	case DOMAIN_RUNNING:
		return w->view.stop_asked ? "Stopping" : "Running";
	case DOMAIN_PAUSED:
		return "Paused";
	case DOMAIN_STOPPING:
		return "Stopping";
	default:
		return printable_off(w);
	}
}

/* What a word of printableStatus means, as a sentence; for words that no condition explains better.
 */
static const struct {
	const char *word, *message;
} word_messages[] = {
	{"Stopped",           "the guest is off, as spec or the last power request asks"},
	{ "Stopping",         "the guest was asked to shut down"                        },
	{ "Terminating",      "the guest, its disks and its addresses are being removed"},
	{ "Starting",         "the guest is being started"                              },
	{ "Provisioning",     "addresses, disks and network are being prepared"         },
	{ "CrashLoopBackOff",
         "the guest keeps ending; the next start waits until status.nextRestartTime"    },
};

static const char *word_message(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(word_messages); i++)
		if (streq(word_messages[i].word, word))
			return word_messages[i].message;
	return word;
}

static void report_paused(InstanceWork *w)
{
	bool io_error = w->domain.reason == DOMAIN_REASON_IO_ERROR;

	status_condition(w->r, w->obj, w->status, "Ready", CONDITION_FALSE,
			 domain_reason_to_string(w->domain.reason),
			 io_error ? "the guest is paused: a disk of it is full or broken; it "
				    "goes on once there is room"
				  : "the guest is paused");
}

/* ---- is it still wired to its networks? ---- */

/* Not one that was added to the spec since: that has a tap, too, and waits for the next start. */
static bool nic_runs(const InstanceWork *w, const InstanceNic *n)
{
	char tap[16];

	if (!n->allocated || !n->object)
		return false;
	network_tap_name(n->port.id, tap);
	for (size_t i = 0; i < w->domain.n_live_taps; i++)
		if (streq(w->domain.live_taps[i], tap))
			return true;
	return false;
}

/* One question about one tap. -ERR_UNAVAILABLE: not asked, nobody answers. */
static int ask_link(InstanceWork *w, const InstanceNic *n, bool *ret)
{
	Context ctx = context_with_timeout(w->ctx, LINK_PATIENCE);
	NetworkDriver *d = w->r->env.network;
	usec_t now = clock_now(w->r->env.clock);
	int rc;

	if (now < atomic_load(&w->r->links_silent))
		return -ERR_UNAVAILABLE;
	rc = FAIL_POINT_AROUND(
		"network.port-attached",
		d->ops->port_attached(d, &ctx, object_head(n->object)->uid, n->port.id, ret, NULL));
	if (rc == -ERR_UNAVAILABLE || rc == -ERR_TIMEOUT)
		atomic_store(&w->r->links_silent, now + LINK_RECHECK);
	return rc;
}

/* Names those whose tap was made anew under the running guest: nothing but a start takes it. An
 * error: of some it could not be found out. */
static int lost_links(InstanceWork *w, StrBuf *names, unsigned *ret)
{
	unsigned lost = 0;
	int result = 0;

	for (size_t i = 0; i < w->n_nics; i++) {
		_cleanup_(xfreep) char *what = NULL;
		bool attached = true;
		int rc;

		if (!nic_runs(w, &w->nics[i]))
			continue;
		/* First of all, so that what changes after the answer wakes us. */
		what = waitlist_link(object_head(w->nics[i].object)->uid);
		waitlist_add(w->r->waits, what, &w->key);
		rc = ask_link(w, &w->nics[i], &attached);
		if (rc < 0)
			result = rc;
		else if (!attached)
			strbuf_addf(names, "%s%s", lost++ ? ", " : "", w->nics[i].name);
	}
	*ret = lost;
	return result;
}

static void report_running(InstanceWork *w)
{
	const json_t *before = condition_find(w->status, "Ready");
	bool told = streq_ptr(json_string_at(before, "reason"), REASON_INSTANCE_DETACHED);
	_cleanup_(strbuf_done) StrBuf names = STRBUF_INIT;
	_cleanup_(xfreep) char *text = NULL;
	unsigned lost;
	int rc = lost_links(w, &names, &lost);

	if (rc < 0)
		w->ask_again = LINK_RECHECK;
	if (rc < 0 && told) /* all of it may still be so */
		text = xstrdup(json_string_at(before, "message"));
	else if (lost)
		text = xasprintf("interface%s %s lost %s link to the host: restart the guest "
				 "(sfctl -n %s restart %s)",
				 lost > 1 ? "s" : "", strbuf_str(&names),
				 lost > 1 ? "their" : "its", w->key.namespace, w->key.name);
	if (!text) {
		status_condition(w->r, w->obj, w->status, "Ready", CONDITION_TRUE, "Running",
				 "the guest runs");
		return;
	}
	status_condition(w->r, w->obj, w->status, "Ready", CONDITION_FALSE,
			 REASON_INSTANCE_DETACHED, text);
	if (!told)
		recorder_event(w->r->env.recorder, w->obj, EVENT_WARNING, REASON_INSTANCE_DETACHED,
			       "%s", text);
}

/* ---- conditions ---- */

static void report_ready(InstanceWork *w, const char *word)
{
	char text[300];

	if (w->domain.foreign) {
		snprintf(text, sizeof(text),
			 "a domain named %s exists and is not ours: rename one of them, or "
			 "undefine it",
			 w->domain_name);
		status_condition(w->r, w->obj, w->status, "Ready", CONDITION_FALSE, "ForeignDomain",
				 text);
	} else if (streq(word, "Running")) {
		report_running(w);
	} else if (w->wait_reason) {
		status_condition(w->r, w->obj, w->status, "Ready", CONDITION_FALSE, w->wait_reason,
				 w->wait_message);
	} else if (w->domain.state == DOMAIN_PAUSED) {
		report_paused(w);
	} else if (w->view.deleting && w->view.stop_asked && !domain_is_off(&w->domain)) {
		snprintf(text, sizeof(text),
			 "the guest was asked to shut down, and is forced off %llu s later; then "
			 "its disks and its addresses are removed",
			 (unsigned long long)(w->view.grace / USEC_PER_SEC));
		status_condition(w->r, w->obj, w->status, "Ready", CONDITION_FALSE, w->plan.reason,
				 text);
	} else {
		status_condition(w->r, w->obj, w->status, "Ready", CONDITION_FALSE, w->plan.reason,
				 word_message(word));
	}
}

/* Said of the newest generation each time: one of an older one does not count for who waits. */
static void report_address_seen(InstanceWork *w, bool seen)
{
	status_condition(w->r, w->obj, w->status, "AddressReady",
			 seen ? CONDITION_TRUE : CONDITION_FALSE,
			 seen ? "AddressSeen" : "NotSeenYet",
			 seen ? "the guest uses its address"
			      : "no packet from the guest's address has been seen yet");
}

/* The first address of each interface was heard of on its network since the guest started. */
static void report_address(InstanceWork *w, const char *word)
{
	NetworkDriver *d = w->r->env.network;
	bool all = w->n_nics > 0;

	if (!streq(word, "Running") || w->n_nics == 0) {
		condition_remove(w->status, "AddressReady");
		return;
	}
	/* Once seen it stays: guests fall silent without having lost their address. */
	if (condition_is_true(w->status, "AddressReady")) {
		report_address_seen(w, true);
		return;
	}
	for (size_t i = 0; all && i < w->n_nics; i++) {
		_cleanup_(xfreep) char *what = NULL;
		bool seen = false;

		if (!w->nics[i].object || !w->nics[i].port.n_addresses)
			return;
		what = xasprintf("address/%s", object_head(w->nics[i].object)->uid);
		waitlist_add(w->r->waits, what, &w->key);
		if (FAIL_POINT_AROUND(
			    "network.address-seen",
			    d->ops->address_seen(d, w->ctx, object_head(w->nics[i].object)->uid,
						 &w->nics[i].port.addresses[0], &seen, NULL)) < 0)
			return;
		all = all && seen;
	}
	report_address_seen(w, all);
}

/* Has the newest request come to its end, and how? NULL = not yet. */
static const char *request_outcome(const InstanceWork *w)
{
	bool on = w->domain.state == DOMAIN_RUNNING || w->domain.state == DOMAIN_PAUSED ||
		  w->domain.state == DOMAIN_STOPPING;
	bool marked = streq(w->domain.request_id, w->request_id);

	if (w->view.strategy == RUN_STRATEGY_HALTED &&
	    (w->view.request == POWER_REQUEST_START || w->view.request == POWER_REQUEST_RESTART))
		return "Refused";
	switch (w->view.request) {
	case POWER_REQUEST_START:
		return on && w->domain.state != DOMAIN_PAUSED ? "Done" : NULL;
	case POWER_REQUEST_STOP:
		return on ? NULL : "Done";
	case POWER_REQUEST_RESTART:
		return marked ? "Done" : NULL;
	case POWER_REQUEST_PAUSE:
		return w->domain.state == DOMAIN_PAUSED ? "Done" : on ? NULL : "Refused";
	case POWER_REQUEST_RESUME:
		return w->domain.state == DOMAIN_RUNNING ? "Done" : on ? NULL : "Refused";
	default:
		return NULL;
	}
}

static void report_request(InstanceWork *w)
{
	const char *outcome;

	if (w->view.request == POWER_REQUEST_NONE ||
	    (streq_ptr(json_string_at(w->status, "powerRequest.id"), w->request_id) &&
	     !streq_ptr(json_string_at(w->status, "powerRequest.state"), "Pending")))
		return;
	outcome = request_outcome(w);
	json_object_set_new(w->status, "powerRequest",
			    json_pack("{s:s, s:s, s:s}", "id", w->request_id, "action",
				      power_action_to_string(w->view.request), "state",
				      outcome ? outcome : "Pending"));
}

static void report_pending(InstanceWork *w)
{
	bool live;
	json_t *pending = instance_pending_changes(w, &live);

	if (json_array_size(pending)) {
		json_object_set_new(w->status, "pendingChanges", pending);
		return;
	}
	json_decref(pending);
	json_object_del(w->status, "pendingChanges");
}

int instance_report(InstanceWork *w, Error *err)
{
	const char *word = printable(w);

	json_object_set_new(w->status, "printableStatus", json_string(word));
	json_object_set_new(w->status, "observedGeneration",
			    json_integer(object_head(w->obj)->generation));
	json_object_set_new(w->status, "nodeName", json_string(w->r->env.node_name));
	if (*w->domain.virt_type)
		json_object_set_new(w->status, "virtType", json_string(w->domain.virt_type));
	instance_forget_released(w);
	report_ready(w, word);
	report_address(w, word);
	report_request(w);
	report_pending(w);
	census_set(w->r->census, w->uid, "Instance", word);
	return status_write(w->r, w->ctx, w->obj, w->tree, json_deep_copy(w->status), NULL, err);
}

int instance_report_trouble(InstanceWork *w, int code, const char *message, Error *err)
{
	bool unknown = code == -ERR_UNAVAILABLE || code == -ERR_TIMEOUT;

	json_object_set_new(w->status, "printableStatus",
			    json_string(unknown ? "Unknown" : "Failed"));
	status_condition(w->r, w->obj, w->status, "Ready",
			 unknown ? CONDITION_UNKNOWN : CONDITION_FALSE, error_code_to_string(code),
			 message);
	census_set(w->r->census, w->uid, "Instance", unknown ? "Unknown" : "Failed");
	return status_write(w->r, w->ctx, w->obj, w->tree, json_deep_copy(w->status), NULL, err);
}
