/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of fields as server-side apply writes them (`spec.disks[name="root"].size`), found in a
 * document: where they stand there is known by index only. See manifest_internal.h.
 */
#include "manifest_internal.h"
#include "json/json.h"

/* `name="root",port=80`: every one is the item's. */
static bool item_has_keys(const json_t *item, const char *keys, size_t len)
{
	_cleanup_(xfreep) char *copy = xstrndup(keys, len);
	char *at = copy;

	while (*at) {
		char *equals = strchr(at, '='), *value = equals ? equals + 1 : NULL;
		json_t *want, *have;
		json_error_t e;
		bool same;

		if (!value)
			return false;
		*equals = '\0';
		want = json_loads(value, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &e);
		have = *at ? json_object_get(item, at) : (json_t *)item; /* "=x": of a set */
		same = want && json_same(want, have);
		json_decref(want);
		if (!same)
			return false;
		at = value + e.position;
		at += *at == ',';
	}
	return true;
}

/* The bracket's end; quotes may hold one. */
static const char *bracket_end(const char *s)
{
	for (bool quoted = false; *s; s++) {
		if (quoted && *s == '\\' && s[1])
			s++;
		else if (*s == '"')
			quoted = !quoted;
		else if (*s == ']' && !quoted)
			return s;
	}
	return NULL;
}

char *field_path_by_member(const char *path)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;

	for (const char *p = path; *p; p++) {
		size_t n = *p == '[' ? strcspn(p, "]") : 0;
		bool quoted = n > 2 && p[1] == '"' && p[n - 1] == '"';

		if (n < 2 || !p[n] || strspn(p + 1, "0123456789") == n - 1) {
			strbuf_addc(&out, *p);
			continue;
		}
		strbuf_addc(&out, '.');
		strbuf_add(&out, p + 1 + quoted, n - 1 - 2 * quoted);
		p += n;
	}
	return strbuf_take(&out);
}

char *field_path_by_index(const json_t *tree, const char *path)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	const json_t *v = tree;

	while (*path) {
		if (*path == '[') {
			const char *end = bracket_end(path + 1);
			size_t i, n = json_array_size(v);

			if (!end)
				break;
			for (i = 0; i < n; i++)
				if (item_has_keys(json_array_get(v, i), path + 1,
						  (size_t)(end - path - 1)))
					break;
			if (i == n)
				return NULL;
			strbuf_addf(&out, "[%zu]", i);
			v = json_array_get(v, i);
			path = end + 1;
		} else {
			size_t n = strcspn(path + 1, ".[") + 1;

			strbuf_add(&out, path, n);
			v = json_object_getn(v, path + (*path == '.'), n - (*path == '.'));
			path += n;
		}
	}
	return strbuf_take(&out);
}
