/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An Image's rules beyond its schema: a URL that may be fetched, checksums that can be compared.
 */
#include <ctype.h>

#include "api/validate.h"
#include "base/sha.h"
#include "json/json.h"

#define URL_MAX 4096

/* http or https, a host, printable ASCII, and no password in it: status and events would show it.
 */
static void check_url(const char *url, const char *path, FieldErrors *errors)
{
	const char *scheme = strstr(url, "://"), *host = scheme ? scheme + 3 : url;
	const char *end = host + strcspn(host, "/?#");
	char text[200];

	/* Before anything that would tell the URL back. */
	if (memchr(host, '@', (size_t)(end - host))) {
		field_errors_add(
			errors, FIELD_INVALID, path,
			"Invalid value: user names and passwords do not belong into a URL");
		return;
	}
	if (!str_has_prefix(url, "http://") && !str_has_prefix(url, "https://")) {
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: %s: use an http:// or https:// URL",
				 quoted(url, text));
		return;
	}
	if (strlen(url) > URL_MAX) {
		field_errors_add(errors, FIELD_TOO_LONG, path,
				 "Too long: may not be more than %d bytes", URL_MAX);
		return;
	}
	for (const char *p = url; *p; p++)
		if (*p <= ' ' || (unsigned char)*p >= 0x7f) {
			field_errors_add(errors, FIELD_INVALID, path,
					 "Invalid value: %s: a URL has no spaces, control or "
					 "non-ASCII characters: percent-encode them",
					 quoted(url, text));
			return;
		}
	if (end == host)
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: %s: there is no host in it", quoted(url, text));
}

static bool is_checksum(const char *s)
{
	static const struct {
		const char *prefix;
		ShaAlgorithm algorithm;
	} known[] = {
		{"sha256:",  SHA_256},
                { "sha512:", SHA_512}
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		const char *hex = s + strlen(known[i].prefix);

		if (str_has_prefix(s, known[i].prefix))
			return strlen(hex) == sha_hex_len(known[i].algorithm) &&
			       strspn(hex, "0123456789abcdefABCDEF") == strlen(hex);
	}
	return false;
}

void validate_image(const json_t *tree, const json_t *old _unused_, FieldErrors *errors)
{
	const char *url = json_string_at(tree, "spec.source.url"),
		   *sum = json_string_at(tree, "spec.source.checksum");
	const char *sum_url = json_string_at(tree, "spec.source.checksumURL");
	char text[200];

	if (url)
		check_url(url, "spec.source.url", errors);
	if (sum_url)
		check_url(sum_url, "spec.source.checksumURL", errors);
	if (sum && !is_checksum(sum))
		field_errors_add(errors, FIELD_INVALID, "spec.source.checksum",
				 "Invalid value: %s: use \"sha256:\" with 64 or \"sha512:\" with "
				 "128 hexadecimal digits",
				 quoted(sum, text));
	if (sum && sum_url)
		field_errors_add(errors, FIELD_FORBIDDEN, "spec.source.checksumURL",
				 "Forbidden: checksum is given too: choose one of the two");
}
