# SPDX-License-Identifier: Apache-2.0
#
# Namespaces, ConfigMaps, Secrets, Events: what kubectl makes by itself and what deleting means.
# Sfd: --controllers namespace,definition,owner,quota
# Clients: 1.35

  $ kubectl create namespace one
  namespace/one created

  $ kubectl create ns one
  Error from server (AlreadyExists): namespaces "one" already exists
  [1]

  $ kubectl create ns Not_Good
  The Namespace "Not_Good" is invalid: metadata.name: Invalid value: "Not_Good": use 1 to 63 lower-case letters, digits and '-', beginning and ending with a letter or digit
  [1]

  $ kubectl create ns two --dry-run=server
  namespace/two created (server dry run)

  $ kubectl create ns two --dry-run=client -o yaml
  apiVersion: v1
  kind: Namespace
  metadata:
    name: two
  spec: {}
  status: {}

  $ kubectl get ns one -o jsonpath='{.status.phase} {.spec.finalizers} {.metadata.labels}{"\n"}'
  Active ["kubernetes"] {"kubernetes.io/metadata.name":"one"}

  $ kubectl describe ns one
  Name:         one
  Labels:       kubernetes.io/metadata.name=one
  Annotations:  <none>
  Status:       Active

  No resource quota.

  $ kubectl create configmap cfg --from-literal=a=1 --from-literal=b='two words' -n one
  configmap/cfg created

  $ kubectl get cm -n one
  NAME   DATA   AGE
  cfg    2      <age>

  $ kubectl get cm cfg -n one -o jsonpath='{.data}{"\n"}'
  {"a":"1","b":"two words"}

  $ kubectl describe cm cfg -n one
  Name:         cfg
  Namespace:    one
  Labels:       <none>
  Annotations:  <none>

  Data
  ====
  a:
  ----
  1

  b:
  ----
  two words


  BinaryData
  ====

  Events:  <none>

  $ echo hello >file.txt; kubectl create cm files --from-file=file.txt -n one -o jsonpath='{.data}{"\n"}'
  {"file.txt":"hello\n"}

  $ kubectl create cm imm -n one --from-literal=a=1; kubectl patch cm imm -n one -p '{"immutable":true}'; kubectl patch cm imm -n one -p '{"data":{"a":"2"}}'
  configmap/imm created
  configmap/imm patched
  The ConfigMap "imm" is invalid: data: Forbidden: field is immutable when `immutable` is set
  [1]

  $ kubectl create secret generic s -n one --from-literal=password=hunter2
  secret/s created

  $ kubectl get secret -n one
  NAME   TYPE     DATA   AGE
  s      Opaque   1      <age>

  $ kubectl get secret s -n one -o jsonpath='{.data.password}' | base64 -d; echo
  hunter2

  $ kubectl describe secret s -n one
  Name:         s
  Namespace:    one
  Labels:       <none>
  Annotations:  <none>

  Type:  Opaque

  Data
  ====
  password:  7 bytes

  $ kubectl create secret tls t -n one --cert=/nowhere --key=/nowhere
  error: Cannot read file /nowhere, open /nowhere: no such file or directory
  [1]

  $ kubectl create secret docker-registry reg -n one --docker-server=r --docker-username=u --docker-password=p
  secret/reg created

  $ kubectl get secret reg -n one -o jsonpath='{.type}{"\n"}'
  kubernetes.io/dockerconfigjson

  $ kubectl patch secret s -n one -p '{"stringData":{"user":"me"}}' -o jsonpath='{.data.user}{.stringData}{"\n"}'
  bWU=

  $ kubectl create -f - <<<'{apiVersion: v1, kind: Secret, metadata: {name: bad, namespace: one}, data: {x: "not base64!"}}'
  The Secret "bad" is invalid: data.x: Invalid value: must be base64
  [1]

  $ kubectl patch secret s -n one -p '{"type":"other"}'
  The Secret "s" is invalid: type: Invalid value: "other": field is immutable
  [1]

  $ kubectl get events -n one
  No resources found in one namespace.

  $ day=$(date -ud '324 days ago 12 hours ago' +%FT%TZ); kubectl create -f - <<<'{apiVersion: v1, kind: Event, metadata: {name: e1, namespace: one}, involvedObject: {apiVersion: v1, kind: ConfigMap, name: cfg, namespace: one}, reason: Tried, message: by hand, type: Normal, firstTimestamp: "'$day'", lastTimestamp: "'$day'", count: 3}'
  event/e1 created

  $ kubectl get events -n one --field-selector reason=Tried -o name
  event/e1

  $ kubectl events -n one
  LAST SEEN             TYPE     REASON   OBJECT          MESSAGE
  324d (x3 over 324d)   Normal   Tried    ConfigMap/cfg   by hand

  $ kubectl get events -n one -o wide | sed 's/  *[0-9]*[smhdy][0-9smhdy]*  */ AGE /'
  NAME   LAST SEEN   TYPE     REASON   OBJECT          COUNT   MESSAGE
  e1 AGE Normal   Tried    configmap/cfg   3       by hand

  $ kubectl describe cm cfg -n one | tail -5

  BinaryData
  ====

  Events:  <none>

  $ kubectl create role r -n one --verb=get --resource=instances
  role.rbac.authorization.k8s.io/r created

  $ kubectl create clusterrole cr --verb=get,list --resource=instances.shakenfist.io
  clusterrole.rbac.authorization.k8s.io/cr created

  $ kubectl create rolebinding rb -n one --role=r --user=jane
  rolebinding.rbac.authorization.k8s.io/rb created

  $ kubectl create clusterrolebinding crb --clusterrole=cr --group=dev
  clusterrolebinding.rbac.authorization.k8s.io/crb created

  $ kubectl get role,rolebinding -n one
  NAME                               CREATED AT
  role.rbac.authorization.k8s.io/r   <time>

  NAME                                       ROLE     AGE
  rolebinding.rbac.authorization.k8s.io/rb   Role/r   <age>

  $ kubectl describe role r -n one
  Name:         r
  Labels:       <none>
  Annotations:  <none>
  PolicyRule:
    Resources                Non-Resource URLs  Resource Names  Verbs
    ---------                -----------------  --------------  -----
    instances.shakenfist.io  []                 []              [get]

  $ kubectl create quota q -n one --hard=count/instances.shakenfist.io=2
  resourcequota/q created

  $ kubectl create serviceaccount sa -n one
  error: failed to create serviceaccount: the server could not find the requested resource
  [1]

  $ kubectl create deployment d --image=x
  error: failed to create deployment: the server could not find the requested resource
  [1]

  $ kubectl create job j --image=x
  error: failed to create job: the server could not find the requested resource
  [1]

  $ kubectl create token sa
  error: failed to create token: the server could not find the requested resource
  [1]

Deleting.

  $ kubectl delete cm cfg imm -n one
  configmap "cfg" deleted from one namespace
  configmap "imm" deleted from one namespace

  $ kubectl delete cm cfg -n one
  Error from server (NotFound): configmaps "cfg" not found
  [1]

  $ kubectl delete cm cfg -n one --ignore-not-found

  $ kubectl delete cm --all -n one
  configmap "files" deleted from one namespace

  $ kubectl delete secret,cm --all -n one --dry-run=server
  secret "reg" deleted from one namespace (server dry run)
  secret "s" deleted from one namespace (server dry run)

  $ kubectl delete secret -l nope=1 -n one
  No resources found

  $ kubectl delete secret s reg -n one --now
  secret "s" deleted from one namespace
  secret "reg" deleted from one namespace

  $ kubectl delete cm/none secret/none -n one
  Error from server (NotFound): configmaps "none" not found
  Error from server (NotFound): secrets "none" not found
  [1]

  $ kubectl delete cm -n one
  error: resource(s) were provided, but no name was specified
  [1]

  $ kubectl delete ns nope
  Error from server (NotFound): namespaces "nope" not found
  [1]

  $ kubectl delete ns default
  Error from server (Forbidden): namespaces "default" is forbidden: this namespace may not be deleted
  [1]

  $ vm a | kubectl create -n one -f -
  instance.shakenfist.io/a created

  $ kubectl delete ns one --wait=false
  namespace "one" deleted

  $ kubectl get ns one
  NAME   STATUS        AGE
  one    Terminating   <age>

  $ vm b | kubectl create -n one -f -
  Error from server (Forbidden): error when creating "STDIN": instances.shakenfist.io "b" is forbidden: unable to create new content in namespace one because it is being terminated
  [1]

  $ kubectl create cm late -n one
  error: failed to create configmap: configmaps "late" is forbidden: unable to create new content in namespace one because it is being terminated
  [1]

  $ kubectl get ns one -o json | jq -c '.status.phase, [.status.conditions[]? | .type + "=" + .status]'
  "Terminating"
  ["NamespaceContentRemaining=True"]

  $ kubectl delete ns one --timeout=3s
  namespace "one" deleted
  error: timed out waiting for the condition on namespaces/one
  [1]

  $ kubectl patch vm a -n one --type=merge -p '{"metadata":{"finalizers":null}}'
  instance.shakenfist.io/a patched

  $ kubectl wait --for=delete ns/one --timeout=20s

  $ kubectl get ns one
  Error from server (NotFound): namespaces "one" not found
  [1]

  $ kubectl delete ns two three --ignore-not-found
