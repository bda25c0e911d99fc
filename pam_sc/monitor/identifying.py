# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which token is in which place: read once, when a card has come, by a card process that is killed afterwards.

It is killed without C_Finalize, and OpenSC has settings of its own here, so that a card that another program has verified stays
verified. Nothing is logged in to and no PIN is near. What is read is a claim; failing to read is an answer too.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from pam_sc.card.client import ModuleSetup, start_card_process
from pam_sc.card.messages import merged_environment
from pam_sc.card.presence import WATCH_CONF
from pam_sc.config.model import Configuration
from pam_sc.decision.card_report import CardReport, ModuleReport, SlotReport, TokenReport
from pam_sc.errors import PamScError
from pam_sc.identity import find_identity
from pam_sc.monitor.seeing import module_setups, slot_descriptions
from pam_sc.monitor.sight import Identified, Place, SeenToken, Snapshot, Source
from pam_sc.record import replace

_END_S = 1.0
_THREADS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="identify")
"""Its own: a directory that hangs for a few accounts holds all of asyncio's, and no card would be known again."""


async def identify(configuration: Configuration, worker: str, snapshot: Snapshot, limit_s: float) -> Identified:
    """Read the tokens that are there now, within `limit_s` and a moment for its end.

    Never raises for what a card, a module or the card process does: then `failure` says why, and every occupied place is unread.
    """
    try:
        async with asyncio.timeout(limit_s + _END_S):
            reading = asyncio.get_running_loop().run_in_executor(
                _THREADS, _read, configuration, worker, time.monotonic() + limit_s
            )
            report = await reading
    except TimeoutError:
        return _nothing(snapshot, f"the card process hangs: no end after {limit_s + _END_S:g} s")
    except (PamScError, OSError) as error:
        return _nothing(snapshot, str(error))
    return match_tokens(snapshot, report)


def match_tokens(snapshot: Snapshot, report: CardReport) -> Identified:
    """Say which of the reported tokens is in which place. Pure.

    A slot that is watched is its own place. Watched by PC/SC, it belongs to the reader that it is named after; several slots may
    belong to one reader. Where the names of two readers look alike when they are cut, and cards are in both, no token is in
    either: both are unread.
    """
    slots = [(module, slot, _place_of(snapshot, module, slot)) for module in report.modules for slot in module.slots]
    tokens = tuple(_seen(slot, slot.token, place) for _module, slot, place in slots if slot.token is not None)
    known = {place.key for _module, slot, place in slots if place is not None and _is_known(slot)}
    return Identified(snapshot, tokens, _occupied(snapshot) - known, _failure(report))


def _read(configuration: Configuration, worker: str, deadline: float) -> CardReport:
    """Everything that the modules show without a login."""
    modules = [replace(setup, environment=variables) for setup, variables in _quietly(module_setups(configuration))]
    run_as = find_identity(configuration.token.run_as)
    with start_card_process(worker) as process:
        process.client.set_up(modules, run_as, deadline)
        return process.client.report(deadline)


def _quietly(setups: Iterable[ModuleSetup]) -> list[tuple[ModuleSetup, Mapping[str, str]]]:
    """Each module with its variables, and the one that keeps OpenSC from disturbing others, unless one is configured."""
    listed = list(setups)
    quiet = {} if "OPENSC_CONF" in merged_environment(listed) else {"OPENSC_CONF": WATCH_CONF}
    return [(setup, {**quiet, **setup.environment}) for setup in listed]


def _place_of(snapshot: Snapshot, module: ModuleReport, slot: SlotReport) -> Place | None:
    key = f"{module.index}:{slot.slot_id}"
    own = next((place for place in snapshot.places if place.key == key), None)
    if own is not None or snapshot.source is not Source.PCSC:
        return own
    named = [place for place in snapshot.places if slot.description in slot_descriptions(place.description)]
    if len(named) > 1:
        named = [place for place in named if place.occupied]
    return named[0] if len(named) == 1 else None


def _is_known(slot: SlotReport) -> bool:
    """Whether it has been seen what is in the slot: a token, or one without content."""
    return slot.failure is None and (slot.token is not None or slot.occupied)


def _seen(slot: SlotReport, token: TokenReport, place: Place | None) -> SeenToken:
    return SeenToken(
        module=token.ref.module, place=None if place is None else place.key, removable=slot.removable,
        label=token.label, serial=token.serial, manufacturer=token.manufacturer, model=token.model,
        certificates=_certificates(token),
    )


def _certificates(token: TokenReport) -> frozenset[str] | None:
    """The hashes of all certificates; None where one could not be read, and where none is shown, as before a login."""
    if not token.certificates or token.failure or any(one.failure for one in token.certificates):
        return None
    return frozenset(hashlib.sha256(one.der).hexdigest() for one in token.certificates)


def _failure(report: CardReport) -> str:
    """Why nothing could be read at all: no module works."""
    failures = [module.failure.detail for module in report.modules if module.failure is not None and not module.slots]
    return failures[0] if failures and len(failures) == len(report.modules) else ""


def _occupied(snapshot: Snapshot) -> frozenset[str]:
    return frozenset(place.key for place in snapshot.places if place.occupied)


def _nothing(snapshot: Snapshot, why: str) -> Identified:
    return Identified(snapshot, (), _occupied(snapshot), why)
