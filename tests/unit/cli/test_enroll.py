# SPDX-License-Identifier: LGPL-2.1-or-later
"""enroll and unenroll with a card that is not there and a mapfile that is: what is written, and what is refused and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pam_sc.cli.inspection import Inspection
from pam_sc.cli.main import run
from pam_sc.config.model import Configuration, MapperSettings
from pam_sc.decision.card_report import CertificateRef, CertificateReport
from pam_sc.decision.evidence import CertificateEvidence
from pam_sc.decision.policy import Policy, TokenSelector
from pam_sc.decision.request import Account, AccountLookup, LookupFailed, NoSuchAccount
from pam_sc.record import replace
from tests.support.pki import DAY, CertificateAuthority, now
from tests.unit.cli.cards import AT, CONFIGURATION, TOKEN, YEAR, FakeMachine, known, rehearsal, request, token
from tests.unit.cli.cards import evidence as evidence_of

PEOPLE: dict[str, AccountLookup] = {
    "alice": Account("alice", 1000), "bob": Account("bob", 1001), "root": Account("root", 0),
    "broken": LookupFailed("the name service gave an error"), "Alias": Account("alias", 1002),
}  # fmt: skip
BEFORE = "# people\nCarol Example -> carol\n"


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@dataclass
class Desk(FakeMachine):
    """A card with certificates of these common names; the file is real."""

    configuration: Configuration = CONFIGURATION
    certificates: dict[CertificateRef, CertificateEvidence] = field(default_factory=dict)
    given: bytes | None = None

    def load_configuration(self, path: str | None, service: str | None = None) -> Configuration:
        return self.configuration

    def inspect(self, configuration: Configuration, certificate: bytes | None = None) -> Inspection:
        assert configuration is self.configuration
        self.asked.append(("inspect", certificate is not None))
        found = replace(evidence_of(request(None), self.the_token), certificates=self.certificates)
        return Inspection(rehearsal=rehearsal(found), policy=self.policy, sees={}, unusable={}, accounts={})

    def look_up(self, account: str) -> AccountLookup:
        return PEOPLE.get(account, NoSuchAccount())


MakeDesk = Callable[..., Desk]


@pytest.fixture
def mapfile(tmp_path: Path) -> Path:
    path = tmp_path / "cn_map"
    path.write_text(BEFORE)
    path.chmod(0o644)
    return path


@pytest.fixture
def desk(mapfile: Path, authority: CertificateAuthority) -> MakeDesk:
    def make(*names: str | list[str] | None, table: dict[str, Any] | None = None, **changes: object) -> Desk:
        issued = [authority.issue(common_name=name, key="p256") for name in names or ("Alice Example",)]
        refs = [CertificateRef(TOKEN, index) for index in range(len(issued))]
        reports = tuple(CertificateReport(ref=ref, der=each.der, object_id=bytes([0x0A, ref.index]), label=f"card {ref.index}")
                        for ref, each in zip(refs, issued, strict=True))  # fmt: skip
        settings = MapperSettings(name="cn", table={"mapfile": str(mapfile), **(table or {})}, where="mapper[0]")
        made = Desk(
            the_token=token(certificates=reports),
            configuration=replace(CONFIGURATION, mappers=(settings,)),
            certificates={ref: known(ref.index, f"CN={name}") for ref, name in zip(refs, names or ("Alice",), strict=True)},
        )
        for name, value in changes.items():
            setattr(made, name, value)
        return made

    return make


def said(capsys: pytest.CaptureFixture[str], machine: Desk, *arguments: str) -> tuple[int, str, str]:
    code = run(arguments, machine)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


Capture = pytest.CaptureFixture[str]


# ---------------------------------------------------------------- enroll


def test_the_certificate_on_the_card_is_added_for_the_account(capsys: Capture, desk: MakeDesk, mapfile: Path) -> None:
    code, out, err = said(capsys, desk(), "enroll", "alice")
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == [f"enrolled alice in {mapfile}:", "  Alice Example -> alice"]
    assert mapfile.read_text() == BEFORE + "Alice Example -> alice\n"


def test_a_mapfile_that_is_not_there_is_not_made_and_how_to_make_it_is_said(
    capsys: Capture, desk: MakeDesk, mapfile: Path
) -> None:
    mapfile.unlink()
    code, out, err = said(capsys, desk(), "enroll", "alice")
    assert (code, out) == (2, "")
    assert err.endswith("No such file or directory; an empty one is a beginning (touch)\n")
    assert not mapfile.exists()


def test_a_mapfile_that_others_can_write_is_not_advised_to_be_made(
    capsys: Capture, desk: MakeDesk, mapfile: Path
) -> None:
    mapfile.chmod(0o666)
    code, _out, err = said(capsys, desk(), "enroll", "alice")
    assert code == 2
    assert "touch" not in err


def test_a_dry_run_says_the_line_and_writes_nothing(capsys: Capture, desk: MakeDesk, mapfile: Path) -> None:
    code = run(["enroll", "alice", "--dry-run", "--json"], desk())
    found = json.loads(capsys.readouterr().out)
    assert (code, found["done"], found["lines"]) == (0, True, ["Alice Example -> alice"])
    assert found["text"] == "would enroll alice"
    assert mapfile.read_text() == BEFORE
    assert [each.name for each in mapfile.parent.iterdir()] == ["cn_map"]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("Alice Example -> alice\n", "already enrolled"),
        ("^Alice .*$ -> alice\n", "already enrolled"),
        ("Alice Example -> bob\n", "maps this certificate to another account, 'bob'; pam-sc unenroll bob first"),
        ("^A.*$ -> bob\n", "maps this certificate to another account, 'bob'"),
    ],
)
def test_a_duplicate_and_a_conflict_are_refused(
    capsys: Capture, desk: MakeDesk, mapfile: Path, lines: str, why: str
) -> None:
    mapfile.write_text(lines)
    code, out, err = said(capsys, desk(), "enroll", "alice")
    assert (code, out) == (1, "")
    assert why in err
    assert err.count("\n") == 1
    assert mapfile.read_text() == lines


def test_a_malformed_line_about_the_value_is_an_error_with_its_number(
    capsys: Capture, desk: MakeDesk, mapfile: Path
) -> None:
    mapfile.write_text(BEFORE + "Alice Example -> a/b\n")
    code, _out, err = said(capsys, desk(), "enroll", "alice")
    assert code == 2
    assert f"{mapfile}:3: the account 'a/b' holds a slash" in err


@pytest.mark.parametrize(
    ("account", "why"),
    [
        ("nobody", "there is no account 'nobody'"),
        ("root", "root-not-allowed"),
        ("broken", "account-lookup-failed"),
        ("Alias", "account-unknown"),
    ],
)
def test_an_account_that_no_card_can_be_for_is_refused(
    capsys: Capture, desk: MakeDesk, mapfile: Path, account: str, why: str
) -> None:
    machine = desk()
    code, _out, err = said(capsys, machine, "enroll", account)
    assert code == 1
    assert why in err
    assert machine.asked == [], "the card is not even read"
    assert mapfile.read_text() == BEFORE


def test_root_is_enrolled_where_the_configuration_lets_cards_be_root(
    capsys: Capture, desk: MakeDesk, mapfile: Path
) -> None:
    machine = desk()
    account = replace(machine.configuration.account, allow_root=True)
    machine.configuration = replace(machine.configuration, account=account)
    assert said(capsys, machine, "enroll", "root")[0] == 0
    assert mapfile.read_text().endswith("Alice Example -> root\n")


@pytest.mark.parametrize("value", ["Alice -> root", "#alice", "^alice$", " alice", "alice "])
def test_a_value_that_the_mapfile_cannot_hold_is_refused(
    capsys: Capture, desk: MakeDesk, mapfile: Path, value: str
) -> None:
    code, _out, err = said(capsys, desk(value), "enroll", "alice")
    assert code == 1
    assert "the mapfile cannot hold it: the value" in err
    assert mapfile.read_text() == BEFORE


def test_a_certificate_in_which_the_mapper_sees_nothing_is_refused(capsys: Capture, desk: MakeDesk) -> None:
    code, _out, err = said(capsys, desk("ali\0ce"), "enroll", "alice")
    assert code == 1
    assert "the mapper 'cn' sees no usable value in the certificate" in err


def test_a_second_value_that_maps_to_somebody_else_is_a_conflict(capsys: Capture, desk: MakeDesk, mapfile: Path) -> None:
    mapfile.write_text("Second -> bob\n")
    code, _out, err = said(capsys, desk(["First", "Second"]), "enroll", "alice")
    assert code == 1
    assert "another account, 'bob'" in err


def test_a_value_that_is_itself_another_account_is_found_by_asking_the_mapper(
    capsys: Capture, desk: MakeDesk, mapfile: Path
) -> None:
    machine = desk(["First", "bob"], table={"unlisted": "same"})
    code, _out, err = said(capsys, machine, "enroll", "alice")
    assert code == 1
    assert "would map the certificate to 'bob' as well" in err
    assert mapfile.read_text() == BEFORE
    assert said(capsys, desk(["First", "stranger"], table={"unlisted": "same"}), "enroll", "alice")[0] == 0


def test_the_case_counts_as_it_does_for_the_mapper(capsys: Capture, desk: MakeDesk, mapfile: Path) -> None:
    mapfile.write_text("ALICE EXAMPLE -> alice\n")
    assert "already enrolled" in said(capsys, desk(table={"ignore_case": True}), "enroll", "alice")[2]
    assert said(capsys, desk(), "enroll", "alice")[0] == 0


# ---------------------------------------------------------------- which certificate


def test_of_several_certificates_one_must_be_chosen(capsys: Capture, desk: MakeDesk, mapfile: Path) -> None:
    code, out, err = said(capsys, desk("Alice Example", "Alice Other"), "enroll", "alice")
    assert code == 1
    assert err == "pam-sc: 2 certificates could be enrolled; choose one by --position, --id or --label\n"
    assert out.splitlines() == [
        "certificate 1: CN=Alice Example (id 0a00, label 'card 0')",
        "certificate 2: CN=Alice Other (id 0a01, label 'card 1')",
    ]
    assert mapfile.read_text() == BEFORE


@pytest.mark.parametrize("choice", [("--position", "2"), ("--id", "0A:01"), ("--label", "card 1")])
def test_a_certificate_is_chosen_by_place_id_or_label(
    capsys: Capture, desk: MakeDesk, mapfile: Path, choice: tuple[str, str]
) -> None:
    assert said(capsys, desk("Alice Example", "Alice Other"), "enroll", "alice", *choice)[0] == 0
    assert mapfile.read_text() == BEFORE + "Alice Other -> alice\n"


@pytest.mark.parametrize("choice", [("--position", "3"), ("--id", "0b"), ("--label", "card")])
def test_a_choice_that_is_no_certificate_shows_those_that_are_there(
    capsys: Capture, desk: MakeDesk, choice: tuple[str, str]
) -> None:
    code, out, err = said(capsys, desk(), "enroll", "alice", *choice)
    assert (code, err) == (1, "pam-sc: no certificate is the one that is asked for\n")
    assert out.startswith("certificate 1: ")


def test_certificates_that_no_login_trusts_do_not_count_and_it_says_why(
    capsys: Capture, desk: MakeDesk, mapfile: Path
) -> None:
    machine = desk("Alice Example", "Alice Old")
    old = CertificateRef(TOKEN, 1)
    machine.certificates[old] = known(1, "CN=Alice Old", not_after=AT - YEAR)
    code, out, _err = said(capsys, machine, "enroll", "alice")
    assert code == 0
    assert "certificate 2: CN=Alice Old (id 0a01, label 'card 1') does not count: certificate-expired: " in out
    assert mapfile.read_text() == BEFORE + "Alice Example -> alice\n"
    machine.certificates[CertificateRef(TOKEN, 0)] = known(0, "CN=Alice", not_after=AT - YEAR)
    code, out, err = said(capsys, machine, "enroll", "bob")
    assert (code, err) == (1, "pam-sc: no certificate can be enrolled\n")
    assert out.count("certificate-expired") == 2


def test_a_certificate_that_was_not_judged_to_the_end_does_not_count(capsys: Capture, desk: MakeDesk) -> None:
    machine = desk()
    ref = CertificateRef(TOKEN, 0)
    machine.certificates[ref] = replace(machine.certificates[ref], revocation=None)
    code, out, _err = said(capsys, machine, "enroll", "alice")
    assert code == 1
    assert "it was not judged to the end" in out


def test_a_token_that_is_not_selected_does_not_count(capsys: Capture, desk: MakeDesk) -> None:
    machine = desk(policy=Policy(select=TokenSelector(text="pkcs11:token=other", token="other")))
    code, _out, err = said(capsys, machine, "enroll", "alice")
    assert code == 1
    assert err.startswith("pam-sc: token-not-selected: ")


def test_a_certificate_in_a_file_takes_the_place_of_the_card(
    capsys: Capture, desk: MakeDesk, authority: CertificateAuthority, tmp_path: Path
) -> None:
    (tmp_path / "cert.pem").write_bytes(authority.issue(key="p256", not_after=now() + DAY).pem)
    machine = desk()
    assert said(capsys, machine, "enroll", "alice", "--certificate", str(tmp_path / "cert.pem"))[0] == 0
    assert machine.asked == [("inspect", True)]
    code, _out, err = said(capsys, desk(), "enroll", "alice", "--certificate", str(tmp_path / "none.pem"))
    assert code == 2
    assert "No such file" in err
    assert err.count("\n") == 1


# ---------------------------------------------------------------- which mapper


@pytest.mark.parametrize(
    ("named", "code", "said_so"),
    [
        ((), 0, ""),
        (("--mapper", "mail"), 0, ""),
        (("--mapper", "3"), 0, ""),
        (("--mapper", "1"), 0, ""),
        (("--mapper", "uid"), 2, "the mapper 'uid' has no mapfile"),
        (("--mapper", "0"), 2, "the mapper '0' has no mapfile"),
        (("--mapper", "krb"), 2, "the mapper 'krb' is not configured"),
        (("--mapper", "9"), 2, "the mapper '9' is not configured"),
        (("--mapper", "cn"), 2, "2 mappers 'cn' have a mapfile; name one by its index"),
    ],
)
def test_the_mapper_is_the_first_with_a_mapfile_or_the_one_that_is_named(
    desk: MakeDesk, named: tuple[str, ...], code: int, said_so: str
) -> None:
    from pam_sc.cli.enrolment import find_mapper
    from pam_sc.errors import ConfigError

    tables: list[tuple[str, dict[str, Any]]] = [
        ("uid", {}), ("cn", {"mapfile": "/1"}), ("cn", {"mapfile": "/2"}), ("mail", {"mapfile": "/3"}),
    ]  # fmt: skip
    mappers = tuple(MapperSettings(name=name, table=table, where="") for name, table in tables)
    configuration = replace(CONFIGURATION, mappers=mappers)
    if code:
        with pytest.raises(ConfigError, match=said_so.replace("(", r"\(")):
            find_mapper(configuration, named[1])
        return
    found = find_mapper(configuration, named[1] if named else None)
    assert found.table["mapfile"] == {(): "/1", "mail": "/3", "3": "/3", "1": "/1"}[named[1] if named else ()]


def test_without_any_mapfile_there_is_nothing_to_change(capsys: Capture, desk: MakeDesk) -> None:
    code, _out, err = said(capsys, desk(configuration=CONFIGURATION), "enroll", "alice")
    assert (code, err) == (2, "pam-sc: /etc/pam_sc/pam_sc.toml: no mapper has a mapfile that could be changed;"
                              " set its mapfile first\n")  # fmt: skip


# ---------------------------------------------------------------- unenroll


CROWD = "# x\nAlice Example -> bob\nAlice Example -> alice\r\nAlice E2 -> alice\n^Alice .*$ -> alice\nBad alice\nX -> alicea\n"


def test_the_lines_of_the_certificate_are_removed_and_patterns_are_named(
    capsys: Capture, desk: MakeDesk, mapfile: Path
) -> None:
    mapfile.write_bytes(CROWD.encode())
    code, out, err = said(capsys, desk(), "unenroll", "alice")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"removed 1 of alice's lines in {mapfile}:",
        "  Alice Example -> alice",
        "the pattern ^Alice .*$ still maps to alice",
        "Alice Example now maps to bob, by a line that did not count before",
    ]
    assert mapfile.read_bytes() == CROWD.replace("Alice Example -> alice\r\n", "").encode()


def test_all_lines_of_the_account_are_removed_without_a_card(capsys: Capture, desk: MakeDesk, mapfile: Path) -> None:
    mapfile.write_bytes(CROWD.encode())
    machine = desk()
    code, out, _err = said(capsys, machine, "unenroll", "alice", "--all")
    assert code == 0
    assert machine.asked == []
    assert "removed 2 of alice's lines" in out
    assert mapfile.read_bytes() == b"# x\nAlice Example -> bob\n^Alice .*$ -> alice\nBad alice\nX -> alicea\n"


def test_a_certificate_that_is_expired_can_be_taken_out(capsys: Capture, desk: MakeDesk, mapfile: Path) -> None:
    mapfile.write_text("Alice Example -> gone\n")
    machine = desk()
    machine.certificates[CertificateRef(TOKEN, 0)] = known(0, "CN=Alice", not_after=AT - YEAR)
    assert said(capsys, machine, "unenroll", "gone")[0] == 0
    assert mapfile.read_text() == ""


@pytest.mark.parametrize("arguments", [("alice",), ("bob", "--all"), ("carol",)])
def test_what_is_not_enrolled_is_not_removed(
    capsys: Capture, desk: MakeDesk, mapfile: Path, arguments: tuple[str, ...]
) -> None:
    code, _out, err = said(capsys, desk(), "unenroll", *arguments)
    assert code == 1
    assert err.startswith(f"pam-sc: not enrolled: no line of {mapfile} maps ")
    assert mapfile.read_text() == BEFORE


def test_a_dry_run_of_unenroll_writes_nothing(capsys: Capture, desk: MakeDesk, mapfile: Path) -> None:
    code, out, _err = said(capsys, desk(), "unenroll", "carol", "--all", "--dry-run")
    assert (code, out.splitlines()[0]) == (0, f"would remove 1 of carol's lines in {mapfile}:")
    assert mapfile.read_text() == BEFORE


def test_all_and_a_certificate_contradict_each_other(capsys: Capture, desk: MakeDesk) -> None:
    code, _out, err = said(capsys, desk(), "unenroll", "alice", "--all", "--position", "1")
    assert code == 2
    assert "--all is about every certificate" in err


def test_what_was_enrolled_and_taken_out_again_leaves_the_file_as_it_was(
    capsys: Capture, desk: MakeDesk, mapfile: Path
) -> None:
    assert said(capsys, desk(), "enroll", "alice")[0] == 0
    assert said(capsys, desk(), "unenroll", "alice")[0] == 0
    assert mapfile.read_text() == BEFORE
