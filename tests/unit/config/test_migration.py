# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pam_pkcs11.conf and the pam_sc.toml that is written from it are one configuration: both decide alike."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

import pytest
from hypothesis import event, given, settings

from pam_sc.config.in_words import in_words
from pam_sc.config.migration import migrated, to_look_at
from pam_sc.config.model import Configuration
from pam_sc.config.notes import Note, NoteKind
from pam_sc.config.pam_pkcs11 import Translation, translate
from pam_sc.config.schema import MismatchError
from pam_sc.config.toml import read_tree
from pam_sc.errors import ConfigError
from pam_sc.record import replace
from tests.support.peer_configurations import (
    MAPPER_BLOCKS,
    MODULE,
    STIG,
    configuration,
    debian_sample,
    generated,
    with_mapper,
)

SOURCE = "/etc/pam_pkcs11/pam_pkcs11.conf"


def refused(mismatch: MismatchError) -> str:
    return f"{mismatch.path}: {mismatch.found}"


def without_places(read: Configuration) -> Configuration:
    """What decides: without where it stands."""
    mappers = tuple(replace(mapper, where="") for mapper in read.mappers)
    authorities = tuple(replace(each, where="") for each in read.revocation.authorities)
    return replace(read, source="", notes=(), places={}, mappers=mappers,
                   revocation=replace(read.revocation, authorities=authorities))  # fmt: skip


def both(text: str, arguments: Sequence[str] = ()) -> tuple[Configuration, Configuration]:
    """The configuration of the old file, and that of the new one."""
    translation = translate(text, SOURCE, arguments, exists=lambda _path: True)
    assert translation.errors() == ()
    old = read_tree(SOURCE, translation.tree, refused).whole
    new = read_tree("/etc/pam_sc/pam_sc.toml", tomllib.loads(migrated(translation, SOURCE)), refused).whole
    return without_places(old), without_places(new)


def assert_alike(text: str, arguments: Sequence[str] = ()) -> Configuration:
    old, new = both(text, arguments)
    assert new == old
    assert new.policy() == old.policy()
    assert in_words(new) == in_words(old)
    return new


def test_debians_sample_and_what_is_written_from_it_decide_alike() -> None:
    sample = debian_sample()
    if sample is None:
        pytest.skip("libpam-pkcs11 is not installed, which brings the sample")
    read = assert_alike(sample)
    assert [mapper.name for mapper in read.mappers] == ["digest", "cn", "pwent", "uid", "mail", "subject"]


@pytest.mark.parametrize("policy", STIG.values(), ids=STIG)
@pytest.mark.parametrize("mappers", ["use_mappers = pwent;", "use_mappers=pwent;"])
def test_what_disa_demands_and_what_is_written_from_it_decide_alike(policy: str, mappers: str) -> None:
    text = configuration(block=policy).replace("use_mappers = cn;", mappers)
    read = assert_alike(text)
    assert [mapper.name for mapper in read.mappers] == ["pwent"]


@pytest.mark.parametrize("name", MAPPER_BLOCKS)
def test_each_mapper_block_and_what_is_written_from_it_decide_alike(name: str) -> None:
    assert len(assert_alike(with_mapper(name)).mappers) == 1


@pytest.mark.parametrize(
    "argument",
    ["nullok", "card_only", "wait_for_card", "dont_wait_for_card", "slot_num=2", "ca_dir=/other", "crl_dir=/other",
     "cert_policy=ca,crl_auto", "token_type=badge", "pkcs11_module=/other.so"],
)  # fmt: skip
def test_an_argument_of_the_pam_line_is_carried_over(argument: str) -> None:
    plain, given_here = assert_alike(configuration()), assert_alike(configuration(), [argument])
    assert (plain == given_here) is (argument in ("nullok", "wait_for_card", "dont_wait_for_card"))


@settings(max_examples=150, deadline=None)
@given(generated())
def test_whatever_the_keys_say_both_decide_alike(text: str) -> None:
    translation = translate(text, SOURCE, exists=lambda _path: True)
    event("errors" if translation.errors() else "none")
    if not translation.errors():
        try:
            read_tree(SOURCE, translation.tree, refused)
        except ConfigError:
            event("refused")
            return
        assert_alike(text)


# ---------------------------------------------------------------- what is said


def test_a_note_is_a_comment_at_the_value_that_comes_from_its_line() -> None:
    lines = migrated(translate(configuration(block="cert_policy = ca, no_signature, crl_auto;"), SOURCE), SOURCE).splitlines()
    at = lines.index('mode = "require"')
    assert lines[at - 1].startswith("# ")
    above = " ".join(line.removeprefix("# ") for line in lines[:at])
    assert 'line 8, cert_policy (unsafe): "no_signature" is not honoured' in above
    assert lines[0] == f"# From {SOURCE}, by pam-sc migrate. Lines are those of that file."


def test_what_is_dead_or_unknown_is_said_at_the_top_and_every_note_is_said_once() -> None:
    translation = translate(configuration(top="use_authok = true; nonsense = 1; nullok = true;"), SOURCE)
    text = migrated(translation, SOURCE)
    head = text[: text.index("[[token.module]]")]
    assert "line 2, use_authok (dead): " in head
    assert "line 2, nonsense (unknown): " in head
    unwrapped = text.replace("\n# ", " ")
    for note in translation.notes:
        assert unwrapped.count(f"{note.key} ({note.kind.value}): {note.text}") == 1


def test_what_a_note_advises_can_be_copied_into_the_new_file() -> None:
    found = migrated(translate(with_mapper("openssh"), SOURCE), SOURCE).replace("\n# ", " ")
    assert '(believed_for = ["sudo"] changes that)' in found
    assert "(scan_homes = true)" in found
    assert "sudo;" not in found


def test_a_note_about_the_pam_line_says_so() -> None:
    text = migrated(translate(configuration(), SOURCE, ["nullok"]), SOURCE)
    assert "# PAM line, nullok (unsafe): " in text


@pytest.mark.parametrize("hostile", ["a\nname = 'evil'", "\x1b[2J", '"""', "\u2028x"])
def test_a_note_cannot_become_anything_but_a_comment(hostile: str) -> None:
    tree = {"card": "optional"}
    translation = Translation(tree=tree, notes=(Note(1, hostile, NoteKind.DIFFERENT, hostile),), lines={("card",): 1})
    assert tomllib.loads(migrated(translation, hostile)) == tree


def test_a_password_of_the_old_file_is_not_in_the_new_one() -> None:
    text = with_mapper("ldap").replace("password_file", "passwd = hunter2; password_file")
    translation = translate(text, SOURCE)
    assert [note.key for note in translation.errors()] == ["passwd"]
    assert "hunter2" not in migrated(translation, SOURCE)
    assert "hunter2" not in str(translation)


def test_somebody_has_to_decide_about_what_is_unsafe_or_unknown_and_nothing_else() -> None:
    kinds = {kind: Note(1, "key", kind, "text") for kind in NoteKind}
    decide = {note.kind for note in to_look_at(tuple(kinds.values()))}
    assert decide == {NoteKind.UNKNOWN, NoteKind.UNSAFE, NoteKind.ERROR}


def test_the_module_of_the_sample_is_the_one_that_is_named() -> None:
    assert assert_alike(configuration()).token.modules[0].path == MODULE
