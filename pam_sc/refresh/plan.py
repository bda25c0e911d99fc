# SPDX-License-Identifier: LGPL-2.1-or-later
"""Finds out what to fetch: what is configured, what CAs, certificates and the requests of logins name, each once.

No URL counts before the certificates above it were found to have a valid path under the anchors of today: until then it
is a stranger's word. Nothing is fetched here.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from pam_sc.config.model import Configuration, Fetch, LookupSettings
from pam_sc.decision.evidence import NoPath, Unparsable
from pam_sc.decision.parsing import read_strictly
from pam_sc.decision.policy import RevocationMode, RevocationSource
from pam_sc.errors import ConfigError, TrustError
from pam_sc.record import field, record
from pam_sc.refresh.model import Scene, WantedAnswer, WantedCrl
from pam_sc.trust.anchors import PathCertificate, read_authority, read_path_certificate
from pam_sc.trust.crl import find_crl_signer
from pam_sc.trust.index_format import CRL_PREFIX, IndexHeader
from pam_sc.trust.locations import crl_urls, ocsp_urls
from pam_sc.trust.ocsp import ocsp_key
from pam_sc.trust.path import find_issuer_paths, find_path
from pam_sc.trust.requests import KEPT_S, LeftRequest, read_requests, remove_request
from pam_sc.trust.store import open_store

Members = tuple[PathCertificate, ...]


@record(kw_only=True)
class Selection:
    """What is asked for: everything, one [[revocation.ca]], or what these certificates and their issuers name."""

    ca: str | None = None
    leaves: tuple[tuple[bytes, tuple[bytes, ...]], ...] | None = None
    """Each with the certificates that came with it."""


@record(kw_only=True)
class Plan:
    """What to fetch, what is known already, and what could not be used, a sentence each."""

    scene: Scene
    crls: tuple[WantedCrl, ...] = ()
    answers: tuple[WantedAnswer, ...] = ()
    at_hand: Mapping[str, IndexHeader] = field(default_factory=dict)
    """Indexes in the store whose signer is still good, by the URL they came from."""
    problems: tuple[str, ...] = ()


@record
class _Target:
    """A certificate with a valid path above it, and where it says that its revocation is told."""

    certificate: PathCertificate
    issuers: Members
    crl_urls: tuple[str, ...]
    ocsp_urls: tuple[str, ...]


class Planner:
    """Collects for one run."""

    def __init__(self, configuration: Configuration, scene: Scene, selection: Selection) -> None:
        """Read the CAs that have settings of their own; ConfigError if the wanted one is not among them."""
        self._settings = configuration.revocation
        self._scene = scene
        self._selection = selection
        self._crls: dict[str, WantedCrl] = {}
        self._answers: dict[str, WantedAnswer] = {}
        self._problems: list[str] = []
        self._lookups = [
            (authority, certificate)
            for authority in self._settings.authorities
            for certificate in read_authority(authority.certificate, scene.trusted_uids)
        ]
        names = [authority.name for authority in self._settings.authorities]
        if selection.ca is not None and selection.ca not in names:
            known = ", ".join(repr(name) for name in names) or "none"
            raise ConfigError(f"cannot refresh {selection.ca!r}: no [[revocation.ca]] has that name, there is {known}")

    def plan(self) -> Plan:
        """Return what to fetch."""
        at_hand: dict[str, IndexHeader] = {}
        if self._selection.leaves is not None:
            for leaf, others in self._selection.leaves:
                self._add_leaf(leaf, others)
        else:
            self._add_configured()
            self._add_authorities()
            self._add_requests()
        for header in self._indexes():
            at_hand |= {origin.url: header for origin in header.origins}
            self._add_known(header)
        return Plan(
            scene=self._scene,
            crls=tuple(self._crls.values()),
            answers=tuple(self._answers.values()),
            at_hand=at_hand,
            problems=tuple(self._problems),
        )

    # ------------------------------------------------------------ where they come from

    def _add_configured(self) -> None:
        if self._selection.ca is None:
            self._add_urls(self._settings.lookup.sources, self._settings.lookup, configured=True)
        for authority in self._settings.authorities:
            if self._selection.ca in (None, authority.name):
                self._add_urls(authority.lookup.sources, authority.lookup, configured=True)

    def _add_authorities(self) -> None:
        """What anchors and intermediates say of themselves."""
        trust = self._scene.trust
        for anchor in trust.anchors:
            if self._is_wanted(anchor):
                self._add_urls(_urls_of(anchor)[0], self._lookup(anchor))
        for intermediate in trust.intermediates:
            path = self._path_of(intermediate)
            if path is None:
                self._problems.append(f"{intermediate.text!r} has no valid path to a trust anchor: what it names is not used")
            else:
                self._add_path(path)

    def _add_requests(self) -> None:
        left = read_requests(self._scene.folder)
        self._problems += left.problems
        for each in left.requests:
            self._add_request(each)

    def _add_request(self, left: LeftRequest) -> None:
        """Add what a login asked for; a request is removed when it is old, or when its issuers are not trusted."""
        request = left.request
        scene = self._scene.with_others(request.issuers[1:])
        path = _first_path(request.issuers[0], scene)
        certificate = stand_in(request.issuers[0], request.serial)
        if left.age_s > KEPT_S or path is None or certificate is None:
            remove_request(scene.folder, request)
            return
        self._scene = self._scene.with_others(path[:-1])
        self._add_target(_Target(certificate, path, request.crl_urls, request.ocsp_urls))
        self._add_path(path)

    def _add_leaf(self, leaf: bytes, others: tuple[bytes, ...]) -> None:
        scene = self._scene
        found = find_path(leaf, others, scene.trust, scene.policy, scene.at)
        if isinstance(found, NoPath):
            raise TrustError(f"cannot refresh for a certificate without a valid path: {found.detail}")
        read = [read_path_certificate(der) for der in found.certificates]
        path = tuple(each for each in read if isinstance(each, PathCertificate))
        self._scene = scene.with_others(path[1:-1])
        self._add_path(path)

    def _indexes(self) -> Iterator[IndexHeader]:
        """Yield what is in the store and still signed by somebody with a valid path."""
        store = open_store(self._scene.folder, self._scene.trusted_uids)
        for crl in store.crls_named(CRL_PREFIX):
            read = [read_path_certificate(bytes.fromhex(each)) for each in crl.index.path]
            scene = self._scene.with_others([each for each in read if isinstance(each, PathCertificate)])
            if not isinstance(find_crl_signer(crl, scene.trust, scene.policy, scene.at, scene.others), str):
                self._scene = scene
                yield crl.index
        self._problems += store.problems

    def _add_known(self, header: IndexHeader) -> None:
        """What was fetched once is kept fresh as long as its signer is trusted, also when its request is gone.

        With a complete CRL come the deltas that it names.
        """
        lookup = self._lookup_of_key(header.crl.issuer, header.signer)
        if self._selection == Selection():
            self._add_urls((origin.url for origin in header.origins), lookup)
        if any(origin.url in self._crls for origin in header.origins):
            self._add_urls(header.crl.delta_urls, lookup)

    # ------------------------------------------------------------ what they are

    def _add_path(self, path: Members) -> None:
        """Add every member of a valid path but the anchor."""
        for index, member in enumerate(path[:-1]):
            self._add_target(_Target(member, path[index + 1 :], *_urls_of(member)))

    def _add_target(self, target: _Target) -> None:
        issuer = target.issuers[0]
        lookup = self._lookup(issuer)
        if not self._is_wanted(issuer) or lookup.mode is RevocationMode.OFF:
            return
        kinds = lookup.rules().sources
        if RevocationSource.CRL in kinds:
            self._add_urls(target.crl_urls, lookup)
            self._add_urls(lookup.sources, lookup, configured=True)
        urls = (lookup.ocsp_responder.url,) if lookup.ocsp_responder else target.ocsp_urls
        if RevocationSource.OCSP in kinds and urls and lookup.fetch is not Fetch.OFF:
            key = ocsp_key(issuer, target.certificate.parsed.serial_number)
            self._answers.setdefault(key, WantedAnswer(
                certificate=target.certificate, issuers=target.issuers, urls=urls, lookup=lookup,
                responder=self._scene.sources.rules_for(issuer).responder, configured=lookup.ocsp_responder is not None,
            ))  # fmt: skip

    def _add_urls(self, urls: Iterable[str], lookup: LookupSettings, *, configured: bool = False) -> None:
        if lookup.fetch is Fetch.OFF or lookup.mode is RevocationMode.OFF:
            return
        for url in urls:
            if url not in self._crls or configured > self._crls[url].configured:
                self._crls[url] = WantedCrl(url=url, lookup=lookup, configured=configured)

    def _path_of(self, certificate: PathCertificate) -> Members | None:
        return _first_path(certificate, self._scene)

    def _lookup(self, issuer: PathCertificate) -> LookupSettings:
        for authority, certificate in self._lookups:
            if certificate.subject == issuer.subject and certificate.public_key == issuer.public_key:
                return authority.lookup
        return self._settings.lookup

    def _lookup_of_key(self, issuer: str, signer: str) -> LookupSettings:
        from pam_sc.decision.names import name_key
        from pam_sc.trust.index_format import signer_hash

        for authority, certificate in self._lookups:
            if name_key(certificate.parsed.subject) == issuer and signer_hash(certificate.public_key) == signer:
                return authority.lookup
        return self._settings.lookup

    def _is_wanted(self, issuer: PathCertificate) -> bool:
        if self._selection.ca is None:
            return True
        wanted = [each for authority, each in self._lookups if authority.name == self._selection.ca]
        return any(each.subject == issuer.subject and each.public_key == issuer.public_key for each in wanted)


def _first_path(certificate: PathCertificate, scene: Scene) -> Members | None:
    paths = find_issuer_paths(certificate, scene.trust, scene.policy, scene.at, scene.others)
    return next(iter(paths), None)


def _urls_of(certificate: PathCertificate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = read_strictly(lambda: (crl_urls(certificate.parsed), ocsp_urls(certificate.parsed)))
    return ((), ()) if isinstance(found, Unparsable) else found


def stand_in(issuer: PathCertificate, serial: int) -> PathCertificate | None:
    """Return a certificate of this issuer's name and serial, with a key of nobody, to ask a responder about.

    A request keeps no certificate, and OCSP asks for issuer and serial alone. It is never trusted, only named.
    """
    found = read_strictly(lambda: _stand_in(issuer, serial))
    certificate = found if isinstance(found, Unparsable) else read_path_certificate(found)
    return None if isinstance(certificate, Unparsable) else certificate


def _stand_in(issuer: PathCertificate, serial: int) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ed25519.Ed25519PrivateKey.generate()
    day = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(issuer.parsed.subject)
    builder = builder.public_key(key.public_key()).serial_number(serial)
    return builder.not_valid_before(day).not_valid_after(day).sign(key, None).public_bytes(Encoding.DER)
