/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log and the check of a view. See lib_ledger.h.
 */
#include "tests/integration/server/lib_ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hashmap.h"
#include "store/backend.h"
#include "json/json.h"

/* ---- the log ---- */

static ssize_t entry_before(const Ledger *l, const LogEntry *e)
{
	for (size_t i = l->n; i-- > 0;)
		if (l->entries[i].gr == e->gr && streq(l->entries[i].id, e->id))
			return l->entries[i].deleted ? -1 : (ssize_t)i;
	return -1;
}

static void copy_text(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text ? text : "");
}

static int read_record(void *arg, const Record *r)
{
	Ledger *l = arg;
	LogEntry e = { .gr = r->key.gr, .rev = r->rev, .deleted = r->deleted };
	json_t *tree;

	if (r->rev <= l->rev || (r->key.gr != GR_CONFIGMAP && r->key.gr != GR_SECRET))
		return 0;
	if (json_decode(r->body, r->body_len, &tree, NULL) < 0)
		fail_msg("a body of the log is no JSON");
	snprintf(e.id, sizeof(e.id), "%.15s/%.15s", r->key.namespace, r->key.name);
	copy_text(e.label, sizeof(e.label), json_string_at(tree, "metadata.labels.l"));
	copy_text(e.field, sizeof(e.field), json_string_at(tree, "data.p"));
	json_decref(tree);
	e.hash = hash_bytes(r->body, r->body_len);
	e.before = entry_before(l, &e);
	GROW_ARRAY(l->entries, l->n, l->cap);
	l->entries[l->n++] = e;
	return 0;
}

void ledger_read(Ledger *l, const char *directory)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	int64_t rev, compacted;
	Backend *b;

	if (sqlite_backend_open(directory, &b, &err) < 0 ||
	    b->ops->load(b, NULL, NULL, &rev, &compacted, &err) < 0 ||
	    b->ops->replay(b, l->rev, read_record, l, &err) < 0)
		fail_msg("the log after %lld: %s", (long long)l->rev, error_message(&err));
	b->ops->free(b);
	if (rev < l->rev)
		fail_msg("the log ends at %lld, %lld was in it", (long long)rev, (long long)l->rev);
	l->rev = rev;
}

void ledger_done(Ledger *l)
{
	free(l->entries);
	*l = (Ledger){ 0 };
}

/* The first entry after rev. */
static size_t entry_after(const Ledger *l, int64_t rev)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->entries[mid].rev <= rev)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool ledger_has(const Ledger *l, const GroupResource *gr, const char *id, int64_t rev)
{
	for (size_t i = entry_after(l, rev - 1); i < l->n && l->entries[i].rev == rev; i++)
		if (l->entries[i].gr == gr && streq(l->entries[i].id, id))
			return true;
	return false;
}

/* ---- a view ---- */

void view_add(View *v, SeenType type, const char *id, int64_t rev, uint64_t hash)
{
	GROW_ARRAY(v->seen, v->n, v->cap);
	v->seen[v->n] = (Seen){ .type = type, .rev = rev, .hash = hash };
	copy_text(v->seen[v->n++].id, ID_MAX, id);
}

void view_done(View *v)
{
	free(v->seen);
	*v = (View){ 0 };
}

static bool wish_matches(const Wish *w, const LogEntry *e)
{
	const char *slash = strchr(e->id, '/');
	size_t n = (size_t)(slash - e->id);

	return (!w->namespace ||
		(strlen(w->namespace) == n && strncmp(w->namespace, e->id, n) == 0)) &&
	       (!w->name || streq(w->name, slash + 1)) &&
	       (!w->label || streq(w->label, e->label)) &&
	       (!w->label_not || !streq(w->label_not, e->label)) &&
	       (!w->field || streq(w->field, e->field)) && (!w->no_label || !*e->label);
}

/* What the watcher must be told of an entry; false = nothing. */
static bool expected_of(const Ledger *l, const View *v, const LogEntry *e, Seen *ret)
{
	const LogEntry *before = e->before < 0 ? NULL : &l->entries[e->before];
	bool is, was;

	if (e->gr != v->gr)
		return false;
	is = !e->deleted && wish_matches(&v->wish, e);
	was = before && wish_matches(&v->wish, before);
	if (!is && !was)
		return false;
	*ret = (Seen){ .type = !was ? SEEN_ADDED
			       : is ? SEEN_MODIFIED
				    : SEEN_DELETED,
		       .rev = e->rev };
	/* The text of what left a selection is that of before at another revision: not stored. */
	ret->hash = is || e->deleted ? e->hash : 0;
	copy_text(ret->id, ID_MAX, e->id);
	return true;
}

typedef struct Check {
	const Ledger *ledger;
	const View *view;
	const char *who;
	size_t at; /* of the log: everything before was told */
	int64_t last;
} Check;

/* The next event that the watcher must be told; false = none in the log. */
static bool expect_next(Check *c, Seen *ret)
{
	for (; c->at < c->ledger->n; c->at++)
		if (expected_of(c->ledger, c->view, &c->ledger->entries[c->at], ret))
			return true;
	return false;
}

/* True if nothing before `end` followed that entry. */
static bool entry_is_last(const Ledger *l, size_t i, size_t end)
{
	for (size_t k = i + 1; k < end; k++)
		if (l->entries[k].before == (ssize_t)i)
			return false;
	return true;
}

static bool has_item(const View *v, size_t from, size_t to, const LogEntry *e)
{
	for (; from < to; from++)
		if (v->seen[from].rev == e->rev && streq(v->seen[from].id, e->id))
			return true;
	return false;
}

/* A list is the state at its revision, whole. Returns the index behind its items. */
static size_t check_list(Check *c, size_t i)
{
	const Ledger *l = c->ledger;
	const View *v = c->view;
	int64_t rev = v->seen[i].rev;
	size_t end = entry_after(l, rev), first = ++i, want = 0;

	if (rev < c->last)
		fail_msg("%s: a list at %lld after %lld was seen", c->who, (long long)rev,
			 (long long)c->last);
	while (i < v->n && v->seen[i].type == SEEN_ITEM)
		i++;
	for (size_t j = 0; j < end; j++) {
		const LogEntry *e = &l->entries[j];

		if (e->gr != v->gr || e->deleted || !wish_matches(&v->wish, e) ||
		    !entry_is_last(l, j, end))
			continue;
		want++;
		if (!has_item(v, first, i, e))
			fail_msg("%s: the list at %lld lacks %s at %lld", c->who, (long long)rev,
				 e->id, (long long)e->rev);
	}
	if (i - first != want)
		fail_msg("%s: the list at %lld has %zu items, the log has %zu", c->who,
			 (long long)rev, i - first, want);
	c->at = end;
	c->last = rev;
	return i;
}

static void check_event(Check *c, const Seen *s)
{
	Seen want;

	if (!expect_next(c, &want))
		fail_msg("%s: told of %s at %lld, the log has nothing more for it", c->who, s->id,
			 (long long)s->rev);
	if (want.rev != s->rev || want.type != s->type || !streq(want.id, s->id) ||
	    (want.hash && s->hash && want.hash != s->hash))
		fail_msg("%s: told type %d of %s at %lld, the log says type %d of %s at %lld%s",
			 c->who, s->type, s->id, (long long)s->rev, want.type, want.id,
			 (long long)want.rev, want.hash != s->hash ? " (texts differ)" : "");
	c->last = s->rev;
	c->at++;
}

size_t ledger_check(const Ledger *l, const View *v, const char *who, int64_t until)
{
	Check c = { .ledger = l, .view = v, .who = who };
	size_t events = 0;
	Seen want;

	for (size_t i = 0; i < v->n;) {
		const Seen *s = &v->seen[i];

		if (s->type == SEEN_LIST) {
			i = check_list(&c, i);
			continue;
		}
		if (s->type == SEEN_BOOKMARK) {
			if (expect_next(&c, &want) && want.rev <= s->rev)
				fail_msg("%s: a bookmark of %lld before the event of %s at %lld",
					 who, (long long)s->rev, want.id, (long long)want.rev);
			if (s->rev < c.last)
				fail_msg("%s: a bookmark goes back to %lld", who,
					 (long long)s->rev);
			c.last = s->rev;
		} else {
			check_event(&c, s);
			events++;
		}
		i++;
	}
	if (expect_next(&c, &want) && want.rev <= until)
		fail_msg("%s: never told of %s at %lld", who, want.id, (long long)want.rev);
	return events;
}
