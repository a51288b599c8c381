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

#include "base/memory.h"
#include "tests/lib/hostile_kinds.h"

static void file_release(void *p)
{
	File *f = p;

	free(f->data);
	free(f->etag);
	free(f);
}

/* ---- talking ---- */

bool say_n(Connection *c, const void *p, size_t n)
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

bool say(Connection *c, const char *s)
{
	return say_n(c, s, strlen(s));
}

bool hold(Connection *c, unsigned msec)
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

static void hold_until_go(Connection *c)
{
	bool go;

	do {
		pthread_mutex_lock(&c->h->lock);
		go = c->h->go;
		pthread_mutex_unlock(&c->h->lock);
	} while (!go && hold(c, 20));
}

char *header_of(const char *request, const char *name)
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

/* ---- good manners ---- */

bool file_get(HostileHttp *h, const char *name, File *ret)
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

/* Locked. */
static void path_add(HostileHttp *h, const char *path)
{
	h->paths = strv_append(h->paths, path);
	GROW_ARRAY(h->times, h->n_times, h->cap_times);
	h->times[h->n_times++] = clock_now(clock_system());
}

static void path_note(HostileHttp *h, const Connection *c)
{
	_cleanup_(xfreep) char *credentials = header_of(c->request, "Authorization"), *noted = NULL;

	path_add(h, c->path);
	if (credentials) {
		noted = xasprintf("authorization:%s", c->path);
		path_add(h, noted);
	}
}

/* The two parts of "KIND/NAME". */
static const char *kind_and_name(const char *s, char kind[static 64])
{
	size_t n = strcspn(s, "/");

	snprintf(kind, 64, "%.*s", (int)n, s);
	return s[n] ? s + n + 1 : "";
}

static void serve_turn(Connection *c)
{
	char kind[64];
	const char *name = kind_and_name(c->path + strlen("/turn/"), kind);
	bool turned;

	pthread_mutex_lock(&c->h->lock);
	turned = c->h->turned;
	pthread_mutex_unlock(&c->h->lock);
	if (turned)
		serve_kind(c, kind);
	else
		serve_file(c, name, false);
}

static void serve_half(Connection *c)
{
	_cleanup_(xfreep) char *range = header_of(c->request, "Range");
	char kind[64], head[400];
	const char *name = kind_and_name(c->path + strlen("/half/"), kind);
	File f;

	if (range) {
		serve_kind(c, kind);
		return;
	}
	if (hostile_http_count(c->h, c->path) > 1 || !file_get(c->h, name, &f)) {
		serve_file(c, name, false);
		return;
	}
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nETag: %s\r\n\r\n",
		 f.len, f.etag ? f.etag : "\"half\"");
	if (say(c, head))
		say_n(c, f.data, f.len / 2);
	free(f.data);
	free(f.etag);
}

static void *serve(void *arg)
{
	Connection *c = arg;
	HostileHttp *h = c->h;

	if (request_read(c)) {
		pthread_mutex_lock(&h->lock);
		path_note(h, c);
		free(h->last);
		h->last = xstrdup(c->request);
		pthread_cond_broadcast(&h->changed);
		pthread_mutex_unlock(&h->lock);
		if (str_has_prefix(c->path, "/bad/"))
			serve_kind(c, c->path + 5);
		else if (str_has_prefix(c->path, "/turn/"))
			serve_turn(c);
		else if (str_has_prefix(c->path, "/half/"))
			serve_half(c);
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

static HostileHttp *server_new(const struct sockaddr *address, socklen_t len)
{
	HostileHttp *h = xnew0(HostileHttp, 1);
	struct sockaddr_in6 a = { 0 }; /* both families have their port at the same place */
	socklen_t got = sizeof(a);
	int no = 0;

	pthread_mutex_init(&h->lock, NULL);
	clock_cond_init(&h->changed);
	h->files = hashmap_new(file_release);
	h->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (address->sa_family == AF_INET6)
		(void)setsockopt(h->fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
	if (h->fd < 0 || bind(h->fd, address, len) < 0 || listen(h->fd, 128) < 0 ||
	    getsockname(h->fd, (struct sockaddr *)&a, &got) < 0 ||
	    pthread_create(&h->thread, NULL, accept_loop, h) != 0)
		abort();
	h->port = ntohs(a.sin6_port);
	return h;
}

HostileHttp *hostile_http_new(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return server_new((struct sockaddr *)&a, sizeof(a));
}

HostileHttp *hostile_http_new_public(void)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT };

	return server_new((struct sockaddr *)&a, sizeof(a));
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
	free(h->times);
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

void hostile_http_turn(HostileHttp *h)
{
	pthread_mutex_lock(&h->lock);
	h->turned = true;
	pthread_mutex_unlock(&h->lock);
}

size_t hostile_http_times(HostileHttp *h, const char *prefix, usec_t *ret, size_t max)
{
	size_t n = 0;

	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < h->n_times && n < max; i++)
		if (str_has_prefix(h->paths[i], prefix))
			ret[n++] = h->times[i];
	pthread_mutex_unlock(&h->lock);
	return n;
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
