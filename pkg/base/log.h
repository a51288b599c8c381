/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log: one line per thing that happened, with fields that the journal can be searched by.
 *
 * Libraries log at debug only; cmd/ and the worker loop log the rest (an error is logged once, by
 * whoever stops forwarding it). A thread carries a stack of fields (log_push) that every line
 * inside gets: the worker loop pushes SF_KIND, SF_NAMESPACE, SF_NAME, SF_UID. Lines go to one sink:
 * stderr by default ("<6>text" when journald reads it), the journal when pkg/daemon installs its
 * own. Text from outside is escaped by the sink: control characters never reach a terminal or start
 * a new journal field. Any thread.
 */
#pragma once

#include <stdarg.h>

#include "base/error.h"

typedef enum LogLevel {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
} LogLevel;

/* A journal field; name is an upper-case literal, value any UTF-8. */
typedef struct LogField {
	const char *name;
	const char *value; /* NULL fields are left out */
} LogField;

/* message_id: 128-bit catalog id as 32 hex digits, or NULL. fields: the thread's stack, then the
 * line's own. */
typedef void (*LogSink)(void *arg, LogLevel level, const char *message_id, const char *text,
			const LogField *fields, size_t n_fields);

void log_set_level(LogLevel max);
int log_level_from_string(const char *s);   /* "debug".."error"; -ERR_INVALID */
void log_set_sink(LogSink sink, void *arg); /* before threads start; NULL = stderr */
bool log_enabled(LogLevel level);

void log_msg(LogLevel level, const char *fmt, ...) _printf_(2, 3);
void log_fields(LogLevel level, const char *message_id, const LogField *fields, size_t n_fields,
		const char *fmt, ...) _printf_(5, 6);

#define log_debug(...) \
	(log_enabled(LOG_LEVEL_DEBUG) ? log_msg(LOG_LEVEL_DEBUG, __VA_ARGS__) : (void)0)
#define log_info(...)    log_msg(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_notice(...)  log_msg(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_warning(...) log_msg(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...)   log_msg(LOG_LEVEL_ERROR, __VA_ARGS__)

/* Pushes n fields (strings must outlive the frame) for this thread; returns the depth to give to
 * log_pop(). */
size_t log_push(const LogField *fields, size_t n);
void log_pop(size_t depth);

/* Appends s to a fixed buffer with control characters and bad UTF-8 written as \xNN. For terminals
 * and lines. */
void log_escape(const char *s, char *buf, size_t size);
