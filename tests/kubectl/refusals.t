# SPDX-License-Identifier: Apache-2.0
#
# What cannot work with our kinds says so, clearly and with a code that scripts understand; what prints nothing useful for
# a pod works or is refused like for any custom kind.
# Sfd: --controllers namespace,definition,owner,quota
# Clients: 1.35

  % vm a | kubectl create -f -

  $ kubectl rollout status vm/a
  error: no kind "Instance" is registered for version "shakenfist.io/v1alpha1" in scheme "pkg/scheme/scheme.go:28"
  [1]

  $ kubectl rollout restart vm/a
  error: no kind "Instance" is registered for version "shakenfist.io/v1alpha1" in scheme "pkg/scheme/scheme.go:28"
  [1]

  $ kubectl rollout history vm/a
  error: no kind "Instance" is registered for version "shakenfist.io/v1alpha1" in scheme "pkg/scheme/scheme.go:28"
  [1]

  $ kubectl expose vm a --port=80
  error: no kind "Instance" is registered for version "shakenfist.io/v1alpha1" in scheme "pkg/scheme/scheme.go:28"
  [1]

  $ kubectl set env vm/a A=b
  error: no kind "Instance" is registered for version "shakenfist.io/v1alpha1" in scheme "pkg/scheme/scheme.go:28"
  [1]

  $ kubectl logs vm/a
  error: no kind "Instance" is registered for version "shakenfist.io/v1alpha1" in scheme "pkg/scheme/scheme.go:28"
  [1]

  $ kubectl exec vm/a -- ls
  error: no kind "Instance" is registered for version "shakenfist.io/v1alpha1" in scheme "pkg/scheme/scheme.go:28"
  [1]

  $ kubectl port-forward vm/a 8080:80
  error: no kind "Instance" is registered for version "shakenfist.io/v1alpha1" in scheme "k8s.io/client-go/kubernetes/scheme/register.go:84"
  [1]

  $ kubectl top node
  error: Metrics API not available
  [1]

  $ kubectl top pod
  error: Metrics API not available
  [1]

  $ kubectl cordon sandbox
  Error from server (NotFound): nodes.shakenfist.io "sandbox" not found
  [1]

  $ kubectl drain sandbox
  Error from server (NotFound): nodes.shakenfist.io "sandbox" not found
  [1]

  $ kubectl taint node sandbox a=b:NoSchedule
  Error from server (NotFound): nodes.shakenfist.io "sandbox" not found
  [1]

  $ kubectl debug vm/a
  error: you must specify --image when not using --copy-to.
  [1]

  $ kubectl run x --image=x
  Error from server (MethodNotAllowed): pods only show instances.shakenfist.io and cannot be written: write to instances.shakenfist.io instead
  [1]

  $ kubectl cp a:/x y
  Error from server (NotImplemented): pods/exec is not offered: an instance is a virtual machine, and a program in it is started over ssh or its console: kubectl attach -it a
  [1]

  $ kubectl certificate approve x
  error: the server doesn't have a resource type "certificatesigningrequests"
  [1]

  $ kubectl convert -f a.yaml
  error: unknown command "convert" for "kubectl"
  [1]

  $ kubectl get pods
  NAME   READY   STATUS    RESTARTS   AGE
  a      0/1     Pending   0          <age>

  $ kubectl get svc
  No resources found in default namespace.

  $ kubectl get deployments
  error: the server doesn't have a resource type "deployments"
  [1]

  $ kubectl get componentstatuses
  error: the server doesn't have a resource type "componentstatuses"
  [1]

  $ kubectl alpha 2>&1 | head -1
  These commands correspond to alpha features that are not enabled in Kubernetes clusters by default.

  $ kubectl auth reconcile -f - <<<'{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: rec, namespace: default}, rules: [{apiGroups: [shakenfist.io], resources: [instances], verbs: [get]}]}'
  role.rbac.authorization.k8s.io/rec reconciled
  	reconciliation required create
  	missing rules added:
  		{Verbs:[get] APIGroups:[shakenfist.io] Resources:[instances] ResourceNames:[] NonResourceURLs:[]}

  $ kubectl cluster-info dump 2>&1 | head -3
  Error from server (NotFound): the server could not find the requested resource

  $ kubectl plugin list 2>&1 | head -1
  error: unable to find any kubectl plugins in your PATH

  $ kubectl --server=http://127.0.0.1:1 get vm 2>&1 | tail -1
  The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?

  $ kubectl --token=abc get vm -o name
  instance.shakenfist.io/a

  $ kubectl --as=jane get vm
  Error from server (Forbidden): forbidden: impersonation is not offered
  [1]

  $ kubectl --as=jane --as-group=devs get vm
  Error from server (Forbidden): forbidden: impersonation is not offered
  [1]

  $ kubectl --request-timeout=nonsense get vm
  error: Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a corresponding time unit (e.g. 1s | 2m | 3h)
  [1]

  $ kubectl --context=nope get vm
  Error in configuration: context was not found for specified context: nope
  [1]

  $ kubectl get vm --kubeconfig=/nowhere
  error: stat /nowhere: no such file or directory
  [1]
