# SPDX-License-Identifier: Apache-2.0
#
# Roles and bindings with kubectl: made, read, reconciled, in force. alice, bob and eve are users with certificates or
# tokens over TLS; what an administrator does goes the usual way.
# Sfd: --controllers namespace,definition,owner,credential,cluster-info,clusterrole --listen tls:127.0.0.1:6444
# Clients: 1.35 1.20

A kubeconfig each.

  % sfctl kubeconfig --server https://127.0.0.1:6444 --user alice --group dev --output alice

  % sfctl kubeconfig --server https://127.0.0.1:6444 --user bob --token --output bob

  % sfctl kubeconfig --server https://127.0.0.1:6444 --user eve --output eve

  % kubectl create namespace lab >/dev/null; vm a 'app: web' | kubectl create -n lab -f - >/dev/null

  % kubectl create secret generic s -n lab --from-literal=a=b >/dev/null

Nobody may do anything yet but ask.

  $ kubectl --kubeconfig alice version -o json | jq -r .serverVersion.major
  1

  $ kubectl --kubeconfig alice get vm -n lab
  Error from server (Forbidden): instances.shakenfist.io is forbidden: User "alice" cannot list resource "instances" in API group "shakenfist.io" in the namespace "lab"
  [1]

  $ kubectl --kubeconfig alice get vm a -n lab
  Error from server (Forbidden): instances.shakenfist.io "a" is forbidden: User "alice" cannot get resource "instances" in API group "shakenfist.io" in the namespace "lab"
  [1]

  $ kubectl --kubeconfig alice get vm nope -n lab
  Error from server (Forbidden): instances.shakenfist.io "nope" is forbidden: User "alice" cannot get resource "instances" in API group "shakenfist.io" in the namespace "lab"
  [1]

  $ kubectl --kubeconfig alice get vm -A
  Error from server (Forbidden): instances.shakenfist.io is forbidden: User "alice" cannot list resource "instances" in API group "shakenfist.io" at the cluster scope
  [1]

  $ kubectl --kubeconfig alice get nodes
  Error from server (Forbidden): nodes.shakenfist.io is forbidden: User "alice" cannot list resource "nodes" in API group "shakenfist.io" at the cluster scope
  [1]

  $ kubectl --kubeconfig alice create ns mine
  Error from server (Forbidden): namespaces is forbidden: User "alice" cannot create resource "namespaces" in API group "" at the cluster scope
  [1]

  $ kubectl --kubeconfig alice get --raw /metrics
  Error from server (Forbidden): forbidden: User "alice" cannot get path "/metrics"
  [1]

  $ kubectl --kubeconfig alice get --raw /nothing
  Error from server (Forbidden): forbidden: User "alice" cannot get path "/nothing"
  [1]

  $ kubectl --kubeconfig alice auth can-i get vm -n lab
  no
  [1]

  $ kubectl --kubeconfig alice auth can-i --list -n lab | sort
                                                  [/api/*]            []               [get]
                                                  [/api]              []               [get]
                                                  [/apis/*]           []               [get]
                                                  [/apis]             []               [get]
                                                  [/healthz]          []               [get]
                                                  [/healthz]          []               [get]
                                                  [/livez]            []               [get]
                                                  [/livez]            []               [get]
                                                  [/openapi/*]        []               [get]
                                                  [/openapi]          []               [get]
                                                  [/readyz]           []               [get]
                                                  [/readyz]           []               [get]
                                                  [/version/]         []               [get]
                                                  [/version/]         []               [get]
                                                  [/version]          []               [get]
                                                  [/version]          []               [get]
  Resources                                       Non-Resource URLs   Resource Names   Verbs
  selfsubjectaccessreviews.authorization.k8s.io   []                  []               [create]
  selfsubjectreviews.authentication.k8s.io        []                  []               [create]
  selfsubjectrulesreviews.authorization.k8s.io    []                  []               [create]

Made by kubectl.

  $ kubectl create role watcher -n lab --verb=get,list,watch --resource=instances.shakenfist.io,secrets
  role.rbac.authorization.k8s.io/watcher created

  $ kubectl create role one -n lab --verb=get --resource=secrets --resource-name=s
  role.rbac.authorization.k8s.io/one created

  $ kubectl create clusterrole metrics --verb=get --non-resource-url=/metrics
  clusterrole.rbac.authorization.k8s.io/metrics created

  $ kubectl create clusterrole consoles --verb=get --resource=instances.shakenfist.io/console
  clusterrole.rbac.authorization.k8s.io/consoles created

  $ kubectl create clusterrole all-of-it --aggregation-rule=team=lab
  clusterrole.rbac.authorization.k8s.io/all-of-it created

  $ kubectl create rolebinding alice -n lab --role=watcher --user=alice
  rolebinding.rbac.authorization.k8s.io/alice created

  $ kubectl create rolebinding devs -n lab --clusterrole=edit --group=dev --serviceaccount=lab:robot
  rolebinding.rbac.authorization.k8s.io/devs created

  $ kubectl create clusterrolebinding metrics --clusterrole=metrics --user=bob
  clusterrolebinding.rbac.authorization.k8s.io/metrics created

  $ kubectl get roles,rolebindings -n lab
  NAME                                     CREATED AT
  role.rbac.authorization.k8s.io/one       <time>
  role.rbac.authorization.k8s.io/watcher   <time>

  NAME                                          ROLE               AGE
  rolebinding.rbac.authorization.k8s.io/alice   Role/watcher       <age>
  rolebinding.rbac.authorization.k8s.io/devs    ClusterRole/edit   <age>

  $ kubectl get rolebinding -n lab -o wide
  NAME    ROLE               AGE   USERS   GROUPS   SERVICEACCOUNTS
  alice   Role/watcher       <age>    alice
  devs    ClusterRole/edit   <age>            dev      lab/robot

  $ kubectl get clusterrolebinding metrics -o wide
  NAME      ROLE                  AGE   USERS   GROUPS   SERVICEACCOUNTS
  metrics   ClusterRole/metrics   <age>    bob

  $ kubectl describe role watcher -n lab
  Name:         watcher
  Labels:       <none>
  Annotations:  <none>
  PolicyRule:
    Resources                Non-Resource URLs  Resource Names  Verbs
    ---------                -----------------  --------------  -----
    secrets                  []                 []              [get list watch]
    instances.shakenfist.io  []                 []              [get list watch]

  $ kubectl describe rolebinding devs -n lab
  Name:         devs
  Labels:       <none>
  Annotations:  <none>
  Role:
    Kind:  ClusterRole
    Name:  edit
  Subjects:
    Kind            Name   Namespace
    ----            ----   ---------
    Group           dev
    ServiceAccount  robot  lab

  $ kubectl describe clusterrole metrics
  Name:         metrics
  Labels:       <none>
  Annotations:  <none>
  PolicyRule:
    Resources  Non-Resource URLs  Resource Names  Verbs
    ---------  -----------------  --------------  -----
               [/metrics]         []              [get]

In force at once.

  $ kubectl --kubeconfig alice get vm -n lab
  NAME   STATUS   READY     IP    CPUS   MEMORY   AGE
  a               Unknown         1      128Mi    <age>

  $ kubectl --kubeconfig alice get vm -n default
  Error from server (Forbidden): instances.shakenfist.io is forbidden: User "alice" cannot list resource "instances" in API group "shakenfist.io" in the namespace "default"
  [1]

  $ kubectl --kubeconfig alice label vm a -n lab by=alice
  instance.shakenfist.io/a labeled

  $ kubectl --kubeconfig alice create configmap c -n lab
  configmap/c created

  $ kubectl --kubeconfig alice get configmap c -n lab -o name
  configmap/c

  $ kubectl --kubeconfig alice create rolebinding more -n lab --clusterrole=cluster-admin --user=alice
  error: failed to create rolebinding: rolebindings.rbac.authorization.k8s.io is forbidden: User "alice" cannot create resource "rolebindings" in API group "rbac.authorization.k8s.io" in the namespace "lab"
  [1]

  $ kubectl --kubeconfig alice auth can-i create vm -n lab
  yes

  $ kubectl --kubeconfig alice auth can-i get vm -A
  no
  [1]

  $ kubectl --kubeconfig alice auth can-i get vm/a --subresource=console -n lab
  yes

  $ kubectl --kubeconfig alice auth can-i update vm/a --subresource=status -n lab
  no
  [1]

  $ kubectl --kubeconfig alice auth can-i '*' '*'
  no
  [1]

  $ kubectl --kubeconfig bob auth can-i get /metrics
  yes

  $ kubectl --kubeconfig bob get --raw /metrics | grep -c ^apiserver_request_total >/dev/null && echo yes
  yes

  $ kubectl --kubeconfig eve get --raw /metrics
  Error from server (Forbidden): forbidden: User "eve" cannot get path "/metrics"
  [1]

One object by name: also in a list that names it.

  % kubectl create rolebinding eve -n lab --role=one --user=eve >/dev/null

  $ kubectl --kubeconfig eve get secret s -n lab -o name
  secret/s

  $ kubectl --kubeconfig eve get secret t -n lab
  Error from server (Forbidden): secrets "t" is forbidden: User "eve" cannot get resource "secrets" in API group "" in the namespace "lab"
  [1]

  $ kubectl --kubeconfig eve get secrets -n lab
  Error from server (Forbidden): secrets is forbidden: User "eve" cannot list resource "secrets" in API group "" in the namespace "lab"
  [1]

  $ kubectl patch role one -n lab --type=json -p '[{"op":"add","path":"/rules/0/verbs/-","value":"list"}]'
  role.rbac.authorization.k8s.io/one patched

  $ kubectl --kubeconfig eve get secrets -n lab --field-selector metadata.name=s -o name
  secret/s

  $ kubectl --kubeconfig eve get secrets -n lab --field-selector metadata.name=t -o name
  Error from server (Forbidden): secrets "t" is forbidden: User "eve" cannot list resource "secrets" in API group "" in the namespace "lab"
  [1]

Nobody gives what she has not.

  % kubectl create rolebinding eve-admin -n lab --clusterrole=admin --user=eve >/dev/null

  $ kubectl --kubeconfig eve create role fine -n lab --verb=get --resource=secrets
  role.rbac.authorization.k8s.io/fine created

  $ kubectl --kubeconfig eve create role evil -n lab --verb=update --resource=instances.shakenfist.io/status
  Error from server (Forbidden): roles.rbac.authorization.k8s.io "evil" is forbidden: user "eve" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
  {APIGroups:["shakenfist.io"], Resources:["instances/status"], Verbs:["update"]}
  [1]

  $ kubectl --kubeconfig eve create rolebinding fine -n lab --clusterrole=view --user=mallory
  rolebinding.rbac.authorization.k8s.io/fine created

  $ kubectl --kubeconfig eve create rolebinding evil -n lab --clusterrole=cluster-admin --user=mallory
  error: failed to create rolebinding: rolebindings.rbac.authorization.k8s.io "evil" is forbidden: user "eve" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
  {APIGroups:["*"], Resources:["*"], Verbs:["*"]}
  {NonResourceURLs:["*"], Verbs:["*"]}
  [1]

  $ kubectl --kubeconfig eve create rolebinding none -n lab --role=nothing --user=mallory
  error: failed to create rolebinding: roles.rbac.authorization.k8s.io "nothing" not found
  [1]

  $ kubectl --kubeconfig eve create clusterrole evil --verb=get --resource=secrets
  Error from server (Forbidden): clusterroles.rbac.authorization.k8s.io is forbidden: User "eve" cannot create resource "clusterroles" in API group "rbac.authorization.k8s.io" at the cluster scope
  [1]

  $ kubectl --kubeconfig eve delete rolebinding alice -n lab --wait=false -o name
  rolebinding.rbac.authorization.k8s.io/alice

What is wrong is said.

  $ kubectl patch rolebinding devs -n lab --type=merge -p '{"roleRef":{"name":"admin"}}'
  The RoleBinding "devs" is invalid: roleRef: Invalid value: rbac.RoleRef{APIGroup:"rbac.authorization.k8s.io", Kind:"ClusterRole", Name:"admin"}: cannot change roleRef
  [1]

  $ kubectl create role bad -n lab --verb=get --resource=nothings
  the server doesn't have a resource type "nothings"
  [1]

  $ kubectl --kubeconfig alice get vm -n lab --as=root
  Error from server (Forbidden): forbidden: impersonation is not offered
  [1]

Reconciled: what is missing is added, nothing is taken.

  % cat >roles.yaml <<'END'
  > apiVersion: rbac.authorization.k8s.io/v1
  > kind: Role
  > metadata: {name: watcher, namespace: lab}
  > rules:
  > - {apiGroups: [""], resources: [configmaps], verbs: [get]}
  > END

  $ kubectl auth reconcile -f roles.yaml
  role.rbac.authorization.k8s.io/watcher reconciled
  	reconciliation required update
  	missing rules added:
  		{Verbs:[get] APIGroups:[] Resources:[configmaps] ResourceNames:[] NonResourceURLs:[]}

  $ kubectl auth reconcile -f roles.yaml
  role.rbac.authorization.k8s.io/watcher reconciled

  $ kubectl get role watcher -n lab -o jsonpath='{.rules[*].resources[*]}'
  secrets instances configmaps

Put together.

  $ kubectl label clusterrole consoles team=lab
  clusterrole.rbac.authorization.k8s.io/consoles labeled

  $ until [ "$(kubectl get clusterrole all-of-it -o jsonpath='{.rules[*].resources[*]}')" ]; do sleep 0.1; done; kubectl get clusterrole all-of-it -o jsonpath='{.rules}'
  [{"apiGroups":["shakenfist.io"],"resources":["instances/console"],"verbs":["get"]}]

Taken back: at once.

  $ kubectl delete rolebinding devs -n lab -o name
  rolebinding.rbac.authorization.k8s.io/devs

  $ kubectl --kubeconfig alice get vm -n lab
  Error from server (Forbidden): instances.shakenfist.io is forbidden: User "alice" cannot list resource "instances" in API group "shakenfist.io" in the namespace "lab"
  [1]

  $ kubectl delete credential $(kubectl get credentials -o jsonpath='{.items[?(@.spec.user=="bob")].metadata.name}') -o name | cut -d- -f1
  credential.shakenfist.io/bob

  $ kubectl --kubeconfig bob get vm
  error: You must be logged in to the server (Unauthorized)
  [1]
