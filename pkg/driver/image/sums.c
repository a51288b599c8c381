/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checksums and checksum files. See sums.h. Formats: coreutils manual, "md5sum invocation";
 * FreeBSD sha256(1).
 */
#include "driver/image/sums.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "base/memory.h"

static bool hex_take(const char *s, size_t len, Checksum *ret)
{
	Checksum c;

	if (len == sha_hex_len(SHA_256))
		c.algorithm = SHA_256;
	else if (len == sha_hex_len(SHA_512))
		c.algorithm = SHA_512;
	else
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isxdigit((unsigned char)s[i]))
			return false;
		c.hex[i] = (char)tolower((unsigned char)s[i]);
	}
	c.hex[len] = '\0';
	*ret = c;
	return true;
}

static int refuse_empty(const Checksum *c, Error *err)
{
	char hex[SHA_HEX_MAX];

	if (streq(c->hex, sha_hex_of(c->algorithm, "", 0, hex)))
		return error_set(err, ERR_INVALID, "the checksum is that of an empty file");
	return 0;
}

int checksum_parse(const char *s, Checksum *ret, Error *err)
{
	bool is256 = strncasecmp(s, "sha256:", 7) == 0, is512 = strncasecmp(s, "sha512:", 7) == 0;
	ShaAlgorithm wanted = is512 ? SHA_512 : SHA_256;
	Checksum c;
	int rc;

	if (!is256 && !is512)
		return error_set(err, ERR_INVALID,
				 "a checksum is \"sha256:\" or \"sha512:\" and hexadecimal digits");
	if (!hex_take(s + 7, strlen(s + 7), &c) || c.algorithm != wanted)
		return error_set(err, ERR_INVALID, "a %.6s checksum has %zu hexadecimal digits", s,
				 sha_hex_len(wanted));
	rc = refuse_empty(&c, err);
	if (rc == 0)
		*ret = c;
	return rc;
}

const char *checksum_format(const Checksum *c, char buf[static CHECKSUM_TEXT_MAX])
{
	snprintf(buf, CHECKSUM_TEXT_MAX, "%s:%s", c->algorithm == SHA_512 ? "sha512" : "sha256",
		 c->hex);
	return buf;
}

static const char *base_name(const char *s)
{
	const char *slash = strrchr(s, '/');

	return slash ? slash + 1 : s;
}

/* "hex  name" or "hex *name". */
static bool parse_gnu(const char *line, const char *name, Checksum *ret)
{
	size_t n = strcspn(line, " \t");
	const char *rest = line + n;

	if (!*rest)
		return false;
	rest += strspn(rest, " \t");
	if (*rest == '*')
		rest++;
	return streq(base_name(rest), name) && hex_take(line, n, ret);
}

/* "SHA256 (name) = hex". */
static bool parse_bsd(const char *line, const char *name, Checksum *ret)
{
	const char *end = strstr(line, ") = ");
	_cleanup_(xfreep) char *inner = NULL;

	if (!end || (strncmp(line, "SHA256 (", 8) != 0 && strncmp(line, "SHA512 (", 8) != 0))
		return false;
	inner = xstrndup(line + 8, (size_t)(end - line - 8));
	return streq(base_name(inner), name) && hex_take(end + 4, strlen(end + 4), ret) &&
	       (ret->algorithm == SHA_512) == (line[3] == '5');
}

typedef struct Found {
	Checksum sums[2]; /* by algorithm */
	bool have[2];
} Found;

static int found_add(Found *f, const Checksum *c, const char *name, Error *err)
{
	if (f->have[c->algorithm] && !streq(f->sums[c->algorithm].hex, c->hex))
		return error_set(err, ERR_INVALID, "the checksum file has two sums for %s", name);
	f->sums[c->algorithm] = *c;
	f->have[c->algorithm] = true;
	return 0;
}

static int scan_line(char *line, const char *name, Found *found, Error *err)
{
	size_t n = strlen(line);
	Checksum c;

	while (n && isspace((unsigned char)line[n - 1]))
		line[--n] = '\0';
	if (parse_gnu(line, name, &c) || parse_bsd(line, name, &c))
		return found_add(found, &c, name, err);
	return 0;
}

static bool looks_like_html(const char *text)
{
	text += strspn(text, " \t\r\n");
	return *text == '<';
}

int checksum_find(const char *text, size_t len, const char *name, Checksum *ret, Error *err)
{
	_cleanup_(strv_freep) char **lines = NULL;
	Found found = { 0 };
	Checksum c;
	int rc = 0;

	if (strlen(text) != len)
		return error_set(err, ERR_INVALID, "the checksum file is binary");
	if (looks_like_html(text))
		return error_set(err, ERR_INVALID, "the checksum file is a web page");
	lines = strv_split(text, '\n');
	for (char **l = lines; l && *l && rc == 0; l++)
		rc = scan_line(*l, name, &found, err);
	if (rc < 0)
		return rc;
	if (found.have[SHA_512] || found.have[SHA_256]) {
		c = found.sums[found.have[SHA_512] ? SHA_512 : SHA_256];
	} else {
		size_t start = strspn(text, " \t\r\n"), n = strcspn(text + start, " \t\r\n");

		if (text[start + n + strspn(text + start + n, " \t\r\n")] ||
		    !hex_take(text + start, n, &c))
			return error_set(err, ERR_INVALID, "the checksum file does not name %s",
					 *name ? name : "the image");
	}
	rc = refuse_empty(&c, err);
	if (rc == 0)
		*ret = c;
	return rc;
}

const char *url_file_name(const char *url, char buf[static 256])
{
	const char *host = strstr(url, "://"), *path, *end, *start;

	buf[0] = '\0';
	path = host ? strchr(host + 3, '/') : NULL;
	if (!path)
		return buf;
	end = path + strcspn(path, "?#");
	for (start = end; start > path && start[-1] != '/'; start--)
		;
	snprintf(buf, 256, "%.*s", (int)(end - start), start);
	return buf;
}
