"""Which transport `auto` takes: the built-in one, unless something needs the ssh program."""

import subprocess
from pathlib import Path

import pytest
from support.sshd import Sshd, make_key


def check(errand, target: str, *options: str, code: int = 0) -> dict:
    found = errand.run("target", "check", target, *options, "--json", code=code).json()
    found["by_step"] = {step["step"]: step for step in found["steps"]}
    return found


def why(found: dict) -> str:
    return found["by_step"]["transport"]["detail"]


@pytest.fixture
def added(errand):
    """added(server, *options): a target that leaves the choice to errand."""

    def add(server: Sshd, *options: str) -> str:
        return errand.add_target("node", *server.target_arguments(), *options)

    return add


def test_the_built_in_transport_comes_first_and_says_what_was_negotiated(errand, sshd, added):
    found = check(errand, added(sshd))
    assert found["transport"] == "ssh2"
    assert "nothing in your ssh configuration" in why(found)
    assert found["by_step"]["server"]["detail"].startswith("SSH-2.0-OpenSSH")
    assert "known in" in found["by_step"]["host_key"]["detail"]
    assert str(sshd.identity) in found["by_step"]["login"]["detail"]
    assert sshd.connections() == 1


def configured(errand, sshd: Sshd, folder: Path, *lines: str) -> str:
    config = folder / "ssh_config"
    config.write_text(
        "\n".join(
            (
                "Host node",
                f"HostName {sshd.host}",
                f"Port {sshd.port}",
                f"User {sshd.user}",
                f"IdentityFile {sshd.identity}",
                f"UserKnownHostsFile {sshd.known_hosts}",
                *lines,
                "",
            )
        )
    )
    config.chmod(0o600)
    return errand.add_target("node", "node", f"--ssh-config={config}")


@pytest.mark.parametrize(
    "line",
    [
        "HashKnownHosts yes",
        "ServerAliveInterval 30",
        "ForwardAgent yes",
        "SendEnv LANG",
        "StrictHostKeyChecking accept-new",
        "ControlMaster auto",
        "IdentitiesOnly yes",
        "AddressFamily inet",
    ],
)
def test_settings_that_it_follows_keep_it_built_in(errand, sshd, tmp_path, line):
    found = check(errand, configured(errand, sshd, tmp_path, line))
    assert found["transport"] == "ssh2", why(found)


@pytest.mark.parametrize(
    "line",
    [
        "ProxyCommand nc %h %p",
        "Ciphers aes256-ctr",
        "MACs hmac-sha2-256",
        "KexAlgorithms curve25519-sha256",
        "HostKeyAlgorithms ssh-ed25519",
        "RekeyLimit 1G",
        "Compression yes",
        "CheckHostIP yes",
        "VerifyHostKeyDNS yes",
        "AddKeysToAgent yes",
        "BindAddress 127.0.0.1",
        "CertificateFile ~/.ssh/no-cert.pub",
        "PreferredAuthentications publickey",
    ],
)
def test_a_setting_that_only_ssh_follows_is_never_dropped(errand, sshd, tmp_path, line):
    if line.startswith("ProxyCommand"):
        line = f"ProxyCommand bash -c 'exec 3<>/dev/tcp/{sshd.host}/{sshd.port}; cat <&3 & cat >&3; kill $!'"
    found = check(errand, configured(errand, sshd, tmp_path, line))
    assert found["transport"] == "openssh"
    assert line.split()[0].lower() in why(found)


def test_a_revoked_keys_file_is_left_to_ssh(errand, sshd, tmp_path):
    revoked = tmp_path / "revoked"
    revoked.write_text("")
    found = check(errand, configured(errand, sshd, tmp_path, f"RevokedHostKeys {revoked}"))
    assert found["transport"] == "openssh"
    assert "revokedhostkeys" in why(found)


def test_a_connection_that_ssh_keeps_open_is_used(errand, sshd, tmp_path):
    control = tmp_path / "control"
    target = configured(errand, sshd, tmp_path, f"ControlPath {control}")
    options = ["-F", tmp_path / "ssh_config", "-o", "ControlMaster=yes", "-f", "-N"]
    subprocess.run(
        ["ssh", *options, "node"], check=True, timeout=60, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        found = check(errand, target)
        assert found["transport"] == "openssh"
        assert str(control) in why(found)
        assert sshd.logins() == 1
    finally:
        subprocess.run(["ssh", "-o", f"ControlPath={control}", "-O", "exit", "node"], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com\nCiphers aes256-ctr", "MACs"),
        ("Ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com", "ciphers"),
        ("KexAlgorithms sntrup761x25519-sha512@openssh.com", "key exchanges"),
    ],
    ids=["EtM only", "AEAD only", "post-quantum only"],
)
def test_a_server_that_shares_too_little_is_reached_by_ssh(errand, make_sshd, added, line, words):
    server = make_sshd(lines=tuple(line.split("\n")))
    target = added(server)
    found = check(errand, target)
    assert found["transport"] == "openssh"
    assert "share" in why(found)
    errand.add_target("strict", *server.target_arguments(), "--transport=ssh2")
    step = check(errand, "strict", code=1)["by_step"]["connect"]
    assert words in step["detail"]
    assert "openssh" in step["hint"]


def test_a_host_known_by_an_rsa_key_alone_is_left_to_ssh(errand, make_sshd, added):
    found = check(errand, added(make_sshd(host_key_kind="rsa")))
    assert found["transport"] == "openssh"
    assert "kind of the host's known key" in why(found)


def test_an_authority_for_the_host_is_left_to_ssh(errand, sshd, added, tmp_path):
    key = make_key(tmp_path / "ca").with_suffix(".pub").read_text()
    sshd.known_hosts.write_text(f"@cert-authority * {key}")
    found = check(errand, added(sshd), code=1)
    assert found["transport"] == "openssh"
    assert "certificate authority" in why(found)


def test_an_rsa_key_that_only_ssh_can_read_is_left_to_it(errand, sshd, added, tmp_path):
    key = make_key(tmp_path / "locked", "rsa", "secret")
    found = check(errand, added(sshd, f"--identity={key}"), code=1)
    assert found["transport"] == "openssh"
    assert "encrypted RSA key" in why(found)


def test_a_verdict_on_a_host_key_is_never_asked_for_twice(errand, sshd, added, tmp_path):
    key = " ".join(make_key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2])
    sshd.known_hosts.write_text(f"[{sshd.host}]:{sshd.port} {key}\n")
    found = check(errand, added(sshd), code=1)
    assert found["transport"] == "ssh2"
    assert found["by_step"]["host_key"]["ok"] is False
    assert sshd.connections() == 1


def test_without_an_ssh_program_the_targets_own_fields_do(errand, sshd, added):
    errand.configure(ssh="/nonexistent/ssh")
    found = check(errand, added(sshd))
    assert found["transport"] == "ssh2"
