# SPDX-License-Identifier: Apache-2.0
"""Names that would be other files, and directories that are swapped for links while we work in them."""
import ctypes
import os
import re
import shutil
import threading

from image_rig import WORK, Sfd, condition

OURS = re.compile(r"[0-9a-f]{64}\.(qcow2|json|part)(\.tmp)?$")
NAMES = ["..%2f..%2f..%2fetc%2fpasswd", "%2e%2e", "%2fetc%2fpasswd", "a:b.qcow2", "json:%7b%7d", "nbd:x", "-f", "--help", "x.",
         "CON", "con", "a%00b", "a%0ab", "a%1b[2Jb", "%e2%80%aegpj.exe", "$(id)", ";id;", "`id`", "|id", "~root", "*",
         "x" * 255, "x" * 1000, "good.qcow2%20", "%ff%fe"]
RENAME_EXCHANGE = 2


def names(rig):
    wanted = [name for name in NAMES if rig.wanted(f"name {name}")]
    sfd = Sfd(rig, "names", "--image-allow-loopback")
    for n, name in enumerate(wanted):
        rig.server.put(f"name{n}", rig.good)
        rig.server.tell("put", name, f"{WORK}/good.qcow2")
        sfd.create(f"name-{n}", rig.url(f"/file/{name}"))
    rig.wait("images of all names", lambda: all(condition(i)["status"] == "True" or condition(i)["reason"] == "FetchFailed"
                                                for i in sfd.images().values()))
    good = 0
    for n, name in enumerate(wanted):
        ready = condition(sfd.images()[f"name-{n}"])
        good += ready["status"] == "True"
        if ready["status"] != "True":
            rig.bad(f"name {name}", ready["message"])
    strange = [name for folder in ("images", "incoming") for name in os.listdir(f"{sfd.state}/{folder}") if not OURS.match(name)]
    if strange:
        rig.bad("names", f"in the cache: {strange}")
    rig.all_of("names of images that became nobody else's file", good if not strange else 0, len(wanted), 25)
    sfd.stop()
    shutil.rmtree(sfd.state)


class Swapper(threading.Thread):
    """Puts a link to somebody's directory in the place of ours and back, as often as it can. A swap hits if something
    was made, renamed or removed in ours while its name led elsewhere: whoever had gone there by the name was led astray."""

    def __init__(self, ours, victim):
        super().__init__(daemon=True)
        self.ours, self.link, self.over = ours, ours + ".link", threading.Event()
        self.count, self.hits, self.before = 0, 0, None
        self.fd = os.open(ours, os.O_RDONLY | os.O_DIRECTORY)
        os.symlink(victim, self.link)
        self.libc = ctypes.CDLL(None, use_errno=True)

    def look(self):
        return os.fstat(self.fd).st_mtime_ns, sorted(os.listdir(self.fd))

    def exchange(self):
        """There and back in turns; the looks are taken while the name leads elsewhere."""
        a, b = self.ours.encode(), self.link.encode()
        if self.before is not None:
            self.hits += self.look() != self.before
        if self.libc.renameat2(-100, a, -100, b, RENAME_EXCHANGE) != 0:
            raise OSError(ctypes.get_errno(), "exchange " + self.ours)
        self.count += 1
        self.before = self.look() if self.before is None else None

    def run(self):
        while not self.over.wait(0.0002):
            self.exchange()
        if self.before is not None:
            self.exchange()
        os.close(self.fd)


def races(rig):
    if not rig.wanted("races"):
        return
    victim = f"{WORK}/victim"
    os.makedirs(victim, mode=0o700)
    with open(victim + "/keep", "w") as f:
        f.write("somebody's\n")
    before = os.stat(victim + "/keep")
    sfd = Sfd(rig, "races", "--image-allow-loopback")
    swappers = [Swapper(f"{sfd.state}/{folder}", victim) for folder in ("incoming", "images")]
    for swapper in swappers:
        swapper.start()
    least, count = (100, 200) if rig.full else (5, 10)
    # Whether a swap hits is chance: images come until enough of them have.
    n = 0
    while n < count or (sum(swapper.hits for swapper in swappers) < least and n < 20 * count):
        for n in range(n + 1, n + count + 1):
            data = bytearray(rig.good_raw)
            data[4096:4104] = n.to_bytes(8, "big")
            rig.server.put(f"race{n}", bytes(data))
            sfd.create(f"race-{n}", rig.url(f"/file/race{n}"))
        rig.wait("each image to have been tried", lambda: all(
            condition(i)["status"] == "True" or condition(i)["reason"] == "FetchFailed" for i in sfd.images().values()))
    for swapper in swappers:
        swapper.over.set()
        swapper.join()
    tried, hits = (sum(getattr(swapper, what) for swapper in swappers) for what in ("count", "hits"))
    after, there = os.stat(victim + "/keep"), os.listdir(victim)
    touched = there != ["keep"] or (before.st_ino, before.st_mtime_ns, before.st_mode) != \
        (after.st_ino, after.st_mtime_ns, after.st_mode)
    if touched:
        rig.bad("races", f"somebody's directory has {there}")
    ready = sum(condition(i)["status"] == "True" for i in sfd.images().values())
    rig.say(f"races: {tried} swaps while {n} images came, {ready} of them got through at once")
    rig.row("swaps of our directories that led us into another's", "some" if touched else 0,
            f"{hits} hit of {tried}", f"0, in {least} or more that hit", not touched and hits >= least)
    sfd.stop()
    shutil.rmtree(sfd.state)


def run(rig):
    rig.beside(names, races)
