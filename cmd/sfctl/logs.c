/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl logs: what a guest has printed on its serial console.
 *
 * On a terminal the guest's bytes are made harmless: its escape sequences are left out, other
 * control characters are shown as \xNN. Into a file or pipe everything goes as it came.
 */
#include "base/log.h"
#include "sfctl.h"

#define SEGMENT_MAX 4096

typedef struct LogsOptions {
	bool follow, raw;
	int64_t tail;
} LogsOptions;

static const Option options[] = { OPTION('f', "follow", FLAG, LogsOptions, follow, NULL,
					 "stay, and print what comes"),
				  OPTION(0, "tail", INTEGER, LogsOptions, tail, "LINES",
					 "only the last lines; -1: all", .preset = "-1"),
				  OPTION(0, "raw", FLAG, LogsOptions, raw, NULL,
					 "the guest's bytes as they are, on a terminal too"),
				  OPTIONS_END };

typedef enum EscapeState { PLAIN, ESCAPE, SEQUENCE, STRING, STRING_ESCAPE } EscapeState;

typedef struct Logs {
	FILE *out;
	bool clean;
	EscapeState state;
	char text[SEGMENT_MAX + 1]; /* printable so far */
	size_t n;
} Logs;

/* How many bytes at the end of the text are the start of a character whose rest is to come. */
static size_t unfinished(const char *s, size_t n)
{
	for (size_t back = 1; back <= 3 && back <= n; back++) {
		unsigned char c = (unsigned char)s[n - back];

		if (c >= 0xc0)
			return (c >= 0xf0 ? 4U : c >= 0xe0 ? 3U : 2U) > back ? back : 0;
		if (c < 0x80)
			return 0;
	}
	return 0;
}

static void flush_text(Logs *l, bool all)
{
	char escaped[4 * SEGMENT_MAX + 8];
	size_t keep = all ? 0 : unfinished(l->text, l->n), n = l->n - keep;
	char rest[4];

	memcpy(rest, l->text + n, keep);
	l->text[n] = '\0';
	log_escape(l->text, escaped, sizeof(escaped));
	fputs(escaped, l->out);
	memcpy(l->text, rest, keep);
	l->n = keep;
}

static void plain_byte(Logs *l, char c)
{
	if (c == '\033') {
		l->state = ESCAPE;
	} else if (c == '\n' || c == '\t') {
		flush_text(l, true);
		fputc(c, l->out);
	} else if (c != '\r' && c != '\0') {
		if (l->n == SEGMENT_MAX)
			flush_text(l, true);
		l->text[l->n++] = c;
	}
}

/* ECMA-48: ESC [ … letter; ESC ] … BEL or ESC \; ESC x */
static void clean_byte(Logs *l, char c)
{
	switch (l->state) {
	case PLAIN:
		plain_byte(l, c);
		break;
	case ESCAPE:
		l->state = c == '[' ? SEQUENCE : strchr("]P^_X", c) && c ? STRING : PLAIN;
		break;
	case SEQUENCE:
		if ((c >= '@' && c <= '~') || c == '\n')
			l->state = PLAIN;
		break;
	case STRING:
		if (c == '\a' || c == '\n')
			l->state = PLAIN;
		else if (c == '\033')
			l->state = STRING_ESCAPE;
		break;
	case STRING_ESCAPE:
		l->state = PLAIN;
		break;
	}
}

static int on_data(void *arg, const char *p, size_t n)
{
	Logs *l = arg;

	if (!l->clean)
		fwrite(p, 1, n, l->out);
	for (size_t i = 0; l->clean && i < n; i++)
		clean_byte(l, p[i]);
	if (l->clean)
		flush_text(l, false);
	return fflush(l->out) == 0 ? 0 : 1;
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	const LogsOptions *o = values;
	_cleanup_(xfreep) char *name = NULL, *base = NULL;
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;
	Context ctx = CONTEXT_BACKGROUND;
	Logs l = { .out = cli->out };
	char lines[32];
	const Resource *r;
	Client *client;
	int rc;

	if (!parsed->args[0])
		return (int)cli_usage(cli, "logs: which instance?");
	if (parsed->args[1])
		return (int)cli_usage(cli, "logs: '%s' is one word too many: one instance",
				      parsed->args[1]);
	rc = cli_instance(cli, parsed->args[0], &r, &name, err);
	if (rc == 0)
		rc = cli_client(cli, &client, err);
	if (rc < 0)
		return rc;
	base = resource_path(r, cli->namespace, name, "log");
	strbuf_adds(&path, base);
	if (o->follow)
		path_add_query(&path, "follow", "true");
	if (o->tail >= 0) {
		snprintf(lines, sizeof(lines), "%lld", (long long)o->tail);
		path_add_query(&path, "tailLines", lines);
	}
	l.clean = !o->raw && fileno(cli->out) >= 0 && isatty(fileno(cli->out));
	if (!o->follow)
		ctx = context_with_timeout(&ctx, cli_request_timeout(cli) ?: 60 * USEC_PER_SEC);
	rc = client_stream(client, &ctx, strbuf_str(&path), on_data, &l, err);
	if (l.clean)
		flush_text(&l, true);
	return rc;
}

const Verb verb_logs = {
	.name = "logs",
	.synopsis = "INSTANCE",
	.summary = "print what an instance wrote to its console",
	.details = "  sfctl logs web-1 --tail=50\n"
		   "  sfctl logs web-1 -f\n",
	.options = options,
	.options_size = sizeof(LogsOptions),
	.completes = "instance",
	.run = run,
};
