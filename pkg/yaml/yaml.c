/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML in: libfyaml's events become jansson trees; beside each tree a table says where every field
 * was written.
 *
 * Events and not libfyaml's documents, because limits, duplicate keys, tags and aliases are then
 * decided at the moment they are read, with a position. Input is checked as bytes first: UTF-8, no
 * control characters. Brackets may be indented as one likes, as other readers have it. Each call
 * owns its parser; any thread.
 */
#include "yaml/yaml.h"

#include <libfyaml.h>

#include "base/hashmap.h"
#include "base/memory.h"
#include "yaml/internal.h"

#define DEPTH_MAX 64
/* Bounds what the table of marks can grow to: a longer path is answered by its nearest parent. */
#define MARK_PATH_MAX 512
#define KEY_MAX       1024

struct YamlDoc {
	char *name;
	json_t *tree;
	YamlMark start;
	Hashmap *marks; /* path -> YamlMark of the value's key (or of the item) */
};

/* One open collection. */
typedef struct Frame {
	json_t *value;   /* borrowed: its parent owns it */
	size_t path_len; /* of the collection itself */
	char *key;       /* of the member that comes next; NULL = a key comes next */
} Frame;

typedef struct Reader {
	struct fy_parser *parser;
	struct fy_diag *diag;
	const char *name;
	YamlDocs *docs;
	YamlDoc *doc; /* the open one */
	Frame stack[DEPTH_MAX];
	size_t depth, nodes, n_started;
	YamlMark last; /* where the newest event with a place began */
	StrBuf path;
	YamlMark key_mark;
	Error *err;
} Reader;

/* ---- results ---- */

static void doc_free(YamlDoc *d)
{
	if (!d)
		return;
	free(d->name);
	json_decref(d->tree);
	hashmap_free(d->marks);
	free(d);
}

YamlDocs *yaml_docs_free(YamlDocs *d)
{
	if (!d)
		return NULL;
	for (size_t i = 0; i < d->n; i++)
		doc_free(d->docs[i]);
	free(d->docs);
	free(d);
	return NULL;
}

json_t *yaml_doc_tree(const YamlDoc *d)
{
	return d->tree;
}

const char *yaml_doc_name(const YamlDoc *d)
{
	return d->name;
}

YamlMark yaml_doc_start(const YamlDoc *d)
{
	return d->start;
}

YamlMark yaml_doc_mark(const YamlDoc *d, const char *path)
{
	_cleanup_(xfreep) char *p = xstrdup(path);
	const YamlMark *m;
	size_t n;

	for (n = strlen(p); n > 0;) {
		m = hashmap_get(d->marks, p);
		if (m)
			return *m;
		while (n > 0 && p[n - 1] != '.' && p[n - 1] != '[')
			n--;
		n -= n > 0;
		p[n] = '\0';
	}
	return d->start;
}

/* ---- errors ---- */

static int reader_fail(Reader *r, YamlMark m, const char *fmt, ...) _printf_(3, 4);
static int reader_fail(Reader *r, YamlMark m, const char *fmt, ...)
{
	_cleanup_(xfreep) char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	return error_set(r->err, ERR_INVALID, "%s:%u:%u: %s", r->name, m.line, m.column, text);
}

/* What is left empty ("- ", "a:") has no place of its own: it stands where the last thing did. */
static YamlMark mark_of(Reader *r, const struct fy_mark *m)
{
	if (m)
		r->last = (YamlMark){ (unsigned)m->line + 1, (unsigned)m->column + 1 };
	return r->last;
}

/* What libfyaml says about a syntax error, in one line. */
static int reader_syntax_error(Reader *r)
{
	const struct fy_diag_error *e;
	const char *hint;
	void *it = NULL;

	e = fy_diag_errors_iterate(r->diag, &it);
	if (!e)
		return reader_fail(r, r->last, "not YAML, here or in what follows");
	hint = yaml_syntax_hint(e->msg);
	return reader_fail(r, (YamlMark){ (unsigned)e->line, (unsigned)e->column }, "%s%s%s",
			   e->msg, hint ? ": " : "", hint ? hint : "");
}

/* ---- building ---- */

static void remember(Reader *r, YamlMark m)
{
	if (r->path.len <= MARK_PATH_MAX)
		hashmap_put(r->doc->marks, strbuf_str(&r->path), xmemdup(&m, sizeof(m)));
}

/* Puts a value where it belongs and leaves r->path at it. Takes value over. */
static int add_value(Reader *r, json_t *value, YamlMark m)
{
	Frame *f = r->depth ? &r->stack[r->depth - 1] : NULL;

	if (++r->nodes > YAML_NODES_MAX) {
		json_decref(value);
		return reader_fail(r, m, "more than %d values: split the file", YAML_NODES_MAX);
	}
	if (!f) {
		r->doc->tree = value;
		r->doc->start = m;
		return 0;
	}
	strbuf_truncate(&r->path, f->path_len);
	if (json_is_array(f->value)) {
		strbuf_addf(&r->path, "[%zu]", json_array_size(f->value));
		json_array_append_new(f->value, value);
		remember(r, m);
		return 0;
	}
	strbuf_addf(&r->path, "%s%s", r->path.len ? "." : "", f->key);
	/* A lone surrogate, written as an escape, is the one thing left that is no UTF-8. */
	if (json_object_set_new(f->value, f->key, value) < 0)
		return reader_fail(r, r->key_mark, "an escape that is no valid character");
	free(f->key);
	f->key = NULL;
	remember(r, r->key_mark);
	return 0;
}

/* True if the next scalar is a mapping's key. */
static bool wants_key(const Reader *r)
{
	const Frame *f = r->depth ? &r->stack[r->depth - 1] : NULL;

	return f && json_is_object(f->value) && !f->key;
}

static int add_key(Reader *r, const char *text, size_t len, YamlMark m)
{
	Frame *f = &r->stack[r->depth - 1];
	_cleanup_(xfreep) char *key = xstrndup(text, len);
	_cleanup_(xfreep) char *path = NULL;
	const YamlMark *first;

	if (strlen(key) != len)
		return reader_fail(r, m, "a NUL character in a key");
	if (len > KEY_MAX)
		return reader_fail(r, m, "a key of more than %d bytes", KEY_MAX);
	if (streq(key, "<<"))
		return reader_fail(r, m, "merge keys (<<) are not accepted: write the fields out");
	if (json_object_get(f->value, key)) {
		strbuf_truncate(&r->path, f->path_len);
		path = xasprintf("%s%s%s", strbuf_str(&r->path), r->path.len ? "." : "", key);
		first = hashmap_get(r->doc->marks, path);
		return reader_fail(r, m,
				   "duplicate key \"%.80s\" (the first is in line %u): remove one",
				   key, first ? first->line : 0);
	}
	f->key = TAKE_PTR(key);
	r->key_mark = m;
	return 0;
}

static int open_collection(Reader *r, json_t *value, YamlMark m)
{
	int rc;

	if (wants_key(r)) {
		json_decref(value);
		return reader_fail(r, m,
				   "a key must be a plain word, not a list or a mapping: quote it");
	}
	if (r->depth == DEPTH_MAX) {
		json_decref(value);
		return reader_fail(r, m, "nested deeper than %d levels", DEPTH_MAX);
	}
	rc = add_value(r, value, m);
	if (rc == 0)
		r->stack[r->depth++] = (Frame){ .value = value, .path_len = r->path.len };
	return rc;
}

/* ---- events ---- */

/* Anchors and tags can make small files large and plain values strange; nobody needs them here. */
static int refuse_decorations(Reader *r, struct fy_event *e)
{
	struct fy_token *anchor = fy_event_get_anchor_token(e), *tag = fy_event_get_tag_token(e);

	if (anchor)
		return reader_fail(
			r, mark_of(r, fy_token_start_mark(anchor)),
			"anchors (&name) are not accepted: write the value out where it is needed");
	if (tag)
		return reader_fail(
			r, mark_of(r, fy_token_start_mark(tag)),
			"tags (!name) are not accepted: remove it, types come from the schema");
	return 0;
}

static int on_scalar(Reader *r, struct fy_event *e, YamlMark m)
{
	struct fy_token *token = fy_event_get_token(e);
	enum fy_scalar_style style = token ? fy_token_scalar_style(token) : FYSS_PLAIN;
	size_t len = 0;
	const char *text = token ? fy_token_get_text(token, &len) : "";
	_cleanup_(error_done) Error trouble = ERROR_INIT;
	json_t *value;

	/* libfyaml gives an empty text where it has no memory for the whole. */
	if (!text || (token && len == 0 && fy_token_get_text_length(token) > 0))
		return reader_fail(r, m, "cannot read this value: out of memory");
	if (wants_key(r))
		return add_key(r, text, len, m);
	if (yaml_scalar(text, len, style == FYSS_PLAIN, &value, &trouble) < 0)
		return reader_fail(r, m, "%s", error_message(&trouble));
	return add_value(r, value, m);
}

static int on_document_start(Reader *r, YamlMark m)
{
	if (++r->n_started > YAML_DOCS_MAX)
		return reader_fail(r, m, "more than %d documents: split the file", YAML_DOCS_MAX);
	r->doc = xnew0(YamlDoc, 1);
	r->doc->name = xstrdup(r->name);
	r->doc->marks = hashmap_new(free);
	r->doc->start = m;
	strbuf_reset(&r->path);
	return 0;
}

static void on_document_end(Reader *r)
{
	if (!r->doc->tree || json_is_null(r->doc->tree)) {
		doc_free(r->doc);
	} else {
		r->docs->docs = xrealloc(r->docs->docs, r->docs->n + 1, sizeof(*r->docs->docs));
		r->docs->docs[r->docs->n++] = r->doc;
	}
	r->doc = NULL;
}

static int on_event(Reader *r, struct fy_event *e)
{
	YamlMark m = mark_of(r, fy_event_start_mark(e));
	int rc = refuse_decorations(r, e);

	if (rc < 0)
		return rc;
	switch (e->type) {
	case FYET_DOCUMENT_START:
		return on_document_start(r, m);
	case FYET_DOCUMENT_END:
		on_document_end(r);
		return 0;
	case FYET_MAPPING_START:
		return open_collection(r, json_object(), m);
	case FYET_SEQUENCE_START:
		return open_collection(r, json_array(), m);
	case FYET_MAPPING_END:
	case FYET_SEQUENCE_END:
		r->depth--;
		return 0;
	case FYET_SCALAR:
		return on_scalar(r, e, m);
	case FYET_ALIAS:
		return reader_fail(r, m, "aliases (*name) are not accepted: write the value out");
	default:
		return 0;
	}
}

static int read_events(Reader *r)
{
	struct fy_event *e;
	int rc = 0;

	while (rc == 0 && (e = fy_parser_parse(r->parser))) {
		rc = on_event(r, e);
		fy_parser_event_free(r->parser, e);
	}
	if (rc == 0 && fy_parser_get_stream_error(r->parser))
		rc = reader_syntax_error(r);
	return rc;
}

static int reader_open(Reader *r, const char *text, size_t len)
{
	struct fy_diag_cfg diag;
	struct fy_parse_cfg cfg = { .search_path = "",
				    .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE |
					     FYPCF_SLOPPY_FLOW_INDENTATION };

	fy_diag_cfg_default(&diag);
	diag.fp = NULL;
	r->diag = fy_diag_create(&diag);
	fy_diag_set_collect_errors(r->diag, true);
	cfg.diag = r->diag;
	r->parser = fy_parser_create(&cfg);
	if (!r->parser || fy_parser_set_string(r->parser, text, len) != 0)
		return error_set(r->err, ERR_INTERNAL, "%s: the YAML parser cannot be made",
				 r->name);
	return 0;
}

int yaml_parse(const char *text, size_t len, const char *name, YamlDocs **ret, Error *err)
{
	_cleanup_(yaml_docs_freep) YamlDocs *docs = xnew0(YamlDocs, 1);
	Reader r = {
		.name = name, .docs = docs, .err = err, .path = STRBUF_INIT, .last = {1, 1}
	};
	int rc = yaml_check_bytes(text, len, name, err);

	if (rc == 0)
		rc = reader_open(&r, text, len);
	if (rc == 0)
		rc = read_events(&r);
	for (size_t i = 0; i < DEPTH_MAX; i++)
		free(r.stack[i].key);
	doc_free(r.doc);
	strbuf_done(&r.path);
	if (r.parser)
		fy_parser_destroy(r.parser);
	if (r.diag)
		fy_diag_destroy(r.diag);
	if (rc == 0)
		*ret = TAKE_PTR(docs);
	return rc;
}
