# SPDX-License-Identifier: Apache-2.0
#
# A kind of one's own, from its definition to its end.
# Sfd: --controllers namespace,definition,owner,quota
# Clients: 1.35

  % cat >widget.yaml <<END
  > apiVersion: apiextensions.k8s.io/v1
  > kind: CustomResourceDefinition
  > metadata: {name: widgets.example.com}
  > spec:
  >   group: example.com
  >   scope: Namespaced
  >   names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd], categories: [all, toys]}
  >   versions:
  >   - name: v1
  >     served: true
  >     storage: true
  >     subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}}
  >     additionalPrinterColumns:
  >     - {name: Size, type: string, jsonPath: .spec.size}
  >     - {name: Replicas, type: integer, jsonPath: .spec.replicas, priority: 1}
  >     - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
  >     schema:
  >       openAPIV3Schema:
  >         type: object
  >         description: A widget is something small.
  >         required: [spec]
  >         properties:
  >           spec:
  >             type: object
  >             required: [size]
  >             properties:
  >               size: {type: string, enum: [S, M, L], description: How big it is.}
  >               replicas: {type: integer, minimum: 0, default: 1}
  >               ports: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [name], items: {type: object, required: [name], properties: {name: {type: string}, port: {type: integer, format: int32}}}}
  >               labels: {type: object, additionalProperties: {type: string}}
  >               any: {type: object, x-kubernetes-preserve-unknown-fields: true}
  >               when: {type: string, format: date-time}
  >               share: {x-kubernetes-int-or-string: true}
  >           status: {type: object, x-kubernetes-preserve-unknown-fields: true}
  >   - name: v1beta1
  >     served: true
  >     storage: false
  >     deprecated: true
  >     schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
  > END

  % widget() { echo "{apiVersion: example.com/v1, kind: Widget, metadata: {name: $1}, spec: {size: ${2:-S}${3:+, $3}}}"; }

  $ kubectl apply -f widget.yaml
  customresourcedefinition.apiextensions.k8s.io/widgets.example.com created

  $ kubectl apply -f widget.yaml
  customresourcedefinition.apiextensions.k8s.io/widgets.example.com unchanged

  $ kubectl wait crd/widgets.example.com --for=condition=Established --timeout=10s
  customresourcedefinition.apiextensions.k8s.io/widgets.example.com condition met

  $ kubectl get crd
  NAME                        CREATED AT
  credentials.shakenfist.io   <time>
  images.shakenfist.io        <time>
  instances.shakenfist.io     <time>
  networks.shakenfist.io      <time>
  nodes.shakenfist.io         <time>
  widgets.example.com         <time>

  $ kubectl get crd widgets.example.com -o json | jq -c '[.status.conditions[] | .type + "=" + .status], .status.acceptedNames.kind, .status.storedVersions'
  ["NamesAccepted=True","Established=True"]
  "Widget"
  ["v1"]

  $ kubectl api-resources --api-group=example.com
  NAME      SHORTNAMES   APIVERSION       NAMESPACED   KIND
  widgets   wd           example.com/v1   true         Widget

  $ kubectl api-versions | grep example
  example.com/v1
  example.com/v1beta1

  $ kubectl get widgets
  No resources found in default namespace.

  $ widget a M | kubectl apply -f -
  widget.example.com/a created

  $ widget b L 'replicas: 3, ports: [{name: web, port: 80}]' | kubectl apply -f -
  widget.example.com/b created

  $ kubectl get wd
  NAME   SIZE   AGE
  a      M      <age>
  b      L      <age>

  $ kubectl get widget -o wide
  NAME   SIZE   REPLICAS   AGE
  a      M      1          <age>
  b      L      3          <age>

  $ kubectl get toys -o name
  widget.example.com/a
  widget.example.com/b

  $ kubectl get all
  NAME                   SIZE   AGE
  widget.example.com/a   M      <age>
  widget.example.com/b   L      <age>

  $ kubectl get widgets.example.com/a -o jsonpath='{.spec}{"\n"}'
  {"replicas":1,"size":"M"}

  $ widget c XL | kubectl apply -f -
  The Widget "c" is invalid: spec.size: Unsupported value: "XL": supported values: "S", "M", "L"; did you mean "L"?
  [1]

  $ widget c S 'replicas: -1, share: [1], when: yesterday' | kubectl apply -f -
  The Widget "c" is invalid:
  * spec.replicas: Invalid value: -1: should be greater than or equal to 0
  * spec.share: Invalid value: [1]: must be an integer or a string
  * spec.when: Invalid value: "yesterday": must be of format date-time
  [1]

  $ widget c S 'colour: red' | kubectl apply -f -
  Error from server (BadRequest): error when creating "STDIN": Widget in version "v1" cannot be handled as a Widget: strict decoding error: unknown field "spec.colour"
  [1]

  $ widget c S 'any: {deep: {as: [you, like]}}, share: 50%, labels: {x: a}' | kubectl apply -f - -o jsonpath='{.spec.any}{.spec.share}{"\n"}'
  {"deep":{"as":["you","like"]}}50%

  $ kubectl explain widget.spec
  GROUP:      example.com
  KIND:       Widget
  VERSION:    v1

  FIELD: spec <Object>


  DESCRIPTION:
      <empty>
  FIELDS:
    any	<Object>
      <no description>

    labels	<map[string]string>
      <no description>

    ports	<[]Object>
      <no description>

    replicas	<integer>
      <no description>

    share	<IntOrString>
      <no description>

    size	<string> -required-
    enum: S, M, L
      How big it is.

    when	<string>
      <no description>

  $ kubectl explain widget.spec.ports --recursive
  GROUP:      example.com
  KIND:       Widget
  VERSION:    v1

  FIELD: ports <[]Object>


  DESCRIPTION:
      <empty>
  FIELDS:
    name	<string> -required-
    port	<integer>

  $ kubectl scale widget b --replicas=5
  widget.example.com/b scaled

  $ kubectl scale widget b --replicas=2 --current-replicas=9
  error: Expected replicas to be 9, was 5
  [1]

  $ kubectl get widget b -o jsonpath='{.spec.replicas} {.metadata.generation}{"\n"}'
  5 2

  $ kubectl get widget b --subresource=scale
  NAME   AGE
  b      <age>

  $ kubectl patch widget b --subresource=status --type=merge -p '{"status":{"replicas":5,"selector":"x=y","conditions":[{"type":"Ready","status":"True"}]}}'
  widget.example.com/b patched

  $ kubectl wait widget/b --for=condition=Ready --timeout=5s
  widget.example.com/b condition met

  $ kubectl wait widget/b --for=jsonpath='{.status.replicas}'=5 --timeout=5s
  widget.example.com/b condition met

  $ kubectl get widgets.v1beta1.example.com a -o jsonpath='{.apiVersion} {.spec.size}{"\n"}'
  Warning: example.com/v1beta1 Widget is deprecated
  example.com/v1beta1 M

  $ kubectl apply --server-side --field-manager=x -f - <<<'{apiVersion: example.com/v1, kind: Widget, metadata: {name: b}, spec: {size: L, ports: [{name: ssh, port: 22}]}}'
  widget.example.com/b serverside-applied

  $ kubectl get widget b -o jsonpath='{.spec.ports[*].name}{"\n"}'
  ssh

  $ kubectl label wd --all group=one
  widget.example.com/a labeled
  widget.example.com/b labeled
  widget.example.com/c labeled

  $ kubectl get wd -l group=one --sort-by=.spec.replicas -o custom-columns=N:.metadata.name,R:.spec.replicas
  N     R
  a     1
  c     1
  b     5

  $ kubectl describe widget a | sed -n '1,/^Spec/p'
  Name:         a
  Namespace:    default
  Labels:       group=one
  Annotations:  <none>
  API Version:  example.com/v1
  Kind:         Widget
  Metadata:
    Creation Timestamp:  <time>
    Generation:          1
    Resource Version:    <rv>
    UID:                 <uid>
  Spec:

  $ kubectl get events
  No resources found in default namespace.

  $ (watched; widget late | kubectl apply -f - >/dev/null) & kubectl get wd -w --request-timeout=4s --no-headers -o name; wait
  widget.example.com/a
  widget.example.com/b
  widget.example.com/c
  widget.example.com/late

  $ kubectl delete widget late
  widget.example.com "late" deleted from default namespace

What is no definition.

  $ sed 's/name: widgets.example.com/name: gadgets.example.com/' widget.yaml | kubectl create -f -
  The CustomResourceDefinition "gadgets.example.com" is invalid: metadata.name: Invalid value: must be spec.names.plural+"."+spec.group: "widgets.example.com"
  [1]

  $ sed 's/widgets/gizmos/; s/plural: widgets/plural: gizmos/; s/storage: false/storage: true/' widget.yaml | kubectl create -f -
  The CustomResourceDefinition "gizmos.example.com" is invalid: spec.versions: Invalid value: must have exactly one version marked as storage version, 2 are
  [1]

  $ kubectl create -f - <<<'{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: instances.shakenfist.io}, spec: {group: shakenfist.io, scope: Namespaced, names: {plural: instances, kind: Instance}, versions: [{name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}'
  Error from server (Forbidden): error when creating "STDIN": customresourcedefinitions.apiextensions.k8s.io "instances.shakenfist.io" is forbidden: this kind is part of the server and changes with it
  [1]

  $ kubectl patch crd widgets.example.com --type=merge -p '{"spec":{"scope":"Cluster"}}'
  The CustomResourceDefinition "widgets.example.com" is invalid: spec.scope: Invalid value: "Cluster": field is immutable
  [1]

  $ kubectl patch crd widgets.example.com --type=merge -p '{"spec":{"names":{"kind":"Other"}}}'
  The CustomResourceDefinition "widgets.example.com" is invalid: spec.names.kind: Invalid value: "Other": field is immutable
  [1]

  $ kubectl patch crd widgets.example.com --type=json -p '[{"op":"replace","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size/enum","value":["S","M","L","XL"]}]'
  customresourcedefinition.apiextensions.k8s.io/widgets.example.com patched

  $ widget xl XL | kubectl apply -f -
  widget.example.com/xl created

The end takes the objects along.

  $ kubectl patch widget a --type=merge -p '{"metadata":{"finalizers":["example.com/hold"]}}'
  widget.example.com/a patched

  $ kubectl delete crd widgets.example.com --wait=false
  customresourcedefinition.apiextensions.k8s.io "widgets.example.com" deleted

  $ kubectl wait widget/b --for=delete --timeout=10s

  $ kubectl get crd widgets.example.com -o json | jq -c '[.status.conditions[] | select(.type == "Terminating") | .status]'
  ["True"]

  $ widget d | kubectl create -f -
  Error from server (MethodNotAllowed): error when creating "STDIN": create not allowed while custom resource definition is terminating
  [1]

  $ kubectl patch widget a --type=merge -p '{"metadata":{"finalizers":null}}'
  widget.example.com/a patched

  $ kubectl wait crd/widgets.example.com --for=delete --timeout=10s

  $ kubectl get widgets
  Error from server (NotFound): Unable to list "example.com/v1, Resource=widgets": the server could not find the requested resource
  [1]

  $ kubectl api-versions | grep -c example
  0
  [1]
