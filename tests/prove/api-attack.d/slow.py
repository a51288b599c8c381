# SPDX-License-Identifier: Apache-2.0
"""Attackers who are many and slow, each kind in a process of its own: heads and bodies byte by byte, connections that
say nothing or half of something, handshakes that never end, lists and watches that nobody reads."""

import contextlib
import errno
import multiprocessing
import os
import resource
import selectors
import signal
import socket
import ssl
import time

from sfd import Reader

BIG = "/api/v1/namespaces/big/configmaps"
HELLO = bytes.fromhex("16030102000100" + "01fc0303") + bytes(505)


def spread(sfd, n):
    """n doors, all kinds in turn."""
    return [sfd.doors[i % 3] for i in range(n)]


def plain_socket(door):
    """Not blocking, and without a handshake."""
    s = socket.socket(socket.AF_UNIX if door.name == "unix" else socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.setblocking(False)
    try:
        s.connect(door.address)
    except BlockingIOError as e:
        if door.name == "unix" and e.errno == errno.EAGAIN:  # its backlog is full
            s.close()
            return None
    return s


class Slow:
    """One connection that gets a byte of its text now and then, and is made again when it was cut."""

    def __init__(self, door, text, shut):
        self.door, self.text, self.shut, self.s = door, text, shut, None

    def step(self):
        """True if it had been cut."""
        cut = False
        if self.s is not None:
            try:
                cut = self.s.recv(4096) == b""
            except BlockingIOError:
                pass
            except OSError:
                cut = True
        if cut:
            self.s.close()
            self.s = None
        if self.s is None:
            self.s, self.at = plain_socket(self.door), 0
            return cut
        try:
            self.s.send(self.text[self.at:self.at + 1])
            self.at += 1
            if self.shut and self.at == self.shut:
                self.s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # seen at the next step
        return cut


def slow_texts(door):
    """What is sent byte by byte; over TLS, of a handshake."""
    if door.name == "tls":
        return [(HELLO, 0), (HELLO[:3], 2), (b"", 0)]
    head = door.head("GET", "/version")
    body = door.head("POST", "/api/v1/namespaces/default/configmaps", "Content-Type: application/json\r\n", 200)
    return [(head[:-2] + b"X-Slow: " + b"a" * 500, 0), (body + b" " * 500, 0), (head, 8), (b"", 0), (body, 60)]


def slow_bytes(sfd, n, seconds, tell):
    """n connections, each of which sends a byte in `seconds`."""
    all_of = []
    for i, door in enumerate(spread(sfd, n)):
        texts = slow_texts(door)
        all_of.append(Slow(door, *texts[i // 3 % len(texts)]))
    for c in all_of:
        c.step()
    tell("ready")
    cut = 0
    while True:
        begin = time.monotonic()
        for i, c in enumerate(all_of):
            cut += c.step()
            if i % 50 == 49:
                time.sleep(seconds * 50 / n)
        tell(cut)
        time.sleep(max(0.0, seconds - (time.monotonic() - begin)))


def open_streams(sfd, n, target, buffer=None):
    """n connections that asked for a target, and the first bytes of their answers."""
    streams = []
    for door in spread(sfd, n):
        s = door.plain()
        if buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        if door.context:
            s = door.context.wrap_socket(s, server_hostname="localhost")
        s.sendall(door.head("GET", target))
        streams.append(s)
    for s in streams:
        if not s.recv(17).startswith(b"HTTP/1.1 200"):
            raise AssertionError("%s: not answered" % target)
    return streams


def slow_lists(sfd, n, seconds, tell):
    """n readers of a large list, 256 bytes in `seconds` each."""
    streams = open_streams(sfd, n, BIG, 4096)
    for s in streams:
        s.setblocking(False)
    tell("ready")
    while True:
        for i, s in enumerate(streams):
            with contextlib.suppress(OSError, ssl.SSLError):
                s.recv(256)
            if i % 20 == 19:
                time.sleep(seconds * 20 / n)


def watches(sfd, n, reads, tell):
    """n watches: of what does not change, or of what the healthy clients write while nothing is ever read."""
    streams = open_streams(sfd, n, "/api/v1/namespaces/%s/configmaps?watch=true&resourceVersion=%d" %
                           ("big" if reads else "default", sfd.revision()), None if reads else 4096)
    tell("ready")
    if not reads:
        while True:
            time.sleep(3600)
    selector = selectors.DefaultSelector()
    for s in streams:
        s.setblocking(False)
        selector.register(s, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            try:
                while key.fileobj.recv(65536):
                    pass
                selector.unregister(key.fileobj)
                tell("ended")
            except (BlockingIOError, ssl.SSLWantReadError):
                pass


@contextlib.contextmanager
def attack(what, *arguments):
    """Runs it in another process until the block ends; the block gets a function that gives what it told so far."""
    mine, theirs = multiprocessing.Pipe(False)

    def child():
        mine.close()
        os.nice(10)  # real attackers bring their own processors
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        try:
            what(*arguments, theirs.send)
        except BaseException as e:  # told to the parent, whatever it is
            theirs.send(e)

    process = multiprocessing.Process(target=child, daemon=True)
    process.start()
    theirs.close()
    told = []

    def read(wait=0.0):
        while mine.poll(wait):
            wait = 0.0
            try:
                told.append(mine.recv())
            except EOFError:
                break
            if isinstance(told[-1], BaseException):
                raise told[-1]
        return told

    try:
        if not read(120) or told[0] != "ready":
            raise AssertionError("%s did not start: %s" % (what.__name__, told))
        yield read
        read()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join()


def make_many(sfd, n):
    """n configmaps in a namespace of their own."""
    sfd.sfctl("apply", "-f", "-", stdin="{apiVersion: v1, kind: Namespace, metadata: {name: big}}")
    door = sfd.unix
    with door.connect() as s:
        reader = Reader(s)
        for first in range(0, n, 100):
            data = b""
            for i in range(first, first + 100):
                body = b'{"metadata":{"name":"m-%d","labels":{"n":"%d"}},"data":{"text":"%s"}}' % (i, i, b"x" * 200)
                data += door.head("POST", BIG, "Content-Type: application/json\r\n", len(body)) + body
            s.sendall(data)
            for i in range(100):
                if reader.answer().code not in (201, 409):
                    raise AssertionError("a configmap was not made")
