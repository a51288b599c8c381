/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Daemon: what a service needs from systemd, and works without: the event loop, readiness and
 * status, watchdog, socket activation, the journal. The only user of libsystemd. The loop is the
 * main thread's; loop_post() is for everybody else.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

typedef struct Loop Loop;
typedef void (*LoopFn)(void *arg);

int loop_new(Loop **ret, Error *err); /* blocks SIGTERM, SIGINT, SIGHUP, SIGCHLD in this thread and
					 those it starts */
Loop *loop_free(Loop *l);
DEFINE_CLEANUP(Loop *, loop_free)
int loop_run(Loop *l, Error *err);             /* until loop_quit(); returns its code */
void loop_quit(Loop *l, int code);             /* loop thread */
void loop_post(Loop *l, LoopFn fn, void *arg); /* any thread: runs fn on the loop thread */
int loop_signal(Loop *l, int signo, LoopFn fn, void *arg, Error *err);
/* fn when fd becomes readable (level-triggered) until removed. */
typedef struct LoopSource LoopSource;
int loop_watch_fd(Loop *l, int fd, LoopFn fn, void *arg, LoopSource **ret, Error *err);
/* fn once after delay; again if it calls loop_timer_again(). */
int loop_timer(Loop *l, usec_t delay, LoopFn fn, void *arg, LoopSource **ret, Error *err);
void loop_timer_again(LoopSource *s, usec_t delay);
LoopSource *loop_source_free(LoopSource *s);
/* healthy() is asked at half the watchdog interval; false = no pet. Does nothing without
 * WATCHDOG_USEC. */
int loop_watchdog(Loop *l, bool (*healthy)(void *arg), void *arg, Error *err);

void notify_ready(const char *status); /* NULL: what was said last still holds */
void notify_reloading(void);
void notify_stopping(void);
/* The watchdog for those with a loop of their own: how often it wants notify_alive(), with half of
 * the time to spare; 0 = never. */
usec_t watchdog_interval(void);
void notify_alive(void);
void notify_status(const char *fmt, ...)
	_printf_(1, 2); /* rate is the caller's business; equal texts are sent once */

/* Descriptors from LISTEN_FDS; *ret is malloc'ed, 0 of them without activation. */
int activation_fds(int **ret, size_t *ret_n, Error *err);
/* True if stderr is the journal (JOURNAL_STREAM): then install journal_sink. */
bool journal_available(void);
void journal_sink(void *arg, LogLevel level, const char *message_id, const char *text,
		  const LogField *fields, size_t n_fields);
/* True while systemd is shutting the host down ("stopping" system state); false without systemd.
 * May block briefly. */
bool host_is_stopping(void);
