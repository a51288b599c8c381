/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers every controller with the manager, and turns the ports' events into keys. A port's
 * event runs on that port's own thread and only enqueues. See reconcile.h.
 */
#include "reconcile/reconcile.h"

#include "base/memory.h"
#include "reconcile/internal.h"

static const struct {
	const char *name;
	ControllerSpec (*spec)(void);
} controllers[] = {
	{"namespace",     namespace_controller   },
	{ "definition",   definition_controller  },
	{ "owner",        owner_controller       },
	{ "quota",        quota_controller       },
	{ "event",        event_controller       },
	{ "node",         node_controller        },
	{ "image",        image_controller       },
	{ "network",      network_controller     },
	{ "instance",     instance_controller    },
	{ "credential",   credential_controller  },
	{ "cluster-info", cluster_info_controller},
	{ "clusterrole",  cluster_role_controller},
};

static bool controller_is_wanted(char *const *list, const char *name)
{
	return strv_contains(list, "all") || strv_contains(list, name);
}

static int check_list(char *const *list, Error *err)
{
	strv_foreach (name, list) {
		size_t i;

		for (i = 0; i < ARRAY_SIZE(controllers) && !streq(controllers[i].name, *name); i++)
			;
		if (i == ARRAY_SIZE(controllers) && !streq(*name, "all") && !streq(*name, "none"))
			return error_set(
				err, ERR_INVALID,
				"there is no controller \"%s\": choose all, none, or a "
				"list of namespace, definition, owner, quota, event, "
				"node, image, network, instance, credential, cluster-info, "
				"clusterrole",
				*name);
	}
	return 0;
}

/* ---- events of the ports ---- */

static void enqueue_node(Reconcilers *r)
{
	Key key = key_make(GR_NODE, "", r->env.node_name);

	manager_enqueue(r->env.manager, &key);
}

/* A domain is <namespace>.<instance>; neither part holds a dot. */
static void on_domain(void *arg, const char *name)
{
	char namespace[KEY_NAMESPACE_MAX];
	const char *dot = name ? strchr(name, '.') : NULL;
	Reconcilers *r = arg;
	Key key;

	if (!name) {
		manager_resync(r->env.manager, GR_INSTANCE);
		enqueue_node(r);
		return;
	}
	if (!dot || (size_t)(dot - name) >= sizeof(namespace) || strlen(dot + 1) >= KEY_NAME_MAX)
		return;
	snprintf(namespace, sizeof(namespace), "%.*s", (int)(dot - name), name);
	key = key_make(GR_INSTANCE, namespace, dot + 1);
	if (store_exists(r->env.store, &key))
		manager_enqueue(r->env.manager, &key);
}

/* The object of that kind and uid; events are rare and these kinds few, so a look through the list
 * is enough. */
static void enqueue_uid(Reconcilers *r, const GroupResource *gr, const char *uid)
{
	_cleanup_(object_list_freep) ObjectList *list = NULL;

	if (store_list(r->env.store, &(ListOptions){ .gr = gr }, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < list->n; i++)
		if (streq(object_head(list->items[i])->uid, uid))
			manager_enqueue(r->env.manager, object_key(list->items[i]));
}

static void on_network(void *arg, const char *uid, const char *what _unused_)
{
	_cleanup_(xfreep) char *address = NULL;
	Reconcilers *r = arg;

	if (!uid) {
		manager_resync(r->env.manager, GR_NETWORK);
		return;
	}
	enqueue_uid(r, GR_NETWORK, uid);
	address = xasprintf("address/%s", uid);
	waitlist_wake(r->waits, address, r->env.manager);
}

static void on_image(void *arg, const char *uid)
{
	Reconcilers *r = arg;

	if (uid)
		enqueue_uid(r, GR_IMAGE, uid);
	else
		manager_resync(r->env.manager, GR_IMAGE);
}

/* ---- life cycle ---- */

int reconcilers_new(const ReconcileEnv *env, const char *list, Reconcilers **ret, Error *err)
{
	_cleanup_(strv_freep) char **names = strv_split(list, ',');
	Reconcilers *r;
	int rc = check_list(names, err);

	if (rc < 0)
		return rc;
	r = xnew0(Reconcilers, 1);
	r->env = *env;
	r->waits = waitlist_new();
	r->census = census_new(env->changed, env->changed_arg);
	r->busy = busy_new();
	r->gone = gone_new();
	r->stops = hashmap_new(free);
	pthread_mutex_init(&r->stops_lock, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
		ControllerSpec spec = controllers[i].spec();

		if (controller_is_wanted(names, controllers[i].name))
			manager_add(env->manager, &spec, r);
	}
	env->hypervisor->ops->subscribe(env->hypervisor, on_domain, r);
	env->network->ops->subscribe(env->network, on_network, r);
	env->images->ops->subscribe(env->images, on_image, r);
	enqueue_node(r); /* it registers itself: there may be no object yet */
	cluster_info_enqueue(r);
	*ret = r;
	return 0;
}

Reconcilers *reconcilers_free(Reconcilers *r)
{
	if (!r)
		return NULL;
	waitlist_free(r->waits);
	census_free(r->census);
	busy_free(r->busy);
	gone_free(r->gone);
	hashmap_free(r->stops);
	pthread_mutex_destroy(&r->stops_lock);
	free(r);
	return NULL;
}

void reconcilers_summary(Reconcilers *r, char *buf, size_t size)
{
	census_summary(r->census, buf, size);
}
