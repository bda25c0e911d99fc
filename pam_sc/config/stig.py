# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which of DISA's rules for smart-card logins a configuration meets, and by which line.

The STIGs of Ubuntu 20.04, 22.04 and 24.04 look for words in pam_pkcs11.conf. Of such a file the words are what counts,
as for an assessor's grep; of pam_sc.toml the settings that do the same. Pure: what is said here is about the
configuration, not about the certificates and CRLs that it names.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence

from pam_sc.config.model import Configuration, Fetch, LookupSettings
from pam_sc.config.schema import KeyPath
from pam_sc.decision.policy import RevocationMode, RevocationSource
from pam_sc.record import record


class Demand(enum.Enum):
    """What the rules ask for, in our words."""

    PATH = "certificates are validated by a path to a trust anchor"
    STATUS = "the status of a certificate is checked by OCSP"
    LOCAL = "revocation data is at hand where the network is not"
    MAPPED = "the certificate is mapped to an account (pwent)"


RULES: Mapping[Demand, tuple[str, ...]] = {
    Demand.PATH: ("UBTU-20-010060 (V-238229)", "UBTU-22-612030 (V-260577)", "UBTU-24-400375"),
    Demand.STATUS: ("UBTU-20-010065 (V-238232)", "UBTU-22-612025 (V-260576)", "UBTU-24-400060"),
    Demand.LOCAL: ("UBTU-20-010066 (V-238233)", "UBTU-22-612035 (V-260578)", "UBTU-24-400380 (V-270738)"),
    Demand.MAPPED: ("V-238201 (CAT I)", "UBTU-22-612040 (V-260579)", "UBTU-24-400370"),
}
"""The identifiers of each: of the rule, and in parentheses of the finding."""

POLICY_WORDS: Mapping[Demand, frozenset[str]] = {
    Demand.PATH: frozenset({"ca"}),
    Demand.STATUS: frozenset({"ocsp_on"}),
    Demand.LOCAL: frozenset({"crl_auto", "crl_offline"}),
}
"""Of which words each cert_policy must have one."""

_KNOWING = (RevocationMode.REQUIRE, RevocationMode.NAMED)


@record
class StigAnswer:
    """One demand: met or not, by what (a setting as written), and on which line where that is known."""

    demand: Demand
    met: bool
    text: str
    line: int | None = None

    @property
    def rules(self) -> tuple[str, ...]:
        """The identifiers of the rules that demand it."""
        return RULES[self.demand]


@record
class Written:
    """A list in pam_pkcs11.conf: the line of its key, and its words in small letters."""

    line: int
    words: tuple[str, ...]


# ---------------------------------------------------------------- pam_pkcs11.conf


def stig_of_peer(policies: Sequence[Written], mappers: Written | None) -> tuple[StigAnswer, ...]:
    """Judge the cert_policy of every module and use_mappers."""
    by_policy = (_of_policies(demand, words, policies) for demand, words in POLICY_WORDS.items())
    return (*by_policy, _of_mappers(mappers))


def _of_policies(demand: Demand, words: frozenset[str], policies: Sequence[Written]) -> StigAnswer:
    wanted = " or ".join(sorted(words))
    lacking = next((each for each in policies if not words & set(each.words)), None)
    if not policies:
        return StigAnswer(demand, False, f"there is no cert_policy, expected one with {wanted}")
    if lacking is not None:
        return StigAnswer(demand, False, f"cert_policy lacks {wanted}", lacking.line)
    return StigAnswer(demand, True, f"cert_policy = {', '.join(policies[0].words)}", policies[0].line)


def _of_mappers(mappers: Written | None) -> StigAnswer:
    if mappers is None:
        return StigAnswer(Demand.MAPPED, False, "there is no use_mappers, expected one with pwent")
    if "pwent" not in mappers.words:
        return StigAnswer(Demand.MAPPED, False, "use_mappers lacks pwent", mappers.line)
    return StigAnswer(Demand.MAPPED, True, f"use_mappers = {', '.join(mappers.words)}", mappers.line)


# ---------------------------------------------------------------- pam_sc.toml


def stig_of(configuration: Configuration, line_of: Callable[[KeyPath], int | None]) -> tuple[StigAnswer, ...]:
    """Judge a configuration of ours; `line_of` says where a value stands."""
    anchors: KeyPath = ("trust", "anchors")
    path = StigAnswer(Demand.PATH, True, f"trust.anchors = {configuration.trust.anchors}", line_of(anchors))
    return path, _status(configuration, line_of), _local(configuration, line_of), _mapped(configuration, line_of)


def _status(configuration: Configuration, line_of: Callable[[KeyPath], int | None]) -> StigAnswer:
    for path, lookup in _lookups(configuration):
        for key, fault in _status_faults(lookup):
            return StigAnswer(Demand.STATUS, False, f"{_written(path)}.{key} is {fault}", line_of((*path, key)))
    mode = configuration.revocation.lookup.mode.value
    return StigAnswer(Demand.STATUS, True, f'revocation.ocsp = "on", mode = "{mode}"', line_of(("revocation", "ocsp")))


def _status_faults(lookup: LookupSettings) -> Iterator[tuple[str, str]]:
    if lookup.mode not in _KNOWING:
        yield "mode", f"{lookup.mode.value}, expected require or named"
    if not lookup.ocsp:
        yield "ocsp", "off, expected on"
    if RevocationSource.OCSP not in lookup.order:
        yield "order", "without ocsp"
    if lookup.fetch is Fetch.OFF:
        yield "fetch", "off, so that no responder is ever asked; expected refresh or login"


def _local(configuration: Configuration, line_of: Callable[[KeyPath], int | None]) -> StigAnswer:
    crls = configuration.revocation.crls
    for path, lookup in _lookups(configuration):
        if lookup.mode not in _KNOWING:
            text = f"{_written(path)}.mode is {lookup.mode.value}, expected require or named"
            return StigAnswer(Demand.LOCAL, False, text, line_of((*path, "mode")))
        if lookup.fetch is Fetch.OFF and (crls is None or RevocationSource.CRL not in lookup.order):
            text = f"{_written(path)}.fetch is off, and no CRLs are at hand"
            return StigAnswer(Demand.LOCAL, False, text, line_of((*path, "fetch")))
    if crls is not None:
        return StigAnswer(Demand.LOCAL, True, f"revocation.crls = {crls}", line_of(("revocation", "crls")))
    store = configuration.revocation.store
    return StigAnswer(Demand.LOCAL, True, f"revocation.store = {store}", line_of(("revocation", "store")))


def _mapped(configuration: Configuration, line_of: Callable[[KeyPath], int | None]) -> StigAnswer:
    names = [mapper.name for mapper in configuration.mappers]
    if "pwent" not in names:
        text = f"the mappers are {', '.join(names)}, expected pwent among them"
        return StigAnswer(Demand.MAPPED, False, text, line_of(("mapper", 0, "name")))
    at = names.index("pwent")
    return StigAnswer(Demand.MAPPED, True, f'mapper[{at}].name = "pwent"', line_of(("mapper", at, "name")))


def _lookups(configuration: Configuration) -> Iterator[tuple[KeyPath, LookupSettings]]:
    yield ("revocation",), configuration.revocation.lookup
    for index, authority in enumerate(configuration.revocation.authorities):
        yield ("revocation", "ca", index), authority.lookup


def _written(path: KeyPath) -> str:
    return "revocation" if len(path) == 1 else f"revocation.ca[{path[2]}]"
