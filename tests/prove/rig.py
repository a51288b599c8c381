# SPDX-License-Identifier: Apache-2.0
#
# What the rigs share that break sfd and look at what is left: an sfd of its own, clients with a ledger of what was
# acknowledged, and disks that lose power or report errors. Used as a module by executables beside it; each runs itself
# again inside of a sandbox (tests/lib/sandbox), with "--inside".
import http.client
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

TOP = os.environ["TOP"]
BUILD = os.environ["BUILD"]
PATIENCE = 60  # seconds for whatever must happen at last


def log(text):
    print(text, flush=True)


def row(figure, measured, of, goal, passed):
    line = "\t".join([figure, str(measured), str(of), goal, "pass" if passed else "FAIL"])
    log(line)
    with open(os.environ["PROVE_ROWS"], "a") as rows:
        rows.write(line + "\n")


def wait_for(what, condition, patience=PATIENCE):
    end = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise RuntimeError("not within %d s: %s" % (patience, what))
        time.sleep(0.005)


def sandboxes(tasks, options=()):
    """Runs this program once for each task, a list of words after "--inside", each in a sandbox of its own and all side
    by side. Returns what each printed as its last line, as JSON; prints the rest. A rig that broke ends this one."""
    children = [subprocess.Popen([TOP + "/tests/lib/sandbox", *options, "--", sys.executable, os.path.abspath(sys.argv[0]),
                                  "--inside", *map(str, task)], stdout=subprocess.PIPE, text=True) for task in tasks]
    results, broken = [], False
    for task, child in zip(tasks, children):
        lines = []
        for line in child.stdout:
            lines.append(line.rstrip("\n"))
            if not line.startswith("{"):
                log(lines[-1])
        if child.wait() != 0 or not lines or not lines[-1].startswith("{"):
            log("the rig broke: %s: exit code %s" % (task, child.returncode))
            broken = True
        else:
            results.append(json.loads(lines[-1]))
    if broken:
        sys.exit(1)
    return results


# ---- sfd -------------------------------------------------------------------------------------------------------------


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout=PATIENCE):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None, content_type="application/json"):
        """Returns (code, decoded body). Raises OSError or HTTPException if there is no whole answer."""
        self.request(method, path, None if body is None else json.dumps(body), {"Content-Type": content_type})
        answer = self.getresponse()
        text = answer.read()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text.decode("utf-8", "replace")


NO_ANSWER = (OSError, http.client.HTTPException)


class Sfd:
    """One sfd, on a Unix socket; wrapped in another program if `under` says so."""

    def __init__(self, state, runtime="/run/rig", options=("--controllers", "none"), under=()):
        self.state, self.runtime = state, runtime
        self.options, self.under = list(options), list(under)
        self.socket = runtime + "/api.sock"
        self.log = "/run/said.log"
        self.process = None
        os.makedirs(runtime, exist_ok=True)

    def spawn(self, under=None):
        self.under_it, self.known = self.under if under is None else under, 0
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                [*self.under_it, BUILD + "/sfd", "--state-dir", self.state, "--runtime-dir",
                 self.runtime, "--listen", "unix:" + self.socket, *self.options],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def ready(self):
        """True, or None if it ended or is not there yet."""
        try:
            return self.ask("GET", "/readyz")[0] == 200 or None
        except NO_ANSWER:
            return None

    def start(self, under=None):
        """Starts it and waits until it is ready. Returns False if it ended instead."""
        self.spawn(under)
        return wait_for("sfd is ready", lambda: self.ready() or (self.ended() and "ended")) is True

    def ask(self, method, path, body=None, content_type="application/json"):
        connection = Connection(self.socket)
        try:
            return connection.ask(method, path, body, content_type)
        finally:
            connection.close()

    def pid(self):
        """Of sfd itself, also below what it is wrapped in; 0 if there is none. What it is wrapped in may outlive it, with
        its children."""
        if self.process.poll() is not None:
            return 0
        if not self.under_it:
            return self.process.pid
        try:
            with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as children:
                for pid in children.read().split():
                    # strace has other children for a moment, which try out what ptrace can.
                    if int(pid) != self.known and os.readlink("/proc/%s/exe" % pid) != os.path.realpath(BUILD + "/sfd"):
                        continue
                    with open("/proc/%s/stat" % pid) as stat:
                        self.known = self.known or int(pid)
                        if int(pid) == self.known and stat.read().rpartition(")")[2].split()[0] not in "ZX":
                            return self.known
        except OSError:
            pass
        return 0

    def ended(self):
        """It was there, and is not any more."""
        return self.process.poll() is not None or (self.under_it and not self.pid() and self.known != 0)

    def end(self, how=signal.SIGKILL):
        pid = self.pid()
        if pid:
            os.kill(pid, how)
        wait_for("sfd ends", self.ended)
        if self.process.poll() is None:
            self.process.terminate()  # strace lets go of those that live on
        try:
            return self.process.wait(5 if self.under_it else PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(PATIENCE)

    def said(self, n=10):
        with open(self.log, errors="replace") as text:
            return "".join(text.readlines()[-n:])


# ---- ledger ----------------------------------------------------------------------------------------------------------

GONE = None  # the value of an object that is not there
GOING = "deleted, finalizers are left"
MERGE = "application/merge-patch+json"
KINDS = {
    "configmaps": "/api/v1/namespaces/default/configmaps",
    "secrets": "/api/v1/namespaces/default/secrets",
    "networks": "/apis/shakenfist.io/v1alpha1/namespaces/default/networks",
    "instances": "/apis/shakenfist.io/v1alpha1/namespaces/default/instances",
}


def document(kind, name, value, padding):
    """An object that says `value` in an annotation, whatever its kind."""
    meta = {"name": name, "annotations": {"value": value, "padding": padding}}
    if kind == "configmaps":
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"value": value}}
    if kind == "secrets":
        return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"value": value}}
    if kind == "networks":
        return {"apiVersion": "shakenfist.io/v1alpha1", "kind": "Network", "metadata": meta,
                "spec": {"cidrs": ["10.20.0.0/24"]}}
    return {"apiVersion": "shakenfist.io/v1alpha1", "kind": "Instance", "metadata": meta,
            "spec": {"runStrategy": "Halted", "memory": "128Mi", "disks": [{"name": "root", "size": "1Gi"}]}}


def value_of(o):
    if "deletionTimestamp" in o["metadata"]:
        return GOING
    return o["metadata"].get("annotations", {}).get("value")


class Ledger:
    """What clients were told. Of each object the value that was acknowledged last, and those that were asked for since and
    not answered, or answered with "unknown": one of these it must have. Each object has one client, so that the order of
    its writes is known."""

    def __init__(self):
        self.lock = threading.Lock()
        self.acknowledged = {}
        self.pending = {}
        self.revision = 0  # the highest that was told
        self.writes = 0

    def asked(self, key, value):
        with self.lock:
            self.pending.setdefault(key, []).append(value)

    def told(self, key, value, revision=0):
        with self.lock:
            self.acknowledged[key] = value
            self.pending.pop(key, None)
            self.revision = max(self.revision, revision)
            self.writes += 1

    def refused(self, key):
        """The server said that it did nothing."""
        with self.lock:
            self.pending[key].pop()
            if not self.pending[key]:
                del self.pending[key]

    def compare(self, sfd):
        """Asks sfd for everything. Returns what contradicts the ledger; from there on the ledger says what is."""
        wrong, now = [], {}
        for kind, path in KINDS.items():
            code, got = sfd.ask("GET", path)
            if code != 200:
                return ["list %s: %s %s" % (kind, code, got)]
            for item in got["items"]:
                now[(kind, item["metadata"]["name"])] = value_of(item)
            if int(got["metadata"]["resourceVersion"]) < self.revision:
                wrong.append("revision %s of the list of %s is below %d, which was told" %
                             (got["metadata"]["resourceVersion"], kind, self.revision))
        for key in set(self.acknowledged) | set(self.pending) | set(now):
            may = [self.acknowledged.get(key, GONE)] + self.pending.get(key, [])
            if now.get(key, GONE) not in may:
                wrong.append("%s/%s is %s, may be %s" % (*key, now.get(key, GONE), may))
        self.acknowledged, self.pending = now, {}
        return wrong


class Client(threading.Thread):
    """Writes its own few objects, over and over, until it is told to stop or nobody answers."""

    def __init__(self, number, sfd, ledger, seed, padding=6000):
        super().__init__(daemon=True)
        self.number, self.socket, self.ledger = number, sfd.socket, ledger
        self.random = random.Random("%s-%d" % (seed, number))
        self.tag = "%s-%d" % (seed, number)
        self.padding = padding
        self.stopping = False
        self.broke = None  # an answer that there should not be
        self.answers = {}

    def run(self):
        count = 0
        try:
            connection = Connection(self.socket)
            while not self.stopping:
                count += 1
                self.write(connection, "%s-%d" % (self.tag, count))
        except NO_ANSWER:
            pass

    def write(self, connection, value):
        kind = self.random.choice(list(KINDS))
        name = "c%d-%d" % (self.number, self.random.randrange(4))
        key, path = (kind, name), KINDS[kind]
        body = document(kind, name, value, "x" * self.random.randrange(self.padding))
        may_be = [self.ledger.acknowledged.get(key, GONE)] + self.ledger.pending.get(key, [])
        if may_be == [GONE]:
            self.send(connection, key, value, "POST", path, body)
        elif GOING in may_be:
            self.send(connection, key, GONE, "PATCH", path + "/" + name, {"metadata": {"finalizers": None}}, MERGE)
        elif self.random.random() < 0.2:
            self.send(connection, key, GONE if path.startswith("/api/") else GOING, "DELETE", path + "/" + name)
        elif self.random.random() < 0.5:
            self.send(connection, key, value, "PUT", path + "/" + name, body)
        else:
            body = {"metadata": {"annotations": body["metadata"]["annotations"]}}
            self.send(connection, key, value, "PATCH", path + "/" + name, body, MERGE)

    def send(self, connection, key, value, method, path, body=None, content_type="application/json"):
        self.ledger.asked(key, value)
        code, got = connection.ask(method, path, body, content_type)
        self.answers[code] = self.answers.get(code, 0) + 1
        if code in (200, 201):
            if method == "PATCH" and value is GONE and "deletionTimestamp" not in got["metadata"]:
                value = value_of(got)  # the delete before, whose answer was lost, was not done
            revision = got.get("metadata", {}).get("resourceVersion", "0")
            self.ledger.told(key, value, int(revision) if str(revision).isdigit() else 0)
        elif 400 <= code < 500:
            self.ledger.refused(key)
            if code not in (404, 409):
                self.broke, self.stopping = "%s %s: %s %s" % (method, path, code, got), True


# ---- disks -----------------------------------------------------------------------------------------------------------


class Disk:
    """A file system whose power can be cut: ext4 on a loop device on an NBD server that keeps writes in its cache until a
    flush. Killing the server loses every write that was not flushed, as pulling the plug does."""

    def __init__(self, where, megabytes=64, filters=(), arguments=(), mkfs=()):
        self.where, self.mnt = where, where + "/mnt"
        self.image, self.socket, self.fuse = where + "/disk.img", where + "/nbd.sock", where + "/fuse"
        self.filters, self.arguments = filters, arguments
        for d in (self.mnt, self.fuse):
            os.makedirs(d, exist_ok=True)
        with open(self.image, "wb") as f:
            f.truncate(megabytes << 20)
        run("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", *mkfs,
            self.image)

    def up(self):
        self.server = subprocess.Popen(
            ["nbdkit", "-f", "-U", self.socket, "--filter=cache", *["--filter=" + f for f in self.filters], "file",
             self.image, "cache=writeback", *self.arguments], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("nbdkit listens", lambda: os.path.exists(self.socket))
        self.client = subprocess.Popen(["nbdfuse", self.fuse, "--unix", self.socket], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("nbdfuse shows the disk", lambda: os.path.ismount(self.fuse) and os.path.exists(self.fuse + "/nbd"))

    def mount(self):
        run("mount", "-o", "loop", self.fuse + "/nbd", self.mnt)

    def cut(self):
        """The power is gone. What runs on the disk gets errors from here on."""
        self.server.kill()
        self.server.wait()

    def down(self):
        """After cut(), when nobody uses the disk any more: takes away what is left of it."""
        if os.path.ismount(self.mnt):
            # The last of its files are closed a moment after their process is gone.
            wait_for("umount", lambda: subprocess.run(["umount", self.mnt], stderr=subprocess.DEVNULL).returncode == 0)
        if self.server.poll() is None:
            run("fusermount3", "-u", self.fuse)
            self.client.wait(PATIENCE)
            self.server.terminate()
        self.server.wait(PATIENCE)
        self.client.wait(PATIENCE)
        subprocess.run(["fusermount3", "-q", "-u", self.fuse], stderr=subprocess.DEVNULL)
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def check(self):
        """What a boot does: the journal is replayed, then everything is looked at."""
        run("e2fsck", "-p", self.fuse + "/nbd", codes=(0, 1))


def run(*argv, codes=(0,)):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode not in codes:
        raise RuntimeError("%s: exit code %d: %s" % (" ".join(argv), done.returncode, done.stdout))
    return done.stdout


def integrity(store):
    """What SQLite says of a copy of the store, its write-ahead log included: "ok", or what is wrong."""
    copy = "/run/rig-copy"
    shutil.rmtree(copy, ignore_errors=True)
    os.mkdir(copy)
    for name in ("store.db", "store.db-wal"):
        if os.path.exists(store + "/" + name):
            shutil.copyfile(store + "/" + name, copy + "/" + name)
    try:
        db = sqlite3.connect(copy + "/store.db")
        said = db.execute("PRAGMA integrity_check").fetchall()
        db.close()
    except sqlite3.DatabaseError as e:
        said = [(str(e),)]
    return "; ".join(str(line[0]) for line in said)
