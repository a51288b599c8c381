/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One schema on every path: what is wrong in a create is wrong in an update, in each type of patch
 * and in an apply, with the same code and the same causes; so are fields that nobody knows or that
 * are named twice, as fieldValidation says. And when generation and resourceVersion move.
 */
#include "tests/contract/server/fixture.h"

#define APPLY "application/apply-patch+yaml"
#define MERGE "application/merge-patch+json"
#define JSON  "application/json-patch+json"

#define HEAD \
	"{\"apiVersion\":\"shakenfist.io/" \
	"v1alpha1\",\"kind\":\"Instance\",\"metadata\":{\"name\":\"%s\"},"
#define GOOD "\"disks\":[{\"name\":\"root\",\"size\":\"1Gi\"}]"

typedef struct Path {
	const char *method, *target, *type;
	const char *body; /* %s is the name and then a JSON value for spec, %r the revision */
	const char *name; /* of the object; "a" exists */
} Path;

static const Path paths[] = {
	{"POST",   INSTANCES,				NULL,  HEAD "\"spec\":%s}",                                      "b"},
	{ "PUT",   INSTANCES "/a",                           NULL,
         "{\"apiVersion\":\"shakenfist.io/"
	  "v1alpha1\",\"kind\":\"Instance\",\"metadata\":{\"name\":\"%s\",\"resourceVersion\":\"%"
	  "r\"},\"spec\":%s}",												"a"},
	{ "PATCH", INSTANCES "/a",                           MERGE, "{\"spec\":%s}",                                          "" },
	{ "PATCH", INSTANCES "/a",                           JSON,  "[{\"op\":\"replace\",\"path\":\"/spec\",\"value\":%s}]",
         ""														      },
	{ "PATCH", INSTANCES "/a?fieldManager=m&force=true", APPLY, HEAD "\"spec\":%s}",                                      "a"},
	{ "PATCH", INSTANCES "/b?fieldManager=m",            APPLY, HEAD "\"spec\":%s}",                                      "b"},
};

static char *body_for(Fixture *f, const Path *p, const char *spec)
{
	_cleanup_(json_decrefp) json_t *live = call(f, 200, "GET", INSTANCES "/a", NULL, NULL);
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	const char *values[] = { *p->name ? p->name : spec, spec };
	size_t n = 0;

	for (const char *s = p->body; *s; s++) {
		if (s[0] == '%' && s[1] == 's') {
			strbuf_adds(&b, values[n++]);
			s++;
		} else if (s[0] == '%' && s[1] == 'r') {
			strbuf_adds(&b, json_string_at(live, "metadata.resourceVersion"));
			s++;
		} else {
			strbuf_addc(&b, *s);
		}
	}
	return strbuf_take(&b);
}

static json_t *send_to(Fixture *f, const Path *p, const char *query, const char *spec, int expect)
{
	_cleanup_(xfreep) char *body = body_for(f, p, spec);
	_cleanup_(xfreep) char *target = xasprintf("%s%s%s", p->target,
						   !*query                  ? ""
						   : strchr(p->target, '?') ? "&"
									    : "?",
						   query);

	return call(f, expect, p->method, target, p->type, body);
}

static void make_one(Fixture *f)
{
	call_done(f, 201, "POST", INSTANCES, NULL, INSTANCE_BODY("a", ""));
}

static void test_same_errors_everywhere(void **state)
{
	static const struct {
		const char *spec, *field, *reason;
	} bad[] = {
		{"{\"cpus\":0," GOOD "}",                 "spec.cpus",        "FieldValueInvalid"    },
		{ "{\"cpus\":\"two\"," GOOD "}",          "spec.cpus",        "FieldValueTypeInvalid"},
		{ "{\"firmware\":\"OpenBoot\"," GOOD "}", "spec.firmware",
                 "FieldValueNotSupported"							    },
		{ "{\"memory\":\"much\"," GOOD "}",       "spec.memory",      "FieldValueInvalid"    },
		{ "{\"disks\":null}",                     "spec.disks",       "FieldValueRequired"   },
		{ "{\"disks\":[null]}",                   "spec.disks[0]",    "FieldValueTypeInvalid"},
		{ "{\"disks\":[{\"name\":\"r\",\"size\":\"1Gi\"},{\"name\":\"r\",\"size\":\"1Gi\"}]"
		  "}",		   "spec.disks[1]",    "FieldValueDuplicate"  },
		{ "{\"machineType\":"
		  "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"," GOOD
		  "}",		   "spec.machineType", "FieldValueTooLong"    },
	};
	Fixture *f = *state;

	make_one(f);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		for (size_t k = 0; k < ARRAY_SIZE(paths); k++) {
			_cleanup_(json_decrefp) json_t *status =
				send_to(f, &paths[k], "", bad[i].spec, 422);
			const json_t *cause = json_array_get(json_at(status, "details.causes"), 0);

			expect_text(status, "reason", "Invalid");
			expect_text(cause, "field", bad[i].field);
			expect_text(cause, "reason", bad[i].reason);
			assert_int_equal(json_array_size(json_at(status, "details.causes")), 1);
		}
}

/* An empty list with keys says nothing of the items that others put there. */
static void test_apply_of_nothing(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *v = NULL;

	make_one(f);
	for (size_t k = 0; k < ARRAY_SIZE(paths); k++) {
		bool apply = paths[k].type && streq(paths[k].type, APPLY), there = k != 5;

		json_decref(
			send_to(f, &paths[k], "", "{\"disks\":[]}", apply && there ? 200 : 422));
	}
	v = call(f, 200, "GET", INSTANCES "/a", NULL, NULL);
	assert_int_equal(json_array_size(json_at(v, "spec.disks")), 1);
}

static void test_strict_everywhere(void **state)
{
	static const char spec[] = "{\"cpus\":1,\"cpus\":2,\"cpuz\":3," GOOD "}";
	Fixture *f = *state;

	make_one(f);
	for (size_t k = 0; k < ARRAY_SIZE(paths); k++) {
		_cleanup_(json_decrefp) json_t *status = send_to(f, &paths[k], "", spec, 400);
		_cleanup_(json_decrefp) json_t *kept = NULL;
		const char *message = json_string_at(status, "message");

		/* In a JSON patch the value stands elsewhere. */
		assert_non_null(strstr(message, paths[k].type && streq(paths[k].type, JSON)
							? "duplicate field \"[0].value.cpus\""
							: "duplicate field \"spec.cpus\""));
		assert_non_null(strstr(message, "unknown field \"spec.cpuz\""));
		json_decref(send_to(f, &paths[k], "fieldValidation=Strict", spec, 400));
		kept = send_to(f, &paths[k], "dryRun=All&fieldValidation=Ignore&force=",
			       "{\"cpus\":1,\"cpus\":1,\"cpuz\":3," GOOD "}",
			       streq(paths[k].method, "POST") || strstr(paths[k].target, "/b")
				       ? 201
				       : 200);
		assert_null(json_at(kept, "spec.cpuz"));
		assert_int_equal(json_integer_at(kept, "spec.cpus", 0), 1);
	}
}

static int64_t generation(const json_t *o)
{
	return json_integer_at(o, "metadata.generation", 0);
}

static void test_generation(void **state)
{
	static const struct {
		const char *path, *type, *body;
		int64_t generation;
		bool moves;
	} steps[] = {
		{"/a",         MERGE, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}",                      1, true },
		{ "/a",        MERGE, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}",                      1, false},
		{ "/a",        MERGE, "{}",							     1, false},
		{ "/a",        MERGE, "{\"spec\":{\"cpus\":2}}",                                        2, true },
		{ "/a",        MERGE, "{\"spec\":{\"cpus\":2,\"terminationGracePeriodSeconds\":null}}", 2,
                 false											  },
		{ "/a",        MERGE, "{\"metadata\":{\"generation\":99,\"creationTimestamp\":null}}",  2,
                 false											  },
		{ "/a",        MERGE, "{\"status\":{\"printableStatus\":\"Running\"}}",                 2, false},
		{ "/a/status", MERGE, "{\"status\":{\"printableStatus\":\"Running\"}}",                 2, true },
		{ "/a/status", MERGE, "{\"status\":{\"printableStatus\":\"Running\"}}",                 2, false},
		{ "/a",        JSON,  "[{\"op\":\"add\",\"path\":\"/spec/cpus\",\"value\":2}]",         2, false},
		{ "/a",        JSON,  "[{\"op\":\"remove\",\"path\":\"/metadata/labels\"}]",            2, true },
		{ "/a",        MERGE, "{\"metadata\":{\"managedFields\":[{}]}}",                        2, true },
	};
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *last = NULL;

	make_one(f);
	last = call(f, 200, "GET", INSTANCES "/a", NULL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		_cleanup_(xfreep) char *target = xasprintf(INSTANCES "%s", steps[i].path);
		json_t *now = call(f, 200, "PATCH", target, steps[i].type, steps[i].body);
		bool moved = !streq_ptr(json_string_at(now, "metadata.resourceVersion"),
					json_string_at(last, "metadata.resourceVersion"));

		if (generation(now) != steps[i].generation || moved != steps[i].moves)
			fail_msg("%s: generation %lld, expected %lld; %s", steps[i].body,
				 (long long)generation(now), (long long)steps[i].generation,
				 moved ? "written" : "not written");
		json_decref(last);
		last = now;
	}
}

static void test_patches_that_are_none(void **state)
{
	static const struct {
		const char *type, *body;
		int code;
		const char *reason;
	} bad[] = {
		{JSON,   "{}",								 400, "BadRequest"},
		{ JSON,  "[1]",								400, "BadRequest"},
		{ JSON,  "[",								  400, "BadRequest"},
		{ JSON,  "[{\"op\":\"fly\",\"path\":\"/a\"}]",                                 422, "Invalid"   },
		{ JSON,  "[{\"op\":\"test\",\"path\":\"/spec/cpus\",\"value\":7}]",            422, "Invalid"   },
		{ JSON,  "[{\"op\":\"remove\",\"path\":\"/spec/none\"}]",                      422, "Invalid"   },
		{ JSON,  "[{\"op\":\"replace\",\"path\":\"/metadata/name\",\"value\":\"b\"}]", 400,
                 "BadRequest"										   },
		{ JSON,  "[{\"op\":\"replace\",\"path\":\"/metadata/uid\",\"value\":\"b\"}]",  409,
                 "Conflict"										     },
		{ JSON,  "[{\"op\":\"replace\",\"path\":\"\",\"value\":5}]",                   400, "BadRequest"},
		{ MERGE, "[]",								 400, "BadRequest"},
		{ MERGE, "\"a\"",							      400, "BadRequest"},
		{ MERGE, "{\"apiVersion\":\"v2\"}",                                            400, "BadRequest"},
		{ MERGE, "{\"kind\":\"Other\"}",                                               400, "BadRequest"},
		{ MERGE, "{\"metadata\":{\"namespace\":\"kube-system\"}}",                     400, "BadRequest"},
		{ MERGE, "{\"metadata\":5}",						   400, "BadRequest"},
	};
	Fixture *f = *state;
	_cleanup_(strbuf_done) StrBuf bomb = STRBUF_INIT;

	make_one(f);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		call_fails(f, bad[i].code, bad[i].reason, "PATCH", INSTANCES "/a", bad[i].type,
			   bad[i].body);
	call_fails(f, 422, "Invalid", "PATCH", INSTANCES "/a?force=true", MERGE, "{}");
	/* Many operations, and few that copy much. */
	strbuf_adds(&bomb, "[");
	for (int i = 0; i <= 10000; i++)
		strbuf_addf(&bomb, "%s{\"op\":\"test\",\"path\":\"/spec/cpus\",\"value\":1}",
			    i ? "," : "");
	strbuf_adds(&bomb, "]");
	call_fails(f, 413, "RequestEntityTooLarge", "PATCH", INSTANCES "/a", JSON,
		   strbuf_str(&bomb));
	strbuf_reset(&bomb);
	for (int i = 0; i < 40; i++)
		strbuf_addf(&bomb, "%c{\"op\":\"copy\",\"from\":\"\",\"path\":\"/x%d\"}",
			    i ? ',' : '[', i);
	strbuf_adds(&bomb, "]");
	call_fails(f, 413, "RequestEntityTooLarge", "PATCH", INSTANCES "/a", JSON,
		   strbuf_str(&bomb));
}

static void test_manager_names(void **state)
{
	Fixture *f = *state;
	char name[140];

	make_one(f);
	memset(name, 'x', sizeof(name));
	name[129] = '\0';
	for (size_t k = 0; k < ARRAY_SIZE(paths); k++) {
		_cleanup_(xfreep) char *target =
			xasprintf("%.*s?fieldManager=%s", (int)strcspn(paths[k].target, "?"),
				  paths[k].target, name);
		_cleanup_(xfreep) char *body = body_for(f, &paths[k], "{" GOOD "}");

		call_fails(f, 422, "Invalid", paths[k].method, target, paths[k].type, body);
	}
	call_fails(f, 422, "Invalid", "PATCH", INSTANCES "/a?fieldManager=a%0Ab", MERGE, "{}");
	call_fails(f, 422, "Invalid", "PATCH", INSTANCES "/a", APPLY, "{}");
	name[128] = '\0';
	{
		_cleanup_(xfreep) char *target = xasprintf(INSTANCES "/a?fieldManager=%s", name);

		call_done(f, 200, "PATCH", target, MERGE, "{\"spec\":{\"cpus\":3}}");
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_same_errors_everywhere), TEST(test_strict_everywhere),
		TEST(test_apply_of_nothing),       TEST(test_generation),
		TEST(test_patches_that_are_none),  TEST(test_manager_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
