# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the configuration names, read once for a login, an explanation or a check: anchors, revocation data, mappers.

Nothing is fetched. What cannot be used at all is an error; a single file that cannot be parsed is no source, and is
reported.
"""

from __future__ import annotations

from pam_sc.config.model import (
    CaSettings,
    Configuration,
    Fetch,
    LookupSettings,
    OcspNonce,
    RevocationSettings,
    TrustSettings,
)
from pam_sc.decision.names import CanonicalName
from pam_sc.errors import TrustError
from pam_sc.mapping import LoadedMapper, load_mappers, problems_of
from pam_sc.record import record
from pam_sc.services import NOBODY_TO_ASK, Services
from pam_sc.trust.anchors import PathCertificate, Trust, load_trust, read_authority, read_certificates
from pam_sc.trust.crl_file import load_crls
from pam_sc.trust.revocation import CaRules, RevocationSources
from pam_sc.trust.store import open_store


@record(kw_only=True)
class Material:
    """Trust anchors, revocation data and mappers. `problems` goes to the log when the login is over."""

    trust: Trust
    revocation: RevocationSources
    mappers: tuple[LoadedMapper, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Files that could not be used, and what else every login should say, each a sentence."""
        return (*self.trust.problems, *self.revocation.problems(), *problems_of(self.mappers))


def load_material(
    configuration: Configuration, trusted_uids: frozenset[int], services: Services = NOBODY_TO_ASK
) -> Material:
    """Read what the configuration names; TrustError or ConfigError where that cannot be used at all."""
    return Material(
        trust=load_configured_trust(configuration.trust, trusted_uids),
        revocation=load_revocation(configuration.revocation, trusted_uids),
        mappers=load_mappers([(m.name, m.table, m.where) for m in configuration.mappers], trusted_uids, services),
    )


def load_configured_trust(settings: TrustSettings, trusted_uids: frozenset[int]) -> Trust:
    """Read the anchors and intermediates."""
    return load_trust(settings.anchors, settings.intermediates, trusted_uids, partial=settings.partial_paths)


def load_revocation(settings: RevocationSettings, trusted_uids: frozenset[int]) -> RevocationSources:
    """Read the administrator's CRLs and open the store."""
    store = open_store(settings.store, trusted_uids)
    crls = load_crls(settings.crls, trusted_uids, store.index_of_file)
    return RevocationSources(
        crls=(crls, store),
        answers=(store,),
        default=_rules(settings.lookup, trusted_uids),
        authorities=_authorities(settings, trusted_uids),
        problems=lambda: (*crls.problems, *store.problems),
    )


def _authorities(
    settings: RevocationSettings, trusted_uids: frozenset[int]
) -> tuple[tuple[PathCertificate, CaRules], ...]:
    """Return each CA with its rules; TrustError where one has two, of which the laxer might hold."""
    found: dict[tuple[CanonicalName, bytes], tuple[PathCertificate, CaRules]] = {}
    for authority in settings.authorities:
        rules = _rules(authority.lookup, trusted_uids)
        own = {(each.subject, each.public_key): (each, rules) for each in _certificates(authority, trusted_uids)}
        twice = next((each for each in own if each in found), None)
        if twice is not None:
            raise TrustError(f"{authority.where}: {own[twice][0].text!r} has rules of another [[revocation.ca]] already")
        found |= own
    return tuple(found.values())


def _rules(lookup: LookupSettings, trusted_uids: frozenset[int]) -> CaRules:
    responder = lookup.ocsp_responder
    return CaRules(
        rules=lookup.rules(),
        responder=_one(responder.certificate, trusted_uids) if responder and responder.certificate else None,
        responder_url=responder.url if responder and lookup.ocsp else None,
        crl_urls=lookup.sources,
        nonce=lookup.ocsp_nonce is not OcspNonce.OFF,
        nonce_required=lookup.ocsp_nonce is OcspNonce.REQUIRED,
        fetch_at_login=lookup.fetch is Fetch.LOGIN,
        max_bytes=lookup.max_bytes,
        loopback=lookup.loopback,
        proxy=lookup.proxy,
        timeout_s=lookup.timeout_s,
    )


def _certificates(authority: CaSettings, trusted_uids: frozenset[int]) -> tuple[PathCertificate, ...]:
    try:
        return read_authority(authority.certificate, trusted_uids)
    except TrustError as error:
        raise TrustError(f"{authority.where}: {error}") from error


def _one(path: str, trusted_uids: frozenset[int]) -> PathCertificate:
    found = read_certificates(path, trusted_uids)
    if len(found) != 1:
        raise TrustError(f"cannot use {path!r} as the certificate of an OCSP responder: found {len(found)} certificates")
    return found[0]
