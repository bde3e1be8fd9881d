"""A gateway as HDInsight's or Knox: nginx with TLS and a password in front of Livy, YARN's REST and WebHDFS."""

import base64
import os
import subprocess
from pathlib import Path

from rig import configuration, settings, web
from rig.trouble import Trouble

USER = "admin"
PASSWORD = "secret:with-a-colon"

FOLDER = settings.GATEWAY
CA = FOLDER / "ca.pem"
URL = f"https://localhost:{settings.GATEWAY_HTTPS}"


def find_nginx() -> str:
    """Installed, or unpacked by ./dev (its package starts a server on port 80)."""
    unpacked = settings.UNPACKED / "nginx" / "usr" / "sbin" / "nginx"
    for path in (Path("/usr/sbin/nginx"), unpacked):
        if path.exists():
            return str(path)
    raise Trouble("the gateway needs nginx: ./dev cluster up unpacks it")


def _openssl(*words: str) -> str:
    done = subprocess.run(["openssl", *words], cwd=FOLDER, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Trouble(f"openssl {words[0]}: {done.stderr.strip()}")
    return done.stdout


def _make_certificates() -> None:
    """An authority of our own, and what it says of the server. Made once."""
    if (FOLDER / "server.pem").exists():
        return
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _openssl("req", "-x509", *new_key, "-keyout=ca.key", "-out=ca.pem", "-days=3650", "-subj=/CN=errand rig CA")
    _openssl("req", *new_key, "-keyout=server.key", "-out=server.csr", "-subj=/CN=localhost")
    (FOLDER / "server.ext").write_text(f"subjectAltName=DNS:localhost,IP:{settings.HOST}\n")
    signed = ("-CA=ca.pem", "-CAkey=ca.key", "-CAcreateserial", "-extfile=server.ext", "-days=3650")
    _openssl("x509", "-req", "-in=server.csr", *signed, "-out=new.pem")
    (FOLDER / "new.pem").rename(FOLDER / "server.pem")


def _locations() -> str:
    """What is behind which path."""
    behind = {
        "/livy/": f"{settings.LIVY_HTTP}/",
        "/livy-yarn/": f"{settings.LIVY_YARN_HTTP}/",
        "/livy-old/": f"{settings.LIVY_OLD_HTTP}/",
        "/yarnui/ws/": f"{settings.RM_HTTP}/ws/",
        "/webhdfs/": f"{settings.NAMENODE_HTTP}/webhdfs/",
        "/datanode/": f"{settings.DATANODE_HTTP}/",
    }
    lines = [f"location {path} {{ proxy_pass http://{settings.HOST}:{to}; }}" for path, to in behind.items()]
    # As HDInsight's shows the pages and logs of each machine.
    lines.append(
        f"location ~ ^/yarnui/localhost/port/({settings.RM_HTTP}|{settings.NM_HTTP}|{settings.HISTORY_HTTP})/(.*)$ "
        f"{{ proxy_pass http://{settings.HOST}:$1/$2$is_args$args; }}"
    )
    # What a gateway answers on a bad day: nothing gets through, or the request does and its answer does not.
    lines += [f"location /refuse{status}/ {{ return {status}; }}" for status in (502, 503, 504)]
    lines += [f"location /lose/ {{ proxy_pass http://{settings.HOST}:{settings.LIVY_HTTP}/; proxy_read_timeout 1ms; }}"]
    return "\n        ".join(lines)


def _nginx_conf() -> str:
    temporary = "\n    ".join(
        f"{kind}_temp_path {FOLDER}/tmp/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Root's nginx else becomes somebody who may not read the password's file in a closed home.
    user = "user root root;\n" if os.geteuid() == 0 else ""
    return f"""\
daemon off;
{user}pid {FOLDER}/nginx.pid;
error_log stderr info;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    {temporary}
    access_log {FOLDER}/access.log;
    server {{
        listen {settings.HOST}:{settings.GATEWAY_HTTPS} ssl;
        server_name localhost;
        ssl_certificate {FOLDER}/server.pem;
        ssl_certificate_key {FOLDER}/server.key;
        auth_basic "HDInsight Gateway";
        auth_basic_user_file {FOLDER}/htpasswd;
        client_max_body_size 0;
        proxy_http_version 1.1;
        proxy_read_timeout 120s;
        # The NameNode sends a client to the DataNode, which it reaches through here alone.
        proxy_redirect http://localhost:{settings.DATANODE_HTTP}/ {URL}/datanode/;
        {_locations()}
    }}
}}
"""


def prepare() -> None:
    (FOLDER / "tmp").mkdir(parents=True, exist_ok=True)
    _make_certificates()
    hashed = _openssl("passwd", "-apr1", PASSWORD).strip()
    (FOLDER / "htpasswd").write_text(f"{USER}:{hashed}\n")
    configuration.write_file(FOLDER / "password", PASSWORD + "\n", 0o600)
    configuration.write_file(FOLDER / "nginx.conf", _nginx_conf())


def command() -> list[str]:
    return [find_nginx(), "-e", "stderr", "-p", str(FOLDER), "-c", str(FOLDER / "nginx.conf")]


def is_ready() -> bool:
    """It lets somebody in who has the password; what is behind it may not be up yet."""
    word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    try:
        answer = web.request(f"{URL}/datanode/", headers={"Authorization": f"Basic {word}"}, deadline_s=3, ca=CA)
    except OSError:
        return False
    return answer.status not in (401, 500)
