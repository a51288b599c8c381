/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: allocators that abort, and arrays of strings. See memory.h.
 */
#include "base/memory.h"

#include <errno.h>

void out_of_memory(void)
{
	static const char text[] = "out of memory\n";

	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	abort();
}

void *xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xrealloc(void *p, size_t n, size_t size)
{
	void *q = reallocarray(p, n ? n : 1, size ? size : 1);

	if (!q)
		out_of_memory();
	return q;
}

char *xstrdup(const char *s)
{
	return s ? xmemdup(s, strlen(s)) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
	return s ? xmemdup(s, strnlen(s, n)) : NULL;
}

char *xstrdup_lower(const char *s)
{
	char *copy = xstrdup(s);

	for (char *p = copy; p && *p; p++)
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
	return copy;
}

void *xmemdup(const void *p, size_t n)
{
	char *q = xmalloc(n + 1);

	if (n)
		memcpy(q, p, n);
	q[n] = '\0';
	return q;
}

char *xvasprintf(const char *fmt, va_list ap)
{
	char *s;

	if (vasprintf(&s, fmt, ap) < 0)
		out_of_memory();
	return s;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = xvasprintf(fmt, ap);
	va_end(ap);
	return s;
}

int fd_close(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

size_t strv_len(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

static char **strv_append_take(char **v, char *s)
{
	size_t n = strv_len(v);

	v = xrealloc(v, n + 2, sizeof(*v));
	v[n] = s;
	v[n + 1] = NULL;
	return v;
}

char **strv_append(char **v, const char *s)
{
	return strv_append_take(v, xstrdup(s));
}

char **strv_copy(char *const *v)
{
	size_t n = strv_len(v);
	char **copy = xnew0(char *, n + 1);

	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(v[i]);
	return copy;
}

char **strv_split(const char *s, char sep)
{
	char **v = xnew0(char *, 1);
	const char *end;

	while (*s) {
		end = strchrnul(s, sep);
		v = strv_append_take(v, xstrndup(s, (size_t)(end - s)));
		if (!*end)
			break;
		s = end + 1;
		if (!*s)
			v = strv_append(v, "");
	}
	return v;
}

char *strv_join(char *const *v, const char *sep)
{
	size_t len = 1, seplen = strlen(sep);
	char *out, *p;

	strv_foreach (s, v)
		len += strlen(*s) + seplen;
	out = p = xcalloc(1, len);
	strv_foreach (s, v) {
		if (p != out)
			p = stpcpy(p, sep);
		p = stpcpy(p, *s);
	}
	return out;
}

bool strv_contains(char *const *v, const char *s)
{
	strv_foreach (i, v)
		if (streq(*i, s))
			return true;
	return false;
}

char **strv_free(char **v)
{
	strv_foreach (s, v)
		free(*s);
	free(v);
	return NULL;
}
