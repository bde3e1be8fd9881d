"""run --timing: where the time went, over each way to the node."""

HERE = {"configuration", "connection", "snapshot", "record", "submit", "first output", "outputs home"}
NODE = {"check", "accept", "supervisors", "checkout", "launch", "script", "ending"}
SSH2 = {"ssh -G", "resolve", "connect", "key exchange", "login", "executor"}


def timing_of(errand, verb, *args):
    return errand.ok(verb, "--timing", "--json", *args).json()["timing"]


def noted(timing) -> set[str]:
    """The phases that happened."""
    return {p["phase"] for p in timing["phases"] if p["at_us"] is not None or p["took_us"] is not None}


def span(timing, name) -> tuple[int, int]:
    phase = next(p for p in timing["phases"] if p["phase"] == name)
    return phase["at_us"], phase["at_us"] + phase["took_us"]


def test_each_phase_is_told(errand, target, transport):
    timing = timing_of(errand, "run", "--target", target, "train.py")
    # A connection that is kept, and one that ssh made, has no parts that are known.
    parts = SSH2 if transport == "ssh2" else set()
    assert timing["connection"] == transport
    assert noted(timing) == HERE | NODE | parts
    order = ["ssh -G", "resolve", "connect", "key exchange", "login", "executor"] if parts else []
    for before, after in zip(order, order[1:]):
        assert span(timing, before)[1] <= span(timing, after)[0]
    assert span(timing, "record")[1] <= span(timing, "submit")[0]
    assert all(p["at_us"] is None for p in timing["phases"] if p["on"] == "node")
    assert all(p["took_us"] <= timing["total_us"] for p in timing["phases"] if p["took_us"] is not None)


def test_a_submission_is_told_up_to_its_acceptance(errand):
    result = errand.ok("submit", "--timing", "train.py")
    assert result.out.count(b"\n") == 1  # the id alone
    lines = {line.strip().split("  ")[0] for line in result.errors.replace("errand: ", "").splitlines()}
    assert {"submit", "accept", "all"} <= lines
    timing = timing_of(errand, "submit", "train.py")
    assert noted(timing) == (HERE | NODE) - {"first output", "outputs home", "checkout", "launch", "script", "ending"}


def test_the_script_is_told_from_the_rest(errand):
    (errand.cwd / "slow.py").write_text("import time\ntime.sleep(0.3)\n")
    timing = timing_of(errand, "run", "slow.py")
    took = {p["phase"]: p["took_us"] for p in timing["phases"]}
    assert took["script"] >= 300_000
    assert "first output" not in noted(timing)  # it said nothing


def test_people_read_a_table_on_stderr(errand):
    result = errand.ok("run", "--timing", "train.py")
    lines = result.errors.splitlines()
    start = next(i for i, line in enumerate(lines) if "timing, in ms" in line)
    assert [line.split()[1] for line in lines[start:]][:2] == ["timing,", "configuration"]
    assert lines[-1].split()[1] == "all"
    assert b"timing" not in result.out
