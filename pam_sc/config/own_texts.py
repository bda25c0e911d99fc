# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hold [texts] against the texts that there are: a name that none has, or a place that a text does not fill in, is refused.

Imported only where a configuration has texts of its own. They replace ours in every language.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from pam_sc.config.schema import MismatchError, describe
from pam_sc.decision.reasons import REASONS
from pam_sc.texts import TEXTS

_PLACE = re.compile(r"\{([^{}]*)\}")


def own_names() -> dict[str, str]:
    """Return our own text for each name that may stand in [texts]."""
    return {what.value: text for what, text in TEXTS.items()} | {reason.value: row.text for reason, row in REASONS.items()}


def places_of(text: str) -> tuple[str, ...]:
    """Return the names that stand in braces, each once, in order."""
    return tuple(dict.fromkeys(_PLACE.findall(text)))


def require_own_texts(texts: Mapping[str, str]) -> None:
    """Raise MismatchError for the first text that cannot be shown as it is meant."""
    known = own_names()
    prompts = {what.value for what in TEXTS}
    for name, text in texts.items():
        if name not in known:
            expected = "the name of a text; docs/messages.md lists them"
            raise MismatchError(("texts", name), "an unknown name", expected, _nearest(name, known))
        if not text.strip() and name in prompts:
            raise MismatchError(("texts", name), describe(text), "a text, because nobody answers what is not asked")
        _require_places(name, text, places_of(known[name]))


def _require_places(name: str, text: str, allowed: tuple[str, ...]) -> None:
    expected = f"of places in braces only {', '.join(f'{{{each}}}' for each in allowed)}" if allowed else "no braces"
    for place in places_of(text):
        if place not in allowed:
            raise MismatchError(("texts", name), describe(f"{{{place}}}"), expected, _nearest(place, allowed))
    if set(_PLACE.sub("", text)) & {"{", "}"}:
        raise MismatchError(("texts", name), "a brace without its other half", expected)


def _nearest(found: str, known: Iterable[str]) -> str | None:
    close = difflib.get_close_matches(found[:80], list(known), n=1, cutoff=0.6)
    return close[0] if close else None
