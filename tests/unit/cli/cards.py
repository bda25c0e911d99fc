# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine that is not there: one token with three certificates, and commands that run against it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field

from pam_sc.cli.checking import Checked
from pam_sc.cli.inspection import Inspection
from pam_sc.cli.pam_stack import StackResult
from pam_sc.cli.steps import Rehearsal
from pam_sc.config.finding import Finding
from pam_sc.config.model import Configuration, MapperSettings, ModuleSettings, TokenSettings, TrustSettings
from pam_sc.config.stig import StigAnswer
from pam_sc.decision.card_report import (
    CardReport,
    CertificateRef,
    CertificateReport,
    ModuleReport,
    SlotReport,
    TokenRef,
    TokenReport,
)
from pam_sc.decision.decide import decide
from pam_sc.decision.evidence import (
    CertificateEvidence,
    CertificateFacts,
    Evidence,
    KeyKind,
    MappedAccounts,
    NoPath,
    RevocationFinding,
    Situation,
    ValidPath,
)
from pam_sc.decision.policy import Policy
from pam_sc.decision.possession import Answer, Attempt, CardFailure, NotSigned
from pam_sc.decision.reasons import Reason
from pam_sc.decision.request import Account, AccountLookup, Locality, NoSuchAccount, Purpose, Request
from pam_sc.record import replace

AT = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
YEAR = datetime.timedelta(days=365)
TOKEN = TokenRef(0, 7)
GOOD, EXPIRED, FOREIGN = (CertificateRef(TOKEN, index) for index in range(3))
ACCOUNTS: dict[str, AccountLookup] = {"alice": Account("alice", 1000)}
EVIL = "Card\x1b[2J\n\u202e"
"""A label that would do things to a terminal."""


def facts(subject: str, index: int, **changes: object) -> CertificateFacts:
    made = CertificateFacts(
        subject=subject,
        issuer="CN=Test Root",
        serial_number=4096 + index,
        not_before=AT - YEAR,
        not_after=AT + YEAR,
        key_kind=KeyKind.P256,
        key_bits=256,
        key_text="ECDSA P-256",
        signature_hash="sha256",
        key_usage=frozenset({"digitalSignature"}),
        extended_key_usage=frozenset({"1.3.6.1.5.5.7.3.2"}),
        sha256=bytes([index]) * 32,
        public_key_der=b"key",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def known(index: int, subject: str, **changes: object) -> CertificateEvidence:
    finding = RevocationFinding(subject=subject, situation=Situation.GOOD, detail="CRL 1")
    return CertificateEvidence(
        facts=facts(subject, index, **changes),
        path=ValidPath(certificates=(b"leaf", b"root"), subjects=(subject, "CN=Test Root")),
        revocation=(finding,),
        mapping=MappedAccounts(("alice",), "cn saw 'alice'"),
    )


CERTIFICATES = {
    GOOD: known(0, "CN=alice"),
    EXPIRED: known(1, "CN=old alice", not_after=AT - YEAR),
    FOREIGN: replace(known(2, "CN=stranger"), path=NoPath(Reason.UNTRUSTED, "nobody issued it"), mapping=None),
}


def token(**changes: object) -> TokenReport:
    reports = tuple(CertificateReport(ref=ref, der=b"der", object_id=b"\x01", label="login") for ref in CERTIFICATES)
    made = TokenReport(ref=TOKEN, label=EVIL, manufacturer="Maker", model="M", serial="1", pin_min=4, pin_max=8,
                       certificates=reports)  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def card(the_token: TokenReport | None) -> CardReport:
    slot = SlotReport(slot_id=7, description="Reader", token=the_token)
    return CardReport((ModuleReport(index=0, path="/m.so", description="Driver", version="1.0", slots=(slot,)),))


def request(user: str | None = "alice", service: str = "login") -> Request:
    return Request(service=service, account=user, real_uid=0, effective_uid=0, saved_uid=0, purpose=Purpose.EXPLAIN)


def rehearsal(evidence: Evidence, policy: Policy | None = None) -> Rehearsal:
    rules = policy or Policy()
    return Rehearsal(evidence=evidence, policy=rules, at=AT, verdict=decide(evidence, rules, AT))


def evidence(asked: Request | None = None, the_token: TokenReport | None = None) -> Evidence:
    asked = asked or request()
    return Evidence(
        request=asked,
        locality=Locality(False, "asked by root"),
        requested=ACCOUNTS.get(asked.account, NoSuchAccount()) if asked.account else None,
        card=card(the_token or token()),
        certificates=CERTIFICATES,
        accounts=ACCOUNTS,
    )


def wrong_pin(before: Evidence) -> Evidence:
    failed = NotSigned(CardFailure.PIN_WRONG, "CKR_PIN_INCORRECT")
    return replace(before, attempts=(Attempt(TOKEN, Answer.ANSWERED, failed),))


CONFIGURATION = Configuration(
    source="/etc/pam_sc/pam_sc.toml",
    token=TokenSettings(modules=(ModuleSettings(path="/m.so"),)),
    trust=TrustSettings(anchors="/a"),
    mappers=(MapperSettings(name="cn", table={}, where=""),),
)


PATHS = {
    "module": "/opt/pam_sc.so",
    "worker": "/opt/pam_sc_worker",
    "config": "/etc/pam_sc/pam_sc.toml",
    "store": "/var/lib/pam_sc/revocation",
}


@dataclass
class FakeMachine:
    """Answers what it is given, and remembers what it was asked."""

    the_token: TokenReport = field(default_factory=token)
    policy: Policy = field(default_factory=Policy)
    findings: Sequence[Finding] = ()
    stig: Sequence[StigAnswer] = ()
    error: Exception | None = None
    stack: StackResult = field(default_factory=lambda: StackResult(0, "Success", (), 0))
    pin_is_wrong: bool = False
    named_config: str | None = None
    asked: list[object] = field(default_factory=list)

    def install_paths(self) -> dict[str, str]:
        return PATHS

    def load_configuration(self, path: str | None, service: str | None = None) -> Configuration:
        self.asked.append(("configuration", path))
        if self.error:
            raise self.error
        return CONFIGURATION

    def load_for_monitor(self, path: str | None, arguments: Sequence[str] = ()) -> Configuration:
        return self.load_configuration(path)

    def check(self, path: str | None) -> Checked:
        configuration = self.load_configuration(path)
        return Checked(source="/etc/x", configuration=configuration, findings=tuple(self.findings), stig=tuple(self.stig))

    def request(self, user: str | None, service: str) -> Request:
        return request(user, service)

    def rehearse(self, request: Request, configuration: Configuration, *, with_pin: bool) -> Rehearsal:
        assert configuration is CONFIGURATION
        self.asked.append(("pin", with_pin))
        found = evidence(request, self.the_token)
        return rehearsal(wrong_pin(found) if with_pin and self.pin_is_wrong else found, self.policy)

    def look_up(self, account: str) -> AccountLookup:
        return ACCOUNTS.get(account, NoSuchAccount())

    def inspect(self, configuration: Configuration, certificate: bytes | None = None) -> Inspection:
        assert configuration is CONFIGURATION
        assert certificate is None
        return Inspection(
            rehearsal=rehearsal(evidence(request(None), self.the_token)),
            policy=self.policy,
            sees={bytes([0]) * 32: (("cn", ("alice", EVIL)),)},
            unusable={bytes([2]) * 32: ("commonName 'x' holds a control character",)},
            accounts={"alice": Account("alice", 1000)},
        )

    def config_of_service(self, service: str) -> str | None:
        self.asked.append(("service", service))
        return self.named_config

    def ask_secret(self, prompt: str) -> str:
        self.asked.append(("secret", prompt))
        return "1234"

    def authenticate(self, user: str, service: str, secret: str) -> StackResult:
        self.asked.append(("stack", user, service, secret))
        return self.stack
