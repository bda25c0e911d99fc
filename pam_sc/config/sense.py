# SPDX-License-Identifier: LGPL-2.1-or-later
"""What no single key of a configuration can say: settings that contradict each other are refused, never weighed.

Every login asks, for the whole file and for each of its services. Pure; advice about what is only odd is lint's.
"""

from __future__ import annotations

from collections.abc import Iterator

from pam_sc.config.model import (
    DEFAULT_RUN_AS,
    VERIFIER_ACCOUNT,
    AccountSettings,
    Configuration,
    LookupSettings,
    PinSettings,
    RevocationSettings,
)
from pam_sc.config.schema import KeyPath, MismatchError, describe
from pam_sc.decision.policy import Members


def require_sense(configuration: Configuration) -> None:
    """Raise MismatchError for the first contradiction."""
    run_as = configuration.token.run_as
    if run_as in ("root", VERIFIER_ACCOUNT):
        expected = f"an account of its own for the card process, such as {DEFAULT_RUN_AS!r}"
        raise MismatchError(("token", "run_as"), repr(run_as), expected)
    _require_one_environment(configuration)
    _require_distinct_authorities(configuration.revocation)
    for at, lookup in _lookups(configuration.revocation):
        if not lookup.rules().sources:
            raise MismatchError((*at, "order"), 'only "ocsp"', '"crl" too, because ocsp is off')
    _require_lengths(configuration.pin)
    _require_members(configuration.account)
    if configuration.texts:
        from pam_sc.config.own_texts import require_own_texts  # only where there are any

        require_own_texts(configuration.texts)


def _require_one_environment(configuration: Configuration) -> None:
    seen: dict[str, tuple[int, str]] = {}
    for index, module in enumerate(configuration.token.modules):
        for name, value in module.environment.items():
            first, other = seen.setdefault(name, (index, value))
            if other != value:
                at: KeyPath = ("token", "module", index, "environment", name)
                expected = f"the same value as in token.module[{first}], because all modules share one process"
                raise MismatchError(at, "another value", expected)


def _lookups(revocation: RevocationSettings) -> Iterator[tuple[KeyPath, LookupSettings]]:
    yield ("revocation",), revocation.lookup
    for index, authority in enumerate(revocation.authorities):
        yield ("revocation", "ca", index), authority.lookup


def _require_distinct_authorities(revocation: RevocationSettings) -> None:
    seen: dict[tuple[str, str], int] = {}
    for index, authority in enumerate(revocation.authorities):
        for key, value in (("name", authority.name), ("certificate", authority.certificate)):
            first = seen.setdefault((key, value), index)
            if first != index:
                expected = f"another {key} than that of revocation.ca[{first}]"
                raise MismatchError(("revocation", "ca", index, key), describe(value), expected)


def _require_lengths(pin: PinSettings) -> None:
    if 0 < pin.max_length < pin.min_length:
        expected = f"at least min_length, which is {pin.min_length}"
        raise MismatchError(("pin", "max_length"), describe(pin.max_length), expected)


def _require_members(account: AccountSettings) -> None:
    """Nobody must and must not, or must and may not. What only the groups of an account can tell is not looked at."""
    for key, others in (("must_use", account.must_use), ("may_use", account.may_use or Members())):
        both = sorted(_names(others) & _names(account.must_not_use))
        if both:
            raise MismatchError(("account", "must_not_use"), describe(both[0]), f"nobody who is in {key} too")
    may = account.may_use
    if may is not None and not may.groups:
        barred = sorted(account.must_use.accounts - may.accounts)
        if barred:
            raise MismatchError(("account", "may_use"), f"nothing of {barred[0]!a}",
                                "everybody who is in must_use, because nobody else may use a card")  # fmt: skip


def _names(members: Members) -> frozenset[str]:
    return members.accounts | frozenset(f"@{group}" for group in members.groups)
