/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authorizer: the one place where it is decided whether somebody may do something. See rbac.h.
 *
 * Roles are slots by name that exist as long as a binding names them or the role is there, so a
 * binding may come before its role and its rules are one pointer away. Bindings are found by
 * "namespace, subject": a decision costs one look-up per group of the user, twice. The store's
 * watches bring it up to date on the writer's thread; everything is decoded before the lock is
 * taken.
 */
#include <pthread.h>

#include "base/hashmap.h"
#include "server/internal.h"

typedef struct RoleSlot {
	char *key;      /* "namespace/name", "/name" of a ClusterRole */
	RuleSet *rules; /* NULL = there is no such role */
	size_t bindings;
} RoleSlot;

typedef struct Binding {
	char *namespace, *name; /* namespace "" = everywhere */
	char *role_kind, *role_name;
	char **subjects;  /* keys of by_subject */
	char **described; /* the same, for people: `User "alice"` */
	RoleSlot *role;
} Binding;

/* Bindings of one subject in one namespace. */
typedef struct Holder {
	Binding **items;
	size_t n, cap;
} Holder;

typedef enum RbacKind {
	RBAC_ROLE,
	RBAC_CLUSTER_ROLE,
	RBAC_BINDING,
	RBAC_CLUSTER_BINDING,
	_RBAC_MAX,
} RbacKind;

struct Authorizer {
	Watch *watches[_RBAC_MAX];
	pthread_mutex_t lock;
	Hashmap *roles;      /* key -> RoleSlot */
	Hashmap *bindings;   /* "namespace/name" -> Binding */
	Hashmap *by_subject; /* "namespace\nUalice", "\nGadmins" -> Holder */
};

/* ---- keys ---- */

static char *role_key(const char *namespace, const char *name)
{
	return xasprintf("%s/%s", namespace, name);
}

static void subject_key(StrBuf *out, const char *namespace, char type, const char *name)
{
	strbuf_reset(out);
	strbuf_adds(out, namespace);
	strbuf_addc(out, '\n');
	strbuf_addc(out, type);
	strbuf_adds(out, name);
}

/* ---- roles, under the lock ---- */

static void role_slot_free(void *p)
{
	RoleSlot *slot = p;

	rule_set_unref(slot->rules);
	free(slot->key);
	free(slot);
}

static RoleSlot *role_slot(Authorizer *a, const char *key)
{
	RoleSlot *slot = hashmap_get(a->roles, key);

	if (!slot) {
		slot = xnew0(RoleSlot, 1);
		slot->key = xstrdup(key);
		hashmap_put(a->roles, key, slot);
	}
	return slot;
}

static void role_slot_drop(Authorizer *a, RoleSlot *slot)
{
	if (!slot->rules && slot->bindings == 0)
		hashmap_remove(a->roles, slot->key);
}

static void role_set(Authorizer *a, const char *key, RuleSet *rules)
{
	RoleSlot *slot;

	pthread_mutex_lock(&a->lock);
	slot = role_slot(a, key);
	rule_set_unref(slot->rules);
	slot->rules = rules;
	role_slot_drop(a, slot);
	pthread_mutex_unlock(&a->lock);
}

/* ---- bindings ---- */

static void binding_free(void *p)
{
	Binding *b = p;

	if (!b)
		return;
	strv_free(b->described);
	strv_free(b->subjects);
	free(b->role_kind);
	free(b->role_name);
	free(b->namespace);
	free(b->name);
	free(b);
}

static void add_subject(Binding *b, const json_t *subject)
{
	const char *kind = json_string_at(subject, "kind"), *name = json_string_at(subject, "name");
	const char *namespace = json_string_at(subject, "namespace");
	_cleanup_(xfreep) char *account = NULL, *text = NULL;
	_cleanup_(strbuf_done) StrBuf key = STRBUF_INIT;

	if (!kind || !name)
		return;
	if (streq(kind, "ServiceAccount")) {
		if (str_is_empty(namespace))
		namespace = b->namespace;
		account = xasprintf("system:serviceaccount:%s:%s", namespace, name);
		text = xasprintf("ServiceAccount \"%s/%s\"", name, namespace);
	} else if (streq(kind, "User") || streq(kind, "Group")) {
		text = xasprintf("%s \"%s\"", kind, name);
	} else {
		return;
	}
	subject_key(&key, b->namespace, streq(kind, "Group") ? 'G' : 'U', account ? account : name);
	b->subjects = strv_append(b->subjects, strbuf_str(&key));
	b->described = strv_append(b->described, text);
}

static Binding *binding_new(const Key *key, const json_t *tree)
{
	const char *kind = json_string_at(tree, "roleRef.kind");
	const char *name = json_string_at(tree, "roleRef.name");
	Binding *b = xnew0(Binding, 1);
	json_t *subject;
	size_t i;

	b->namespace = xstrdup(key->namespace);
	b->name = xstrdup(key->name);
	b->role_kind = xstrdup(kind ? kind : "");
	b->role_name = xstrdup(name ? name : "");
	json_array_foreach (json_object_get(tree, "subjects"), i, subject)
		add_subject(b, subject);
	return b;
}

static void holder_free(void *p)
{
	Holder *h = p;

	free(h->items);
	free(h);
}

static void holder_add(Authorizer *a, const char *key, Binding *b)
{
	Holder *h = hashmap_get(a->by_subject, key);

	if (!h) {
		h = xnew0(Holder, 1);
		hashmap_put(a->by_subject, key, h);
	}
	GROW_ARRAY(h->items, h->n, h->cap);
	h->items[h->n++] = b;
}

static void holder_remove(Authorizer *a, const char *key, const Binding *b)
{
	Holder *h = hashmap_get(a->by_subject, key);
	size_t kept = 0;

	for (size_t i = 0; h && i < h->n; i++)
		if (h->items[i] != b)
			h->items[kept++] = h->items[i];
	if (!h)
		return;
	h->n = kept;
	if (kept == 0)
		hashmap_remove(a->by_subject, key);
}

/* b NULL = the binding is gone. Takes b over. */
static void binding_set(Authorizer *a, const Key *key, Binding *b)
{
	_cleanup_(xfreep) char *name = role_key(key->namespace, key->name);
	_cleanup_(xfreep) char *role = NULL;
	Binding *old;

	if (b)
		role = role_key(streq(b->role_kind, "Role") ? b->namespace : "", b->role_name);
	pthread_mutex_lock(&a->lock);
	old = hashmap_take(a->bindings, name);
	if (old) {
		strv_foreach (s, old->subjects)
			holder_remove(a, *s, old);
		old->role->bindings--;
		role_slot_drop(a, old->role);
	}
	if (b) {
		b->role = role_slot(a, role);
		b->role->bindings++;
		strv_foreach (s, b->subjects)
			holder_add(a, *s, b);
		hashmap_put(a->bindings, name, b);
	}
	pthread_mutex_unlock(&a->lock);
	binding_free(old);
}

/* ---- following the store ---- */

static bool is_binding(const Object *o)
{
	return strstr(object_key(o)->gr->resource, "bindings") != NULL;
}

/* gone: the object is its last state. */
static void learn(Authorizer *a, const Object *o, bool gone)
{
	_cleanup_(json_decrefp) json_t *tree = gone ? NULL : object_decode(o);
	const Key *key = object_key(o);

	if (is_binding(o)) {
		binding_set(a, key, gone ? NULL : binding_new(key, tree));
	} else {
		_cleanup_(xfreep) char *name = role_key(key->namespace, key->name);

		role_set(a, name, gone ? NULL : rule_set_new(json_object_get(tree, "rules")));
	}
}

static void on_change(void *arg, const WatchEvent *e)
{
	learn(arg, e->object, e->type == WATCH_DELETED);
}

static int follow(Authorizer *a, Store *store, const char *resource, Watch **ret, Error *err)
{
	const GroupResource *gr = group_resource(RBAC_GROUP, resource);
	_cleanup_(object_list_freep) ObjectList *list = NULL;
	int rc = store_list(store, &(ListOptions){ .gr = gr }, &list, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < list->n; i++)
		learn(a, list->items[i], false);
	return store_watch(store, gr, list->revision, on_change, a, ret, err);
}

int authorizer_new(Store *store, Authorizer **ret, Error *err)
{
	static const char *const resources[_RBAC_MAX] = {
		[RBAC_ROLE] = "roles",
		[RBAC_CLUSTER_ROLE] = "clusterroles",
		[RBAC_BINDING] = "rolebindings",
		[RBAC_CLUSTER_BINDING] = "clusterrolebindings",
	};
	_cleanup_(authorizer_freep) Authorizer *a = xnew0(Authorizer, 1);

	pthread_mutex_init(&a->lock, NULL);
	a->roles = hashmap_new(role_slot_free);
	a->bindings = hashmap_new(binding_free);
	a->by_subject = hashmap_new(holder_free);
	for (size_t i = 0; i < _RBAC_MAX; i++) {
		int rc = follow(a, store, resources[i], &a->watches[i], err);

		if (rc < 0)
			return error_wrap_rc(err, rc, "read %s", resources[i]);
	}
	*ret = TAKE_PTR(a);
	return 0;
}

Authorizer *authorizer_free(Authorizer *a)
{
	if (!a)
		return NULL;
	for (size_t i = 0; i < _RBAC_MAX; i++)
		if (a->watches[i])
			watch_close(a->watches[i]);
	hashmap_free(a->by_subject);
	hashmap_free(a->bindings);
	hashmap_free(a->roles);
	pthread_mutex_destroy(&a->lock);
	free(a);
	return NULL;
}

/* ---- asking ---- */

/* False = enough. subject is its index in the binding. */
typedef bool (*VisitFn)(void *arg, const Binding *b, size_t subject);

static bool visit_holder(Authorizer *a, const char *key, VisitFn fn, void *arg)
{
	const Holder *h = hashmap_get(a->by_subject, key);

	for (size_t i = 0; h && i < h->n; i++) {
		const Binding *b = h->items[i];
		size_t s = 0;

		while (!streq(b->subjects[s], key))
			s++;
		if (!fn(arg, b, s))
			return false;
	}
	return true;
}

/* All that is bound to somebody: first everywhere, then in the namespace. Under the lock. */
static void visit(Authorizer *a, const Identity *who, const char *namespace, VisitFn fn, void *arg)
{
	const char *const scopes[] = { "", namespace };
	_cleanup_(strbuf_done) StrBuf key = STRBUF_INIT;

	for (size_t i = 0; i < (str_is_empty(namespace) ? 1u : 2u); i++) {
		subject_key(&key, scopes[i], 'U', who->name);
		if (!visit_holder(a, strbuf_str(&key), fn, arg))
			return;
		strv_foreach (group, who->groups) {
			subject_key(&key, scopes[i], 'G', *group);
			if (!visit_holder(a, strbuf_str(&key), fn, arg))
				return;
		}
	}
}

/* `clusterrole.rbac.authorization.k8s.io "x" not found`, each once. */
static void add_problem(char ***problems, const Binding *b)
{
	_cleanup_(xfreep) char *text =
		xasprintf("%s." RBAC_GROUP " \"%s\" not found",
			  streq(b->role_kind, "Role") ? "role" : "clusterrole", b->role_name);

	if (strv_len(*problems) < 10 && !strv_contains(*problems, text))
		*problems = strv_append(*problems, text);
}

/* One as it is, several as Kubernetes lists them: "[a, b]". */
static void tell_problems(StrBuf *out, char *const *problems, const char *prefix)
{
	_cleanup_(xfreep) char *text = NULL;

	if (!out || !problems || !*problems)
		return;
	text = strv_join(problems, ", ");
	strbuf_addf(out, problems[1] ? "%s[%s]" : "%s%s", prefix, text);
}

typedef struct Question {
	const AccessRequest *request;
	bool allowed;
	StrBuf *reason;
	char **problems;
} Question;

static bool ask_binding(void *arg, const Binding *b, size_t subject)
{
	const RuleSet *rules = b->role->rules;
	Question *q = arg;

	if (!rules) {
		if (q->reason)
			add_problem(&q->problems, b);
		return true;
	}
	for (size_t i = 0; i < rules->n && !q->allowed; i++)
		q->allowed = rule_allows(&rules->rules[i], q->request);
	if (q->allowed && q->reason)
		strbuf_addf(q->reason,
			    "RBAC: allowed by %sRoleBinding \"%s%s%s\" of %s \"%s\" to %s",
			    *b->namespace ? "" : "Cluster", b->name, *b->namespace ? "/" : "",
			    b->namespace, b->role_kind, b->role_name, b->described[subject]);
	return !q->allowed;
}

bool authorizer_allows(Authorizer *a, const AccessRequest *r, StrBuf *reason)
{
	Question q = { .request = r, .reason = reason };

	if (r->who->masters)
		return true;
	pthread_mutex_lock(&a->lock);
	visit(a, r->who, r->path ? NULL : r->namespace, ask_binding, &q);
	pthread_mutex_unlock(&a->lock);
	if (!q.allowed)
		tell_problems(reason, q.problems, "RBAC: ");
	strv_free(q.problems);
	return q.allowed;
}

typedef struct Collection {
	RuleSets *sets;
	char **problems;
} Collection;

static bool collect_binding(void *arg, const Binding *b, size_t subject _unused_)
{
	Collection *c = arg;

	if (!b->role->rules) {
		add_problem(&c->problems, b);
		return true;
	}
	GROW_ARRAY(c->sets->items, c->sets->n, c->sets->cap);
	c->sets->items[c->sets->n++] = rule_set_ref(b->role->rules);
	return true;
}

void authorizer_rules(Authorizer *a, const Identity *who, const char *namespace, RuleSets *ret,
		      StrBuf *problem)
{
	Collection c = { .sets = ret };

	pthread_mutex_lock(&a->lock);
	visit(a, who, namespace, collect_binding, &c);
	pthread_mutex_unlock(&a->lock);
	tell_problems(problem, c.problems, "");
	strv_free(c.problems);
}

RuleSet *authorizer_role(Authorizer *a, const char *namespace, const char *name)
{
	_cleanup_(xfreep) char *key = role_key(namespace ? namespace : "", name);
	const RoleSlot *slot;
	RuleSet *rules;

	pthread_mutex_lock(&a->lock);
	slot = hashmap_get(a->roles, key);
	rules = slot ? rule_set_ref(slot->rules) : NULL;
	pthread_mutex_unlock(&a->lock);
	return rules;
}

static bool is_bound_himself(void *arg, const Binding *b, size_t subject)
{
	bool *found = arg;

	*found = !str_has_suffix(b->subjects[subject], "\nG" GROUP_AUTHENTICATED);
	return !*found;
}

bool authorizer_knows(Authorizer *a, const Identity *who, const char *namespace)
{
	bool found = false;

	pthread_mutex_lock(&a->lock);
	visit(a, who, namespace, is_bound_himself, &found);
	pthread_mutex_unlock(&a->lock);
	return found;
}
