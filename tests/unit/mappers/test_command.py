# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `command`: what it asks, which answers it takes, and which programs."""

from __future__ import annotations

import contextlib
import json
import os
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.decision.alternative_names import NameKind
from pam_sc.decision.evidence import MappingFailed
from pam_sc.decision.identity import read_subject
from pam_sc.decision.reasons import Reason
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mappers.command import CommandMapper
from pam_sc.mapping import LoadedMapper, MapperContext, map_certificate
from pam_sc.programs.order import read_order
from pam_sc.services import CannotMap, Services
from tests.support.pki import CertificateAuthority
from tests.support.subjects import subject_of

ISSUED = CertificateAuthority().issue(common_name="alice")


class Scripted:
    """A program runner that answers what the test says, and keeps what it was asked."""

    def __init__(self, answer: str | MapperError) -> None:
        self.answer = answer
        self.asked: list[tuple[tuple[str, ...], str, float]] = []

    def ask(self, argv: tuple[str, ...], line: str, timeout_s: float) -> str:
        self.asked.append((argv, line, timeout_s))
        if isinstance(self.answer, MapperError):
            raise self.answer
        return self.answer


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "program"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def context(programs: Scripted | None = None) -> MapperContext:
    services = Services() if programs is None else Services(programs=programs)
    return MapperContext("conf:1", frozenset({0, os.getuid()}), services)


def answering(program: str, answer: str | MapperError, **table: Any) -> tuple[CommandMapper, Scripted]:
    programs = Scripted(answer)
    return CommandMapper.from_table({"program": [program, "-x"], **table}, context(programs)), programs


# ---------------------------------------------------------------- questions


def test_a_question_is_one_line_with_the_certificate(program: str) -> None:
    mapper, programs = answering(program, '{"accounts": []}')
    subject = read_subject(ISSUED.der)
    mapper.accounts(subject)
    ((argv, line, timeout_s),) = programs.asked
    asked = json.loads(line)
    assert (argv, timeout_s) == ((program, "-x"), 3.0)
    assert "\n" not in line and line.isascii()
    assert (asked["version"], asked["question"], "account" in asked) == (1, "accounts", False)
    assert b64decode(asked["certificate"].pop("der")) == ISSUED.der
    assert subject.facts is not None
    assert asked["certificate"] == {
        "subject": subject.subject.rfc4514, "issuer": subject.issuer.rfc4514, "common_names": ["alice"],
        "serial": f"{subject.facts.serial_number:x}", "sha256": subject.facts.sha256.hex(), "sans": [],
    }  # fmt: skip


def test_a_question_about_an_account_names_it(program: str) -> None:
    mapper, programs = answering(program, '{"claims": true}', timeout=7)
    assert mapper.claims(subject_of("alice", names=[(NameKind.MAIL, "a@example.test")]), "j\u00f6rg\n")
    ((_argv, line, timeout_s),) = programs.asked
    asked = json.loads(line)
    assert (asked["question"], asked["account"], timeout_s) == ("claims", "j\u00f6rg\n", 7.0)
    assert asked["certificate"]["sans"] == [{"kind": "rfc822Name", "value": "a@example.test"}]
    assert "\n" not in line and line.isascii()


# ---------------------------------------------------------------- answers


def test_accounts_are_what_the_program_lists(program: str) -> None:
    for answer, accounts in (('{"accounts": ["bob", "alice", "bob"]}', ("bob", "alice")), (' {"accounts":[]} ', ())):
        assert answering(program, answer)[0].accounts(subject_of("alice")) == accounts


def test_an_account_is_claimed_where_the_program_says_so(program: str) -> None:
    assert answering(program, '{"claims": true}')[0].claims(subject_of(), "alice") is True
    assert answering(program, '{"claims": false}')[0].claims(subject_of(), "alice") is False


UNUSABLE = [
    "", "null", "true", "[]", '"alice"', "alice", "{", "{}", '{"accounts": ["alice"]', '{"accounts": ["alice"]} x',
    '{"accounts": ["alice"]}{"accounts": []}', '{"accounts": [], "accounts": ["root"]}', '{"claims": false, "claims": true}',
    '{"accounts": ["alice"], "claims": true}', '{"Accounts": ["alice"]}', '{"accounts": ["alice"], "x": 1}',
    '{"accounts": "alice"}', '{"accounts": null}', '{"accounts": [7]}', '{"accounts": [["alice"]]}', '{"accounts": [""]}',
    '{"accounts": ["ro\\u0000ot"]}', '{"accounts": ["root\\n"]}', '{"accounts": ["a/b"]}', '{"accounts": ["-x"]}',
    '{"accounts": ["roo\\u200bt"]}', '{"accounts": ["\\ud800"]}', '{"accounts": [NaN]}', '{"accounts": NaN}',
    '{"claims": 1}', '{"claims": "true"}', '{"claims": null}', '{"claims": [true]}',
    json.dumps({"accounts": ["alice", "x" * 257]}), json.dumps({"accounts": [f"a{n}" for n in range(65)]}),
    "[" * 100_000, '{"accounts": ' + "9" * 5000 + "}",
]  # fmt: skip


@pytest.mark.parametrize("answer", UNUSABLE, ids=lambda answer: answer[:50])
def test_any_other_answer_is_unusable_and_not_no(program: str, answer: str) -> None:
    mapper, _programs = answering(program, answer)
    for ask in (lambda: mapper.accounts(subject_of("alice")), lambda: mapper.claims(subject_of("alice"), "alice")):
        with pytest.raises(CannotMap, match="the answer is unusable") as caught:
            ask()
        assert caught.value.reason is Reason.PROGRAM_ANSWER_UNUSABLE
        assert "root" not in str(caught.value).partition("the answer")[2]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["accounts", "claims"]) | st.text(), inner),
)


@settings(deadline=None, max_examples=300)
@given(answer=ANYTHING.map(json.dumps) | st.text())
def test_whatever_a_program_writes_is_an_answer_or_its_reason(answer: str) -> None:
    mapper = CommandMapper(read_order({"program": ["/x"]}, "here"), Scripted(answer))
    for ask in (lambda: mapper.accounts(subject_of("alice")), lambda: mapper.claims(subject_of("alice"), "alice")):
        with contextlib.suppress(CannotMap):
            assert isinstance(ask(), bool | tuple)


def test_the_answer_to_another_question_is_unusable(program: str) -> None:
    with pytest.raises(CannotMap, match="'claims'"):
        answering(program, '{"accounts": ["alice"]}')[0].claims(subject_of("alice"), "alice")
    with pytest.raises(CannotMap, match="'accounts'"):
        answering(program, '{"claims": true}')[0].accounts(subject_of("alice"))


def test_the_reason_of_a_program_that_fails_is_the_reason_of_the_refusal(program: str) -> None:
    mapper, _programs = answering(program, CannotMap(Reason.PROGRAM_TIMEOUT, "too slow"))
    found = map_certificate((LoadedMapper("command", mapper),), subject_of("alice"), "alice")
    assert found == MappingFailed("command: too slow", Reason.PROGRAM_TIMEOUT)


# ---------------------------------------------------------------- the table


@pytest.mark.parametrize(("table", "message"), [
    ({}, "conf:1: program is None, expected a list of strings"),
    ({"program": "/bin/true"}, "conf:1: program is '/bin/true', expected a list"),
    ({"program": []}, r"conf:1: program is \[\]"),
    ({"program": ["/bin/true", 1]}, "expected a list of strings"),
    ({"program": ["true"]}, "conf:1: program is 'true', expected an absolute path"),
    ({"program": ["/bin/true", "a\0b"]}, "one with NUL"),
    ({"program": ["/bin/true", *["x"] * 64]}, "too many or too long"),
    ({"program": ["/bin/true", "x" * 8192]}, "too many or too long"),
    ({"program": ["/bin/true"], "timeout": 0}, "conf:1: timeout is 0, expected whole seconds from 1 to 10"),
    ({"program": ["/bin/true"], "timeout": 11}, "conf:1: timeout is 11"),
    ({"program": ["/bin/true"], "timeout": 1.5}, "conf:1: timeout is 1.5"),
    ({"program": ["/bin/true"], "timeout": True}, "conf:1: timeout is True"),
    ({"program": ["/bin/true"], "run_as": "root"}, "conf:1: run_as is 'root'"),
    ({"program": ["/bin/true"], "run_as": ""}, "conf:1: run_as is ''"),
    ({"program": ["/bin/true"], "shell": True}, "conf:1: unknown key 'shell'"),
    ({"program": ["/nonexistent/program"]}, "cannot use the program '/nonexistent/program'"),
    ({"program": ["/etc/passwd"]}, "cannot use the program '/etc/passwd': it is no executable file"),
    ({"program": ["/usr/bin"]}, "cannot use the program '/usr/bin': it is no executable file"),
])
def test_a_wrong_table_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CommandMapper.from_table(table, context())


def test_a_program_that_others_can_change_is_refused(program: str) -> None:
    os.chmod(program, 0o775)
    with pytest.raises(ConfigError, match="cannot use the program"):
        CommandMapper.from_table({"program": [program]}, context())


def test_a_program_below_a_folder_that_others_can_change_is_refused(program: str) -> None:
    CommandMapper.from_table({"program": [program]}, context())
    os.chmod(os.path.dirname(program), 0o777)
    with pytest.raises(ConfigError, match="cannot use the program"):
        CommandMapper.from_table({"program": [program]}, context())


def test_a_program_of_another_owner_is_refused(program: str) -> None:
    stranger = MapperContext("conf:1", frozenset({os.getuid() + 1}))
    with pytest.raises(ConfigError, match="cannot use the program"):
        CommandMapper.from_table({"program": [program]}, stranger)


def test_a_program_is_not_run_when_the_configuration_is_only_checked(program: str) -> None:
    mapper = CommandMapper.from_table({"program": [program]}, context())
    with pytest.raises(MapperError, match="nobody here to ask"):
        mapper.accounts(subject_of("alice"))
