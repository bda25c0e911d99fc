# SPDX-License-Identifier: LGPL-2.1-or-later
"""Say what is questionable about how revocation is looked up: for the whole, and for each CA where it says otherwise.

Advice for `pam-sc check-config`, like all of lint.py. Folders and files are looked at from outside; what a certificate
file holds is for the command itself to say, which may parse one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.lint_files import check_folder, check_readable, files_of
from pam_sc.config.model import Configuration, Fetch, LookupSettings, RevocationSettings
from pam_sc.decision.policy import RevocationMode, RevocationSource
from pam_sc.record import record

_PATIENCE_S = 30
_SKEW_USUAL_S = 3600
_SIZE_USUAL = 1 << 30
_KNOWING = (RevocationMode.REQUIRE, RevocationMode.NAMED)
"""The modes in which something must be known."""


@record(kw_only=True)
class _Place:
    """One table that says how revocation is looked up, and what is at hand for it."""

    key: str
    lookup: LookupSettings
    crls: bool
    """A CRL file lies in [revocation] crls."""
    stored: bool
    """Something lies in the store."""


def lint_revocation(configuration: Configuration, owners: frozenset[int]) -> Iterator[Finding]:
    """Yield what is questionable, the whole first; what a CA shares with the whole is said once."""
    revocation = configuration.revocation
    crls = bool(revocation.crls and files_of(revocation.crls))
    stored = bool(files_of(revocation.store))
    whole = _Place(key="revocation", lookup=revocation.lookup, crls=crls, stored=stored)
    yield from _lint_place(whole)
    if revocation.crls is not None:
        yield from check_readable("revocation.crls", revocation.crls)
    yield from _lint_store(revocation, owners)
    said = {finding.text for finding in _lint_place(whole)}
    for index, authority in enumerate(revocation.authorities):
        key = f"revocation.ca[{index}]"
        yield from check_readable(f"{key}.certificate", authority.certificate)
        for finding in _lint_place(_Place(key=key, lookup=authority.lookup, crls=crls, stored=stored)):
            if finding.text not in said:
                yield finding
    for key, lookup in _tables(revocation):
        responder = lookup.ocsp_responder
        if responder is not None and responder.certificate is not None:
            yield from check_readable(f"{key}.ocsp_responder.certificate", responder.certificate)


def _tables(revocation: RevocationSettings) -> Iterator[tuple[str, LookupSettings]]:
    """Each table whose responder is its own."""
    yield "revocation", revocation.lookup
    for index, authority in enumerate(revocation.authorities):
        if authority.lookup.ocsp_responder != revocation.lookup.ocsp_responder:
            yield f"revocation.ca[{index}]", authority.lookup


def _lint_store(revocation: RevocationSettings, owners: frozenset[int]) -> Iterator[Finding]:
    lookups = [revocation.lookup, *(authority.lookup for authority in revocation.authorities)]
    if any(lookup.fetch is not Fetch.OFF and lookup.mode is not RevocationMode.OFF for lookup in lookups):
        yield from check_folder("revocation.store", revocation.store, owners, make_it="run: pam-sc refresh")


def _lint_place(place: _Place) -> Iterator[Finding]:
    for check in _CHECKS:
        yield from check(place)


def _lint_mode(place: _Place) -> Iterator[Finding]:
    mode, where = place.lookup.mode, f"{place.key}.mode"
    if mode is RevocationMode.OFF:
        yield Finding(Weight.WARNING, where, "off: a revoked or stolen card is accepted")
    if mode is RevocationMode.PREFER:
        yield Finding(Weight.WARNING, where, "prefer: a card is accepted when its status is unknown")


def _lint_nothing_at_hand(place: _Place) -> Iterator[Finding]:
    if place.lookup.mode is not RevocationMode.REQUIRE or place.crls or place.stored:
        return
    if place.lookup.fetch is Fetch.OFF:
        yield Finding(Weight.ERROR, f"{place.key}.crls", "mode is require, but there is no CRL and fetch is off:"
                      " every card is refused; put the CRLs of all CAs there")
    elif place.lookup.fetch is Fetch.REFRESH:
        yield Finding(Weight.ERROR, f"{place.key}.mode", "require, but there is no CRL and nothing was fetched yet:"
                      " every card is refused; run: pam-sc refresh")


def _lint_fetch(place: _Place) -> Iterator[Finding]:
    lookup = place.lookup
    if lookup.fetch is Fetch.OFF and lookup.sources:
        yield Finding(Weight.WARNING, f"{place.key}.sources", "never fetched, because fetch is off;"
                      " remove them, or say with fetch who may")
    if lookup.fetch is Fetch.LOGIN and lookup.timeout_s > _PATIENCE_S:
        yield Finding(Weight.WARNING, f"{place.key}.timeout", f"with fetch = login, a person may wait"
                      f" {lookup.timeout_s} seconds at the prompt; {_PATIENCE_S} or less is usual")


def _lint_ocsp(place: _Place) -> Iterator[Finding]:
    lookup = place.lookup
    asked = RevocationSource.OCSP in lookup.rules().sources
    if lookup.ocsp_responder is not None and not asked:
        yield Finding(Weight.WARNING, f"{place.key}.ocsp_responder",
                      "never asked, because ocsp is off or not in order; remove one of the two")
    if not asked and lookup.mode in _KNOWING and not place.crls and not lookup.sources:
        yield Finding(Weight.WARNING, f"{place.key}.ocsp", "not asked, and neither crls nor sources names a CRL: a card"
                      " that names no CRL itself is refused; set ocsp to on or name one")


def _lint_either(place: _Place) -> Iterator[Finding]:
    lookup = place.lookup
    first = lookup.rules().sources[0]
    if lookup.either or lookup.fetch is not Fetch.OFF or lookup.mode not in _KNOWING or place.stored:
        return
    if first is RevocationSource.OCSP or not place.crls:
        yield Finding(Weight.WARNING, f"{place.key}.either", f"false, but {first.value} comes first and has nothing at"
                      " hand, because fetch is off: a card that names one is refused; change fetch, order or either")


def _lint_limits(place: _Place) -> Iterator[Finding]:
    if place.lookup.max_bytes > _SIZE_USUAL:
        yield Finding(Weight.WARNING, f"{place.key}.max_size",
                      "more than 1 GiB: a CA's server can fill the disk; no known CRL is that large")
    if place.lookup.clock_skew_s > _SKEW_USUAL_S:
        yield Finding(Weight.WARNING, f"{place.key}.clock_skew", f"a CRL that expired up to {place.lookup.clock_skew_s}"
                      f" seconds ago counts; with a clock that is set, {_SKEW_USUAL_S} or less is enough")
    if place.lookup.loopback:
        yield Finding(Weight.WARNING, f"{place.key}.loopback",
                      "allow: a certificate can make root ask services of this machine; set it to refuse")


_CHECKS: tuple[Callable[[_Place], Iterator[Finding]], ...] = (
    _lint_mode, _lint_nothing_at_hand, _lint_fetch, _lint_ocsp, _lint_either, _lint_limits,
)
