# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc migrate`: what it prints and writes, its exit codes, and that it writes nothing where something is lost."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from pam_sc.cli.main import run
from pam_sc.cli.sssd import translate_whole
from pam_sc.config.notes import NoteKind
from tests.support.peer_configurations import configuration, with_mapper
from tests.unit.cli.cards import FakeMachine

Capture = pytest.CaptureFixture[str]
SSSD = """\
[domain/shadowutils]
id_provider = proxy
[pam]
pam_cert_auth = True
p11_uri = pkcs11:token=x?module-path=/m.so
[certmap/shadowutils/second]
matchrule = <SUBJECT>^CN=B
priority = 2
[certmap/shadowutils/first]
matchrule = <SUBJECT>^CN=A
priority = 1
"""


def put(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def said(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    code = run(("migrate", *arguments), FakeMachine())
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_text_goes_to_stdout_and_is_toml(capsys: Capture, tmp_path: Path) -> None:
    code, out, err = said(capsys, put(tmp_path, "pam_pkcs11.conf", configuration()))
    assert (code, err) == (0, "")
    assert tomllib.loads(out)["mapper"] == [{"name": "cn"}]


def test_what_has_to_be_decided_is_an_exit_code_and_a_line(capsys: Capture, tmp_path: Path) -> None:
    source = put(tmp_path, "old.conf", configuration(top="nullok = true;"))
    code, out, err = said(capsys, source, "--output", f"{tmp_path}/new.toml")
    assert (code, err) == (1, "")
    assert out.splitlines()[1].startswith("  decide: line 2, nullok (unsafe): ")
    assert out.splitlines()[-1] == (
        f"Next: pam-sc check-config {tmp_path}/new.toml; then in the PAM stack: pam_sc.so config={tmp_path}/new.toml"
    )
    assert tomllib.loads((tmp_path / "new.toml").read_text())["mapper"] == [{"name": "cn"}]
    assert (tmp_path / "new.toml").stat().st_mode & 0o777 == 0o644


def test_a_file_that_is_there_is_replaced_only_by_force(capsys: Capture, tmp_path: Path) -> None:
    source, output = put(tmp_path, "old.conf", configuration()), put(tmp_path, "new.toml", "mine")
    assert said(capsys, source, "--output", output)[0] == 2
    assert Path(output).read_text() == "mine"
    assert said(capsys, source, "--output", output, "--force")[0] == 0
    assert "mine" not in Path(output).read_text()


def test_nothing_is_written_where_something_cannot_be_carried_over(capsys: Capture, tmp_path: Path) -> None:
    source = put(tmp_path, "old.conf", with_mapper("ldap").replace("password_file", "passwd = hunter2; password_file"))
    code, out, err = said(capsys, source, "--output", f"{tmp_path}/new.toml")
    assert (code, out) == (2, "")
    assert f"pam-sc: {source}:11: passwd: is a secret" in err
    assert "hunter2" not in err
    assert not (tmp_path / "new.toml").exists()


def test_what_the_schema_refuses_is_refused_with_the_old_line(capsys: Capture, tmp_path: Path) -> None:
    source = put(tmp_path, "old.conf", configuration(block="timeout = 100000;"))
    code, out, err = said(capsys, source)
    assert (code, out) == (2, "")
    assert err.startswith(f"pam-sc: {source}:8: revocation.timeout: found 100000")


def test_the_arguments_of_the_pam_line_are_carried_over(capsys: Capture, tmp_path: Path) -> None:
    source = put(tmp_path, "old.conf", configuration())
    code, out, _err = said(capsys, source, "--argument", "ca_dir=/other", "--argument", "cert_policy=ca,crl_offline")
    assert code == 0
    read = tomllib.loads(out)
    assert (read["trust"]["anchors"], read["revocation"]["mode"]) == ("/other", "require")
    assert said(capsys, source, "--argument", "nonsense=1")[0] == 2


def test_programs_get_text_and_notes(capsys: Capture, tmp_path: Path) -> None:
    source = put(tmp_path, "old.conf", configuration(top="nullok = true;"))
    code, out, _err = said(capsys, source, "--json")
    found = json.loads(out)
    assert (code, found["source"], found["output"]) == (1, source, None)
    assert tomllib.loads(found["toml"])["mapper"]
    assert {"line": 2, "key": "nullok", "kind": "unsafe"}.items() <= found["notes"][1].items()
    code, out, _err = said(capsys, put(tmp_path, "empty.conf", ""), "--json")
    assert (code, json.loads(out)["toml"]) == (2, None)


@pytest.mark.parametrize("how", [("sssd.conf",), ("other.conf", "--format", "sssd")])
def test_an_sssd_conf_is_known_by_its_name_or_by_the_format(capsys: Capture, tmp_path: Path, how: tuple[str, ...]) -> None:
    source = put(tmp_path, how[0], SSSD)
    code, out, err = said(capsys, source, *how[1:])
    assert (code, err) == (0, "")
    (mapper,) = tomllib.loads(out)["mapper"]
    assert [rule["name"] for rule in mapper["rule"]] == ["first", "second"]
    assert "# not set, pam_cert_db_path (different): " in out
    assert "# line 9, certmap (different): " in out


def test_a_missing_module_of_this_machine_is_an_error(tmp_path: Path) -> None:
    text = SSSD.replace("?module-path=/m.so", "")
    assert [note.kind for note in translate_whole(text, "/x", ()).errors()] == [NoteKind.ERROR]
    assert translate_whole(text, "/x", ("/n.so",)).tree["token"]["module"] == [{"path": "/n.so"}]


def test_options_that_are_indented_are_options_of_their_own() -> None:
    """As for SSSD (libini_config with INI_PARSE_NOWRAP); a line that goes on would swallow the next restriction."""
    indented = "".join(line if line.startswith("[") else f"  {line}" for line in SSSD.splitlines(keepends=True))
    plain, found = (translate_whole(text + "pam_cert_auth = True\n", "/x") for text in (SSSD, indented))
    assert found.errors() == ()
    assert found.tree == plain.tree


@pytest.mark.parametrize("line", ["[pam] # cards", "[pam", "[pam] # a = b", " [pam]", "nonsense", "/* x", "a\x0cb"])
def test_a_line_for_which_sssd_refuses_the_file_is_an_error(line: str) -> None:
    (error,) = translate_whole(f"{SSSD}{line}\npam_p11_allowed_services = -su\n", "/x").errors()
    assert error.line == SSSD.count("\n") + 1
    assert "neither a section nor an option, so that SSSD would use no line of the file" in error.text


def test_files_in_conf_d_are_named_as_not_read(tmp_path: Path) -> None:
    source, snippet = tmp_path / "sssd.conf", tmp_path / "conf.d" / "cards.conf"
    assert [note for note in translate_whole(SSSD, str(source)).notes if note.key == "conf.d"] == []
    snippet.parent.mkdir()
    snippet.write_text("[pam]\npam_p11_allowed_services = -su\n")
    (note,) = [note for note in translate_whole(SSSD, str(source)).notes if note.key == "conf.d"]
    assert note.kind is NoteKind.UNSAFE
    assert note.text.startswith(f"{snippet}: not read; ")


def test_a_restriction_of_a_rule_that_is_lost_is_to_be_decided_about() -> None:
    text = SSSD.replace("[certmap/shadowutils/second]\n", "[certmap/shadowutils/second]\ndomains = other.test\n")
    (unsafe,) = [note for note in translate_whole(text, "/x").notes if note.kind is NoteKind.UNSAFE]
    assert (unsafe.line, unsafe.key) == (SSSD.splitlines().index("[certmap/shadowutils/second]") + 2, "certmap")


@pytest.mark.parametrize("mode", [0o602, 0o620])
def test_a_file_that_others_can_write_is_not_read(capsys: Capture, tmp_path: Path, mode: int) -> None:
    source = put(tmp_path, "old.conf", configuration())
    Path(source).chmod(mode)
    code, out, err = said(capsys, source)
    assert (code, out) == (2, "")
    assert "cannot trust" in err


def test_arguments_of_a_pam_line_do_not_belong_to_sssd(capsys: Capture, tmp_path: Path) -> None:
    assert said(capsys, put(tmp_path, "sssd.conf", SSSD), "--argument", "ca_dir=/x")[0] == 2
