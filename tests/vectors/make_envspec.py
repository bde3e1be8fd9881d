#!/usr/bin/env python3
"""Writes envspec.json: definitions of environments and the digests of their identity forms (common/FORMATS.md 4.1.1).

An implementation of its own, from the text of FORMATS.md and without a look at the C code.
"""

import hashlib
import json
import pathlib
import re

HERE = pathlib.Path(__file__).parent
A = "0123456789abcdef" * 4
B = "fedcba9876543210" * 4

PACKAGES = {"format": 1, "kind": "packages", "source": "requirements.txt"}
LOCAL = {"path": "dist/a-1.whl", "name": "a-1.whl", "kind": "f", "digest": A}
DEFINITIONS = {
    "nothing": {"format": 1, "kind": "packages"},
    "packages": {
        **PACKAGES,
        "python": ">=3.9,<3.12",
        "builder": "uv",
        "requirements": [
            'a[x,y]==1.0 ; python_version < "3.9" --hash=sha256:' + A,
            "b>=1,<2",
            "zeta @ https://${ERRAND_CREDENTIALS_1}@files.example.com/zeta-1-py3-none-any.whl",
        ],
        "constraints": ["c==3"],
        "options": ["--index-url https://${ERRAND_CREDENTIALS_2}@pypi.example.com/simple", "--no-binary b", "--pre"],
        "paths": ["", "src"],
    },
    "local": {
        **PACKAGES,
        "requirements": [
            "six==1.17.0",
            {"path": "", "name": "", "kind": "d", "digest": B, "extras": "dev", "is_editable": True},
            {**LOCAL, "marker": 'sys_platform == "linux"'},
        ],
        "find_links": [{"path": "wheels", "name": "wheels", "kind": "d", "digest": A}],
    },
    "conda": {
        "format": 1,
        "kind": "conda",
        "channels": ["conda-forge", "https://me:secret@conda.example.com/ch", "defaults"],
        "conda": ["numpy=1.26", "python=3.11"],
        "requirements": ["six"],
    },
    "lock": {
        "format": 1,
        "kind": "lock",
        "python": ">=3.10",
        "lock": {
            "project": "",
            "files": [{"path": "pyproject.toml", "digest": A}, {"path": "uv.lock", "digest": B}],
            "groups": ["dev"],
            "extras": ["cpu", "plots"],
        },
    },
    "interpreter": {"format": 1, "kind": "existing", "location": {"interpreter": "/opt/py/bin/python3"}},
    "conda-by-name": {"format": 1, "kind": "existing", "location": {"conda": "base"}, "source": "the node's base"},
    "bytes": {"format": 1, "kind": "existing", "location": {"venv": {"base64": "L29wdC//"}}},
    "image": {"format": 1, "kind": "image", "image": "docker.io/library/python:3.11-slim", "builder": "podman"},
}


def public(text):
    return re.sub(r"://[^/?# ]*@", "://", text)


def item(value):
    if isinstance(value, str):
        return public(value)
    left_out = {"path", "name"} if value["kind"] == "d" else {"path"}
    return {key: part for key, part in value.items() if key not in left_out}


def text(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def items(values):
    every = [item(value) for value in values]
    return sorted({each for each in every if isinstance(each, str)}) + [
        json.loads(each) for each in sorted({text(each) for each in every if not isinstance(each, str)})
    ]


def identity(definition):
    form = {key: value for key, value in definition.items() if key not in ("source", "paths")}
    for key in ("requirements", "constraints", "find_links"):
        if key in form:
            form[key] = items(form[key])
    for key in ("options", "channels"):
        if key in form:
            form[key] = [public(each) for each in form[key]]
    if "lock" in form:
        lock = {key: value for key, value in form["lock"].items() if key != "project"}
        form["lock"] = {**lock, "files": [each["digest"] for each in lock["files"]]}
    return form


def main():
    vectors = [
        {
            "name": name,
            "definition": definition,
            "identity": text(identity(definition)),
            "digest": hashlib.sha256(text(identity(definition)).encode()).hexdigest(),
        }
        for name, definition in DEFINITIONS.items()
    ]
    (HERE / "envspec.json").write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
