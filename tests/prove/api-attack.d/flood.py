# SPDX-License-Identifier: Apache-2.0
"""Attackers who are fast: requests without a right, guesses of tokens, handshakes, connections until no descriptor is
left. Functions that run under slow.attack() tell "ready", then what they did so far."""

import os
import socket
import ssl
import time

from sfd import Reader

STRANGER = 4200000001  # a user id that nobody has
SECRETS = "/api/v1/namespaces/kube-system/secrets"
BATCH = 50


def become(uid):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def refusals(sfd):
    """[(door, bytes of a request, expected code)]: who may not, over each kind of listener."""
    def request(door, method, target, headers=""):
        text = "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (method, target, headers)
        return door, text.encode()

    guess = "Authorization: Bearer sfp_%s\r\n"
    return [
        (*request(sfd.tls, "GET", SECRETS), 401),
        (*request(sfd.tls, "GET", SECRETS, guess % ("x" * 40)), 401),
        (*request(sfd.tls, "DELETE", SECRETS + "/a"), 401),
        (*request(sfd.unix, "GET", SECRETS), 403),
        (*request(sfd.unix, "PUT", SECRETS + "/a"), 403),
        (*request(sfd.unix, "GET", SECRETS, guess % ("y" * 40)), 401),
        (*request(sfd.tcp, "GET", SECRETS, guess % ("z" * 40)), 401),
    ]


class Pace:
    """So many a second at most; 0 = as many as go."""

    def __init__(self, rate):
        self.rate, self.begin = rate, time.monotonic()

    def wait(self, done):
        if self.rate:
            time.sleep(max(0.0, self.begin + done / self.rate - time.monotonic()))


def unauthenticated(sfd, rate, tell):
    """Refused requests, by nobody in particular."""
    lines = refusals(sfd)
    lines.sort(key=lambda line: line[0] is sfd.unix)
    connections = [door.connect() for door, _, _ in lines if door is not sfd.unix]
    become(STRANGER)
    connections += [door.connect() for door, _, _ in lines if door is sfd.unix]
    lines = [(s, Reader(s), data, code) for s, (_, data, code) in zip(connections, lines)]
    tell("ready")
    done, pace = 0, Pace(rate)
    while True:
        pace.wait(done)
        for s, _, data, _ in lines:
            s.sendall(data * BATCH)
        for _, reader, _, code in lines:
            for _ in range(BATCH):
                answer = reader.answer()
                if answer is None or answer.code != code:
                    raise AssertionError("not refused by %d: %s" % (code, answer and answer.code))
                done += 1
        tell(done)


def handshakes(sfd, rate, tell):
    """TLS connections that are made, and ended at once."""
    tell("ready")
    done, pace = 0, Pace(rate)
    while True:
        pace.wait(done)
        for _ in range(20):
            sfd.tls.connect().close()
            done += 1
        tell(done)


def half_handshakes(sfd, rate, tell):
    """A first message, and then the end."""
    hello = bytearray()
    context, out = sfd.tls.context, ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        hello = out.read()
    tell("ready")
    done, pace = 0, Pace(rate)
    while True:
        pace.wait(done)
        for _ in range(50):
            s = sfd.tls.plain()
            s.sendall(hello)
            s.close()
            done += 1
        tell(done)


def old_protocols(sfd, say):
    """TLS before 1.2, and renegotiation, are not spoken. (passed, of)"""
    passed = of = 0
    for version in (ssl.TLSVersion.SSLv3, ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        of += 1
        try:
            context.minimum_version = context.maximum_version = version
            with sfd.tls.plain() as s, context.wrap_socket(s) as t:
                say("%s was spoken: %s" % (version, t.version()))
        except (OSError, ValueError):
            passed += 1
    return passed, of


def storm(sfd, n):
    """n connections that are opened and kept, over all doors; how many the server let live."""
    kept = []
    for i in range(n):
        try:
            s = sfd.doors[i % 3].plain(5)
        except OSError:
            continue
        s.setblocking(False)
        kept.append(s)
    return kept


def ended(kept):
    n = 0
    for s in kept:
        try:
            n += s.recv(1) == b""
        except BlockingIOError:
            pass
        except OSError:
            n += 1
    return n
