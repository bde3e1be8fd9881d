"""errand target add, list, check and remove, as a person types them."""

import pytest
from support.errand import strip_controls
from support.projects import write_files
from support.sshd import free_port

# Step names and hints may grow; these keys are for good.
STEP = {"step", "ok", "time_ms", "detail", "hint"}


def add(errand, *arguments, code=0):
    return errand.run("target", "add", *arguments, code=code)


def listed(errand) -> dict[str, dict]:
    return {target["name"]: target for target in errand.json("target", "list")["targets"]}


# ---- add, list, remove ----


def test_what_was_added_is_listed_and_can_be_removed(errand):
    before = listed(errand)
    assert list(before) == ["local"]
    said = add(errand, "gpu1", "me@gpu1.example.com")
    assert said.out == b""
    assert "errand target check gpu1" in said.errors
    after = listed(errand)
    assert (after["gpu1"]["host"], after["gpu1"]["port"], after["gpu1"]["transport"]) == (
        "me@gpu1.example.com",
        None,
        "auto",
    )
    assert "gpu1.yaml" in after["gpu1"]["origin"]
    text = errand.ok("target", "list").text
    assert "me@gpu1.example.com" in text
    assert "local *" in text
    errand.ok("target", "remove", "gpu1")
    assert listed(errand) == before


def test_a_target_is_reached_at_any_of_its_addresses(errand, sshd):
    """The first does not answer: as where a cluster's primary head node is down."""
    closed, other = free_port(), sshd.port
    arguments = sshd.target_arguments(closed)
    errand.add_target("heads", arguments[0], f"{sshd.host}:{other}", *arguments[1:])
    text = (errand.home / "config/targets.d/heads.yaml").read_text()
    assert f"addresses:\n  - {sshd.host}:{other}\n" in text or f'  - "{sshd.host}:{other}"' in text
    for transport in ("ssh2", "openssh"):
        write_files(errand.home, {"config/targets.d/heads.yaml": text + f"transport: {transport}\n"})
        result = errand.run("run", "--target", "heads", "--", "echo", "there")
        assert result.code == 0, result.errors
        assert result.text == "there\n"
        assert f"; trying {sshd.host}:{other}" in result.errors
    sshd.stop()
    result = errand.run("run", "--target", "heads", "--", "true")
    assert result.code == 125
    assert str(other) in result.errors


def test_an_address_that_is_none_is_refused_before_it_is_written(errand):
    said = add(errand, "heads", "me@a", "b:port", code=2)
    assert "targets.heads.addresses" in said.errors
    assert list(listed(errand)) == ["local"]


def test_the_kind_of_a_target_is_listed(errand):
    add(errand, "hdi", "me@h", "--kind", "spark")
    assert {name: target["kind"] for name, target in listed(errand).items()} == {"local": "ssh", "hdi": "spark"}
    assert "spark" in errand.ok("target", "list").text


def test_every_option_is_kept_and_files_are_found_from_everywhere(errand):
    write_files(errand.cwd, {"key": "", "cfg": ""})
    options = "-p 2222 -i key -F cfg --known-hosts kh --transport openssh --root /data/e --interpreter /opt/py"
    said = add(errand, "gpu1", "box", *options.split())
    assert "warning" not in said.errors
    text = (errand.home / "config/targets.d/gpu1.yaml").read_text()
    for line in (
        "host: box",
        "port: 2222",
        f"identity: {errand.cwd}/key",
        f"ssh_config: {errand.cwd}/cfg",
        f"known_hosts: {errand.cwd}/kh",
        "transport: openssh",
        "root: /data/e",
        "interpreter: /opt/py",
    ):
        assert line in text.splitlines()
    assert listed(errand)["gpu1"]["port"] == 2222
    assert "port 2222" in errand.ok("target", "list").text


def test_a_second_of_the_same_name_is_refused_unless_forced(errand):
    add(errand, "gpu1", "one")
    refusal = add(errand, "gpu1", "two", code=1)
    assert 'a target "gpu1" already' in refusal.errors
    assert "--force" in refusal.errors
    assert listed(errand)["gpu1"]["host"] == "one"
    add(errand, "gpu1", "two", "--force")
    assert listed(errand)["gpu1"]["host"] == "two"


@pytest.mark.parametrize("name", ["", ".x", "_x", "a/b", "..", "a b", "ü", "x" * 65, "a\nb"])
def test_a_name_that_is_none(errand, name):
    assert "is no name for a target" in add(errand, name, "host", code=2).errors
    assert list(listed(errand)) == ["local"]


def test_local_is_there_and_stays(errand):
    assert '"local" is this machine' in add(errand, "local", "host", code=2).errors
    assert '"local" is this machine' in errand.run("target", "remove", "local", code=1).errors


@pytest.mark.parametrize("host", ["", "-oProxyCommand=touch x", "a b", "a\tb", "me@", "@h", "me@-x", "x" * 600])
def test_a_host_that_is_none(errand, host):
    assert "host" in add(errand, "gpu1", "--", host, code=2).errors
    assert list(listed(errand)) == ["local"]


@pytest.mark.parametrize("port", ["65536", "0", "-1", "x", "", "22x", "99999999999999999999"])
def test_a_port_that_is_none(errand, port):
    assert "ort" in add(errand, "gpu1", "host", f"--port={port}", code=2).errors
    assert list(listed(errand)) == ["local"]


def test_a_port_may_stand_behind_the_host(errand):
    for name, place in (("a", "me@gpu1:2222"), ("b", "ssh://me@gpu1:2222")):
        add(errand, name, place)
        assert (listed(errand)[name]["host"], listed(errand)[name]["port"]) == ("me@gpu1", 2222)
    refusal = add(errand, "c", "gpu1:work", code=2)
    assert '"work" behind the colon is no TCP port' in refusal.errors
    assert "names another port than 22" in add(errand, "c", "gpu1:23", "--port=22", code=2).errors
    assert "c" not in listed(errand)


def test_a_transport_that_is_none_names_those_there_are(errand):
    refusal = add(errand, "gpu1", "host", "--transport=telepathy", code=2)
    assert 'no transport "telepathy"' in refusal.errors
    assert "auto, local, openssh" in refusal.errors


def test_local_by_another_name_has_a_root_of_its_own_and_no_host(errand, tmp_path):
    assert "takes no host" in add(errand, "here", "host", "--transport=local", code=2).errors
    add(errand, "here", "--transport=local", f"--root={tmp_path}/a root")
    assert errand.ok("run", "--target", "here", "train.py").out == b"hello\n"
    assert (tmp_path / "a root/runs").is_dir()


def test_a_host_is_wanted(errand):
    assert "host is missing" in add(errand, "gpu1", code=2).errors


@pytest.mark.parametrize("option", ["--identity", "--ssh-config"])
def test_a_file_that_is_not_there_is_warned_of(errand, option, tmp_path):
    said = add(errand, "gpu1", "host", f"{option}={tmp_path}/typo")
    assert f"{option}: {tmp_path}/typo cannot be read" in said.errors
    assert "gpu1" in listed(errand)


def test_what_is_not_there_cannot_be_removed(errand):
    refusal = errand.run("target", "remove", "gpu1", code=1)
    assert 'no target "gpu1"' in refusal.errors
    assert "errand target list" in refusal.errors
    assert errand.run("target", "remove", "../config", code=1).errors


def test_a_target_of_a_projects_file_is_no_target_until_it_is_trusted(errand):
    write_files(errand.cwd, {"errand.yaml": "targets:\n  evil:\n    host: evil.example.com\n"})
    refusal = errand.run("target", "check", "evil", code=1)
    assert "evil.example.com" in refusal.errors
    assert "errand trust" in refusal.errors


# ---- check ----


def test_a_healthy_node_has_every_step(errand, target, transport):
    document = errand.json("target", "check", target)
    assert set(document) == {"target", "ok", "steps", "transport", "node"}
    assert (document["target"], document["ok"]) == (target, True)
    assert document["transport"] == ("ssh2" if transport == "kept" else transport)
    assert all(set(step) == STEP for step in document["steps"])
    assert all(step["ok"] is True and isinstance(step["time_ms"], int) for step in document["steps"])
    names = [step["step"] for step in document["steps"]]
    assert names[:2] == ["transport", "connect"]
    assert {"executor", "clock", "disk", "python", "answer"} <= set(names)
    assert len(document["node"]["id"]) == 64


def test_what_a_person_reads_is_the_same(errand, target):
    document = errand.json("target", "check", target)
    lines = errand.ok("target", "check", target).text.splitlines()
    shown = [line for line in lines if line.startswith(("ok ", "FAIL"))]
    for step, line in zip((step for step in document["steps"] if step["step"] != "install"), shown, strict=True):
        assert step["step"].replace("_", " ") in line


def test_a_failing_node_is_shown_with_a_hint_and_status_1(errand):
    add(errand, "gpu1", "no-such-host.invalid", "--ssh-config=/dev/null")
    result = errand.run("target", "check", "gpu1", code=1)
    assert "FAIL connect" in result.text
    assert "-> check the host's name" in result.text
    document = errand.run("target", "check", "gpu1", "--json", code=1).json()
    assert set(document) == {"target", "ok", "steps", "transport", "node"}
    assert document["ok"] is False
    assert document["node"] is None
    assert all(set(step) == STEP for step in document["steps"])


def test_an_unknown_target_names_the_nearest(errand):
    add(errand, "gpu-cluster", "host")
    result = errand.run("target", "check", "gpu-clutser", code=1)
    assert 'did you mean "gpu-cluster"?' in result.errors
    error = errand.run("target", "check", "gpu-clutser", "--json", code=1).json()["error"]
    assert error["code"] == "not_found"
    far = errand.run("target", "check", "something-else", code=1)
    assert "errand target list" in far.errors


def test_without_a_name_the_default_target_is_checked(errand):
    assert errand.json("target", "check")["target"] == "local"
    errand.configure(target="here")
    add(errand, "here", "--transport=local")
    assert errand.json("target", "check")["target"] == "here"


def test_words_that_are_too_many_are_wrong_usage(errand):
    for words in (["check", "a", "b"], ["add"], ["add", *"abcdefghij"], ["remove"], ["list", "x"], [], ["frob"]):
        assert errand.run("target", *words).code == 2, words


def test_a_terminal_shows_the_same_lines(errand):
    screen = errand.terminal("target", "check", "local", columns=200)
    assert screen.finish().code == 0
    assert "ok   connect" in strip_controls(screen.out)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "ssh"])
def test_a_port_that_is_none_is_refused(errand, port):
    result = errand.run("target", "add", "node", "host.example.com", f"--port={port}", code=2)
    assert f"{port} is no TCP port" in result.errors
    assert b"node" not in errand.ok("target", "list").out
