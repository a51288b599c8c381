#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Debian's python3-kubernetes, as scripts and operators in Python use it: custom objects, core and RBAC calls, watches, the
# dynamic client.
# Sfd: --controllers namespace,definition,owner,quota
"""Prints a TAP line per test."""
import json
import sys
import threading
import time
import unittest

import yaml
from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException

config.load_kube_config()
custom = client.CustomObjectsApi()
core = client.CoreV1Api()
VMS = ("shakenfist.io", "v1alpha1", "default", "instances")


def vm(name, **metadata):
    return {
        "apiVersion": "shakenfist.io/v1alpha1",
        "kind": "Instance",
        "metadata": {"name": name, **metadata},
        "spec": {"runStrategy": "Halted", "disks": [{"name": "root", "size": "1Gi"}]},
    }


def create(name, **metadata):
    return custom.create_namespaced_custom_object(*VMS, vm(name, **metadata))


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not within the deadline"
        time.sleep(0.02)


class Conformance(unittest.TestCase):
    def status_of(self, call, *args, **kwargs):
        with self.assertRaises(ApiException) as caught:
            call(*args, **kwargs)
        return json.loads(caught.exception.body)

    def test_01_create_get_list(self):
        made = create("one", labels={"app": "web"})
        self.assertEqual(made["metadata"]["generation"], 1)
        got = custom.get_namespaced_custom_object(*VMS, "one")
        self.assertEqual(got, made)
        listed = custom.list_namespaced_custom_object(*VMS, label_selector="app=web")
        self.assertEqual([o["metadata"]["name"] for o in listed["items"]], ["one"])
        everywhere = custom.list_cluster_custom_object(VMS[0], VMS[1], VMS[3])
        self.assertEqual(len(everywhere["items"]), 1)

    def test_02_refusals_are_statuses(self):
        status = self.status_of(create, "one")
        self.assertEqual((status["code"], status["reason"]), (409, "AlreadyExists"))
        status = self.status_of(custom.get_namespaced_custom_object, *VMS, "none")
        self.assertEqual((status["code"], status["reason"]), (404, "NotFound"))
        bad = vm("bad")
        bad["spec"]["cpus"] = 0
        status = self.status_of(custom.create_namespaced_custom_object, *VMS, bad)
        self.assertEqual((status["code"], status["reason"]), (422, "Invalid"))
        self.assertEqual(status["details"]["causes"][0]["field"], "spec.cpus")

    def test_03_patch(self):
        got = custom.patch_namespaced_custom_object(*VMS, "one", {"spec": {"cpus": 2}})
        self.assertEqual(got["spec"]["cpus"], 2)

    def test_04_replace_and_conflict(self):
        got = custom.get_namespaced_custom_object(*VMS, "one")
        got["spec"]["cpus"] = 4
        custom.replace_namespaced_custom_object(*VMS, "one", got)
        status = self.status_of(custom.replace_namespaced_custom_object, *VMS, "one", got)
        self.assertEqual((status["code"], status["reason"]), (409, "Conflict"))

    def test_05_status(self):
        got = custom.patch_namespaced_custom_object_status(
            *VMS, "one", {"status": {"printableStatus": "Tested"}, "spec": {"cpus": 60}}
        )
        self.assertEqual((got["status"]["printableStatus"], got["spec"]["cpus"]), ("Tested", 4))

    def test_06_dry_run(self):
        custom.create_namespaced_custom_object(*VMS, vm("dry"), dry_run="All")
        self.assertEqual(self.status_of(custom.get_namespaced_custom_object, *VMS, "dry")["code"], 404)

    def test_07_watch(self):
        version = custom.list_namespaced_custom_object(*VMS)["metadata"]["resourceVersion"]

        def act():
            create("seen")
            custom.delete_namespaced_custom_object(*VMS, "seen")
            custom.patch_namespaced_custom_object(*VMS, "seen", {"metadata": {"finalizers": None}})

        threading.Timer(0.1, act).start()
        seen = []
        stream = watch.Watch()
        for event in stream.stream(
            custom.list_namespaced_custom_object, *VMS, resource_version=version, timeout_seconds=20
        ):
            seen.append((event["type"], event["object"]["metadata"]["name"]))
            if event["type"] == "DELETED":
                stream.stop()
        self.assertEqual(seen, [("ADDED", "seen"), ("MODIFIED", "seen"), ("DELETED", "seen")])

    def test_08_watch_of_typed_objects(self):
        threading.Timer(0.1, lambda: core.create_namespace({"metadata": {"name": "watched"}})).start()
        stream = watch.Watch()
        for event in stream.stream(core.list_namespace, timeout_seconds=20):
            if event["object"].metadata.name == "watched":
                self.assertEqual((event["type"], event["object"].status.phase), ("ADDED", "Active"))
                stream.stop()
        self.assertIn("watched", [n.metadata.name for n in core.list_namespace().items])

    def test_09_core(self):
        core.create_namespaced_config_map("watched", {"metadata": {"name": "c"}, "data": {"a": "1"}})
        got = core.patch_namespaced_config_map("c", "watched", {"data": {"b": "2"}})
        self.assertEqual(got.data, {"a": "1", "b": "2"})
        core.create_namespaced_secret("watched", client.V1Secret(metadata=client.V1ObjectMeta(name="s"), string_data={"a": "b"}))
        self.assertEqual(core.read_namespaced_secret("s", "watched").data, {"a": "Yg=="})
        self.assertEqual(core.read_namespace("watched").metadata.labels["kubernetes.io/metadata.name"], "watched")

    def test_10_delete(self):
        gone = core.delete_namespaced_config_map("c", "watched")
        self.assertEqual(gone.status, "Success")
        core.delete_namespace("watched")
        until(lambda: "watched" not in [n.metadata.name for n in core.list_namespace().items])

    def test_11_dynamic_client(self):
        api = dynamic.DynamicClient(client.ApiClient())
        instances = api.resources.get(api_version="shakenfist.io/v1alpha1", kind="Instance")
        made = instances.create(body=vm("dyn"), namespace="default")
        self.assertEqual(made.spec.cpus, 1)
        got = instances.patch(
            body={"metadata": {"labels": {"a": "b"}}}, name="dyn", namespace="default",
            content_type="application/merge-patch+json",
        )
        self.assertEqual(got.metadata.labels.a, "b")
        self.assertIn("dyn", [o.metadata.name for o in instances.get(namespace="default").items])
        instances.delete(name="dyn", namespace="default")
        self.assertTrue(instances.get(name="dyn", namespace="default").metadata.deletionTimestamp)

    def test_12_server_side_apply(self):
        api = dynamic.DynamicClient(client.ApiClient())
        instances = api.resources.get(api_version="shakenfist.io/v1alpha1", kind="Instance")
        got = instances.patch(
            body=yaml.safe_dump(vm("applied")), name="applied", namespace="default", field_manager="py",
            content_type="application/apply-patch+yaml",
        )
        self.assertEqual([(m.manager, m.operation) for m in got.metadata.managedFields], [("py", "Apply")])

    def test_13_rbac(self):
        api = client.RbacAuthorizationV1Api()
        rules = [client.V1PolicyRule(api_groups=["shakenfist.io"], resources=["*"], verbs=["get"])]
        api.create_cluster_role(client.V1ClusterRole(metadata=client.V1ObjectMeta(name="py"), rules=rules))
        self.assertEqual(api.read_cluster_role("py").rules[0].verbs, ["get"])
        self.assertIn("view", [r.metadata.name for r in api.list_cluster_role().items])

    def test_14_reviews(self):
        api = client.AuthorizationV1Api()
        spec = client.V1SelfSubjectAccessReviewSpec(
            resource_attributes=client.V1ResourceAttributes(group="shakenfist.io", resource="instances", verb="get")
        )
        review = api.create_self_subject_access_review(client.V1SelfSubjectAccessReview(spec=spec))
        self.assertTrue(review.status.allowed)

    def test_15_leases(self):
        api = client.CoordinationV1Api()
        lease = {"metadata": {"name": "py"}, "spec": {"holderIdentity": "me", "leaseDurationSeconds": 5}}
        api.create_namespaced_lease("default", lease)
        self.assertEqual(api.read_namespaced_lease("py", "default").spec.holder_identity, "me")

    def test_16_definitions(self):
        api = client.ApiextensionsV1Api()
        api.create_custom_resource_definition({
            "metadata": {"name": "things.py.example"},
            "spec": {
                "group": "py.example", "scope": "Cluster", "names": {"plural": "things", "kind": "Thing"},
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}],
            },
        })
        until(lambda: any(
            c.type == "Established" and c.status == "True"
            for c in api.read_custom_resource_definition("things.py.example").status.conditions or []
        ))
        custom.create_cluster_custom_object("py.example", "v1", "things", {
            "apiVersion": "py.example/v1", "kind": "Thing", "metadata": {"name": "t"}, "any": {"thing": [1]}})
        self.assertEqual(custom.get_cluster_custom_object("py.example", "v1", "things", "t")["any"], {"thing": [1]})
        api.delete_custom_resource_definition("things.py.example")

    def test_17_version_and_discovery(self):
        self.assertEqual(client.VersionApi().get_code().major, "1")
        self.assertIn("shakenfist.io", [g.name for g in client.ApisApi().get_api_versions().groups])
        self.assertIn("configmaps", [r.name for r in core.get_api_resources().resources])

    def test_18_events(self):
        core.create_namespaced_event("default", {
            "metadata": {"name": "py"}, "type": "Normal", "reason": "Tested", "message": "by python",
            "involvedObject": {"kind": "Instance", "name": "one", "namespace": "default"}})
        got = core.list_namespaced_event("default", field_selector="involvedObject.name=one")
        self.assertEqual([e.message for e in got.items], ["by python"])


class Tap(unittest.TestResult):
    number = 0

    def line(self, what, test, details=""):
        Tap.number += 1
        print(f"{what} {Tap.number} - {test.id().split('.')[-1]}")
        for text in details.splitlines():
            print("    " + text)

    def addSuccess(self, test):
        self.line("ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.line("not ok", test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.line("not ok", test, self.errors[-1][1])


if __name__ == "__main__":
    result = unittest.defaultTestLoader.loadTestsFromTestCase(Conformance).run(Tap())
    sys.exit(not result.wasSuccessful())
