/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status: how the server's answers to what failed become our errors. One table by reason, one by
 * HTTP code for answers that carry no Status (a proxy, libmicrohttpd itself).
 */
#include "base/memory.h"
#include "client/internal.h"

static const struct {
	const char *reason;
	ErrorCode code;
} by_reason[] = {
	{"NotFound",               ERR_NOT_FOUND  },
	{ "AlreadyExists",         ERR_EXISTS     },
	{ "Conflict",              ERR_CONFLICT   },
	{ "Invalid",               ERR_INVALID    },
	{ "BadRequest",            ERR_INVALID    },
	{ "NotAcceptable",         ERR_INVALID    },
	{ "MethodNotAllowed",      ERR_UNSUPPORTED},
	{ "UnsupportedMediaType",  ERR_UNSUPPORTED},
	{ "Expired",               ERR_GONE       },
	{ "Gone",		  ERR_GONE       },
	{ "Forbidden",             ERR_FORBIDDEN  },
	{ "Unauthorized",          ERR_FORBIDDEN  },
	{ "ServiceUnavailable",    ERR_UNAVAILABLE},
	{ "TooManyRequests",       ERR_UNAVAILABLE},
	{ "Timeout",               ERR_TIMEOUT    },
	{ "ServerTimeout",         ERR_TIMEOUT    },
	{ "RequestEntityTooLarge", ERR_EXHAUSTED  },
	{ "InternalError",         ERR_INTERNAL   },
};

static ErrorCode code_by_http(long http)
{
	switch (http) {
	case 401:
	case 403:
		return ERR_FORBIDDEN;
	case 404:
		return ERR_NOT_FOUND;
	case 405:
	case 415:
	case 501:
		return ERR_UNSUPPORTED;
	case 408:
	case 504:
		return ERR_TIMEOUT;
	case 409:
		return ERR_CONFLICT;
	case 410:
		return ERR_GONE;
	case 413:
	case 507:
		return ERR_EXHAUSTED;
	case 429:
	case 502:
	case 503:
		return ERR_UNAVAILABLE;
	default:
		return http >= 500 ? ERR_INTERNAL : ERR_INVALID;
	}
}

/* Of what and how it is asked sfd speaks in a Status; these without one are another server's. */
static bool is_foreign(long http)
{
	return http == 404 || http == 405 || http == 409 || http == 410 || http == 415 ||
	       http == 501;
}

int client_fail_status(Client *c, json_t *status, long http_code, Error *err)
{
	const char *reason = json_string_value(json_object_get(status, "reason"));
	const char *message = json_string_value(json_object_get(status, "message"));
	json_t *code = json_object_get(status, "code");
	ErrorCode mapped;

	if (!http_code && json_is_integer(code))
		http_code = (long)json_integer_value(code);
	mapped = code_by_http(http_code);
	for (size_t i = 0; reason && i < ARRAY_SIZE(by_reason); i++)
		if (streq(by_reason[i].reason, reason))
			mapped = by_reason[i].code;
	json_incref(status);
	json_decref(c->status);
	c->status = status;
	if (str_is_empty(message))
		message = reason;
	if (str_is_empty(message))
		return error_set(err, mapped, "the server answered %ld", http_code);
	return error_set(err, mapped, "%s", message);
}

int client_fail(Client *c, long http_code, const char *body, size_t len, Error *err)
{
	json_t *status = json_loadb(body, len, 0, NULL);
	const char *kind = json_string_value(json_object_get(status, "kind"));
	int rc, line = (int)MIN(strcspn(body, "\r\n"), (size_t)200);

	if (kind && streq(kind, "Status"))
		rc = client_fail_status(c, status, http_code, err);
	else if (is_foreign(http_code))
		rc = error_set(err, ERR_UNAVAILABLE, "%s is not sfd: it answered %ld", c->server,
			       http_code);
	else if (line > 0)
		rc = error_set(err, code_by_http(http_code), "the server answered %ld: %.*s",
			       http_code, line, body);
	else
		rc = error_set(err, code_by_http(http_code), "the server answered %ld", http_code);
	json_decref(status);
	return rc;
}
