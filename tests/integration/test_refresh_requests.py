# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `pam-sc refresh` does beyond configured CRLs: requests of logins, OCSP answers, cards, large files."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pam_sc.decision.names import name_key
from tests.support.crl_server import CrlServer
from tests.support.installation import PREFIX
from tests.support.login_setup import LoginSetup
from tests.support.ocsp_responder import Answer, OcspResponder
from tests.support.pam_world import World
from tests.support.pki import CertificateAuthority
from tests.support.refresh_site import ISSUER, LISTED, PAM_SC, STORE, Site
from tests.support.stores import large_crl, path_certificate

pytestmark = pytest.mark.root


# ---------------------------------------------------------------- requests, OCSP, files


LEAVE = """
import json, sys
from pam_sc.trust.anchors import read_path_certificate
from pam_sc.trust.requests import Request, leave_request
asked = json.loads(sys.argv[2])
issuers = tuple(read_path_certificate(bytes.fromhex(each)) for each in asked.pop("issuers"))
request = Request(issuers=issuers, **{name: tuple(v) if isinstance(v, list) else v for name, v in asked.items()})
leave_request(sys.argv[1], request)
"""


def requests_folder(site: Site) -> Path:
    """The folder that tmpfiles.d makes, of the verifier's account."""
    folder = site.folder / "requests"
    folder.mkdir(parents=True)
    account = site.world.account("pam_sc")
    os.chown(folder, account.uid, account.gid)
    folder.chmod(0o700)
    return folder


def leave(site: Site, *issuers: CertificateAuthority, user: str = "pam_sc", **asked: Any) -> None:
    """Leave a request as a login does, as its account."""
    values = json.dumps({"issuers": [issuer.der.hex() for issuer in issuers], **asked})
    done = site.world.run([f"{PREFIX}/bin/python3", "-I", "-c", LEAVE, STORE, values], user=user)
    assert done.returncode == 0, done.stderr


def test_what_a_login_asked_for_is_fetched_and_kept_fresh_when_its_request_is_gone(site: Site) -> None:
    folder = requests_folder(site)
    site.configure('loopback = "allow"', 'ocsp = "off"', sources=[])
    issuing, url = site.authority.subordinate("Issuing"), site.server.url("/issuing.crl")
    site.server.files["/issuing.crl"] = issuing.crl([LISTED], pem=False)
    leave(site, issuing, site.authority, serial=LISTED, crl_urls=[url])
    assert len(os.listdir(folder)) == 1
    code, found = site.refresh()
    assert (code, found[url]["state"]) == (0, "fresh")
    assert site.says(issuer=name_key(issuing.subject)) == "listed"
    (request,) = folder.iterdir()
    os.utime(request, (time.time() - 31 * 86_400,) * 2)
    site.server.files["/issuing.crl"] = issuing.crl([LISTED, 1], number=2, pem=False)
    for state in ("fresh", "unchanged"):
        assert site.refresh()[1][url]["state"] == state, "the store knows the issuers that the card had brought"
        assert os.listdir(folder) == [], "nobody has used that card for a month"


@pytest.mark.parametrize("left_by_a_killed_run", [False, True])
def test_the_folder_of_requests_is_made_with_the_store(site: Site, *, left_by_a_killed_run: bool) -> None:
    folder = site.folder / "requests"
    if left_by_a_killed_run:
        folder.mkdir(mode=0o700, parents=True)
    site.configure('loopback = "allow"', 'ocsp = "off"', sources=[])
    site.refresh()
    about, account = folder.stat(), site.world.account("pam_sc")
    assert (about.st_uid, about.st_gid, about.st_mode & 0o777) == (account.uid, account.gid, 0o700)


def test_a_store_that_is_made_under_a_strict_umask_is_open_to_the_verifier(site: Site) -> None:
    site.configure('loopback = "allow"', 'ocsp = "off"')
    site.publish(LISTED)
    shutil.rmtree(site.folder.parent)
    done = site.world.run(["sh", "-c", 'umask 077; exec "$@"', "sh", *PAM_SC, "refresh", "--config", site.config])
    assert done.returncode == 0, done.stderr
    assert {path.stat().st_mode & 0o777 for path in (site.folder.parent, site.folder)} == {0o755}
    assert {path.stat().st_mode & 0o777 for path in site.folder.glob("crl-*")} == {0o644}
    assert site.run("store", user="pam_sc").returncode == 0


def test_another_user_can_leave_nothing(site: Site) -> None:
    folder = requests_folder(site)
    leave(site, site.authority, user="alice", serial=LISTED, crl_urls=[site.server.url()])
    assert os.listdir(folder) == []


def test_a_request_of_issuers_without_a_valid_path_is_removed_and_asks_nobody(site: Site) -> None:
    folder = requests_folder(site)
    site.configure('loopback = "allow"', sources=[])
    site.publish(path="/stranger.crl")
    leave(site, CertificateAuthority("Stranger"), serial=5, crl_urls=[site.server.url("/stranger.crl")])
    assert len(os.listdir(folder)) == 1
    done = site.run("refresh")
    assert "nothing to fetch" in done.stderr
    assert os.listdir(folder) == []
    assert site.server.statuses == []


@pytest.fixture
def responder(site: Site, tmp_path: Path) -> Iterator[OcspResponder]:
    """A responder of the CA."""
    with OcspResponder(site.authority, tmp_path / "ocsp") as running:
        yield running


@pytest.mark.parametrize("answer", [Answer.DELEGATED, Answer.CA_SIGNED])
def test_an_ocsp_answer_is_kept_until_a_login_needs_it(site: Site, responder: OcspResponder, answer: Answer) -> None:
    responder.answer = answer
    leaf = site.authority.issue(ocsp=[responder.url])
    responder.revoke(leaf)
    site.world.put("/srv/site/leaf.pem", leaf.pem)
    site.configure('loopback = "allow"', sources=[])
    code, found = site.refresh("--cert", "/srv/site/leaf.pem")
    assert (code, found[responder.url]["state"]) == (0, "fresh"), found
    assert "revoked" in found[responder.url]["why"]
    (message,) = site.store().about(path_certificate(site.authority.der), leaf.serial)
    assert message.source == responder.url
    (listed,) = json.loads(site.run("store", "--json", user="alice").stdout)["sources"]
    assert (listed["kind"], listed["says"], listed["serial"]) == ("ocsp", "revoked", f"{leaf.serial:x}")


@pytest.mark.parametrize(
    "answer",
    [Answer.BAD_SIGNATURE, Answer.STALE, Answer.UNKNOWN, Answer.WRONG_SIGNER, Answer.TRY_LATER, Answer.GARBAGE,
     Answer.REPLAYED, Answer.UNDATED],
)  # fmt: skip
def test_an_ocsp_answer_that_does_not_count_or_does_not_last_is_not_kept(
    site: Site, responder: OcspResponder, answer: Answer
) -> None:
    leaf = site.authority.issue(ocsp=[responder.url])
    responder.answer = answer
    site.world.put("/srv/site/leaf.pem", leaf.pem)
    site.configure('loopback = "allow"', sources=[])
    code, _found = site.refresh("--cert", "/srv/site/leaf.pem")
    assert code == (0 if answer is Answer.UNDATED else 1)
    assert site.store().about(path_certificate(site.authority.der), leaf.serial) == ()


def test_the_next_responder_is_asked_where_the_first_gives_no_answer(site: Site, responder: OcspResponder) -> None:
    leaf = site.authority.issue(ocsp=["http://127.0.0.1:9/", responder.url])
    site.world.put("/srv/site/leaf.pem", leaf.pem)
    site.configure('loopback = "allow"', sources=[])
    code, found = site.refresh("--cert", "/srv/site/leaf.pem")
    assert (code, list(found)) == (0, [responder.url])


def test_a_request_asks_the_responder_with_the_serial_alone_and_stays_for_the_next_answer(
    site: Site, responder: OcspResponder
) -> None:
    folder = requests_folder(site)
    leaf = site.authority.issue(ocsp=[responder.url])
    site.configure('loopback = "allow"', sources=[])
    leave(site, site.authority, serial=leaf.serial, ocsp_urls=[responder.url])
    for _ in range(2):
        code, found = site.refresh()
        assert (code, found[responder.url]["state"]) == (0, "fresh"), found
        assert len(site.store().about(path_certificate(site.authority.der), leaf.serial)) == 1
    assert len(os.listdir(folder)) == 1
    (request,) = folder.iterdir()
    os.utime(request, (time.time() - 31 * 86_400,) * 2)
    done = site.run("refresh")
    assert "nothing to fetch" in done.stderr, "nobody has used that card for a month"
    assert os.listdir(folder) == []


def test_what_the_certificates_on_a_card_name_is_fetched(namespaces: None, tmp_path: Path) -> None:
    with World.create(tmp_path / "world") as world, CrlServer() as server:
        card = world.account("pam_sc_card")
        setup = LoginSetup(world.path("/srv/login"), "/srv/login", (card.uid, card.gid))
        server.files["/ca.crl"] = setup.authority.crl([], pem=False)
        leaf = setup.authority.issue(common_name="alice", crl_distribution_points=[server.url()])
        config = setup.card("alice", [leaf])
        text = world.path(config).read_text().replace("[revocation]", '[revocation]\nloopback = "allow"')
        world.put(config, text)
        done = world.run([*PAM_SC, "refresh", "--from-card", "--json", "--config", config])
        assert (done.returncode, done.stderr) == (0, "")
        (report,) = json.loads(done.stdout)["sources"]
        assert (report["source"], report["state"]) == (server.url(), "fresh")


def test_a_large_file_is_indexed_while_it_is_the_same_and_its_index_goes_with_it(site: Site) -> None:
    der = large_crl(site.authority, 40_000, listed=(LISTED,))
    path = site.world.path(site.world.put("/srv/site/crls/large.crl", der))
    site.configure(sources=[])
    code, found = site.refresh()
    assert (code, found["/srv/site/crls/large.crl"]["state"]) == (0, "fresh")
    index = site.store().index_of_file("/srv/site/crls/large.crl", path.stat())
    assert index is not None
    assert index.entry(ISSUER, LISTED) is not None
    assert site.refresh()[1]["/srv/site/crls/large.crl"]["state"] == "unchanged"
    site.world.put("/srv/site/crls/large.crl", large_crl(site.authority, 40_001, 2))
    assert site.store().index_of_file("/srv/site/crls/large.crl", path.stat()) is None
    assert site.refresh()[1]["/srv/site/crls/large.crl"]["state"] == "fresh"
    path.unlink()
    site.run("refresh")
    assert list(site.folder.glob("file-*")) == []


def test_a_large_file_that_a_stranger_signed_gets_no_index(site: Site) -> None:
    site.world.put("/srv/site/crls/large.crl", large_crl(CertificateAuthority("Example CA"), 40_000))
    site.configure(sources=[])
    code, found = site.refresh()
    assert (code, found["/srv/site/crls/large.crl"]["state"]) == (1, "failed")
    assert list(site.folder.glob("file-*")) == []
