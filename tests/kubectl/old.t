# SPDX-License-Identifier: Apache-2.0
#
# What people with an old kubectl have: it knows neither field validation nor aggregated discovery, and wants an OpenAPI v2
# document with its own eyes for explain, diff and dry runs on the server.
# Sfd: --controllers namespace,definition,owner,quota
# Clients: 1.20

  $ kubectl version --short
  Client Version: v1.20.2
  Server Version: v1.34.0+...

  $ kubectl cluster-info | sed 's/\x1b[^m]*m//g' | head -1
  Kubernetes control plane is running at http://127.0.0.1:6443

  $ kubectl api-resources --api-group=shakenfist.io
  NAME          SHORTNAMES   APIVERSION               NAMESPACED   KIND
  credentials   cred         shakenfist.io/v1alpha1   false        Credential
  images        img          shakenfist.io/v1alpha1   true         Image
  instances     vm,inst      shakenfist.io/v1alpha1   true         Instance
  networks      net          shakenfist.io/v1alpha1   true         Network
  nodes         no           shakenfist.io/v1alpha1   false        Node

  $ kubectl get vm
  No resources found in default namespace.

  $ vm a 'app: web' >a.yaml; kubectl apply -f a.yaml
  instance.shakenfist.io/a created

  $ sed 's/cpus: 1/cpus: 2/' a.yaml | kubectl apply -f -
  instance.shakenfist.io/a configured

  $ kubectl apply -f a.yaml --dry-run=client
  instance.shakenfist.io/a configured (dry run)

  $ kubectl apply -f a.yaml --dry-run=server
  instance.shakenfist.io/a configured (server dry run)

  $ kubectl diff -f a.yaml | grep -E '^[-+] ' | grep -v time:
  -  generation: 2
  +  generation: 3
  -  cpus: 2
  +  cpus: 1

  $ sed 's/cpus: 1/cpuz: 2/' a.yaml | kubectl apply -f -
  error: error validating "STDIN": error validating data: ValidationError(Instance.spec): unknown field "cpuz" in io.shakenfist.v1alpha1.Instance.spec; if you choose to ignore these errors, turn validation off with --validate=false
  [1]

  $ sed 's/cpus: 1/cpuz: 2/' a.yaml | kubectl apply -f - --validate=false
  Error from server (BadRequest): error when applying patch:
  {"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"shakenfist.io/v1alpha1\",\"kind\":\"Instance\",\"metadata\":{\"annotations\":{},\"labels\":{\"app\":\"web\"},\"name\":\"a\",\"namespace\":\"default\"},\"spec\":{\"cpuz\":2,\"disks\":[{\"name\":\"root\",\"size\":\"1Gi\"}],\"memory\":\"128Mi\",\"runStrategy\":\"Halted\"}}\n"}},"spec":{"cpus":null,"cpuz":2}}
  to:
  Resource: "shakenfist.io/v1alpha1, Resource=instances", GroupVersionKind: "shakenfist.io/v1alpha1, Kind=Instance"
  Name: "a", Namespace: "default"
  for: "STDIN": Instance in version "v1alpha1" cannot be handled as a Instance: strict decoding error: unknown field "spec.cpuz", did you mean "cpus"?
  [1]

  $ sed 's/cpus: 1/cpus: 0/' a.yaml | kubectl apply -f -
  The Instance "a" is invalid: spec.cpus: Invalid value: 0: should be greater than or equal to 1
  [1]

  $ vm b | kubectl create -f -
  instance.shakenfist.io/b created

  $ vm b | kubectl create -f -
  Error from server (AlreadyExists): error when creating "STDIN": instances.shakenfist.io "b" already exists
  [1]

  $ vm c | kubectl create -f - --dry-run=server
  instance.shakenfist.io/c created (server dry run)

  $ kubectl get vm
  NAME   STATUS   READY     IP    CPUS   MEMORY   AGE
  a               Unknown         2      128Mi    <age>
  b               Unknown         1      128Mi    <age>

  $ kubectl get vm -o wide
  NAME   STATUS   READY     IP    CPUS   MEMORY   RESTARTS   NODE   IMAGE   AGE
  a               Unknown         2      128Mi                              <age>
  b               Unknown         1      128Mi                              <age>

  $ kubectl get vm,img -A -o name
  instance.shakenfist.io/a
  instance.shakenfist.io/b

  $ kubectl get vm a -o jsonpath='{.spec.cpus}{"\n"}'
  2

  $ kubectl get vm -l app=web --show-labels
  NAME   STATUS   READY     IP    CPUS   MEMORY   AGE   LABELS
  a               Unknown         2      128Mi    <age>    app=web

  $ kubectl get vm --sort-by=.metadata.name -o name
  instance.shakenfist.io/a
  instance.shakenfist.io/b

  $ kubectl get all
  NAME                       STATUS   READY     IP    CPUS   MEMORY   AGE
  instance.shakenfist.io/a            Unknown         2      128Mi    <age>
  instance.shakenfist.io/b            Unknown         1      128Mi    <age>

  $ kubectl get vm nope
  Error from server (NotFound): instances.shakenfist.io "nope" not found
  [1]

  $ kubectl describe vm a | sed 's/ *$//' | head -8
  Name:         a
  Namespace:    default
  Labels:       app=web
  Annotations:  <none>
  API Version:  shakenfist.io/v1alpha1
  Kind:         Instance
  Metadata:
    Creation Timestamp:  <time>

  $ kubectl explain vm | grep -E '^(KIND|VERSION|   [a-z])'
  KIND:     Instance
  VERSION:  shakenfist.io/v1alpha1
     apiVersion	<string>
     kind	<string>
     metadata	<Object>
     spec	<Object> -required-
     status	<Object>

  $ kubectl explain vm.spec.disks | grep -E '^(KIND|RESOURCE|   [a-z])'
  KIND:     Instance
  RESOURCE: disks <[]Object>
     bus	<string>
     image	<string>
     name	<string> -required-
     size	<string>

  $ kubectl explain vm --recursive | grep -cE '^ +[a-z]'
  ...

  $ kubectl patch vm a --type=merge -p '{"spec":{"cpus":3}}'
  instance.shakenfist.io/a patched

  $ kubectl patch vm a --type=json -p '[{"op":"replace","path":"/spec/cpus","value":4}]'
  instance.shakenfist.io/a patched

  $ kubectl patch vm a -p '{"spec":{"cpus":3}}'
  Error from server (UnsupportedMediaType): the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml
  [1]

  $ kubectl label vm a tier=x
  instance.shakenfist.io/a labeled

  $ kubectl annotate vm a note=y
  instance.shakenfist.io/a annotated

  $ EDITOR='sed -i s/cpus:.*/cpus:\ 8/' kubectl edit vm a
  instance.shakenfist.io/a edited

  $ kubectl get vm a -o yaml | sed 's/cpus: .*/cpus: 6/' | kubectl replace -f -
  instance.shakenfist.io/a replaced

  $ kubectl apply --server-side -f a.yaml
  instance.shakenfist.io/a serverside-applied

  $ kubectl apply --server-side --force-conflicts -f a.yaml
  instance.shakenfist.io/a serverside-applied

  $ kubectl create namespace one
  namespace/one created

  $ kubectl create configmap cfg --from-literal=a=1
  configmap/cfg created

  $ kubectl create secret generic s --from-literal=a=1
  secret/s created

  $ kubectl create role r --verb=get --resource=instances
  role.rbac.authorization.k8s.io/r created

  $ kubectl create quota q --hard=count/instances.shakenfist.io=9
  resourcequota/q created

  $ kubectl get quota,role,cm,secret -o name
  resourcequota/q
  role.rbac.authorization.k8s.io/r
  configmap/cfg
  secret/s

  $ kubectl auth can-i create vm
  yes

  $ kubectl auth can-i --list | head -3
  Resources   Non-Resource URLs   Resource Names   Verbs
  *.*         []                  []               [*]
              [*]                 []               [*]

  $ kubectl wait vm/a --for=condition=Ready --timeout=1s
  error: timed out waiting for the condition on instances/a
  [1]

  $ kubectl get vm -w --request-timeout=1s -o name
  instance.shakenfist.io/a
  instance.shakenfist.io/b

  $ kubectl delete cm cfg
  configmap "cfg" deleted

  $ kubectl delete ns one
  namespace "one" deleted

  $ kubectl wait --for=delete ns/one --timeout=5s
  error: no matching resources found
  [1]

  $ kubectl delete vm --all --wait=false
  instance.shakenfist.io "a" deleted
  instance.shakenfist.io "b" deleted

  $ kubectl get events
  No resources found in default namespace.

  $ kubectl scale vm a --replicas=1
  Error from server (NotFound): the server could not find the requested resource
  [1]

  $ kubectl rollout status vm/a
  error: no kind "Instance" is registered for version "shakenfist.io/v1alpha1" in scheme "k8s.io/kubectl/pkg/scheme/scheme.go:28"
  [1]
