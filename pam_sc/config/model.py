# SPDX-License-Identifier: LGPL-2.1-or-later
"""The configuration as frozen values, whatever file format it came from. toml.py fills it; nothing else builds one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pam_sc.decision.policy import DEFAULT_CARD_NAMES_USER, Policy, RevocationMode, TokenSelector
from pam_sc.record import field, record

DEFAULT_PATH = "/etc/pam_sc/pam_sc.toml"
DEFAULT_RUN_AS = "pam_sc_card"
VERIFIER_ACCOUNT = "pam_sc"


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


@record(kw_only=True)
class TrustSettings:
    """[trust]: files or folders of certificates, PEM or DER."""

    anchors: str
    intermediates: str | None = None


@record(kw_only=True)
class RevocationSettings:
    """[revocation]: how strictly, and a file or folder of CRLs, PEM or DER."""

    mode: RevocationMode = RevocationMode.NAMED
    crls: str | None = None


@record(kw_only=True)
class AccountSettings:
    """[account]: who may log in with a card, where and how named."""

    allow_root: bool = False
    card_names_user: frozenset[str] = DEFAULT_CARD_NAMES_USER
    services: frozenset[str] | None = None
    remote_allowed: bool = False
    """`remote = "allow"` in the file; the default is "refuse"."""


@record(kw_only=True)
class PinSettings:
    """[pin]: what may be tried."""

    allow_last_try: bool = False


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
    mappers: tuple[MapperSettings, ...]

    def policy(self) -> Policy:
        """The rules of this configuration for `decide`."""
        return Policy(
            services=self.account.services,
            remote_allowed=self.account.remote_allowed,
            allow_root=self.account.allow_root,
            card_names_user=self.account.card_names_user,
            card_required=self.card_required,
            select=self.token.select,
            revocation=self.revocation.mode,
            allow_last_try=self.pin.allow_last_try,
        )
