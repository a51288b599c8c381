/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding what names a member twice: jansson keeps the last one, as Go's decoders do, and this
 * finds out which ones they were. See json.h. The text is scanned a second time only if there are
 * any.
 */
#include "base/hashmap.h"
#include "base/memory.h"
#include "json/json_internal.h"

typedef struct Scan {
	const char *p;
	StrBuf path;
	JsonDoubledFn fn;
	void *arg;
} Scan;

static void scan_value(Scan *s);

static void skip_blank(Scan *s)
{
	s->p += strspn(s->p, " \t\r\n");
}

static void path_pop(Scan *s, size_t len)
{
	if (s->path.buf)
		strbuf_truncate(&s->path, len);
}

/* The text is known to be JSON: s->p is at a quote. Caller frees. */
static char *scan_string(Scan *s)
{
	const char *begin = s->p++;
	_cleanup_(json_decrefp) json_t *v = NULL;

	for (; *s->p != '"'; s->p++)
		if (*s->p == '\\')
			s->p++;
	s->p++;
	v = json_loadb(begin, (size_t)(s->p - begin), JSON_DECODE_ANY, NULL);
	return xstrdup(v ? json_string_value(v) : "");
}

static void scan_members(Scan *s)
{
	_cleanup_(hashmap_freep) Hashmap *seen = hashmap_new(NULL);
	size_t len = s->path.len;

	s->p++;
	for (skip_blank(s); *s->p != '}'; skip_blank(s)) {
		_cleanup_(xfreep) char *name = NULL;

		if (*s->p == ',') {
			s->p++;
			continue;
		}
		name = scan_string(s);
		strbuf_addf(&s->path, "%s%s", len ? "." : "", name);
		if (hashmap_contains(seen, name))
			s->fn(s->arg, strbuf_str(&s->path));
		hashmap_put(seen, name, seen);
		skip_blank(s);
		s->p++; /* the colon */
		scan_value(s);
		path_pop(s, len);
	}
	s->p++;
}

static void scan_items(Scan *s)
{
	size_t len = s->path.len, i = 0;

	s->p++;
	for (skip_blank(s); *s->p != ']'; skip_blank(s)) {
		if (*s->p == ',') {
			s->p++;
			continue;
		}
		strbuf_addf(&s->path, "[%zu]", i++);
		scan_value(s);
		path_pop(s, len);
	}
	s->p++;
}

static void scan_value(Scan *s)
{
	skip_blank(s);
	switch (*s->p) {
	case '{':
		scan_members(s);
		return;
	case '[':
		scan_items(s);
		return;
	case '"':
		free(scan_string(s));
		return;
	default:
		s->p += strcspn(s->p, ",]} \t\r\n");
	}
}

void json_find_doubled(const char *text, JsonDoubledFn fn, void *arg)
{
	Scan s = { .p = text, .path = STRBUF_INIT, .fn = fn, .arg = arg };

	scan_value(&s);
	strbuf_done(&s.path);
}
