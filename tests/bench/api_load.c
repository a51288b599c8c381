/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests per second of sfd's API, and how long one takes.
 *
 *     api_load SFD DIRECTORY [MILLISECONDS [OPERATION]]     an operation is get, list, many, create
 * or apply
 *
 * For each transport and 1, 10 and 50 clients: reads of one object, of a list of 100 and of 10,000;
 * creates and server-side applies, durable each. Floors in the same run: for reads a bare
 * libmicrohttpd that answers the same bytes; for writes a bare SQLite that commits as many rows at
 * once as there are clients.
 */
#include "load.h"

#include <microhttpd.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/memory.h"

#define BASE "/apis/shakenfist.io/v1alpha1/namespaces/"

static usec_t cell_time = 1000 * USEC_PER_MSEC;

typedef enum Operation { OP_GET, OP_LIST, OP_LIST_MANY, OP_CREATE, OP_APPLY, _OP_MAX } Operation;

static const char *const operation_names[] = {
	[OP_GET] = "get",       [OP_LIST] = "list of 100", [OP_LIST_MANY] = "list of 10,000",
	[OP_CREATE] = "create", [OP_APPLY] = "apply",
};

static char *instance_body(const char *name)
{
	return xasprintf(
		"{\"apiVersion\":\"shakenfist.io/v1alpha1\",\"kind\":\"Instance\",\"metadata\":{"
		"\"name\":\"%s\",\"labels\":{\"app\":\"bench\"}},\"spec\":{\"runStrategy\":"
		"\"Halted\","
		"\"cpus\":2,\"memory\":\"1Gi\",\"disks\":[{\"name\":\"root\",\"size\":\"10Gi\"}]}}",
		name);
}

/* ---- one cell of the table ---- */

typedef struct Cell {
	Operation op;
	Transport transport;
	const char *target; /* of the floor */
} Cell;

static char *next_request(const Load *l, unsigned client, unsigned n)
{
	const Cell *c = l->data;
	char name[32], target[160];
	_cleanup_(xfreep) char *body = NULL;

	if (c->target)
		return bench_request("GET", c->target, NULL, NULL);
	switch (c->op) {
	case OP_GET:
		return bench_request("GET", BASE "hundred/instances/i-7", NULL, NULL);
	case OP_LIST:
		return bench_request("GET", BASE "hundred/instances", NULL, NULL);
	case OP_LIST_MANY:
		return bench_request("GET", BASE "many/instances", NULL, NULL);
	case OP_CREATE:
		snprintf(name, sizeof(name), "c-%d-%u", (int)c->transport, n);
		body = instance_body(name);
		return bench_request("POST", BASE "default/instances", NULL, body);
	default:
		/* Each client its own object, something new each time. */
		snprintf(name, sizeof(name), "a-%u", client);
		snprintf(target, sizeof(target),
			 BASE "default/instances/%s?fieldManager=bench&force=true", name);
		body = xasprintf(
			"{\"apiVersion\":\"shakenfist.io/v1alpha1\",\"kind\":\"Instance\","
			"\"metadata\":{\"name\":\"%s\",\"labels\":{\"n\":\"%u\"}},\"spec\":{"
			"\"runStrategy\":\"Halted\",\"disks\":[{\"name\":\"root\",\"size\":"
			"\"10Gi\"}]}}",
			name, n);
		return bench_request("PATCH", target, "application/apply-patch+yaml", body);
	}
}

/* ---- floors ---- */

typedef struct Floor {
	struct MHD_Daemon *daemon;
	unsigned short port;
	char *body;
	size_t len;
} Floor;

static enum MHD_Result answer(void *cls, struct MHD_Connection *c, const char *url _unused_,
			      const char *method _unused_, const char *version _unused_,
			      const char *data _unused_, size_t *size _unused_, void **context)
{
	struct MHD_Response *response;
	Floor *f = cls;
	enum MHD_Result rc;

	if (!*context) {
		*context = f;
		return MHD_YES;
	}
	response = MHD_create_response_from_buffer(f->len, f->body, MHD_RESPMEM_PERSISTENT);
	MHD_add_response_header(response, "Content-Type", "application/json");
	rc = MHD_queue_response(c, 200, response);
	MHD_destroy_response(response);
	return rc;
}

/* The bytes that sfd answers to that. */
static void floor_start(Floor *f, const BenchServer *s, const char *target)
{
	_cleanup_(xfreep) char *request = bench_request("GET", target, NULL, NULL);
	BenchClient c;
	const char *body;

	bench_connect(&c, s, TRANSPORT_UNIX);
	bench_call(&c, request);
	body = strstr(c.in.buf, "\r\n\r\n") + 4;
	f->len = c.in.len - (size_t)(body - c.in.buf);
	f->body = xmemdup(body, f->len);
	bench_close(&c);
	f->daemon = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD, 0, NULL, NULL, answer, f,
				     MHD_OPTION_THREAD_POOL_SIZE, 2u, MHD_OPTION_END);
	if (!f->daemon)
		bench_die("no bare server");
	f->port = MHD_get_daemon_info(f->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static void floor_stop(Floor *f)
{
	MHD_stop_daemon(f->daemon);
	free(f->body);
}

static void sql(sqlite3 *db, const char *text)
{
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		bench_die("%s: %s", text, sqlite3_errmsg(db));
}

/* Rows per second when `batch` of them share a commit, as a store's log would be written. */
static double floor_commits(const char *dir, unsigned batch)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/floor.db", dir);
	_cleanup_(xfreep) char *body = instance_body("floor");
	usec_t from, now;
	sqlite3_stmt *st;
	sqlite3 *db;
	size_t n = 0;

	if (sqlite3_open(path, &db) != SQLITE_OK)
		bench_die("%s: %s", path, sqlite3_errmsg(db));
	sql(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = "
		"FULL; CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, body TEXT)");
	sqlite3_prepare_v2(db, "INSERT INTO log (body) VALUES (?)", -1, &st, NULL);
	from = clock_now(clock_system());
	do {
		sql(db, "BEGIN IMMEDIATE");
		for (unsigned i = 0; i < batch; i++, n++) {
			sqlite3_bind_text(st, 1, body, -1, SQLITE_STATIC);
			if (sqlite3_step(st) != SQLITE_DONE)
				bench_die("insert: %s", sqlite3_errmsg(db));
			sqlite3_reset(st);
		}
		sql(db, "COMMIT");
		now = clock_now(clock_system());
	} while (now < from + cell_time / 2);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return (double)n * 1e6 / (double)(now - from);
}

/* ---- all of it ---- */

static void fill(const BenchServer *s, const char *namespace, unsigned n)
{
	_cleanup_(xfreep) char *target = xasprintf(BASE "%s/instances", namespace);
	_cleanup_(xfreep) char *object = xasprintf("{\"metadata\":{\"name\":\"%s\"}}", namespace);
	BenchClient c;

	bench_connect(&c, s, TRANSPORT_UNIX);
	bench_must(&c, 201, "POST", "/api/v1/namespaces", object);
	for (unsigned i = 0; i < n; i++) {
		char name[32];
		_cleanup_(xfreep) char *body = NULL;

		snprintf(name, sizeof(name), "i-%u", i);
		body = instance_body(name);
		bench_must(&c, 201, "POST", target, body);
	}
	bench_close(&c);
}

static const unsigned clients[] = { 1, 10, 50 };

/* Requests per second, and below that how long one took. The table has those over TCP, which is
 * what the floor speaks, of one client and of many. */
static void report_cell(Operation op, const char *via, unsigned n, LoadResult c, const char *peer,
			double floor)
{
	_cleanup_(xfreep) char *rate =
		xasprintf("%s, %u client%s, %s", operation_names[op], n, n == 1 ? "" : "s", via);
	_cleanup_(xfreep) char *p50 = xasprintf("%s: p50", rate);
	_cleanup_(xfreep) char *p99 = xasprintf("%s: p99", rate);

	bench_row(&(Row){ .name = rate,
			  .unit = "/s",
			  .ours = SAMPLE(c.rate),
			  .peer = peer,
			  .theirs = peer ? SAMPLE(floor) : NULL,
			  .detail = !peer || n == 10 });
	bench_row(&(Row){ .name = p50,
			  .unit = "ms",
			  .ours = SAMPLE(c.p50),
			  .detail = !peer || op != OP_LIST_MANY || n > 1 });
	bench_row(&(Row){ .name = p99, .unit = "ms", .ours = SAMPLE(c.p99), .detail = true });
}

static void measure_reads(const BenchServer *s, Operation op, const char *target)
{
	Floor f;

	floor_start(&f, s, target);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		Cell bare = { .target = target };
		Load floor = { .port = f.port, .next = next_request, .data = &bare };
		LoadResult bottom = load_run(&floor, clients[i], cell_time);

		for (Transport t = 0; t < _TRANSPORT_MAX; t++) {
			Cell cell = { .op = op, .transport = t };
			Load l = {
				.server = s, .transport = t, .next = next_request, .data = &cell
			};
			const char *peer =
				t == TRANSPORT_TCP ? "bare server of the same bytes" : NULL;

			report_cell(op, transport_names[t], clients[i],
				    load_run(&l, clients[i], cell_time), peer, bottom.rate);
		}
	}
	floor_stop(&f);
}

static void measure_writes(const BenchServer *s, Operation op, const char *dir)
{
	static unsigned names; /* creates never meet a name twice */

	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		_cleanup_(xfreep) char *bare =
			xasprintf("bare SQLite, %u rows a commit", clients[i]);
		double floor = floor_commits(dir, clients[i]);

		for (Transport t = 0; t < _TRANSPORT_MAX; t++) {
			Cell cell = { .op = op, .transport = t };
			Load l = {
				.server = s, .transport = t, .next = next_request, .data = &cell
			};
			const char *peer = t == TRANSPORT_TCP ? bare : NULL;

			atomic_store(&l.n, names);
			report_cell(op, transport_names[t], clients[i],
				    load_run(&l, clients[i], cell_time), peer, floor);
			names = atomic_load(&l.n);
		}
	}
}

static void measure(const BenchServer *s, Operation op, const char *dir)
{
	static const char *const targets[] = {
		[OP_GET] = BASE "hundred/instances/i-7",
		[OP_LIST] = BASE "hundred/instances",
		[OP_LIST_MANY] = BASE "many/instances",
	};

	if (op < ARRAY_SIZE(targets))
		measure_reads(s, op, targets[op]);
	else
		measure_writes(s, op, dir);
}

int main(int argc, char **argv)
{
	static const char *const words[_OP_MAX] = { "get", "list", "many", "create", "apply" };
	BenchServer s;

	if (argc < 3)
		bench_die("api_load SFD DIRECTORY [MILLISECONDS [OPERATION]]");
	if (argc > 3)
		cell_time = strtoull(argv[3], NULL, 10) * USEC_PER_MSEC;
	if (fs_mkdir_p(argv[2], 0700, NULL) < 0)
		bench_die("%s: cannot be made", argv[2]);
	bench_server_start(&s, argv[1], argv[2]);
	fill(&s, "hundred", 100);
	if (argc <= 4 || streq(argv[4], words[OP_LIST_MANY]))
		fill(&s, "many", 10000);
	for (Operation op = 0; op < _OP_MAX; op++)
		if (argc <= 4 || streq(argv[4], words[op]))
			measure(&s, op, argv[2]);
	bench_server_stop(&s);
	return 0;
}
