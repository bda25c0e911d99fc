# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/migrating.md names every key, word and rule that the translators and the STIG view know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pam_sc.config import eventmgr, sssd, sssd_verification
from pam_sc.config.pam_pkcs11 import translate
from pam_sc.config.stig import RULES
from tests.support.peer_configurations import configuration
from tests.support.peer_keys import known_arguments, known_keys

PAGE = (Path(__file__).resolve().parents[3] / "docs/migrating.md").read_text()
NAMED = {word for code in re.findall(r"`([^`\n]+)`", PAGE) for word in re.findall(r"[a-z][a-z0-9_]+", code)}


@pytest.mark.parametrize("key", sorted(known_keys()))
def test_a_key_that_the_translator_knows_is_on_the_page(key: str) -> None:
    assert key in NAMED


@pytest.mark.parametrize("word", sorted(known_arguments()))
def test_a_word_of_the_pam_line_is_on_the_page(word: str) -> None:
    assert word in NAMED


@pytest.mark.parametrize("key", sorted({*sssd._KNOWN, *sssd_verification.WORDS}))
def test_what_is_read_of_an_sssd_conf_is_on_the_page(key: str) -> None:
    assert key in NAMED


@pytest.mark.parametrize("word", sorted({
    *(name for names in eventmgr.ARGUMENTS.values() for name in names), *eventmgr.FLAGS, "kill", "config_file",
    *(event for events in eventmgr.EVENTS.values() for event in events), "action", "on_error",
}))  # fmt: skip
def test_what_is_read_of_an_event_manager_is_on_the_page(word: str) -> None:
    assert word in NAMED


@pytest.mark.parametrize("rule", [rule for rules in RULES.values() for rule in rules])
def test_a_rule_of_disa_is_on_the_page(rule: str) -> None:
    assert rule in PAGE


def test_the_keys_are_those_of_the_translator() -> None:
    """A key that it knows is not unknown to it, and there are as many as such files have."""
    assert {"use_mappers", "cert_policy", "mapfile", "tls_cacertfile", "unlisted", "allow_root"} <= known_keys()
    assert "nonsense" not in known_keys()
    notes = translate(configuration(top="nonsense = 1;"), "/x.conf").notes
    assert [note.key for note in notes if note.kind.value == "unknown"] == ["nonsense"]


def test_the_words_of_the_fix_texts_on_the_page_load() -> None:
    block, mappers = re.findall(r"^(cert_policy = .*;)\n(use_mappers=\w+)$", PAGE, re.MULTILINE)[0]
    text = configuration(block=block, mappers="@").replace("use_mappers = @;", mappers)
    assert translate(text, "/x.conf").errors() == ()
