# SPDX-License-Identifier: Apache-2.0
"""The parts of tests/prove/api-attack, inside of its sandbox: main.py sample|full [PART...]"""

import os
import re
import subprocess
import sys
import time
import traceback

import content
import deputy
import flood
import healthy
import hostile
import slow
from sfd import BUILD, Broken, Sfd, call, wait_for

ROWS = os.environ.get("PROVE_ROWS", "/dev/null")

FULL = sys.argv[1:2] == ["full"]
HOME = "/var/lib/sfd"  # of the sandbox: in memory


def row(figure, measured, of, goal, good):
    line = "%s\t%s\t%s\t%s\t%s" % (figure, measured, of, goal, "pass" if good else "FAIL")
    print(line, flush=True)
    with open(ROWS, "a") as f:
        f.write(line + "\n")


def all_of(figure, good, total, least):
    row(figure, good, total, "all, of %d or more" % least, good == total and total >= least)


def say(text):
    print(text, flush=True)


def run_until(what, victim, n, *arguments):
    """How often it was done, at least n times, with nobody else there."""
    with slow.attack(what, victim, *arguments) as told:
        return wait_for("%d %s" % (n, what.__name__), lambda: told()[-1] != "ready" and told()[-1] >= n and told()[-1],
                        600)


def part_requests():
    """Smuggled, malformed and oversized hostile."""
    sfd = Sfd(HOME + "/requests")
    passed, of = hostile.run(sfd, say)
    all_of("malformed and smuggled requests refused", passed, of, 300)
    passed = of = 0
    for door in sfd.doors:
        p, n = hostile.body_limits(door, say)
        passed, of = passed + p, of + n
    all_of("bodies at and over the limit answered", passed, of, 18)
    passed = of = 0
    for door in sfd.doors:
        p, n = hostile.pipeline(door, 10000, say)
        passed, of = passed + p, of + n
    all_of("pipelined requests answered in order", passed, of, 30000)
    row("sfd ends cleanly after them", sfd.stop(), "", "exit code 0", sfd.process.returncode == 0)
    pair = pair_of("hostile")
    victim = pair[0]
    descriptors = victim.descriptors()
    with slow.attack(hostile.endless, victim) as told:
        under_attack("oversized and smuggled requests", pair)
        wait_for("all of them", lambda: told()[-1] != "ready", 600)
    wait_for("descriptors as before", lambda: victim.descriptors() <= descriptors)
    pss = victim.pss()
    run_until(hostile.endless, victim, 1)
    wait_for("descriptors as before", lambda: victim.descriptors() <= descriptors)
    grown = victim.pss() - pss
    # Some threads may keep what a body of the limit took, 3 MiB each, for the next one.
    row("oversized and smuggled requests: memory grown the second time, KiB", grown, "", "under 12288", grown < 12288)
    for sfd in pair:
        sfd.stop()


def part_content():
    """What is deep, wide, explosive or forged."""
    sfd = Sfd(HOME + "/content")
    all_of("explosive and forged contents answered within 2 s of processor time", *content.run(sfd, say), 100)
    all_of("continue tokens of others give nothing", *content.continue_tokens(sfd, say), 140)
    before = sfd.descriptors()
    all_of("watches of a storm answered", *content.watch_storm(sfd.unix, 10000 if FULL else 1000, say), 1000)
    wait_for("descriptors as before", lambda: sfd.descriptors() <= before)
    row("sfd ends cleanly after them", sfd.stop(), "", "exit code 0", sfd.process.returncode == 0)


def part_deputy():
    """A tenant who sends sfd where she may not go."""
    sfd = Sfd(HOME + "/deputy", controllers="all")
    all_of("ways to another's objects closed, and what is there not told", *deputy.run(sfd, say), 60)
    sfd.stop()


def part_matrix():
    """Who may do what: identity x verb x kind x namespace, each cell in one spelling of its path in turns; full: in all."""
    spellings = 4 if FULL else 1
    r = subprocess.run([BUILD + "/tests/contract/server/test_matrix"], capture_output=True, text=True, timeout=1200,
                       env=dict(os.environ, TEST_SPELLINGS="all" if FULL else "one"))
    said = r.stdout + r.stderr
    say(said)
    cells, asked = (sum(int(n) for n in re.findall(pattern, said)) for pattern in (r"(\d+) cells", r"asked (\d+) times"))
    wrong = said.count("[  FAILED  ] test_")
    row("authorization matrix: questions answered as the policy says", asked if not r.returncode else "%d tests failed" %
        wrong, "%d cells" % cells, "all, of 20,000 cells or more, in %d spelling%s each" % (spellings, "s" if FULL else ""),
        r.returncode == 0 and cells >= 20000 and asked == cells * spellings)


def under_attack(figure, pair):
    """A row for healthy clients while something goes on: both p99 as they are, and what the verdict allows."""
    v = healthy.measure(pair, 15 if FULL else 5, 500 if FULL else 110)
    say("  %s: %s" % (figure, v))
    row("healthy clients' p99 beside %s, ms (of: left alone)" % figure, "%.2f" % v.attacked, "%.2f" % v.alone, v.goal, v.good)


def pair_of(name, **options):
    """An sfd to attack, and one like it that is left alone."""
    pair = Sfd(HOME + "/%s-attacked" % name, **options), Sfd(HOME + "/%s-alone" % name, **options)
    for sfd in pair:
        healthy.prepare(sfd)
    return pair


def part_slow():
    """Many slow ones: they cost little, are cut, and leave nothing."""
    pair = pair_of("slow")
    victim, n = pair[0], 1000
    for sfd in pair:
        slow.make_many(sfd, 10000)
    say("  control, without any attack: %s" % healthy.measure(pair, 5, 110))
    descriptors, threads, pss = victim.descriptors(), victim.threads(), victim.pss()
    attacks = [("%d slow connections" % n, n, slow.slow_bytes, (n, 2.0)),
               ("100 slow readers of 10,000 objects", 100, slow.slow_lists, (100, 2.0)),
               ("%d idle watches" % n, n, slow.watches, (n, True)),
               ("100 watches that nobody reads", 100, slow.watches, (100, False))]
    after = []
    for turn in range(2):
        for figure, many, what, arguments in attacks:
            with slow.attack(what, victim, *arguments) as told:
                wait_for("connections of " + figure, lambda: victim.descriptors() >= descriptors + many * 0.9)
                held = (victim.pss() - pss) / many
                if turn == 0:
                    under_attack(figure, pair)
                    say("  %.1f KiB each" % held)
                if what is slow.slow_bytes and turn == 0:
                    wait_for("all of them cut", lambda: told()[-1] != "ready" and told()[-1] >= n)
                    row("slow connections cut", told()[-1], "", "%d or more" % n, told()[-1] >= n)
                if what is slow.watches and turn == 1 and many == n:
                    row("memory of an idle watch, KiB", "%.1f" % held, "", "under 64", held < 64)
            wait_for("descriptors as before", lambda: victim.descriptors() <= descriptors)
        after.append(victim.pss())
    row("descriptors and threads afterwards", "%+d, %+d" % (victim.descriptors() - descriptors,
                                                            victim.threads() - threads), "", "+0, +0",
        victim.descriptors() == descriptors and victim.threads() <= threads)
    say("  memory in KiB: %d before, %d after the attacks, %d after the second time" % (pss, *after))
    row("memory grown by the attacks the second time, KiB", after[1] - after[0], "", "under 4096",
        after[1] - after[0] < 4096)
    for sfd in pair:
        sfd.stop()


def part_flood():
    """Fast ones: they get their refusals, and nothing of them stays."""
    pair = pair_of("flood")
    victim = pair[0]
    passed, of = flood.old_protocols(victim, say)
    all_of("old TLS protocols refused", passed, of, 3)
    for what, figure, n, rate in ((flood.unauthenticated, "requests without a right", 1000000 if FULL else 100000, 5000),
                                  (flood.handshakes, "TLS handshakes", 10000 if FULL else 1000, 100),
                                  (flood.half_handshakes, "half TLS handshakes", 100000 if FULL else 5000, 1000)):
        run_until(what, victim, n / 10, 0)  # what is made once is not what grows
        state = victim.revision(), victim.threads(), victim.descriptors()
        log, pss = victim.log_size(), victim.pss()
        done = run_until(what, victim, n, 0)
        wait_for("descriptors as before", lambda: victim.descriptors() <= state[2])
        grown, lines = victim.pss() - pss, victim.log_size() - log
        now = victim.revision(), victim.threads(), victim.descriptors()
        same = now[0] == state[0] and now[1] <= state[1]
        row("%s: revisions, threads, descriptors, log lines left" % figure, "%s, %d" % ("0, 0, 0" if same else "not 0", lines),
            done, "0, 0, 0, 0", same and lines == 0)
        row("%s: memory grown, KiB" % figure, grown, "", "under 2048", grown < 2048)
        with slow.attack(what, victim, rate):
            under_attack("%d %s a second" % (rate, figure), pair)
    for sfd in pair:
        sfd.stop()


def part_descriptors():
    """No descriptors left: connections are shed, what is inside goes on, and all comes back."""
    pair = pair_of("descriptors", nofile=256)
    sfd = pair[0]
    before, n = sfd.descriptors(), 2000
    kept = flood.storm(sfd, n)
    most, good, cpu, begin = 0, 0, sfd.cpu(), time.monotonic()
    for i in range(50):
        most = max(most, sfd.descriptors())
        try:
            name = "during-%d" % i
            call(sfd.doors[i % 3], "POST", "/api/v1/namespaces", '{"metadata":{"name":"%s"}}' % name, expect=201)
            call(sfd.doors[i % 3], "DELETE", "/api/v1/namespaces/" + name)
            wait_for("namespace gone", lambda: call(sfd.unix, "GET", "/api/v1/namespaces/" + name).code == 404, 10)
            good += 1
        except (OSError, Broken) as e:
            say("  client %d beside the storm: %s" % (i, e))
    busy = (sfd.cpu() - cpu) / (time.monotonic() - begin)
    all_of("clients served, namespaces reconciled, beside %d connections on 256 descriptors" % n, good, 50, 50)
    row("descriptors in use at most", most, 256, "under 256", most < 256)
    say("  %d of %d connections ended, %.0f %% of a processor" % (flood.ended(kept), n, busy * 100))
    for s in kept:
        s.close()
    with slow.attack(slow.slow_bytes, sfd, n, 2.0):  # the storm was cut by now; these come again
        under_attack("%d slow connections on 256 descriptors" % n, pair)
    wait_for("descriptors as before", lambda: sfd.descriptors() <= before)
    row("descriptors after the storm", "%+d" % (sfd.descriptors() - before), "", "+0", sfd.descriptors() <= before)
    row("sfd ends cleanly after the storm", sfd.stop(), "", "exit code 0", sfd.process.returncode == 0)
    pair[1].stop()


PARTS = {"requests": part_requests, "content": part_content, "deputy": part_deputy, "slow": part_slow, "flood": part_flood, "descriptors": part_descriptors,
         "matrix": part_matrix}


def main():
    rc = 0
    for name in sys.argv[2:] or PARTS:
        try:
            PARTS[name]()
        except Exception:  # a part that broke must not keep the others from being seen
            traceback.print_exc()
            rc = 1
    return rc


sys.exit(main())
