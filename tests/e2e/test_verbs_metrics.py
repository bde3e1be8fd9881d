"""errand metrics: what a script wrote to $ERRAND_METRICS, while it runs and afterwards."""

import json

import pytest
from support.projects import write_files

WRITES = """import json, os, sys
from time import sleep
out = open(os.environ["ERRAND_METRICS"], "a")
def say(**values):
    out.write(json.dumps(values) + "\\n")
    out.flush()
for step in range(1, 4):
    say(loss=1 / step, accuracy=0.25 * step, step=step)
say(note="as planned", curve=[1, 2.5])
say(best={"epoch": 3, "by": "loss"})
out.write("loss so far\\n")
out.flush()
print("half", flush=True)
while len(sys.argv) > 1 and not os.path.exists(sys.argv[1]):
    sleep(0.01)
say(loss=float("nan"))
"""


@pytest.fixture
def ended(errand, target):
    write_files(errand.cwd, {"t.py": WRITES})
    errand.ok("run", "--target", target, "t.py")
    return errand


def test_each_metric_is_told_in_short(ended):
    result = ended.ok("metrics")
    assert [line.split("  ") for line in result.text.splitlines()] == [
        row.split("  ")
        for row in (
            "METRIC    COUNT  LATEST           MIN       MAX   STEP",
            "loss      4      NaN              0.333333  1     -",
            "accuracy  3      0.75             0.25      0.75  3",
            "note      1      as planned       -         -     -",
            "curve     2      2.5              1         2.5   -",
            "best      1      epoch=3 by=loss  -         -     -",
        )
    ]
    run = ended.show()["id"]
    assert result.errors.startswith(f"errand: warning: 1 line of {run}'s metrics could not be read; line 6: ")
    assert f"metrics     loss, accuracy, note, curve, best; errand metrics {run}\n" in ended.ok("show").text
    assert ended.show()["metrics"] == {
        "loss": "NaN",
        "accuracy": 0.75,
        "note": "as planned",
        "curve": 2.5,
        "best": {"epoch": 3, "by": "loss"},
    }
    said = ended.json("metrics", "@")
    assert said["run"] == run and said["unread_lines"] == 1
    assert said["metrics"][1] == {
        "name": "accuracy",
        "count": 3,
        "latest": 0.75,
        "step": 3,
        "min": 0.25,
        "max": 0.75,
    }
    assert said["metrics"][4]["latest"] == {"epoch": 3, "by": "loss"} and said["metrics"][4]["min"] is None


def test_a_long_value_is_cut_between_two_characters(errand):
    """59 bytes and then characters of two: the 60th byte is half of one."""
    write_files(
        errand.cwd,
        {
            "t.py": "import json, os\n"
            "with open(os.environ['ERRAND_METRICS'], 'a') as out:\n"
            "    out.write(json.dumps({'note': 'x' * 59 + '\u00e9' * 20}) + '\\n')\n"
        },
    )
    errand.ok("run", "t.py")
    assert f" {'x' * 59}...  " in errand.ok("metrics").text


def test_one_metric_is_told_value_by_value(errand):
    write_files(errand.cwd, {"t.py": WRITES})
    errand.ok("run", "t.py")
    assert errand.ok("metrics", "@", "loss").text == "1\t1\n2\t0.5\n3\t0.333333\n\tNaN\n"
    values = errand.json("metrics", "@", "loss")["values"]
    assert values == [{"step": step, "value": 1 / step} for step in (1, 2, 3)] + [{"step": None, "value": "NaN"}]
    said = errand.run("metrics", "@", "los", code=1).errors
    assert 'has no metric "los"' in said and "errand metrics" in said
    assert errand.run("metrics", "@", "los", "--json", code=1).json()["error"]["code"] == "not_found"


def test_a_run_that_goes_on_has_them_too(errand, target, tmp_path):
    write_files(errand.cwd, {"t.py": WRITES})
    run = errand.submit("--target", target, "t.py", tmp_path / "gate")
    following = errand.follow(run)
    following.wait_output(b"half")
    (loss, *_) = errand.json("metrics", run)["metrics"]
    assert (loss["name"], loss["count"], loss["latest"]) == ("loss", 3, 1 / 3)
    (tmp_path / "gate").touch()
    following.finish()
    assert errand.json("metrics", run, "--offline")["metrics"][0]["count"] == 4


def test_a_node_that_is_away_leaves_what_had_come(errand, sshd, tmp_path):
    errand.add_target("gone", *sshd.target_arguments())
    write_files(errand.cwd, {"t.py": WRITES})
    run = errand.submit("--target", "gone", "t.py", tmp_path / "gate")
    errand.wait_status(run, "Running")
    following = errand.follow(run)
    following.wait_output(b"half")
    errand.ok("metrics", run)
    following.kill()
    sshd.stop()
    result = errand.ok("metrics", run)
    assert "this is what had come before" in result.errors and result.text.count("accuracy") == 1


def test_a_run_without_metrics_says_how_a_script_writes_them(errand):
    errand.ok("run", "train.py")
    result = errand.ok("metrics")
    assert result.out == b"" and "appends lines such as" in result.errors
    assert errand.json("metrics") == {"run": errand.show()["id"], "metrics": [], "unread_lines": 0}
    assert "metrics" not in errand.ok("show").text


def test_names_and_texts_do_no_harm_to_a_terminal(errand):
    evil = "\x1b]0;owned\x07\x1b[2J"
    line = json.dumps({evil: evil}) + "\n"
    write_files(errand.cwd, {"t.py": f"import os\nopen(os.environ['ERRAND_METRICS'], 'w').write({line!r})\n"})
    errand.ok("run", "t.py")
    for words in (["metrics"], ["metrics", "@", evil], ["show"]):
        shown = errand.terminal(*words, columns=200).finish().out
        assert b"\x1b]" not in shown and b"\x1b[2J" not in shown
