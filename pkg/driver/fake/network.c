/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake NetworkDriver. See network.h.
 */
#include "driver/fake/network.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/hashmap.h"
#include "base/memory.h"

/* What setting a network up counts as: bridge, router, links, rules, dnsmasq. */
#define BASE_PIECES 5

typedef struct FakeNetwork {
	NetworkConfig config;
	NetworkPort *ports; /* config.ports points here */
	unsigned broken;    /* pieces that somebody deleted */
	Hashmap *seen;      /* address text -> itself */
	Hashmap *lost;      /* taps made again under guests that run -> itself */
} FakeNetwork;

typedef struct FakeDriver {
	NetworkDriver driver;
	pthread_mutex_t lock;
	Hashmap *networks; /* uid -> FakeNetwork */
	ErrorCode failure;
	bool egress_blocked;
	unsigned calls, changes;
	int *accepted;
	size_t n_accepted, cap_accepted;
	NetworkEventFn event;
	void *event_arg;
} FakeDriver;

static void fake_network_release(void *p)
{
	FakeNetwork *n = p;

	hashmap_free(n->seen);
	hashmap_free(n->lost);
	free(n->ports);
	free(n);
}

static FakeDriver *fake_of(NetworkDriver *d)
{
	return CONTAINER_OF(d, FakeDriver, driver);
}

/* Takes the lock; every port function starts with it and ends with fake_leave(). */
static int fake_enter(FakeDriver *f, Context *ctx, Error *err)
{
	int rc;

	pthread_mutex_lock(&f->lock);
	f->calls++;
	rc = context_check(ctx, err);
	if (rc == 0 && f->failure)
		rc = error_set(err, f->failure, "net role: fake failure");
	return rc;
}

static int fake_leave(FakeDriver *f, int rc)
{
	pthread_mutex_unlock(&f->lock);
	return rc;
}

static void fake_emit(FakeDriver *f, const char *uid, const char *what)
{
	NetworkEventFn fn;
	void *arg;

	pthread_mutex_lock(&f->lock);
	fn = f->event;
	arg = f->event_arg;
	pthread_mutex_unlock(&f->lock);
	if (fn)
		fn(arg, uid, what);
}

static const NetworkPort *port_find(const NetworkPort *ports, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (ports[i].id == id)
			return &ports[i];
	return NULL;
}

static unsigned ports_difference(const FakeNetwork *n, const NetworkConfig *c)
{
	unsigned changes = 0;

	for (size_t i = 0; i < c->n_ports; i++) {
		const NetworkPort *old = port_find(n->ports, n->config.n_ports, c->ports[i].id);

		changes += !old || !network_port_equal(old, &c->ports[i]);
	}
	for (size_t i = 0; i < n->config.n_ports; i++)
		changes += !port_find(c->ports, c->n_ports, n->ports[i].id);
	return changes;
}

static FakeNetwork *network_by_vni(FakeDriver *f, uint32_t vni)
{
	hashmap_foreach (it, f->networks) {
		FakeNetwork *n = it.value;

		if (n->config.vni == vni)
			return n;
	}
	return NULL;
}

static void network_store(FakeNetwork *n, const NetworkConfig *c)
{
	free(n->ports);
	n->ports = c->n_ports ? xmemdup(c->ports, c->n_ports * sizeof(*c->ports)) : NULL;
	n->config = *c;
	n->config.ports = n->ports;
	n->broken = 0;
}

static void fake_status(FakeDriver *f, const NetworkConfig *c, NetworkStatus *s)
{
	s->ready = true;
	s->mtu = c->mtu ? c->mtu : 1450;
	s->egress_blocked = f->egress_blocked && c->egress != EGRESS_NONE;
	s->dnsmasq_pid = c->dhcp || c->dns ? (pid_t)(100000 + c->vni) : 0;
	snprintf(s->bridge, sizeof(s->bridge), "sfb%u", c->vni);
	snprintf(s->netns, sizeof(s->netns), "sf-%u", c->vni);
}

static int ensure_locked(FakeDriver *f, const NetworkConfig *c, NetworkStatus *ret, Error *err)
{
	FakeNetwork *n = hashmap_get(f->networks, c->uid), *other = network_by_vni(f, c->vni);
	NetworkStatus s = { 0 };
	int rc = network_config_validate(c, err);

	if (rc < 0)
		return rc;
	if ((other && other != n) || (n && n->config.vni != c->vni))
		return error_set(err, ERR_CONFLICT, "VNI %u belongs to another network", c->vni);
	if (!n) {
		n = xnew0(FakeNetwork, 1);
		n->seen = hashmap_new(NULL);
		n->lost = hashmap_new(NULL);
		hashmap_put(f->networks, c->uid, n);
		s.changes = BASE_PIECES + (unsigned)c->n_ports;
	} else {
		s.changes =
			n->broken + !network_settings_equal(&n->config, c) + ports_difference(n, c);
		s.repaired = n->broken > 0;
		if (s.repaired)
			snprintf(s.message, sizeof(s.message), "mended %u pieces", n->broken);
	}
	if (s.changes)
		network_store(n, c);
	f->changes += s.changes;
	fake_status(f, c, &s);
	*ret = s;
	return 0;
}

static int fake_ensure(NetworkDriver *self, Context *ctx, const NetworkConfig *config,
		       NetworkStatus *ret, Error *err)
{
	FakeDriver *f = fake_of(self);
	int rc = fake_enter(f, ctx, err);

	return fake_leave(f, rc < 0 ? rc : ensure_locked(f, config, ret, err));
}

static int remove_locked(FakeDriver *f, const char *uid, uint32_t vni, Error *err)
{
	FakeNetwork *n = hashmap_get(f->networks, uid), *other = network_by_vni(f, vni);

	if (other && other != n)
		return error_set(err, ERR_CONFLICT, "VNI %u belongs to another network", vni);
	if (!n)
		return 0;
	f->changes += BASE_PIECES + (unsigned)n->config.n_ports;
	hashmap_remove(f->networks, uid);
	return 0;
}

static int fake_remove(NetworkDriver *self, Context *ctx, const char *uid, uint32_t vni, Error *err)
{
	FakeDriver *f = fake_of(self);
	int rc = fake_enter(f, ctx, err);

	return fake_leave(f, rc < 0 ? rc : remove_locked(f, uid, vni, err));
}

static int fake_list(NetworkDriver *self, Context *ctx, const char *store_id, NetworkEntry **ret,
		     size_t *ret_n, Error *err)
{
	FakeDriver *f = fake_of(self);
	NetworkEntry *entries;
	size_t n = 0;
	int rc = fake_enter(f, ctx, err);

	if (rc < 0)
		return fake_leave(f, rc);
	entries = xnew0(NetworkEntry, hashmap_size(f->networks) + 1);
	hashmap_foreach (it, f->networks) {
		const NetworkConfig *c = &((FakeNetwork *)it.value)->config;

		if (!streq(c->store_id, store_id))
			continue;
		entries[n].vni = c->vni;
		memcpy(entries[n].store_id, c->store_id, UUID_MAX);
		memcpy(entries[n++].uid, c->uid, UUID_MAX);
	}
	*ret = entries;
	*ret_n = n;
	return fake_leave(f, 0);
}

static int fake_address_seen(NetworkDriver *self, Context *ctx, const char *uid,
			     const IpAddress *address, bool *ret, Error *err)
{
	FakeDriver *f = fake_of(self);
	char text[IP_TEXT_MAX];
	FakeNetwork *n;
	int rc = fake_enter(f, ctx, err);

	if (rc < 0)
		return fake_leave(f, rc);
	n = hashmap_get(f->networks, uid);
	if (!n)
		return fake_leave(f,
				  error_set(err, ERR_NOT_FOUND, "network %s is not set up", uid));
	*ret = hashmap_contains(n->seen, ip_format(address, text));
	return fake_leave(f, 0);
}

static int fake_port_attached(NetworkDriver *self, Context *ctx, const char *uid, uint32_t port_id,
			      bool *ret, Error *err)
{
	FakeDriver *f = fake_of(self);
	const FakeNetwork *n;
	char tap[16];
	int rc = fake_enter(f, ctx, err);

	if (rc < 0)
		return fake_leave(f, rc);
	n = hashmap_get(f->networks, uid);
	if (!n || !port_find(n->ports, n->config.n_ports, port_id))
		return fake_leave(
			f, error_set(err, ERR_NOT_FOUND, "port %08x is not set up", port_id));
	network_tap_name(port_id, tap);
	*ret = !hashmap_contains(n->lost, tap);
	return fake_leave(f, 0);
}

static int dial_locked(FakeDriver *f, const char *uid, const IpAddress *address, int *ret_fd,
		       Error *err)
{
	FakeNetwork *n = hashmap_get(f->networks, uid);
	char text[IP_TEXT_MAX];
	int fds[2];

	if (!n)
		return error_set(err, ERR_NOT_FOUND, "network %s is not set up", uid);
	if (!hashmap_contains(n->seen, ip_format(address, text)))
		return error_set(err, ERR_UNAVAILABLE, "connect to %s: no route to host", text);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return error_set_errno(err, errno, "socketpair");
	GROW_ARRAY(f->accepted, f->n_accepted, f->cap_accepted);
	f->accepted[f->n_accepted++] = fds[1];
	*ret_fd = fds[0];
	return 0;
}

static int fake_dial(NetworkDriver *self, Context *ctx, const char *uid, const IpAddress *address,
		     _unused_ uint16_t port, int *ret_fd, Error *err)
{
	FakeDriver *f = fake_of(self);
	int rc = fake_enter(f, ctx, err);

	return fake_leave(f, rc < 0 ? rc : dial_locked(f, uid, address, ret_fd, err));
}

static void fake_subscribe(NetworkDriver *self, NetworkEventFn fn, void *arg)
{
	FakeDriver *f = fake_of(self);

	pthread_mutex_lock(&f->lock);
	f->event = fn;
	f->event_arg = arg;
	pthread_mutex_unlock(&f->lock);
}

static NetworkDriver *fake_free(NetworkDriver *self)
{
	FakeDriver *f = fake_of(self);

	for (size_t i = 0; i < f->n_accepted; i++)
		fd_close(f->accepted[i]);
	free(f->accepted);
	hashmap_free(f->networks);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return NULL;
}

static const NetworkDriverOps fake_ops = {
	.name = "fake",
	.ensure = fake_ensure,
	.remove = fake_remove,
	.list = fake_list,
	.address_seen = fake_address_seen,
	.port_attached = fake_port_attached,
	.dial = fake_dial,
	.subscribe = fake_subscribe,
	.free = fake_free,
};

NetworkDriver *fake_network_new(void)
{
	FakeDriver *f = xnew0(FakeDriver, 1);

	f->driver.ops = &fake_ops;
	pthread_mutex_init(&f->lock, NULL);
	f->networks = hashmap_new(fake_network_release);
	return &f->driver;
}

bool fake_network_get(NetworkDriver *d, const char *uid, NetworkConfig *ret)
{
	FakeDriver *f = fake_of(d);
	FakeNetwork *n;

	pthread_mutex_lock(&f->lock);
	n = hashmap_get(f->networks, uid);
	if (n) {
		*ret = n->config;
		ret->ports = xmemdup(n->ports, n->config.n_ports * sizeof(*n->ports));
	}
	pthread_mutex_unlock(&f->lock);
	return n != NULL;
}

bool fake_network_has_port(NetworkDriver *d, const char *uid, uint32_t port_id)
{
	FakeDriver *f = fake_of(d);
	FakeNetwork *n;
	bool there;

	pthread_mutex_lock(&f->lock);
	n = hashmap_get(f->networks, uid);
	there = n && port_find(n->ports, n->config.n_ports, port_id);
	pthread_mutex_unlock(&f->lock);
	return there;
}

size_t fake_network_count(NetworkDriver *d)
{
	FakeDriver *f = fake_of(d);
	size_t n;

	pthread_mutex_lock(&f->lock);
	n = hashmap_size(f->networks);
	pthread_mutex_unlock(&f->lock);
	return n;
}

static unsigned counter_read(FakeDriver *f, const unsigned *counter)
{
	unsigned v;

	pthread_mutex_lock(&f->lock);
	v = *counter;
	pthread_mutex_unlock(&f->lock);
	return v;
}

unsigned fake_network_calls(NetworkDriver *d)
{
	return counter_read(fake_of(d), &fake_of(d)->calls);
}

unsigned fake_network_changes(NetworkDriver *d)
{
	return counter_read(fake_of(d), &fake_of(d)->changes);
}

void fake_network_break(NetworkDriver *d, const char *uid, const char *what)
{
	FakeDriver *f = fake_of(d);
	FakeNetwork *n;

	pthread_mutex_lock(&f->lock);
	n = hashmap_get(f->networks, uid);
	assert(n);
	n->broken++;
	pthread_mutex_unlock(&f->lock);
	fake_emit(f, uid, what);
}

void fake_network_lose_tap(NetworkDriver *d, const char *uid, uint32_t port_id)
{
	FakeDriver *f = fake_of(d);
	FakeNetwork *n;
	char tap[16];

	network_tap_name(port_id, tap);
	pthread_mutex_lock(&f->lock);
	n = hashmap_get(f->networks, uid);
	assert(n);
	hashmap_put(n->lost, tap, n);
	n->broken++;
	pthread_mutex_unlock(&f->lock);
	fake_emit(f, uid, "link gone");
}

void fake_network_hold_tap(NetworkDriver *d, const char *uid, uint32_t port_id)
{
	FakeDriver *f = fake_of(d);
	FakeNetwork *n;
	char tap[16];

	network_tap_name(port_id, tap);
	pthread_mutex_lock(&f->lock);
	n = hashmap_get(f->networks, uid);
	assert(n);
	hashmap_remove(n->lost, tap);
	pthread_mutex_unlock(&f->lock);
}

void fake_network_see(NetworkDriver *d, const char *uid, const IpAddress *address)
{
	FakeDriver *f = fake_of(d);
	char text[IP_TEXT_MAX];
	FakeNetwork *n;

	pthread_mutex_lock(&f->lock);
	n = hashmap_get(f->networks, uid);
	assert(n);
	hashmap_put(n->seen, ip_format(address, text), n);
	pthread_mutex_unlock(&f->lock);
	fake_emit(f, uid, "address seen");
}

void fake_network_set_failure(NetworkDriver *d, ErrorCode code)
{
	FakeDriver *f = fake_of(d);

	pthread_mutex_lock(&f->lock);
	f->failure = code;
	pthread_mutex_unlock(&f->lock);
	if (!code)
		fake_emit(f, NULL, "net role connected");
}

void fake_network_set_egress_blocked(NetworkDriver *d, bool blocked)
{
	FakeDriver *f = fake_of(d);

	pthread_mutex_lock(&f->lock);
	f->egress_blocked = blocked;
	pthread_mutex_unlock(&f->lock);
	fake_emit(f, NULL, "firewall changed");
}

int fake_network_accept(NetworkDriver *d)
{
	FakeDriver *f = fake_of(d);
	int fd = -1;

	pthread_mutex_lock(&f->lock);
	if (f->n_accepted) {
		fd = f->accepted[0];
		memmove(f->accepted, f->accepted + 1, --f->n_accepted * sizeof(*f->accepted));
	}
	pthread_mutex_unlock(&f->lock);
	return fd;
}
