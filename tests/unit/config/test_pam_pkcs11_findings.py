# SPDX-License-Identifier: LGPL-2.1-or-later
"""How much each thing about a line of pam_pkcs11.conf weighs, and what DISA's rules find in the words of one."""

from __future__ import annotations

import pytest

from pam_sc.config.finding import Weight
from pam_sc.config.notes import Note, NoteKind
from pam_sc.config.pam_pkcs11 import translate
from pam_sc.config.pam_pkcs11_findings import findings_of, nearest_line_of, stig_of_text, weight_of
from pam_sc.config.stig import Demand
from tests.support.peer_configurations import STIG, configuration, with_mapper


def weights(text: str) -> dict[str, set[Weight]]:
    found: dict[str, set[Weight]] = {}
    for finding in findings_of(translate(text, "/x.conf").notes):
        found.setdefault(finding.where, set()).add(finding.severity)
    return found


@pytest.mark.parametrize(
    ("kind", "weight"),
    [
        (NoteKind.DEAD, Weight.NOTE),
        (NoteKind.UNKNOWN, Weight.WARNING),
        (NoteKind.UNSAFE, Weight.WARNING),
        (NoteKind.DIFFERENT, Weight.NOTE),
        (NoteKind.ERROR, Weight.ERROR),
    ],
)
def test_each_kind_has_its_weight(kind: NoteKind, weight: Weight) -> None:
    assert weight_of(Note(1, "key", kind, "text")) is weight


def test_a_careful_configuration_has_no_warning() -> None:
    careful = configuration(
        block="cert_policy = ca, signature, ocsp_on, crl_auto;", mappers="pwent", blocks="mapper pwent { ignorecase = false; }"
    )
    assert {weight for found in weights(careful).values() for weight in found} <= {Weight.NOTE}


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("use_mappers = cn;", "use_mappers=cn;", "use_mappers"),
        ("cert_policy = ca", "slot_num = 0;\n    cert_policy = ca", "slot_num"),
        ("use_mappers = cn;", "nullok = on; use_mappers = cn;", "nullok"),
        ("use_mappers = cn;", "use_mappers = cn; mapper cn { mapfile = /etc/map; unlisted = same; }", "mapfile"),
    ],
)
def test_a_line_that_counts_here_and_not_there_is_a_warning(old: str, new: str, key: str) -> None:
    text = configuration()
    assert Weight.WARNING not in weights(text).get(key, set())
    assert Weight.WARNING in weights(text.replace(old, new))[key]


def test_a_missing_semicolon_is_a_note_because_both_read_the_line() -> None:
    assert weights(configuration().replace("ca,signature;", "ca,signature"))["cert_policy"] == {Weight.NOTE}


def test_findings_have_line_and_kind() -> None:
    found = {finding.where: finding for finding in findings_of(translate(with_mapper("cn"), "/x.conf").notes)}
    assert (found["mapfile"].line, found["mapfile"].kind) == (11, NoteKind.UNSAFE)
    (argument,) = findings_of([Note(0, "nullok", NoteKind.UNSAFE, "text")])
    assert argument.line is None


def test_the_line_of_a_value_is_its_own_or_that_of_its_block_and_never_a_guess() -> None:
    lines = translate(configuration(), "/x.conf").lines
    assert nearest_line_of(lines, ("trust", "anchors")) == 6
    assert nearest_line_of(lines, ("mapper", 0, "mapfile")) == 10
    assert nearest_line_of(lines, ("token", "run_as")) is None
    assert nearest_line_of(lines, ("trust", "intermediates")) is None


# ---------------------------------------------------------------- DISA's rules


@pytest.mark.parametrize("policy", STIG.values(), ids=STIG)
def test_the_fix_texts_meet_every_rule(policy: str) -> None:
    answers = stig_of_text(configuration(block=policy, mappers="pwent"), "/x.conf")
    assert [(answer.demand, answer.met, answer.line) for answer in answers] == [
        (Demand.PATH, True, 8), (Demand.STATUS, True, 8), (Demand.LOCAL, True, 8), (Demand.MAPPED, True, 10),
    ]  # fmt: skip


def test_a_module_that_is_not_used_is_judged_too_because_the_rules_grep() -> None:
    block = f"{STIG['offline']} }} pkcs11_module other {{ cert_policy = none;"
    answers = stig_of_text(configuration(block=block, mappers="pwent"), "/x.conf")
    assert {answer.demand for answer in answers if not answer.met} == {Demand.PATH, Demand.STATUS, Demand.LOCAL}


def test_a_file_without_the_words_meets_none() -> None:
    answers = stig_of_text("pam_pkcs11 { }\n", "/x.conf")
    assert not any(answer.met for answer in answers)
    assert {answer.line for answer in answers} == {None}
