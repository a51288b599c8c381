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


def tallied(figure, bad, tally, least, states):
    """All of them, of so many kinds or more, in every state that is expected."""
    for what in bad:
        print("  %s: %s" % (figure, what))
    missing = [s for s in states if s not in tally.states]
    if missing:
        print("  %s: not tried %s" % (figure, ", ".join(missing)))
    row(figure, tally.n - len(bad), "%d = %s" % (tally.n, tally), "all, %d kinds or more, %d states" % (least, len(states)),
        not bad and not missing and len(tally.kinds) >= least)


def too_few_counted(when, counted, lies):
    """The filter counts what it drops: no lie may have been lost on the way, which would look the same."""
    return [] if counted >= len(lies) else ["%s: the filter counted %d of %d lies" % (when, counted, len(lies))]


class Matrix:
    """Runs the matrix again and again and keeps the sums: one row each for lies and for honest frames."""

    def __init__(self, world):
        self.world, self.lies, self.honest, self.bad, self.lost = world, matrix.Tally(), matrix.Tally(), [], []

    def run(self, when):
        start, before = time.monotonic(), self.world.dropped()
        tried, _, bad = matrix.run_lies(self.world)
        counted = self.world.dropped() - before
        self.lies.add(when, tried)
        self.bad += ["%s: %s" % (when, b) for b in bad] + too_few_counted(when, counted, tried)
        tried, lost = matrix.run_honest(self.world)
        self.honest.add(when, tried)
        self.lost += ["%s: %s" % (when, b) for b in lost]
        print("%s: %d passed, %d lost, %d counted by the filter, %.1f s" %
              (when, len(bad), len(lost), counted, time.monotonic() - start), flush=True)

    def rows(self):
        states = (["br_netfilter off", "br_netfilter on"] if os.path.exists(BRIDGE_NF % "ip") else
                  ["br_netfilter missing"]) + ["after nft flush ruleset", "after a restart of the net role",
                                               "after kill -9 of the net role"]
        print("runs: " + "; ".join(self.lies.states))
        tallied("spoofed frames dropped", self.bad, self.lies, 30, states)
        tallied("honest frames arrived", self.lost, self.honest, 10, states)


def bridge_netfilter(on):
    for table in ("ip", "ip6", "arp"):
        with open(BRIDGE_NF % table, "w", encoding="ascii") as f:
            f.write("1" if on else "0")


def flush(world, table):
    """Somebody reloads his own firewall; the next reconcile mends ours. Before it does, what needs no rules stands."""
    rig.sh("nft flush ruleset")
    tried, _, bad = matrix.run_lies(world, lambda name: "MAC: " in name)
    all_of("frames with a foreign MAC dropped with no rules at all", bad, len(tried), 30)
    n, bad = reach.without_rules(world)
    none_of("ports of the host reached with no rules at all (frames sent)", bad, n, 1000)
    tried, seen, _ = matrix.run_lies(world, lambda name: "MAC: " not in name)
    kinds, seen = {kind for kind, _ in tried}, {kind for kind, _ in seen}
    print("not seen with no rules either: " + "; ".join(sorted(kinds - seen)))
    row("kinds of lies that are seen while there is no filter", len(seen), len(kinds), "half or more, of 30 or more",
        2 * len(seen) >= len(kinds) >= 30)
    # What the lies taught the routers meanwhile is not what is asked about next.
    for network in world.networks:
        rig.sh("ip -n %s neigh flush all" % network.netns)
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
    starts, frames, early, bad = window.first_network(sfd, 100 if full else 5)
    world = rig.World(sfd)
    table = Matrix(world)
    states(world, table)
    table.rows()
    more = window.new_guests(world, 500 if full else 15)
    strange, seen = window.strange_tap(world)
    starts, early = starts + more[0], early + more[2]
    print("starts: %d frames sent while links appeared" % (frames + more[1]))
    none_of("spoofed frames seen of guests that sent them as their link appeared", bad + more[3] + seen, starts, 10)
    row("of these starts, tried to send before the link was up", early, starts, "a quarter or more",
        4 * early >= starts)
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
