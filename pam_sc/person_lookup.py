# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which accounts a text means, through the account database: by name, or by the full name that GECOS gives.

A text means an account if it is its name, the whole of its GECOS field (passwd(5)), or what stands there before the
first comma, compared exactly or without regard to the case of A to Z. An account of that name comes before all others;
without one, every account whose GECOS field says it is named: whoever asks must not pick one of several.

People can change what their GECOS field says, as they can files in their homes, so it counts where those would
(decision/home_files.py) and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pam_sc.mapfile import lower_ascii, unusable_account
from pam_sc.services import DoesNotMap, Person, Services

BELIEVED_FOR: Mapping[str, type] = {"believed_for": list}


class PersonLookup:
    """The account database. `believed_for`: the privileged services in which GECOS fields count all the same."""

    def __init__(self, services: Services, believed_for: frozenset[str], *, ignore_case: bool) -> None:
        self._people = services.people
        self._why_not_believed = services.why_not_believed
        self._believed_for = believed_for
        self._ignore_case = ignore_case

    def accounts(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Return the names of all accounts that the texts mean; MapperError if NSS cannot say."""
        return tuple(dict.fromkeys(name for text in texts for name in self._meant(text)))

    def claims(self, account: str, texts: Iterable[str]) -> bool:
        """Say whether a text means this account; DoesNotMap where only its GECOS field says so and does not count."""
        person = self._people.by_name(account)
        if person is None or person.name != account:
            return False
        given = tuple(texts)
        if any(self._folded(text) == self._folded(account) for text in given):
            return True
        if not any(self._is_full_name(person, text) and not self._named(text) for text in given):
            return False
        why = self._why_not_believed(self._believed_for)
        if why is not None:
            raise DoesNotMap(f"the account's GECOS field says so, and counts for nothing here: {why}")
        return True

    def _meant(self, text: str) -> tuple[str, ...]:
        named = self._named(text)
        if named or not text or self._why_not_believed(self._believed_for) is not None:
            return named
        return tuple(each.name for each in self._people.everybody() if self._is_full_name(each, text))

    def _named(self, text: str) -> tuple[str, ...]:
        spellings = dict.fromkeys((text, lower_ascii(text)) if self._ignore_case else (text,))
        found = [self._people.by_name(each) for each in spellings if unusable_account(each) is None]
        wanted = self._folded(text)
        return tuple(dict.fromkeys(
            each.name for each in found if each is not None and self._folded(each.name) == wanted
        ))  # fmt: skip

    def _is_full_name(self, person: Person, text: str) -> bool:
        """Say whether the account, by its name in another case or by its GECOS field, is called this. Nobody is called ""."""
        said = (person.name, person.gecos, person.gecos.partition(",")[0])
        return bool(text) and self._folded(text) in map(self._folded, said)

    def _folded(self, text: str) -> str:
        return lower_ascii(text) if self._ignore_case else text
