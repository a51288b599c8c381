/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Txn: a list of wishes; and job_new(), which turns them into changes with preconditions on the
 * committer's thread, so that the writer only compares revisions and appends.
 */
#include "api/definition.h"
#include "api/managed.h"
#include "base/memory.h"
#include "store/store_internal.h"
#include "json/json.h"

typedef enum OpType {
	OP_CREATE,
	OP_UPDATE,
	OP_STATUS,
	OP_DELETE,
	OP_FINALIZE,
	OP_NAMESPACE_FINALIZE,
	OP_RECORD,
	OP_REQUIRE,
	OP_NAMESPACE,
	OP_ACTIVE,
} OpType;

typedef struct Op {
	OpType type;
	Key key;
	Object *base;
	json_t *tree; /* a copy of the caller's; NULL of a record = delete it */
	bool with_status, with_managed;
	char *manager;      /* NULL = managedFields are the tree's */
	char *text, *text2; /* finalizer; propagation and uid */
	int64_t number, rev;
} Op;

struct Txn {
	Op *ops;
	size_t n, cap;
	bool publishes;
	char *manager;
};

Txn *txn_new(void)
{
	return xnew0(Txn, 1);
}

Txn *txn_free(Txn *t)
{
	if (!t)
		return NULL;
	for (size_t i = 0; i < t->n; i++) {
		Op *op = &t->ops[i];

		if (op->base)
			object_unref(op->base);
		json_decref(op->tree);
		free(op->manager);
		free(op->text);
		free(op->text2);
	}
	free(t->manager);
	free(t->ops);
	free(t);
	return NULL;
}

void txn_publish(Txn *t)
{
	t->publishes = true;
}

bool txn_is_empty(const Txn *t)
{
	return t->n == 0;
}

static Op *op_add(Txn *t, OpType type, const Key *key)
{
	GROW_ARRAY(t->ops, t->n, t->cap);
	t->ops[t->n] = (Op){ .type = type, .manager = xstrdup(t->manager) };
	if (key)
		t->ops[t->n].key = *key;
	return &t->ops[t->n++];
}

static Op *op_add_object(Txn *t, OpType type, const Object *base)
{
	Op *op = op_add(t, type, object_key(base));

	op->base = object_ref((Object *)base);
	return op;
}

void txn_create(Txn *t, const Key *key, const json_t *tree, bool with_status)
{
	Op *op = op_add(t, OP_CREATE, key);

	op->tree = json_deep_copy(tree);
	op->with_status = with_status;
}

void txn_update(Txn *t, const Object *base, const json_t *tree)
{
	op_add_object(t, OP_UPDATE, base)->tree = json_deep_copy(tree);
}

void txn_update_status(Txn *t, const Object *base, const json_t *status)
{
	op_add_object(t, OP_STATUS, base)->tree = status ? json_deep_copy(status) : NULL;
}

void txn_create_take(Txn *t, const Key *key, json_t *tree, bool with_status)
{
	Op *op = op_add(t, OP_CREATE, key);

	op->tree = tree;
	op->with_status = with_status;
}

void txn_update_take(Txn *t, const Object *base, json_t *tree)
{
	op_add_object(t, OP_UPDATE, base)->tree = tree;
}

void txn_update_status_take(Txn *t, const Object *base, json_t *tree)
{
	Op *op = op_add_object(t, OP_STATUS, base);

	op->tree = tree;
	op->with_managed = true;
}

void txn_set_manager(Txn *t, const char *manager)
{
	free(t->manager);
	t->manager = xstrdup(manager);
}

void txn_delete(Txn *t, const Object *base, const DeleteOptions *options)
{
	Op *op = op_add_object(t, OP_DELETE, base);

	op->number = options ? options->grace_period_seconds : -1;
	op->rev = options ? options->revision : 0;
	op->text = xstrdup(options ? options->propagation : NULL);
	op->text2 = xstrdup(options ? options->uid : NULL);
}

void txn_finalize(Txn *t, const Object *base, const char *finalizer)
{
	op_add_object(t, OP_FINALIZE, base)->text = xstrdup(finalizer);
}

void txn_namespace_finalize(Txn *t, const Object *base)
{
	op_add_object(t, OP_NAMESPACE_FINALIZE, base);
}

void txn_record_put(Txn *t, const Key *key, const json_t *body, int64_t expected_rev)
{
	Op *op = op_add(t, OP_RECORD, key);

	assert(gr_is_internal(key->gr));
	op->tree = json_deep_copy(body);
	op->rev = expected_rev;
}

void txn_record_delete(Txn *t, const Key *key, int64_t expected_rev)
{
	assert(gr_is_internal(key->gr));
	op_add(t, OP_RECORD, key)->rev = expected_rev;
}

void txn_require(Txn *t, const Key *key, int64_t rev)
{
	op_add(t, OP_REQUIRE, key)->rev = rev;
}

void txn_require_namespace_active(Txn *t, const char *namespace)
{
	Key key = key_make(GR_NAMESPACE, "", namespace);

	op_add(t, OP_NAMESPACE, &key);
}

void txn_require_active(Txn *t, const Object *o)
{
	op_add_object(t, OP_ACTIVE, o);
}

void txn_result_done(TxnResult *r)
{
	for (size_t i = 0; i < r->n_objects; i++)
		object_unref(r->objects[i]);
	free(r->objects);
	*r = (TxnResult){ 0 };
}

/* ---- jobs ---- */

static void change_done(Change *c)
{
	if (c->base)
		object_unref(c->base);
	if (c->next)
		object_unref(c->next);
	if (c->kind)
		kind_unref(c->kind);
	if (c->defines)
		kind_unref(c->defines);
	json_decref(c->tree);
	free(c->datum);
}

void job_forget_records(Job *job)
{
	for (size_t i = 0; i < job->n_records; i++)
		free(job->heads[i]);
	free(job->preconditions);
	free(job->records);
	free(job->record_change);
	free(job->heads);
	job->preconditions = NULL;
	job->records = NULL;
	job->record_change = NULL;
	job->heads = NULL;
	job->n_records = 0;
}

void job_free(Job *job)
{
	for (size_t i = 0; i < job->n_changes; i++)
		change_done(&job->changes[i]);
	job_forget_records(job);
	txn_result_done(&job->result);
	error_done(&job->err);
	pthread_cond_destroy(&job->cond);
	free(job->changes);
	free(job->operations);
	free(job->requires);
	free(job->guards);
	free(job);
}

Job *job_unref(Job *job)
{
	if (--job->refs == 0)
		job_free(job);
	return NULL;
}

static Change *change_find(Job *job, const Key *key)
{
	for (size_t i = 0; i < job->n_changes; i++)
		if (key_equal(&job->changes[i].key, key))
			return &job->changes[i];
	return NULL;
}

static Change *change_add(Job *job, const Key *key)
{
	GROW_ARRAY(job->changes, job->n_changes, job->cap_changes);
	job->changes[job->n_changes] = (Change){ .key = *key };
	return &job->changes[job->n_changes++];
}

static int bad_mix(const Key *key, const char *why, Error *err)
{
	char buf[KEY_TEXT_MAX];

	return error_set(err, ERR_INVALID, "%s: %s", key_format(key, buf, sizeof(buf)), why);
}

static int conflict(const Key *key, const char *why, Error *err)
{
	char buf[512];

	return error_set(err, ERR_CONFLICT, "Operation cannot be fulfilled on %s \"%s\": %s",
			 group_resource_format(key->gr, buf, sizeof(buf)), key->name, why);
}

#define MODIFIED \
	"the object has been modified; please apply your changes to the latest version and try " \
	"again"

static Guard *guard_add(Job *job, const Key *key, const Key *about)
{
	GROW_ARRAY(job->guards, job->n_guards, job->cap_guards);
	job->guards[job->n_guards] = (Guard){ .key = *key, .about = *about };
	return &job->guards[job->n_guards++];
}

/* What must be there for a new object: its namespace, and the definition of its kind. */
static void guard_create(Job *job, const Key *key, const Kind *kind)
{
	if (*key->namespace) {
		Key ns = key_make(GR_NAMESPACE, "", key->namespace);

		guard_add(job, &ns, key);
	}
	if (kind && !kind->builtin) {
		Key crd = kinds_definition_key(kind);

		guard_add(job, &crd, key);
	}
}

/* Says in managedFields who made `tree` of `old` (NULL = nothing). */
static void attribute(Store *s, const Op *op, const Kind *kind, const json_t *old, json_t *tree)
{
	char now[TIMESTAMP_MAX];
	FieldWriter w = { .kind = kind,
			  .manager = op->manager,
			  .subresource = op->type == OP_STATUS ? "status" : NULL,
			  .now = timestamp_format(clock_wall(s->clock), now) };

	if (op->manager && kind)
		managed_update(&w, old, tree);
}

static int op_create(Store *s, Job *job, const Op *op, Change *c, Error *err)
{
	int rc;

	if (s->kinds && !c->kind)
		return error_set(err, ERR_NOT_FOUND,
				 "the server could not find the requested resource");
	c->created = true;
	c->tree = json_incref(op->tree); /* the Txn's own copy; a second commit sets it anew */
	c->outcome = OUTCOME_CHANGED;
	if (c->kind)
		kind_convert(c->kind, c->tree);
	attribute(s, op, c->kind, NULL, c->tree);
	rc = rules_create(c->kind, &op->key, c->tree, op->with_status, clock_wall(s->clock), err);
	if (rc == 0)
		guard_create(job, &op->key, c->kind);
	return rc;
}

/* A definition takes its objects along: it stays until its controller has seen them go. */
static void delete_definition(Store *s, Job *job, Change *c)
{
	const GroupResource *gr = kinds_resource(c->key.name);

	if (!gr || object_is_deleting(c->base))
		return;
	if (store_count(s, gr, NULL) > 0)
		definition_terminate(c->tree, clock_wall(s->clock));
	else
		job->must_be_empty = gr;
}

static int op_delete(Store *s, Job *job, const Op *op, Change *c, Error *err)
{
	const ObjectHead *head = object_head(c->base);
	char why[256];

	if (op->text2 && !streq(op->text2, head->uid)) {
		snprintf(why, sizeof(why),
			 "the UID in the precondition (%.64s) does not match the UID in record "
			 "(%s). The object might have been deleted and then recreated",
			 op->text2, head->uid);
		return conflict(&op->key, why, err);
	}
	if (op->rev && op->rev != object_revision(c->base)) {
		snprintf(why, sizeof(why),
			 "the ResourceVersion in the precondition (%lld) does not match the "
			 "ResourceVersion in record (%lld). The object might have been modified",
			 (long long)op->rev, (long long)object_revision(c->base));
		return conflict(&op->key, why, err);
	}
	if (op->key.gr == GR_CRD)
		delete_definition(s, job, c);
	return rules_delete(&op->key, c->tree, op->number, op->text, clock_wall(s->clock));
}

static int op_update(Store *s, const Op *op, Change *c, Error *err)
{
	json_t *tree = json_incref(op->tree);
	int rc;

	if (c->kind)
		kind_convert(c->kind, tree);
	object_tree_lean(tree);
	rc = rules_update(c->kind, &op->key, c->tree, tree, err);
	if (rc == OUTCOME_CHANGED)
		attribute(s, op, c->kind, c->tree, tree);
	json_decref(c->tree);
	c->tree = tree;
	return rc;
}

static int op_status(Store *s, const Op *op, Change *c)
{
	_cleanup_(json_decrefp) json_t *old = json_copy(c->tree);
	int rc;

	if (op->with_managed) {
		object_tree_lean(op->tree);
		return rules_status_of(c->tree, op->tree);
	}
	rc = rules_status(c->tree, op->tree);
	if (rc == OUTCOME_CHANGED)
		attribute(s, op, c->kind, old, c->tree);
	return rc;
}

/* The operation on c->tree. < 0, or an Outcome. */
static int op_run(Store *s, Job *job, const Op *op, Change *c, Error *err)
{
	switch (op->type) {
	case OP_UPDATE:
		return op_update(s, op, c, err);
	case OP_STATUS:
		return op_status(s, op, c);
	case OP_DELETE:
		return op_delete(s, job, op, c, err);
	case OP_FINALIZE:
		return rules_finalize(&op->key, c->tree, op->text);
	default:
		return rules_namespace_finalize(&op->key, c->tree);
	}
}

static int op_object(Store *s, Job *job, const Op *op, Error *err)
{
	Change *c = change_find(job, &op->key);
	int rc;

	if (c && (c->created || op->type == OP_CREATE))
		return bad_mix(&op->key, "a create stands alone in its transaction", err);
	if (c && object_revision(c->base) != object_revision(op->base))
		return bad_mix(&op->key, "operations on different revisions", err);
	if (c && c->outcome == OUTCOME_REMOVED)
		return bad_mix(&op->key, "it is removed in the same transaction", err);
	if (!c) {
		c = change_add(job, &op->key);
		c->kind = s->kinds ? kind_registry_find(s->kinds, op->key.gr) : NULL;
		if (op->base) {
			c->base = object_ref(op->base);
			c->tree = object_decode_lean(op->base);
		}
	}
	GROW_ARRAY(job->operations, job->n_operations, job->cap_operations);
	job->operations[job->n_operations++] = (size_t)(c - job->changes);
	if (op->type == OP_CREATE)
		return op_create(s, job, op, c, err);
	rc = op_run(s, job, op, c, err);
	if (rc < 0)
		return rc;
	c->outcome = MAX(c->outcome, (Outcome)rc);
	if (op->type != OP_STATUS)
		job->removed = rc == OUTCOME_REMOVED;
	return 0;
}

static int op_record(Job *job, const Op *op, Error *err)
{
	Change *c;

	if (change_find(job, &op->key))
		return bad_mix(&op->key, "written twice in one transaction", err);
	c = change_add(job, &op->key);
	c->expected = op->rev;
	c->datum = op->tree ? json_text(op->tree) : NULL;
	c->outcome = op->tree ? OUTCOME_CHANGED : OUTCOME_REMOVED;
	return 0;
}

static int job_add(Store *s, Job *job, const Op *op, Error *err)
{
	switch (op->type) {
	case OP_RECORD:
		return op_record(job, op, err);
	case OP_REQUIRE:
		GROW_ARRAY(job->requires, job->n_requires, job->cap_requires);
		job->requires[job->n_requires++] = (Precondition){ .key = op->key, .rev = op->rev };
		return 0;
	case OP_NAMESPACE:
		guard_add(job, &op->key, &op->key);
		return 0;
	case OP_ACTIVE:
		snprintf(guard_add(job, &op->key, &op->key)->uid, UUID_MAX, "%s",
			 object_head(op->base)->uid);
		return 0;
	default:
		return op_object(s, job, op, err);
	}
}

/* The new states, serialized; their revision is filled in when it is known. */
static int job_encode(Store *s, Job *job, Error *err)
{
	for (size_t i = 0; i < job->n_changes; i++) {
		Change *c = &job->changes[i];
		int rc;

		if (gr_is_internal(c->key.gr))
			continue;
		if (c->outcome == OUTCOME_SAME) {
			c->next = object_ref(c->base);
			continue;
		}
		if (c->key.gr == GR_CRD && c->outcome != OUTCOME_REMOVED) {
			rc = kinds_check(s, c, job->publishes, err);
			if (rc < 0)
				return rc;
		}
		c->next = object_new(&c->key, c->kind, c->tree,
				     c->base ? object_create_revision(c->base) : 0,
				     c->base ? object_revision(c->base) : 0);
		json_decref(TAKE_PTR(c->tree));
	}
	return 0;
}

Job *job_new(Store *s, const Txn *t)
{
	Job *job = xnew0(Job, 1);

	clock_cond_init(&job->cond);
	job->publishes = t->publishes;
	for (size_t i = 0; job->rc == 0 && i < t->n; i++)
		job->rc = job_add(s, job, &t->ops[i], &job->err);
	if (job->rc == 0 && (job->n_changes > TXN_OPS_MAX ||
			     job->n_changes + job->n_requires + job->n_guards > TXN_OPS_MAX))
		job->rc = error_set(&job->err, ERR_INVALID,
				    "a transaction has at most %d operations", TXN_OPS_MAX);
	if (job->rc == 0)
		job->rc = job_encode(s, job, &job->err);
	return job;
}

/* ---- checks ---- */

static int check_change(Store *s, const Change *c, Error *err)
{
	int64_t rev = image_revision(s->image, &c->key);
	char buf[KEY_TEXT_MAX];

	if (gr_is_internal(c->key.gr)) {
		if (c->expected == -2 || (c->expected == -1 && rev) || c->expected == rev)
			return 0;
		return error_set(err, ERR_CONFLICT, "%s: at revision %lld, not %lld",
				 key_format(&c->key, buf, sizeof(buf)), (long long)rev,
				 (long long)c->expected);
	}
	if (c->created && rev)
		return error_set(err, ERR_EXISTS, "%s \"%s\" already exists",
				 group_resource_format(c->key.gr, buf, sizeof(buf)), c->key.name);
	if (!c->created && rev != object_revision(c->base))
		return conflict(&c->key, MODIFIED, err);
	return 0;
}

static int check_guard(Store *s, const Guard *g, Error *err)
{
	Object *o = image_get(s->image, &g->key);
	bool definition = g->key.gr == GR_CRD;
	char buf[512];

	if (*g->uid)
		return o && !object_is_deleting(o) && streq(object_head(o)->uid, g->uid)
			       ? 0
			       : conflict(&g->key, "it is being deleted, or gone", err);
	if (!o)
		return definition ? error_set(err, ERR_NOT_FOUND,
					      "the server could not find the requested resource")
				  : error_set(err, ERR_NOT_FOUND, "namespaces \"%s\" not found",
					      g->key.name);
	if (!object_is_deleting(o))
		return 0;
	if (definition)
		return error_set(err, ERR_UNSUPPORTED,
				 "create not allowed while custom resource definition is "
				 "terminating");
	return error_set(err, ERR_FORBIDDEN,
			 "%s \"%s\" is forbidden: unable to create new content in namespace %s "
			 "because it is being terminated",
			 group_resource_format(g->about.gr, buf, sizeof(buf)), g->about.name,
			 g->key.name);
}

/* Objects came while the definition was about to go: the caller looks again. */
static int check_empty(Store *s, const GroupResource *gr, Error *err)
{
	const Table *t = image_table(s->image, gr);
	char buf[512];

	return t && t->n ? error_set(err, ERR_CONFLICT, "%s: there are objects of this kind",
				     group_resource_format(gr, buf, sizeof(buf)))
			 : 0;
}

int job_check(Store *s, Job *job)
{
	char buf[KEY_TEXT_MAX];

	for (size_t i = 0; job->rc == 0 && i < job->n_guards; i++)
		job->rc = check_guard(s, &job->guards[i], &job->err);
	for (size_t i = 0; job->rc == 0 && i < job->n_changes; i++)
		job->rc = check_change(s, &job->changes[i], &job->err);
	if (job->rc == 0 && job->must_be_empty)
		job->rc = check_empty(s, job->must_be_empty, &job->err);
	for (size_t i = 0; job->rc == 0 && i < job->n_requires; i++) {
		const Precondition *p = &job->requires[i];
		int64_t rev = image_revision(s->image, &p->key);

		if ((p->rev == -1 && rev) || (p->rev >= 0 && p->rev == rev))
			continue;
		job->rc = error_set(&job->err, ERR_CONFLICT, "%s: at revision %lld, not %lld",
				    key_format(&p->key, buf, sizeof(buf)), (long long)rev,
				    (long long)p->rev);
	}
	return job->rc;
}

void job_fill_result(Job *job, int64_t revision, bool changed)
{
	TxnResult *r = &job->result;

	r->revision = revision;
	r->changed = changed;
	r->removed = job->removed;
	r->n_objects = job->n_operations;
	r->objects = xnew0(Object *, job->n_operations);
	for (size_t i = 0; i < job->n_operations; i++)
		r->objects[i] = object_ref(job->changes[job->operations[i]].next);
}

bool job_would_change(const Job *job)
{
	for (size_t i = 0; i < job->n_changes; i++)
		if (job->changes[i].outcome != OUTCOME_SAME)
			return true;
	return false;
}
