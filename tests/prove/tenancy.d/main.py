# SPDX-License-Identifier: Apache-2.0
"""The tenancy rig with guests made of taps: python3 main.py sample|full, in the sandbox. See tests/prove/tenancy."""

import os
import signal
import sys
import time

import matrix
import reach
import rig
import starve
import window

BRIDGE_NF = "/proc/sys/net/bridge/bridge-nf-call-%stables"


def row(figure, measured, of, goal, passed):
    line = "\t".join(map(str, (figure, measured, of, goal, "pass" if passed else "FAIL")))
    print(line, flush=True)
    with open(os.environ["PROVE_ROWS"], "a", encoding="utf-8") as rows:
        rows.write(line + "\n")


def all_of(figure, bad, total, least):
    for what in bad:
        print("  %s: %s" % (figure, what))
    row(figure, total - len(bad), total, "all, of %d or more" % least, not bad and total >= least)


def none_of(figure, bad, total, least):
    for what in bad:
        print("  %s: %s" % (figure, what))
    row(figure, len(bad), total, "0, in %d or more" % least, not bad and total >= least)


class Matrix:
    """Runs the matrix again and again and keeps the sums: one row each for lies and for honest frames."""

    def __init__(self, world):
        self.world, self.lies, self.honest, self.bad, self.lost, self.runs = world, 0, 0, [], [], []

    def run(self, when):
        start, before = time.monotonic(), self.world.dropped()
        n, bad = matrix.run_lies(self.world)
        counted = self.world.dropped() - before
        self.lies += n
        self.bad += ["%s: %s" % (when, b) for b in bad]
        n, lost = matrix.run_honest(self.world)
        self.honest += n
        self.lost += ["%s: %s" % (when, b) for b in lost]
        self.runs.append(when)
        print("%s: %d passed, %d lost, %d counted by the filter, %.1f s" %
              (when, len(bad), len(lost), counted, time.monotonic() - start), flush=True)

    def rows(self):
        print("runs: " + "; ".join(self.runs))
        all_of("spoofed frames dropped (kinds x targets x states of the host)", self.bad, self.lies, 30)
        all_of("honest frames arrived", self.lost, self.honest, 10)


def bridge_netfilter(on):
    for table in ("ip", "ip6", "arp"):
        with open(BRIDGE_NF % table, "w", encoding="ascii") as f:
            f.write("1" if on else "0")


def flush(world, table):
    """Somebody reloads his own firewall; the next reconcile mends ours. Before it does, what needs no rules stands."""
    rig.sh("nft flush ruleset")
    n, bad = matrix.run_lies(world, "MAC: ")
    all_of("frames with a foreign MAC dropped with no rules at all", bad, n, 30)
    n, bad = reach.without_rules(world)
    none_of("ports of the host reached with no rules at all (frames sent)", bad, n, 1000)
    if not world.role.ensure(world.a)["repaired"]:
        raise RuntimeError("nobody noticed that the rules had gone")
    table.run("after nft flush ruleset")


def restart(world, sig):
    world.role.stop(sig)
    world.role.start()
    for network in world.networks:
        if world.role.ensure(network)["changes"]:
            raise RuntimeError("a new net role did not adopt network %d as it was" % network.vni)


def states(world, table):
    has_bridge_nf = os.path.exists(BRIDGE_NF % "ip")
    for on in (False, True) if has_bridge_nf else (None,):
        if has_bridge_nf:
            bridge_netfilter(on)
        table.run("br_netfilter " + {True: "on", False: "off", None: "missing"}[on])
    if has_bridge_nf:
        bridge_netfilter(False)
    flush(world, table)
    restart(world, signal.SIGTERM)
    table.run("after a restart of the net role")
    restart(world, signal.SIGKILL)
    table.run("after kill -9 of the net role")


def main(mode):
    full = mode == "full"
    sfd = os.environ["BUILD"] + "/sfd"
    starts, frames, bad = window.first_network(sfd, 100 if full else 5)
    world = rig.World(sfd)
    table = Matrix(world)
    states(world, table)
    table.rows()
    more = window.new_guests(world, 500 if full else 15)
    strange, seen = window.strange_tap(world)
    print("starts: %d frames sent while links appeared" % (frames + more[1]))
    none_of("spoofed frames seen of guests that sent them as their link appeared", bad + more[2] + seen, starts + more[0],
            10)
    sent, bad = reach.run(world, full)
    none_of("ports reached besides DHCP and DNS of the guest's own gateway (frames sent)", bad, sent, 131070)
    sent, bad = starve.run_leases(world, 20000 if full else 1000, seed=int(time.time()))
    none_of("guests without their addresses after a storm of DHCP requests by another (requests)", bad, sent, 10000)
    tried, bad = starve.run_names(world)
    none_of("names that a guest gave itself and others could resolve (asked)", bad, tried, 8)
    sent, most, bad = starve.run_neighbours(world, 200000 if full else 10000)
    print("storms: at most %d neighbours in a router" % most)
    none_of("networks cut off by storms of addresses that nobody has (frames)", bad, sent, 10000)
    world.close()


if __name__ == "__main__":
    main(sys.argv[1])
