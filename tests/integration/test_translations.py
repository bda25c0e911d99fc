# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every translation is whole and fits its place, and what is installed is what msgfmt makes of it."""

from __future__ import annotations

import gettext
import importlib.util
import subprocess
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import pam_sc
from pam_sc.catalogues import LANGUAGES
from pam_sc.decision.reasons import Reason
from pam_sc.texts import PLACE, UNFILLED, Text, english

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = REPOSITORY / "pam_sc" / "locale"
LONGEST = {
    "token": "\N{REPLACEMENT CHARACTER}" * 32,
    "label": "\N{REPLACEMENT CHARACTER}" * 32,
    "subject": "S" * 50,
    "issuer": "I" * 50,
    "date": "2026-12-31",
}
CHARACTERS, BYTES = 200, 511


@cache
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_pot", REPOSITORY / "tools" / "make_pot.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def expected() -> set[str]:
    """Every English text of the tables."""
    texts = {text for what in (*Text, *Reason) for text in (english(what), UNFILLED.get(what, ""))}
    return texts - {""}


def read(path: Path) -> dict[str, str]:
    """A compiled catalogue without its head."""
    with path.open("rb") as file:
        catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return {text: said for text, said in catalogue.items() if text}


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def catalogue(language: str, tmp_path: Path) -> dict[str, str]:
    """What msgfmt makes of a translation. It leaves out what is fuzzy or empty."""
    compiled = tmp_path / "compiled.mo"
    subprocess.run(["msgfmt", "--check-format", "-o", compiled, SOURCES / "po" / f"{language}.po"], check=True)
    return read(compiled)


def test_the_template_is_what_the_tables_say() -> None:
    assert (SOURCES / "pam_sc.pot").read_text() == generator().template()


def test_the_languages_are_the_same_in_every_list() -> None:
    assert tuple((SOURCES / "po" / "LINGUAS").read_text().split()) == LANGUAGES
    assert {path.stem for path in (SOURCES / "po").glob("*.po")} == set(LANGUAGES)


def test_every_text_is_translated_and_no_other(catalogue: dict[str, str]) -> None:
    assert set(catalogue) == expected()


def test_nothing_old_or_uncertain_is_left(language: str) -> None:
    text = (SOURCES / "po" / f"{language}.po").read_text()
    assert "#~" not in text
    assert "fuzzy" not in text
    assert f'"Language: {language}\\n"' in text


def test_the_places_are_the_same(catalogue: dict[str, str]) -> None:
    assert {text: sorted(PLACE.findall(said)) for text, said in catalogue.items()} == {
        text: sorted(PLACE.findall(text)) for text in catalogue
    }


def test_a_question_ends_as_in_english_and_nothing_else_does(catalogue: dict[str, str]) -> None:
    for text, said in catalogue.items():
        assert said.endswith(": ") == text.endswith(": "), text
        assert said.strip() == said.removesuffix(" "), text
        assert not said.endswith("."), text


def test_every_character_is_shown_as_it_is(catalogue: dict[str, str]) -> None:
    """One line, no control character, and no space but U+0020: Conversation shows the others as question marks."""
    assert [said for said in catalogue.values() if not said.isprintable()] == []


def test_no_braces_stand_outside_of_places(catalogue: dict[str, str]) -> None:
    assert [said for said in catalogue.values() if set("{}") & set(PLACE.sub("", said))] == []


def test_every_text_fits_with_the_longest_values(catalogue: dict[str, str]) -> None:
    why = max((catalogue[english(reason)] for reason in Reason if english(reason)), key=len)
    values = {**LONGEST, "why": PLACE.sub(lambda place: LONGEST[place[1]], why)}
    for said in [*catalogue, *catalogue.values()]:
        whole = PLACE.sub(lambda place: values[place[1]], said)
        assert len(whole) <= CHARACTERS, whole
        assert len(whole.encode()) <= BYTES, whole


def test_texts_that_differ_in_english_differ(catalogue: dict[str, str]) -> None:
    assert len(set(catalogue.values())) == len(catalogue)


def test_what_is_installed_is_the_translation_and_all_may_read_it(language: str, catalogue: dict[str, str]) -> None:
    package = Path(pam_sc.__file__).parent
    installed = package / "locale" / language / "LC_MESSAGES" / "pam_sc.mo"
    assert read(installed) == catalogue
    for path in (installed, *installed.parents[:4]):
        assert path.stat().st_mode & 0o444 == 0o444, path
        assert path.stat().st_mode & 0o022 == 0, path
