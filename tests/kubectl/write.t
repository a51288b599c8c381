# SPDX-License-Identifier: Apache-2.0
#
# Writing: create, replace, edit, patch, label, annotate, scale; dry runs, validation and its modes, conflicts.
# Sfd: --controllers namespace,definition,owner,quota
# Clients: 1.35

  $ vm a | kubectl create -f -
  instance.shakenfist.io/a created

  $ vm a | kubectl create -f -
  Error from server (AlreadyExists): error when creating "STDIN": instances.shakenfist.io "a" already exists
  [1]

  $ vm a | kubectl create -f - -o name
  Error from server (AlreadyExists): error when creating "STDIN": instances.shakenfist.io "a" already exists
  [1]

  $ vm b | kubectl create -f - --dry-run=client
  instance.shakenfist.io/b created (dry run)

  $ vm b | kubectl create -f - --dry-run=server
  instance.shakenfist.io/b created (server dry run)

  $ vm b | kubectl create -f - --dry-run=server -o yaml | grep -E 'uid|generation|nodeName|resourceVersion|finalizers'
    finalizers:
    generation: 1
    resourceVersion: "0"
    uid: <uid>
    nodeName: sandbox

  $ vm a | kubectl create -f - --dry-run=server
  Error from server (AlreadyExists): error when creating "STDIN": instances.shakenfist.io "a" already exists
  [1]

  $ vm b | sed 's/name: b/generateName: gen-/' | kubectl create -f - -o name
  instance.shakenfist.io/gen-...

  $ vm b | kubectl create -f - --save-config --edit=false
  instance.shakenfist.io/b created

  $ kubectl get vm b -o yaml | grep -c last-applied
  1

  $ vm c | kubectl create -f - -o json | jq -c '.kind, .metadata.name, .metadata.generation'
  "Instance"
  "c"
  1

  $ vm x | kubectl create -n nowhere -f -
  Error from server (NotFound): error when creating "STDIN": namespaces "nowhere" not found
  [1]

  $ vm x | sed 's/name: x/name: x\n  namespace: other/' | kubectl create -n default -f -
  error: the namespace from the provided object "other" does not match the namespace "default". You must pass '--namespace=other' to perform this operation.
  [1]

What is wrong is refused, all of it at once, with its paths.

  $ vm Bad_Name | kubectl create -f -
  The Instance "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": use 1 to 63 lower-case letters, digits and '-', beginning and ending with a letter or digit
  [1]

  $ vm wrong | sed 's/cpus: 1/cpus: 0/; s/memory: 128Mi/memory: lots/; s/Halted/Sometimes/' | kubectl create -f -
  The Instance "wrong" is invalid:
  * spec.cpus: Invalid value: 0: should be greater than or equal to 1
  * spec.memory: Invalid value: "lots" is not a quantity: write it like 512Mi, 1.5Gi or 20G
  * spec.runStrategy: Unsupported value: "Sometimes": supported values: "Always", "RerunOnFailure", "Manual", "Halted", "Once"
  [1]

  $ vm wrong | sed 's/disks:/disks: []/; /root/d' | kubectl create -f -
  The Instance "wrong" is invalid: spec.disks: Invalid value: 0: should have at least 1 items
  [1]

  $ vm wrong | sed 's/cpus: 1/cpus: "two"/' | kubectl create -f -
  The Instance "wrong" is invalid: spec.cpus: Invalid value: "two": must be an integer
  [1]

  $ vm wrong | sed '/disks:/,$d' | kubectl create -f -
  The Instance "wrong" is invalid: spec.disks: Required value
  [1]

  $ vm wrong | sed 's/- {name: root/- {name: root}\n  - {name: root/' | kubectl create -f -
  The Instance "wrong" is invalid: spec.disks[1]: Duplicate value: name: "root"
  [1]

  $ vm wrong 'a b: c' | kubectl create -f -
  The Instance "wrong" is invalid: metadata.labels: Invalid value: "a b": not a valid key (like app or example.com/app)
  [1]

  $ vm wrong | sed 's/memory:/memry:/; s/size:/sise:/' | kubectl create -f -
  Error from server (BadRequest): error when creating "STDIN": Instance in version "v1alpha1" cannot be handled as a Instance: strict decoding error: unknown field "spec.disks[0].sise", did you mean "size"?, unknown field "spec.memry", did you mean "memory"?, spec.disks[0].size: Required value: a disk needs an image, a size, or both
  [1]

  $ vm loose | sed 's/memory:/memry:/' | kubectl create -f - --validate=warn
  Warning: unknown field "spec.memry"
  instance.shakenfist.io/loose created

  $ vm loose2 | sed 's/memory:/memry:/' | kubectl create -f - --validate=ignore
  instance.shakenfist.io/loose2 created

  $ vm loose3 | sed 's/memory:/memry:/' | kubectl create -f - --validate=false
  instance.shakenfist.io/loose3 created

  $ kubectl get vm loose -o jsonpath='{.spec.memory}{.spec.memry}{"\n"}'
  1Gi

  $ kubectl create -f - <<<'{apiVersion: shakenfist.io/v1alpha1, kind: Instance, metadata: {name: dup}, spec: {cpus: 1, cpus: 2, disks: [{name: root}]}}'
  The Instance "dup" is invalid: spec.disks[0].size: Required value: a disk needs an image, a size, or both
  [1]

  $ kubectl create -f - <<<'{apiVersion: shakenfist.io/v1alpha1, kind: Nope, metadata: {name: x}}'
  error: resource mapping not found for name: "x" namespace: "" from "STDIN": no matches for kind "Nope" in version "shakenfist.io/v1alpha1"
  ensure CRDs are installed first
  [1]

  $ kubectl create -f - <<<'{apiVersion: shakenfist.io/v2, kind: Instance, metadata: {name: x}}'
  error: resource mapping not found for name: "x" namespace: "" from "STDIN": no matches for kind "Instance" in version "shakenfist.io/v2"
  ensure CRDs are installed first
  [1]

  $ kubectl create -f - <<<'{kind: Instance, metadata: {name: x}}'
  error: error validating "STDIN": error validating data: apiVersion not set; if you choose to ignore these errors, turn validation off with --validate=false
  [1]

  $ kubectl create -f - <<<'{apiVersion: shakenfist.io/v1alpha1, kind: Instance, spec: {disks: [{name: root}]}}'
  The Instance "" is invalid:
  * metadata.name: Required value: name or generateName is required
  * spec.disks[0].size: Required value: a disk needs an image, a size, or both
  [1]

  $ kubectl create -f - <<<'nonsense'
  error: error validating "STDIN": error validating data: invalid object to validate; if you choose to ignore these errors, turn validation off with --validate=false
  [1]

  $ kubectl create -f /nowhere.yaml
  error: the path "/nowhere.yaml" does not exist
  [1]

  $ kubectl create -f - </dev/null
  error: no objects passed to create
  [1]

Patches.

  $ kubectl patch vm a --type=merge -p '{"spec":{"cpus":2}}'
  instance.shakenfist.io/a patched

  $ kubectl patch vm a --type=merge -p '{"spec":{"cpus":2}}'
  instance.shakenfist.io/a patched (no change)

  $ kubectl patch vm a --type=json -p '[{"op":"replace","path":"/spec/cpus","value":3},{"op":"add","path":"/metadata/labels","value":{"x":"y"}}]'
  instance.shakenfist.io/a patched

  $ kubectl patch vm a --type=json -p '[{"op":"test","path":"/spec/cpus","value":9}]'
  The request is invalid: the server rejected our request due to an error in our request: operation 0: /spec/cpus: test failed: the value is another
  [1]

  $ kubectl patch vm a --type=json -p '[{"op":"remove","path":"/spec/nope"}]'
  The request is invalid: the server rejected our request due to an error in our request: operation 0: /spec/nope: does not exist
  [1]

  $ kubectl patch vm a --type=json -p '[{"op":"jump","path":"/spec/nope"}]'
  The request is invalid: the server rejected our request due to an error in our request: operation 0: unknown operation "jump"
  [1]

  $ kubectl patch vm a --type=json -p '{}'
  Error from server (BadRequest): a JSON patch must be an array of operations
  [1]

  $ kubectl patch vm a --type=merge -p '[]'
  Error from server (BadRequest): a merge patch must be an object
  [1]

  $ kubectl patch vm a -p '{"spec":{"cpus":2}}'
  error: application/strategic-merge-patch+json is not supported by shakenfist.io/v1alpha1, Kind=Instance: the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml
  [1]

  $ kubectl patch vm a --type=strategic -p '{"spec":{"cpus":2}}'
  error: application/strategic-merge-patch+json is not supported by shakenfist.io/v1alpha1, Kind=Instance: the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml
  [1]

  $ kubectl patch vm a --type=merge -p '{"spec":{"cpus":0}}'
  The Instance "a" is invalid: spec.cpus: Invalid value: 0: should be greater than or equal to 1
  [1]

  $ kubectl patch vm a --type=merge -p '{"spec":{"cpuz":4}}'
  Error from server (BadRequest): Instance in version "v1alpha1" cannot be handled as a Instance: strict decoding error: unknown field "spec.cpuz", did you mean "cpus"?
  [1]

  $ kubectl patch vm a --type=merge -p '{"spec":{"firmware":"UEFI"}}'
  The Instance "a" is invalid: spec.firmware: Invalid value: field is immutable: a guest boots only with the firmware it was installed with
  [1]

  $ kubectl patch vm a --type=merge -p '{"metadata":{"name":"other"}}'
  Error from server (BadRequest): the name of the object (other) does not match the name on the URL (a)
  [1]

  $ kubectl patch vm a --type=merge -p '{"metadata":{"resourceVersion":"1"}}'
  Error from server (Conflict): Operation cannot be fulfilled on instances.shakenfist.io "a": the object has been modified; please apply your changes to the latest version and try again
  [1]

  $ kubectl patch vm a --type=merge -p '{"kind":"Image"}'
  Error from server (BadRequest): the kind in the data (Image) does not match the expected kind (Instance)
  [1]

  $ kubectl patch vm nope --type=merge -p '{}'
  Error from server (NotFound): instances.shakenfist.io "nope" not found
  [1]

  $ kubectl patch vm a --type=merge -p '{"spec":{"cpus":4}}' --dry-run=server -o jsonpath='{.spec.cpus}{"\n"}'
  4

  $ kubectl patch vm a --type=merge -p '{"spec":{"cpus":null}}' -o jsonpath='{.spec.cpus}{"\n"}'
  1

  $ kubectl patch vm a --type=merge -p '{"metadata":{"uid":"7","creationTimestamp":null,"generation":99},"status":{"printableStatus":"Mine"}}' -o jsonpath='{.metadata.generation} {.status}{"\n"}'
  Error from server (Conflict): Operation cannot be fulfilled on instances.shakenfist.io "a": Precondition failed: UID in precondition: 7, UID in object meta: <uid>
  [1]

  $ kubectl patch vm a --type=merge --subresource=status -p '{"status":{"printableStatus":"Mine"},"spec":{"cpus":9}}'
  instance.shakenfist.io/a patched

  $ kubectl get vm a -o jsonpath='{.spec.cpus} {.status.printableStatus} {.metadata.generation}{"\n"}'
  1 Mine 4

  $ kubectl patch ns default -p '{"metadata":{"labels":{"team":"a"}}}'
  namespace/default patched

  $ kubectl get ns -L team
  NAME      STATUS   AGE   TEAM
  default   Active   <age>    a

  $ kubectl patch -f <(vm a) --type=merge -p '{"metadata":{"labels":{"f":"1"}}}'
  instance.shakenfist.io/a patched

  $ kubectl patch --local -f <(vm a) --type=merge -p '{"spec":{"cpus":7}}' -o jsonpath='{.spec.cpus}{"\n"}'
  7

Labels and annotations.

  $ kubectl label vm a app=web
  instance.shakenfist.io/a labeled

  $ kubectl label vm a app=web
  instance.shakenfist.io/a not labeled

  $ kubectl label vm a app=db
  error: 'app' already has a value (web), and --overwrite is false
  [1]

  $ kubectl label vm a app=db --overwrite
  instance.shakenfist.io/a labeled

  $ kubectl label vm a app-
  instance.shakenfist.io/a unlabeled

  $ kubectl label vm a nope-
  label "nope" not found.
  instance.shakenfist.io/a not labeled

  $ kubectl label vm --all all=yes
  instance.shakenfist.io/a labeled
  instance.shakenfist.io/b labeled
  instance.shakenfist.io/c labeled
  instance.shakenfist.io/gen-... labeled
  instance.shakenfist.io/loose labeled
  instance.shakenfist.io/loose2 labeled
  instance.shakenfist.io/loose3 labeled

  $ kubectl label vm -l all=yes all-
  instance.shakenfist.io/a unlabeled
  instance.shakenfist.io/b unlabeled
  instance.shakenfist.io/c unlabeled
  instance.shakenfist.io/gen-... unlabeled
  instance.shakenfist.io/loose unlabeled
  instance.shakenfist.io/loose2 unlabeled
  instance.shakenfist.io/loose3 unlabeled

  $ kubectl label vm a 'bad key=x'
  The Instance "a" is invalid: metadata.labels: Invalid value: "bad key": not a valid key (like app or example.com/app)
  [1]

  $ kubectl label vm a key='bad value'
  error: invalid label value: "key=bad value": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
  [1]

  $ kubectl label vm a --list | sort
  f=1
  x=y

  $ kubectl label vm a rv=1 --resource-version=1
  Error from server (Conflict): Operation cannot be fulfilled on instances.shakenfist.io "a": the object has been modified; please apply your changes to the latest version and try again
  [1]

  $ kubectl annotate vm a note='one two'
  instance.shakenfist.io/a annotated

  $ kubectl annotate vm a note=three
  error: --overwrite is false but found the following declared annotation(s): 'note' already has a value (one two)
  [1]

  $ kubectl annotate vm a note=three --overwrite
  instance.shakenfist.io/a annotated

  $ kubectl annotate vm a note-
  instance.shakenfist.io/a annotated

  $ kubectl label ns default l=1
  namespace/default labeled

  $ kubectl label --dry-run=server vm a dry=1 -o jsonpath='{.metadata.labels.dry}{"\n"}'
  1

Replace and edit.

  $ kubectl get vm a -o yaml | sed 's/cpus: .*/cpus: 6/' | kubectl replace -f -
  instance.shakenfist.io/a replaced

  $ kubectl get vm a -o json | jq '.metadata.resourceVersion = "1"' | kubectl replace -f -
  Error from server (Conflict): error when replacing "STDIN": Operation cannot be fulfilled on instances.shakenfist.io "a": the object has been modified; please apply your changes to the latest version and try again
  [1]

  $ kubectl get vm a -o json | jq '.metadata.uid = "6b0e4f7c-0000-4000-8000-000000000000"' | kubectl replace -f -
  Error from server (Conflict): error when replacing "STDIN": Operation cannot be fulfilled on instances.shakenfist.io "a": Precondition failed: UID in precondition: <uid>, UID in object meta: <uid>
  [1]

  $ kubectl get vm a -o json | jq '.metadata.name = "zz"' | kubectl replace -f -
  Error from server (NotFound): error when replacing "STDIN": instances.shakenfist.io "zz" not found
  [1]

  $ kubectl get vm a -o json | jq 'del(.metadata.resourceVersion) | .spec.cpus = 5' | kubectl replace -f -
  instance.shakenfist.io/a replaced

  $ kubectl get vm a -o json | jq '.spec.cpus = 0' | kubectl replace -f -
  The Instance "a" is invalid: spec.cpus: Invalid value: 0: should be greater than or equal to 1
  [1]

  $ kubectl get vm a -o json | jq '.apiVersion = "v1"' >odd.json; kubectl replace --raw /apis/shakenfist.io/v1alpha1/namespaces/default/instances/a -f odd.json
  Error from server (BadRequest): the API version in the data (v1) does not match the expected API version (shakenfist.io/v1alpha1)
  [1]

  $ kubectl create --raw /apis/shakenfist.io/v1alpha1/namespaces/default/instances -f - <<<'{"metadata":{"name":"raw"},"spec":{"disks":[{"name":"root"}]}}' | jq -c '.kind, .metadata.name'
  The Instance "raw" is invalid: spec.disks[0].size: Required value: a disk needs an image, a size, or both

  $ EDITOR='sed -i s/cpus:.*/cpus:\ 8/' kubectl edit vm a
  instance.shakenfist.io/a edited

  $ EDITOR=true kubectl edit vm a
  Edit cancelled, no changes made.

  $ EDITOR='sed -i s/cpus:.*/cpus:\ 0/' kubectl edit vm a 2>&1 | sed 's/"[^"]*yaml"/FILE/; s/.tmp.*yaml/FILE/'
  error: instances.shakenfist.io "a" is invalid
  A copy of your changes has been stored to FILE
  error: Edit cancelled, no valid changes were saved.

  $ EDITOR='sed -i s/Mine/Yours/' kubectl edit vm a --subresource=status
  instance.shakenfist.io/a edited

  $ kubectl get vm a -o jsonpath='{.status.printableStatus} {.spec.cpus}{"\n"}'
  Yours 8

  $ kubectl scale vm a --replicas=2
  Error from server (NotFound): the server could not find the requested resource
  [1]

  $ kubectl autoscale vm a --max=3
  error: cannot autoscale a Instance: could not find scale subresource for shakenfist.io/v1alpha1, Resource=instances in discovery information
  [1]

  $ kubectl set image vm/a x=y
  error: no kind "Instance" is registered for version "shakenfist.io/v1alpha1" in scheme "pkg/scheme/scheme.go:28"
  [1]
