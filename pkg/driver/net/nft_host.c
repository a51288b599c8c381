/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rule sets of the host. See nft_text.h.
 *
 * table bridge: a guest is nothing but elements; a tap without any passes nothing. Filters look at
 * destination ports 68, 546, because DHCP clients accept any source port. What is decided by a
 * field of a message is decided only where that field surely is one:
 *
 * - A guest may put bytes behind its packet that the receiver cuts off, and `icmpv6 type` reads
 *   them where a fragment ends before its header does. So a first fragment carries its transport
 *   header, with nothing between (g_frag), and messages to a DHCP server come whole.
 * - Neighbour discovery carries a MAC in its option, which the router and dnsmasq believe: the only
 *   option of a message, and the sender's own (g_nd, g_rs). 0x0e01 is the nonce of RFC 7527.
 * - The neighbour table is one for all namespaces of a host, and full with 1,024 entries. A guest
 * has one random link-local address, or a few; a storm of them stops at its tap (llknown, llnew).
 * - A relay names the client that a DHCP server takes a message to be from: guests are no relays.
 *
 * Raw payload: @th,256,32 is the relay, @th,288,48 the client hardware address of a DHCP message,
 * @th,192,32 its "your address", @th,1984,24 the first option (message type ACK); @th,64,8 is the
 * type of a DHCPv6 message (12, 13 are relays'); @th,64,128 is the target of an ND message, @th,192
 * its option, @th,208,48 the MAC in it, @th,80,48 that of a router solicitation.
 *
 * seen4, seennd and acked are filled by the packets themselves: an address was used in ARP or ND,
 * or leased. They are off the path of ordinary traffic.
 */
#include "driver/net/names.h"
#include "driver/net/nft_text_internal.h"

static const char bridge_rules[] =
	" set mac { typeof iifname . ether saddr; }\n"
	" set dh { typeof iifname . @th,288,48; }\n"
	" set in4 { typeof iifname . ip saddr; }\n"
	" set in6 { typeof iifname . ip6 saddr; }\n"
	" set nd { typeof iifname . @th,64,128; }\n"
	" set seen4 { typeof iifname . arp saddr ip; flags dynamic; }\n"
	" set seennd { typeof iifname . @th,64,128; flags dynamic; }\n"
	" set acked { typeof iifname . @th,192,32; flags dynamic; }\n"
	" set llknown { typeof iifname . ip6 saddr; size 65535; flags dynamic,timeout; timeout "
	"10m; }\n"
	" set llnew { typeof iifname; size 65535; flags dynamic,timeout; timeout 10m; }\n"
	" counter drop_guest { }\n"
	" counter drop_vx { }\n"
	" counter drop_host { }\n"
	" chain ingress { type filter hook prerouting priority -300; policy accept;\n"
	"  iifname \"sft*\" goto guest; iifname \"sfx*\" goto vx; }\n"
	" chain deny { counter name drop_guest drop; }\n"
	" chain deny_vx { counter name drop_vx drop; }\n"
	" chain deny_host { counter name drop_host drop; }\n"
	" chain guest {\n"
	"  iifname . ether saddr != @mac goto deny\n"
	"  ether type arp goto g_arp; ether type ip goto g_ip4; ether type ip6 goto g_ip6\n"
	"  goto deny; }\n"
	" chain g_arp {\n"
	"  arp htype != 1 goto deny; arp ptype != ip goto deny\n"
	"  arp hlen != 6 goto deny; arp plen != 4 goto deny\n"
	"  iifname . arp saddr ether != @mac goto deny\n"
	"  iifname . arp saddr ip @in4 add @seen4 { iifname . arp saddr ip } accept\n"
	"  arp operation request arp saddr ip 0.0.0.0 iifname . arp daddr ip @in4 accept\n"
	"  goto deny; }\n"
	" chain g_ip4 {\n"
	"  udp dport 68 goto deny\n"
	"  udp dport 67 goto g_dhcp\n"
	"  iifname . ip saddr @in4 accept\n"
	"  goto deny; }\n"
	" chain g_dhcp {\n"
	"  ip frag-off & 0x3fff != 0 goto deny; @th,256,32 != 0 goto deny\n"
	"  iifname . @th,288,48 @dh goto g_dhcp_from\n"
	"  goto deny; }\n"
	" chain g_dhcp_from {\n"
	"  ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 accept\n"
	"  iifname . ip saddr @in4 accept\n"
	"  goto deny; }\n"
	" chain g_ip6 {\n"
	"  exthdr frag exists jump g_frag\n"
	"  icmpv6 type { nd-router-advert, nd-redirect } goto deny; udp dport 546 goto deny\n"
	"  udp dport 547 jump g_dhcp6\n"
	"  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } jump g_nd\n"
	"  icmpv6 type nd-router-solicit jump g_rs\n"
	"  ip6 saddr :: goto g_dad\n"
	"  icmpv6 type nd-neighbor-advert goto g_na\n"
	"  iifname . ip6 saddr @in6 accept\n"
	"  jump g_ll; accept; }\n"
	" chain g_ll {\n"
	"  ip6 saddr & 0:0:0:0:0:ff:ff00:0 == ::ff:fe00:0 goto deny\n"
	"  ip6 saddr fe80::1 goto deny; ip6 saddr fe80::/64 goto g_ll_known; goto deny; }\n"
	" chain g_ll_known {\n"
	"  iifname . ip6 saddr @llknown return\n"
	"  add @llnew { iifname limit rate 6/minute burst 4 packets }"
	" add @llknown { iifname . ip6 saddr } return\n"
	"  goto deny; }\n"
	" chain g_frag {\n"
	"  frag frag-off != 0 return\n"
	"  ip6 nexthdr != ipv6-frag goto deny; ip6 length < 16 goto deny\n"
	"  frag nexthdr { hopopt, ipv6-route, ipv6-frag, ipv6-opts } goto deny; }\n"
	" chain g_dhcp6 {\n"
	"  ip6 nexthdr != udp goto deny; @th,64,8 { 12, 13 } goto deny; }\n"
	" chain g_nd {\n"
	"  ip6 nexthdr != icmpv6 goto deny\n"
	"  ip6 length 24 return; ip6 length != 32 goto deny\n"
	"  iifname . @th,208,48 @dh return\n"
	"  ip6 saddr :: @th,192,16 0x0e01 return\n"
	"  goto deny; }\n"
	" chain g_rs {\n"
	"  ip6 nexthdr != icmpv6 goto deny\n"
	"  ip6 length 8 return; ip6 length != 16 goto deny\n"
	"  iifname . @th,80,48 @dh return\n"
	"  goto deny; }\n"
	" chain g_dad {\n"
	"  icmpv6 type { nd-router-solicit, mld2-listener-report } accept\n"
	"  icmpv6 type nd-neighbor-solicit goto g_target\n"
	"  goto deny; }\n"
	" chain g_na { iifname . ip6 saddr @in6 goto g_target; jump g_ll; goto g_target; }\n"
	" chain g_target {\n"
	"  iifname . @th,64,128 @nd add @seennd { iifname . @th,64,128 } accept\n"
	"  @th,128,64 & 0x000000ffff000000 == 0x000000fffe000000 goto deny\n"
	"  @th,128,64 1 goto deny; @th,64,64 0xfe80000000000000 accept; goto deny; }\n"
	" chain vx {\n"
	"  ether saddr & ff:ff:ff:00:00:00 == 02:73:66:00:00:00 ether type arp goto deny_vx\n"
	"  ether type arp accept; udp dport { 67, 68, 546, 547 } goto deny_vx\n"
	"  icmpv6 type { nd-router-advert, nd-redirect, nd-router-solicit } goto deny_vx\n"
	"  ether type { ip, ip6 } accept; goto deny_vx; }\n"
	" chain across { type filter hook forward priority -300; policy accept;\n"
	"  iifname \"sft*\" oifname \"sft*\" goto g2g\n"
	"  iifname \"sft*\" oifname \"sfr*\" accept\n"
	"  iifname \"sfr*\" oifname \"sft*\" udp sport 67 udp dport 68 @th,1984,24 0x350105"
	" oifname . @th,288,48 @dh add @acked { oifname . @th,192,32 }\n"
	"  iifname \"sfr*\" oifname \"sft*\" accept\n"
	"  iifname \"sft*\" oifname \"sfx*\" goto g2x\n"
	"  iifname \"sfx*\" oifname \"sft*\" accept\n"
	"  iifname \"sfx*\" goto deny_vx\n"
	"  iifname \"sft*\" drop; iifname \"sfr*\" drop\n"
	"  oifname \"sft*\" drop; oifname \"sfx*\" drop; oifname \"sfr*\" drop; }\n"
	" chain g2g {\n"
	"  udp dport { 67, 547 } drop; icmpv6 type nd-router-solicit drop; accept; }\n"
	" chain g2x {\n"
	"  udp dport { 67, 547 } goto deny_vx\n"
	"  ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 accept\n"
	"  ether type arp accept; icmpv6 type nd-neighbor-solicit accept\n"
	"  goto deny_vx; }\n"
	" chain to_host { type filter hook input priority -300; policy accept;\n"
	"  iifname \"sft*\" goto deny_host; iifname \"sfx*\" goto deny_host\n"
	"  iifname \"sfr*\" goto deny_host; }\n"
	" chain from_host { type filter hook output priority -300; policy accept;\n"
	"  oifname \"sft*\" goto deny_host; oifname \"sfx*\" goto deny_host\n"
	"  oifname \"sfr*\" goto deny_host; }\n"
	"}\n";

static const char host_rules[] =
	" set float4 { type ipv4_addr; }\n"
	" set float6 { type ipv6_addr; }\n"
	" counter fwd_seen { }\n"
	" counter fwd_left { }\n"
	" counter drop_in { }\n"
	" counter drop_fwd { }\n"
	" counter drop_vtep { }\n"
	" chain early { type filter hook prerouting priority raw; policy accept;\n"
	"  iifname \"sfb*\" notrack accept\n"
	"  iifname \"sft*\" drop; iifname \"sfx*\" drop; iifname \"sfr*\" drop\n"
	"  fib daddr type != local accept\n"
	"  udp dport 4789 ip saddr @hosts4 notrack accept\n"
	"  udp dport 4789 ip6 saddr @hosts6 notrack accept\n"
	"  udp dport 4789 iifname \"sfu*\" counter name drop_vtep drop; }\n"
	" chain input { type filter hook input priority -10; policy accept;\n"
	"  iifname \"sfu*\" goto u_in; iifname \"sfb*\" drop; }\n"
	" chain u_in { ct state established,related accept; counter name drop_in drop; }\n"
	" chain forward { type filter hook forward priority -10; policy accept;\n"
	"  iifname \"sfu*\" goto u_from; oifname \"sfu*\" goto u_to; }\n"
	" chain u_from {\n"
	"  ct state established,related counter name fwd_seen accept\n"
	"  ip daddr @hosts4 counter name drop_fwd drop; ip6 daddr @hosts6 counter name drop_fwd "
	"drop\n"
	"  oifname \"sfu*\" goto u_to; counter name fwd_seen accept; }\n"
	" chain u_to {\n"
	"  ct state established,related accept\n"
	"  ip daddr @float4 accept; ip6 daddr @float6 accept\n"
	"  ip daddr @routed4 accept; ip6 daddr @routed6 accept\n"
	"  counter name drop_fwd drop; }\n"
	" chain post { type nat hook postrouting priority srcnat; policy accept;\n"
	"  ip saddr 240.0.0.0/8 oifname != \"sfu*\" masquerade\n"
	"  ip6 saddr fd73:6664::/96 oifname != \"sfu*\" masquerade; }\n"
	" chain leave { type filter hook postrouting priority 300; policy accept;\n"
	"  iifname \"sfu*\" meta pkttype != multicast counter name fwd_left; }\n"
	"}\n";

/* The head of a table; returns where its revision is to be written. */
static size_t add_head(StrBuf *out, const char *family, const char *store)
{
	size_t at;

	strbuf_addf(out, "table %s " TABLE_NAME "\ndelete table %s " TABLE_NAME "\n", family,
		    family);
	strbuf_addf(out, "table %s " TABLE_NAME " {\n comment \"sfd:", family);
	nft_add_id(out, store);
	strbuf_addc(out, ':');
	at = out->len;
	strbuf_adds(out, REVISION_BLANK "\"\n");
	return at;
}

void nft_bridge_render(const char *store, StrBuf *out, char revision[static REVISION_MAX])
{
	size_t at = add_head(out, "bridge", store);

	strbuf_adds(out, bridge_rules);
	nft_seal(out, at, revision);
}

static void add_routed(StrBuf *out, const PrefixList *routed, int family)
{
	char text[IP_TEXT_MAX];
	size_t n = 0;

	strbuf_addf(out, " set routed%c { type ipv%c_addr; flags interval;",
		    family == AF_INET ? '4' : '6', family == AF_INET ? '4' : '6');
	for (size_t i = 0; i < routed->n; i++)
		if (routed->prefixes[i].address.family == family)
			strbuf_addf(out, "%s %s", n++ ? "," : " elements = {",
				    ip_prefix_format(&routed->prefixes[i], text));
	strbuf_adds(out, n ? " }; }\n" : " }\n");
}

void nft_host_render(const char *store, const AddressList *hosts, const PrefixList *routed,
		     StrBuf *out, char revision[static REVISION_MAX])
{
	size_t at = add_head(out, "inet", store);

	nft_add_addresses(out, "hosts", hosts, AF_INET);
	nft_add_addresses(out, "hosts", hosts, AF_INET6);
	add_routed(out, routed, AF_INET);
	add_routed(out, routed, AF_INET6);
	strbuf_adds(out, host_rules);
	nft_seal(out, at, revision);
}
