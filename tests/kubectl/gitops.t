# SPDX-License-Identifier: Apache-2.0
#
# What bounds, collects and prunes: quotas, owners, ApplySets, what a change costs, lists in chunks.
# Sfd: --controllers namespace,definition,owner,quota
# Clients: 1.35

  % cpus() { vm "$1" | sed "s/cpus: 1/cpus: $2/"; }

  % cm() { kubectl create -f - <<<"{apiVersion: v1, kind: ConfigMap, metadata: {name: $1${2:+, $2}}}" >/dev/null; }

  % owned() { echo "ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: $1, uid: $(kubectl get cm "$1" -o 'jsonpath={.metadata.uid}'), blockOwnerDeletion: ${2:-false}}]"; }

  % gone() { for i in $(seq 100); do kubectl get cm "$1" >/dev/null 2>&1 || return 0; sleep 0.1; done; return 1; }

Quotas.

  $ kubectl create quota compute --hard=requests.cpu=8,requests.memory=4Gi,limits.cpu=10,count/instances.shakenfist.io=3
  resourcequota/compute created

  $ kubectl create quota odd --hard=gpus=1
  error: failed to create quota: ResourceQuota "odd" is invalid: spec.hard[gpus]: Invalid value: "gpus": must be a standard resource for quotas
  [1]

  $ kubectl create quota odd --hard=pods=1.5
  error: failed to create quota: ResourceQuota "odd" is invalid: spec.hard[pods]: Invalid value: must be an integer
  [1]

  $ cpus a 7 | kubectl apply -f -
  instance.shakenfist.io/a created

  $ cpus x 2 | kubectl apply -f -
  Error from server (Forbidden): error when creating "STDIN": instances.shakenfist.io "x" is forbidden: exceeded quota: compute, requested: requests.cpu=2, used: requests.cpu=7, limited: requests.cpu=8
  [1]

  $ cpus x 2 | kubectl apply --server-side -f -
  Error from server (Forbidden): instances.shakenfist.io "x" is forbidden: exceeded quota: compute, requested: requests.cpu=2, used: requests.cpu=7, limited: requests.cpu=8
  [1]

  $ cpus x 2 | kubectl create --dry-run=server -f -
  Error from server (Forbidden): error when creating "STDIN": instances.shakenfist.io "x" is forbidden: exceeded quota: compute, requested: requests.cpu=2, used: requests.cpu=7, limited: requests.cpu=8
  [1]

  $ cpus x 1 | kubectl create --dry-run=server -f -
  instance.shakenfist.io/x created (server dry run)

  $ cpus x 1 | kubectl apply -f -
  instance.shakenfist.io/x created

  $ kubectl patch vm x --type merge -p '{"spec":{"cpus":2}}'
  Error from server (Forbidden): instances.shakenfist.io "x" is forbidden: exceeded quota: compute, requested: requests.cpu=1, used: requests.cpu=8, limited: requests.cpu=8
  [1]

  $ kubectl patch vm x --type merge -p '{"spec":{"maxCpus":9}}'
  Error from server (Forbidden): instances.shakenfist.io "x" is forbidden: exceeded quota: compute, requested: limits.cpu=8, used: limits.cpu=8, limited: limits.cpu=10
  [1]

  $ kubectl patch vm a --type merge -p '{"spec":{"cpus":6}}'
  instance.shakenfist.io/a patched

  $ kubectl patch vm x --type merge -p '{"spec":{"cpus":2}}'
  instance.shakenfist.io/x patched

  $ kubectl wait --for=jsonpath='{.status.used.requests\.cpu}'=8 quota/compute
  resourcequota/compute condition met

  $ kubectl get quota
  NAME      REQUEST                                                                             LIMIT              AGE
  compute   count/instances.shakenfist.io: 2/3, requests.cpu: 8/8, requests.memory: 256Mi/4Gi   limits.cpu: 8/10   <age>

  $ kubectl describe quota compute
  Name:                          compute
  Namespace:                     default
  Resource                       Used   Hard
  --------                       ----   ----
  count/instances.shakenfist.io  2      3
  limits.cpu                     8      10
  requests.cpu                   8      8
  requests.memory                256Mi  4Gi

  $ kubectl describe ns default | sed -n '/Quota/,$p'
  Resource Quotas
    Name:                          compute
    Resource                       Used   Hard
    --------                       ---    ---
    count/instances.shakenfist.io  2      3
    limits.cpu                     8      10
    requests.cpu                   8      8
    requests.memory                256Mi  4Gi

  $ kubectl patch quota compute --type merge -p '{"spec":{"hard":{"requests.cpu":"4"}}}'
  resourcequota/compute patched

  $ kubectl patch vm x --type merge -p '{"spec":{"cpus":1}}'
  instance.shakenfist.io/x patched

  $ kubectl patch vm x --type merge -p '{"spec":{"cpus":2}}'
  Error from server (Forbidden): instances.shakenfist.io "x" is forbidden: exceeded quota: compute, requested: requests.cpu=1, used: requests.cpu=7, limited: requests.cpu=4
  [1]

  $ kubectl explain quota.status
  KIND:       ResourceQuota
  VERSION:    v1

  FIELD: status <Object>


  DESCRIPTION:
      What is used.

  FIELDS:
    hard	<map[string]Quantity>
      The bounds that are in force.

    used	<map[string]Quantity>
      How much of each is taken.

  $ kubectl delete quota compute
  resourcequota "compute" deleted from default namespace

  $ cpus z 64 | kubectl apply -f -
  instance.shakenfist.io/z created

What a change costs, of a guest that runs.

  % kubectl patch vm a --subresource=status --type merge -p '{"status":{"printableStatus":"Running"}}' >/dev/null

  $ kubectl patch vm a --type merge -p '{"spec":{"cpus":4}}' --dry-run=server
  Warning: spec.cpus: takes effect when the guest restarts (can only grow while the guest runs)
  instance.shakenfist.io/a patched

  $ kubectl patch vm a --type merge -p '{"spec":{"firmware":"UEFI"}}'
  The Instance "a" is invalid: spec.firmware: Invalid value: field is immutable: a guest boots only with the firmware it was installed with
  [1]

  $ kubectl label vm a tier=web
  instance.shakenfist.io/a labeled

Owners.

  % cm o1; cm c1 "$(owned o1)"

  $ kubectl delete cm o1 --cascade=background && gone c1
  configmap "o1" deleted from default namespace

  % cm o2; cm c2 "$(owned o2 true)"

  $ kubectl delete cm o2 --cascade=foreground && kubectl get cm c2
  configmap "o2" deleted from default namespace
  Error from server (NotFound): configmaps "c2" not found
  [1]

  % cm o3; cm c3 "$(owned o3 true)"

  $ kubectl delete cm o3 --cascade=orphan && kubectl get cm c3 -o 'jsonpath={.metadata.ownerReferences}'
  configmap "o3" deleted from default namespace

  % cm o4; cm o5; kubectl create -f - <<<"{apiVersion: v1, kind: ConfigMap, metadata: {name: c4, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: o4, uid: $(kubectl get cm o4 -o 'jsonpath={.metadata.uid}'), blockOwnerDeletion: true}, {apiVersion: v1, kind: ConfigMap, name: o5, uid: $(kubectl get cm o5 -o 'jsonpath={.metadata.uid}')}]}}" >/dev/null

  $ kubectl delete cm o4 --cascade=foreground && kubectl get cm c4 -o 'jsonpath={.metadata.ownerReferences[*].name}'
  configmap "o4" deleted from default namespace
  o5

  $ kubectl create -f - <<<'{apiVersion: v1, kind: ConfigMap, metadata: {name: lost, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: nobody, uid: 3a0c1f52-8f5e-4c0e-9a1d-6d8c2f6c7e10}]}}' && gone lost
  configmap/lost created

  $ kubectl create -f - <<<'{apiVersion: v1, kind: ConfigMap, metadata: {name: bad, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: nobody}]}}'
  The ConfigMap "bad" is invalid: metadata.ownerReferences.uid: Invalid value: "": uid must not be empty
  [1]

Kinds of one's own, as owners, as owned, and counted.

  % crd() { kubectl create -f - <<<"{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: $1s.example.com}, spec: {group: example.com, scope: $2, names: {plural: $1s, singular: $1, kind: ${1^}}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}" >/dev/null; }

  % crd stack Cluster; crd part Namespaced; kubectl wait --for=condition=Established crd --all >/dev/null

  % own() { kubectl create -f - <<<"{apiVersion: example.com/v1, kind: $1, metadata: {name: $2${3:+, ownerReferences: [$3]}}}" >/dev/null; }

  % own Stack s; own Part p "{apiVersion: example.com/v1, kind: Stack, name: s, uid: $(kubectl get stack s -o 'jsonpath={.metadata.uid}'), blockOwnerDeletion: true}"

  % cm c5 "ownerReferences: [{apiVersion: example.com/v1, kind: Part, name: p, uid: $(kubectl get part p -o 'jsonpath={.metadata.uid}'), blockOwnerDeletion: true}]"

  $ kubectl delete stack s --cascade=foreground
  stack.example.com "s" deleted

  $ kubectl get part p; kubectl get cm c5
  Error from server (NotFound): parts.example.com "p" not found
  Error from server (NotFound): configmaps "c5" not found
  [1]

  $ kubectl create quota parts --hard=count/parts.example.com=1
  resourcequota/parts created

  $ own Part one && own Part two
  Error from server (Forbidden): error when creating "STDIN": parts.example.com "two" is forbidden: exceeded quota: parts, requested: count/parts.example.com=1, used: count/parts.example.com=1, limited: count/parts.example.com=1
  [1]

  $ kubectl delete quota/parts part/one
  resourcequota "parts" deleted from default namespace
  part.example.com "one" deleted from default namespace

A definition takes its objects along, and these what they own.

  % own Stack t; cm c6 "ownerReferences: [{apiVersion: example.com/v1, kind: Stack, name: t, uid: $(kubectl get stack t -o 'jsonpath={.metadata.uid}')}]"

  $ kubectl delete crd stacks.example.com && gone c6
  customresourcedefinition.apiextensions.k8s.io "stacks.example.com" deleted

Lists in chunks.

  % for i in $(seq 25); do cm "n-$i"; done

  $ kubectl get cm --chunk-size=7 -o name | sort -u | wc -l
  28

  $ kubectl get --raw '/api/v1/namespaces/default/configmaps?limit=7' | jq -c '(.items | length), .metadata.remainingItemCount, (.metadata.continue | length > 0)'
  7
  21
  true

  $ kubectl get --raw '/api/v1/namespaces/default/configmaps?limit=7&labelSelector=a!%3Db' | jq -c '(.items | length), .metadata.remainingItemCount'
  7
  null

  $ kubectl get --raw '/api/v1/namespaces/default/configmaps?continue=x'
  Error from server (BadRequest): continue: Invalid value: continue key is not valid
  [1]

  % token=$(kubectl get --raw '/api/v1/namespaces/default/configmaps?limit=7' | jq -r .metadata.continue)

  $ kubectl get --raw "/api/v1/namespaces/default/secrets?continue=$token"
  Error from server (BadRequest): continue: Invalid value: continue key is not valid
  [1]

  $ kubectl delete --raw '/api/v1/namespaces/default/configmaps?limit=5' | jq -c '.kind, (.items | length)'
  "ConfigMapList"
  5

  $ kubectl delete --raw '/api/v1/namespaces/default/configmaps' | jq -c '.kind, .apiVersion, (.items | length)'
  "ConfigMapList"
  "v1"
  23

  $ kubectl delete --raw '/api/v1/namespaces'
  Error from server (MethodNotAllowed): the server does not allow this method on the requested resource
  [1]

ApplySets, kubectl's and ours.

  % export KUBECTL_APPLYSET=true

  % both='{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}, {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}]}'

  % one='{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}'

  $ kubectl apply --server-side --prune --applyset=configmap/theirs -n default -f - <<<"$both"
  configmap/one serverside-applied
  configmap/two serverside-applied

  $ kubectl apply --server-side --prune --applyset=configmap/theirs -n default -f - <<<"$one"
  configmap/one serverside-applied
  configmap/two pruned

  $ sfctl apply --prune --applyset configmap/theirs -f - <<<"$one"
  error: configmap/theirs: this ApplySet is kept by "kubectl/v1.35.2", and only one tool may; to hand it over: sfctl annotate configmap/theirs applyset.kubernetes.io/tooling=sfctl/v1.0.0 --overwrite
  error: nothing was applied
  [5]

  $ kubectl delete cm --all
  configmap "one" deleted from default namespace
  configmap "theirs" deleted from default namespace

  $ sfctl apply --prune --applyset ours -f - <<<"$both"
  configmap/one created
  configmap/two created

  $ sfctl apply --prune --applyset ours -f - <<<"$one"
  configmap/one unchanged
  configmap/two pruned

  $ kubectl apply --server-side --prune --applyset=secret/ours -n default -f - <<<"$one"
  error: ApplySet parent object "secrets./ours" already exists and is managed by tooling "sfctl" instead of "kubectl"
  [1]

  $ kubectl get secret ours -o json | jq -c '.metadata.annotations | to_entries[]'
  {"key":"applyset.kubernetes.io/additional-namespaces","value":""}
  {"key":"applyset.kubernetes.io/contains-group-kinds","value":"ConfigMap"}
  {"key":"applyset.kubernetes.io/tooling","value":"sfctl/v1.0.0"}

Handed over, kubectl goes on with the very same set.

  $ kubectl annotate secret ours applyset.kubernetes.io/tooling=kubectl/v1.35 --overwrite
  secret/ours annotated

  $ kubectl apply --server-side --force-conflicts --prune --applyset=secret/ours -n default -f - <<<"${both//one/three}"
  ... WARNING: failed to update ApplySet: Apply failed with 1 conflict: conflict with "kubectl-annotate" using v1: .metadata.annotations.applyset.kubernetes.io/tooling
  ApplySet field manager kubectl-applyset should own these fields. Retrying with conflicts forced.
  configmap/three serverside-applied
  configmap/two serverside-applied
  configmap/one pruned
