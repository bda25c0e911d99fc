# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is out there: the sample configuration of Debian's libpam-pkcs11, and the settings that DISA's STIGs ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from pam_sc.config import pam_pkcs11, pam_pkcs11_module
from pam_sc.config.notes import Note
from pam_sc.config.pam_pkcs11 import Translation
from pam_sc.config.pam_pkcs11_arguments import LINES
from pam_sc.config.scconf import Block, parse_scconf
from tests.unit.config.peer_files import DEAD, DIFFERENT, SILENT, UNKNOWN, UNSAFE, peer, said, tables, translated

SAMPLE = Path("/usr/share/doc/libpam-pkcs11/examples/pam_pkcs11.conf.example")
"""As the package installs it, which requirements/apt.txt names: nothing of it is copied here."""


DOCUMENT = Path(__file__).parents[3] / "docs/pam_pkcs11.md"


@pytest.fixture(scope="module")
def text() -> str:
    return SAMPLE.read_text()


@pytest.fixture(scope="module")
def sample(text: str) -> Translation:
    return translated(text)


def test_the_sample_has_no_error_and_nothing_unknown(sample: Translation) -> None:
    assert sample.errors() == ()
    assert said(sample, UNKNOWN) == []


def test_the_sample_becomes_a_tree(sample: Translation) -> None:
    assert sample.tree == {
        "token": {"module": [{"path": "/usr/lib/opensc-pkcs11.so"}]},
        "trust": {"anchors": "/etc/pam_pkcs11/cacerts"},
        "revocation": {"crls": "/etc/pam_pkcs11/crls", "mode": "prefer"},
        "prompt": {"token_type": "Smart card"},
        "texts": SILENT,
        "mapper": [
            {"name": "digest", "mapfile": "/etc/pam_pkcs11/digest_mapping", "algorithm": "sha1"},
            {"name": "cn", "ignore_case": True},
            {"name": "pwent", "ignore_case": False},
            {"name": "uid", "ignore_case": False},
            {"name": "mail", "mapfile": "/etc/pam_pkcs11/mail_mapping", "ignore_case": True},
            {"name": "subject", "mapfile": "/etc/pam_pkcs11/subject_mapping", "ignore_case": False},
        ],
    }


def test_what_is_unsafe_in_the_sample_is_said(sample: Translation, text: str) -> None:
    lines = text.splitlines()
    found = [(note.key, lines[note.line - 1].split(" =")[0].strip()) for note in sample.notes if note.kind is UNSAFE]
    assert found == [("nullok", "nullok"), ("mapfile", "mapfile")]


def test_each_note_about_the_sample_stands_on_a_line_with_its_key(sample: Translation, text: str) -> None:
    lines = text.splitlines()
    assert [note for note in sample.notes if note.key.split(" ")[-1] not in lines[note.line - 1]] == []


def test_every_line_of_the_sample_is_taken_or_explained(sample: Translation, text: str) -> None:
    """A line is taken if the tree says that a value came from it, or it says what holds anyway."""
    root = parse_scconf(text, "FILE").root.blocks[0]
    explained = {line for note in sample.notes for line in lines_of(note, root)} | set(sample.lines.values())
    left = [(item.key, item.values) for block in (root, *root.blocks) for item in block.items if item.line not in explained]
    assert left == [
        ("use_first_pass", ("false",)), ("try_first_pass", ("false",)),
        ("wait_for_card", ("false",)), ("use_pkcs11_module", ("opensc",)),
        ("use_mappers", ("digest", "cn", "pwent", "uid", "mail", "subject", "null")),
        ("default_match", ("false",)), ("default_user", ("nobody",)), ("mapfile", ("none",)), ("mapfile", ("none",)),
    ]  # fmt: skip


def lines_of(note: Note, root: Block) -> range:
    """The lines that a note is about: those of a block that is not in use, else its own."""
    block = next((one for one in root.blocks if one.line == note.line and note.kind is DEAD), None)
    return range(note.line, (block.end_line if block else note.line) + 1)


# ---------------------------------------------------------------- docs/pam_pkcs11.md


def test_the_documented_example_is_read_with_nothing_unsafe_or_unknown() -> None:
    example = DOCUMENT.read_text().partition("```scconf\n")[2].partition("```")[0]
    translation = translated(example)
    assert [table["name"] for table in tables(translation)] == ["pwent", "cn"]
    assert translation.errors() == ()
    assert [(kind, text[:18]) for _line, _key, kind, text in said(translation)] == [(DIFFERENT, "a full name (GECOS")]


def test_the_document_names_every_key_of_ours_that_may_stand_in_the_file() -> None:
    text = DOCUMENT.read_text()
    assert [key for key in (*pam_pkcs11.OUR_KEYS, *pam_pkcs11_module.OUR_KEYS) if f"`{key}" not in text] == []


def test_the_document_names_every_argument() -> None:
    assert [name for name in LINES if f"`{name}" not in DOCUMENT.read_text()] == []


# ---------------------------------------------------------------- STIG


@pytest.mark.parametrize("policy", ["ca,signature,ocsp_on,crl_auto", "ca, signature, ocsp_on, crl_auto"])
def test_what_stigs_ask_of_cert_policy_means_what_they_want_by_it(policy: str) -> None:
    translation = translated(peer(policy=policy, mappers="use_mappers=pwent;"))
    assert translation.errors() == ()
    assert translation.tree["revocation"] == {
        "crls": "/etc/pam_pkcs11/crls", "mode": "require", "ocsp": "on", "order": ["ocsp", "crl"], "fetch": "login",
    }  # fmt: skip
    assert tables(translation) == [{"name": "pwent"}]
    assert said(translation, UNSAFE) == []
    (note,) = (note for note in translation.notes if note.key == "cert_policy")
    assert note.kind is DIFFERENT
    assert note.text == (
        "crl_auto, ocsp_on: the status of every certificate on the path must be known, not of the card's alone; a login"
        " fetches what the store lacks; pam_pkcs11 with OpenSSL asks no OCSP responder"
    )


def test_a_cert_policy_without_ocsp_differs_in_the_responder_alone() -> None:
    tree = translated(peer(policy="ca,signature,crl_auto", mappers="use_mappers=pwent;")).tree
    assert tree["revocation"] == {
        "crls": "/etc/pam_pkcs11/crls", "mode": "require", "ocsp": "off", "order": ["crl"], "fetch": "login",
    }  # fmt: skip
