# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc refresh` and `pam-sc store` as an administrator runs them, against servers on the loopback interface."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pexpect
import pytest

from pam_sc.decision.names import name_key
from pam_sc.errors import StoreError
from pam_sc.trust.store import Store, open_store
from tests.support.crl_server import CrlServer
from tests.support.installation import PREFIX
from tests.support.login_setup import LoginSetup
from tests.support.ocsp_responder import Answer, OcspResponder
from tests.support.pam_world import World
from tests.support.pki import DAY, CertificateAuthority, now
from tests.support.stores import TRUSTED, crl_with_entries, large_crl, large_entries, path_certificate

pytestmark = pytest.mark.root

PAM_SC = [f"{PREFIX}/bin/python3", "-I", "-c", "from pam_sc.cli.main import main; main()"]
STORE = "/var/lib/pam_sc/revocation"
LISTED = 4711
ISSUER = name_key(CertificateAuthority("Example CA").subject)


class Site:
    """A machine with one trusted CA, whose CRL lies on a server."""

    def __init__(self, world: World, server: CrlServer) -> None:
        self.world = world
        self.server = server
        self.setup = LoginSetup(world.path("/srv/site"), "/srv/site")
        (world.path("/srv/site/crls/ca.crl")).unlink()
        self.authority = self.setup.authority
        self.config = self.configure()

    def configure(self, *lines: str, sources: Sequence[str] | None = None, more: str = "") -> str:
        """Write the configuration: [revocation] with these lines."""
        urls = [self.server.url()] if sources is None else sources
        module = "/usr/lib/softhsm/libsofthsm2.so"
        text = "\n".join([
            "[[token.module]]", f'path = "{module}"', "[trust]", 'anchors = "/srv/site/anchors"', "[revocation]",
            'crls = "/srv/site/crls"', f"sources = {json.dumps(list(urls))}", *lines, "[[mapper]]", 'name = "cn"', more,
        ])  # fmt: skip
        return self.world.put("/srv/site/pam_sc.toml", text)

    def publish(self, *revoked: int, path: str = "/ca.crl", **wishes: Any) -> bytes:
        """Put a CRL of the CA on the server."""
        self.server.files[path] = der = self.authority.crl(list(revoked), **{"pem": False, **wishes})
        return der

    def refresh(self, *arguments: str, timeout: float = 60) -> tuple[int, dict[str, Any]]:
        """Run it for JSON: exit code, and what it said of each source by its URL."""
        done = self.run("refresh", "--json", *arguments, timeout=timeout)
        assert done.stderr == "", done.stderr
        found = json.loads(done.stdout)
        assert found["problems"] == []
        return done.returncode, {each["source"]: each for each in found["sources"]}

    def run(self, *arguments: str, user: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run pam-sc."""
        return self.world.run([*PAM_SC, *arguments, "--config", self.config], user=user, timeout=timeout)

    @property
    def folder(self) -> Path:
        """The store as it lies outside of the world."""
        return self.world.path(STORE)

    def store(self) -> Store:
        """The store."""
        return open_store(str(self.folder), TRUSTED)

    def says(self, serial: int = LISTED, issuer: str = ISSUER) -> str:
        """What a login would learn of a serial: listed, not listed, absent (no CRL) or damaged."""
        store = self.store()
        crls = store.of_issuer(issuer)
        try:
            entries = [crl.entry(issuer, serial) for crl in crls]
        except StoreError:
            return "damaged"
        if store.problems:
            return "damaged"
        return "listed" if any(entries) else "not listed" if crls else "absent"


@pytest.fixture
def site(namespaces: None, tmp_path: Path) -> Iterator[Site]:
    """A fresh machine and server."""
    with World.create(tmp_path / "world") as world, CrlServer() as server:
        yield Site(world, server)


# ---------------------------------------------------------------- what is fetched and told


def test_a_configured_crl_is_fetched_verified_and_found_by_its_issuer(site: Site) -> None:
    der = site.publish(LISTED, 12)
    code, found = site.refresh()
    report = found[site.server.url()]
    assert (code, report["state"], report["kind"]) == (0, "fresh", "crl"), report
    assert (report["size"], report["entries"]) == (len(der), 2)
    assert 86_000 < report["age_s"] < 87_000
    assert site.says() == "listed"
    assert site.says(4712) == "not listed"


def test_nothing_is_transferred_again_while_the_server_has_the_same(site: Site) -> None:
    site.publish(LISTED)
    site.refresh()
    code, found = site.refresh()
    assert (code, found[site.server.url()]["state"]) == (0, "unchanged")
    assert site.server.statuses == [("/ca.crl", 200), ("/ca.crl", 304)]
    assert site.says() == "listed"


def test_people_get_one_line_for_each_source(site: Site) -> None:
    site.publish(LISTED, 12)
    done = site.run("refresh")
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"fresh     crl   {site.server.url()}, 24 h old, ")
    assert "2 entries, next update 20" in line
    assert done.stderr == ""


def test_a_newer_crl_takes_the_place_of_the_older(site: Site) -> None:
    site.publish(12)
    site.refresh()
    assert site.says() == "not listed"
    site.publish(12, LISTED, number=2)
    assert site.refresh()[1][site.server.url()]["state"] == "fresh"
    assert site.says() == "listed"
    assert len(os.listdir(site.folder)) == 2, "the index and the lock"


def test_a_crl_in_pem_is_taken_too(site: Site) -> None:
    site.publish(LISTED, pem=True)
    assert site.refresh()[0] == 0
    assert site.says() == "listed"


def test_distribution_points_of_intermediates_are_fetched_if_these_have_a_valid_path(site: Site) -> None:
    site.publish(path="/root.crl")
    site.publish(path="/stranger.crl")
    trusted = site.authority.subordinate("Issuing", crl_distribution_points=[site.server.url("/root.crl")])
    stranger = CertificateAuthority("Stranger").subordinate(
        "Issuing", crl_distribution_points=[site.server.url("/stranger.crl")]
    )
    site.world.put("/srv/site/intermediates/all.pem", trusted.pem + stranger.pem)
    site.configure('loopback = "allow"', sources=[])
    text = site.world.path(site.config).read_text().replace(
        "[revocation]", 'intermediates = "/srv/site/intermediates"\n[revocation]'
    )
    site.world.put(site.config, text)
    done = site.run("refresh", "--json")
    found = json.loads(done.stdout)
    assert [each["source"] for each in found["sources"]] == [site.server.url("/root.crl")]
    assert "has no valid path" in found["problems"][0]
    assert site.server.statuses == [("/root.crl", 200)]


def test_a_distribution_point_on_the_loopback_interface_is_not_asked_unless_allowed(site: Site) -> None:
    site.publish(path="/root.crl")
    leaf = site.authority.issue(crl_distribution_points=[site.server.url("/root.crl")])
    site.world.put("/srv/site/leaf.pem", leaf.pem)
    site.configure(sources=[])
    code, found = site.refresh("--cert", "/srv/site/leaf.pem")
    assert (code, found[site.server.url("/root.crl")]["state"]) == (1, "failed")
    assert site.server.statuses == []
    site.configure('loopback = "allow"', sources=[])
    assert site.refresh("--cert", "/srv/site/leaf.pem")[0] == 0


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        ({"number": 1}, "found cRLNumber 1, expected at least 2"),
        ({"number": 3, "this_update": now() - 9 * DAY}, "found thisUpdate"),
        ({"number": 3, "signing_key": CertificateAuthority("Example CA").private_key}, "at hand has signed it"),
        ({"number": 3, "this_update": now() + DAY}, "from the future"),
    ],
)
def test_what_does_not_count_changes_nothing(site: Site, wishes: dict[str, Any], why: str) -> None:
    site.publish(LISTED, number=2)
    site.refresh()
    site.publish(**wishes)
    code, found = site.refresh()
    report = found[site.server.url()]
    assert (code, report["state"]) == (1, "failed")
    assert why in report["why"]
    assert site.says() == "listed"


@pytest.mark.parametrize(
    "body", [b"", b"0" * 10, b"<html>moved</html>", b"-----BEGIN X509 CRL-----\nAA\n-----END X509 CRL-----\n"]
)
def test_what_is_no_crl_changes_nothing(site: Site, body: bytes) -> None:
    site.publish(LISTED)
    site.refresh()
    site.server.files["/ca.crl"] = body
    code, found = site.refresh()
    assert (code, found[site.server.url()]["state"]) == (1, "failed")
    assert site.says() == "listed"


def test_a_server_that_is_down_leaves_the_last_good_state(site: Site) -> None:
    site.publish(LISTED)
    site.refresh()
    url = site.server.url()
    site.server.__exit__(None, None, None)
    code, found = site.refresh()
    assert (code, found[url]["state"], found[url]["entries"]) == (1, "failed", 1)
    assert site.says() == "listed"


def test_a_crl_whose_time_is_over_is_stale(site: Site) -> None:
    site.publish(LISTED, next_update=now() - DAY / 2)
    code, found = site.refresh()
    assert (code, found[site.server.url()]["state"]) == (1, "stale")
    assert site.says() == "listed"


def test_a_body_over_the_limit_a_slow_one_and_a_redirect_elsewhere_fail_in_time(site: Site) -> None:
    site.publish(LISTED)
    site.refresh()
    paths = ["/ca.crl", "/slow", "/endless", "/file"]
    site.server.files |= {"/slow": bytes(1000), "/endless": b"0", "/file": b""}
    site.server.slow.add("/slow")
    site.server.endless.add("/endless")
    site.server.redirects["/file"] = "file:///etc/passwd"
    site.configure("timeout = 2", 'max_size = "1 MiB"', sources=[site.server.url(path) for path in paths])
    began = time.monotonic()
    code, found = site.refresh()
    assert time.monotonic() - began < 20
    states = [found[site.server.url(path)]["state"] for path in paths]
    assert (code, states) == (1, ["unchanged", "failed", "failed", "failed"])
    assert site.says() == "listed"


def test_where_nobody_may_fetch_that_is_said(site: Site) -> None:
    site.configure('fetch = "off"')
    done = site.run("refresh")
    assert (done.returncode, done.stdout) == (2, "")
    assert 'fetch is "off"' in done.stderr
    assert site.server.statuses == []


def test_where_nobody_may_fetch_large_files_are_indexed_all_the_same(site: Site) -> None:
    site.world.put("/srv/site/crls/large.crl", large_crl(site.authority, 40_000))
    site.configure('fetch = "off"')
    done = site.run("refresh")
    assert done.returncode == 0
    assert done.stdout.startswith("fresh     file  /srv/site/crls/large.crl, ")
    assert "nothing is fetched" in done.stderr
    assert site.server.statuses == []


def test_only_what_concerns_one_ca_is_fetched(site: Site) -> None:
    site.publish(path="/mine.crl")
    site.publish()
    more = f"""[[revocation.ca]]
name = "mine"
certificate = "/srv/site/anchors/ca.pem"
sources = ["{site.server.url('/mine.crl')}"]"""
    site.configure(more=more)
    code, found = site.refresh("--ca", "mine")
    assert (code, list(found)) == (0, [site.server.url("/mine.crl")])
    assert site.server.statuses == [("/mine.crl", 200)]


def test_two_urls_of_one_crl_are_each_asked_whether_it_is_new(site: Site) -> None:
    site.publish(LISTED)
    site.server.files["/mirror.crl"] = site.server.files["/ca.crl"]
    site.configure(sources=[site.server.url(), site.server.url("/mirror.crl")])
    assert [each["state"] for each in site.refresh()[1].values()] == ["fresh", "unchanged"]
    assert [each["state"] for each in site.refresh()[1].values()] == ["unchanged", "unchanged"]
    assert sorted(site.server.statuses) == [("/ca.crl", 200), ("/ca.crl", 304), ("/mirror.crl", 200), ("/mirror.crl", 304)]
    site.publish(LISTED, 5, number=2)
    code, found = site.refresh()
    assert (code, found[site.server.url()]["state"]) == (0, "fresh"), "the mirror is behind, which harms nobody"
    assert site.says(5) == "listed"
    assert site.run("store").returncode == 0


def test_a_terminal_shows_what_is_going_on_while_it_lasts(site: Site) -> None:
    site.publish(LISTED)
    child = site.world.spawn([*PAM_SC, "refresh", "--config", site.config], env={"TERM": "xterm"})
    child.expect("fetching")
    child.expect("fresh")
    child.expect("1 entry")
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 0


def test_a_ca_that_is_not_configured_is_an_error_that_names_those_that_are(site: Site) -> None:
    site.configure(more='[[revocation.ca]]\nname = "mine"\ncertificate = "/srv/site/anchors/ca.pem"')
    done = site.run("refresh", "--ca", "yours")
    assert done.returncode == 2
    assert "there is 'mine'" in done.stderr


# ---------------------------------------------------------------- who may do what


def test_an_ordinary_user_can_read_the_store_and_not_write_it(site: Site) -> None:
    site.publish(LISTED)
    site.refresh()
    done = site.run("store", "--json", user="alice")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["sources"]
    assert (found["source"], found["state"], found["entries"]) == (site.server.url(), "fresh", 1)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in site.folder.iterdir())
    refused = site.run("refresh", user="alice")
    assert refused.returncode == 2
    assert "run this command as root" in refused.stderr
    assert sorted((path.name, path.stat().st_mtime_ns) for path in site.folder.iterdir()) == before


def test_a_file_of_another_owner_counts_as_absent_and_is_told(site: Site) -> None:
    site.publish(LISTED)
    site.refresh()
    (index,) = site.folder.glob("crl-*.sqlite")
    os.chown(index, site.world.account("bob").uid, -1)
    assert site.says() == "damaged"
    done = site.run("store")
    assert done.returncode == 1
    assert "expected owner 0" in done.stdout
    done = site.run("refresh")
    assert done.returncode == 0, "it is fetched anew and takes the place of the other"
    assert site.says() == "listed"


def test_a_damaged_index_is_made_anew(site: Site) -> None:
    site.publish(LISTED)
    site.refresh()
    (index,) = site.folder.glob("crl-*.sqlite")
    index.write_bytes(index.read_bytes()[:5000])
    assert site.says() == "damaged"
    assert site.run("refresh").returncode == 0
    assert site.says() == "listed"


# ---------------------------------------------------------------- killed, full, twice


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_moment_leaves_the_state_before_or_after(site: Site) -> None:
    """Fifty runs, each to replace a CRL of 60,000 entries by one that says the opposite, killed at random moments."""
    chance = random.Random(7)
    lists = {says: large_entries(60_000, (serial,)) for says, serial in (("listed", LISTED), ("not listed", 1))}
    site.server.files["/ca.crl"] = crl_with_entries(site.authority, lists["not listed"], 1)
    began = time.monotonic()
    assert site.refresh()[0] == 0
    seconds, before = time.monotonic() - began, "not listed"
    died = {"before": 0, "after": 0, "writing": 0}
    for number in range(2, 52):
        after = "listed" if before == "not listed" else "not listed"
        site.server.files["/ca.crl"] = crl_with_entries(site.authority, lists[after], number)
        _kill_after(site, chance.uniform(0.5, 1.05) * seconds)
        said = site.says()
        assert said in (before, after), f"after the kill of CRL {number}"
        died["after" if said == after else "before"] += 1
        died["writing"] += bool(list(site.folder.glob(".unfinished-*")))
        before = said
    assert died["before"] >= 5, died
    assert died["after"] >= 1, died
    assert died["writing"] >= 1, died
    assert site.refresh()[0] == 0, "the next run completes it"
    assert not list(site.folder.glob(".unfinished-*"))


def _kill_after(site: Site, seconds: float) -> None:
    process = site.world.namespace.popen(
        [*PAM_SC, "refresh", "--config", site.config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_full_disk_is_an_error_and_the_last_good_state_stays(site: Site) -> None:
    mounted = site.world.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs", "/var/lib/pam_sc"])
    assert mounted.returncode == 0, mounted.stderr
    site.publish(LISTED)
    assert site.refresh()[0] == 0
    site.server.files["/ca.crl"] = large_crl(site.authority, 10_000, 2)
    done = site.run("refresh", "--json")
    (report,) = json.loads(done.stdout)["sources"]
    assert (done.returncode, report["state"]) == (2, "failed")
    assert "cannot write" in report["why"]
    assert "full" in report["why"] or "No space" in report["why"]
    listed = site.run("store", "--json")
    (still,) = json.loads(listed.stdout)["sources"]
    assert (listed.returncode, still["number"], still["entries"]) == (0, 1, 1)
    left = site.world.run(["ls", "-A", STORE]).stdout.split()
    assert [name for name in left if name.startswith(".unfinished")] == []


def test_two_runs_at_once_come_one_after_the_other(site: Site) -> None:
    site.publish(LISTED)
    both = [
        site.world.namespace.popen(
            [*PAM_SC, "refresh", "--json", "--config", site.config], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    ends = [process.communicate(timeout=60) for process in both]
    states = [json.loads(out)["sources"][0]["state"] for out, _ in ends]
    assert [process.returncode for process in both] == [0, 0], ends
    assert sorted(states) == ["fresh", "unchanged"]
    assert site.says() == "listed"


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


