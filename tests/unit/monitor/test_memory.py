# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is remembered over a restart: of this boot, of the very session, and only what was seen to succeed."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.errors import MonitorError
from pam_sc.monitor.facts import CardGone, Cause, Outcome
from pam_sc.monitor.memory import ENTRIES_MAX, STATE_MAX, Memory, Remembered, parse_state, state_text
from pam_sc.record import replace
from tests.unit.monitor.sightings import ALICE, BOB

AT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
GONE = CardGone("3", Cause.REMOVED)
ENTRY = Remembered(
    certificate_sha256=ALICE.certificate_sha256, began=7.0, action="removed", outcome="locked",
    at="2026-01-02T03:04:05.000Z", acted=True, since_boot=100.0,
)  # fmt: skip


class Site:
    """A folder with a state file, and sessions that began at 7."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "run" / "state.json"
        self.warnings: list[str] = []
        self.began: dict[str, float | None] = {"3": 7.0, "4": 7.0}
        self.now = 100.0

    def memory(self, boot: str = "boot-1") -> Memory:
        memory = Memory(str(self.path), boot, self.warnings.append, self.began.get, lambda: self.now)
        memory.load()
        return memory

    def with_outcome(self, outcome: Outcome = Outcome.LOCKED) -> Memory:
        memory = self.memory()
        memory.gone(ALICE, GONE, AT)
        memory.became(ALICE, outcome, AT)
        return memory


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_an_absence_that_was_acted_on_is_remembered_over_a_restart(site: Site) -> None:
    site.with_outcome()
    again = site.memory()
    assert again.acted([ALICE, BOB]) == {"3"}
    assert again.last("3") == ENTRY
    assert again.last("4") is None
    assert site.warnings == []


def test_how_long_ago_it_was_no_clock_that_was_set_can_change(site: Site) -> None:
    site.with_outcome()
    again = site.memory()
    again.acted([ALICE])
    entry = again.last("3")
    assert entry is not None
    site.now = 130.0
    assert again.age_s(replace(entry, at="1970-01-01T00:00:00.000Z")) == 30.0
    assert again.age_s(replace(entry, since_boot=200.0)) == 0.0


def test_a_removal_is_not_acted_on_before_its_outcome_is_known(site: Site) -> None:
    site.memory().gone(ALICE, GONE, AT)
    assert site.memory().acted([ALICE]) == frozenset()


@pytest.mark.parametrize("outcome", list(Outcome))
def test_what_was_not_seen_to_succeed_is_tried_again_after_a_restart(site: Site, outcome: Outcome) -> None:
    site.with_outcome(outcome)
    tried_again = outcome in (Outcome.NOT_SEEN, Outcome.FAILED)
    assert site.memory().acted([ALICE]) == (frozenset() if tried_again else {"3"})


def test_a_card_that_is_back_ends_the_absence(site: Site) -> None:
    site.with_outcome().back(ALICE, AT)
    again = site.memory()
    assert again.acted([ALICE]) == frozenset()
    assert again.last("3") == replace(ENTRY, action="card-returned", outcome="", acted=False)


def test_a_state_of_an_earlier_boot_counts_for_nothing_and_is_no_fault(site: Site) -> None:
    site.with_outcome()
    assert site.memory(boot="boot-2").acted([ALICE]) == frozenset()
    assert site.warnings == []


def test_a_state_counts_for_nothing_where_the_boot_is_not_known(site: Site) -> None:
    site.memory(boot="").gone(ALICE, GONE, AT)
    assert site.memory(boot="").acted([ALICE]) == frozenset()


def test_a_session_with_the_same_name_that_began_later_is_another(site: Site) -> None:
    site.with_outcome()
    site.began["3"] = 8.0
    assert site.memory().acted([ALICE]) == frozenset()


def test_a_session_with_another_certificate_is_another(site: Site) -> None:
    site.with_outcome()
    other = replace(ALICE, certificate_sha256=BOB.certificate_sha256)
    assert site.memory().acted([other]) == frozenset()


def test_sessions_that_are_no_more_are_forgotten(site: Site) -> None:
    memory = site.with_outcome()
    memory.acted([BOB])
    memory.gone(BOB, CardGone("4", Cause.REPLACED), AT)
    assert set(parse_state(site.path.read_bytes(), "boot-1")) == {"4"}


def test_an_outcome_without_a_removal_is_nothing(site: Site) -> None:
    memory = site.memory()
    memory.became(ALICE, Outcome.LOCKED, AT)
    assert memory.last("3") is None


def test_a_session_of_which_logind_says_nothing_is_remembered_all_the_same(site: Site) -> None:
    site.began.clear()
    site.with_outcome()
    assert site.memory().acted([ALICE]) == {"3"}


def test_another_time_zone_is_written_in_utc(site: Site) -> None:
    there = AT.astimezone(datetime.timezone(datetime.timedelta(hours=2)))
    memory = site.memory()
    memory.gone(ALICE, GONE, there)
    last = memory.last("3")
    assert last is not None and last.at == "2026-01-02T03:04:05.000Z"


# ---------------------------------------------------------------- the file


def test_the_file_is_for_its_owner_alone_and_nothing_is_left_beside_it(site: Site) -> None:
    site.with_outcome()
    assert site.path.stat().st_mode & 0o7777 == 0o600
    assert [entry.name for entry in site.path.parent.iterdir()] == ["state.json"]


def test_no_file_is_no_fault(site: Site) -> None:
    site.memory()
    assert site.warnings == []


def spoilt(site: Site) -> str:
    """The one warning about a file that is then taken for none."""
    assert site.memory().acted([ALICE]) == frozenset()
    (warning,) = site.warnings
    start = f"cannot use the state {str(site.path)!r}, absences of before are acted on again: "
    assert warning.startswith(start)
    return warning.removeprefix(start)


def test_a_malformed_file_counts_as_none(site: Site) -> None:
    site.with_outcome()
    site.path.write_bytes(b'{"version": 1,')
    assert spoilt(site) == "it is not JSON"


def test_a_file_that_is_too_large_counts_as_none(site: Site) -> None:
    site.with_outcome()
    site.path.write_bytes(b" " * (STATE_MAX + 1))
    assert spoilt(site) == f"it is larger than {STATE_MAX} bytes"


def test_a_file_that_others_may_write_counts_as_none(site: Site) -> None:
    site.with_outcome()
    site.path.chmod(0o620)
    assert spoilt(site) == f"uid {os.geteuid()}, mode 620: others could have written it"


@pytest.mark.root
def test_a_file_of_somebody_else_counts_as_none(site: Site) -> None:
    site.with_outcome()
    os.chown(site.path, 65534, 65534)
    assert spoilt(site) == "uid 65534, mode 600: others could have written it"


def test_a_link_is_not_followed(site: Site, tmp_path: Path) -> None:
    site.with_outcome()
    site.path.rename(tmp_path / "elsewhere")
    site.path.symlink_to(tmp_path / "elsewhere")
    assert spoilt(site) == "Too many levels of symbolic links"


def test_what_is_no_file_counts_as_none(site: Site) -> None:
    site.path.parent.mkdir()
    os.mkfifo(site.path)
    assert spoilt(site) == "it is no regular file"


def test_a_state_that_cannot_be_written_is_said_once_and_is_known_all_the_same(site: Site) -> None:
    site.path.parent.write_text("no folder")
    memory = site.memory()
    site.warnings.clear()
    memory.gone(ALICE, GONE, AT)
    memory.became(ALICE, Outcome.LOCKED, AT)
    assert site.warnings == [
        f"cannot write the state {str(site.path)!r}, after a restart absences are acted on again: File exists"
    ]
    assert memory.last("3") == ENTRY


# ---------------------------------------------------------------- its content


def test_what_was_written_is_read_again() -> None:
    states = {"3": ENTRY, "c1": replace(ENTRY, acted=False, began=0)}
    assert parse_state(state_text(states, "boot").encode(), "boot") == states


def test_of_too_many_sessions_the_last_ones_are_written() -> None:
    states = {str(number): ENTRY for number in range(ENTRIES_MAX + 5)}
    text = state_text(states, "boot").encode()
    assert len(text) <= STATE_MAX
    assert set(parse_state(text, "boot")) == {str(number) for number in range(5, ENTRIES_MAX + 5)}


def broken(**changes: object) -> bytes:
    entry = {**vars(ENTRY), **changes}
    return json.dumps({"version": 1, "boot": "boot", "sessions": {"3": entry}}).encode()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[" * 100000, "it is not JSON"),
        (b"[]", "it is not a state of version 1"),
        (b'{"version": 2, "boot": "boot", "sessions": {}}', "it is not a state of version 1"),
        (b'{"version": 1, "boot": "boot", "sessions": []}', "it is not a state of version 1"),
        (b'{"version": 1, "boot": "boot", "sessions": {"3": []}}', "its session '3' is no object"),
        (broken(since_boot=float("nan")), "its session '3' has not the fields that are expected"),
        (broken(since_boot=10**400), "its session '3' has not the fields that are expected"),
        (broken(since_boot="1"), "its session '3' has not the fields that are expected"),
        (broken(acted=1), "its session '3' has not the fields that are expected"),
        (broken(began="7"), "its session '3' has not the fields that are expected"),
        (broken(began=True), "its session '3' has not the fields that are expected"),
        (broken(action=None), "its session '3' has not the fields that are expected"),
        (broken(outcome="x" * 129), "its session '3' has not the fields that are expected"),
        (
            json.dumps({"version": 1, "boot": "boot", "sessions": dict.fromkeys(map(str, range(257)), 0)}).encode(),
            "it has 257 sessions, expected at most 256",
        ),
    ],
)
def test_a_state_that_is_not_as_expected_is_refused_and_says_why(content: bytes, why: str) -> None:
    with pytest.raises(MonitorError) as raised:
        parse_state(content, "boot")
    assert str(raised.value) == why


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(
    st.sampled_from(["version", "boot", "sessions", "3"]), inner)).map(lambda said: json.dumps(said).encode()))  # fmt: skip
def test_whatever_is_in_the_file_is_a_state_or_an_error_of_ours(content: bytes) -> None:
    try:
        parse_state(content, "boot")
    except MonitorError:
        return
