# SPDX-License-Identifier: Apache-2.0
#
# Reading: every output form, selectors, several kinds at once, watching.
# Sfd: --controllers namespace,definition,owner,quota
# Clients: 1.35

  % kubectl create -f $TOP/manifests/examples/hello

  % vm web-1 'app: web, tier: front' '  cpus: 2' | sed '/cpus: 1/d' | kubectl create -f -

  % vm web-2 'app: web, tier: back' | kubectl create -f -

  % vm db-1 'app: db' | kubectl create -f -

  % kubectl create -f - <<<'{apiVersion: v1, kind: Namespace, metadata: {name: other}}'

  % vm far 'app: web' | kubectl create -n other -f -

  $ kubectl get vm
  NAME    STATUS   READY     IP    CPUS   MEMORY   AGE
  db-1             Unknown         1      128Mi    <age>
  hello            Unknown         1      128Mi    <age>
  web-1            Unknown         2      128Mi    <age>
  web-2            Unknown         1      128Mi    <age>

  $ kubectl get vm web-1
  NAME    STATUS   READY     IP    CPUS   MEMORY   AGE
  web-1            Unknown         2      128Mi    <age>

  $ kubectl get vm/web-1 image/guest
  NAME                           STATUS   READY     IP    CPUS   MEMORY   AGE
  instance.shakenfist.io/web-1            Unknown         2      128Mi    <age>

  NAME                        STATUS   PROGRESS   URL                                 AGE
  image.shakenfist.io/guest                       http://127.0.0.1:8099/guest.qcow2   <age>

  $ kubectl get vm web-1 db-1 --no-headers
  web-1         Unknown         2     128Mi   <age>
  db-1          Unknown         1     128Mi   <age>

  $ kubectl get vm -o wide
  NAME    STATUS   READY     IP    CPUS   MEMORY   RESTARTS   NODE   IMAGE   AGE
  db-1             Unknown         1      128Mi                              <age>
  hello            Unknown         1      128Mi                      guest   <age>
  web-1            Unknown         2      128Mi                              <age>
  web-2            Unknown         1      128Mi                              <age>

  $ kubectl get vm -A
  NAMESPACE   NAME    STATUS   READY     IP    CPUS   MEMORY   AGE
  default     db-1             Unknown         1      128Mi    <age>
  default     hello            Unknown         1      128Mi    <age>
  default     web-1            Unknown         2      128Mi    <age>
  default     web-2            Unknown         1      128Mi    <age>
  other       far              Unknown         1      128Mi    <age>

  $ kubectl get vm -n other
  NAME   STATUS   READY     IP    CPUS   MEMORY   AGE
  far             Unknown         1      128Mi    <age>

  $ kubectl get vm -n nowhere
  No resources found in nowhere namespace.

  $ kubectl get all
  NAME                        STATUS   PROGRESS   URL                                 AGE
  image.shakenfist.io/guest                       http://127.0.0.1:8099/guest.qcow2   <age>

  NAME                           STATUS   READY     IP    CPUS   MEMORY   AGE
  instance.shakenfist.io/db-1             Unknown         1      128Mi    <age>
  instance.shakenfist.io/hello            Unknown         1      128Mi    <age>
  instance.shakenfist.io/web-1            Unknown         2      128Mi    <age>
  instance.shakenfist.io/web-2            Unknown         1      128Mi    <age>

  NAME                          STATUS   CIDRS                       EGRESS   PORTS   AGE
  network.shakenfist.io/hello            10.20.0.0/24,fd00:20::/64   NAT              <age>

  $ kubectl get all -A -o name
  image.shakenfist.io/guest
  instance.shakenfist.io/db-1
  instance.shakenfist.io/hello
  instance.shakenfist.io/web-1
  instance.shakenfist.io/web-2
  instance.shakenfist.io/far
  network.shakenfist.io/hello

  $ kubectl get vm,net,img -o name
  instance.shakenfist.io/db-1
  instance.shakenfist.io/hello
  instance.shakenfist.io/web-1
  instance.shakenfist.io/web-2
  network.shakenfist.io/hello
  image.shakenfist.io/guest

  $ kubectl get vm -l app=web -o name
  instance.shakenfist.io/web-1
  instance.shakenfist.io/web-2

  $ kubectl get vm -l 'app in (db, cache)' -o name
  instance.shakenfist.io/db-1

  $ kubectl get vm -l 'tier' -o name
  instance.shakenfist.io/web-1
  instance.shakenfist.io/web-2

  $ kubectl get vm -l '!tier' -o name
  instance.shakenfist.io/db-1
  instance.shakenfist.io/hello

  $ kubectl get vm -l 'app=web,tier!=back' -o name
  instance.shakenfist.io/web-1

  $ kubectl get vm -l 'app notin (web)' -o name
  instance.shakenfist.io/db-1
  instance.shakenfist.io/hello

  $ kubectl get vm -l 'app=='
  No resources found in default namespace.

  $ kubectl get vm -l 'a b'
  Error from server (BadRequest): Unable to find "shakenfist.io/v1alpha1, Resource=instances" that match label selector "a b", field selector "": unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt
  [1]

  $ kubectl get vm --show-labels
  NAME    STATUS   READY     IP    CPUS   MEMORY   AGE   LABELS
  db-1             Unknown         1      128Mi    <age>    app=db
  hello            Unknown         1      128Mi    <age>    app=hello
  web-1            Unknown         2      128Mi    <age>    app=web,tier=front
  web-2            Unknown         1      128Mi    <age>    app=web,tier=back

  $ kubectl get vm -L app,tier
  NAME    STATUS   READY     IP    CPUS   MEMORY   AGE   APP     TIER
  db-1             Unknown         1      128Mi    <age>    db
  hello            Unknown         1      128Mi    <age>    hello
  web-1            Unknown         2      128Mi    <age>    web     front
  web-2            Unknown         1      128Mi    <age>    web     back

  $ kubectl get vm --field-selector metadata.name=web-2 -o name
  instance.shakenfist.io/web-2

  $ kubectl get vm -A --field-selector metadata.namespace=other -o name
  instance.shakenfist.io/far

  $ kubectl get vm --field-selector metadata.name!=web-2 -o name
  instance.shakenfist.io/db-1
  instance.shakenfist.io/hello
  instance.shakenfist.io/web-1

  $ kubectl get vm --field-selector spec.nope=3
  Error from server (BadRequest): Unable to find "shakenfist.io/v1alpha1, Resource=instances" that match label selector "", field selector "spec.nope=3": field label not supported: spec.nope: instances have no such field
  [1]

  $ kubectl get vm --sort-by=.metadata.name -o name
  instance.shakenfist.io/db-1
  instance.shakenfist.io/hello
  instance.shakenfist.io/web-1
  instance.shakenfist.io/web-2

  $ kubectl get vm --sort-by='{.spec.cpus}' -o custom-columns=NAME:.metadata.name,CPUS:.spec.cpus
  NAME    CPUS
  db-1    1
  hello   1
  web-2   1
  web-1   2

  $ kubectl get vm --sort-by=.metadata.creationTimestamp --no-headers | wc -l
  4

  $ kubectl get inst -o custom-columns=N:.metadata.name,D:.spec.disks[*].name --no-headers
  db-1    root
  hello   root
  web-1   root
  web-2   root

  $ kubectl get vm -o jsonpath='{range .items[*]}{.metadata.name}={.spec.cpus}{"\n"}{end}'
  db-1=1
  hello=1
  web-1=2
  web-2=1

  $ kubectl get vm web-1 -o jsonpath='{.spec.disks[?(@.name=="root")].size}{"\n"}'
  1Gi

  $ kubectl get vm -o go-template='{{range .items}}{{.metadata.name}} {{end}}{{"\n"}}'
  db-1 hello web-1 web-2

  $ kubectl get vm web-1 --template='{{.spec.memory}}{{"\n"}}'
  128Mi

  $ kubectl get vm web-1 -o yaml
  apiVersion: shakenfist.io/v1alpha1
  kind: Instance
  metadata:
    creationTimestamp: "<time>"
    finalizers:
    - shakenfist.io/teardown
    generation: 1
    labels:
      app: web
      tier: front
    name: web-1
    namespace: default
    resourceVersion: "<rv>"
    uid: <uid>
  spec:
    cpus: 2
    disks:
    - name: root
      size: 1Gi
    firmware: BIOS
    memory: 128Mi
    nodeName: sandbox
    runStrategy: Halted
    terminationGracePeriodSeconds: 60
  status:
    conditions:
    - lastTransitionTime: "<time>"
      message: Waiting for its controller.
      observedGeneration: 0
      reason: Pending
      status: Unknown
      type: Ready

  $ kubectl get vm web-1 -o json | jq -c 'keys, .spec'
  ["apiVersion","kind","metadata","spec","status"]
  {"cpus":2,"disks":[{"name":"root","size":"1Gi"}],"firmware":"BIOS","memory":"128Mi","nodeName":"sandbox","runStrategy":"Halted","terminationGracePeriodSeconds":60}

  $ kubectl get vm -o json | jq -c '.kind, .apiVersion, (.items | length)'
  "List"
  "v1"
  4

  $ kubectl get --raw /apis/shakenfist.io/v1alpha1/namespaces/default/instances | jq -c '.kind, (.metadata | keys), .items[0].kind'
  "InstanceList"
  ["resourceVersion"]
  "Instance"

  $ kubectl get vm,img -o json | jq -c '.kind, [.items[].kind]'
  "List"
  ["Instance","Instance","Instance","Instance","Image"]

  $ kubectl get vm --chunk-size=2 -o name
  instance.shakenfist.io/db-1
  instance.shakenfist.io/hello
  instance.shakenfist.io/web-1
  instance.shakenfist.io/web-2

  $ kubectl get vm --chunk-size=1 | wc -l
  5

  $ kubectl get vm nope
  Error from server (NotFound): instances.shakenfist.io "nope" not found
  [1]

  $ kubectl get vm nope --ignore-not-found

  $ kubectl get vm web-1 nope -o name
  instance.shakenfist.io/web-1
  Error from server (NotFound): instances.shakenfist.io "nope" not found
  [1]

  $ kubectl get vm nope img/none
  error: there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'
  [1]

  $ kubectl get vm web-1 -o nope 2>&1 | cut -c1-60
  error: unable to match a printer suitable for the output for

  $ kubectl get nope
  error: the server doesn't have a resource type "nope"
  [1]

  $ kubectl get vm -o name --show-kind
  instance.shakenfist.io/db-1
  instance.shakenfist.io/hello
  instance.shakenfist.io/web-1
  instance.shakenfist.io/web-2

  $ kubectl get ns
  NAME      STATUS   AGE
  default   Active   <age>
  other     Active   <age>

  $ kubectl get ns default -o yaml
  apiVersion: v1
  kind: Namespace
  metadata:
    creationTimestamp: "<time>"
    generation: 1
    labels:
      kubernetes.io/metadata.name: default
    name: default
    resourceVersion: "<rv>"
    uid: <uid>
  spec:
    finalizers:
    - kubernetes
  status:
    phase: Active

  $ kubectl get -f $TOP/manifests/examples/hello -o name
  network.shakenfist.io/hello
  image.shakenfist.io/guest
  instance.shakenfist.io/hello

  $ kubectl get -f $TOP/manifests/examples/hello
  NAME                          STATUS   CIDRS                       EGRESS   PORTS   AGE
  network.shakenfist.io/hello            10.20.0.0/24,fd00:20::/64   NAT              <age>

  NAME                        STATUS   PROGRESS   URL                                 AGE
  image.shakenfist.io/guest                       http://127.0.0.1:8099/guest.qcow2   <age>

  NAME                           STATUS   READY     IP    CPUS   MEMORY   AGE
  instance.shakenfist.io/hello            Unknown         1      128Mi    <age>

  $ kubectl get vm web-1 -o kyaml | head -3
  ---
  {
    apiVersion: "shakenfist.io/v1alpha1",

  $ kubectl get vm web-1 --subresource=status
  NAME    STATUS   READY     IP    CPUS   MEMORY   AGE
  web-1            Unknown         2      128Mi    <age>

  $ kubectl get vm web-1 -o yaml --show-managed-fields | grep -A4 managedFields
    managedFields:
    - apiVersion: shakenfist.io/v1alpha1
      fieldsType: FieldsV1
      fieldsV1:
        f:metadata:

  $ kubectl get --raw /apis/shakenfist.io/v1alpha1/namespaces/default/instances/web-1 | jq -r .metadata.name
  web-1

  $ kubectl get --raw /apis/shakenfist.io/v1alpha1/namespaces/default/instances/nope
  Error from server (NotFound): instances.shakenfist.io "nope" not found
  [1]

  $ kubectl get --raw '/apis/shakenfist.io/v1alpha1/instances?limit=2' | jq -c '(.items | length), .metadata.remainingItemCount'
  2
  3

  $ kubectl api-resources --verbs=list --namespaced -o name | xargs -n 1 kubectl get --ignore-not-found --show-kind -A -o name
  pod/db-1
  pod/hello
  pod/web-1
  pod/web-2
  pod/far
  image.shakenfist.io/guest
  instance.shakenfist.io/db-1
  instance.shakenfist.io/hello
  instance.shakenfist.io/web-1
  instance.shakenfist.io/web-2
  instance.shakenfist.io/far
  network.shakenfist.io/hello

  $ kubectl api-resources --verbs=list -o name | xargs -n 1 kubectl get -A >/dev/null
  No resources found
  No resources found
  No resources found
  No resources found
  No resources found
  No resources found
  No resources found
  No resources found
  No resources found
  No resources found
  No resources found

Watching.

  $ kubectl get vm -w --request-timeout=1s -o name
  instance.shakenfist.io/db-1
  instance.shakenfist.io/hello
  instance.shakenfist.io/web-1
  instance.shakenfist.io/web-2

  $ (watched; kubectl label vm web-1 w=1 >/dev/null) & kubectl get vm web-1 -w --request-timeout=4s --no-headers; wait
  web-1         Unknown         2     128Mi   <age>
  web-1         Unknown         2     128Mi   <age>

  $ (watched; kubectl label vm db-1 w=1 >/dev/null; kubectl label vm db-1 w- >/dev/null) & kubectl get vm -l app=db --watch-only --output-watch-events --no-headers --request-timeout=4s; wait
  MODIFIED   db-1         Unknown         1     128Mi   <age>
  MODIFIED   db-1         Unknown         1     128Mi   <age>

  $ (watched; vm new 'app: new' | kubectl create -f - >/dev/null; kubectl label vm new app- >/dev/null; kubectl delete vm new --wait=false >/dev/null) & kubectl get vm -l app=new -w --output-watch-events --request-timeout=4s; wait
  EVENT      NAME   STATUS   READY     IP    CPUS   MEMORY   AGE
  ADDED      new             Unknown         1      128Mi    <age>
  DELETED    new             Unknown         1      128Mi    <age>
