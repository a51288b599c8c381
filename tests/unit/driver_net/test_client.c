/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of the net role, without one: how it comes to a connection.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "driver/net/net.h"

#define STARTS 6
/* Between them: 20 ms and twice as much each time. */
#define AT_LEAST (600 * USEC_PER_MSEC)

typedef struct Dying {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	usec_t at[STARTS];
	size_t n;
} Dying;

/* A role that is there, and at once is not. */
static int start_and_die(void *arg, int *ret_fd, _unused_ Error *err)
{
	Dying *d = arg;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return error_set(err, ERR_INTERNAL, "socketpair");
	fd_close(fds[1]);
	*ret_fd = fds[0];
	pthread_mutex_lock(&d->lock);
	if (d->n < STARTS)
		d->at[d->n++] = clock_now(clock_system());
	pthread_cond_signal(&d->changed);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static void a_role_that_dies_at_once_is_started_ever_more_rarely(void **state _unused_)
{
	Dying d = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	NetClientOptions o = { .connect = start_and_die, .connect_arg = &d };
	NetworkDriver *driver;

	assert_int_equal(network_client_new(&o, &driver, NULL), 0);
	pthread_mutex_lock(&d.lock);
	while (d.n < STARTS)
		pthread_cond_wait(&d.changed, &d.lock);
	pthread_mutex_unlock(&d.lock);
	driver->ops->free(driver);
	assert_true(d.at[STARTS - 1] - d.at[0] >= AT_LEAST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_role_that_dies_at_once_is_started_ever_more_rarely),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
