/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log: levels, the thread's field stack, and the default sink. See log.h.
 */
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/memory.h"

#define LOG_STACK_MAX 32
#define LOG_LINE_MAX  16

static _Atomic int max_level = LOG_LEVEL_INFO;
static LogSink sink;
static void *sink_arg;
static _Thread_local LogField stack[LOG_STACK_MAX];
static _Thread_local size_t depth;

void log_set_level(LogLevel max)
{
	atomic_store(&max_level, (int)max);
}

int log_level_from_string(const char *s)
{
	static const struct {
		const char *name;
		LogLevel level;
	} names[] = {
		{"error",    LOG_LEVEL_ERROR  },
                { "warning", LOG_LEVEL_WARNING},
		{ "notice",  LOG_LEVEL_NOTICE },
                { "info",    LOG_LEVEL_INFO   },
		{ "debug",   LOG_LEVEL_DEBUG  },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(names[i].name, s))
			return (int)names[i].level;
	return -ERR_INVALID;
}

void log_set_sink(LogSink fn, void *arg)
{
	sink = fn;
	sink_arg = arg;
}

bool log_enabled(LogLevel level)
{
	return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

/* A valid sequence of three bytes that shows nothing, or turns round what stands beside it:
 * U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F, U+FEFF. With one of them a name looks like
 * another. */
static bool is_invisible(const unsigned char *s)
{
	if (s[0] == 0xef)
		return s[1] == 0xbb && s[2] == 0xbf;
	return s[0] == 0xe2 && ((s[1] == 0x80 && ((s[2] >= 0x8b && s[2] <= 0x8f) ||
						  (s[2] >= 0xa8 && s[2] <= 0xae))) ||
				(s[1] == 0x81 && s[2] >= 0xa0 && s[2] <= 0xaf));
}

/* Length of the valid UTF-8 sequence at s (2 to 4) that can be printed, or 0. */
static size_t utf8_sequence(const unsigned char *s)
{
	size_t n = s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 0;

	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, beyond U+10FFFF, and the C1 controls that terminals obey. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f) ||
	    (s[0] == 0xc2 && s[1] < 0xa0))
		return 0;
	return n == 3 && is_invisible(s) ? 0 : n;
}

void log_escape(const char *s, char *buf, size_t size)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t at = 0, n;

	while (*p && at + 5 <= size) {
		n = *p >= 0x80 ? utf8_sequence(p) : *p >= 0x20 && *p != 0x7f ? 1 : 0;
		if (n) {
			memcpy(buf + at, p, n);
			at += n;
			p += n;
		} else {
			at += (size_t)snprintf(buf + at, size - at, "\\x%02x", *p++);
		}
	}
	if (size)
		buf[at] = '\0';
}

static void stderr_sink(LogLevel level, const char *text)
{
	char line[2048];

	log_escape(text, line, sizeof(line));
	/* "<6>" is how the journal learns the level of a plain line (sd-daemon(3)). */
	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", (int)level, line);
	else
		fprintf(stderr, "%s\n", line);
}

static void log_send(LogLevel level, const char *message_id, const LogField *fields, size_t n,
		     const char *text)
{
	LogField all[LOG_STACK_MAX + LOG_LINE_MAX];
	size_t total = depth;

	if (!sink) {
		stderr_sink(level, text);
		return;
	}
	if (depth)
		memcpy(all, stack, depth * sizeof(*all));
	for (size_t i = 0; i < n && i < LOG_LINE_MAX; i++)
		if (fields[i].value)
			all[total++] = fields[i];
	sink(sink_arg, level, message_id, text, all, total);
}

void log_msg(LogLevel level, const char *fmt, ...)
{
	_cleanup_(xfreep) char *text = NULL;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	log_send(level, NULL, NULL, 0, text);
}

void log_fields(LogLevel level, const char *message_id, const LogField *fields, size_t n_fields,
		const char *fmt, ...)
{
	_cleanup_(xfreep) char *text = NULL;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	log_send(level, message_id, fields, n_fields, text);
}

size_t log_push(const LogField *fields, size_t n)
{
	size_t before = depth;

	for (size_t i = 0; i < n && depth < LOG_STACK_MAX; i++)
		if (fields[i].value)
			stack[depth++] = fields[i];
	return before;
}

void log_pop(size_t to)
{
	assert(to <= depth);
	depth = to;
}
