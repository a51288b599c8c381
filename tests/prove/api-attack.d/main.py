# SPDX-License-Identifier: Apache-2.0
"""The parts of tests/prove/api-attack, inside of its sandbox: main.py sample|full [PART...]"""

import os
import re
import subprocess
import sys
import traceback

import hostile
from sfd import BUILD, Sfd

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


def part_matrix():
    """Who may do what: identity x verb x kind x namespace x spelling."""
    r = subprocess.run([BUILD + "/tests/contract/server/test_matrix"], capture_output=True, text=True, timeout=300)
    say(r.stdout + r.stderr)
    asked = sum(int(n) for n in re.findall(r"asked (\d+) times", r.stdout + r.stderr))
    wrong = (r.stdout + r.stderr).count("[  FAILED  ] test_")
    row("authorization matrix: questions answered as the policy says", asked if not r.returncode else "%d tests failed" %
        wrong, asked, "all, of 20,000 or more", r.returncode == 0 and asked >= 20000)


PARTS = {"requests": part_requests, "matrix": part_matrix}


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
