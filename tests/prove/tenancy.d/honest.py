# SPDX-License-Identifier: Apache-2.0
"""Honest frames: each must arrive where it is meant to, or be answered. A case gives frames and what must be seen: a
list of eyes that see the marker, or a function of the frames that come back."""

import os
import struct

import frames as f

CASES = []
ZERO_MAC = "00:00:00:00:00:00"


def honest(name, *eyes):
    """The frames must be seen by these eyes; without any the function gives (frames, answered)."""
    def add(function):
        CASES.append((name, eyes, function))
        return function
    return add


def to_alice4(me, w, payload, proto=f.UDP, **more):
    return f.ether(w.alice.mac, me.mac, 0x0800, f.ip4(me.ip4, w.alice.ip4, proto, payload, **more))


def to_alice6(me, w, payload, proto=f.UDP):
    return f.ether(w.alice.mac, me.mac, 0x86DD, f.ip6(me.ip6, w.alice.ip6, proto, payload))


def all6(me, packet, dst):
    return f.ether(f.multicast_mac(dst), me.mac, 0x86DD, packet)


def has(*parts):
    """Some frame that came back has all of these."""
    return lambda frames: any(all(p in frame for p in parts) for frame in frames)


# ---- between guests ----


@honest("ARP request for a neighbour", "alice", "bob", "router-a")
def _(me, w, m):
    return [f.arp(f.BROADCAST, me.mac, 1, me.mac, me.ip4, ZERO_MAC, w.alice.ip4, trailer=m)]


@honest("ARP reply", "alice")
def _(me, w, m):
    return [f.arp(w.alice.mac, me.mac, 2, me.mac, me.ip4, w.alice.mac, w.alice.ip4, trailer=m)]


@honest("ARP probe for its own address", "alice", "bob")
def _(me, w, m):
    return [f.arp(f.BROADCAST, me.mac, 1, me.mac, "0.0.0.0", ZERO_MAC, me.ip4, trailer=m)]


@honest("gratuitous ARP of its own address", "alice", "bob")
def _(me, w, m):
    return [f.arp(f.BROADCAST, me.mac, 1, me.mac, me.ip4, ZERO_MAC, me.ip4, trailer=m)]


@honest("UDP to a neighbour", "alice")
def _(me, w, m):
    return [to_alice4(me, w, f.udp(me.ip4, w.alice.ip4, 5000, 5001, m))]


@honest("TCP SYN to a neighbour", "alice")
def _(me, w, m):
    return [to_alice4(me, w, f.tcp(me.ip4, w.alice.ip4, 5000, 22, payload=m), f.TCP)]


@honest("ping of a neighbour", "alice")
def _(me, w, m):
    return [to_alice4(me, w, f.echo(m), f.ICMP)]


@honest("ESP to a neighbour", "alice")
def _(me, w, m):
    return [to_alice4(me, w, bytes(8) + m, 50)]


@honest("the second of two fragments to a neighbour", "alice")
def _(me, w, m):
    payload = f.udp(me.ip4, w.alice.ip4, 5000, 5001, bytes(32) + m)
    return [f.ether(w.alice.mac, me.mac, 0x0800, p) for p in f.ip4_fragments(me.ip4, w.alice.ip4, f.UDP, payload, 16)]


@honest("a packet with IP options to a neighbour", "alice")
def _(me, w, m):
    return [to_alice4(me, w, f.udp(me.ip4, w.alice.ip4, 5000, 5001, m), options=b"\1" * 8)]


@honest("a frame of the full MTU", "alice")
def _(me, w, m):
    return [to_alice4(me, w, f.udp(me.ip4, w.alice.ip4, 5000, 5001, m + bytes(1398)))]  # and the marker behind it


@honest("multicast DNS", "alice", "bob")
def _(me, w, m):
    packet = f.ip4(me.ip4, "224.0.0.251", f.UDP, f.udp(me.ip4, "224.0.0.251", 5353, 5353, m))
    return [f.ether(f.multicast_mac("224.0.0.251"), me.mac, 0x0800, packet)]


@honest("UDP to everybody", "alice", "bob")
def _(me, w, m):
    return [f.ether(f.BROADCAST, me.mac, 0x0800, f.ip4(me.ip4, "10.20.0.255", f.UDP,
                                                       f.udp(me.ip4, "10.20.0.255", 5000, 5001, m)))]


@honest("UDP to a neighbour, IPv6", "alice")
def _(me, w, m):
    return [to_alice6(me, w, f.udp(me.ip6, w.alice.ip6, 5000, 5001, m))]


@honest("ping of a neighbour, IPv6", "alice")
def _(me, w, m):
    return [to_alice6(me, w, f.echo6(me.ip6, w.alice.ip6, m), f.ICMP6)]


@honest("both fragments to a neighbour, IPv6", "alice")
def _(me, w, m):
    payload = f.udp(me.ip6, w.alice.ip6, 5000, 5001, bytes(32) + m)
    return [f.ether(w.alice.mac, me.mac, 0x86DD, p)
            for p in f.ip6_fragments(me.ip6, w.alice.ip6, f.UDP, payload, 24)]


@honest("options before UDP, IPv6", "alice")
def _(me, w, m):
    return [to_alice6(me, w, f.options6(f.UDP) + f.udp(me.ip6, w.alice.ip6, 5000, 5001, m), f.DSTOPTS)]


@honest("neighbour solicitation", "alice")
def _(me, w, m):
    group = f.solicited(w.alice.ip6)
    return [all6(me, f.ip6(me.ip6, group, f.ICMP6, f.neighbour_solicit(me.ip6, group, w.alice.ip6, me.mac)), group)]


@honest("neighbour solicitation without its MAC, as to probe", "alice")
def _(me, w, m):
    return [to_alice6(me, w, f.neighbour_solicit(me.ip6, w.alice.ip6, w.alice.ip6), f.ICMP6)]


@honest("neighbour advertisement of its own address", "alice")
def _(me, w, m):
    return [to_alice6(me, w, f.neighbour_advert(me.ip6, w.alice.ip6, me.ip6, me.mac, 0x60), f.ICMP6)]


@honest("neighbour advertisement without a MAC", "alice")
def _(me, w, m):
    return [to_alice6(me, w, f.neighbour_advert(me.ip6, w.alice.ip6, me.ip6, None, 0x40), f.ICMP6)]


@honest("duplicate address detection of its own address", "alice", "bob")
def _(me, w, m):
    group = f.solicited(me.ip6)
    return [all6(me, f.ip6("::", group, f.ICMP6, f.neighbour_solicit("::", group, me.ip6)), group)]


@honest("duplicate address detection with a nonce (RFC 7527)", "alice", "bob")
def _(me, w, m):
    group = f.solicited(me.ll)
    nonce = f.nd_option(14, os.urandom(6))
    return [all6(me, f.ip6("::", group, f.ICMP6, f.neighbour_solicit("::", group, me.ll, options=nonce)), group)]


@honest("a random link-local address, as Windows makes", "alice")
def _(me, w, m):
    src = "fe80::a1b2:c3d4:e5f6:1234"
    return [f.ether(w.alice.mac, me.mac, 0x86DD, f.ip6(src, w.alice.ll, f.UDP, f.udp(src, w.alice.ll, 1, 2, m)))]


@honest("listener report (MLDv2)", "alice", "bob")
def _(me, w, m):
    body = struct.pack("!HHBBH", 0, 1, 4, 0, 0) + f.ip("ff02::fb")
    payload = f.icmp6("::", "ff02::16", 143, 0, body)
    packet = f.ip6("::", "ff02::16", f.HOPOPTS, struct.pack("!BB", f.ICMP6, 0) + b"\5\2\0\0\1\0" + payload)
    return [all6(me, packet, "ff02::16")]


# ---- with the router ----


@honest("the gateway answers ARP")
def _(me, w, m):
    return [f.arp(f.BROADCAST, me.mac, 1, me.mac, me.ip4, ZERO_MAC, w.a.gw4)], \
        has(b"\x08\x06", f.mac(w.a.mac) + f.ip(w.a.gw4) + f.mac(me.mac))


@honest("the gateway answers ping")
def _(me, w, m):
    return [f.ether(w.a.mac, me.mac, 0x0800, f.ip4(me.ip4, w.a.gw4, f.ICMP, f.echo(m)))], has(b"\x00\x00", m)


@honest("the gateway answers DNS")
def _(me, w, m):
    query = f.udp(me.ip4, w.a.gw4, 5353, 53, f.dns("alice.lab.internal"))
    return [f.ether(w.a.mac, me.mac, 0x0800, f.ip4(me.ip4, w.a.gw4, f.UDP, query))], has(b"alice", f.ip(w.alice.ip4))


@honest("DHCP: an offer of its own address")
def _(me, w, m):
    discover = f.udp("0.0.0.0", "255.255.255.255", 68, 67, f.dhcp(1, me.mac, xid=0x5fd1))
    return [f.ether(f.BROADCAST, me.mac, 0x0800, f.ip4("0.0.0.0", "255.255.255.255", f.UDP, discover))], \
        has(struct.pack("!I", 0x5fd1), f.ip(me.ip4), bytes([53, 1, 2]))


@honest("the gateway answers a neighbour solicitation")
def _(me, w, m):
    group = f.solicited(w.a.gw6)
    packet = f.ip6(me.ip6, group, f.ICMP6, f.neighbour_solicit(me.ip6, group, w.a.gw6, me.mac))
    return [all6(me, packet, group)], has(b"\x88\x00", f.ip(w.a.gw6), f.mac(w.a.mac))


@honest("the gateway answers ping, IPv6")
def _(me, w, m):
    packet = f.ip6(me.ip6, w.a.gw6, f.ICMP6, f.echo6(me.ip6, w.a.gw6, m))
    return [f.ether(w.a.mac, me.mac, 0x86DD, packet)], has(b"\x81\x00", m)


@honest("a router solicitation is answered")
def _(me, w, m):
    packet = f.ip6(me.ll, "ff02::2", f.ICMP6, f.router_solicit(me.ll, "ff02::2", me.mac))
    return [all6(me, packet, "ff02::2")], has(b"\x86\x00", f.ip("fe80::1"))


@honest("DHCPv6: the server answers")
def _(me, w, m):
    body = f.udp(me.ll, "ff02::1:2", 546, 547, f.dhcp6(1, f.duid(me.mac), xid=0x5fd6))
    return [all6(me, f.ip6(me.ll, "ff02::1:2", f.UDP, body), "ff02::1:2")], has(b"\x02\x00\x5f\xd6")


@honest("UDP to outside, by NAT", "outside")
def _(me, w, m):
    return [f.ether(w.a.mac, me.mac, 0x0800, f.ip4(me.ip4, "192.0.2.1", f.UDP,
                                                   f.udp(me.ip4, "192.0.2.1", 5000, 5001, m)))]


@honest("UDP to outside, by NAT, IPv6", "outside")
def _(me, w, m):
    dst = "2001:db8:2::1"
    return [f.ether(w.a.mac, me.mac, 0x86DD, f.ip6(me.ip6, dst, f.UDP, f.udp(me.ip6, dst, 5000, 5001, m), 64))]


@honest("UDP to a guest of a routed network", "dave")
def _(me, w, m):
    return [f.ether(w.a.mac, me.mac, 0x0800, f.ip4(me.ip4, w.dave.ip4, f.UDP,
                                                   f.udp(me.ip4, w.dave.ip4, 5000, 5001, m)))]
