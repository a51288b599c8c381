# SPDX-License-Identifier: Apache-2.0
"""The matrix: every lie against every target, each after and before an honest frame; and every honest case."""

import os

import cases
import honest
import rig


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


def run_lies(world, only=None):
    """(tried, [what passed])"""
    tried, passed = 0, []
    for target in cases.targets(world):
        for name, build in cases.LIES:
            if only and only not in name:
                continue
            tried += 1
            world.forget()
            marker = os.urandom(12)
            frames = build(world.mallory, target, world, marker)
            for frame in frames:
                world.send(marked(frame, marker))
            world.fence()
            marks = [marker] + [t for frame in frames for t in traces(bare(frame))]
            seen = [eye.name for eye in world.leaks if eye.saw(*marks)]
            if seen:
                passed.append("%s, to %s: seen at %s" % (name, target.name, ", ".join(seen)))
    return tried, passed


def run_honest(world, only=None):
    """(tried, [what did not arrive])"""
    tried, lost = 0, []
    for name, eyes, build in honest.CASES:
        if only and only not in name:
            continue
        tried += 1
        world.forget()
        marker = os.urandom(12)
        built = build(world.mallory, world, marker)
        sent, answered = built if isinstance(built, tuple) else (built, None)

        def arrived():
            if answered:
                return answered(world.eyes["mallory"].look())
            return all(world.eyes[e].saw(marker, sent[-1][:50]) for e in eyes)

        for frame in sent:
            world.send(frame if answered else marked(frame, marker))
        try:
            rig.wait_for(name, arrived, world.patience)
        except TimeoutError:
            lost.append(name)
    return tried, lost
