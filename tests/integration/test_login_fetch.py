# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logins that may use the network: OCSP and CRLs through the network process, good answers and every bad one.

Each case is a login through libpam under `mode = "require"` with nothing on the disk: it is granted only if what the
network process brought is genuine, fresh and good. Nothing that a server does makes a refusal "unavailable".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import rig as codes
from tests.support.der import tlv
from tests.support.namespace import is_available
from tests.support.ocsp_responder import Answer, OcspResponder
from tests.support.pam_host import Outcome
from tests.support.pam_world import World
from tests.support.pki import DAY, CertificateAuthority, Issued, now
from tests.support.rig import Rig, prompts, reason
from tests.support.stores import crl_with_entries

pytestmark = pytest.mark.root

ONLINE = 'mode = "require"\nfetch = "login"\nloopback = "allow"\ntimeout = 2\n'
NOT_AT_HAND, UNKNOWN, STALE = "revocation-not-at-hand", "revocation-unknown", "revocation-stale"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One world; each case brings its own card and configuration."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("online") / "world") as world:
        yield Rig(world)


@pytest.fixture
def responder(rig: Rig, tmp_path: Path) -> Iterator[OcspResponder]:
    """A responder for the trusted CA."""
    with OcspResponder(rig.setup.authority, tmp_path / "ocsp") as running:
        yield running


_CARDS = iter(range(1_000))


@pytest.fixture
def login(rig: Rig) -> Callable[..., Outcome]:
    """Log in as alice with a certificate, under these lines of [revocation]."""

    def attempt(leaf: Issued, revocation: str = ONLINE, **more: str) -> Outcome:
        return rig.login(rig.setup.card(f"online{next(_CARDS)}", [leaf], revocation=revocation, **more))

    return attempt


def granted(outcome: Outcome) -> bool:
    return outcome.codes["authenticate"] == codes.SUCCESS


def refused(outcome: Outcome, why: str) -> None:
    """Require the one refusal that no later module may pass over, before anybody was asked for a PIN."""
    assert (reason(outcome), outcome.codes["authenticate"]) == (why, codes.AUTH_ERR)
    assert prompts(outcome) == ()


# ---------------------------------------------------------------- OCSP


@pytest.mark.parametrize("answer", [Answer.DELEGATED, Answer.CA_SIGNED])
def test_good_answer_of_a_responder_is_enough(
    rig: Rig, responder: OcspResponder, login: Callable[..., Outcome], answer: Answer
) -> None:
    responder.answer = answer
    assert granted(login(rig.setup.authority.issue(ocsp=[responder.url])))
    assert responder.asked == 1


def test_revoked_certificate_is_refused(rig: Rig, responder: OcspResponder, login: Callable[..., Outcome]) -> None:
    leaf = rig.setup.authority.issue(ocsp=[responder.url])
    responder.revoke(leaf)
    refused(login(leaf), "certificate-revoked")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer.STALE, STALE),
        (Answer.FUTURE, UNKNOWN),
        (Answer.UNKNOWN, UNKNOWN),
        (Answer.WRONG_ISSUER, UNKNOWN),
        (Answer.WRONG_SIGNER, UNKNOWN),
        (Answer.BAD_SIGNATURE, UNKNOWN),
        (Answer.REPLAYED, UNKNOWN),
        (Answer.TRY_LATER, UNKNOWN),
        (Answer.GARBAGE, UNKNOWN),
        (Answer.EMPTY, UNKNOWN),
        (Answer.HUGE, NOT_AT_HAND),
        (Answer.SLOW, NOT_AT_HAND),
        (Answer.SILENT, NOT_AT_HAND),
        (Answer.HANG_UP, NOT_AT_HAND),
        (Answer.ENDLESS, NOT_AT_HAND),
        (Answer.REDIRECT_TO_SELF, NOT_AT_HAND),
        (Answer.REVOKED_SIGNER, UNKNOWN),
        (Answer.UNAUTHORIZED, UNKNOWN),
        (Answer.REDIRECT_TO_FILE, NOT_AT_HAND),
        (Answer.SERVER_ERROR, NOT_AT_HAND),
    ],
)
def test_bad_answer_of_a_responder_grants_nothing(
    rig: Rig, responder: OcspResponder, login: Callable[..., Outcome], answer: Answer, why: str
) -> None:
    responder.answer = answer
    started = time.monotonic()
    refused(login(rig.setup.authority.issue(ocsp=[responder.url])), why)
    assert time.monotonic() - started < 12, "the time for fetching is 2 s"


def test_every_responder_that_is_named_is_asked(
    rig: Rig, responder: OcspResponder, login: Callable[..., Outcome], tmp_path: Path
) -> None:
    with OcspResponder(rig.setup.authority, tmp_path / "second", Answer.SERVER_ERROR) as broken:
        assert granted(login(rig.setup.authority.issue(ocsp=[broken.url, responder.url])))
        assert (broken.asked, responder.asked) == (1, 1)


def test_configured_responder_may_be_on_loopback_and_a_named_one_may_not(
    rig: Rig, responder: OcspResponder, login: Callable[..., Outcome]
) -> None:
    strict = 'mode = "require"\nfetch = "login"\ntimeout = 2\n'
    refused(login(rig.setup.authority.issue(ocsp=[responder.url]), strict), NOT_AT_HAND)
    assert responder.asked == 0
    assert granted(login(rig.setup.authority.issue(), strict + f'ocsp_responder = "{responder.url}"\n'))


def test_answer_without_a_nonce_counts_unless_one_is_required(
    rig: Rig, responder: OcspResponder, login: Callable[..., Outcome]
) -> None:
    responder.answer = Answer.NO_NONCE
    leaf = rig.setup.authority.issue(ocsp=[responder.url])
    assert granted(login(leaf))
    refused(login(leaf, ONLINE + 'ocsp_nonce = "required"\n'), UNKNOWN)


# ---------------------------------------------------------------- CRLs


def serve(responder: OcspResponder, crl: bytes) -> str:
    return responder.serve("/ca.crl", crl, "application/pkix-crl")


def test_crl_of_the_distribution_point_is_enough(
    rig: Rig, responder: OcspResponder, login: Callable[..., Outcome]
) -> None:
    ca = rig.setup.authority
    leaf = ca.issue(crl_distribution_points=[serve(responder, ca.crl(pem=False))])
    assert granted(login(leaf))
    serve(responder, ca.crl([leaf], pem=False))
    refused(login(leaf), "certificate-revoked")


def test_crl_of_an_unrelated_key_is_not(rig: Rig, responder: OcspResponder, login: Callable[..., Outcome]) -> None:
    forged = CertificateAuthority("Example CA").crl(pem=False)
    leaf = rig.setup.authority.issue(crl_distribution_points=[serve(responder, forged)])
    refused(login(leaf), UNKNOWN)


def test_ten_bytes_are_no_crl(rig: Rig, responder: OcspResponder, login: Callable[..., Outcome]) -> None:
    leaf = rig.setup.authority.issue(crl_distribution_points=[serve(responder, b"0123456789")])
    refused(login(leaf), NOT_AT_HAND)


def test_stale_crl_is_not_enough(rig: Rig, responder: OcspResponder, login: Callable[..., Outcome]) -> None:
    ca = rig.setup.authority
    old = ca.crl(this_update=now() - 9 * DAY, next_update=now() - DAY, pem=False)
    refused(login(ca.issue(crl_distribution_points=[serve(responder, old)])), STALE)


def test_crl_answers_where_the_responder_does_not_know(
    rig: Rig, responder: OcspResponder, login: Callable[..., Outcome]
) -> None:
    ca = rig.setup.authority
    responder.answer = Answer.UNKNOWN
    leaf = ca.issue(ocsp=[responder.url], crl_distribution_points=[serve(responder, ca.crl(pem=False))])
    assert granted(login(leaf))
    refused(login(leaf, ONLINE + "either = false\n"), UNKNOWN)


# ---------------------------------------------------------------- where nothing may be fetched


@pytest.mark.parametrize("fetch", ["off", "refresh"])
def test_login_that_may_not_use_the_network_asks_nobody(
    rig: Rig, responder: OcspResponder, login: Callable[..., Outcome], fetch: str
) -> None:
    leaf = rig.setup.authority.issue(ocsp=[responder.url])
    refused(login(leaf, ONLINE.replace('"login"', f'"{fetch}"')), NOT_AT_HAND)
    assert responder.asked == 0


def test_untrusted_certificate_makes_nobody_fetch(rig: Rig, responder: OcspResponder, login: Callable[..., Outcome]) -> None:
    leaf = CertificateAuthority("Example CA").issue(ocsp=[responder.url])
    assert reason(login(leaf)) == "untrusted"
    assert responder.asked == 0


def test_what_is_known_is_not_fetched_again(rig: Rig, responder: OcspResponder, login: Callable[..., Outcome]) -> None:
    leaf = rig.setup.authority.issue(ocsp=[responder.url])
    at_hand = f'crls = "{rig.setup.inside}/crls"\n'
    assert granted(login(leaf, ONLINE + at_hand))
    assert responder.asked == 0


def test_server_that_hangs_is_no_way_around_a_required_card(
    rig: Rig, responder: OcspResponder, login: Callable[..., Outcome]
) -> None:
    responder.answer = Answer.SILENT
    leaf = rig.setup.authority.issue(ocsp=[responder.url])
    refused(login(leaf, ONLINE.replace("timeout = 2", "timeout = 60")), NOT_AT_HAND)


def test_crl_that_takes_all_the_time_to_look_at_is_no_way_around_a_required_card(
    rig: Rig, responder: OcspResponder
) -> None:
    """Its entries have critical extensions, so each is walked; who signed it is asked only then."""
    critical = tlv(0x30, tlv(0x30, bytes.fromhex("0603551d150101ff04030a0101")))
    entry = tlv(0x30, bytes.fromhex("020101") + tlv(0x17, b"250101120000Z") + critical)
    slow = crl_with_entries(CertificateAuthority("Example CA"), entry * 1_000_000, 1)
    leaf = rig.setup.authority.issue(crl_distribution_points=[serve(responder, slow)])
    config = rig.setup.card(f"online{next(_CARDS)}", [leaf], revocation=ONLINE)
    refused(rig.login(config, "timeout=4"), UNKNOWN)
