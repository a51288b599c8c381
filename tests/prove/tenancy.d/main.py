# SPDX-License-Identifier: Apache-2.0
"""The tenancy rig with guests made of taps: python3 main.py sample|full, in the sandbox. See tests/prove/tenancy."""

import os
import signal
import sys
import time

import matrix
import rig

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


def flush(world):
    """Somebody reloads his own firewall; the next reconcile mends ours."""
    rig.sh("nft flush ruleset")
    if not world.role.ensure(world.a)["repaired"]:
        raise RuntimeError("nobody noticed that the rules had gone")


def restart(world, sig):
    world.role.stop(sig)
    world.role.start()
    for network in world.networks:
        if world.role.ensure(network)["changes"]:
            raise RuntimeError("a new net role did not adopt network %d as it was" % network.vni)


def main(mode):
    world = rig.World(os.environ["BUILD"] + "/sfd")
    table = Matrix(world)
    has_bridge_nf = os.path.exists(BRIDGE_NF % "ip")
    for on in (False, True) if has_bridge_nf else (None,):
        if has_bridge_nf:
            bridge_netfilter(on)
        table.run("br_netfilter " + {True: "on", False: "off", None: "missing"}[on])
    if has_bridge_nf:
        bridge_netfilter(False)
    flush(world)
    table.run("after nft flush ruleset")
    restart(world, signal.SIGTERM)
    table.run("after a restart of the net role")
    restart(world, signal.SIGKILL)
    table.run("after kill -9 of the net role")
    table.rows()
    world.close()


if __name__ == "__main__":
    main(sys.argv[1])
