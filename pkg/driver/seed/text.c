/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta-data, network-config and user-data as text. See text.h. Formats: cloud-init documentation,
 * "NoCloud" and "Networking config version 2".
 */
#include "driver/seed/text.h"

#include <stdio.h>

#include "base/memory.h"
#include "json/json.h"

static void json_add(StrBuf *out, json_t *tree)
{
	_cleanup_(xfreep) char *text = json_dumps(tree, JSON_INDENT(1) | JSON_ENSURE_ASCII);

	assert(text);
	strbuf_adds(out, text);
	strbuf_addc(out, '\n');
	json_decref(tree);
}

static void set(json_t *object, const char *key, json_t *value)
{
	int rc = json_object_set_new(object, key, value);

	assert(rc == 0);
}

static void append(json_t *array, json_t *value)
{
	int rc = json_array_append_new(array, value);

	assert(rc == 0);
}

void seed_meta_data(const SeedConfig *c, StrBuf *out)
{
	_cleanup_(xfreep) char *fqdn =
		c->domain ? xasprintf("%s.%s", c->hostname, c->domain) : xstrdup(c->hostname);
	json_t *o = json_object(), *keys = json_array();

	set(o, "instance-id", json_string(c->instance_id));
	set(o, "local-hostname", json_string(fqdn));
	strv_foreach (key, c->ssh_keys)
		append(keys, json_string(*key));
	set(o, "public-keys", keys);
	json_add(out, o);
}

static json_t *address_text(const IpAddress *a, int prefix_length)
{
	char text[IP_TEXT_MAX], with[IP_TEXT_MAX + 16];

	ip_format(a, text);
	if (prefix_length < 0)
		return json_string(text);
	snprintf(with, sizeof(with), "%s/%d", text, prefix_length);
	return json_string(with);
}

static void add_route(json_t *routes, const char *to, const IpAddress *via)
{
	json_t *route;

	if (via->family == 0)
		return;
	route = json_object();
	set(route, "to", json_string(to));
	set(route, "via", address_text(via, -1));
	append(routes, route);
}

static json_t *name_servers(const SeedNic *n)
{
	json_t *o = json_object(), *addresses = json_array(), *search = json_array();

	for (size_t i = 0; i < n->n_name_servers; i++)
		append(addresses, address_text(&n->name_servers[i], -1));
	if (n->search)
		append(search, json_string(n->search));
	set(o, "addresses", addresses);
	set(o, "search", search);
	return o;
}

static json_t *ethernet(const SeedNic *n)
{
	json_t *o = json_object(), *match = json_object(), *addresses = json_array(),
	       *routes = json_array();
	char mac[MAC_TEXT_MAX];

	set(match, "macaddress", json_string(mac_format(&n->mac, mac)));
	set(o, "match", match);
	set(o, "set-name", json_string(n->name));
	set(o, "dhcp4", json_boolean(n->dhcp4));
	set(o, "dhcp6", json_boolean(n->dhcp6));
	for (size_t i = 0; i < n->n_addresses; i++)
		append(addresses, address_text(&n->addresses[i], (int)n->prefix_lengths[i]));
	/* Not "default": cloud-init before 22 knows only the prefix. */
	add_route(routes, "0.0.0.0/0", &n->gateway4);
	add_route(routes, "::/0", &n->gateway6);
	if (json_array_size(addresses))
		set(o, "addresses", json_incref(addresses));
	if (json_array_size(routes))
		set(o, "routes", json_incref(routes));
	json_decref(addresses);
	json_decref(routes);
	if (n->n_name_servers || n->search)
		set(o, "nameservers", name_servers(n));
	if (n->mtu)
		set(o, "mtu", json_integer(n->mtu));
	return o;
}

void seed_network_config(const SeedConfig *c, StrBuf *out)
{
	json_t *o = json_object(), *ethernets = json_object();

	set(o, "version", json_integer(2));
	for (size_t i = 0; i < c->n_nics; i++)
		set(ethernets, c->nics[i].name, ethernet(&c->nics[i]));
	set(o, "ethernets", ethernets);
	json_add(out, o);
}

void seed_user_data(const SeedConfig *c, StrBuf *out)
{
	if (c->user_data)
		strbuf_add(out, c->user_data, c->user_data_len);
	else
		strbuf_adds(out, "#cloud-config\n{}\n");
}
