"""The checks of ./dev lint that are our own find what they are for, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "lint"))

import layers  # noqa: E402
import shape  # noqa: E402
import sources  # noqa: E402

HEADER = "/*\n * thing: does it.   [{layer}]\n */\n{includes}\n/* Do it. */\nint thing_do(void);\n"


@pytest.fixture
def repository(monkeypatch, make_project):
    """repository({path: text}): the checks look at a repository with these files instead of at ours."""

    def make(files: dict[str, str]) -> Path:
        folder = make_project(files)
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        monkeypatch.setattr(sources, "ROOT", folder)
        for cached in (sources.files, sources.text, sources.code):
            cached.cache_clear()
        return folder

    yield make
    for cached in (sources.files, sources.text, sources.code):
        cached.cache_clear()


def header(layer: str, *includes: str) -> str:
    return HEADER.format(layer=layer, includes="\n".join(f"#include {name}" for name in includes))


def test_layers_pointing_down_are_accepted(repository):
    repository(
        {
            "common/low.h": header("base", "<stdio.h>", "<sys/stat.h>"),
            "common/tree.h": header("content", '"common/low.h"'),
            "common/frame.h": header("wire", '"common/tree.h"', '"common/low.h"'),
            "common/frame.c": '#include "common/frame.h"\n#include <archive.h>\n#include "common/rows.def"\n',
            "common/rows.def": "ROW(A)\n",
            "executor/main.c": '#include "common/frame.h"\n',
        }
    )
    assert list(layers.check()) == []


@pytest.mark.parametrize(
    "files, said",
    [
        (
            {"common/low.h": header("base", '"common/tree.h"'), "common/tree.h": header("content")},
            "base may not stand on",
        ),
        (
            {"executor/a.h": header("executor", '"controller/b.h"'), "controller/b.h": header("controller")},
            "executor may not stand on controller",
        ),
        ({"controller/x.c": '#include "executor/b.h"\n', "executor/b.h": header("executor")}, "controller may not"),
        ({"common/low.h": "/* thing */\n"}, "must name its layer"),
        ({"common/low.h": header("executor")}, "does not live in common"),
        ({"common/low.h": header("base", "<yaml.h>")}, "a library's"),
        ({"executor/a.c": "#include <yaml.h>\n", "executor/b.c": "#include <yaml.h>\n"}, "is included by 2 files"),
        ({"executor/a.c": '#include "a.h"\n', "executor/a.h": header("executor")}, "written from the root"),
        (
            {"common/low.h": header("base"), "common/low.c": '#include "common/up.h"\n', "common/up.h": header("wire")},
            "stand on",
        ),
    ],
)
def test_layers_pointing_elsewhere_are_found(repository, files, said):
    repository(files)
    found = list(layers.check())
    assert len(found) == 1
    assert said in found[0]


def test_sizes_finds_long_functions_and_files(repository):
    body = "    ;\n" * 79
    repository(
        {
            "common/a.c": f"int fits(void)\n{{\n{body[:-6]}}}\n\nint\nis_long(int a,\n        int b)\n{{\n{body}}}\n",
            "common/b.c": "\n" * 601,
            "tests/unit/test_c.c": "\n" * 601,
        }
    )
    assert sorted(shape.sizes()) == [
        "common/a.c:86: is_long has 81 lines; at most 80",
        "common/b.c:601: 601 lines; at most 600",
    ]


def test_tables_finds_names_that_are_there_twice(repository):
    repository(
        {
            "common/good.def": '/* ROW(symbol, "name") */\nROW(A, "a", 1)\nROW(B, "b", 1)\nOTHER(A, "a")\n',
            "common/bad.def": 'ROW(A, "a", 1)\nROW(B, "a", 1)\nKEY("x.y", 1)\nKEY("x.y", 2)\n',
        }
    )
    assert list(shape.tables()) == [
        'common/bad.def:2: ROW("a") is there already, in line 1',
        'common/bad.def:4: KEY("x.y") is there already, in line 3',
    ]


def test_contracts_finds_prototypes_without_one(repository):
    repository(
        {
            "common/a.h": "/* a [base] */\n"
            "struct a;\nstruct a *a_new(void);\nvoid a_free(struct a *a);\n\n"
            "/* Both do it. */\nint a_one(struct a *a);\nint a_two(struct a *a,\n          int b);\n\n"
            "int a_three(struct a *a);\n\n"
            'typedef int (*callback)(int);\n#define MACRO(x) f(x)\n_Static_assert(sizeof(int) == 4, "so");\n\n'
            "FILE *a_four(void);\n\n"
            "_Noreturn void a_five(const char *format, ...)\n    __attribute__((format(printf, 1, 2)));\n",
        }
    )
    assert list(shape.contracts()) == [
        "common/a.h:11: a_three has no contract",
        "common/a.h:17: a_four has no contract",
        "common/a.h:19: a_five has no contract",
    ]


def test_prints_finds_libraries_that_talk(repository):
    repository(
        {
            "common/a.c": 'int f(void)\n{\n    puts("x");\n    (void)fprintf(stderr, "exit(1)");\n}\n'
            'int g(void)\n{\n    snprintf(a, 1, "x");\n}\n',
            "controller/main.c": 'int main(void)\n{\n    exit(puts("x"));\n}\n',
            "controller/cmd_a.c": 'int f(void)\n{\n    return printf("x");\n}\n',
            "executor/b.c": 'int b_main(int argc, char **argv)\n{\n    return puts("x");\n}\n',
            "executor/c.c": "int c(void)\n{\n    exit(1);\n    _exit(1); /* a child's */\n}\n",
        }
    )
    assert [finding.rsplit(": only", 1)[0] for finding in shape.prints()] == [
        "common/a.c:3: puts",
        "common/a.c:4: fprintf",
        "executor/c.c:3: exit",
    ]


def test_state_finds_locals_that_stay(repository):
    repository(
        {
            "common/a.c": "static int helper(void)\n{\n    static const int table[] = {1};\n    static int count;\n"
            "    static void (*const probes[])(void) = {0};\n    static char *none[] = {0};\n}\n",
        }
    )
    assert [finding.split(": ")[0] for finding in shape.state()] == ["common/a.c:4", "common/a.c:6"]


def test_unfinished_finds_what_is_put_off(repository):
    repository({"common/a.c": '/* TODO: all */\nchar t[] = "aXXXXXX";\n', "README.md": "Fine.\nFIXME\n"})
    assert [finding.split(": ")[0] for finding in shape.unfinished()] == ["README.md:2", "common/a.c:1"]


def test_unfinished_reads_no_recorded_answer(repository):
    repository({"tests/fixtures/yarn/log.txt": b"TODO \xff\n", "tests/fuzz/corpus/yarn/seed.txt": b"TODO \xf6\n"})
    assert list(shape.unfinished()) == []


def test_waits_finds_tests_that_sleep(repository):
    repository(
        {
            "tests/e2e/test_a.py": "import time\ntime.sleep(1)\n",
            "tests/support/waiting.py": "import time\ntime.sleep(1)\n",
            "tests/unit/test_b.c": "/* sleep(1) */\nvoid f(void) { usleep(1); }\n",
        }
    )
    assert [finding.split(": ")[0] for finding in shape.waits()] == ["tests/e2e/test_a.py:2", "tests/unit/test_b.c:2"]
