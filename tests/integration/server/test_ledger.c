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
#include <errno.h>
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
#include "base/hashmap.h"
#include "tests/integration/server/lib_ledger.h"
#include "tests/lib/http.h"
#include "json/json.h"

#define WRITERS 8
#define NAMES   10
/* The log is read whenever sfd is down; in between must fit into the 10,000 revisions of history.
 */
#define WRITES_BETWEEN 7000
#define START_DEADLINE 60000 /* ms; a sanitizer's sfd on a busy machine */
#define READ_DEADLINE  30000

static const char *const namespaces[] = { "default", "a", "b" };

typedef struct Run {
	char dir[64], socket[96], store[96];
	char *sfd;
	Ledger ledger;
	atomic_bool writers_stop, finish;
	_Atomic int64_t final;  /* the store's revision after the last write */
	_Atomic int64_t looked; /* the log's when it was last read */
	atomic_long budget;
	atomic_ulong writes, refused, resumes, lists, gone, bookmarks, pauses;
	unsigned kills, stops;
} Run;

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

/* Fails from any thread: cmocka's own way leads through the main thread only. */
static _Atomic pid_t sfd_pid;

_noreturn_ static _printf_(1, 2) void broken(const char *fmt, ...)
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

static void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

static HttpClient *try_connect(const Run *run)
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

static HttpClient *connect_again(const Run *run)
{
	HttpClient *c;

	while (!(c = try_connect(run)))
		pause_ms(10);
	return c;
}

/* ---- writers ---- */

static unsigned random_below(unsigned *seed, unsigned n)
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

/* ---- watchers ---- */

typedef enum Form { FORM_JSON, FORM_TABLE, FORM_METADATA } Form;
typedef enum Habit {
	HABIT_PLAIN,
	HABIT_SLOW,
	HABIT_AWAY,
	HABIT_WATCH_LIST,
	HABIT_NO_BOOKMARKS
} Habit;

static const char *const accepts[] = {
	[FORM_JSON] = "",
	[FORM_TABLE] = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n",
	[FORM_METADATA] =
		"Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io\r\n",
};

typedef struct WatcherSpec {
	const char *path, *query; /* below /api/v1; what selects */
	Wish wish;
	Form form;
	Habit habit;
	bool secrets;
} WatcherSpec;

static const WatcherSpec specs[] = {
	{"configmaps",                     "",                     { 0 },                              FORM_JSON,     HABIT_PLAIN,        false},
	{ "configmaps",                    "",                     { 0 },                              FORM_TABLE,    HABIT_PLAIN,        false},
	{ "configmaps",                    "",                     { 0 },                              FORM_METADATA, HABIT_PLAIN,        false},
	{ "configmaps",                    "",                     { 0 },                              FORM_JSON,     HABIT_SLOW,         false},
	{ "configmaps",                    "",                     { 0 },                              FORM_TABLE,    HABIT_SLOW,         false},
	{ "configmaps",                    "",                     { 0 },                              FORM_JSON,     HABIT_AWAY,         false},
	{ "configmaps",                    "",                     { 0 },                              FORM_JSON,     HABIT_WATCH_LIST,   false},
	{ "configmaps",                    "",                     { 0 },                              FORM_JSON,     HABIT_NO_BOOKMARKS, false},
	{ "namespaces/default/configmaps",
         "",						       { .namespace = "default" },
         FORM_JSON,												   HABIT_PLAIN,
         false																 },
	{ "namespaces/a/configmaps",       "",                     { .namespace = "a" },               FORM_JSON,     HABIT_PLAIN,        false},
	{ "namespaces/b/configmaps",
         "",						       { .namespace = "b" },
         FORM_METADATA,											       HABIT_WATCH_LIST,
         false																 },
	{ "configmaps",                    "&labelSelector=l%3D1", { .label = "1" },                   FORM_JSON,     HABIT_PLAIN,        false},
	{ "configmaps",
         "&labelSelector=l!%3D1",				  { .label_not = "1" },
         FORM_TABLE,												  HABIT_PLAIN,
         false																 },
	{ "configmaps",
         "&labelSelector=!l",				      { .no_label = true },
         FORM_METADATA,											       HABIT_SLOW,
         false																 },
	{ "namespaces/a/configmaps",
         "&labelSelector=l%3D2",				   { .namespace = "a", .label = "2" },
         FORM_JSON,												   HABIT_AWAY,
         false																 },
	{ "configmaps",
         "&fieldSelector=metadata.name%3Dc3",		      { .name = "c3" },
         FORM_JSON,												   HABIT_PLAIN,
         false																 },
	{ "namespaces/a/configmaps",
         "&fieldSelector=metadata.name%3Dc1",		      { .namespace = "a", .name = "c1" },
         FORM_TABLE,												  HABIT_PLAIN,
         false																 },
	{ "configmaps",
         "&fieldSelector=data.p%3D1",			      { .field = "1" },
         FORM_JSON,												   HABIT_PLAIN,
         false																 },
	{ "secrets",		       "",                     { 0 },                              FORM_JSON,     HABIT_PLAIN,        true },
	{ "secrets",
         "&labelSelector=l%3D1",				   { .label = "1" },
         FORM_METADATA,											       HABIT_WATCH_LIST,
         true																  },
};

typedef struct Watcher {
	Run *run;
	const WatcherSpec *spec;
	pthread_t thread;
	unsigned seed;
	View view;
	int64_t last; /* told up to there; -1 = must list */
	char name[160];
} Watcher;

static uint64_t text_hash(const char *line)
{
	static const char head[] = "\"object\":";
	const char *from = strstr(line, head) + strlen(head);

	return hash_bytes(from, strlen(from) - 1);
}

static int64_t revision_of(const json_t *object)
{
	const char *rev = json_string_at(object, "metadata.resourceVersion");

	if (!rev)
		broken("an object without resourceVersion");
	return strtoll(rev, NULL, 10);
}

/* What carries the metadata in that form: a Table of one row, or the object itself. */
static const json_t *bearer_of(const json_t *object, Form form)
{
	return form == FORM_TABLE ? json_at(json_array_get(json_at(object, "rows"), 0), "object")
				  : object;
}

static void add_object(Watcher *w, SeenType type, const json_t *object, uint64_t hash)
{
	char id[ID_MAX];

	snprintf(id, sizeof(id), "%s/%s", json_string_at(object, "metadata.namespace"),
		 json_string_at(object, "metadata.name"));
	view_add(&w->view, type, id, revision_of(object), hash);
}

static bool take_list(Watcher *w, HttpClient *c)
{
	_cleanup_(xfreep) char *target =
		xasprintf("/api/v1/%s?limit=0%s", w->spec->path, w->spec->query);
	const json_t *item;
	HttpAnswer a;
	size_t i;

	http_request(c, "GET", target, "", NULL);
	a = http_read_answer(c);
	if (a.code == 200 && a.json) {
		w->last = revision_of(a.json);
		view_add(&w->view, SEEN_LIST, "", w->last, 0);
		json_array_foreach (json_at(a.json, "items"), i, item)
			add_object(w, SEEN_ITEM, item, 0);
		atomic_fetch_add(&w->run->lists, 1);
	}
	http_answer_done(&a);
	return w->last >= 0;
}

/* Before its end the list of a watch is no list: the next attempt begins anew. */
typedef struct WatchList {
	bool open;
	size_t mark; /* of the view */
} WatchList;

static void take_event(Watcher *w, WatchList *list, const char *line)
{
	_cleanup_(json_decrefp) json_t *event = json_loads(line, 0, NULL);
	const json_t *object = json_object_get(event, "object"), *bearer;
	const char *type = json_string_at(event, "type");

	if (!type || !object)
		broken("%s: no event: %s", w->name, line);
	if (streq(type, "ERROR")) {
		if (json_integer_at(object, "code", 0) != 410)
			broken("%s: %s", w->name, line);
		atomic_fetch_add(&w->run->gone, 1);
		w->last = -1;
		return;
	}
	bearer = bearer_of(object, w->spec->form);
	if (streq(type, "BOOKMARK")) {
		atomic_fetch_add(&w->run->bookmarks, 1);
		w->last = revision_of(bearer);
		if (list->open)
			w->view.seen[list->mark].rev = w->last;
		else
			view_add(&w->view, SEEN_BOOKMARK, "", w->last, 0);
		list->open = false;
		return;
	}
	if (!list->open)
		w->last = revision_of(bearer);
	add_object(w,
		   list->open                ? SEEN_ITEM
		   : streq(type, "ADDED")    ? SEEN_ADDED
		   : streq(type, "MODIFIED") ? SEEN_MODIFIED
					     : SEEN_DELETED,
		   bearer, w->spec->form == FORM_JSON ? text_hash(line) : 0);
}

static char *watch_target(Watcher *w, bool finishing, bool as_list)
{
	bool bookmarks = finishing || w->spec->habit != HABIT_NO_BOOKMARKS;
	unsigned seconds = finishing ? 1 : 1 + random_below(&w->seed, 4);

	if (as_list)
		return xasprintf("/api/v1/%s?watch=1&timeoutSeconds=%u%s&allowWatchBookmarks=true"
				 "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
				 w->spec->path, seconds, w->spec->query);
	return xasprintf("/api/v1/%s?watch=1&timeoutSeconds=%u%s&resourceVersion=%lld%s",
			 w->spec->path, seconds, w->spec->query, (long long)w->last,
			 bookmarks ? "&allowWatchBookmarks=true" : "");
}

static void read_events(Watcher *w, HttpClient *c, WatchList *list, bool finishing)
{
	char *line;
	bool timeout;

	while ((line = http_read_line(c, READ_DEADLINE, &timeout))) {
		take_event(w, list, line);
		free(line);
		if (w->spec->habit == HABIT_SLOW && !finishing &&
		    random_below(&w->seed, 1000) == 0) {
			atomic_fetch_add(&w->run->pauses, 1);
			pause_ms(500 + (int)random_below(&w->seed, 1500));
		}
	}
	if (timeout)
		broken("%s: nothing for %d ms, not even the end", w->name, READ_DEADLINE);
}

/* One watch, from where the last one ended to its own end, whatever that is. */
static void watch_once(Watcher *w, HttpClient *c, bool finishing)
{
	bool as_list = w->last < 0;
	_cleanup_(xfreep) char *target = watch_target(w, finishing, as_list);
	WatchList list = { .open = as_list, .mark = w->view.n };
	HttpAnswer a;

	http_request(c, "GET", target, accepts[w->spec->form], NULL);
	a = http_read_head(c);
	if (a.code == 410) {
		atomic_fetch_add(&w->run->gone, 1);
		w->last = -1;
	} else if (a.code == 200) {
		if (as_list)
			view_add(&w->view, SEEN_LIST, "", 0, 0);
		else
			atomic_fetch_add(&w->run->resumes, 1);
		read_events(w, c, &list, finishing);
		if (list.open)
			w->view.n = list.mark;
		else if (as_list)
			atomic_fetch_add(&w->run->lists, 1);
	} else if (a.code && a.code != 503) {
		broken("%s: %s: %d", w->name, target, a.code);
	}
	http_answer_done(&a);
}

/* Stays away until its place has left the history, or all comes to its end. */
static void stay_away(Watcher *w)
{
	while (atomic_load(&w->run->looked) < w->last + 12000 && !atomic_load(&w->run->finish))
		pause_ms(20);
}

static void *watcher_run(void *arg)
{
	Watcher *w = arg;
	bool finishing = false;

	w->last = -1;
	while (!finishing || w->last < atomic_load(&w->run->final)) {
		HttpClient *c = connect_again(w->run);

		finishing = atomic_load(&w->run->finish);
		if (w->last >= 0 || w->spec->habit == HABIT_WATCH_LIST || take_list(w, c))
			watch_once(w, c, finishing);
		http_close(c);
		if (w->spec->habit == HABIT_AWAY && !finishing && w->last >= 0)
			stay_away(w);
	}
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

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
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
	static Watcher watchers[ARRAY_SIZE(specs)];
	static Writer writers[WRITERS];
	const char *seconds = getenv("LEDGER_SECONDS");
	static Run run;
	size_t events;

	(void)state;
	run_setup(&run);
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		Watcher *w = &watchers[i];

		*w = (Watcher){ .run = &run, .spec = &specs[i], .seed = (unsigned)i + 1000 };
		w->view.gr = specs[i].secrets ? GR_SECRET : GR_CONFIGMAP;
		w->view.wish = specs[i].wish;
		snprintf(w->name, sizeof(w->name), "watcher %zu (%s%s, %s)", i, specs[i].path,
			 specs[i].query, forms[specs[i].form]);
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
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		pthread_join(watchers[i].thread, NULL);
	sfd_end(&run, SIGTERM);
	events = run_check(&run, watchers, writers);
	print_message(
		"%lu writes (%lu refused), %zu log entries, revision %lld; %u kills, %u stops\n"
		"%zu watchers: %zu events, %lu resumes, %lu lists, %lu times 410, "
		"%lu bookmarks, %lu pauses of slow readers\n",
		run.writes, run.refused, run.ledger.n, (long long)run.ledger.rev, run.kills,
		run.stops, ARRAY_SIZE(specs), events, run.resumes, run.lists, run.gone,
		run.bookmarks, run.pauses);
	assert_true(events > 0 && run.resumes > 0 && run.kills + run.stops > 0);
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
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
