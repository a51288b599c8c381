#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps Fleets: makes, changes and deletes Instances until there are as many as each Fleet asks for.

An example of how to extend Shaken Fist from outside, with nothing but the stock Kubernetes client
(Debian: python3-kubernetes). It is written the way sfd's own controllers are:

- Watches only say which Fleet to look at; reconcile() then reads everything afresh. So it does not
  matter which events were missed, and a restart needs no memory.
- Instances are applied server-side under a manager of its own: a field that somebody else sets, and
  the template does not name, is left alone.
- Each Instance carries an ownerReference: when a Fleet is deleted, sfd collects its Instances.
- What it found is written to status, and only there.
"""

import argparse
import datetime
import json
import logging
import queue
import signal
import threading
import time

from kubernetes import client, config, dynamic
from kubernetes.dynamic.exceptions import ApiException, NotFoundError

MANAGER = "fleet-controller"
LABEL = "example.com/fleet"
REFUSALS = (400, 403, 422)  # of what is wanted: trying again helps only when something changes
RETRY_SECONDS = 2
WATCH_SECONDS = 300

log = logging.getLogger("fleet")


class Keys(queue.Queue):
    """(namespace, name) pairs that wait; one that waits already is not added again."""

    def _init(self, maxsize):
        self.queue = {}

    def _qsize(self):
        return len(self.queue)

    def _put(self, item):
        self.queue[item] = None

    def _get(self):
        key = next(iter(self.queue))
        del self.queue[key]
        return key


def owner_of(instance):
    """The Fleet that controls an Instance, or None."""
    for ref in instance["metadata"].get("ownerReferences") or []:
        if ref.get("controller") and ref["kind"] == "Fleet" and ref["apiVersion"].startswith("example.com/"):
            return ref
    return None


def is_ready(instance):
    conditions = (instance.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


class Controller:
    def __init__(self, api):
        self.fleets = api.resources.get(api_version="example.com/v1", kind="Fleet")
        self.instances = api.resources.get(api_version="shakenfist.io/v1alpha1", kind="Instance")
        self.api = api
        self.keys = Keys()

    # ---- what to look at ----

    def enqueue_fleet(self, fleet):
        self.keys.put((fleet["metadata"]["namespace"], fleet["metadata"]["name"]))

    def enqueue_owner(self, instance):
        ref = owner_of(instance)
        if ref:
            self.keys.put((instance["metadata"]["namespace"], ref["name"]))

    def follow(self, resource, enqueue):
        """Lists, then watches from there; again from the list whenever the watch ends or fails."""
        while True:
            try:
                listed = resource.get().to_dict()
                for item in listed["items"]:
                    enqueue(item)
                revision = listed["metadata"]["resourceVersion"]
                for event in self.api.watch(resource, resource_version=revision, timeout=WATCH_SECONDS):
                    if event["type"] != "BOOKMARK":
                        enqueue(event["raw_object"])
            except Exception as e:  # a watch must never end
                log.warning("watch %s: %s; listing again", resource.name, e)
                time.sleep(RETRY_SECONDS)

    # ---- what to do about it ----

    def wanted(self, fleet, name):
        template = fleet["spec"]["template"]
        labels = dict((template.get("metadata") or {}).get("labels") or {})
        labels[LABEL] = fleet["metadata"]["name"]
        return {
            "apiVersion": "shakenfist.io/v1alpha1",
            "kind": "Instance",
            "metadata": {
                "name": name,
                "namespace": fleet["metadata"]["namespace"],
                "labels": labels,
                "ownerReferences": [
                    {
                        "apiVersion": fleet["apiVersion"],
                        "kind": fleet["kind"],
                        "name": fleet["metadata"]["name"],
                        "uid": fleet["metadata"]["uid"],
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "spec": template["spec"],
        }

    def existing(self, name, namespace):
        try:
            return self.instances.get(name=name, namespace=namespace).to_dict()
        except NotFoundError:
            return None

    def apply(self, fleet, name):
        """Makes or changes one Instance; a sentence if it cannot be ours."""
        namespace, uid = fleet["metadata"]["namespace"], fleet["metadata"]["uid"]
        found = self.existing(name, namespace)
        if found and (owner_of(found) or {}).get("uid") != uid:
            return f"an Instance {name} is there already and belongs to somebody else"
        if found and found["metadata"].get("deletionTimestamp"):
            return f"the old Instance {name} is still being deleted"
        # As text: this client cannot encode a body of the type that an apply has.
        body = json.dumps(self.wanted(fleet, name))
        try:
            self.instances.server_side_apply(
                body=body, name=name, namespace=namespace, field_manager=MANAGER, force_conflicts=True
            )
        except ApiException as e:
            if e.status not in REFUSALS:
                raise
            return json.loads(e.body)["message"]
        return None

    def reconcile(self, namespace, name):
        try:
            fleet = self.fleets.get(name=name, namespace=namespace).to_dict()
        except NotFoundError:
            return  # its Instances go by their ownerReferences
        if fleet["metadata"].get("deletionTimestamp"):
            return
        names = [f"{name}-{i}" for i in range(fleet["spec"]["replicas"])]
        problems = [p for p in (self.apply(fleet, n) for n in names) if p]
        selected = self.instances.get(namespace=namespace, label_selector=f"{LABEL}={name}").to_dict()["items"]
        owned = [i for i in selected if (owner_of(i) or {}).get("uid") == fleet["metadata"]["uid"]]
        for instance in owned:
            if instance["metadata"]["name"] not in names and not instance["metadata"].get("deletionTimestamp"):
                log.info("%s/%s: delete %s", namespace, name, instance["metadata"]["name"])
                self.instances.delete(name=instance["metadata"]["name"], namespace=namespace)
        self.report(fleet, owned, problems)

    def report(self, fleet, owned, problems):
        alive = [i for i in owned if not i["metadata"].get("deletionTimestamp")]
        ready = sum(is_ready(i) for i in alive)
        wanted = fleet["spec"]["replicas"]
        old = fleet.get("status") or {}
        condition = {
            "type": "Ready",
            "status": "True" if ready == wanted == len(alive) and not problems else "False",
            "reason": "Blocked" if problems else "AllRun" if ready == wanted == len(alive) else "Waiting",
            "message": "; ".join(problems) or f"{ready} of {wanted} run",
            "observedGeneration": fleet["metadata"]["generation"],
            "lastTransitionTime": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for before in old.get("conditions") or []:
            if before["type"] == "Ready" and before["status"] == condition["status"]:
                condition["lastTransitionTime"] = before["lastTransitionTime"]
        status = {
            "observedGeneration": fleet["metadata"]["generation"],
            "replicas": len(alive),
            "readyReplicas": ready,
            "selector": f"{LABEL}={fleet['metadata']['name']}",
            "conditions": [condition],
        }
        if status == old:
            return  # a write of the same is none, but costs a request
        self.fleets.status.patch(
            body={"status": status},
            name=fleet["metadata"]["name"],
            namespace=fleet["metadata"]["namespace"],
            content_type="application/merge-patch+json",
        )

    # ---- the loop ----

    def run(self):
        for resource, enqueue in ((self.fleets, self.enqueue_fleet), (self.instances, self.enqueue_owner)):
            threading.Thread(target=self.follow, args=(resource, enqueue), daemon=True).start()
        while True:
            namespace, name = self.keys.get()
            try:
                self.reconcile(namespace, name)
            except NotFoundError:
                pass  # it went while we looked; its watch tells what else there is to do
            except ApiException as e:
                log.warning("%s/%s: %s; again in %d s", namespace, name, e.summary(), RETRY_SECONDS)
                threading.Timer(RETRY_SECONDS, self.keys.put, [(namespace, name)]).start()
            except Exception:  # whatever happens to one Fleet, the others go on
                log.exception("%s/%s: again in %d s", namespace, name, RETRY_SECONDS)
                threading.Timer(RETRY_SECONDS, self.keys.put, [(namespace, name)]).start()


def main():
    parser = argparse.ArgumentParser(description="Keeps Fleets of Instances.")
    parser.add_argument("--kubeconfig", help="as for kubectl; by default $KUBECONFIG or ~/.kube/config")
    parser.add_argument("--server", help="URL of a server that asks for no credentials, such as http://127.0.0.1:6443")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: exit(0))
    if args.server:
        configuration = client.Configuration()
        configuration.host = args.server
        api = client.ApiClient(configuration)
    else:
        api = config.new_client_from_config(config_file=args.kubeconfig)
    Controller(dynamic.DynamicClient(api)).run()


if __name__ == "__main__":
    main()
