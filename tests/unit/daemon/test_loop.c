/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop: posts from other threads in order, signals, timers, descriptors; notify and watchdog
 * against a socket that plays systemd; activation.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/memory.h"
#include "daemon/daemon.h"

static int setup(void **state)
{
	Loop *l = NULL;

	assert_int_equal(loop_new(&l, NULL), 0);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	loop_free(*state);
	return 0;
}

#define POSTERS 3
#define POSTS   200

typedef struct Mail {
	Loop *loop;
	unsigned from, number;
	unsigned *next; /* per poster: what must come now */
	unsigned *total;
} Mail;

static void on_post(void *arg)
{
	Mail *m = arg;

	assert_int_equal(m->next[m->from]++, m->number);
	if (++*m->total == POSTERS * POSTS)
		loop_quit(m->loop, 7);
	free(m);
}

typedef struct Poster {
	Mail mail;
	pthread_t thread;
} Poster;

static void *post_many(void *arg)
{
	Poster *p = arg;

	for (unsigned i = 0; i < POSTS; i++) {
		Mail *m = xnew0(Mail, 1);

		*m = p->mail;
		m->number = i;
		loop_post(m->loop, on_post, m);
	}
	return NULL;
}

static void test_posts(void **state)
{
	unsigned next[POSTERS] = { 0 }, total = 0;
	Poster p[POSTERS];

	for (unsigned i = 0; i < POSTERS; i++) {
		p[i].mail = (Mail){ .loop = *state, .from = i, .next = next, .total = &total };
		pthread_create(&p[i].thread, NULL, post_many, &p[i]);
	}
	assert_int_equal(loop_run(*state, NULL), 7);
	for (unsigned i = 0; i < POSTERS; i++)
		pthread_join(p[i].thread, NULL);
	assert_int_equal(total, POSTERS * POSTS);
}

static void quit(void *arg)
{
	loop_quit(arg, 3);
}

static void test_signal(void **state)
{
	assert_int_equal(loop_signal(*state, SIGTERM, quit, *state, NULL), 0);
	kill(getpid(), SIGTERM);
	assert_int_equal(loop_run(*state, NULL), 3);
}

typedef struct Tick {
	Loop *loop;
	LoopSource *timer;
	int n;
} Tick;

static void on_tick(void *arg)
{
	Tick *t = arg;

	if (++t->n < 3)
		loop_timer_again(t->timer, USEC_PER_MSEC);
	else
		loop_quit(t->loop, 0);
}

static void test_timer(void **state)
{
	Tick t = { .loop = *state };
	usec_t began = clock_now(clock_system());

	assert_int_equal(loop_timer(t.loop, 5 * USEC_PER_MSEC, on_tick, &t, &t.timer, NULL), 0);
	assert_int_equal(loop_run(t.loop, NULL), 0);
	assert_int_equal(t.n, 3);
	assert_true(clock_now(clock_system()) - began >= 7 * USEC_PER_MSEC);
	loop_source_free(t.timer);
}

typedef struct Reader {
	Loop *loop;
	LoopSource *source;
	int fd, n;
} Reader;

static void on_readable(void *arg)
{
	Reader *r = arg;
	char c;

	assert_int_equal(read(r->fd, &c, 1), 1);
	r->n++;
	if (c == 'z') {
		r->source = loop_source_free(r->source); /* from inside */
		loop_quit(r->loop, 0);
	}
}

static void test_descriptor(void **state)
{
	Reader r = { .loop = *state };
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	r.fd = fds[0];
	assert_int_equal(loop_watch_fd(r.loop, r.fd, on_readable, &r, &r.source, NULL), 0);
	assert_int_equal(write(fds[1], "xyz", 3), 3);
	assert_int_equal(loop_run(r.loop, NULL), 0);
	assert_int_equal(r.n, 3);
	close(fds[0]);
	close(fds[1]);
}

/* ---- a socket that plays systemd ---- */

static int notify_socket(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char name[sizeof(a.sun_path) + 1];

	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "sf-test-%ld", (long)getpid());
	snprintf(name, sizeof(name), "@%s", a.sun_path + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
			 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

/* The next message, "" if there is none. */
static const char *next_message(int fd, char buf[static 512])
{
	ssize_t n = recv(fd, buf, 511, 0);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static void test_notify(void **state)
{
	int fd = notify_socket();
	char buf[512];

	(void)state;
	notify_ready("all well");
	assert_string_equal(next_message(fd, buf), "READY=1\nSTATUS=all well");
	notify_status("%d instances", 3);
	assert_string_equal(next_message(fd, buf), "STATUS=3 instances");
	notify_status("%d instances", 3);
	assert_string_equal(next_message(fd, buf), "");
	notify_status("a\nSTOPPING=1");
	assert_string_equal(next_message(fd, buf), "STATUS=a STOPPING=1");
	notify_reloading();
	assert_true(str_has_prefix(next_message(fd, buf), "RELOADING=1\n"));
	notify_ready(NULL);
	assert_string_equal(next_message(fd, buf), "READY=1");
	notify_alive();
	assert_string_equal(next_message(fd, buf), "WATCHDOG=1");
	notify_stopping();
	assert_string_equal(next_message(fd, buf), "STOPPING=1");
	close(fd);
	unsetenv("NOTIFY_SOCKET");
}

typedef struct Patient {
	Loop *loop;
	int asked;
} Patient;

static bool is_well(void *arg)
{
	Patient *p = arg;

	if (++p->asked == 3)
		loop_quit(p->loop, 0);
	return p->asked != 2;
}

static void test_watchdog(void **state)
{
	Patient p = { .loop = *state };
	int fd = notify_socket();
	char buf[512], pid[32];

	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	setenv("WATCHDOG_USEC", "4000", 1);
	assert_int_equal(watchdog_interval(), 2000);
	assert_int_equal(loop_watchdog(*state, is_well, &p, NULL), 0);
	assert_int_equal(loop_run(*state, NULL), 0);
	assert_int_equal(p.asked, 3);
	/* The second time it was not well. */
	assert_string_equal(next_message(fd, buf), "WATCHDOG=1");
	assert_string_equal(next_message(fd, buf), "WATCHDOG=1");
	assert_string_equal(next_message(fd, buf), "");
	close(fd);
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	unsetenv("NOTIFY_SOCKET");
}

static bool never_asked(void *arg)
{
	(void)arg;
	fail();
	return false;
}

static void test_no_systemd(void **state)
{
	int *fds = NULL;
	size_t n = 9;

	assert_int_equal(watchdog_interval(), 0);
	assert_int_equal(loop_watchdog(*state, never_asked, NULL, NULL), 0);
	assert_int_equal(activation_fds(&fds, &n, NULL), 0);
	assert_int_equal(n, 0);
	free(fds);
	unsetenv("JOURNAL_STREAM");
	assert_false(journal_available());
	setenv("JOURNAL_STREAM", "1:2", 1);
	assert_false(journal_available());
	unsetenv("JOURNAL_STREAM");
	notify_ready("nobody hears");
	assert_false(access("/run/systemd/system", F_OK) < 0 && host_is_stopping());
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_posts),
		TEST(test_signal),
		TEST(test_timer),
		TEST(test_descriptor),
		cmocka_unit_test(test_notify),
		TEST(test_watchdog),
		TEST(test_no_systemd),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
