/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop: sd-event on the main thread, and a mailbox (a list and an eventfd) for the others. See
 * daemon.h.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "base/memory.h"
#include "daemon/daemon.h"

typedef struct Post {
	struct Post *next;
	LoopFn fn;
	void *arg;
} Post;

struct LoopSource {
	LoopSource *next; /* of those that belong to the loop (signals, watchdog) */
	sd_event_source *source;
	LoopFn fn;
	void *arg;
};

struct Loop {
	sd_event *event;
	sigset_t old_mask;
	LoopSource *owned;
	sd_event_source *mailbox;
	int event_fd;
	LoopSource *watchdog; /* one of `owned` */
	uint64_t watchdog_usec;
	bool (*healthy)(void *arg);
	void *healthy_arg;

	pthread_mutex_t lock; /* guards the posts */
	Post *posts, **posts_tail;
};

static Post *posts_take(Loop *l)
{
	Post *first;

	pthread_mutex_lock(&l->lock);
	first = l->posts;
	l->posts = NULL;
	l->posts_tail = &l->posts;
	pthread_mutex_unlock(&l->lock);
	return first;
}

static int on_mailbox(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	Loop *l = userdata;
	Post *next;
	uint64_t n;

	(void)source;
	(void)revents;
	(void)!read(fd, &n, sizeof(n));
	for (Post *p = posts_take(l); p; p = next) {
		next = p->next;
		p->fn(p->arg);
		free(p);
	}
	return 0;
}

static int add_mailbox(Loop *l, Error *err)
{
	int r;

	l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->event_fd < 0)
		return error_set_errno(err, errno, "eventfd");
	r = sd_event_add_io(l->event, &l->mailbox, l->event_fd, EPOLLIN, on_mailbox, l);
	return r < 0 ? error_set_errno(err, -r, "watch the mailbox") : 0;
}

int loop_new(Loop **ret, Error *err)
{
	Loop *l = xnew0(Loop, 1);
	sigset_t mask;
	int r, rc;

	l->event_fd = -1;
	l->posts_tail = &l->posts;
	pthread_mutex_init(&l->lock, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &mask, &l->old_mask);
	r = sd_event_new(&l->event);
	rc = r < 0 ? error_set_errno(err, -r, "event loop") : add_mailbox(l, err);
	if (rc < 0) {
		loop_free(l);
		return rc;
	}
	*ret = l;
	return 0;
}

Loop *loop_free(Loop *l)
{
	LoopSource *next_source;
	Post *next_post;

	if (!l)
		return NULL;
	for (LoopSource *s = l->owned; s; s = next_source) {
		next_source = s->next;
		loop_source_free(s);
	}
	for (Post *p = posts_take(l); p; p = next_post) {
		next_post = p->next;
		free(p);
	}
	sd_event_source_disable_unref(l->mailbox);
	sd_event_unref(l->event);
	fd_close(l->event_fd);
	pthread_mutex_destroy(&l->lock);
	pthread_sigmask(SIG_SETMASK, &l->old_mask, NULL);
	free(l);
	return NULL;
}

int loop_run(Loop *l, Error *err)
{
	int r = sd_event_loop(l->event);

	return r < 0 ? error_set_errno(err, -r, "event loop") : r;
}

void loop_quit(Loop *l, int code)
{
	sd_event_exit(l->event, code);
}

void loop_post(Loop *l, LoopFn fn, void *arg)
{
	uint64_t one = 1;
	Post *p = xnew0(Post, 1);
	bool wake;

	p->fn = fn;
	p->arg = arg;
	pthread_mutex_lock(&l->lock);
	wake = !l->posts;
	*l->posts_tail = p;
	l->posts_tail = &p->next;
	/* Under the lock, so that the loop cannot be freed between. */
	if (wake)
		(void)!write(l->event_fd, &one, sizeof(one));
	pthread_mutex_unlock(&l->lock);
}

/* ---- sources ---- */

static LoopSource *source_new(LoopFn fn, void *arg)
{
	LoopSource *s = xnew0(LoopSource, 1);

	s->fn = fn;
	s->arg = arg;
	return s;
}

LoopSource *loop_source_free(LoopSource *s)
{
	if (!s)
		return NULL;
	sd_event_source_disable_unref(s->source);
	free(s);
	return NULL;
}

/* fn may free the source: nothing of it is touched after. */
static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	LoopSource *s = userdata;

	(void)source;
	(void)si;
	s->fn(s->arg);
	return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	LoopSource *s = userdata;

	(void)source;
	(void)fd;
	(void)revents;
	s->fn(s->arg);
	return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	LoopSource *s = userdata;

	(void)source;
	(void)usec;
	s->fn(s->arg);
	return 0;
}

int loop_signal(Loop *l, int signo, LoopFn fn, void *arg, Error *err)
{
	LoopSource *s;
	sigset_t mask;
	int r;

	sigemptyset(&mask);
	sigaddset(&mask, signo);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	s = source_new(fn, arg);
	r = sd_event_add_signal(l->event, &s->source, signo, on_signal, s);
	if (r < 0) {
		loop_source_free(s);
		return error_set_errno(err, -r, "watch signal %d", signo);
	}
	s->next = l->owned;
	l->owned = s;
	return 0;
}

int loop_watch_fd(Loop *l, int fd, LoopFn fn, void *arg, LoopSource **ret, Error *err)
{
	LoopSource *s = source_new(fn, arg);
	int r = sd_event_add_io(l->event, &s->source, fd, EPOLLIN, on_io, s);

	if (r < 0) {
		loop_source_free(s);
		return error_set_errno(err, -r, "watch descriptor %d", fd);
	}
	*ret = s;
	return 0;
}

int loop_timer(Loop *l, usec_t delay, LoopFn fn, void *arg, LoopSource **ret, Error *err)
{
	LoopSource *s = source_new(fn, arg);
	/* Accuracy 0 is sd-event's default of 250 ms, within which wake-ups are merged. */
	uint64_t accuracy = delay < USEC_PER_SEC ? 1 : 0;
	int r = sd_event_add_time_relative(l->event, &s->source, CLOCK_MONOTONIC, delay, accuracy,
					   on_time, s);

	if (r < 0) {
		loop_source_free(s);
		return error_set_errno(err, -r, "timer");
	}
	*ret = s;
	return 0;
}

void loop_timer_again(LoopSource *s, usec_t delay)
{
	sd_event_source_set_time_relative(s->source, delay);
	sd_event_source_set_enabled(s->source, SD_EVENT_ONESHOT);
}

/* ---- watchdog ---- */

static void on_watchdog(void *arg)
{
	Loop *l = arg;

	if (l->healthy(l->healthy_arg))
		sd_notify(0, "WATCHDOG=1");
	else
		log_warning("not healthy: the watchdog is not petted");
	loop_timer_again(l->watchdog, l->watchdog_usec / 2);
}

int loop_watchdog(Loop *l, bool (*healthy)(void *arg), void *arg, Error *err)
{
	LoopSource *s;
	int rc, r = sd_watchdog_enabled(0, &l->watchdog_usec);

	if (r < 0)
		return error_set_errno(err, -r, "WATCHDOG_USEC");
	if (r == 0)
		return 0;
	l->healthy = healthy;
	l->healthy_arg = arg;
	rc = loop_timer(l, l->watchdog_usec / 2, on_watchdog, l, &s, err);
	if (rc < 0)
		return rc;
	s->next = l->owned;
	l->owned = l->watchdog = s;
	return 0;
}
