# SPDX-License-Identifier: Apache-2.0
"""The cases: lies that no one may ever see, and honest frames that must arrive.

A lie is a function of (who sends, whom it is meant for, the world, a marker that is in every frame) that gives frames.
Each is tried against every target: a guest of the same network, one of another, one whose network is routed, and the
gateway. The sender's own addresses are me.mac, me.ip4, me.ip6, me.ll."""

import struct

import frames as f

OTHER_MAC, ZERO_MAC = "52:54:00:00:00:99", "00:00:00:00:00:00"
LIES = []


class Target:
    def __init__(self, name, mac, ip4, ip6, ll):
        self.name, self.mac, self.ip4, self.ip6, self.ll = name, mac, ip4, ip6, ll


def targets(w):
    """The routed guest is addressed by way of the gateway, as its own network would be."""
    def guest(name, port, mac=None):
        return Target(name, mac or port.mac, port.ip4, port.ip6, port.ll)

    return [guest("same network", w.alice), guest("other network", w.carol),
            guest("routed network", w.dave, w.a.mac), Target("gateway", w.a.mac, w.a.gw4, w.a.gw6, "fe80::1")]


def lie(name):
    def add(function):
        LIES.append((name, function))
        return function
    return add


def lies(names):
    """One function for several lies: it gets each value of the mapping as its last argument."""
    def add(function):
        for name, value in names.items():
            LIES.append((name, lambda me, to, w, m, value=value: function(me, to, w, m, value)))
        return function
    return add


def packet4(me, to, payload, src=None, proto=f.UDP, mac=None, **more):
    return f.ether(to.mac, mac or me.mac, 0x0800, f.ip4(src or me.ip4, to.ip4, proto, payload, **more))


def packet6(me, to, payload, src=None, proto=f.UDP, mac=None):
    return f.ether(to.mac, mac or me.mac, 0x86DD, f.ip6(src or me.ip6, to.ip6, proto, payload))


def udp4(me, to, m, src=None, sport=5000, dport=5001, **more):
    return packet4(me, to, f.udp(src or me.ip4, to.ip4, sport, dport, m), src, **more)


def udp6(me, to, m, src=None, sport=5000, dport=5001, **more):
    return packet6(me, to, f.udp(src or me.ip6, to.ip6, sport, dport, m), src, **more)


# ---- MAC ----

MACS = {"a stranger's": OTHER_MAC, "the target's": "target", "the gateway's": "gateway", "zero": ZERO_MAC,
        "broadcast": f.BROADCAST, "multicast": "01:00:5e:00:00:01", "the host's end of the link": "02:73:67:00:00:01"}


def mac_of(value, to, w):
    return {"target": to.mac, "gateway": w.a.mac}.get(value, value)


@lies({"MAC: %s, IPv4" % k: v for k, v in MACS.items()})
def _mac4(me, to, w, m, value):
    return [udp4(me, to, m, mac=mac_of(value, to, w))]


@lies({"MAC: %s, IPv6" % k: v for k, v in MACS.items()})
def _mac6(me, to, w, m, value):
    return [udp6(me, to, m, mac=mac_of(value, to, w))]


@lies({"MAC: %s, ARP" % k: v for k, v in MACS.items()})
def _mac_arp(me, to, w, m, value):
    return [f.arp(f.BROADCAST, mac_of(value, to, w), 1, me.mac, me.ip4, ZERO_MAC, to.ip4, trailer=m)]


# ---- IPv4 ----

SOURCES4 = {"the target's": "target", "the gateway's": "gateway", "one nobody has": "10.20.0.99",
            "a neighbour's": "bob", "of another range": "10.99.0.1", "the host's": "192.0.2.2",
            "the transit's": "240.0.0.7", "loopback": "127.0.0.1", "link-local": "169.254.0.1", "zero": "0.0.0.0",
            "broadcast": "255.255.255.255", "multicast": "224.0.0.1", "outside": "192.0.2.1"}


def source4(value, me, to, w):
    address = {"target": to.ip4, "gateway": w.a.gw4, "bob": w.bob.ip4}.get(value, value)
    return address


@lies({"IPv4 source: %s, UDP" % k: v for k, v in SOURCES4.items()})
def _src4(me, to, w, m, value):
    return [udp4(me, to, m, source4(value, me, to, w))]


@lies({"IPv4 source: another's, %s" % k: v for k, v in {
    "TCP SYN": f.TCP, "ICMP": f.ICMP, "IP in IP": 4, "GRE": 47, "ESP": 50, "AH": 51, "SCTP": 132, "IGMP": 2,
    "VRRP": 112, "an unknown protocol": 253}.items()})
def _proto4(me, to, w, m, proto):
    src = w.bob.ip4
    payload = {f.TCP: f.tcp(src, to.ip4, 5000, 5001, payload=m), f.ICMP: f.echo(m)}.get(proto, bytes(16) + m)
    return [packet4(me, to, payload, src, proto)]


@lies({"IPv4 source: another's, with %s" % k: v for k, v in {
    "a record route option": b"\x07\x07\x04\0\0\0\0\0", "a loose source route": b"\x83\x07\x04\x0a\x14\0\x0a\0",
    "padding options": b"\1\1\1\0", "40 bytes of options": b"\1" * 40}.items()})
def _options4(me, to, w, m, options):
    return [udp4(me, to, m, w.bob.ip4, options=options)]


@lies({"IPv4 source: another's, in %s" % k: v for k, v in {
    "two fragments": 8, "a first fragment of 24 bytes": 24}.items()})
def _fragments4(me, to, w, m, at):
    payload = f.udp(w.bob.ip4, to.ip4, 5000, 5001, m * 4)
    return [f.ether(to.mac, me.mac, 0x0800, p) for p in f.ip4_fragments(w.bob.ip4, to.ip4, f.UDP, payload, at)]


@lie("IPv4 source: another's, the second fragment only")
def _second4(me, to, w, m):
    """The first one is honest: the two must not meet."""
    payload = f.udp(me.ip4, to.ip4, 5000, 5001, bytes(24) + m)
    second = f.ip4(w.bob.ip4, to.ip4, f.UDP, payload[24:], ident=7, offset=3)
    return [f.ether(to.mac, me.mac, 0x0800, second)]


@lies({"IPv4 source: another's, to %s" % k: v for k, v in {
    "broadcast": ("255.255.255.255", f.BROADCAST), "the network's broadcast": ("10.20.0.255", f.BROADCAST),
    "multicast": ("224.0.0.251", "01:00:5e:00:00:fb")}.items()})
def _broadcast4(me, to, w, m, to_all):
    src = to.ip4
    return [f.ether(to_all[1], me.mac, 0x0800, f.ip4(src, to_all[0], f.UDP, f.udp(src, to_all[0], 5353, 5353, m)))]


@lie("IPv4 source: another's, version 6 in the header")
def _version4(me, to, w, m):
    return [udp4(me, to, m, w.bob.ip4, version=6)]


@lie("IPv4 source: another's, a length that lies")
def _length4(me, to, w, m):
    return [udp4(me, to, m, w.bob.ip4, total=9000)]


@lie("IPv4 source: another's, ICMP redirect to us")
def _redirect4(me, to, w, m):
    inner = f.ip4(to.ip4, "192.0.2.1", f.UDP, f.udp(to.ip4, "192.0.2.1", 1, 1, m))
    return [packet4(me, to, f.icmp(5, 1, f.ip(me.ip4) + inner), w.a.gw4, f.ICMP)]


@lie("IPv4 source: another's, in a superframe the card shall cut up")
def _gso4(me, to, w, m):
    src = w.bob.ip4
    frame = f.ether(to.mac, me.mac, 0x0800, f.ip4(src, to.ip4, f.TCP, f.tcp(src, to.ip4, 1, 1, 16, payload=m * 160)))
    return [(frame, f.gso_header())]


# ---- ARP ----


@lies({"ARP %s" % k: v for k, v in {
    "request: sender MAC another's": (1, OTHER_MAC, None), "request: sender MAC the target's": (1, "target", None),
    "request: sender MAC the gateway's": (1, "gateway", None), "reply: sender MAC another's": (2, OTHER_MAC, None),
    "reply: sender MAC broadcast": (2, f.BROADCAST, None), "reply: sender MAC zero": (2, ZERO_MAC, None),
    "request: sender IP the target's": (1, None, "target"), "request: sender IP the gateway's": (1, None, "gateway"),
    "reply: sender IP the target's": (2, None, "target"), "reply: sender IP the gateway's": (2, None, "gateway"),
    "reply: sender IP one nobody has": (2, None, "10.20.0.99"), "reply: sender IP broadcast": (2, None, "10.20.0.255"),
    "reply: sender IP zero": (2, None, "0.0.0.0"), "reply: sender IP outside": (2, None, "192.0.2.1"),
    "reply: a neighbour's pair, in our frame": (2, "bob", "bob"),
    "RARP reply in ARP": (4, None, "target"), "InARP reply": (9, None, "target"), "an unknown operation": (77, None, "target"),
}.items()})
def _arp(me, to, w, m, value):
    op, mac, address = value
    mac = {"bob": w.bob.mac}.get(mac) or mac_of(mac, to, w) or me.mac
    address = source4(address, me, to, w) or me.ip4
    return [f.arp(to.mac, me.mac, op, mac, address, to.mac, to.ip4, trailer=m)]


@lies({"gratuitous ARP, %s" % k: v for k, v in {
    "request for the target's address": (1, "target"), "reply for the target's address": (2, "target"),
    "request for the gateway's address": (1, "gateway"), "reply for the gateway's address": (2, "gateway"),
    "reply for a neighbour's address": (2, "bob")}.items()})
def _gratuitous(me, to, w, m, value):
    address = source4(value[1], me, to, w)
    return [f.arp(f.BROADCAST, me.mac, value[0], me.mac, address, f.BROADCAST if value[0] == 2 else ZERO_MAC, address,
                  trailer=m)]


@lie("ARP probe for another's address, so that it gives it up")
def _probe(me, to, w, m):
    return [f.arp(f.BROADCAST, me.mac, 1, me.mac, "0.0.0.0", ZERO_MAC, to.ip4, trailer=m)]


@lies({"ARP header: %s" % k: v for k, v in {
    "another hardware type": {"htype": 6}, "another protocol type": {"ptype": 0x0806}, "hardware length 8": {"hlen": 8},
    "protocol length 16": {"plen": 16}, "hardware length 0": {"hlen": 0}}.items()})
def _arp_header(me, to, w, m, more):
    return [f.arp(to.mac, me.mac, 2, me.mac, to.ip4, to.mac, to.ip4, trailer=m, **more)]


@lie("RARP")
def _rarp(me, to, w, m):
    return [f.arp(f.BROADCAST, me.mac, 3, me.mac, me.ip4, me.mac, me.ip4, trailer=m, ethertype=0x8035)]


# ---- IPv6 ----

SOURCES6 = {"the target's": "target", "the target's link-local": "target-ll", "the gateway's": "gateway",
            "the gateway's link-local": "fe80::1", "EUI-64 of the gateway": "gateway-ll", "one nobody has": "fd00:20::99",
            "a neighbour's": "bob", "of another range": "2001:db8:99::1", "the host's": "2001:db8:2::2",
            "the transit's": "fd73:6664::7", "loopback": "::1", "unspecified": "::", "multicast": "ff02::1",
            "a mapped IPv4 address": "::ffff:10.20.0.10", "site-local": "fec0::10", "wide link-local": "fe80:0:0:1::10"}


def source6(value, me, to, w):
    return {"target": to.ip6, "target-ll": to.ll, "gateway": w.a.gw6, "gateway-ll": f.link_local(w.a.mac),
            "bob": w.bob.ip6}.get(value, value)


@lies({"IPv6 source: %s, UDP" % k: v for k, v in SOURCES6.items()})
def _src6(me, to, w, m, value):
    return [udp6(me, to, m, source6(value, me, to, w))]


@lies({"IPv6 source: another's, %s" % k: v for k, v in {
    "TCP SYN": f.TCP, "ICMPv6 echo": f.ICMP6, "no next header": 59, "GRE": 47, "ESP": 50, "SCTP": 132,
    "mobility": 135, "an unknown protocol": 253}.items()})
def _proto6(me, to, w, m, proto):
    src = w.bob.ip6
    payload = {f.TCP: f.tcp(src, to.ip6, 5000, 5001, payload=m), f.ICMP6: f.echo6(src, to.ip6, m)}
    return [packet6(me, to, payload.get(proto, bytes(16) + m), src, proto)]


def hidden(src, dst, proto, payload):
    """The ways to put a header where a careless filter does not look: name -> IPv6 packets. Where only what is inside
    is a lie, the first packet is what must not pass: a second fragment alone is nothing."""
    long = f.options6(f.DSTOPTS, 31) * 4 + f.options6(proto, 31)
    return {
        "hop-by-hop options": [f.ip6(src, dst, f.HOPOPTS, f.options6(proto) + payload)],
        "destination options": [f.ip6(src, dst, f.DSTOPTS, f.options6(proto) + payload)],
        "a routing header": [f.ip6(src, dst, f.ROUTING, f.routing6(proto) + payload)],
        "an authentication header": [f.ip6(src, dst, f.AH, f.ah6(proto) + payload)],
        "all of them": [f.ip6(src, dst, f.HOPOPTS, f.options6(f.DSTOPTS) + f.options6(f.ROUTING) +
                              f.routing6(f.DSTOPTS) + f.options6(proto) + payload)],
        "ten destination options": [f.ip6(src, dst, f.DSTOPTS, f.options6(f.DSTOPTS) * 9 + f.options6(proto) +
                                          payload)],
        "one fragment": [f.ip6(src, dst, f.FRAGMENT, f.fragment6(proto) + payload)],
        "fragments cut in the header": f.ip6_fragments(src, dst, proto, payload, 8),
        "fragments, options first": f.ip6_fragments(src, dst, f.DSTOPTS, f.options6(proto) + payload, 8),
        "fragments of long options": f.ip6_fragments(src, dst, f.DSTOPTS, long + payload, 1200),
        "a fragment in a fragment": [f.ip6(src, dst, f.FRAGMENT, f.fragment6(f.FRAGMENT) + f.fragment6(proto) + payload)],
        "options, then a fragment": [f.ip6(src, dst, f.HOPOPTS, f.options6(f.FRAGMENT) + f.fragment6(proto) + payload)],
        "a fragment, then options": [f.ip6(src, dst, f.FRAGMENT, f.fragment6(f.DSTOPTS) + f.options6(proto) + payload)],
    }


HIDINGS = list(hidden("::1", "::1", 0, bytes(32)))
# What is authenticated or encrypted needs a security association on the other side; no filter looks into it.
OPEN_HIDINGS = [h for h in HIDINGS if h != "an authentication header"]


@lies({"IPv6 source: another's, behind %s" % k: k for k in HIDINGS})
def _hidden6(me, to, w, m, how):
    src = w.bob.ip6
    packets = hidden(src, to.ip6, f.UDP, f.udp(src, to.ip6, 5000, 5001, m))[how]
    return [f.ether(to.mac, me.mac, 0x86DD, p) for p in packets]


# ---- neighbour discovery ----


def to_all6(me, packet, dst="ff02::1"):
    return f.ether(f.multicast_mac(dst), me.mac, 0x86DD, packet)


@lies({"neighbour advertisement: %s" % k: v for k, v in {
    "the target's address": ("target", None), "the target's link-local": ("target-ll", None),
    "the gateway's address": ("gateway", None), "the gateway's link-local": ("fe80::1", None),
    "one nobody has": ("fd00:20::99", None), "of another range": ("2001:db8:99::1", None),
    "a neighbour's, from our link-local": ("bob", "ll"), "the target's, from the target": ("target", "target"),
    "the gateway's, from the gateway": ("fe80::1", "fe80::1")}.items()})
def _na(me, to, w, m, value):
    target = source6(value[0], me, to, w)
    src = me.ll if value[1] == "ll" else source6(value[1], me, to, w) or me.ip6
    return [f.ether(to.mac, me.mac, 0x86DD, f.ip6(src, to.ip6, f.ICMP6, f.neighbour_advert(src, to.ip6, target, me.mac))),
            to_all6(me, f.ip6(src, "ff02::1", f.ICMP6, f.neighbour_advert(src, "ff02::1", target, me.mac)))]


@lies({"neighbour advertisement: our address, the MAC of %s" % k: v for k, v in {
    "the target": "target", "a neighbour": "bob", "nobody": OTHER_MAC}.items()})
def _na_mac(me, to, w, m, value):
    mac = w.bob.mac if value == "bob" else mac_of(value, to, w)
    return [f.ether(to.mac, me.mac, 0x86DD, f.ip6(me.ip6, to.ip6, f.ICMP6,
                                                  f.neighbour_advert(me.ip6, to.ip6, me.ip6, mac, 0x60)))]


@lies({"neighbour solicitation: the MAC of %s as ours" % k: v for k, v in {
    "the target": "target", "a neighbour": "bob", "nobody": OTHER_MAC}.items()})
def _ns_mac(me, to, w, m, value):
    mac = w.bob.mac if value == "bob" else mac_of(value, to, w)
    src = "fe80::abcd"
    return [f.ether(to.mac, me.mac, 0x86DD, f.ip6(src, to.ip6, f.ICMP6,
                                                  f.neighbour_solicit(src, to.ip6, to.ip6, mac)))]


@lie("neighbour solicitation: another's MAC in the second option")
def _ns_second(me, to, w, m):
    options = f.nd_option(14, b"nonce!") + f.nd_option(1, f.mac(w.bob.mac))
    return [f.ether(to.mac, me.mac, 0x86DD, f.ip6("fe80::abcd", to.ip6, f.ICMP6,
                                                  f.neighbour_solicit("fe80::abcd", to.ip6, to.ip6, options=options)))]


@lie("router solicitation: another's MAC as ours")
def _rs_mac(me, to, w, m):
    return [f.ether(to.mac, me.mac, 0x86DD, f.ip6("fe80::abcd", to.ip6, f.ICMP6,
                                                  f.router_solicit("fe80::abcd", to.ip6, w.bob.mac))),
            to_all6(me, f.ip6("fe80::abcd", "ff02::2", f.ICMP6, f.router_solicit("fe80::abcd", "ff02::2", w.bob.mac)),
                    "ff02::2")]


@lie("duplicate address detection for another's address, so that it gives it up")
def _dad(me, to, w, m):
    group = f.solicited(to.ip6)
    return [to_all6(me, f.ip6("::", group, f.ICMP6, f.neighbour_solicit("::", group, to.ip6)), group)]


@lie("duplicate address detection for another's link-local address")
def _dad_ll(me, to, w, m):
    group = f.solicited(to.ll)
    return [to_all6(me, f.ip6("::", group, f.ICMP6, f.neighbour_solicit("::", group, to.ll)), group)]


@lies({"neighbour solicitation from %s" % k: v for k, v in {
    "the target": "target", "the target's link-local": "target-ll", "the gateway": "fe80::1"}.items()})
def _ns_from(me, to, w, m, value):
    src = source6(value, me, to, w)
    return [f.ether(to.mac, me.mac, 0x86DD, f.ip6(src, to.ip6, f.ICMP6,
                                                  f.neighbour_solicit(src, to.ip6, to.ip6, me.mac)))]


@lies({"router advertisement%s" % k: v for k, v in {
    "": "ll", " from our address": "own", " from the gateway's address": "fe80::1", " from a random link-local": "fe80::abcd",
    " from nowhere": "::"}.items()})
def _ra(me, to, w, m, value):
    src = {"ll": me.ll, "own": me.ip6}.get(value, value)
    return [to_all6(me, f.ip6(src, "ff02::1", f.ICMP6, f.router_advert(src, "ff02::1", me.mac))),
            f.ether(to.mac, me.mac, 0x86DD, f.ip6(src, to.ip6, f.ICMP6, f.router_advert(src, to.ip6, me.mac)))]


@lies({"router advertisement behind %s" % k: k for k in OPEN_HIDINGS})
def _ra_hidden(me, to, w, m, how):
    payload = f.router_advert(me.ll, "ff02::1", me.mac, m + bytes(20))
    return [to_all6(me, p) for p in hidden(me.ll, "ff02::1", f.ICMP6, payload)[how][:1]]


@lies({"neighbour advertisement of the target behind %s" % k: k for k in OPEN_HIDINGS})
def _na_hidden(me, to, w, m, how):
    payload = f.neighbour_advert(me.ll, to.ip6, to.ip6, me.mac)
    return [f.ether(to.mac, me.mac, 0x86DD, p) for p in hidden(me.ll, to.ip6, f.ICMP6, payload)[how][:1]]


@lies({"router advertisement, its header in the second fragment, %s behind the first" % k: v for k, v in {
    "an echo request": b"\x80\0", "an MLD report": b"\x8f\0", "UDP ports": b"\x13\x88\x13\x88"}.items()})
def _ra_trailer(me, to, w, m, trailer):
    """What stands behind the packet in its frame is cut off by the receiver, but a filter might read it."""
    payload = f.options6(f.ICMP6) + f.router_advert(me.ll, "ff02::1", me.mac, m)
    return [to_all6(me, f.ip6_fragments(me.ll, "ff02::1", f.DSTOPTS, payload, 8)[0]) + trailer + bytes(64)]


@lies({"redirect%s" % k: v for k, v in {"": "ll", " from the gateway's address": "fe80::1"}.items()})
def _redirect6(me, to, w, m, value):
    src = me.ll if value == "ll" else value
    return [f.ether(to.mac, me.mac, 0x86DD, f.ip6(src, to.ip6, f.ICMP6,
                                                  f.redirect(src, to.ip6, me.ll, "2001:db8::1")))]


# ---- DHCP ----


@lies({"DHCP server: %s" % k: v for k, v in {
    "offer": (2, "unicast", 67), "ack": (5, "unicast", 67), "offer to all": (2, "all", 67), "nak to all": (6, "all", 67),
    "forced renew": (9, "unicast", 67), "offer from another port": (2, "unicast", 5000)}.items()})
def _dhcp_server(me, to, w, m, value):
    kind, where, sport = value
    dst, mac = ("255.255.255.255", f.BROADCAST) if where == "all" else (to.ip4, to.mac)
    body = f.dhcp(kind, to.mac, 2, yiaddr="10.20.0.66", options=[(54, f.ip(me.ip4)), (3, f.ip(me.ip4)), (60, m)])
    return [f.ether(mac, me.mac, 0x0800, f.ip4(me.ip4, dst, f.UDP, f.udp(me.ip4, dst, sport, 68, body)))]


@lie("DHCP server: offer in fragments")
def _dhcp_server_fragments(me, to, w, m):
    body = f.udp(me.ip4, to.ip4, 67, 68, f.dhcp(2, to.mac, 2, yiaddr="10.20.0.66", options=[(60, m)]))
    return [f.ether(to.mac, me.mac, 0x0800, p) for p in f.ip4_fragments(me.ip4, to.ip4, f.UDP, body, 8)][:1]


@lies({"DHCP client: %s in another's name" % k: v for k, v in {
    "discover": (1, "0.0.0.0"), "request": (3, "0.0.0.0"), "decline": (4, "0.0.0.0"), "release": (7, "own"),
    "renewal": (3, "own")}.items()})
def _dhcp_name(me, to, w, m, value):
    src = me.ip4 if value[1] == "own" else value[1]
    dst, mac = (w.a.gw4, w.a.mac) if value[1] == "own" else ("255.255.255.255", f.BROADCAST)
    body = f.dhcp(value[0], to.mac, ciaddr=to.ip4 if value[1] == "own" else "0.0.0.0",
                  options=[(50, f.ip(to.ip4)), (54, f.ip(w.a.gw4)), (60, m)])
    return [f.ether(mac, me.mac, 0x0800, f.ip4(src, dst, f.UDP, f.udp(src, dst, 68, 67, body)))]


@lies({"DHCP client: decline in another's name, in fragments of %d bytes" % k: k for k in (8, 32, 240)})
def _dhcp_fragments(me, to, w, m, at):
    body = f.udp(me.ip4, w.a.gw4, 68, 67, f.dhcp(4, to.mac, options=[(50, f.ip(to.ip4)), (54, f.ip(w.a.gw4)), (60, m)]))
    return [f.ether(w.a.mac, me.mac, 0x0800, p) for p in f.ip4_fragments(me.ip4, w.a.gw4, f.UDP, body, at)][:1]


@lie("DHCP client: decline in another's name, in fragments, our MAC behind the first")
def _dhcp_trailer(me, to, w, m):
    body = f.udp(me.ip4, w.a.gw4, 68, 67, f.dhcp(4, to.mac, options=[(50, f.ip(to.ip4)), (54, f.ip(w.a.gw4))]))
    first = f.ip4_fragments(me.ip4, w.a.gw4, f.UDP, body, 8)[0]
    return [f.mac(w.a.mac) + f.mac(me.mac) + b"\x08\0" + first + bytes(28) + f.mac(me.mac) + bytes(64)]


@lie("DHCP relay: a request that makes the server answer somebody else")
def _dhcp_relay(me, to, w, m):
    body = f.udp(me.ip4, w.a.gw4, 68, 67, f.dhcp(1, me.mac, giaddr=to.ip4, options=[(60, m)]))
    return [f.ether(w.a.mac, me.mac, 0x0800, f.ip4(me.ip4, w.a.gw4, f.UDP, body))]


@lies({"DHCPv6 server: %s" % k: v for k, v in {
    "advertise": (2, 547, "unicast"), "reply": (7, 547, "unicast"), "reply from another port": (7, 5000, "unicast"),
    "reconfigure": (10, 547, "unicast"), "reply to all": (7, 547, "all")}.items()})
def _dhcp6_server(me, to, w, m, value):
    kind, sport, where = value
    dst = "ff02::1" if where == "all" else to.ip6
    body = f.dhcp6(kind, f.duid(to.mac), server=f.duid(me.mac), address="fd00:20::66") + f.option6(16, m)
    packet = f.ip6(me.ll, dst, f.UDP, f.udp(me.ll, dst, sport, 546, body))
    return [to_all6(me, packet) if where == "all" else f.ether(to.mac, me.mac, 0x86DD, packet)]


@lies({"DHCPv6 server behind %s" % k: k for k in OPEN_HIDINGS})
def _dhcp6_hidden(me, to, w, m, how):
    payload = f.udp(me.ll, to.ip6, 547, 546, f.dhcp6(7, f.duid(to.mac)) + f.option6(16, m))
    return [f.ether(to.mac, me.mac, 0x86DD, p) for p in hidden(me.ll, to.ip6, f.UDP, payload)[how][:1]]


@lies({"DHCPv6 relay: a request in another's name%s" % k: v for k, v in {
    "": 546, " from the server's port": 547}.items()})
def _dhcp6_relay(me, to, w, m, sport):
    body = f.relay6(f.dhcp6(1, f.duid(me.mac)) + f.option6(16, m), w.a.gw6, me.ll, to.mac)
    dst = "ff02::1:2"
    return [to_all6(me, f.ip6(me.ll, dst, f.UDP, f.udp(me.ll, dst, sport, 547, body)), dst)]


@lies({"DHCPv6 client message behind %s" % k: k for k in HIDINGS if "fragment" in k})
def _dhcp6_client_hidden(me, to, w, m, how):
    """Honest or not: no filter could tell, so it does not pass."""
    payload = f.udp(me.ll, "ff02::1:2", 546, 547, f.dhcp6(1, f.duid(me.mac)) + f.option6(16, m))
    return [to_all6(me, p, "ff02::1:2") for p in hidden(me.ll, "ff02::1:2", f.UDP, payload)[how][:1]]


# ---- tags and other protocols ----


def tagged(kind, tag, frame):
    return frame[:12] + struct.pack("!HH", kind, tag) + frame[12:]


@lies({"tag: %s" % k: v for k, v in {
    "802.1Q, VLAN 1": [(0x8100, 1)], "802.1Q, priority only": [(0x8100, 0xE000)], "802.1Q, VLAN 4094": [(0x8100, 4094)],
    "QinQ": [(0x88A8, 1), (0x8100, 1)], "802.1ad, priority only": [(0x88A8, 0)], "802.1Q twice": [(0x8100, 0), (0x8100, 0)],
    "old QinQ": [(0x9100, 1)], "three tags": [(0x88A8, 0), (0x8100, 0), (0x8100, 0)]}.items()})
def _tag(me, to, w, m, tags):
    frame = udp4(me, to, m)
    for kind, tag in reversed(tags):
        frame = tagged(kind, tag, frame)
    return [frame]


@lies({"tag: %s" % k: v for k, v in {
    "spoofed ARP with a priority tag": "arp", "router advertisement with a priority tag": "ra",
    "DHCP server with a priority tag": "dhcp"}.items()})
def _tagged_lie(me, to, w, m, what):
    frame = {"arp": lambda: f.arp(to.mac, me.mac, 2, me.mac, to.ip4, to.mac, to.ip4, trailer=m),
             "ra": lambda: to_all6(me, f.ip6(me.ll, "ff02::1", f.ICMP6, f.router_advert(me.ll, "ff02::1", me.mac))),
             "dhcp": lambda: udp4(me, to, m, sport=67, dport=68)}[what]()
    return [tagged(0x8100, 0xE000, frame), tagged(0x88A8, 0, frame)]


@lies({"ethertype %04x: %s" % (k, v): k for k, v in {
    0x88B5: "experimental", 0x88B6: "experimental", 0x8847: "MPLS", 0x8848: "MPLS", 0x8863: "PPPoE discovery",
    0x8864: "PPPoE session", 0x888E: "EAPOL", 0x88CC: "LLDP", 0x8809: "LACP", 0x88E5: "MACsec", 0x88A2: "AoE", 0x8906: "FCoE",
    0x22F3: "TRILL", 0x9000: "loopback", 0x0842: "wake on LAN", 0x8137: "IPX", 0x8808: "pause", 0x6558: "bridged Ethernet",
    0x88F7: "PTP", 0x8892: "PROFINET", 0x893A: "1905.1", 0x4305: "batman", 0xFFFF: "reserved", 0x0600: "XNS"}.items()})
def _ethertype(me, to, w, m, kind):
    return [f.ether(to.mac, me.mac, kind, bytes(8) + m), f.ether(f.BROADCAST, me.mac, kind, bytes(8) + m)]


@lies({"to a switch: %s" % k: v for k, v in {
    "STP": ("01:80:c2:00:00:00", b"\x42\x42\x03" + bytes(35)), "PVST": ("01:00:0c:cc:cc:cd", b"\xaa\xaa\x03\0\0\x0c\x01\x0b"),
    "CDP": ("01:00:0c:cc:cc:cc", b"\xaa\xaa\x03\0\0\x0c\x20\0"), "GVRP": ("01:80:c2:00:00:21", b"\x42\x42\x03\0\1")}.items()})
def _switch(me, to, w, m, value):
    body = value[1] + m
    return [f.ether(value[0], me.mac, len(body), body)]


@lies({"to a switch: %s" % k: v for k, v in {
    "LLDP": ("01:80:c2:00:00:0e", 0x88CC), "LACP": ("01:80:c2:00:00:02", 0x8809), "pause": ("01:80:c2:00:00:01", 0x8808),
    "802.1X": ("01:80:c2:00:00:03", 0x888E), "MVRP": ("01:80:c2:00:00:21", 0x88F5)}.items()})
def _switch_ethertype(me, to, w, m, value):
    return [f.ether(value[0], me.mac, value[1], bytes(4) + m)]


@lies({"802.2: %s" % k: v for k, v in {
    "IPv4 in SNAP": (b"\xaa\xaa\x03\0\0\0\x08\0", "ip"), "ARP in SNAP": (b"\xaa\xaa\x03\0\0\0\x08\x06", "arp"),
    "IPv6 in SNAP": (b"\xaa\xaa\x03\0\0\0\x86\xdd", "ip6"), "IPX": (b"\xff\xff", "raw"),
    "NetBIOS": (b"\xf0\xf0\x03", "raw")}.items()})
def _llc(me, to, w, m, value):
    inner = {"ip": lambda: udp4(me, to, m)[14:], "ip6": lambda: udp6(me, to, m)[14:], "raw": lambda: m,
             "arp": lambda: f.arp(to.mac, me.mac, 2, me.mac, to.ip4, to.mac, to.ip4)[14:42]}[value[1]]()
    body = value[0] + inner
    return [f.ether(to.mac, me.mac, len(body), body + m)]


@lies({"ethertype and packet differ: %s" % k: v for k, v in {
    "IPv6 called IPv4": 0x0800, "IPv6 called ARP": 0x0806}.items()})
def _differ(me, to, w, m, kind):
    return [f.ether(to.mac, me.mac, kind, udp6(me, to, m)[14:])]


@lies({"too short: %s" % k: v for k, v in {"IPv4": 0x0800, "IPv6": 0x86DD, "ARP": 0x0806}.items()})
def _short(me, to, w, m, kind):
    return [f.mac(to.mac) + f.mac(me.mac) + struct.pack("!H", kind) + b"\x45\0"]
