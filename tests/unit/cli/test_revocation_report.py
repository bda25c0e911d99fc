# SPDX-License-Identifier: LGPL-2.1-or-later
"""What explain and inspect say of the revocation of each certificate: who answered, how old, and what was decided."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from pam_sc.cli.inspection import inventory, inventory_rows
from pam_sc.cli.render import explain_json, explain_rows
from pam_sc.cli.revocation_report import age_text, path_lines, path_values
from pam_sc.decision.evidence import RevocationFinding, Situation, SourceAnswer, ValidPath
from pam_sc.decision.policy import Policy, RevocationMode, RevocationRules, RevocationSource
from pam_sc.record import replace
from tests.unit.cli.cards import AT, CERTIFICATES, CONFIGURATION, GOOD, FakeMachine, evidence, rehearsal

HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
URL = "http://ocsp.example.test/"

NOT_ASKED = SourceAnswer(
    kind=RevocationSource.OCSP, situation=Situation.NOT_AT_HAND, detail=f"nothing of {URL} is stored", source=URL
)
CRL = SourceAnswer(
    kind=RevocationSource.CRL,
    situation=Situation.GOOD,
    detail="it does not list the certificate",
    source="/etc/pam_sc/crls/a.crl",
    as_of=AT - 3 * HOUR,
    next_update=AT + 5 * DAY,
)
FRESH = RevocationFinding(subject="CN=alice", situation=Situation.GOOD, detail="the CRL", answers=(NOT_ASKED, CRL))
STALE_CRL = replace(CRL, situation=Situation.STALE, as_of=AT - 9 * DAY, next_update=AT - 2 * DAY)
STALE = RevocationFinding(
    subject="CN=Issuing", situation=Situation.STALE, detail="the CRL is stale", answers=(STALE_CRL,)
)  # fmt: skip


def member(finding: RevocationFinding, mode: RevocationMode = RevocationMode.NAMED) -> dict[str, Any]:
    return path_values([finding], mode, AT)[0]


# ---------------------------------------------------------------- values


def test_a_member_says_what_every_source_that_was_asked_answered() -> None:
    assert member(FRESH) == {
        "subject": "CN=alice",
        "situation": "good",
        "detail": "the CRL",
        "mode": "named",
        "decided": "accepted",
        "reason": None,
        "answers": [
            {
                "kind": "ocsp", "situation": "not at hand", "source": URL, "as_of": None, "age_seconds": None,
                "next_update": None, "due_in_seconds": None, "detail": f"nothing of {URL} is stored",
            },
            {
                "kind": "crl", "situation": "good", "source": "/etc/pam_sc/crls/a.crl",
                "as_of": "2026-05-31T21:00:00+00:00", "age_seconds": 3 * 3600,
                "next_update": "2026-06-06T00:00:00+00:00", "due_in_seconds": 5 * 86400,
                "detail": "it does not list the certificate",
            },
        ],
    }  # fmt: skip


def test_a_path_without_findings_has_no_members() -> None:
    assert path_values(None, RevocationMode.REQUIRE, AT) == []
    assert path_values((), RevocationMode.REQUIRE, AT) == []


@pytest.mark.parametrize(
    ("whole", "own", "held", "decided", "reason"),
    [
        (RevocationMode.NAMED, None, "named", "refused", "revocation-stale"),
        (RevocationMode.PREFER, None, "prefer", "accepted", None),
        (RevocationMode.NAMED, RevocationMode.PREFER, "prefer", "accepted", None),
        (RevocationMode.PREFER, RevocationMode.REQUIRE, "require", "refused", "revocation-stale"),
    ],
)
def test_what_was_decided_names_the_mode_that_held(
    whole: RevocationMode, own: RevocationMode | None, held: str, decided: str, reason: str | None
) -> None:
    told = member(replace(STALE, mode=own), whole)
    assert (told["mode"], told["decided"], told["reason"]) == (held, decided, reason)


def test_a_revoked_issuer_has_the_reason_of_an_issuer() -> None:
    revoked = replace(FRESH, situation=Situation.REVOKED)
    told = path_values([revoked, revoked], RevocationMode.NAMED, AT)
    assert [each["reason"] for each in told] == ["certificate-revoked", "issuer-revoked"]


# ---------------------------------------------------------------- for people


def test_lines_say_who_answered_how_old_it_is_and_when_the_next_is_due() -> None:
    assert list(path_lines(member(FRESH))) == [
        "CN=alice: good, accepted by mode named",
        f"  OCSP: not at hand: nothing of {URL} is stored",
        "  CRL: good: it does not list the certificate (/etc/pam_sc/crls/a.crl, 3 h old, the next one is due in 5 days)",
    ]


def test_lines_of_what_is_stale_say_since_when_and_the_refusal() -> None:
    assert list(path_lines(member(STALE))) == [
        "CN=Issuing: stale, refused (revocation-stale) by mode named",
        "  CRL: stale: it does not list the certificate (/etc/pam_sc/crls/a.crl, 9 days old,"
        " the next one was due 2 days ago)",
    ]


def test_a_member_for_which_nothing_was_asked_says_why() -> None:
    told = member(RevocationFinding(subject="CN=alice", situation=Situation.NO_SOURCE, detail="it names no source"))
    assert list(path_lines(told)) == ["CN=alice: no source, accepted by mode named: it names no source"]


def test_an_answer_without_a_detail_ends_with_the_situation() -> None:
    silent = SourceAnswer(kind=RevocationSource.OCSP, situation=Situation.NO_SOURCE, detail="")
    assert list(path_lines(member(replace(FRESH, answers=(silent,)))))[1:] == ["  OCSP: no source"]


def test_a_path_that_was_not_looked_up_is_told_by_its_reason() -> None:
    known = replace(CERTIFICATES[GOOD], revocation=())
    texts = [row.text for row in explain_rows(rehearsal(replace(evidence(), certificates={**CERTIFICATES, GOOD: known})))]
    assert "certificate 1: revocation-unknown: not every certificate of the path was looked at" in texts


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-7201, "2 h in the future"),
        (-1, "less than a minute in the future"),
        (0, "less than a minute old"),
        (59, "less than a minute old"),
        (60, "1 min old"),
        (7199, "119 min old"),
        (7200, "2 h old"),
        (172_799, "47 h old"),
        (172_800, "2 days old"),
        (86_400 * 400, "400 days old"),
    ],
)
def test_an_age_is_told_in_words(seconds: int, text: str) -> None:
    assert age_text(seconds) == text


# ---------------------------------------------------------------- in the commands


def two_members(mode: RevocationMode = RevocationMode.NAMED) -> Any:
    """A rehearsal in which the good certificate has an issuer whose CRL is stale."""
    path = ValidPath(certificates=(b"leaf", b"issuing", b"root"), subjects=("CN=alice", "CN=Issuing", "CN=Test Root"))
    known = replace(CERTIFICATES[GOOD], path=path, revocation=(FRESH, STALE))
    policy = Policy(revocation=RevocationRules(mode=mode))
    return rehearsal(replace(evidence(), certificates={**CERTIFICATES, GOOD: known}), policy)


def test_explain_tells_every_member_of_the_path_though_one_refuses_the_login() -> None:
    texts = [row.text for row in explain_rows(two_members())]
    assert "certificate 1: CN=alice: good, accepted by mode named" in texts
    assert "certificate 1: CN=Issuing: stale, refused (revocation-stale) by mode named" in texts
    assert any(row.words[2:] == ("do this",) and "pam-sc refresh" in row.text for row in explain_rows(two_members()))


def test_explain_tells_the_same_where_stale_is_accepted() -> None:
    texts = [row.text for row in explain_rows(two_members(RevocationMode.PREFER))]
    assert "certificate 1: CN=Issuing: stale, accepted by mode prefer" in texts


def test_explain_gives_programs_the_paths_in_the_order_of_the_certificates() -> None:
    paths = json.loads(json.dumps(explain_json(two_members())))["paths"]
    assert [[each["subject"] for each in path] for path in paths] == [
        ["CN=alice", "CN=Issuing"], ["CN=old alice"], ["CN=stranger"],
    ]  # fmt: skip
    assert [each["decided"] for each in paths[0]] == ["accepted", "refused"]


def test_inspect_has_the_path_of_each_certificate() -> None:
    inspection = replace(FakeMachine().inspect(CONFIGURATION), rehearsal=two_members())
    found = inventory(inspection)
    first = found["modules"][0]["slots"][0]["token"]["certificates"][0]
    assert [each["subject"] for each in first["path"]] == ["CN=alice", "CN=Issuing"]
    told = [row.text for row in inventory_rows(found) if row.words == ("revocation",)]
    assert told[0] == "CN=alice: good, accepted by mode named"
    assert "CN=Issuing: stale, refused (revocation-stale) by mode named" in told
