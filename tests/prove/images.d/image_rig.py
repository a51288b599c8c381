# SPDX-License-Identifier: Apache-2.0
"""What the parts of tests/prove/images share: sfd, its API, the hostile server, a ledger of cases and their rows."""
import glob
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

WORK = "/run/sandbox/images"
DEADLINE = 180  # seconds, for whatever must come true: far above what it takes
IMAGES = "/apis/shakenfist.io/v1alpha1/namespaces/default/images"
PUBLIC = "192.0.2.2"  # this machine in the sandbox, as the world sees it


class Broken(Exception):
    """The rig itself does not work."""


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("sfd", timeout=DEADLINE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(self.path)


class Server:
    """The hostile server, by its commands."""

    def __init__(self, build):
        self.process = subprocess.Popen([build + "/tests/prove/hostile_server"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.port, self.lock = int(self.process.stdout.readline()), threading.Lock()

    def tell(self, *words):
        with self.lock:
            self.process.stdin.write(" ".join(words) + "\n")
            return self.process.stdout.readline().strip()

    def put(self, name, data, etag=None):
        path = f"{WORK}/put-{name}"
        with open(path, "wb") as f:
            f.write(data)
        if self.tell("put", name, path, *([etag] if etag else [])) != "ok":
            raise Broken(f"cannot serve {name}")
        os.unlink(path)

    def count(self, prefix):
        return int(self.tell("count", prefix))

    def times(self, prefix):
        return [int(t) / 1000 for t in self.tell("times", prefix).split()]


class Sfd:
    """A real sfd with nothing but the image controller, on a state directory of its own."""

    def __init__(self, rig, name, *options):
        self.rig, self.state, self.runtime = rig, f"/var/lib/sfd/{name}", f"/run/sandbox/{name}"
        self.argv = [rig.build + "/sfd", "--controllers", "image", "--state-dir", self.state, "--runtime-dir",
                     self.runtime, "--listen", f"unix:{self.runtime}/api.sock", "--virt-type", "qemu", *options]
        self.log = open(f"{WORK}/{name}.log", "ab")
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.rig.wait("sfd to be ready", self.ready)

    def ready(self):
        if self.process.poll() is not None:
            raise Broken(f"sfd ended: {self.process.returncode}: " + open(self.log.name).read()[-2000:])
        try:
            return self.call("GET", "/readyz", text=True)[0] == 200
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE)

    def restart(self):
        self.stop()
        self.start()

    def call(self, verb, path, body=None, text=False):
        c = Unix(self.runtime + "/api.sock")
        c.request(verb, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        r = c.getresponse()
        data = r.read()
        c.close()
        return r.status, data if text else json.loads(data)

    def create(self, name, url, policy="IfNotPresent", **source):
        code, answer = self.call("POST", IMAGES, {
            "apiVersion": "shakenfist.io/v1alpha1", "kind": "Image", "metadata": {"name": name},
            "spec": {"pullPolicy": policy, "source": {"url": url, **source}}})
        return code, answer.get("message", "")

    def images(self):
        return {i["metadata"]["name"]: i for i in self.call("GET", IMAGES)[1]["items"]}

    def delete_all(self):
        self.call("DELETE", IMAGES)
        self.rig.wait("all images to be gone", lambda: not self.images())

    def cached(self):
        """What is in the cache: name -> (inode, time of change, size)."""
        found = {}
        for path in glob.glob(self.state + "/images/*.qcow2"):
            st = os.stat(path)
            found[os.path.basename(path)] = (st.st_ino, st.st_mtime_ns, st.st_size)
        return found

    def incoming(self):
        return sorted(os.listdir(self.state + "/incoming"))


def condition(image):
    for c in image.get("status", {}).get("conditions", []):
        if c["type"] == "Ready":
            return c
    return {"status": "", "reason": "", "message": ""}


class Sampler(threading.Thread):
    """Looks at the processes of the roles and of sfd as often as it can: the most memory each had, in KiB."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self.disk, self.path, self.over = {}, 0, None, False

    def look(self):
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path) as f:
                    words = f.read().split("\0")
                if not words[0].endswith("/sfd") and "--role=" not in " ".join(words[:2]):
                    continue
                with open(path[:-len("cmdline")] + "status") as f:
                    peak = re.search(r"VmHWM:\s+(\d+)", f.read())
            except OSError:
                continue
            role = words[1] if len(words) > 1 and words[1].startswith("--role=") else "sfd"
            if peak:
                self.peak[role] = max(self.peak.get(role, 0), int(peak[1]))
        total = 0
        for name in glob.glob(self.path + "/incoming/*") if self.path else []:
            try:
                total += os.stat(name).st_blocks * 512
            except OSError:
                pass
        self.disk = max(self.disk, total)

    def run(self):
        while not self.over:
            self.look()
            time.sleep(0.05)


class Rig:
    def __init__(self, full, only):
        self.full, self.only = full, only
        self.top, self.build = os.environ["TOP"], os.environ["BUILD"]
        self.rows, self.failed = os.environ["PROVE_ROWS"], 0
        self.started = time.monotonic()
        os.makedirs(WORK)
        self.server = Server(self.build)
        self.good_raw = self.make_raw()
        self.good = self.qemu_img("good.qcow2", "convert", "-c", "-f", "raw", "-O", "qcow2", f"{WORK}/good.raw", "OUT")
        self.server.put("good", self.good, '"good"')

    @staticmethod
    def make_raw():
        """3 MiB of a disk that begins with a boot sector and does not compress to nothing."""
        block = hashlib.sha512(b"shaken").digest()
        data = bytearray()
        while len(data) < 3 << 20:
            block = hashlib.sha512(block).digest()
            data += block * 16
        data[510:512] = b"\x55\xaa"
        with open(f"{WORK}/good.raw", "wb") as f:
            f.write(data)
        return bytes(data)

    @staticmethod
    def qemu_img(name, *words):
        path = f"{WORK}/{name}"
        subprocess.run(["qemu-img", *[path if w == "OUT" else w for w in words]], check=True,
                       stdout=subprocess.DEVNULL)
        with open(path, "rb") as f:
            return f.read()

    @staticmethod
    def wait(what, true):
        until = time.monotonic() + DEADLINE
        while not true():
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True

    def wanted(self, name):
        return not self.only or any(word in name for word in self.only)

    def url(self, path, host="127.0.0.1"):
        return f"http://{host}:{self.server.port}{path}"

    def say(self, text):
        print(f"[{time.monotonic() - self.started:5.1f}] {text}", flush=True)

    def bad(self, name, why):
        self.say(f"FAILED {name}: {why}")
        self.say(f"  alone: tests/prove/images sample '{name}'")

    def row(self, figure, measured, of, goal, good):
        self.failed += not good
        line = "\t".join([figure, str(measured), str(of), goal, "pass" if good else "FAIL"])
        print(line, flush=True)
        with open(self.rows, "a") as f:
            f.write(line + "\n")

    def all_of(self, figure, good, total, least):
        least = min(least, total) if self.only else least
        self.row(figure, good, total, f"all, of {least} or more", good == total and total >= least)

    def beside(self, *parts):
        """Runs parts at the same time: most of theirs is waiting."""
        broken = []

        def guarded(part):
            try:
                part(self)
            except BaseException as e:  # told again below, by the main thread
                broken.append(e)
        threads = [threading.Thread(target=guarded, args=(part,)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if broken:
            raise broken[0]

    def finish(self):
        self.say(f"{self.failed} rows failed")
        return 0
