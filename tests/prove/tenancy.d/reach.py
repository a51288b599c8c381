# SPDX-License-Identifier: Apache-2.0
"""What of the host can a guest's port reach? Frames to all ports of all addresses that are not other guests', while a
table behind our filters, in the routers and on the host, notes whatever got through to an input hook."""

import socket
import struct
import time

import frames as f
import rig

# Neighbours outside talk to the host, too; what a guest sends can only come by another device.
WATCH = """table inet prove {
 set reached4 { typeof ip daddr . ip protocol . th dport; flags dynamic; }
 set reached6 { typeof ip6 daddr . meta l4proto . th dport; flags dynamic; }
 set others4 { typeof ip daddr . ip protocol; flags dynamic; }
 set others6 { typeof ip6 daddr . meta l4proto; flags dynamic; }
 chain input { type filter hook input priority 300; policy accept;
  ct state established,related accept
  iifname "lo" accept; iifname "eth0" meta l4proto { icmp, ipv6-icmp } accept
  ip protocol { tcp, udp } add @reached4 { ip daddr . ip protocol . th dport } accept
  meta nfproto ipv6 meta l4proto { tcp, udp } add @reached6 { ip6 daddr . meta l4proto . th dport } accept
  meta nfproto ipv4 add @others4 { ip daddr . ip protocol } accept
  meta nfproto ipv6 add @others6 { ip6 daddr . meta l4proto }
 }
}"""
FEW = [22, 25, 53, 67, 68, 80, 111, 179, 443, 546, 547, 631, 2222, 2379, 3128, 4789, 5353, 5900, 5901, 6443, 8080, 8443, 9090,
       16509, 16514, 49152, 65535]


def elements(netns, name):
    prefix = "ip netns exec %s " % netns if netns else ""
    text = rig.sh("%snft list set inet prove %s" % (prefix, name))
    if "elements" not in text:
        return set()
    return {e.strip() for e in text.split("elements = {")[1].split("}")[0].split(",")}


def reached(world):
    found = {}
    for where in [None] + [n.netns for n in world.networks]:
        for name in ("reached4", "reached6", "others4", "others6"):
            found[(where or "host", name)] = elements(where, name)
    return found


def watch(world):
    for n in world.networks:
        rig.sh("ip netns exec %s nft '%s'" % (n.netns, WATCH))
    rig.sh("nft '%s'" % WATCH)


def unwatch(world):
    for n in world.networks:
        rig.sh("ip netns exec %s nft delete table inet prove" % n.netns)
    rig.sh("nft delete table inet prove")


def ports_of(build, ports):
    """One frame for each port: the two bytes of `dport` are replaced, and two others so that the sum stays right."""
    first = build(0)
    second = build(1)
    port_at = next(i for i in range(14, len(first)) if first[i] != second[i]) - 1
    spare = len(first) - 2  # the last two bytes of the payload
    base = bytearray(first)
    for port in ports:
        struct.pack_into("!H", base, port_at, port)
        struct.pack_into("!H", base, spare, 0xFFFF ^ port)
        yield bytes(base)


def syn(src, dst, mac, to_mac, flags=2):
    kind, packet = (0x0800, f.ip4) if len(f.ip(dst)) == 4 else (0x86DD, f.ip6)
    return lambda port: f.ether(to_mac, mac, kind, packet(src, dst, f.TCP, f.tcp(
        src, dst, 40000, port, flags, payload=b"\0\0" + struct.pack("!H", 0xFFFF ^ port))))


def datagram(src, dst, mac, to_mac, sport):
    kind, packet = (0x0800, f.ip4) if len(f.ip(dst)) == 4 else (0x86DD, f.ip6)
    return lambda port: f.ether(to_mac, mac, kind, packet(src, dst, f.UDP, f.udp(
        src, dst, sport, port, b"\0" * 18 + struct.pack("!H", 0xFFFF ^ port))))


def addresses(world, full):
    """(whole, few): those whose every port is tried, and more."""
    uplink_ll = rig.sh("ip -6 -o addr show dev eth0 scope link").split()
    whole = [world.a.gw4, world.a.gw6, rig.HOST4]
    few = [rig.HOST6, "127.0.0.1", "fe80::1", "198.51.100.1", "2001:db8:77::1", world.a.transit4, world.b.transit4, world.c.transit4,
           world.c.gw4, world.c.gw6, "169.254.0.1", "169.254.169.254", "127.0.0.53", "127.255.255.254", "0.0.0.0",
           "0.0.0.1", "255.255.255.255", "10.20.0.0", "10.20.0.255", "192.0.2.0", "192.0.2.255", "224.0.0.1", "240.0.0.1",
           "fd73:6664::7", "fd73:6664::8", "fd73:6664::9", "::1", "::", "ff02::1", "ff01::1", "ff05::2",
           "::ffff:127.0.0.1", "::ffff:192.0.2.2", "::127.0.0.1", "64:ff9b::c000:202", "2002:c000:202::1", "fd00:20::",
           "fe80::ffff", f.link_local("02:73:67:00:00:01"), f.link_local("02:73:67:00:00:02")]
    few += [uplink_ll[3].split("/")[0]] if len(uplink_ll) > 3 else []
    return (whole + few, []) if full else (whole, few)


def macs(world):
    """Whom a guest may hand the frame to: the router, the devices of the host, everybody."""
    links = ("%s %s sfu%d" % (world.a.bridge, world.a.router_port, world.a.vni)).split()
    found = [open("/sys/class/net/%s/address" % n, encoding="ascii").read().strip() for n in links]
    return [world.a.mac] + found + ["02:73:67:00:00:02", f.BROADCAST, "01:80:c2:00:00:00"]


class Scan:
    def __init__(self, world):
        self.world, self.sent, self.replies = world, 0, set()

    def collect(self):
        """What came back: (protocol, source port) of every answer."""
        eye = self.world.eyes["mallory"]
        for frame in eye.look():
            if frame[12:14] == b"\x08\x00" and frame[23] in (f.TCP, f.UDP):
                at = 14 + (frame[14] & 15) * 4
                self.replies.add((frame[23], struct.unpack("!H", frame[at:at + 2])[0]))
            elif frame[12:14] == b"\x86\xdd" and frame[20] in (f.TCP, f.UDP):
                self.replies.add((frame[20], struct.unpack("!H", frame[54:56])[0]))
        self.world.forget()

    def send(self, build, ports):
        send = self.world.mallory.send
        for n, frame in enumerate(ports_of(build, ports)):
            send(frame)
            self.sent += 1
            if n % 4096 == 4095:
                self.collect()
        self.collect()

    def address(self, dst, ports, to_mac):
        me = self.world.mallory
        src = me.ip4 if len(f.ip(dst)) == 4 else me.ll if dst.startswith(("fe80", "ff")) else me.ip6
        self.send(syn(src, dst, me.mac, to_mac), ports)
        self.send(datagram(src, dst, me.mac, to_mac, 40000), ports)
        for sport in (53, 68, 546):
            self.send(datagram(src, dst, me.mac, to_mac, sport), FEW)
        for flags in (0, 1, 4, 16, 18, 41):  # none, FIN, RST, ACK, SYN+ACK, FIN+PSH+URG
            self.send(syn(src, dst, me.mac, to_mac, flags), FEW)

    def other_protocols(self, dst):
        """Every protocol number, with a header of zeroes."""
        me, w = self.world.mallory, self.world
        for proto in range(256):
            if proto in (f.TCP, f.UDP):
                continue
            if len(f.ip(dst)) == 4:
                w.send(f.ether(w.a.mac, me.mac, 0x0800, f.ip4(me.ip4, dst, proto, bytes(16))))
            else:
                w.send(f.ether(w.a.mac, me.mac, 0x86DD, f.ip6(me.ip6, dst, proto, bytes(16), 64)))
            self.sent += 1
        self.collect()

    def source_routed(self):
        """By way of the gateway, in the manner of RFC 791 and of routing headers."""
        me, w = self.world.mallory, self.world
        for hop in ("127.0.0.1", rig.HOST4, w.c.gw4, w.b.transit4):
            for kind in (0x83, 0x89):
                option = bytes([kind, 7, 4]) + f.ip(hop) + b"\0"
                for port in FEW:
                    segment = f.tcp(me.ip4, w.a.gw4, 40000, port)
                    w.send(f.ether(w.a.mac, me.mac, 0x0800, f.ip4(me.ip4, w.a.gw4, f.TCP, segment, options=option)))
                    self.sent += 1
        for kind in (0, 2, 4):
            for hop in ("::1", rig.HOST6, w.c.gw6):
                header = struct.pack("!BBBBI", f.TCP, 2, kind, 1, 0) + f.ip(hop)
                for port in FEW:
                    segment = f.tcp(me.ip6, hop, 40000, port)
                    w.send(f.ether(w.a.mac, me.mac, 0x86DD, f.ip6(me.ip6, w.a.gw6, f.ROUTING, header + segment, 64)))
                    self.sent += 1
        self.collect()


def positive(world):
    """A neighbour outside reaches the host: what watches sees it."""
    with rig.namespace("outside"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", (rig.HOST4, 9))
    rig.wait_for("the host's watch sees what does get in",
                 lambda: "192.0.2.2 . udp . 9" in elements(None, "reached4"))


def expected(world):
    a = world.a
    return {("host", "reached4"): {"192.0.2.2 . udp . 9"},
            (a.netns, "reached4"): {"%s . %s . 53" % (a.gw4, p) for p in ("tcp", "udp")},
            (a.netns, "reached6"): {"%s . %s . 53" % (g, p) for p in ("tcp", "udp") for g in (a.gw6, "fe80::1")}}


def run(world, full):
    """(frames sent, [what was reached and should not be])"""
    start = time.monotonic()
    # A service on every address of the host, so that there is something to reach.
    rig.sh("ip addr add 198.51.100.1/32 dev lo; ip addr add 2001:db8:77::1/128 dev lo nodad")
    for network in world.networks:
        world.role.ensure(network)
    listener = socket.create_server(("::", 2222), family=socket.AF_INET6, dualstack_ipv6=True)
    watch(world)
    positive(world)
    world.forget()
    scan = Scan(world)
    whole, few = addresses(world, full)
    for dst in whole:
        scan.address(dst, range(1, 65536), world.a.mac)
    for dst in few:
        scan.address(dst, FEW, world.a.mac)
    for mac in macs(world)[1:]:
        for dst in [world.a.gw4, world.a.gw6, rig.HOST4, rig.HOST6, "127.0.0.1", "::1"]:
            scan.address(dst, range(1, 65536) if full else FEW, mac)
    for dst in whole:
        scan.other_protocols(dst)
    scan.source_routed()
    world.fence()
    found, want, bad = reached(world), expected(world), []
    for key, got in found.items():
        if "others" in key[1]:
            # ICMP of the gateway, and what it needs for neighbour discovery, is all there is.
            extra = {e for e in got if not e.endswith(("icmp", "ipv6-icmp"))}
        else:
            extra = got - want.get(key, set())
            bad += ["not even %s was reached in %s" % (w, key[0]) for w in want.get(key, set()) - got]
        bad += ["%s reached in %s" % (e, key[0]) for e in sorted(extra)]
    bad += ["an answer from port %d, protocol %d" % (port, proto) for proto, port in sorted(scan.replies) if port != 53]
    if listener_was_called(listener):
        bad.append("the host's listener was connected to")
    unwatch(world)
    rig.sh("ip addr del 198.51.100.1/32 dev lo; ip addr del 2001:db8:77::1/128 dev lo")
    listener.close()
    print("scan: %d frames in %.1f s" % (scan.sent, time.monotonic() - start), flush=True)
    return scan.sent, bad


def without_rules(world):
    """Somebody has flushed the rule set and nobody has mended it yet: the routers still filter, and the devices of the
    host are deaf by themselves. (frames sent, [what of the host was reached])"""
    watch(world)
    world.forget()
    scan = Scan(world)
    for mac in macs(world):
        for dst in [rig.HOST4, rig.HOST6, "127.0.0.1", "::1", world.a.transit4, "169.254.0.1", "192.0.2.255", "192.0.2.0", "255.255.255.255",
                    "224.0.0.1", "ff02::1"]:
            scan.address(dst, FEW, mac)
    world.fence()
    bad = ["%s reached" % e for key, got in reached(world).items() if key[0] == "host" for e in sorted(got)]
    unwatch(world)
    return scan.sent, bad


def listener_was_called(listener):
    listener.setblocking(False)
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True
