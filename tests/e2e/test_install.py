"""`cmake --install`: the two programs in another place find each other."""

import subprocess

from support.errand import BIN
from support.projects import write_files


def test_installed_under_a_prefix_the_programs_find_each_other(errand, tmp_path):
    prefix = tmp_path / "usr"
    subprocess.run(
        ["cmake", "--install", str(BIN.parent), "--prefix", str(prefix)], check=True, stdout=subprocess.DEVNULL
    )
    assert sorted(str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file()) == [
        "bin/errand",
        "libexec/errand/errand-executor",
    ]
    write_files(errand.cwd, {"hello.py": "print('hello')\n"})
    installed = [str(prefix / "bin" / "errand"), "run", "hello.py"]
    result = subprocess.run(installed, cwd=errand.cwd, env=errand.env(), capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (0, b"hello\n"), result.stderr
