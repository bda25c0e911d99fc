# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logins with what `pam-sc refresh` keeps: granted without any network, and never by a file that cannot be believed.

Each card names a CRL or a responder, the mode is "require", and nothing but the store can answer.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import rig as codes
from tests.support.installation import PAM_SC
from tests.support.loopback import Loopback, http_answer
from tests.support.namespace import is_available
from tests.support.ocsp_answer import Response, Single, ocsp_response
from tests.support.pam_host import Login, Outcome
from tests.support.pam_world import World
from tests.support.pki import CertificateAuthority, Issued
from tests.support.rig import INSIDE, PROGRAM, SERVICE, Rig, reason
from tests.support.softhsm import PIN
from tests.support.stores import put

pytestmark = pytest.mark.root

GRANTED = (codes.SUCCESS, None)
REVOKED, NOT_AT_HAND = (codes.AUTH_ERR, "certificate-revoked"), (codes.AUTH_ERR, "revocation-not-at-hand")
UNKNOWN = (codes.AUTH_ERR, "revocation-unknown")
NOBODY = "http://127.0.0.1:9/ca.crl"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One world for all; each case has a store of its own."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("stores") / "world") as world:
        yield Rig(world)


class Case:
    """A card, a configuration and an empty store."""

    def __init__(self, rig: Rig, name: str, issued: Issued) -> None:
        self.rig = rig
        self.store = f"/var/lib/pam_sc/{name}"
        self.folder.mkdir(mode=0o755)
        settings = f'mode = "require"\nloopback = "allow"\nstore = "{self.store}"'
        self.config = rig.setup.card(name, [issued], revocation=settings)

    @property
    def folder(self) -> Path:
        """The store as it lies outside of the world."""
        return self.rig.world.path(self.store)

    @property
    def only_file(self) -> Path:
        """The one file in the store."""
        (found,) = self.folder.iterdir()
        return found

    def outcome(self) -> tuple[int, str | None]:
        """The code and the reason of a login."""
        outcome = self.login()
        return outcome.code, reason(outcome)

    def login(self, *before: str) -> Outcome:
        """Log in, in a PAM application that is started by the command `before`, if there is one."""
        self.rig.service(self.config)
        attempt = Login(service=SERVICE, user="alice", answers=(PIN,), confdir="/etc/pam.d")
        return attempt.run(lambda argv, text: self.rig.world.run([*before, *argv], input=text), program=PROGRAM)


@pytest.fixture
def listed_and_not(rig: Rig, request: pytest.FixtureRequest) -> tuple[Case, Case]:
    """A good and a revoked card, each with a store that has the same CRL."""
    authority = rig.setup.authority
    good, revoked = (authority.issue(crl_distribution_points=[NOBODY]) for _ in range(2))
    crl = authority.crl([revoked], pem=False)
    number = len(list(rig.world.path(f"{INSIDE}/cards").iterdir()))
    cases = Case(rig, f"good{number}", good), Case(rig, f"revoked{number}", revoked)
    for case in cases:
        put(case.folder, crl, authority)
    return cases


# ---------------------------------------------------------------- no network


def refresh(rig: Rig, case: Case, issued: Issued) -> None:
    """Run `pam-sc refresh` for what a certificate names."""
    rig.world.put("/srv/leaf.pem", issued.pem)
    command = [*PAM_SC, "refresh", "--cert", "/srv/leaf.pem"]
    done = rig.world.run([*command, "--config", case.config])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("status", "expected"), [("good", GRANTED), ("revoked", REVOKED)])
def test_a_login_with_a_stored_ocsp_answer_needs_no_route_and_makes_no_connection(
    rig: Rig, status: str, expected: tuple[int, str | None]
) -> None:
    with Loopback(b"") as server:
        issued = rig.setup.authority.issue(ocsp=[server.url("/ocsp")])
        response = Response(singles=[Single(certificate=issued, issuer=rig.setup.authority, status=status)],
                            signer=rig.setup.authority)  # fmt: skip
        server.answer = http_answer(ocsp_response(response), "application/ocsp-response")
        case = Case(rig, f"ocsp-{status}", issued)
        assert case.outcome() == NOT_AT_HAND  # nothing is in the store yet, and nobody is asked
        assert server.connections == 0
        refresh(rig, case, issued)
        asked = server.connections
        assert asked > 0
        alone = case.login("unshare", "--net", "--")
        assert (alone.code, reason(alone)) == expected
        assert case.outcome() == expected
        assert server.connections == asked


def test_a_login_with_a_stored_crl_opens_no_socket_of_the_network(rig: Rig, listed_and_not: tuple[Case, Case]) -> None:
    for case, expected in zip(listed_and_not, (GRANTED, REVOKED), strict=True):
        trace = rig.world.put("/srv/trace", "")
        outcome = case.login("strace", "-f", "-e", "trace=execve,socket,connect", "-o", trace)
        assert (outcome.code, reason(outcome)) == expected
        traced = rig.world.path(trace).read_text(errors="replace")
        assert "pam_sc_worker" in traced  # the trace saw our processes
        assert "AF_UNIX" in traced
        assert "AF_INET" not in traced


# ---------------------------------------------------------------- files that cannot be believed


def foreign_owner(path: Path) -> None:
    os.chown(path, 4002, 4002)


def writable(path: Path) -> None:
    path.chmod(0o666)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4096])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def overwritten(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o644)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILERS = (foreign_owner, writable, cut, emptied, overwritten, link, pipe, folder)


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
def test_a_file_of_the_store_that_cannot_be_believed_counts_as_absent_and_is_reported(
    listed_and_not: tuple[Case, Case], spoil: Callable[[Path], None]
) -> None:
    for case in listed_and_not:
        spoil(case.only_file)
        outcome = case.login()
        assert (outcome.code, reason(outcome)) in (NOT_AT_HAND, UNKNOWN)
        assert any(case.store in line for line in outcome.log), outcome.log


def test_a_store_that_somebody_else_can_write_counts_as_empty_and_is_reported(listed_and_not: tuple[Case, Case]) -> None:
    for case, expected in zip(listed_and_not, (GRANTED, REVOKED), strict=True):
        assert case.outcome() == expected
        case.folder.chmod(0o777)
        outcome = case.login()
        assert (outcome.code, reason(outcome)) == NOT_AT_HAND
        assert any(case.store in line for line in outcome.log), outcome.log


def test_no_byte_of_an_index_can_be_changed_so_that_it_grants(listed_and_not: tuple[Case, Case]) -> None:
    """Ten places, the header among them; more of them in the tests of the index itself."""
    _good, revoked = listed_and_not
    path, chance = revoked.only_file, random.Random(1)
    content = path.read_bytes()
    for place in (*range(0, 100, 33), *(chance.randrange(len(content)) for _ in range(6))):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :])
        assert revoked.outcome() in (REVOKED, NOT_AT_HAND, UNKNOWN)


def test_an_index_under_the_name_of_another_ca_is_not_about_it(rig: Rig, listed_and_not: tuple[Case, Case]) -> None:
    """Root alone can write there; but what it moves by mistake must not speak for somebody else."""
    _good, revoked = listed_and_not
    other = CertificateAuthority("Another CA")
    put(revoked.folder, other.crl(pem=False), other)
    one, another = revoked.folder.iterdir()
    contents = one.read_bytes(), another.read_bytes()
    another.write_bytes(contents[0])
    one.write_bytes(contents[1])
    assert revoked.outcome() in (NOT_AT_HAND, UNKNOWN)


def test_an_index_of_a_ca_that_is_no_longer_trusted_does_not_count(rig: Rig) -> None:
    former = CertificateAuthority(rig.setup.authority.name)
    issued = rig.setup.authority.issue(crl_distribution_points=[NOBODY])
    case = Case(rig, "former", issued)
    put(case.folder, former.crl(pem=False), former)
    assert case.outcome() == UNKNOWN
    put(case.folder, rig.setup.authority.crl(pem=False), rig.setup.authority)
    assert case.outcome() == GRANTED


def test_the_command_reads_what_a_login_reads(rig: Rig, listed_and_not: tuple[Case, Case]) -> None:
    good, _revoked = listed_and_not
    command = [*PAM_SC, "store", "--config", good.config]
    done: subprocess.CompletedProcess[str] = rig.world.run(command, user="alice")
    assert done.returncode == 0, done.stderr
    assert rig.setup.authority.name in done.stdout
