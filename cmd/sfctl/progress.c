/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress: see progress.h.
 */
#include "progress.h"

#include <strings.h>
#include <sys/ioctl.h>

#include "table.h"
#include "json/json.h"

#define BAR_WIDTH    24
#define PERCENT_STEP 10 /* of plain lines */

void progress_init(Progress *p, Cli *cli)
{
	*p = (Progress){ .cli = cli, .last_percent = -1 };
}

void progress_done(Progress *p)
{
	progress_clear(p);
	free(p->last);
	p->last = NULL;
}

void progress_clear(Progress *p)
{
	if (!p->drawn)
		return;
	fputs("\r\033[K", p->cli->err);
	fflush(p->cli->err);
	p->drawn = false;
}

const char *bytes_format(uint64_t bytes, char buf[static BYTES_TEXT_MAX])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	size_t u = 0;

	while (value >= 1024 && u + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		u++;
	}
	snprintf(buf, BYTES_TEXT_MAX, u && value < 10 ? "%.1f %s" : "%.0f %s", value, units[u]);
	return buf;
}

static const json_t *condition_of(const json_t *object, const char *type)
{
	const json_t *condition;
	size_t i;

	json_array_foreach (json_at(object, "status.conditions"), i, condition) {
		const char *name = json_string_at(condition, "type");

		if (name && strcasecmp(name, type) == 0)
			return condition;
	}
	return NULL;
}

/* What the condition says while it has not that status. */
static const char *message_of(const json_t *condition, const char *wanted)
{
	const char *status = json_string_at(condition, "status");
	const char *message = json_string_at(condition, "message");

	if (str_is_empty(message) || (status && strcasecmp(status, wanted) == 0))
		return NULL;
	return message;
}

bool condition_is_stale(const json_t *object, const json_t *condition)
{
	int64_t generation = json_integer_at(object, "metadata.generation", 0);
	int64_t seen =
		json_integer_at(condition, "observedGeneration",
				json_integer_at(object, "status.observedGeneration", generation));

	return seen < generation;
}

static bool is_leaving(const json_t *object)
{
	return json_string_at(object, "metadata.deletionTimestamp") != NULL;
}

const char *object_word(const json_t *object)
{
	const char *word = json_string_at(object, "status.printableStatus");

	if (is_leaving(object))
		return "Terminating";
	if (!word)
		word = json_string_at(object, "status.phase");
	return word ? word : json_string_at(condition_of(object, "Ready"), "reason");
}

char *object_state_awaiting(const json_t *object, const char *type, const char *status)
{
	const json_t *ready = condition_of(object, "Ready");
	const char *word = object_word(object);
	const char *message = message_of(condition_of(object, type), status);

	if (!object)
		return xstrdup("does not exist");
	if (!word)
		word = json_at(object, "status") ? "Unknown" : "no status yet";
	if (!message)
		message = message_of(ready, "True");
	/* What was in the way of running is not what is in the way of going. */
	if (is_leaving(object) && condition_is_stale(object, ready))
		message = NULL;
	return message ? xasprintf("%s: %s", word, message) : xstrdup(word);
}

char *object_state(const json_t *object)
{
	return object_state_awaiting(object, "Ready", "True");
}

static int percent_of(const json_t *object)
{
	const json_t *progress = json_at(object, "status.progress");
	int64_t total = json_integer_at(progress, "total", 0);
	int64_t bytes = json_integer_at(progress, "bytes", 0);
	int64_t percent = json_integer_at(progress, "percent", -1);

	if (percent < 0 && total > 0 && bytes >= 0)
		percent = (int64_t)(100.0 * (double)bytes / (double)total);
	return progress && percent >= 0 ? (int)MIN(percent, (int64_t)100) : -1;
}

/* "[######----]  45%  210 MiB of 480 MiB, 24 MiB/s" */
static char *progress_text(const json_t *object, int percent)
{
	const json_t *progress = json_at(object, "status.progress");
	int64_t total = json_integer_at(progress, "total", 0);
	int64_t bytes = json_integer_at(progress, "bytes", 0);
	int64_t rate = json_integer_at(progress, "rate", 0);
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	char text[BYTES_TEXT_MAX];

	if (percent >= 0) {
		strbuf_addc(&b, '[');
		for (int i = 0; i < BAR_WIDTH; i++)
			strbuf_addc(&b, i < percent * BAR_WIDTH / 100 ? '#' : '-');
		strbuf_addf(&b, "] %3d%%  ", percent);
	}
	if (bytes > 0)
		strbuf_adds(&b, bytes_format((uint64_t)bytes, text));
	if (bytes > 0 && total > 0)
		strbuf_addf(&b, " of %s", bytes_format((uint64_t)total, text));
	if (bytes > 0 && rate > 0)
		strbuf_addf(&b, ", %s/s", bytes_format((uint64_t)rate, text));
	return strbuf_take(&b);
}

static size_t terminal_width(FILE *f)
{
	struct winsize size = { 0 };

	if (ioctl(fileno(f), TIOCGWINSZ, &size) == 0 && size.ws_col > 20)
		return size.ws_col;
	return 80;
}

/* A line that wraps cannot be redrawn: cuts whole characters off its end. */
static void cut_to_width(char *s, size_t width)
{
	size_t len = strlen(s);

	while (len && text_width(s) > width) {
		do
			len--;
		while (len && ((unsigned char)s[len] & 0xc0) == 0x80);
		s[len] = '\0';
	}
}

static void draw(Progress *p, const char *line)
{
	_cleanup_(xfreep) char *safe = text_escape(line);

	cut_to_width(safe, terminal_width(p->cli->err) - 1);
	fprintf(p->cli->err, "\r\033[K%s", safe);
	fflush(p->cli->err);
	p->drawn = true;
}

void progress_show(Progress *p, const char *name, const char *state, const json_t *object)
{
	_cleanup_(xfreep) char *bar = NULL, *line = NULL;
	_cleanup_(xfreep) char *plain = xasprintf("%s: %s", name, state);
	int percent = percent_of(object);
	bool moved = percent >= 0 && (p->last_percent < 0 || percent < p->last_percent ||
				      percent >= p->last_percent + PERCENT_STEP);

	bar = progress_text(object, percent);
	if (p->cli->terminal) {
		line = xasprintf("%s  %s%s%s", name, bar, *bar ? "  " : "", state);
		draw(p, line);
		return;
	}
	if (streq_ptr(p->last, plain) && !moved)
		return;
	if (percent >= 0)
		line = xasprintf("%s: %d%%", plain, percent);
	else
		line = xstrdup(plain);
	free(p->last);
	p->last = TAKE_PTR(plain);
	p->last_percent = percent;
	plain = text_escape(line);
	fprintf(p->cli->err, "%s\n", plain);
	fflush(p->cli->err);
}
