# SPDX-License-Identifier: Apache-2.0
"""Healthy clients beside an attack. They ask the attacked sfd and one that is left alone in turns, request by request,
over each kind of listener: what the machine does to both cancels out, what is left is what the attack does."""

import multiprocessing
import os
import statistics
import time

from sfd import Reader

TARGET = "/api/v1/namespaces/default"
PATCH = '{"data":{"n":"%d"}}'
NOTICED = 0.25  # ms
SLICE = 5.0  # ms, what the kernel lets another process finish where there are more than processors


def noticed():
    """ms below which a difference is the machine's."""
    return NOTICED + (SLICE if os.getloadavg()[0] > os.cpu_count() else 0)


KINDS = ("read", "connect", "write")


class Client:
    """Keeps a connection; each call gives the seconds that one request took."""

    def __init__(self, door):
        self.door, self.n = door, 0
        self.open()
        self.get = door.head("GET", TARGET)

    def open(self):
        self.s = self.door.connect()
        self.reader = Reader(self.s)

    def ask(self, data):
        begin = time.perf_counter()
        self.s.sendall(data)
        answer = self.reader.answer()
        took = time.perf_counter() - begin
        if answer is None or answer.code not in (200, 201):
            raise AssertionError("a healthy client got %s over %s" % (answer and answer.code, self.door.name))
        return took

    def read(self):
        return self.ask(self.get)

    def write(self):
        self.n += 1
        body = (PATCH % self.n).encode()
        headers = "Content-Type: application/merge-patch+json\r\n"
        target = "/api/v1/namespaces/default/configmaps/healthy-" + self.door.name
        return self.ask(self.door.head("PATCH", target, headers, len(body)) + body)

    def connect(self):
        """A new connection, and the first request on it."""
        begin = time.perf_counter()
        self.s.close()
        self.open()
        self.read()
        return time.perf_counter() - begin


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))]


def measure_round(pair, samples):
    """{(door, kind): ([attacked], [alone])}"""
    took = {}
    for doors in zip(*(sfd.doors for sfd in pair)):
        clients = [Client(d) for d in doors]
        for kind, share in zip(KINDS, (1, 5, 3)):
            both = took.setdefault((doors[0].name, kind), ([], []))
            for i in range(samples // share):
                for which in ((0, 1), (1, 0))[i % 2]:
                    both[which].append(getattr(clients[which], kind)())
        for c in clients:
            c.s.close()
    return took


def judge(rounds):
    """The worst over all doors and kinds of requests of: the median of the rounds' ratios of p99. What nobody
    can notice is added to both: 0.1 ms is not less than 0.2. (ratio, text)"""
    worst, least = (0.0, ""), noticed()
    for door, kind in rounds[0]:
        p99 = [[percentile(r[door, kind][i], 99) * 1e3 for r in rounds] for i in (0, 1)]
        ratio = statistics.median((a + least) / (b + least) for a, b in zip(*p99))
        text = "%s over %s: %.2f times (%.2f ms, %.2f ms of an sfd left alone)" % (
            kind, door, ratio, statistics.median(p99[0]), statistics.median(p99[1]))
        worst = max(worst, (ratio, text))
    return worst


def measure(pair, least, most, samples):
    """More rounds until it is clear that the ratio is under 2, `most` of them at most."""
    def child(pipe):
        try:
            rounds = []
            while len(rounds) < least or (len(rounds) < most and judge(rounds)[0] >= 2):
                rounds.append(measure_round(pair, samples))
            pipe.send(rounds)
        except BaseException as e:  # told to the parent, whatever it is
            pipe.send(e)

    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=child, args=(theirs,))
    process.start()
    theirs.close()
    try:
        result = mine.recv()
    except EOFError:
        raise AssertionError("the healthy client died") from None
    process.join()
    if isinstance(result, BaseException):
        raise result
    return (*judge(result), len(result))


def prepare(sfd):
    for door in sfd.doors:
        sfd.sfctl("apply", "-f", "-", stdin="{apiVersion: v1, kind: ConfigMap, metadata: {name: healthy-%s}}" % door.name)
