# SPDX-License-Identifier: Apache-2.0
#
# Apply: the client's three-way merge, the server's with owners, diff, prune, kustomize.
# Sfd: --controllers namespace,definition,owner,quota
# Clients: 1.35

  $ vm a 'app: web' >a.yaml; kubectl apply -f a.yaml
  instance.shakenfist.io/a created

  $ kubectl apply -f a.yaml
  instance.shakenfist.io/a unchanged

  $ kubectl apply -f a.yaml --dry-run=client
  instance.shakenfist.io/a configured (dry run)

  $ kubectl apply -f a.yaml --dry-run=server
  instance.shakenfist.io/a unchanged (server dry run)

  $ sed 's/cpus: 1/cpus: 2/' a.yaml | kubectl diff -f - | sed 's/.*[/]tmp.*/FILE/'
  FILE
  FILE
  FILE
  @@ -7,7 +7,7 @@
     creationTimestamp: "<time>"
     finalizers:
     - shakenfist.io/teardown
  -  generation: 1
  +  generation: 2
     labels:
       app: web
     name: a
  @@ -15,7 +15,7 @@
     resourceVersion: "<rv>"
     uid: <uid>
   spec:
  -  cpus: 1
  +  cpus: 2
     disks:
     - name: root
       size: 1Gi

  $ kubectl diff -f a.yaml

  $ vm b | kubectl diff -f - >/dev/null
  [1]

  $ sed 's/cpus: 1/cpus: 2/' a.yaml | kubectl apply -f -
  instance.shakenfist.io/a configured

  $ kubectl get vm a -o jsonpath='{.spec.cpus} {.metadata.generation}{"\n"}'
  2 2

  $ sed '/memory:/d' a.yaml | kubectl apply -f - -o jsonpath='{.spec.memory}{"\n"}'
  1Gi

  $ sed 's/app: web/app: db/' a.yaml | kubectl apply -f - -o jsonpath='{.metadata.labels}{"\n"}'
  {"app":"db"}

  $ sed 's/cpus: 1/cpus: 0/' a.yaml | kubectl apply -f -
  The Instance "a" is invalid: spec.cpus: Invalid value: 0: should be greater than or equal to 1
  [1]

  $ sed 's/cpus: 1/cpuz: 1/' a.yaml | kubectl apply -f -
  Error from server (BadRequest): error when applying patch:
  {"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"shakenfist.io/v1alpha1\",\"kind\":\"Instance\",\"metadata\":{\"annotations\":{},\"labels\":{\"app\":\"web\"},\"name\":\"a\",\"namespace\":\"default\"},\"spec\":{\"cpuz\":1,\"disks\":[{\"name\":\"root\",\"size\":\"1Gi\"}],\"memory\":\"128Mi\",\"runStrategy\":\"Halted\"}}\n"},"labels":{"app":"web"}},"spec":{"cpus":null,"cpuz":1}}
  to:
  Resource: "shakenfist.io/v1alpha1, Resource=instances", GroupVersionKind: "shakenfist.io/v1alpha1, Kind=Instance"
  Name: "a", Namespace: "default"
  for: "STDIN": error when patching "STDIN": Instance in version "v1alpha1" cannot be handled as a Instance: strict decoding error: unknown field "spec.cpuz", did you mean "cpus"?
  [1]

  $ kubectl apply view-last-applied vm/a
  apiVersion: shakenfist.io/v1alpha1
  kind: Instance
  metadata:
    annotations: {}
    labels:
      app: db
    name: a
    namespace: default
  spec:
    cpus: 1
    disks:
    - name: root
      size: 1Gi
    memory: 128Mi
    runStrategy: Halted

  $ kubectl create -f - <<<"$(vm plain)"; kubectl apply view-last-applied vm plain
  instance.shakenfist.io/plain created

  $ vm plain | kubectl apply -f -
  Warning: resource instances/plain is missing the kubectl.kubernetes.io/last-applied-configuration annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.
  instance.shakenfist.io/plain configured

  $ vm plain | sed 's/cpus: 1/cpus: 3/' | kubectl apply set-last-applied -f -
  instance.shakenfist.io/plain configured

  $ kubectl apply view-last-applied vm plain -o json | jq .spec.cpus
  3

  $ EDITOR='sed -i s/cpus:.*/cpus:\ 4/' kubectl apply edit-last-applied vm/plain
  instance.shakenfist.io/plain edited

  $ mkdir -p dir; vm d1 >dir/1.yaml; vm d2 >dir/2.yml; vm d3 | kubectl create -f - --dry-run=client -o json >dir/3.json; kubectl apply -f dir
  instance.shakenfist.io/d1 created
  instance.shakenfist.io/d2 created
  instance.shakenfist.io/d3 created

  $ (vm e1; echo ---; vm e2) | kubectl apply -f -
  instance.shakenfist.io/e1 created
  instance.shakenfist.io/e2 created

  $ (vm e1; echo ---; vm e2 | sed 's/cpus: 1/cpus: 0/'; echo ---; vm e3) | kubectl apply -f -
  instance.shakenfist.io/e1 configured
  instance.shakenfist.io/e3 created
  The Instance "e2" is invalid: spec.cpus: Invalid value: 0: should be greater than or equal to 1
  [1]

  $ kubectl apply -f - <<<'{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: in-list}, data: {a: "1"}}]}'
  configmap/in-list created

  $ kubectl apply -f - <<<'{apiVersion: v1, kind: Namespace, metadata: {name: applied}}'
  namespace/applied created

  $ kubectl apply -f - <<<'{apiVersion: v1, kind: Namespace, metadata: {name: applied, labels: {team: a}}}'
  namespace/applied configured

  $ kubectl apply -f - <<<'{apiVersion: v1, kind: ConfigMap, metadata: {name: in-list}, data: {b: "2"}}' -o jsonpath='{.data}{"\n"}'
  {"b":"2"}

  $ kubectl apply -f - <<<'{apiVersion: v1, kind: Secret, metadata: {name: sec}, stringData: {a: b}}' -o jsonpath='{.data}{"\n"}'
  {"a":"Yg=="}

  $ kubectl apply -f - <<<'{apiVersion: shakenfist.io/v1alpha1, kind: Instance, metadata: {generateName: x-}}'
  error: from x-: cannot use generate name with apply
  [1]

  % mkdir -p kust; vm k1 >kust/vm.yaml; printf 'resources: [vm.yaml]\nnamePrefix: pre-\ncommonLabels: {team: a}\nconfigMapGenerator:\n- name: gen\n  literals: [a=b]\n' >kust/kustomization.yaml

  $ kubectl kustomize kust 2>/dev/null | grep -c .
  22

  $ kubectl apply -k kust 2>/dev/null
  configmap/pre-gen-4h2mbtbbt6 created
  instance.shakenfist.io/pre-k1 created

  $ kubectl get -k kust -o name 2>/dev/null
  configmap/pre-gen-4h2mbtbbt6
  instance.shakenfist.io/pre-k1

  $ kubectl delete -k kust --wait=false 2>/dev/null
  configmap "pre-gen-4h2mbtbbt6" deleted from default namespace
  instance.shakenfist.io "pre-k1" deleted from default namespace

Server side.

  $ vm s 'app: web' >s.yaml; kubectl apply --server-side -f s.yaml
  instance.shakenfist.io/s serverside-applied

  $ kubectl apply --server-side -f s.yaml
  instance.shakenfist.io/s serverside-applied

  $ kubectl get vm s -o json | jq -c '.metadata.managedFields'
  null

  $ kubectl get vm s -o json --show-managed-fields | jq -c '.metadata.managedFields[] | [.manager, .operation, .apiVersion, .fieldsType, .subresource]'
  ["kubectl","Apply","shakenfist.io/v1alpha1","FieldsV1",null]

  $ kubectl get vm s -o json --show-managed-fields | jq -c '.metadata.managedFields[0].fieldsV1'
  {"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:cpus":{},"f:disks":{"k:{\"name\":\"root\"}":{".":{},"f:name":{},"f:size":{}}},"f:memory":{},"f:runStrategy":{}}}

  $ sed 's/cpus: 1/cpus: 2/' s.yaml | kubectl apply --server-side --field-manager=other -f -
  error: Apply failed with 1 conflict: conflict with "kubectl": .spec.cpus
  Please review the fields above--they currently have other managers. Here
  are the ways you can resolve this warning:
  * If you intend to manage all of these fields, please re-run the apply
    command with the `--force-conflicts` flag.
  * If you do not intend to manage all of the fields, please edit your
    manifest to remove references to the fields that should keep their
    current managers.
  * You may co-own fields by updating your manifest to match the existing
    value; in this case, you'll become the manager if the other manager(s)
    stop managing the field (remove it from their configuration).
  See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
  [1]

  $ sed 's/cpus: 1/cpus: 2/' s.yaml | kubectl apply --server-side --field-manager=other --force-conflicts -f -
  instance.shakenfist.io/s serverside-applied

  $ kubectl apply --server-side -f s.yaml
  error: Apply failed with 1 conflict: conflict with "other": .spec.cpus
  Please review the fields above--they currently have other managers. Here
  are the ways you can resolve this warning:
  * If you intend to manage all of these fields, please re-run the apply
    command with the `--force-conflicts` flag.
  * If you do not intend to manage all of the fields, please edit your
    manifest to remove references to the fields that should keep their
    current managers.
  * You may co-own fields by updating your manifest to match the existing
    value; in this case, you'll become the manager if the other manager(s)
    stop managing the field (remove it from their configuration).
  See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
  [1]

  $ kubectl apply --server-side --force-conflicts -f s.yaml
  instance.shakenfist.io/s serverside-applied

  $ kubectl patch vm s --type=merge -p '{"spec":{"terminationGracePeriodSeconds":7}}'
  instance.shakenfist.io/s patched

  $ sed 's/spec:/spec:\n  terminationGracePeriodSeconds: 9/' s.yaml | kubectl apply --server-side -f -
  error: Apply failed with 1 conflict: conflict with "kubectl-patch" using shakenfist.io/v1alpha1: .spec.terminationGracePeriodSeconds
  Please review the fields above--they currently have other managers. Here
  are the ways you can resolve this warning:
  * If you intend to manage all of these fields, please re-run the apply
    command with the `--force-conflicts` flag.
  * If you do not intend to manage all of the fields, please edit your
    manifest to remove references to the fields that should keep their
    current managers.
  * You may co-own fields by updating your manifest to match the existing
    value; in this case, you'll become the manager if the other manager(s)
    stop managing the field (remove it from their configuration).
  See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
  [1]

  $ sed '/memory:/d' s.yaml | kubectl apply --server-side --field-manager=kubectl -f - -o jsonpath='{.spec.memory}{"\n"}'
  128Mi

  $ kubectl apply --server-side --field-manager=lab -f - <<<'{apiVersion: shakenfist.io/v1alpha1, kind: Instance, metadata: {name: s, labels: {mine: x}}}' -o jsonpath='{.metadata.labels}{"\n"}'
  {"app":"web","mine":"x"}

  $ kubectl apply --server-side --field-manager=lab -f - <<<'{apiVersion: shakenfist.io/v1alpha1, kind: Instance, metadata: {name: s}}' -o jsonpath='{.metadata.labels}{"\n"}'
  {"app":"web"}

  $ kubectl apply --server-side --field-manager=disk -f - <<<'{apiVersion: shakenfist.io/v1alpha1, kind: Instance, metadata: {name: s}, spec: {disks: [{name: data, size: 2Gi}]}}' -o jsonpath='{.spec.disks[*].name}{"\n"}'
  root data

  $ kubectl apply --server-side --field-manager=disk -f - <<<'{apiVersion: shakenfist.io/v1alpha1, kind: Instance, metadata: {name: s}}' -o jsonpath='{.spec.disks[*].name}{"\n"}'
  root

  $ sed 's/cpus: 1/cpus: 5/' s.yaml | kubectl apply --server-side --dry-run=server -f - -o jsonpath='{.spec.cpus}{"\n"}'
  5

  $ sed 's/cpus: 1/cpuz: 5/' s.yaml | kubectl apply --server-side -f -
  Error from server (BadRequest): Instance in version "v1alpha1" cannot be handled as a Instance: strict decoding error: unknown field "spec.cpuz", did you mean "cpus"?
  [1]

  $ sed 's/cpus: 1/cpus: 0/' s.yaml | kubectl apply --server-side -f -
  The Instance "s" is invalid: spec.cpus: Invalid value: 0: should be greater than or equal to 1
  [1]

  $ sed 's/cpus: 1/cpus: 5/' s.yaml | kubectl diff --server-side -f - | grep -E '^[-+] '
  -  generation: 6
  +  generation: 7
  -  cpus: 1
  +  cpus: 5

  $ kubectl get vm s -o json | kubectl apply --server-side -f -
  instance.shakenfist.io/s serverside-applied

  $ kubectl apply --server-side -f a.yaml
  instance.shakenfist.io/a serverside-applied

  $ kubectl get vm a -o json --show-managed-fields | jq -c '.metadata.managedFields[] | [.manager, .operation]'
  ["kubectl","Apply"]
  ["kubectl-last-applied","Apply"]

  $ kubectl get vm a -o yaml | grep -c last-applied
  1

  $ kubectl apply -f a.yaml --server-side=false
  instance.shakenfist.io/a configured

  $ kubectl apply --server-side -f - <<<'{apiVersion: v1, kind: ConfigMap, metadata: {name: ss}, data: {a: "1"}}'
  configmap/ss serverside-applied

  $ kubectl apply --server-side --field-manager=two -f - <<<'{apiVersion: v1, kind: ConfigMap, metadata: {name: ss}, data: {a: "2"}}'
  error: Apply failed with 1 conflict: conflict with "kubectl": .data.a
  Please review the fields above--they currently have other managers. Here
  are the ways you can resolve this warning:
  * If you intend to manage all of these fields, please re-run the apply
    command with the `--force-conflicts` flag.
  * If you do not intend to manage all of the fields, please edit your
    manifest to remove references to the fields that should keep their
    current managers.
  * You may co-own fields by updating your manifest to match the existing
    value; in this case, you'll become the manager if the other manager(s)
    stop managing the field (remove it from their configuration).
  See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
  [1]

  $ kubectl apply --server-side -n nowhere -f s.yaml
  Error from server (NotFound): namespaces "nowhere" not found
  [1]

Prune.

  % mkdir -p p; vm p1 'set: p' >p/1.yaml; vm p2 'set: p' >p/2.yaml

  $ kubectl apply -f p --prune -l set=p --prune-allowlist=shakenfist.io/v1alpha1/Instance
  instance.shakenfist.io/p1 created
  instance.shakenfist.io/p2 created

  $ rm p/2.yaml; kubectl apply -f p --prune -l set=p --prune-allowlist=shakenfist.io/v1alpha1/Instance
  instance.shakenfist.io/p1 unchanged
  instance.shakenfist.io/p2 pruned

  % kubectl create configmap parent 2>/dev/null || kubectl create -f - <<<'{apiVersion: v1, kind: ConfigMap, metadata: {name: parent}}'

  % mkdir -p as; vm as1 >as/1.yaml; vm as2 >as/2.yaml

  $ KUBECTL_APPLYSET=true kubectl apply -f as --prune --applyset=configmaps/set1 -n default
  instance.shakenfist.io/as1 created
  instance.shakenfist.io/as2 created

  $ kubectl get cm set1 -o jsonpath='{.metadata.annotations}{"\n"}'
  {"applyset.kubernetes.io/additional-namespaces":"","applyset.kubernetes.io/contains-group-kinds":"Instance.shakenfist.io","applyset.kubernetes.io/tooling":"kubectl/v1.35.2"}

  $ rm as/2.yaml; KUBECTL_APPLYSET=true kubectl apply -f as --prune --applyset=configmaps/set1 -n default
  instance.shakenfist.io/as1 unchanged
  instance.shakenfist.io/as2 pruned

  $ kubectl patch vm as2 --type=merge -p '{"metadata":{"finalizers":null}}'
  instance.shakenfist.io/as2 patched

  $ kubectl get vm -l applyset.kubernetes.io/part-of -o name
  instance.shakenfist.io/as1
