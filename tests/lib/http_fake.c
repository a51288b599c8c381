/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HttpFake: see http_fake.h.
 */
#include "tests/lib/http_fake.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fs.h"
#include "base/memory.h"

struct HttpFake {
	char dir[64], address[96];
	HttpRule *rules;
	int *used;
	size_t n_rules;
	int listen_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* guards log */
	StrBuf log;
};

static void send_text(int fd, const char *p, size_t n)
{
	ssize_t done;

	while (n && (done = send(fd, p, n, MSG_NOSIGNAL)) > 0) {
		p += done;
		n -= (size_t)done;
	}
}

static bool rule_fits(const HttpRule *r, const char *method, const char *path)
{
	size_t n = strlen(r->path);

	if (r->method && !streq(r->method, method))
		return false;
	if (n && r->path[n - 1] == '*')
		return strncmp(r->path, path, n - 1) == 0;
	return streq(r->path, path);
}

static const HttpRule *find_rule(HttpFake *f, const char *method, const char *path)
{
	for (size_t i = 0; i < f->n_rules; i++) {
		if (!rule_fits(&f->rules[i], method, path))
			continue;
		if (f->rules[i].times && f->used[i] >= f->rules[i].times)
			continue;
		f->used[i]++;
		return &f->rules[i];
	}
	return NULL;
}

static void wait_for_peer(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, 0) > 0)
		;
}

static void echo(int fd)
{
	char chunk[4096];
	ssize_t n;

	while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0)
		send_text(fd, chunk, (size_t)n);
}

static void send_body(int fd, const HttpRule *r, const char *body)
{
	size_t n = strlen(body), piece;
	char head[32];

	if (!r || !r->chunked) {
		send_text(fd, body, n);
		return;
	}
	for (size_t at = 0; at < n; at += piece) {
		piece = MIN(n - at, (size_t)7);
		snprintf(head, sizeof(head), "%zx\r\n", piece);
		send_text(fd, head, strlen(head));
		send_text(fd, body + at, piece);
		send_text(fd, "\r\n", 2);
	}
	if (!r->hang)
		send_text(fd, "0\r\n\r\n", 5);
}

static void answer(int fd, const HttpRule *r)
{
	static const char missing[] =
		"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\","
		"\"message\":\"no rule of the test fits\",\"reason\":\"NotFound\",\"code\":404}";
	const char *body = r ? (r->body ? r->body : "") : missing;
	_cleanup_(strbuf_done) StrBuf head = STRBUF_INIT;

	if (r && r->raw) {
		send_text(fd, r->raw, strlen(r->raw));
		return;
	}
	if (r && r->echo) {
		strbuf_adds(&head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: sfd-stream\r\n"
				   "Connection: Upgrade\r\n\r\n");
		send_text(fd, strbuf_str(&head), head.len);
		send_text(fd, body, strlen(body));
		echo(fd);
		return;
	}
	strbuf_addf(&head, "HTTP/1.1 %d X\r\nConnection: close\r\nContent-Type: %s\r\n%s",
		    r ? (r->code ? r->code : 200) : 404,
		    r && r->type ? r->type : "application/json", r && r->headers ? r->headers : "");
	if (r && (r->chunked || r->hang))
		strbuf_adds(&head, "Transfer-Encoding: chunked\r\n\r\n");
	else
		strbuf_addf(&head, "Content-Length: %zu\r\n\r\n", strlen(body));
	send_text(fd, strbuf_str(&head), head.len);
	send_body(fd, r, body);
	if (r && r->hang)
		wait_for_peer(fd);
}

/* Reads head and body; false if the peer left. */
static bool read_request(int fd, StrBuf *text, size_t *ret_body)
{
	const char *end, *length;
	size_t want;
	char c;

	do {
		if (recv(fd, &c, 1, 0) != 1)
			return false;
		strbuf_addc(text, c);
		end = strstr(strbuf_str(text), "\r\n\r\n");
	} while (!end);
	*ret_body = text->len;
	length = strcasestr(strbuf_str(text), "\r\nContent-Length:");
	want = length ? strtoul(length + strlen("\r\nContent-Length:"), NULL, 10) : 0;
	while (text->len < *ret_body + want && recv(fd, &c, 1, 0) == 1)
		strbuf_addc(text, c);
	return true;
}

static void serve(HttpFake *f, int fd)
{
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	_cleanup_(xfreep) char *method = NULL, *path = NULL;
	const HttpRule *r;
	const char *s;
	size_t body;

	if (!read_request(fd, &text, &body))
		return;
	s = strbuf_str(&text);
	method = xstrndup(s, strcspn(s, " "));
	s += strlen(method) + 1;
	path = xstrndup(s, strcspn(s, " "));
	pthread_mutex_lock(&f->lock);
	strbuf_addf(&f->log, "%s %s\n", method, path);
	if (body < text.len)
		strbuf_addf(&f->log, "%s\n", strbuf_str(&text) + body);
	pthread_mutex_unlock(&f->lock);
	r = find_rule(f, method, path);
	if (!r || !r->drop)
		answer(fd, r);
}

static void *run(void *arg)
{
	HttpFake *f = arg;
	int fd;

	while ((fd = accept(f->listen_fd, NULL, NULL)) >= 0) {
		serve(f, fd);
		close(fd);
	}
	return NULL;
}

HttpFake *http_fake_start(const HttpRule *rules, size_t n)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	HttpFake *f = xnew0(HttpFake, 1);

	f->rules = xmemdup(rules, n * sizeof(*rules));
	f->used = xnew0(int, n + 1);
	f->n_rules = n;
	pthread_mutex_init(&f->lock, NULL);
	snprintf(f->dir, sizeof(f->dir), "/tmp/http-fake-XXXXXX");
	if (!mkdtemp(f->dir))
		abort();
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/sock", f->dir);
	snprintf(f->address, sizeof(f->address), "unix:%s/sock", f->dir);
	f->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->listen_fd < 0 || bind(f->listen_fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(f->listen_fd, 16) < 0 || pthread_create(&f->thread, NULL, run, f) != 0)
		abort();
	return f;
}

const char *http_fake_address(const HttpFake *f)
{
	return f->address;
}

char *http_fake_log(HttpFake *f)
{
	char *copy;

	pthread_mutex_lock(&f->lock);
	copy = xstrdup(strbuf_str(&f->log));
	pthread_mutex_unlock(&f->lock);
	return copy;
}

HttpFake *http_fake_stop(HttpFake *f)
{
	if (!f)
		return NULL;
	shutdown(f->listen_fd, SHUT_RDWR);
	pthread_join(f->thread, NULL);
	close(f->listen_fd);
	fs_remove_tree(f->dir, NULL);
	strbuf_done(&f->log);
	pthread_mutex_destroy(&f->lock);
	free(f->rules);
	free(f->used);
	free(f);
	return NULL;
}
