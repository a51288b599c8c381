/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the measuring programs share: dying with a message, running a program, medians.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/strbuf.h"

_noreturn_ void bench_die(const char *fmt, ...) _printf_(1, 2);
/* Dies with the error's text when rc < 0. */
void bench_check(int rc, Error *err, const char *what);

/* Starts argv (argv[0] an absolute path) with our standard error and `out` as standard output (-1:
 * /dev/null). */
pid_t bench_start(const char *const *argv, int out);
/* Waits; dies unless it succeeded. */
void bench_wait(pid_t pid, const char *what);
void bench_run(const char *const *argv);

typedef struct Samples {
	double *values;
	size_t n, cap;
} Samples;

void samples_add(Samples *s, double value);
/* q = 0.5 is the median. Sorts the values. */
double samples_quantile(Samples *s, double q);
void samples_done(Samples *s);

/* One figure of the table: the medians of both, beside each other. */
typedef struct Row {
	const char *name, *unit;
	Samples *ours;
	const char *
		peer; /* what stands beside it: a floor, or what people use today; NULL = nothing */
	Samples *theirs;
	Samples *ratios;  /* ours / theirs of each pair; NULL = that of the medians */
	const char *goal; /* "value <= 500" or "ratio >= 2"; NULL = none */
	bool detail;      /* among the raw numbers only, not in the table */
} Row;

/* What was measured once. */
#define SAMPLE(value) (&(Samples){ .values = (double[]){ value }, .n = 1 })

/* Appends it to $BENCH_ROWS, a JSON object a line, and prints it for who looks on. */
void bench_row(const Row *r);
/* A point of the picture: what N objects (clients, watches) cost. */
void bench_point(const char *series, const char *unit, double n, double value);

/* ---- sfd and clients of its API ---- */

typedef enum Transport { TRANSPORT_UNIX, TRANSPORT_TCP, TRANSPORT_TLS, _TRANSPORT_MAX } Transport;
extern const char *const transport_names[_TRANSPORT_MAX];

typedef struct BenchServer {
	pid_t pid;
	char socket[108];
	unsigned short port[_TRANSPORT_MAX];
} BenchServer;

/* Starts that sfd, without controllers but those of access, on an SQLite store in `dir`, open on
 * all transports and to everybody, and waits until it answers. */
void bench_server_start(BenchServer *s, const char *sfd, const char *dir);
void bench_server_stop(BenchServer *s);
unsigned short bench_free_port(void);
/* Until somebody listens there. */
void bench_wait_port(unsigned short port);
/* KiB of memory as its share, microseconds of processor time of all its threads: other work on the
 * machine hardly changes them. */
double bench_pss(pid_t pid);
double bench_cpu(pid_t pid);

/* A connection that is kept; dies when it breaks. One thread each. */
typedef struct BenchClient {
	int fd;
	void *tls; /* gnutls_session_t */
	StrBuf in;
} BenchClient;

void bench_connect(BenchClient *c, const BenchServer *s, Transport t);
/* To any socket address: for floors. */
void bench_connect_port(BenchClient *c, unsigned short port);
void bench_close(BenchClient *c);
void bench_send(BenchClient *c, const char *text, size_t n);
/* More bytes into c->in; false = would block (of a non-blocking descriptor). */
bool bench_receive(BenchClient *c);
/* A whole request; body may be NULL. */
char *bench_request(const char *method, const char *target, const char *type, const char *body);
/* Sends it and reads the answer to its end, which stays in c->in; the status code. */
int bench_call(BenchClient *c, const char *request);
/* The same with a code that must come. */
void bench_must(BenchClient *c, int code, const char *method, const char *target, const char *body);
