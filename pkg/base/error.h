/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: one contract for the whole program.
 *
 * A function that can fail returns 0, a negative ErrorCode, or a positive result that its own
 *header names. Callers branch on the return value; people read the Error. An Error is made once, at
 *its origin, and gets context in front of its text on the way up: "read instance default/web-1:
 *decode spec: ...". It is printed once, by whoever stops forwarding it. Out parameters (`ret`,
 *`ret_x`) are untouched on failure. `err` is always last and may be NULL.
 *
 *	_cleanup_(error_done) Error err = ERROR_INIT;
 *	rc = store_get(store, &key, &obj, &err);
 *	if (rc == -ERR_NOT_FOUND)
 *		return error_ignore(&err);
 *	if (rc < 0)
 *		return error_wrap(&err, "read %s", key.name);
 *
 * Foreign codes (errno, libvirt, SQLite, curl) are mapped to ours in the adapter, by one table.
 *Bugs are assert()ed, also in release builds; out of memory aborts (see memory.h). Any thread; an
 *Error belongs to its caller.
 */
#pragma once

#include "base/macro.h"

typedef enum ErrorCode {
	ERR_NONE = 0,
	ERR_INVALID,     /* what was asked can never be right; asking again is pointless */
	ERR_NOT_FOUND,   /* it does not exist (never: "could not find out") */
	ERR_EXISTS,      /* a create met an existing one */
	ERR_CONFLICT,    /* a precondition failed: read again, then decide */
	ERR_GONE,        /* the revision asked for was compacted */
	ERR_FORBIDDEN,   /* the caller may not */
	ERR_UNAVAILABLE, /* the other side is away; try later. Also: an unknown outcome */
	ERR_TIMEOUT,     /* the deadline passed; the outcome is unknown */
	ERR_CANCELED,    /* we are stopping, or the caller lost interest */
	ERR_UNSUPPORTED, /* understood, but not on this host, backend or kind */
	ERR_EXHAUSTED,   /* no space, no free address, over a limit */
	ERR_INTERNAL,    /* a bug or a corrupt file; the text says which */
	_ERR_MAX,
} ErrorCode;

typedef struct Error {
	ErrorCode code;
	int os_errno;  /* 0 if none */
	char *message; /* owned; NULL while code is ERR_NONE */
} Error;

#define ERROR_INIT \
	(Error) \
	{ \
		0 \
	}

/* Sets *err (replacing what was there) and returns -code. */
int error_set(Error *err, ErrorCode code, const char *fmt, ...) _printf_(3, 4);
/* The same from an errno; ": strerror" is appended to the text and the code comes from
 * error_code_from_errno(). */
int error_set_errno(Error *err, int os_errno, const char *fmt, ...) _printf_(3, 4);
/* Puts "text: " in front of the message and returns -err->code (-ERR_INTERNAL if err is NULL or
 * empty). */
int error_wrap(Error *err, const char *fmt, ...) _printf_(2, 3);
/* Like error_wrap() where err may be NULL: returns rc unchanged, so that the code survives. */
int error_wrap_rc(Error *err, int rc, const char *fmt, ...) _printf_(3, 4);
/* Copies / moves the content of src into dst (dst may be NULL); returns -code. */
int error_copy(Error *dst, const Error *src);
int error_move(Error *dst, Error *src);
/* Clears *err and returns 0: "this failure is fine here". */
int error_ignore(Error *err);
void error_done(Error *err);

/* The text, or the code's name when there is none. Never NULL. */
const char *error_message(const Error *err);
/* True where a retry with the same input cannot help: INVALID, FORBIDDEN, UNSUPPORTED. */
bool error_code_is_terminal(int code);
/* "NotFound", "Conflict", ...: CamelCase, as conditions and Status reasons want it. Accepts
 * negative codes. */
const char *error_code_to_string(int code);
ErrorCode error_code_from_errno(int os_errno);
