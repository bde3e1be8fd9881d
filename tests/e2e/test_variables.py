"""Variables that are read here or there: ${controller:NAME} and ${node:NAME}."""

from support.projects import write_files

SHOW = "import os\nprint([os.environ.get(name) for name in ('A', 'B', 'C')])\n"


def test_a_variable_of_the_node_is_read_there(errand, project):
    write_files(
        project,
        {"t.py": SHOW, "errand.yaml": 'variables: {A: "/x:${node:HOME}/y", B: "${node:NO_SUCH_ONE}", C: "${HOME}"}\n'},
    )
    result = errand.run("run", "t.py", code=0)
    home = errand.user_home
    assert result.text == f"{[f'/x:{home}/y', '', '${HOME}']}\n"


def test_a_variable_of_this_machine_is_read_here(errand, target, project):
    write_files(project, {"t.py": SHOW})
    errand.configure(variables='{A: "${controller:TEAM}/${controller:TEAM}"}')
    assert errand.run("run", "--target", target, "t.py", code=0, env={"TEAM": "vision"}).text.startswith(
        "['vision/vision', "
    )
    unset = errand.run("run", "--target", target, "t.py", code=125)
    assert "variables: A: ${controller:TEAM}: it is not set here" in unset.errors


def test_a_project_reads_this_machine_only_once_that_was_agreed_to(errand, project):
    write_files(project, {"t.py": SHOW, "errand.yaml": 'variables: {A: "${controller:API_TOKEN}"}\n'})
    refused = errand.run("run", "t.py", code=125, env={"API_TOKEN": "t0k3n"})
    assert "${controller:API_TOKEN}" in refused.errors and "errand trust" in refused.errors
    errand.ok("trust", "--yes")
    assert errand.run("run", "t.py", code=0, env={"API_TOKEN": "t0k3n"}).text.startswith("['t0k3n', ")


def test_an_environments_own_file_does_not_read_this_machine(errand, project):
    text = 'packages: []\nvariables: {A: "${controller:HOME}"}\n'
    write_files(project, {"t.py": SHOW, "environments/mine.yaml": text})
    refused = errand.run("run", "-e", "mine", "t.py", code=125)
    assert "variables: A: ${controller:...} does not count in such a file" in refused.errors


def test_a_question_that_is_none_is_refused_before_anything_is_sent(errand, project):
    write_files(project, {"t.py": SHOW, "errand.yaml": 'variables: {A: "${node:HOME"}\n'})
    assert "it has the form ${node:NAME}" in errand.run("run", "t.py", code=125).errors
    assert errand.json("list")["runs"] == []
