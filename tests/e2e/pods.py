#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
#
# The Python client at a guest's Pod: reads its log, types on its console, forwards its port 80. It takes the address of
# the API; says one line for each that worked.
import sys
import time

from kubernetes import client
from kubernetes.stream import portforward, stream

configuration = client.Configuration()
configuration.host = sys.argv[1]
client.Configuration.set_default(configuration)
core = client.CoreV1Api()

pod = core.read_namespaced_pod("vm", "default")
assert pod.status.phase == "Running", pod.status.phase
if "SF-FACT ready" in core.read_namespaced_pod_log("vm", "default"):
    print("log")

console = stream(core.connect_get_namespaced_pod_attach, "vm", "default", container="console", stdin=True, stdout=True,
                 stderr=False, tty=True, _preload_content=False)
# The mark is computed by the guest, so that the echo of what was typed does not match.
console.write_stdin("echo python-$((40+2))\n")
said, deadline = "", time.monotonic() + 20
while "python-42" not in said and time.monotonic() < deadline:
    console.update(timeout=1)
    said += console.read_stdout() if console.peek_stdout() else ""
console.close()
if "python-42" in said:
    print("attach")

ports = portforward(core.connect_get_namespaced_pod_portforward, "vm", "default", ports="80")
web = ports.socket(80)
web.setblocking(True)
web.sendall(b"GET /facts HTTP/1.0\r\nHost: vm\r\n\r\n")
page = b""
while part := web.recv(4096):
    page += part
if b"SF-FACT" in page and not ports.error(80):
    print("portforward")
