/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rendering: which form of an object was asked for, and one object in that form. Pure.
 */
#include <strings.h>

#include "server/internal.h"
#include "server/render.h"

void json_quote(StrBuf *out, const char *s)
{
	static const char digits[] = "0123456789abcdef";
	const char *from = s;

	strbuf_addc(out, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		strbuf_add(out, from, (size_t)(s - from));
		from = s + 1;
		if (c < 0x20) {
			strbuf_adds(out, "\\u00");
			strbuf_addc(out, digits[c >> 4]);
			strbuf_addc(out, digits[c & 0xf]);
		} else {
			strbuf_addc(out, '\\');
			strbuf_addc(out, (char)c);
		}
	}
	strbuf_add(out, from, (size_t)(s - from));
	strbuf_addc(out, '"');
}

/* Of one range of an Accept header, n bytes. */
static Accept accept_range(const char *range, size_t n)
{
	static const char *const json[] = { "application/json", "application/*", "*/*" };
	_cleanup_(xfreep) char *text = xstrndup(range, n);
	size_t type = strcspn(text, "; \t");

	for (size_t i = 0; i < ARRAY_SIZE(json); i++)
		if (type == strlen(json[i]) && strncasecmp(text, json[i], type) == 0)
			return strcasestr(text, "as=Table")                   ? ACCEPT_TABLE
			       : strcasestr(text, "as=PartialObjectMetadata") ? ACCEPT_METADATA
									      : ACCEPT_JSON;
	if (type == strlen("application/yaml") && strncasecmp(text, "application/yaml", type) == 0)
		return ACCEPT_YAML;
	return ACCEPT_NOTHING;
}

/* The first form named that we have; clients list them in order of preference. */
Accept accept_parse(const char *header)
{
	const char *p = header ? header : "";

	if (str_is_empty(p))
		return ACCEPT_JSON;
	while (*p) {
		size_t n;
		Accept accept;

		p += strspn(p, ", \t");
		n = strcspn(p, ",");
		accept = accept_range(p, n);
		if (accept != ACCEPT_NOTHING)
			return accept;
		p += n;
	}
	return ACCEPT_NOTHING;
}

json_t *render_metadata_only(const Object *o, bool item)
{
	_cleanup_(json_decrefp) json_t *tree = object_decode(o);
	json_t *metadata = json_object_get(tree, "metadata");

	if (item)
		json_object_del(metadata, "managedFields");
	return json_pack("{s:s, s:s, s:O}", "kind", "PartialObjectMetadata", "apiVersion",
			 "meta.k8s.io/v1", "metadata", metadata);
}

json_t *render_tree(const Kind *k, const Object *o)
{
	json_t *tree = object_decode(o);

	kind_convert(k, tree);
	return tree;
}

json_t *render_tree_lean(const Kind *k, const Object *o)
{
	json_t *tree = object_decode_lean(o);

	kind_convert(k, tree);
	return tree;
}

/*
 * Texts are canonical, so nearly all begin with their version. One that does not is of another
 * version, or has a member that comes before it: then the tree tells.
 */
bool render_is_text(const Kind *k, const Object *o)
{
	static const char head[] = "{\"apiVersion\":\"";
	const char *text = object_text(o, NULL);
	size_t n = strlen(k->api_version);

	return str_has_prefix(text, head) &&
	       strncmp(text + sizeof(head) - 1, k->api_version, n) == 0 &&
	       text[sizeof(head) - 1 + n] == '"';
}

const char *render_text(const Kind *k, const Object *o, size_t *ret_len, char **ret_made)
{
	json_t *tree;

	*ret_made = NULL;
	if (render_is_text(k, o))
		return object_text(o, ret_len);
	tree = render_tree(k, o);
	*ret_made = json_canonical(tree);
	*ret_len = strlen(*ret_made);
	json_decref(tree);
	return *ret_made;
}

void render_object(StrBuf *out, const Kind *k, Accept accept, const char *include, const Object *o,
		   bool with_columns, usec_t wall)
{
	switch (accept) {
	case ACCEPT_JSON: {
		_cleanup_(xfreep) char *made = NULL;
		size_t len;
		const char *text = render_text(k, o, &len, &made);

		strbuf_add(out, text, len);
		return;
	}
	case ACCEPT_METADATA: {
		_cleanup_(json_decrefp) json_t *tree = render_metadata_only(o, false);
		_cleanup_(xfreep) char *text = json_text(tree);

		strbuf_adds(out, text);
		return;
	}
	case ACCEPT_YAML: /* see Request.yaml */
	case ACCEPT_NOTHING:
		break;
	case ACCEPT_TABLE:
		table_head(out, k, object_revision(o), NULL, 0, with_columns);
		table_row(out, k, o, include, wall);
		table_tail(out);
		return;
	}
}
