# SPDX-License-Identifier: Apache-2.0
"""What a server may do to who fetches an image from it. See tests/lib/hostile_kinds.c for the behaviours by name."""
import hashlib
import re
import shutil
import zlib

from image_rig import Sampler, Sfd, condition

MAX = 32 << 20  # --image-max-size

# Behaviour: what status says of it.
KINDS = {
    "stall-headers": r"timed out|Timeout|too slow",
    "stall-body": r"timed out|too slow",
    "drip": r"timed out|too slow",
    "headers-drip": r"timed out|too slow",
    "headers-many": r"too many header fields",
    "header-long": r"header",
    "endless-chunks": r"larger than 33554432 bytes",
    "endless-body": r"larger than 33554432 bytes",
    "endless-error": r"HTTP 404",
    "endless-redirect": r"HTTP 302",
    "endless-continue": r"header",
    "endless-chunk-head": r"chunk|timed out|too slow",
    "trailers-many": r"too many header fields|neither|text",
    "hops": r"more than 10 redirects",
    "loop": r"more than 10 redirects",
    "nowhere": r"HTTP 302",
    "close": r"[Ee]mpty reply|returned nothing",
    "garbage": r"HTTP/0\.9",
    "http09": r"HTTP/0\.9",
    "status-bad": r"HTTP|status",
    "status-none": r"HTTP",
    "empty": r"sent nothing",
    "truncated": r"transfer closed|cut off|bytes remaining",
    "length-short": r"text",
    "length-double": r"Content-Length",
    "length-twice": r"two Content-Lengths",
    "length-negative": r"Content-Length",
    "length-huge": r"Content-Length",
    "length-large": r"larger than 33554432 bytes",
    "length-garbage": r"Content-Length",
    "length-list": r"Content-Length",
    "length-plus": r"Content-Length",
    "length-hex": r"Content-Length",
    "length-none": r"Content-Length",
    "length-chunked": r"Content-Length and Transfer-Encoding",
    "chunk-bad": r"chunk",
    "chunk-huge": r"chunk",
    "chunk-cut": r"transfer closed|chunk|outstanding",
    "transfer-unknown": r"Transfer-Encoding|encoding",
    "transfer-twice": r"Transfer-Encoding|encoding",
    "raw-transfer-gzip": r"Transfer-Encoding",
    "raw-gzip": r"Content-Encoding",
    "raw-deflate": r"Content-Encoding",
    "zstd": r"Content-Encoding",
    "part-unasked": r"another part than asked for",
    "part-nameless": r"without saying which",
    "part-reversed": r"Content-Range",
    "multipart": r"without saying which",
    "gone": r"HTTP 410",
    "forbidden": r"HTTP 403",
    "unauthorized": r"HTTP 401",
    "error": r"HTTP 500",
    "busy": r"HTTP 503",
    "teapot": r"HTTP 418",
    "unasked-304": r"not modified",
    "html": r"text",
    "raw-to-file": r"redirect to file is refused",
    "raw-to-ftp": r"redirect to ftp is refused",
    "raw-to-gopher": r"redirect to gopher is refused",
    "raw-to-dict": r"redirect to dict is refused",
    "raw-to-nothing": r"HTTP 302",
    "raw-to-garbage": r"malformed|redirect",
    "raw-header-nul": r"header|nul|text",
}
# What may be told instead where the cached copy is asked about: "not modified" is then an answer.
NOT_REFRESHED = {"unasked-304"}

# A resumed transfer: the first half is there, the request for the rest meets this. None: it must end well.
RESTS = {
    "rest-good": None,
    "rest-elsewhere": None,
    "rest-of-larger": None,
    "rest-of-another": None,
    "rest-none": None,
    "rest-changed": r"checksum mismatch",
    "part-nameless": r"without saying which",
    "part-reversed": r"Content-Range",
    "stall-headers": r"timed out|too slow",
    "stall-body": r"timed out|too slow",
    "close": r"[Ee]mpty reply|returned nothing",
    "garbage": r"HTTP/0\.9",
    "html": r"checksum mismatch",
    "empty": r"sent nothing",
    "gone": r"HTTP 410",
    "endless-body": r"larger than|checksum mismatch",
    "endless-chunks": r"larger than|checksum mismatch",
    "length-double": r"Content-Length",
    "unasked-304": r"not modified",
    "raw-gzip": r"Content-Encoding",
}


def answer(head, body=b""):
    return head.replace("\n", "\r\n").encode("latin-1") + b"\r\n" + body


def bombs(rig):
    zeros = bytes(1 << 20)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(squeeze.compress(zeros) for _ in range(200)) + squeeze.flush()
    rig.say(f"a bomb of {len(bomb)} bytes for {200 << 20}")
    put = rig.server.put
    put("gzip", answer(f"HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: {len(bomb)}\n", bomb))
    put("deflate", answer("HTTP/1.1 200 OK\nContent-Encoding: deflate\n", zlib.compress(zeros * 50)))
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(bomb), bomb)
    put("transfer-gzip", answer("HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n", chunked))
    for name, to in (("file", "file:///etc/passwd"), ("ftp", "ftp://192.0.2.1/x"), ("gopher", "gopher://192.0.2.1/x"),
                     ("dict", "dict://192.0.2.1/x"), ("nothing", ""), ("garbage", "http://[::1/%zz\x01")):
        put("to-" + name, answer(f"HTTP/1.1 302 Found\nLocation: {to}\nContent-Length: 0\n"))
    put("header-nul", answer("HTTP/1.1 200 OK\nX: a\0b\nContent-Length: 5\n", b"hello"))


def checksum(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def rest_of(rig, kind):
    """Content of its own for each resumed transfer: what one brings home must not be the cached answer for another."""
    data = rig.good_raw[:-512] + hashlib.sha512(kind.encode()).digest() * 8
    rig.server.put(kind, data, '"strong"')
    return data


def begin_cases(rig, sfd):
    """All first fetches and resumed ones. Those to refresh are there already."""
    for kind in KINDS:
        if rig.wanted(f"first/{kind}"):
            sfd.create(f"first-{kind}", rig.url(f"/bad/{kind}/x"))
    for kind in RESTS:
        if rig.wanted(f"resumed/{kind}"):
            sfd.create(f"resumed-{kind}", rig.url(f"/half/{kind}/{kind}"), checksum=checksum(rest_of(rig, kind)))


class Watch:
    """What each image's status has said so far: a reason may be followed by a better try."""

    def __init__(self, sfd):
        self.sfd, self.said, self.images = sfd, {}, {}

    def look(self):
        self.images = self.sfd.images()
        for name, image in self.images.items():
            ready = condition(image)
            self.said.setdefault(name, {})[f"{ready['status']} {ready['reason']}: {ready['message']}"] = None
        return self

    def done(self, name):
        """Whether it was told what must be told about it."""
        return any(re.search(expected(name), text) for text in self.said.get(name, ()))

    def judge(self, name, before):
        """Why this image is not as it should be, or None."""
        image = self.images[name]
        status = image.get("status", {})
        if not self.done(name):
            return f"expected {expected(name)}, but status said " + "; ".join(self.said[name])
        if name.startswith("refreshed-") and status.get("digest") != before:
            return "another digest than before"
        if name.startswith("first-") and ("digest" in status or condition(image)["status"] != "False"):
            return "it has content"
        return None


def expected(name):
    how, kind = name.split("-", 1)
    if how == "refreshed":
        return r"(?s)^True SourceUnavailable: .*(" + KINDS[kind] + ")"
    text = KINDS[kind] if how == "first" else RESTS[kind]
    return r"^True Cached" if text is None else r"(?s)^False FetchFailed: .*(" + text + ")"


def behaviours(rig, sfd):
    refreshed = [k for k in KINDS if k not in NOT_REFRESHED and rig.wanted(f"refreshed/{k}")]
    for kind in refreshed:
        sfd.create(f"refreshed-{kind}", rig.url(f"/turn/{kind}/good"), "Always")
    rig.wait("good images", lambda: all(condition(i)["status"] == "True" for i in sfd.images().values()))
    before = {n: i["status"].get("digest") for n, i in sfd.images().items()}
    cached = sfd.cached()
    rig.say(f"{len(refreshed)} images cached as {len(cached)} file; the server turns")
    rig.server.tell("turn")
    sfd.restart()
    begin_cases(rig, sfd)
    watch, good = Watch(sfd), 0
    rig.wait("every image to have met its server", lambda: all(watch.done(n) for n in watch.look().images))
    images = watch.images
    for name in images:
        why = watch.judge(name, before.get(name))
        good += not why
        if why:
            rig.bad(name.replace("-", "/", 1), why)
        if rig.only:
            rig.say(f"{name}: " + "; ".join(watch.said[name]))
    kinds = len({n.split("-", 1)[1] for n in images})
    if rig.only:
        rig.say("requests at " + rig.server.tell("times", "/half"))
    rig.say(f"{kinds} behaviours, {len(images)} cases")
    rig.all_of("server behaviours handled: first fetch, refresh, resumed", good, len(images), 120)
    return cached


def bounds(rig, sfd, sampler, cached):
    now = sfd.cached()
    kept = all(now.get(name) == what for name, what in cached.items())
    rig.row("cached images that a hostile refresh touched", 0 if kept else "some", len(cached), "0", kept)
    peak = sampler.peak
    rig.say(f"most memory, KiB: {peak}; most disk in incoming/: {sampler.disk} bytes")
    rig.row("most memory of a role while servers were hostile, MiB", max((v for k, v in peak.items() if k != "sfd"), default=0) >> 10,
            "", "64 or less", 0 < max((v for k, v in peak.items() if k != "sfd"), default=0) < 64 << 10)
    most = 4 * MAX
    rig.row("most disk of unfinished downloads, MiB", sampler.disk >> 20, "", f"{most >> 20} or less", sampler.disk <= most)
    sfd.delete_all()
    rig.wait("nothing unfinished", lambda: not sfd.incoming())
    rig.row("unfinished files left after the images were deleted", len(sfd.incoming()), len(cached), "0", not sfd.incoming())


def back_off(rig):
    """A source that is busy twice is asked a third time, later each time."""
    if not rig.wanted("back-off"):
        return
    sfd = Sfd(rig, "back-off", "--image-allow-loopback")
    sfd.create("back-off", rig.url("/bad/flaky/good"))
    came = rig.wait("the third try", lambda: condition(sfd.images()["back-off"])["status"] == "True")
    at = rig.server.times("/bad/flaky")
    gaps = [b - a for a, b in zip(at, at[1:])]
    rig.row("tries of a busy source: gaps in s", " ".join(f"{g:.1f}" for g in gaps), "", "2 of them, 1.9 and 3.8 or more",
            came and len(gaps) == 2 and gaps[0] >= 1.9 and gaps[1] >= 3.8)
    sfd.stop()
    shutil.rmtree(sfd.state)


def run(rig):
    bombs(rig)
    sfd = Sfd(rig, "server", "--image-allow-loopback", "--image-timeout", "2", "--image-max-size", str(MAX))
    sampler = Sampler()
    sampler.path = sfd.state
    sampler.start()
    cached = behaviours(rig, sfd)
    bounds(rig, sfd, sampler, cached)
    sampler.over = True
    sfd.stop()
    shutil.rmtree(sfd.state)
