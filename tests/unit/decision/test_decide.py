# SPDX-License-Identifier: LGPL-2.1-or-later
"""The eleven steps: one login that is granted, and beside it, for each step, the near-misses that are not.

Every refusal differs from the granted login in one thing, and its reason is asserted.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import cache

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from pam_sc.decision.card_report import (
    CardReport,
    CertificateRef,
    CertificateReport,
    Failure,
    ModuleReport,
    PinState,
    SlotReport,
    TokenRef,
    TokenReport,
)
from pam_sc.decision.challenge import MECHANISMS, ChallengeBinding, build_challenge, signing_choices
from pam_sc.decision.decide import decide, furthest
from pam_sc.decision.evidence import (
    CertificateEvidence,
    CertificateFacts,
    Evidence,
    KeyKind,
    MappedAccounts,
    MappingFailed,
    NoPath,
    RevocationFinding,
    Situation,
    Unparsable,
    ValidPath,
)
from pam_sc.decision.policy import Policy, RevocationMode, RevocationRules, TokenSelector
from pam_sc.decision.possession import Answer, Attempt, CardFailure, NotSigned, Signed
from pam_sc.decision.reasons import REASONS, PamCode, Reason, Step
from pam_sc.decision.request import Account, Locality, LookupFailed, NoSuchAccount, Purpose, Request
from pam_sc.decision.verdict import Denied, Granted, Needs
from pam_sc.record import replace

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
TOKEN = TokenRef(0, 7)
LEAF = CertificateRef(TOKEN, 0)
SECOND = CertificateRef(TOKEN, 1)
OTHER_TOKEN = TokenRef(0, 8)
OTHER_LEAF = CertificateRef(OTHER_TOKEN, 0)


@cache
def private_key(which: int = 0) -> ec.EllipticCurvePrivateKey:
    del which  # the cache's key: each number is another key
    return ec.generate_private_key(ec.SECP256R1())


def facts(key: ec.EllipticCurvePrivateKey, **changes: object) -> CertificateFacts:
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    plain = CertificateFacts(
        subject="CN=alice",
        issuer="CN=Test CA",
        serial_number=1,
        not_before=NOW - datetime.timedelta(days=1),
        not_after=NOW + datetime.timedelta(days=1),
        key_kind=KeyKind.P256,
        key_bits=256,
        key_text="ECDSA P-256",
        signature_hash="sha256",
        key_usage=frozenset({"digitalSignature"}),
        extended_key_usage=frozenset({"1.3.6.1.5.5.7.3.2"}),
        sha256=b"\x11" * 32,
        public_key_der=spki,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def challenge(**changes: object) -> bytes:
    binding = ChallengeBinding(
        purpose=Purpose.LOGIN, nonce=b"n" * 32, leaf_sha256=b"\x11" * 32, machine_id="m", boot_id="b",
        service="login", account="alice",
    )
    return build_challenge(replace(binding, **changes))  # type: ignore[arg-type]


def sign(over: bytes, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    der = (key or private_key()).sign(over, ec.ECDSA(hashes.SHA256()))
    r, s = utils.decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def good(situation: Situation = Situation.GOOD) -> RevocationFinding:
    return RevocationFinding(subject="CN=alice", situation=situation, detail="CRL of CN=Test CA")


def accepted_certificate(**changes: object) -> CertificateEvidence:
    known = CertificateEvidence(
        facts=facts(private_key()),
        path=ValidPath(certificates=(b"leaf", b"anchor"), subjects=("CN=alice", "CN=Test CA")),
        revocation=(good(),),
        mapping=MappedAccounts(("alice",)),
    )
    return replace(known, **changes)  # type: ignore[arg-type]


def token(ref: TokenRef = TOKEN, **changes: object) -> TokenReport:
    plain = TokenReport(
        ref=ref, label="Card", serial="1", mechanisms=frozenset({"CKM_ECDSA"}),
        certificates=(CertificateReport(ref=CertificateRef(ref, 0), der=b"leaf"),),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def card(*tokens: TokenReport) -> CardReport:
    slots = tuple(SlotReport(slot_id=one.ref.slot_id, description="Reader", token=one) for one in tokens)
    return CardReport((ModuleReport(index=0, path="/module.so", slots=slots),))


def granted_evidence() -> Evidence:
    """Everything known about a login of alice that must be granted."""
    return Evidence(
        request=Request(service="login", account="alice", real_uid=0, effective_uid=0, saved_uid=0),
        locality=Locality(False, "test"),
        requested=Account("alice", 4001),
        card=card(token()),
        certificates={LEAF: accepted_certificate()},
        attempts=(Attempt(TOKEN, Answer.ANSWERED, Signed(LEAF, "CKM_ECDSA", sign(challenge()))),),
        challenges={LEAF: challenge()},
    )


def with_leaf(evidence: Evidence, **changes: object) -> Evidence:
    return evidence.with_certificate(LEAF, **changes)


def with_request(evidence: Evidence, **changes: object) -> Evidence:
    return replace(evidence, request=replace(evidence.request, **changes))  # type: ignore[arg-type]


def with_outcome(evidence: Evidence, outcome: Signed | NotSigned | None, answer: Answer = Answer.ANSWERED) -> Evidence:
    return replace(evidence, attempts=(Attempt(TOKEN, answer, outcome),))


def test_mechanisms_are_those_that_some_key_may_be_asked_to_sign_with() -> None:
    of_keys = {
        choice.mechanism
        for kind in KeyKind
        for choice in signing_choices(replace(facts(private_key()), key_kind=kind), frozenset(), b"challenge")
    }
    assert of_keys == MECHANISMS


def test_the_whole_login_is_granted() -> None:
    assert decide(granted_evidence(), Policy(), NOW) == Granted("alice", LEAF)


NEAR_MISSES: list[tuple[str, Callable[[Evidence], Evidence], Policy, Reason]] = [
    ("1 service not listed", lambda e: e, Policy(services=frozenset({"sudo"})), Reason.SERVICE_NOT_ALLOWED),
    ("1 remote", lambda e: replace(e, locality=Locality(True, "PAM_RHOST")), Policy(), Reason.REMOTE_REFUSED),
    ("1 no such account", lambda e: replace(e, requested=NoSuchAccount()), Policy(), Reason.ACCOUNT_UNKNOWN),
    ("1 name service error", lambda e: replace(e, requested=LookupFailed("EIO")), Policy(), Reason.ACCOUNT_LOOKUP_FAILED),
    ("1 another spelling", lambda e: replace(e, requested=Account("Alice", 4001)), Policy(), Reason.ACCOUNT_UNKNOWN),
    ("1 uid 0 of another name", lambda e: replace(e, requested=Account("alice", 0)), Policy(), Reason.ROOT_NOT_ALLOWED),
    (
        "1 unprivileged caller, other account",
        lambda e: with_request(e, real_uid=4002, effective_uid=4002, saved_uid=4002),
        Policy(),
        Reason.OTHER_ACCOUNT,
    ),
    ("2 no answer from the card", lambda e: replace(e, card=Failure(Reason.CARD_TIMEOUT, "")), Policy(), Reason.CARD_TIMEOUT),
    ("2 no reader", lambda e: replace(e, card=card()), Policy(), Reason.NO_READER),
    (
        "2 an empty reader",
        lambda e: replace(e, card=CardReport((ModuleReport(index=0, path="/m", slots=(SlotReport(slot_id=1),)),))),
        Policy(),
        Reason.NO_CARD,
    ),
    (
        "2 hidden token",
        lambda e: replace(
            e, card=CardReport((ModuleReport(index=0, path="/m", failure=Failure(Reason.TOKEN_HIDDEN, "/tokens")),))
        ),
        Policy(),
        Reason.TOKEN_HIDDEN,
    ),
    (
        "2 another token than selected",
        lambda e: e,
        Policy(select=TokenSelector(text="pkcs11:token=other", token="other")),
        Reason.TOKEN_NOT_SELECTED,
    ),
    ("3 no certificate", lambda e: replace(e, card=card(token(certificates=()))), Policy(), Reason.NO_CERTIFICATE),
    (
        "3 token unreadable",
        lambda e: replace(e, card=card(token(certificates=(), failure=Failure(Reason.TOKEN_UNREADABLE, "CKR")))),
        Policy(),
        Reason.TOKEN_UNREADABLE,
    ),
    ("4 unparsable", lambda e: with_leaf(e, facts=Unparsable("not DER")), Policy(), Reason.CERTIFICATE_UNREADABLE),
    (
        "4 expired a second ago",
        lambda e: with_leaf(e, facts=facts(private_key(), not_after=NOW - datetime.timedelta(seconds=1))),
        Policy(),
        Reason.CERTIFICATE_EXPIRED,
    ),
    (
        "4 valid in a second",
        lambda e: with_leaf(e, facts=facts(private_key(), not_before=NOW + datetime.timedelta(seconds=1))),
        Policy(),
        Reason.CERTIFICATE_NOT_YET_VALID,
    ),
    (
        "4 wrong key usage",
        lambda e: with_leaf(e, facts=facts(private_key(), key_usage=frozenset({"keyEncipherment"}))),
        Policy(),
        Reason.KEY_USAGE_UNSUITABLE,
    ),
    (
        "4 wrong extended key usage",
        lambda e: with_leaf(e, facts=facts(private_key(), extended_key_usage=frozenset({"1.3.6.1.5.5.7.3.1"}))),
        Policy(),
        Reason.EXTENDED_KEY_USAGE_UNSUITABLE,
    ),
    (
        "4 RSA-1024",
        lambda e: with_leaf(e, facts=facts(private_key(), key_kind=KeyKind.RSA, key_bits=1024)),
        Policy(),
        Reason.KEY_TOO_WEAK,
    ),
    (
        "4 unknown kind of key",
        lambda e: with_leaf(e, facts=facts(private_key(), key_kind=None)),
        Policy(),
        Reason.KEY_UNSUPPORTED,
    ),
    (
        "4 SHA-1 signature",
        lambda e: with_leaf(e, facts=facts(private_key(), signature_hash="sha1")),
        Policy(),
        Reason.ALGORITHM_TOO_WEAK,
    ),
    ("5 no path", lambda e: with_leaf(e, path=NoPath(Reason.UNTRUSTED, "")), Policy(), Reason.UNTRUSTED),
    (
        "6 revoked",
        lambda e: with_leaf(e, revocation=(good(Situation.REVOKED),)),
        Policy(),
        Reason.CERTIFICATE_REVOKED,
    ),
    (
        "6 unknown though a source is named",
        lambda e: with_leaf(e, revocation=(good(Situation.UNKNOWN),)),
        Policy(),
        Reason.REVOCATION_UNKNOWN,
    ),
    (
        "6 unknown, no source, but required",
        lambda e: with_leaf(e, revocation=(good(Situation.NO_SOURCE),)),
        Policy(revocation=RevocationRules(mode=RevocationMode.REQUIRE)),
        Reason.REVOCATION_UNKNOWN,
    ),
    ("6 a member was not looked at", lambda e: with_leaf(e, revocation=()), Policy(), Reason.REVOCATION_UNKNOWN),
    ("7 maps to bob", lambda e: with_leaf(e, mapping=MappedAccounts(("bob",))), Policy(), Reason.NOT_MAPPED),
    ("7 maps to nobody", lambda e: with_leaf(e, mapping=MappedAccounts(())), Policy(), Reason.NOT_MAPPED),
    ("7 mapper failed", lambda e: with_leaf(e, mapping=MappingFailed("")), Policy(), Reason.MAPPER_FAILED),
    ("9 PIN locked", lambda e: replace(e, card=card(token(pin_state=PinState.LOCKED))), Policy(), Reason.PIN_LOCKED),
    ("9 PIN not set", lambda e: replace(e, card=card(token(pin_state=PinState.NOT_SET))), Policy(), Reason.PIN_NOT_SET),
    ("9 last try", lambda e: replace(e, card=card(token(pin_state=PinState.FINAL_TRY))), Policy(), Reason.PIN_LAST_TRY),
    ("9 no PIN asked for", lambda e: replace(e, card=card(token(login_required=False))), Policy(), Reason.PIN_NOT_ASKED_FOR),
    (
        "9 pinpad",
        lambda e: replace(e, card=card(token(protected_authentication_path=True))),
        Policy(),
        Reason.PINPAD_ONLY,
    ),
    ("10 wrong PIN", lambda e: with_outcome(e, NotSigned(CardFailure.PIN_WRONG)), Policy(), Reason.PIN_WRONG),
    (
        "10 signed for another token",
        lambda e: replace(e, attempts=(Attempt(OTHER_TOKEN, Answer.ANSWERED, e.attempts[0].outcome),)),
        Policy(),
        Reason.TOKEN_CHANGED,
    ),
    (
        "11 signature of an older challenge",
        lambda e: with_outcome(e, Signed(LEAF, "CKM_ECDSA", sign(challenge(nonce=b"o" * 32)))),
        Policy(),
        Reason.SIGNATURE_INVALID,
    ),
    (
        "11 signature for another purpose",
        lambda e: with_outcome(e, Signed(LEAF, "CKM_ECDSA", sign(challenge(purpose=Purpose.EXPLAIN)))),
        Policy(),
        Reason.SIGNATURE_INVALID,
    ),
    (
        "11 signature for another account",
        lambda e: with_outcome(e, Signed(LEAF, "CKM_ECDSA", sign(challenge(account="bob")))),
        Policy(),
        Reason.SIGNATURE_INVALID,
    ),
    (
        "11 signature by another key",
        lambda e: with_outcome(e, Signed(LEAF, "CKM_ECDSA", sign(challenge(), private_key(1)))),
        Policy(),
        Reason.SIGNATURE_INVALID,
    ),
    (
        "11 mechanism that was not asked for",
        lambda e: with_outcome(e, Signed(LEAF, "CKM_ECDSA_SHA256", sign(challenge()))),
        Policy(),
        Reason.SIGNATURE_INVALID,
    ),
    (
        "11 certificate that was not asked for",
        lambda e: with_outcome(e, Signed(SECOND, "CKM_ECDSA", sign(challenge()))),
        Policy(),
        Reason.SIGNATURE_INVALID,
    ),
    ("11 no challenge was made", lambda e: replace(e, challenges={}), Policy(), Reason.SIGNATURE_INVALID),
    (
        "11 signature of length 0",
        lambda e: with_outcome(e, Signed(LEAF, "CKM_ECDSA", b"")),
        Policy(),
        Reason.SIGNATURE_INVALID,
    ),
]


@pytest.mark.parametrize(
    ("change", "policy", "reason"), [case[1:] for case in NEAR_MISSES], ids=[case[0] for case in NEAR_MISSES]
)
def test_a_login_that_differs_in_one_thing_is_refused_for_that_reason(
    change: Callable[[Evidence], Evidence], policy: Policy, reason: Reason
) -> None:
    verdict = decide(change(granted_evidence()), policy, NOW)
    assert isinstance(verdict, Denied)
    assert verdict.reason is reason


@pytest.mark.parametrize(
    ("answer", "reason", "code"),
    [
        (Answer.EMPTY, Reason.PIN_EMPTY, PamCode.AUTH_ERR),
        (Answer.NOT_GIVEN, Reason.PIN_NOT_GIVEN, PamCode.AUTH_ERR),
        (Answer.FAILED, Reason.CONVERSATION_FAILED, PamCode.CONV_ERR),
        (Answer.AGAIN, Reason.CONVERSATION_AGAIN, PamCode.INCOMPLETE),
        (Answer.TOO_LONG, Reason.ANSWER_TOO_LONG, PamCode.CONV_ERR),
        (Answer.NOT_STACKED, Reason.NO_STACKED_PIN, PamCode.AUTH_ERR),
        (Answer.TIMEOUT, Reason.PROMPT_TIMEOUT, PamCode.AUTHINFO_UNAVAIL),
    ],
)
def test_without_an_answer_the_card_is_never_asked(answer: Answer, reason: Reason, code: PamCode) -> None:
    verdict = decide(with_outcome(granted_evidence(), None, answer), Policy(), NOW)
    assert isinstance(verdict, Denied)
    assert (verdict.reason, verdict.code(card_required=False)) == (reason, code)


@pytest.mark.parametrize("failure", list(CardFailure))
def test_every_failure_of_the_card_has_a_reason_of_its_own(failure: CardFailure) -> None:
    verdict = decide(with_outcome(granted_evidence(), NotSigned(failure)), Policy(), NOW)
    assert isinstance(verdict, Denied)
    expected = Reason.PIN_LAST_TRY.value if failure is CardFailure.LAST_TRY_STACKED else failure.value
    assert expected in verdict.reason.value


MISSING: list[tuple[str, Callable[[Evidence], Evidence], Step]] = [
    ("locality", lambda e: replace(e, locality=None), Step.REQUEST),
    ("account", lambda e: replace(e, requested=None), Step.REQUEST),
    ("card", lambda e: replace(e, card=None), Step.TOKEN),
    ("facts", lambda e: with_leaf(e, facts=None), Step.SUITABLE),
    ("path", lambda e: with_leaf(e, path=None), Step.PATH),
    ("revocation", lambda e: with_leaf(e, revocation=None), Step.REVOCATION),
    ("mapping", lambda e: with_leaf(e, mapping=None), Step.MAPPING),
    ("answer", lambda e: replace(e, attempts=()), Step.PIN),
    ("proof", lambda e: with_outcome(e, None), Step.PROOF),
]


@pytest.mark.parametrize(("forget", "step"), [case[1:] for case in MISSING], ids=[case[0] for case in MISSING])
def test_what_is_missing_is_asked_for_at_its_step(forget: Callable[[Evidence], Evidence], step: Step) -> None:
    verdict = decide(forget(granted_evidence()), Policy(), NOW)
    assert isinstance(verdict, Needs)
    assert verdict.step is step


def test_a_refused_certificate_never_costs_a_pin_try() -> None:
    evidence = replace(with_leaf(granted_evidence(), path=NoPath(Reason.UNTRUSTED, "")), attempts=())
    verdict = decide(evidence, Policy(), NOW)
    assert isinstance(verdict, Denied)
    assert verdict.reason is Reason.UNTRUSTED


# ---------------------------------------------------------------- the card names the account


def nameless(evidence: Evidence) -> Evidence:
    anonymous = replace(with_request(evidence, account=None), requested=None)
    return anonymous.with_account("alice", Account("alice", 4001))


def test_the_card_may_name_the_account_to_root_in_a_listed_service() -> None:
    assert decide(nameless(granted_evidence()), Policy(), NOW) == Granted("alice", LEAF)


def test_in_another_service_the_card_names_nobody() -> None:
    verdict = decide(with_request(nameless(granted_evidence()), service="su"), Policy(), NOW)
    assert isinstance(verdict, Denied)
    assert verdict.reason is Reason.ACCOUNT_NOT_NAMED


def test_for_another_caller_than_root_an_empty_name_means_the_caller() -> None:
    evidence = with_request(nameless(granted_evidence()), real_uid=4002)
    verdict = decide(replace(evidence, requested=Account("bob", 4002)), Policy(), NOW)
    assert isinstance(verdict, Denied)
    assert verdict.reason is Reason.NOT_MAPPED


def test_an_account_the_card_names_must_exist() -> None:
    evidence = nameless(granted_evidence()).with_account("alice", NoSuchAccount())
    verdict = decide(evidence, Policy(), NOW)
    assert isinstance(verdict, Denied)
    assert verdict.reason is Reason.MAPPED_ACCOUNT_UNKNOWN


def test_an_account_the_card_names_is_looked_up_first() -> None:
    evidence = replace(nameless(granted_evidence()), accounts={})
    assert decide(evidence, Policy(), NOW) == Needs(Step.MAPPING, LEAF, account="alice")


def test_two_existing_accounts_never_pick_one() -> None:
    evidence = with_leaf(nameless(granted_evidence()), mapping=MappedAccounts(("alice", "bob")))
    verdict = decide(evidence.with_account("bob", Account("bob", 4002)), Policy(), NOW)
    assert isinstance(verdict, Denied)
    assert verdict.reason is Reason.MAPPED_TO_SEVERAL


def test_of_two_accounts_only_one_of_which_exists_that_one_is_taken() -> None:
    evidence = with_leaf(nameless(granted_evidence()), mapping=MappedAccounts(("ghost", "alice")))
    assert decide(evidence.with_account("ghost", NoSuchAccount()), Policy(), NOW) == Granted("alice", LEAF)


def test_the_card_cannot_name_root() -> None:
    evidence = nameless(granted_evidence()).with_account("alice", Account("alice", 0))
    verdict = decide(evidence, Policy(), NOW)
    assert isinstance(verdict, Denied)
    assert verdict.reason is Reason.ROOT_NOT_ALLOWED
    assert decide(evidence, Policy(allow_root=True), NOW) == Granted("alice", LEAF)


# ---------------------------------------------------------------- several of everything


def two_certificates(evidence: Evidence, **second: object) -> Evidence:
    certificates = (CertificateReport(ref=LEAF, der=b"leaf"), CertificateReport(ref=SECOND, der=b"second"))
    richer = replace(evidence, card=card(token(certificates=certificates)))
    return richer.with_certificate(SECOND, **{**as_changes(accepted_certificate()), **second})


def as_changes(known: CertificateEvidence) -> dict[str, object]:
    return {"facts": known.facts, "path": known.path, "revocation": known.revocation, "mapping": known.mapping}


def test_a_bad_first_certificate_does_not_hide_the_second() -> None:
    evidence = with_leaf(two_certificates(granted_evidence()), path=NoPath(Reason.UNTRUSTED, ""))
    evidence = replace(evidence, challenges={SECOND: challenge()})
    signed = Signed(SECOND, "CKM_ECDSA", sign(challenge()))
    assert decide(with_outcome(evidence, signed), Policy(), NOW) == Granted("alice", SECOND)


def test_all_certificates_of_one_token_for_the_account_are_candidates_in_order() -> None:
    evidence = replace(two_certificates(granted_evidence()), attempts=())
    assert decide(evidence, Policy(), NOW) == Needs(Step.PIN, account="alice", candidates=(LEAF, SECOND))


def test_the_refusal_that_came_furthest_counts() -> None:
    evidence = with_leaf(
        two_certificates(granted_evidence(), revocation=(good(Situation.REVOKED),)),
        path=NoPath(Reason.UNTRUSTED, ""),
    )
    verdict = decide(evidence, Policy(), NOW)
    assert isinstance(verdict, Denied)
    assert (verdict.reason, verdict.certificate) == (Reason.CERTIFICATE_REVOKED, SECOND)


def test_at_a_tie_the_first_refusal_counts() -> None:
    first, second = Denied(Reason.UNTRUSTED, "first"), Denied(Reason.PATH_INVALID, "second")
    assert furthest([first, second]) is first


def test_a_token_with_a_locked_pin_does_not_hide_the_next() -> None:
    locked, fine = token(pin_state=PinState.LOCKED), token(OTHER_TOKEN)
    evidence = replace(granted_evidence(), card=card(locked, fine), attempts=())
    evidence = evidence.with_certificate(OTHER_LEAF, **as_changes(accepted_certificate()))
    assert decide(evidence, Policy(), NOW) == Needs(Step.PIN, account="alice", candidates=(OTHER_LEAF,))


def test_an_unreadable_token_does_not_hide_the_next() -> None:
    broken = token(certificates=(), failure=Failure(Reason.TOKEN_UNREADABLE, ""))
    evidence = replace(granted_evidence(), card=card(broken, token(OTHER_TOKEN)), attempts=())
    evidence = evidence.with_certificate(OTHER_LEAF, **as_changes(accepted_certificate()))
    assert decide(evidence, Policy(), NOW) == Needs(Step.PIN, account="alice", candidates=(OTHER_LEAF,))


# ---------------------------------------------------------------- the table of reasons


def test_every_reason_has_exactly_one_row() -> None:
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_no_reason_is_a_success_and_with_a_required_card_none_is_unavailable(reason: Reason) -> None:
    assert Denied(reason).code(card_required=False) is not PamCode.SUCCESS
    assert Denied(reason).code(card_required=True) not in (PamCode.SUCCESS, PamCode.AUTHINFO_UNAVAIL)


def test_a_last_try_is_used_only_where_allowed() -> None:
    evidence = replace(granted_evidence(), card=card(token(pin_state=PinState.FINAL_TRY)))
    assert decide(evidence, Policy(allow_last_try=True), NOW) == Granted("alice", LEAF)
