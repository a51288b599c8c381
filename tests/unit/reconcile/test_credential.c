/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials: signed, accepted, expired, removed a week later; of a CA that was replaced; and the
 * ConfigMap that says where the API is. On a fake clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/condition.h"
#include "base/fs.h"
#include "base/memory.h"
#include "tests/lib/world.h"
#include "json/json.h"

#define DAY      (24 * 3600)
#define ENDPOINT "https://192.0.2.7:6443"

typedef struct Cluster {
	World *w;
	Authority *ca;
	char dir[64];
} Cluster;

static Authority *open_ca(Cluster *c)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *dir = xasprintf("%s/pki", c->dir);
	Authority *ca;

	if (authority_open(&(AuthorityOptions){ .dir = dir, .clock = c->w->clock }, &ca, &err) < 0)
		fail_msg("%s", error_message(&err));
	return ca;
}

static int setup(void **state)
{
	Cluster *c = xnew0(Cluster, 1);

	memcpy(c->dir, "/tmp/credential-XXXXXX", sizeof("/tmp/credential-XXXXXX"));
	assert_non_null(mkdtemp(c->dir));
	c->w = world_new();
	c->ca = c->w->authority = open_ca(c);
	c->w->endpoint = ENDPOINT;
	world_restart(c->w);
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	Cluster *c = *state;

	world_free(c->w);
	authority_free(c->ca);
	assert_int_equal(fs_remove_tree(c->dir, NULL), 0);
	free(c);
	return 0;
}

static Key credential_key(const char *name)
{
	return key_make(GR_CREDENTIAL, "", name);
}

static json_t *get(Cluster *c, const Key *key)
{
	_cleanup_(object_unrefp) Object *o = NULL;

	return store_get(c->w->store, key, &o, NULL) < 0 ? NULL : object_decode(o);
}

static json_t *credential(Cluster *c, const char *name)
{
	Key key = credential_key(name);

	return get(c, &key);
}

static void create(Cluster *c, const char *name, const char *field, const char *proof,
		   int64_t seconds)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(txn_freep) Txn *t = txn_new();
	Context ctx = CONTEXT_BACKGROUND;
	Key key = credential_key(name);
	_cleanup_(json_decrefp) json_t *tree =
		json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:[s], s:s, s:I}}", "apiVersion",
			  "shakenfist.io/v1alpha1", "kind", "Credential", "metadata", "name", name,
			  "spec", "user", name, "groups", "ops", field, proof, "expirationSeconds",
			  (json_int_t)seconds);

	txn_create(t, &key, tree, false);
	if (store_commit(c->w->store, &ctx, t, NULL, &err) < 0)
		fail_msg("%s", error_message(&err));
	world_settle(c->w);
}

static void create_request(Cluster *c, const char *name, int64_t seconds)
{
	_cleanup_(pki_secret_freep) char *key = pki_key_new();
	_cleanup_(xfreep) char *request = NULL;

	assert_int_equal(pki_request_new(key, name, NULL, &request, NULL), 0);
	create(c, name, "request", request, seconds);
}

static void condition_is(Cluster *c, const char *name, const char *type, const char *status,
			 const char *reason)
{
	_cleanup_(json_decrefp) json_t *tree = credential(c, name);
	const json_t *condition = condition_find(json_object_get(tree, "status"), type);

	assert_non_null(condition);
	assert_string_equal(json_string_at(condition, "status"), status);
	assert_string_equal(json_string_at(condition, "reason"), reason);
}

static void pass(Cluster *c, uint64_t seconds)
{
	fake_clock_advance(c->w->clock, seconds * USEC_PER_SEC);
	world_settle(c->w);
}

static void a_request_is_signed_once(void **state)
{
	Cluster *c = *state;
	_cleanup_(json_decrefp) json_t *tree = NULL, *again = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;
	PkiCertificate cert;

	create_request(c, "alice", DAY);
	condition_is(c, "alice", "Issued", "True", "Signed");
	tree = credential(c, "alice");
	assert_int_equal(
		pki_certificate_read(json_string_at(tree, "status.certificate"), &cert, &err), 0);
	assert_string_equal(cert.user, "alice");
	assert_string_equal(cert.groups[0], "ops");
	assert_true(cert.for_client && !cert.for_server && !cert.is_ca);
	assert_string_equal(json_string_at(tree, "status.serialNumber"), cert.serial);
	assert_string_equal(json_string_at(tree, "status.type"), "Certificate");
	pki_certificate_done(&cert);
	/* Looking again signs nothing again. */
	manager_resync(c->w->manager, NULL);
	world_settle(c->w);
	again = credential(c, "alice");
	assert_true(json_equal(tree, again));
}

static void a_token_is_only_acknowledged(void **state)
{
	Cluster *c = *state;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	char hash[BEARER_HASH_MAX];

	create(c, "ci", "tokenHash", bearer_hash("sfp_x", hash), DAY);
	condition_is(c, "ci", "Issued", "True", "Accepted");
	tree = credential(c, "ci");
	assert_string_equal(json_string_at(tree, "status.type"), "Token");
	assert_null(json_string_at(tree, "status.certificate"));
	assert_non_null(json_string_at(tree, "status.expirationTime"));
}

static void what_expired_goes_after_a_week(void **state)
{
	Cluster *c = *state;
	_cleanup_(json_decrefp) json_t *gone = NULL;

	create_request(c, "alice", DAY);
	pass(c, DAY - 10);
	condition_is(c, "alice", "Issued", "True", "Signed");
	pass(c, 20);
	condition_is(c, "alice", "Issued", "False", "Expired");
	condition_is(c, "alice", "Expired", "True", "Expired");
	pass(c, 7 * DAY - 60);
	condition_is(c, "alice", "Expired", "True", "Expired");
	pass(c, 120);
	gone = credential(c, "alice");
	assert_null(gone);
}

static void another_ca_is_noticed(void **state)
{
	Cluster *c = *state;
	_cleanup_(xfreep) char *dir = xasprintf("%s/pki", c->dir);

	Authority *old = c->ca;

	create_request(c, "alice", DAY);
	assert_int_equal(fs_remove_tree(dir, NULL), 0);
	c->ca = c->w->authority = open_ca(c);
	world_restart(c->w);
	authority_free(old);
	condition_is(c, "alice", "Issued", "False", "CAReplaced");
	create_request(c, "bob", DAY);
	condition_is(c, "bob", "Issued", "True", "Signed");
}

static void where_the_api_is(void **state)
{
	Cluster *c = *state;
	Key key = key_make(GR_CONFIGMAP, "kube-public", "cluster-info");
	_cleanup_(object_unrefp) Object *o = NULL;
	_cleanup_(txn_freep) Txn *t = txn_new();
	_cleanup_(json_decrefp) json_t *info = get(c, &key), *spoiled = NULL, *mended = NULL;
	Context ctx = CONTEXT_BACKGROUND;
	const char *text = json_string_at(info, "data.kubeconfig");

	assert_non_null(text);
	assert_non_null(strstr(text, "server: " ENDPOINT));
	assert_non_null(strstr(text, "certificate-authority-data: LS0t"));
	/* Whatever others write there. */
	assert_int_equal(store_get(c->w->store, &key, &o, NULL), 0);
	spoiled = json_deep_copy(info);
	json_set_at(spoiled, "data.kubeconfig", json_string("server: https://evil"));
	txn_update(t, o, spoiled);
	assert_int_equal(store_commit(c->w->store, &ctx, t, NULL, NULL), 0);
	world_settle(c->w);
	mended = get(c, &key);
	assert_string_equal(json_string_at(mended, "data.kubeconfig"), text);
}

static void without_a_listener_nothing_is_signed(void **state)
{
	Cluster *c = *state;
	Key key = key_make(GR_CONFIGMAP, "kube-public", "cluster-info");

	world_free(c->w);
	c->w = world_new();
	world_restart(c->w);
	create_request(c, "alice", DAY);
	condition_is(c, "alice", "Issued", "False", "NoTLSListener");
	assert_false(store_exists(c->w->store, &key));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_signed_once),
		TEST(a_token_is_only_acknowledged),
		TEST(what_expired_goes_after_a_week),
		TEST(another_ca_is_noticed),
		TEST(where_the_api_is),
		TEST(without_a_listener_nothing_is_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
