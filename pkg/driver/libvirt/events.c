/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt's event loop on its thread, and what is heard on it: callbacks remember how a domain
 * ended and enqueue its name, nothing else. See connection.h.
 *
 * The loop is libvirt's own and lives as long as the process: registering it cannot be undone.
 */
#include <errno.h>
#include <signal.h>

#include "base/log.h"
#include "base/memory.h"
#include "driver/libvirt/connection.h"
#include "driver/libvirt/errors.h"

static pthread_once_t loop_once = PTHREAD_ONCE_INIT;
static int loop_errno;

static void *loop_main(void *arg _unused_)
{
	pthread_setname_np(pthread_self(), "libvirt-events");
	for (;;)
		if (virEventRunDefaultImpl() < 0)
			log_debug("libvirt: event loop: %d", libvirt_last_code());
	return NULL;
}

static void loop_start(void)
{
	sigset_t all, old;
	pthread_t thread;

	libvirt_errors_silence();
	if (virEventRegisterDefaultImpl() < 0) {
		loop_errno = ENOSYS;
		return;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	loop_errno = pthread_create(&thread, NULL, loop_main, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (loop_errno == 0)
		pthread_detach(thread);
}

int events_start(Error *err)
{
	pthread_once(&loop_once, loop_start);
	return loop_errno ? error_set_errno(err, loop_errno, "start libvirt's event loop") : 0;
}

/* What callbacks hold: they may outlive the Connection, never the Libvirt. */
typedef struct Listener {
	Libvirt *libvirt;
	virConnectPtr conn; /* compared, never used */
} Listener;

static Listener *listener_new(Connection *c)
{
	Listener *l = xnew0(Listener, 1);

	l->libvirt = c->libvirt;
	l->conn = c->conn;
	libvirt_ref(c->libvirt);
	return l;
}

static void listener_free(void *opaque)
{
	Listener *l = opaque;

	libvirt_unref(l->libvirt);
	free(l);
}

static void remember_end(Libvirt *lv, const char *domain, int event, int detail)
{
	DomainEnd end = END_NONE;

	if (event == VIR_DOMAIN_EVENT_CRASHED)
		end = END_PANIC;
	else if (event == VIR_DOMAIN_EVENT_SHUTDOWN && detail == VIR_DOMAIN_EVENT_SHUTDOWN_HOST)
		end = END_SIGNAL;
	pthread_mutex_lock(&lv->lock);
	if (end != END_NONE)
		hashmap_put(lv->ends, domain, (void *)((uintptr_t)end + 1));
	else if (event == VIR_DOMAIN_EVENT_STARTED || event == VIR_DOMAIN_EVENT_UNDEFINED)
		hashmap_remove(lv->ends, domain);
	pthread_mutex_unlock(&lv->lock);
}

static int on_lifecycle(virConnectPtr conn _unused_, virDomainPtr dom, int event, int detail,
			void *opaque)
{
	Listener *l = opaque;
	const char *name = virDomainGetName(dom);

	if (!name)
		return 0;
	remember_end(l->libvirt, name, event, detail);
	libvirt_emit(l->libvirt, name);
	return 0;
}

static void on_close(virConnectPtr conn _unused_, int reason, void *opaque)
{
	Listener *l = opaque;
	Libvirt *lv = l->libvirt;

	log_debug("libvirt: connection closed, reason %d", reason);
	pthread_mutex_lock(&lv->lock);
	if (lv->current && lv->current->conn == l->conn) {
		lv->current->dead = true;
		pthread_cond_broadcast(&lv->changed);
	}
	pthread_mutex_unlock(&lv->lock);
}

int events_register(Connection *c, Error *err)
{
	Listener *l = listener_new(c);

	c->lifecycle = virConnectDomainEventRegisterAny(
		c->conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
		VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), l, listener_free);
	if (c->lifecycle < 0) {
		listener_free(l);
		return libvirt_error(err, "listen for events");
	}
	if (!c->remote)
		return 0;
	l = listener_new(c);
	c->close_registered =
		virConnectRegisterCloseCallback(c->conn, on_close, l, listener_free) == 0;
	if (!c->close_registered)
		listener_free(l);
	return 0;
}

void events_unregister(Connection *c)
{
	if (c->close_registered)
		virConnectUnregisterCloseCallback(c->conn, on_close);
	if (c->lifecycle >= 0)
		virConnectDomainEventDeregisterAny(c->conn, c->lifecycle);
}
