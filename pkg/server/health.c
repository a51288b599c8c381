/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server says about itself: its version, and whether it lives and is ready, check by
 * check, in the words of Kubernetes' API server. HTTP threads.
 */
#include <sys/utsname.h>

#include "server/handlers.h"
#include "server/internal.h"
#include "server/reply.h"

/* kubectl compares minors and warns when they are more than one apart: claim a recent one. */
#define KUBERNETES_MAJOR "1"
#define KUBERNETES_MINOR "34"

static const char *platform_architecture(const char *machine)
{
	if (streq(machine, "x86_64"))
		return "amd64";
	return streq(machine, "aarch64") ? "arm64" : machine;
}

void handle_version(Request *r)
{
	_cleanup_(xfreep) char *platform = NULL;
	struct utsname u = { .machine = "unknown" };

	(void)uname(&u);
	platform = xasprintf("linux/%s", platform_architecture(u.machine));
	reply_json(r, MHD_HTTP_OK,
		   json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "major",
			     KUBERNETES_MAJOR, "minor", KUBERNETES_MINOR, "gitVersion",
			     "v" KUBERNETES_MAJOR "." KUBERNETES_MINOR ".0+sf" SF_VERSION,
			     "gitCommit", "", "gitTreeState", "clean", "buildDate",
			     "1970-01-01T00:00:00Z", "goVersion", "c", "compiler", "gcc",
			     "platform", platform));
}

/* ---- health ---- */

typedef struct HealthCheck {
	const char *name;
	bool (*holds)(Server *s, char *why, size_t size);
} HealthCheck;

static bool check_ping(Server *s _unused_, char *why _unused_, size_t size _unused_)
{
	return true;
}

static bool check_store(Server *s, char *why, size_t size)
{
	if (store_is_available(s->options.store))
		return true;
	snprintf(why, size, "the store is being opened again after a failed commit");
	return false;
}

static bool check_workers(Server *s, char *why, size_t size)
{
	return !s->options.manager || manager_is_healthy(s->options.manager, why, size);
}

static const HealthCheck checks[] = {
	{"ping",     check_ping   },
	{ "store",   check_store  },
	{ "workers", check_workers},
};

static bool is_excluded(const Request *r, const char *name)
{
	for (size_t i = 0; i < r->target.n_params; i++)
		if (streq(r->target.params[i].name, "exclude") &&
		    streq(r->target.params[i].value, name))
			return true;
	return false;
}

/* What was to be excluded and is no check is a typing error that must not pass in silence. */
static void add_unknown_excludes(StrBuf *out, const Request *r)
{
	for (size_t i = 0; i < r->target.n_params; i++) {
		const QueryParam *p = &r->target.params[i];
		bool known = !streq(p->name, "exclude");

		for (size_t j = 0; j < ARRAY_SIZE(checks) && !known; j++)
			known = streq(checks[j].name, p->value);
		if (!known)
			strbuf_addf(out,
				    "warn: some health checks cannot be excluded: no matches for "
				    "\"%.64s\"\n",
				    p->value);
	}
}

/* Why is for administrators: anybody may ask for health. */
static bool run_check(Request *r, const HealthCheck *check, StrBuf *out)
{
	char why[256] = "";

	if (is_excluded(r, check->name)) {
		strbuf_addf(out, "[+]%s excluded: ok\n", check->name);
		return true;
	}
	if (check->holds(r->server, why, sizeof(why))) {
		strbuf_addf(out, "[+]%s ok\n", check->name);
		return true;
	}
	strbuf_addf(out, "[-]%s failed: %s\n", check->name,
		    r->who->masters && *why ? why : "reason withheld");
	return false;
}

static void reply_health(Request *r, const char *what, bool holds, StrBuf *text, bool verbose)
{
	if (holds && !verbose) {
		reply_text(r, MHD_HTTP_OK, "ok");
		return;
	}
	strbuf_addf(text, "%s check %s\n", what, holds ? "passed" : "failed");
	reply_text(r, holds ? MHD_HTTP_OK : MHD_HTTP_INTERNAL_SERVER_ERROR, strbuf_str(text));
}

/* /livez, /readyz, /healthz: all checks; /livez/NAME: that one. A server that stops answers nothing
 * but 503, and so is not ready. */
void handle_health(Request *r)
{
	const char *what = r->target.segments[0];
	const char *only = r->target.n_segments > 1 ? r->target.segments[1] : NULL;
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;
	bool holds = true, found = false;

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		if (only && !streq(only, checks[i].name))
			continue;
		found = true;
		holds &= run_check(r, &checks[i], &text);
	}
	if (!found) {
		reply_no_route(r);
		return;
	}
	add_unknown_excludes(&text, r);
	reply_health(r, only ? only : what, holds, &text,
		     target_query(&r->target, "verbose") != NULL);
}
