/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instance reconciler: telling how it is. One status per reconcile, written only if it says
 * something new. See instance.h.
 */
#include "base/failpoint.h"
#include "base/memory.h"
#include "controller/reasons.h"
#include "reconcile/instance.h"

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
		status_condition(w->r, w->obj, w->status, "Ready", CONDITION_TRUE, "Running",
				 "the guest runs");
	} else if (w->wait_reason) {
		status_condition(w->r, w->obj, w->status, "Ready", CONDITION_FALSE, w->wait_reason,
				 w->wait_message);
	} else if (w->domain.state == DOMAIN_PAUSED) {
		report_paused(w);
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
