/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watch ledger: writers, watchers of all selectors and forms, and a real sfd that is killed or
 * stopped and started again all the while. Every watcher goes on from the last revision that it was
 * told; in the end what each has seen is exactly what the store's log says it had to see. Some read
 * slowly, some stay away until their revision is history. Also: what a writer was told is done is
 * in the log.
 *
 * LEDGER_SECONDS (15) says how long it goes on; SFD which sfd (that of the same build). It prints
 * figures.
 *
 * Sandbox: --disk
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "tests/integration/server/lib_run.h"
#include "json/json.h"

#define WRITERS 8
#define NAMES   10
/* The log is read whenever sfd is down; in between must fit into the 10,000 revisions of history.
 */
#define WRITES_BETWEEN 7000
#define START_DEADLINE 60000 /* ms; a sanitizer's sfd on a busy machine */

static const char *const namespaces[] = { "default", "a", "b" };

typedef struct Ack {
	const GroupResource *gr;
	char id[ID_MAX];
	int64_t rev;
} Ack;

typedef struct Writer {
	Run *run;
	pthread_t thread;
	unsigned seed;
	Ack *acks;
	size_t n, cap;
} Writer;

_Atomic pid_t sfd_pid;

void broken(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (atomic_load(&sfd_pid) > 0)
		kill(atomic_load(&sfd_pid), SIGKILL);
	_exit(1);
}

void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

HttpClient *try_connect(const Run *run)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	HttpClient *c;

	assert(fd >= 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", run->socket);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		fd_close(fd);
		return NULL;
	}
	c = xnew0(HttpClient, 1);
	c->fd = fd;
	return c;
}

/* ---- writers ---- */

unsigned random_below(unsigned *seed, unsigned n)
{
	return (unsigned)rand_r(seed) / 7 % n;
}

static void write_one(Writer *w, HttpClient *c, HttpAnswer *ret)
{
	static const char patch_headers[] = "Content-Type: application/merge-patch+json\r\n";
	static const char *const labels[] = { "\"1\"", "\"2\"", "null" };
	const char *namespace = namespaces[random_below(&w->seed, ARRAY_SIZE(namespaces))];
	bool secret = random_below(&w->seed, 4) == 0;
	unsigned name = random_below(&w->seed, NAMES), what = random_below(&w->seed, 10);
	_cleanup_(xfreep) char *list =
		xasprintf("/api/v1/namespaces/%s/%s", namespace, secret ? "secrets" : "configmaps");
	_cleanup_(xfreep) char *one = xasprintf("%s/c%u", list, name);
	_cleanup_(xfreep) char *body = NULL;

	if (what == 0) {
		http_request(c, "DELETE", one, "", NULL);
	} else if (what < 4) {
		body = xasprintf("{\"metadata\":{\"name\":\"c%u\",\"labels\":{\"l\":\"%u\"}}}",
				 name, random_below(&w->seed, 3));
		http_request(c, "POST", list, "", body);
	} else {
		_cleanup_(xfreep) char *data =
			xasprintf(",\"data\":{\"p\":\"%u\"}", random_below(&w->seed, 2));

		body = xasprintf(
			"{\"metadata\":{\"labels\":{\"l\":%s},\"annotations\":{\"n\":\"%u\"}}"
			"%s}",
			labels[random_below(&w->seed, ARRAY_SIZE(labels))],
			(unsigned)rand_r(&w->seed), secret ? "" : data);
		http_request(c, "PATCH", one, patch_headers, body);
	}
	*ret = http_read_answer(c);
	/* The answer of a removal has no revision: the next state of that name tells. */
	if (ret->code / 100 == 2 && what > 0) {
		Ack ack = { .gr = secret ? GR_SECRET : GR_CONFIGMAP };
		const char *rev = json_string_at(ret->json, "metadata.resourceVersion");

		snprintf(ack.id, sizeof(ack.id), "%s/c%u", namespace, name);
		ack.rev = rev ? strtoll(rev, NULL, 10) : -1;
		GROW_ARRAY(w->acks, w->n, w->cap);
		w->acks[w->n++] = ack;
	}
}

static void *writer_run(void *arg)
{
	Writer *w = arg;
	Run *run = w->run;
	HttpClient *c = NULL;

	while (!atomic_load(&run->writers_stop)) {
		HttpAnswer a;

		if (atomic_fetch_sub(&run->budget, 1) <= 0) {
			pause_ms(5);
			continue;
		}
		if (!c && !(c = try_connect(run))) {
			pause_ms(10);
			continue;
		}
		write_one(w, c, &a);
		if (a.code / 100 == 2)
			atomic_fetch_add(&run->writes, 1);
		else
			atomic_fetch_add(&run->refused, 1);
		if (!a.code || a.code >= 500)
			c = http_close(c);
		http_answer_done(&a);
	}
	http_close(c);
	return NULL;
}

/* ---- sfd ---- */

static void sfd_start(Run *run)
{
	_cleanup_(xfreep) char *listen = xasprintf("unix:%s", run->socket);
	_cleanup_(xfreep) char *runtime = xasprintf("%s/run", run->dir);
	char *argv[] = {
		run->sfd, (char *)"--controllers", (char *)"none",    (char *)"--state-dir",
		run->dir, (char *)"--runtime-dir", runtime,           (char *)"--listen",
		listen,   (char *)"--log-level",   (char *)"warning", NULL
	};

	pid_t pid;

	if (posix_spawn(&pid, run->sfd, NULL, NULL, argv, environ) != 0)
		broken("%s cannot be started", run->sfd);
	atomic_store(&sfd_pid, pid);
}

static void sfd_wait_ready(Run *run)
{
	HttpClient *c = NULL;

	for (int ms = 0; !c && ms < START_DEADLINE; ms += 10) {
		if (waitpid(sfd_pid, NULL, WNOHANG) != 0)
			broken("sfd ended at its start");
		c = try_connect(run);
		if (!c)
			pause_ms(10);
	}
	if (!c)
		broken("sfd does not come up");
	http_close(c);
}

/* Reads the log while nobody holds it. */
static void sfd_end(Run *run, int signal)
{
	int status;

	if (kill(sfd_pid, signal) < 0 || waitpid(sfd_pid, &status, 0) != sfd_pid)
		broken("sfd is not there");
	atomic_store(&sfd_pid, 0);
	/* A sanitizer that found something says so with its code. */
	if (signal == SIGTERM && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
		broken("sfd, asked to stop, ended with %x", (unsigned)status);
	ledger_read(&run->ledger, run->store);
	atomic_store(&run->looked, run->ledger.rev);
	atomic_store(&run->budget, WRITES_BETWEEN);
}

static void run_setup(Run *run)
{
	const char *sfd = getenv("SFD");
	char exe[512];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	assert_true(n > 0);
	exe[n] = '\0';
	for (int up = 0; up < 4; up++) /* BUILD/tests/integration/server/test_ledger */
		*strrchr(exe, '/') = '\0';
	run->sfd = sfd ? xstrdup(sfd) : xasprintf("%s/sfd", exe);
	memcpy(run->dir, "/var/tmp/ledger-XXXXXX", sizeof("/var/tmp/ledger-XXXXXX"));
	assert_non_null(mkdtemp(run->dir));
	snprintf(run->socket, sizeof(run->socket), "%s/api.sock", run->dir);
	snprintf(run->store, sizeof(run->store), "%s/store", run->dir);
	atomic_store(&run->budget, WRITES_BETWEEN);
	sfd_start(run);
	sfd_wait_ready(run);
	for (size_t i = 1; i < ARRAY_SIZE(namespaces); i++) {
		_cleanup_(xfreep) char *body =
			xasprintf("{\"metadata\":{\"name\":\"%s\"}}", namespaces[i]);
		HttpAnswer a = http_call(run->socket, "POST", "/api/v1/namespaces", NULL, body);

		assert_int_equal(a.code, 201);
		http_answer_done(&a);
	}
}

/* Kills or stops sfd every one to three seconds, until the time is over. */
static void run_restarts(Run *run, int seconds)
{
	unsigned seed = (unsigned)time(NULL);
	usec_t until = clock_now(clock_system()) + (usec_t)seconds * USEC_PER_SEC;

	while (clock_now(clock_system()) < until) {
		bool hard = random_below(&seed, 2);

		pause_ms(1000 + (int)random_below(&seed, 2000));
		run->kills += hard;
		run->stops += !hard;
		sfd_end(run, hard ? SIGKILL : SIGTERM);
		sfd_start(run);
		sfd_wait_ready(run);
	}
}

static int64_t run_revision(Run *run)
{
	HttpAnswer a = http_call(run->socket, "GET", "/api/v1/configmaps?limit=1", NULL, NULL);
	int64_t rev = revision_of(a.json);

	http_answer_done(&a);
	return rev;
}

static size_t run_check(Run *run, const Watcher *watchers, const Writer *writers)
{
	int64_t final = atomic_load(&run->final);
	size_t events = 0;

	for (size_t i = 0; i < WATCHERS; i++)
		events += ledger_check(&run->ledger, &watchers[i].view, watchers[i].name, final);
	for (size_t i = 0; i < WRITERS; i++)
		for (size_t j = 0; j < writers[i].n; j++) {
			const Ack *a = &writers[i].acks[j];

			if (!ledger_has(&run->ledger, a->gr, a->id, a->rev))
				broken("%s at %lld was acknowledged and is not in the log", a->id,
				       (long long)a->rev);
		}
	return events;
}

static void test_views_equal_the_log(void **state)
{
	static const char *const forms[] = { "JSON", "Table", "metadata" };
	static Watcher watchers[WATCHERS];
	static Writer writers[WRITERS];
	const char *seconds = getenv("LEDGER_SECONDS");
	static Run run;
	size_t events;

	(void)state;
	run_setup(&run);
	for (size_t i = 0; i < WATCHERS; i++) {
		Watcher *w = &watchers[i];

		*w = (Watcher){ .run = &run,
				.spec = &watcher_specs[i],
				.seed = (unsigned)i + 1000 };
		w->view.gr = watcher_specs[i].secrets ? GR_SECRET : GR_CONFIGMAP;
		w->view.wish = watcher_specs[i].wish;
		snprintf(w->name, sizeof(w->name), "watcher %zu (%s%s, %s)", i,
			 watcher_specs[i].path, watcher_specs[i].query,
			 forms[watcher_specs[i].form]);
		assert_int_equal(pthread_create(&w->thread, NULL, watcher_run, w), 0);
	}
	for (size_t i = 0; i < WRITERS; i++) {
		writers[i] = (Writer){ .run = &run, .seed = (unsigned)i + 1 };
		assert_int_equal(pthread_create(&writers[i].thread, NULL, writer_run, &writers[i]),
				 0);
	}
	run_restarts(&run, seconds ? (int)strtol(seconds, NULL, 10) : 15);
	atomic_store(&run.writers_stop, true);
	for (size_t i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	atomic_store(&run.final, run_revision(&run));
	atomic_store(&run.finish, true);
	for (size_t i = 0; i < WATCHERS; i++)
		pthread_join(watchers[i].thread, NULL);
	sfd_end(&run, SIGTERM);
	events = run_check(&run, watchers, writers);
	print_message(
		"%lu writes (%lu refused), %zu log entries, revision %lld; %u kills, %u stops\n"
		"%d watchers: %zu events, %lu resumes, %lu lists, %lu times 410, "
		"%lu bookmarks, %lu pauses of slow readers\n",
		run.writes, run.refused, run.ledger.n, (long long)run.ledger.rev, run.kills,
		run.stops, WATCHERS, events, run.resumes, run.lists, run.gone, run.bookmarks,
		run.pauses);
	assert_true(events > 0 && run.resumes > 0 && run.kills + run.stops > 0);
	for (size_t i = 0; i < WATCHERS; i++)
		view_done(&watchers[i].view);
	for (size_t i = 0; i < WRITERS; i++)
		free(writers[i].acks);
	ledger_done(&run.ledger);
	free(run.sfd);
	assert_int_equal(fs_remove_tree(run.dir, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_views_equal_the_log) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
