# SPDX-License-Identifier: Apache-2.0
#
# What the server says about itself: version, groups, resources, schemas.
# Sfd: --controllers namespace,definition,owner,quota
# Clients: 1.35

  $ kubectl version
  Client Version: v1.35.2
  Kustomize Version: v5.7.1
  Server Version: v1.34.0+...


  $ kubectl version -o json | jq -r '.serverVersion | .major, .minor, .platform'
  1
  34
  linux/amd64

  $ kubectl cluster-info
  Kubernetes control plane is running at http://127.0.0.1:6443

  To further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.

  $ kubectl api-versions
  apiextensions.k8s.io/v1
  authentication.k8s.io/v1
  authorization.k8s.io/v1
  coordination.k8s.io/v1
  events.k8s.io/v1
  rbac.authorization.k8s.io/v1
  shakenfist.io/v1alpha1
  v1

  $ kubectl api-resources
  NAME                        SHORTNAMES   APIVERSION                     NAMESPACED   KIND
  configmaps                  cm           v1                             true         ConfigMap
  events                      ev           v1                             true         Event
  namespaces                  ns           v1                             false        Namespace
  pods                        po           v1                             true         Pod
  resourcequotas              quota        v1                             true         ResourceQuota
  secrets                                  v1                             true         Secret
  services                    svc          v1                             true         Service
  customresourcedefinitions   crd,crds     apiextensions.k8s.io/v1        false        CustomResourceDefinition
  selfsubjectreviews                       authentication.k8s.io/v1       false        SelfSubjectReview
  localsubjectaccessreviews                authorization.k8s.io/v1        true         LocalSubjectAccessReview
  selfsubjectaccessreviews                 authorization.k8s.io/v1        false        SelfSubjectAccessReview
  selfsubjectrulesreviews                  authorization.k8s.io/v1        false        SelfSubjectRulesReview
  subjectaccessreviews                     authorization.k8s.io/v1        false        SubjectAccessReview
  leases                                   coordination.k8s.io/v1         true         Lease
  events                                   events.k8s.io/v1               true         Event
  clusterrolebindings                      rbac.authorization.k8s.io/v1   false        ClusterRoleBinding
  clusterroles                             rbac.authorization.k8s.io/v1   false        ClusterRole
  rolebindings                             rbac.authorization.k8s.io/v1   true         RoleBinding
  roles                                    rbac.authorization.k8s.io/v1   true         Role
  credentials                 cred         shakenfist.io/v1alpha1         false        Credential
  images                      img          shakenfist.io/v1alpha1         true         Image
  instances                   vm,inst      shakenfist.io/v1alpha1         true         Instance
  networks                    net          shakenfist.io/v1alpha1         true         Network
  nodes                       no           shakenfist.io/v1alpha1         false        Node

  $ kubectl api-resources --namespaced=false -o name
  namespaces
  customresourcedefinitions.apiextensions.k8s.io
  selfsubjectreviews.authentication.k8s.io
  selfsubjectaccessreviews.authorization.k8s.io
  selfsubjectrulesreviews.authorization.k8s.io
  subjectaccessreviews.authorization.k8s.io
  clusterrolebindings.rbac.authorization.k8s.io
  clusterroles.rbac.authorization.k8s.io
  credentials.shakenfist.io
  nodes.shakenfist.io

  $ kubectl api-resources --api-group=shakenfist.io -o wide
  NAME          SHORTNAMES   APIVERSION               NAMESPACED   KIND         VERBS                                                        CATEGORIES
  credentials   cred         shakenfist.io/v1alpha1   false        Credential   create,delete,deletecollection,get,list,patch,update,watch   sf
  images        img          shakenfist.io/v1alpha1   true         Image        create,delete,deletecollection,get,list,patch,update,watch   all,sf
  instances     vm,inst      shakenfist.io/v1alpha1   true         Instance     create,delete,deletecollection,get,list,patch,update,watch   all,sf
  networks      net          shakenfist.io/v1alpha1   true         Network      create,delete,deletecollection,get,list,patch,update,watch   all,sf
  nodes         no           shakenfist.io/v1alpha1   false        Node         create,delete,deletecollection,get,list,patch,update,watch   sf

  $ kubectl api-resources --api-group=shakenfist.io --verbs=list,watch -o name
  credentials.shakenfist.io
  images.shakenfist.io
  instances.shakenfist.io
  networks.shakenfist.io
  nodes.shakenfist.io

  $ kubectl api-resources --api-group=no.such
  NAME   SHORTNAMES   APIVERSION   NAMESPACED   KIND

  $ kubectl api-resources --categories=all -o name
  images.shakenfist.io
  instances.shakenfist.io
  networks.shakenfist.io

  $ kubectl api-resources --sort-by=kind --no-headers | awk '{ print $NF }'
  ClusterRole
  ClusterRoleBinding
  ConfigMap
  Credential
  CustomResourceDefinition
  Event
  Event
  Image
  Instance
  Lease
  LocalSubjectAccessReview
  Namespace
  Network
  Node
  Pod
  ResourceQuota
  Role
  RoleBinding
  Secret
  SelfSubjectAccessReview
  SelfSubjectReview
  SelfSubjectRulesReview
  Service
  SubjectAccessReview

  $ kubectl get --raw /api
  {"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[]}

  $ kubectl get --raw /api/ | jq -c .versions
  ["v1"]

  $ kubectl get --raw /apis | jq -c '.kind, [.groups[] | .name + " " + .preferredVersion.version]'
  "APIGroupList"
  ["apiextensions.k8s.io v1","coordination.k8s.io v1","events.k8s.io v1","rbac.authorization.k8s.io v1","shakenfist.io v1alpha1","authentication.k8s.io v1","authorization.k8s.io v1"]

  $ kubectl get --raw /apis/shakenfist.io | jq -c .
  {"name":"shakenfist.io","versions":[{"groupVersion":"shakenfist.io/v1alpha1","version":"v1alpha1"}],"preferredVersion":{"groupVersion":"shakenfist.io/v1alpha1","version":"v1alpha1"},"kind":"APIGroup","apiVersion":"v1"}

  $ kubectl get --raw /apis/shakenfist.io/v1alpha1 | jq -c '.groupVersion, (.resources[] | select(.name | startswith("instances")) | del(.categories))'
  "shakenfist.io/v1alpha1"
  {"name":"instances","singularName":"instance","namespaced":true,"kind":"Instance","verbs":["create","delete","deletecollection","get","list","patch","update","watch"],"shortNames":["vm","inst"]}
  {"name":"instances/status","singularName":"","namespaced":true,"kind":"Instance","verbs":["get","patch","update"]}
  {"name":"instances/start","singularName":"","namespaced":true,"kind":"Instance","verbs":["create"]}
  {"name":"instances/stop","singularName":"","namespaced":true,"kind":"Instance","verbs":["create"]}
  {"name":"instances/restart","singularName":"","namespaced":true,"kind":"Instance","verbs":["create"]}
  {"name":"instances/pause","singularName":"","namespaced":true,"kind":"Instance","verbs":["create"]}
  {"name":"instances/resume","singularName":"","namespaced":true,"kind":"Instance","verbs":["create"]}
  {"name":"instances/console","singularName":"","namespaced":true,"kind":"Instance","verbs":["get"]}
  {"name":"instances/log","singularName":"","namespaced":true,"kind":"Instance","verbs":["get"]}
  {"name":"instances/portforward","singularName":"","namespaced":true,"kind":"Instance","verbs":["get"]}

  $ kubectl get --raw /apis/shakenfist.io/v9
  Error from server (NotFound): the server could not find the requested resource
  [1]

  $ kubectl get --raw /apis/no.such
  Error from server (NotFound): the server could not find the requested resource
  [1]

  $ kubectl get --raw /api/v2
  Error from server (NotFound): the server could not find the requested resource
  [1]

  $ kubectl get --raw /
  {"paths":["/api","/api/v1","/apis","/apis/apiextensions.k8s.io","/apis/apiextensions.k8s.io/v1","/apis/coordination.k8s.io","/apis/coordination.k8s.io/v1","/apis/events.k8s.io","/apis/events.k8s.io/v1","/apis/rbac.authorization.k8s.io","/apis/rbac.authorization.k8s.io/v1","/apis/shakenfist.io","/apis/shakenfist.io/v1alpha1","/apis/authentication.k8s.io","/apis/authentication.k8s.io/v1","/apis/authorization.k8s.io","/apis/authorization.k8s.io/v1","/healthz","/livez","/metrics","/openapi/v2","/openapi/v3","/readyz","/version"]}

  $ kubectl get --raw /nothing
  Error from server (NotFound): the server could not find the requested resource
  [1]

  $ kubectl get --raw /healthz; echo
  ok

  $ kubectl get --raw /livez; echo
  ok

  $ kubectl get --raw /readyz; echo
  ok

  $ kubectl get --raw '/readyz?verbose'
  [+]ping ok
  [+]store ok
  [+]workers ok
  readyz check passed

  $ kubectl get --raw '/livez?verbose'
  [+]ping ok
  [+]store ok
  [+]workers ok
  livez check passed

  $ kubectl get --raw /livez/ping; echo
  ok

  $ kubectl get --raw /version/ | jq -r .gitTreeState
  clean

  $ kubectl get --raw /metrics | grep -c '^# TYPE '
  56

  $ kubectl get --raw /openapi/v3 | jq -r '.paths | keys[]'
  api/v1
  apis/apiextensions.k8s.io/v1
  apis/coordination.k8s.io/v1
  apis/events.k8s.io/v1
  apis/rbac.authorization.k8s.io/v1
  apis/shakenfist.io/v1alpha1

  $ kubectl get --raw /openapi/v3/apis/shakenfist.io/v1alpha1 | jq -r '.openapi, (.components.schemas | keys[])'
  3.0.0
  io.k8s.apimachinery.pkg.api.resource.Quantity
  io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1
  io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta
  io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry
  io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta
  io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference
  io.k8s.apimachinery.pkg.util.intstr.IntOrString
  io.shakenfist.v1alpha1.Credential
  io.shakenfist.v1alpha1.CredentialList
  io.shakenfist.v1alpha1.Image
  io.shakenfist.v1alpha1.ImageList
  io.shakenfist.v1alpha1.Instance
  io.shakenfist.v1alpha1.InstanceList
  io.shakenfist.v1alpha1.Network
  io.shakenfist.v1alpha1.NetworkList
  io.shakenfist.v1alpha1.Node
  io.shakenfist.v1alpha1.NodeList

  $ kubectl get --raw /openapi/v2 | jq -r .swagger
  2.0

  $ kubectl explain instances
  GROUP:      shakenfist.io
  KIND:       Instance
  VERSION:    v1alpha1

  DESCRIPTION:
      An Instance is a virtual machine...
  ...
  FIELDS:
    apiVersion	<string>
  ...
    kind	<string>
  ...
    metadata	<ObjectMeta>
  ...
    spec	<Object> -required-
  ...
    status	<Object>
  ...

  $ kubectl explain vm.spec.runStrategy
  GROUP:      shakenfist.io
  KIND:       Instance
  VERSION:    v1alpha1

  FIELD: runStrategy <string>
  ENUM:
      Always
      RerunOnFailure
      Manual
      Halted
      Once

  DESCRIPTION:
      When the guest should run...
  ...

  $ kubectl explain instance.spec.disks --recursive | sed -n '/^FIELDS/,$p'
  FIELDS:
    bus	<string>
    enum: virtio, scsi, sata, usb
    image	<string>
    name	<string> -required-
    size	<Quantity>

  $ kubectl explain instance.spec.memory --output=plaintext-openapiv2 | head -4
  KIND:     Instance
  VERSION:  shakenfist.io/v1alpha1

  FIELD:    memory <string>

  $ kubectl explain instance.spec.nope
  GROUP:      shakenfist.io
  KIND:       Instance
  VERSION:    v1alpha1

  error: field "nope" does not exist
  [1]

  $ kubectl explain nope
  the server doesn't have a resource type "nope"
  [1]

  $ kubectl explain network.spec.dhcp --api-version=shakenfist.io/v1alpha1 | grep -A1 FIELDS
  FIELDS:
    enabled	<boolean>

  $ kubectl explain namespace.metadata.labels | grep FIELD
  FIELD: labels <map[string]string>

  $ kubectl explain secret.data | grep FIELD
  FIELD: data <map[string]string>

  $ kubectl explain crd.spec.versions.schema | grep FIELD -A1
  FIELD: schema <Object>

  --
  FIELDS:
    openAPIV3Schema	<...>

  $ kubectl explain event.involvedObject.name | grep FIELD
  FIELD: name <string>

  $ kubectl get inst,img,net,no
  No resources found

  $ kubectl get all
  No resources found in default namespace.

  $ kubectl get sf
  No resources found

  $ kubectl get instances.shakenfist.io
  No resources found in default namespace.

  $ kubectl get instances.v1alpha1.shakenfist.io
  No resources found in default namespace.

  $ kubectl get Instance
  No resources found in default namespace.

  $ kubectl get pods2
  error: the server doesn't have a resource type "pods2"
  [1]
