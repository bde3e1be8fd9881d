"""A realm of Kerberos: MIT's KDC, somebody who has a password there, and the services that know who that is."""

import os
import shutil
import subprocess
from pathlib import Path

from rig import configuration, settings
from rig.trouble import Trouble

FOLDER = settings.KERBEROS
CONF = FOLDER / "krb5.conf"
REALM = "RIG.TEST"
USER = "trainer"
SERVICE = "HTTP/localhost"
SERVICE_KEYTAB = FOLDER / "service.keytab"
USER_KEYTAB = FOLDER / "user.keytab"
# What dev unpacks where the machine has none.
_UNPACKED = settings.UNPACKED / "krb5-kdc" / "usr"
_PATH = ":".join((os.environ.get("PATH", ""), "/usr/sbin", f"{_UNPACKED}/sbin", f"{_UNPACKED}/bin"))

# Names are taken as they are written: this machine has no name that anybody else would know.
_CLIENT = f"""\
[libdefaults]
 default_realm = {REALM}
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
[realms]
 {REALM} = {{
  kdc = {settings.HOST}:{settings.KDC}
 }}
[domain_realm]
 localhost = {REALM}
"""

_SERVER = f"""\
[kdcdefaults]
 kdc_listen = {settings.HOST}:{settings.KDC}
 kdc_tcp_listen = {settings.HOST}:{settings.KDC}
[realms]
 {REALM} = {{
  database_name = {FOLDER}/principal
  key_stash_file = {FOLDER}/stash
 }}
[logging]
 kdc = STDERR
"""


def _program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise Trouble(f"Kerberos needs {name}: ./dev cluster up unpacks it")
    return found


def environment() -> dict[str, str]:
    return {**configuration.environment(), "KRB5_CONFIG": str(CONF), "KRB5_KDC_PROFILE": str(FOLDER / "kdc.conf")}


def _run(*words: str, more: dict[str, str] | None = None) -> str:
    command = [_program(words[0]), *words[1:]]
    variables = {**environment(), **(more or {})}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode != 0:
        raise Trouble(f"{' '.join(words)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _modules() -> str:
    """Where the unpacked programs find the kind of database that they use."""
    folders = list(_UNPACKED.glob("lib/*/krb5/plugins/kdb"))
    return f"[dbmodules]\n db_module_dir = {folders[0]}\n" if folders else ""


def prepare() -> None:
    if USER_KEYTAB.exists():
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    configuration.write_file(CONF, _CLIENT)
    configuration.write_file(FOLDER / "kdc.conf", _SERVER + _modules())
    _run("kdb5_util", "create", "-s", "-r", REALM, "-P", os.urandom(16).hex())
    for name, keytab in ((SERVICE, SERVICE_KEYTAB), (USER, USER_KEYTAB)):
        _run("kadmin.local", "-r", REALM, "addprinc", "-randkey", name)
        _run("kadmin.local", "-r", REALM, "ktadd", "-k", str(keytab), name)


def command() -> list[str]:
    return [_program("krb5kdc"), "-n", "-r", REALM, "-P", str(FOLDER / "pid")]


def log_in(cache: Path, lifetime: str = "1h") -> dict[str, str]:
    """Get the user a ticket into a cache of this name. The variables by which programs find it, klist among them."""
    found = {"KRB5_CONFIG": str(CONF), "KRB5CCNAME": f"FILE:{cache}", "PATH": _PATH}
    _run("kinit", "-l", lifetime, "-k", "-t", str(USER_KEYTAB), f"{USER}@{REALM}", more=found)
    return found
