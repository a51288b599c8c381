/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token: base64url of "v2\nREVISION\nRESOURCE\nSCOPE\nNAMESPACE\nNAME". See token.h.
 */
#include "store/token.h"

#include <errno.h>

#include "base/base64.h"
#include "base/memory.h"

#define TOKEN_MAX    2048
#define TOKEN_FIELDS 6

static const char *scope_of(const ListOptions *list)
{
	return list->namespace ? list->namespace : "";
}

static char *token_encode(const ListOptions *list, int64_t revision, const char *namespace,
			  const char *name)
{
	_cleanup_(xfreep) char *text = NULL;
	char kind[512];

	text = xasprintf("v2\n%lld\n%s\n%s\n%s\n%s", (long long)revision,
			 group_resource_format(list->gr, kind, sizeof(kind)), scope_of(list),
			 namespace, name);
	return base64url_encode(text, strlen(text));
}

char *token_new(const ListOptions *list, int64_t revision, const Key *last)
{
	return token_encode(list, revision, last->namespace, last->name);
}

static bool copy_part(char *to, size_t size, const char *from)
{
	size_t n = strlen(from);

	if (n >= size)
		return false;
	memcpy(to, from, n + 1);
	return true;
}

static bool fields_parse(char *const *f, const ListOptions *list, Cursor *ret)
{
	char kind[512], *end;

	if (strv_len((char **)f) != TOKEN_FIELDS || !streq(f[0], "v2") ||
	    !streq(f[2], group_resource_format(list->gr, kind, sizeof(kind))) ||
	    !streq(f[3], scope_of(list)) || (*f[3] && !streq(f[4], f[3])) || !*f[5])
		return false;
	errno = 0;
	ret->revision = strtoll(f[1], &end, 10);
	return !errno && end != f[1] && !*end && ret->revision >= 0 &&
	       copy_part(ret->namespace, sizeof(ret->namespace), f[4]) &&
	       copy_part(ret->name, sizeof(ret->name), f[5]);
}

int token_parse(const char *token, const ListOptions *list, Cursor *ret, Error *err)
{
	_cleanup_(strv_freep) char **fields = NULL;
	_cleanup_(xfreep) char *text = NULL;
	Cursor c = { 0 };
	size_t len = 0;

	if (strlen(token) <= TOKEN_MAX && base64url_decode(token, &text, &len, NULL) == 0 &&
	    strlen(text) == len) {
		fields = strv_split(text, '\n');
		if (fields_parse(fields, list, &c)) {
			*ret = c;
			return 0;
		}
	}
	return error_set(err, ERR_INVALID, "continue key is not valid");
}

int store_token_renew(const ListOptions *list, char **ret, Error *err)
{
	Cursor c;
	int rc = token_parse(list->continue_token, list, &c, err);

	if (rc == 0)
		*ret = token_encode(list, 0, c.namespace, c.name);
	return rc;
}
