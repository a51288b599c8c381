/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule set of a router namespace. See nft_text.h. The addresses of hosts are refused here
 * again, because a firewall on the host may flush the host's rule set, but not this one.
 */
#include "driver/net/names.h"
#include "driver/net/nft_text_internal.h"

/* What of the recipe applies to a network. */
typedef struct Router {
	bool four, six, egress, nat, routed;
	char c4[IP_TEXT_MAX], c6[IP_TEXT_MAX], gw4[IP_TEXT_MAX], gw6[IP_TEXT_MAX];
	char t4[IP_TEXT_MAX], t6[IP_TEXT_MAX];
} Router;

static Router router_from(const NetworkConfig *c)
{
	NetNames names = net_names(c->vni);
	Router r = {
		.four = c->prefix4.address.family != 0,
		.six = c->prefix6.address.family != 0,
		.egress = c->egress != EGRESS_NONE,
		.nat = c->egress == EGRESS_NAT,
		.routed = c->egress == EGRESS_ROUTED,
	};

	if (r.four) {
		ip_prefix_format(&c->prefix4, r.c4);
		ip_format(&c->gateway4, r.gw4);
	}
	if (r.six) {
		ip_prefix_format(&c->prefix6, r.c6);
		ip_format(&c->gateway6, r.gw6);
	}
	ip_format(&names.transit4, r.t4);
	ip_format(&names.transit6, r.t6);
	return r;
}

static void add_input(StrBuf *out, const Router *r)
{
	strbuf_adds(out, " chain input { type filter hook input priority filter; policy drop;\n"
			 "  iifname \"lo\" accept; ct state established,related accept\n"
			 "  iifname \"" LAN_NAME "\" goto lan_in; }\n"
			 " chain lan_in {\n");
	if (r->four)
		strbuf_addf(out,
			    "  ip daddr { %s, 255.255.255.255 } udp sport 68 udp dport 67 accept\n"
			    "  ip daddr %s meta l4proto { tcp, udp } th dport 53 accept\n"
			    "  ip daddr %s icmp type echo-request limit rate 100/second accept\n",
			    r->gw4, r->gw4, r->gw4);
	strbuf_adds(out,
		    "  icmpv6 type { nd-router-solicit, nd-neighbor-solicit,"
		    " nd-neighbor-advert, mld-listener-report, mld2-listener-report } accept\n");
	if (r->six)
		strbuf_addf(
			out,
			"  ip6 saddr fe80::/64 ip6 daddr ff02::1:2 udp sport 546 udp dport 547"
			" accept\n"
			"  ip6 daddr { %s, fe80::1 } meta l4proto { tcp, udp } th dport 53 accept\n"
			"  ip6 daddr { %s, fe80::1 } icmpv6 type echo-request"
			" limit rate 100/second accept\n",
			r->gw6, r->gw6);
	strbuf_adds(out, " }\n");
}

static void add_forward(StrBuf *out, const Router *r)
{
	strbuf_adds(out,
		    " chain forward { type filter hook forward priority filter; policy drop;\n");
	if (r->egress)
		strbuf_adds(out,
			    "  tcp flags & (syn|rst) == syn tcp option maxseg size set rt mtu\n"
			    "  ct state established,related accept; ct state invalid drop\n");
	strbuf_adds(out, "  iifname \"" LAN_NAME "\" ip daddr @hosts4 drop\n"
			 "  iifname \"" LAN_NAME "\" ip6 daddr @hosts6 drop\n");
	if (r->egress)
		strbuf_adds(out,
			    "  iifname \"" LAN_NAME "\" ip daddr { 169.254.0.0/16, 127.0.0.0/8,"
			    " 224.0.0.0/4, 240.0.0.0/4 } drop\n");
	if (r->egress && r->four)
		strbuf_addf(out,
			    "  iifname \"" LAN_NAME "\" oifname \"" UP_NAME
			    "\" ip saddr %s accept\n",
			    r->c4);
	if (r->egress)
		strbuf_adds(out, "  oifname \"" LAN_NAME "\" ct status dnat accept\n");
	if (r->egress && r->six)
		strbuf_addf(out,
			    "  iifname \"" LAN_NAME "\" oifname \"" UP_NAME
			    "\" ip6 saddr %s accept\n",
			    r->c6);
	if (r->routed && r->four)
		strbuf_adds(out, "  iifname \"" UP_NAME "\" oifname \"" LAN_NAME
				 "\" ip daddr @guests4 accept\n");
	if (r->routed && r->six)
		strbuf_adds(out, "  iifname \"" UP_NAME "\" oifname \"" LAN_NAME
				 "\" ip6 daddr @guests6 accept\n");
	strbuf_adds(out, " }\n");
}

static void add_nat(StrBuf *out, const Router *r)
{
	strbuf_adds(out,
		    " chain nat_pre { type nat hook prerouting priority dstnat; policy accept;\n"
		    "  dnat ip to ip daddr map @dn4; dnat ip6 to ip6 daddr map @dn6; }\n"
		    " chain nat_post { type nat hook postrouting priority srcnat; policy accept;\n"
		    "  oifname \"" UP_NAME "\" snat ip to ip saddr map @sn4\n"
		    "  oifname \"" UP_NAME "\" snat ip6 to ip6 saddr map @sn6\n");
	if (r->four)
		strbuf_addf(out,
			    "  iifname \"" LAN_NAME "\" oifname \"" LAN_NAME
			    "\" ct status dnat snat ip to %s\n",
			    r->gw4);
	if (r->six)
		strbuf_addf(out,
			    "  iifname \"" LAN_NAME "\" oifname \"" LAN_NAME
			    "\" ct status dnat snat ip6 to %s\n",
			    r->gw6);
	if (r->nat && r->four)
		strbuf_addf(out, "  oifname \"" UP_NAME "\" ip saddr %s snat ip to %s\n", r->c4,
			    r->t4);
	if (r->nat && r->six)
		strbuf_addf(out, "  oifname \"" UP_NAME "\" ip6 saddr %s snat ip6 to %s\n", r->c6,
			    r->t6);
	strbuf_adds(out, " }\n");
}

/* Only those are looked for on a routed network: each address that nobody has would be an entry of
 * the neighbour table while the router asks for it, and that table is one for all of the host. */
static void add_guests(StrBuf *out, const NetworkConfig *c)
{
	AddressList l = { 0 };

	for (size_t i = 0; i < c->n_ports; i++)
		for (size_t j = 0; j < c->ports[i].n_addresses; j++)
			address_list_add(&l, &c->ports[i].addresses[j]);
	address_list_sort(&l);
	nft_add_addresses(out, "guests", &l, AF_INET);
	nft_add_addresses(out, "guests", &l, AF_INET6);
	address_list_done(&l);
}

void nft_router_render(const NetworkConfig *c, const AddressList *hosts, StrBuf *out,
		       char revision[static REVISION_MAX])
{
	Router r = router_from(c);
	size_t at;

	strbuf_adds(out, "table inet " TABLE_NAME "\ndelete table inet " TABLE_NAME
			 "\ntable inet " TABLE_NAME " {\n comment \"sfd:");
	nft_add_id(out, c->store_id);
	strbuf_addc(out, ':');
	nft_add_id(out, c->uid);
	strbuf_addc(out, ':');
	at = out->len;
	strbuf_adds(out, REVISION_BLANK "\"\n");
	nft_add_addresses(out, "hosts", hosts, AF_INET);
	nft_add_addresses(out, "hosts", hosts, AF_INET6);
	if (r.routed)
		add_guests(out, c);
	strbuf_adds(out, " map dn4 { type ipv4_addr : ipv4_addr; }\n"
			 " map sn4 { type ipv4_addr : ipv4_addr; }\n"
			 " map dn6 { type ipv6_addr : ipv6_addr; }\n"
			 " map sn6 { type ipv6_addr : ipv6_addr; }\n");
	add_input(out, &r);
	add_forward(out, &r);
	add_nat(out, &r);
	strbuf_adds(out, "}\n");
	nft_seal(out, at, revision);
}
