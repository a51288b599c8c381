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
SLICE = 2.0  # ms that the kernel lets another process go on before one that has something to do
TICK = 4.0  # ms, the same where they stand in line for the processors


def slack():
    """ms by which the machine itself may set both apart."""
    return max(SLICE, TICK * (os.getloadavg()[0] / os.cpu_count() - 1))


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
        for kind in KINDS:
            both = took.setdefault((doors[0].name, kind), ([], []))
            for i in range(samples):
                for which in ((0, 1), (1, 0))[i % 2]:
                    both[which].append(getattr(clients[which], kind)())
        for c in clients:
            c.s.close()
    return took


class Verdict:
    """The worst over all doors and kinds of requests; both p99, in ms, are the medians of the rounds."""

    def __init__(self, rounds):
        self.slack, self.rounds = round(slack()), len(rounds)
        _, self.attacked, self.alone, self.where = max(self.weigh(rounds, *key) for key in rounds[0])
        self.good = self.attacked < 2 * self.alone + self.slack
        self.goal = "under 2 times + %.0f ms" % self.slack

    def weigh(self, rounds, door, kind):
        attacked, alone = (statistics.median(percentile(r[door, kind][i], 99) for r in rounds) * 1e3 for i in (0, 1))
        return (attacked - self.slack) / alone, attacked, alone, "%s over %s" % (kind, door)

    def __str__(self):
        return "worst of %d rounds: %s: p99 %.2f ms, of an sfd left alone %.2f ms: %.2f times" % (
            self.rounds, self.where, self.attacked, self.alone, self.attacked / self.alone)


def measure(pair, rounds, samples):
    def child(pipe):
        try:
            pipe.send([measure_round(pair, samples) for _ in range(rounds)])
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
    return Verdict(result)


def prepare(sfd):
    for door in sfd.doors:
        sfd.sfctl("apply", "-f", "-", stdin="{apiVersion: v1, kind: ConfigMap, metadata: {name: healthy-%s}}" % door.name)
