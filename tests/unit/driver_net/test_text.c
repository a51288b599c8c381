/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rule sets and dnsmasq files as golden text. UPDATE_GOLDEN=1 writes the files anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/memory.h"
#include "driver/net/dnsmasq.h"
#include "driver/net/names.h"
#include "driver/net/nft_text.h"

#define STORE "22222222-2222-4222-8222-222222222222"
#define UID   "33333333-3333-4333-8333-333333333333"

static NetworkPort port = { .id = 0x2a, .hostname = "web-1", .n_addresses = 2 };

static NetworkConfig config(bool four, bool six, NetworkEgress egress)
{
	NetworkConfig c = { .store_id = STORE,
			    .uid = UID,
			    .vni = 0x010203,
			    .dhcp = true,
			    .dns = true,
			    .domain = "lab.internal",
			    .egress = egress };

	if (four) {
		assert_int_equal(ip_prefix_parse("10.20.0.0/20", &c.prefix4, NULL), 0);
		assert_int_equal(ip_parse("10.20.0.1", &c.gateway4, NULL), 0);
	}
	if (six) {
		assert_int_equal(ip_prefix_parse("fd00:20::/64", &c.prefix6, NULL), 0);
		assert_int_equal(ip_parse("fd00:20::1", &c.gateway6, NULL), 0);
	}
	return c;
}

static void golden(const char *name, const StrBuf *text)
{
	_cleanup_(xfreep) char *path = xasprintf("tests/unit/driver_net/golden/%s", name);
	_cleanup_(xfreep) char *want = NULL;

	if (getenv("UPDATE_GOLDEN"))
		assert_int_equal(fs_write_atomic(path, text->buf, text->len, 0644, false, NULL), 0);
	assert_int_equal(fs_read(path, 1 << 20, &want, NULL, NULL), 0);
	assert_string_equal(strbuf_str(text), want);
}

static AddressList addresses(const char *const *texts)
{
	AddressList l = { 0 };
	IpAddress a;

	for (; *texts; texts++) {
		assert_int_equal(ip_parse(*texts, &a, NULL), 0);
		address_list_add(&l, &a);
	}
	address_list_sort(&l);
	return l;
}

static int setup(void **state)
{
	(void)state;
	mac_parse("52:54:00:12:34:56", &port.mac, NULL);
	ip_parse("10.20.0.10", &port.addresses[0], NULL);
	ip_parse("fd00:20::10", &port.addresses[1], NULL);
	return 0;
}

static void test_nft(void **state)
{
	const char *const hosts[] = { "192.0.2.2", "2001:db8::2", "192.0.2.1", "192.0.2.2", NULL };
	AddressList l = addresses(hosts), none = { 0 };
	const struct {
		const char *name;
		NetworkConfig c;
		const AddressList *hosts;
	} routers[] = {
		{"router-nat.nft",     config(true,  true,  EGRESS_NAT),    &l   },
		{ "router-nat4.nft",   config(true,  false, EGRESS_NAT),    &l   },
		{ "router-routed.nft", config(true,  true,  EGRESS_ROUTED), &none},
		{ "router-none6.nft",  config(false, true,  EGRESS_NONE),   &none},
	};
	PrefixList routed = {
		.prefixes = (IpPrefix[]){routers[0].c.prefix4, routers[0].c.prefix6},
                  .n = 2
	};
	char revision[REVISION_MAX], again[REVISION_MAX];
	StrBuf b = STRBUF_INIT;

	(void)state;
	assert_int_equal(l.n, 3);
	nft_bridge_render(STORE, &b, revision);
	assert_non_null(strstr(strbuf_str(&b), revision));
	golden("bridge.nft", &b);
	strbuf_reset(&b);
	nft_host_render(STORE, &l, &routed, &b, revision);
	golden("host.nft", &b);
	for (size_t i = 0; i < ARRAY_SIZE(routers); i++) {
		strbuf_reset(&b);
		nft_router_render(&routers[i].c, routers[i].hosts, &b, revision);
		golden(routers[i].name, &b);
	}
	/* The revision follows the content. */
	strbuf_reset(&b);
	nft_router_render(&routers[0].c, &none, &b, again);
	assert_string_not_equal(revision, again);
	strbuf_done(&b);
	address_list_done(&l);
}

static void test_elements(void **state)
{
	NftElements l = { 0 };
	StrBuf b = STRBUF_INIT;

	(void)state;
	nft_elements_for_port(&l, &port);
	nft_elements_sort(&l);
	for (size_t i = 0; i < l.n; i++)
		nft_element_render(&l.elements[i], i % 2, &b);
	golden("elements.nft", &b);
	nft_elements_done(&l);
	strbuf_done(&b);
}

static void test_dnsmasq(void **state)
{
	const char *const servers[] = { "192.0.2.53", "2001:db8::53", NULL };
	AddressList upstreams = addresses(servers);
	const struct {
		const char *name;
		NetworkConfig c;
	} cases[] = {
		{"dnsmasq-nat",        config(true,  true,  EGRESS_NAT) },
		{ "dnsmasq-none",      config(true,  true,  EGRESS_NONE)},
		{ "dnsmasq-six",       config(false, true,  EGRESS_NAT) },
		{ "dnsmasq-dns-only",  config(true,  false, EGRESS_NAT) },
		{ "dnsmasq-dhcp-only", config(true,  false, EGRESS_NAT) },
	};
	StrBuf b = STRBUF_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		NetworkConfig c = cases[i].c;
		DnsmasqConfig d = { .network = &c,
				    .mtu = 1450,
				    .upstreams = &upstreams,
				    .directory = "/run/sfd/net/" UID,
				    .user = "dnsmasq" };

		c.dhcp = !strstr(cases[i].name, "dns-only");
		c.dns = !strstr(cases[i].name, "dhcp-only");
		strbuf_reset(&b);
		dnsmasq_render_conf(&d, &b);
		strbuf_adds(&b, "--- opts\n");
		dnsmasq_render_options(&d, &b);
		strbuf_adds(&b, "--- dhcp.d\n");
		dnsmasq_render_dhcp(&port, &b);
		strbuf_adds(&b, "--- hosts.d\n");
		dnsmasq_render_hosts(&port, c.domain, &b);
		golden(cases[i].name, &b);
	}
	strbuf_done(&b);
	address_list_done(&upstreams);
}

/* Names that software of guests trusts by themselves are not given out. */
static void test_reserved(void **state)
{
	NetworkPort p = port;
	StrBuf b = STRBUF_INIT;

	(void)state;
	snprintf(p.hostname, sizeof(p.hostname), "wpad");
	dnsmasq_render_hosts(&p, "lab.internal", &b);
	assert_string_equal(strbuf_str(&b), "");
	dnsmasq_render_dhcp(&p, &b);
	assert_string_equal(strbuf_str(&b), "52:54:00:12:34:56,10.20.0.10,[fd00:20::10]\n");
	strbuf_done(&b);
}

static void test_names(void **state)
{
	char alias[ALIAS_MAX], store[UUID_MAX], uid[UUID_MAX], role[16], text[IP_TEXT_MAX];
	NetNames n = net_names(16777215);
	IpAddress ll = mac_link_local(&port.mac);

	(void)state;
	assert_string_equal(n.bridge, "sfb16777215");
	assert_string_equal(n.netns, "sf-16777215");
	assert_string_equal(ip_format(&n.transit4, text), "240.255.255.255");
	assert_string_equal(ip_format(&n.transit6, text), "fd73:6664::ff:ffff");
	assert_string_equal(mac_format(&n.gateway_mac, text), "02:73:66:ff:ff:ff");
	assert_string_equal(ip_format(&ll, text), "fe80::5054:ff:fe12:3456");
	assert_int_equal(name_vni("sfb7"), 7);
	assert_int_equal(name_vni("sf-16777215"), 16777215);
	assert_int_equal(name_vni("sfb16777216"), 0);
	assert_int_equal(name_vni("sfb07"), 0);
	assert_int_equal(name_vni("sfb7x"), 0);
	assert_int_equal(name_vni("sf"), 0);
	assert_int_equal(name_vni("eth0"), 0);
	assert_int_equal(name_port("sft0000002a"), 0x2a);
	assert_int_equal(name_port("sft2a"), 0);
	assert_int_equal(name_port("sft0000002A"), 0);
	alias_format(alias, STORE, UID, "bridge");
	assert_true(alias_parse(alias, store, uid, role));
	assert_string_equal(store, STORE);
	assert_string_equal(uid, UID);
	assert_string_equal(role, "bridge");
	assert_false(alias_parse("", store, uid, role));
	assert_false(alias_parse("sfd:x:y:z", store, uid, role));
	alias[10] = '!';
	assert_false(alias_parse(alias, store, uid, role));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nft),     cmocka_unit_test(test_elements),
		cmocka_unit_test(test_dnsmasq), cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
