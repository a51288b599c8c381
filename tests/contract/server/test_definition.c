/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Definitions over HTTP as clients see them: versions, names that collide, scale, deletion with
 * objects, changed schemas, words of refusals, published schemas.
 */
#include "tests/contract/server/fixture.h"

#define CRDS   "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#define CROPS  CRDS "/crops.farm.example"
#define V1     "/apis/farm.example/v1/namespaces/default/crops"
#define V2BETA "/apis/farm.example/v2beta1/namespaces/default/crops"
#define MERGE  "application/merge-patch+json"
#define TABLE  "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n"

static HttpAnswer get(Fixture *f, const char *target, const char *headers)
{
	HttpClient *c = http_connect(f->path);
	HttpAnswer a;

	http_request(c, "GET", target, headers, NULL);
	a = http_read_answer(c);
	http_close(c);
	return a;
}

/* Text with ' for ", so that tests can be read. Caller frees. */
static char *quoted_json(const char *text)
{
	char *copy = xstrdup(text);

	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	return copy;
}

static json_t *call_text(Fixture *f, int expect, const char *method, const char *target,
			 const char *type, const char *text)
{
	_cleanup_(xfreep) char *body = quoted_json(text);

	return call(f, expect, method, target, type, body);
}

static void text_done(Fixture *f, int expect, const char *method, const char *target,
		      const char *type, const char *text)
{
	json_decref(call_text(f, expect, method, target, type, text));
}

/* A definition of crops.farm.example with these versions. */
#define CROP(versions) \
	"{'metadata':{'name':'crops.farm.example'},'spec':{'group':'farm.example','scope':" \
	"'Namespaced','names':{'plural':'crops','kind':'Crop','shortNames':['cr']},'versions':" \
	"[" versions "]}}"
#define VERSION(name, storage, spec, more) \
	"{'name':'" name "','served':true,'storage':" storage ",'schema':{'openAPIV3Schema':{" \
	"'type':'object','properties':{'spec':{'type':'object','properties':{" spec "}}," \
	"'status':{'type':'object','x-kubernetes-preserve-unknown-fields':true}}}}" more "}"
#define ROWS   "'rows':{'type':'integer','minimum':1,'default':2}"
#define COLOUR ",'colour':{'type':'string','enum':['red','green']}"

static const char *condition(const json_t *crd, const char *type, const char *member)
{
	json_t *c;
	size_t i;

	json_array_foreach (json_at(crd, "status.conditions"), i, c)
		if (streq_ptr(json_string_at(c, "type"), type))
			return json_string_at(c, member);
	return NULL;
}

static void test_established_at_once(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *made =
		call_text(f, 201, "POST", CRDS, NULL, CROP(VERSION("v1", "true", ROWS, "")));
	_cleanup_(json_decrefp) json_t *crop = NULL;

	assert_string_equal(condition(made, "Established", "status"), "True");
	assert_string_equal(condition(made, "NamesAccepted", "reason"), "NoConflicts");
	expect_text(made, "spec.names.singular", "crop");
	expect_text(made, "spec.names.listKind", "CropList");
	expect_text(made, "spec.conversion.strategy", "None");
	expect_text(made, "status.acceptedNames.kind", "Crop");
	assert_string_equal(
		json_string_value(json_array_get(json_at(made, "status.storedVersions"), 0)), "v1");
	crop = call_text(f, 201, "POST", V1, NULL, "{'metadata':{'name':'a'}, 'spec':{}}");
	assert_int_equal(json_integer_at(crop, "spec.rows", 0), 2);
}

static const char two_versions[] = CROP(
	VERSION("v2beta1", "false", ROWS COLOUR,
		",'deprecated':true,'additionalPrinterColumns':[{'name':'Hue','type':'string',"
		"'jsonPath':'.spec.colour'}]") "," VERSION("v1", "true",
							   ROWS COLOUR ",'only':{'type':'string'}",
							   ",'additionalPrinterColumns':[{'name':'"
							   "Age','type':'date','jsonPath':"
							   "'.metadata.creationTimestamp'},{'name':"
							   "'Rows','type':'integer','jsonPath':"
							   "'.spec.rows'}]"));

static void test_versions_show_one_object(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *old = NULL;
	_cleanup_(json_decrefp) json_t *new = NULL;
	_cleanup_(json_decrefp) json_t *list = NULL;

	text_done(f, 201, "POST", CRDS, NULL, two_versions);
	text_done(f, 201, "POST", V1, NULL,
		  "{'metadata':{'name':'a'},'spec':{'colour':'red','only':'here'}}");
	old = call(f, 200, "GET", V2BETA "/a", NULL, NULL);
	expect_text(old, "apiVersion", "farm.example/v2beta1");
	expect_text(old, "spec.colour", "red");
	/* Its schema does not know that field. */
	expect_text(old, "spec.only", NULL);
	list = call(f, 200, "GET", V2BETA, NULL, NULL);
	expect_text(list, "apiVersion", "farm.example/v2beta1");
	expect_text(json_array_get(json_object_get(list, "items"), 0), "apiVersion",
		    "farm.example/v2beta1");
	/* A write through another version is stored in the one of storage. */
	text_done(f, 200, "PATCH", V2BETA "/a", MERGE, "{'spec':{'rows':7}}");
	new = call(f, 200, "GET", V1 "/a", NULL, NULL);
	expect_text(new, "apiVersion", "farm.example/v1");
	assert_int_equal(json_integer_at(new, "spec.rows", 0), 7);
	/* Nothing changed is no write, also through another version. */
	text_done(f, 200, "PATCH", V2BETA "/a", MERGE, "{'spec':{'rows':7}}");
	json_decref(new);
	new = call(f, 200, "GET", V1 "/a", NULL, NULL);
	assert_int_equal(json_integer_at(new, "metadata.generation", 0), 2);
	/* A body of the wrong version is none of this URL's. */
	text_done(f, 400, "POST", V1, NULL,
		  "{'apiVersion':'farm.example/v2beta1','metadata':{'name':'b'}}");
}

static void test_versions_have_their_columns(void **state)
{
	Fixture *f = *state;
	const json_t *cells;
	HttpAnswer a;

	text_done(f, 201, "POST", CRDS, NULL, two_versions);
	text_done(f, 201, "POST", V1, NULL, "{'metadata':{'name':'a'},'spec':{'colour':'red'}}");
	a = get(f, V2BETA, TABLE);
	cells = json_object_get(json_array_get(json_object_get(a.json, "rows"), 0), "cells");
	assert_string_equal(json_string_value(json_array_get(cells, 1)), "red");
	http_answer_done(&a);
	/* A column behind the age is not the age. */
	a = get(f, V1, TABLE);
	cells = json_object_get(json_array_get(json_object_get(a.json, "rows"), 0), "cells");
	assert_int_equal(json_integer_value(json_array_get(cells, 2)), 2);
	http_answer_done(&a);
}

static void test_deprecated_version_warns(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *warning = NULL;
	_cleanup_(xfreep) char *none = NULL;
	HttpAnswer a;

	text_done(f, 201, "POST", CRDS, NULL, two_versions);
	a = get(f, V2BETA, "");
	warning = http_header(&a, "Warning");
	http_answer_done(&a);
	a = get(f, V1, "");
	none = http_header(&a, "Warning");
	http_answer_done(&a);
	assert_string_equal(warning, "299 - \"farm.example/v2beta1 Crop is deprecated\"");
	assert_null(none);
}

static void test_discovery_lists_versions(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *group = NULL;
	_cleanup_(json_decrefp) json_t *resources = NULL;
	const json_t *versions;
	HttpAnswer a;

	text_done(f, 201, "POST", CRDS, NULL, two_versions);
	group = call(f, 200, "GET", "/apis/farm.example", NULL, NULL);
	expect_text(group, "preferredVersion.version", "v1");
	versions = json_object_get(group, "versions");
	assert_int_equal(json_array_size(versions), 2);
	expect_text(json_array_get(versions, 1), "groupVersion", "farm.example/v2beta1");
	resources = call(f, 200, "GET", "/apis/farm.example/v2beta1", NULL, NULL);
	expect_text(json_array_get(json_object_get(resources, "resources"), 0), "name", "crops");
	a = get(f, "/apis",
		"Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList\r\n");
	for (size_t i = 0; i < json_array_size(json_object_get(a.json, "items")); i++) {
		const json_t *item = json_array_get(json_object_get(a.json, "items"), i);

		if (!streq_ptr(json_string_at(item, "metadata.name"), "farm.example"))
			continue;
		assert_int_equal(json_array_size(json_object_get(item, "versions")), 2);
		versions = item;
	}
	assert_ptr_not_equal(versions, NULL);
	http_answer_done(&a);
}

static void test_storage_version_moves(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *crd = NULL;
	_cleanup_(json_decrefp) json_t *refused = NULL;
	_cleanup_(json_decrefp) json_t *crop = NULL;

	text_done(f, 201, "POST", CRDS, NULL, two_versions);
	text_done(f, 201, "POST", V1, NULL, "{'metadata':{'name':'a'},'spec':{'colour':'red'}}");
	crd = call_text(f, 200, "PATCH", CROPS, "application/json-patch+json",
			"[{'op':'replace','path':'/spec/versions/0/storage','value':true},"
			"{'op':'replace','path':'/spec/versions/1/storage','value':false}]");
	assert_int_equal(json_array_size(json_at(crd, "status.storedVersions")), 2);
	crop = call(f, 200, "GET", V1 "/a", NULL, NULL);
	expect_text(crop, "apiVersion", "farm.example/v1");
	expect_text(crop, "spec.colour", "red");
	/* Objects may still be written in v1, as far as the status knows. */
	refused = call_text(f, 422, "PATCH", CROPS, "application/json-patch+json",
			    "[{'op':'remove','path':'/spec/versions/1'}]");
	assert_non_null(strstr(json_string_at(refused, "message"), "missing from spec.versions"));
	text_done(f, 200, "PATCH", CROPS "/status", MERGE,
		  "{'status':{'storedVersions':['v2beta1']}}");
	text_done(f, 200, "PATCH", CROPS, "application/json-patch+json",
		  "[{'op':'remove','path':'/spec/versions/1'}]");
	call_fails(f, 404, "NotFound", "GET", V1 "/a", NULL, NULL);
	json_decref(crop);
	crop = call(f, 200, "GET", V2BETA "/a", NULL, NULL);
	expect_text(crop, "spec.colour", "red");
}

static void test_changed_schema(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *crop = NULL;

	text_done(f, 201, "POST", CRDS, NULL,
		  CROP(VERSION("v1", "true", "'rows':{'type':'integer'}" COLOUR, "")));
	text_done(f, 201, "POST", V1, NULL,
		  "{'metadata':{'name':'a'},'spec':{'rows':0,'colour':'red'}}");
	text_done(
		f, 200, "PATCH", CROPS, MERGE,
		CROP(VERSION("v1", "true", ROWS ",'soil':{'type':'string','default':'loam'}", "")));
	/* What is stored stays readable; new defaults show, what is no longer known does not. */
	crop = call(f, 200, "GET", V1 "/a", NULL, NULL);
	assert_int_equal(json_integer_at(crop, "spec.rows", -1), 0);
	expect_text(crop, "spec.soil", "loam");
	expect_text(crop, "spec.colour", NULL);
	/* New values obey; what was wrong before is in nobody's way. */
	text_done(f, 200, "PATCH", V1 "/a", MERGE, "{'metadata':{'labels':{'x':'y'}}}");
	text_done(f, 422, "PATCH", V1 "/a", MERGE, "{'spec':{'rows':-1}}");
	text_done(f, 422, "POST", V1, NULL, "{'metadata':{'name':'b'},'spec':{'rows':0}}");
	text_done(f, 200, "PATCH", V1 "/a", MERGE, "{'spec':{'rows':1}}");
}

static void test_names_collide(void **state)
{
	static const char other[] =
		"{'metadata':{'name':'cropses.farm.example'},'spec':{'group':'farm.example','scope'"
		":'Cluster','names':{'plural':'cropses','kind':'%s','singular':'%s','listKind':'"
		"Cropses','shortNames':["
		"'cr']},'versions':[{'name':'v1','served':true,'storage':true,'schema':{"
		"'openAPIV3Schema':{'type':'object'}}}]}}";
	_cleanup_(xfreep) char *same = xasprintf(other, "Crop", "crops");
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *second = NULL;

	text_done(f, 201, "POST", CRDS, NULL, CROP(VERSION("v1", "true", ROWS, "")));
	second = call_text(f, 201, "POST", CRDS, NULL, same);
	assert_string_equal(condition(second, "NamesAccepted", "status"), "False");
	assert_string_equal(condition(second, "NamesAccepted", "reason"), "KindConflict");
	assert_string_equal(condition(second, "NamesAccepted", "message"),
			    "\"Crop\" is already in use");
	assert_string_equal(condition(second, "Established", "status"), "False");
	expect_text(second, "status.acceptedNames.plural", "cropses");
	expect_text(second, "status.acceptedNames.kind", NULL);
	call_fails(f, 404, "NotFound", "GET", "/apis/farm.example/v1/cropses", NULL, NULL);
	/* Once the names are free, it is looked at again. */
	call_done(f, 200, "DELETE", CROPS, NULL, NULL);
	for (int i = 0; i < 100; i++) {
		_cleanup_(json_decrefp) json_t *now =
			call(f, 200, "GET", CRDS "/cropses.farm.example", NULL, NULL);

		if (streq(condition(now, "Established", "status"), "True"))
			break;
		assert_int_not_equal(i, 99);
	}
	call_done(f, 200, "GET", "/apis/farm.example/v1/cropses", NULL, NULL);
}

#define SCALE \
	",'subresources':{'status':{},'scale':{'specReplicasPath':'.spec.rows'," \
	"'statusReplicasPath':'.status.rows','labelSelectorPath':'.status.selector'}}"

static void test_scale(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *resources = NULL;
	_cleanup_(json_decrefp) json_t *scale = NULL;
	_cleanup_(json_decrefp) json_t *crop = NULL;
	_cleanup_(json_decrefp) json_t *bad = NULL;

	text_done(f, 201, "POST", CRDS, NULL, CROP(VERSION("v1", "true", ROWS, SCALE)));
	text_done(f, 201, "POST", V1, NULL, "{'metadata':{'name':'a'}, 'spec':{}}");
	text_done(f, 200, "PATCH", V1 "/a/status", MERGE,
		  "{'status':{'rows':1,'selector':'app=a'}}");
	scale = call(f, 200, "GET", V1 "/a/scale", NULL, NULL);
	expect_text(scale, "kind", "Scale");
	expect_text(scale, "apiVersion", "autoscaling/v1");
	assert_int_equal(json_integer_at(scale, "spec.replicas", 0), 2);
	assert_int_equal(json_integer_at(scale, "status.replicas", 0), 1);
	expect_text(scale, "status.selector", "app=a");
	text_done(f, 200, "PATCH", V1 "/a/scale", MERGE, "{'spec':{'replicas':5}}");
	crop = call(f, 200, "GET", V1 "/a", NULL, NULL);
	assert_int_equal(json_integer_at(crop, "spec.rows", 0), 5);
	assert_int_equal(json_integer_at(crop, "metadata.generation", 0), 2);
	/* A stale Scale is refused, one without a revision is not. */
	json_set_at(scale, "spec.replicas", json_integer(6));
	{
		_cleanup_(xfreep) char *stale = json_text(scale);

		call_fails(f, 409, "Conflict", "PUT", V1 "/a/scale", NULL, stale);
	}
	text_done(f, 200, "PUT", V1 "/a/scale", NULL,
		  "{'kind':'Scale','apiVersion':'autoscaling/v1','metadata':{'name':'a'},"
		  "'spec':{'replicas':6}}");
	bad = call_text(f, 422, "PATCH", V1 "/a/scale", MERGE, "{'spec':{'replicas':-1}}");
	expect_text(bad, "message",
		    "Scale.autoscaling \"a\" is invalid: spec.replicas: Invalid value: -1: must be "
		    "greater than or equal to 0");
	/* The object's own rules hold as well. */
	text_done(f, 422, "PATCH", V1 "/a/scale", MERGE, "{'spec':{'replicas':0}}");
	resources = call(f, 200, "GET", "/apis/farm.example/v1", NULL, NULL);
	expect_text(json_array_get(json_object_get(resources, "resources"), 2), "kind", "Scale");
	expect_text(json_array_get(json_object_get(resources, "resources"), 2), "group",
		    "autoscaling");
}

static void test_kind_without_scale(void **state)
{
	Fixture *f = *state;

	text_done(f, 201, "POST", CRDS, NULL, CROP(VERSION("v1", "true", ROWS, "")));
	text_done(f, 201, "POST", V1, NULL, "{'metadata':{'name':'a'}}");
	call_fails(f, 404, "NotFound", "GET", V1 "/a/scale", NULL, NULL);
	call_fails(f, 404, "NotFound", "GET", V1 "/a/status", NULL, NULL);
}

static void test_deleted_with_its_objects(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *dying = NULL;
	_cleanup_(json_decrefp) json_t *refused = NULL;

	text_done(f, 201, "POST", CRDS, NULL, CROP(VERSION("v1", "true", ROWS, "")));
	text_done(f, 201, "POST", V1, NULL, "{'metadata':{'name':'a'}}");
	dying = call(f, 200, "DELETE", CROPS, NULL, NULL);
	assert_non_null(json_string_at(dying, "metadata.deletionTimestamp"));
	assert_string_equal(
		json_string_value(json_array_get(json_at(dying, "metadata.finalizers"), 0)),
		"customresourcecleanup.apiextensions.k8s.io");
	assert_string_equal(condition(dying, "Terminating", "reason"), "InstanceDeletionPending");
	/* What is there can be read and goes; nothing new comes. */
	call_done(f, 200, "GET", V1 "/a", NULL, NULL);
	refused = call_text(f, 405, "POST", V1, NULL, "{'metadata':{'name':'b'}}");
	expect_text(refused, "message",
		    "create not allowed while custom resource definition is terminating");
	text_done(f, 405, "PATCH", V1 "/b?fieldManager=x", "application/apply-patch+yaml",
		  "{'apiVersion':'farm.example/v1','kind':'Crop','metadata':{'name':'b'}}");
	text_done(f, 200, "PATCH", V1 "/a", MERGE, "{'spec':{'rows':4}}");
	call_done(f, 200, "DELETE", V1 "/a", NULL, NULL);
	/* Its controller, which does not run here, lets go of it. */
	text_done(f, 200, "PATCH", CROPS, MERGE, "{'metadata':{'finalizers':null}}");
	call_fails(f, 404, "NotFound", "GET", V1, NULL, NULL);
	call_fails(f, 404, "NotFound", "GET", CROPS, NULL, NULL);
}

static void refused(Fixture *f, const char *definition, const char *why)
{
	_cleanup_(json_decrefp) json_t *status = call_text(f, 422, "POST", CRDS, NULL, definition);

	if (!strstr(json_string_at(status, "message"), why))
		fail_msg("\"%s\" is not in: %s", why, json_string_at(status, "message"));
}

static void test_refusals(void **state)
{
	static const char at[] = "spec.versions[0].schema.openAPIV3Schema.properties[spec]";
	_cleanup_(xfreep) char *no_type =
		xasprintf("%s.properties[x].type: Required value: must not be empty for specified "
			  "object fields",
			  at);
	_cleanup_(xfreep) char *no_key = xasprintf(
		"%s.properties[x].items.properties[k].default: Required value: this property is in "
		"x-kubernetes-list-map-keys, so it must have a default or be a required property",
		at);
	_cleanup_(xfreep) char *ref =
		xasprintf("%s.properties[x].$ref: Forbidden: $ref is not supported", at);
	_cleanup_(xfreep) char *junctor = xasprintf(
		"%s.properties[x].anyOf[0].type: Forbidden: must be empty to be structural", at);
	_cleanup_(xfreep) char *dflt =
		xasprintf("%s.properties[x].default: Invalid value: \"many\"", at);
	Fixture *f = *state;

	refused(f, CROP(VERSION("v1", "true", "'x':{'description':'no type'}", "")), no_type);
	refused(f,
		CROP(VERSION("v1", "true",
			     "'x':{'type':'array','x-kubernetes-list-type':'map',"
			     "'x-kubernetes-list-map-keys':['k'],'items':{'type':'object',"
			     "'properties':{'k':{'type':'string'}}}}",
			     "")),
		no_key);
	refused(f, CROP(VERSION("v1", "true", "'x':{'type':'object','$ref':'#/x'}", "")), ref);
	refused(f,
		CROP(VERSION("v1", "true",
			     "'x':{'type':'string','anyOf':[{'type':'string','minLength':1}]}",
			     "")),
		junctor);
	refused(f, CROP(VERSION("v1", "true", "'x':{'type':'integer','default':'many'}", "")),
		dflt);
	refused(f, CROP(VERSION("v1", "false", ROWS, "")),
		"must have exactly one version marked as storage version");
	refused(f,
		"{'metadata':{'name':'crops.farm.example'},'spec':{'group':'farm.example','scope':"
		"'Namespaced','names':{'plural':'crops','kind':'Crop'},'conversion':{'strategy':"
		"'Webhook','webhook':{'conversionReviewVersions':['v1']}},'versions':[" VERSION(
			"v1", "true", ROWS, "") "]}}",
		"spec.conversion.strategy: Unsupported value: \"Webhook\"");
	refused(f,
		"{'metadata':{'name':'things.shakenfist.io'},'spec':{'group':'shakenfist.io',"
		"'scope':'Namespaced','names':{'plural':'things','kind':'Mine'},'versions':"
		"[" VERSION("v1", "true", ROWS, "") "]}}",
		"spec.group: Forbidden");
}

/* Ours are described like everybody's, and nobody changes them. */
static void test_kinds_of_ours(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *ours = NULL;
	int64_t revision;

	assert_int_equal(store_publish_kinds(f->store, NULL), 0);
	ours = call(f, 200, "GET", CRDS "/instances.shakenfist.io", NULL, NULL);
	expect_text(ours, "spec.names.kind", "Instance");
	assert_string_equal(condition(ours, "Established", "status"), "True");
	revision = store_revision(f->store);
	assert_int_equal(store_publish_kinds(f->store, NULL), 0);
	assert_int_equal(store_revision(f->store), revision);
	call_fails(f, 403, "Forbidden", "DELETE", CRDS "/instances.shakenfist.io", NULL, NULL);
	call_fails(f, 403, "Forbidden", "PATCH", CRDS "/instances.shakenfist.io", MERGE,
		   "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
	call_done(f, 200, "DELETE", CRDS, NULL, NULL);
	call_done(f, 200, "GET", CRDS "/instances.shakenfist.io", NULL, NULL);
	call_done(f, 201, "POST", INSTANCES, NULL, INSTANCE_BODY("still", ""));
}

static void test_what_stays(void **state)
{
	Fixture *f = *state;
	_cleanup_(json_decrefp) json_t *status = NULL;

	text_done(f, 201, "POST", CRDS, NULL, CROP(VERSION("v1", "true", ROWS, "")));
	status = call_text(f, 422, "PATCH", CROPS, MERGE, "{'spec':{'scope':'Cluster'}}");
	expect_text(status, "message",
		    "CustomResourceDefinition.apiextensions.k8s.io \"crops.farm.example\" is "
		    "invalid: spec.scope: Invalid value: \"Cluster\": field is immutable");
	text_done(f, 422, "PATCH", CROPS, MERGE, "{'spec':{'names':{'kind':'Plant'}}}");
	text_done(f, 200, "PATCH", CROPS, MERGE, "{'spec':{'names':{'shortNames':['cp']}}}");
}

static const json_t *schema_of(const json_t *document, const char *name)
{
	return json_object_get(json_at(document, "components.schemas"), name);
}

static char *listed_url(Fixture *f, const char *group)
{
	_cleanup_(json_decrefp) json_t *v3 = call(f, 200, "GET", "/openapi/v3", NULL, NULL);

	return xstrdup(json_string_at(json_object_get(json_object_get(v3, "paths"), group),
				      "serverRelativeURL"));
}

static void test_published_schema_follows(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *first = NULL;
	_cleanup_(xfreep) char *second = NULL;
	_cleanup_(json_decrefp) json_t *document = NULL;
	HttpAnswer a;

	assert_null(listed_url(f, "apis/farm.example/v1"));
	text_done(f, 201, "POST", CRDS, NULL, CROP(VERSION("v1", "true", ROWS, "")));
	first = listed_url(f, "apis/farm.example/v1");
	document = call(f, 200, "GET", first, NULL, NULL);
	assert_non_null(json_at(schema_of(document, "example.farm.v1.Crop"),
				"properties.spec.properties.rows"));
	assert_non_null(schema_of(document, "example.farm.v1.CropList"));
	assert_non_null(
		json_at(schema_of(document, "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"),
			"properties.annotations"));
	text_done(f, 200, "PATCH", CROPS, MERGE, CROP(VERSION("v1", "true", ROWS COLOUR, "")));
	second = listed_url(f, "apis/farm.example/v1");
	assert_string_not_equal(first, second);
	a = get(f, "/openapi/v2",
		"Accept: application/com.github.proto-openapi.spec.v2@v1.0+protobuf\r\n");
	assert_non_null(memmem(a.body, a.len, "example.farm.v1.Crop", 20));
	assert_non_null(memmem(a.body, a.len, "fieldValidation", 15));
	http_answer_done(&a);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

/* A watch ends, after what it had to tell, when its definition changes or goes. */
static void test_watches_end_with_their_kind(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *added = NULL;
	HttpClient *c, *other;
	HttpAnswer a;
	bool timeout;

	text_done(f, 201, "POST", CRDS, NULL, CROP(VERSION("v1", "true", ROWS, "")));
	for (int i = 0; i < 2; i++) {
		c = http_connect(f->path);
		other = http_connect(f->path);
		http_request(c, "GET", V1 "?watch=1", "", NULL);
		http_request(other, "GET", SECRETS "?watch=1", "", NULL);
		a = http_read_head(c);
		assert_int_equal(a.code, 200);
		http_answer_done(&a);
		a = http_read_head(other);
		http_answer_done(&a);
		if (i == 0) {
			text_done(f, 201, "POST", V1, NULL, "{'metadata':{'name':'a'},'spec':{}}");
			added = http_read_line(c, HTTP_DEADLINE_MS, &timeout);
			assert_non_null(strstr(added, "ADDED"));
			call_done(f, 200, "DELETE", V1 "/a", NULL, NULL);
			free(http_read_line(c, HTTP_DEADLINE_MS, &timeout));
			text_done(f, 200, "PATCH", CROPS, MERGE,
				  "{'spec':{'names':{'shortNames':['cc']}}}");
		} else {
			call_done(f, 200, "DELETE", CROPS, NULL, NULL);
		}
		assert_null(http_read_line(c, HTTP_DEADLINE_MS, &timeout));
		assert_false(timeout);
		/* Nobody else's does. */
		json_decref(make_secret(f, i ? "s" : "t", NULL));
		free(http_read_line(other, HTTP_DEADLINE_MS, &timeout));
		assert_false(timeout);
		http_close(c);
		http_close(other);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_watches_end_with_their_kind),
		TEST(test_established_at_once),
		TEST(test_versions_show_one_object),
		TEST(test_versions_have_their_columns),
		TEST(test_deprecated_version_warns),
		TEST(test_discovery_lists_versions),
		TEST(test_storage_version_moves),
		TEST(test_changed_schema),
		TEST(test_names_collide),
		TEST(test_scale),
		TEST(test_kind_without_scale),
		TEST(test_deleted_with_its_objects),
		TEST(test_refusals),
		TEST(test_kinds_of_ours),
		TEST(test_what_stays),
		TEST(test_published_schema_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
