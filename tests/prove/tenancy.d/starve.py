# SPDX-License-Identifier: Apache-2.0
"""One guest tries to use up what it shares with others: leases of both families, the router's neighbour table. The
others, who come after it, must get what is theirs, and it must never get more than its own."""

import os
import random
import struct

import frames as f
import rig


def dhcp4_to(world, body, src="0.0.0.0", unicast=False):
    me, gw = world.mallory, world.a
    dst, mac = (gw.gw4, gw.mac) if unicast else ("255.255.255.255", f.BROADCAST)
    world.send(f.ether(mac, me.mac, 0x0800, f.ip4(src, dst, f.UDP, f.udp(src, dst, 68, 67, body))))


def dhcp6_to(world, body, src=None):
    me, dst = world.mallory, "ff02::1:2"
    src = src or me.ll
    world.send(f.ether(f.multicast_mac(dst), me.mac, 0x86DD, f.ip6(src, dst, f.UDP, f.udp(src, dst, 546, 547, body))))


def random_mac(rng):
    return "52:54:00:%02x:%02x:%02x" % tuple(rng.randrange(256) for _ in range(3))


def leases(world, count, rng):
    """Requests of every sort that a client can make, under every name it can invent."""
    me, w = world.mallory, world
    victims = [w.alice, w.bob]
    for i in range(count):
        address = "10.20.0.%d" % rng.randrange(2, 255)
        client = [(61, bytes([255]) + os.urandom(12))]
        for chaddr in (random_mac(rng), me.mac, rng.choice(victims).mac):
            dhcp4_to(w, f.dhcp(1, chaddr, xid=i, options=client))
            dhcp4_to(w, f.dhcp(3, chaddr, xid=i, options=client + [(50, f.ip(address)), (54, f.ip(w.a.gw4))]))
            dhcp4_to(w, f.dhcp(4, chaddr, xid=i, options=[(50, f.ip(rng.choice(victims).ip4)), (54, f.ip(w.a.gw4))]))
            dhcp4_to(w, f.dhcp(7, chaddr, xid=i, ciaddr=rng.choice(victims).ip4, options=[(54, f.ip(w.a.gw4))]), me.ip4, True)
        victim = rng.choice(victims)
        duid = f.duid(random_mac(rng), rng.randrange(1 << 31))
        src = "fe80::5:%x" % rng.randrange(1, 4)
        # "I am at your MAC": what dnsmasq would take for the client's.
        for mac in (victim.mac, me.mac):
            w.send(f.ether(w.a.mac, me.mac, 0x86DD, f.ip6(src, "fe80::1", f.ICMP6,
                                                          f.neighbour_solicit(src, "fe80::1", "fe80::1", mac))))
        dhcp6_to(w, f.dhcp6(1, duid, i, rng.randrange(1 << 31), rapid=True), src)
        dhcp6_to(w, f.dhcp6(3, duid, i, 1, server=server_id(w), address=victim.ip6), src)
        dhcp6_to(w, f.dhcp6(9, duid, i, 1, server=server_id(w), address=victim.ip6), src)
        dhcp6_to(w, f.relay6(f.dhcp6(3, duid, i, 1, server=server_id(w), address=victim.ip6), w.a.gw6, src, victim.mac))
        if i % 256 == 255:
            w.fence()
    w.fence()
    return count * (12 + 2 + 4)


def server_id(world):
    """DUID-LL of the router, which is the same on every host."""
    return struct.pack("!HH", 3, 1) + f.mac(world.a.mac)


def given(world):
    """Addresses that the attacker was offered or given, of both families."""
    got = set()
    for frame in world.eyes["mallory"].look():
        if frame[12:14] == b"\x08\x00" and frame[34:38] == b"\0\x43\0\x44" and frame[284:286] == b"\x35\x01":
            if frame[286] in (2, 5):
                got.add(".".join(str(b) for b in frame[58:62]))
        elif frame[12:14] == b"\x86\xdd" and frame[54:58] == b"\x02\x23\x02\x22":
            for port in [p for n in world.networks for p in n.ports]:
                at = frame.find(b"\0\5\0\x18" + f.ip(port.ip6)) + 20  # followed by its lifetimes: 0 is a refusal
                if at >= 20 and any(frame[at:at + 8]):
                    got.add(port.ip6)
    return got


def ask(world, port, deadline):
    """An honest client of both families at another port: (IPv4 given, IPv6 given)."""
    eye = world.eyes[port.name]

    def once(body, have):
        eye.forget()
        port.send(body)
        rig.wait_for("an answer to " + port.name, lambda: any(all(p in x for p in have) for x in eye.look()), deadline)

    def four(kind, xid, options=()):
        return f.ether(f.BROADCAST, port.mac, 0x0800, f.ip4("0.0.0.0", "255.255.255.255", f.UDP, f.udp(
            "0.0.0.0", "255.255.255.255", 68, 67, f.dhcp(kind, port.mac, xid=xid, options=options))))

    def six(kind, xid, **more):
        dst = "ff02::1:2"
        return f.ether(f.multicast_mac(dst), port.mac, 0x86DD, f.ip6(port.ll, dst, f.UDP, f.udp(
            port.ll, dst, 546, 547, f.dhcp6(kind, f.duid(port.mac), xid, **more))))

    # The router learns where the client is, as it does from any real one.
    port.send(f.ether(world.a.mac, port.mac, 0x86DD, f.ip6(port.ll, "fe80::1", f.ICMP6, f.neighbour_solicit(
        port.ll, "fe80::1", "fe80::1", port.mac))))
    failed = []
    steps = [("DHCP offer", four(1, 0xA001), [b"\0\0\xa0\x01", f.ip(port.ip4), b"\x35\x01\x02"]),
             ("DHCP ack", four(3, 0xA002, [(50, f.ip(port.ip4)), (54, f.ip(world.a.gw4))]),
              [b"\0\0\xa0\x02", f.ip(port.ip4), b"\x35\x01\x05"]),
             ("DHCPv6 advertisement", six(1, 0xA003), [b"\x02\0\xa0\x03", f.ip(port.ip6)]),
             ("DHCPv6 reply", six(3, 0xA004, server=server_id(world), address=port.ip6),
              [b"\x07\0\xa0\x04", b"\0\5\0\x18" + f.ip(port.ip6) + struct.pack("!II", 3600, 3600)])]
    for what, frame, have in steps:
        try:
            once(frame, have)
        except TimeoutError:
            failed.append("%s gets no %s" % (port.name, what))
    return len(steps), failed


def run_leases(world, count, seed):
    """(requests, [what went wrong])"""
    world.forget()
    sent = leases(world, count, random.Random(seed))
    bad = ["the attacker was given %s" % a for a in sorted(given(world) - {world.mallory.ip4, world.mallory.ip6})]
    for port in (world.alice, world.bob):
        bad += ask(world, port, world.patience)[1]
    if bad:
        print("  seed %d" % seed)
    return sent, bad


def resolves(world, name, kind):
    """Asked by another guest: does the network's DNS know that name?"""
    eye, a, gw = world.eyes["bob"], world.bob, world.a
    eye.forget()
    query = f.udp(a.ip4, gw.gw4, 5353, 53, f.dns(name, kind))
    a.send(f.ether(gw.mac, a.mac, 0x0800, f.ip4(a.ip4, gw.gw4, f.UDP, query)))
    answer = rig.wait_for("an answer about " + name, lambda: [
        x for x in eye.look() if x[12:14] == b"\x08\0" and x[34:36] == b"\0\x35" and x[42:44] == b"\0\1"], world.patience)
    return struct.unpack("!H", answer[0][48:50])[0] > 0


def run_names(world):
    """A guest that has no name, since "wpad" leads nowhere, takes one with its lease. (tries, [what resolved])"""
    me, w, bad, tried = world.mallory, world, [], 0
    me.name = "wpad"
    w.role.ensure(w.a)
    lease = [(50, f.ip(me.ip4)), (54, f.ip(w.a.gw4))]
    w.send(f.ether(w.a.mac, me.mac, 0x86DD, f.ip6(me.ll, "fe80::1", f.ICMP6, f.neighbour_solicit(
        me.ll, "fe80::1", "fe80::1", me.mac))))
    for name in ("wpad", "isatap", "router", "new"):
        label = bytes([len(name)]) + name.encode()
        full = label + b"\3lab\x08internal\0"
        for option in ((12, name.encode()), (12, name.encode() + b".lab.internal"), (81, b"\4\0\0" + full)):
            dhcp4_to(w, f.dhcp(1, me.mac, xid=7, options=lease + [option]))
            dhcp4_to(w, f.dhcp(3, me.mac, xid=7, options=lease + [option]))
        for claim in (label + b"\0", full):
            dhcp6_to(w, f.dhcp6(3, f.duid(me.mac), 9, server=server_id(w), address=me.ip6) + f.option6(39, b"\1" + claim))
        w.fence()
        bad += ["%s, type %d, resolves" % (name, kind) for kind in (1, 28) if resolves(w, name + ".lab.internal", kind)]
        tried += 2
    if not resolves(w, "alice.lab.internal", 1):
        raise RuntimeError("DNS does not know alice, so nothing is proven")
    me.name = "mallory"
    w.role.ensure(w.a)
    return tried, bad


def neighbours(netns):
    return len(rig.sh("ip %s -6 neigh show" % ("-n " + netns if netns else "")).splitlines())


def run_neighbours(world, count):
    """A storm of addresses that want to be remembered, then one of addresses on a routed network that nobody has, which
    its router would ask for. (frames, most entries seen, [what went wrong])"""
    me, w, bad, most = world.mallory, world, [], 0
    for i in range(count):
        src = "fe80::%x:%x:%x" % (0x1000 + i % 4096, i >> 12, 7)
        w.send(f.ether(w.a.mac, me.mac, 0x86DD, f.ip6(src, "fe80::1", f.ICMP6,
                                                      f.neighbour_solicit(src, "fe80::1", "fe80::1", me.mac))))
        if i % 1024 == 1023:
            w.fence()
            most = max(most, neighbours(w.a.netns))
    for i in range(count):
        dst = "fd00:30::%x:%x" % (1 + i // 60000, 1 + i % 60000)
        w.send(f.ether(w.a.mac, me.mac, 0x86DD, f.ip6(me.ip6, dst, f.UDP, f.udp(me.ip6, dst, 5000, 5001, b""), 64)))
        if i % 1024 == 1023:
            w.fence()
            most = max(most, neighbours(w.c.netns))
    # Meanwhile the host makes a new entry of its own, and so does another network.
    rig.sh("ip -6 neigh flush dev eth0")
    marker = os.urandom(12)
    w.forget()
    frame = f.ether(w.b.mac, w.carol.mac, 0x86DD, f.ip6(w.carol.ip6, rig.OUTSIDE6, f.UDP, f.udp(
        w.carol.ip6, rig.OUTSIDE6, 5000, 5001, marker), 64))

    def got_outside():
        """One frame may be lost while the host asks for its neighbour, as any may; nobody sends just one."""
        w.carol.send(frame)
        return w.eyes["outside"].saw(marker)

    try:
        rig.wait_for("another network gets outside", got_outside, w.patience, 0.2)
    except TimeoutError:
        bad.append("another network did not get outside: no room for the host's neighbour")
    return 2 * count, most, bad
