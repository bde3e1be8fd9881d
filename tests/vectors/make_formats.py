#!/usr/bin/env python3
"""Writes formats.json: test vectors for section 1 of common/FORMATS.md.

An implementation of its own, from the text of FORMATS.md and without a look at the C code: where the two
disagree, one of them, or the text, is wrong. Keys of formats.json that this program does not make are kept.

Test data is a stream: block i of stream NAME is SHA-256 over "errand vector", NUL, NAME, NUL and i as 8
bytes, little-endian; the blocks follow one another.
"""

import base64
import hashlib
import io
import json
import pathlib
import subprocess
import tarfile

HERE = pathlib.Path(__file__).parent
MIB = 1 << 20
KINDS = {"content": b"c", "list": b"l", "tree": b"t"}
MASK64 = (1 << 64) - 1
GEAR = [int.from_bytes(hashlib.sha256(b"errand gear\0" + bytes([i])).digest()[:8], "little") for i in range(256)]


def le(number, width):
    return number.to_bytes(width, "little")


def stream(name, length):
    count = (length + 31) // 32
    seed = b"errand vector\0" + name.encode() + b"\0"
    return b"".join(hashlib.sha256(seed + le(i, 8)).digest() for i in range(count))[:length]


def oid(kind, body):
    return hashlib.sha256(KINDS[kind] + body).digest()


def cut(data):
    """Lengths of the chunks of a file."""
    lengths = []
    start = 0
    while start < len(data):
        h = 0
        end = min(len(data), start + 4 * MIB)
        for n, i in enumerate(range(start, end)):
            h = ((h << 1) + GEAR[data[i]]) & MASK64
            if n + 1 < 262144:
                continue
            mask = 0xFFFFFC0000000000 if n + 1 < MIB else 0xFFFFC00000000000
            if h & mask == 0:
                end = i + 1
                break
        lengths.append(end - start)
        start = end
    return lengths


def low12(digest):
    return int.from_bytes(digest[:4], "little") & 0xFFF


def groups(items, width, is_cut):
    """Cut into parts: (length of entries, cut rule) as 1.2 and 1.3 have them."""
    part, length = [], 0
    for item in items:
        if part and 16 + length + width(item) > MIB:
            yield part
            part, length = [], 0
        part.append(item)
        length += width(item)
        if length >= 65536 and is_cut(item):
            yield part
            part, length = [], 0
    if part:
        yield part


def head(level, count, size):
    return bytes([1, level, 0, 0]) + le(count, 4) + le(size, 8)


def list_body(level, entries):
    return head(level, len(entries), sum(size for _, size in entries)) + b"".join(d + le(s, 8) for d, s in entries)


def make_list(entries):
    """(root digest, level, digests of the parts directly below it)"""
    level = 0
    while 16 + 40 * len(entries) > MIB:
        parts = []
        for part in groups(entries, lambda _: 40, lambda entry: low12(entry[0]) == 0):
            parts.append((oid("list", list_body(level, part)), sum(size for _, size in part)))
        entries = parts
        level += 1
    return oid("list", list_body(level, entries)), level, entries


def tree_entry(entry):
    kind, size, digest, name = entry
    return kind + bytes([len(name)]) + le(size, 8) + digest + name


def tree_body(entries):
    return head(0, len(entries), sum(e[1] for e in entries)) + b"".join(map(tree_entry, entries))


def parts_body(level, parts):
    return head(level, len(parts), sum(size for size, _ in parts)) + b"".join(le(s, 8) + d for s, d in parts)


def make_tree(entries):
    """(root digest, level, parts directly below it)"""
    entries = sorted(entries, key=lambda e: e[3])
    body = tree_body(entries)
    if len(body) <= MIB:
        return oid("tree", body), 0, []
    parts = []
    for part in groups(entries, lambda e: len(tree_entry(e)), lambda e: low12(hashlib.sha256(e[3]).digest()) == 0):
        parts.append((sum(e[1] for e in part), oid("tree", tree_body(part))))
    level = 1
    while 16 + 40 * len(parts) > MIB:
        higher = []
        for part in groups(parts, lambda _: 40, lambda p: low12(p[1]) == 0):
            higher.append((sum(size for size, _ in part), oid("tree", parts_body(level, part))))
        parts = higher
        level += 1
    return oid("tree", parts_body(level, parts)), level, parts


def byte_string(data):
    try:
        if b"\0" in data:
            raise ValueError
        return data.decode()
    except ValueError:
        return {"base64": base64.b64encode(data).decode()}


def name_vectors():
    bodies = [b"", b"a", b"hello\n", bytes(range(256)), stream("name", 100000)]
    out = []
    for body in bodies:
        entry = {"body": body.hex()} if len(body) <= 256 else {"stream": "name", "length": len(body)}
        entry["plain"] = hashlib.sha256(body).hexdigest()
        entry.update({kind: oid(kind, body).hex() for kind in KINDS})
        out.append(entry)
    return out


def chunk_vectors():
    cases = [
        ("random", stream("chunks", 12 * MIB)),
        ("just above", stream("chunks", 4 * MIB + 1)),
        ("zeros", bytes(9 * MIB)),
        ("a period", stream("period", 4096) * (6 * MIB // 4096)),
    ]
    out = []
    for what, data in cases:
        lengths = cut(data)
        entries, offset = [], 0
        for length in lengths:
            entries.append((oid("content", data[offset : offset + length]), length))
            offset += length
        root, level, _ = make_list(entries)
        out.append(
            {
                "what": what,
                "size": len(data),
                "lengths": lengths,
                "first": entries[0][0].hex(),
                "level": level,
                "list": root.hex(),
            }
        )
    return out


def list_vectors():
    """Lists of made-up chunks: chunk i is named by the plain digest of "chunk i", its size is 1 MiB + i mod 1000."""
    out = []
    for count in (1, 26214, 26215, 100000):
        entries = [(hashlib.sha256(b"chunk %d" % i).digest(), MIB + i % 1000) for i in range(count)]
        root, level, top = make_list(entries)
        out.append({"count": count, "level": level, "entries": len(top), "list": root.hex()})
    return out


def tree_vectors():
    digest = [hashlib.sha256(b"object %d" % i).digest() for i in range(8)]
    cases = [
        [],
        [(b"f", 0, oid("content", b""), b"empty")],
        [
            (b"f", 6, oid("content", b"hello\n"), b"hello.txt"),
            (b"x", 1234567, digest[1], b"run.sh"),
            (b"s", 9, oid("content", b"hello.txt"), b"link"),
            (b"d", 77, digest[2], b"src"),
            (b"f", 1 << 40, digest[3], b"large.bin"),
        ],
        [
            (b"f", 1, digest[0], b"a"),
            (b"f", 2, digest[1], b"a.b"),
            (b"d", 3, digest[2], b"a-b"),
            (b"f", 4, digest[3], b"ab"),
            (b"f", 5, digest[4], b"\xff\xfe not UTF-8"),
            (b"f", 6, digest[5], b"new\nline"),
            (b"f", 7, digest[6], b"..."),
            (b"s", 4095, digest[7], b"n" * 255),
        ],
    ]
    out = []
    for entries in cases:
        root, _, _ = make_tree(entries)
        out.append(
            {
                "entries": [
                    {"kind": k.decode(), "size": s, "object": d.hex(), "name": byte_string(n)} for k, s, d, n in entries
                ],
                "body": tree_body(sorted(entries, key=lambda e: e[3])).hex(),
                "tree": root.hex(),
            }
        )
    return out


def large_tree_vectors():
    """Made-up folders: entry i is a file of i bytes, named "file-%08d", its object the plain digest of its name."""
    out = []
    for count in (19064, 19065, 100000):
        entries = []
        for i in range(count):
            name = b"file-%08d" % i
            entries.append((b"f", i, hashlib.sha256(name).digest(), name))
        root, level, parts = make_tree(entries)
        out.append({"count": count, "level": level, "parts": [d.hex() for _, d in parts], "tree": root.hex()})
    return out


def bad_trees():
    a = (b"f", 1, bytes(32), b"a")
    good = tree_body([a])

    def with_name(name):
        return tree_body([(b"f", 1, bytes(32), name)])

    cases = {
        "no bytes": b"",
        "half a head": good[:8],
        "version 2": b"\2" + good[1:],
        "level 4": b"\1\4" + good[2:],
        "reserved bytes": good[:2] + b"\1" + good[3:],
        "a count that is too small": good[:4] + le(0, 4) + good[8:],
        "a count that is too large": good[:4] + le(2, 4) + good[8:],
        "a size that does not add up": good[:8] + le(2, 8) + good[16:],
        "a byte too many": good + b"\0",
        "a byte too few": good[:-1],
        "an unknown kind": good[:16] + b"h" + good[17:],
        "no name": with_name(b""),
        "a name with a slash": with_name(b"a/b"),
        "a name with NUL": with_name(b"a\0b"),
        "dot": with_name(b"."),
        "dot dot": with_name(b".."),
        "names out of order": tree_body([(b"f", 1, bytes(32), b"b"), a]),
        "the same name twice": tree_body([a, a]),
        "a longer name before its beginning": tree_body([(b"f", 1, bytes(32), b"ab"), a]),
        "a symbolic link without a target": tree_body([(b"s", 0, bytes(32), b"a")]),
        "a symbolic link of 4096 bytes": tree_body([(b"s", 4096, bytes(32), b"a")]),
        "a file of more than 2^50 bytes": tree_body([(b"f", (1 << 50) + 1, bytes(32), b"a")]),
        "sizes that overflow": head(0, 2, 0)
        + tree_entry((b"d", 1 << 63, bytes(32), b"a"))
        + tree_entry((b"d", 1 << 63, bytes(32), b"b")),
        "no parts": parts_body(1, []),
        "parts that do not add up": head(1, 2, 3) + le(1, 8) + bytes(32) + le(1, 8) + bytes(32),
        "a part cut off": parts_body(1, [(1, bytes(32)), (1, bytes(32))])[:-1],
    }
    return [{"what": what, "body": body.hex()} for what, body in cases.items()]


def bad_lists():
    entries = [(bytes(32), 4 * MIB), (b"\1" * 32, 5)]
    good = list_body(0, entries)
    cases = {
        "no bytes": b"",
        "half a head": good[:8],
        "version 2": b"\2" + good[1:],
        "level 4": b"\1\4" + good[2:],
        "reserved bytes": good[:3] + b"\1" + good[4:],
        "no entries": list_body(0, []),
        "a count that is too large": good[:4] + le(3, 4) + good[8:],
        "a count beyond all": good[:4] + le(0xFFFFFFFF, 4) + good[8:],
        "a size that does not add up": good[:8] + le(1, 8) + good[16:],
        "a byte too many": good + b"\0",
        "an empty chunk": list_body(0, [(bytes(32), 0)]),
        "a chunk above 4 MiB": list_body(0, [(bytes(32), 4 * MIB + 1)]),
        "sizes that overflow": head(1, 2, 0) + (bytes(32) + le(1 << 63, 8)) * 2,
        "a part above 2^50 bytes": head(1, 1, (1 << 50) + 1) + bytes(32) + le((1 << 50) + 1, 8),
    }
    return [{"what": what, "body": body.hex()} for what, body in cases.items()]


def tar(objects):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for kind, body in objects:
            info = tarfile.TarInfo(f"{kind}/{oid(kind, body).hex()}")
            info.size = len(body)
            info.mode = 0o400
            archive.addfile(info, io.BytesIO(body))
        length = archive.offset
    return out.getvalue()[:length] + bytes(1024)


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c", "--no-check"], input=data, stdout=subprocess.PIPE, check=True).stdout


def pack_vector():
    objects = [("content", b""), ("content", b"hello\n"), ("tree", tree_body([])), ("list", stream("name", 700))]
    return {
        "pack": base64.b64encode(zstd(tar(objects))).decode(),
        "objects": [{"kind": kind, "digest": oid(kind, body).hex(), "length": len(body)} for kind, body in objects],
    }


def main():
    path = HERE / "formats.json"
    vectors = json.loads(path.read_text()) if path.exists() else {}
    vectors.update(
        {
            "names": name_vectors(),
            "gear": hashlib.sha256(b"".join(le(g, 8) for g in GEAR)).hexdigest(),
            "chunks": chunk_vectors(),
            "lists": list_vectors(),
            "trees": tree_vectors(),
            "large_trees": large_tree_vectors(),
            "bad_trees": bad_trees(),
            "bad_lists": bad_lists(),
            "pack": pack_vector(),
        }
    )
    path.write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
