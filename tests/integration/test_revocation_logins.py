# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attacks on revocation at the level of a real login: other people's keys, squatted names, files that change.

Beside each refusal stands a login that differs in one thing; code and reason are asserted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.support import rig as codes
from tests.support.keys import fresh_key, shared_key
from tests.support.namespace import is_available
from tests.support.pam_world import World
from tests.support.pki import CertificateAuthority, Issued
from tests.support.rig import INSIDE, Rig, prompts, reason
from tests.support.softhsm import Entry

pytestmark = pytest.mark.root

UNKNOWN, REVOKED = (codes.AUTH_ERR, "revocation-unknown"), (codes.AUTH_ERR, "certificate-revoked")
NOT_AT_HAND, GRANTED = (codes.AUTH_ERR, "revocation-not-at-hand"), (codes.SUCCESS, None)
NAME = "Example Issuing"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One world for all; each brings its own card, certificates and CRLs."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("revocation") / "world") as world:
        yield Rig(world)


class Case:
    """A card whose configuration has intermediates and CRLs of its own; the anchor is the rig's authority."""

    def __init__(self, rig: Rig, name: str, entries: Sequence[Entry | Issued], settings: str = "") -> None:
        self.rig = rig
        self.folder = f"{INSIDE}/{name}"
        self.config = rig.setup.card(name, entries)
        self.files("intermediates")
        self.files("crls", rig.setup.authority.crl())
        text = rig.world.path(self.config).read_text().replace(f'"{INSIDE}/crls"', f'"{self.folder}/crls"\n{settings}')
        text = text.replace("[revocation]", f'intermediates = "{self.folder}/intermediates"\n[revocation]')
        rig.world.put(self.config, text)

    def files(self, kind: str, *contents: bytes) -> None:
        """Put these files into one of its folders, beside what is there."""
        folder = self.rig.world.path(f"{self.folder}/{kind}")
        folder.mkdir(parents=True, exist_ok=True)
        for content in contents:
            self.rig.world.put(f"{self.folder}/{kind}/{len(list(folder.iterdir()))}.pem", content)

    def outcome(self) -> tuple[int, str | None]:
        """The code and the reason of a login."""
        outcome = self.rig.login(self.config)
        return outcome.code, reason(outcome)


# ---------------------------------------------------------------- whose CRL counts


def renewed(rig: Rig) -> tuple[CertificateAuthority, CertificateAuthority]:
    """One authority with its old and its new key, both certified by the rig's authority."""
    root = rig.setup.authority
    return root.subordinate(NAME, shared_key("p256", 1)), root.subordinate(NAME, shared_key("p256", 2))


@pytest.mark.parametrize("forged_by", ["unrelated", "unrelated, named as the old key", "unrelated, named as the new key"])
def test_an_empty_crl_by_an_unrelated_key_is_none_of_a_renewed_ca(rig: Rig, forged_by: str) -> None:
    old, new = renewed(rig)
    case = Case(rig, forged_by.replace(" ", "-").replace(",", ""), [old.issue()])
    case.files("intermediates", old.pem, new.pem)
    named = {"unrelated, named as the old key": old, "unrelated, named as the new key": new}.get(forged_by)
    case.files("crls", forged_crl(named or CertificateAuthority(NAME), fresh_key("p256")))
    assert case.outcome() == UNKNOWN


def forged_crl(named: CertificateAuthority, key: object) -> bytes:
    """An empty CRL with the names and key identifier of an authority, signed by another key."""
    from cryptography import x509

    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(named.private_key.public_key())
    return named.crl(signing_key=key, identifiers=False, extensions=[(identifier, False)])  # type: ignore[arg-type]


def test_a_crl_by_the_new_key_of_a_renewed_ca_speaks_about_what_the_old_key_issued(rig: Rig) -> None:
    old, new = renewed(rig)
    good, revoked = old.issue(), old.issue()
    for name, leaf, expected in (("renewed-good", good, GRANTED), ("renewed-revoked", revoked, REVOKED)):
        case = Case(rig, name, [leaf])
        case.files("intermediates", old.pem, new.pem)
        case.files("crls", new.crl([revoked]))
        assert case.outcome() == expected


def test_a_ca_below_that_takes_the_name_of_another_signs_no_crls_for_it(rig: Rig) -> None:
    issuing, below = rig.setup.authority.subordinate(NAME), rig.setup.authority.subordinate("Below")
    squatter = below.subordinate(NAME)
    case = Case(rig, "squatter", [issuing.issue()])
    case.files("intermediates", issuing.pem, below.pem, squatter.pem)
    case.files("crls", squatter.crl(), below.crl())
    assert case.outcome() == UNKNOWN
    case.files("crls", issuing.crl())
    assert case.outcome() == GRANTED


def test_a_ca_below_that_takes_the_name_of_its_own_issuer_signs_no_crls_for_it(rig: Rig) -> None:
    issuing = rig.setup.authority.subordinate(NAME)
    revoked = issuing.issue()
    child = issuing.subordinate("Child")
    squatter = child.subordinate(NAME)
    case = Case(rig, "inner-squatter", [revoked])
    case.files("intermediates", issuing.pem, child.pem, squatter.pem)
    case.files("crls", squatter.crl(), child.crl())
    assert case.outcome() == UNKNOWN
    case.files("crls", issuing.crl([revoked]))
    assert case.outcome() == REVOKED


def test_a_crl_by_a_ca_that_may_not_sign_crls_does_not_count(rig: Rig) -> None:
    for name, usage, expected in (("may-not", ["keyCertSign"], UNKNOWN), ("may", ["keyCertSign", "cRLSign"], GRANTED)):
        issuing = rig.setup.authority.subordinate(NAME, key_usage=usage)
        case = Case(rig, name, [issuing.issue()])
        case.files("intermediates", issuing.pem)
        case.files("crls", issuing.crl())
        assert case.outcome() == expected


# ---------------------------------------------------------------- how long it takes


@pytest.mark.parametrize("same_key", [False, True], ids=["keys-of-their-own", "one-key"])
def test_a_card_with_a_hundred_intermediates_of_one_name_is_answered_in_time(rig: Rig, same_key: bool) -> None:
    """2 s are for checking; reading so many certificates from the card is measured with strangers and taken off."""
    issuing = rig.setup.authority.subordinate(NAME)
    parent = rig.setup.authority.subordinate("Between")
    key = fresh_key("p256")
    crowd = [parent.subordinate(NAME, key if same_key else fresh_key("p256")) for _ in range(100)]
    strangers = [CertificateAuthority("Stranger") for _ in range(100)]
    took = {}
    for name, others in (("strangers", strangers), ("crowd", crowd)):
        card = [Entry(issuing.issue()), *(Entry(held(each), id=bytes([2, index]), key=None)
                                          for index, each in enumerate(others))]  # fmt: skip
        case = Case(rig, f"{name}-{same_key}", card)
        case.files("intermediates", issuing.pem, parent.pem)
        case.files("crls", issuing.crl(), parent.crl(), *(each.crl() for each in others[:2]))
        outcome = rig.login(case.config)
        assert (outcome.code, reason(outcome)) == GRANTED
        took[name] = outcome.seconds
    assert took["crowd"] - took["strangers"] < 2


def held(authority: CertificateAuthority) -> Issued:
    """An authority's own certificate as something that a card can hold."""
    return Issued(authority.private_key, authority.der)


# ---------------------------------------------------------------- files that change


def test_a_crl_that_is_being_replaced_never_grants_what_it_lists(rig: Rig) -> None:
    root = rig.setup.authority
    revoked = root.issue()
    case = Case(rig, "swapped", [revoked])
    path = rig.world.path(f"{case.folder}/crls/0.pem")
    genuine = root.crl([revoked])
    forged = root.crl(signing_key=fresh_key("p256"))
    contents = [genuine, genuine[: len(genuine) // 2], b"", forged, b"no CRL"]
    with Meanwhile(lambda turn: path.write_bytes(contents[turn % len(contents)])):
        found = {case.outcome() for _ in range(8)}
    assert found <= {REVOKED, UNKNOWN, NOT_AT_HAND}


@pytest.mark.parametrize("content", [b"", b"no CRL"])
def test_a_crl_file_that_cannot_be_read_is_not_the_same_as_no_crl(rig: Rig, content: bytes) -> None:
    case = Case(rig, f"broken-{len(content)}", [rig.setup.authority.issue()])
    assert case.outcome() == GRANTED
    rig.world.put(f"{case.folder}/crls/0.pem", content)
    assert case.outcome() == NOT_AT_HAND
    rig.world.path(f"{case.folder}/crls/0.pem").unlink()
    assert case.outcome() == GRANTED  # mode "named", and nothing is named


class Meanwhile:
    """Does something over and over, in a thread, as long as the block lasts."""

    def __init__(self, act: Callable[[int], object]) -> None:
        self._act = act
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        turn = 0
        while not self._over.is_set():
            self._act(turn)
            turn += 1

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()


def test_what_a_crl_lists_is_refused_before_the_pin_is_asked_for(rig: Rig) -> None:
    revoked = rig.setup.authority.issue()
    case = Case(rig, "before-the-pin", [revoked])
    case.files("crls", rig.setup.authority.crl([revoked], number=2))
    outcome = rig.login(case.config)
    assert (outcome.code, reason(outcome)) == REVOKED
    assert prompts(outcome) == ()
