/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cluster-info controller: where the API is reached over TLS and by which CA it is known, told as
 * kubeadm tells it, in the ConfigMap kube-public/cluster-info. sfctl kubeconfig reads it. Only
 * where there is a TLS listener; whatever others write into it is put right. Only the store.
 */
#include "base/base64.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "reconcile/internal.h"
#include "yaml/yaml.h"

#define PUBLIC_NAMESPACE "kube-public"
#define INFO_NAME        "cluster-info"

/* A kubeconfig with a cluster and nobody in it. */
static json_t *info_data(const Reconcilers *r)
{
	const char *ca = authority_ca(r->env.authority);
	_cleanup_(xfreep) char *encoded = base64_encode(ca, strlen(ca));
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	_cleanup_(json_decrefp) json_t *config = json_pack(
		"{s:s, s:s, s:[{s:s, s:{s:s, s:s}}], s:[], s:s, s:[]}", "apiVersion", "v1", "kind",
		"Config", "clusters", "name", "", "cluster", "server", r->env.endpoint,
		"certificate-authority-data", encoded, "contexts", "current-context", "", "users");

	yaml_emit(config, &text);
	return json_pack("{s:s}", "kubeconfig", strbuf_str(&text));
}

static int make_namespace(Reconcilers *r, Context *ctx, Error *err)
{
	Key key = key_make(GR_NAMESPACE, "", PUBLIC_NAMESPACE);
	_cleanup_(json_decrefp) json_t *tree =
		json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Namespace",
			  "metadata", "name", PUBLIC_NAMESPACE);
	_cleanup_(txn_freep) Txn *t = txn_new();

	if (store_exists(r->env.store, &key))
		return 0;
	txn_create(t, &key, tree, false);
	return FAIL_POINT_AROUND("cluster-info.namespace",
				 store_commit(r->env.store, ctx, t, NULL, err));
}

static int write_info(Reconcilers *r, Context *ctx, const Key *key, const Object *old, Error *err)
{
	_cleanup_(json_decrefp) json_t *data = info_data(r), *tree = NULL;
	_cleanup_(txn_freep) Txn *t = txn_new();

	if (old) {
		tree = object_decode_lean(old);
		if (json_same(json_object_get(tree, "data"), data))
			return 0;
		json_object_set(tree, "data", data);
		txn_update(t, old, tree);
	} else {
		tree = json_pack("{s:s, s:s, s:{s:s, s:s}, s:O}", "apiVersion", "v1", "kind",
				 "ConfigMap", "metadata", "name", key->name, "namespace",
				 key->namespace, "data", data);
		txn_create(t, key, tree, false);
	}
	return FAIL_POINT_AROUND("cluster-info.write",
				 store_commit(r->env.store, ctx, t, NULL, err));
}

static int info_reconcile(void *self, Context *ctx, const Key *key, Result *ret _unused_,
			  Error *err)
{
	_cleanup_(object_unrefp) Object *o = NULL;
	Reconcilers *r = self;
	int rc;

	if (!r->env.endpoint || !streq(key->namespace, PUBLIC_NAMESPACE) ||
	    !streq(key->name, INFO_NAME))
		return 0;
	rc = store_get(r->env.store, key, &o, err);
	if (rc == -ERR_NOT_FOUND) {
		error_ignore(err);
		rc = make_namespace(r, ctx, err);
	}
	if (rc == 0)
		rc = write_info(r, ctx, key, o, err);
	return error_wrap_rc(err, rc, "publish " PUBLIC_NAMESPACE "/" INFO_NAME);
}

void cluster_info_enqueue(Reconcilers *r)
{
	Key key = key_make(GR_CONFIGMAP, PUBLIC_NAMESPACE, INFO_NAME);

	manager_enqueue(r->env.manager, &key);
}

ControllerSpec cluster_info_controller(void)
{
	static const Trigger triggers[] = { { NULL } };

	return (ControllerSpec){ .name = "cluster-info",
				 .gr = GR_CONFIGMAP,
				 .workers = 1,
				 .triggers = triggers,
				 .reconcile = info_reconcile };
}
