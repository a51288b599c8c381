/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of ConfigMaps, Secrets and Events beyond their schemas, as Kubernetes has them: which
 * keys may be, what a Secret's type promises, how much fits, and that immutable means it. Pure. No
 * message shows a value.
 */
#include "api/validate.h"
#include "base/base64.h"
#include "base/memory.h"
#include "json/json.h"

#define DATA_MAX     (1024u * 1024)
#define DATA_KEY_MAX 253

#define IMMUTABLE "Forbidden: field is immutable when `immutable` is set"

/* ---- keys and sizes ---- */

static bool is_data_key(const char *key)
{
	size_t n = strlen(key);

	return n > 0 && n <= DATA_KEY_MAX && !streq(key, ".") && !str_has_prefix(key, "..") &&
	       strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
		       n;
}

/* The bytes that a base64 text, known to be well-formed, stands for. */
static size_t decoded_size(const char *text, size_t len)
{
	size_t padding = 0;

	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	return len / 4 * 3 - MIN(padding, len / 4 * 3);
}

/* Checks the keys of a map and adds up its values. */
static size_t check_data(const json_t *map, const char *path, bool base64, FieldErrors *errors)
{
	size_t total = 0;
	const char *key;
	char text[200];
	json_t *v;

	json_object_foreach ((json_t *)map, key, v) {
		size_t len = json_string_length(v);

		if (!is_data_key(key)) {
			_cleanup_(xfreep) char *at = xasprintf("%s[%s]", path, quoted(key, text));

			field_errors_add(errors, FIELD_INVALID, at,
					 "Invalid value: %s: a valid config key must consist of "
					 "up to %d alphanumeric characters, '-', '_' or '.' (e.g. "
					 "'key.name', or 'KEY_NAME', or 'key-name'), and must not "
					 "be '.' or begin with '..'",
					 quoted(key, text), DATA_KEY_MAX);
		}
		total += base64 && len ? decoded_size(json_string_value(v), len) : len;
	}
	return total;
}

static void check_total(size_t total, FieldErrors *errors)
{
	if (total > DATA_MAX)
		field_errors_add(errors, FIELD_TOO_LONG, "data",
				 "Too long: may not be more than %u bytes", DATA_MAX);
}

/* ---- immutable ---- */

static bool member_changed(const json_t *tree, const json_t *old, const char *name)
{
	const json_t *a = json_object_get(tree, name), *b = json_object_get(old, name);
	bool a_empty = !a || json_is_null(a) || (json_is_object(a) && !json_object_size(a));
	bool b_empty = !b || json_is_null(b) || (json_is_object(b) && !json_object_size(b));

	return a_empty != b_empty || (!a_empty && !json_same(a, b));
}

static void check_immutable(const json_t *tree, const json_t *old, FieldErrors *errors)
{
	static const char *const members[] = { "data", "binaryData" };

	if (!json_is_true(json_object_get(old, "immutable")))
		return;
	if (!json_is_true(json_object_get(tree, "immutable")))
		field_errors_add(errors, FIELD_FORBIDDEN, "immutable", IMMUTABLE);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (member_changed(tree, old, members[i]))
			field_errors_add(errors, FIELD_FORBIDDEN, members[i], IMMUTABLE);
}

/* ---- ConfigMap ---- */

void validate_config_map(const json_t *tree, const json_t *old, FieldErrors *errors)
{
	const json_t *data = json_object_get(tree, "data");
	json_t *binary = json_object_get(tree, "binaryData"), *v;
	size_t total = check_data(data, "data", false, errors);
	const char *key;
	char text[200];

	total += check_data(binary, "binaryData", true, errors);
	check_total(total, errors);
	json_object_foreach (binary, key, v) {
		_cleanup_(xfreep) char *at = NULL;

		if (!json_object_get(data, key))
			continue;
		at = xasprintf("binaryData[%s]", quoted(key, text));
		field_errors_add(errors, FIELD_INVALID, at,
				 "Invalid value: duplicate of key present in data");
	}
	if (old)
		check_immutable(tree, old, errors);
}

/* ---- Secret ---- */

/* What a type promises to those who use such a Secret: both keys, or either. */
typedef struct SecretType {
	const char *type, *key, *other;
	bool either;
} SecretType;

static const SecretType secret_types[] = {
	{"kubernetes.io/tls",               "tls.crt",           "tls.key",  false},
	{ "kubernetes.io/dockercfg",        ".dockercfg",        NULL,       false},
	{ "kubernetes.io/dockerconfigjson", ".dockerconfigjson", NULL,       false},
	{ "kubernetes.io/ssh-auth",         "ssh-privatekey",    NULL,       false},
	{ "kubernetes.io/basic-auth",       "username",          "password", true },
};

static bool is_json_value(const json_t *v)
{
	_cleanup_(xfreep) char *text = NULL;
	_cleanup_(json_decrefp) json_t *parsed = NULL;
	size_t len;

	if (base64_decode(json_string_value(v), &text, &len, NULL) < 0)
		return false;
	return json_decode(text, len, &parsed, NULL) == 0;
}

static void check_secret_key(const json_t *data, const char *key, FieldErrors *errors)
{
	_cleanup_(xfreep) char *at = xasprintf("data[%s]", key);
	const json_t *v = json_object_get(data, key);

	if (!v)
		field_errors_add(errors, FIELD_REQUIRED, at, "Required value");
	else if (str_has_prefix(key, ".docker") && !is_json_value(v))
		field_errors_add(errors, FIELD_INVALID, at,
				 "Invalid value: \"<secret contents redacted>\": must be JSON");
}

static void check_secret_type(const json_t *data, const SecretType *t, FieldErrors *errors)
{
	if (t->either && (json_object_get(data, t->key) || json_object_get(data, t->other)))
		return;
	check_secret_key(data, t->key, errors);
	if (t->other)
		check_secret_key(data, t->other, errors);
}

void validate_secret(const json_t *tree, const json_t *old, FieldErrors *errors)
{
	const json_t *data = json_object_get(tree, "data");
	const char *type = json_string_at(tree, "type");

	check_total(check_data(data, "data", true, errors), errors);
	for (size_t i = 0; type && i < ARRAY_SIZE(secret_types); i++)
		if (streq(type, secret_types[i].type))
			check_secret_type(data, &secret_types[i], errors);
	if (!old)
		return;
	if (!streq_ptr(type, json_string_at(old, "type"))) {
		char text[200];

		field_errors_add(errors, FIELD_INVALID, "type",
				 "Invalid value: %s: field is immutable",
				 quoted(type ? type : "", text));
	}
	check_immutable(tree, old, errors);
}

/* ---- Event ---- */

/* An Event lies where its object is; of an object without a namespace, in "default". */
void validate_event(const json_t *tree, const json_t *old, FieldErrors *errors)
{
	const char *about = json_string_at(tree, "involvedObject.namespace");
	const char *namespace = json_string_at(tree, "metadata.namespace");

	if (old || str_is_empty(namespace))
		return;
	if (str_is_empty(about) ? !streq(namespace, "default") && !streq(namespace, "kube-system")
				: !streq(about, namespace))
		field_errors_add(errors, FIELD_INVALID, "involvedObject.namespace",
				 "Invalid value: does not match event.namespace");
}
