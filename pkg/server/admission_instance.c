/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission across objects: an Instance's addresses must be possible on the networks it names.
 *
 * A network that does not exist (yet) is accepted: a condition will say so, and order of creation
 * does not matter. One that exists is read at the moment of writing; the reconciler checks again at
 * the moment of use. Any thread; reads the store.
 */
#include "base/ip.h"
#include "server/internal.h"
#include "server/write.h"

/* "name" of the instance's own namespace, or "namespace/name". False if it cannot be a name. */
static bool reference_key(const char *ref, const char *namespace, Key *ret)
{
	const char *slash = strchr(ref, '/');
	_cleanup_(xfreep) char *other = slash ? xstrndup(ref, (size_t)(slash - ref)) : NULL;
	const char *name = slash ? slash + 1 : ref;

	if (!*name || strlen(name) >= KEY_NAME_MAX ||
	    strlen(other ? other : namespace) >= KEY_NAMESPACE_MAX)
		return false;
	*ret = key_make(GR_NETWORK, other ? other : namespace, name);
	return true;
}

static bool is_gateway(const json_t *network, const IpPrefix *prefix, const IpAddress *a)
{
	const json_t *list = json_at(network, "spec.gateways"), *item;
	IpAddress gateway;
	bool given = false;
	size_t i;

	json_array_foreach (list, i, item) {
		if (!json_is_string(item) ||
		    ip_parse(json_string_value(item), &gateway, NULL) < 0 ||
		    !ip_prefix_contains(prefix, &gateway))
			continue;
		given = true;
		if (ip_equal(&gateway, a))
			return true;
	}
	gateway = ip_prefix_nth(prefix, 1);
	return !given && ip_equal(&gateway, a);
}

/* Why that address cannot be had on that network; NULL = it can. */
static const char *address_problem(const json_t *network, const IpAddress *a)
{
	const json_t *cidrs = json_at(network, "spec.cidrs"), *item;
	size_t i;

	json_array_foreach (cidrs, i, item) {
		IpAddress first, last;
		IpPrefix prefix;

		if (!json_is_string(item) ||
		    ip_prefix_parse(json_string_value(item), &prefix, NULL) < 0 ||
		    !ip_prefix_contains(&prefix, a))
			continue;
		first = ip_prefix_nth(&prefix, 0);
		last = ip_prefix_last(&prefix);
		if (ip_equal(a, &first))
			return "is the network address";
		if (a->family == AF_INET && ip_equal(a, &last))
			return "is the broadcast address";
		return is_gateway(network, &prefix, a) ? "is the gateway" : NULL;
	}
	return "is in none of the network's CIDRs";
}

static void check_interface(Store *store, const json_t *interface, size_t index,
			    const char *namespace, FieldErrors *errors)
{
	const char *ref = json_string_at(interface, "network");
	const json_t *addresses = json_object_get(interface, "addresses"), *item;
	_cleanup_(object_unrefp) Object *o = NULL;
	_cleanup_(json_decrefp) json_t *network = NULL;
	Key key;
	size_t i;

	if (!ref || json_array_size(addresses) == 0 || !reference_key(ref, namespace, &key) ||
	    store_get(store, &key, &o, NULL) < 0)
		return;
	network = object_decode(o);
	if (!streq(key.namespace, namespace) && !json_bool_at(network, "spec.shared", false))
		return; /* tells nothing about what is not shared; a condition will refuse it */
	json_array_foreach (addresses, i, item) {
		const char *text = json_string_value(item), *problem;
		_cleanup_(xfreep) char *path = NULL;
		IpAddress a;

		if (!text || ip_parse(text, &a, NULL) < 0)
			continue;
		problem = address_problem(network, &a);
		if (!problem)
			continue;
		path = xasprintf("spec.interfaces[%zu].addresses[%zu]", index, i);
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: \"%s\": %s (network %s)", text, problem, ref);
	}
}

void admission_instance(Store *store, const json_t *tree, FieldErrors *errors)
{
	const char *namespace = json_string_at(tree, "metadata.namespace");
	const json_t *interfaces = json_at(tree, "spec.interfaces"), *interface;
	size_t i;

	json_array_foreach (interfaces, i, interface)
		check_interface(store, interface, i, namespace ? namespace : "", errors);
}
