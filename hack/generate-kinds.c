/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes what the build derives from manifests/crds: the CRDs as JSON in a C table, and the typed
 *structs of the kinds of shakenfist.io with their decode functions.
 *
 *	generate-kinds OUTDIR FILE...     writes OUTDIR/types.h, types.c, builtin.c
 *
 * Rules: camelCase becomes snake_case. string: char * (NULL if absent). format quantity: uint64_t
 *bytes. integer: int64_t. boolean: bool. array: T *x and size_t n_x. object: the struct, and bool
 *has_x. An enum with x-sf-enum: NAME is a C enum NAME with NAME_VALUE constants in the order of the
 *CRD, NAME_to_string and NAME_from_string; other enums stay strings.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "yaml/yaml.h"
#include "json/json.h"

#define OUR_GROUP "shakenfist.io"
#define CRD_MAX   (1024u * 1024)

typedef struct Output {
	StrBuf enums, structs, prototypes, code;
} Output;

static _noreturn_ void die(const char *what, const char *why)
{
	fprintf(stderr, "generate-kinds: %s: %s\n", what, why);
	exit(1);
}

/* ---- names ---- */

/* "maxCpus" -> "max_cpus", "UEFISecure" -> "uefi_secure". Caller frees. */
static char *snake(const char *s, bool upper)
{
	StrBuf b = STRBUF_INIT;

	for (size_t i = 0; s[i]; i++) {
		bool hump =
			i && isupper((unsigned char)s[i]) &&
			(islower((unsigned char)s[i - 1]) || isdigit((unsigned char)s[i - 1]) ||
			 (isupper((unsigned char)s[i - 1]) && islower((unsigned char)s[i + 1])));

		if (hump)
			strbuf_addc(&b, '_');
		strbuf_addc(&b, (char)(upper ? toupper((unsigned char)s[i])
					     : tolower((unsigned char)s[i])));
	}
	return strbuf_take(&b);
}

/* "disks" of InstanceSpec -> "InstanceSpecDisk". */
static char *type_name(const char *parent, const char *member, bool item)
{
	char *name = xasprintf("%s%c%s", parent, toupper((unsigned char)member[0]), member + 1);
	size_t n = strlen(name);

	if (item && name[n - 1] == 's')
		name[n - 1] = '\0';
	return name;
}

static const char *str(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static bool is_quantity(const json_t *p)
{
	return streq(str(p, "format"), "quantity");
}

/* ---- enums ---- */

static void write_enum(Output *out, const json_t *p)
{
	_cleanup_(xfreep) char *prefix = snake(str(p, "x-sf-enum"), true),
			       *low = snake(str(p, "x-sf-enum"), false);
	const char *name = str(p, "x-sf-enum");
	json_t *v;
	size_t i;

	strbuf_addf(&out->enums, "typedef enum %s {\n", name);
	json_array_foreach (json_object_get(p, "enum"), i, v) {
		_cleanup_(xfreep) char *value = snake(json_string_value(v), true);

		strbuf_addf(&out->enums, "\t%s_%s,\n", prefix, value);
	}
	strbuf_addf(&out->enums, "\t_%s_MAX,\n} %s;\n\nconst char *%s_to_string(%s v);\n", prefix,
		    name, low, name);
	strbuf_addf(&out->enums,
		    "/* -ERR_INVALID for anything else. */\nint %s_from_string(const char *s, %s "
		    "*ret);\n\n",
		    low, name);
	strbuf_addf(&out->code, "static const char *const %s_names[] = {", low);
	json_array_foreach (json_object_get(p, "enum"), i, v)
		strbuf_addf(&out->code, " \"%s\",", json_string_value(v));
	strbuf_addf(&out->code,
		    " };\n\nconst char *%s_to_string(%s v)\n{\n\treturn %s_names[v];\n}\n\n", low,
		    name, low);
	strbuf_addf(&out->code,
		    "int %s_from_string(const char *s, %s *ret)\n{\n\tfor (int i = 0; i < _%s_MAX; "
		    "i++)\n"
		    "\t\tif (streq(%s_names[i], s)) {\n\t\t\t*ret = (%s)i;\n\t\t\treturn "
		    "0;\n\t\t}\n\treturn -ERR_INVALID;\n}\n\n",
		    low, name, prefix, low, name);
}

/* ---- structs ---- */

typedef struct Members {
	StrBuf fields, decode, release;
} Members;

static void write_struct(Output *out, const char *name, const json_t *schema);

static void write_array(Output *out, Members *m, const char *parent, const char *json,
			const char *c, const json_t *p)
{
	const json_t *items = json_object_get(p, "items");
	_cleanup_(xfreep) char *type = type_name(parent, json, true);

	if (streq(str(items, "type"), "string")) {
		strbuf_addf(&m->fields, "\tchar **%s;\n\tsize_t n_%s;\n", c, c);
		strbuf_addf(&m->decode, "\ts->%s = decode_strings(o, \"%s\", &s->n_%s);\n", c, json,
			    c);
		strbuf_addf(&m->release, "\tdecode_strings_free(s->%s, s->n_%s);\n", c, c);
		return;
	}
	if (!streq(str(items, "type"), "object"))
		die(json, "arrays are of strings or objects");
	write_struct(out, type, items);
	strbuf_addf(&m->fields, "\t%s *%s;\n\tsize_t n_%s;\n", type, c, c);
	strbuf_addf(
		&m->decode,
		"\ts->n_%s = json_array_size(json_object_get(o, \"%s\"));\n\ts->%s = s->n_%s ? "
		"xnew0(%s, s->n_%s) : NULL;\n"
		"\tfor (size_t i = 0; i < s->n_%s; "
		"i++)\n\t\t%s_read(json_array_get(json_object_get(o, \"%s\"), i), &s->%s[i]);\n",
		c, json, c, c, type, c, c, type, json, c);
	strbuf_addf(
		&m->release,
		"\tfor (size_t i = 0; i < s->n_%s; i++)\n\t\t%s_done(&s->%s[i]);\n\tfree(s->%s);\n",
		c, type, c, c);
}

static void write_scalar(Output *out, Members *m, const char *json, const char *c, const json_t *p)
{
	_cleanup_(xfreep) char *low = NULL;

	if (*str(p, "x-sf-enum")) {
		low = snake(str(p, "x-sf-enum"), false);
		write_enum(out, p);
		strbuf_addf(&m->fields, "\t%s %s;\n", str(p, "x-sf-enum"), c);
		strbuf_addf(
			&m->decode,
			"\ts->%s = (%s)decode_enum(o, \"%s\", %s_names, ARRAY_SIZE(%s_names));\n",
			c, str(p, "x-sf-enum"), json, low, low);
	} else if (is_quantity(p)) {
		strbuf_addf(&m->fields, "\tuint64_t %s;\n", c);
		strbuf_addf(&m->decode, "\ts->%s = decode_quantity(o, \"%s\");\n", c, json);
	} else if (streq(str(p, "type"), "integer")) {
		strbuf_addf(&m->fields, "\tint64_t %s;\n", c);
		strbuf_addf(&m->decode, "\ts->%s = decode_integer(o, \"%s\");\n", c, json);
	} else if (streq(str(p, "type"), "boolean")) {
		strbuf_addf(&m->fields, "\tbool %s;\n", c);
		strbuf_addf(&m->decode, "\ts->%s = decode_boolean(o, \"%s\");\n", c, json);
	} else if (streq(str(p, "type"), "string")) {
		strbuf_addf(&m->fields, "\tchar *%s;\n", c);
		strbuf_addf(&m->decode, "\ts->%s = decode_string(o, \"%s\");\n", c, json);
		strbuf_addf(&m->release, "\tfree(s->%s);\n", c);
	} else {
		die(json, "no C type for this");
	}
}

static void write_member(Output *out, Members *m, const char *parent, const char *json,
			 const json_t *p)
{
	_cleanup_(xfreep) char *c = snake(json, false), *type = type_name(parent, json, false);

	if (streq(str(p, "type"), "array")) {
		write_array(out, m, parent, json, c, p);
	} else if (streq(str(p, "type"), "object")) {
		write_struct(out, type, p);
		strbuf_addf(&m->fields, "\tbool has_%s;\n\t%s %s;\n", c, type, c);
		strbuf_addf(&m->decode,
			    "\ts->has_%s = json_is_object(json_object_get(o, \"%s\"));\n\tif "
			    "(s->has_%s)\n"
			    "\t\t%s_read(json_object_get(o, \"%s\"), &s->%s);\n",
			    c, json, c, type, json, c);
		strbuf_addf(&m->release, "\t%s_done(&s->%s);\n", type, c);
	} else {
		write_scalar(out, m, json, c, p);
	}
}

static void write_struct(Output *out, const char *name, const json_t *schema)
{
	Members m = { .fields = STRBUF_INIT };
	const char *json;
	json_t *p;

	json_object_foreach (json_object_get(schema, "properties"), json, p)
		write_member(out, &m, name, json, p);
	strbuf_addf(&out->structs, "typedef struct %s {\n%s} %s;\n\n", name, strbuf_str(&m.fields),
		    name);
	strbuf_addf(&out->code, "static void %s_read(const json_t *o, %s *s)\n{\n%s}\n\n", name,
		    name, strbuf_str(&m.decode));
	strbuf_addf(&out->code, "static void %s_done(%s *s _unused_)\n{\n%s}\n\n", name, name,
		    strbuf_str(&m.release));
	strbuf_done(&m.fields);
	strbuf_done(&m.decode);
	strbuf_done(&m.release);
}

static void write_kind(Output *out, const json_t *crd)
{
	const json_t *version = json_array_get(json_at(crd, "spec.versions"), 0);
	const json_t *spec = json_at(version, "schema.openAPIV3Schema.properties.spec");
	const char *kind = json_string_at(crd, "spec.names.kind"),
		   *plural = json_string_at(crd, "spec.names.plural");
	_cleanup_(xfreep) char *type = xasprintf("%sSpec", kind), *low = snake(type, false);

	write_struct(out, type, spec);
	strbuf_addf(&out->prototypes,
		    "/* From the whole object; defaults are filled in. -ERR_INVALID with the first "
		    "thing that is wrong. */\n"
		    "int %s_decode(const json_t *tree, %s **ret, Error *err);\n%s *%s_free(%s "
		    "*s);\nDEFINE_CLEANUP(%s *, %s_free)\n\n",
		    low, type, type, low, type, type, low);
	strbuf_addf(&out->code,
		    "int %s_decode(const json_t *tree, %s **ret, Error *err)\n{\n\tjson_t *copy = "
		    "NULL;\n"
		    "\tint rc = decode_prepare(\"%s\", \"%s\", tree, &copy, err);\n\n\tif (rc < "
		    "0)\n\t\treturn rc;\n"
		    "\t*ret = xnew0(%s, 1);\n\t%s_read(json_object_get(copy, \"spec\"), "
		    "*ret);\n\tjson_decref(copy);\n\treturn 0;\n}\n\n",
		    low, type, OUR_GROUP, plural, type, type);
	strbuf_addf(&out->code,
		    "%s *%s_free(%s *s)\n{\n\tif (!s)\n\t\treturn "
		    "NULL;\n\t%s_done(s);\n\tfree(s);\n\treturn NULL;\n}\n\n",
		    type, low, type, type);
}

/* ---- files ---- */

static void write_file(const char *dir, const char *name, const StrBuf *text)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/%s", dir, name);
	_cleanup_(error_done) Error err = ERROR_INIT;

	if (fs_write_atomic(path, text->buf, text->len, 0644, false, &err) < 0)
		die(name, error_message(&err));
}

static void write_c_string(StrBuf *b, const char *s)
{
	strbuf_addc(b, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			strbuf_addc(b, '\\');
		strbuf_addc(b, *s);
	}
	strbuf_addc(b, '"');
}

static void write_types(const char *dir, const Output *out)
{
	static const char head[] =
		"/* SPDX-License-Identifier: Apache-2.0 */\n/* Generated from manifests/crds by "
		"hack/generate-kinds.c, which says by what rules. */\n";
	_cleanup_(strbuf_done) StrBuf h = STRBUF_INIT, c = STRBUF_INIT;

	strbuf_addf(&h,
		    "%s#pragma once\n\n#include <jansson.h>\n\n#include \"base/error.h\"\n\n%s%s%s",
		    head, strbuf_str(&out->enums), strbuf_str(&out->structs),
		    strbuf_str(&out->prototypes));
	strbuf_addf(&c,
		    "%s#include \"api/types.h\"\n\n#include <stdlib.h>\n\n#include "
		    "\"api/decode.h\"\n#include \"base/memory.h\"\n\n%s",
		    head, strbuf_str(&out->code));
	write_file(dir, "types.h", &h);
	write_file(dir, "types.c", &c);
}

static json_t *read_crd(const char *path)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(yaml_docs_freep) YamlDocs *docs = NULL;
	_cleanup_(xfreep) char *text = NULL;
	size_t len;

	if (fs_read(path, CRD_MAX, &text, &len, &err) < 0 ||
	    yaml_parse(text, len, path, &docs, &err) < 0)
		die(path, error_message(&err));
	if (docs->n != 1)
		die(path, "must hold one document");
	return json_incref(yaml_doc_tree(docs->docs[0]));
}

int main(int argc, char **argv)
{
	_cleanup_(strbuf_done) StrBuf table = STRBUF_INIT;
	Output out = { .enums = STRBUF_INIT };

	if (argc < 3)
		die("usage", "generate-kinds OUTDIR FILE...");
	strbuf_adds(&table, "/* SPDX-License-Identifier: Apache-2.0 */\n/* Generated from "
			    "manifests/crds by hack/generate-kinds.c. */\n"
			    "#include \"api/builtin.h\"\n\nconst BuiltinCrd builtin_crds[] = {\n");
	for (int i = 2; i < argc; i++) {
		_cleanup_(json_decrefp) json_t *crd = read_crd(argv[i]);
		_cleanup_(xfreep) char *text = json_dumps(crd, JSON_COMPACT);

		if (streq_ptr(json_string_at(crd, "spec.group"), OUR_GROUP))
			write_kind(&out, crd);
		strbuf_adds(&table, "\t{ ");
		write_c_string(&table, text);
		strbuf_addf(&table, ", %zu },\n", strlen(text));
	}
	strbuf_addf(&table, "};\nconst size_t builtin_crds_n = %d;\n", argc - 2);
	write_file(argv[1], "builtin.c", &table);
	write_types(argv[1], &out);
	strbuf_done(&out.enums);
	strbuf_done(&out.structs);
	strbuf_done(&out.prototypes);
	strbuf_done(&out.code);
	return 0;
}
