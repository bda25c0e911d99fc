# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc refresh` and `pam-sc store` as an administrator runs them: what is fetched, told and refused."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pexpect
import pytest
from cryptography import x509

from tests.support.pki import DAY, CertificateAuthority, now
from tests.support.refresh_site import LISTED, PAM_SC, Site
from tests.support.stores import large_crl

pytestmark = pytest.mark.root


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
    assert len(os.listdir(site.folder)) == 3, "the index, the lock and the folder of requests"


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


def test_the_delta_that_a_complete_crl_names_is_fetched_with_it(site: Site) -> None:
    delta = site.server.url("/delta.crl")
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(delta)], None, None, None)
    site.publish(12, extensions=[(x509.FreshestCRL([point]), False)])
    site.publish(LISTED, path="/delta.crl", number=2, extensions=[(x509.DeltaCRLIndicator(1), True)])
    site.configure('loopback = "allow"')
    code, found = site.refresh()
    assert (code, found[site.server.url()]["state"], found[delta]["state"]) == (0, "fresh", "fresh")
    assert [path for path, _status in site.server.statuses] == ["/ca.crl", "/delta.crl"]
    assert site.says() == "listed"


def test_an_anchor_that_is_not_self_signed_signs_crls_only_where_partial_paths_are_allowed(site: Site) -> None:
    issuing = CertificateAuthority("Root").subordinate("Issuing")
    site.world.put("/srv/site/anchors/issuing.pem", issuing.pem)
    site.server.files["/ca.crl"] = issuing.crl(pem=False)
    done = site.run("refresh", "--json")
    (report,) = json.loads(done.stdout)["sources"]
    assert (done.returncode, report["state"]) == (1, "failed")
    assert "has no valid path to a trust anchor" in report["why"]
    text = site.world.path(site.config).read_text().replace("[revocation]", "partial_paths = true\n[revocation]")
    site.world.put(site.config, text)
    code, found = site.refresh()
    assert (code, found[site.server.url()]["state"]) == (0, "fresh")


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
