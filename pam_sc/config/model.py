# SPDX-License-Identifier: LGPL-2.1-or-later
"""The configuration as frozen values, whatever file format it came from. toml.py fills it; nothing else builds one."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from typing import Any

from pam_sc.config.notes import Note
from pam_sc.decision.policy import (
    ANY_POLICY,
    DEFAULT_CARD_NAMES_USER,
    DEFAULT_PRIVILEGED_SERVICES,
    Algorithms,
    CertificateSelector,
    Members,
    PathInputs,
    Policy,
    RevocationMode,
    RevocationRules,
    RevocationSource,
    TokenSelector,
    UnlockRules,
)
from pam_sc.record import field, record

DEFAULT_PATH = "/etc/pam_sc/pam_sc.toml"
DEFAULT_RUN_AS = "pam_sc_card"
DEFAULT_HOLD_SERVICES = frozenset({"gdm-smartcard"})
"""GDM begins a refused login anew at once, for as long as the card is in the reader."""
VERIFIER_ACCOUNT = "pam_sc"
DEFAULT_STORE = "/var/lib/pam_sc/revocation"


@record(kw_only=True)
class ModuleSettings:
    """One [[token.module]]: the PKCS#11 module and the only environment variables it sees."""

    path: str
    environment: Mapping[str, str] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    """System calls that the card process's filter lets through for this module, beyond the usual ones, by name."""


@record(kw_only=True)
class TokenSettings:
    """[token]: where tokens are found."""

    modules: tuple[ModuleSettings, ...]
    select: TokenSelector | None = None
    run_as: str = DEFAULT_RUN_AS
    login_first: bool = False


@record(kw_only=True)
class TrustSettings:
    """[trust]: files or folders of certificates, PEM or DER, and the rules of a path."""

    anchors: str
    intermediates: str | None = None
    algorithms: Algorithms = Algorithms.CURRENT
    strict: bool = True
    """`strict = false`: CAs that do not keep to every rule of RFC 5280 count."""
    partial_paths: bool = False
    policies: frozenset[str] | None = None
    """Certificate policies of which the path must be valid for one; None: any."""


class Fetch(enum.Enum):
    """Who may use the network for revocation: nobody, `pam-sc refresh`, or a login too."""

    OFF = "off"
    REFRESH = "refresh"
    LOGIN = "login"


class OcspNonce(enum.Enum):
    """RFC 9654: not sent; sent, and an answer without one counts; sent, and an answer must repeat it.

    An answer with another nonce never counts.
    """

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


@record(kw_only=True)
class OcspResponder:
    """A responder that the administrator names: `ocsp_responder = "URL"` or `{ url = "...", certificate = "/..." }`."""

    url: str
    certificate: str | None = None
    """A file with the certificate whose key signs its answers; None: RFC 6960's own rules for signers alone."""


@record(kw_only=True)
class LookupSettings:
    """What [revocation] and each [[revocation.ca]] say about looking things up; a CA's own is complete by itself."""

    mode: RevocationMode = RevocationMode.NAMED
    fetch: Fetch = Fetch.REFRESH
    ocsp: bool = True
    ocsp_responder: OcspResponder | None = None
    ocsp_nonce: OcspNonce = OcspNonce.OPTIONAL
    order: tuple[RevocationSource, ...] = (RevocationSource.OCSP, RevocationSource.CRL)
    either: bool = True
    sources: tuple[str, ...] = ()
    """URLs of CRLs beyond those that certificates name."""
    timeout_s: int = 10
    """For all that one login fetches, and for each thing that `pam-sc refresh` fetches."""
    max_bytes: int = 256 << 20
    """`max_size` in the file."""
    clock_skew_s: int = 300
    proxy: str | None = None
    """URL of an HTTP proxy for http and https."""
    loopback: bool = False
    """`loopback = "allow"` in the file: URLs in certificates may lead to loopback and link-local addresses."""

    def rules(self) -> RevocationRules:
        """The part of it that decides."""
        kinds = self.order if self.ocsp else tuple(kind for kind in self.order if kind is not RevocationSource.OCSP)
        return RevocationRules(
            mode=self.mode,
            sources=kinds,
            either=self.either,
            clock_skew=datetime.timedelta(seconds=self.clock_skew_s),
        )


@record(kw_only=True)
class CaSettings:
    """One [[revocation.ca]]: for what this CA issues, `lookup` holds instead of the whole's."""

    name: str
    certificate: str
    """A file with the CA's certificates: its name with any of their keys is meant."""
    lookup: LookupSettings
    where: str
    """Where it stands, for error messages."""


@record(kw_only=True)
class RevocationSettings:
    """[revocation]: what is at hand, and how it is looked up."""

    crls: str | None = None
    """A file or folder of CRLs, PEM or DER."""
    store: str = DEFAULT_STORE
    """The folder that `pam-sc refresh` fills. It need not exist."""
    lookup: LookupSettings = field(default_factory=LookupSettings)
    authorities: tuple[CaSettings, ...] = ()

    @property
    def fetches_at_login(self) -> bool:
        """Some CA's certificates let a login use the network."""
        lookups = (self.lookup, *(authority.lookup for authority in self.authorities))
        return any(lookup.fetch is Fetch.LOGIN for lookup in lookups)


@record(kw_only=True)
class AccountSettings:
    """[account]: who may log in with a card, where and how named."""

    allow_root: bool = False
    card_names_user: frozenset[str] = DEFAULT_CARD_NAMES_USER
    privileged_services: frozenset[str] = DEFAULT_PRIVILEGED_SERVICES
    """Where files in homes and GECOS fields are believed only for a mapper whose `believed_for` names the service."""
    services: frozenset[str] | None = None
    remote_allowed: bool = False
    """`remote = "allow"` in the file; the default is "refuse"."""
    must_use: Members = field(default_factory=Members)
    may_use: Members | None = None
    must_not_use: Members = field(default_factory=Members)


@record(kw_only=True)
class PinSettings:
    """[pin]: what may be tried."""

    allow_last_try: bool = False
    prompts: int = 1
    min_length: int = 0
    """Bytes; the token's own limits hold as well."""
    max_length: int = 0
    """Bytes; 0: the token's own limit alone."""
    pattern: str | None = None
    """A regular expression (pattern.py) that a PIN must match as a whole; PUKs are not held against it."""
    pinpad: bool = False
    allow_no_pin: bool = False
    wrong_max: int = 2
    """Wrong PINs in a row to a token that shows no counter, before it is left alone (tries.py)."""


@record(kw_only=True)
class CertificateSettings:
    """[certificate]: which certificates of a token count, which come first, when their end is announced."""

    select: CertificateSelector | None = None
    prefer: tuple[CertificateSelector, ...] = ()
    warn_days: int = 30
    """A certificate that expires within so many days is announced after success; 0: never."""


@record(kw_only=True)
class LogSettings:
    """[log]: what the system's log is told."""

    identity: bool = False
    """Names of certificates and tokens too, not only what stands for them on this machine."""


@record(kw_only=True)
class PromptSettings:
    """[prompt]: what the person reads."""

    token_type: str | None = None
    """What a card is called where its PIN is asked for; None: by its label."""
    quiet: bool = False
    """Show no message but the question for the PIN."""
    choose: bool = False
    hold: bool | None = None
    """A refusal before anything was asked is held until the card is removed, or for a minute. None: in DEFAULT_HOLD_SERVICES."""

    def holds(self, service: str) -> bool:
        """Say whether refusals are held in this service."""
        return service in DEFAULT_HOLD_SERVICES if self.hold is None else self.hold


@record(kw_only=True)
class MapperSettings:
    """One [[mapper]]: its name, its own table without `name`, and where it stands, for error messages."""

    name: str
    table: Mapping[str, Any]
    where: str


@record(kw_only=True)
class Configuration:
    """One whole configuration file."""

    source: str
    card_required: bool = False
    """`card = "required"` at the top of the file; the default is "optional"."""
    token: TokenSettings
    trust: TrustSettings
    revocation: RevocationSettings = field(default_factory=RevocationSettings)
    account: AccountSettings = field(default_factory=AccountSettings)
    pin: PinSettings = field(default_factory=PinSettings)
    prompt: PromptSettings = field(default_factory=PromptSettings)
    certificate: CertificateSettings = field(default_factory=CertificateSettings)
    unlock: UnlockRules = field(default_factory=UnlockRules)
    log: LogSettings = field(default_factory=LogSettings)
    wait_s: int = 0
    """`wait` in the file."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """[texts]: what the person reads instead of our own text, by the name of the text (texts.py)."""
    monitor: Mapping[str, Any] = field(default_factory=dict)  # as read; monitoring.py makes the monitor's policy of it
    services: tuple[str, ...] = ()
    """The services that have a table [service.NAME]; what that says is in this configuration already."""
    mappers: tuple[MapperSettings, ...]
    notes: tuple[Note, ...] = ()
    """What there is to say about the lines of a file in the peer's format; the unsafe ones at every login."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Where a key was said, by its dotted name, for a file in the peer's format."""

    def policy(self) -> Policy:
        """The rules of this configuration for `decide`."""
        return Policy(
            services=self.account.services,
            remote_allowed=self.account.remote_allowed,
            allow_root=self.account.allow_root,
            card_names_user=self.account.card_names_user,
            card_required=self.card_required,
            select=self.token.select,
            revocation=self.revocation.lookup.rules(),
            algorithms=self.trust.algorithms,
            path=PathInputs(
                policies=self.trust.policies or frozenset({ANY_POLICY}),
                explicit_policy=self.trust.policies is not None,
                strict=self.trust.strict,
                partial=self.trust.partial_paths,
            ),
            allow_last_try=self.pin.allow_last_try,
            prompts=self.pin.prompts,
            pinpad=self.pin.pinpad,
            allow_no_pin=self.pin.allow_no_pin,
            login_first=self.token.login_first,
            must_use=self.account.must_use,
            may_use=self.account.may_use,
            must_not_use=self.account.must_not_use,
            certificate_select=self.certificate.select,
            prefer=self.certificate.prefer,
            choose=self.prompt.choose,
            wait_s=self.wait_s,
            unlock=self.unlock,
        )
