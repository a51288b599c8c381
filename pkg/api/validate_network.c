/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Network's rules beyond its schema: prefixes that can hold a gateway and guests, and that the
 * data plane can carry.
 */
#include <stdio.h>

#include "api/validate.h"
#include "base/hashmap.h"
#include "base/ip.h"
#include "base/memory.h"
#include "json/json.h"

#define PREFIX4_MIN 8
#define PREFIX4_MAX 29
#define PREFIX6_MIN 64
#define PREFIX6_MAX 125

/* What is not anybody's to use, or what the routers use among themselves (240/4, fd73:6664::/32).
 */
static const char *const reserved[] = { "0.0.0.0/8",   "127.0.0.0/8", "169.254.0.0/16",
					"224.0.0.0/4", "240.0.0.0/4", "::/96",
					"fe80::/10",   "ff00::/8",    "fd73:6664::/32" };

static void check_length(const IpPrefix *p, const char *path, const char *text, FieldErrors *errors)
{
	unsigned max = p->address.family == AF_INET ? PREFIX4_MAX : PREFIX6_MAX;
	unsigned min = p->address.family == AF_INET ? PREFIX4_MIN : PREFIX6_MIN;

	if (p->length > max)
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: \"%s\": too small for a gateway and guests: use "
				 "/%u or a shorter prefix",
				 text, max);
	else if (p->length < min)
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: \"%s\": too large: use /%u or a longer prefix",
				 text, min);
}

static void check_reserved(const IpPrefix *p, const char *path, const char *text,
			   FieldErrors *errors)
{
	IpPrefix r;

	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (ip_prefix_parse(reserved[i], &r, NULL) == 0 && ip_prefix_overlaps(p, &r)) {
			field_errors_add(errors, FIELD_INVALID, path,
					 "Invalid value: \"%s\": overlaps %s, which is reserved: "
					 "use a private range such as 10.20.0.0/24",
					 text, reserved[i]);
			return;
		}
}

static void check_cidrs(const json_t *list, IpPrefix prefixes[2], FieldErrors *errors)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v) {
		_cleanup_(xfreep) char *path = xasprintf("spec.cidrs[%zu]", i);
		_cleanup_(error_done) Error err = ERROR_INIT;
		const char *text = json_string_value(v);
		IpPrefix p, *slot;

		if (ip_prefix_parse(text, &p, &err) < 0) {
			field_errors_add(errors, FIELD_INVALID, path, "Invalid value: %s",
					 error_message(&err));
			continue;
		}
		slot = &prefixes[p.address.family == AF_INET6];
		if (slot->address.family)
			field_errors_add(errors, FIELD_INVALID, path,
					 "Invalid value: \"%s\": only one prefix of each family: "
					 "one IPv4, one IPv6",
					 text);
		*slot = p;
		check_length(&p, path, text, errors);
		check_reserved(&p, path, text, errors);
	}
}

static void check_gateway(const IpAddress *a, const IpPrefix *p, const char *path, const char *text,
			  bool *seen, FieldErrors *errors)
{
	IpAddress last = ip_prefix_last(p);
	char prefix[IP_TEXT_MAX];

	if (*seen)
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: \"%s\": only one gateway of each family", text);
	*seen = true;
	if (!ip_prefix_contains(p, a))
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: \"%s\": outside the network's %s", text,
				 p->address.family ? ip_prefix_format(p, prefix)
						   : "cidrs: there is none of that family");
	else if (ip_equal(a, &p->address) || (a->family == AF_INET && ip_equal(a, &last)))
		field_errors_add(errors, FIELD_INVALID, path,
				 "Invalid value: \"%s\": the network or broadcast address of %s",
				 text, ip_prefix_format(p, prefix));
}

static void check_gateways(const json_t *list, const IpPrefix prefixes[2], FieldErrors *errors)
{
	bool seen[2] = { false, false };
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v) {
		_cleanup_(xfreep) char *path = xasprintf("spec.gateways[%zu]", i);
		_cleanup_(error_done) Error err = ERROR_INIT;
		const char *text = json_string_value(v);
		IpAddress a;
		size_t family;

		if (ip_parse(text, &a, &err) < 0) {
			field_errors_add(errors, FIELD_INVALID, path, "Invalid value: %s",
					 error_message(&err));
			continue;
		}
		family = a.family == AF_INET6;
		check_gateway(&a, &prefixes[family], path, text, &seen[family], errors);
	}
}

static void check_domain(const json_t *tree, FieldErrors *errors)
{
	const char *domain = json_string_at(tree, "spec.dns.domain");
	bool services = json_bool_at(tree, "spec.dhcp.enabled", false) ||
			json_bool_at(tree, "spec.dns.enabled", false);
	char text[200];

	if (domain && *domain && !name_is_subdomain(domain))
		field_errors_add(errors, FIELD_INVALID, "spec.dns.domain",
				 "Invalid value: %s: use a lower-case domain such as lab.internal",
				 quoted(domain, text));
	if (services && str_is_empty(domain))
		field_errors_add(errors, FIELD_REQUIRED, "spec.dns.domain",
				 "Required value: guests get it by DHCP and DNS");
}

/* Addresses that no router can ask, and why. */
static const char *upstream_trouble(const IpAddress *a)
{
	static const struct {
		const char *prefix, *why;
	} kinds[] = {
		{"127.0.0.0/8",  "a loopback address is not reachable from the network's router"},
		{ "::1/128",     "a loopback address is not reachable from the network's router"},
		{ "0.0.0.0/8",   "no address of a name server"                                  },
		{ "::/128",      "no address of a name server"                                  },
		{ "224.0.0.0/3", "a multicast or reserved address is no name server's"          },
		{ "ff00::/8",    "a multicast or reserved address is no name server's"          },
		{ "fe80::/10",   "a link-local address is another one on each link"             },
	};
	IpPrefix p;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (ip_prefix_parse(kinds[i].prefix, &p, NULL) == 0 && ip_prefix_contains(&p, a))
			return kinds[i].why;
	return NULL;
}

/* The first address of a prefix is its gateway unless another one is given. */
static bool is_gateway(const IpAddress *a, const json_t *tree, const IpPrefix prefixes[2])
{
	const json_t *list = json_at(tree, "spec.gateways"), *v;
	IpAddress g;
	size_t i;

	json_array_foreach (list, i, v)
		if (ip_parse(json_string_value(v), &g, NULL) == 0 && ip_equal(&g, a))
			return true;
	if (json_array_size(list))
		return false;
	for (i = 0; i < 2; i++) {
		g = prefixes[i].address;
		if (g.family && ip_prefix_contains(&prefixes[i], a)) {
			g.bytes[g.family == AF_INET ? 3 : 15]++;
			if (ip_equal(&g, a))
				return true;
		}
	}
	return false;
}

static void check_upstreams(const json_t *tree, const IpPrefix prefixes[2], FieldErrors *errors)
{
	_cleanup_(hashmap_freep) Hashmap *seen = hashmap_new(NULL);
	const json_t *list = json_at(tree, "spec.dns.upstreams");
	char canonical[IP_TEXT_MAX];
	const char *why;
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v) {
		_cleanup_(xfreep) char *path = xasprintf("spec.dns.upstreams[%zu]", i);
		_cleanup_(error_done) Error err = ERROR_INIT;
		IpAddress a;

		if (ip_parse(json_string_value(v), &a, &err) < 0)
			field_errors_add(errors, FIELD_INVALID, path, "Invalid value: %s",
					 error_message(&err));
		else if ((why = upstream_trouble(&a)))
			field_errors_add(errors, FIELD_INVALID, path, "Invalid value: \"%s\": %s",
					 json_string_value(v), why);
		else if (is_gateway(&a, tree, prefixes))
			field_errors_add(errors, FIELD_INVALID, path,
					 "Invalid value: \"%s\": the router of this network, "
					 "which would ask itself",
					 json_string_value(v));
		else if (hashmap_contains(seen, ip_format(&a, canonical)))
			field_errors_add(errors, FIELD_DUPLICATE, path, "Duplicate value: \"%s\"",
					 canonical);
		else
			hashmap_put(seen, canonical, seen);
	}
}

/* Guests were told, and hold addresses: these stay for the network's life. */
static void check_immutable(const json_t *tree, const json_t *old, FieldErrors *errors)
{
	static const char *const fixed[] = { "spec.cidrs", "spec.gateways", "spec.mtu" };

	for (size_t i = 0; old && i < ARRAY_SIZE(fixed); i++)
		if (!json_same(json_at(tree, fixed[i]), json_at(old, fixed[i])))
			field_errors_add(errors, FIELD_INVALID, fixed[i],
					 "Invalid value: field is immutable: make another network "
					 "and move the instances");
}

void validate_network(const json_t *tree, const json_t *old, FieldErrors *errors)
{
	IpPrefix prefixes[2] = { { .length = 0 } };

	check_cidrs(json_at(tree, "spec.cidrs"), prefixes, errors);
	check_gateways(json_at(tree, "spec.gateways"), prefixes, errors);
	check_domain(tree, errors);
	check_upstreams(tree, prefixes, errors);
	check_immutable(tree, old, errors);
}
