# SPDX-License-Identifier: Apache-2.0
"""Requests that are too large, or that two readers could understand differently, each with the one answer that is
right. What follows such a request on its connection is never read as another: one answer, then the end."""

import concurrent.futures
import random

from sfd import API, Reader, call

SECRETS = "/api/v1/namespaces/default/secrets"
BODY_MAX = 3 * 1024 * 1024
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
SECRET = b'{"metadata":{"name":"smuggled"}}'


class Case:
    """`codes`: what may be answered; 0 = nothing but the end of the connection. `ends`: it must close."""

    def __init__(self, name, codes, data, ends=True, doors=("unix", "tcp", "tls"), wrap=True):
        self.name, self.codes, self.data, self.ends = name, codes, data, ends
        self.doors, self.wrap = doors, wrap


def post(headers, body=b"", smuggle=True):
    """A POST with exactly these framing headers, and another request behind it."""
    def build(door):
        return door.head("POST", SECRETS, "Content-Type: application/json\r\n" + headers) + body + \
            (SMUGGLED if smuggle else b"")
    return build


def get(target, headers="", version="HTTP/1.1"):
    return lambda door: door.head("GET", target, headers, version=version)


def raw(text, token=True):
    """Bytes as they are; {auth} is the token's header."""
    def build(door):
        data = text if isinstance(text, bytes) else text.encode("latin-1")
        auth = b"Authorization: Bearer " + door.token.encode() + b"\r\n" if door.token and token else b""
        return data.replace(b"{auth}", auth)
    return build


def chunked(data):
    return post("Transfer-Encoding: chunked\r\n", data)


def framing():
    n = len(SECRET)
    whole = b"%x\r\n%s\r\n0\r\n\r\n" % (n, SECRET)
    lengths = {
        "2^63": ("9223372036854775808", (400, 413)), "2^64": ("18446744073709551616", (400, 413)),
        "2^64+32": ("18446744073709551648", (400, 413)), "a hundred digits": ("9" * 100, (400, 413)),
        "negative": ("-1", (400,)), "signed": ("+32", (400,)), "hexadecimal": ("0x20", (400,)),
        "fraction": ("32.0", (400,)), "list": ("32, 32", (400,)), "empty": ("", (400,)), "text": ("abc", (400,)),
        "two words": ("3 2", (400,)), "1 GiB": ("1073741824", (413,)),
        "limit + 1": (str(BODY_MAX + 1), (413,)), "octal-looking, too large": ("0" * 20 + "3145729", (400, 413)),
    }
    for name, (value, codes) in lengths.items():
        yield Case("Content-Length " + name, codes, post("Content-Length: %s\r\n" % value, SECRET))
    both = "Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % n
    yield Case("Content-Length, then Transfer-Encoding", (400,), post(both, whole))
    yield Case("Transfer-Encoding, then Content-Length", (400,),
               post("Transfer-Encoding: chunked\r\nContent-Length: %d\r\n" % n, whole))
    for name, value in {"same": n, "another": n + 1}.items():
        yield Case("Content-Length twice, " + name, (400,),
                   post("Content-Length: %d\r\nContent-Length: %d\r\n" % (n, value), SECRET))
    codings = ["gzip, chunked", "chunked, identity", "identity", "xchunked", "chunked\x0b", '"chunked"', "chunked;q=1",
               "chunked, chunked", "", "gzip"]
    for value in codings:
        yield Case("Transfer-Encoding %r" % value, (400,), post("Transfer-Encoding: %s\r\n" % value, whole))
    yield Case("Transfer-Encoding twice", (400,),
               post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", whole))
    yield Case("Transfer-Encoding with a space before the colon", (400,),
               post("Transfer-Encoding : chunked\r\nContent-Length: %d\r\n" % n, whole))
    yield Case("Content-Length with a space before the colon", (400,),
               post("Content-Length : %d\r\n" % n, SECRET))
    yield Case("Transfer-Encoding in a folded line", (400,),
               post("Transfer-Encoding:\r\n chunked\r\nContent-Length: %d\r\n" % n, whole))
    yield Case("a folded line", (400,), post("X-A: b\r\n c\r\nContent-Length: %d\r\n" % n, SECRET))
    yield Case("a folded first header", (400,), raw(b"GET /version HTTP/1.1\r\n Host: localhost\r\n{auth}\r\n"))
    yield Case("a bare CR in a value", (400,),
               post("X-A: b\rTransfer-Encoding: chunked\r\nContent-Length: %d\r\n" % n, SECRET))
    yield Case("NUL in a value", (400,), post("X-A: b\0c\r\nContent-Length: %d\r\n" % n, SECRET))
    yield Case("NUL at the end of the target", (400,), get("/version\0"))
    yield Case("NUL behind the version", (400, 505), raw(b"GET /version HTTP/1.1\0x\r\nHost: localhost\r\n\r\n"))
    yield Case("NUL in the method", (400, 405), raw(b"GET\0X /version HTTP/1.1\r\nHost: localhost\r\n{auth}\r\n"))
    yield Case("two blanks before the target", (400,), get(" /version"))
    yield Case("a line that is a colon", (400,), post(":\r\nContent-Length: %d\r\n" % n, SECRET))
    yield Case("a bare LF between headers", (400,), post("X-A: b\nContent-Length: %d\r\n" % n, SECRET))
    yield Case("a bare LF behind the request line", (400,),
               raw(b"GET /version HTTP/1.1\nHost: localhost\r\n{auth}\r\n"))
    yield Case("NUL in the last value", (400,), get("/version", "X-A: b\0c\r\n"))
    yield Case("NUL in a name", (400,), post("X\0A: b\r\nContent-Length: %d\r\n" % n, SECRET))
    yield Case("a header without a colon", (400,), post("X-A\r\nContent-Length: %d\r\n" % n, SECRET))
    yield Case("a header without a name", (400,), post(": b\r\nContent-Length: %d\r\n" % n, SECRET))
    yield Case("a space in a header's name", (400,), post("X A: b\r\nContent-Length: %d\r\n" % n, SECRET))
    yield Case("Host twice", (400,), get("/version", "Host: localhost\r\n"))
    yield Case("no Host", (400,), raw(b"GET /version HTTP/1.1\r\n{auth}\r\n"))
    yield Case("Authorization twice", (400,),
               get("/version", "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"))


def chunks():
    n = len(SECRET)
    bad = {
        "no number": b"zz\r\n" + SECRET, "negative": b"-1\r\n" + SECRET, "0x": b"0x20\r\n" + SECRET,
        "2^64 + 32": b"10000000000000020\r\n" + SECRET, "a hundred digits": b"f" * 100 + b"\r\n" + SECRET,
        "2^63": b"8000000000000000\r\n" + b" " * (20 << 20), "empty size": b"\r\n" + SECRET,
        "no CRLF behind": b"%x\r\n%sXX0\r\n\r\n" % (n, SECRET), "a space in the size": b"2 0\r\n" + SECRET,
        "1 GiB": b"40000000\r\n" + b" " * (20 << 20),
    }
    for name, data in bad.items():
        # A body is read and dropped for a while so that the 413 can be told, then there is but the end.
        codes = (0,) if name in ("2^63", "1 GiB") else (400, 413)
        yield Case("chunk: " + name, codes, chunked(data))
    # 500: libmicrohttpd 0.9.75 has no better word for a line that does not fit.
    yield Case("chunk extension of 1 MiB", (400, 413, 431, 500), chunked(b"1;" + b"x" * (1 << 20) + b"\r\n \r\n"))
    yield Case("trailer of 1 MiB", (400, 413, 431), chunked(b"0\r\nX-T: " + b"x" * (1 << 20) + b"\r\n\r\n"))
    yield Case("100,000 trailers", (400, 413, 431), chunked(b"0\r\n" + b"X-T: a\r\n" * 100000 + b"\r\n"))


def heads():
    junk = "a" * 65536
    yield Case("header line of 64 KiB", (431,), get("/version", "X-A: %s\r\n" % junk))
    yield Case("header name of 64 KiB", (431,), get("/version", "%s: b\r\n" % junk))
    yield Case("10,000 headers", (431,), get("/version", "X-A: b\r\n" * 10000))
    yield Case("1 MiB of headers", (431,), get("/version", "X-A: bbbbbbbbbbbbbbbbbbbbbbbb\r\n" * 32768))
    yield Case("target of 64 KiB", (414,), get("/" + junk))
    yield Case("query of 64 KiB", (414,), get("/version?a=" + junk))
    yield Case("target of 1 MiB", (414,), get("/" + junk * 16))
    yield Case("method of 64 KiB", (400, 405, 414, 431, 501), raw(junk + " /version HTTP/1.1\r\n\r\n"))
    yield Case("NUL in the target", (400,), get("/api/v1\0/namespaces"))
    yield Case("control character in the target", (400,), get("/api/v1/\x01"), ends=False)
    yield Case("a space in the target", (400, 0), get("/api/v1/name spaces"))
    for target in ["http://localhost/api/v1/secrets", "http://evil.example/api/v1/secrets", "api/v1/secrets", "*",
                   "localhost:80", "?a=b", "\\api\\v1"]:
        yield Case("target %s" % target, (400,), get(target), ends=False)
    yield Case("CONNECT", (400, 405), raw("CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n{auth}\r\n"), ends=False)
    yield Case("TRACE", (403, 404, 405), raw("TRACE /version HTTP/1.1\r\nHost: localhost\r\n{auth}\r\n"), ends=False)
    yield Case("HTTP/0.9", (400, 505, 0), raw("GET /version\r\n"))
    yield Case("HTTP/0.9 with a length", (400, 505), raw("POST %s HTTP/0.9\r\nContent-Length: 2\r\n\r\n{}" % SECRETS))
    yield Case("HTTP/1.0", (200,), get("/version", version="HTTP/1.0"))
    yield Case("HTTP/1.2 is 1.1 (RFC 9110, 2.5)", (200,), get("/version", version="HTTP/1.2"), ends=False)
    for version in ["HTTP/2.0", "HTTP/3", "HTTP/11", "HTTP/1.", "HTTP/9999999999", "http/1.1", "XTTP/1.1",
                    "HTTP/1.1x", "HTTP/01.1"]:
        yield Case("version " + version, (400, 505), get("/version", version=version))
    yield Case("HTTP/2 preface", (400, 505), raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"))
    yield Case("Upgrade: h2c", (200,), get("/version", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                                           "HTTP2-Settings: AAMAAABkAAQAAP__\r\n"), ends=False)
    yield Case("only empty lines", (400, 414, 0), raw(b"\r\n" * 100000))
    yield Case("random bytes", (400, 0), raw(random.Random(4).randbytes(65536)))


def foreign():
    """The bytes of one protocol on the port of another; not wrapped in TLS."""
    hello = bytes.fromhex("1603010200010001fc0303") + bytes(505)
    yield Case("TLS on a plain port", (400, 0), lambda d: hello, doors=("unix", "tcp"), wrap=False)
    yield Case("HTTP on the TLS port", (400,), lambda d: b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n",
               doors=("tls",), wrap=False)
    yield Case("SSH on the TLS port", (400, 0), lambda d: b"SSH-2.0-OpenSSH_9.2\r\n", doors=("tls",), wrap=False)
    yield Case("a TLS record of 64 KiB", (0,), lambda d: b"\x16\x03\x01\xff\xff" + b"x" * 65535, doors=("tls",),
               wrap=False)
    yield Case("an SSLv2 hello", (0,), lambda d: b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"x" * 37,
               doors=("tls",), wrap=False)
    yield Case("an alert first", (0,), lambda d: b"\x15\x03\x01\x00\x02\x02\x28", doors=("tls",), wrap=False)


def allowed():
    """What looks strange and is right."""
    n = len(SECRET)
    good = {
        "a chunk extension": b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (n, SECRET.replace(b"smuggled", b"accepted")),
        "a trailer": b"%x\r\n%s\r\n0\r\nX-T: a\r\n\r\n" % (n, SECRET.replace(b"smuggled", b"accepted")),
        "a size with zeros in front": b"000%x\r\n%s\r\n0\r\n\r\n" % (n, SECRET.replace(b"smuggled", b"accepted")),
        "one byte a chunk": b"".join(b"1\r\n%c\r\n" % c for c in SECRET.replace(b"smuggled", b"accepted")) +
                            b"0\r\n\r\n",
    }
    for name, data in good.items():
        yield Case("well-formed: " + name, (201, 409), post("Transfer-Encoding: chunked\r\n", data, smuggle=False),
                   ends=False)
    for name, line in {"no blank": "X-A:b", "three blanks": "X-A:   b", "a tab": "X-A:\tb", "nothing": "X-A:",
                       "a blank behind": "X-A: b ", "UTF-8": "X-A: \xc3\xa4", "a colon": "X-A: :b"}.items():
        yield Case("well-formed: a value with " + name, (200,), get("/version", line + "\r\n"), ends=False)
    yield Case("well-formed: Chunked in capitals", (201, 409),
               post("TRANSFER-ENCODING: CHUNKED\r\n", good["a trailer"], smuggle=False), ends=False)
    yield Case("well-formed: empty lines first", (200,), raw(b"\r\n\r\nGET /version HTTP/1.1\r\nHost: localhost\r\n"
                                                             b"{auth}\r\n"), ends=False)


def cases():
    return [*framing(), *chunks(), *heads(), *foreign(), *allowed()]


def ask(door, case):
    """None if it was answered as it must be; else what was wrong."""
    s = door.connect() if case.wrap else door.plain()
    with s:
        s.settimeout(20)
        reader = Reader(s)
        try:
            s.sendall(case.data(door))
        except OSError:
            pass  # it need not read to the end; what it answered still counts
        try:
            answer = reader.answer()
            code = answer.code if answer else 0
            if code not in case.codes:
                return "answered %s, must be %s" % (code or "by the end", " or ".join(map(str, case.codes)))
            if not case.ends:
                return None
            after = reader.answer()
            if after:
                return "answered %d, and then went on: %d" % (code, after.code)
        except TimeoutError:
            return "neither answered nor ended"
        except ValueError as e:
            return "no HTTP: %s" % e
    return None


def run(sfd, say):
    """(passed, of). Side by side: some of them are cut by a deadline only."""
    asked = [(door, case) for case in cases() for door in sfd.doors if door.name in case.doors]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        wrong = list(pool.map(lambda a: ask(*a), asked))
    for (door, case), what in zip(asked, wrong):
        if what:
            say("%s: %s: %s" % (door.name, case.name, what))
    passed = wrong.count(None)
    if call(sfd.unix, "GET", SECRETS + "/smuggled").code != 404:
        say("a refused body was stored")
        passed -= 1
    return passed, len(asked)


def body_limits(door, say):
    """Bodies that are really sent: a limit and one more, by both framings, and without end. (passed, of)"""
    passed = of = 0

    def one(name, wanted, pieces):
        nonlocal passed, of
        of += 1
        with door.connect() as s:
            s.settimeout(30)
            try:
                for piece in pieces:
                    s.sendall(piece)
            except OSError:
                pass
            try:
                answer = Reader(s).answer()
                code = answer.code if answer else 0
            except TimeoutError:
                code = "no answer"
        if code in wanted:
            passed += 1
        else:
            say("%s: %s: %s" % (door.name, name, code))

    def of_length(n, text):
        yield door.head("POST", SECRETS, "Content-Type: application/json\r\n", n)
        yield text

    def endless(blocks):
        yield door.head("POST", SECRETS, "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n")
        for _ in range(blocks):
            yield b"10000\r\n" + b" " * 65536 + b"\r\n"
        yield b"0\r\n\r\n"

    exact = b" " * (BODY_MAX - len(SECRET)) + SECRET.replace(b"smuggled", b"atlimit-")[:len(SECRET)]
    one("a body of the limit", (201, 409, 422), of_length(BODY_MAX, exact))
    one("a body of one more", (413,), of_length(BODY_MAX + 1, exact + b" "))
    one("chunks of the limit", (400,), endless(48))
    one("chunks of 64 KiB more", (413,), endless(49))
    one("chunks of 8 MiB", (413,), endless(128))
    one("chunks of 1 GiB", (413, 0), endless(16384))
    return passed, of


def pipeline(door, n, say):
    """n requests at once on one connection: as many answers, in order. (passed, of)"""
    names = ["/livez", "/version", API + "/namespaces/default/instances", "/api/v1/namespaces/default"]
    want = [call(door, "GET", t).code for t in names]
    passed = 0
    with door.connect() as s:
        reader = Reader(s)
        block = 100
        for first in range(0, n, block):
            s.sendall(b"".join(door.head("GET", names[i % 4]) for i in range(first, first + block)))
            for i in range(first, first + block):
                answer = reader.answer()
                passed += answer is not None and answer.code == want[i % 4]
    if passed != n:
        say("%s: %d of %d pipelined requests answered" % (door.name, passed, n))
    return passed, n


def endless(sfd, tell):
    """All of them, time and again; tells how many rounds there were."""
    tell("ready")
    done = 0
    while True:
        run(sfd, lambda text: None)
        for door in sfd.doors:
            body_limits(door, lambda text: None)
        done += 1
        tell(done)
