# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each command against a machine that is not there: what it prints, its exit code, and what it must not print."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pam_sc.cli.main import COMMANDS, run
from pam_sc.cli.pam_stack import StackResult
from pam_sc.config.finding import Finding, Weight
from pam_sc.config.notes import NoteKind
from pam_sc.config.stig import Demand, StigAnswer
from pam_sc.decision.card_report import PinState
from pam_sc.decision.policy import Members, Policy, TokenSelector
from pam_sc.errors import ConfigError
from pam_sc.record import replace
from tests.unit.cli.cards import EVIL, FakeMachine, card, token

Capture = pytest.CaptureFixture[str]


def said(capsys: Capture, machine: FakeMachine, *arguments: str) -> tuple[int, str, str]:
    code = run(arguments, machine)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def as_json(capsys: Capture, machine: FakeMachine, *arguments: str) -> tuple[int, Any]:
    code, out, err = said(capsys, machine, *arguments, "--json")
    assert err == ""
    return code, json.loads(out)


# ---------------------------------------------------------------- all of them


EXIT_CODES = {
    "verify": "Exit codes: 0 trusted; 1 refused; 2 everything else.",
    "enroll": "Exit codes: 0 done; 1 refused, and nothing was changed; 2 an error",
    "unenroll": "Exit codes: 0 done; 1 refused, and nothing was changed; 2 an error",
    "find-user": "Exit codes: 0 found; 1 no account, or refused (two accounts never pick one); 2 an error",
    "migrate": "Exit codes: 0 done; 1 done, and there is something to decide about; 2 not done",
    "monitor": "Exit codes: 0 ended when it was told to; with --once, no card is gone",
    "pin": "Exit codes: 0 done, or every PIN can be tried; 1 refused and nothing was changed",
    "refresh": "Exit codes: 0 ",
    "mappers": "Exit codes: 0 every configured mapper can be used; 1 ",
    "store": "Exit codes: 0 everything is sound and fresh; 1 something is stale",
}
"""Of the commands that have their own."""


def test_without_a_command_the_help_is_shown_as_it_is(capsys: Capture) -> None:
    code, out, err = said(capsys, FakeMachine())
    assert (code, out) == (2, "")
    assert err == said(capsys, FakeMachine(), "--help")[1]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_documents_its_options_and_exit_codes(capsys: Capture, command: str) -> None:
    code, out, _err = said(capsys, FakeMachine(), command, "--help")
    assert code == 0
    assert "--json" in out
    assert ("--config FILE" in out) == (command not in ("verify", "migrate")), "these have no configuration"
    expected = EXIT_CODES.get(command, "Exit codes: 0 granted, accepted or clean; 1 refused")
    assert expected in " ".join(out.split())


def test_the_help_of_the_group_lists_every_command(capsys: Capture) -> None:
    code, out, _err = said(capsys, FakeMachine(), "--help")
    assert code == 0
    assert all(command in out for command in COMMANDS)


@pytest.mark.parametrize("arguments", [("inspect",), ("explain", "alice"), ("check-config",)])
def test_a_wrong_configuration_is_one_line_on_stderr(capsys: Capture, arguments: tuple[str, ...]) -> None:
    machine = FakeMachine(error=ConfigError("/etc/x.toml:3: card: found 'a\x1b[2J\nb'"))
    code, out, err = said(capsys, machine, *arguments)
    assert (code, out) == (2, "")
    assert err == "pam-sc: /etc/x.toml:3: card: found 'a\\x1b[2J\\x0ab'\n"


def test_a_defect_is_one_line_without_a_traceback(capsys: Capture) -> None:
    code, out, err = said(capsys, FakeMachine(error=KeyError("x")), "inspect")
    assert (code, out, err) == (70, "", "pam-sc: internal error: KeyError: 'x'\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("explian",), "explian"),
        (("explain", "--srevice", "x"), "--srevice"),
        (("try-login", "alice"), "--service"),
        (("check-config", "/a.toml", "--config", "/b.toml"), "two configuration files are named"),
    ],
)
def test_a_wrong_call_is_one_line(capsys: Capture, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = said(capsys, FakeMachine(), *arguments)
    assert (code, out) == (2, "")
    assert message.lower().replace("'", "") in err.lower().replace("'", "")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [("inspect",), ("explain", "alice"), ("explain",), ("try-login", "alice", "--service", "sudo")]
)
@pytest.mark.parametrize("json_too", [False, True])
def test_no_control_character_of_a_card_reaches_the_terminal(
    capsys: Capture, arguments: tuple[str, ...], json_too: bool
) -> None:
    _code, out, _err = said(capsys, FakeMachine(), *arguments, *(["--json"] if json_too else []))
    assert all(line.isprintable() for line in out.split("\n"))
    assert ("Card\\u001b[2J" if json_too else "Card\\x1b[2J") in out


# ---------------------------------------------------------------- paths


def test_paths_are_one_name_and_path_a_line_and_no_configuration_is_read(capsys: Capture) -> None:
    machine = FakeMachine(error=AssertionError("it read the configuration"))
    assert said(capsys, machine, "paths") == (
        0,
        (
            "module=/opt/pam_sc.so\nworker=/opt/pam_sc_worker\nconfig=/etc/pam_sc/pam_sc.toml\n"
            "store=/var/lib/pam_sc/revocation\n"
        ),
        "",
    )


def test_paths_as_json_have_the_same_names(capsys: Capture) -> None:
    assert as_json(capsys, FakeMachine(), "paths")[1] == {
        "module": "/opt/pam_sc.so",
        "worker": "/opt/pam_sc_worker",
        "config": "/etc/pam_sc/pam_sc.toml",
        "store": "/var/lib/pam_sc/revocation",
    }


# ---------------------------------------------------------------- explain


def test_explain_stops_before_the_pin_and_says_of_which_token(capsys: Capture) -> None:
    machine = FakeMachine()
    code, out, _err = said(capsys, machine, "explain", "alice")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["1", "request", "passed", "service", "login"]
    assert any(
        line.split()[:3] == ["9", "pin", "stopped"] and "would ask for the PIN of token" in line for line in lines
    )
    assert lines[-1].startswith("stopped: before step 9")
    assert ("pin", False) in machine.asked


@pytest.mark.parametrize(
    ("changes", "policy", "expected"),
    [
        ({"protected_authentication_path": True}, Policy(pinpad=True), "would have the PIN typed on the reader, for token"),
        ({"login_required": False}, Policy(allow_no_pin=True), "would ask for no PIN, which is not needed for token"),
    ],
)
def test_explain_says_how_the_pin_would_come(
    capsys: Capture, changes: dict[str, bool], policy: Policy, expected: str
) -> None:
    machine = FakeMachine(the_token=replace(token(), **changes), policy=policy)
    code, out, _err = said(capsys, machine, "explain", "alice")
    assert (code, expected in out) == (0, True)


def test_explain_shows_that_a_token_would_be_opened_before_it_is_judged(capsys: Capture) -> None:
    machine = FakeMachine(the_token=replace(token(), certificates=()), policy=Policy(login_first=True))
    code, found = as_json(capsys, machine, "explain", "alice")
    assert code == 0
    assert [step["status"] for step in found["steps"]] == [
        "passed", "passed", *["not-reached"] * 6, "stopped", *["not-reached"] * 2
    ]
    assert any("may cost a PIN try for a card that is then refused" in line for line in found["steps"][8]["found"])


def test_explain_shows_that_an_opening_was_refused(capsys: Capture) -> None:
    closed = replace(token(), certificates=(), pin_state=PinState.LOCKED)
    code, found = as_json(capsys, FakeMachine(the_token=closed, policy=Policy(login_first=True)), "explain", "alice")
    assert (code, found["reason"]) == (1, "pin-locked")
    assert [step["status"] for step in found["steps"]][2:9] == [*["not-reached"] * 6, "refused"]


def test_explain_numbers_all_eleven_steps(capsys: Capture) -> None:
    _code, found = as_json(capsys, FakeMachine(), "explain", "alice")
    assert [step["number"] for step in found["steps"]] == list(range(1, 12))
    assert [step["status"] for step in found["steps"]] == ["passed"] * 8 + ["stopped"] + ["not-reached"] * 2
    assert (found["verdict"], found["step"]) == ("stopped", 9)


def test_explain_with_a_pin_goes_to_the_end(capsys: Capture) -> None:
    machine = FakeMachine(pin_is_wrong=True)
    code, found = as_json(capsys, machine, "explain", "alice", "--pin")
    assert code == 1
    assert (found["verdict"], found["reason"], found["step"], found["code"]) == (
        "refused",
        "pin-wrong",
        10,
        "PAM_AUTH_ERR",
    )
    assert found["hint"] == "one PIN try of the card was used"
    assert ("pin", True) in machine.asked


def test_a_refusal_says_reason_hint_code_and_what_the_person_reads(capsys: Capture) -> None:
    code, out, _err = said(capsys, FakeMachine(), "explain", "bob")
    assert code == 1
    assert " 1  request          refused      account-unknown: the name service knows no such account" in out
    assert "do this      the account does not exist on this machine: getent passwd NAME" in out
    assert "refused: account-unknown at step 1, PAM_USER_UNKNOWN" in out
    assert "the person reads: The card was not accepted" in out


def test_a_required_card_changes_the_code_that_explain_shows(capsys: Capture) -> None:
    machine = FakeMachine(policy=Policy(card_required=True, select=TokenSelector(text="pkcs11:token=x", token="x")))
    _code, found = as_json(capsys, machine, "explain", "alice")
    assert (found["reason"], found["code"]) == ("token-not-selected", "PAM_AUTH_ERR")
    machine.policy = replace(machine.policy, card_required=False)
    assert as_json(capsys, machine, "explain", "alice")[1]["code"] == "PAM_AUTHINFO_UNAVAIL"


@pytest.mark.parametrize(("account", "code"), [("alice", "PAM_AUTH_ERR"), ("bob", "PAM_AUTHINFO_UNAVAIL")])
def test_explain_shows_the_code_of_an_account_that_must_use_a_card(capsys: Capture, account: str, code: str) -> None:
    must = Members(accounts=frozenset({account}))
    machine = FakeMachine(policy=Policy(must_use=must, select=TokenSelector(text="pkcs11:token=x", token="x")))
    _code, found = as_json(capsys, machine, "explain", "alice")
    assert (found["reason"], found["code"]) == ("token-not-selected", code)


def test_explain_tells_each_certificate_at_the_step_that_refuses_it(capsys: Capture) -> None:
    _code, found = as_json(capsys, FakeMachine(), "explain", "alice")
    by_name = {step["name"]: step["found"] for step in found["steps"]}
    assert by_name["certificates"] == [
        "certificate 1: CN=alice",
        "certificate 2: CN=old alice",
        "certificate 3: CN=stranger",
    ]
    assert any(line.startswith("certificate 2: certificate-expired") for line in by_name["suitable"])
    assert by_name["path"] == [
        "certificate 1: CN=alice <- CN=Test Root",
        "certificate 3: untrusted: nobody issued it",
    ]
    assert by_name["mapping"] == ["certificate 1: maps to alice (cn saw 'alice')"]


def test_explain_without_a_user_lets_the_card_name_the_account(capsys: Capture) -> None:
    _code, found = as_json(capsys, FakeMachine(), "explain")
    assert (found["verdict"], found["account"]) == ("stopped", "alice")


def test_the_service_is_the_one_that_is_given(capsys: Capture) -> None:
    machine = FakeMachine(policy=Policy(services=frozenset({"login"})))
    assert as_json(capsys, machine, "explain", "alice", "--service", "sudo")[1]["reason"] == "service-not-allowed"
    assert as_json(capsys, machine, "explain", "alice")[1]["verdict"] == "stopped"


# ---------------------------------------------------------------- inspect


def certificates(found: Any) -> list[Any]:
    return list(found["modules"][0]["slots"][0]["token"]["certificates"])


def test_inspect_says_of_each_certificate_whether_it_would_be_accepted(capsys: Capture) -> None:
    code, found = as_json(capsys, FakeMachine(), "inspect")
    assert code == 0
    assert [entry["accepted"] for entry in certificates(found)] == [True, False, False]
    assert [(entry["refusal"] or {}).get("reason") for entry in certificates(found)] == [
        None,
        "certificate-expired",
        "untrusted",
    ]
    assert certificates(found)[0]["accepted_for"] == ["alice"]


def test_inspect_shows_what_a_certificate_says_and_what_each_mapper_sees(capsys: Capture) -> None:
    _code, found = as_json(capsys, FakeMachine(), "inspect")
    first = certificates(found)[0]
    assert (first["subject"], first["issuer"], first["serial"]) == ("CN=alice", "CN=Test Root", "1000")
    assert (first["key"], first["key_usage"], first["extended_key_usage"]) == (
        "ECDSA P-256",
        ["digitalSignature"],
        ["1.3.6.1.5.5.7.3.2"],
    )
    assert first["mappers"] == [{"name": "cn", "sees": ["alice", EVIL]}]


def test_inspect_writes_the_same_for_people(capsys: Capture) -> None:
    _code, out, _err = said(capsys, FakeMachine(), "inspect")
    for line in (
        "module      /m.so (Driver 1.0)",
        "  slot        7  Reader",
        "      PIN         ok, 4 to 8 characters",
        "      certificate 1  CN=alice",
        "        purposes    clientAuth",
        "        unusable    commonName 'x' holds a control character",
        "        accepted    for alice, with the PIN",
        "        refused     untrusted: nobody issued it",
        "        do this     put the issuing CA into [trust] intermediates, or its root into [trust] anchors, "
        "if it is to be trusted",
    ):
        assert line in out.splitlines()


@pytest.mark.parametrize(
    ("state", "reason"),
    [(PinState.LOCKED, "pin-locked"), (PinState.FINAL_TRY, "pin-last-try"), (PinState.NOT_SET, "pin-not-set")],
)
def test_a_pin_that_may_not_be_tried_refuses_what_is_otherwise_accepted(
    capsys: Capture, state: PinState, reason: str
) -> None:
    code, found = as_json(capsys, FakeMachine(the_token=token(pin_state=state)), "inspect")
    assert code == 1
    assert [entry["refusal"]["reason"] for entry in certificates(found)] == [reason, "certificate-expired", "untrusted"]


def test_a_token_that_is_not_selected_refuses_all_its_certificates(capsys: Capture) -> None:
    policy = Policy(select=TokenSelector(text="pkcs11:token=other", token="other"))
    code, found = as_json(capsys, FakeMachine(policy=policy), "inspect")
    assert code == 1
    assert {entry["refusal"]["reason"] for entry in certificates(found)} == {"token-not-selected"}


def test_an_account_with_uid_0_is_judged_by_the_configured_rules(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = FakeMachine()
    inspection = machine.inspect
    from pam_sc.decision.request import Account

    monkeypatch.setattr(machine, "inspect", lambda c: replace(inspection(c), accounts={"alice": Account("alice", 0)}))
    assert certificates(as_json(capsys, machine, "inspect")[1])[0]["refusal"]["reason"] == "root-not-allowed"
    machine.policy = Policy(allow_root=True)
    assert certificates(as_json(capsys, machine, "inspect")[1])[0]["accepted"]


def test_an_account_that_does_not_exist_refuses_the_certificate(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = FakeMachine()
    inspection = machine.inspect
    from pam_sc.decision.request import NoSuchAccount

    monkeypatch.setattr(machine, "inspect", lambda c: replace(inspection(c), accounts={"alice": NoSuchAccount()}))
    refusal = certificates(as_json(capsys, machine, "inspect")[1])[0]["refusal"]
    assert (refusal["reason"], refusal["detail"]) == ("mapped-account-unknown", "there is no account 'alice'")


def test_an_empty_reader_is_shown_as_empty(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = FakeMachine()
    inspection = machine.inspect

    def empty(configuration: Any) -> Any:
        made = inspection(configuration)
        evidence = replace(made.rehearsal.evidence, card=card(None), certificates={})
        return replace(made, rehearsal=replace(made.rehearsal, evidence=evidence))

    monkeypatch.setattr(machine, "inspect", empty)
    code, out, _err = said(capsys, machine, "inspect")
    assert code == 1
    assert out.splitlines()[-1] == "    empty"


# ---------------------------------------------------------------- check-config


@pytest.mark.parametrize(
    ("weights", "code", "verdict"),
    [
        ((), 0, "clean"),
        ((Weight.NOTE,), 0, "note"),
        ((Weight.NOTE, Weight.WARNING), 1, "warning"),
        ((Weight.WARNING, Weight.ERROR, Weight.NOTE), 2, "error"),
    ],
)
def test_the_exit_code_is_that_of_the_worst_finding(
    capsys: Capture, weights: tuple[Weight, ...], code: int, verdict: str
) -> None:
    machine = FakeMachine(findings=[Finding(weight, "where", "what") for weight in weights])
    found_code, found = as_json(capsys, machine, "check-config")
    assert (found_code, found["verdict"]) == (code, verdict)
    assert [entry["severity"] for entry in found["findings"]] == [weight.value for weight in weights]


def test_check_config_prints_what_is_decided_then_the_findings_then_the_rules(capsys: Capture) -> None:
    machine = FakeMachine(
        findings=[
            Finding(Weight.WARNING, "nullok", "an empty PIN is never sent", NoteKind.UNSAFE, 3),
            Finding(Weight.NOTE, "revocation.store", "is empty"),
        ],
        stig=[StigAnswer(Demand.PATH, True, "cert_policy = ca", 7), StigAnswer(Demand.MAPPED, False, "no use_mappers")],
    )
    code, out, err = said(capsys, machine, "check-config", "/a.toml")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[:2] == [
        "What /etc/x decides:",
        "  login       A card counts in every PAM service whose stack names pam_sc.so.",
    ]
    assert lines[lines.index("What is to be said about it:"):] == [
        "What is to be said about it:",
        "  warning     /etc/x:3: nullok (unsafe): an empty PIN is never sent",
        "  note        revocation.store: is empty",
        "DISA's rules for card logins (Ubuntu 20.04, 22.04, 24.04):",
        "  met         certificates are validated by a path to a trust anchor: UBTU-20-010060 (V-238229),"
        " UBTU-22-612030 (V-260577), UBTU-24-400375; /etc/x:7: cert_policy = ca",
        "  not met     the certificate is mapped to an account (pwent): V-238201 (CAT I), UBTU-22-612040 (V-260579),"
        " UBTU-24-400370; no use_mappers",
    ]
    assert machine.asked == [("configuration", "/a.toml")]


def test_check_config_gives_programs_the_same(capsys: Capture) -> None:
    machine = FakeMachine(
        findings=[Finding(Weight.NOTE, "nullok", "x", NoteKind.DEAD, 3)],
        stig=[StigAnswer(Demand.STATUS, True, "cert_policy = ca", 7)],
    )
    code, found = as_json(capsys, machine, "check-config")
    assert (code, found["source"], found["verdict"]) == (0, "/etc/x", "note")
    assert found["policy"][0] == {
        "topic": "login", "text": "A card counts in every PAM service whose stack names pam_sc.so.",
    }  # fmt: skip
    assert found["findings"] == [{"severity": "note", "where": "nullok", "line": 3, "kind": "dead", "text": "x"}]
    (rule,) = found["stig"]
    assert (rule["demand"], rule["met"], rule["line"], rule["text"]) == ("status", True, 7, "cert_policy = ca")
    assert "UBTU-22-612025 (V-260576)" in rule["rules"]


def test_a_rule_that_is_not_met_is_no_finding(capsys: Capture) -> None:
    machine = FakeMachine(stig=[StigAnswer(Demand.MAPPED, False, "no use_mappers")])
    assert said(capsys, machine, "check-config")[0] == 0


def test_a_configuration_that_is_refused_is_a_finding_for_programs(capsys: Capture) -> None:
    code, found = as_json(capsys, FakeMachine(error=ConfigError("/x:1: wrong")), "check-config")
    assert code == 2
    assert found["findings"] == [
        {"severity": "error", "where": "configuration", "line": None, "kind": None, "text": "/x:1: wrong"}
    ]
    assert found["policy"] == [{"topic": "login", "text": "It cannot be used: every login with a card fails."}]
    assert found["stig"] == []


def test_an_error_that_names_its_place_is_shown_with_one_place(capsys: Capture) -> None:
    findings = [Finding(Weight.ERROR, "/etc/x", "/etc/x:7: wrong"), Finding(Weight.ERROR, "/etc/x", "more is wrong")]
    code, out, _err = said(capsys, FakeMachine(findings=findings), "check-config")
    shown = [line.split(maxsplit=1)[1] for line in out.splitlines() if line.startswith("  error")]
    assert (code, shown) == (2, ["/etc/x:7: wrong", "/etc/x: more is wrong"])


def test_check_config_says_when_there_is_nothing_to_say(capsys: Capture) -> None:
    code, out, _err = said(capsys, FakeMachine(), "check-config")
    assert code == 0
    assert out.endswith("What is to be said about it:\n  clean\n")


# ---------------------------------------------------------------- try-login


def test_try_login_runs_the_stack_once_with_the_pin_and_explains_without(capsys: Capture) -> None:
    machine = FakeMachine(stack=StackResult(7, "Authentication failure", ("Wrong PIN",), 1))
    code, out, _err = said(capsys, machine, "try-login", "alice", "--service", "sudo")
    assert code == 1
    assert machine.asked == [
        ("secret", "PIN for alice: "),
        ("stack", "alice", "sudo", "1234"),
        ("service", "sudo"),
        ("configuration", None),
        ("pin", False),
    ]
    assert "cannot be rehearsed this way" in out.splitlines()[0]
    assert "the stack said: Wrong PIN" in out
    assert "the stack returned 7 PAM_AUTH_ERR: Authentication failure" in out
    assert "1 further prompts were not answered" in out
    assert "would ask for the PIN of token" in out
    assert "1234" not in out


def test_try_login_that_succeeds_is_zero(capsys: Capture) -> None:
    code, found = as_json(capsys, FakeMachine(), "try-login", "alice", "--service", "sudo")
    assert (code, found["code"], found["name"]) == (0, 0, "PAM_SUCCESS")
    assert found["explanation"]["verdict"] == "stopped"


def test_try_login_explains_with_the_configuration_that_the_stack_names(capsys: Capture) -> None:
    machine = FakeMachine(named_config="/etc/pam_sc/sudo.toml")
    said(capsys, machine, "try-login", "alice", "--service", "sudo")
    assert ("configuration", "/etc/pam_sc/sudo.toml") in machine.asked
    said(capsys, machine, "try-login", "alice", "--service", "sudo", "--config", "/mine.toml")
    assert machine.asked[-2] == ("configuration", "/mine.toml")


def test_try_login_still_tells_the_result_when_it_cannot_be_explained(capsys: Capture) -> None:
    machine = FakeMachine(error=ConfigError("/x: wrong"), stack=StackResult(3, "Error in service module", (), 0))
    code, out, err = said(capsys, machine, "try-login", "alice", "--service", "sudo")
    assert code == 1
    assert "the stack returned 3 PAM_SERVICE_ERR" in out
    assert err == "pam-sc: cannot explain it: /x: wrong\n"
