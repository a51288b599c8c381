# SPDX-License-Identifier: Apache-2.0
#
# Who one is and what one may: TLS, client certificates, tokens, roles and bindings, reviews, revoking.
# Sfd: --controllers namespace,definition,owner,quota,credential,cluster-info --listen tls:127.0.0.1:8443
# Clients: 1.35

  % kubectl create ns dev; vm v1 | kubectl create -n dev -f -; vm v1 | kubectl create -f -

The administrator's own kubeconfig.

  $ sfctl kubeconfig >admin.conf; kubectl --kubeconfig admin.conf get vm -A
  credential root-...: user "root", groups system:masters, valid for ...; sfctl certificates revoke root-... ends it
  NAMESPACE   NAME   STATUS   READY     IP    CPUS   MEMORY   AGE
  default     v1              Unknown         1      128Mi    <age>
  dev         v1              Unknown         1      128Mi    <age>

  $ kubectl --kubeconfig admin.conf auth whoami
  ATTRIBUTE   VALUE
  Username    root
  Groups      [system:masters system:authenticated]

  $ kubectl --kubeconfig admin.conf auth can-i '*' '*'
  yes

  $ kubectl --kubeconfig admin.conf cluster-info 2>&1 | head -1
  Kubernetes control plane is running at https://127.0.0.1:8443

A user with a certificate may do nothing until somebody says so.

  $ sfctl kubeconfig --user jane --group devs >jane.conf; export J="--kubeconfig jane.conf"; kubectl $J auth whoami
  credential jane-...: user "jane", groups devs, valid for 365d; sfctl certificates revoke jane-... ends it
  ATTRIBUTE   VALUE
  Username    jane
  Groups      [devs system:authenticated]

  $ kubectl $J get vm
  Error from server (Forbidden): instances.shakenfist.io is forbidden: User "jane" cannot list resource "instances" in API group "shakenfist.io" in the namespace "default"
  [1]

  $ kubectl $J get vm -n nowhere
  Error from server (Forbidden): instances.shakenfist.io is forbidden: User "jane" cannot list resource "instances" in API group "shakenfist.io" in the namespace "nowhere"
  [1]

  $ kubectl $J get vm nope
  Error from server (Forbidden): instances.shakenfist.io "nope" is forbidden: User "jane" cannot get resource "instances" in API group "shakenfist.io" in the namespace "default"
  [1]

  $ kubectl $J get ns
  Error from server (Forbidden): namespaces is forbidden: User "jane" cannot list resource "namespaces" in API group "" at the cluster scope
  [1]

  $ kubectl $J version | tail -1
  Server Version: v1.34.0+sf...

  $ kubectl $J api-resources --api-group=shakenfist.io -o name
  credentials.shakenfist.io
  images.shakenfist.io
  instances.shakenfist.io
  networks.shakenfist.io
  nodes.shakenfist.io

  $ kubectl $J auth can-i get vm; kubectl $J auth can-i get vm -q || echo no it is
  no
  no it is

  $ kubectl $J auth can-i --list -n dev | awk '!seen[$0]++'
  Resources                                       Non-Resource URLs   Resource Names   Verbs
  selfsubjectreviews.authentication.k8s.io        []                  []               [create]
  selfsubjectaccessreviews.authorization.k8s.io   []                  []               [create]
  selfsubjectrulesreviews.authorization.k8s.io    []                  []               [create]
                                                  [/api/*]            []               [get]
                                                  [/api]              []               [get]
                                                  [/apis/*]           []               [get]
                                                  [/apis]             []               [get]
                                                  [/healthz]          []               [get]
                                                  [/livez]            []               [get]
                                                  [/openapi/*]        []               [get]
                                                  [/openapi]          []               [get]
                                                  [/readyz]           []               [get]
                                                  [/version/]         []               [get]
                                                  [/version]          []               [get]

Roles and bindings.

  $ kubectl create rolebinding jane-view -n dev --clusterrole=view --user=jane
  rolebinding.rbac.authorization.k8s.io/jane-view created

  $ kubectl $J get vm -n dev
  NAME   STATUS   READY     IP    CPUS   MEMORY   AGE
  v1              Unknown         1      128Mi    <age>

  $ kubectl $J get vm -A
  Error from server (Forbidden): instances.shakenfist.io is forbidden: User "jane" cannot list resource "instances" in API group "shakenfist.io" at the cluster scope
  [1]

  $ kubectl $J delete vm v1 -n dev
  Error from server (Forbidden): instances.shakenfist.io "v1" is forbidden: User "jane" cannot delete resource "instances" in API group "shakenfist.io" in the namespace "dev"
  [1]

  $ kubectl $J get secrets -n dev
  Error from server (Forbidden): secrets is forbidden: User "jane" cannot list resource "secrets" in API group "" in the namespace "dev"
  [1]

  $ kubectl $J auth can-i list vm -n dev
  yes

  $ kubectl $J auth can-i delete vm -n dev
  no
  [1]

  $ kubectl $J auth can-i get vm/v1 -n default
  no
  [1]

  $ kubectl create rolebinding devs-edit -n dev --clusterrole=edit --group=devs
  rolebinding.rbac.authorization.k8s.io/devs-edit created

  $ kubectl $J label vm v1 -n dev by=jane
  instance.shakenfist.io/v1 labeled

  $ vm v2 | kubectl $J apply -n dev -f -
  instance.shakenfist.io/v2 created

  $ vm v3 | kubectl $J apply -n default -f -
  Error from server (Forbidden): error when retrieving current configuration of:
  Resource: "shakenfist.io/v1alpha1, Resource=instances", GroupVersionKind: "shakenfist.io/v1alpha1, Kind=Instance"
  Name: "v3", Namespace: "default"
  from server for: "STDIN": instances.shakenfist.io "v3" is forbidden: User "jane" cannot get resource "instances" in API group "shakenfist.io" in the namespace "default"
  [1]

  $ kubectl $J create secret generic s -n dev --from-literal=a=b
  secret/s created

  $ kubectl $J create rolebinding me -n dev --clusterrole=admin --user=jane
  error: failed to create rolebinding: rolebindings.rbac.authorization.k8s.io is forbidden: User "jane" cannot create resource "rolebindings" in API group "rbac.authorization.k8s.io" in the namespace "dev"
  [1]

  $ kubectl create role starter -n dev --verb=get --resource=instances --resource-name=v1
  role.rbac.authorization.k8s.io/starter created

  $ kubectl create role powerful -n dev --verb=create --resource=instances/start,instances/stop
  role.rbac.authorization.k8s.io/powerful created

  $ kubectl describe role powerful -n dev
  Name:         powerful
  Labels:       <none>
  Annotations:  <none>
  PolicyRule:
    Resources                      Non-Resource URLs  Resource Names  Verbs
    ---------                      -----------------  --------------  -----
    instances.shakenfist.io/start  []                 []              [create]
    instances.shakenfist.io/stop   []                 []              [create]

  $ kubectl describe rolebinding jane-view -n dev
  Name:         jane-view
  Labels:       <none>
  Annotations:  <none>
  Role:
    Kind:  ClusterRole
    Name:  view
  Subjects:
    Kind  Name  Namespace
    ----  ----  ---------
    User  jane

  $ kubectl describe clusterrole view | head -8
  Name:         view
  Labels:       kubernetes.io/bootstrapping=rbac-defaults
                rbac.authorization.k8s.io/aggregate-to-edit=true
  Annotations:  rbac.authorization.kubernetes.io/autoupdate: true
  PolicyRule:
    Resources                       Non-Resource URLs  Resource Names  Verbs
    ---------                       -----------------  --------------  -----
    configmaps                      []                 []              [get list watch]

  $ kubectl get rolebinding -n dev -o wide
  NAME        ROLE               AGE   USERS   GROUPS   SERVICEACCOUNTS
  devs-edit   ClusterRole/edit   <age>            devs
  jane-view   ClusterRole/view   <age>    jane

  $ kubectl patch rolebinding jane-view -n dev --type=merge -p '{"roleRef":{"name":"admin"}}'
  The RoleBinding "jane-view" is invalid: roleRef: Invalid value: rbac.RoleRef{APIGroup:"rbac.authorization.k8s.io", Kind:"ClusterRole", Name:"admin"}: cannot change roleRef
  [1]

  $ kubectl create rolebinding odd -n dev --clusterrole=nope --user=joe
  rolebinding.rbac.authorization.k8s.io/odd created

  $ kubectl auth reconcile -f - <<<'{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: rec, namespace: dev}, rules: [{apiGroups: [shakenfist.io], resources: [instances], verbs: [get]}]}'
  role.rbac.authorization.k8s.io/rec reconciled
  	reconciliation required create
  	missing rules added:
  		{Verbs:[get] APIGroups:[shakenfist.io] Resources:[instances] ResourceNames:[] NonResourceURLs:[]}

  $ kubectl auth reconcile -f - <<<'{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: rec, namespace: dev}, rules: [{apiGroups: [shakenfist.io], resources: [instances], verbs: [get, list]}]}'
  role.rbac.authorization.k8s.io/rec reconciled
  	reconciliation required update
  	missing rules added:
  		{Verbs:[list] APIGroups:[shakenfist.io] Resources:[instances] ResourceNames:[] NonResourceURLs:[]}

  $ kubectl delete rolebinding jane-view devs-edit -n dev
  rolebinding.rbac.authorization.k8s.io "jane-view" deleted from dev namespace
  rolebinding.rbac.authorization.k8s.io "devs-edit" deleted from dev namespace

  $ kubectl $J get vm -n dev
  Error from server (Forbidden): instances.shakenfist.io is forbidden: User "jane" cannot list resource "instances" in API group "shakenfist.io" in the namespace "dev"
  [1]

  $ kubectl delete clusterrole view
  clusterrole.rbac.authorization.k8s.io "view" deleted

  $ kubectl create clusterrolebinding jane-root --clusterrole=cluster-admin --user=jane
  clusterrolebinding.rbac.authorization.k8s.io/jane-root created

  $ kubectl $J get vm -A --no-headers | wc -l
  3

  $ kubectl $J auth can-i create credentials
  Warning: resource 'credentials' is not namespace scoped in group 'shakenfist.io'

  yes

Tokens.

  $ sfctl kubeconfig --user ci --group bots --token --ttl 1h >ci.conf; export C="--kubeconfig ci.conf"; kubectl $C auth whoami
  credential ci-...: user "ci", groups bots, valid for ...; sfctl certificates revoke ci-... ends it
  ATTRIBUTE   VALUE
  Username    ci
  Groups      [bots system:authenticated]

  $ kubectl $C get vm
  Error from server (Forbidden): instances.shakenfist.io is forbidden: User "ci" cannot list resource "instances" in API group "shakenfist.io" in the namespace "default"
  [1]

  $ kubectl create clusterrolebinding bots --clusterrole=edit --group=bots
  clusterrolebinding.rbac.authorization.k8s.io/bots created

  $ kubectl $C get vm -o name
  instance.shakenfist.io/v1

  % T=$(grep -o 'token: .*' ci.conf | cut -d' ' -f2 | tr -d \")

  % curl -fsS --cacert <(sfctl certificates ca) -H "Authorization: Bearer $T" https://127.0.0.1:8443/version

  $ curl -sk -H "Authorization: Bearer ${T}x" https://127.0.0.1:8443/api | jq -c '.code, .reason, .message'
  401
  "Unauthorized"
  "Unauthorized"

  $ curl -sk https://127.0.0.1:8443/api/v1/namespaces | jq -c '.code, .reason'
  401
  "Unauthorized"

  $ curl -sk https://127.0.0.1:8443/readyz; echo
  ok

  $ curl -sk https://127.0.0.1:8443/version | jq -r .major
  1

  $ curl -sk -H "Authorization: Basic YTpi" https://127.0.0.1:8443/api/v1/namespaces | jq -c '.code'
  401

  $ kubectl --kubeconfig ci.conf --token=wrong get vm
  error: You must be logged in to the server (Unauthorized)
  [1]

  $ curl -sk -H "Authorization: Bearer $T" -H 'Impersonate-User: admin' https://127.0.0.1:8443/api/v1/namespaces | jq -c '.code, .reason'
  403
  "Forbidden"

  $ curl -sk -H 'X-Remote-User: admin' -H 'X-Remote-Group: system:masters' https://127.0.0.1:8443/api/v1/namespaces | jq -c '.code'
  401

  $ kubectl $C get credentials
  Error from server (Forbidden): credentials.shakenfist.io is forbidden: User "ci" cannot list resource "credentials" in API group "shakenfist.io" at the cluster scope
  [1]

Revoking.

  $ sfctl certificates
  NAME         USER   GROUPS           KIND          EXPIRES                SERIAL
  ci-...     ci     bots             Token         <time>   <none>
  jane-...   jane   devs             Certificate   <time>   ...
  root-...   root   system:masters   Certificate   <time>   ...

  $ kubectl get credentials
  NAME         USER   GROUPS             TYPE          ISSUED   EXPIRES                AGE
  ci-...     ci     [bots]             Token         True     <time>   <age>
  jane-...   jane   [devs]             Certificate   True     <time>   <age>
  root-...   root   [system:masters]   Certificate   True     <time>   <age>

  $ kubectl get cred -o json | jq -r '.items[].spec | keys | join(",")' | sort
  expirationSeconds,groups,request,user
  expirationSeconds,groups,request,user
  expirationSeconds,groups,tokenHash,user

  $ kubectl delete $(kubectl get cred -o name | grep ci)
  credential.shakenfist.io "ci-..." deleted

  $ kubectl $C get vm
  error: You must be logged in to the server (Unauthorized)
  [1]

  $ sfctl certificates revoke $(kubectl get cred -o name | grep jane | cut -d/ -f2)
  credential jane-... revoked

  $ kubectl $J get vm
  error: You must be logged in to the server (Unauthorized)
  [1]
