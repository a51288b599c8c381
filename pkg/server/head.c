/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a request: refused where two readers could understand it differently, before anything
 * is asked about it.
 *
 * libmicrohttpd 0.9.75 is lenient: it reads a line up to a NUL only, glues folded lines together,
 * takes a line that begins with a colon for the end of the head (what follows is then another
 * request), and names with a blank before the colon for other names. It keeps the head in one piece
 * of memory and ends each part where it lies, so what it skipped is a gap between one part and the
 * next: a head without gaps was understood as it was sent. HTTP threads.
 */
#include <stdlib.h>

#include "server/internal.h"
#include "server/reply.h"

#define LINE_END 2 /* CR LF; a bare LF ends no line here */

typedef struct HeadScan {
	unsigned content_lengths, transfer_encodings, hosts, authorizations;
	bool impersonates, bad_encoding, bad_name, bad_value, gap;
	const char *length;
	uintptr_t next; /* where the next part must begin */
} HeadScan;

/* RFC 9110, 5.6.2 */
static bool is_token(const char *s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	const char *from = s;

	for (; *s; s++)
		if (!((*s >= '0' && *s <= '9') || (*s >= 'A' && *s <= 'Z') ||
		      (*s >= 'a' && *s <= 'z') || strchr(others, *s)))
			return false;
	return s > from;
}

static bool has_control(const char *s)
{
	for (; *s; s++)
		if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
			return true;
	return false;
}

/* One part of the head, which `end` bytes follow that belong to no part. */
static void scan_part(HeadScan *scan, const char *part, size_t len, size_t end)
{
	scan->gap |= (uintptr_t)part != scan->next;
	scan->next = (uintptr_t)part + len + end;
}

static void scan_start_line(HeadScan *scan, const Request *r, const char *method,
			    const char *version)
{
	scan->next = (uintptr_t)method;
	scan_part(scan, method, strlen(method), 1);
	scan_part(scan, r->raw_target, r->raw_target_len, 1);
	scan_part(scan, version, strlen(version), LINE_END);
}

static enum MHD_Result scan_header(void *cls, enum MHD_ValueKind kind _unused_, const char *name,
				   const char *value)
{
	HeadScan *scan = cls;
	size_t name_len = strlen(name), value_len = value ? strlen(value) : 0;

	scan->bad_name |= !is_token(name);
	scan->bad_value |= !value || has_control(value);
	scan_part(scan, name, name_len, 1);
	/* Blanks behind the colon are skipped; nothing else can lie there. */
	scan->gap |= (uintptr_t)value < scan->next;
	scan->next = (uintptr_t)value + value_len + LINE_END;

	if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
		scan->content_lengths++;
		scan->length = value;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
		scan->transfer_encodings++;
		scan->bad_encoding |= !value || strcasecmp(value, "chunked") != 0;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0) {
		scan->hosts++;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_AUTHORIZATION) == 0) {
		scan->authorizations++;
	} else if (strncasecmp(name, "Impersonate-", strlen("Impersonate-")) == 0) {
		scan->impersonates = true;
	}
	return MHD_YES;
}

static void scan_end(HeadScan *scan, const Request *r, const char *method)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

	scan->gap |= !info || scan->next + LINE_END != (uintptr_t)method + info->header_size;
}

/* Two ways to say where the body ends, or who one is, are how requests are smuggled: refuse, and
 * hang up. */
static bool check_framing(Request *r, const HeadScan *scan)
{
	const char *problem = NULL;

	if (scan->bad_name)
		problem = "the name of a header has a character that none may have";
	else if (scan->bad_value)
		problem = "a header has a control character";
	else if (scan->gap)
		problem = "the head has a NUL, a folded line, a line without a name, an odd blank "
			  "or a line that does not end in CR LF";
	else if (scan->content_lengths && scan->transfer_encodings)
		problem = "both Content-Length and Transfer-Encoding are given";
	else if (scan->content_lengths > 1)
		problem = "Content-Length is given twice";
	else if (scan->transfer_encodings > 1 || scan->bad_encoding)
		problem = "the only Transfer-Encoding is \"chunked\", once";
	else if (scan->hosts > 1)
		problem = "Host is given twice";
	else if (scan->authorizations > 1)
		problem = "Authorization is given twice";
	if (!problem)
		return true;
	reply_bad_request(r, "%s", problem);
	r->reply.close = true;
	return false;
}

static bool check_size(Request *r, const HeadScan *scan)
{
	size_t digits = scan->length ? strspn(scan->length, "0123456789") : 0;

	if (!scan->length)
		return true;
	if (scan->length[digits]) {
		reply_bad_request(r, "Content-Length is no number");
	} else if (digits > 18 || strtoull(scan->length, NULL, 10) > BODY_MAX) {
		reply_failure(r, MHD_HTTP_CONTENT_TOO_LARGE, "RequestEntityTooLarge", NULL,
			      "the body is larger than %u bytes", BODY_MAX);
	} else {
		return true;
	}
	r->reply.close = true;
	return false;
}

static bool is_loopback_host(const char *host)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };

	for (size_t i = 0; host && i < ARRAY_SIZE(names); i++) {
		size_t n = strlen(names[i]);

		if (strncasecmp(host, names[i], n) == 0 && (host[n] == '\0' || host[n] == ':'))
			return true;
	}
	return host && str_has_prefix(host, "127.") && strspn(host, "0123456789.:") == strlen(host);
}

/*
 * Loopback TCP knows no user, so a web page must not be able to use a browser as its hand: no
 * foreign Host (DNS rebinding), and no Origin but this very address, from which no page ever came.
 * Python's WebSocket client sends that one.
 */
static bool check_browser(Request *r)
{
	const char *host = request_header(r, MHD_HTTP_HEADER_HOST);
	const char *origin = request_header(r, MHD_HTTP_HEADER_ORIGIN);
	bool own = !origin || (host && str_has_prefix(origin, "http://") &&
			       streq(origin + strlen("http://"), host));

	if (!r->conn->who || r->conn->who->source != IDENTITY_LOOPBACK)
		return true;
	if (is_loopback_host(host) && own)
		return true;
	reply_failure(r, MHD_HTTP_FORBIDDEN, "Forbidden", NULL,
		      "forbidden: this address serves local tools only, not browsers or other "
		      "host names");
	return false;
}

bool request_check_head(Request *r, const char *method, const char *version)
{
	HeadScan scan = { 0 };

	scan_start_line(&scan, r, method, version);
	MHD_get_connection_values(r->mhd, MHD_HEADER_KIND, scan_header, &scan);
	scan_end(&scan, r, method);
	if (!check_framing(r, &scan) || !check_size(r, &scan) || !check_browser(r))
		return false;
	r->impersonates = scan.impersonates;
	return true;
}
