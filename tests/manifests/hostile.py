# SPDX-License-Identifier: Apache-2.0
"""
Manifests that no editor should have to open: not text, or too much of it. CASES maps the name of each file to a
function that writes it; the words in which it is refused are kept in tests/manifests/bad like those of the others.
Nothing here holds more than a piece of a file in memory: what is measured must not be this program.
"""

HEAD = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: hostile\n"
JSON_HEAD = b'{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hostile"}, "data": {"a": '
MIB = 1 << 20


def data(value):
    """A ConfigMap with value where a plain one stands in line 6."""
    return lambda f: f.write(HEAD + b"data:\n  a: " + value + b"\n")


def json_data(value):
    return lambda f: f.write(JSON_HEAD + value + b"}}\n")


def raw(value):
    return lambda f: f.write(value)


def repeated(before, piece, n, after=b""):
    """piece n times, written in blocks."""
    def write(f):
        f.write(before)
        per_block = max(1, 65536 // len(piece))
        left = n
        while left > 0:
            f.write(piece * min(left, per_block))
            left -= per_block
        f.write(after)
    return write


def numbered(before, pattern, n, after=b""):
    def write(f):
        f.write(before)
        for i in range(n):
            f.write(pattern % i)
        f.write(after)
    return write


def encoded(codec):
    return lambda f: f.write((HEAD + b"data: {a: b}\n").decode().encode(codec))


CASES = {
    # Not UTF-8.
    "utf16-le-mark.yaml": lambda f: f.write(b"\xff\xfe" + HEAD.decode().encode("utf-16-le")),
    "utf16-be-mark.yaml": lambda f: f.write(b"\xfe\xff" + HEAD.decode().encode("utf-16-be")),
    "utf16-le.yaml": encoded("utf-16-le"),
    "utf16-be.yaml": encoded("utf-16-be"),
    "utf32-le.yaml": encoded("utf-32-le"),
    "utf32-mark.yaml": lambda f: f.write(b"\x00\x00\xfe\xff" + HEAD.decode().encode("utf-32-be")),
    "utf16-mark.json": lambda f: f.write(b"\xff\xfe" + JSON_HEAD.decode().encode("utf-16-le")),
    "utf8-latin1.yaml": data(b"caf\xe9"),
    "utf8-in-quotes.yaml": data(b'"caf\xe9"'),
    "utf8-in-key.yaml": raw(HEAD + b"data:\n  caf\xe9: b\n"),
    "utf8-in-comment.yaml": raw(b"# caf\xe9\n" + HEAD),
    "utf8-overlong-nul.yaml": data(b"a\xc0\x80b"),
    "utf8-overlong-slash.yaml": data(b"a\xe0\x80\xafb"),
    "utf8-overlong-four.yaml": data(b"a\xf0\x80\x80\xafb"),
    "utf8-surrogate.yaml": data(b"a\xed\xa0\x80b"),
    "utf8-past-the-last.yaml": data(b"a\xf4\x90\x80\x80b"),
    "utf8-five-bytes.yaml": data(b"a\xf8\x88\x80\x80\x80b"),
    "utf8-continuation-alone.yaml": data(b"a\x80b"),
    "utf8-cut-off.yaml": raw(HEAD + b"data:\n  a: \xe2\x82"),
    "utf8-fe-ff.yaml": data(b"\xfe\xff"),
    "utf8-bad.json": json_data(b'"caf\xe9"'),
    "utf8-surrogate.json": json_data(b'"\xed\xb0\x80"'),
    # Characters that are no text.
    "nul-first.yaml": raw(b"\x00" + HEAD),
    "nul-inside.yaml": data(b"a\x00b"),
    "nul-last.yaml": raw(HEAD + b"data: {a: b}\n\x00"),
    "nul-inside.json": json_data(b'"a\x00b"'),
    "control-escape.yaml": data(b"'\x1b[31m'"),
    "control-bell.yaml": data(b'"\x07"'),
    "control-backspace.yaml": data(b"a\x08b"),
    "control-vertical-tab.yaml": data(b"a\x0bb"),
    "control-form-feed.yaml": raw(b"\x0c" + HEAD),
    "control-delete.yaml": data(b"a\x7fb"),
    "control-c1.yaml": data(b"a\xc2\x9bb"),
    "control-in-comment.yaml": raw(HEAD + b"data: {a: b} # \x1b]0;x\x07\n"),
    "control-raw.json": json_data(b'"a\x01b"'),
    "binary-elf.yaml": raw(b"\x7fELF\x02\x01\x01" + bytes(57)),
    "binary-gzip.yaml": raw(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcbH\xcd\xc9\xc9\x07\x00"),
    "binary-qcow2.yaml": raw(b"QFI\xfb\x00\x00\x00\x03" + bytes(96)),
    # Too large.
    "scalar-64-MiB-large.yaml": repeated(HEAD + b"data:\n  a: '", b"x", 64 * MIB, b"'\n"),
    "scalar-64-MiB-large.json": repeated(JSON_HEAD + b'"', b"x", 64 * MIB, b'"}}\n'),
    "spaces-8-MiB-large.yaml": repeated(HEAD, b" ", 8 * MIB),
    "lines-4-MiB-large.yaml": repeated(b"", b"\n", 4 * MIB, HEAD),
    "key-1-MiB.yaml": repeated(HEAD + b"data:\n  ", b"k", MIB, b": v\n"),
    "key-1-MiB.json": repeated(b'{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"', b"k",
                               MIB, b'": "v"}}'),
    "keys-million-large.yaml": numbered(HEAD + b"data:\n", b"  k%d: v\n", 1000000),
    "values-too-many.yaml": repeated(HEAD + b"data:\n  a: [", b"1,", 100001, b"1]\n"),
    "values-too-many.json": repeated(JSON_HEAD + b"[", b"1,", 100001, b"1]}}"),
    "documents-too-many.yaml": numbered(b"", b"---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: d%d}}\n", 1001),
    "documents-empty.yaml": repeated(b"", b"---\n", MIB // 4, b"{a: b}\n"),
    "name-64-KiB.yaml": repeated(b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ", b"x", 65536, b"\n"),
    "label-1-MiB.yaml": repeated(HEAD + b"  labels:\n    a: ", b"x", MIB, b"\n"),
    "annotations-300-KiB.yaml": repeated(HEAD + b"  annotations:\n    a: ", b"x", 300 * 1024, b"\n"),
    "secret-2-MiB-less.yaml": repeated(b"apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\nstringData:\n  a: ", b"x", 1900000, b"\n"),
    "user-data-1-MiB.yaml": repeated(b"apiVersion: shakenfist.io/v1alpha1\nkind: Instance\nmetadata: {name: x}\nspec:\n"
                                     b"  disks: [{name: a, size: 1Gi}]\n  cloudInit:\n    userData: '#cloud-config ", b"x", MIB,
                                     b"'\n"),
    "values-1500000-large.json": repeated(JSON_HEAD + b"[", b"1,", 1500000, b"1]}}"),
    "mappings-700000-large.json": repeated(JSON_HEAD + b"[", b"{},", 700000, b"{}]}}"),
    "number-million-digits.yaml": repeated(HEAD + b"data:\n  a: ", b"7", MIB, b"\n"),
    "number-million-digits.json": repeated(JSON_HEAD, b"7", MIB, b"}}"),
    "number-exponent-digits.yaml": repeated(HEAD + b"data:\n  a: 1e", b"7", 65536, b"\n"),
    "fraction-million-digits.yaml": repeated(HEAD + b"data:\n  a: 0.", b"7", MIB, b"\n"),
    # Too deep, or quadratic for a careless parser.
    "nested-flow-lists.yaml": repeated(HEAD + b"data: ", b"[", 50000),
    "nested-flow-mappings.yaml": repeated(HEAD + b"data: ", b"{a: ", 50000),
    "nested-flow-closed.yaml": repeated(HEAD + b"data: " + b"[" * 50000, b"]", 50000, b"\n"),
    "nested-block-lists.yaml": repeated(HEAD + b"data:\n ", b"- ", 50000, b"x\n"),
    "nested-block-mappings.yaml": lambda f: f.writelines(b" " * i + b"a:\n" for i in range(1900)),
    "nested-complex-keys.yaml": repeated(HEAD + b"data:\n  ", b"? ", 50000, b"x\n"),
    "nested-lists.json": repeated(JSON_HEAD, b"[", 50000, b"]" * 50000 + b"}}"),
    "nested-mappings.json": repeated(b"", b'{"a":', 10000, b"1" + b"}" * 10000),
    "nested-65.json": raw(b'{"a":' * 65 + b"1" + b"}" * 65),
    "brackets-closing.yaml": repeated(HEAD + b"data: ", b"]", 50000),
    "brackets-mixed.yaml": repeated(HEAD + b"data: ", b"[{", 25000),
    "anchors-100000.yaml": numbered(HEAD + b"data: [", b"&a%d x,", 100000, b"]\n"),
    "aliases-100000.yaml": repeated(b"a: &a x\nb: [", b"*a,", 100000, b"]\n"),
    "laughs.yaml": lambda f: f.writelines([b"a0: &a0 [x]\n"] + [
        b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 10)]),
    "colons.yaml": repeated(HEAD + b"data:\n  a: ", b": ", MIB // 2, b"\n"),
    "dashes.yaml": repeated(HEAD + b"data:\n", b"  -\n", 150000),
    "commas.yaml": repeated(HEAD + b"data: [", b",", MIB),
    "quotes.yaml": repeated(HEAD + b"data:\n  a: ", b"'", MIB + 1),
    "backslashes.yaml": repeated(HEAD + b'data:\n  a: "', b"\\", MIB + 1),
    "percents.yaml": repeated(b"", b"%A b\n", 200000),
    "tags-many.yaml": repeated(HEAD + b"data:\n  a: ", b"!a ", 50000, b"x\n"),
    "hashes.yaml": repeated(HEAD + b"# ", b"#", MIB, b"\n\tx: y\n"),
    "line-long-then-wrong.yaml": repeated(HEAD + b"data: {a: ", b"x", MIB, b", a: b}\n"),
    "lines-many-then-wrong.yaml": repeated(b"", b"# x\n", 400000, HEAD + b"data: [\n"),
    "plain-many-lines.yaml": repeated(HEAD + b"data:\n  a:\n", b"    word\n", 100000, b"   : x\n"),
    "unknown-fields-10000.yaml": numbered(HEAD, b"field%d: 1\n", 10000),
    "disks-10000.yaml": numbered(b"apiVersion: shakenfist.io/v1alpha1\nkind: Instance\nmetadata: {name: x}\nspec:\n"
                                 b"  disks:\n", b"  - {name: d%d, size: 1Gi}\n", 10000),
    "labels-wrong-10000.yaml": numbered(HEAD + b"  labels:\n", b"    l%d: a b\n", 10000),
    "keys-alike.yaml": numbered(HEAD + b"data:\n", b"  k%d: v\n", 50000, b"  k0: v\n"),
    "escapes-lone-surrogates.json": repeated(JSON_HEAD + b'"', b"\\ud800", 50000, b'"}}'),
}
