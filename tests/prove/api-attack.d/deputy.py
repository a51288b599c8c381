# SPDX-License-Identifier: Apache-2.0
"""The confused deputy: a tenant who may do everything in her own namespace, and gets at another's through sfd: by
references, by what a body says against its URL, by owners and finalizers, by headers. What is there and what is not
must look the same to her."""

import json
import re

from sfd import API, call, wait_for

MINE, THEIRS = API + "/namespaces/mine/", API + "/namespaces/theirs/"
CORE = "/api/v1/namespaces/"
INSTANCE = {"memory": "128Mi", "runStrategy": "Halted", "disks": [{"name": "root", "size": "1Gi"}]}


def make_world(sfd):
    for namespace in ("mine", "theirs"):
        call(sfd.unix, "POST", "/api/v1/namespaces", json.dumps({"metadata": {"name": namespace}}), expect=201)
    call(sfd.unix, "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/mine/rolebindings", json.dumps({
        "metadata": {"name": "mine"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mine"}]}), expect=201)
    for kind, spec in (("images", {"source": {"url": "http://192.0.2.1/x.qcow2"}}), ("networks", {"cidrs": ["10.9.0.0/24"]}),
                       ("instances", INSTANCE)):
        call(sfd.unix, "POST", THEIRS + kind, json.dumps({"metadata": {"name": "there"}, "spec": spec}), expect=201)
    for kind in ("secrets", "configmaps"):
        call(sfd.unix, "POST", CORE + "theirs/" + kind, json.dumps({"metadata": {"name": "there"}}), expect=201)


def refused(tenant):
    """(name, answer, codes): what is answered at once."""
    def ask(method, path, body=None, headers="", kind="application/json"):
        return call(tenant, method, path, None if body is None else json.dumps(body), headers, kind)

    def meta(**more):
        return {"metadata": {"name": "x", **more}, "spec": INSTANCE}

    yield "a body of another namespace", ask("POST", MINE + "instances", meta(namespace="theirs")), (400,)
    yield "a PUT of another namespace", ask("PUT", MINE + "instances/x", meta(namespace="theirs")), (400, 404)
    yield "a PUT of another name", ask("PUT", MINE + "instances/y", meta()), (400, 404)
    yield "an apply of another namespace", ask("PATCH", MINE + "instances/x?fieldManager=x", {
        "apiVersion": "shakenfist.io/v1alpha1", "kind": "Instance", **meta(namespace="theirs")},
        kind="application/apply-patch+yaml"), (400,)
    yield "a merge patch to another namespace", ask("PATCH", CORE + "mine/configmaps/own", {
        "metadata": {"namespace": "theirs"}}, kind="application/merge-patch+json"), (400, 422)
    yield "a JSON patch to another namespace", ask("PATCH", CORE + "mine/configmaps/own", [
        {"op": "replace", "path": "/metadata/namespace", "value": "theirs"}], kind="application/json-patch+json"), (400, 422)
    for name in ("theirs/there", "../theirs/there", "..", "there/../../theirs"):
        spec = {**INSTANCE, "cloudInit": {"userDataSecretRef": {"name": name}}}
        yield "user-data of %s" % name, ask("POST", MINE + "instances", {"metadata": {"name": "x"}, "spec": spec}), (400, 422)
    for name in ("../theirs/there", "a/b/c", "/there", "theirs/", "theirs//there", "file:///etc/passwd", "/dev/vda"):
        spec = {**INSTANCE, "disks": [{"name": "root", "image": name, "size": "1Gi"}]}
        yield "image %s" % name, ask("POST", MINE + "instances", {"metadata": {"name": "x"}, "spec": spec}), (400, 422)
        spec = {**INSTANCE, "interfaces": [{"name": "eth0", "network": name}]}
        yield "network %s" % name, ask("POST", MINE + "instances", {"metadata": {"name": "x"}, "spec": spec}), (400, 422)
    yield "a status of her own", ask("PATCH", MINE + "instances/own/status", {"status": {"printableStatus": "Running"}},
                                     kind="application/merge-patch+json"), (403,)
    yield "an event about theirs", ask("POST", CORE + "mine/events", {
        "metadata": {"name": "e"}, "reason": "X", "message": "x",
        "involvedObject": {"kind": "Instance", "namespace": "theirs", "name": "there"}}), (400, 422)
    for binding in ("clusterrolebindings", "namespaces/mine/rolebindings", "namespaces/theirs/rolebindings"):
        yield "%s to cluster-admin" % binding, ask("POST", "/apis/rbac.authorization.k8s.io/v1/" + binding, {
            "metadata": {"name": "x"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mine"}]}), (403,)
    yield "a role with more than she has", ask("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/mine/roles", {
        "metadata": {"name": "x"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}), (403,)
    yield "a credential of root", ask("POST", API + "/credentials", {
        "metadata": {"name": "x"}, "spec": {"user": "root", "groups": ["system:masters"]}}), (403,)
    for header in ("Impersonate-User: root", "Impersonate-Group: system:masters", "Impersonate-Uid: 0",
                   "Impersonate-Extra-x: y"):
        yield header, ask("GET", CORE + "theirs/secrets", headers=header + "\r\n"), (403,)
    for header in ("X-Remote-User: root", "X-Remote-Group: system:masters", "X-Forwarded-User: root", "X-Original-URL: /version",
                   "X-Rewrite-URL: /version", "X-HTTP-Method-Override: GET", "Forwarded: for=127.0.0.1"):
        yield header, ask("GET", CORE + "theirs/secrets", headers=header + "\r\n"), (403,)
    for path in ("nodes", "credentials", "instances/there/log", "instances/there/console"):
        where = MINE if "/" not in path else THEIRS
        yield "namespaced %s" % path, ask("GET", where + path), (403, 404)
    yield "a token in the query", call(type(tenant)("tls", tenant.address, tenant.context), "GET",
                                       CORE + "mine/configmaps?access_token=%s&token=%s" % (tenant.token, tenant.token)), (401,)


def existence(tenant):
    """Pairs of answers about what is there and what is not, which must not differ but in the name."""
    for kind, base in (("images", THEIRS), ("networks", THEIRS), ("instances", THEIRS), ("secrets", CORE + "theirs/"),
                       ("configmaps", CORE + "theirs/")):
        for method, body in (("GET", None), ("PUT", "{}"), ("PATCH", "{}"), ("DELETE", None)):
            yield "%s %s" % (method, kind), [call(tenant, method, base + kind + "/" + name, body,
                                                  kind="application/merge-patch+json" if method == "PATCH" else
                                                  "application/json") for name in ("there", "nowhere")]
    yield "GET namespaces", [call(tenant, "GET", CORE + name) for name in ("theirs", "nothing")]
    yield "a create", [call(tenant, "POST", THEIRS + "instances", json.dumps({"metadata": {"name": n}, "spec": INSTANCE}))
                       for n in ("there", "nowhere")]


def plain(text, name):
    return re.sub(r"\b%s\b" % name, "NAME", text)


def references(sfd, tenant):
    """What sfd says of Instances that name an image or network of another: (name, there, nowhere)."""
    for what in ("image", "network"):
        said = []
        for name in ("there", "nowhere"):
            spec = json.loads(json.dumps(INSTANCE))
            spec["runStrategy"] = "Always"
            if what == "image":
                spec["disks"][0]["image"] = "theirs/" + name
            else:
                spec["interfaces"] = [{"name": "eth0", "network": "theirs/" + name}]
            instance = MINE + "instances/%s-%s" % (what, name)
            call(tenant, "POST", MINE + "instances", json.dumps({"metadata": {"name": "%s-%s" % (what, name)}, "spec": spec}),
                 expect=201)

            def told():
                status = call(tenant, "GET", instance, expect=200).json.get("status", {})
                ready = [c for c in status.get("conditions", []) if c["type"] == "Ready"]
                return ready and "theirs" in ready[0]["message"] and (status["printableStatus"], ready[0]["status"],
                                                                      ready[0]["reason"], ready[0]["message"])
            said.append(plain(" ".join(wait_for("a word about " + instance, told)), name))
        yield "%s of another namespace" % what, *said


def run(sfd, say):
    """(passed, of)"""
    make_world(sfd)
    tenant = type(sfd.tls)("tls", sfd.tls.address, sfd.tls.context, sfd.token("mine"))
    call(tenant, "POST", CORE + "mine/configmaps", json.dumps({"metadata": {"name": "own"}}), expect=201)
    call(tenant, "POST", MINE + "instances", json.dumps({"metadata": {"name": "own"}, "spec": INSTANCE}), expect=201)
    passed = of = 0
    for name, answer, codes in refused(tenant):
        of += 1
        passed += answer.code in codes
        if answer.code not in codes:
            say("%s: %d, must be %s: %s" % (name, answer.code, codes, answer.body[:300]))
    told = [(name, *("%d %s" % (a.code, plain(a.body.decode(), n)) for a, n in zip(answers, ("there", "nowhere"))))
            for name, answers in existence(tenant) if name != "GET namespaces"]
    for name, there, nowhere in [*told, *references(sfd, tenant)]:
        of += 1
        passed += there == nowhere
        if there != nowhere:
            say("%s: there: %s\n    not there: %s" % (name, there, nowhere))
    return passed, of
