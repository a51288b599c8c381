/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hostile web server. See hostile_http.h.
 */
#include "tests/lib/hostile_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/hashmap.h"
#include "base/memory.h"

#define REQUEST_MAX 65536

typedef struct File {
	char *data, *etag;
	size_t len;
} File;

struct HostileHttp {
	int fd;
	unsigned port;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop, go;
	unsigned connections;
	Hashmap *files;
	char **paths;
	char *last; /* request */
	uint64_t sent;
};

typedef struct Connection {
	HostileHttp *h;
	int fd;
	char path[4096];
	char request[REQUEST_MAX];
} Connection;

static void file_release(void *p)
{
	File *f = p;

	free(f->data);
	free(f->etag);
	free(f);
}

/* ---- talking ---- */

/* False when the client has left. */
static bool say_n(Connection *c, const void *p, size_t n)
{
	const char *at = p;

	while (n) {
		ssize_t done = send(c->fd, at, n, MSG_NOSIGNAL);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		at += done;
		n -= (size_t)done;
	}
	return true;
}

static bool say(Connection *c, const char *s)
{
	return say_n(c, s, strlen(s));
}

/* Holds the line for a while; false when the server stops or the client has left. */
static bool hold(Connection *c, unsigned msec)
{
	Clock *clock = clock_system();
	usec_t until = clock_now(clock) + msec * USEC_PER_MSEC;
	char byte;
	bool stop;

	pthread_mutex_lock(&c->h->lock);
	while (!c->h->stop && clock_now(clock) < until)
		clock_wait(clock, &c->h->changed, &c->h->lock, until);
	stop = c->h->stop;
	pthread_mutex_unlock(&c->h->lock);
	return !stop && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

static void hold_for_ever(Connection *c)
{
	while (hold(c, 100))
		;
}

static void hold_until_go(Connection *c)
{
	bool go;

	do {
		pthread_mutex_lock(&c->h->lock);
		go = c->h->go;
		pthread_mutex_unlock(&c->h->lock);
	} while (!go && hold(c, 20));
}

static char *header_of(const char *request, const char *name)
{
	size_t n = strlen(name);

	for (const char *l = strstr(request, "\r\n"); l; l = strstr(l + 2, "\r\n"))
		if (strncasecmp(l + 2, name, n) == 0 && l[2 + n] == ':') {
			l += 3 + n;
			l += strspn(l, " ");
			return xstrndup(l, strcspn(l, "\r"));
		}
	return NULL;
}

/* ---- bad manners ---- */

static void repeat(Connection *c, const char *s, unsigned n)
{
	for (unsigned i = 0; i < n && say(c, s); i++)
		;
}

static void endless(Connection *c, const char *s)
{
	while (say(c, s))
		;
}

static void bad_stall_headers(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\nContent-Le");
	hold_for_ever(c);
}

static void bad_stall_body(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nETag: \"s\"\r\n\r\nhello");
	hold_for_ever(c);
}

static void bad_drip(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
	while (say(c, "x") && hold(c, 50))
		;
}

static void bad_headers_drip(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\n");
	while (say(c, "X: y\r\n") && hold(c, 50))
		;
}

static void bad_headers_many(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\n");
	repeat(c, "X-Filler: 0123456789\r\n", 20000);
	say(c, "\r\nhello");
}

static void bad_header_long(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\nX-Long: ");
	repeat(c, "0123456789012345678901234567890123456789012345678901234567890123456789", 20000);
	say(c, "\r\n\r\nhello");
}

static void bad_endless_chunks(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	endless(c, "40\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n");
}

static void bad_endless_body(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\n\r\n");
	endless(c, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
}

static void bad_endless_error(Connection *c)
{
	say(c, "HTTP/1.1 404 Not Found\r\n\r\n");
	endless(c, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
}

static void bad_hops(Connection *c)
{
	char text[200];
	unsigned n = (unsigned)strtoul(c->path + strlen("/bad/hops"), NULL, 10);

	snprintf(text, sizeof(text),
		 "HTTP/1.1 302 Found\r\nLocation: /bad/hops%u\r\nContent-Length: 0\r\n\r\n", n + 1);
	say(c, text);
}

/* A kind is a fixed answer, or a function. `len` is for answers with NUL bytes in them. */
static const struct {
	const char *kind, *answer;
	void (*fn)(Connection *c);
} kinds[] = {
	{"stall-headers",    NULL,									  bad_stall_headers },
	{ "stall-body",      NULL,									  bad_stall_body    },
	{ "drip",            NULL,									  bad_drip          },
	{ "headers-drip",    NULL,									  bad_headers_drip  },
	{ "headers-many",    NULL,									  bad_headers_many  },
	{ "header-long",     NULL,									  bad_header_long   },
	{ "endless-chunks",  NULL,									  bad_endless_chunks},
	{ "endless-body",    NULL,									  bad_endless_body  },
	{ "endless-error",   NULL,									  bad_endless_error },
	{ "hops",            NULL,									  bad_hops          },
	{ "close",           "",									    NULL              },
	{ "garbage",         "\x01\x02\x03 nonsense\r\n\r\n",                                               NULL              },
	{ "http09",          "<html>hello</html>",							  NULL              },
	{ "empty",           "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",                                NULL              },
	{ "truncated",       "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",                         NULL              },
	{ "length-short",    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello world",                     NULL              },
	{ "length-double",
         "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Length: 5\r\n\r\nhello world",                   NULL              },
	{ "length-twice",
         "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Length: 11\r\n\r\nhello world",                  NULL              },
	{ "length-negative", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello world",                    NULL              },
	{ "length-huge",
         "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nhello world",                       NULL              },
	{ "length-large",    "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\nhello world",
         NULL														 },
	{ "length-garbage",  "HTTP/1.1 200 OK\r\nContent-Length: 11abc\r\n\r\nhello world",                 NULL              },
	{ "length-list",     "HTTP/1.1 200 OK\r\nContent-Length: 11, 5\r\n\r\nhello world",                 NULL              },
	{ "length-chunked",
         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
	  "b\r\nhello world\r\n0\r\n\r\n",								  NULL              },
	{ "chunk-bad",       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello world\r\n",
         NULL														 },
	{ "chunk-huge",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n",	    NULL              },
	{ "chunk-cut",       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n",
         NULL														 },
	{ "gzip",            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
         NULL														 },
	{ "part-unasked",
         "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/10\r\n"
	  "Content-Length: 5\r\n\r\nhello",								 NULL              },
	{ "part-nameless",   "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\nhello",              NULL              },
	{ "part-reversed",
         "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 9-5/10\r\n"
	  "Content-Length: 5\r\n\r\nhello",								 NULL              },
	{ "loop",            "HTTP/1.1 302 Found\r\nLocation: /bad/loop\r\nContent-Length: 0\r\n\r\n",      NULL              },
	{ "nowhere",         "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",                             NULL              },
	{ "gone",            "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",                              NULL              },
	{ "forbidden",       "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",                         NULL              },
	{ "unauthorized",    "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",                      NULL              },
	{ "error",           "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",                          NULL              },
	{ "busy",            "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",            NULL              },
	{ "teapot",          "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n",                            NULL              },
	{ "unasked-304",     "HTTP/1.1 304 Not Modified\r\n\r\n",                                           NULL              },
	{ "html",
         "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 19\r\n\r\n"
	  "<html>hello</html>\n",									   NULL              },
};

static void serve_bad(Connection *c)
{
	const char *kind = c->path + strlen("/bad/");

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strncmp(kind, kinds[i].kind, strlen(kinds[i].kind)) != 0)
			continue;
		if (kinds[i].fn)
			kinds[i].fn(c);
		else
			say(c, kinds[i].answer);
		return;
	}
	say(c, "HTTP/1.1 404 No such kind\r\nContent-Length: 0\r\n\r\n");
}

/* ---- good manners ---- */

static bool file_get(HostileHttp *h, const char *name, File *ret)
{
	File *f;

	pthread_mutex_lock(&h->lock);
	f = hashmap_get(h->files, name);
	if (f)
		*ret = (File){ .data = xmemdup(f->data, f->len),
			       .etag = xstrdup(f->etag),
			       .len = f->len };
	pthread_mutex_unlock(&h->lock);
	return f != NULL;
}

static void count_sent(HostileHttp *h, size_t n)
{
	pthread_mutex_lock(&h->lock);
	h->sent += n;
	pthread_mutex_unlock(&h->lock);
}

static void serve_body(Connection *c, const char *p, size_t n, bool slowly)
{
	size_t first = slowly ? n / 2 : n;

	count_sent(c->h, n);
	if (!say_n(c, p, first) || !slowly)
		return;
	hold_until_go(c);
	say_n(c, p + first, n - first);
}

static void serve_file(Connection *c, const char *name, bool slowly)
{
	_cleanup_(xfreep) char *range = header_of(c->request, "Range");
	_cleanup_(xfreep) char *if_range = header_of(c->request, "If-Range");
	_cleanup_(xfreep) char *if_none = header_of(c->request, "If-None-Match");
	char head[600], etag[300] = "";
	size_t from = 0;
	File f;

	if (!file_get(c->h, name, &f)) {
		say(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
		return;
	}
	if (f.etag)
		snprintf(etag, sizeof(etag), "ETag: %s\r\n", f.etag);
	if (range && str_has_prefix(range, "bytes=") && (!if_range || streq_ptr(if_range, f.etag)))
		from = strtoul(range + 6, NULL, 10);
	if (if_none && streq_ptr(if_none, f.etag))
		snprintf(head, sizeof(head), "HTTP/1.1 304 Not Modified\r\n%s\r\n", etag);
	else if (from > f.len)
		snprintf(head, sizeof(head), "HTTP/1.1 416 Range\r\nContent-Length: 0\r\n%s\r\n",
			 etag);
	else if (from)
		snprintf(head, sizeof(head),
			 "HTTP/1.1 206 Partial Content\r\nContent-Length: %zu\r\n"
			 "Content-Range: bytes %zu-%zu/%zu\r\n%s\r\n",
			 f.len - from, from, f.len - 1, f.len, etag);
	else
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n",
			 f.len, etag);
	if (say(c, head) && (str_has_prefix(head, "HTTP/1.1 20")))
		serve_body(c, f.data + from, f.len - from, slowly);
	free(f.data);
	free(f.etag);
}

static void serve_redirect(Connection *c)
{
	_cleanup_(xfreep) char *text = xasprintf(
		"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", c->path + 4);

	say(c, text);
}

static bool request_read(Connection *c)
{
	size_t n = 0;

	while (n < sizeof(c->request) - 1) {
		ssize_t got = recv(c->fd, c->request + n, sizeof(c->request) - 1 - n, 0);

		if (got <= 0)
			return false;
		n += (size_t)got;
		c->request[n] = '\0';
		if (strstr(c->request, "\r\n\r\n"))
			return sscanf(c->request, "%*15s %4095s", c->path) == 1;
	}
	return false;
}

static void *serve(void *arg)
{
	Connection *c = arg;
	HostileHttp *h = c->h;

	if (request_read(c)) {
		pthread_mutex_lock(&h->lock);
		h->paths = strv_append(h->paths, c->path);
		free(h->last);
		h->last = xstrdup(c->request);
		pthread_cond_broadcast(&h->changed);
		pthread_mutex_unlock(&h->lock);
		if (str_has_prefix(c->path, "/bad/"))
			serve_bad(c);
		else if (str_has_prefix(c->path, "/to/"))
			serve_redirect(c);
		else if (str_has_prefix(c->path, "/hold/"))
			serve_file(c, c->path + 6, true);
		else if (str_has_prefix(c->path, "/file/"))
			serve_file(c, c->path + 6, false);
		else
			say(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	}
	shutdown(c->fd, SHUT_WR);
	close(c->fd);
	free(c);
	pthread_mutex_lock(&h->lock);
	h->connections--;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

static void *accept_loop(void *arg)
{
	HostileHttp *h = arg;
	Connection *c;
	pthread_t t;
	int fd;

	while ((fd = accept4(h->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		c = xnew0(Connection, 1);
		c->h = h;
		c->fd = fd;
		pthread_mutex_lock(&h->lock);
		h->connections++;
		pthread_mutex_unlock(&h->lock);
		if (pthread_create(&t, NULL, serve, c) != 0)
			abort();
		pthread_detach(t);
	}
	return NULL;
}

HostileHttp *hostile_http_new(void)
{
	HostileHttp *h = xnew0(HostileHttp, 1);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	pthread_mutex_init(&h->lock, NULL);
	clock_cond_init(&h->changed);
	h->files = hashmap_new(file_release);
	h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (h->fd < 0 || bind(h->fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(h->fd, 64) < 0 || getsockname(h->fd, (struct sockaddr *)&a, &len) < 0 ||
	    pthread_create(&h->thread, NULL, accept_loop, h) != 0)
		abort();
	h->port = ntohs(a.sin_port);
	return h;
}

HostileHttp *hostile_http_free(HostileHttp *h)
{
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
	shutdown(h->fd, SHUT_RDWR);
	pthread_join(h->thread, NULL);
	close(h->fd);
	pthread_mutex_lock(&h->lock);
	while (h->connections)
		pthread_cond_wait(&h->changed, &h->lock);
	pthread_mutex_unlock(&h->lock);
	hashmap_free(h->files);
	strv_free(h->paths);
	free(h->last);
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
	free(h);
	return NULL;
}

unsigned hostile_http_port(const HostileHttp *h)
{
	return h->port;
}

char *hostile_http_url(const HostileHttp *h, const char *path)
{
	return xasprintf("http://127.0.0.1:%u%s", h->port, path);
}

void hostile_http_put(HostileHttp *h, const char *name, const void *data, size_t n,
		      const char *etag)
{
	File *f = xnew0(File, 1);

	f->data = xmemdup(data, n);
	f->len = n;
	f->etag = xstrdup(etag);
	pthread_mutex_lock(&h->lock);
	hashmap_put(h->files, name, f);
	pthread_mutex_unlock(&h->lock);
}

void hostile_http_remove(HostileHttp *h, const char *name)
{
	pthread_mutex_lock(&h->lock);
	hashmap_remove(h->files, name);
	pthread_mutex_unlock(&h->lock);
}

void hostile_http_release(HostileHttp *h, bool go)
{
	pthread_mutex_lock(&h->lock);
	h->go = go;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

unsigned hostile_http_count(HostileHttp *h, const char *prefix)
{
	unsigned n = 0;

	pthread_mutex_lock(&h->lock);
	strv_foreach (p, h->paths)
		n += str_has_prefix(*p, prefix);
	pthread_mutex_unlock(&h->lock);
	return n;
}

uint64_t hostile_http_sent(HostileHttp *h)
{
	uint64_t n;

	pthread_mutex_lock(&h->lock);
	n = h->sent;
	pthread_mutex_unlock(&h->lock);
	return n;
}

char *hostile_http_header(HostileHttp *h, const char *name)
{
	char *v;

	pthread_mutex_lock(&h->lock);
	v = h->last ? header_of(h->last, name) : NULL;
	pthread_mutex_unlock(&h->lock);
	return v;
}
