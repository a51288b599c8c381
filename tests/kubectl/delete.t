# SPDX-License-Identifier: Apache-2.0
#
# Deleting and waiting: finalizers, cascades, grace, preconditions, conditions.
# Sfd: --controllers namespace,definition,owner,quota
# Clients: 1.35

  % cm() { kubectl create -f - <<<"{apiVersion: v1, kind: ConfigMap, metadata: {name: $1, labels: {set: one} $2}}"; }

  % for i in 1 2 3 4 5; do cm c$i || break; done

  $ kubectl delete cm c1
  configmap "c1" deleted from default namespace

  $ kubectl delete cm/c2 cm/c3
  configmap "c2" deleted from default namespace
  configmap "c3" deleted from default namespace

  $ kubectl delete cm c4 c9
  configmap "c4" deleted from default namespace
  Error from server (NotFound): configmaps "c9" not found
  [1]

  $ kubectl delete cm -l set=one
  configmap "c5" deleted from default namespace

  $ kubectl delete cm --all
  No resources found

  % cm d; cm e

  $ kubectl delete cm d --dry-run=client
  configmap "d" deleted from default namespace (dry run)

  $ kubectl delete cm d --dry-run=server
  configmap "d" deleted from default namespace (server dry run)

  $ kubectl delete cm d -o name
  configmap/d

  $ kubectl delete cm e --cascade=foreground
  configmap "e" deleted from default namespace

  % cm f; cm g

  $ kubectl delete cm f --cascade=orphan
  configmap "f" deleted from default namespace

  $ kubectl delete cm g --force --grace-period=0
  Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.
  configmap "g" force deleted from default namespace

  $ vm a | kubectl apply -f -
  instance.shakenfist.io/a created

  $ kubectl delete vm a --timeout=500ms
  instance.shakenfist.io "a" deleted from default namespace
  error: timed out waiting for the condition on instances/a
  [1]

  $ kubectl get vm a -o json | jq -c '.metadata | .finalizers, (.deletionTimestamp | length > 0), .generation, .deletionGracePeriodSeconds'
  ["shakenfist.io/teardown"]
  true
  2
  0

  $ kubectl delete vm a --wait=false
  instance.shakenfist.io "a" deleted from default namespace

  $ vm a | kubectl create -f -
  Error from server (AlreadyExists): error when creating "STDIN": instances.shakenfist.io "a" already exists
  [1]

  $ kubectl patch vm a --type=merge -p '{"metadata":{"finalizers":["example.com/mine","shakenfist.io/teardown"]}}'
  The Instance "a" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"example.com/mine"}
  [1]

  $ kubectl label vm a still=here
  instance.shakenfist.io/a labeled

  $ kubectl patch vm a --type=merge -p '{"metadata":{"finalizers":[]}}'
  instance.shakenfist.io/a patched

  $ kubectl get vm a
  Error from server (NotFound): instances.shakenfist.io "a" not found
  [1]

  % cm h ', finalizers: [example.com/hold]'

  $ kubectl delete cm h --wait=false
  configmap "h" deleted from default namespace

  $ (watched; kubectl patch cm h --type=merge -p '{"metadata":{"finalizers":null}}' >/dev/null) & kubectl delete cm h --timeout=10s
  configmap "h" deleted from default namespace

  % cm i

  $ (watched; kubectl delete cm i >/dev/null) & kubectl wait cm/i --for=delete --timeout=10s
  configmap/i condition met

  $ kubectl wait cm/none --for=delete --timeout=2s

  $ kubectl wait cm/none --for=condition=Ready --timeout=1s
  Error from server (NotFound): configmaps "none" not found
  [1]

  $ (cm j >/dev/null) & kubectl wait cm/j --for=create --timeout=10s
  configmap/j condition met

  % vm w | kubectl create -f -

  $ kubectl wait vm/w --for=condition=Ready --timeout=500ms
  error: timed out waiting for the condition on instances/w
  [1]

  $ (watched; kubectl patch vm w --subresource=status --type=merge -p '{"status":{"conditions":[{"type":"Ready","status":"True","reason":"R","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}' >/dev/null) & kubectl wait vm/w --for=condition=Ready --timeout=10s
  instance.shakenfist.io/w condition met

  $ kubectl wait vm --all --for=condition=Ready=True --timeout=2s
  instance.shakenfist.io/w condition met

  $ kubectl wait vm/w --for=jsonpath='{.spec.cpus}'=1 --timeout=2s
  instance.shakenfist.io/w condition met

  $ kubectl wait vm/w --for=jsonpath='{.spec.cpus}'=9 --timeout=500ms
  error: timed out waiting for the condition on instances/w
  [1]

  $ kubectl wait vm -l none=x --for=condition=Ready --timeout=1s
  error: no matching resources found
  [1]

  $ kubectl replace --force -f - <<<'{apiVersion: v1, kind: ConfigMap, metadata: {name: rf}}'
  configmap/rf replaced

  $ kubectl replace --force -f - <<<'{apiVersion: v1, kind: ConfigMap, metadata: {name: rf}, data: {a: b}}'
  configmap "rf" deleted from default namespace
  configmap/rf replaced

  $ kubectl delete --raw /api/v1/namespaces/default/configmaps/rf | jq -c '.kind, .status, .details.name, .details.kind'
  "Status"
  "Success"
  "rf"
  "configmaps"

  $ kubectl delete --raw /api/v1/namespaces/default/configmaps/rf
  Error from server (NotFound): configmaps "rf" not found
  [1]

  $ kubectl delete all --all --wait=false
  instance.shakenfist.io "w" deleted from default namespace

  $ kubectl delete vm w --grace-period=-1 --wait=false
  instance.shakenfist.io "w" deleted from default namespace

  $ kubectl delete -f <(vm nope) --ignore-not-found

  $ kubectl delete -f <(vm nope)
  Error from server (NotFound): error when deleting "/dev/fd/63": instances.shakenfist.io "nope" not found
  [1]
