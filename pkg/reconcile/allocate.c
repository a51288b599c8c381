/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations as records of the store's log. See allocate.h for the names and what they hold.
 */
#include "reconcile/allocate.h"

#include <stdlib.h>

#include "base/failpoint.h"
#include "base/hashmap.h"
#include "base/memory.h"
#include "json/json.h"

#define CHOICES_MAX 64 /* random tries before a choice is given up */
#define FIRST_HOST \
	2 /* index in a prefix of the first address that may be given: past the network and the \
	     gateway */

static Key alloc_key(const char *fmt, ...) _printf_(1, 2);
static Key alloc_key(const char *fmt, ...)
{
	_cleanup_(xfreep) char *name = NULL;
	va_list ap;

	va_start(ap, fmt);
	name = xvasprintf(fmt, ap);
	va_end(ap);
	return key_make(GR_ALLOC, "", name);
}

/* 0 and the body, 1 if there is none, or an error. */
static int alloc_get(Store *s, const Key *key, json_t **ret, int64_t *ret_rev, Error *err)
{
	int rc = store_record_get(s, key, ret, ret_rev, err);

	if (rc == -ERR_NOT_FOUND) {
		error_ignore(err);
		return 1;
	}
	return rc;
}

/* ---- VNI ---- */

typedef struct VniSearch {
	const char *network_uid;
	uint32_t found; /* 0 = none yet */
} VniSearch;

static uint32_t vni_of(const Key *key)
{
	return (uint32_t)strtoul(key->name + strlen("vni/"), NULL, 10);
}

static int vni_match(void *arg, const Key *key, const json_t *body, int64_t rev _unused_)
{
	VniSearch *search = arg;

	if (streq_ptr(json_string_at(body, "network"), search->network_uid))
		search->found = vni_of(key);
	return 0;
}

int vni_get(Store *s, const char *network_uid, uint32_t hint, uint32_t *ret, Error *err)
{
	VniSearch search = { .network_uid = network_uid };
	_cleanup_(json_decrefp) json_t *body = NULL;
	Key key = alloc_key("vni/%u", hint);
	int64_t rev;
	int rc = hint ? alloc_get(s, &key, &body, &rev, err) : 1;

	if (rc == 0 && streq_ptr(json_string_at(body, "network"), network_uid))
		search.found = hint;
	else if (rc >= 0)
		rc = store_record_list(s, GR_ALLOC, "vni/", vni_match, &search, err);
	if (rc < 0)
		return rc;
	if (!search.found)
		return error_set(err, ERR_NOT_FOUND, "the network has no VNI yet");
	*ret = search.found;
	return 0;
}

int vni_allocate(Store *s, Txn *t, const char *network_uid, uint32_t *ret, Error *err)
{
	for (int i = 0; i < CHOICES_MAX; i++) {
		uint32_t vni = VNI_MIN + (uint32_t)(random_u64() % VNI_MAX);
		_cleanup_(json_decrefp) json_t *body = NULL;
		Key key = alloc_key("vni/%u", vni);
		int64_t rev;
		int rc = alloc_get(s, &key, &body, &rev, err);

		if (rc < 0)
			return rc;
		if (rc == 1) {
			_cleanup_(json_decrefp) json_t *claim =
				json_pack("{s:s}", "network", network_uid);

			txn_record_put(t, &key, claim, 0);
			*ret = vni;
			return 0;
		}
	}
	return error_set(err, ERR_EXHAUSTED, "no free VNI was found");
}

void vni_release(Txn *t, uint32_t vni)
{
	Key key = alloc_key("vni/%u", vni);

	txn_record_delete(t, &key, -2);
}

static int vni_add(void *arg, const Key *key, const json_t *body, int64_t rev _unused_)
{
	const char *uid = json_string_at(body, "network");

	if (uid)
		hashmap_put(arg, uid, (void *)(uintptr_t)vni_of(key));
	return 0;
}

int vni_list(Store *s, Hashmap *add, Error *err)
{
	return store_record_list(s, GR_ALLOC, "vni/", vni_add, add, err);
}

/* ---- reading ports ---- */

static int port_decode(const json_t *body, const char *instance_uid, NetworkPort *ret, Error *err)
{
	NetworkPort p = { .id = (uint32_t)json_integer_at(body, "portID", 0) };
	const char *mac = json_string_at(body, "mac"), *hostname = json_string_at(body, "hostname");
	json_t *addresses = json_object_get(body, "addresses"), *a;
	size_t i;
	int rc;

	snprintf(p.uid, sizeof(p.uid), "%s", instance_uid);
	snprintf(p.hostname, sizeof(p.hostname), "%s", hostname ? hostname : "");
	rc = mac_parse(mac ? mac : "", &p.mac, err);
	if (rc < 0)
		return rc;
	json_array_foreach (addresses, i, a) {
		if (p.n_addresses == NETWORK_PORT_ADDRESSES_MAX)
			break;
		rc = ip_parse(json_string_value(a) ? json_string_value(a) : "",
			      &p.addresses[p.n_addresses], err);
		if (rc < 0)
			return rc;
		p.n_addresses++;
	}
	*ret = p;
	return 0;
}

int nic_get(Store *s, const char *network_uid, const char *instance_uid, const char *nic,
	    NetworkPort *ret, Error *err)
{
	Key key = alloc_key("nic/%s/%s/%s", network_uid, instance_uid, nic);
	_cleanup_(json_decrefp) json_t *body = NULL;
	int64_t rev;
	int rc = store_record_get(s, &key, &body, &rev, err);

	return rc < 0 ? rc : port_decode(body, instance_uid, ret, err);
}

typedef struct PortList {
	NetworkPort *ports;
	size_t n, cap;
	Error *err;
} PortList;

/* "nic/<network>/<instance>/<nic>": the part between the second and third slash. */
static bool nic_name_parts(const char *name, char network[UUID_MAX], char instance[UUID_MAX],
			   const char **ret_nic)
{
	_cleanup_(strv_freep) char **parts = strv_split(name, '/');

	if (strv_len(parts) != 4 || strlen(parts[1]) >= UUID_MAX || strlen(parts[2]) >= UUID_MAX)
		return false;
	snprintf(network, UUID_MAX, "%s", parts[1]);
	snprintf(instance, UUID_MAX, "%s", parts[2]);
	*ret_nic = strrchr(name, '/') + 1;
	return true;
}

static int port_list_add(void *arg, const Key *key, const json_t *body, int64_t rev _unused_)
{
	char network[UUID_MAX], instance[UUID_MAX];
	PortList *list = arg;
	const char *nic;
	int rc;

	if (!nic_name_parts(key->name, network, instance, &nic))
		return 0;
	GROW_ARRAY(list->ports, list->n, list->cap);
	rc = port_decode(body, instance, &list->ports[list->n], list->err);
	if (rc < 0)
		return error_wrap_rc(list->err, rc, "allocation %s", key->name);
	list->n++;
	return 0;
}

static int port_compare(const void *a, const void *b)
{
	const NetworkPort *p = a, *q = b;

	return p->id < q->id ? -1 : p->id > q->id;
}

int nic_list(Store *s, const char *network_uid, NetworkPort **ret, size_t *ret_n, Error *err)
{
	_cleanup_(xfreep) char *prefix = xasprintf("nic/%s/", network_uid);
	PortList list = { .err = err };
	int rc = store_record_list(s, GR_ALLOC, prefix, port_list_add, &list, err);

	if (rc < 0) {
		free(list.ports);
		return rc;
	}
	if (list.n)
		qsort(list.ports, list.n, sizeof(*list.ports), port_compare);
	*ret = list.ports;
	*ret_n = list.n;
	return 0;
}

typedef struct NicUids {
	Hashmap *add;
	bool networks; /* or instances */
} NicUids;

static int nic_uid_add(void *arg, const Key *key, const json_t *body _unused_, int64_t rev _unused_)
{
	char network[UUID_MAX], instance[UUID_MAX];
	NicUids *u = arg;
	const char *nic;

	if (nic_name_parts(key->name, network, instance, &nic))
		hashmap_put(u->add, u->networks ? network : instance, NULL);
	return 0;
}

int nic_networks(Store *s, Hashmap *add, Error *err)
{
	NicUids u = { .add = add, .networks = true };

	return store_record_list(s, GR_ALLOC, "nic/", nic_uid_add, &u, err);
}

int nic_instances(Store *s, Hashmap *add, Error *err)
{
	NicUids u = { .add = add };

	return store_record_list(s, GR_ALLOC, "nic/", nic_uid_add, &u, err);
}

/* ---- claiming ---- */

static json_t *claim_body(const NicRequest *q)
{
	return json_pack("{s:s, s:s, s:s}", "instance", q->instance_uid, "owner", q->owner, "nic",
			 q->nic);
}

/* Claims a record that is absent, resting, or already this interface's. 1 = taken (*ret_owner,
 * caller frees); -ERR_UNAVAILABLE: by another interface of the same instance. */
static int claim(Store *s, Txn *t, const Key *key, const NicRequest *q, char **ret_owner,
		 Error *err)
{
	_cleanup_(json_decrefp) json_t *body = NULL, *mine = claim_body(q);
	int64_t rev = 0;
	int rc = alloc_get(s, key, &body, &rev, err);
	const char *instance, *owner, *nic;

	if (rc < 0)
		return rc;
	instance = body ? json_string_at(body, "instance") : NULL;
	nic = body ? json_string_at(body, "nic") : NULL;
	if (instance && !streq(instance, q->instance_uid)) {
		owner = json_string_at(body, "owner");
		*ret_owner = xstrdup(owner ? owner : instance);
		return 1;
	}
	/* Two ports with one address would be refused by the network, to everybody's loss. */
	if (instance && nic && !streq(nic, q->nic))
		return error_set(err, ERR_UNAVAILABLE, "interface %s of this instance still has %s",
				 nic, strrchr(key->name, '/') + 1);
	txn_record_put(t, key, mine, rc == 1 ? 0 : rev);
	return 0;
}

static int claim_address(Store *s, Txn *t, const NicRequest *q, const IpAddress *a, Error *err)
{
	_cleanup_(xfreep) char *owner = NULL;
	char text[IP_TEXT_MAX];
	Key key = alloc_key("address/%s/%s", q->network_uid, ip_format(a, text));
	int rc = claim(s, t, &key, q, &owner, err);

	if (rc == 1)
		return error_set(err, ERR_EXISTS,
				 "address %s is taken by instance %s: choose another, or leave "
				 "spec.interfaces[].addresses out",
				 text, owner);
	return rc;
}

static int check_wanted(const NicRequest *q, const IpAddress *a, const char *text, Error *err)
{
	const IpPrefix *p = a->family == AF_INET ? &q->prefix4 : &q->prefix6;
	const IpAddress *gateway = a->family == AF_INET ? &q->gateway4 : &q->gateway6;
	char prefix[IP_TEXT_MAX];
	IpAddress last;

	if (!p->address.family)
		return error_set(err, ERR_INVALID, "address %s: the network has no %s prefix", text,
				 a->family == AF_INET ? "IPv4" : "IPv6");
	if (!ip_prefix_contains(p, a))
		return error_set(err, ERR_INVALID, "address %s is outside the network's %s", text,
				 ip_prefix_format(p, prefix));
	last = ip_prefix_last(p);
	if (ip_equal(a, gateway))
		return error_set(err, ERR_INVALID, "address %s is the network's gateway", text);
	if (ip_equal(a, &p->address) || (a->family == AF_INET && ip_equal(a, &last)))
		return error_set(err, ERR_INVALID,
				 "address %s is the network or broadcast address of %s", text,
				 ip_prefix_format(p, prefix));
	return 0;
}

static int add_wanted(Store *s, Txn *t, const NicRequest *q, NetworkPort *p, Error *err)
{
	int rc;

	strv_foreach (text, q->addresses) {
		IpAddress *a = &p->addresses[p->n_addresses];

		if (p->n_addresses == NETWORK_PORT_ADDRESSES_MAX)
			return error_set(err, ERR_INVALID, "more than %d addresses",
					 NETWORK_PORT_ADDRESSES_MAX);
		rc = ip_parse(*text, a, err);
		if (rc == 0)
			rc = check_wanted(q, a, *text, err);
		if (rc == 0)
			rc = claim_address(s, t, q, a, err);
		if (rc < 0)
			return rc;
		p->n_addresses++;
	}
	return 0;
}

static bool port_has_family(const NetworkPort *p, int family)
{
	for (size_t i = 0; i < p->n_addresses; i++)
		if (p->addresses[i].family == family)
			return true;
	return false;
}

typedef struct Taken {
	Hashmap *busy; /* address text */
	usec_t wall;
	char oldest[IP_TEXT_MAX]; /* resting the longest, in case nothing else is left */
	usec_t oldest_time;
	int family;
} Taken;

static int taken_add(void *arg, const Key *key, const json_t *body, int64_t rev _unused_)
{
	const char *address = strrchr(key->name, '/') + 1;
	usec_t released = (usec_t)json_integer_at(body, "released", 0);
	Taken *taken = arg;

	if ((strchr(address, ':') != NULL) != (taken->family == AF_INET6) ||
	    hashmap_contains(taken->busy, address))
		return 0;
	if (released && taken->wall >= released && taken->wall - released >= ADDRESS_REST)
		return 0;
	if (released && (!taken->oldest_time || released < taken->oldest_time)) {
		taken->oldest_time = released;
		snprintf(taken->oldest, sizeof(taken->oldest), "%s", address);
	}
	hashmap_put(taken->busy, address, taken);
	return 0;
}

/* The lowest free address; when all are given, the one that has rested longest. */
static int choose_address(Store *s, Clock *clock, const NicRequest *q, int family, IpAddress *ret,
			  Error *err)
{
	const IpPrefix *p = family == AF_INET ? &q->prefix4 : &q->prefix6;
	const IpAddress *gateway = family == AF_INET ? &q->gateway4 : &q->gateway6;
	_cleanup_(xfreep) char *prefix = xasprintf("address/%s/", q->network_uid);
	_cleanup_(hashmap_freep) Hashmap *busy = hashmap_new(NULL);
	Taken taken = { .busy = busy, .wall = clock_wall(clock), .family = family };
	uint64_t size = ip_prefix_size(p);
	char text[IP_TEXT_MAX];
	IpAddress other;
	int rc;

	strv_foreach (a, q->others)
		if (ip_parse(*a, &other, NULL) == 0)
			hashmap_put(busy, ip_format(&other, text), &taken);
	rc = store_record_list(s, GR_ALLOC, prefix, taken_add, &taken, err);
	if (rc < 0)
		return rc;
	/* One more than are busy is always enough tries, whatever the prefix's size. */
	for (uint64_t i = FIRST_HOST - 1, tries = 0;
	     i < size - (family == AF_INET) && tries <= hashmap_size(busy) + 3; i++, tries++) {
		IpAddress a = ip_prefix_nth(p, i);

		if (ip_equal(&a, gateway) || hashmap_contains(busy, ip_format(&a, text)))
			continue;
		*ret = a;
		return 0;
	}
	if (taken.oldest_time)
		return ip_parse(taken.oldest, ret, err);
	return error_set(err, ERR_EXHAUSTED, "every address of %s is in use",
			 ip_prefix_format(p, text));
}

/* What looked free may be claimed by somebody faster before we get there: then the next one is. */
static int add_chosen(Store *s, Clock *clock, Txn *t, const NicRequest *q, int family,
		      NetworkPort *p, Error *err)
{
	const IpPrefix *prefix = family == AF_INET ? &q->prefix4 : &q->prefix6;
	IpAddress a;
	int rc;

	if (!prefix->address.family || port_has_family(p, family) ||
	    p->n_addresses == NETWORK_PORT_ADDRESSES_MAX)
		return 0;
	for (int i = 0; i < CHOICES_MAX; i++) {
		rc = choose_address(s, clock, q, family, &a, err);
		if (rc == 0)
			rc = claim_address(s, t, q, &a, err);
		if (rc == 0)
			p->addresses[p->n_addresses++] = a;
		if (rc != -ERR_EXISTS)
			return rc;
		error_ignore(err);
	}
	return error_set(err, ERR_CONFLICT, "every address that was free was claimed by others");
}

/* 02:73:66 is the gateways' own range; guests get QEMU's 52:54:00. */
static MacAddress random_mac(void)
{
	MacAddress m = {
		{0x52, 0x54, 0x00}
	};

	random_bytes(m.bytes + 3, 3);
	return m;
}

static int add_mac(Store *s, Txn *t, const NicRequest *q, NetworkPort *p, Error *err)
{
	char text[MAC_TEXT_MAX];
	int rc;

	for (int i = 0; i < CHOICES_MAX; i++) {
		_cleanup_(xfreep) char *owner = NULL;
		Key key;

		if (!q->mac)
			p->mac = random_mac();
		else if ((rc = mac_parse(q->mac, &p->mac, err)) < 0)
			return rc;
		key = alloc_key("mac/%s/%s", q->network_uid, mac_format(&p->mac, text));
		rc = claim(s, t, &key, q, &owner, err);
		if (rc <= 0)
			return rc;
		if (q->mac)
			return error_set(err, ERR_EXISTS,
					 "MAC address %s is taken on this network by instance %s: "
					 "choose another, or leave spec.interfaces[].macAddress "
					 "out",
					 text, owner);
	}
	return error_set(err, ERR_EXHAUSTED, "no free MAC address was found");
}

static int add_port_id(Store *s, Txn *t, const NicRequest *q, NetworkPort *p, Error *err)
{
	for (int i = 0; i < CHOICES_MAX; i++) {
		_cleanup_(json_decrefp) json_t *body = NULL, *mine = json_pack("{s:s}", "instance",
									       q->instance_uid);
		uint32_t id = (uint32_t)random_u64() | 1;
		Key key = alloc_key("port/%08x", id);
		int64_t rev;
		int rc = alloc_get(s, &key, &body, &rev, err);

		if (rc < 0)
			return rc;
		if (rc == 1) {
			txn_record_put(t, &key, mine, 0);
			p->id = id;
			return 0;
		}
	}
	return error_set(err, ERR_EXHAUSTED, "no free port id was found");
}

int nic_allocate(Store *s, Clock *clock, Txn *t, const NicRequest *q, NetworkPort *ret, Error *err)
{
	_cleanup_(json_decrefp) json_t *body = NULL, *addresses = json_array();
	Key key = alloc_key("nic/%s/%s/%s", q->network_uid, q->instance_uid, q->nic);
	char text[IP_TEXT_MAX], mac[MAC_TEXT_MAX];
	NetworkPort p = { 0 };
	int rc;

	snprintf(p.uid, sizeof(p.uid), "%s", q->instance_uid);
	snprintf(p.hostname, sizeof(p.hostname), "%s", q->hostname);
	rc = add_wanted(s, t, q, &p, err);
	if (rc == 0)
		rc = add_chosen(s, clock, t, q, AF_INET, &p, err);
	if (rc == 0)
		rc = add_chosen(s, clock, t, q, AF_INET6, &p, err);
	if (rc == 0)
		rc = add_mac(s, t, q, &p, err);
	if (rc == 0)
		rc = add_port_id(s, t, q, &p, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < p.n_addresses; i++)
		json_array_append_new(addresses, json_string(ip_format(&p.addresses[i], text)));
	body = json_pack("{s:I, s:s, s:O, s:s, s:s}", "portID", (json_int_t)p.id, "mac",
			 mac_format(&p.mac, mac), "addresses", addresses, "hostname", q->hostname,
			 "owner", q->owner);
	txn_record_put(t, &key, body, 0);
	*ret = p;
	return 0;
}

/* ---- releasing ---- */

typedef struct Release {
	Txn *t;
	const char *instance_uid, *nic;
	usec_t wall;
} Release;

static int release_nic(void *arg, const Key *key, const json_t *body, int64_t rev)
{
	_cleanup_(json_decrefp) json_t *resting = NULL;
	char network[UUID_MAX], instance[UUID_MAX];
	const Release *q = arg;
	const char *nic, *mac = json_string_at(body, "mac");
	json_t *a;
	size_t i;
	Key k;

	if (!nic_name_parts(key->name, network, instance, &nic) ||
	    !streq(instance, q->instance_uid) || (q->nic && !streq(nic, q->nic)))
		return 0;
	resting = json_pack("{s:I}", "released", (json_int_t)q->wall);
	json_array_foreach (json_object_get(body, "addresses"), i, a) {
		k = alloc_key("address/%s/%s", network, json_string_value(a));
		txn_record_put(q->t, &k, resting, -2);
	}
	if (mac) {
		k = alloc_key("mac/%s/%s", network, mac);
		txn_record_delete(q->t, &k, -2);
	}
	k = alloc_key("port/%08x", (uint32_t)json_integer_at(body, "portID", 0));
	txn_record_delete(q->t, &k, -2);
	txn_record_delete(q->t, key, rev);
	return 0;
}

int nic_release(Store *s, Clock *clock, Txn *t, const char *instance_uid, const char *nic,
		Error *err)
{
	Release q = { .t = t, .instance_uid = instance_uid, .nic = nic, .wall = clock_wall(clock) };

	return store_record_list(s, GR_ALLOC, "nic/", release_nic, &q, err);
}

int nic_release_on(Store *s, Clock *clock, Txn *t, const char *network_uid,
		   const char *instance_uid, Error *err)
{
	_cleanup_(xfreep) char *prefix = xasprintf("nic/%s/%s/", network_uid, instance_uid);
	Release q = { .t = t, .instance_uid = instance_uid, .wall = clock_wall(clock) };

	return store_record_list(s, GR_ALLOC, prefix, release_nic, &q, err);
}

typedef struct Forget {
	Txn *t;
	size_t n;
} Forget;

static int forget_address(void *arg, const Key *key, const json_t *body _unused_, int64_t rev)
{
	Forget *f = arg;

	if (f->n < TXN_OPS_MAX) {
		txn_record_delete(f->t, key, rev);
		f->n++;
	}
	return 0;
}

int network_forget_addresses(Store *s, Context *ctx, const char *network_uid, Error *err)
{
	_cleanup_(xfreep) char *prefix = xasprintf("address/%s/", network_uid);
	int rc;

	for (;;) {
		_cleanup_(txn_freep) Txn *t = txn_new();
		Forget f = { .t = t };

		rc = store_record_list(s, GR_ALLOC, prefix, forget_address, &f, err);
		if (rc < 0 || f.n == 0)
			return rc;
		rc = FAIL_POINT_AROUND("network.forget-addresses",
				       store_commit(s, ctx, t, NULL, err));
		if (rc < 0)
			return rc;
	}
}
