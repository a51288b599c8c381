/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object: one allocation that holds the struct, the head's arrays, the head blob (whose strings the
 * arrays point into) and the text. See object.h.
 *
 * The blob: "SFH2", four 32-bit counts (labels, annotations, owners, finalizers), the generation,
 * all little endian; then NUL-terminated strings: uid, creation, deletion; key and value of each
 * label and annotation; apiVersion, kind, name, uid and flags ("c", "b") of each owner; the
 * finalizers; the cells; the charge.
 */
#include "api/object.h"

#include <endian.h>
#include <stdatomic.h>

#include "api/kind.h"
#include "api/quota.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "json/json.h"

#define BLOB_MAGIC  "SFH2"
#define BLOB_COUNTS 4
#define BLOB_FIXED  (4 + BLOB_COUNTS * sizeof(uint32_t) + sizeof(uint64_t))

struct Object {
	atomic_uint refs;
	uint32_t blob_len;
	const char *blob;
	const char *text;
	size_t text_len;
	int64_t create_rev, rev;
	ObjectHead head;
	Key key;
};

Object *object_ref(Object *o)
{
	if (o)
		atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
	return o;
}

Object *object_unref(Object *o)
{
	if (o && atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
		free(o);
	return NULL;
}

const Key *object_key(const Object *o)
{
	return &o->key;
}

const ObjectHead *object_head(const Object *o)
{
	return &o->head;
}

int64_t object_revision(const Object *o)
{
	return o->rev;
}

int64_t object_create_revision(const Object *o)
{
	return o->create_rev;
}

bool object_is_deleting(const Object *o)
{
	return o->head.deletion_timestamp != NULL;
}

const char *object_label(const Object *o, const char *key)
{
	size_t lo = 0, hi = o->head.n_labels;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(o->head.labels[mid].key, key);

		if (c == 0)
			return o->head.labels[mid].value;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

bool object_has_finalizer(const Object *o, const char *finalizer)
{
	for (const char *const *f = o->head.finalizers; *f; f++)
		if (streq(*f, finalizer))
			return true;
	return false;
}

const char *object_text(const Object *o, size_t *ret_len)
{
	if (ret_len)
		*ret_len = o->text_len;
	return o->text;
}

/* ---- looking into the text ---- */

/* The end of the string whose opening quote is at p. */
static const char *string_end(const char *p)
{
	for (p++; *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p;
}

static bool is_key(const char *p, const char *end, const char *name)
{
	size_t n = strlen(name);

	return (size_t)(end - p - 1) == n && memcmp(p + 1, name, n) == 0 && end[1] == ':';
}

/* The end of the value at p. */
static const char *value_end(const char *p)
{
	int depth = 0;

	for (;; p++) {
		if (*p == '"')
			p = string_end(p);
		else if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		if (depth <= 0 && (p[1] == ',' || p[1] == '}' || !p[1]))
			return p + 1;
	}
}

/*
 * The value of a member of metadata in text that we serialized ourselves; false if there is none.
 * Other members of that name (in data, in managed fields) lie deeper or elsewhere.
 */
static bool find_in_metadata(const char *text, const char *name, const char **ret_begin,
			     const char **ret_end)
{
	bool in_metadata = false;
	int depth = 0;

	for (const char *p = text; *p; p++) {
		const char *end;

		if (*p == '{' || *p == '[') {
			depth++;
		} else if (*p == '}' || *p == ']') {
			depth--;
			if (depth == 1 && in_metadata)
				return false;
		} else if (*p == '"') {
			end = string_end(p);
			if (depth == 1 && end[1] == ':')
				in_metadata = is_key(p, end, "metadata");
			if (depth == 2 && in_metadata && is_key(p, end, name)) {
				*ret_begin = end + 2;
				*ret_end = value_end(end + 2);
				return true;
			}
			p = end;
		}
	}
	return false;
}

json_t *object_decode(const Object *o)
{
	json_t *v = json_load(o->text, o->text_len);

	/* We wrote the text or checked it when it was read: it cannot fail but for memory. */
	assert(v);
	return v;
}

json_t *object_decode_lean(const Object *o)
{
	const char *begin, *end;
	_cleanup_(xfreep) char *text = NULL;
	json_t *tree;
	size_t head;

	if (!find_in_metadata(o->text, "managedFields", &begin, &end))
		return object_decode(o);
	head = (size_t)(begin - o->text);
	text = xmalloc(o->text_len + sizeof("null"));
	memcpy(text, o->text, head);
	memcpy(text + head, "null", 4);
	memcpy(text + head + 4, end, o->text_len - (size_t)(end - o->text) + 1);
	tree = json_load(text, o->text_len - (size_t)(end - begin) + 4);
	assert(tree);
	json_object_set_new(json_object_get(tree, "metadata"), "managedFields",
			    json_stringn_nocheck(begin, (size_t)(end - begin)));
	return tree;
}

void object_tree_lean(json_t *tree)
{
	json_t *metadata = json_object_get(tree, "metadata");
	json_t *managed = json_object_get(metadata, "managedFields");
	_cleanup_(xfreep) char *text = NULL;

	if (!json_is_array(managed))
		return;
	text = json_canonical(managed);
	json_object_set_new(metadata, "managedFields", json_string_nocheck(text));
}

/* ---- reading a blob
 * --------------------------------------------------------------------------------------- */

typedef struct BlobReader {
	const char *p, *end;
	bool bad;
} BlobReader;

static const char *next_string(BlobReader *r)
{
	const char *s = r->p, *nul = r->bad ? NULL : memchr(s, '\0', (size_t)(r->end - s));

	if (!nul) {
		r->bad = true;
		return "";
	}
	r->p = nul + 1;
	return s;
}

static Label *read_labels(BlobReader *r, Label *to, size_t n)
{
	for (size_t i = 0; i < n; i++, to++) {
		to->key = next_string(r);
		to->value = next_string(r);
	}
	return to;
}

static OwnerReference *read_owners(BlobReader *r, OwnerReference *to, size_t n)
{
	for (size_t i = 0; i < n; i++, to++) {
		const char *flags;

		to->api_version = next_string(r);
		to->kind = next_string(r);
		to->name = next_string(r);
		to->uid = next_string(r);
		flags = next_string(r);
		to->controller = strchr(flags, 'c') != NULL;
		to->block_owner_deletion = strchr(flags, 'b') != NULL;
	}
	return to;
}

static int blob_counts(const void *blob, size_t len, uint32_t counts[static BLOB_COUNTS],
		       Error *err)
{
	uint64_t total = 0;

	if (len < BLOB_FIXED || len > UINT32_MAX || memcmp(blob, BLOB_MAGIC, 4) != 0)
		return error_set(err, ERR_INTERNAL, "not an object head of this version");
	memcpy(counts, (const char *)blob + 4, BLOB_COUNTS * sizeof(uint32_t));
	for (size_t i = 0; i < BLOB_COUNTS; i++) {
		counts[i] = le32toh(counts[i]);
		total += counts[i];
	}
	/* Each of them has at least one byte. */
	if (total > len)
		return error_set(err, ERR_INTERNAL, "object head: counts that do not fit its size");
	return 0;
}

/* Fills o->head from o->blob; the arrays lie at `arrays`. */
static bool read_head(Object *o, char *arrays, const uint32_t *counts)
{
	BlobReader r = { .p = o->blob + BLOB_FIXED, .end = o->blob + o->blob_len };
	OwnerReference *owners = (OwnerReference *)arrays;
	Label *labels = (Label *)(owners + counts[2]), *annotations = labels + counts[0];
	const char **finalizers = (const char **)(annotations + counts[1]);
	ObjectHead *h = &o->head;
	const char *uid = next_string(&r), *deletion;
	uint64_t generation;

	memcpy(&generation, o->blob + 4 + BLOB_COUNTS * sizeof(uint32_t), sizeof(generation));
	h->generation = (int64_t)le64toh(generation);
	if (strlen(uid) >= sizeof(h->uid))
		return false;
	memcpy(h->uid, uid, strlen(uid) + 1);
	h->creation_timestamp = next_string(&r);
	deletion = next_string(&r);
	h->deletion_timestamp = *deletion ? deletion : NULL;
	h->labels = labels;
	h->n_labels = counts[0];
	read_labels(&r, labels, counts[0]);
	h->annotations_kept = annotations;
	h->n_annotations_kept = counts[1];
	read_labels(&r, annotations, counts[1]);
	h->owners = owners;
	h->n_owners = counts[2];
	read_owners(&r, owners, counts[2]);
	for (size_t i = 0; i < counts[3]; i++)
		finalizers[i] = next_string(&r);
	finalizers[counts[3]] = NULL;
	h->finalizers = finalizers;
	h->cells = next_string(&r);
	h->charge = next_string(&r);
	return !r.bad;
}

/* text_len bytes are reserved; the caller writes them at *ret_text. */
static int object_alloc(const Key *key, int64_t create_rev, int64_t rev, const void *blob,
			size_t blob_len, size_t text_len, Object **ret, char **ret_text, Error *err)
{
	uint32_t n[BLOB_COUNTS];
	size_t arrays;
	char *base;
	Object *o;
	int rc = blob_counts(blob, blob_len, n, err);

	if (rc < 0)
		return rc;
	arrays = n[2] * sizeof(OwnerReference) + ((size_t)n[0] + n[1]) * sizeof(Label) +
		 ((size_t)n[3] + 1) * sizeof(char *);
	o = xmalloc(sizeof(*o) + arrays + blob_len + text_len + 1);
	*o = (Object){ .refs = 1,
		       .blob_len = (uint32_t)blob_len,
		       .text_len = text_len,
		       .create_rev = create_rev,
		       .rev = rev,
		       .key = *key };
	base = (char *)(o + 1);
	memcpy(base + arrays, blob, blob_len);
	o->blob = base + arrays;
	o->text = base + arrays + blob_len;
	if (!read_head(o, base, n)) {
		free(o);
		return error_set(err, ERR_INTERNAL, "object head: it ends too early");
	}
	*ret_text = base + arrays + blob_len;
	(*ret_text)[text_len] = '\0';
	*ret = o;
	return 0;
}

void object_head_encode(const Object *o, void **ret, size_t *ret_len)
{
	*ret = xmemdup(o->blob, o->blob_len);
	*ret_len = o->blob_len;
}

int object_new_from_parts(const Key *key, int64_t create_rev, int64_t rev, const void *head,
			  size_t head_len, const char *text, size_t text_len, Object **ret,
			  Error *err)
{
	Object *o;
	char *to;
	int rc = object_alloc(key, create_rev, rev, head, head_len, text_len, &o, &to, err);

	if (rc < 0)
		return rc;
	memcpy(to, text, text_len);
	*ret = o;
	return 0;
}

/* ---- writing a blob
 * --------------------------------------------------------------------------------------- */

static void add_string(StrBuf *b, const char *s)
{
	strbuf_add(b, s ? s : "", s ? strlen(s) + 1 : 1);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Writes the string members whose key starts with prefix, sorted; returns how many. */
static uint32_t add_map(StrBuf *b, const json_t *map, const char *prefix)
{
	const char **keys = xnew(const char *, json_object_size(map) + 1);
	const char *key;
	uint32_t n = 0;
	json_t *v;

	json_object_foreach ((json_t *)map, key, v)
		if (json_is_string(v) && str_has_prefix(key, prefix))
			keys[n++] = key;
	qsort(keys, n, sizeof(*keys), compare_names);
	for (uint32_t i = 0; i < n; i++) {
		add_string(b, keys[i]);
		add_string(b, json_string_value(json_object_get(map, keys[i])));
	}
	free(keys);
	return n;
}

static uint32_t add_owners(StrBuf *b, const json_t *owners)
{
	uint32_t n = 0;
	json_t *v;
	size_t i;

	json_array_foreach (owners, i, v) {
		add_string(b, json_string_at(v, "apiVersion"));
		add_string(b, json_string_at(v, "kind"));
		add_string(b, json_string_at(v, "name"));
		add_string(b, json_string_at(v, "uid"));
		if (json_bool_at(v, "controller", false))
			strbuf_addc(b, 'c');
		if (json_bool_at(v, "blockOwnerDeletion", false))
			strbuf_addc(b, 'b');
		strbuf_addc(b, '\0');
		n++;
	}
	return n;
}

static uint32_t add_finalizers(StrBuf *b, const json_t *finalizers)
{
	uint32_t n = 0;
	json_t *v;
	size_t i;

	json_array_foreach (finalizers, i, v) {
		if (json_is_string(v)) {
			add_string(b, json_string_value(v));
			n++;
		}
	}
	return n;
}

static void encode_blob(const Key *key, const Kind *kind, const json_t *tree, StrBuf *b)
{
	_cleanup_(xfreep) char *charge = quota_charge(key, tree);
	const json_t *meta = json_object_get(tree, "metadata");
	uint64_t generation = htole64((uint64_t)json_integer_at(meta, "generation", 0));
	const char *uid = json_string_at(meta, "uid");
	uint32_t n[BLOB_COUNTS] = { 0 };
	json_t *cells;
	char *text;

	strbuf_add(b, BLOB_MAGIC, 4);
	strbuf_add(b, n, sizeof(n));
	strbuf_add(b, &generation, sizeof(generation));
	add_string(b, uid && strlen(uid) < UUID_MAX ? uid : "");
	add_string(b, json_string_at(meta, "creationTimestamp"));
	add_string(b, json_string_at(meta, "deletionTimestamp"));
	n[0] = add_map(b, json_object_get(meta, "labels"), "");
	n[1] = add_map(b, json_object_get(meta, "annotations"), "shakenfist.io/");
	n[2] = add_owners(b, json_object_get(meta, "ownerReferences"));
	n[3] = add_finalizers(b, json_object_get(meta, "finalizers"));
	if (kind && kind->n_columns) {
		cells = kind_cells(kind, tree);
		text = json_text(cells);
		add_string(b, text);
		free(text);
		json_decref(cells);
	} else {
		add_string(b, "");
	}
	add_string(b, charge);
	for (size_t i = 0; i < BLOB_COUNTS; i++)
		n[i] = htole32(n[i]);
	memcpy(b->buf + 4, n, sizeof(n));
}

/* ---- from a tree
 * ------------------------------------------------------------------------------------------ */

/* The text with managedFields, which is null in it, as they are written. Takes text. */
static char *with_managed(char *text, const json_t *managed)
{
	size_t n = json_string_length(managed), len = strlen(text), head;
	const char *begin, *end;
	char *whole;

	if (!find_in_metadata(text, "managedFields", &begin, &end))
		return text;
	head = (size_t)(begin - text);
	whole = xmalloc(len + n + 1);
	memcpy(whole, text, head);
	memcpy(whole + head, json_string_value(managed), n);
	memcpy(whole + head + n, end, len - (size_t)(end - text) + 1);
	free(text);
	return whole;
}

Object *object_new(const Key *key, const Kind *kind, const json_t *tree, int64_t create_rev,
		   int64_t rev)
{
	_cleanup_(strbuf_done) StrBuf blob = STRBUF_INIT;
	_cleanup_(json_decrefp) json_t *copy = json_copy((json_t *)tree);
	_cleanup_(json_decrefp) json_t *managed = NULL;
	_cleanup_(xfreep) char *text = NULL;
	json_t *meta = json_object_get(tree, "metadata");
	char buf[32];
	Object *o = NULL;
	size_t len;
	int rc;

	/* Two shallow copies: the caller's tree stays as it is. */
	meta = json_is_object(meta) ? json_copy(meta) : json_object();
	snprintf(buf, sizeof(buf), "%lld", (long long)rev);
	json_object_set_new(meta, "resourceVersion", json_string(buf));
	managed = json_incref(json_object_get(meta, "managedFields"));
	if (json_is_string(managed))
		json_object_set_new(meta, "managedFields", json_null());
	json_object_set_new(copy, "metadata", meta);
	text = json_canonical(copy);
	if (json_is_string(managed))
		text = with_managed(text, managed);
	len = strlen(text);
	encode_blob(key, kind, tree, &blob);
	rc = object_new_from_parts(key, create_rev, rev, blob.buf, blob.len, text, len, &o, NULL);
	assert(rc == 0);
	return o;
}

Object *object_with_revision(const Object *o, int64_t create_rev, int64_t rev)
{
	const char *begin, *end;
	char digits[32], *to;
	size_t head, tail, n;
	Object *copy = NULL;
	int rc;

	if (!find_in_metadata(o->text, "resourceVersion", &begin, &end) || *begin != '"') {
		_cleanup_(json_decrefp) json_t *tree = object_decode(o);

		return object_new(&o->key, NULL, tree, create_rev, rev);
	}
	n = (size_t)snprintf(digits, sizeof(digits), "\"%lld\"", (long long)rev);
	head = (size_t)(begin - o->text);
	tail = o->text_len - (size_t)(end - o->text);
	rc = object_alloc(&o->key, create_rev, rev, o->blob, o->blob_len, head + n + tail, &copy,
			  &to, NULL);
	assert(rc == 0);
	memcpy(to, o->text, head);
	memcpy(to + head, digits, n);
	memcpy(to + head + n, end, tail);
	return copy;
}

ObjectList *object_list_free(ObjectList *l)
{
	if (!l)
		return NULL;
	for (size_t i = 0; i < l->n; i++)
		object_unref(l->items[i]);
	free(l->items);
	free(l->continue_token);
	free(l);
	return NULL;
}
