# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which format a configuration has, and what a file in the peer's becomes or is refused for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pam_sc.config.loading import load
from pam_sc.config.model import Configuration, Fetch
from pam_sc.config.pam_pkcs11_arguments import LINES
from pam_sc.decision.policy import RevocationMode, TokenSelector
from pam_sc.errors import ConfigError
from tests.unit.config.files import MINIMAL, TRUSTED
from tests.unit.config.peer_files import peer


def load_peer(tmp_path: Path, library: Path, *arguments: str, **keys: str) -> Configuration:
    path = tmp_path / "pam_pkcs11.conf"
    path.write_text(peer(**keys).replace("/m.so", str(library)))
    path.chmod(0o644)
    return load(str(path), TRUSTED, arguments)


def refusal(tmp_path: Path, library: Path, *arguments: str, **keys: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_peer(tmp_path, library, *arguments, **keys)
    return str(caught.value).replace(str(tmp_path / "pam_pkcs11.conf"), "FILE")


def test_a_file_of_the_peer_becomes_a_configuration(tmp_path: Path, module: Path) -> None:
    read = load_peer(tmp_path, module, "slot_num=2", module="token_type = card;", policy="ca,crl_auto,ocsp_on",
                     mappers="use_mappers = cn; mapper cn { ignorecase = true; }")
    assert read.source == str(tmp_path / "pam_pkcs11.conf")
    assert read.token.select == TokenSelector(text="slot_number 2", slot_number=2)
    assert read.token.modules[0].path == str(module)
    assert (read.revocation.lookup.mode, read.revocation.lookup.fetch) == (RevocationMode.REQUIRE, Fetch.LOGIN)
    assert read.prompt.token_type == "card"
    assert [(one.name, one.table) for one in read.mappers] == [("cn", {"ignore_case": True})]
    assert read.mappers[0].where == f"{read.source}:6: mapper[0]"
    assert {note.key for note in read.notes} == {"pam_pkcs11", "cert_policy"}


def test_both_formats_give_the_same_configuration(tmp_path: Path, module: Path) -> None:
    ours = tmp_path / "pam_sc.toml"
    ours.write_text(MINIMAL.format(module=module).replace("/etc/pam_sc/anchors", "/etc/pam_pkcs11/cacerts") + """
[revocation]
mode = "require"
ocsp = "off"
order = ["crl"]
crls = "/etc/pam_pkcs11/crls"
""")
    ours.chmod(0o644)
    theirs = load_peer(tmp_path, module)
    assert theirs.policy() == load(str(ours), TRUSTED).policy()
    assert theirs.revocation == load(str(ours), TRUSTED).revocation


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"module": "algorithms = weak;"}, "FILE:4: trust.algorithms: found 'weak', expected one of current, legacy, any"),
        ({"module": "ca_dir = relative;"},
         "FILE:4: trust.anchors: found 'relative' (not absolute), expected the absolute path of a file or folder of trust"
         " anchors"),
        ({"whole": "run_as = root;"},
         "FILE:2: token.run_as: found 'root', expected an account of its own for the card process, such as 'pam_sc_card'"),
        ({"module": "slot_num = 65;"},
         "FILE:4: token.select.slot_number: found 65 (an integer) (too large), expected the number of a slot, counted from 1"
         " to 64"),
        ({"module": 'environment = "LD_PRELOAD=/x";'},
         "FILE:4: token.module[0].environment.LD_PRELOAD: found 'LD_PRELOAD' (it would change which code the card process"
         " runs), expected a variable that belongs to the PKCS#11 module"),
        ({"mappers": "use_mappers = own;"},
         "FILE:6: use_mappers: 'own' is no mapper of pam_pkcs11, expected cn, digest, generic, krb, ldap, mail, ms, null,"
         " opensc, openssh, pwent, subject, uid; mappers of other kinds are configured in a pam_sc.toml; FILE:6: use_mappers:"
         " names no mapper that could map a certificate, expected at least one"),
        ({"whole": "a b;"}, "FILE:2: found a word, expected { after the word before it"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named_with_its_line(
    tmp_path: Path, module: Path, keys: dict[str, str], message: str
) -> None:
    assert refusal(tmp_path, module, **keys) == message


def test_what_an_argument_says_is_refused_as_one(tmp_path: Path, module: Path) -> None:
    assert refusal(tmp_path, module, "ca_dir=relative").startswith(
        "FILE (argument of the PAM line): trust.anchors: found 'relative'"
    )


def test_a_library_that_is_not_there_is_named_with_its_line(tmp_path: Path, module: Path) -> None:
    gone = tmp_path / "gone.so"
    cause = f"token.module[0].path: cannot read '{gone}': No such file or directory"
    assert refusal(tmp_path, gone) == f"FILE:3: {cause}"
    assert refusal(tmp_path, module, f"pkcs11_module={gone}") == f"FILE (argument of the PAM line): {cause}"


def test_only_some_of_many_errors_are_shown(tmp_path: Path, module: Path) -> None:
    message = refusal(tmp_path, module, "slot_num=x", "a", "b", whole="quiet = perhaps;")
    assert message.endswith("; and 1 more, which pam-sc check-config lists")


def test_a_module_that_others_can_write_is_refused_as_in_our_own_format(tmp_path: Path, module: Path) -> None:
    module.chmod(0o666)
    assert "expected owner" in refusal(tmp_path, module)


@pytest.mark.parametrize("name", LINES)
def test_an_argument_of_the_peers_with_our_format_names_the_line_to_write(tmp_path: Path, module: Path, name: str) -> None:
    path = tmp_path / "pam_sc.toml"
    path.write_text(MINIMAL.format(module=module))
    path.chmod(0o644)
    with pytest.raises(ConfigError) as caught:
        load(str(path), TRUSTED, (f"{name}=x",))
    assert str(caught.value) == (
        f"cannot use the argument '{name}=x' of the PAM line with {path}: it belongs to pam_pkcs11.conf; instead of it, write"
        f" {LINES[name]}"
    )
    assert load(str(path), TRUSTED).source == str(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("pam_pkcs11.conf", "cannot use the configuration 'pam_pkcs11.conf': expected an absolute path"),
        ("/nowhere/pam_pkcs11.conf", "cannot read the configuration: cannot read '/nowhere': No such file or directory"),
        ("/etc/x.yaml", "cannot use the configuration '/etc/x.yaml': expected a name that ends in .toml, or in .conf for the"
                        " format of pam_pkcs11"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_there_or_of_another_name_is_refused(path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(path, TRUSTED)
    assert str(caught.value) == message


def test_a_login_with_our_format_imports_nothing_of_the_peers() -> None:
    code = "import sys, pam_sc.config.loading; print([name for name in sys.modules if 'pkcs11' in name or 'scconf' in name])"
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
