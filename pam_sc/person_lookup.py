# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which accounts a text means, through the account database: by name, or by the full name that GECOS gives.

A text means an account if it is its name, the whole of its GECOS field (passwd(5)), or what stands there before the
first comma, compared exactly or without regard to the case of A to Z. An account of that name comes before all others;
without one, every account whose GECOS field says it is named: whoever asks must not pick one of several.
"""

from __future__ import annotations

from pam_sc.mapfile import lower_ascii, unusable_account
from pam_sc.services import People, Person


def means(person: Person, text: str, *, ignore_case: bool) -> bool:
    """Say whether the text means this account. An empty one means nobody."""
    wanted = _folded(text, ignore_case)
    full_name = person.gecos.partition(",")[0]
    return bool(text) and wanted in (_folded(each, ignore_case) for each in (person.name, person.gecos, full_name))


def accounts_meant(people: People, text: str, *, ignore_case: bool) -> tuple[str, ...]:
    """Return the names of all accounts that the text means; MapperError if NSS cannot say."""
    named = _named(people, text, ignore_case)
    if named or not text:
        return named
    return tuple(dict.fromkeys(each.name for each in people.everybody() if means(each, text, ignore_case=ignore_case)))


def _named(people: People, text: str, ignore_case: bool) -> tuple[str, ...]:
    spellings = dict.fromkeys((text, lower_ascii(text)) if ignore_case else (text,))
    found = [people.by_name(each) for each in spellings if unusable_account(each) is None]
    wanted = _folded(text, ignore_case)
    return tuple(dict.fromkeys(
        each.name for each in found if each is not None and _folded(each.name, ignore_case) == wanted
    ))  # fmt: skip


def _folded(text: str, ignore_case: bool) -> str:
    return lower_ascii(text) if ignore_case else text
