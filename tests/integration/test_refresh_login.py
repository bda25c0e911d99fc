# SPDX-License-Identifier: LGPL-2.1-or-later
"""From a login that cannot know, over the request it leaves, to a login that needs no network: with the confined worker."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.support import rig as codes
from tests.support.crl_server import CrlServer
from tests.support.ocsp_responder import OcspResponder
from tests.support.pam_world import World
from tests.support.refresh_site import PAM_SC, STORE
from tests.support.rig import Rig, reason

pytestmark = pytest.mark.root

OFFLINE = 'mode = "require"\nloopback = "allow"\n'


def requests_folder(world: World) -> Path:
    folder = world.path(STORE) / "requests"
    folder.mkdir(parents=True)
    account = world.account("pam_sc")
    os.chown(folder, account.uid, account.gid)
    folder.chmod(0o700)
    return folder


def states(world: World, config: str) -> list[str]:
    """Run pam-sc refresh; the state of each source."""
    done = world.run([*PAM_SC, "refresh", "--json", "--config", config])
    assert done.stderr == ""
    return [each["state"] for each in json.loads(done.stdout)["sources"]]


def test_a_login_that_knows_nothing_leaves_word_and_after_a_refresh_the_next_one_knows(world: World) -> None:
    folder, rig = requests_folder(world), Rig(world)
    with CrlServer() as server:
        leaf = rig.setup.authority.issue(common_name="alice", crl_distribution_points=[server.url()])
        config = rig.setup.card("alice", [leaf], revocation=OFFLINE)
        assert reason(rig.login(config)) == "revocation-not-at-hand"
        (request,) = folder.iterdir()
        server.files["/ca.crl"] = rig.setup.authority.crl([], pem=False)
        assert states(world, config) == ["fresh"]
        assert rig.login(config).codes["authenticate"] == codes.SUCCESS
        server.files["/ca.crl"] = rig.setup.authority.crl([leaf], number=2, pem=False)
        assert states(world, config) == ["fresh"]
        assert reason(rig.login(config)) == "certificate-revoked"
        long_ago = time.time() - 20 * 86_400
        os.utime(request, (long_ago, long_ago))
        rig.login(config)
        (request,) = folder.iterdir()
        assert request.stat().st_mtime > time.time() - 3_600, "who logs in asks again"
        assert server.statuses == [("/ca.crl", 200), ("/ca.crl", 200)], "no login asked the server"


def test_a_stored_ocsp_answer_is_enough_for_a_login_without_any_responder(world: World, tmp_path: Path) -> None:
    folder, rig = requests_folder(world), Rig(world)
    with OcspResponder(rig.setup.authority, tmp_path / "ocsp") as responder:
        leaf = rig.setup.authority.issue(common_name="alice", ocsp=[responder.url])
        config = rig.setup.card("alice", [leaf], revocation=OFFLINE)
        assert reason(rig.login(config)) == "revocation-not-at-hand"
        assert len(os.listdir(folder)) == 1
        assert states(world, config) == ["fresh"]
        asked = responder.asked
    assert asked == 1
    assert rig.login(config).codes["authenticate"] == codes.SUCCESS
