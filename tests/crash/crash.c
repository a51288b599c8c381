/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points: kills a cloud at every fail point of every story (stories.yaml), starts it again,
 * and looks whether everything is as it should be.
 *
 *	crash points                     all names there are, from the binaries
 *	crash trace STORIES [--real]     which story passes which point how often
 *	crash run STORIES [--real] < PAIRS
 *	                                 a line each: STORY POINT[:COUNT] [POINT[:COUNT]]
 *
 * The second point is for the process that recovers. A role that dies at the first one dies alone,
 * and sfd has to go on with the next one; with a second point, or the word "together" instead, all
 * of it dies.
 *
 *	crash sweep KIND[:PART/OF]       call sweeps, and:
 *	crash texts STEP FILE...         allocations (sweep.h)
 *
 * Instead of a point, "malloc:N" or "malloc:N:ever" fails allocations after the process has
 * started. `run` prints one line per pair: "ok|BAD|late STORY POINT ..." and what was wrong below;
 * "late" means that the point (with a second one: that) was not passed as often. Several may run
 * side by side; --real wants a sandbox of its own (tests/lib/sandbox), where 127.0.0.1:8099 serves
 * the images of the stories. --sfd PATH names the program of the roles. `trace` prints a line per
 * passage: STORY POINT PROGRAM, "sfd" being a role.
 */
#include <getopt.h>
#include <signal.h>

#include "base/memory.h"
#include "tests/crash/story.h"
#include "tests/crash/survive.h"
#include "tests/crash/sweep.h"

#define TOGETHER "together"

typedef struct Rig {
	Cloud *cloud;
	json_t *stories;
	bool real;
} Rig;

static json_t *find_story(const Rig *r, const char *name)
{
	json_t *story;
	size_t i;

	json_array_foreach (json_object_get(r->stories, "stories"), i, story)
		if (streq(story_name(story), name))
			return story;
	fprintf(stderr, "no story %s\n", name);
	abort();
}

/* ---- one pair ---- */

/* Starts a process that is to die at `spec`; after its start, unless the story is about that. */
static bool start_doomed(Told *t, const char *spec)
{
	if (json_bool_at(t->story, "begin", false))
		return cloud_start(t->cloud, spec);
	return cloud_start(t->cloud, NULL) && cloud_arm(t->cloud, spec);
}

/* True if the process has come to its end at a fail point, or is to with a role of it. Then none
 * runs. */
static bool has_died(Told *t)
{
	if (!cloud_was_hit(t->cloud) && !(t->together && cloud_lost_role(t->cloud)))
		return false;
	cloud_kill(t->cloud);
	return true;
}

/*
 * Out of memory, sfd ends by abort(); or it goes on and answers, because somebody could do without.
 * No other end is in order, and neither is none. True if an allocation has failed; nothing runs
 * then.
 */
static bool has_no_memory(Told *t)
{
	bool alive = cloud_settle(t->cloud, 0); /* who is dying is dead after that */

	if (!cloud_lacked_memory(t->cloud))
		return false;
	if (cloud_is_stuck(t->cloud))
		told_add_log(t, "without memory it gives no answer any more");
	else if (!alive && cloud_signal(t->cloud) != SIGABRT)
		told_add_log(t, "without memory it has ended, but not as it should");
	cloud_kill(t->cloud);
	return true;
}

/* A process that recovers and is to die as well; true if that has happened. None runs then. */
static bool die_again(Told *t, const char *point)
{
	_cleanup_(xfreep) char *spec = xasprintf("%s:kill", point);
	bool hit;

	if (cloud_start(t->cloud, spec)) {
		t->again = true;
		told_tell(t);
	}
	hit = has_died(t);
	if (!hit && !cloud_settle(t->cloud, 0))
		told_add_log(t, "it died by itself while it recovered");
	cloud_kill(t->cloud);
	return hit;
}

/* told: whether the whole story was. */
static void check_rest(Told *t, bool told)
{
	if (told)
		told_check(t);
	else
		told_add_log(t, "it does not come to rest again");
}

/* The last process, that nothing happens to. */
static void recover(Told *t)
{
	if (!cloud_start(t->cloud, NULL)) {
		told_add_log(t, "it does not start again");
		return;
	}
	told_verify(t);
	check_rest(t, told_tell(t));
}

/* 1 = as it should be, 0 = not, -1 = a point was not reached. */
static int run_pair(Rig *r, const char *name, const char *point, const char *second)
{
	bool memory = str_has_prefix(point, "malloc:"), reached, told = false;
	_cleanup_(xfreep) char *spec = xasprintf("%s%s", point, memory ? "" : ":kill");
	Told t;
	int result;

	told_begin(&t, r->cloud, r->stories, find_story(r, name));
	t.together = second;
	if (start_doomed(&t, spec))
		told = told_tell(&t);
	reached = memory ? has_no_memory(&t) : has_died(&t);
	if (memory && !reached && !cloud_is_alive(r->cloud))
		reached = has_no_memory(&t); /* it came to that in the meantime */
	if (reached) {
		reached = !second || streq(second, TOGETHER) || die_again(&t, second);
		recover(&t);
	} else if (!cloud_is_alive(r->cloud)) {
		told_add_log(&t, "it died by itself");
	} else if ((reached = cloud_lost_role(r->cloud))) {
		check_rest(&t, told);
	}
	result = t.problems.len ? 0 : reached ? 1 : -1;
	printf("%s %s %s%s%s\n",
	       result > 0    ? "ok"
	       : result == 0 ? "BAD"
			     : "late",
	       name, point, second ? " " : "", second ? second : "");
	if (result == 0)
		printf("%s", strbuf_str(&t.problems));
	fflush(stdout);
	told_done(&t);
	return result;
}

static int run(Rig *r)
{
	char line[512], name[128], point[160], second[160];
	int bad = 0, n;

	while (fgets(line, sizeof(line), stdin)) {
		n = sscanf(line, "%127s %159s %159s", name, point, second);
		if (n >= 2)
			bad += run_pair(r, name, point, n > 2 ? second : NULL) == 0;
	}
	return bad ? 1 : 0;
}

/* ---- which story passes which point ---- */

static void print_passed(const char *story, const char *log)
{
	char point[160], program[32];

	for (const char *p = log; (p = strstr(p, "fail point passed ")); p++)
		if (sscanf(p, "fail point passed %159s in %31s", point, program) == 2)
			printf("%s %s %s\n", story, point, program);
}

/* A story that nothing happens to must be a good one. */
static int trace_story(Rig *r, const json_t *story)
{
	_cleanup_(xfreep) char *log = NULL;
	Told t;
	int rc = 0;

	told_begin(&t, r->cloud, r->stories, story);
	if (start_doomed(&t, "*:trace") && told_tell(&t)) {
		log = cloud_log(r->cloud);
		print_passed(story_name(story), log);
		cloud_arm(r->cloud, "none");
		told_check(&t);
	} else {
		told_add_log(&t, "it died or never came to rest");
	}
	if (t.problems.len) {
		fprintf(stderr, "story %s, without a crash: %s", story_name(story),
			strbuf_str(&t.problems));
		rc = 1;
	}
	told_done(&t);
	return rc;
}

static int trace(Rig *r)
{
	json_t *story;
	size_t i;
	int rc = 0;

	json_array_foreach (json_object_get(r->stories, "stories"), i, story)
		if (story_is_for(story, r->real))
			rc |= trace_story(r, story);
	return rc;
}

/* ---- names ---- */

extern const char __start_sf_fail_points[] __attribute__((weak));
extern const char __stop_sf_fail_points[] __attribute__((weak));

/* Every driver is linked in, so that every name is. */
static int print_points(void)
{
	for (const char *p = __start_sf_fail_points; p < __stop_sf_fail_points; p += strlen(p) + 1)
		if (*p)
			puts(p);
	return 0;
}

/* "driver-after:0/2" */
static int run_sweep(const char *what)
{
	unsigned part = 0, of = 1;
	char kind[32];

	if (sscanf(what, "%31[a-z-]:%u/%u", kind, &part, &of) < 1 || of == 0)
		return 2;
	return sweep(kind, part, of) ? 1 : 0;
}

static int usage(void)
{
	fprintf(stderr, "crash points | trace STORIES | run STORIES [--real] [--sfd PATH]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"real", no_argument, NULL, 'r' },
		{ "sfd",  required_argument, NULL, 's' },
		{ NULL    }
	};
	CloudOptions cloud = { 0 };
	Rig r = { 0 };
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		r.real |= opt == 'r';
		if (opt == 's')
			cloud.sfd = optarg;
		else if (opt == '?')
			return usage();
	}
	if (argc - optind == 1 && streq(argv[optind], "points"))
		return print_points();
	if (argc - optind < 2)
		return usage();
	if (streq(argv[optind], "sweep"))
		return run_sweep(argv[optind + 1]);
	if (streq(argv[optind], "texts"))
		return sweep_texts(argv + optind + 2, (unsigned)atoi(argv[optind + 1])) ? 1 : 0;
	if (r.real && !getenv("SANDBOX")) {
		fprintf(stderr, "--real takes away networks: only in tests/lib/sandbox\n");
		return 2;
	}
	survive_init();
	r.stories = stories_load(argv[optind + 1]);
	cloud.real_images = cloud.real_network = r.real;
	r.cloud = cloud_new(&cloud);
	if (!story_prepare(r.cloud, r.stories, r.real))
		rc = 2;
	else if (streq(argv[optind], "trace"))
		rc = trace(&r);
	else
		rc = streq(argv[optind], "run") ? run(&r) : usage();
	cloud_free(r.cloud);
	json_decref(r.stories);
	return rc;
}
