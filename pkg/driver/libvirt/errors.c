/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table from libvirt's error codes to ours. See errors.h.
 */
#include "driver/libvirt/errors.h"

#include <stdarg.h>

#include "base/memory.h"

/* What is not listed is INTERNAL: libvirt's OPERATION_FAILED and INTERNAL_ERROR say nothing. */
static const struct {
	int libvirt;
	ErrorCode code;
} table[] = {
	{VIR_ERR_NO_DOMAIN,              ERR_NOT_FOUND  },
	{ VIR_ERR_NO_DOMAIN_METADATA,    ERR_NOT_FOUND  },
	{ VIR_ERR_DOM_EXIST,             ERR_EXISTS     },
	{ VIR_ERR_OPERATION_INVALID,     ERR_CONFLICT   },
	{ VIR_ERR_RESOURCE_BUSY,         ERR_CONFLICT   },
	{ VIR_ERR_XML_ERROR,             ERR_INVALID    },
	{ VIR_ERR_XML_DETAIL,            ERR_INVALID    },
	{ VIR_ERR_XML_INVALID_SCHEMA,    ERR_INVALID    },
	{ VIR_ERR_INVALID_ARG,           ERR_INVALID    },
	{ VIR_ERR_OS_TYPE,               ERR_INVALID    },
	{ VIR_ERR_CONFIG_UNSUPPORTED,    ERR_UNSUPPORTED},
	{ VIR_ERR_NO_SUPPORT,            ERR_UNSUPPORTED},
	{ VIR_ERR_OPERATION_UNSUPPORTED, ERR_UNSUPPORTED},
	{ VIR_ERR_ARGUMENT_UNSUPPORTED,  ERR_UNSUPPORTED},
	{ VIR_ERR_AUTH_FAILED,           ERR_FORBIDDEN  },
	{ VIR_ERR_AUTH_CANCELLED,        ERR_FORBIDDEN  },
	{ VIR_ERR_AUTH_UNAVAILABLE,      ERR_FORBIDDEN  },
	{ VIR_ERR_OPERATION_DENIED,      ERR_FORBIDDEN  },
	{ VIR_ERR_ACCESS_DENIED,         ERR_FORBIDDEN  },
	{ VIR_ERR_NO_CONNECT,            ERR_UNAVAILABLE},
	{ VIR_ERR_INVALID_CONN,          ERR_UNAVAILABLE},
	{ VIR_ERR_RPC,                   ERR_UNAVAILABLE},
	{ VIR_ERR_NO_SOURCE,             ERR_UNAVAILABLE},
	{ VIR_ERR_AGENT_UNRESPONSIVE,    ERR_UNAVAILABLE},
 /* "cannot acquire state change lock": another job is in the way, normal weather. */
	{ VIR_ERR_OPERATION_TIMEOUT,     ERR_UNAVAILABLE},
	{ VIR_ERR_OPERATION_ABORTED,     ERR_CANCELED   },
	{ VIR_ERR_NO_MEMORY,             ERR_EXHAUSTED  },
};

ErrorCode libvirt_error_code(int code, int domain)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].libvirt == code)
			return table[i].code;
	/* The way to libvirtd is broken: an ENOENT of the socket must never look like absence. */
	if (domain == VIR_FROM_RPC || domain == VIR_FROM_REMOTE)
		return ERR_UNAVAILABLE;
	return ERR_INTERNAL;
}

int libvirt_last_code(void)
{
	virErrorPtr e = virGetLastError();

	return e ? e->code : VIR_ERR_OK;
}

/* The end of a time such as "2026-11-21T06:38:18.434180Z " at s, or NULL. */
static const char *skip_time(const char *s)
{
	static const char shape[] = "0000-00-00T00:00:00.000000Z ";

	for (const char *p = shape; *p; p++, s++)
		if (*p == '0' ? *s < '0' || *s > '9' : *s != *p)
			return NULL;
	return s;
}

const char *libvirt_error_text(const char *message)
{
	const char *end;

	for (const char *p = message; *p; p++) {
		end = skip_time(p);
		if (end && *end)
			return end;
	}
	return message;
}

int libvirt_error(Error *err, const char *fmt, ...)
{
	virErrorPtr e = virGetLastError();
	_cleanup_(xfreep) char *text = NULL;
	ErrorCode code = e ? libvirt_error_code(e->code, e->domain) : ERR_INTERNAL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	return error_set(err, code, "%s: %s", text,
			 e && e->message ? libvirt_error_text(e->message) : "unknown");
}

static void be_silent(void *arg _unused_, virErrorPtr e _unused_)
{
}

void libvirt_errors_silence(void)
{
	virSetErrorFunc(NULL, be_silent);
}
