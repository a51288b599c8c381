# SPDX-License-Identifier: Apache-2.0
"""The matrix with two real guests, of which one lies: python3 guests.py run WHEN, then guests.py rows MODE. The world is what
sfd made (see guests.bash); only frames that a card could send are tried."""

import json
import subprocess
import sys
import time

import main
import matrix
import rig

SUMS = "/run/sandbox/tenancy.sums"
WWW = "/run/sandbox/outside"
# What guests.bash does to the host, in a sample and in full.
STATES = ["two guests", "after nft flush ruleset", "after a restart of sfd and its net role",
          "after a restart of libvirtd"]
MORE_STATES = ["after kill -9 of the net role", "after kill -9 of sfd", "after kill -9 of libvirtd", "with br_netfilter",
               "after a reboot of one guest"]


def sfctl(*arguments):
    return json.loads(subprocess.run(["sfctl", *arguments, "-o", "json"], check=True, stdout=subprocess.PIPE).stdout)


def network(name, ports):
    o = sfctl("get", "network", name)
    return rig.Network(o["status"]["vni"], *o["spec"]["cidrs"], None, ports)


def real(name):
    o = sfctl("get", "instance", name)["status"]["interfaces"][0]
    tap = rig.sh("virsh -q domiflist default.%s" % name).split()[0]
    return rig.Port(int(tap[3:], 16), name, o["macAddress"], *o["addresses"])


class Guests(rig.World):
    """Like World, but the sender is a guest and so is whom it lies to."""

    def __init__(self):
        self.patience, self.role = rig.DEADLINE, None
        self.mallory, self.alice = real("mallory"), real("alice")
        # Neighbours that are not there: their addresses are as good to lie with.
        self.bob = rig.Port(0xB0B, "bob", "52:54:00:00:00:03", "10.20.0.212", "fd00:20::212")
        self.carol = rig.Port(0xCA1, "carol", "52:54:00:00:00:04", "10.20.0.213", "fd00:20::213")
        self.dave = rig.Port(0xDA7, "dave", "52:54:00:00:00:05", "10.30.0.210", "fd00:30::210")
        self.a = network("front", [self.mallory, self.alice])
        self.b, self.c = network("other", []), network("routed", [])
        self.networks = [self.a, self.b, self.c]
        self.open_eyes()

    def send(self, frame):
        self.send_all([frame])

    def can_send(self, frame):
        # A card of ours has no header to ask for a superframe with, and the guest's kernel cuts at the MTU.
        return not isinstance(frame, tuple) and 14 <= len(frame) <= 1450 + 14

    def send_all(self, frames):
        with open(WWW + "/frames", "wb") as out:
            for frame in frames:
                out.write(len(frame).to_bytes(2, "big") + frame)
        said = self.inside(self.mallory, "wget -q -O - http://%s/frames | /run/send eth0" % rig.OUTSIDE4)
        if "refused=0" not in said:
            raise RuntimeError("the guest could not send: " + said)

    def inside(self, port, script):
        return subprocess.run(["ip", "netns", "exec", self.a.netns, "curl", "-sS", "--max-time", "120", "--data-binary",
                               script, "http://%s/cgi-bin/run" % port.ip4], check=True, stdout=subprocess.PIPE, text=True).stdout

    def by_themselves(self):
        """What guests do without our frames: ([(what, "") tried], [what did not work])."""
        tests = [(self.mallory, "ping -c 1 -W 5 " + self.alice.ip4), (self.alice, "ping -c 1 -W 5 " + self.mallory.ip4),
                 (self.mallory, "ping -6 -c 1 -W 5 " + self.alice.ip6), (self.alice, "ping -c 1 -W 5 " + self.a.gw4),
                 (self.alice, "ping -6 -c 1 -W 5 " + self.a.gw6), (self.alice, "nslookup mallory.lab.internal"),
                 (self.alice, "wget -q -O - http://%s/hello" % rig.OUTSIDE4),
                 (self.alice, "ip neigh show %s | grep -q %s" % (self.a.gw4, self.a.mac)),
                 (self.mallory, "wget -q -O - http://%s/facts | grep -q hostname=alice" % self.alice.ip4)]
        return [("%s: %s" % (p.name, script), "") for p, script in tests], ["%s: %s" % (p.name, script) for p, script in tests
                            if not self.inside(p, script).rstrip().endswith("rc=0")]


def run(when):
    world = Guests()
    start, before = time.monotonic(), world.dropped()
    lies, _, passed = matrix.run_lies(world)
    counted = world.dropped() - before
    honest, lost = matrix.run_honest(world)
    deeds, failed = world.by_themselves()
    honest += deeds
    print("%s: %d of %d lies passed, %d of %d honest lost, %d counted by the filter, %.1f s" %
          (when, len(passed), len(lies), len(lost + failed), len(honest), counted, time.monotonic() - start), flush=True)
    with open(SUMS, "a", encoding="utf-8") as f:
        f.write(json.dumps([when, lies, passed, honest, lost + failed, counted]) + "\n")


def rows(mode):
    """Every state that the mode knows must have been tried, each with every kind."""
    with open(SUMS, encoding="utf-8") as f:
        sums = [json.loads(line) for line in f]
    lies, honest, short = matrix.Tally(), matrix.Tally(), []
    for when, tried, _, deeds, _, counted in sums:
        lies.add(when, tried)
        honest.add(when, deeds)
        short += main.too_few_counted(when, counted, tried)
    states = STATES + (MORE_STATES if mode == "full" else [])
    main.tallied("spoofed frames of a real guest dropped", ["%s: %s" % (s[0], b) for s in sums for b in s[2]] + short, lies,
                 30, states)
    main.tallied("honest frames and deeds of real guests that worked", ["%s: %s" % (s[0], b) for s in sums for b in s[4]],
                 honest, 10, states)


if __name__ == "__main__":
    run(sys.argv[2]) if sys.argv[1] == "run" else rows(sys.argv[2])
