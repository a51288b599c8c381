/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake Console: socket pairs and log files. See console.h.
 */
#include "driver/fake/console.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/fs.h"
#include "base/hashmap.h"
#include "base/memory.h"

typedef struct FakeDomain {
	int *fds; /* our ends */
	size_t n, cap;
} FakeDomain;

typedef struct FakeConsole {
	Console console;
	pthread_mutex_t lock;
	Hashmap *domains; /* name -> FakeDomain */
	char *dir;        /* of the logs, one file per uid */
	ErrorCode failure;
} FakeConsole;

static FakeConsole *fake_of(Console *c)
{
	return CONTAINER_OF(c, FakeConsole, console);
}

static void domain_release(void *p)
{
	FakeDomain *d = p;

	for (size_t i = 0; i < d->n; i++)
		fd_close(d->fds[i]);
	free(d->fds);
	free(d);
}

static int fake_enter(FakeConsole *f, Context *ctx, Error *err)
{
	int rc;

	pthread_mutex_lock(&f->lock);
	rc = context_check(ctx, err);
	if (rc == 0 && f->failure)
		rc = error_set(err, f->failure, "console: fake failure");
	return rc;
}

static int fake_leave(FakeConsole *f, int rc)
{
	pthread_mutex_unlock(&f->lock);
	return rc;
}

static int attach_locked(FakeConsole *f, const char *domain, int *ret_fd, Error *err)
{
	FakeDomain *d = hashmap_get(f->domains, domain);
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return error_set_errno(err, errno, "socketpair");
	if (!d) {
		d = xnew0(FakeDomain, 1);
		hashmap_put(f->domains, domain, d);
	}
	GROW_ARRAY(d->fds, d->n, d->cap);
	d->fds[d->n++] = fds[0];
	*ret_fd = fds[1];
	return 0;
}

static int fake_attach(Console *self, Context *ctx, const char *node _unused_, const char *domain,
		       int *ret_fd, Error *err)
{
	FakeConsole *f = fake_of(self);
	int rc = fake_enter(f, ctx, err);

	if (rc == 0)
		rc = attach_locked(f, domain, ret_fd, err);
	return fake_leave(f, rc);
}

static int fake_log(Console *self, Context *ctx, const char *node _unused_,
		    const char *instance_uid, int *ret_fd, Error *err)
{
	FakeConsole *f = fake_of(self);
	_cleanup_(xfreep) char *path = xasprintf("%s/%s", f->dir, instance_uid);
	int fd, rc = fake_enter(f, ctx, err);

	if (rc < 0)
		return fake_leave(f, rc);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fake_leave(f, error_set_errno(err, errno, "no console log"));
	*ret_fd = fd;
	return fake_leave(f, 0);
}

static Console *fake_free(Console *self)
{
	FakeConsole *f;

	if (!self)
		return NULL;
	f = fake_of(self);
	fs_remove_tree(f->dir, NULL);
	free(f->dir);
	hashmap_free(f->domains);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return NULL;
}

static const ConsoleOps fake_ops = {
	.name = "fake",
	.attach = fake_attach,
	.log = fake_log,
	.free = fake_free,
};

Console *fake_console_new(void)
{
	FakeConsole *f = xnew0(FakeConsole, 1);
	char dir[] = "/tmp/fake-console.XXXXXX";

	f->console.ops = &fake_ops;
	pthread_mutex_init(&f->lock, NULL);
	f->domains = hashmap_new(domain_release);
	f->dir = xstrdup(mkdtemp(dir));
	assert(f->dir);
	return &f->console;
}

static void log_append(FakeConsole *f, const char *uid, const char *text)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/%s", f->dir, uid);
	_cleanup_(fd_closep) int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int rc = fs_write_all(fd, text, strlen(text), NULL);

	assert(rc == 0);
}

void fake_console_print(Console *c, const char *domain, const char *instance_uid, const char *text)
{
	FakeConsole *f = fake_of(c);
	FakeDomain *d;

	pthread_mutex_lock(&f->lock);
	d = domain ? hashmap_get(f->domains, domain) : NULL;
	/* A reader that left or does not read must not stop the guest. */
	for (size_t i = 0; d && i < d->n; i++)
		(void)!send(d->fds[i], text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
	if (instance_uid)
		log_append(f, instance_uid, text);
	pthread_mutex_unlock(&f->lock);
}

size_t fake_console_typed(Console *c, const char *domain, char *buf, size_t size)
{
	FakeConsole *f = fake_of(c);
	FakeDomain *d;
	size_t len = 0;
	ssize_t n;

	pthread_mutex_lock(&f->lock);
	d = hashmap_get(f->domains, domain);
	for (size_t i = 0; d && i < d->n && len < size - 1; i++) {
		n = recv(d->fds[i], buf + len, size - 1 - len, MSG_DONTWAIT);
		len += n > 0 ? (size_t)n : 0;
	}
	pthread_mutex_unlock(&f->lock);
	buf[len] = '\0';
	return len;
}

size_t fake_console_attached(Console *c, const char *domain)
{
	FakeConsole *f = fake_of(c);
	FakeDomain *d;
	size_t n = 0;
	char byte;

	pthread_mutex_lock(&f->lock);
	d = hashmap_get(f->domains, domain);
	for (size_t i = 0; d && i < d->n; i++)
		n += recv(d->fds[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK) != 0;
	pthread_mutex_unlock(&f->lock);
	return n;
}

void fake_console_end(Console *c, const char *domain)
{
	FakeConsole *f = fake_of(c);

	pthread_mutex_lock(&f->lock);
	hashmap_remove(f->domains, domain);
	pthread_mutex_unlock(&f->lock);
}

void fake_console_rotate(Console *c, const char *instance_uid)
{
	FakeConsole *f = fake_of(c);
	_cleanup_(xfreep) char *path = xasprintf("%s/%s", f->dir, instance_uid);
	_cleanup_(xfreep) char *old = xasprintf("%s.0", path);

	pthread_mutex_lock(&f->lock);
	(void)rename(path, old);
	pthread_mutex_unlock(&f->lock);
}

void fake_console_remove(Console *c, const char *instance_uid)
{
	FakeConsole *f = fake_of(c);
	_cleanup_(xfreep) char *path = xasprintf("%s/%s", f->dir, instance_uid);

	pthread_mutex_lock(&f->lock);
	(void)unlink(path);
	pthread_mutex_unlock(&f->lock);
}

void fake_console_set_failure(Console *c, ErrorCode code)
{
	FakeConsole *f = fake_of(c);

	pthread_mutex_lock(&f->lock);
	f->failure = code;
	pthread_mutex_unlock(&f->lock);
}

/* ---- the wrapper that fails calls ---- */

typedef struct FaultyConsole {
	Console console;
	Console *inner;
	Fault *fault;
} FaultyConsole;

static FaultyConsole *faulty_of(Console *c)
{
	return CONTAINER_OF(c, FaultyConsole, console);
}

static int faulty_attach(Console *self, Context *ctx, const char *node, const char *domain,
			 int *ret_fd, Error *err)
{
	FaultyConsole *f = faulty_of(self);
	_cleanup_(fd_closep) int fd = -1;
	int rc = FAULT_CALL(f->fault, "attach",
			    f->inner->ops->attach(f->inner, ctx, node, domain, &fd, err));

	if (rc >= 0)
		*ret_fd = TAKE_FD(fd);
	return rc;
}

static int faulty_log(Console *self, Context *ctx, const char *node, const char *instance_uid,
		      int *ret_fd, Error *err)
{
	FaultyConsole *f = faulty_of(self);
	_cleanup_(fd_closep) int fd = -1;
	int rc = FAULT_CALL(f->fault, "log",
			    f->inner->ops->log(f->inner, ctx, node, instance_uid, &fd, err));

	if (rc >= 0)
		*ret_fd = TAKE_FD(fd);
	return rc;
}

static Console *faulty_free(Console *self)
{
	FaultyConsole *f;

	if (!self)
		return NULL;
	f = faulty_of(self);
	f->inner->ops->free(f->inner);
	free(f);
	return NULL;
}

static const ConsoleOps faulty_ops = {
	.name = "faulty",
	.attach = faulty_attach,
	.log = faulty_log,
	.free = faulty_free,
};

Console *faulty_console_new(Console *inner, Fault *fault)
{
	FaultyConsole *f = xnew0(FaultyConsole, 1);

	f->console.ops = &faulty_ops;
	f->inner = inner;
	f->fault = fault;
	return &f->console;
}
