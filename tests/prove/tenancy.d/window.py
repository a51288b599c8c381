# SPDX-License-Identifier: Apache-2.0
"""The moment a tap appears. A process waits for the kernel to tell of the link, attaches at once and sends lies as
fast as it can, from before the link is up until an honest frame has arrived. The filter must have been there first."""

import errno
import multiprocessing
import os
import select
import socket

import frames as f
import rig


def wait_and_open(port, ready):
    """The tap, as soon as whoever makes it lets go of it."""
    news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    news.bind((0, 1))  # RTMGRP_LINK
    ready.set()
    while not os.path.exists("/sys/class/net/" + port.tap):
        news.recv(65536)
    while True:
        try:
            return port.open()
        except OSError as e:
            if e.errno != errno.EBUSY:
                raise
            port.close()


class Attacker:
    """Holds the tap of `port` from its first moment; a process of its own."""

    def __init__(self, port, lies, honest):
        self.sent = multiprocessing.Value("L", 0)
        self.early = multiprocessing.Value("L", 0)
        self.over = multiprocessing.Event()
        ready = multiprocessing.Event()
        self.process = multiprocessing.Process(target=self._run, args=(port, lies, honest, ready), daemon=True)
        self.process.start()
        ready.wait(rig.DEADLINE)

    def _run(self, port, lies, honest, ready):
        wait_and_open(port, ready)
        while not self.over.is_set():
            for frame in lies + [honest]:
                try:
                    port.send(frame)
                    self.sent.value += 1
                except OSError as e:
                    if e.errno == errno.EIO:  # not up yet
                        self.early.value += 1

    def stop(self):
        self.over.set()
        self.process.join(rig.DEADLINE)
        if self.process.is_alive():
            self.process.kill()
            raise TimeoutError("the attacker does not end")


class Victim:
    """Holds a tap from its first moment and keeps what arrives there; a process of its own."""

    def __init__(self, port, markers):
        self.seen = multiprocessing.Array("L", len(markers))
        self.over = multiprocessing.Event()
        ready = multiprocessing.Event()
        self.process = multiprocessing.Process(target=self._run, args=(port, markers, ready), daemon=True)
        self.process.start()
        ready.wait(rig.DEADLINE)

    def _run(self, port, markers, ready):
        wait_and_open(port, ready)
        while not self.over.is_set():
            if not select.select([port.fd], [], [], 0.05)[0]:
                continue
            try:
                frame = os.read(port.fd, 70000)
            except OSError:
                continue
            for i, marker in enumerate(markers):
                if marker in frame:
                    self.seen[i] += 1

    def stop(self):
        self.over.set()
        self.process.join(rig.DEADLINE)


def lies_of(me, other, gateway, gateway_mac, marker):
    """Some of every sort, all with the marker inside or behind."""
    all_arp = [f.arp(f.BROADCAST, me.mac, 2, me.mac, gateway, me.mac, gateway, trailer=marker),
               f.arp(other.mac, me.mac, 2, me.mac, gateway, other.mac, other.ip4, trailer=marker),
               f.arp(f.BROADCAST, "52:54:00:00:00:99", 1, me.mac, me.ip4, "00:00:00:00:00:00", other.ip4, trailer=marker)]
    spoofed = "10.20.0.99"
    return all_arp + [
        f.ether(other.mac, me.mac, 0x0800, f.ip4(spoofed, other.ip4, f.UDP, f.udp(spoofed, other.ip4, 1, 2, marker))),
        f.ether(other.mac, "52:54:00:00:00:99", 0x0800, f.ip4(me.ip4, other.ip4, f.UDP,
                                                              f.udp(me.ip4, other.ip4, 1, 2, marker))),
        f.ether(other.mac, me.mac, 0x0800, f.ip4(me.ip4, other.ip4, f.UDP,
                                                 f.udp(me.ip4, other.ip4, 67, 68, f.dhcp(5, other.mac, 2) + marker))),
        f.ether(f.multicast_mac("ff02::1"), me.mac, 0x86DD, f.ip6(me.ll, "ff02::1", f.ICMP6, f.router_advert(
            me.ll, "ff02::1", me.mac, f.nd_option(253, marker)))),
        f.ether(gateway_mac, me.mac, 0x88B5, marker)]


def attack(world, network, port, other, start):
    """(sent, early, lies seen) of one start."""
    lie, truth = os.urandom(14), os.urandom(14)
    honest = f.ether(other.mac, port.mac, 0x0800, f.ip4(port.ip4, other.ip4, f.UDP,
                                                        f.udp(port.ip4, other.ip4, 1, 2, truth)))
    attacker = Attacker(port, lies_of(port, other, network.gw4, network.mac, lie), honest)
    start()
    # Seen by the eyes, which are on devices that were there before.
    rig.wait_for("an honest frame of a new guest arrives", lambda: world.eyes[other.name].saw(truth))
    attacker.stop()
    world.fence()
    seen = [e.name for e in world.leaks if e.saw(lie)]
    world.forget()
    return attacker.sent.value, attacker.early.value, seen


def new_guests(world, times):
    """(times, frames, times that one was tried before the link was up, [what was seen])"""
    total, ahead, bad = 0, 0, []
    for i in range(times):
        port = rig.Port(0x1000 + i, "new%d" % i, "52:54:00:00:10:%02x" % (i % 250), "10.20.0.%d" % (100 + i % 100),
                        "fd00:20::%x" % (0x1000 + i))
        world.a.ports.append(port)
        sent, early, seen = attack(world, world.a, port, world.alice, lambda: world.role.ensure(world.a))
        total += sent
        ahead += early > 0
        if seen:
            bad.append("lies of a guest just made were seen by " + ", ".join(seen))
        world.a.ports.remove(port)
        world.role.ensure(world.a)
    return times, total, ahead, bad


def first_network(sfd, times):
    """The first network of a host, with both guests there from the first moment; returns what new_guests() does."""
    role, total, ahead, bad = rig.Role(sfd), 0, 0, []
    for i in range(times):
        lie, truth = os.urandom(14), os.urandom(14)
        me = rig.Port(0x2A, "mallory", "52:54:00:00:00:01", "10.20.0.10", "fd00:20::10")
        other = rig.Port(0x2B, "alice", "52:54:00:00:00:02", "10.20.0.11", "fd00:20::11")
        network = rig.Network(100 + i, "10.20.0.0/24", "fd00:20::/64", rig.NAT, [me, other])
        honest = f.ether(other.mac, me.mac, 0x0800, f.ip4(me.ip4, other.ip4, f.UDP,
                                                          f.udp(me.ip4, other.ip4, 1, 2, truth)))
        victim = Victim(other, [lie, truth])
        attacker = Attacker(me, lies_of(me, other, network.gw4, network.mac, lie), honest)
        role.ensure(network)
        rig.wait_for("an honest frame arrives on the first network", lambda: victim.seen[1])
        attacker.stop()
        victim.stop()
        total += attacker.sent.value
        ahead += attacker.early.value > 0
        if victim.seen[0]:
            bad.append("%d lies were seen on the first network of a host" % victim.seen[0])
        role.remove(network)
    role.stop()
    return times, total, ahead, bad


def strange_tap(world):
    """A tap of our name that nobody announced, in our bridge: nothing of it passes. (frames, [what was seen])"""
    port = rig.Port(0xFFFF, "strange", "52:54:00:00:00:77", world.mallory.ip4, world.mallory.ip6)
    rig.sh("ip tuntap add %s mode tap vnet_hdr; ip link set %s master %s up" % (port.tap, port.tap, world.a.bridge))
    port.open()
    marker, sent, bad = os.urandom(12), 0, []
    rig.wait_for("the strange tap forwards", lambda: "state forwarding" in rig.sh("bridge link show dev " + port.tap))
    world.forget()
    for mac in (port.mac, world.mallory.mac, world.alice.mac):
        for frame in (f.arp(f.BROADCAST, mac, 1, mac, world.mallory.ip4, mac, world.alice.ip4, trailer=marker),
                      f.ether(world.alice.mac, mac, 0x0800, f.ip4(world.mallory.ip4, world.alice.ip4, f.UDP, f.udp(
                          world.mallory.ip4, world.alice.ip4, 1, 2, marker)))):
            port.send(frame)
            sent += 1
    world.fence()
    bad += ["seen by " + e.name for e in world.leaks if e.saw(marker)]
    port.close()
    rig.sh("ip link del " + port.tap)
    return sent, bad
