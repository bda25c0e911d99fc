# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which catalogue a host's locale picks, and that nothing else than the name of one of ours ever names a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pam_sc import catalogues
from pam_sc.catalogues import LANGUAGES, catalogue_for, translator
from pam_sc.decision.reasons import Reason
from pam_sc.texts import Text, Texts

HOSTILE = [
    "../../x", "de/../es", "/de", "de\n", "\nde", "de\0", "d" * 10_000, "de_DE." + "U" * 10_000, "de_DE@" + "e" * 10_000,
    "de_DE.UTF-8.UTF-8", "de_DE_DE", "de__DE", "DE_de", "de_de", "de-DE", "de ", " de", "d\N{CYRILLIC SMALL LETTER IE}",
    "de_DE.UTF-8\N{COMBINING ACUTE ACCENT}",
    "de:es", "de_DE.UTF-8;LC_CTYPE=C", "..", ".", "locale", "%s", "{token}",
]  # fmt: skip


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("de", "de"),
        ("de_DE", "de"),
        ("de_AT.UTF-8", "de"),
        ("de_CH.utf8", "de"),
        ("de_DE.UTF-8@euro", "de"),
        ("es_MX.UTF-8", "es"),
        ("ka_GE.UTF-8", "ka"),
        ("pt_BR", "pt_BR"),
        ("pt_BR.UTF-8", "pt_BR"),
        ("pt_PT.UTF-8", "pt_BR"),
        ("pt", "pt_BR"),
        ("zh_CN.UTF-8", "zh_CN"),
        ("zh_SG.UTF-8", "zh_CN"),
        ("zh", "zh_CN"),
    ],
)
def test_a_locale_picks_the_catalogue_of_its_language(language: str, name: str) -> None:
    assert catalogue_for(language) == name


@pytest.mark.parametrize("language", ["", "C", "POSIX", "C.UTF-8", "en_US.UTF-8", "ja_JP.UTF-8", "dex", "deu", "d"])
def test_another_language_is_english(language: str) -> None:
    assert catalogue_for(language) is None


@pytest.mark.parametrize("language", ["zh_TW.UTF-8", "zh_HK.UTF-8"])
def test_another_script_is_english(language: str) -> None:
    assert catalogue_for(language) is None


@pytest.mark.parametrize("language", ["de_DE.ISO-8859-15", "ru_RU.KOI8-R", "zh_CN.GB18030", "tr_TR.iso88599"])
def test_another_encoding_is_english(language: str) -> None:
    assert catalogue_for(language) is None


@pytest.mark.parametrize("language", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_name_of_a_locale_is_english(language: str) -> None:
    assert catalogue_for(language) is None
    assert Texts(language).say(Reason.NO_CARD) == "No card found"


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_catalogue_is_shipped_and_speaks(language: str) -> None:
    say = Texts(f"{language}.UTF-8").say
    assert say(Reason.NO_CARD) != "No card found"
    assert "alice's card" in say(Text.PIN, token="alice's card")


def test_german_reads_german() -> None:
    say = Texts("de_AT.UTF-8").say
    assert say(Text.PIN, token="login") == "PIN für login: "
    assert say(Text.PIN) == "PIN: "
    assert say(Reason.CERTIFICATE_EXPIRED, date="2026-01-31") == "Das Zertifikat auf der Karte ist am 2026-01-31 abgelaufen"
    assert say(Reason.CERTIFICATE_EXPIRED) == "Das Zertifikat auf der Karte ist abgelaufen"


def test_a_reason_without_a_text_stays_without_one_in_every_language() -> None:
    assert Texts("de").say(Reason.CONVERSATION_AGAIN) == ""  # the entry "" of a catalogue is its head


def test_the_words_of_the_configuration_are_not_translated() -> None:
    assert Texts("de", {"no-card": "No card reader found"}).say(Reason.NO_CARD) == "No card reader found"


def test_the_environment_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.setenv(name, "fr_FR.UTF-8")
    assert Texts("").say(Reason.NO_CARD) == "No card found"
    assert Texts("de").say(Reason.NO_CARD) == "Keine Karte gefunden"


@pytest.mark.parametrize("language", ["xx", "xx_XX.UTF-8", "../xx", "de/../xx"])
def test_a_catalogue_that_is_not_of_the_list_is_never_opened(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("de", "xx", "../xx"):
        shutil.copytree(Path(catalogues.FOLDER, "de"), tmp_path / "locale" / name)
    monkeypatch.setattr(catalogues, "FOLDER", str(tmp_path / "locale"))
    assert translator("de")("No card found") == "Keine Karte gefunden"
    assert translator(language)("No card found") == "No card found"


@pytest.mark.parametrize("content", [None, b"", b"no catalogue", b"\xde\x12\x04\x95", "cut", "moved"])
def test_a_catalogue_that_cannot_be_read_is_english(
    content: bytes | str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Path(catalogues.FOLDER, "de", "LC_MESSAGES", "pam_sc.mo").read_bytes()
    broken = {"cut": good[: len(good) // 2], "moved": good[:16] + b"\xff" * 4 + good[20:]}
    monkeypatch.setattr(catalogues, "FOLDER", str(tmp_path))
    if content is not None:
        (tmp_path / "de" / "LC_MESSAGES").mkdir(parents=True)
        written = broken[content] if isinstance(content, str) else content
        (tmp_path / "de" / "LC_MESSAGES" / "pam_sc.mo").write_bytes(written)
    assert translator("de")("No card found") == "No card found"


@pytest.mark.parametrize(("language", "imported"), [("C", False), ("../../x", False), ("en_GB.UTF-8", False), ("de", True)])
def test_only_a_language_with_a_catalogue_imports_gettext(language: str, imported: bool) -> None:
    code = (
        "import sys; from pam_sc.texts import Text, Texts\n"
        "Texts(sys.argv[1]).say(Text.PIN); print('gettext' in sys.modules)"
    )
    search = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    told = subprocess.run([sys.executable, "-c", code, language], env=search, capture_output=True, text=True, check=True)
    assert told.stdout == f"{imported}\n"
