# SPDX-License-Identifier: Apache-2.0
"""Well-formed requests whose content is the attack: what is deep, wide, explosive, forged. Each has the answers that
are right, and must not cost more processor time than two seconds, on any machine that runs this."""

import base64
import json
import urllib.parse

from sfd import API, Answer, Broken, Reader, call

CM = "/api/v1/namespaces/default/configmaps"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE, PATCH = "application/merge-patch+json", "application/json-patch+json"
APPLY, YAML = "application/apply-patch+yaml", "application/yaml"
CPU_MAX = 2.0


def cm(**fields):
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "content"}, **fields})


def crd(name, schema):
    return json.dumps({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": name + "s.attack.example"},
        "spec": {"group": "attack.example", "scope": "Namespaced",
                 "names": {"plural": name + "s", "singular": name, "kind": name.capitalize()},
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                     "type": "object", "properties": {"spec": schema}}}}]}})


def patches():
    target = CM + "/content"
    op = {"op": "add", "path": "/data/a", "value": "b"}
    yield "JSON patch of 10,001 operations", (413, 422), "PATCH", target, json.dumps([op] * 10001), PATCH
    yield "JSON patch of 10,000 operations", (200,), "PATCH", target, json.dumps([op] * 10000), PATCH
    bomb = [{"op": "add", "path": "/metadata/annotations", "value": {"a": "x" * 1000}}]
    bomb += [{"op": "copy", "from": "/metadata/annotations", "path": "/metadata/annotations/c%d" % i} for i in range(60)]
    yield "JSON patch that doubles 60 times", (400, 413, 422), "PATCH", target, json.dumps(bomb), PATCH
    yield "JSON patch, path of 100,000 parts", (400, 422), "PATCH", target, \
        json.dumps([{"op": "add", "path": "/a" * 100000, "value": 1}]), PATCH
    yield "JSON patch, index -1", (400, 422), "PATCH", target, \
        json.dumps([{"op": "add", "path": "/metadata/finalizers/-1", "value": "x"}]), PATCH
    yield "JSON patch, index 2^64", (400, 422), "PATCH", target, \
        json.dumps([{"op": "replace", "path": "/metadata/finalizers/18446744073709551616", "value": "x"}]), PATCH
    yield "JSON patch of the uid", (200, 409, 422), "PATCH", target, \
        json.dumps([{"op": "replace", "path": "/metadata/uid", "value": "x"}]), PATCH
    yield "merge patch, 5,000 deep", (400, 422), "PATCH", target, '{"data":' * 5000 + "1" + "}" * 5000, MERGE
    yield "apply, 5,000 deep", (400, 422), "PATCH", target + "?fieldManager=x", "{data: " * 5000 + "1" + "}" * 5000, APPLY
    yield "apply by a manager of 100,000 letters", (400, 414, 422, 431), "PATCH", \
        target + "?fieldManager=" + "x" * 100000, cm(data={"a": "b"}), APPLY


def bodies():
    deep = 100000
    yield "arrays, 100,000 deep", (400, 422), "POST", CM, "[" * deep + "]" * deep, "application/json"
    yield "arrays, 100,000 deep and not closed", (400,), "POST", CM, "[" * deep, "application/json"
    yield "objects, 100,000 deep", (400, 422), "POST", CM, '{"a":' * deep + "1" + "}" * deep, "application/json"
    yield "YAML flow, 100,000 deep", (400, 422), "POST", CM, "[" * deep, YAML
    yield "YAML blocks, 1,000 deep", (400, 422), "POST", CM, \
        "".join(" " * i + "a:\n" for i in range(1000)), YAML
    laughs = "a0: &a0 [x]\n" + "".join("a%d: &a%d [%s]\n" % (i, i, ", ".join(["*a%d" % (i - 1)] * 9)) for i in range(1, 10))
    yield "YAML that laughs a billion times", (400,), "POST", CM, laughs, YAML
    yield "100,000 keys", (201, 400, 409, 413, 422), "POST", CM, cm(data={"k%06d" % i: "" for i in range(100000)}), \
        "application/json"
    yield "100,000 unknown fields", (400,), "POST", CM + "?fieldValidation=Strict", \
        cm(**{"f%06d" % i: 1 for i in range(100000)}), "application/json"
    yield "one key 50,000 times", (400,), "POST", CM + "?fieldValidation=Strict", \
        '{"metadata":{"name":"content"},"data":{' + ",".join(['"a":"b"'] * 50000) + "}}", "application/json"
    # Keys that fall into one bucket of a table by a multiplicative hash without a seed.
    same = ["".join("Aa" if i >> b & 1 else "BB" for b in range(15)) for i in range(1 << 15)]
    yield "32,768 keys of one hash (times 31)", (201, 409, 413, 422), "POST", CM, cm(data={k: "" for k in same}), \
        "application/json"
    for what in ("finalizers", "ownerReferences", "labels", "annotations"):
        value = {"finalizers": ["example.com/f%d" % i for i in range(20000)],
                 "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "o%d" % i, "uid": "u%d" % i}
                                     for i in range(20000)],
                 "labels": {"l%d" % i: "v" for i in range(50000)},
                 "annotations": {"a%d" % i: "v" * 10 for i in range(50000)}}[what]
        codes = (400, 413, 422) if what == "annotations" else (201, 400, 409, 413, 422)
        yield "20,000 and more " + what, codes, "POST", CM, \
            json.dumps({"metadata": {"name": "many-" + what.lower(), what: value}}), "application/json"
    for name, text in {"1e400": "1e400", "1e999999999": "1e999999999", "a number of 100,000 digits": "9" * 100000,
                       "NaN": "NaN", "Infinity": "Infinity", "hexadecimal": "0x10", "01": "01"}.items():
        yield "number " + name, (400, 422), "POST", API + "/namespaces/default/instances", \
            '{"metadata":{"name":"content"},"spec":{"memory":"1Gi","cpus":%s,"disks":[]}}' % text, "application/json"
    for name, text in {"NUL": '"\\u0000"', "half a surrogate": '"\\ud800"', "a raw control character": '"\x01"',
                       "a broken escape": '"\\x"', "an end too early": '"abc'}.items():
        yield "text with " + name, (400, 422), "POST", CM, '{"metadata":{"name":"content"},"data":{"a":%s}}' % text, \
            "application/json"
    yield "bytes that are no UTF-8", (400,), "POST", CM, b'{"metadata":{"name":"content"},"data":{"a":"\xff\xfe"}}', \
        "application/json"
    yield "two documents", (400,), "POST", CM, cm() + cm(), "application/json"
    yield "an overlong slash in a name", (400,), "POST", CM, b'{"metadata":{"name":"\xc0\xaf"}}', "application/json"
    yield "compressed", (400, 415), "POST", CM, base64.b64decode("H4sIAAAAAAAAA6tWAgBdrsJBBAAAAA=="), \
        "application/json\r\nContent-Encoding: gzip"
    for kind in ("text/html", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json/x",
                 "x" * 4000):
        yield "as " + kind[:40], (415,), "POST", CM, cm(), kind


def queries():
    def list_of(**more):
        return CM + "?" + urllib.parse.urlencode(more)

    yield "selector of 2,000 parts", (200, 400, 414), "GET", list_of(labelSelector=",".join(["a"] * 2000)), None, ""
    yield "selector of 3,000 values", (200, 400, 414), "GET", \
        list_of(labelSelector="a in (%s)" % ",".join(["b"] * 2000)), None, ""
    yield "selector of 64 KiB", (414,), "GET", list_of(labelSelector="a" * 65536), None, ""
    for text in ("a in (", "a in ()b", "=", "a==b==c", "!", "a notin", "a>x", "a\0b", "%zz", "a in ((b))", "/a=b", "-a=b"):
        yield "selector %r" % text, (400,), "GET", list_of(labelSelector=text), None, ""
    for text in ("spec.secret=x", "metadata.uid!=", "a", "metadata.name", "metadata.name in (a)"):
        yield "field selector %r" % text, (400,), "GET", list_of(fieldSelector=text), None, ""
    for name, value in (("limit", "-1"), ("limit", "x"), ("limit", "99999999999999999999"), ("resourceVersion", "x"),
                        ("resourceVersion", "-1"), ("resourceVersion", "99999999999999999999"),
                        ("resourceVersionMatch", "x"), ("timeoutSeconds", "x")):
        codes = (200, 400) if name == "limit" and value == "-1" else (400, 422)
        yield "%s=%s" % (name, value), codes, "GET", list_of(**{name: value, "watch": "1"} if name == "timeoutSeconds"
                                                           else {name: value}), None, ""
    for token in ("x", "", "....", "eyJ9", "A" * 4000, base64.b64encode(b'{"v":"meta.k8s.io/v1","rv":1,"start":"../x"}').decode(),
                  base64.b64encode(b'{"v":"meta.k8s.io/v1","rv":-1,"start":"x"}').decode(),
                  base64.b64encode(b'{"rv":99999999999,"start":"x\\u0000"}').decode(),
                  base64.b64encode(b"{" * 3000).decode()):
        yield "continue=%.30s" % token, (200,) if not token else (400, 410), "GET", \
            list_of(limit=1, **{"continue": token}), None, ""
    # libmicrohttpd keeps each in the connection's memory, and hangs up when that is full.
    yield "200 parameters", (200, 400, 414, 431, 0), "GET", CM + "?" + "&".join("a%d=b" % i for i in range(200)), None, ""


def definitions():
    """Patterns that take other engines for ever, and definitions without measure; then objects of them."""
    for i, (pattern, text) in enumerate({
            "^(a+)+$": "a" * 200 + "!", "^(a|aa)+$": "a" * 200 + "!", "^(a|a?)+$": "a" * 200 + "!",
            "^(.*a){20}$": "a" * 200 + "!", "^([a-z]+)*[0-9]$": "a" * 200, "(x+x+)+y": "x" * 300,
            "^(([a-z])+.)+[A-Z]([a-z])+$": "a" * 200, "^(a?){50}a{50}$": "a" * 50 + "b"}.items()):
        name = "bomb%d" % i
        yield "definition with %s" % pattern, (201, 409, 422), "POST", CRDS, \
            crd(name, {"type": "string", "pattern": pattern}), "application/json"
        yield "object against %s" % pattern, (404, 422), "POST", "/apis/attack.example/v1/namespaces/default/%ss" % name, \
            json.dumps({"apiVersion": "attack.example/v1", "kind": name.capitalize(), "metadata": {"name": "x"}, "spec": text}), \
            "application/json"
    for pattern in ("(a{1000}){1000}", "a{2147483648}", "(" * 10000, "[" * 1000, "(?=a)", "\\1", "a**", "(a{1000}){1000}" * 100):
        yield "definition with %.30s" % pattern, (422, 400), "POST", CRDS, \
            crd("worse", {"type": "string", "pattern": pattern}), "application/json"
    deep = {"type": "string"}
    for _ in range(400):
        deep = {"type": "object", "properties": {"a": deep}}
    yield "definition 400 deep", (400, 422), "POST", CRDS, crd("deep", deep), "application/json"
    wide = {"type": "object", "properties": {"p%d" % i: {"type": "string"} for i in range(30000)}}
    yield "definition of 30,000 fields", (201, 400, 409, 413, 422), "POST", CRDS, crd("wide", wide), "application/json"


def cases():
    return [*patches(), *bodies(), *queries(), *definitions()]


def run(sfd, say):
    """(passed, of)"""
    passed = of = 0
    call(sfd.unix, "POST", CM, cm(data={"a": "b"}), expect=201)
    for name, codes, method, target, body, kind in cases():
        of += 1
        before = sfd.cpu()
        try:
            answer = call(sfd.unix, method, target, body, kind=kind)
        except Broken:
            answer = Answer(0, b"", b"")
        took = sfd.cpu() - before
        if answer.code in codes and took <= CPU_MAX:
            passed += 1
        else:
            say("%s: answered %d after %.2f s, must be %s within %.0f s: %s" % (
                name, answer.code, took, " or ".join(map(str, codes)), CPU_MAX, answer.body[:200]))
    return passed, of


def continue_tokens(sfd, say):
    """Pages of another namespace, kind or user's list: they give nothing that the list itself would not.
    (passed, of)"""
    passed = of = 0
    for namespace in ("mine", "theirs"):
        call(sfd.unix, "POST", "/api/v1/namespaces", '{"metadata":{"name":"%s"}}' % namespace, expect=201)
        for i in range(5):
            for kind in ("configmaps", "secrets"):
                call(sfd.unix, "POST", "/api/v1/namespaces/%s/%s" % (namespace, kind),
                     '{"metadata":{"name":"%s-%d"}}' % (namespace, i), expect=201)
    call(sfd.unix, "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/mine/rolebindings",
         '{"metadata":{"name":"mine"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},'
         '"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"mine"}]}', expect=201)
    tenant = type(sfd.tls)("tls", sfd.tls.address, sfd.tls.context, sfd.token("mine"))
    lists = ["/api/v1/namespaces/%s/%s" % (n, k) for n in ("mine", "theirs") for k in ("configmaps", "secrets")]
    lists += ["/api/v1/configmaps", "/api/v1/secrets", "/api/v1/namespaces"]
    for source in lists:
        for limit in (1, 2, 4):
            token = call(sfd.unix, "GET", "%s?limit=%d" % (source, limit), expect=200).json["metadata"].get("continue")
            for target in lists:
                of += 1
                answer = call(tenant, "GET", "%s?limit=100&continue=%s" % (target, urllib.parse.quote(token or "x")))
                foreign = b"theirs-" in answer.body
                allowed = target == lists[0]
                right = answer.code in ((200, 400, 410) if allowed else (403,))
                if right and not foreign:
                    passed += 1
                else:
                    say("continue of %s for %s: %d %s" % (source, target, answer.code, answer.body[:200]))
    return passed, of


def watch_storm(door, n, say):
    """n watches, one after the other, each from the first revision that there is, and left at once. (passed, of)"""
    passed = 0
    for _ in range(n):
        with door.connect() as s:
            s.sendall(door.head("GET", "/api/v1/configmaps?watch=true&resourceVersion=1"))
            head = Reader(s).until(b"\r\n\r\n")
            passed += head is not None and head.split(b" ", 2)[1] in (b"200", b"410")
    if passed != n:
        say("%d of %d watches answered" % (passed, n))
    return passed, n
