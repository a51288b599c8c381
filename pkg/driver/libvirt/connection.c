/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connector thread and calls over its connection. See connection.h.
 *
 * virConnectOpen() has no deadline of its own, so only the connector ever waits in it; callers wait
 * for the connector, for as long as they like.
 */
#include "driver/libvirt/connection.h"

#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "base/memory.h"
#include "driver/libvirt/errors.h"

/* A silent libvirtd is found dead after 6 s; an idle connection costs one wake-up in 3 s. */
#define KEEPALIVE_INTERVAL 3
#define KEEPALIVE_COUNT    1
#define RETRY_FIRST        (100 * USEC_PER_MSEC)
#define RETRY_MAX          (2 * USEC_PER_SEC)
#define STOP_PATIENCE      (2 * USEC_PER_SEC)

/* ---- references ---- */

void libvirt_ref(Libvirt *lv)
{
	pthread_mutex_lock(&lv->lock);
	lv->refs++;
	pthread_mutex_unlock(&lv->lock);
}

void libvirt_unref(Libvirt *lv)
{
	bool last;

	pthread_mutex_lock(&lv->lock);
	last = --lv->refs == 0;
	pthread_mutex_unlock(&lv->lock);
	if (!last)
		return;
	hashmap_free(lv->ends);
	error_done(&lv->last_error);
	free(lv->uri);
	free(lv->virt_type);
	free(lv->store_id);
	free(lv->log_dir);
	pthread_cond_destroy(&lv->changed);
	pthread_mutex_destroy(&lv->lock);
	free(lv);
}

typedef struct CloseCall {
	Call call;
	Connection *connection;
} CloseCall;

static int close_run(Call *c, Error *err _unused_)
{
	Connection *conn = CONTAINER_OF(c, CloseCall, call)->connection;

	events_unregister(conn);
	virConnectClose(conn->conn);
	return 0;
}

static void close_release(Call *c)
{
	CloseCall *cc = CONTAINER_OF(c, CloseCall, call);

	libvirt_unref(cc->connection->libvirt);
	free(cc->connection);
	free(cc);
}

/* Closing talks to libvirtd and may hang, so a helper does it. */
static void connection_unref(Connection *c)
{
	Libvirt *lv = c->libvirt;
	CloseCall *cc;
	bool last;

	pthread_mutex_lock(&lv->lock);
	last = --c->refs == 0;
	pthread_mutex_unlock(&lv->lock);
	if (!last)
		return;
	cc = xnew0(CloseCall, 1);
	cc->call = (Call){ .run = close_run, .release = close_release, .refs = 1 };
	cc->connection = c;
	calls_post(lv->calls, &cc->call);
}

/* ---- events ---- */

void libvirt_subscribe(Libvirt *lv, DomainEventFn fn, void *arg)
{
	pthread_mutex_lock(&lv->lock);
	lv->event = fn;
	lv->event_arg = arg;
	pthread_mutex_unlock(&lv->lock);
}

void libvirt_emit(Libvirt *lv, const char *domain)
{
	DomainEventFn fn;
	void *arg;

	pthread_mutex_lock(&lv->lock);
	fn = lv->stopping ? NULL : lv->event;
	arg = lv->event_arg;
	lv->emitting += fn != NULL;
	pthread_mutex_unlock(&lv->lock);
	if (!fn)
		return;
	fn(arg, domain);
	pthread_mutex_lock(&lv->lock);
	if (--lv->emitting == 0)
		pthread_cond_broadcast(&lv->changed);
	pthread_mutex_unlock(&lv->lock);
}

DomainEnd libvirt_domain_end(Libvirt *lv, const char *domain)
{
	uintptr_t end;

	pthread_mutex_lock(&lv->lock);
	end = (uintptr_t)hashmap_get(lv->ends, domain);
	pthread_mutex_unlock(&lv->lock);
	return end ? (DomainEnd)(end - 1) : END_NONE;
}

/* ---- opening ---- */

static Connection *connection_new(Libvirt *lv, Error *err)
{
	virConnectPtr conn = virConnectOpen(lv->uri);
	Connection *c;

	if (!conn) {
		libvirt_error(err, "connect to %s", lv->uri);
		return NULL;
	}
	c = xnew0(Connection, 1);
	c->lifecycle = -1;
	c->libvirt = lv;
	c->conn = conn;
	c->refs = 1;
	libvirt_ref(lv);
	return c;
}

/* One that nobody else uses; on a helper thread, because opening may hang. It needs no keepalive:
 * only its own call waits on it. */
static Connection *spare_take(Libvirt *lv, Error *err)
{
	Connection *c = NULL;

	pthread_mutex_lock(&lv->lock);
	if (lv->n_spares)
		c = lv->spares[--lv->n_spares];
	pthread_mutex_unlock(&lv->lock);
	if (c && virConnectIsAlive(c->conn) == 1)
		return c;
	if (c)
		connection_unref(c);
	return connection_new(lv, err);
}

static void spare_give(Libvirt *lv, Connection *c)
{
	bool kept = false;

	pthread_mutex_lock(&lv->lock);
	if (lv->n_spares < SPARES_MAX && !lv->stopping && lv->current && !c->dead) {
		c->idle_since = clock_now(lv->clock);
		lv->spares[lv->n_spares++] = c;
		kept = true;
		if (lv->n_spares == 1) /* the connector had none to wait for */
			pthread_cond_broadcast(&lv->changed);
	}
	pthread_mutex_unlock(&lv->lock);
	if (!kept)
		connection_unref(c);
}

/* When the spare that is idle for longest has been so for long enough. Locked. */
static usec_t spares_expire_at(const Libvirt *lv)
{
	return lv->n_spares ? lv->spares[0]->idle_since + SPARE_IDLE_MAX : USEC_INFINITY;
}

/* Closes those that have been idle since then or before. */
static void spares_drop(Libvirt *lv, usec_t since)
{
	Connection *spares[SPARES_MAX];
	unsigned n = 0;

	pthread_mutex_lock(&lv->lock);
	while (n < lv->n_spares && lv->spares[n]->idle_since <= since) {
		spares[n] = lv->spares[n];
		n++;
	}
	lv->n_spares -= n;
	memmove(lv->spares, lv->spares + n, lv->n_spares * sizeof(*lv->spares));
	pthread_mutex_unlock(&lv->lock);
	for (unsigned i = 0; i < n; i++)
		connection_unref(spares[i]);
}

/* ---- the connector ---- */

static Connection *connection_open(Libvirt *lv, Error *err)
{
	Connection *c = connection_new(lv, err);

	if (!c)
		return NULL;
	/* Drivers inside this process (test:///) have no keepalive and cannot be lost. */
	c->remote = virConnectSetKeepAlive(c->conn, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT) == 0;
	if (events_register(c, err) < 0) {
		connection_unref(c);
		return NULL;
	}
	return c;
}

static void connector_try(Libvirt *lv)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Connection *c = connection_open(lv, &err);
	usec_t delay;

	pthread_mutex_lock(&lv->lock);
	lv->connecting_since = 0;
	if (c) {
		lv->current = c;
		lv->failures = 0;
		error_done(&lv->last_error);
	} else {
		delay = RETRY_FIRST << MIN(lv->failures, 5U);
		lv->failures++;
		lv->retry_at = clock_now(lv->clock) + MIN(delay, RETRY_MAX);
		error_done(&lv->last_error);
		error_move(&lv->last_error, &err);
	}
	pthread_cond_broadcast(&lv->changed);
	pthread_mutex_unlock(&lv->lock);
	if (c) {
		log_debug("libvirt: connected to %s", lv->uri);
		libvirt_emit(lv, NULL);
	}
}

/* The lock is held on entry and on return. */
static void connector_drop(Libvirt *lv)
{
	Connection *c = TAKE_PTR(lv->current);

	pthread_mutex_unlock(&lv->lock);
	log_debug("libvirt: lost %s", lv->uri);
	connection_unref(c);
	spares_drop(lv, USEC_INFINITY); /* they go with the libvirtd they lead to */
	/* What was known is unknown now, and says so. */
	libvirt_emit(lv, NULL);
	pthread_mutex_lock(&lv->lock);
}

static void *connector_main(void *arg)
{
	Libvirt *lv = arg;

	pthread_setname_np(pthread_self(), "libvirt-connect");
	pthread_mutex_lock(&lv->lock);
	while (!lv->stopping) {
		if (lv->current && lv->current->dead) {
			connector_drop(lv);
		} else if (lv->current && clock_now(lv->clock) >= spares_expire_at(lv)) {
			pthread_mutex_unlock(&lv->lock);
			spares_drop(lv, clock_now(lv->clock) - SPARE_IDLE_MAX);
			pthread_mutex_lock(&lv->lock);
		} else if (lv->current) {
			clock_wait(lv->clock, &lv->changed, &lv->lock, spares_expire_at(lv));
		} else if (clock_now(lv->clock) < lv->retry_at) {
			clock_wait(lv->clock, &lv->changed, &lv->lock, lv->retry_at);
		} else {
			lv->connecting_since = clock_now(lv->clock);
			pthread_mutex_unlock(&lv->lock);
			connector_try(lv);
			pthread_mutex_lock(&lv->lock);
		}
	}
	lv->connector_ended = true;
	pthread_cond_broadcast(&lv->changed);
	pthread_mutex_unlock(&lv->lock);
	libvirt_unref(lv);
	return NULL;
}

Libvirt *libvirt_new(const LibvirtOptions *o)
{
	Libvirt *lv = xnew0(Libvirt, 1);

	pthread_mutex_init(&lv->lock, NULL);
	clock_cond_init(&lv->changed);
	lv->clock = clock_system();
	lv->refs = 1;
	lv->uri = xstrdup(o->uri ? o->uri : "qemu:///system");
	lv->virt_type = xstrdup(o->virt_type ? o->virt_type : "auto");
	lv->store_id = xstrdup(o->store_id);
	if (o->log_dir)
		lv->log_dir = xstrdup(o->log_dir);
	else
		lv->log_dir =
			xstrdup(streq(lv->uri, "qemu:///system") ? "/var/log/libvirt/qemu" : "");
	lv->validate = o->validate;
	lv->calls = calls_new(lv->clock);
	lv->ends = hashmap_new(NULL);
	return lv;
}

int libvirt_start(Libvirt *lv, Error *err)
{
	sigset_t all, old;
	pthread_t thread;
	int e, rc = events_start(err);

	if (rc < 0)
		return rc;
	/* Before anybody asks, so that nobody takes "not begun" for "failed". */
	lv->connecting_since = clock_now(lv->clock);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	lv->refs++;
	e = pthread_create(&thread, NULL, connector_main, lv);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (e) {
		lv->refs--;
		lv->connector_ended = true;
		return error_set_errno(err, e, "start the connector thread");
	}
	pthread_detach(thread);
	return 0;
}

void libvirt_stop(Libvirt *lv)
{
	usec_t deadline = clock_now(lv->clock) + STOP_PATIENCE;
	bool connector_ended;
	Connection *c;

	pthread_mutex_lock(&lv->lock);
	lv->stopping = true;
	lv->event = NULL;
	pthread_cond_broadcast(&lv->changed);
	/* Who listened may be freed after this. */
	while ((!lv->connector_ended || lv->emitting > 0) && clock_now(lv->clock) < deadline)
		clock_wait(lv->clock, &lv->changed, &lv->lock, deadline);
	c = TAKE_PTR(lv->current);
	connector_ended = lv->connector_ended;
	pthread_mutex_unlock(&lv->lock);
	if (c)
		connection_unref(c);
	spares_drop(lv, USEC_INFINITY);
	/* A connector that hangs in virConnectOpen() may still post: then its Calls stay too. */
	if (connector_ended)
		calls_free(lv->calls, STOP_PATIENCE);
	libvirt_unref(lv);
}

/* ---- calls ---- */

static int connection_acquire(Libvirt *lv, Context *ctx, Connection **ret, Error *err)
{
	Context bounded = context_with_timeout(ctx, CONNECT_TIMEOUT);
	int rc = 0;

	pthread_mutex_lock(&lv->lock);
	while (!lv->current || lv->current->dead) {
		usec_t now = clock_now(lv->clock);

		if (lv->stopping)
			rc = error_set(err, ERR_CANCELED, "stopping");
		else if (!lv->connecting_since && lv->last_error.code && now < lv->retry_at)
			rc = error_copy(err, &lv->last_error);
		else if (lv->connecting_since && now >= lv->connecting_since + CONNECT_TIMEOUT)
			rc = error_set(err, ERR_UNAVAILABLE, "%s does not answer", lv->uri);
		else
			rc = context_check(&bounded, err);
		if (rc < 0)
			break;
		clock_wait(lv->clock, &lv->changed, &lv->lock,
			   MIN(bounded.deadline, now + 100 * USEC_PER_MSEC));
	}
	if (rc == 0) {
		*ret = lv->current;
		lv->current->refs++;
	}
	pthread_mutex_unlock(&lv->lock);
	/* Whatever keeps us from asking is "could not find out", never more. */
	if (rc < 0 && rc != -ERR_CANCELED && rc != -ERR_TIMEOUT && rc != -ERR_FORBIDDEN)
		rc = -ERR_UNAVAILABLE;
	if (rc < 0 && err)
		err->code = (ErrorCode)-rc;
	return rc;
}

static void connection_lost(Connection *c)
{
	Libvirt *lv = c->libvirt;

	pthread_mutex_lock(&lv->lock);
	c->dead = true;
	pthread_cond_broadcast(&lv->changed);
	pthread_mutex_unlock(&lv->lock);
}

/* Whether calls of that kind share the current connection. */
static bool call_shares(const LibvirtCall *c)
{
	return c->call.kind == CALL_LOOK || !c->connection->remote;
}

static int call_op(Call *call, Error *err)
{
	LibvirtCall *c = CONTAINER_OF(call, LibvirtCall, call);
	Connection *own = call_shares(c) ? NULL : spare_take(c->libvirt, err);
	Connection *used = own ? own : c->connection;
	int rc;

	if (!own && !call_shares(c))
		return -(int)err->code;
	virResetLastError();
	rc = c->op(c, used->conn, err);
	if (rc < 0 && virConnectIsAlive(used->conn) == 0) {
		if (own)
			own->dead = true;
		else
			connection_lost(used);
		if (err)
			err->code = ERR_UNAVAILABLE;
		rc = -ERR_UNAVAILABLE;
	}
	if (own)
		spare_give(c->libvirt, own);
	return rc;
}

static void call_abandoned(Call *call)
{
	LibvirtCall *c = CONTAINER_OF(call, LibvirtCall, call);
	Libvirt *lv = c->libvirt;

	if (!call_shares(c))
		return;
	pthread_mutex_lock(&lv->lock);
	if (++c->connection->abandoned >= CONNECTION_ABANDONED_MAX) {
		c->connection->dead = true;
		pthread_cond_broadcast(&lv->changed);
	}
	pthread_mutex_unlock(&lv->lock);
}

static void call_returned(Call *call)
{
	LibvirtCall *c = CONTAINER_OF(call, LibvirtCall, call);

	if (call_shares(c)) {
		pthread_mutex_lock(&c->libvirt->lock);
		c->connection->abandoned--;
		pthread_mutex_unlock(&c->libvirt->lock);
	}
	/* The domain can be asked again; and so can those that had to stand back. */
	libvirt_emit(c->libvirt, call->crowded ? NULL : c->domain);
}

static void call_release(Call *call)
{
	LibvirtCall *c = CONTAINER_OF(call, LibvirtCall, call);
	Libvirt *lv = c->libvirt;
	Connection *conn = c->connection;

	free(c->domain);
	c->done(c);
	if (conn)
		connection_unref(conn);
	libvirt_unref(lv);
}

void libvirt_call_init(LibvirtCall *c, Libvirt *lv, CallKind kind, const char *what,
		       const char *domain, const char *slot)
{
	c->call = (Call){ .run = call_op,
			  .release = call_release,
			  .abandoned = call_abandoned,
			  .returned = call_returned,
			  .slot = xstrdup(slot),
			  .kind = kind,
			  .what = what,
			  .refs = 1 };
	c->libvirt = lv;
	c->domain = xstrdup(domain);
	libvirt_ref(lv);
}

int libvirt_call_run(LibvirtCall *c, Context *ctx, Error *err)
{
	int rc = context_check(ctx, err);

	if (rc == 0)
		rc = connection_acquire(c->libvirt, ctx, &c->connection, err);
	if (rc == 0)
		rc = calls_run(c->libvirt->calls, ctx, &c->call, err);
	return rc;
}

void libvirt_call_unref(LibvirtCall *c)
{
	call_unref(c->libvirt->calls, &c->call);
}

/* ---- what new domains get ---- */

static int choose_virt_type(const Libvirt *lv, virConnectPtr conn, char buf[static 16], Error *err)
{
	_cleanup_(xfreep) char *xml = NULL;
	int code;

	if (!streq(lv->virt_type, "auto")) {
		snprintf(buf, 16, "%s", lv->virt_type);
		return 0;
	}
	xml = virConnectGetDomainCapabilities(conn, NULL, NULL, NULL, "kvm", 0);
	code = libvirt_last_code();
	if (!xml && (code == VIR_ERR_RPC || virConnectIsAlive(conn) == 0))
		return libvirt_error(err, "ask for KVM");
	snprintf(buf, 16, "%s", xml ? "kvm" : "qemu");
	return 0;
}

int connection_env(Connection *c, DomainXmlEnv *ret, Error *err)
{
	_cleanup_(xfreep) char *capabilities = NULL;
	Libvirt *lv = c->libvirt;
	char virt_type[16];
	bool known;
	int rc;

	pthread_mutex_lock(&lv->lock);
	known = c->env_known;
	pthread_mutex_unlock(&lv->lock);
	if (!known) {
		rc = choose_virt_type(lv, c->conn, virt_type, err);
		if (rc < 0)
			return rc;
		capabilities = virConnectGetCapabilities(c->conn);
		if (!capabilities)
			return libvirt_error(err, "ask for capabilities");
		pthread_mutex_lock(&lv->lock);
		memcpy(c->virt_type, virt_type, sizeof(virt_type));
		c->relabel = capabilities_has_dac(capabilities);
		c->env_known = true;
		pthread_mutex_unlock(&lv->lock);
	}
	/* Written once, before env_known. */
	*ret = (DomainXmlEnv){ .virt_type = c->virt_type, .relabel = c->relabel };
	return 0;
}
