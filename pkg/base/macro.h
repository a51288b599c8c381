/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few macros that every file may use. Pure; any thread.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))
#define _cleanup_(fn)       __attribute__((cleanup(fn)))
#define _unused_            __attribute__((unused))
#define _warn_unused_       __attribute__((warn_unused_result))
#define _noreturn_          __attribute__((noreturn))

#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define MIN(a, b) \
	({ \
		__typeof__(a) _a = (a); \
		__typeof__(b) _b = (b); \
		_a < _b ? _a : _b; \
	})
#define MAX(a, b) \
	({ \
		__typeof__(a) _a = (a); \
		__typeof__(b) _b = (b); \
		_a > _b ? _a : _b; \
	})

/* Hands ownership over: yields the value and leaves NULL behind. */
#define TAKE_PTR(p) \
	({ \
		__typeof__(p) _p = (p); \
		(p) = NULL; \
		_p; \
	})
#define TAKE_FD(fd) \
	({ \
		int _fd = (fd); \
		(fd) = -1; \
		_fd; \
	})

/* Defines x_freep() for use with _cleanup_, from a function that takes the pointer and accepts
 * NULL. */
#define DEFINE_CLEANUP(type, fn) \
	static inline void fn##p(type *p) \
	{ \
		if (*p) \
			fn(*p); \
	}

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* NULL equals NULL and nothing else. */
static inline bool streq_ptr(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static inline bool str_has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static inline bool str_has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

static inline bool str_is_empty(const char *s)
{
	return !s || !*s;
}
