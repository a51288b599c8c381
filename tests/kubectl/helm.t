# SPDX-License-Identifier: Apache-2.0
#
# A chart with an image, a network and a guest that really runs, through helm's whole life.
# Sandbox: --libvirtd --journal --outside
# Clients: 1.35

  % image_server_start; cp -r $TOP/tests/kubectl/chart chart

  $ helm lint chart 2>&1 | tail -1
  1 chart(s) linted, 0 chart(s) failed

  $ helm template lab chart | grep -c '^kind:'
  7

  $ helm install lab chart --wait --timeout 120s
  NAME: lab
  LAST DEPLOYED: ...
  NAMESPACE: default
  STATUS: deployed
  REVISION: 1
  DESCRIPTION: Install complete
  NOTES:
  lab-vm starts.

  $ kubectl get image,network,instance,gauge
  NAME                            STATUS   PROGRESS   URL                                 AGE
  image.shakenfist.io/lab-guest   Ready               http://127.0.0.1:8099/guest.qcow2   <age>

  NAME                            STATUS   CIDRS          EGRESS   PORTS   AGE
  network.shakenfist.io/lab-net   Ready    10.77.0.0/24   NAT      1       <age>

  NAME                            STATUS    READY   IP          CPUS   MEMORY   AGE
  instance.shakenfist.io/lab-vm   Running   True    10.77.0.2   1      128Mi    <age>

  NAME                    AGE
  gauge.lab.example/lab   <age>

  $ helm template new chart --validate 2>&1 | grep -c '^kind:'
  7

  $ helm install new chart --set cidr=nonsense
  Error: INSTALLATION FAILED: Network.shakenfist.io "new-net" is invalid: spec.cidrs[0]: Invalid value: "nonsense" is not a CIDR: write it like 10.0.0.0/24
  [1]

  $ helm list --failed --short
  new

  $ helm uninstall new
  release "new" uninstalled

  $ kubectl get cm lab-facts -o jsonpath='{.data}{"\n"}'
  {"before":"Active","kube":"v1.34.0+sf...","served":"true"}

  $ kubectl wait vm/lab-vm --for=condition=AddressReady --timeout=60s
  instance.shakenfist.io/lab-vm condition met

  $ guest_up lab-vm && echo it answers
  it answers

Its console is a pod's log.

  $ kubectl logs lab-vm | tr -d '\r' | grep -c '^SF-FACT ready'
  1

  $ kubectl wait pod/lab-vm --for=condition=Ready --timeout=20s
  pod/lab-vm condition met

  $ kubectl get pod lab-vm --no-headers | awk '{ print $2, $3 }'
  1/1 Running

  $ kubectl events --for instance/lab-vm -o json | jq -r '.items[].reason' | grep -x Started
  Started

  $ kubectl top pod lab-vm
  error: Metrics API not available
  [1]

  $ helm list
  NAME	NAMESPACE	REVISION	UPDATED                                	STATUS  	CHART    	APP VERSION
  lab 	default  	1       	...	deployed	lab-0.1.0	1

  $ helm status lab | grep -E '^(STATUS|REVISION|lab-vm  )'
  STATUS: deployed
  REVISION: 1
  lab-vm   Running   True    10.77.0.2   1      128Mi    <age>

  $ helm get values lab -a
  COMPUTED VALUES:
  cidr: 10.77.0.0/24
  imageURL: http://127.0.0.1:8099/guest.qcow2
  memory: 128Mi
  note: first
  runStrategy: Always

  $ helm get manifest lab | grep -c '^kind:'
  5

  $ helm get hooks lab | grep -c '^kind:'
  2

  $ helm test lab | grep -E 'TEST SUITE|Phase'
  TEST SUITE:     lab-test
  Phase:          Succeeded

  $ helm install lab chart
  level=ERROR msg="release name check failed" error="cannot reuse a name that is still in use"
  Error: INSTALLATION FAILED: release name check failed: cannot reuse a name that is still in use
  [1]

  $ helm upgrade lab chart --set note=second --wait --timeout 60s | grep -E 'has been|REVISION'
  Release "lab" has been upgraded. Happy Helming!
  REVISION: 2

  $ kubectl get vm lab-vm --show-labels --no-headers | awk '{ print $2, $NF }'
  Running app.kubernetes.io/managed-by=Helm,note=second

  $ kubectl get gauge lab -o jsonpath='{.spec.level}{"\n"}'
  2

  $ kubectl get cm lab-before -o jsonpath='{.data.revision}{"\n"}'
  2

What the server refuses leaves the release as it was.

  $ helm upgrade lab chart --set memory=lots
  level=WARN msg="upgrade failed" name=lab error="Instance.shakenfist.io \"lab-vm\" is invalid: spec.memory: Invalid value: \"lots\" is not a quantity: write it like 512Mi, 1.5Gi or 20G"
  Error: UPGRADE FAILED: Instance.shakenfist.io "lab-vm" is invalid: spec.memory: Invalid value: "lots" is not a quantity: write it like 512Mi, 1.5Gi or 20G
  [1]

  $ helm upgrade lab chart --rollback-on-failure --timeout 30s --set runStrategy=Sometimes 2>&1 | tail -1
  Error: UPGRADE FAILED: release lab failed, and has been rolled back due to rollback-on-failure being set: Instance.shakenfist.io "lab-vm" is invalid: spec.runStrategy: Unsupported value: "Sometimes": supported values: "Always", "RerunOnFailure", "Manual", "Halted", "Once"

  $ kubectl get vm lab-vm -o jsonpath='{.spec.memory} {.spec.runStrategy}{"\n"}'
  128Mi Always

  $ helm history lab | awk 'NR > 1 { print $1, $7 }'
  1 superseded
  2 superseded
  3 failed
  4 failed
  5 deployed

  $ helm rollback lab 1 --wait --timeout 60s
  Rollback was a success! Happy Helming!

  $ kubectl get vm lab-vm -o jsonpath='{.metadata.labels.note}{"\n"}'
  first

  $ helm history lab --max 1 | tail -1 | cut -f1,6
  6       	Rollback to 1

A hand in between is seen, and taken back.

  $ kubectl label vm lab-vm note=by-hand --overwrite
  instance.shakenfist.io/lab-vm labeled

  $ helm upgrade lab chart --set note=third
  level=WARN msg="upgrade failed" name=lab error="conflict occurred while applying object default/lab-vm shakenfist.io/v1alpha1, Kind=Instance: Apply failed with 1 conflict: conflict with \"kubectl-label\" using shakenfist.io/v1alpha1: .metadata.labels.note"
  Error: UPGRADE FAILED: conflict occurred while applying object default/lab-vm shakenfist.io/v1alpha1, Kind=Instance: Apply failed with 1 conflict: conflict with "kubectl-label" using shakenfist.io/v1alpha1: .metadata.labels.note
  [1]

  $ helm upgrade lab chart --set note=third --force-conflicts | grep has
  Release "lab" has been upgraded. Happy Helming!

  $ kubectl get vm lab-vm -o jsonpath='{.metadata.labels.note} {.metadata.labels.app\.kubernetes\.io/managed-by}{"\n"}'
  third Helm

  $ kubectl get secret -l owner=helm,name=lab --no-headers | awk '{ print $1, $2 }'
  sh.helm.release.v1.lab.v1 helm.sh/release.v1
  sh.helm.release.v1.lab.v2 helm.sh/release.v1
  sh.helm.release.v1.lab.v3 helm.sh/release.v1
  sh.helm.release.v1.lab.v4 helm.sh/release.v1
  sh.helm.release.v1.lab.v5 helm.sh/release.v1
  sh.helm.release.v1.lab.v6 helm.sh/release.v1
  sh.helm.release.v1.lab.v7 helm.sh/release.v1
  sh.helm.release.v1.lab.v8 helm.sh/release.v1

  $ kubectl get vm lab-vm -o json --show-managed-fields | jq -c '[.metadata.managedFields[] | [.manager, .operation, .subresource]]'
  [["helm","Apply",null],["sfd","Update","status"]]

  $ helm uninstall lab --wait --timeout 60s
  release "lab" uninstalled

  $ kubectl get image,network,instance,gauge,cm
  NAME                   DATA   AGE
  configmap/lab-before   1      <age>
  configmap/lab-test     1      <age>
  configmap/new-before   1      <age>

  $ helm list -A
  NAME	NAMESPACE	REVISION	UPDATED	STATUS	CHART	APP VERSION

  $ helm status lab
  Error: release: not found
  [1]

  $ kubectl get crd gauges.lab.example -o name
  customresourcedefinition.apiextensions.k8s.io/gauges.lab.example

  $ HELM_DRIVER=configmap helm install other chart --set runStrategy=Halted --set cidr=10.78.0.0/24 | grep STATUS
  STATUS: deployed

  $ HELM_DRIVER=configmap helm list --short
  other

  $ HELM_DRIVER=configmap helm uninstall other --wait
  release "other" uninstalled
