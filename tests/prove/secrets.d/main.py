# SPDX-License-Identifier: Apache-2.0
"""The inside of tests/prove/secrets: makes canaries, does everything with them, looks for them everywhere."""

import base64
import glob
import json
import multiprocessing
import os
import re
import secrets
import stat
import subprocess
import sys
import time
import traceback

TOP, BUILD = os.environ["TOP"], os.environ["BUILD"]
ROWS = os.environ.get("PROVE_ROWS", "/dev/null")
HOME = "/run/sandbox/canaries"
DEADLINE = 90
BASE = """
apiVersion: v1
kind: Namespace
metadata: {name: tenant}
---
apiVersion: v1
kind: Namespace
metadata: {name: neighbour}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: tenant}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: reader}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tenant, namespace: tenant}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: tenant}]
---
apiVersion: shakenfist.io/v1alpha1
kind: Network
metadata: {name: front, namespace: tenant}
spec: {cidrs: [10.20.0.0/24]}
---
apiVersion: v1
kind: Secret
metadata: {name: user-data, namespace: tenant}
stringData: {userdata: "#cloud-config\\npassword: %(secret)s\\n"}
data: {other: %(encoded)s}
---
apiVersion: shakenfist.io/v1alpha1
kind: Image
metadata: {name: guest, namespace: tenant}
spec: {source: {url: "http://127.0.0.1:8099/guest.qcow2?sig=%(query)s"}}
---
apiVersion: shakenfist.io/v1alpha1
kind: Image
metadata: {name: missing, namespace: tenant}
spec: {source: {url: "http://127.0.0.1:8099/missing.qcow2?sig=%(query)s"}}
---
apiVersion: shakenfist.io/v1alpha1
kind: Instance
metadata: {name: by-ref, namespace: tenant}
spec:
  memory: 128Mi
  disks: [{name: root, image: guest, size: 1Gi}]
  interfaces: [{name: eth0, network: front}]
  cloudInit: {userDataSecretRef: {name: user-data}}
---
apiVersion: shakenfist.io/v1alpha1
kind: Instance
metadata: {name: inline, namespace: tenant}
spec:
  memory: 128Mi
  disks: [{name: root, image: guest, size: 1Gi}]
  cloudInit: {userData: "#cloud-config\\npassword: %(inline)s\\n"}
"""


class Broken(Exception):
    """The rig itself does not work."""


def say(text):
    print(text, flush=True)


def row(figure, measured, of, goal, good):
    line = "%s\t%s\t%s\t%s\t%s" % (figure, measured, of, goal, "pass" if good else "FAIL")
    say(line)
    with open(ROWS, "a") as f:
        f.write(line + "\n")


def wait_for(what, check):
    end = time.monotonic() + DEADLINE
    while not check():
        if time.monotonic() > end:
            raise Broken("not within %d s: %s" % (DEADLINE, what))
        time.sleep(0.05)


def run(*argv, stdin=None, env=None, check=True):
    r = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=120, env={**os.environ, **(env or {})})
    if check and r.returncode:
        raise Broken("%s: %s" % (" ".join(argv), r.stderr))
    return r


def sfctl(*arguments, **more):
    return run(BUILD + "/sfctl", *arguments, **more)


def shell(line):
    """With what the end-to-end tests share."""
    return run("bash", "-c", '. "$TOP/tests/e2e/lib.bash"; ' + line)


# ---- canaries ----

class Canaries:
    """Texts that are nowhere else, and how each would look in base64, wherever it begins."""

    def __init__(self):
        self.texts = {}

    def new(self, name):
        return self.add(name, "cnry" + secrets.token_hex(16))

    def add(self, name, text):
        self.texts[name] = text
        return text

    def patterns(self):
        for name, text in self.texts.items():
            yield name, text.encode()
            for skip in range(3):
                code = base64.b64encode(b"\0" * skip + text.encode())
                yield name, code[4 if skip else 0:][:len(text) * 4 // 3 - 6]

    def expression(self):
        """(compiled, {bytes: name})"""
        names = {pattern: name for name, pattern in self.patterns()}
        return re.compile(b"|".join(re.escape(p) for p in names)), names

    def find(self, data, but=()):
        """Names of those that are in there."""
        if isinstance(data, str):
            data = data.encode(errors="surrogateescape")
        expression, names = self.expression()
        return {names[m] for m in set(expression.findall(data))} - set(but)


# ---- every process, all the time ----

def watch_processes(pipe, count):
    """Keeps command lines and environments of all processes until told to end by an expression; then tells where it was.
    So it also finds a canary that was not yet known when it was shown, like a token as it is made."""
    kept, looks, seen = {}, 0, set()
    while not pipe.poll(0):
        count.value = looks
        for pid in os.listdir("/proc"):
            if not pid.isdigit():
                continue
            for what in ("cmdline", "environ"):
                try:
                    with open("/proc/%s/%s" % (pid, what), "rb") as f:
                        data = f.read()
                except OSError:
                    continue
                seen.add(pid)
                if (what, data) not in kept:
                    kept[what, data] = data if what == "cmdline" else command_line(pid)
        looks += 1
    expression = pipe.recv()
    found = {(what, who.replace(b"\0", b" ").decode(errors="replace")) for (what, data), who in kept.items()
             if expression.search(data)}
    pipe.send((found, looks, len(seen)))


def command_line(pid):
    try:
        with open("/proc/%s/cmdline" % pid, "rb") as f:
            return f.read()
    except OSError:
        return b"one that has ended"


def control(c):
    """A program that is careless; the watch must see it."""
    text = c.new("control")
    watch = ProcessWatch()
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()", text], env={"CONTROL": text},
                             stdin=subprocess.PIPE)
    watch.wait(100)
    found, _, _ = watch.end(c)
    child.kill()
    child.wait()
    if {what for what, _ in found} != {"cmdline", "environ"}:
        raise Broken("the watch of processes does not see: %s" % found)
    del c.texts["control"]


class ProcessWatch:
    def __init__(self):
        self.mine, theirs = multiprocessing.Pipe()
        self.count = multiprocessing.Value("l", 0)
        self.process = multiprocessing.Process(target=watch_processes, daemon=True,
                                               args=(theirs, self.count))
        self.process.start()

    def wait(self, looks):
        wait_for("looks at processes", lambda: self.count.value >= looks)

    def end(self, canaries):
        self.mine.send(canaries.expression()[0])
        result = self.mine.recv()
        self.process.join()
        return result


# ---- doing everything once ----

def key_lines(pem):
    """The lines of a private key that say anything."""
    body = re.search(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s(.*?)-----END", pem, re.S).group(1)
    return [line for line in body.split() if len(line) > 40][1]


def make_credentials(c):
    """A token and a certificate of users, and the CA's keys."""
    for user, kind in (("reader", "--token"), ("tenant", "--token"), ("holder", "--certificate")):
        sfctl("kubeconfig", "--user", user, kind, "--output", "%s/%s" % (HOME, user))
    for user in ("reader", "tenant"):
        c.add("token of " + user, re.search(r'token: "?([^"\s]+)', open(HOME + "/" + user).read()).group(1))
    key = re.search(r"client-key-data: (\S+)", open(HOME + "/holder").read()).group(1)
    c.add("private key of a user", key_lines(base64.b64decode(key).decode()))
    for name in ("ca", "server"):
        c.add("private key of " + name, key_lines(open("/var/lib/sfd/pki/%s.key" % name).read()))


def editor(c):
    """An editor that notes what it was given, and puts another canary into it."""
    path = HOME + "/editor"
    with open(path + ".sed", "w") as f:
        f.write("s/other: .*/other: %s/\n" % base64.b64encode(c.texts["edited Secret"].encode()).decode())
    with open(path, "w") as f:
        f.write("""#!/bin/sh
stat -c %%a "$1" >>%s/edited
sed -i -f "$0.sed" "$1"
""" % HOME)
    os.chmod(path, 0o755)
    return path


def api(method, path, body=None, kind="application/json", user=None):
    """(code, text), as root over the socket, or as a user over TLS by the token in her file."""
    argv = ["curl", "-sS", "-X", method, "-w", "\n%{http_code}", "-H", "Content-Type: " + kind, "-K", "-"]
    config = ""
    if user:
        text = open("%s/%s" % (HOME, user)).read()
        config = 'header = "Authorization: Bearer %s"\n' % re.search(r'token: "?([^"\s]+)', text).group(1)
        argv += ["--cacert", "/var/lib/sfd/pki/ca.crt", "https://localhost:6444" + path]
    else:
        argv += ["--unix-socket", "/run/sfd/sfd.sock", "http://localhost" + path]
    if body is not None:
        with open(HOME + "/body", "w") as f:
            f.write(body)
        argv += ["--data-binary", "@" + HOME + "/body"]
    text, code = run(*argv, stdin=config).stdout.rsplit("\n", 1)
    return int(code), text


def mistakes(c):
    """Answers to requests with a canary in the wrong place."""
    m = c.texts["mistaken value"]
    s = "/api/v1/namespaces/tenant/secrets"
    i = "/apis/shakenfist.io/v1alpha1/namespaces/tenant/instances"
    g = "/apis/shakenfist.io/v1alpha1/namespaces/tenant/images"
    merge, patch = "application/merge-patch+json", "application/json-patch+json"
    asked = [
        ("POST", s, '{"metadata":{"name":"m"},"data":{"k":"%s!"}}' % m, "application/json"),
        ("POST", s, '{"metadata":{"name":"m"},"data":{"k":["%s"]}}' % m, "application/json"),
        ("POST", s, '{"metadata":{"name":"m"},"stringData":{"k":{"a":"%s"}}}' % m, "application/json"),
        ("POST", s, '{"metadata":{"name":"m"},"stringData":{"k":"%s"' % m, "application/json"),
        ("POST", s, '{"metadata":{"name":"m"},"data":"%s"}' % m, "application/json"),
        ("POST", s, "metadata: {name: m}\nstringData: {k: %s}}\n" % m, "application/yaml"),
        ("PATCH", s + "/user-data", '{"data":{"k":"%s!"}}' % m, merge),
        ("PATCH", s + "/user-data", '[{"op":"test","path":"/data/other","value":"%s"}]' % m, patch),
        ("PATCH", s + "/user-data", '[{"op":"add","path":"/data/k","value":["%s"]}]' % m, patch),
        ("PATCH", s + "/user-data?fieldManager=x", '{"data":{"k":["%s"]}}' % m, "application/apply-patch+yaml"),
        ("POST", g, '{"metadata":{"name":"m"},"spec":{"source":{"url":"https://user:%s@example.com/x"}}}' % m,
         "application/json"),
        ("POST", g, '{"metadata":{"name":"m"},"spec":{"source":{"url":"ftp://user:%s@example.com/x"}}}' % m,
         "application/json"),
        ("PUT", i + "/by-ref", '{"spec":{"cloudInit":{"userData":["%s"]}}}' % m, "application/json"),
    ]
    answers = []
    for method, path, body, kind in asked:
        code, text = api(method, path, body, kind)
        if code < 400:
            raise Broken("%s %s %s was accepted" % (method, path, body))
        for who, answer in (("root", text), ("reader", api(method, path, body, kind, "reader")[1])):
            if c.find(answer):
                say("  %s %s %s (%s): %s" % (method, path, body, who, answer))
            answers.append(answer)
    return "\n".join(answers)


def cast(c):
    """Everything, once. What sfctl printed while it did so, and what the server answered to mistakes."""
    said = []
    texts = {"secret": c.texts["Secret"], "encoded": base64.b64encode(c.texts["Secret data"].encode()).decode(),
             "query": c.texts["query of a URL"], "inline": c.texts["user-data in an Instance"]}
    manifest = HOME + "/manifest.yaml"
    with open(os.open(manifest, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write(BASE % texts)

    def note(*arguments, **more):
        r = sfctl("-v", *arguments, check=False, **more)
        said.append(r.stderr + r.stdout)

    watch = ProcessWatch()
    watch.wait(1)
    sfctl("apply", "-f", manifest)
    make_credentials(c)
    wait_for("guests", lambda: sfctl("get", "instances", "-n", "tenant", "-o",
                                     "jsonpath={.items[*].status.printableStatus}").stdout.split() == ["Running"] * 2)
    note("apply", "-f", manifest)
    note("diff", "-f", manifest)
    sfctl("edit", "secret", "user-data", "-n", "tenant", env={"EDITOR": editor(c)})
    with open(manifest, "w") as f:
        f.write((BASE % texts).replace(c.texts["Secret"], c.texts["Secret, changed"]))
    note("diff", "-f", manifest)
    note("apply", "-f", manifest)
    note("apply", "-f", manifest, "--dry-run=server")
    note("restart", "by-ref", "-n", "tenant")
    note("get", "secrets", "-n", "tenant", "--token-file=" + HOME + "/wrong")
    said.append(mistakes(c))
    note("get", "secrets", "-n", "tenant", "--kubeconfig", HOME + "/reader")
    note("certificates")
    wait_for("failed fetch", lambda: "Failed" in sfctl("get", "images", "-n", "tenant").stdout)
    return "\n".join(said), watch


# ---- looking ----

def strip_allowed(obj):
    """An object without the places that are for secrets."""
    if obj.get("kind") == "Secret":
        obj.pop("data", None)
    spec = obj.get("spec", {})
    spec.get("cloudInit", {}).pop("userData", None)
    spec.get("source", {}).pop("url", None)
    return obj


def everything_as_json(user=None):
    """All objects of all kinds that may be listed."""
    objects = []
    for group in json.loads(api("GET", "/apis", user=user)[1])["groups"] + [None]:
        paths = ["/apis/" + v["groupVersion"] for v in group["versions"]] if group else ["/api/v1"]
        for path in paths:
            for kind in json.loads(api("GET", path, user=user)[1])["resources"]:
                if "list" not in kind["verbs"]:
                    continue
                for where in ("", "/namespaces/tenant") if kind["namespaced"] else ("",):
                    code, text = api("GET", "%s%s/%s" % (path, where, kind["name"]), user=user)
                    if code == 200:
                        objects += json.loads(text)["items"]
    return objects


def files_with(c):
    """[(path, mode, names)] of every file that could have one, but of our own."""
    found = []
    roots = ["/var/lib", "/var/log", "/var/cache", "/run", "/etc", "/tmp", "/dev/shm", "/root"]
    expression, names = c.expression()
    for root in roots:
        for folder, folders, files in os.walk(root):
            if folder.startswith((HOME, "/run/sandbox/layer", TOP)) or folder in ("/var/lib/dpkg", "/var/lib/apt"):
                folders[:] = []
                continue
            for name in files:
                path = os.path.join(folder, name)
                try:
                    st = os.lstat(path)
                    if not stat.S_ISREG(st.st_mode) or st.st_mtime < START:
                        continue
                    with open(path, "rb") as f:
                        hits = set(expression.findall(f.read()))
                except OSError:
                    continue
                if hits:
                    found.append((path, stat.S_IMODE(st.st_mode), sorted({names[h] for h in hits})))
    return found


def file_is_allowed(path, mode):
    private = mode & 0o077 == 0
    return private and (re.fullmatch(r"/var/lib/sfd/(store|sfd)[^/]*(\.db|\.sqlite)[^/]*|/var/lib/sfd/store/[^/]+", path) or
                        path.startswith(("/var/lib/sfd/pki/", "/var/lib/sfd/instances/")))


def core_limits():
    """Processes of sfd that would leave a core with all of its memory."""
    bad = []
    for pid in run("pgrep", "-x", "sfd").stdout.split():
        try:
            line = next(l for l in open("/proc/%s/limits" % pid) if l.startswith("Max core file size"))
        except OSError:
            continue
        if line.split()[4] != "0":
            bad.append("process %s: %s" % (pid, line.strip()))
    return bad


def tenant_messages():
    """What a tenant is told of failures: no paths of this host, nothing of other namespaces."""
    sfctl("apply", "-f", "-", stdin="""
apiVersion: shakenfist.io/v1alpha1
kind: Image
metadata: {name: treasure-map, namespace: neighbour}
spec: {source: {url: "http://127.0.0.1:8099/guest.qcow2"}}
---
apiVersion: shakenfist.io/v1alpha1
kind: Instance
metadata: {name: thief, namespace: tenant}
spec: {memory: 128Mi, runStrategy: Halted, disks: [{name: root, image: neighbour/treasure-map, size: 1Gi}]}
""", check=False)
    wait_for("a word about the thief", lambda: "neighbour" in sfctl("get", "instance", "thief", "-n", "tenant", "-o",
                                                                    "json", check=False).stdout)
    texts = [json.dumps(o.get("status", o)) + o.get("message", "") for o in everything_as_json("tenant")]
    for name in ("nothing", "thief"):
        texts.append(api("GET", "/apis/shakenfist.io/v1alpha1/namespaces/neighbour/images/" + name, user="tenant")[1])
    bad = []
    for text in texts:
        bad += re.findall(r"/(?:var|run|etc|usr|tmp|proc|home)/[^\"\s]*", text)
        bad += re.findall(r"(?i)\bsqlite|<domain|SELECT |pkg/[a-z]+/", text)
    return bad


def look(c, said, watch):
    """{sink: [what was found there]}. Where one is what was asked for, it is no find: Secrets, user-data in an Instance
    and the URL of an Image in the fields that are for them, the URL in the table of Images too, user-data in the
    description of its Instance, and all of them in the store, the seeds and the keys, in files of root alone."""
    sinks = {}

    def search(sink, text, but=()):
        sinks[sink] = sorted(c.find(text, but))

    found, looks, pids = watch.end(c)
    for what in ("cmdline", "environ"):
        sinks["%s of all processes" % {"cmdline": "command lines", "environ": "environments"}[what]] = [
            line for w, line in found if w == what]
    say("  %d looks at %d processes" % (looks, pids))
    run("journalctl", "--sync")
    search("journal with all fields", run("journalctl", "-o", "export", "--no-pager").stdout)
    search("what sfctl -v and refusals say", said)
    objects = [strip_allowed(o) for o in everything_as_json()]
    say("  %d objects" % len(objects))
    for what, part in (("status", "status"), ("managed fields", "managedFields"), ("annotations", "annotations")):
        search(what, json.dumps([o.get(part) or o["metadata"].get(part) for o in objects]))
    search("events", json.dumps([o for o in objects if o.get("kind") == "Event" or "involvedObject" in o]))
    search("objects beside the fields that are for it", json.dumps(objects))
    search("objects of a user with the role view", json.dumps([strip_allowed(o) for o in everything_as_json("reader")]))
    # The URL of an Image is a column, for those who may read the Image.
    tables = [sfctl("get", kind, "-A", "-o", "wide", check=False).stdout for kind in
              ("all", "secrets", "configmaps", "credentials", "events", "images", "pods", "networks", "nodes")]
    search("tables", "\n".join(tables), ("query of a URL",))
    described = [sfctl("describe", kind, "-n", "tenant", check=False).stdout for kind in
                 ("secrets", "instances", "networks", "events", "pods")]
    described.append(sfctl("describe", "credentials", check=False).stdout)
    search("describe", "\n".join(described), ("user-data in an Instance",))
    search("metrics", api("GET", "/metrics")[1])
    search("OpenAPI and discovery", "".join(api("GET", p)[1] for p in ("/openapi/v2", "/openapi/v3", "/apis", "/api/v1")))
    xml = "".join(run("virsh", "-q", "dumpxml", *more, name).stdout for name in
                  run("virsh", "-q", "list", "--name").stdout.split() for more in ([], ["--inactive"], ["--security-info"]))
    xml += "".join(open(p).read() for p in glob.glob("/etc/libvirt/**/*.xml", recursive=True) +
                   glob.glob("/run/libvirt/**/*.xml", recursive=True))
    search("domain XML", xml)
    search("libvirt's and QEMU's logs", "".join(open(p, errors="replace").read() for p in
                                                glob.glob("/var/log/libvirt/**/*", recursive=True) if os.path.isfile(p)))
    files = files_with(c)
    sinks["files"] = ["%s (%o): %s" % f for f in files if not file_is_allowed(f[0], f[1])]
    for kind, pattern in (("store", "/var/lib/sfd/s"), ("seed", "/var/lib/sfd/instances/")):
        if not any(f[0].startswith(pattern) for f in files):
            raise Broken("not even in the %s: %s" % (kind, files))
    sinks["mode of the store and of its copies"] = ["%s %o" % (p, os.stat(p).st_mode & 0o777) for p in
                                                    glob.glob("/var/lib/sfd/*") if os.path.isfile(p) and
                                                    os.stat(p).st_mode & 0o077]
    edited = open(HOME + "/edited").read().split()
    sinks["temporary file of sfctl edit"] = [m for m in edited if m != "600"] + glob.glob("/run/tmp/sfctl-edit-*")
    sinks["core dumps"] = core_limits()
    sinks["paths and names in what a tenant is told"] = tenant_messages()
    return sinks


def main():
    os.makedirs(HOME, mode=0o700)
    c = Canaries()
    for name in ("Secret", "Secret data", "Secret, changed", "edited Secret", "user-data in an Instance",
                 "query of a URL", "mistaken value", "wrong token"):
        c.new(name)
    with open(os.open(HOME + "/wrong", os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write(c.texts["wrong token"])
    control(c)
    shell("ulimit -c unlimited; e2e_setup --listen unix:/run/sfd/sfd.sock --listen tls:127.0.0.1:6444 --log-level debug")
    try:
        said, watch = cast(c)
        sinks = look(c, said, watch)
    finally:
        shell("sfctl delete instance --all -n tenant --timeout=60s --wait=false; sfd_stop")
    bad = {sink: found for sink, found in sinks.items() if found}
    for sink in sinks:
        say("  %-50s %s" % (sink, "; ".join(sinks[sink]) or "-"))
    row("sinks with a secret in them, of %d canaries" % len(c.texts), len(bad), len(sinks),
        "0, in 20 or more, beside what its reader asks for (a URL in the table of Images, user-data in describe)",
        not bad and len(sinks) >= 20)
    return 0


START = time.time() - 1
try:
    sys.exit(main())
except Exception:
    traceback.print_exc()
    sys.exit(1)
