# SPDX-License-Identifier: Apache-2.0
"""A burglar's list of tries inside of the image roles: in the fetch role, in the convert role while it judges an image,
and in the place of qemu-img. See tests/prove/confined.c."""
import errno
import json
import os
import shutil
import socket
import subprocess

from image_rig import WORK

REFUSED = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EAFNOSUPPORT, errno.EXDEV, errno.ELOOP, errno.ENOMEM, errno.EFBIG,
           errno.EMFILE}
# Refused to nobody but by the kernel's own wisdom: no control.
NO_CONTROL = {"foreign-descriptor"}


def tries(directory):
    with open(directory + "/tries") as f:
        found = [line.split() for line in f]
    if found[-1][0] != "end":
        raise SystemExit(f"the burglar did not come to an end in {directory}: {found[-1]}")
    return {name: int(e) for name, e in found[:-1]}


def role(rig, name, request, **env):
    directory = f"{WORK}/burglar-{name}"
    os.makedirs(directory, mode=0o700, exist_ok=True)
    with open(directory + "/input.part", "wb") as f:
        f.write(rig.good)
    which = "fetch" if "url" in request else "convert"
    answer = subprocess.run(["/bin/bash", "-c", f'exec "$0" --role={which} 3<"$1"', rig.build + "/sfd", directory],
                            input=json.dumps(request), text=True, capture_output=True,
                            env={"PATH": os.environ["PATH"], **env})
    if not os.path.exists(directory + "/tries"):
        raise SystemExit(f"the burglar did not get into the {name} role: {answer.stdout} {answer.stderr}")
    return tries(directory)


def run(rig):
    bait = socket.socket(socket.AF_UNIX)
    bait.bind("/run/sandbox/bait.sock")
    bait.listen(8)
    with open("/run/sandbox/bait", "w") as f:
        f.write("a file of the host\n")
    burglar = rig.build + "/tests/prove/confined"
    control = f"{WORK}/burglar-control"
    os.makedirs(control)
    subprocess.run([burglar, "--control", control], stdin=subprocess.DEVNULL, check=False)
    free = tries(control)
    fetch = {"name": "0123456789abcdef0123456789abcdef", "url": rig.url("/file/good"), "maxSize": 1 << 26,
             "allowLoopback": True}
    convert = {"input": "input.part", "output": "output.qcow2", "maxVirtualSize": 1 << 30}
    found = {
        "fetch": role(rig, "fetch", fetch, LD_PRELOAD=burglar + ".so"),
        "convert": role(rig, "convert", convert, LD_PRELOAD=burglar + ".so"),
    }
    shutil.copy("/usr/bin/qemu-img", f"{WORK}/qemu-img")
    subprocess.run(["mount", "--bind", burglar, "/usr/bin/qemu-img"], check=True)
    found["qemu-img"] = role(rig, "qemu-img", convert)
    subprocess.run(["umount", "/usr/bin/qemu-img"], check=True)
    good = total = 0
    for where, results in found.items():
        for name, e in results.items():
            if not rig.wanted(f"{where}/{name}"):
                continue
            total += 1
            if e not in REFUSED:
                rig.bad(f"{where}/{name}", "worked" if not e else f"was not refused but failed: {os.strerror(e)}")
            elif name not in NO_CONTROL and free[name] in REFUSED:
                rig.bad(f"{where}/{name}", f"proves nothing: refused to anybody: {os.strerror(free[name])}")
            else:
                good += 1
    rig.say(f"{total} tries from inside of 3 places, {len(free)} different ones")
    rig.all_of("tries from inside of the image roles refused", good, total, 150)
