# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `openssh`: files of accounts, what it says of them, and how it looks for a card's owner."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from pam_sc.decision.identity import Subject, read_subject
from pam_sc.decision.reasons import Reason
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mappers.openssh import IGNORABLE, OpensshMapper
from pam_sc.services import CannotMap
from tests.support.pki import CertificateAuthority
from tests.unit.mappers.homes import WHERE, Answer, Homes, context

AUTHORITY = CertificateAuthority()
ISSUED, OTHER = AUTHORITY.issue(key="p256"), AUTHORITY.issue(key="p384")
SUBJECT = read_subject(ISSUED.der)
FILE = ".ssh/authorized_keys"


def key_text(issued: Any) -> str:
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    text: str = issued.certificate.public_key().public_bytes(*form).decode()
    return text


KEY, OTHER_KEY = key_text(ISSUED), key_text(OTHER)


def mapper(homes: Homes, people: Iterable[str] = (), **table: Any) -> OpensshMapper:
    return OpensshMapper.from_table(table, context(homes, people))


def alices(content: str) -> Homes:
    return Homes({"alice": content.encode()})


def scanning(answers: dict[str, Answer], people: Iterable[str], *, may_scan: bool = True) -> tuple[str, ...]:
    return mapper(Homes(answers, may_scan=may_scan), people, scan_homes=True).accounts(SUBJECT)


def test_it_sees_what_ssh_keygen_names(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(KEY)
    told = subprocess.run(["ssh-keygen", "-lf", tmp_path / "key.pub"], capture_output=True, text=True, check=True).stdout
    assert mapper(alices("")).sees(SUBJECT) == (f"ecdsa-sha2-nistp256 {told.split()[1]}",)


def test_the_home_is_asked_for_the_configured_path_and_services() -> None:
    homes = alices(KEY)
    assert mapper(homes, file="keys", believed_for=["sudo", "su"]).claims(SUBJECT, "alice")
    assert homes.asked == [("alice", "keys", frozenset({"sudo", "su"}))]


@pytest.mark.parametrize("account", ["", "..", ".", "a/b", "-alice", "ali\0ce"])
def test_what_can_be_no_account_is_never_asked_for(account: str) -> None:
    homes = alices(KEY)
    assert not mapper(homes).claims(SUBJECT, account)
    assert homes.asked == []


def test_a_certificate_that_cannot_be_read_claims_nobody() -> None:
    homes = alices(KEY)
    assert not mapper(homes).claims(Subject(der=b"nonsense"), "alice")
    assert mapper(homes).sees(Subject(der=b"nonsense")) == ()
    assert homes.asked == []


def test_a_file_that_is_not_believed_stays_an_error_with_its_reason() -> None:
    error = CannotMap(Reason.HOME_FILE_NOT_BELIEVED, "it could be anybody's")
    with pytest.raises(CannotMap) as caught:
        mapper(Homes({"alice": error})).claims(SUBJECT, "alice")
    assert caught.value.reason is Reason.HOME_FILE_NOT_BELIEVED
    assert mapper(Homes({"alice": error})).why(SUBJECT, "alice") == ("it could be anybody's",)


@pytest.mark.parametrize("option", sorted(IGNORABLE))
def test_each_option_that_can_be_ignored_keeps_the_key_out_unless_it_is(option: str) -> None:
    homes = alices(f'{option}="x" {KEY}')
    assert not mapper(homes).claims(SUBJECT, "alice")
    assert mapper(homes, ignore_options=[option]).claims(SUBJECT, "alice")


def test_an_option_that_lets_in_what_the_line_keeps_out_cannot_be_ignored() -> None:
    with pytest.raises(ConfigError) as caught:
        mapper(alices(""), ignore_options=["no-pty"])
    assert str(caught.value).startswith(f"{WHERE}: ignore_options names 'no-pty', which would let in what the line keeps")


# What explain says


def test_it_says_of_each_line_why_it_counts_or_not() -> None:
    text = f"{KEY}\n{OTHER_KEY}\nnonsense\nno-pty {KEY}\ncert-authority {KEY}\n"
    assert mapper(alices(text)).why(SUBJECT, "alice") == (
        "line 1 has the certificate's key",
        "line 3 counts for nothing: it has no type of key that is known",
        "line 4 has the certificate's key with the option no-pty: the key counts in no line",
        "line 5 has the certificate's key as that of an authority of ssh, which is no key to log in with",
    )


def test_it_says_that_no_line_has_the_key() -> None:
    assert mapper(alices(OTHER_KEY)).why(SUBJECT, "alice") == ("no line has the certificate's key",)


def test_it_says_that_there_is_no_file() -> None:
    assert mapper(alices(KEY)).why(SUBJECT, "bob") == (f"there is no file {FILE!r} of the account",)


def test_it_says_that_nothing_is_looked_at_without_an_account() -> None:
    assert mapper(alices(KEY)).why(SUBJECT, None) == ("without the name of an account no file is looked at (scan_homes)",)


def test_it_never_says_more_than_a_hundred_lines() -> None:
    said = mapper(alices("nonsense\n" * 1000)).why(SUBJECT, "alice")
    assert (len(said), said[-1]) == (101, "900 more lines")


# The administrator's files


def test_the_administrators_file_is_read_without_asking_a_home(tmp_path: Path) -> None:
    homes = Homes({"alice": OTHER_KEY.encode()})
    (tmp_path / "alice.keys").write_text(KEY)
    (tmp_path / "alice.keys").chmod(0o644)
    made = mapper(homes, file=f"{tmp_path}/%u.keys")
    assert made.claims(SUBJECT, "alice")
    assert not made.claims(SUBJECT, "bob")
    assert homes.asked == []


def test_the_administrators_file_that_others_can_write_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "alice").write_text(KEY)
    (tmp_path / "alice").chmod(0o666)
    with pytest.raises(MapperError, match="cannot trust"):
        mapper(alices(KEY), file=f"{tmp_path}/%u").claims(SUBJECT, "alice")


# Looking for the card's owner


def test_nobody_is_looked_for_where_the_request_names_an_account() -> None:
    homes = Homes({"alice": KEY.encode()}, may_scan=False)
    assert mapper(homes, ["alice"], scan_homes=True).accounts(SUBJECT) == ()
    assert homes.asked == []


def test_nobody_is_looked_for_unless_the_table_says_so() -> None:
    homes = Homes({"alice": KEY.encode()}, may_scan=True)
    assert mapper(homes, ["alice"]).accounts(SUBJECT) == ()
    assert homes.asked == []


def test_everybody_who_has_the_key_is_found_and_each_once() -> None:
    answers: dict[str, Answer] = {"bob": KEY.encode(), "carol": None, "alice": KEY.encode(), "dave": OTHER_KEY.encode()}
    assert scanning(answers, answers) == ("bob", "alice")


def test_a_file_that_is_not_believed_hides_nobody() -> None:
    error = CannotMap(Reason.HOME_FILE_NOT_BELIEVED, "it could be anybody's")
    assert scanning({"bob": error, "alice": KEY.encode()}, ["bob", "alice"]) == ("alice",)
    assert scanning({"bob": error}, ["bob", "alice"]) == ()


def test_a_failure_hides_nobody_but_is_not_nobody() -> None:
    error = MapperError("the home reader is lost")
    assert scanning({"bob": error, "alice": KEY.encode()}, ["bob", "alice"]) == ("alice",)
    with pytest.raises(MapperError, match="the home reader is lost"):
        scanning({"bob": error}, ["bob", "alice"])


@pytest.mark.parametrize("count", [500, 501])
def test_no_more_accounts_are_looked_at_than_the_limit(count: int) -> None:
    names = [f"user{number}" for number in range(count)]  # each is listed twice
    answers: dict[str, Answer] = {"user0": KEY.encode()}
    if count == 500:
        assert scanning(answers, names) == ("user0",)
        return
    with pytest.raises(MapperError, match="there are more than 1000 accounts"):
        scanning(answers, names)


class Hasty(OpensshMapper):
    """One whose time is over at once."""

    SCAN_S = -1.0


def test_looking_takes_no_longer_than_the_limit() -> None:
    homes = Homes({"alice": KEY.encode()}, may_scan=True)
    with pytest.raises(MapperError, match="it takes longer than"):
        Hasty.from_table({"scan_homes": True}, context(homes, ["alice"])).accounts(SUBJECT)
