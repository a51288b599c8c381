# SPDX-License-Identifier: Apache-2.0
"""Images that would make whoever parses them open other files, run for ever or fill the disk; and mutants of a good one."""
import json
import os
import random
import re
import shutil
import struct
import subprocess
import threading

from image_rig import WORK, Sfd, condition

CLUSTER = 65536
BAIT = "/run/sandbox/bait"
BESIDE = f"{WORK}/data.raw"  # another: the data file that qemu-img wants for an image
MAX = 1 << 30  # --image-max-size: how large a disk may be
REFCOUNTS, L1, L2, DATA = CLUSTER, 3 * CLUSTER, 4 * CLUSTER, 5 * CLUSTER


def put(image, at, form, *values):
    struct.pack_into(">" + form, image, at, *values)


def qcow2(*changes, size=1 << 28, clusters=8):
    """A good image of 3 clusters of data, with changes: (offset, form, value)."""
    b = bytearray(clusters * CLUSTER)
    b[:4] = b"QFI\xfb"
    put(b, 4, "I", 3)
    put(b, 20, "I", 16)
    put(b, 24, "Q", size)
    put(b, 36, "I", 1)
    put(b, 40, "Q", L1)
    put(b, 48, "Q", REFCOUNTS)
    put(b, 56, "I", 1)
    put(b, 96, "I", 4)
    put(b, 100, "I", 104)
    put(b, REFCOUNTS, "Q", 2 * CLUSTER)
    for i in range(8):
        put(b, 2 * CLUSTER + 2 * i, "H", 1)
    put(b, L1, "Q", L2 | 1 << 63)
    for i in range(3):
        put(b, L2 + 8 * i, "Q", (DATA + i * CLUSTER) | 1 << 63)
    b[DATA:DATA + 16] = b"the first data.."
    for at, form, value in changes:
        put(b, at, form, value)
    return bytes(b)


def named(text, extension=None):
    """A qcow2 with a backing file of that name, behind the header's extensions."""
    b = bytearray(qcow2())
    if extension:
        put(b, 104, "II", extension, len(text))
        b[112:112 + len(text)] = text.encode()
        return b
    put(b, 8, "QI", 1024, len(text))
    b[1024:1024 + len(text)] = text.encode()
    return bytes(b)


def snapshots(n):
    """n entries of a snapshot table, each of a name of 20 bytes."""
    b = bytearray(qcow2((60, "I", n), (64, "Q", 8 * CLUSTER)))
    entry = struct.pack(">QIHHIIQIII", L1, 1, 4, 20, 0, 0, 0, 0, 0, 0)[:40]
    return bytes(b + (entry + b"s" * 24).ljust(64, b"\0") * n)


def reuse(entry):
    """Every guest cluster is the same one of the file."""
    b = bytearray(qcow2())
    for i in range(CLUSTER // 8):
        put(b, L2 + 8 * i, "Q", entry)
    return bytes(b)


def raw(*changes, size=1 << 20):
    b = bytearray(size)
    b[510:512] = b"\x55\xaa"
    for at, data in changes:
        at = at if at >= 0 else size + at
        b[at:at + len(data)] = data
    return bytes(b)


def made(rig):
    """What qemu-img itself makes in other formats, and around files of the host."""
    q, found = rig.qemu_img, {}
    for form in ("vmdk", "vpc", "vhdx", "vdi", "qed", "qcow", "parallels"):
        found[form] = q(f"made.{form}", "create", "-q", "-f", form, "OUT", "8M")
    found["fixed VHD"] = q("fixed.vhd", "create", "-q", "-f", "vpc", "-o", "subformat=fixed", "OUT", "8M")
    found["streamed VMDK"] = q("stream.vmdk", "create", "-q", "-f", "vmdk", "-o", "subformat=streamOptimized", "OUT", "8M")
    found["qcow2 over a host file"] = q("backing.qcow2", "create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b", BAIT, "OUT", "1M")
    found["qcow2 v2 over a host file"] = q("v2.qcow2", "create", "-q", "-f", "qcow2", "-o", "compat=0.10", "-u", "-F", "raw",
                                           "-b", BAIT, "OUT", "1M")
    found["qcow2 with a data file"] = q("data.qcow2", "create", "-q", "-f", "qcow2", "-o",
                                        f"data_file={BESIDE},data_file_raw=on", "OUT", "1M")
    found["qcow2 with subclusters"] = q("sub.qcow2", "create", "-q", "-f", "qcow2", "-o", "extended_l2=on", "OUT", "1M")
    found["qcow2 of 100T"] = q("large.qcow2", "create", "-q", "-f", "qcow2", "OUT", "100T")
    return found


def polyglots():
    descriptor = (b"# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"
                  b"RW 2048 FLAT \"" + BAIT.encode() + b"\" 0\n")
    return {
        "VMDK descriptor of a host file": descriptor.ljust(4096),
        "VMDK descriptor with a boot sector": raw((0, descriptor), (len(descriptor), b"\n" * 100)),
        "VMDK with a boot sector": raw((0, b"KDMV\1\0\0\0")),
        "VMDK 3 with a boot sector": raw((0, b"COWD\1\0\0\0")),
        "VHD header with a boot sector": raw((0, b"conectix")),
        "VHD footer behind a boot sector": raw((-512, b"conectix")),
        "VDI with a boot sector": raw((64, b"\x7f\x10\xda\xbe")),
        "QED with a boot sector": raw((0, b"QED\0")),
        "LUKS": b"LUKS\xba\xbe\0\1" + b"aes".ljust(32, b"\0") + b"xts-plain64".ljust(32, b"\0") + bytes(1 << 20),
        "LUKS with a boot sector": raw((0, b"LUKS\xba\xbe\0\1")),
        "ISO with a boot sector": raw((0x8001, b"CD001\1")),
        "UDF with a boot sector": raw((0x8001, b"BEA01\1")),
        "DMG behind a boot sector": raw((-512, b"koly")),
        "Parallels with a boot sector": raw((0, b"WithoutFreeSpace")),
        "Bochs with a boot sector": raw((0, b"Bochs Virtual HD Image")),
        "shell script with a boot sector": raw((0, b"#!/bin/sh\n")),
        "gzip bomb": raw((0, b"\x1f\x8b\x08")), "xz bomb": raw((0, b"\xfd7zXZ\0")), "zstd bomb": raw((0, b"\x28\xb5\x2f\xfd")),
        "bzip2": raw((0, b"BZh9")), "zip": raw((0, b"PK\3\4")), "7z": raw((0, b"7z\xbc\xaf\x27\x1c")),
        "tar": raw((257, b"ustar")), "ELF": raw((0, b"\x7fELF")),
        "web page": b"<html>sorry</html>\n" * 100, "text with a boot sector": b"x" * 510 + b"\x55\xaa" + b"x" * 4096,
        "raw without a boot sector": bytes(1 << 20), "raw cut off": raw()[:-100], "nothing but a magic": b"QFI\xfb",
        "qcow2 behind a boot sector's signature, of version 1": qcow2((4, "I", 1), (508, "I", 0x55AA)),
    }


def damaged():
    long = qcow2((104, "I", 0x12345678), (108, "I", 0xFFFFFFF0))
    return {
        "backing file json:": named(json.dumps({"driver": "raw", "file": {"driver": "file", "filename": BAIT}})),
        "backing file json: prefixed": named("json:" + json.dumps({"file.filename": BAIT})),
        "backing file nbd": named("nbd:unix:/run/sandbox/bait.sock"),
        "backing file over ssh": named("ssh://192.0.2.1/x"), "backing file over http": named("http://192.0.2.1/x"),
        "backing file named by its length alone": qcow2((16, "I", 20)),
        "backing file at the end of the world": qcow2((8, "Q", 1 << 60), (16, "I", 20)),
        "backing format extension": named("raw", 0xE2792ACA), "data file extension": named(BAIT, 0x44415441),
        "encrypted by LUKS, with its header": bytes(bytearray(qcow2((32, "I", 2), (104, "I", 0x0537BE77), (108, "I", 16),
                                                                    (112, "Q", DATA), (120, "Q", CLUSTER)))),
        "encryption extension": named("x" * 16, 0x0537BE77), "extension longer than the file": long,
        "extensions without end": bytes(bytearray(qcow2((20, "I", 17), (40, "Q", 4 * CLUSTER), (48, "Q", 2 * CLUSTER),
                                                        (104, "I", 0x12345678), (108, "I", CLUSTER - 112)))),
        "data file bit": qcow2((72, "Q", 4)), "corrupt bit": qcow2((72, "Q", 2)), "subcluster bit": qcow2((72, "Q", 16)),
        "unknown feature bit": qcow2((72, "Q", 1 << 63)), "all feature bits": qcow2((72, "Q", (1 << 64) - 1)),
        "version 4": qcow2((4, "I", 4)), "version 0": qcow2((4, "I", 0)),
        "AES": qcow2((32, "I", 1)), "LUKS within": qcow2((32, "I", 2)), "unknown encryption": qcow2((32, "I", 77)),
        "clusters of 1 byte": qcow2((20, "I", 0)), "clusters of 4 GiB": qcow2((20, "I", 32)),
        "clusters of 2^255": qcow2((20, "I", 0xFF)),
        "size 0": qcow2(size=0), "size 1P": qcow2(size=1 << 50), "size 8E": qcow2(size=(1 << 63) - 512),
        "size 16E": qcow2(size=(1 << 64) - 1),
        "level 1 of 4G entries": qcow2((36, "I", 0xFFFFFFFF)), "level 1 of none": qcow2((36, "I", 0)),
        "level 1 beyond the file": qcow2((40, "Q", 1 << 40)), "level 1 beside a cluster": qcow2((40, "Q", L1 + 8)),
        "level 1 in the negative": qcow2((40, "Q", (1 << 64) - CLUSTER)),
        "level 2 beyond the file": qcow2((L1, "Q", 1 << 40)), "level 2 beside a cluster": qcow2((L1, "Q", L2 + 512)),
        "level 2 used twice": qcow2((36, "I", 2), (L1 + 8, "Q", L2 | 1 << 63)),
        "level 2 that is level 1": qcow2((L1, "Q", L1 | 1 << 63)),
        "cluster beyond the file": qcow2((L2, "Q", 1 << 50)), "cluster reuse bomb": reuse(DATA | 1 << 63),
        "compressed reuse bomb": reuse(1 << 62 | DATA), "compressed beyond the file": qcow2((L2, "Q", 1 << 62 | 1 << 45)),
        "reserved bits": qcow2((L2, "Q", DATA | 1 << 57)),
        "reference counts beyond the file": qcow2((48, "Q", 1 << 40)), "reference counts nowhere": qcow2((48, "Q", 0)),
        "reference counts of 4G clusters": qcow2((56, "I", 0xFFFFFFFF)), "reference counts of 2^99 bits": qcow2((96, "I", 99)),
        "header of 4G": qcow2((100, "I", 0xFFFFFFF8)), "header of 8": qcow2((100, "I", 8)),
        "10,000 snapshots": snapshots(10000), "snapshots beyond the file": qcow2((60, "I", 3), (64, "Q", 1 << 40)),
        "cut in its header": qcow2()[:60], "cut in its tables": qcow2()[:L2 + 100], "cut in its data": qcow2()[:DATA],
        # The refcount table names itself as its first block, and a block the header: only writers care, but they would loop.
        "reference counts of themselves": qcow2((REFCOUNTS, "Q", REFCOUNTS), (L2, "Q", L1 | 1 << 63)),
    }


class Traced(Sfd):
    """With a note of every program started and every file opened by sfd and its roles."""

    def start(self):
        self.trace = f"{WORK}/strace"
        self.argv = ["strace", "-f", "--seccomp-bpf", "-qq", "-s", "300", "-e", "trace=execve,execveat,open,openat,openat2", "-o", self.trace,
                     *self.argv]
        super().start()

    def stop(self):
        """The tracer ends with whom it traces."""
        pid = int(subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()[0])
        os.kill(pid, 15)
        self.process.wait(60)


def hostile(rig):
    images = {**made(rig), **polyglots(), **damaged()}
    images = {name: data for name, data in images.items() if rig.wanted(name)}
    sfd = Traced(rig, "files", "--image-allow-loopback", "--image-max-size", str(MAX))
    names = {}
    for n, (name, data) in enumerate(images.items()):
        rig.server.put(f"hostile{n}", data)
        names[f"image-{n}"] = name
        sfd.create(f"image-{n}", rig.url(f"/file/hostile{n}"))

    def settled():
        return all(condition(i)["reason"] in ("FetchFailed", "Cached") for i in sfd.images().values())
    rig.wait("all hostile images to be judged", settled)
    with open(sfd.trace) as f:
        before = f.read()
    refused, good = sfd.images(), 0
    sfd.create("control", rig.url("/file/good"))
    rig.wait("the control", settled)
    sfd.stop()
    with open(sfd.trace) as f:
        after = f.read()
    started = re.compile(r'execve(?:at)?\("[^"]*qemu-img"')
    for object_name, name in names.items():
        ready = condition(refused[object_name])
        ok = ready["status"] == "False" and re.match(r"(convert|fetch): ", ready["message"]) and \
            "qemu-img" not in ready["message"]
        good += bool(ok)
        if not ok:
            rig.bad(name, f"{ready['status']} {ready['message']}")
        elif rig.only:
            rig.say(f"{name}: {ready['message']}")
    parsed = len(started.findall(before))
    rig.all_of("hostile images refused by our own check", good, len(names), 70)
    rig.row("starts of qemu-img for them, as strace saw", parsed, len(names), "0", parsed == 0 and
            len(started.findall(after)) == 1)
    opened = len(re.findall(f"{re.escape(BAIT)}|{re.escape(BESIDE)}", after))
    rig.row("files of the host opened that they name, as strace saw", opened, len(names), "0", opened == 0)
    if len(started.findall(after)) != 1:
        rig.bad("control", "the good image did not reach qemu-img, or strace saw nothing")
    shutil.rmtree(sfd.state)


def convert(rig, directory, data):
    """The convert role alone; its answer and how it ended."""
    with open(directory + "/input.part", "wb") as f:
        f.write(data)
    r = subprocess.run(["/bin/bash", "-c", 'exec "$0" --role=convert 3<"$1"', rig.build + "/sfd", directory], input=json.dumps(
        {"input": "input.part", "output": "output.qcow2", "maxVirtualSize": MAX}), text=True, capture_output=True,
        timeout=60)
    return r.returncode, r.stdout


def mutate(rig, seed):
    """A few bytes of a good image changed, mostly where its header and tables are; the same for the same seed."""
    dice, b = random.Random(seed), bytearray(rig.good if seed % 2 else qcow2())
    tables = [0, *(at for at in (L1, L2, REFCOUNTS) if at < len(b))]
    for _ in range(dice.randint(1, 6)):
        at = dice.choice(tables) + dice.randint(4, 160) if dice.random() < 0.8 else dice.randrange(len(b))
        b[min(at, len(b) - 1)] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
    if dice.random() < 0.1:
        del b[dice.randrange(len(b)):]
    return bytes(b)


def mutants(rig, first, count, told):
    directory = f"{WORK}/mutants-{first}"
    os.makedirs(directory, mode=0o700)
    for seed in range(first, first + count):
        name = f"mutant {seed}"
        if not rig.wanted(name):
            continue
        try:
            rc, answer = convert(rig, directory, mutate(rig, seed))
        except subprocess.TimeoutExpired:
            rc, answer = -1, "no end"
        ended = (rc == 0 and '"result"' in answer) or (rc == 1 and '"error"' in answer)
        left = set(os.listdir(directory)) - {"input.part", "output.qcow2"}
        if rc == 0:
            left |= {"output.qcow2"} if os.stat(directory + "/output.qcow2").st_size > MAX * 1.1 else set()
        else:
            left |= {"output.qcow2"} & set(os.listdir(directory))
        told.append((name, ended and not left and "signal" not in answer, rc, answer, left))


def all_mutants(rig):
    count, told = 5000 if rig.full else 60, []
    threads = [threading.Thread(target=mutants, args=(rig, i * count // 2, count // 2, told)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, good, rc, answer, left in told:
        if not good:
            rig.bad(name, f"exit {rc}, left {left}: {answer}")
    rig.say(f"mutants: {sum(1 for t in told if t[2] == 0)} converted, {sum(1 for t in told if t[2])} refused")
    rig.all_of("mutants of good images refused or converted within bounds", sum(1 for t in told if t[1]), len(told), count)


def harmless(rig):
    """What people really have: none of it is refused."""
    def q(name, *words):
        return rig.qemu_img(f"fine-{name}", *words)
    source = f"{WORK}/good.raw"
    ways = {f"clusters of {size}": ["-o", f"cluster_size={size}"] for size in (512, 4096, 65536, 2 << 20)}
    ways.update({f"counts of {bits} bits": ["-o", f"refcount_bits={bits}"] for bits in (1, 8, 64)})
    ways.update({"version 2": ["-o", "compat=0.10"], "lazy counts": ["-o", "lazy_refcounts=on"],
                 "compressed": ["-c"], "compressed by zstd": ["-c", "-o", "compression_type=zstd"],
                 "preallocated": ["-o", "preallocation=full"], "preallocated tables": ["-o", "preallocation=metadata"]})
    images = {name: q(f"{n}.qcow2", "convert", *way, "-f", "raw", "-O", "qcow2", source, "OUT")
              for n, (name, way) in enumerate(ways.items())}
    images["raw"], images["the tests' guest"] = rig.good_raw, open(rig.top + "/build/guest/guest.qcow2", "rb").read()
    path = f"{WORK}/snapshots.qcow2"
    rig.qemu_img("snapshots.qcow2", "convert", "-f", "raw", "-O", "qcow2", source, "OUT")
    for n in range(3):
        subprocess.run(["qemu-img", "snapshot", "-c", f"s{n}", path], check=True)
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -P {n} 1M 64k", path], check=True, stdout=subprocess.DEVNULL)
    images["with snapshots"] = open(path, "rb").read()
    subprocess.run(["qemu-img", "resize", "-q", "-f", "qcow2", path, "200M"], check=True)
    images["with snapshots, grown"] = open(path, "rb").read()
    directory, good = f"{WORK}/harmless", 0
    os.makedirs(directory, mode=0o700)
    images = {name: data for name, data in images.items() if rig.wanted(name)}
    for name, data in images.items():
        rc, answer = convert(rig, directory, data)
        good += rc == 0
        if rc != 0:
            rig.bad(name, answer)
    rig.all_of("good images of all sorts taken", good, len(images), 17)


def expanding(rig):
    """A small file that may rightly become a large disk: not further than the space that must stay free."""
    if not rig.wanted("expanding"):
        return
    with open(f"{WORK}/large-x.raw", "wb") as f:
        for _ in range(300):
            f.write(b"x" * (1 << 20))
        f.seek(510)
        f.write(b"\x55\xaa")
    data = rig.qemu_img("large-x.qcow2", "convert", "-c", "-f", "raw", "-O", "qcow2", f"{WORK}/large-x.raw", "OUT")
    os.unlink(f"{WORK}/large-x.raw")
    rig.server.put("expanding", data)
    os.makedirs("/var/lib/sfd/small")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "small", "/var/lib/sfd/small"], check=True)
    sfd, least, over = Sfd(rig, "small", "--image-allow-loopback"), [1 << 40], threading.Event()

    def watch():
        while not over.wait(0.002):
            s = os.statvfs(sfd.state)
            least[0] = min(least[0], s.f_bavail * s.f_frsize)
    watcher = threading.Thread(target=watch)
    watcher.start()
    sfd.create("expanding", rig.url("/file/expanding"))
    told = rig.wait("expanding", lambda: "no space in the image cache" in condition(sfd.images()["expanding"])["message"])
    over.set()
    watcher.join()
    left = [n for n in sfd.incoming() if n.endswith(".qcow2")]
    rig.say(f"{len(data)} bytes for 300 MiB: {condition(sfd.images()['expanding'])['message']}")
    rig.row("least free MiB while an image expands, of 256 to keep", least[0] >> 20, "", "240 or more, and told",
            told and not left and least[0] >= 240 << 20)
    sfd.stop()
    subprocess.run(["umount", sfd.state], check=True)


def run(rig):
    rig.beside(hostile, harmless, expanding)
    all_mutants(rig)
