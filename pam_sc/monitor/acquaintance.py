# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is known of the sessions that have a card, asked for ahead of time: a removal must not wait for a slow directory.

logind's facts are asked for again when a card goes, because the screen may be locked by then; what it said before serves
where it does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from pam_sc.decision.monitoring import Action, MonitorPolicy, SessionPolicy
from pam_sc.errors import MonitorError
from pam_sc.monitor.facts import SessionFacts
from pam_sc.record import replace
from pam_sc.session import SessionCard

_GROUPS_S = 5.0
_GROUPS_AT_REMOVAL_S = 0.5
GroupsOf = Callable[[str], frozenset[str]]


class Asked(Protocol):
    """logind, as far as it is asked here."""

    async def session(self, session: str, /) -> SessionFacts | None:
        """Return what it knows of a session; MonitorError where it does not answer."""


class Acquaintance:
    """Sessions by their id: card, facts and groups."""

    def __init__(self, groups_of: GroupsOf) -> None:
        self._groups_of = groups_of
        self.cards: dict[str, SessionCard] = {}
        self.facts: dict[str, SessionFacts] = {}
        self._groups: dict[str, frozenset[str]] = {}
        self._asking: dict[str, asyncio.Future[frozenset[str]]] = {}

    def meet(self, cards: Iterable[SessionCard]) -> set[str]:
        """Take the cards of all sessions there are; the sessions that are no more, or whose name has another one."""
        before, self.cards = self.cards, {card.session: card for card in cards}
        gone = {session for session, card in before.items() if self.cards.get(session) != card}
        for session in gone:
            self.facts.pop(session, None)
        here = {card.account for card in self.cards.values()}
        self._groups = {account: groups for account, groups in self._groups.items() if account in here}
        return gone

    async def learn(self, logind: Asked | None) -> None:
        """Ask ahead of time for what is not known yet; what cannot be learned now is asked for when it is needed."""
        for card in list(self.cards.values()):
            await self.groups(card.account)
            if logind is not None and card.session not in self.facts:
                await self._ask(card, logind)

    async def _ask(self, card: SessionCard, logind: Asked) -> None:
        try:
            found = await logind.session(card.session)
        except MonitorError:
            return
        if found is not None and card.session in self.cards:
            self.facts[card.session] = found

    async def groups(self, account: str, within_s: float = _GROUPS_S) -> frozenset[str]:
        """Return the groups of an account; none where nothing answers in time. An account is asked for once at a time."""
        if account in self._groups:
            return self._groups[account]
        if account not in self._asking:
            self._asking[account] = asyncio.ensure_future(asyncio.to_thread(self._groups_of, account))
        asking = self._asking[account]
        try:
            async with asyncio.timeout(within_s):
                self._groups[account] = await asyncio.shield(asking)
        except (TimeoutError, OSError):
            return frozenset()
        finally:
            if asking.done():
                self._asking.pop(account, None)
        return self._groups[account]

    async def current(self, session: str, logind: Asked | None) -> tuple[SessionFacts | None, bool]:
        """Return what logind says now (None: the session is gone) and True; False with what it said before, as not locked.

        MonitorError where it does not answer and nothing was ever known of the session.
        """
        before = self.facts.get(session)
        try:
            if logind is None:
                raise MonitorError(f"cannot act on session {session}: logind is not connected, and has not said what it is")
            found = await logind.session(session)
        except MonitorError:
            if before is None:
                raise
            return replace(before, locked=False), False
        if found is not None:
            self.facts[session] = found
        return found, True

    async def policy(self, policy: MonitorPolicy, card: SessionCard, facts: SessionFacts) -> SessionPolicy:
        """Return what holds for a session."""
        groups = await self.groups(card.account, _GROUPS_AT_REMOVAL_S) if _asks_for_groups(policy) else frozenset()
        return policy.for_session(
            service=card.service, account=card.account, groups=groups, session_type=facts.type
        )

    def action_of(self, policy: MonitorPolicy, card: SessionCard) -> Action | None:
        """Return what a removal would mean, by what is known already; None where the type of the session is not."""
        facts = self.facts.get(card.session)
        groups = self._groups.get(card.account, frozenset())
        return None if facts is None else policy.for_session(
            service=card.service, account=card.account, groups=groups, session_type=facts.type
        ).action


def _asks_for_groups(policy: MonitorPolicy) -> bool:
    return any(rule.members is not None and rule.members.groups for rule in policy.rules)
