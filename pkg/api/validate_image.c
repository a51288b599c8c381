/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An Image's rules beyond its schema: a URL that may be fetched, checksums that can be compared.
 */
#include <arpa/inet.h>
#include <ctype.h>

#include "api/validate.h"
#include "base/memory.h"
#include "base/sha.h"
#include "json/json.h"

#define URL_MAX 4096

/* Letters, digits, '-', '.', '_' (which some names in private networks have), or [IPv6]. */
static bool host_is_valid(const char *host, size_t n)
{
	_cleanup_(xfreep) char *text = xstrndup(host, n);
	struct in6_addr a;

	if (*text == '[') {
		if (text[n - 1] != ']')
			return false;
		text[n - 1] = '\0';
		/* In any spelling, IPv4 in IPv6 too: what may be reached is for the fetch role. */
		return inet_pton(AF_INET6, text + 1, &a) == 1;
	}
	return isalnum((unsigned char)*text) &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
		       n;
}

/* At p: nothing, or ":" and a number that is a port. */
static bool port_is_valid(const char *p, const char *end)
{
	unsigned long port = 0;

	if (p == end)
		return true;
	for (const char *d = p + 1; d < end; d++) {
		if (!isdigit((unsigned char)*d) || d - p > 5)
			return false;
		port = port * 10 + (unsigned long)(*d - '0');
	}
	return *p == ':' && port > 0 && port <= 65535;
}

static void check_authority(const char *host, const char *end, const char *url, const char *path,
			    FieldErrors *errors)
{
	const char *bracket = *host == '[' ? memchr(host, ']', (size_t)(end - host)) : NULL;
	const char *colon =
		memchr(bracket ? bracket : host, ':', (size_t)(end - (bracket ? bracket : host)));
	const char *stop = colon ? colon : end;
	char text[200];

	if (stop == host)
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: %s: there is no host in it", quoted(url, text));
	else if (!host_is_valid(host, (size_t)(stop - host)))
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: %s: the host is no name and no address: write it "
				 "like example.com, 192.0.2.1 or [2001:db8::1]",
				 quoted(url, text));
	else if (!port_is_valid(stop, end))
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: %s: the port is no number from 1 to 65535",
				 quoted(url, text));
}

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
	check_authority(host, end, url, path, errors);
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
