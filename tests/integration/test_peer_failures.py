# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where Debian's pam_pkcs11 grants, crashes or hangs, side by side with a login of ours with the same token.

What the peer does is asserted as well, so that the day it behaves is noticed. Each pair of logins differs from the
granted pair at the top in one thing.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.support import rig as codes
from tests.support.loopback import Loopback, http_answer
from tests.support.namespace import is_available
from tests.support.ocsp_answer import Response, Single, ocsp_response
from tests.support.pam_world import World
from tests.support.peers import PamPkcs11
from tests.support.pki import SERVER_AUTH, CertificateAuthority, Issued
from tests.support.rig import INSIDE, Rig, reason
from tests.support.softhsm import Entry, SoftToken, module_path

pytestmark = pytest.mark.root

GRANTED, REFUSED, CRASHED = 0, 1, -signal.SIGSEGV
FETCH = 'fetch = "login"\nloopback = "allow"\ntimeout = 1'
"""Lets a login of ours use the network as the peer does."""
ONLINE = "ca,crl_online,signature"
PATIENCE_S = 5.0
"""How long the peer is watched while it hangs."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One world for all; each test brings its own CA and card."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("peer") / "world") as world:
        if world.run(["find", "/usr/lib", "-name", "pam_pkcs11.so"]).stdout == "":
            pytest.skip("libpam-pkcs11 cannot be installed on this distribution")
        yield Rig(world)


class Pair:
    """One token and one PKI, set up for both."""

    def __init__(  # noqa: PLR0913 - what a PKI is made of
        self,
        rig: Rig,
        name: str,
        entries: Sequence[Entry | Issued],
        *,
        authorities: Sequence[CertificateAuthority],
        crls: Sequence[bytes] = (),
        policy: str = "ca,crl_offline,signature",
        settings: str = "",
    ) -> None:
        """The first authority is the anchor; the others lie in the peer's CA folder, and ours come from the card."""
        self.rig = rig
        self.token: SoftToken = rig.setup.token(name, entries)
        self.peer = PamPkcs11(world=rig.world, name=f"peer-{name}", module=module_path(), policy=policy)
        self.peer.set_up([each.pem for each in authorities], crls)
        self._put("anchors", [authorities[0].pem])
        self._put("crls", crls)
        config = rig.setup.configure(name, module=module_path(), environment=self._environment)
        text = rig.world.path(config).read_text()
        for kind in ("anchors", "crls"):
            text = text.replace(f"{INSIDE}/{kind}", f"{self.peer.folder}/ours/{kind}")
        self.config = rig.world.put(config, text.replace("[revocation]\n", f"[revocation]\n{settings}\n"))

    def _put(self, kind: str, files: Sequence[bytes]) -> None:
        folder = f"{self.peer.folder}/ours/{kind}"
        self.rig.world.path(folder).mkdir(parents=True)
        for index, data in enumerate(files):
            self.rig.world.put(f"{folder}/{index}.pem", data)

    @property
    def _environment(self) -> dict[str, str]:
        return {"SOFTHSM2_CONF": self.token.configuration}

    def theirs(self, timeout: float = 30) -> int:
        """The exit status of a login through pam_pkcs11."""
        return self.peer.login(self._environment, timeout=timeout)

    def ours(self) -> tuple[int, str | None]:
        """The code and the reason of a login through pam_sc."""
        outcome = self.rig.login(self.config)
        return outcome.code, reason(outcome)


def test_a_good_card_is_granted_by_both_and_a_revoked_one_refused_by_both(rig: Rig) -> None:
    root = CertificateAuthority("Plain")
    good, revoked = root.issue(), root.issue()
    crls = [root.crl([revoked])]
    pair = Pair(rig, "good", [good], authorities=[root], crls=crls)
    assert pair.theirs() == GRANTED
    assert pair.ours() == (codes.SUCCESS, None)
    pair = Pair(rig, "revoked", [revoked], authorities=[root], crls=crls)
    assert pair.theirs() == REFUSED
    assert pair.ours() == (codes.AUTH_ERR, "certificate-revoked")


def test_a_revoked_intermediate_is_accepted_by_the_peer(rig: Rig) -> None:
    root = CertificateAuthority("Root of a revoked one")
    issuing = root.subordinate("Revoked Issuing")
    card = [Entry(issuing.issue(), id=b"\1"), Entry(Issued(issuing.private_key, issuing.der), id=b"\2", key=None)]
    crls = [root.crl([issuing.certificate.serial_number]), issuing.crl()]
    pair = Pair(rig, "intermediate", card, authorities=[root, issuing], crls=crls)
    assert pair.theirs() == GRANTED
    assert pair.ours() == (codes.AUTH_ERR, "issuer-revoked")


@pytest.mark.parametrize(
    ("name", "theirs", "ours"), [("own-crl", REFUSED, "certificate-revoked"), ("other-crl", GRANTED, "revocation-not-at-hand")]
)
@pytest.mark.parametrize("settings", ["", FETCH], ids=["from-a-folder", "fetched"])
def test_a_revocation_is_hidden_from_the_peer_by_the_crl_of_any_other_ca_it_trusts(
    rig: Rig, name: str, theirs: int, ours: str, settings: str
) -> None:
    root, other = CertificateAuthority("Its own"), CertificateAuthority("Any other")
    with Loopback(b"") as server:
        revoked = root.issue(crl_distribution_points=[server.url()])
        crl = root.crl([revoked]) if name == "own-crl" else other.crl()
        server.answer = http_answer(crl)
        at_hand = [] if settings else [crl]
        title = f"{name}-fetched" if settings else name
        pair = Pair(rig, title, [revoked], authorities=[root, other], crls=at_hand, policy=ONLINE,
                    settings=settings)  # fmt: skip
        assert pair.theirs() == theirs
        assert server.connections > 0
        assert pair.ours() == (codes.AUTH_ERR, ours)


@pytest.mark.parametrize("size", [10, 23])
def test_a_crl_of_a_few_bytes_crashes_the_peer(rig: Rig, size: int) -> None:
    root = CertificateAuthority("Crashing")
    with Loopback(http_answer(b"0123456789abcdefghijklmnop"[:size])) as server:
        leaf = root.issue(crl_distribution_points=[server.url()])
        pair = Pair(rig, f"bytes-{size}", [leaf], authorities=[root], policy=ONLINE, settings=FETCH)
        assert pair.theirs() == CRASHED
        before = server.connections
        assert pair.ours() == (codes.AUTH_ERR, "revocation-not-at-hand")
        assert server.connections > before


def test_the_peer_waits_for_a_crl_server_that_never_answers(rig: Rig) -> None:
    root = CertificateAuthority("Waiting")
    with Loopback(None) as server:
        leaf = root.issue(crl_distribution_points=[server.url()])
        pair = Pair(rig, "hanging", [leaf], authorities=[root], policy=ONLINE, settings=FETCH)
        with pytest.raises(subprocess.TimeoutExpired):
            pair.theirs(timeout=PATIENCE_S)
        before, began = server.connections, time.monotonic()
        assert pair.ours() == (codes.AUTH_ERR, "revocation-not-at-hand")
        assert time.monotonic() - began < PATIENCE_S
        assert server.connections > before > 0


@pytest.mark.parametrize(("status", "ours"), [("revoked", "certificate-revoked"), ("good", None)])
def test_ocsp_on_asks_nobody_at_the_peer(rig: Rig, status: str, ours: str | None) -> None:
    root = CertificateAuthority("Asked")
    with Loopback(b"") as server:
        leaf = root.issue(ocsp=[server.url("/ocsp")])
        single = Single(certificate=leaf, issuer=root, status=status)
        response = ocsp_response(Response(singles=[single], signer=root))
        server.answer = http_answer(response, "application/ocsp-response")
        pair = Pair(rig, f"ocsp-{status}", [leaf], authorities=[root], policy="ca,ocsp_on,signature", settings=FETCH)
        assert pair.theirs() == GRANTED
        assert server.connections == 0
        assert pair.ours() == (codes.AUTH_ERR if ours else codes.SUCCESS, ours)
        assert server.connections > 0


def test_a_servers_certificate_logs_in_at_the_peer(rig: Rig) -> None:
    root = CertificateAuthority("Servers")
    leaf = root.issue(key_usage=["keyEncipherment"], extended_key_usage=[SERVER_AUTH])
    pair = Pair(rig, "server", [leaf], authorities=[root], crls=[root.crl()])
    assert pair.theirs() == GRANTED
    assert pair.ours() == (codes.AUTH_ERR, "key-usage-unsuitable")


def test_a_servers_certificate_that_may_sign_logs_in_at_the_peer(rig: Rig) -> None:
    root = CertificateAuthority("Signing servers")
    leaf = root.issue(extended_key_usage=[SERVER_AUTH])
    pair = Pair(rig, "signing-server", [leaf], authorities=[root], crls=[root.crl()])
    assert pair.theirs() == GRANTED
    assert pair.ours() == (codes.AUTH_ERR, "extended-key-usage-unsuitable")


@pytest.mark.parametrize(
    ("key", "signature_hash", "ours"),
    [("rsa1024", "md5", "key-too-weak"), ("rsa1024", "sha256", "key-too-weak"), ("rsa2048", "md5", "algorithm-too-weak")],
)
def test_a_weak_certificate_logs_in_at_the_peer(rig: Rig, key: str, signature_hash: str, ours: str) -> None:
    root = CertificateAuthority("Weak", "rsa2048")
    leaf = root.issue(key=key, signature_hash=signature_hash)
    pair = Pair(rig, f"{key}-{signature_hash}", [leaf], authorities=[root], crls=[root.crl()])
    assert pair.theirs() == GRANTED
    assert pair.ours() == (codes.AUTH_ERR, ours)
