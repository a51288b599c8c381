# SPDX-License-Identifier: Apache-2.0
"""The world the tenancy cases run in: the net role, networks, taps that we hold instead of QEMU, and sockets that see
what arrives anywhere. Runs as root in the sandbox (--outside)."""

import contextlib
import ctypes
import fcntl
import itertools
import json
import os
import select
import socket
import struct
import subprocess
import time

import frames as f

DEADLINE = 60
STORE = "22222222-2222-4222-8222-222222222222"
HOST4, HOST6, OUTSIDE4, OUTSIDE6 = "192.0.2.2", "2001:db8:2::2", "192.0.2.1", "2001:db8:2::1"
LIBC = ctypes.CDLL(None, use_errno=True)
NONE, NAT, ROUTED = 0, 1, 2


def sh(command, check=True):
    return subprocess.run(command, shell=True, check=check, stdout=subprocess.PIPE, text=True).stdout


def wait_for(what, condition, deadline=DEADLINE, pause=0.01):
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError("not within %d s: %s" % (deadline, what))
        time.sleep(pause)


@contextlib.contextmanager
def namespace(name):
    """The calling thread is in that network namespace; None is where it is anyway."""
    if name is None:
        yield
        return
    home, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open("/run/netns/" + name, os.O_RDONLY)
    try:
        if LIBC.setns(there, 0) != 0:
            raise OSError(ctypes.get_errno(), "setns " + name)
        yield
    finally:
        LIBC.setns(home, 0)
        os.close(home)
        os.close(there)


class Port:
    """A guest's place on a network: what sfd would have given it."""

    def __init__(self, ident, name, mac, ip4, ip6):
        self.id, self.name, self.mac, self.ip4, self.ip6 = ident, name, mac, ip4, ip6
        self.tap, self.ll = "sft%08x" % ident, f.link_local(mac)
        self.fd = None

    def open(self):
        """Holds the tap as QEMU would."""
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        # IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
        fcntl.ioctl(self.fd, 0x400454CA, struct.pack("16sH22x", self.tap.encode(), 0x0002 | 0x1000 | 0x4000))

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def send(self, frame, header=bytes(10)):
        os.write(self.fd, header + frame)


class Network:
    def __init__(self, vni, cidr4, cidr6, egress, ports):
        self.vni, self.cidr4, self.cidr6, self.egress, self.ports = vni, cidr4, cidr6, egress, ports
        self.uid = "aaaaaaaa-0000-4000-8000-%012x" % vni
        self.gw4, self.gw6 = cidr4.replace(".0/24", ".1"), cidr6.replace("::/64", "::1")
        self.mac = "02:73:66:" + ":".join("%02x" % b for b in vni.to_bytes(3, "big"))
        self.netns, self.bridge, self.router_port = "sf-%d" % vni, "sfb%d" % vni, "sfr%d" % vni
        self.transit4 = "240.0.0.%d" % vni

    def config(self):
        return {"store": STORE, "uid": self.uid, "vni": self.vni, "prefix4": self.cidr4, "prefix6": self.cidr6,
                "gateway4": self.gw4, "gateway6": self.gw6, "mtu": 0, "dhcp": True, "dns": True,
                "domain": "lab.internal", "upstreams": [], "egress": self.egress,
                "ports": [{"id": p.id, "uid": "cccccccc-0000-4000-8000-%012x" % p.id, "hostname": p.name,
                           "mac": p.mac, "addresses": [p.ip4, p.ip6], "multiQueue": False} for p in self.ports]}


class Role:
    """sfd --role=net and a client of its socket."""

    def __init__(self, sfd):
        self.sfd, self.process, self.socket = sfd, None, None
        self.ids = itertools.count(1)
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.sfd, "--role=net"], stdin=subprocess.DEVNULL)
        wait_for("the net role's socket", self._connect)

    def _connect(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        try:
            self.socket.connect("/run/sfd/net.sock")
        except OSError:
            self.socket.close()
            return False
        return True

    def _receive(self, n):
        data = b""
        while len(data) < n:
            chunk = self.socket.recv(n - len(data))
            if not chunk:
                raise EOFError("the net role has gone")
            data += chunk
        return data

    def call(self, op, **arguments):
        ident = next(self.ids)
        body = json.dumps({"id": ident, "op": op, **arguments}).encode()
        self.socket.sendall(struct.pack("!I", len(body)) + body)
        while True:
            reply = json.loads(self._receive(struct.unpack("!I", self._receive(4))[0]))
            if reply.get("id") == ident:
                break
        if "error" in reply:
            raise RuntimeError(reply["error"]["message"])
        return reply["result"]

    def ensure(self, network):
        return self.call("ensure", config=network.config())

    def remove(self, network):
        return self.call("remove", uid=network.uid, vni=network.vni)

    def stop(self, signal=15):
        self.socket.close()
        self.process.send_signal(signal)
        self.process.wait(DEADLINE)

    def restart(self):
        self.stop()
        self.start()


class Eye:
    """Sees what leaves by a device ("out") or comes in by it ("in")."""

    def __init__(self, name, device, direction, netns=None):
        self.name, self.outgoing = name, direction == "out"
        with namespace(netns):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
            self.socket.bind((device, 3))  # ETH_P_ALL
        self.frames = []

    def look(self):
        """All that was seen since forget()."""
        while True:
            try:
                data, address = self.socket.recvfrom(70000)
            except BlockingIOError:
                return self.frames
            except OSError:  # the device is down or has gone: the socket says so once
                continue
            if (address[2] == 4) == self.outgoing:
                self.frames.append(data)

    def forget(self):
        self.look()
        self.frames = []

    def saw(self, *markers):
        """One of them, anywhere in a frame."""
        return any(marker in frame for frame in self.look() for marker in markers)

    def close(self):
        self.socket.close()


class World:
    """Three networks: two of equal range with NAT, one routed; three guests on the first."""

    def __init__(self, sfd):
        os.makedirs("/run/sfd", exist_ok=True)
        self.a = Network(7, "10.20.0.0/24", "fd00:20::/64", NAT, [
            Port(0x2A, "mallory", "52:54:00:00:00:01", "10.20.0.10", "fd00:20::10"),
            Port(0x2B, "alice", "52:54:00:00:00:02", "10.20.0.11", "fd00:20::11"),
            Port(0x2C, "bob", "52:54:00:00:00:03", "10.20.0.12", "fd00:20::12")])
        self.b = Network(8, "10.20.0.0/24", "fd00:20::/64", NAT, [
            Port(0x3A, "carol", "52:54:00:00:00:04", "10.20.0.13", "fd00:20::13")])
        self.c = Network(9, "10.30.0.0/24", "fd00:30::/64", ROUTED, [
            Port(0x4A, "dave", "52:54:00:00:00:05", "10.30.0.10", "fd00:30::10")])
        self.networks = [self.a, self.b, self.c]
        self.mallory, self.alice, self.bob = self.a.ports
        self.carol, self.dave = self.b.ports[0], self.c.ports[0]
        self.patience = DEADLINE
        self.role = Role(sfd)
        for network in self.networks:
            self.role.ensure(network)
            for port in network.ports:
                port.open()
        self.open_eyes()
        wait_for("the bridge forwards", lambda: self.fence())

    def open_eyes(self):
        taps = [p for n in self.networks for p in n.ports]
        self.eyes = {p.name: Eye(p.name, p.tap, "out") for p in taps}
        for letter, n in zip("abc", self.networks):
            self.eyes["router-" + letter] = Eye("router-" + letter, "lan0", "in", n.netns)
            self.eyes["up-" + letter] = Eye("up-" + letter, "up0", "out", n.netns)
            self.eyes["bridge-" + letter] = Eye("bridge-" + letter, n.bridge, "in")
        self.eyes["outside"] = Eye("outside", "eth0", "in", "outside")
        # What the attacker itself gets back is an answer, not a leak.
        self.leaks = [e for name, e in self.eyes.items() if name != "mallory"]

    def forget(self):
        for eye in self.eyes.values():
            eye.forget()

    def send(self, frame):
        self.mallory.send(*frame) if isinstance(frame, tuple) else self.mallory.send(frame)

    def can_send(self, frame):
        return True

    def send_all(self, frames):
        for frame in frames:
            self.send(frame)

    def fence(self, deadline=DEADLINE):
        """An honest frame that everybody on the network gets: what was sent before it has been dealt with."""
        marker = os.urandom(12)
        m = self.mallory
        self.send(f.arp(f.BROADCAST, m.mac, 1, m.mac, m.ip4, "00:00:00:00:00:00", self.alice.ip4, trailer=marker))
        wait_for("an honest ARP request arrives", lambda: all(
            self.eyes[e].saw(marker) for e in ("alice", "bob", "router-a") if e in self.eyes), deadline)
        return True

    def dropped(self):
        text = sh("nft list counter bridge sfd drop_guest")
        return int(text.split("packets ")[1].split()[0])

    def close(self):
        for network in self.networks:
            for port in network.ports:
                port.close()
            self.role.remove(network)
        for eye in self.eyes.values():
            eye.close()
        self.role.stop()
