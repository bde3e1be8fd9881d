"""./dev cluster: bring parts up or down, see how they are, or fetch what they need; all, or those that are named."""

import argparse
import os
import sys

from rig import cluster, gateway, headnode, parts, process, session, settings
from rig.trouble import Trouble


def show_status(words: list[str]) -> int:
    """0 where all of them are ready. Without names: all of the usual, and what is up besides."""
    states = cluster.status(words or list(parts.PARTS))
    states = [state for state in states if words or state.pid or state.part.name in parts.USUAL]
    print(f"{'PART':16} {'STATE':10} {'PID':>8} {'MEMORY':>8}  {'PORTS':32} WHAT")
    for state in states:
        pid = str(state.pid or "-")
        memory = f"{state.memory_mb} MB" if state.pid else "-"
        ports = " ".join(map(str, state.part.ports))
        print(f"{state.part.name:16} {state.word:10} {pid:>8} {memory:>8}  {ports:32} {state.part.what}")
    print(f"logs: {settings.LOGS}")
    return 0 if all(state.is_ready for state in states) else 1


def bring_up(words: list[str]) -> int:
    with cluster.alone():
        started = cluster.up(words or list(parts.USUAL))
        session.keep()
    if not started:
        print("everything was up already")
    show_status(parts.with_needs(parts.named(words)) if words else [])
    show_what_to_try()
    return 0


def show_what_to_try() -> None:
    """For a person, who types or copies it."""
    print(f"""
A shell with the cluster's own commands (spark-submit, yarn, hdfs):
  . {settings.ENV}
errand on it; ./dev build makes it:
  export PATH={settings.SOURCE.parent.parent}/build/release/bin:$PATH""")
    for part, node in (("head", headnode.HEAD), ("edge", headnode.EDGE), ("head-new", headnode.HEAD_NEW)):
        if process.running(part):
            what = parts.PARTS[part].what.removeprefix("ssh: ")
            hosts = " ".join(node.hosts)
            print(f"  errand target add {node.host} {hosts} --ssh-config {node.ssh_config} --kind spark  # {what}")
    if process.running("gateway") and process.running("livy-yarn"):
        url, what = gateway.URL, parts.PARTS["livy-yarn"].what
        webhdfs = f"'{url}/webhdfs/v1?user.name={settings.USER}'"
        print(f"""\
  export LIVY_PASSWORD={gateway.PASSWORD}
  errand target add livy {url}/livy-yarn --kind livy --user {gateway.USER} --password-env LIVY_PASSWORD \\
      --ca {gateway.CA} --webhdfs {webhdfs} --yarn {url}/yarnui  # {what}""")
    print("  errand target check head\n  errand run --target head --framework pyspark YOUR-SCRIPT.py")


def fetch(words: list[str]) -> int:
    """All that `up` would fetch."""
    with cluster.alone():
        cluster.fetch_parts(parts.with_needs(parts.named(words or list(parts.USUAL))))
    return 0


def bring_down(words: list[str]) -> int:
    with cluster.alone():
        cluster.down(words or list(parts.PARTS))
    return 0


VERBS = {"up": bring_up, "fetch": fetch, "down": bring_down, "status": show_status}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev cluster", description=__doc__)
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("part", nargs="*", help=", ".join((*parts.GROUPS, *parts.PARTS)))
    arguments = parser.parse_args()
    try:
        return VERBS[arguments.verb](arguments.part)
    except Trouble as trouble:
        print(f"cluster: {trouble}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("cluster: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
