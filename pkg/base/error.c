/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: the error object, and the one table from errno to our codes. See error.h for the
 * contract.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

static const char *const code_names[_ERR_MAX] = {
	[ERR_NONE] = "None",
	[ERR_INVALID] = "Invalid",
	[ERR_NOT_FOUND] = "NotFound",
	[ERR_EXISTS] = "AlreadyExists",
	[ERR_CONFLICT] = "Conflict",
	[ERR_GONE] = "Expired",
	[ERR_FORBIDDEN] = "Forbidden",
	[ERR_UNAVAILABLE] = "Unavailable",
	[ERR_TIMEOUT] = "Timeout",
	[ERR_CANCELED] = "Canceled",
	[ERR_UNSUPPORTED] = "Unsupported",
	[ERR_EXHAUSTED] = "Exhausted",
	[ERR_INTERNAL] = "InternalError",
};

static const struct {
	int os_errno;
	ErrorCode code;
} errno_table[] = {
	{EINVAL,        ERR_INVALID    },
        { ENAMETOOLONG, ERR_INVALID    },
	{ ENOENT,       ERR_NOT_FOUND  },
        { ENODEV,       ERR_NOT_FOUND  },
	{ ESRCH,        ERR_NOT_FOUND  },
        { EEXIST,       ERR_EXISTS     },
	{ EBUSY,        ERR_CONFLICT   },
        { ESTALE,       ERR_CONFLICT   },
	{ EACCES,       ERR_FORBIDDEN  },
        { EPERM,        ERR_FORBIDDEN  },
	{ EROFS,        ERR_FORBIDDEN  },
        { ECONNREFUSED, ERR_UNAVAILABLE},
	{ ECONNRESET,   ERR_UNAVAILABLE},
        { EPIPE,        ERR_UNAVAILABLE},
	{ EAGAIN,       ERR_UNAVAILABLE},
        { EHOSTUNREACH, ERR_UNAVAILABLE},
	{ ENETUNREACH,  ERR_UNAVAILABLE},
        { EIO,          ERR_UNAVAILABLE},
	{ ETIMEDOUT,    ERR_TIMEOUT    },
        { ECANCELED,    ERR_CANCELED   },
	{ EOPNOTSUPP,   ERR_UNSUPPORTED},
        { ENOSYS,       ERR_UNSUPPORTED},
	{ ENOTSUP,      ERR_UNSUPPORTED},
        { EAFNOSUPPORT, ERR_UNSUPPORTED},
	{ ENOSPC,       ERR_EXHAUSTED  },
        { EDQUOT,       ERR_EXHAUSTED  },
	{ EMFILE,       ERR_EXHAUSTED  },
        { ENFILE,       ERR_EXHAUSTED  },
	{ EFBIG,        ERR_EXHAUSTED  },
        { EMSGSIZE,     ERR_EXHAUSTED  },
};

ErrorCode error_code_from_errno(int os_errno)
{
	for (size_t i = 0; i < ARRAY_SIZE(errno_table); i++)
		if (errno_table[i].os_errno == os_errno)
			return errno_table[i].code;
	return ERR_INTERNAL;
}

const char *error_code_to_string(int code)
{
	if (code < 0)
		code = -code;
	return code < _ERR_MAX ? code_names[code] : "InternalError";
}

bool error_code_is_terminal(int code)
{
	if (code < 0)
		code = -code;
	return code == ERR_INVALID || code == ERR_FORBIDDEN || code == ERR_UNSUPPORTED;
}

static void error_assign(Error *err, ErrorCode code, int os_errno, char *message)
{
	free(err->message);
	err->code = code;
	err->os_errno = os_errno;
	err->message = message;
}

int error_set(Error *err, ErrorCode code, const char *fmt, ...)
{
	va_list ap;

	assert(code > ERR_NONE && code < _ERR_MAX);
	if (err) {
		va_start(ap, fmt);
		error_assign(err, code, 0, xvasprintf(fmt, ap));
		va_end(ap);
	}
	return -(int)code;
}

int error_set_errno(Error *err, int os_errno, const char *fmt, ...)
{
	ErrorCode code = error_code_from_errno(os_errno);
	_cleanup_(xfreep) char *text = NULL;
	char buf[128];
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		text = xvasprintf(fmt, ap);
		va_end(ap);
		error_assign(err, code, os_errno,
			     xasprintf("%s: %s", text, strerror_r(os_errno, buf, sizeof(buf))));
	}
	return -(int)code;
}

static void error_prefix(Error *err, const char *fmt, va_list ap)
{
	_cleanup_(xfreep) char *text = xvasprintf(fmt, ap);

	error_assign(err, err->code, err->os_errno, xasprintf("%s: %s", text, error_message(err)));
}

int error_wrap(Error *err, const char *fmt, ...)
{
	va_list ap;

	if (!err || err->code == ERR_NONE)
		return -(int)ERR_INTERNAL;
	va_start(ap, fmt);
	error_prefix(err, fmt, ap);
	va_end(ap);
	return -(int)err->code;
}

int error_wrap_rc(Error *err, int rc, const char *fmt, ...)
{
	va_list ap;

	if (err && err->code != ERR_NONE) {
		va_start(ap, fmt);
		error_prefix(err, fmt, ap);
		va_end(ap);
	}
	return rc;
}

int error_copy(Error *dst, const Error *src)
{
	if (dst)
		error_assign(dst, src->code, src->os_errno,
			     src->message ? xstrdup(src->message) : NULL);
	return -(int)src->code;
}

int error_move(Error *dst, Error *src)
{
	int rc = -(int)src->code;

	if (dst) {
		error_assign(dst, src->code, src->os_errno, TAKE_PTR(src->message));
		*src = ERROR_INIT;
	} else {
		error_done(src);
	}
	return rc;
}

int error_ignore(Error *err)
{
	error_done(err);
	return 0;
}

void error_done(Error *err)
{
	if (!err)
		return;
	free(err->message);
	*err = ERROR_INIT;
}

const char *error_message(const Error *err)
{
	if (!err)
		return "unknown error";
	return err->message ? err->message : error_code_to_string((int)err->code);
}
