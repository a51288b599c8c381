# SPDX-License-Identifier: Apache-2.0
"""An sfd under attack: started in a folder of its own with all three kinds of listeners, its three doors, and what
the kernel says of the process. Everything waits for conditions, with a deadline."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time

BUILD = os.environ.get("BUILD") or os.path.join(os.environ["TOP"], "build")
DEADLINE = 60.0
API = "/apis/shakenfist.io/v1alpha1"
CONTROLLERS = "credential,cluster-info,namespace,event,owner,clusterrole,definition,quota"


class Broken(Exception):
    """The rig itself does not work."""


def wait_for(what, check, deadline=DEADLINE):
    """What check() returns as soon as that is true."""
    end = time.monotonic() + deadline
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise Broken("not within %d s: %s" % (deadline, what))
        time.sleep(0.02)


class Door:
    """One listener: unix, tcp or tls. `token` goes with every request that is built here."""

    def __init__(self, name, address, context=None, token=None):
        self.name, self.address, self.context, self.token = name, address, context, token

    def plain(self, timeout=DEADLINE):
        """A connection without a handshake."""
        family = socket.AF_UNIX if self.name == "unix" else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM)
        s.settimeout(timeout)
        try:
            s.connect(self.address)
        except OSError:
            s.close()
            raise
        if family == socket.AF_INET:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def connect(self, timeout=DEADLINE):
        s = self.plain(timeout)
        if self.context is None:
            return s
        try:
            return self.context.wrap_socket(s, server_hostname="localhost")
        except OSError:
            s.close()
            raise

    def head(self, method, target, headers="", length=None, version="HTTP/1.1"):
        text = "%s %s %s\r\nHost: localhost\r\n%s" % (method, target, version, headers)
        if self.token:
            text += "Authorization: Bearer %s\r\n" % self.token
        if length is not None:
            text += "Content-Length: %d\r\n" % length
        return (text + "\r\n").encode("latin-1")


class Answer:
    def __init__(self, code, head, body):
        self.code, self.head, self.body = code, head, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def closes(self):
        return b"connection: close" in self.head.lower()


class Reader:
    """Answers off a connection, one after the other."""

    def __init__(self, s):
        self.s, self.buf = s, b""

    def more(self):
        """False at the end of the stream, however it came."""
        try:
            data = self.s.recv(262144)
        except (ConnectionError, ssl.SSLError):
            return False
        self.buf += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buf:
            if not self.more():
                return None
        line, self.buf = self.buf.split(mark, 1)
        return line

    def exactly(self, n):
        parts, have = [self.buf], len(self.buf)
        while have < n:
            try:
                data = self.s.recv(262144)
            except (ConnectionError, ssl.SSLError):
                data = b""
            if not data:
                break
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self.buf = whole[n:]
        return whole[:n]

    def answer(self, headless=False):
        """The next one; None where the peer hung up instead."""
        while True:
            head = self.until(b"\r\n\r\n")
            if head is None:
                return None
            code = int(head.split(b" ", 2)[1])
            if code >= 200:
                break
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if headless or code == 204:
            body = b""
        elif length:
            body = self.exactly(int(length.group(1)))
        elif b"chunked" in head.lower():
            body = self.chunks()
        else:
            body = self.rest()
        return Answer(code, head, body)

    def chunks(self):
        body = []
        while True:
            line = self.until(b"\r\n")
            if line is None:
                return b"".join(body)
            n = int(line.split(b";")[0], 16)
            data = self.exactly(n + 2)
            if n == 0:
                return b"".join(body)
            body.append(data[:-2])

    def rest(self):
        while self.more():
            pass
        body, self.buf = self.buf, b""
        return body


def call(door, method, target, body=None, headers="", kind="application/json", expect=None):
    """One request on a connection of its own."""
    data = body.encode() if isinstance(body, str) else body
    if data is not None:
        headers += "Content-Type: %s\r\n" % kind
    with door.connect() as s:
        try:
            s.sendall(door.head(method, target, headers, None if data is None else len(data)) + (data or b""))
        except (BrokenPipeError, ConnectionResetError):
            pass  # who does not want the rest may have said why before it hung up
        answer = Reader(s).answer()
    if answer is None:
        raise Broken("%s %s: hung up" % (method, target))
    if expect is not None and answer.code != expect:
        raise Broken("%s %s: %d, expected %d: %s" % (method, target, answer.code, expect, answer.body[:500]))
    return answer


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Sfd:
    def __init__(self, home, nofile=None, level="info", controllers=CONTROLLERS, options=()):
        self.home, self.level = home, level
        os.makedirs(home, exist_ok=True)
        os.chmod(home, 0o755)
        self.log = os.path.join(home, "log")
        self.socket = os.path.join(home, "run", "sfd.sock")
        self.ports = free_port(), free_port()
        argv = [os.path.join(BUILD, "sfd"), "--controllers", controllers, "--virt-type", "qemu",
                "--libvirt", "test:///default", "--state-dir", home + "/state", "--runtime-dir", home + "/run",
                "--log-level", level, "--listen", "unix:" + self.socket,
                "--listen", "tcp:127.0.0.1:%d" % self.ports[0],
                "--listen", "tls:127.0.0.1:%d" % self.ports[1], *options]
        if nofile:
            argv = ["prlimit", "--nofile=%d:%d" % (nofile, nofile), *argv]
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        self.unix = Door("unix", self.socket)
        self.tcp = Door("tcp", ("127.0.0.1", self.ports[0]))
        wait_for("sfd ready", self.ready)
        self.tls = self.tls_door()
        self.doors = [self.unix, self.tcp, self.tls]

    def ready(self):
        if self.process.poll() is not None:
            raise Broken("sfd ended: " + open(self.log, errors="replace").read()[-2000:])
        try:
            return call(self.unix, "GET", "/readyz").code == 200
        except (OSError, Broken):
            return False

    def sfctl(self, *arguments, stdin=None, check=True):
        r = subprocess.run([os.path.join(BUILD, "sfctl"), "--server", "unix:" + self.socket, *arguments],
                           input=stdin, capture_output=True, text=True, timeout=120)
        if check and r.returncode:
            raise Broken("sfctl %s: %s" % (" ".join(arguments), r.stderr))
        return r

    def token(self, user, *groups):
        """A bearer token for that user."""
        arguments = ["kubeconfig", "--user", user, "--token", "--ttl", "1h"]
        for g in groups:
            arguments += ["--group", g]
        text = wait_for("token of " + user, lambda: self.sfctl(*arguments, check=False).stdout)
        return re.search(r'token: "?([^"\s]+)', text).group(1)

    def tls_door(self):
        token = self.token("boss", "system:masters")
        context = ssl.create_default_context(cafile=self.home + "/state/pki/ca.crt")
        return Door("tls", ("127.0.0.1", self.ports[1]), context, token)

    # ---- what the kernel says ----

    def pss(self):
        """KiB"""
        with open("/proc/%d/smaps_rollup" % self.pid) as f:
            return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def threads(self):
        return len(os.listdir("/proc/%d/task" % self.pid))

    def cpu(self):
        """Seconds that it ran so far."""
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def alive(self):
        return self.process.poll() is None

    def metric(self, name):
        for line in call(self.unix, "GET", "/metrics", expect=200).body.decode().splitlines():
            if line.startswith(name) and line[len(name):len(name) + 1] in " {":
                yield line

    def value(self, line):
        """Of the series that begins like that, with its labels if it has any."""
        for found in self.metric(line.split("{")[0]):
            if found.rsplit(" ", 1)[0] == line:
                return float(found.rsplit(" ", 1)[1])
        return 0.0

    def revision(self):
        return int(call(self.unix, "GET", "/api/v1/namespaces?limit=1", expect=200).json["metadata"]["resourceVersion"])

    def log_size(self):
        return os.path.getsize(self.log)

    def stop(self):
        """The exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)
