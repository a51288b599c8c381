/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory of users that does not answer: who asks waits, nobody else does, and the server
 * stops all the same. The look-ups of libc are replaced by ones that can be held. Needs root.
 */
#include "tests/contract/server/as_user.h"

#include <errno.h>
#include <pthread.h>
#include <pwd.h>
#include <sys/stat.h>

#define SLOW  (USER_BASE + 777)
#define NAMED (USER_BASE + 778)
#define CROWD (USER_BASE + 779) /* its entry is long: it has many members */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool held;
static unsigned asked, waiting;

int getpwuid_r(uid_t uid, struct passwd *pwd, char *buf, size_t n, struct passwd **ret)
{
	static char name[] = "anna";

	(void)buf;
	(void)n;
	pthread_mutex_lock(&lock);
	asked++;
	waiting++;
	pthread_cond_broadcast(&changed);
	while (held && uid == SLOW)
		pthread_cond_wait(&changed, &lock);
	waiting--;
	pthread_mutex_unlock(&lock);
	*pwd = (struct passwd){ .pw_name = name, .pw_uid = uid };
	*ret = uid == NAMED || uid == SLOW ? pwd : NULL;
	return 0;
}

int getgrgid_r(gid_t gid, struct group *grp, char *buf, size_t n, struct group **ret)
{
	static char name[] = "crowd";

	(void)buf;
	*ret = NULL;
	if (gid != CROWD)
		return 0;
	if (n < 100000)
		return ERANGE;
	*grp = (struct group){ .gr_name = name, .gr_gid = gid };
	*ret = grp;
	return 0;
}

static void hold(bool on)
{
	pthread_mutex_lock(&lock);
	held = on;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void wait_until_asked(void)
{
	pthread_mutex_lock(&lock);
	while (waiting == 0)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static int names_setup(void **state)
{
	int rc = fixture_setup(state);
	Fixture *f = *state;

	asked = 0;
	assert_int_equal(chmod(f->dir, 0755), 0);
	return rc;
}

static int answer_of(HttpClient *c)
{
	HttpAnswer a = http_read_answer(c);
	int code = a.code;

	http_answer_done(&a);
	return code;
}

static void test_only_who_asks_waits(void **state)
{
	Fixture *f = *state;
	HttpClient *slow[20];
	HttpAnswer a;

	hold(true);
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++) {
		slow[i] = connect_as(f->path, SLOW);
		http_request(slow[i], i % 2 ? "POST" : "GET", i % 2 ? SECRETS : "/version", "",
			     i % 2 ? "{\"metadata\":{\"name\":\"x\"}}" : NULL);
	}
	wait_until_asked();
	for (int i = 0; i < 100; i++)
		call_done(f, 200, "GET", "/version", NULL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
		assert_false(http_is_closed(slow[i], 0));
	hold(false);
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++) {
		assert_int_equal(answer_of(slow[i]), i % 2 ? 403 : 200);
		http_close(slow[i]);
	}
	assert_int_equal(asked, 1);
	a = call_as(f, NAMED, "GET", SECRETS, NULL, NULL);
	assert_int_equal(a.code, 403);
	assert_non_null(strstr(a.body, "User \\\"anna\\\" cannot list"));
	http_answer_done(&a);
	for (int i = 0; i < 10; i++) {
		a = call_as(f, NAMED, "GET", "/version", NULL, NULL);
		assert_int_equal(a.code, 200);
		http_answer_done(&a);
	}
	assert_int_equal(asked, 2);
}

/* A group with thousands of members has a name like any other, and the rights that it was given. */
static void test_a_group_of_many(void **state)
{
	Fixture *f = *state;

	bind_role(f, NULL, "crowd", "ClusterRole", "view", "Group:unix:crowd");
	json_decref(expect_as(f, CROWD, 200, "GET", INSTANCES, NULL, NULL));
	json_decref(expect_as(f, NAMED, 403, "GET", INSTANCES, NULL, NULL));
}

/* The client goes first, and then the name comes. */
static void test_a_client_that_does_not_wait(void **state)
{
	Fixture *f = *state;
	HttpClient *c;

	hold(true);
	c = connect_as(f->path, SLOW);
	http_request(c, "GET", "/version", "", NULL);
	wait_until_asked();
	http_close(c);
	hold(false);
	for (int i = 0; i < 10; i++)
		call_done(f, 200, "GET", "/version", NULL, NULL);
}

static void test_it_stops_all_the_same(void **state)
{
	Fixture *f = *state;
	HttpClient *c[3];

	hold(true);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		c[i] = connect_as(f->path, SLOW);
		http_request(c[i], "GET", "/version", "", NULL);
	}
	wait_until_asked();
	assert_int_equal(fixture_teardown(state), 0);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		assert_int_equal(answer_of(c[i]), 503);
		http_close(c[i]);
	}
	hold(false);
	assert_int_equal(fixture_setup(state), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, names_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_only_who_asks_waits),
		TEST(test_a_group_of_many),
		TEST(test_a_client_that_does_not_wait),
		TEST(test_it_stops_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
