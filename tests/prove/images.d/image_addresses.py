# SPDX-License-Identifier: Apache-2.0
"""Whom a download may reach: every spelling of this machine and of the cloud's insides, given and by redirect; names that
change their mind between two questions; credentials on the way to another host; certificates that prove nothing.

This machine is 192.0.2.2 for the world: what it serves there is "public", the same port on a loopback address is not."""
import http.server
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading

from image_rig import PUBLIC, WORK, Sfd, condition

LOOPBACK = ["127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "0x7f000001", "0x7f.1", "2130706433", "0177.0.0.1",
            "017700000001", "localhost", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
            "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "loop.test", "%31%32%37.0.0.1"]
NOWHERE = ["0.0.0.0", "0", "[::]"]
INSIDE = ["169.254.169.254", "0xa9fea9fe", "2852039166", "[::ffff:169.254.169.254]", "[fe80::1]", "[fe80::1%25eth0]",
          "100.100.100.200", "168.63.129.16", "[fd00:ec2::254]", "224.0.0.1", "[ff02::1]", "255.255.255.255", "240.0.0.1",
          "[fd73:6664::1]", "[64:ff9b::169.254.169.254]", "metadata.test", "[fec0::1]", "192.0.0.1"]
PRIVATE = ["10.1.2.3", "172.16.0.1", "172.31.255.1", "192.168.0.1", "100.64.0.1", "198.18.0.1", "[fd00::1]", "[fc00::1]",
           "[::ffff:10.1.2.3]", "0xa010203"]


class Names(threading.Thread):
    """A name server, with a time to live of 0. NAME.test has the addresses of the table, the n-th answer the n-th entry."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.asked, self.names = {}, {
            "loop.test": [["127.0.0.1"]],
            "metadata.test": [["169.254.169.254"]],
            "public.test": [[PUBLIC]],
            "rebind.test": [[PUBLIC], ["127.0.0.1"]],
            "both.test": [["127.0.0.1", PUBLIC]],
            "wrong.test": [[PUBLIC]],
        }

    def answer(self, question):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode("latin-1"))
            at += 1 + question[at]
        name, (kind,) = ".".join(labels).lower(), struct.unpack("!H", question[at + 1:at + 3])
        found = []
        if kind == 1 and name in self.names:
            turn = self.asked[name] = self.asked.get(name, 0) + 1
            found = self.names[name][min(turn, len(self.names[name])) - 1]
        head = question[:2] + struct.pack("!HHHHH", 0x8580 | (0 if name in self.names else 3), 1, len(found), 0, 0)
        body = question[12:at + 5]
        for address in found:
            body += b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(address)
        return head + body

    def run(self):
        while True:
            question, who = self.socket.recvfrom(4096)
            try:
                self.socket.sendto(self.answer(question), who)
            except (IndexError, struct.error):
                pass


def run_all(*commands):
    for command in commands:
        subprocess.run(command, shell=True, check=True, cwd=WORK, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificates():
    """An authority this machine trusts, and servers' certificates of every quality."""
    run_all("openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=authority")
    for name, dns, days in (("good", "public.test", "-days 30"), ("other", "other.test", "-days 30"),
                            ("expired", "public.test", "-days -1")):
        run_all(f"openssl req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj '/CN={dns}'",
                f"printf 'subjectAltName=DNS:{dns}\n' >{name}.ext",
                f"openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile {name}.ext "
                f"{days} -out {name}.pem")
    run_all("openssl req -x509 -newkey rsa:2048 -nodes -keyout self.key -out self.pem -days 30 -subj '/CN=public.test' "
            "-addext subjectAltName=DNS:public.test",
            "openssl req -newkey rsa:2048 -nodes -keyout escape.key -out escape.csr -utf8 -subj \"/CN=$(printf 'a\\033[2Jb')\"",
            "openssl x509 -req -in escape.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out escape.pem")
    with open(f"{WORK}/ca.pem") as f:
        ours = f.read()
    with open("/etc/ssl/certs/ca-certificates.crt", "a") as f:
        f.write(ours)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path[4:])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.page)))
        self.end_headers()
        self.wfile.write(self.server.page)

    def log_message(self, *_):
        pass


def tls_server(rig, name, change=None):
    server = http.server.ThreadingHTTPServer((PUBLIC, 0), Page)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{WORK}/{name}.pem", f"{WORK}/{name}.key")
    if change:
        change(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.page, server.asked = rig.good, 0
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def old_tls(context):
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


class Cases:
    def __init__(self, rig, sfd):
        self.rig, self.sfd, self.wanted, self.told = rig, sfd, {}, {}

    def add(self, name, url, text, **source):
        """text: what status must say; None: it must become ready."""
        import re
        if not self.rig.wanted(name):
            return
        object_name = f"case-{len(self.wanted)}"
        code, message = self.sfd.create(object_name, url, **source)
        if code != 201:  # not even stored
            self.told[name] = text is not None and code == 422
            if not self.told[name] or self.rig.only:
                self.rig.say(f"{name}: {code} {message}")
            return
        self.wanted[object_name] = (name, text and re.compile(text), url)

    def told_as_wanted(self, object_name, image):
        """One that must become ready may fail before: the next try counts. One that must not is judged by the first."""
        ready, refusal = condition(image), self.wanted[object_name][1]
        return ready["status"] == "True" or (refusal is not None and ready["reason"] == "FetchFailed")

    def judge(self):
        self.rig.wait("all to be told", lambda: all(self.told_as_wanted(*x) for x in self.sfd.images().items()))
        for object_name, image in self.sfd.images().items():
            name, text, url = self.wanted[object_name]
            ready = condition(image)
            good = (ready["status"] == "False" and text.search(ready["message"]) is not None) if text \
                else ready["status"] == "True"
            self.told[name] = good
            if not good:
                self.rig.bad(name, f"{url}: {ready['status']} {ready['message']}")
            elif self.rig.only:
                self.rig.say(f"{name}: {ready['message']}")
        return sum(self.told.values()), len(self.told)


def refused(rig):
    """Nothing is allowed that is not the default, and private addresses are refused, too."""
    sfd = Sfd(rig, "addresses", "--image-deny-private", "--image-timeout", "2")
    cases, port = Cases(rig, sfd), rig.server.port
    for kind, hosts in (("loopback", LOOPBACK), ("nowhere", NOWHERE), ("inside", INSIDE), ("private", PRIVATE)):
        for host in hosts:
            text = "address .* is refused|malformed|refused"
            cases.add(f"{kind} {host}", f"http://{host}:{port}/inner/{kind}", text)
            cases.add(f"{kind} {host} by redirect", rig.url(f"/to/http://{host}:{port}/inner/{kind}", PUBLIC), text)
    cases.add("a name that rebinds", rig.url("/to/" + rig.url("/inner/rebind", "rebind.test"), "rebind.test"),
              r"address 127\.0\.0\.1 is refused")
    cases.add("a name with a public address beside", rig.url("/file/good", "both.test"), None)
    cases.add("our own API", rig.url(f"/to/unix:{sfd.runtime}/api.sock", PUBLIC), "refused|malformed")
    good, total = cases.judge()
    inner = rig.server.count("/inner/")
    rig.say(f"{total} addresses, {inner} requests arrived")
    rig.row("requests that reached a refused address", inner, total, "0, in 80 or more",
            inner == 0 and (total >= 80 or bool(rig.only)))
    rig.all_of("refused addresses told with the reason", good, total, 80)
    sfd.stop()
    shutil.rmtree(sfd.state)


def allowed(rig):
    """The tests' own allowance lets loopback through, and nothing else; private addresses are allowed unless denied."""
    sfd = Sfd(rig, "allowed", "--image-allow-loopback", "--image-timeout", "2")
    cases, port = Cases(rig, sfd), rig.server.port
    for host in LOOPBACK:
        if host.startswith("[64:") or host.startswith("[2002:") or host in ("[::127.0.0.1]", "%31%32%37.0.0.1"):
            continue  # allowed, too, but nobody answers there
        cases.add(f"allowed loopback {host}", f"http://{host}:{port}/file/good", None)
    for host in INSIDE:
        cases.add(f"inside {host} where loopback is allowed", f"http://{host}:{port}/inner/x", "refused|malformed")
    for host in PRIVATE[:4]:
        cases.add(f"allowed private {host}", f"http://{host}:{port}/file/good", None)
    good, total = cases.judge()
    rig.all_of("addresses where loopback is allowed", good, total, 30)
    sfd.stop()
    shutil.rmtree(sfd.state)


def credentials(rig):
    """The API stores no URL with a password. A fetch that is given one all the same keeps it to its own host."""
    if not rig.wanted("credentials"):
        return
    sfd = Sfd(rig, "credentials")
    code, message = sfd.create("secret", f"http://user:hunter2@{PUBLIC}:{rig.server.port}/file/good")
    told = code == 422 and "hunter2" not in message
    sfd.stop()
    shutil.rmtree(sfd.state)
    directory = f"{WORK}/credentials"
    os.makedirs(directory, mode=0o700)
    said = ""
    ways = {
        "its own": f"http://user:hunter2@{PUBLIC}:{rig.server.port}/to/" + rig.url("/own/good", PUBLIC),
        "another": f"http://user:hunter2@{PUBLIC}:{rig.server.port}/to/" + rig.url("/leak/good", "public.test"),
        "there and back": f"http://user:hunter2@{PUBLIC}:{rig.server.port}/to/" +
                          rig.url("/to/" + rig.url("/leak/back", "public.test"), "public.test"),
        "the server's own": rig.url(f"/to/http://me:mine@{PUBLIC}:{rig.server.port}/leak/mine", PUBLIC),
        "in the query": rig.url("/leak/query?password=hunter2", PUBLIC),
    }
    for n, url in enumerate(ways.values()):
        request = {"name": f"{n:032x}", "url": url, "maxSize": 1 << 26}
        r = subprocess.run(["/bin/bash", "-c", 'exec "$0" --role=fetch 3<"$1"', rig.build + "/sfd", directory],
                           input=json.dumps(request), text=True, capture_output=True)
        said += r.stdout + r.stderr
    own, leaked = rig.server.count("authorization:/own/"), rig.server.count("authorization:/leak/")
    rig.say(f"credentials: sent {own} times to their own host, {leaked} to another; the API answers: {message}")
    good = told + (own == 1) + (leaked == 0) + ("hunter2" not in said) + (rig.server.count("/leak/") == 4)
    rig.all_of("credentials kept from other hosts, the store and messages", good, 5, 5)


def tls(rig):
    certificates()
    sfd = Sfd(rig, "tls", "--image-timeout", "3")
    cases = Cases(rig, sfd)
    servers = {name: tls_server(rig, name) for name in ("good", "other", "expired", "self", "escape")}
    servers["old"] = tls_server(rig, "good", old_tls)

    def at(name, path="/x", host="public.test"):
        return f"https://{host}:{servers[name].server_address[1]}{path}"
    cases.add("TLS good", at("good"), None)
    cases.add("TLS of another host", at("other"), "certificate|match|SSL")
    cases.add("TLS expired", at("expired"), "[Ee]xpired|certificate")
    cases.add("TLS self-signed", at("self"), "certificate")
    cases.add("TLS by address", at("good", host=PUBLIC), "certificate|match|SSL")
    cases.add("TLS under another name", at("good", host="wrong.test"), "certificate|match|SSL")
    cases.add("TLS with a name that clears the screen", at("escape"), r"^[\x20-\x7e]*(certificate|match|SSL)[\x20-\x7e]*$")
    cases.add("TLS of 1999", at("old"), "TLS|SSL|[Gg]nu|handshake|version")
    cases.add("TLS where there is none", f"https://public.test:{rig.server.port}/file/good", "TLS|SSL|packet|timed out")
    cases.add("from https to http", at("good", "/to/" + rig.url("/inner/down", PUBLIC)), "from https to http")
    cases.add("from https to a bad certificate", at("good", "/to/" + at("self")), "certificate")
    cases.add("from http to https", rig.url("/to/" + at("good"), PUBLIC), None)
    cases.add("checksum file with a bad certificate", rig.url("/file/good", PUBLIC), "certificate",
              checksumURL=at("self", "/SHA256SUMS"))
    good, total = cases.judge()
    asked = sum(servers[name].asked for name in ("other", "expired", "self", "escape", "old"))
    rig.row("requests sent to servers whose certificate proves nothing", asked, total, "0", asked == 0)
    rig.all_of("TLS errors told", good, total, 13)
    sfd.stop()
    shutil.rmtree(sfd.state)


def run(rig):
    names = Names()
    names.start()
    with open("/etc/resolv.conf", "w") as f:
        f.write("nameserver 127.0.0.1\n")
    for host in PRIVATE[:4]:  # we are them, too
        subprocess.run(["ip", "addr", "add", f"{host}/32", "dev", "lo"], check=True)
    refused(rig)
    allowed(rig)
    credentials(rig)
    tls(rig)
