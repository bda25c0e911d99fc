# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc check-config` and `pam-sc migrate` with the file of an event manager, alone and beside a pam_pkcs11.conf."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from pam_sc.cli.checking import check_file
from pam_sc.cli.main import run
from pam_sc.config.finding import Weight
from pam_sc.config.monitor_keys import read_monitor
from pam_sc.config.monitoring import build_policy, monitor_policy
from pam_sc.config.toml import load
from pam_sc.decision.monitoring import Action
from tests.support.peer_configurations import configuration
from tests.unit.cli.cards import FakeMachine
from tests.unit.config.files import MINIMAL, TRUSTED

Capture = pytest.CaptureFixture[str]
EVENTS = """\
pkcs11_eventmgr {
  polling_time = 3;
  pkcs11_module = {module};
  event card_remove {
    action = "xlock";
  }
}
"""


def put(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(0o644)
    return str(path)


def events(folder: Path, text: str = EVENTS, module: str = "/m.so") -> str:
    return put(folder, "pkcs11_eventmgr.conf", text.replace("{module}", module))


def said(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    code = run(("migrate", *arguments), FakeMachine())
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# ---------------------------------------------------------------- check-config


def test_a_check_says_what_the_monitor_will_do_and_goes_through_the_lines(tmp_path: Path) -> None:
    module = put(tmp_path, "module.so", "")
    own = put(tmp_path, "pam_sc.toml", MINIMAL.format(module=module))
    checked = check_file(events(tmp_path, module=module), TRUSTED, str(tmp_path), own)
    assert checked.configuration is None
    assert checked.sentences is not None
    assert {each.topic for each in checked.sentences} == {"monitor"}
    assert "When the card of a session is removed, the session is locked." in {each.text for each in checked.sentences}
    assert {(each.line, each.where) for each in checked.findings if each.kind is not None} == {
        (1, "pkcs11_eventmgr"), (2, "polling_time"), (3, "pkcs11_module"), (5, "action"),
    }  # fmt: skip
    assert {each.severity for each in checked.findings if each.kind is not None} == {Weight.NOTE}
    assert {each.where for each in checked.findings if each.kind is None} <= {
        "monitor.otherwise", "monitor.console_locker", "monitor.locker",  # the last where xlock is not installed
    }  # fmt: skip


def test_a_check_warns_of_a_module_that_is_not_watched(tmp_path: Path) -> None:
    own = put(tmp_path, "pam_sc.toml", MINIMAL.format(module=put(tmp_path, "module.so", "")))
    (finding,) = (each for each in check_file(events(tmp_path), TRUSTED, str(tmp_path), own).findings if each.line == 3)
    assert (finding.severity, finding.where) == (Weight.WARNING, "pkcs11_module")
    assert "this one is none of them" in finding.text
    checked = check_file(events(tmp_path), TRUSTED, str(tmp_path), str(tmp_path / "none.toml"))
    (finding,) = (each for each in checked.findings if each.where == "pkcs11_module")
    assert finding.severity is Weight.WARNING
    assert finding.text.startswith("the monitor takes its PKCS#11 modules from a configuration of pam_sc, which cannot be used: ")


@pytest.mark.parametrize(("wrong", "line", "text"), [
    ('"xlock | cat"', 5, "'xlock | cat' cannot be carried over, because no shell runs it here: there is a pipe in it"),
    ('"./xlock"', None, "5: monitor.locker.run: found a non-empty array ('./xlock' is neither an absolute path"),
])  # fmt: skip
def test_what_keeps_the_monitor_from_starting_is_an_error(tmp_path: Path, wrong: str, line: int | None, text: str) -> None:
    checked = check_file(events(tmp_path, EVENTS.replace('"xlock"', wrong)), TRUSTED, str(tmp_path), str(tmp_path / "none.toml"))
    (error,) = (each for each in checked.findings if each.severity is Weight.ERROR)
    assert error.line == line
    assert text in error.text
    assert [each.text for each in checked.sentences or ()] == [
        "It cannot be used: the monitor does not start with it, and locks nothing."
    ]


# ---------------------------------------------------------------- migrate


def test_alone_it_becomes_the_table_monitor(capsys: Capture, tmp_path: Path) -> None:
    code, out, err = said(capsys, events(tmp_path))
    assert (code, err) == (0, "")
    read = tomllib.loads(out)
    assert read == {"monitor": {"action": "lock", "poll": 3, "locker": {"run": ["xlock"]}}}
    assert "# What pam-sc monitor does when a card is removed: a table of /etc/pam_sc/pam_sc.toml." in out.splitlines()[:4]
    unwrapped = out.replace("\n# ", " ")
    assert "line 3, pkcs11_module (different): the monitor uses the PKCS#11 modules of pam_sc.toml, so this one must" in unwrapped
    assert "line 5, action (different): the session is locked by logind" in unwrapped
    assert said(capsys, events(tmp_path), "--argument", "polling_time=9")[1].count("poll = 9") == 1


def test_beside_a_pam_pkcs11_conf_both_become_one_file(capsys: Capture, tmp_path: Path) -> None:
    source, output = put(tmp_path, "pam_pkcs11.conf", configuration()), tmp_path / "pam_sc.toml"
    code, out, err = said(capsys, source, "--eventmgr", events(tmp_path), "--output", str(output))
    assert (code, err) == (1, "")
    assert "decide: line 3, pkcs11_module (unsafe): the monitor uses the PKCS#11 modules of pam_sc.toml: " in out
    assert out.splitlines()[-1].startswith(f"Next: pam-sc check-config {output}; then in the PAM stack")
    text = output.read_text()
    alone = said(capsys, source)[1]
    assert text.startswith(alone)
    assert build_policy(read_monitor(tomllib.loads(text)["monitor"])).whole.action is Action.LOCK


def test_what_is_written_loads_and_means_the_same(capsys: Capture, tmp_path: Path) -> None:
    module = put(tmp_path, "module.so", "")
    own = put(tmp_path, "pam_sc.toml", MINIMAL.format(module=module) + said(capsys, events(tmp_path))[1])
    policy = monitor_policy(load(own, TRUSTED))
    assert (policy.whole.action, policy.poll_s) == (Action.LOCK, 3.0)
    assert policy.whole.locker is not None
    assert policy.whole.locker.program.arguments == ("xlock",)


def test_nothing_is_written_where_one_of_both_cannot_be_carried_over(capsys: Capture, tmp_path: Path) -> None:
    source, output = put(tmp_path, "pam_pkcs11.conf", configuration()), tmp_path / "new.toml"
    wrong = events(tmp_path, EVENTS.replace('"xlock"', '"a | b"'))
    code, out, err = said(capsys, source, "--eventmgr", wrong, "--output", str(output))
    assert (code, out, output.exists()) == (2, "", False)
    assert err.splitlines()[0].startswith(f"pam-sc: {wrong}:5: action: 'a | b' cannot be carried over")
    assert err.splitlines()[1] == f"pam-sc: nothing is written: 1 of the settings of {wrong} cannot be carried over as they are"
    bad = put(tmp_path, "bad.conf", configuration(block="timeout = soon;"))
    code, _out, err = said(capsys, bad, "--eventmgr", events(tmp_path))
    assert (code, f"pam-sc: {bad}:8: timeout" in err) == (2, True)
    wrong = events(tmp_path, EVENTS.replace('"xlock"', '"./a"'))
    assert said(capsys, source, "--eventmgr", wrong)[2].startswith(f"pam-sc: {wrong}:5: monitor.on_remove[0]: found")


def test_programs_get_the_notes_of_both_with_their_files(capsys: Capture, tmp_path: Path) -> None:
    source, second = put(tmp_path, "pam_pkcs11.conf", configuration()), events(tmp_path)
    code, out, _err = said(capsys, source, "--eventmgr", second, "--json")
    found = json.loads(out)
    assert code == 1
    assert {note["file"] for note in found["notes"]} == {source, second}
    assert {"file": second, "line": 2, "key": "polling_time", "kind": "different"}.items() <= next(
        note.items() for note in found["notes"] if note["key"] == "polling_time")  # fmt: skip
    assert "monitor" in tomllib.loads(found["toml"])


def test_two_event_managers_and_no_event_manager_are_refused(capsys: Capture, tmp_path: Path) -> None:
    code, _out, err = said(capsys, events(tmp_path), "--eventmgr", events(tmp_path))
    assert (code, err) == (2, "pam-sc: --eventmgr is for a FILE that is none of an event manager\n")
    source = put(tmp_path, "pam_pkcs11.conf", configuration())
    code, _out, err = said(capsys, source, "--eventmgr", source)
    assert code == 2
    assert f"pam-sc: {source}:1: pkcs11_eventmgr: found none of the blocks pkcs11_eventmgr and card_eventmgr" in err
