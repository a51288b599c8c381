/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bad manners of the hostile web server, each by its name. See hostile_http.h.
 */
#include "tests/lib/hostile_kinds.h"

#include <stdio.h>

#include "base/memory.h"

static void hold_for_ever(Connection *c)
{
	while (hold(c, 100))
		;
}

static void repeat(Connection *c, const char *s, unsigned n)
{
	for (unsigned i = 0; i < n && say(c, s); i++)
		;
}

static void endless(Connection *c, const char *s)
{
	while (say(c, s))
		;
}

static void bad_stall_headers(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\nContent-Le");
	hold_for_ever(c);
}

static void bad_stall_body(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nETag: \"s\"\r\n\r\nhello");
	hold_for_ever(c);
}

static void bad_drip(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
	while (say(c, "x") && hold(c, 50))
		;
}

static void bad_headers_drip(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\n");
	while (say(c, "X: y\r\n") && hold(c, 50))
		;
}

static void bad_headers_many(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\n");
	repeat(c, "X-Filler: 0123456789\r\n", 20000);
	say(c, "\r\nhello");
}

static void bad_header_long(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\nX-Long: ");
	repeat(c, "0123456789012345678901234567890123456789012345678901234567890123456789", 20000);
	say(c, "\r\n\r\nhello");
}

static void bad_endless_chunks(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	endless(c, "40\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n");
}

static void bad_endless_body(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\n\r\n");
	endless(c, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
}

static void bad_endless_error(Connection *c)
{
	say(c, "HTTP/1.1 404 Not Found\r\n\r\n");
	endless(c, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
}

static void bad_endless_redirect(Connection *c)
{
	say(c, "HTTP/1.1 302 Found\r\nLocation: /bad/chunk-cut\r\n\r\n");
	endless(c, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
}

static void bad_endless_continue(Connection *c)
{
	endless(c, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void bad_endless_chunk_head(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=");
	endless(c, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
}

static void bad_trailers(Connection *c)
{
	say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n");
	repeat(c, "X-Filler: 0123456789\r\n", 20000);
	say(c, "\r\n");
}

/* Busy twice, then as if nothing had been. */
static void bad_flaky(Connection *c)
{
	if (hostile_http_count(c->h, c->path) > 2) {
		File f;
		char head[200];

		if (!file_get(c->h, strrchr(c->path, '/') + 1, &f))
			return;
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
			 f.len);
		if (say(c, head))
			say_n(c, f.data, f.len);
		free(f.data);
		free(f.etag);
		return;
	}
	say(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
}

/* ---- bad answers to who wants the rest of a file ---- */

/* The rest from `shift` beside where it was asked for, of a file of `more` bytes more. */
static void rest(Connection *c, int shift, int more, const char *etag, char flip)
{
	_cleanup_(xfreep) char *range = header_of(c->request, "Range");
	size_t from = range ? strtoul(range + strlen("bytes="), NULL, 10) + (size_t)shift : 0;
	char head[400];
	File f;

	if (!file_get(c->h, strrchr(c->path, '/') + 1, &f))
		return;
	snprintf(head, sizeof(head),
		 "HTTP/1.1 206 Partial Content\r\nContent-Length: %zu\r\n"
		 "Content-Range: bytes %zu-%zu/%zu\r\nETag: %s\r\n\r\n",
		 f.len - from + (size_t)more, from, f.len - 1 + (size_t)more, f.len + (size_t)more,
		 etag ? etag : f.etag);
	for (size_t i = from; flip && i < f.len; i++)
		f.data[i] ^= flip;
	if (say(c, head))
		say_n(c, f.data + from, f.len - from);
	free(f.data);
	free(f.etag);
}

static void rest_good(Connection *c)
{
	rest(c, 0, 0, NULL, 0);
}

static void rest_elsewhere(Connection *c)
{
	rest(c, -4096, 0, NULL, 0);
}

static void rest_of_larger(Connection *c)
{
	rest(c, 0, 4096, NULL, 0);
}

static void rest_of_another(Connection *c)
{
	rest(c, 0, 0, "\"another\"", 1);
}

static void rest_changed(Connection *c)
{
	rest(c, 0, 0, NULL, 1);
}

static void raw(Connection *c, const char *kind)
{
	_cleanup_(xfreep) char *name =
		xstrndup(kind + strlen("raw-"), strcspn(kind, "/") - strlen("raw-"));
	File f;

	if (!file_get(c->h, name, &f))
		return;
	say_n(c, f.data, f.len);
	free(f.data);
	free(f.etag);
}

static void bad_hops(Connection *c)
{
	char text[200];
	unsigned n = (unsigned)strtoul(strstr(c->path, "hops") + strlen("hops"), NULL, 10);

	snprintf(text, sizeof(text),
		 "HTTP/1.1 302 Found\r\nLocation: /bad/hops%u\r\nContent-Length: 0\r\n\r\n", n + 1);
	say(c, text);
}

/* A kind is a fixed answer, or a function. `len` is for answers with NUL bytes in them. */
static const struct {
	const char *kind, *answer;
	void (*fn)(Connection *c);
} kinds[] = {
	{"stall-headers",       NULL,									  bad_stall_headers     },
	{ "stall-body",         NULL,									  bad_stall_body        },
	{ "drip",               NULL,									  bad_drip              },
	{ "headers-drip",       NULL,									  bad_headers_drip      },
	{ "headers-many",       NULL,									  bad_headers_many      },
	{ "header-long",        NULL,									  bad_header_long       },
	{ "endless-chunks",     NULL,									  bad_endless_chunks    },
	{ "endless-body",       NULL,									  bad_endless_body      },
	{ "endless-error",      NULL,									  bad_endless_error     },
	{ "hops",               NULL,									  bad_hops              },
	{ "close",              "",									    NULL                  },
	{ "garbage",            "\x01\x02\x03 nonsense\r\n\r\n",                                               NULL                  },
	{ "http09",             "<html>hello</html>",							  NULL                  },
	{ "empty",              "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",                                NULL                  },
	{ "truncated",          "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",                         NULL                  },
	{ "length-short",       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello world",                     NULL                  },
	{ "length-double",
         "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Length: 5\r\n\r\nhello world",                      NULL                  },
	{ "length-twice",
         "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Length: 11\r\n\r\nhello world",                     NULL                  },
	{ "length-negative",    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello world",                    NULL                  },
	{ "length-huge",
         "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nhello world",                          NULL                  },
	{ "length-large",       "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\nhello world",
         NULL															},
	{ "length-garbage",     "HTTP/1.1 200 OK\r\nContent-Length: 11abc\r\n\r\nhello world",                 NULL                  },
	{ "length-list",        "HTTP/1.1 200 OK\r\nContent-Length: 11, 5\r\n\r\nhello world",                 NULL                  },
	{ "length-chunked",
         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
	  "b\r\nhello world\r\n0\r\n\r\n",								     NULL		  },
	{ "chunk-bad",          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello world\r\n",
         NULL															},
	{ "chunk-huge",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n",	       NULL		  },
	{ "chunk-cut",          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n",
         NULL															},
	{ "gzip",               "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
         NULL															},
	{ "part-unasked",
         "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/10\r\n"
	  "Content-Length: 5\r\n\r\nhello",								    NULL		  },
	{ "part-nameless",      "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\nhello",              NULL                  },
	{ "part-reversed",
         "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 9-5/10\r\n"
	  "Content-Length: 5\r\n\r\nhello",								    NULL		  },
	{ "loop",               "HTTP/1.1 302 Found\r\nLocation: /bad/loop\r\nContent-Length: 0\r\n\r\n",      NULL                  },
	{ "nowhere",            "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",                             NULL                  },
	{ "gone",               "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",                              NULL                  },
	{ "forbidden",          "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",                         NULL                  },
	{ "unauthorized",       "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",                      NULL                  },
	{ "error",              "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",                          NULL                  },
	{ "busy",               "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",            NULL                  },
	{ "teapot",             "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n",                            NULL                  },
	{ "unasked-304",        "HTTP/1.1 304 Not Modified\r\n\r\n",                                           NULL                  },
	{ "html",
         "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 19\r\n\r\n"
	  "<html>hello</html>\n",									      NULL		  },
	{ "endless-redirect",   NULL,									  bad_endless_redirect  },
	{ "endless-continue",   NULL,									  bad_endless_continue  },
	{ "endless-chunk-head", NULL,									  bad_endless_chunk_head},
	{ "trailers-many",      NULL,									  bad_trailers          },
	{ "flaky",              NULL,									  bad_flaky             },
	{ "rest-good",          NULL,									  rest_good             },
	{ "rest-elsewhere",     NULL,									  rest_elsewhere        },
	{ "rest-of-larger",     NULL,									  rest_of_larger        },
	{ "rest-of-another",    NULL,									  rest_of_another       },
	{ "rest-changed",       NULL,									  rest_changed          },
	{ "rest-none",
         "HTTP/1.1 416 Range\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\n\r\n",                        NULL                  },
	{ "length-plus",        "HTTP/1.1 200 OK\r\nContent-Length: +11\r\n\r\nhello world",                   NULL                  },
	{ "length-hex",         "HTTP/1.1 200 OK\r\nContent-Length: 0xb\r\n\r\nhello world",                   NULL                  },
	{ "length-none",        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello world",                       NULL                  },
	{ "transfer-unknown",   "HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\nhello",                    NULL                  },
	{ "transfer-twice",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",	      NULL		  },
	{ "status-bad",         "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello",                          NULL                  },
	{ "status-none",        "HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",                                  NULL                  },
	{ "multipart",
         "HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=x\r\n"
	  "Content-Length: 5\r\n\r\n--x--",								    NULL		  },
	{ "zstd",               "HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 5\r\n\r\nhello",
         NULL															},
};

void serve_kind(Connection *c, const char *kind)
{
	if (str_has_prefix(kind, "raw-")) {
		raw(c, kind);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strncmp(kind, kinds[i].kind, strlen(kinds[i].kind)) != 0)
			continue;
		if (kinds[i].fn)
			kinds[i].fn(c);
		else
			say(c, kinds[i].answer);
		return;
	}
	say(c, "HTTP/1.1 404 No such kind\r\nContent-Length: 0\r\n\r\n");
}
