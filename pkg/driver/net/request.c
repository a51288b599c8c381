/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the net role: decoded strictly, done, answered. See request.h and proto.h.
 */
#include "driver/net/request.h"

#include "base/memory.h"
#include "driver/net/proto.h"

static int do_ensure(Networks *n, json_t *request, RequestReply *reply, Error *err)
{
	_cleanup_(xfreep) NetworkPort *ports = NULL;
	NetworkConfig c;
	NetworkStatus s;
	json_t *config;
	int rc;

	if (json_unpack(request, "{s:I, s:s, s:o !}", "id", &(json_int_t){ 0 }, "op",
			&(const char *){ NULL }, "config", &config) < 0)
		return error_set(err, ERR_INVALID, "net protocol: bad ensure");
	rc = proto_config_decode(config, &c, &ports, err);
	if (rc == 0)
		rc = networks_ensure(n, &c, &s, err);
	if (rc < 0)
		return rc;
	reply->result = proto_status_encode(&s);
	return 0;
}

static int check_uid(const char *uid, Error *err)
{
	return uuid_is_valid(uid) ? 0 : error_set(err, ERR_INVALID, "net protocol: bad uid");
}

static int do_remove(Networks *n, json_t *request, RequestReply *reply, Error *err)
{
	const char *uid;
	json_int_t vni;
	int rc;

	if (json_unpack(request, "{s:I, s:s, s:s, s:I !}", "id", &(json_int_t){ 0 }, "op",
			&(const char *){ NULL }, "uid", &uid, "vni", &vni) < 0 ||
	    vni < 1 || vni > 0xffffff)
		return error_set(err, ERR_INVALID, "net protocol: bad remove");
	rc = check_uid(uid, err);
	if (rc == 0)
		rc = networks_remove(n, uid, (uint32_t)vni, err);
	reply->result = json_null();
	return rc;
}

static int do_list(Networks *n, json_t *request, RequestReply *reply, Error *err)
{
	NetworkEntry *entries;
	const char *store;
	size_t count;
	int rc;

	if (json_unpack(request, "{s:I, s:s, s:s !}", "id", &(json_int_t){ 0 }, "op",
			&(const char *){ NULL }, "store", &store) < 0)
		return error_set(err, ERR_INVALID, "net protocol: bad list");
	rc = check_uid(store, err);
	if (rc == 0)
		rc = networks_list(n, store, &entries, &count, err);
	if (rc < 0)
		return rc;
	reply->result = proto_entries_encode(entries, count);
	free(entries);
	return 0;
}

static int do_seen(Networks *n, json_t *request, RequestReply *reply, Error *err)
{
	const char *uid, *address;
	bool seen = false;
	IpAddress a;
	int rc;

	if (json_unpack(request, "{s:I, s:s, s:s, s:s !}", "id", &(json_int_t){ 0 }, "op",
			&(const char *){ NULL }, "uid", &uid, "address", &address) < 0)
		return error_set(err, ERR_INVALID, "net protocol: bad seen");
	rc = check_uid(uid, err);
	if (rc == 0)
		rc = ip_parse(address, &a, err);
	if (rc == 0)
		rc = networks_address_seen(n, uid, &a, &seen, err);
	reply->result = json_boolean(seen);
	return rc;
}

static int do_attached(Networks *n, json_t *request, RequestReply *reply, Error *err)
{
	bool attached = false;
	json_int_t port;
	const char *uid;
	int rc;

	if (json_unpack(request, "{s:I, s:s, s:s, s:I !}", "id", &(json_int_t){ 0 }, "op",
			&(const char *){ NULL }, "uid", &uid, "port", &port) < 0 ||
	    port < 1 || port > UINT32_MAX)
		return error_set(err, ERR_INVALID, "net protocol: bad attached");
	rc = check_uid(uid, err);
	if (rc == 0)
		rc = networks_port_attached(n, uid, (uint32_t)port, &attached, err);
	reply->result = json_boolean(attached);
	return rc;
}

static int do_dial(Networks *n, json_t *request, RequestReply *reply, Error *err)
{
	const char *uid, *address;
	json_int_t port;
	IpAddress a;
	int rc;

	if (json_unpack(request, "{s:I, s:s, s:s, s:s, s:I !}", "id", &(json_int_t){ 0 }, "op",
			&(const char *){ NULL }, "uid", &uid, "address", &address, "port",
			&port) < 0 ||
	    port < 1 || port > 65535)
		return error_set(err, ERR_INVALID, "net protocol: bad dial");
	rc = check_uid(uid, err);
	if (rc == 0)
		rc = ip_parse(address, &a, err);
	if (rc == 0)
		rc = networks_dial(n, uid, &a, (uint16_t)port, &reply->fd, err);
	reply->result = json_null();
	return rc;
}

static const struct {
	const char *name;
	int (*fn)(Networks *n, json_t *request, RequestReply *reply, Error *err);
} operations[] = {
	{"ensure",    do_ensure  },
        { "remove",   do_remove  },
        { "list",     do_list    },
	{ "seen",     do_seen    },
        { "attached", do_attached},
        { "dial",     do_dial    },
};

int request_serve(Networks *n, json_t *request, RequestReply *reply, Error *err)
{
	const char *op = json_string_value(json_object_get(request, "op"));

	for (size_t i = 0; op && i < ARRAY_SIZE(operations); i++)
		if (streq(op, operations[i].name))
			return operations[i].fn(n, request, reply, err);
	return error_set(err, ERR_UNSUPPORTED, "net protocol: unknown request");
}
