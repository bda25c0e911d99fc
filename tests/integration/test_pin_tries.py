# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wrong PINs of tokens without a counter, in whole logins: who has how many, where they are kept, who cannot block whom."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import rig as codes
from tests.support.namespace import is_available
from tests.support.pam_host import Outcome
from tests.support.pin_site import NO_COUNTER, OTHER_WRONG, TRIES_FOLDER, WRONG, PinSite, pin_site
from tests.support.rig import prompts, reason
from tests.support.softhsm import PIN

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def world_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PinSite]:
    """One world for all."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with pin_site(tmp_path_factory.mktemp("tries")) as made:
        yield made


@pytest.fixture
def site(world_site: PinSite) -> PinSite:
    """Nothing is counted yet, and there is no folder."""
    folder = world_site.rig.world.path(TRIES_FOLDER)
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    return world_site


def said(outcome: Outcome) -> tuple[int, str | None]:
    return outcome.code, reason(outcome)


def test_after_two_wrong_pins_nobody_is_asked_and_the_card_is_not_tried(site: PinSite) -> None:
    config = site.card(NO_COUNTER)
    for _ in range(2):
        assert said(site.login(config, answers=[WRONG])) == (codes.AUTH_ERR, "pin-wrong")
    third = site.login(config)
    assert (said(third), prompts(third), site.logins()) == ((codes.MAXTRIES, "pin-tries-used"), (), 2)


def test_one_wrong_pin_leaves_another_and_a_right_one_clears(site: PinSite) -> None:
    config = site.card(NO_COUNTER)
    assert said(site.login(config, answers=[WRONG])) == (codes.AUTH_ERR, "pin-wrong")
    assert site.counts() == ["0001"]
    assert site.login(config).code == codes.SUCCESS
    assert site.counts() == []
    assert [said(site.login(config, answers=[WRONG]))[1] for _ in range(2)] == ["pin-wrong"] * 2


def test_a_token_with_a_counter_is_not_counted(site: PinSite) -> None:
    config = site.card(tries=3)
    assert said(site.login(config, answers=[WRONG])) == (codes.AUTH_ERR, "pin-wrong-few-left")
    assert site.counts() == []
    assert site.login(config).code == codes.SUCCESS
    assert site.logins() == 2


def test_what_never_reached_the_card_is_not_counted(site: PinSite) -> None:
    config = site.card(NO_COUNTER, pin="pattern = '[0-9]+'")
    for _ in range(3):
        assert said(site.login(config, answers=["a password"])) == (codes.AUTH_ERR, "pin-form")
    assert (site.counts(), site.logins()) == ([], 0)


def test_several_prompts_do_not_go_beyond_it(site: PinSite) -> None:
    config = site.card(NO_COUNTER, pin="prompts = 3")
    outcome = site.login(config, answers=[WRONG, OTHER_WRONG, PIN])
    assert (said(outcome), len(prompts(outcome)), site.logins()) == ((codes.AUTH_ERR, "pin-wrong"), 2, 2)


def test_wrong_max_is_the_limit(site: PinSite) -> None:
    config = site.card(NO_COUNTER, pin="wrong_max = 1")
    assert said(site.login(config, answers=[WRONG])) == (codes.AUTH_ERR, "pin-wrong")
    assert said(site.login(config)) == (codes.MAXTRIES, "pin-tries-used")
    assert site.logins() == 1


def test_logins_side_by_side_cannot_overrun_it(site: PinSite) -> None:
    config = site.card(NO_COUNTER)
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _number: site.login(config, answers=[WRONG]), range(4)))
    assert {outcome.code for outcome in outcomes} <= {codes.AUTH_ERR, codes.MAXTRIES}
    assert (site.logins(), site.counts()) == (2, ["0002"])


def test_the_folder_is_the_verifiers_alone_and_names_no_token(site: PinSite) -> None:
    site.login(site.card(NO_COUNTER), answers=[WRONG])
    folder = site.rig.world.path(TRIES_FOLDER)
    found, account = os.stat(folder), site.rig.world.account("pam_sc")
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (account.uid, account.gid, 0o700)
    (count,) = folder.iterdir()
    assert (len(count.name), count.stat().st_uid, count.stat().st_mode & 0o777) == (64, account.uid, 0o600)


@pytest.mark.parametrize("spoil", ["mode", "owner"])
def test_where_wrong_pins_cannot_be_counted_none_is_tried(site: PinSite, spoil: str) -> None:
    config = site.card(NO_COUNTER)
    site.login(config, answers=[WRONG])
    folder = site.rig.world.path(TRIES_FOLDER)
    if spoil == "mode":
        folder.chmod(0o777)
    else:
        os.chown(folder, 4002, 4002)
    outcome = site.login(config)
    assert (said(outcome), prompts(outcome), site.logins()) == ((codes.AUTH_ERR, "pin-tries-uncounted"), (), 1)
    assert any("cannot count wrong PINs in /run/pam_sc/tries" in line for line in outcome.log)


def test_a_host_without_privilege_cannot_count_and_goes_on(site: PinSite) -> None:
    config = site.card(NO_COUNTER, owner="alice")
    for _ in range(3):
        assert said(site.login(config, answers=[WRONG], caller="alice")) == (codes.AUTH_ERR, "pin-wrong")
    assert site.login(config, caller="alice").code == codes.SUCCESS
    assert site.logins() == 4


# ---------------------------------------------------------------- somebody else


def su(site: PinSite, config: str, caller: str, typed: str) -> int:
    """Have an account say `su alice`: whether it was let in (0), and nothing else of it."""
    site.rig.service(config, name="su")
    child = site.rig.world.spawn(["/usr/bin/su", "alice", "-c", "echo in as $USER"], user=caller)
    asked = child.expect(["PIN for login", "Too many wrong PINs", "uthentication failure"])
    if asked == 0:
        child.sendline(typed)
    child.expect(child_end())
    child.close()
    return int(child.exitstatus or 0)


def child_end() -> object:
    import pexpect

    return pexpect.EOF


def test_nobody_can_block_another_persons_card_through_su(site: PinSite) -> None:
    config = site.card(NO_COUNTER)
    for _ in range(3):
        assert su(site, config, "bob", WRONG) != 0
    assert (site.logins(), site.counts()) == (1, ["0001"]), "of two tries a stranger has one"
    assert site.login(config).code == codes.SUCCESS


def test_the_owner_has_them_all_there_too(site: PinSite) -> None:
    config = site.card(NO_COUNTER)
    for _ in range(3):
        assert su(site, config, "alice", WRONG) != 0
    assert (site.logins(), site.counts()) == (2, ["0002"])


def test_a_stranger_with_the_right_pin_is_let_in_and_clears(site: PinSite) -> None:
    config = site.card(NO_COUNTER)
    assert su(site, config, "bob", WRONG) != 0
    assert site.login(config).code == codes.SUCCESS
    assert su(site, config, "bob", PIN) == 0
    assert site.counts() == []


SUDOERS = "/etc/sudoers"


def sudo(site: PinSite, config: str, caller: str, typed: str) -> None:
    """Have an account say `sudo -u alice` where sudo asks for the PIN of whom it becomes, once."""
    site.rig.service(config, name="sudo")
    site.rig.world.put(SUDOERS, "Defaults targetpw, passwd_tries=1, timestamp_timeout=0\nALL ALL=(ALL:ALL) ALL\n", mode=0o440)
    site.rig.world.run(["sudo", "-S", "-u", "alice", "true"], input=f"{typed}\n", user=caller)


def test_nobody_can_block_another_persons_card_through_sudo(site: PinSite) -> None:
    """It keeps the real uid of who calls, so it is as with su."""
    config = site.card(NO_COUNTER)
    for _ in range(3):
        sudo(site, config, "bob", WRONG)
    assert (site.logins(), site.counts()) == (1, ["0001"])
    assert site.login(config).code == codes.SUCCESS
