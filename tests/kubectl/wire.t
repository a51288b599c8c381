# SPDX-License-Identifier: Apache-2.0
#
# The wire, as dashboards, operators, GitOps tools and informers use it: what they send beyond what kubectl does.
# Sfd: --controllers namespace,definition,owner,quota
# Clients: 1.35

  % B=$API/apis/shakenfist.io/v1alpha1; I=$B/namespaces/default/instances

  % code() { curl -s -o /dev/null -w '%{http_code} %{content_type}\n' "$@"; }

  % for i in 1 2 3 4 5; do vm v$i 'app: web' | kubectl create -f - || break; done

  % kubectl create cm c1

k9s and dashboards: tables with whole objects.

  $ curl -s -H 'Accept: application/json;as=Table;v=v1;g=meta.k8s.io' "$I?includeObject=Object&limit=1" | jq -c '.kind, .apiVersion, (.metadata | keys), .rows[0].object.kind, .rows[0].object.spec.cpus'
  "Table"
  "meta.k8s.io/v1"
  ["continue","remainingItemCount","resourceVersion"]
  "Instance"
  1

  $ curl -s -H 'Accept: application/json;as=Table;v=v1;g=meta.k8s.io' "$I?includeObject=None&limit=1" | jq -c '.rows[0].object'
  null

  $ curl -s -H 'Accept: application/json;as=Table;v=v1;g=meta.k8s.io' "$I?limit=1" | jq -c '.rows[0].object | .kind, .apiVersion, .metadata.name'
  "PartialObjectMetadata"
  "meta.k8s.io/v1"
  "v1"

  $ curl -s -H 'Accept: application/json;as=Table;v=v1beta1;g=meta.k8s.io' "$I?limit=1" | jq -c '.kind, .apiVersion'
  "Table"
  "meta.k8s.io/v1"

  $ curl -s -H 'Accept: application/json;as=Table;v=v1;g=meta.k8s.io' "$I?includeObject=Some" | jq -c '.code, .reason'
  400
  "BadRequest"

  $ curl -s -H 'Accept: application/json;as=Table;v=v1;g=meta.k8s.io' "$I/v1" | jq -c '.kind, (.rows | length), [.columnDefinitions[].name]'
  "Table"
  1
  ["Name","Status","Ready","IP","CPUs","Memory","Restarts","Node","Image","Age"]

  $ curl -s -H 'Accept: application/json;as=Table;v=v1;g=meta.k8s.io' "$I?watch=1&resourceVersion=0&timeoutSeconds=1" | head -1 | jq -c '.type, .object.kind, (.object.columnDefinitions | length)'
  "ADDED"
  "Table"
  10

Metadata-only informers.

  $ curl -s -H 'Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1' "$I?limit=1" | jq -c '.kind, .apiVersion, .items[0].kind, (.items[0] | keys)'
  "PartialObjectMetadataList"
  "meta.k8s.io/v1"
  "PartialObjectMetadata"
  ["apiVersion","kind","metadata"]

  $ curl -s -H 'Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1' "$I/v1" | jq -c '.kind, .apiVersion, keys'
  "PartialObjectMetadata"
  "meta.k8s.io/v1"
  ["apiVersion","kind","metadata"]

  $ curl -s -H 'Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1' "$I?watch=1&resourceVersion=0&timeoutSeconds=1" | head -1 | jq -c '.type, .object.kind, .object.apiVersion'
  "ADDED"
  "PartialObjectMetadata"
  "meta.k8s.io/v1"

  $ curl -s -X PATCH -H 'Content-Type: application/merge-patch+json' -H 'Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1' "$I/v1" -d '{"metadata":{"labels":{"x":"1"}}}' | jq -c '.kind, .metadata.labels'
  "PartialObjectMetadata"
  {"app":"web","x":"1"}

Lists: resourceVersion, resourceVersionMatch, limit, continue.

  $ curl -s "$I?resourceVersion=0&limit=2" | jq -c '(.items | length), (.metadata.continue | length > 0), .metadata.remainingItemCount'
  2
  true
  3

  $ curl -s "$I?resourceVersion=1&resourceVersionMatch=NotOlderThan" | jq -c '(.items | length)'
  5

  $ curl -s "$I?resourceVersion=1&resourceVersionMatch=Exact" | jq -c '.kind, (.items | length), .reason'
  "InstanceList"
  0
  null

  $ curl -s "$I?resourceVersionMatch=Exact" | jq -c '.code, .reason, .message'
  422
  "Invalid"
  "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"

  $ curl -s "$I?resourceVersion=0&resourceVersionMatch=Exact" | jq -c '.code, .reason, .message'
  422
  "Invalid"
  "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""

  $ curl -s "$I?resourceVersion=1&resourceVersionMatch=Sometimes" | jq -c '.code, .reason, .message'
  422
  "Invalid"
  "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Unsupported value: supported values: \"Exact\", \"NotOlderThan\", \"\""

  $ curl -s "$I?resourceVersion=999999999" | jq -c '.code, .reason, .details.causes[0].reason'
  504
  "Timeout"
  "ResourceVersionTooLarge"

  $ curl -s "$I?resourceVersion=abc" | jq -c '.code, .reason, .message'
  400
  "BadRequest"
  "resourceVersion: Invalid value: \"abc\""

  $ curl -s "$I?limit=-1" | jq -c '.code // (.items | length)'
  400

  $ curl -s "$I?limit=abc" | jq -c '.code, .reason'
  400
  "BadRequest"

  $ curl -s "$I?continue=nonsense" | jq -c '.code, .reason, .message'
  400
  "BadRequest"
  "continue: Invalid value: continue key is not valid"

  $ C=$(curl -s "$I?limit=2" | jq -r .metadata.continue); kubectl delete cm c1 >/dev/null; curl -s -G "$I" -d limit=2 --data-urlencode "continue=$C" | jq -c '[.items[].metadata.name], .metadata.remainingItemCount'
  ["v3","v4"]
  1

  $ curl -s -G "$I" -d resourceVersion=5 --data-urlencode "continue=$C" | jq -c '.code, .message'
  400
  "specifying resource version is not allowed when using continue"

  $ curl -s "$I?fieldSelector=spec.cpus=1" | jq -c '.code, .message'
  null
  null

  $ curl -s "$I?fieldSelector=metadata.name%3Dv2,metadata.namespace%3Ddefault" | jq -c '[.items[].metadata.name]'
  ["v2"]

  $ curl -s "$I?labelSelector=app+in+(web,db),x" | jq -c '[.items[].metadata.name]'
  ["v1"]

  $ curl -s "$I?labelSelector=app%3D%3D" | jq -c '(.items | length)'
  0

  $ curl -s "$I?labelSelector=)(" | jq -c '.code, .reason'
  400
  "BadRequest"

Watches.

  $ curl -s "$I?watch=true&resourceVersion=999999999&timeoutSeconds=1" | jq -c '.code, .reason, .type'
  410
  "Expired"
  null

  $ curl -s "$I?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1" | jq -c '[.type, .object.metadata.name, .object.metadata.annotations["k8s.io/initial-events-end"]]'
  ["ADDED","v1",null]
  ["ADDED","v2",null]
  ["ADDED","v3",null]
  ["ADDED","v4",null]
  ["ADDED","v5",null]
  ["BOOKMARK",null,"true"]
  ["BOOKMARK",null,null]

  $ curl -s "$I?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&timeoutSeconds=1" | jq -c '.code, .reason, .message'
  422
  "Invalid"
  "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"

  $ curl -s "$I?watch=true&sendInitialEvents=true&resourceVersionMatch=Exact&timeoutSeconds=1" | jq -c '.code, .reason'
  422
  "Invalid"

  $ curl -s "$I?watch=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1" | jq -c '.code, .reason, .message'
  422
  "Invalid"
  "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"

  $ curl -s "$I?watch=true&timeoutSeconds=abc" | jq -c '.code, .reason'
  400
  "BadRequest"

  $ curl -s "$I?watch=true&timeoutSeconds=1&fieldSelector=metadata.name=v3" | jq -c '[.type, .object.metadata.name]'
  ["ADDED","v3"]

  $ curl -s "$I/v3?watch=true&timeoutSeconds=1" | jq -c '[.type, .object.metadata.name]'
  [null,null]

  $ curl -s "$API/api/v1/watch/namespaces/default/configmaps?timeoutSeconds=1" | jq -c '.code'
  404

  $ curl -si "$I?watch=true&timeoutSeconds=1" | grep -iE '^(HTTP|content-type|transfer-encoding)' | tr -d '\r'
  HTTP/1.1 200 OK
  Content-Type: application/json
  Transfer-Encoding: chunked

Encodings and methods.

  $ code $I
  200 application/json

  $ code -H 'Accept: */*' $I
  200 application/json

  $ code -H 'Accept: application/yaml' $I/v1
  200 application/yaml

  $ curl -s -H 'Accept: application/yaml' $I/v1 | head -3
  apiVersion: shakenfist.io/v1alpha1
  kind: Instance
  metadata:

  $ code -H 'Accept: application/vnd.kubernetes.protobuf' $I
  406 application/json

  $ code -H 'Accept: application/vnd.kubernetes.protobuf,application/json' $I
  200 application/json

  $ code -H 'Accept: text/html' $I
  406 application/json

  $ code -H 'Accept: application/cbor,application/json' $I
  200 application/json

  $ code -H 'Accept-Encoding: gzip' --compressed $I
  200 application/json

  $ curl -sI $I/v1 | head -1 | tr -d '\r'
  HTTP/1.1 200 OK

  $ curl -sI $I | head -1 | tr -d '\r'
  HTTP/1.1 200 OK

  $ curl -s -X OPTIONS $I | jq -c '.code, .reason'
  405
  "MethodNotAllowed"

  $ curl -s -X OPTIONS -H 'Origin: http://x' -H 'Access-Control-Request-Method: GET' $I | jq -c '.code'
  403

  $ curl -s -X POST $I/v1 -d '{}' -H 'Content-Type: application/json' | jq -c '.code, .reason, .message'
  405
  "MethodNotAllowed"
  "the server does not allow this method on the requested resource"

  $ curl -s -X PUT $I -d '{}' -H 'Content-Type: application/json' | jq -c '.code, .reason, .message'
  405
  "MethodNotAllowed"
  "the server does not allow this method on the requested resource"

  $ curl -s -X PATCH $I/v1 -d '{}' | jq -c '.code, .reason, .message'
  415
  "UnsupportedMediaType"
  "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"

  $ curl -s -X PATCH -H 'Content-Type: application/merge-patch+json' $I/v1 -d '{' | jq -c '.code, .reason'
  400
  "BadRequest"

  $ curl -s -X POST -H 'Content-Type: text/plain' $I -d '{}' | jq -c '.code, .reason'
  415
  "UnsupportedMediaType"

  $ curl -s -X POST -H 'Content-Type: application/json' $I -d '' | jq -c '.code, .reason, .message'
  400
  "BadRequest"
  "the body is empty"

  $ curl -s -X POST -H 'Content-Type: application/json' $I -d '{"metadata":{"name":"q"},"spec":{"cpus":1,"cpus":2,"disks":[{"name":"r","size":"1Gi"}]}}' | jq -c '.code, .reason, .message'
  400
  "BadRequest"
  "Instance in version \"v1alpha1\" cannot be handled as a Instance: strict decoding error: duplicate field \"spec.cpus\""

  $ curl -s -X POST -H 'Content-Type: application/json' "$I?fieldValidation=Warn" -D - -d '{"metadata":{"name":"q"},"spec":{"cpuz":1,"disks":[{"name":"r","size":"1Gi"}]}}' -o /dev/null | grep -iE '^(HTTP|warning)' | tr -d '\r'
  HTTP/1.1 201 Created
  Warning: 299 - "unknown field \"spec.cpuz\""

  $ curl -s -X POST -H 'Content-Type: application/json' "$I?fieldValidation=Often" -d '{}' | jq -c '.code, .reason, .message'
  422
  "Invalid"
  "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Often\": supported values: \"Ignore\", \"Strict\", \"Warn\""

  $ curl -s -X POST -H 'Content-Type: application/json' "$I?dryRun=Some" -d '{}' | jq -c '.code, .reason, .message'
  422
  "Invalid"
  "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \"Some\": supported values: \"All\""

  $ curl -s -X POST -H 'Content-Type: application/yaml' $I --data-binary "$(vm yaml)" | jq -c '.kind, .metadata.name'
  "Instance"
  "yaml"

  $ curl -s -X PATCH -H 'Content-Type: application/apply-patch+yaml' "$I/ay?fieldManager=curl" --data-binary "$(vm ay)" | jq -c '.kind, .metadata.name'
  "Instance"
  "ay"

  $ curl -s -X PATCH -H 'Content-Type: application/apply-patch+yaml' "$I/ay" --data-binary "$(vm ay)" | jq -c '.code, .message'
  422
  "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"

  $ curl -s -X PATCH -H 'Content-Type: application/merge-patch+json' "$I/ay?force=true" -d '{}' | jq -c '.code, .message'
  422
  "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch"

  $ curl -s -X PATCH -H 'Content-Type: application/apply-patch+yaml' "$I/other?fieldManager=curl" --data-binary "$(vm ay)" | jq -c '.code, .message'
  400
  "the name of the object (ay) does not match the name on the URL (other)"

  $ curl -s -X POST -H 'Content-Type: application/json' "$I?fieldManager=$(printf 'x%.0s' $(seq 200))" -d '{}' | jq -c '.code, .message'
  422
  "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than 128 bytes"

Deleting.

  $ curl -s -X DELETE $I/v5 -H 'Content-Type: application/json' -d '{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"resourceVersion":"1"}}' | jq -c '.code, .reason'
  409
  "Conflict"

  $ curl -s -X DELETE "$I/v5?propagationPolicy=Sideways" | jq -c '.code, .reason, .message'
  422
  "Invalid"
  "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Sideways\": supported values: \"Background\", \"Foreground\", \"Orphan\""

  $ curl -s -X DELETE "$I/v5" | jq -c '.kind, .metadata.name, .metadata.deletionGracePeriodSeconds, (.metadata.deletionTimestamp | length)'
  "Instance"
  "v5"
  0
  20

  $ curl -s -X DELETE "$I/v5?gracePeriodSeconds=-3" | jq -c '.code // .kind'
  "Instance"

  $ curl -s -X DELETE "$I?labelSelector=app=none" | jq -c '.kind, .items'
  "InstanceList"
  []

  $ curl -s -X DELETE "$I?fieldSelector=metadata.name=v4" | jq -c '.kind, [.items[].metadata.name]'
  "InstanceList"
  ["v4"]

Replacing without a version replaces whatever is there; with one, only that.

  $ curl -s $I/v1 | jq 'del(.metadata.resourceVersion)' | curl -s -X PUT -H 'Content-Type: application/json' $I/v1 -d @- | jq -c '.kind'
  "Instance"

  $ curl -s $I/v1 | jq '.metadata.resourceVersion = "1"' | curl -s -X PUT -H 'Content-Type: application/json' $I/v1 -d @- | jq -c '.code, .reason'
  409
  "Conflict"

  $ curl -s $I/v1 | jq '.metadata.namespace = "other"' | curl -s -X PUT -H 'Content-Type: application/json' $I/v1 -d @- | jq -c '.code, .message'
  400
  "the namespace of the provided object (other) does not match the namespace sent on the request (default)"

  $ curl -s $I/v1 | jq '.metadata.name = "other"' | curl -s -X PUT -H 'Content-Type: application/json' $I/v1 -d @- | jq -c '.code, .message'
  400
  "the name of the object (other) does not match the name on the URL (v1)"

  $ curl -s $I/v1 | curl -s -X PUT -H 'Content-Type: application/json' $I/nope -d @- | jq -c '.code, .message'
  400
  "the name of the object (v1) does not match the name on the URL (nope)"

  $ curl -s $I/v1 | jq '.metadata.name = "nope" | del(.metadata.uid)' | curl -s -X PUT -H 'Content-Type: application/json' $I/nope -d @- | jq -c '.code, .message'
  404
  "instances.shakenfist.io \"nope\" not found"

  $ A=$(curl -s $I/v1 | jq -r .metadata.resourceVersion); curl -s $I/v1 | curl -s -X PUT -H 'Content-Type: application/json' $I/v1 -d @- | jq -r .metadata.resourceVersion | grep -cx $A
  1

Paths that are not there.

  $ curl -s $API/apis/shakenfist.io/v1alpha1/namespaces/default/nopes | jq -c .
  {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not find the requested resource","reason":"NotFound","details":{},"code":404}

  $ curl -s $API/apis/shakenfist.io/v1alpha1/instances/v1 | jq -c .code
  404

  $ curl -s $API/api/v1/namespaces/default/namespaces | jq -c .code
  404

  $ curl -s $I/v1/nope | jq -c .code
  404

  $ curl -s $I/v1/scale | jq -c .code
  404

  $ curl -s "$API//apis" | jq -c '.code // .kind'
  400

  $ curl -s --path-as-is "$API/apis/../api" | jq -c '.code // .kind'
  400

kubectl proxy.

  % kubectl proxy --port=8901 >proxy.log 2>&1 & PROXY=$!

  % wait_for 10 curl -fsS http://127.0.0.1:8901/version

  $ curl -s http://127.0.0.1:8901/apis/shakenfist.io/v1alpha1/namespaces/default/instances/v1 | jq -c .metadata.name
  "v1"

  $ curl -s "http://127.0.0.1:8901/apis/shakenfist.io/v1alpha1/namespaces/default/instances?watch=1&timeoutSeconds=1&fieldSelector=metadata.name=v2" | jq -c '[.type, .object.metadata.name]'
  ["ADDED","v2"]

  % kill $PROXY
