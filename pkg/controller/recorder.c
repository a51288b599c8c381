/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recorder: Events as Kubernetes knows them, and the journal. See recorder.h.
 *
 * What happens again is counted: one Series per object, type, reason and text has one Event object.
 * A Series has at most one commit in flight; what happens meanwhile is written by the next one. A
 * bucket per object limits how often its Events are written; the journal gets every line. All of it
 * is only memory: a restart begins new Series.
 */
#include "controller/recorder.h"

#include "base/hashmap.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "controller/reasons.h"
#include "json/json.h"

#define BUCKET_SIZE        25
#define BUCKET_REFILL      (USEC_PER_MIN / 5)
#define SERIES_MAX         2048
#define BUCKETS_MAX        2048
#define ATTEMPTS_MAX       3
#define EVENT_SUFFIX_BYTES 8
#define MESSAGE_MAX        1024

typedef struct Series {
	Recorder *recorder;
	Key event; /* of the Event object */
	json_t *involved;
	char *type, *reason, *message;
	usec_t first, last; /* wall clock */
	uint64_t count;
	unsigned attempts;
	bool in_flight;
	bool dirty; /* happened while in flight */
} Series;

typedef struct Bucket {
	double tokens;
	usec_t filled;
} Bucket;

struct Recorder {
	Store *store;
	Clock *clock;
	char *component, *host;

	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t landed;
	Hashmap *series, *buckets;
	size_t in_flight;
};

static void series_free(void *p)
{
	Series *s = p;

	json_decref(s->involved);
	free(s->type);
	free(s->reason);
	free(s->message);
	free(s);
}

Recorder *recorder_new(Store *store, Clock *clock, const char *component, const char *host)
{
	Recorder *r = xnew0(Recorder, 1);

	r->store = store;
	r->clock = clock ? clock : clock_system();
	r->component = xstrdup(component);
	r->host = xstrdup(host);
	r->series = hashmap_new(series_free);
	r->buckets = hashmap_new(free);
	pthread_mutex_init(&r->lock, NULL);
	clock_cond_init(&r->landed);
	return r;
}

Recorder *recorder_free(Recorder *r)
{
	if (!r)
		return NULL;
	pthread_mutex_lock(&r->lock);
	while (r->in_flight > 0)
		pthread_cond_wait(&r->landed, &r->lock);
	pthread_mutex_unlock(&r->lock);
	hashmap_free(r->series);
	hashmap_free(r->buckets);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->landed);
	free(r->component);
	free(r->host);
	free(r);
	return NULL;
}

/* ---- the Event object ---- */

static void set_time(json_t *tree, const char *field, usec_t wall)
{
	char buf[TIMESTAMP_MAX];

	json_object_set_new(tree, field, json_string(timestamp_format(wall, buf)));
}

static json_t *event_tree(const Series *s)
{
	const Recorder *r = s->recorder;
	json_t *tree = json_object(), *source = json_object(), *metadata = json_object();

	json_object_set_new(tree, "apiVersion", json_string("v1"));
	json_object_set_new(tree, "kind", json_string("Event"));
	json_object_set_new(metadata, "name", json_string(s->event.name));
	json_object_set_new(metadata, "namespace", json_string(s->event.namespace));
	json_object_set_new(tree, "metadata", metadata);
	json_object_set(tree, "involvedObject", s->involved);
	json_object_set_new(tree, "type", json_string(s->type));
	json_object_set_new(tree, "reason", json_string(s->reason));
	json_object_set_new(tree, "message", json_string(s->message));
	json_object_set_new(source, "component", json_string(r->component));
	json_object_set_new(source, "host", json_string(r->host));
	json_object_set_new(tree, "source", source);
	json_object_set_new(tree, "reportingComponent", json_string(r->component));
	json_object_set_new(tree, "reportingInstance", json_string(r->host));
	set_time(tree, "firstTimestamp", s->first);
	set_time(tree, "lastTimestamp", s->last);
	json_object_set_new(tree, "count", json_integer((json_int_t)s->count));
	return tree;
}

void events_make_room(Store *store, Txn *t, const char *namespace)
{
	_cleanup_(object_list_freep) ObjectList *l = NULL;
	ListOptions o = { .gr = GR_EVENT, .namespace = namespace };
	Object *oldest = NULL;

	if (store_count(store, GR_EVENT, namespace) < EVENTS_PER_NAMESPACE ||
	    store_list(store, &o, &l, NULL) < 0)
		return;
	for (size_t i = 0; i < l->n; i++)
		if (!oldest || object_revision(l->items[i]) < object_revision(oldest))
			oldest = l->items[i];
	if (oldest)
		txn_delete(t, oldest, NULL);
}

static Txn *series_txn(const Series *s)
{
	_cleanup_(object_unrefp) Object *base = NULL;
	json_t *tree = event_tree(s);
	Txn *t = txn_new();

	if (store_get(s->recorder->store, &s->event, &base, NULL) == 0) {
		txn_update(t, base, tree);
	} else {
		events_make_room(s->recorder->store, t, s->event.namespace);
		txn_create(t, &s->event, tree, false);
	}
	json_decref(tree);
	return t;
}

static void on_written(void *arg, int rc, const TxnResult *result, const Error *err);

/* in_flight was set under the lock by whoever calls this, so the Series stays. */
static void series_write(Series *s)
{
	Recorder *r = s->recorder;
	Txn *t;

	pthread_mutex_lock(&r->lock);
	t = series_txn(s);
	s->dirty = false;
	pthread_mutex_unlock(&r->lock);
	store_commit_async(r->store, t, on_written, s);
}

static void on_written(void *arg, int rc, const TxnResult *result, const Error *err)
{
	Series *s = arg;
	Recorder *r = s->recorder;
	bool again;

	(void)result;
	if (rc < 0)
		log_debug("event %s/%s: %s", s->event.namespace, s->event.name, error_message(err));
	pthread_mutex_lock(&r->lock);
	/* Somebody else changed or deleted it, or took the room that was made: look again. */
	again = (rc == -ERR_CONFLICT || rc == -ERR_EXISTS) && ++s->attempts < ATTEMPTS_MAX;
	again = again || (rc == 0 && s->dirty);
	if (!again) {
		s->attempts = 0;
		s->in_flight = false;
		r->in_flight--;
		pthread_cond_broadcast(&r->landed);
	}
	pthread_mutex_unlock(&r->lock);
	if (again)
		series_write(s);
}

/* ---- counting ---- */

/* Caches of the past: when one is full, all that is not in flight is forgotten. */
static void forget_some(Recorder *r)
{
	if (hashmap_size(r->buckets) >= BUCKETS_MAX) {
		hashmap_free(r->buckets);
		r->buckets = hashmap_new(free);
	}
	if (hashmap_size(r->series) < SERIES_MAX)
		return;
	hashmap_foreach (it, r->series) {
		Series *s = it.value;

		if (!s->in_flight)
			hashmap_remove(r->series, it.key);
	}
}

static bool bucket_take(Recorder *r, const char *uid)
{
	usec_t now = clock_now(r->clock);
	Bucket *b = hashmap_get(r->buckets, uid);

	if (!b) {
		b = xnew0(Bucket, 1);
		*b = (Bucket){ .tokens = BUCKET_SIZE, .filled = now };
		hashmap_put(r->buckets, uid, b);
	}
	b->tokens += (double)(now - b->filled) / (double)BUCKET_REFILL;
	b->tokens = MIN(b->tokens, (double)BUCKET_SIZE);
	b->filled = now;
	if (b->tokens < 1)
		return false;
	b->tokens -= 1;
	return true;
}

static void event_key(const Object *about, Key *ret)
{
	const Key *key = object_key(about);
	uint8_t suffix[EVENT_SUFFIX_BYTES];
	char hex[2 * EVENT_SUFFIX_BYTES + 1], name[KEY_NAME_MAX];

	random_bytes(suffix, sizeof(suffix));
	hex_encode(suffix, sizeof(suffix), hex);
	snprintf(name, sizeof(name), "%.*s.%s", (int)(KEY_NAME_MAX - 1 - sizeof(hex)), key->name,
		 hex);
	*ret = key_make(GR_EVENT, *key->namespace ? key->namespace : "default", name);
}

static json_t *involved_object(Recorder *r, const Object *about)
{
	const Key *key = object_key(about);
	_cleanup_(kind_unrefp) Kind *k =
		store_kinds(r->store) ? kind_registry_find(store_kinds(r->store), key->gr) : NULL;
	json_t *o = json_object();
	char rev[24];

	if (k) {
		json_object_set_new(o, "apiVersion", json_string(k->api_version));
		json_object_set_new(o, "kind", json_string(k->kind));
	}
	if (*key->namespace)
		json_object_set_new(o, "namespace", json_string(key->namespace));
	json_object_set_new(o, "name", json_string(key->name));
	json_object_set_new(o, "uid", json_string(object_head(about)->uid));
	snprintf(rev, sizeof(rev), "%lld", (long long)object_revision(about));
	json_object_set_new(o, "resourceVersion", json_string(rev));
	return o;
}

static Series *series_get(Recorder *r, const Object *about, const char *type, const char *reason,
			  const char *message)
{
	_cleanup_(xfreep) char *id =
		xasprintf("%s/%s/%s/%016llx", object_head(about)->uid, type, reason,
			  (unsigned long long)hash_bytes(message, strlen(message)));
	Series *s = hashmap_get(r->series, id);

	if (s)
		return s;
	s = xnew0(Series, 1);
	s->recorder = r;
	s->involved = involved_object(r, about);
	s->type = xstrdup(type);
	s->reason = xstrdup(reason);
	s->message = xstrdup(message);
	s->first = clock_wall(r->clock);
	event_key(about, &s->event);
	hashmap_put(r->series, id, s);
	return s;
}

static void store_event(Recorder *r, const Object *about, const char *type, const char *reason,
			const char *message)
{
	bool write;
	Series *s;

	pthread_mutex_lock(&r->lock);
	forget_some(r);
	s = series_get(r, about, type, reason, message);
	s->count++;
	s->last = clock_wall(r->clock);
	write = bucket_take(r, object_head(about)->uid);
	if (write && s->in_flight) {
		s->dirty = true;
		write = false;
	} else if (write) {
		s->in_flight = true;
		r->in_flight++;
	}
	pthread_mutex_unlock(&r->lock);
	if (write)
		series_write(s);
}

/* ---- the journal ---- */

static void journal_event(Recorder *r, const Object *about, EventType type, const char *reason,
			  const char *message)
{
	const Key *key = object_key(about);
	_cleanup_(kind_unrefp) Kind *k =
		store_kinds(r->store) ? kind_registry_find(store_kinds(r->store), key->gr) : NULL;
	const char *kind = k ? k->kind : key->gr->resource;
	const LogField fields[] = {
		{"SF_KIND",       kind				   },
		{ "SF_NAMESPACE", *key->namespace ? key->namespace : NULL},
		{ "SF_NAME",      key->name                              },
		{ "SF_UID",       object_head(about)->uid                },
		{ "SF_REASON",    reason                                 },
	};

	log_fields(type == EVENT_WARNING ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		   reason_message_id(reason), fields, ARRAY_SIZE(fields), "%s %s%s%s: %s: %s", kind,
		   key->namespace, *key->namespace ? "/" : "", key->name, reason, message);
}

void recorder_event(Recorder *r, const Object *about, EventType type, const char *reason,
		    const char *fmt, ...)
{
	_cleanup_(xfreep) char *message = NULL;
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	message = xvasprintf(fmt, ap);
	va_end(ap);
	journal_event(r, about, type, reason, message);
	/* Kubernetes' limit for an Event's message; cut before a whole UTF-8 character. */
	n = strlen(message);
	if (n > MESSAGE_MAX) {
		n = MESSAGE_MAX;
		while (n > 0 && ((unsigned char)message[n] & 0xc0) == 0x80)
			n--;
		message[n] = '\0';
	}
	store_event(r, about, type == EVENT_WARNING ? "Warning" : "Normal", reason, message);
}
