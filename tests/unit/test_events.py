# SPDX-License-Identifier: LGPL-2.1-or-later
"""One line an attempt, without personal data, and nothing in it that could forge another line."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.decision.card_report import CardReport, CertificateRef, ModuleReport, SlotReport, TokenRef, TokenReport
from pam_sc.decision.evidence import (
    CertificateEvidence,
    CertificateFacts,
    Evidence,
    KeyKind,
    RevocationFinding,
    Situation,
)
from pam_sc.decision.policy import RevocationMode
from pam_sc.decision.possession import Answer, Attempt
from pam_sc.decision.reasons import REASONS, Reason, Severity
from pam_sc.decision.request import Account, LookupFailed, NoSuchAccount, Purpose, Request
from pam_sc.decision.verdict import Denied, Granted
from pam_sc.events import LINE_MAX, EventLog, clean, pseudonym, quoted
from pam_sc.record import replace

REF = CertificateRef(TokenRef(0, 7), 0)
REQUEST = Request(service="sudo", account="alice", real_uid=0, effective_uid=0, saved_uid=0)
WHEN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
FACTS = CertificateFacts(
    subject="CN=Alice Example",
    issuer="CN=Test Root",
    serial_number=4711,
    not_before=WHEN,
    not_after=WHEN,
    key_kind=KeyKind.P256,
    key_bits=256,
    key_text="ECDSA P-256",
    signature_hash="sha256",
    key_usage=None,
    extended_key_usage=None,
    sha256=b"\x01" * 32,
    public_key_der=b"",
)
GOOD = RevocationFinding(subject="CN=Alice Example", situation=Situation.GOOD, detail="")
EVIDENCE = Evidence(
    request=REQUEST,
    requested=Account("alice", 1000),
    certificates={REF: CertificateEvidence(facts=FACTS, revocation=(GOOD,))},
)
NAME = pseudonym(FACTS.sha256, "machine")

Lines = list[tuple[Severity, str]]


def logged(*, personal: bool = False, machine_id: str = "machine") -> tuple[EventLog, Lines]:
    lines: Lines = []
    return EventLog(
        lambda severity, text: lines.append((severity, text)), machine_id=machine_id, personal=personal
    ), lines


def refused(denied: Denied, evidence: Evidence | None = EVIDENCE, request: Request = REQUEST, **how: bool) -> Lines:
    log, lines = logged(**how)
    log.refused(request, denied, evidence)
    return lines


# ---------------------------------------------------------------- what is in a line


def test_a_grant_is_one_line() -> None:
    log, lines = logged()
    log.granted(REQUEST, Granted("alice", REF), EVIDENCE)
    assert lines == [(Severity.INFO, f"granted service=sudo account=alice certificate={NAME}")]


def test_a_grant_with_unknown_revocation_says_so_and_is_louder() -> None:
    assert granted_with(Situation.GOOD, Situation.UNKNOWN) == "revocation=unknown because=unknown"


@pytest.mark.parametrize(
    ("situations", "said"),
    [
        ((Situation.NO_SOURCE,), "revocation=unknown because=no-source"),
        ((Situation.NOT_AT_HAND,), "revocation=unknown because=not-at-hand"),
        ((Situation.STALE, Situation.GOOD), "revocation=unknown because=stale"),
        ((Situation.STALE, Situation.NO_SOURCE, Situation.STALE), "revocation=unknown because=no-source+stale"),
        ((Situation.STALE, Situation.REVOKED), "revocation=revoked"),
    ],
)
def test_a_grant_names_every_situation_that_was_accepted(situations: tuple[Situation, ...], said: str) -> None:
    assert granted_with(*situations) == said


def granted_with(*situations: Situation) -> str:
    """What is said at the end of the line about a grant with these on its path."""
    log, lines = logged()
    findings = tuple(replace(GOOD, situation=situation) for situation in situations)
    log.granted(REQUEST, Granted("alice", REF), EVIDENCE.with_certificate(REF, revocation=findings))
    ((severity, line),) = lines
    start = f"granted service=sudo account=alice certificate={NAME} "
    assert (severity, line[: len(start)]) == (Severity.NOTICE, start)
    return line.removeprefix(start)


def test_a_grant_under_mode_off_says_so() -> None:
    off = replace(GOOD, situation=Situation.UNKNOWN, mode=RevocationMode.OFF)
    log, lines = logged()
    log.granted(REQUEST, Granted("alice", REF), EVIDENCE.with_certificate(REF, revocation=(GOOD, off)))
    assert lines[0][1].endswith(" revocation=unknown because=off")


def test_a_grant_for_which_nothing_was_looked_up_says_so() -> None:
    log, lines = logged()
    evidence = replace(EVIDENCE, certificates={REF: replace(EVIDENCE.about(REF), revocation=None)})
    log.granted(REQUEST, Granted("alice", REF), evidence)
    assert lines[0][1].endswith(" revocation=unknown because=not-looked-up")


def test_a_grant_without_evidence_still_names_service_and_account() -> None:
    log, lines = logged()
    log.granted(REQUEST, Granted("alice", REF))
    assert lines == [(Severity.INFO, "granted service=sudo account=alice")]


def test_a_refusal_names_reason_and_step_and_keeps_the_detail_for_debugging() -> None:
    lines = refused(Denied(Reason.CERTIFICATE_EXPIRED, "'CN=Alice Example' expired", REF))
    assert lines == [
        (Severity.NOTICE, f"refused reason=certificate-expired step=4 service=sudo account=alice certificate={NAME}"),
        (Severity.DEBUG, "detail reason=certificate-expired detail=\"'CN=Alice Example' expired\""),
    ]


def test_the_detail_is_in_the_line_where_the_administrator_wants_personal_data() -> None:
    ((_severity, line),) = refused(Denied(Reason.CERTIFICATE_EXPIRED, "'CN=Alice Example' expired", REF), personal=True)
    assert line.endswith("detail=\"'CN=Alice Example' expired\"")


@pytest.mark.parametrize(
    "reason", [Reason.CONFIGURATION_UNUSABLE, Reason.MODULE_UNUSABLE, Reason.REMOTE_REFUSED, Reason.SIGNING_FAILED]
)
def test_a_detail_that_is_about_nobody_is_in_the_line(reason: Reason) -> None:
    ((severity, line),) = refused(Denied(reason, "something about the machine"))
    assert severity is REASONS[reason].severity
    assert line.endswith('detail="something about the machine"')


def opened_with(*attempts: Attempt) -> Evidence:
    """A card whose certificates are private, so that a wrong PIN is about none of them."""
    token = TokenReport(ref=REF.token, label="Alice's card", serial="0815")
    slot = SlotReport(slot_id=REF.token.slot_id, token=token)
    card = CardReport((ModuleReport(index=REF.token.module, path="/m.so", slots=(slot,)),))
    return Evidence(request=REQUEST, card=card, attempts=attempts)


def test_a_wrong_pin_names_its_token_also_where_no_certificate_is_known() -> None:
    token = pseudonym(b"\0\x000815\0Alice's card", "machine")
    tried = opened_with(Attempt(REF.token, Answer.ANSWERED))
    assert refused(Denied(Reason.PIN_WRONG), tried)[0][1].endswith(f" token={token}")
    assert "token=" not in refused(Denied(Reason.PIN_WRONG), opened_with())[0][1]


def test_a_refusal_without_detail_is_one_line() -> None:
    assert refused(Denied(Reason.PIN_WRONG), None) == [
        (Severity.NOTICE, "refused reason=pin-wrong step=10 service=sudo")
    ]


@pytest.mark.parametrize("reason", [Reason.REVOCATION_NOT_AT_HAND, Reason.REVOCATION_STALE])
def test_a_refusal_that_a_command_cures_names_it(reason: Reason) -> None:
    (_severity, line), *_detail = refused(Denied(reason, "CN=Alice Example: no CRL", REF))
    assert "pam-sc refresh" in line
    assert "Alice" not in line


def test_a_refusal_that_no_command_cures_names_none() -> None:
    (_severity, line), *_detail = refused(Denied(Reason.CERTIFICATE_REVOKED, "CN=Alice Example: listed", REF))
    assert "hint=" not in line


def test_another_purpose_than_a_login_is_said() -> None:
    lines = refused(Denied(Reason.PIN_WRONG), None, replace(REQUEST, purpose=Purpose.EXPLAIN))
    assert lines[0][1].endswith("service=sudo purpose=explain")


def test_a_problem_and_a_note_are_lines_of_their_own() -> None:
    log, lines = logged()
    log.problem("cannot read '/etc/x': no\nbody")
    log.note("the status is unknown")
    assert lines == [
        (Severity.ERROR, "problem: cannot read '/etc/x': no\\x0abody"),
        (Severity.NOTICE, "note: the status is unknown"),
    ]


# ---------------------------------------------------------------- what is not


@pytest.mark.parametrize("lookup", [NoSuchAccount(), LookupFailed("NSS"), None])
def test_the_name_of_an_account_that_is_not_known_to_exist_is_not_logged(
    lookup: NoSuchAccount | LookupFailed | None,
) -> None:
    request = replace(REQUEST, account="hunter2")
    for line in refused(Denied(Reason.ACCOUNT_UNKNOWN), replace(EVIDENCE, request=request, requested=lookup), request):
        assert "hunter2" not in line[1]
        assert "account=" not in line[1]


def test_no_line_but_the_debugging_one_holds_subject_serial_or_fingerprint() -> None:
    lines = refused(Denied(Reason.UNTRUSTED, "'CN=Alice Example' has no path", REF))
    for severity, line in lines:
        assert "4711" not in line
        assert FACTS.sha256.hex()[:8] not in line
        assert severity is Severity.DEBUG or "Alice" not in line


def test_the_certificate_has_another_name_on_another_machine() -> None:
    assert pseudonym(FACTS.sha256, "machine") != pseudonym(FACTS.sha256, "other")
    assert len(NAME) == 16


def test_the_certificate_has_no_name_where_the_machine_has_no_identity() -> None:
    log, lines = logged(machine_id="")
    log.granted(REQUEST, Granted("alice", REF), EVIDENCE)
    assert "certificate=" not in lines[0][1]


# ---------------------------------------------------------------- nothing breaks out


def test_a_service_cannot_forge_a_field_or_a_line() -> None:
    request = replace(REQUEST, service='x" granted account="root\n\x1b[2J\x9b')
    (_severity, line), *_ = refused(Denied(Reason.PIN_WRONG), None, request)
    assert 'service="x\\" granted account=\\"root\\x0a\\x1b[2J\\x9b"' in line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Grüße", "Grüße"),
        ("a\\b", "a\\b"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
        ("\x7f\x00\x85\u2028", "\\x7f\\x00\\x85\\u2028"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_an_empty_value_and_one_with_a_space_are_quoted() -> None:
    assert (quoted(""), quoted("a b"), quoted("a=b"), quoted("a_b")) == ('""', '"a b"', '"a=b"', "a_b")


def test_a_value_cannot_close_its_quotes() -> None:
    assert quoted('a" b\\') == '"a\\" b\\\\"'


def test_a_text_of_exactly_the_limit_is_whole_and_one_longer_is_cut() -> None:
    assert clean("x" * 10, 10) == "x" * 10
    assert clean("x" * 11, 10) == "x" * 7 + "..."


def test_an_escape_is_never_cut_in_two() -> None:
    assert clean("\x00" * 5, 10) == "\\x00..."


@given(text=st.text(), most=st.integers(3, 80))
def test_whatever_the_text_the_result_is_short_and_printable(text: str, most: int) -> None:
    assert len(clean(text, most).encode()) <= most
    assert clean(text, most).isprintable()


@given(service=st.text(max_size=300), detail=st.text(max_size=2000), account=st.text(max_size=300))
def test_whatever_the_words_a_line_is_one_short_line(service: str, detail: str, account: str) -> None:
    request = replace(REQUEST, service=service)
    evidence = replace(EVIDENCE, requested=Account(account, 1000))
    for _severity, line in refused(Denied(Reason.MODULE_UNUSABLE, detail, REF), evidence, request):
        assert line.isprintable()
        assert len(line.encode()) <= LINE_MAX
        assert line.startswith("refused reason=module-unusable")
