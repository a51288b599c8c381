/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What systemd is told and asked: readiness, status, activation, the host's state. See daemon.h.
 * Everything works, and says nothing, where there is no systemd.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#include "base/memory.h"
#include "daemon/daemon.h"

#define BUS_TIMEOUT (2 * USEC_PER_SEC)

void notify_ready(const char *status)
{
	if (status)
		sd_notifyf(0, "READY=1\nSTATUS=%s", status);
	else
		sd_notify(0, "READY=1");
}

void notify_reloading(void)
{
	char text[64];

	/* MONOTONIC_USEC is ignored before v253 and asked for after. */
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)clock_now(clock_system()));
	sd_notify(0, text);
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

void notify_alive(void)
{
	sd_notify(0, "WATCHDOG=1");
}

usec_t watchdog_interval(void)
{
	uint64_t usec;

	return sd_watchdog_enabled(0, &usec) > 0 ? usec / 2 : 0;
}

void notify_status(const char *fmt, ...)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static char last[256];
	char text[256];
	va_list ap;
	bool same;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* A newline would start another assignment. */
	for (char *p = text; *p; p++)
		if (*p == '\n')
			*p = ' ';
	pthread_mutex_lock(&lock);
	same = streq(text, last);
	memcpy(last, text, sizeof(last));
	pthread_mutex_unlock(&lock);
	if (!same)
		sd_notifyf(0, "STATUS=%s", text);
}

int activation_fds(int **ret, size_t *ret_n, Error *err)
{
	int n = sd_listen_fds(1);
	int *fds;

	if (n < 0)
		return error_set_errno(err, -n, "LISTEN_FDS");
	fds = xnew0(int, (size_t)n);
	for (int i = 0; i < n; i++) {
		fds[i] = SD_LISTEN_FDS_START + i;
		if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0) {
			free(fds);
			return error_set_errno(err, errno, "descriptor %d of LISTEN_FDS",
					       SD_LISTEN_FDS_START + i);
		}
	}
	*ret = fds;
	*ret_n = (size_t)n;
	return 0;
}

static bool ask_systemd(void)
{
	sd_bus *bus = NULL;
	char *state = NULL;
	bool stopping = false;

	if (sd_bus_open_system(&bus) < 0)
		return false;
	sd_bus_set_method_call_timeout(bus, BUS_TIMEOUT);
	if (sd_bus_get_property_string(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
				       "org.freedesktop.systemd1.Manager", "SystemState", NULL,
				       &state) >= 0)
		stopping = streq(state, "stopping");
	free(state);
	sd_bus_flush_close_unref(bus);
	return stopping;
}

bool host_is_stopping(void)
{
	/* A shutdown does not turn round, and the bus goes away during it. */
	static atomic_bool seen;

	if (atomic_load(&seen))
		return true;
	if (sd_booted() <= 0 || !ask_systemd())
		return false;
	atomic_store(&seen, true);
	return true;
}
