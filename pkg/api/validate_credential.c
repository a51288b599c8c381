/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Credential's rules beyond its schema: names that may be given, a request that can be signed,
 * one way to prove it; and when it ends.
 */
#include "api/credential.h"
#include "api/validate.h"
#include "base/memory.h"
#include "pki/pki.h"
#include "json/json.h"

#define RESERVED_PREFIX "system:"

usec_t credential_expires(const json_t *tree)
{
	int64_t seconds = json_integer_at(tree, "spec.expirationSeconds", 0);
	const char *time = json_string_at(tree, "spec.expirationTime");
	const char *created = json_string_at(tree, "metadata.creationTimestamp");
	usec_t t;

	if (time)
		return timestamp_parse(time, &t) == 0 ? t : 0;
	if (!created || timestamp_parse(created, &t) < 0)
		return 0;
	return t + (seconds > 0 ? (usec_t)seconds * USEC_PER_SEC : CREDENTIAL_LIFE_DEFAULT);
}

static void check_name(const char *name, const char *path, const char *allowed, FieldErrors *errors)
{
	char text[200];

	if (!pki_name_is_valid(name, strlen(name)))
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: %s: may not have control characters, nor spaces "
				 "at its ends",
				 quoted(name, text));
	else if (str_has_prefix(name, RESERVED_PREFIX) && !streq_ptr(name, allowed))
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: %s: names that begin with \"" RESERVED_PREFIX
				 "\" are the server's own%s%s",
				 quoted(name, text), allowed ? "; the exception is " : "",
				 allowed ? allowed : "");
}

static void check_request(const char *pem, const char *user, FieldErrors *errors)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *named = NULL;
	char a[200], b[200];

	if (pki_request_check(pem, &named, &err) < 0)
		field_errors_add(errors, FIELD_INVALID, "spec.request", "Invalid value: %s",
				 error_message(&err));
	else if (named && !streq(named, user))
		field_errors_add(errors, FIELD_INVALID, "spec.request",
				 "Invalid value: it is a request of %s, not of spec.user %s",
				 quoted(named, a), quoted(user, b));
}

static void check_proof(const json_t *spec, FieldErrors *errors)
{
	const char *request = json_string_at(spec, "request");
	const char *hash = json_string_at(spec, "tokenHash");

	if (!request && !hash)
		field_errors_add(errors, FIELD_REQUIRED, "spec.request",
				 "Required value: either request or tokenHash");
	else if (request && hash)
		field_errors_add(errors, FIELD_FORBIDDEN, "spec.tokenHash",
				 "Forbidden: may not be given together with request");
	if (json_object_get(spec, "expirationSeconds") && json_object_get(spec, "expirationTime"))
		field_errors_add(errors, FIELD_FORBIDDEN, "spec.expirationTime",
				 "Forbidden: may not be given together with expirationSeconds");
	if (request)
		check_request(request, json_string_at(spec, "user"), errors);
}

void validate_credential(const json_t *tree, const json_t *old, FieldErrors *errors)
{
	const json_t *spec = json_object_get(tree, "spec"), *group;
	char path[64];
	size_t i;

	if (old) {
		/* What was signed or handed out is not changed by changing words about it. */
		if (!json_same(spec, json_object_get(old, "spec")))
			field_errors_add(errors, FIELD_INVALID, "spec",
					 "Invalid value: field is immutable: delete it and make "
					 "another credential");
		return;
	}
	check_name(json_string_at(spec, "user"), "spec.user", NULL, errors);
	json_array_foreach (json_object_get(spec, "groups"), i, group) {
		snprintf(path, sizeof(path), "spec.groups[%zu]", i);
		check_name(json_string_value(group), path, "system:masters", errors);
	}
	check_proof(spec, errors);
}
