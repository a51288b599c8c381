# SPDX-License-Identifier: Apache-2.0
"""The matrix: every lie against every target, each followed by an honest frame; and every honest case.

All frames go out in one stream, because one guest sends them: what was sent before an honest frame that arrived has been
dealt with. A frame is known again by a marker in it, or by its head where the kernel cut the marker off."""

import os

import cases
import frames as f
import honest
import rig


class Tally:
    """What was tried: kinds against targets in states of the host."""

    def __init__(self):
        self.n, self.kinds, self.targets, self.states = 0, set(), set(), []

    def add(self, state, cases):
        """Cases are (kind, target)."""
        self.n += len(cases)
        self.kinds |= {kind for kind, _ in cases}
        self.targets |= {target for _, target in cases}
        self.states.append(state)

    def __str__(self):
        of = "%d kinds x %d targets x %d states" % (len(self.kinds), len(self.targets), len(self.states))
        return of if len(self.targets) > 1 else of.replace(" x 1 targets", "")


def bare(frame):
    return frame[0] if isinstance(frame, tuple) else frame


def marked(frame, marker):
    """With the marker behind it, for frames that have no room for one inside."""
    return (frame[0] + marker, frame[1]) if isinstance(frame, tuple) else frame + marker


def traces(frame):
    """What a frame is known by where its marker was cut off with the padding: its head, also without tags."""
    yield frame[:50]
    at = 12
    while frame[at:at + 2] in (b"\x81\x00", b"\x88\xa8", b"\x91\x00"):
        at += 4
        yield frame[:12] + frame[at:at + 38]


class Lie:
    def __init__(self, name, target, world, build):
        self.case, self.what = (name, target.name), "%s, to %s" % (name, target.name)
        self.marker, self.honest = os.urandom(12), os.urandom(12)
        self.frames = [marked(x, self.marker) for x in build(world.mallory, target, world, self.marker)]
        self.marks = [self.marker] + [t for x in self.frames for t in traces(bare(x))]
        m = world.mallory
        self.fence = f.arp(f.BROADCAST, m.mac, 1, m.mac, m.ip4, "00:00:00:00:00:00", world.alice.ip4, trailer=self.honest)


def run_lies(world, wanted=lambda name: True):
    """([(kind, target) tried], [those that somebody saw], [what passed or was not dealt with])"""
    lies = [Lie(name, target, world, build) for target in cases.targets(world)
            for name, build in cases.LIES if wanted(name)]
    lies = [lie for lie in lies if all(world.can_send(x) for x in lie.frames)]
    world.forget()
    world.send_all([x for lie in lies for x in lie.frames + [lie.fence]])
    world.fence()
    seen = {eye.name: b"|".join(eye.look()) for eye in world.leaks}
    leaked, passed = [], []
    for lie in lies:
        where = [name for name, all_of_it in seen.items() if any(mark in all_of_it for mark in lie.marks)]
        if where:
            leaked.append(lie.case)
            passed.append("%s: seen at %s" % (lie.what, ", ".join(where)))
        if lie.honest not in seen["alice"] or lie.honest not in seen["router-a"]:
            passed.append("%s: the honest frame behind it did not arrive" % lie.what)
    return [lie.case for lie in lies], leaked, passed


class Honest:
    def __init__(self, name, eyes, build, world):
        self.name, self.eyes, self.marker = name, eyes, os.urandom(12)
        built = build(world.mallory, world, self.marker)
        self.frames, self.answered = built if isinstance(built, tuple) else (built, None)
        if not self.answered:
            self.frames = [marked(x, self.marker) for x in self.frames]

    def arrived(self, world):
        if self.answered:
            return self.answered(world.eyes["mallory"].look())
        return all(world.eyes[e].saw(self.marker, self.frames[-1][:50]) for e in self.eyes if e in world.eyes)


def run_honest(world, only=""):
    """([(name, "") tried], [what did not arrive])"""
    waiting = [Honest(name, eyes, build, world) for name, eyes, build in honest.CASES
               if only in name and (not eyes or any(e in world.eyes for e in eyes))]
    tried = [(case.name, "") for case in waiting]
    world.forget()
    world.send_all([x for case in waiting for x in case.frames])

    def all_arrived():
        waiting[:] = [case for case in waiting if not case.arrived(world)]
        return not waiting

    try:
        rig.wait_for("honest frames arrive", all_arrived, world.patience)
    except TimeoutError:
        pass
    return tried, [case.name for case in waiting]
