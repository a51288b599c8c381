/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credential controller: signs requests, says when a credential ends, and removes it a week after.
 *
 * Who may make one is the API's business, and whether one is good at this moment the server's: it
 * reads the same objects. Here they only become certificates and words. Runs on a controller
 * worker; signs with the CA, which takes a millisecond.
 */
#include "api/credential.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "controller/reasons.h"
#include "reconcile/internal.h"

#define KEEP_EXPIRED (7 * 24 * USEC_PER_HOUR)

static int remove_expired(Reconcilers *r, Context *ctx, const Object *o, Error *err)
{
	_cleanup_(txn_freep) Txn *t = txn_new();

	txn_delete(t, o, &(DeleteOptions){ .grace_period_seconds = -1 });
	return FAIL_POINT_AROUND("credential.expire",
				 store_commit(r->env.store, ctx, t, NULL, err));
}

static void set_expiration(json_t *status, usec_t at)
{
	char text[TIMESTAMP_MAX];

	json_object_set_new(status, "expirationTime", json_string(timestamp_format(at, text)));
}

static void mark_expired(Reconcilers *r, const Object *o, json_t *status, usec_t expires)
{
	bool was = condition_is_true(status, "Expired");

	set_expiration(status, expires);
	status_condition(r, o, status, "Issued", CONDITION_FALSE, "Expired",
			 "it is not valid any more");
	status_condition(r, o, status, "Expired", CONDITION_TRUE, "Expired",
			 "it is removed a week after its end");
	if (!was)
		recorder_event(r->env.recorder, o, EVENT_WARNING, REASON_CREDENTIAL_EXPIRED,
			       "it is not valid any more, and is removed in a week");
}

/* ---- certificates ---- */

static bool is_ours(const Reconcilers *r, const char *certificate)
{
	PkiCertificate a = { 0 }, b = { 0 };
	bool same = pki_certificate_read(certificate, &a, NULL) == 0 &&
		    pki_certificate_read(authority_ca(r->env.authority), &b, NULL) == 0 &&
		    streq(a.issuer, b.subject);

	pki_certificate_done(&a);
	pki_certificate_done(&b);
	return same;
}

static int sign(Reconcilers *r, const json_t *tree, usec_t expires, Issued *ret, Error *err)
{
	_cleanup_(strv_freep) char **groups = NULL;
	const json_t *group;
	size_t i;

	json_array_foreach (json_at(tree, "spec.groups"), i, group)
		groups = strv_append(groups, json_string_value(group));
	return authority_sign(r->env.authority, json_string_at(tree, "spec.request"),
			      json_string_at(tree, "spec.user"), groups, strv_len(groups), expires,
			      ret, err);
}

static void issue_certificate(Reconcilers *r, const Object *o, const json_t *tree, json_t *status,
			      usec_t expires)
{
	const char *certificate = json_string_at(status, "certificate");
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(issued_done) Issued issued = { 0 };

	json_object_set_new(status, "type", json_string("Certificate"));
	if (!r->env.authority) {
		status_condition(r, o, status, "Issued", CONDITION_FALSE, "NoTLSListener",
				 "sfd has no TLS listener, and so no CA: start it with --listen "
				 "tls:ADDRESS:PORT");
		return;
	}
	if (certificate) {
		if (!is_ours(r, certificate))
			status_condition(r, o, status, "Issued", CONDITION_FALSE, "CAReplaced",
					 "it was signed by a CA that is not in use any more: make "
					 "another credential");
		return;
	}
	if (sign(r, tree, expires, &issued, &err) < 0) {
		status_condition(r, o, status, "Issued", CONDITION_FALSE, "CannotSign",
				 error_message(&err));
		return;
	}
	json_object_set_new(status, "certificate", json_string(issued.certificate));
	json_object_set_new(status, "serialNumber", json_string(issued.serial));
	set_expiration(status, issued.not_after);
	status_condition(r, o, status, "Issued", CONDITION_TRUE, "Signed",
			 "the certificate is signed");
}

/* ---- one credential ---- */

static void issue(Reconcilers *r, const Object *o, const json_t *tree, json_t *status,
		  usec_t expires)
{
	bool was = condition_find(status, "Issued") != NULL;

	if (json_string_at(tree, "spec.tokenHash")) {
		json_object_set_new(status, "type", json_string("Token"));
		set_expiration(status, expires);
		status_condition(r, o, status, "Issued", CONDITION_TRUE, "Accepted",
				 "the token is accepted");
	} else {
		issue_certificate(r, o, tree, status, expires);
	}
	if (!was && condition_is_true(status, "Issued"))
		recorder_event(r->env.recorder, o, EVENT_NORMAL, REASON_CREDENTIAL_ISSUED,
			       "valid for user \"%s\" until %s", json_string_at(tree, "spec.user"),
			       json_string_at(status, "expirationTime"));
}

static int credential_reconcile(void *self, Context *ctx, const Key *key, Result *ret, Error *err)
{
	_cleanup_(object_unrefp) Object *o = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	Reconcilers *r = self;
	usec_t now = clock_wall(r->env.clock), expires;
	json_t *status;
	int rc = store_get(r->env.store, key, &o, err);

	if (rc == -ERR_NOT_FOUND)
		return error_ignore(err);
	if (rc < 0 || object_is_deleting(o))
		return rc;
	tree = object_decode_lean(o);
	expires = credential_expires(tree);
	if (now >= expires + KEEP_EXPIRED)
		return remove_expired(r, ctx, o, err);
	status = status_begin(tree);
	if (now >= expires)
		mark_expired(r, o, status, expires);
	else
		issue(r, o, tree, status, expires);
	json_object_set_new(status, "observedGeneration", json_integer(object_head(o)->generation));
	ret->requeue_after = (now >= expires ? expires + KEEP_EXPIRED : expires) - now;
	return status_write(r, ctx, o, tree, status, NULL, err);
}

ControllerSpec credential_controller(void)
{
	static const Trigger triggers[] = { { NULL } };

	return (ControllerSpec){ .name = "credential",
				 .gr = GR_CREDENTIAL,
				 .workers = 1,
				 .triggers = triggers,
				 .reconcile = credential_reconcile };
}
