/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory and descriptors: allocation that aborts instead of failing, and the cleanup handlers for
 * plain C types.
 *
 * Out of memory ends the process: systemd starts it again and all state is on disk. What a client
 * can make grow has a maximum elsewhere, so an abort here means the host is out of memory, not that
 * somebody sent a long string. Any thread.
 */
#pragma once

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/macro.h"

/* Ends the process; for libraries that would otherwise ask again and again. */
_noreturn_ void out_of_memory(void);

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size);
char *xstrdup(const char *s); /* NULL stays NULL */
char *xstrndup(const char *s, size_t n);
char *xstrdup_lower(const char *s);     /* ASCII letters in lower case */
void *xmemdup(const void *p, size_t n); /* adds a NUL behind the copy */
char *xasprintf(const char *fmt, ...) _printf_(1, 2);
char *xvasprintf(const char *fmt, va_list ap) _printf_(1, 0);

#define xnew(type, n)  ((type *)xmalloc(sizeof(type) * (n)))
#define xnew0(type, n) ((type *)xcalloc((n), sizeof(type)))

/*
 * Makes room for one more element: grows `array` (a pointer variable) geometrically so that
 * array[n] may be written. `cap` is the caller's capacity variable.
 */
#define GROW_ARRAY(array, n, cap) \
	do { \
		if ((n) >= (cap)) { \
			(cap) = (cap) ? (cap)*2 : 8; \
			(array) = xrealloc((array), (cap), sizeof(*(array))); \
		} \
	} while (0)

/* close(2) that keeps errno and takes -1; returns -1 so that `fd = fd_close(fd)` reads well. */
int fd_close(int fd);

static inline void xfreep(void *p)
{
	free(*(void **)p);
}

static inline void fd_closep(int *fd)
{
	fd_close(*fd);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* A NULL-terminated array of strings, owned with its strings ("strv"). */
size_t strv_len(char *const *v);
char **strv_append(char **v, const char *s); /* copies s; v may be NULL; returns the moved array */
char **strv_copy(char *const *v);
char **strv_split(const char *s, char sep); /* empty parts are kept; "" gives no parts */
char *strv_join(char *const *v, const char *sep);
bool strv_contains(char *const *v, const char *s);
char **strv_free(char **v);
DEFINE_CLEANUP(char **, strv_free)

#define strv_foreach(i, v) for (char *const *i = (v); i && *i; i++)
