"""errand completion: real shells complete a command line."""

import shutil
import subprocess

import pytest
from support.errand import BIN, Terminal, strip_controls
from support.projects import write_files
from support.waiting import wait_for

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "--interactive"],
}
SET_UP = {
    "bash": "PS1='> '; bind 'set bell-style none'; source <(errand completion bash)",
    "zsh": "PS1='> '; autoload -Uz compinit; compinit -u -D; source <(errand completion zsh)",
    "fish": "function fish_prompt; echo '> '; end; errand completion fish | source",
}


def words(errand, *line: str) -> list[str]:
    """What `errand completion words` says for the last word."""
    result = errand.ok("completion", "words", *line)
    assert result.errors == ""
    return [found.partition("\t")[0] for found in result.text.splitlines()]


# ---- what is found ----


def test_verbs_and_their_second_words(errand):
    assert words(errand, "ru") == ["run"]
    assert words(errand, "target", "")[:3] == ["add", "list", "check"]
    assert words(errand, "config", "s") == ["show"]
    assert words(errand, "nothing", "") == []
    everything = words(errand, "")
    assert everything.count("target") == 1 and "target add" not in everything and "completion" in everything
    assert words(errand, "help", "co") == ["compare", "config", "completion"]
    assert words(errand, "help", "config", "r") == ["reference"]


def test_options_of_the_verb_and_no_others(errand):
    assert words(errand, "run", "--ta") == ["--target", "--tag"]
    assert words(errand, "logs", "@", "--t") == ["--tail"]
    assert "--help" in words(errand, "list", "--")
    assert words(errand, "list", "--ta") == ["--target"]


def test_targets_here_and_of_the_project(errand):
    errand.add_target("gpu1", "me@gpu1.example.com")
    write_files(errand.cwd, {"errand.yaml": "targets: {gpu2: {host: gpu2.example.com}}\n"})
    assert words(errand, "run", "--target", "") == ["gpu1", "gpu2", "local"]
    assert words(errand, "run", "--target=gpu1") == ["--target=gpu1"]
    assert words(errand, "target", "check", "l") == ["local"]
    assert "gpu2\tgpu2.example.com\n" in errand.ok("completion", "words", "node", "gc", "g").text


def test_runs_the_last_one_first(errand):
    runs = [errand.submit("train.py") for _ in range(2)]
    assert words(errand, "follow", "") == runs[::-1]
    assert words(errand, "wait", runs[0], runs[1][:5]) == [runs[1]]
    assert " on local, " in errand.ok("completion", "words", "show", runs[0]).text


def test_files_are_the_shells_own(errand):
    assert words(errand, "run", "") == words(errand, "run", "t.py", "--target", "") == [":files"]
    assert words(errand, "outputs", "@", "--to=x") == [":folders"]


def test_what_cannot_be_read_has_no_candidates_and_no_words(errand):
    write_files(errand.cwd, {"errand.yaml": "a: [b"})
    assert words(errand, "run", "--target", "") == []
    (errand.home / "state/history.db").write_text("no database" * 1000)
    assert words(errand, "follow", "") == []


def test_a_shell_that_is_not_known_is_said(errand):
    assert 'no completion for the shell "csh"' in errand.run("completion", "csh", code=2).errors


# ---- in the shells ----


@pytest.fixture(params=SHELLS)
def shell(request, errand):
    """An interactive shell on a terminal, in the project's folder, with completion set up."""
    assert shutil.which(request.param), f"{request.param} is missing: ./dev test installs it"
    write_files(errand.cwd, {"a script.py": "", "folder/in it": ""})
    terminal = Terminal(SHELLS[request.param], errand.env(), errand.cwd, columns=120)
    errand.started.append(terminal)
    terminal.send(SET_UP[request.param].encode() + b"; echo re''ady\r")
    terminal.expect(rb"ready", 60)
    return terminal


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ("targ", "target"),
        ("config ref", "reference"),
        ("run --fram", "--framework"),
        ("run --target gp", "gpu1"),
        ("run --target=gp", "--target=gpu1"),
        ("run a", "a script.py"),
        ("outputs @ --to fol", "folder/"),
    ],
)
def test_a_tab_completes(errand, shell, typed, word):
    errand.add_target("gpu1", "me@gpu1.example.com")
    start = len(shell.out)
    shell.send(f"errand {typed}\t".encode())

    def is_complete() -> bool:
        shell.read()
        return word in strip_controls(shell.out[start:]).replace("\\", "")

    wait_for(is_complete, f"{word} on the terminal", 60)


def test_fish_shows_descriptions(errand):
    asked = "errand completion fish | source; complete -C 'errand ru'; complete -C 'errand logs --tai'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", asked],
        env=errand.env(),
        cwd=errand.cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "run\trun a script there and follow it; its outputs come home",
        "--tail\tthe last N lines",
    ]


def test_bash_gets_words_as_they_must_be_typed(errand):
    """At `--target=` too, where readline replaces only what is behind the sign."""
    errand.add_target("gpu1", "me@gpu1.example.com")
    script = """
        source <(errand completion bash)
        COMP_WORDS=(errand run --target = gp) COMP_CWORD=4; _errand; printf '%s\\n' "${COMPREPLY[@]}"
        COMP_WORDS=(errand run --target =) COMP_CWORD=3; _errand; printf '%s\\n' "${COMPREPLY[@]}"
        COMP_WORDS=(errand run --ta) COMP_CWORD=2; _errand; printf '%s\\n' "${COMPREPLY[@]}"
        complete -p errand
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=errand.env(), cwd=errand.cwd, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["gpu1", "gpu1", "local", "--target", "--tag", "complete -F _errand errand"]
    assert done.stderr == ""


def test_each_script_is_one_that_its_shell_reads(errand, tmp_path):
    for name in SHELLS:
        script = tmp_path / name
        script.write_bytes(errand.ok("completion", name).out)
        subprocess.run(
            [name, "-n", script], check=True, capture_output=True, env=errand.env(PATH=f"{BIN}:/usr/bin:/bin")
        )
