/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfer. See transfer.h.
 */
#include "driver/image/transfer.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "base/memory.h"

#define REDIRECTS_MAX    10
#define HEADERS_MAX      200
#define HEADER_BYTES_MAX (64u * 1024)
#define IGNORED_MAX      (64u * 1024)
#define BUFFER_SIZE      (256L * 1024)

typedef struct Transfer {
	const TransferRequest *request;
	const TransferSink *sink;
	TransferResponse response;
	Error error; /* what a callback refused; wins over curl's own words */
	bool begun;
	bool encoded, chunked, coded; /* Content-Encoding; Transfer-Encoding: chunked, another */
	unsigned n_lengths, n_headers;
	size_t header_bytes;
	usec_t deadline;
} Transfer;

static const struct {
	CURLcode curl;
	ErrorCode code;
} curl_table[] = {
	{CURLE_UNSUPPORTED_PROTOCOL,      ERR_INVALID  },
	{ CURLE_URL_MALFORMAT,            ERR_INVALID  },
	{ CURLE_WEIRD_SERVER_REPLY,       ERR_INVALID  },
	{ CURLE_BAD_CONTENT_ENCODING,     ERR_INVALID  },
	{ CURLE_PEER_FAILED_VERIFICATION, ERR_FORBIDDEN},
	{ CURLE_OPERATION_TIMEDOUT,       ERR_TIMEOUT  },
};

static ErrorCode curl_code(CURLcode c)
{
	for (size_t i = 0; i < ARRAY_SIZE(curl_table); i++)
		if (curl_table[i].curl == c)
			return curl_table[i].code;
	return ERR_UNAVAILABLE;
}

/* ---- URLs ---- */

static char *url_part(CURLU *u, CURLUPart part)
{
	char *value = NULL, *copy;

	if (curl_url_get(u, part, &value, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0) !=
	    CURLUE_OK)
		return NULL;
	copy = xstrdup(value);
	curl_free(value);
	return copy;
}

static void url_cleanupp(CURLU **u)
{
	curl_url_cleanup(*u);
}

static CURLU *url_open(const char *url)
{
	CURLU *u = curl_url();

	if (u && curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
		curl_url_cleanup(u);
		u = NULL;
	}
	return u;
}

char *url_redact(const char *url)
{
	_cleanup_(url_cleanupp) CURLU *u = url_open(url);
	char *text;

	if (!u)
		return xstrdup("(malformed URL)");
	curl_url_set(u, CURLUPART_USER, NULL, 0);
	curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
	curl_url_set(u, CURLUPART_QUERY, NULL, 0);
	curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
	text = url_part(u, CURLUPART_URL);
	return text ? text : xstrdup("(malformed URL)");
}

static char *url_scheme(const char *url)
{
	_cleanup_(url_cleanupp) CURLU *u = url_open(url);

	return u ? url_part(u, CURLUPART_SCHEME) : NULL;
}

int redirect_check(const char *from, const char *to, Error *err)
{
	_cleanup_(xfreep) char *old = url_scheme(from), *new = url_scheme(to);

	if (!new || (!streq(new, "http") && !streq(new, "https")))
		return error_set(err, ERR_FORBIDDEN, "a redirect to %s is refused",
				 new ? new : "a malformed URL");
	if (old && streq(old, "https") && !streq(new, "https"))
		return error_set(err, ERR_FORBIDDEN, "a redirect from https to http is refused");
	return 0;
}

static bool same_origin(CURLU *a, CURLU *b)
{
	static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		_cleanup_(xfreep) char *x = url_part(a, parts[i]), *y = url_part(b, parts[i]);

		if (!x || !y || strcasecmp(x, y) != 0)
			return false;
	}
	return true;
}

/* ---- header ---- */

static bool header_is(const char *line, size_t n, const char *name, const char **ret_value,
		      size_t *ret_len)
{
	size_t len = strlen(name);

	if (n <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
		return false;
	for (line += len + 1, n -= len + 1; n && (*line == ' ' || *line == '\t'); line++)
		n--;
	while (n && strchr(" \t\r\n", line[n - 1]))
		n--;
	*ret_value = line;
	*ret_len = n;
	return true;
}

static int64_t digits(const char *s, size_t n)
{
	int64_t v = 0;

	if (n == 0 || n > 18)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (s[i] - '0');
	}
	return v;
}

static int content_length(Transfer *t, const char *v, size_t n)
{
	t->response.length = digits(v, n);
	if (t->response.length < 0)
		return error_set(&t->error, ERR_INVALID, "the server sent a bad Content-Length");
	if (++t->n_lengths > 1)
		return error_set(&t->error, ERR_INVALID, "the server sent two Content-Lengths");
	return 0;
}

/* "bytes 100-199/200" */
static int content_range(Transfer *t, const char *v, size_t n)
{
	_cleanup_(xfreep) char *s = xstrndup(v, n);
	char *dash = strchr(s, '-'), *slash = strchr(s, '/');
	int64_t end;

	if (!str_has_prefix(s, "bytes ") || !dash || !slash || slash < dash)
		return 0; /* of a 416, or nonsense: range_start stays -1 */
	t->response.range_start = digits(s + 6, (size_t)(dash - s - 6));
	end = digits(dash + 1, (size_t)(slash - dash - 1));
	t->response.range_total = digits(slash + 1, strlen(slash + 1));
	if (t->response.range_start < 0 || end < t->response.range_start ||
	    (t->response.range_total >= 0 && end != t->response.range_total - 1))
		return error_set(&t->error, ERR_INVALID, "the server sent a bad Content-Range");
	return 0;
}

static void copy_value(char *dst, size_t size, const char *v, size_t n)
{
	dst[0] = '\0';
	if (n >= size)
		return;
	for (size_t i = 0; i < n; i++)
		if (v[i] < 0x20 || v[i] > 0x7e)
			return; /* goes into files and requests again: printable or nothing */
	memcpy(dst, v, n);
	dst[n] = '\0';
}

/* libcurl undoes any coding of a transfer unasked, gzip too, and more than one. */
static void transfer_encoding(Transfer *t, const char *v, size_t n)
{
	t->coded = t->coded || t->chunked || n != strlen("chunked") ||
		   strncasecmp(v, "chunked", n) != 0;
	t->chunked = true;
}

static int header_line(Transfer *t, const char *line, size_t n)
{
	const char *v;
	size_t len;

	if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		t->response =
			(TransferResponse){ .length = -1, .range_start = -1, .range_total = -1 };
		t->n_lengths = 0;
		t->encoded = t->chunked = t->coded = false;
		return 0;
	}
	if (++t->n_headers > HEADERS_MAX || (t->header_bytes += n) > HEADER_BYTES_MAX)
		return error_set(&t->error, ERR_INVALID, "the server sent too many header fields");
	if (header_is(line, n, "Content-Length", &v, &len))
		return content_length(t, v, len);
	if (header_is(line, n, "Content-Range", &v, &len))
		return content_range(t, v, len);
	if (header_is(line, n, "Content-Encoding", &v, &len))
		t->encoded = len && !(len == 8 && strncasecmp(v, "identity", 8) == 0);
	else if (header_is(line, n, "Transfer-Encoding", &v, &len))
		transfer_encoding(t, v, len);
	else if (header_is(line, n, "ETag", &v, &len))
		copy_value(t->response.etag, sizeof(t->response.etag), v, len);
	else if (header_is(line, n, "Last-Modified", &v, &len))
		copy_value(t->response.last_modified, sizeof(t->response.last_modified), v, len);
	return 0;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	return header_line(arg, p, size * n) < 0 ? 0 : size * n;
}

/* ---- body ---- */

static bool status_is_final(long status)
{
	return status == 200 || status == 206 || status == 304 || status == 416;
}

static int transfer_begin(Transfer *t)
{
	t->begun = true;
	if (t->encoded)
		return error_set(&t->error, ERR_INVALID,
				 "the server sent a Content-Encoding we did not ask for");
	if (t->coded)
		return error_set(&t->error, ERR_INVALID,
				 "the server sent a Transfer-Encoding we did not ask for");
	if (t->chunked && t->n_lengths)
		return error_set(&t->error, ERR_INVALID,
				 "the server sent Content-Length and Transfer-Encoding");
	if (t->response.status == 206 && t->response.range_start < 0)
		return error_set(&t->error, ERR_INVALID,
				 "the server sent a part without saying "
				 "which");
	return t->sink->begin(t->sink->arg, &t->response, &t->error);
}

typedef struct Hop {
	Transfer *t;
	CURL *curl;
	size_t ignored;            /* bytes of a body that is not the image */
	char why[CURL_ERROR_SIZE]; /* libcurl's words for a failure */
} Hop;

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	Hop *hop = arg;
	Transfer *t = hop->t;
	long status = 0;

	curl_easy_getinfo(hop->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200 && status != 206) {
		/* An error's or redirect's page: nobody reads it, and it may have no end. */
		hop->ignored += size * n;
		return hop->ignored > IGNORED_MAX ? 0 : size * n;
	}
	t->response.status = status;
	if (!t->begun && transfer_begin(t) < 0)
		return 0;
	if (t->sink->body(t->sink->arg, p, size * n, &t->error) < 0)
		return 0;
	return size * n;
}

static int on_tick(void *arg, _unused_ curl_off_t total, _unused_ curl_off_t now,
		   _unused_ curl_off_t up_total, _unused_ curl_off_t up_now)
{
	Transfer *t = arg;

	t->sink->tick(t->sink->arg);
	return 0;
}

static curl_socket_t on_socket(void *arg, _unused_ curlsocktype purpose, struct curl_sockaddr *a)
{
	Transfer *t = arg;

	error_done(&t->error);
	if (guard_check(&t->request->guard, &a->addr, &t->error) < 0)
		return CURL_SOCKET_BAD;
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- one hop ---- */

static CURLcode hop_options(Hop *hop, const char *url, struct curl_slist *headers)
{
	Transfer *t = hop->t;
	const TransferRequest *r = t->request;
	usec_t now = clock_now(clock_system());
	long left = (long)((t->deadline - MIN(now, t->deadline)) / USEC_PER_MSEC) + 1;
	CURLcode rc = CURLE_OK;

#define SET(option, value) rc = rc ? rc : curl_easy_setopt(hop->curl, option, value)
	SET(CURLOPT_ERRORBUFFER, hop->why);
	SET(CURLOPT_URL, url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	SET(CURLOPT_BUFFERSIZE, BUFFER_SIZE);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_USERAGENT, "sfd/" SF_VERSION);
	SET(CURLOPT_HTTPHEADER, headers);
	SET(CURLOPT_CONNECTTIMEOUT, (long)r->connect_seconds);
	SET(CURLOPT_TIMEOUT_MS, left);
	SET(CURLOPT_LOW_SPEED_LIMIT, (long)r->low_speed_bytes);
	SET(CURLOPT_LOW_SPEED_TIME, (long)r->low_speed_seconds);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, t);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, hop);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
	SET(CURLOPT_OPENSOCKETDATA, t);
	SET(CURLOPT_NOPROGRESS, t->sink->tick ? 0L : 1L);
	SET(CURLOPT_XFERINFOFUNCTION, on_tick);
	SET(CURLOPT_XFERINFODATA, t);
#undef SET
	return rc;
}

/* Names in certificates get into libcurl's words, from there to terminals. */
static const char *hop_failure(Hop *hop, CURLcode rc)
{
	for (char *p = hop->why; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	return *hop->why ? hop->why : curl_easy_strerror(rc);
}

static int hop_status(Hop *hop, CURLcode rc, char **ret_next, Error *err)
{
	Transfer *t = hop->t;
	char *next = NULL;
	long status = 0;

	if (rc != CURLE_OK && t->error.code)
		return error_move(err, &t->error);
	error_done(&t->error); /* a refused address, but another one answered */
	if (rc != CURLE_OK && hop->ignored <= IGNORED_MAX)
		return error_set(err, curl_code(rc), "%s", hop_failure(hop, rc));
	curl_easy_getinfo(hop->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(hop->curl, CURLINFO_REDIRECT_URL, &next);
	t->response.status = status;
	if (status_is_final(status))
		return 0;
	if (status >= 300 && status < 400 && next) {
		*ret_next = xstrdup(next);
		return 0;
	}
	if (status == 404 || status == 410)
		return error_set(err, ERR_NOT_FOUND,
				 "HTTP %ld: there is no such file at the source", status);
	if (status == 401 || status == 403)
		return error_set(err, ERR_FORBIDDEN, "HTTP %ld: the server refuses", status);
	return error_set(err, ERR_UNAVAILABLE, "HTTP %ld", status);
}

/* Credentials of the first URL go to its own host only. */
static CURLcode hop_credentials(CURL *curl, CURLU *first, CURLU *now)
{
	_cleanup_(xfreep) char *user = url_part(first, CURLUPART_USER);
	_cleanup_(xfreep) char *password = url_part(first, CURLUPART_PASSWORD);
	CURLcode rc;

	if (!user || !same_origin(first, now))
		return CURLE_OK;
	rc = curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(curl, CURLOPT_USERNAME, user);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(curl, CURLOPT_PASSWORD, password ? password : "");
	return rc;
}

static int hop_run(Transfer *t, CURLU *first, const char *url, struct curl_slist *headers,
		   char **ret_next, Error *err)
{
	_cleanup_(url_cleanupp) CURLU *now = url_open(url);
	_cleanup_(xfreep) char *bare = NULL;
	Hop hop = { .t = t, .curl = curl_easy_init() };
	CURLcode rc = CURLE_URL_MALFORMAT;
	int result;

	assert(hop.curl);
	if (now) {
		rc = hop_credentials(hop.curl, first, now);
		curl_url_set(now, CURLUPART_USER, NULL, 0);
		curl_url_set(now, CURLUPART_PASSWORD, NULL, 0);
		bare = url_part(now, CURLUPART_URL);
		if (rc == CURLE_OK)
			rc = bare ? hop_options(&hop, bare, headers) : CURLE_URL_MALFORMAT;
	}
	if (rc == CURLE_OK)
		rc = curl_easy_perform(hop.curl);
	result = hop_status(&hop, rc, ret_next, err);
	curl_easy_cleanup(hop.curl);
	return result;
}

static int hops_run(Transfer *t, CURLU *first, struct curl_slist *headers, Error *err)
{
	_cleanup_(xfreep) char *url = xstrdup(t->request->url);

	for (unsigned i = 0; i <= REDIRECTS_MAX; i++) {
		_cleanup_(xfreep) char *next = NULL;
		int rc = hop_run(t, first, url, headers, &next, err);

		if (rc < 0 || !next)
			return rc;
		rc = redirect_check(url, next, err);
		if (rc < 0)
			return rc;
		free(url);
		url = TAKE_PTR(next);
	}
	return error_set(err, ERR_INVALID, "more than %u redirects", REDIRECTS_MAX);
}

int transfer_run(const TransferRequest *r, const TransferSink *sink, TransferResponse *ret,
		 Error *err)
{
	_cleanup_(url_cleanupp) CURLU *first = url_open(r->url);
	_cleanup_(xfreep) char *shown = url_redact(r->url);
	Transfer t = { .request = r, .sink = sink };
	struct curl_slist *headers = NULL;
	int rc;

	t.deadline = clock_now(clock_system()) + r->total_seconds * USEC_PER_SEC;
	strv_foreach (h, r->headers)
		headers = curl_slist_append(headers, *h);
	rc = first ? redirect_check(r->url, r->url, err)
		   : error_set(err, ERR_INVALID, "malformed URL");
	if (rc == 0)
		rc = hops_run(&t, first, headers, err);
	if (rc == 0 && !t.begun && transfer_begin(&t) < 0)
		rc = error_move(err, &t.error);
	curl_slist_free_all(headers);
	error_done(&t.error);
	if (rc < 0)
		return error_wrap_rc(err, rc, "%s", shown);
	*ret = t.response;
	return 0;
}
