/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory backend: the log as an array of records, the head of each key by binary search in a sorted
 * array. See backend.h. For tests, and for `--store memory`, where nothing outlives the process.
 * One thread at a time, as the port says.
 */
#include "base/memory.h"
#include "base/hashmap.h"
#include "store/backend.h"

typedef struct Entry {
	Record record;      /* head and body are owned */
	struct Entry *prev; /* the key's state before, while the log still has it */
	unsigned refs;      /* by the log, by the heads, and by a later entry's prev */
} Entry;

typedef struct MemoryBackend {
	Backend backend;
	Entry **log;
	size_t n_log, cap_log;
	Entry **heads; /* in key order, tombstones included until compacted */
	size_t n_heads, cap_heads;
	int64_t rev, compacted;
	Hashmap *meta;
} MemoryBackend;

static MemoryBackend *memory_of(Backend *b)
{
	return CONTAINER_OF(b, MemoryBackend, backend);
}

static void entry_unref(Entry *e)
{
	while (e && --e->refs == 0) {
		Entry *prev = e->prev;

		free((void *)e->record.head);
		free((void *)e->record.body);
		free(e);
		e = prev;
	}
}

/* Where key is or would be. */
static size_t heads_find(const MemoryBackend *m, const Key *key, bool *ret_found)
{
	size_t lo = 0, hi = m->n_heads;

	*ret_found = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = key_compare(&m->heads[mid]->record.key, key);

		if (c == 0) {
			*ret_found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void heads_insert(MemoryBackend *m, size_t at, Entry *e)
{
	GROW_ARRAY(m->heads, m->n_heads, m->cap_heads);
	memmove(m->heads + at + 1, m->heads + at, (m->n_heads - at) * sizeof(*m->heads));
	m->heads[at] = e;
	m->n_heads++;
}

static int memory_load(Backend *self, RecordFn fn, void *arg, int64_t *ret_rev,
		       int64_t *ret_compacted, Error *err)
{
	MemoryBackend *m = memory_of(self);
	int rc;

	(void)err;
	for (size_t i = 0; fn && i < m->n_heads; i++) {
		if (m->heads[i]->record.deleted)
			continue;
		rc = fn(arg, &m->heads[i]->record);
		if (rc < 0)
			return rc;
	}
	*ret_rev = m->rev;
	*ret_compacted = m->compacted;
	return 0;
}

static int check_preconditions(const MemoryBackend *m, BackendTxn *t)
{
	for (size_t i = 0; i < t->n_preconditions; i++) {
		const Precondition *p = &t->preconditions[i];
		bool found, live;
		size_t at = heads_find(m, &p->key, &found);

		live = found && !m->heads[at]->record.deleted;
		if ((p->rev == -1 && live) || (p->rev == 0 && !live) ||
		    (p->rev > 0 && live && m->heads[at]->record.rev == p->rev))
			continue;
		t->failed = i;
		return -ERR_CONFLICT;
	}
	return 0;
}

static void append_record(MemoryBackend *m, const Record *r)
{
	Entry *e = xnew0(Entry, 1);
	bool found;
	size_t at = heads_find(m, &r->key, &found);

	e->record = *r;
	e->record.head = r->head ? xmemdup(r->head, r->head_len) : NULL;
	e->record.body = r->body ? xmemdup(r->body, r->body_len) : NULL;
	e->refs = 2;
	if (found) {
		e->prev = m->heads[at]; /* the heads' reference moves here */
		m->heads[at] = e;
	} else {
		heads_insert(m, at, e);
	}
	GROW_ARRAY(m->log, m->n_log, m->cap_log);
	m->log[m->n_log++] = e;
}

static int memory_append(Backend *self, BackendTxn *txns, size_t n,
			 void (*prepare)(void *arg, BackendTxn *txn), void *arg, Error *err)
{
	MemoryBackend *m = memory_of(self);

	(void)err;
	for (size_t i = 0; i < n; i++) {
		BackendTxn *t = &txns[i];

		t->rc = check_preconditions(m, t);
		if (t->rc < 0)
			continue;
		t->rev = ++m->rev;
		for (size_t j = 0; j < t->n_records; j++) {
			bool found;
			size_t at = heads_find(m, &t->records[j].key, &found);

			t->records[j].rev = t->rev;
			t->records[j].create_rev = found && !m->heads[at]->record.deleted
							   ? m->heads[at]->record.create_rev
							   : t->rev;
		}
		if (prepare)
			prepare(arg, t);
		for (size_t j = 0; j < t->n_records; j++)
			append_record(m, &t->records[j]);
	}
	return 0;
}

/* The first entry with a revision above rev. */
static size_t log_after(const MemoryBackend *m, int64_t rev)
{
	size_t lo = 0, hi = m->n_log;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->log[mid]->record.rev <= rev)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int memory_replay(Backend *self, int64_t from, RecordFn fn, void *arg, Error *err)
{
	MemoryBackend *m = memory_of(self);
	size_t start = log_after(m, from);
	int rc;

	if (from < m->compacted)
		return error_set(err, ERR_GONE, "too old resource version: %lld (%lld)",
				 (long long)from, (long long)m->compacted);
	for (size_t i = start; i < m->n_log; i++) {
		const Entry *prev = m->log[i]->prev;

		if (!prev || prev->record.rev > from || prev->record.deleted)
			continue;
		rc = fn(arg, &prev->record);
		if (rc < 0)
			return rc;
	}
	for (size_t i = start; i < m->n_log; i++) {
		rc = fn(arg, &m->log[i]->record);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void drop_tombstones(MemoryBackend *m)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->n_heads; i++) {
		Entry *e = m->heads[i];

		if (e->record.deleted && e->record.rev <= m->compacted)
			entry_unref(e);
		else
			m->heads[kept++] = e;
	}
	m->n_heads = kept;
}

static int memory_compact(Backend *self, int64_t rev, Error *err)
{
	MemoryBackend *m = memory_of(self);
	size_t n;

	if (rev > m->rev)
		return error_set(err, ERR_INVALID, "compact to %lld: the head is %lld",
				 (long long)rev, (long long)m->rev);
	if (rev <= m->compacted)
		return 0;
	n = log_after(m, rev);
	m->compacted = rev;
	for (size_t i = 0; i < n; i++) {
		/* Its state before is older than rev: nobody can ask for it any more. */
		entry_unref(TAKE_PTR(m->log[i]->prev));
		entry_unref(m->log[i]);
	}
	memmove(m->log, m->log + n, (m->n_log - n) * sizeof(*m->log));
	m->n_log -= n;
	drop_tombstones(m);
	return 0;
}

static int memory_advance(Backend *self, int64_t rev, Error *err)
{
	MemoryBackend *m = memory_of(self);
	int rc;

	if (rev <= m->rev)
		return 0;
	rc = memory_compact(self, m->rev, err);
	if (rc < 0)
		return rc;
	m->rev = m->compacted = rev;
	return 0;
}

static int memory_meta_get(Backend *self, const char *name, char **ret, Error *err)
{
	const char *value = hashmap_get(memory_of(self)->meta, name);

	if (!value)
		return error_set(err, ERR_NOT_FOUND, "no value %s", name);
	*ret = xstrdup(value);
	return 0;
}

static int memory_meta_set(Backend *self, const char *name, const char *value, Error *err)
{
	(void)err;
	hashmap_put(memory_of(self)->meta, name, xstrdup(value));
	return 0;
}

static Backend *memory_free(Backend *self)
{
	MemoryBackend *m = memory_of(self);

	for (size_t i = 0; i < m->n_log; i++)
		entry_unref(m->log[i]);
	for (size_t i = 0; i < m->n_heads; i++)
		entry_unref(m->heads[i]);
	free(m->log);
	free(m->heads);
	hashmap_free(m->meta);
	free(m);
	return NULL;
}

static const BackendOps memory_ops = {
	.name = "memory",
	.load = memory_load,
	.append = memory_append,
	.replay = memory_replay,
	.compact = memory_compact,
	.advance = memory_advance,
	.meta_get = memory_meta_get,
	.meta_set = memory_meta_set,
	.free = memory_free,
};

Backend *memory_backend_new(void)
{
	MemoryBackend *m = xnew0(MemoryBackend, 1);

	m->backend.ops = &memory_ops;
	m->backend.fresh = true;
	m->meta = hashmap_new(free);
	return &m->backend;
}
