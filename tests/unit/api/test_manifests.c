/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests from text to what is stored. Every file of manifests/examples is accepted and gives the
 * JSON kept in tests/golden/stored; the files of tests/manifests, whose words tests/prove/manifests
 * compares, go through here once for the sanitizers to look on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <unistd.h>

#include "api/schema.h"
#include "base/fs.h"
#include "base/memory.h"
#include "tests/lib/golden.h"
#include "yaml/yaml.h"
#include "json/json.h"

#define FILE_MAX_SIZE (4u * 1024 * 1024)

typedef struct Run {
	KindRegistry *kinds;
	StrBuf errors; /* one a line */
	StrBuf stored; /* indented JSON, one document after the other */
} Run;

static void run_done(Run *r)
{
	kind_registry_free(r->kinds);
	strbuf_done(&r->errors);
	strbuf_done(&r->stored);
}

static void tell(Run *r, const YamlDoc *d, const char *path, const char *message)
{
	YamlMark m = *path ? yaml_doc_mark(d, path) : yaml_doc_start(d);

	strbuf_addf(&r->errors, "%s:%u:%u: %s%s%s\n", yaml_doc_name(d), m.line, m.column, path,
		    *path ? ": " : "", message);
}

static void run_doc(Run *r, const YamlDoc *d)
{
	_cleanup_(json_decrefp) json_t *tree = json_deep_copy(yaml_doc_tree(d));
	_cleanup_(kind_unrefp) Kind *k = kind_registry_find_by_kind(
		r->kinds, json_string_at(tree, "apiVersion"), json_string_at(tree, "kind"));
	_cleanup_(error_done) Error err = ERROR_INIT;
	FieldErrors errors = FIELD_ERRORS_INIT;
	_cleanup_(xfreep) char *text = NULL;
	Kind *made = NULL;

	if (!k) {
		tell(r, d, "", "no such kind");
		return;
	}
	schema_prune(k->schema, tree, &errors);
	schema_default(k->schema, tree);
	object_validate(k, tree, NULL, &errors);
	for (size_t i = 0; i < errors.n; i++)
		tell(r, d, errors.items[i].path, errors.items[i].message);
	if (errors.n == 0 && k->gr == GR_CRD) {
		assert_int_equal(kind_from_crd(tree, false, &made, &err), 0);
		assert_int_equal(kind_registry_add(r->kinds, made, &err), 0);
		kind_unref(made);
	}
	field_errors_done(&errors);
	text = json_dumps(tree, JSON_INDENT(2) | JSON_SORT_KEYS);
	strbuf_addf(&r->stored, "%s\n", text);
}

static void run_file(Run *r, const char *path)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(yaml_docs_freep) YamlDocs *docs = NULL;
	_cleanup_(xfreep) char *text = NULL;
	size_t len;

	if (!r->kinds)
		r->kinds = kind_registry_new();
	if (fs_read(path, FILE_MAX_SIZE, &text, &len, &err) < 0)
		fail_msg("%s", error_message(&err));
	if (yaml_parse(text, len, strrchr(path, '/') + 1, &docs, &err) < 0) {
		strbuf_addf(&r->errors, "%s\n", error_message(&err));
		return;
	}
	for (size_t i = 0; i < docs->n; i++) {
		const char *kind = json_string_at(yaml_doc_tree(docs->docs[i]), "kind");

		if (!kind || !str_has_suffix(kind, "List")) /* clients take lists apart */
			run_doc(r, docs->docs[i]);
	}
}

/* dir/NAME.ext with the last part of path as NAME, without its extension. */
static char *beside(const char *path, const char *dir, const char *ext)
{
	const char *base = strrchr(path, '/') + 1;

	return xasprintf("%s/%.*s%s", dir, (int)(strrchr(base, '.') - base), base, ext);
}

/* A folder that defines a kind uses it in its other files. */
static void run_definition_of(Run *r, const char *path)
{
	_cleanup_(xfreep) char *definition =
		xasprintf("%.*s/definition.yaml", (int)(strrchr(path, '/') - path), path);

	if (streq(definition, path) || access(definition, R_OK) < 0)
		return;
	run_file(r, definition);
	strbuf_reset(&r->stored);
}

static void examples_are_stored_as_kept(void **state _unused_)
{
	glob_t g;

	assert_int_equal(glob("manifests/examples/*/*.yaml", 0, NULL, &g), 0);
	assert_true(g.gl_pathc >= 5);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		_cleanup_(xfreep) char *kept =
			beside(g.gl_pathv[i], "tests/golden/stored", ".json");
		Run r = { 0 };

		run_definition_of(&r, g.gl_pathv[i]);
		run_file(&r, g.gl_pathv[i]);
		if (r.errors.len)
			fail_msg("%s", strbuf_str(&r.errors));
		golden_compare(kept, r.stored.buf, r.stored.len);
		run_done(&r);
	}
	globfree(&g);
}

/* Definitions of real-world shape, each with objects that are as it wants them, and some that are
 * not: what is stored, and in which words the others are refused. */
static void definitions_of_others_work(void **state _unused_)
{
	glob_t g;

	assert_int_equal(glob("tests/golden/crds/*.yaml", 0, NULL, &g), 0);
	assert_true(g.gl_pathc >= 6);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		_cleanup_(xfreep) char *stored =
			beside(g.gl_pathv[i], "tests/golden/crds", ".json");
		_cleanup_(xfreep) char *told = beside(g.gl_pathv[i], "tests/golden/crds", ".txt");
		Run r = { 0 };

		run_file(&r, g.gl_pathv[i]);
		golden_compare(stored, r.stored.buf, r.stored.len);
		golden_compare(told, strbuf_str(&r.errors), r.errors.len);
		run_done(&r);
	}
	globfree(&g);
}

/* What it says is compared by tests/prove/manifests; and some need a server to be found wrong. */
static void hostile_manifests_do_no_harm(void **state _unused_)
{
	glob_t g;

	assert_int_equal(glob("tests/manifests/bad/*.[yj][as][mo][ln]", 0, NULL, &g), 0);
	assert_true(g.gl_pathc >= 400);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		Run r = { 0 };

		run_file(&r, g.gl_pathv[i]);
		run_done(&r);
	}
	globfree(&g);
}

static void good_manifests_have_no_errors(void **state _unused_)
{
	glob_t g;

	assert_int_equal(glob("tests/manifests/good/*.[yj][as][mo][ln]", 0, NULL, &g), 0);
	assert_true(g.gl_pathc >= 300);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		Run r = { 0 };

		run_file(&r, "tests/manifests/given.yaml");
		run_file(&r, g.gl_pathv[i]);
		if (r.errors.len)
			fail_msg("%s", strbuf_str(&r.errors));
		run_done(&r);
	}
	globfree(&g);
}

/* What was stored, defaulted again and written as YAML, is the same object. */
static void examples_survive_yaml_and_defaults(void **state _unused_)
{
	glob_t g;

	assert_int_equal(glob("manifests/examples/*/*.yaml", 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		_cleanup_(strbuf_done) StrBuf again = STRBUF_INIT;
		_cleanup_(yaml_docs_freep) YamlDocs *docs = NULL, *back = NULL;
		_cleanup_(xfreep) char *text = NULL;
		size_t len;

		assert_int_equal(fs_read(g.gl_pathv[i], FILE_MAX_SIZE, &text, &len, NULL), 0);
		assert_int_equal(yaml_parse(text, len, "x", &docs, NULL), 0);
		for (size_t d = 0; d < docs->n; d++) {
			strbuf_adds(&again, "---\n");
			yaml_emit(yaml_doc_tree(docs->docs[d]), &again);
		}
		assert_int_equal(yaml_parse(again.buf, again.len, "y", &back, NULL), 0);
		assert_int_equal(back->n, docs->n);
		for (size_t d = 0; d < docs->n; d++)
			assert_true(json_equal(yaml_doc_tree(docs->docs[d]),
					       yaml_doc_tree(back->docs[d])));
	}
	globfree(&g);
}

/* ---- our own kinds ------------------------------------------------------------------------ */

/* A comma in a YAML flow mapping ends a description that is not quoted: the rest becomes a key. */
static void check_described(const char *kind, const char *name, const json_t *v)
{
	const char *text = json_string_at(v, "description");
	const json_t *member;
	const char *key;
	size_t i;

	if (json_is_null(v) || (text && !str_has_suffix(text, ".") && !str_has_suffix(text, ".)")))
		fail_msg("%s: %s: \"%s\" is not a whole sentence", kind, name, text ? text : "");
	json_array_foreach (v, i, member)
		check_described(kind, name, member);
	json_object_foreach ((json_t *)v, key, member)
		check_described(kind, key, member);
}

static void descriptions_of_our_kinds_are_whole(void **state _unused_)
{
	_cleanup_(kind_registry_freep) KindRegistry *kinds = kind_registry_new();
	Kind **list;
	size_t n;

	list = kind_registry_list(kinds, &n);
	assert_true(n > 10);
	for (size_t i = 0; i < n; i++) {
		check_described(list[i]->kind, "", list[i]->openapi);
		kind_unref(list[i]);
	}
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_are_stored_as_kept),
		cmocka_unit_test(definitions_of_others_work),
		cmocka_unit_test(hostile_manifests_do_no_harm),
		cmocka_unit_test(good_manifests_have_no_errors),
		cmocka_unit_test(examples_survive_yaml_and_defaults),
		cmocka_unit_test(descriptions_of_our_kinds_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
