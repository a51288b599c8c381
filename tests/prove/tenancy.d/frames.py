# SPDX-License-Identifier: Apache-2.0
"""Ethernet frames of every sort, built by hand: honest ones and lies. Addresses are text, payloads bytes.

Nothing here fills in what a caller wants wrong: a length, a checksum, a header in the middle can be given."""

import ipaddress
import struct

BROADCAST = "ff:ff:ff:ff:ff:ff"
ICMP, TCP, UDP, ICMP6, FRAGMENT = 1, 6, 17, 58, 44
HOPOPTS, ROUTING, DSTOPTS, AH, MOBILITY = 0, 43, 60, 51, 135


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ip(text):
    return ipaddress.ip_address(text).packed


def link_local(of):
    """The EUI-64 link-local address of a MAC."""
    m = mac(of)
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + bytes([m[0] ^ 2]) + m[1:3] + b"\xff\xfe" + m[3:]))


def multicast_mac(address):
    a = ip(address)
    if len(a) == 16:
        return "33:33:" + ":".join("%02x" % b for b in a[12:])
    return "01:00:5e:%02x:%02x:%02x" % (a[1] & 0x7F, a[2], a[3])


def solicited(address):
    """The solicited-node multicast address of an IPv6 address."""
    return str(ipaddress.IPv6Address(ip("ff02::1:ff00:0")[:13] + ip(address)[13:]))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ether(dst, src, kind, payload):
    frame = mac(dst) + mac(src) + struct.pack("!H", kind) + payload
    return frame + bytes(max(0, 60 - len(frame)))


def arp(dst, src, op, sender, sender_ip, target, target_ip, htype=1, ptype=0x0800, hlen=6, plen=4, trailer=b"",
        ethertype=0x0806):
    body = struct.pack("!HHBBH", htype, ptype, hlen, plen, op)
    body += mac(sender) + ip(sender_ip) + mac(target) + ip(target_ip)
    return ether(dst, src, ethertype, body + trailer)


# ---- IPv4 ----


def ip4(src, dst, proto, payload, options=b"", ident=1, flags=0, offset=0, ttl=64, version=4, total=None):
    """flags: 1 = more fragments; offset in units of 8 bytes."""
    words = 5 + len(options) // 4
    total = words * 4 + len(payload) if total is None else total
    head = struct.pack("!BBHHHBBH", version << 4 | words, 0, total, ident, flags << 13 | offset, ttl, proto, 0)
    head += ip(src) + ip(dst) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ip4_fragments(src, dst, proto, payload, at, ident=7):
    """Two, the first with `at` bytes (a multiple of 8)."""
    return [ip4(src, dst, proto, payload[:at], ident=ident, flags=1),
            ip4(src, dst, proto, payload[at:], ident=ident, offset=at // 8)]


def _pseudo(src, dst, proto, length):
    if len(ip(src)) == 4:
        return ip(src) + ip(dst) + struct.pack("!BBH", 0, proto, length)
    return ip(src) + ip(dst) + struct.pack("!IHBB", length, 0, 0, proto)


def udp(src, dst, sport, dport, payload):
    head = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0)
    total = checksum(_pseudo(src, dst, UDP, 8 + len(payload)) + head + payload)
    return head[:6] + struct.pack("!H", total or 0xFFFF) + payload


def tcp(src, dst, sport, dport, flags=2, seq=1, payload=b""):
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, 0, 5 << 4, flags, 64240, 0, 0)
    total = checksum(_pseudo(src, dst, TCP, len(head) + len(payload)) + head + payload)
    return head[:16] + struct.pack("!H", total) + head[18:] + payload


def icmp(kind, code, body):
    head = struct.pack("!BBH", kind, code, 0)
    return head[:2] + struct.pack("!H", checksum(head + body)) + body


def echo(payload, ident=1):
    return icmp(8, 0, struct.pack("!HH", ident, 1) + payload)


# ---- IPv6 ----


def ip6(src, dst, proto, payload, hops=255, length=None):
    length = len(payload) if length is None else length
    return struct.pack("!IHBB", 6 << 28, length, proto, hops) + ip(src) + ip(dst) + payload


def options6(following, count=1):
    """A hop-by-hop or destination options header of padding: 8 * count bytes."""
    return struct.pack("!BBBB", following, count - 1, 1, count * 8 - 4) + bytes(count * 8 - 4)


def routing6(following, kind=0):
    return struct.pack("!BBBBI", following, 0, kind, 0, 0)


def ah6(following):
    return struct.pack("!BBHII", following, 1, 0, 1, 1)


def fragment6(following, offset=0, more=0, ident=9):
    """offset in units of 8 bytes."""
    return struct.pack("!BBHI", following, 0, offset << 3 | more, ident)


def ip6_fragments(src, dst, proto, payload, at, ident=9):
    return [ip6(src, dst, FRAGMENT, fragment6(proto, 0, 1, ident) + payload[:at]),
            ip6(src, dst, FRAGMENT, fragment6(proto, at // 8, 0, ident) + payload[at:])]


def icmp6(src, dst, kind, code, body):
    head = struct.pack("!BBH", kind, code, 0)
    total = checksum(_pseudo(src, dst, ICMP6, 4 + len(body)) + head + body)
    return head[:2] + struct.pack("!H", total) + body


def echo6(src, dst, payload):
    return icmp6(src, dst, 128, 0, struct.pack("!HH", 1, 1) + payload)


def nd_option(kind, value):
    body = bytes([kind, 0]) + value
    body += bytes(-len(body) % 8)
    return body[:1] + bytes([len(body) // 8]) + body[2:]


def neighbour_solicit(src, dst, target, sllao=None, options=b""):
    body = bytes(4) + ip(target) + (nd_option(1, mac(sllao)) if sllao else b"") + options
    return icmp6(src, dst, 135, 0, body)


def neighbour_advert(src, dst, target, tllao=None, flags=0x20, options=b""):
    body = bytes([flags, 0, 0, 0]) + ip(target) + (nd_option(2, mac(tllao)) if tllao else b"") + options
    return icmp6(src, dst, 136, 0, body)


def router_advert(src, dst, sllao, payload=b""):
    body = struct.pack("!BBHII", 64, 0, 1800, 0, 0) + nd_option(1, mac(sllao)) + payload
    return icmp6(src, dst, 134, 0, body)


def router_solicit(src, dst, sllao=None):
    return icmp6(src, dst, 133, 0, bytes(4) + (nd_option(1, mac(sllao)) if sllao else b""))


def redirect(src, dst, target, destination):
    return icmp6(src, dst, 137, 0, bytes(4) + ip(target) + ip(destination))


# ---- DHCP ----


def dhcp(kind, chaddr, op=1, xid=1, ciaddr="0.0.0.0", yiaddr="0.0.0.0", giaddr="0.0.0.0", options=()):
    """options: (code, value) pairs after the message type."""
    body = struct.pack("!BBBBIHH", op, 1, 6, 0, xid, 0, 0x8000)
    body += ip(ciaddr) + ip(yiaddr) + bytes(4) + ip(giaddr) + mac(chaddr) + bytes(10 + 64 + 128)
    body += b"\x63\x82\x53\x63" + bytes([53, 1, kind])
    for code, value in options:
        body += bytes([code, len(value)]) + value
    return body + b"\xff"


def option6(code, value):
    return struct.pack("!HH", code, len(value)) + value


def duid(of, time=1):
    return struct.pack("!HHI", 1, 1, time) + mac(of)


def dhcp6(kind, client, xid=1, iaid=1, server=None, address=None, rapid=False):
    """A client's message for one address (IA_NA)."""
    body = bytes([kind]) + struct.pack("!I", xid)[1:] + option6(1, client)
    if server:
        body += option6(2, server)
    inner = option6(5, ip(address) + struct.pack("!II", 3600, 3600)) if address else b""
    body += option6(3, struct.pack("!III", iaid, 0, 0) + inner) + option6(8, b"\0\0")
    return body + (option6(14, b"") if rapid else b"")


def relay6(message, link, peer, client_mac):
    """A relay's envelope that claims the client's MAC (RFC 6939)."""
    return bytes([12, 0]) + ip(link) + ip(peer) + option6(79, struct.pack("!H", 1) + mac(client_mac)) + \
        option6(9, message)


def dns(name, kind=1, ident=1):
    question = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"
    return struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 0) + question + struct.pack("!HH", kind, 1)


def gso_header():
    """The header of a tap's frame that says: one TCP superframe, cut it up (for frames written to a tap)."""
    return struct.pack("<BBHHHH", 1, 1, 54, 500, 34, 16)


