# SPDX-License-Identifier: LGPL-2.1-or-later
"""The revocation store under `pam-sc refresh`: who may write it, and what is left of it when things go wrong."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time

import pytest

from tests.support.refresh_site import LISTED, PAM_SC, STORE, Site
from tests.support.stores import crl_with_entries, large_crl, large_entries

pytestmark = pytest.mark.root


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
    """Fifty runs, each to replace a CRL of 60,000 entries by one that says the opposite, killed at random moments.

    The moments follow the machine: after a run that came too early to its end the next may take longer, and the other
    way round, so that both ends and what lies between are met however busy it is.
    """
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
        seconds *= 0.92 if said == after else 1.04
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
