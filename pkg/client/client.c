/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client: calls, watches and byte streams over one libcurl easy handle, which keeps its connection
 * between calls. See client.h.
 *
 * The answer is read by jansson directly and not by json_decode(): lists are larger than any object
 * may be, and the server is ours; jansson itself bounds the depth.
 */
#include "client/client.h"

#include <errno.h>
#include <pthread.h>
#include <strings.h>

#include "base/log.h"
#include "base/memory.h"
#include "client/internal.h"
#include "pki/pki.h"

/* One request on its way. */
typedef struct Transfer {
	Client *client;
	Context *ctx;    /* NULL = only curl's own timeout */
	StrBuf body;     /* the answer; with a sink: only an error's body */
	ClientDataFn fn; /* gets the pieces of a good answer; NULL = collect */
	void *arg;
	int rc;       /* what fn returned when it was not 0 */
	Error *err;   /* set by the context's check */
	bool expired; /* by the context */
} Transfer;

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_start(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static const char *after_prefix(const char *s, const char *prefix)
{
	return str_has_prefix(s, prefix) ? s + strlen(prefix) : NULL;
}

/* "127.0.0.1:8080", "[::1]:8080", "localhost:8080/"; without a port where there is a usual one. */
static int parse_host_port(Client *c, const char *s, const char *usual, Error *err)
{
	bool bracket = *s == '[';
	const char *host = s + bracket, *end = bracket ? strchr(s, ']') : s + strcspn(s, ":/");
	const char *port = usual, *rest;
	size_t n, digits = usual ? strlen(usual) : 0;

	if (!end)
		goto bad;
	n = (size_t)(end - host);
	rest = end + bracket;
	if (*rest == ':') {
		port = rest + 1;
		digits = strspn(port, "0123456789");
		rest = port + digits;
	}
	if (!n || !digits || digits > 5 || (*rest && !streq(rest, "/")))
		goto bad;
	if (strcspn(host, "@/?# \t\r\n") < n)
		goto bad;
	c->host = xstrndup(host, n);
	c->port = xstrndup(port, digits);
	c->base = xasprintf(bracket ? "%s://[%s]:%s" : "%s://%s:%s", c->tls ? "https" : "http",
			    c->host, c->port);
	return 0;
bad:
	return error_set(err, ERR_INVALID,
			 "server '%s': expected unix:/PATH, https://HOST:PORT or "
			 "http://ADDRESS:PORT",
			 c->server);
}

static int parse_server(Client *c, Error *err)
{
	const char *rest = after_prefix(c->server, "unix://");

	if (!rest)
		rest = after_prefix(c->server, "unix:");
	if (!rest && *c->server == '/')
		rest = c->server;
	if (rest) {
		if (*rest != '/')
			return error_set(err, ERR_INVALID,
					 "server '%s': the path of a socket starts with /",
					 c->server);
		c->unix_path = xstrdup(rest);
		c->base = xstrdup("http://localhost");
		return 0;
	}
	rest = after_prefix(c->server, "https://");
	c->tls = rest != NULL;
	if (rest)
		return parse_host_port(c, rest, "443", err);
	rest = after_prefix(c->server, "http://");
	if (!rest)
		rest = after_prefix(c->server, "tcp:");
	return parse_host_port(c, rest ? rest : "", NULL, err);
}

int client_new_with(const ClientOptions *options, Client **ret, Error *err)
{
	_cleanup_(client_freep) Client *c = xnew0(Client, 1);
	int rc;

	pthread_once(&curl_once, curl_start);
	c->ca_fd = c->certificate_fd = c->key_fd = -1;
	c->server = xstrdup(options->server);
	rc = parse_server(c, err);
	if (rc == 0)
		rc = client_secure(c, options, err);
	if (rc < 0)
		return rc;
	c->curl = curl_easy_init();
	if (!c->curl)
		return error_set(err, ERR_INTERNAL, "libcurl does not start");
	*ret = TAKE_PTR(c);
	return 0;
}

int client_new(const char *server, Client **ret, Error *err)
{
	return client_new_with(&(ClientOptions){ .server = server }, ret, err);
}

Client *client_free(Client *c)
{
	if (!c)
		return NULL;
	client_reset(c);
	curl_easy_cleanup(c->curl);
	client_secure_done(c);
	free(c->server);
	free(c->unix_path);
	free(c->host);
	free(c->port);
	free(c->base);
	free(c);
	return NULL;
}

void client_reset(Client *c)
{
	json_decref(c->status);
	c->status = NULL;
	c->http_code = 0;
	c->warnings = strv_free(c->warnings);
	c->curl_error[0] = '\0';
}

const json_t *client_status(const Client *c)
{
	return c->status;
}

long client_http_code(const Client *c)
{
	return c->http_code;
}

char *const *client_warnings(const Client *c)
{
	static char *const none[] = { NULL };

	return c->warnings ? c->warnings : none;
}

void url_encode(StrBuf *out, const char *s)
{
	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;

		if ((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') ||
		    (ch >= 'A' && ch <= 'Z') || strchr("-._~", ch))
			strbuf_addc(out, *s);
		else
			strbuf_addf(out, "%%%02X", ch);
	}
}

/* ---- libcurl's callbacks ------------------------------------------------------------------ */

static size_t on_data(char *p, size_t size, size_t n, void *arg)
{
	Transfer *t = arg;
	long code = 0;

	n *= size;
	curl_easy_getinfo(t->client->curl, CURLINFO_RESPONSE_CODE, &code);
	if (!t->fn || code >= 400) {
		t->body.max = code >= 400 ? CLIENT_ERROR_MAX : CLIENT_BODY_MAX;
		strbuf_add(&t->body, p, n);
		return t->body.overflow && code < 400 ? 0 : n;
	}
	t->rc = t->fn(t->arg, p, n);
	return t->rc == 0 ? n : 0;
}

/* Warning: 299 - "text with \" and \\ escaped" (RFC 7234, 5.5) */
static void take_warning(Client *c, const char *value)
{
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	const char *p = strchr(value, '"');

	if (!p)
		return;
	for (p++; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
		strbuf_addc(&text, *p);
	}
	c->warnings = strv_append(c->warnings, strbuf_str(&text));
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	static const char name[] = "Warning:";
	Transfer *t = arg;

	n *= size;
	if (n > strlen(name) && strncasecmp(p, name, strlen(name)) == 0) {
		_cleanup_(xfreep) char *value = xstrndup(p + strlen(name), n - strlen(name));

		take_warning(t->client, value);
	}
	return n;
}

/* Called about once a second while nothing comes: where a caller's loss of interest is seen. */
static int on_progress(void *arg, curl_off_t dltotal _unused_, curl_off_t dlnow _unused_,
		       curl_off_t ultotal _unused_, curl_off_t ulnow _unused_)
{
	Transfer *t = arg;

	t->expired = t->ctx && context_check(t->ctx, t->err) < 0;
	return t->expired;
}

/* ---- one transfer ------------------------------------------------------------------------- */

static void transfer_timeout(CURL *h, const Context *ctx, usec_t timeout)
{
	usec_t left = ctx ? context_remaining(ctx) : USEC_INFINITY;

	left = MIN(left, timeout);
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS,
			 left == USEC_INFINITY ? 0L : (long)(left / USEC_PER_MSEC) + 1);
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)(CLIENT_CONNECT_MAX / USEC_PER_MSEC));
}

static void transfer_setup(Transfer *t, const ClientRequest *r, const char *url, const char *body,
			   struct curl_slist *headers, usec_t timeout)
{
	Client *c = t->client;
	CURL *h = c->curl;

	curl_easy_reset(h);
	curl_easy_setopt(h, CURLOPT_URL, url);
	if (c->unix_path)
		curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, c->unix_path);
	client_secure_setup(c, h);
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, r->method);
	if (body) {
		curl_easy_setopt(h, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
	} else if (!streq(r->method, "GET") && !streq(r->method, "DELETE")) {
		curl_easy_setopt(h, CURLOPT_POSTFIELDS, "");
		curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
	}
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->curl_error);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(h, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(h, CURLOPT_XFERINFODATA, t);
	transfer_timeout(h, t->ctx, timeout);
}

static struct curl_slist *header_add(struct curl_slist *list, const char *name, const char *value)
{
	_cleanup_(xfreep) char *line = xasprintf("%s:%s%s", name, *value ? " " : "", value);
	struct curl_slist *longer = curl_slist_append(list, line);

	assert(longer);
	return longer;
}

int client_curl_error(Client *c, CURL *h, CURLcode code, Error *err)
{
	const char *text = *c->curl_error ? c->curl_error : curl_easy_strerror(code);
	long os_errno = 0;
	int rc;

	switch (code) {
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
		curl_easy_getinfo(h, CURLINFO_OS_ERRNO, &os_errno);
		if (!os_errno)
			return error_set(err, ERR_UNAVAILABLE, "cannot reach sfd at %s: %s",
					 c->server, text);
		rc = error_set(err, ERR_UNAVAILABLE, "cannot reach sfd at %s: %s", c->server,
			       strerror((int)os_errno));
		if (err)
			err->os_errno = (int)os_errno;
		return rc;
	case CURLE_OPERATION_TIMEDOUT:
		return error_set(err, ERR_TIMEOUT, "sfd at %s does not answer in time", c->server);
	case CURLE_PEER_FAILED_VERIFICATION:
		return client_explain_tls(c, text, err);
	case CURLE_URL_MALFORMAT:
		return error_set(err, ERR_INVALID, "server '%s': %s", c->server, text);
	case CURLE_WRITE_ERROR:
		return error_set(err, ERR_EXHAUSTED, "the answer of sfd at %s is too large",
				 c->server);
	default:
		return error_set(err, ERR_UNAVAILABLE, "connection to sfd at %s: %s", c->server,
				 text);
	}
}

/*
 * Once more, if it was connected and cut off before anything was sent (no connection, but no error
 * of the system either): that sfd was on its way out, and the next one listens on the same socket.
 */
static CURLcode transfer_perform(CURL *h)
{
	CURLcode code = curl_easy_perform(h);
	long os_errno = 0;

	if (code != CURLE_COULDNT_CONNECT)
		return code;
	curl_easy_getinfo(h, CURLINFO_OS_ERRNO, &os_errno);
	return os_errno ? code : curl_easy_perform(h);
}

/* Sends it and reads the answer to its end. 0 below 400, else the negative code. */
static int transfer_run(Transfer *t, const ClientRequest *r, usec_t timeout, Error *err)
{
	_cleanup_(xfreep) char *url = xasprintf("%s%s", t->client->base, r->path);
	_cleanup_(xfreep) char *body = NULL;
	struct curl_slist *headers = NULL;
	Client *c = t->client;
	usec_t start = clock_now(clock_system());
	CURLcode code;

	client_reset(c);
	if (r->body) {
		body = json_dumps(r->body, JSON_COMPACT | JSON_ENCODE_ANY);
		if (!body)
			return error_set(err, ERR_INVALID, "the request is not valid UTF-8");
	}
	headers = header_add(headers, "Accept", r->accept ? r->accept : "application/json");
	headers = header_add(headers, "User-Agent", "sfctl/" SF_VERSION);
	if (c->token) {
		_cleanup_(pki_secret_freep) char *bearer = xasprintf("Bearer %s", c->token);

		headers = header_add(headers, "Authorization", bearer);
	}
	headers = header_add(headers, "Expect", ""); /* no pause before a large body */
	headers = header_add(headers, "Content-Type",
			     !body             ? ""
			     : r->content_type ? r->content_type
					       : "application/json");
	t->err = err;
	transfer_setup(t, r, url, body, headers, timeout);
	code = transfer_perform(c->curl);
	curl_slist_free_all(headers);
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &c->http_code);
	log_debug("%s %s: %ld in %.1f ms", r->method, r->path, c->http_code,
		  (double)(clock_now(clock_system()) - start) / 1000);
	if (t->expired)
		return -(int)(err ? err->code : ERR_CANCELED);
	if (t->rc != 0)
		return MIN(t->rc, 0);
	if (code == CURLE_OPERATION_TIMEDOUT && t->ctx && context_check(t->ctx, err) < 0)
		return -(int)(err ? err->code : ERR_TIMEOUT);
	if (code != CURLE_OK)
		return client_curl_error(c, c->curl, code, err);
	if (c->http_code >= 400)
		return client_fail(c, c->http_code, strbuf_str(&t->body), t->body.len, err);
	return 0;
}

int client_call(Client *c, const ClientRequest *request, json_t **ret, Error *err)
{
	Transfer t = { .client = c };
	json_error_t json_error;
	json_t *answer = NULL;
	int rc;

	rc = transfer_run(&t, request, request->timeout ? request->timeout : CLIENT_TIMEOUT_DEFAULT,
			  err);
	if (rc == 0) {
		answer = json_loadb(strbuf_str(&t.body), t.body.len, JSON_REJECT_DUPLICATES,
				    &json_error);
		if (!answer)
			rc = error_set(err, ERR_INTERNAL, "%s %s: the answer is not JSON: %s",
				       request->method, request->path, json_error.text);
	} else if (c->status) {
		answer = json_incref(c->status);
	}
	strbuf_done(&t.body);
	if (ret && answer)
		*ret = answer;
	else
		json_decref(answer);
	return rc;
}

/* ---- streams ------------------------------------------------------------------------------ */

int client_stream(Client *c, Context *ctx, const char *path, ClientDataFn fn, void *arg, Error *err)
{
	Transfer t = { .client = c, .ctx = ctx, .fn = fn, .arg = arg };
	int rc = transfer_run(
		&t, &(ClientRequest){ .method = "GET", .path = path, .accept = "text/plain, */*" },
		USEC_INFINITY, err);

	strbuf_done(&t.body);
	return rc;
}

typedef struct Watch {
	Client *client;
	StrBuf line;
	ClientWatchFn fn;
	void *arg;
	Error *err;
} Watch;

static int watch_line(Watch *w)
{
	json_error_t json_error;
	const char *type;
	json_t *event;
	int rc;

	if (!w->line.len)
		return 0;
	event = json_loadb(strbuf_str(&w->line), w->line.len, JSON_REJECT_DUPLICATES, &json_error);
	strbuf_reset(&w->line);
	type = json_string_value(json_object_get(event, "type"));
	if (!type || !json_is_object(json_object_get(event, "object")))
		rc = error_set(w->err, ERR_INTERNAL, "the watch sent a line that is no event: %s",
			       event ? "no type or object" : json_error.text);
	else if (streq(type, "ERROR"))
		rc = client_fail_status(w->client, json_object_get(event, "object"), 0, w->err);
	else
		rc = w->fn(w->arg, event);
	json_decref(event);
	return rc;
}

static int watch_data(void *arg, const char *p, size_t n)
{
	Watch *w = arg;
	const char *end;
	int rc;

	while ((end = memchr(p, '\n', n))) {
		strbuf_add(&w->line, p, (size_t)(end - p));
		rc = watch_line(w);
		if (rc != 0)
			return rc;
		n -= (size_t)(end + 1 - p);
		p = end + 1;
	}
	strbuf_add(&w->line, p, n);
	if (w->line.overflow)
		return error_set(w->err, ERR_EXHAUSTED, "the watch sent a line that is too long");
	return 0;
}

int client_watch(Client *c, Context *ctx, const char *path, const char *accept, ClientWatchFn fn,
		 void *arg, Error *err)
{
	Watch w = { .client = c,
		    .line = STRBUF_INIT_MAX(CLIENT_LINE_MAX),
		    .fn = fn,
		    .arg = arg,
		    .err = err };
	Transfer t = { .client = c, .ctx = ctx, .fn = watch_data, .arg = &w };
	int rc = transfer_run(&t,
			      &(ClientRequest){ .method = "GET", .path = path, .accept = accept },
			      USEC_INFINITY, err);

	if (rc == 0 && t.rc == 0)
		rc = MIN(watch_line(&w), 0); /* a last line without its newline */
	strbuf_done(&w.line);
	strbuf_done(&t.body);
	return rc;
}
