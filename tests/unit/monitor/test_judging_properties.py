# SPDX-License-Identifier: LGPL-2.1-or-later
"""What holds for every sequence of events: one order for each absence, none for what was never away, no busy loop."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pam_sc.monitor.facts import CardBack, CardGone, Cause, Order
from pam_sc.monitor.judging import ASLEEP_MAX_S, BLIND, Judge, Times, Whereabouts
from pam_sc.monitor.sight import Snapshot, Trouble
from tests.unit.monitor.sightings import ALICE, BOB, place, read, seen, token

TIMES = Times(grace_s=0.25, reader_grace_s=2.0, resume_grace_s=10.0, unwatched_s=60.0)
LONG_S = TIMES.unwatched_s + ASLEEP_MAX_S + TIMES.resume_grace_s + TIMES.identify_s + 1
LOOKS_MAX = 400


class World:
    """One session and two readers, driven as the service does it: orders are asked for when the judge says so."""

    def __init__(self) -> None:
        self.judge = Judge(TIMES)
        self.at = 0.0
        self.holds: dict[str, str] = {"A": "alice", "B": ""}
        self.readers = {"A", "B"}
        self.changes = 0
        self.counts = {"A": 0, "B": 0}
        self.blind = False
        self.given: list[Order] = []
        self.reading_s = 0.1
        self.ends: tuple[float, Snapshot] | None = None
        self.judge.watch((ALICE,), 0.0)
        self.tell()

    @property
    def snapshot(self) -> Snapshot:
        return seen(*(place(key, occupied=bool(self.holds[key]), changes=self.counts[key]) for key in sorted(self.readers)))

    def tell(self) -> None:
        self.judge.see(Trouble("no pcscd") if self.blind else self.snapshot, self.at)

    def put(self, key: str, holder: str) -> None:
        """Take out what is there, and put in something else or nothing."""
        if self.holds[key] != holder:
            self.holds[key] = holder
            self.counts[key] += 1
            self.tell()

    def passes(self, seconds: float) -> None:
        """Let time pass, with all that falls due in it."""
        end = self.at + seconds
        for _ in range(LOOKS_MAX):
            self.given += self.judge.orders(self.at)
            self._read()
            look = self.judge.next_look(self.at)
            assert look is None or look >= self.at
            times = [each for each in (look, self.ends and self.ends[0]) if each is not None and each <= end]
            if not times:
                self.at = end
                self.given += self.judge.orders(self.at)
                return
            self.at = min(times)
        raise AssertionError("a busy loop")

    def _read(self) -> None:
        if self.ends is not None and self.at >= self.ends[0]:
            self._answer(self.ends[1])
            self.ends = None
            self.given += self.judge.orders(self.at)
        if self.ends is None and (wanted := self.judge.to_identify()) is not None:
            self.ends = self.at + self.reading_s, wanted

    def _answer(self, asked: Snapshot) -> None:
        """What a module says now of the places that were asked about: of one that changed meanwhile it says something else."""
        if asked == BLIND or self.blind:
            self.judge.know(read(asked, failure="no pcscd"), self.at)
            return
        cards = {"alice": ALICE, "bob": BOB}
        tokens = [token(cards[who], key) for key, who in self.holds.items() if who in cards and key in self.readers]
        unread = [key for key, who in self.holds.items() if who == "unreadable" and key in self.readers]
        self.judge.know(read(asked, *tokens, unread=unread), self.at)

    @property
    def is_here(self) -> bool:
        return any(self.holds[key] == "alice" for key in self.readers)


def settled() -> World:
    world = World()
    world.passes(1.0)
    assert world.judge.whereabouts("3") is Whereabouts.HERE
    assert world.given == []
    return world


PAUSES = st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.3, 0.7, 2.5, 6.0])
HOLDERS = st.sampled_from(["alice", "bob", "unreadable", ""])
EVENTS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from("AB"), HOLDERS),
    st.tuples(st.just("reader"), st.sampled_from("AB"), st.booleans()),
    st.tuples(st.just("blind"), st.just(""), st.booleans()),
    st.tuples(st.just("asleep"), st.just(""), st.booleans()),
    st.tuples(st.just("unlock"), st.just(""), st.booleans()),
)


def happens(world: World, event: tuple[str, str, str | bool]) -> None:
    what, key, value = event
    if what == "put":
        if value == "alice" and world.is_here:
            return  # there is only one
        world.put(key, str(value))
    elif what == "reader":
        (world.readers.add if value else world.readers.discard)(key)
        world.counts[key] += 1
        world.tell()
    elif what == "blind":
        world.blind = bool(value)
        world.tell()
    elif what == "asleep":
        (world.judge.sleep if value else world.judge.resume)(world.at)
    else:
        world.judge.unlocked("3", world.at)


def comes_to_rest(world: World, *, here: bool) -> None:
    """Everything works again, and the card is there or not, for long enough."""
    world.blind = False
    world.readers = {"A", "B"}
    world.judge.resume(world.at)
    for key, holder in (("A", ""), ("B", ""), *((("A", "alice"),) if here else ())):
        world.put(key, holder)
    world.tell()
    world.passes(LONG_S)


@given(st.lists(st.tuples(EVENTS, PAUSES), max_size=25), st.sampled_from([0.02, 0.4, 3.0]), st.booleans())
def test_orders_take_turns_and_the_last_one_says_where_the_card_is(
    events: list[tuple[tuple[str, str, str | bool], float]], reading_s: float, here: bool
) -> None:
    world = settled()
    world.reading_s = reading_s
    for event, pause in events:
        happens(world, event)
        world.passes(pause)
    comes_to_rest(world, here=here)
    turns = [order for order in world.given if order != CardGone("3", Cause.UNLOCKED_MEANWHILE)]
    assert [type(order) for order in turns] == [CardGone if number % 2 == 0 else CardBack for number in range(len(turns))]
    assert len(turns) % 2 == (0 if here else 1)
    assert world.judge.whereabouts("3") is (Whereabouts.HERE if here else Whereabouts.GONE)
    assert world.judge.next_look(world.at) is None


@given(st.lists(st.tuples(st.floats(0.0, 0.2), st.floats(0.0, 3.0)), max_size=100), st.sampled_from(["A", "B"]))
def test_a_card_that_is_never_away_for_longer_than_the_grace_is_not_gone(
    times: list[tuple[float, float]], elsewhere: str
) -> None:
    world = settled()
    for away, back in times:
        world.put("A", "")
        world.put("B", "")
        world.passes(away)
        world.put(elsewhere, "alice")
        world.passes(max(back, world.reading_s * 2))
    assert world.given == []


@given(st.lists(st.tuples(st.floats(0.3, 20.0), st.floats(0.3, 20.0)), max_size=100))
def test_a_card_that_is_away_for_longer_than_the_grace_is_gone_once_each_time(times: list[tuple[float, float]]) -> None:
    world = settled()
    for away, back in times:
        world.put("A", "")
        world.passes(away)
        world.put("A", "alice")
        world.passes(back)
    assert world.given == [CardGone("3", Cause.REMOVED), CardBack("3")] * len(times)


@given(st.lists(st.tuples(EVENTS, PAUSES), max_size=25))
def test_something_is_looked_for_while_anything_is_pending(
    events: list[tuple[tuple[str, str, str | bool], float]],
) -> None:
    world = settled()
    for event, pause in events:
        happens(world, event)
        world.passes(pause)
        pending = world.judge.whereabouts("3") in (Whereabouts.LEAVING, Whereabouts.UNKNOWN, Whereabouts.UNSEEN)
        assert not pending or world.judge.next_look(world.at) is not None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["see", "lost", "out", "sleep", "resume", "unlocked", "orders"]),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
        max_size=30,
    )
)
def test_no_time_however_wrong_keeps_a_removed_card_from_being_acted_on(events: list[tuple[str, float]]) -> None:
    world = settled()
    for number, (what, at) in enumerate(events):
        world.counts["A"] += 1
        match what:
            case "see":
                world.judge.see(world.snapshot, at)
            case "lost":
                world.judge.see(Trouble(str(number)), at)
            case "out":
                world.judge.see(seen(place("A", occupied=False, changes=number + 100)), at)
            case "sleep":
                world.judge.sleep(at)
            case "resume":
                world.judge.resume(at)
            case "unlocked":
                world.judge.unlocked("3", at)
            case _:
                world.given += world.judge.orders(at)
        world.judge.next_look(at)
        world.judge.to_identify()
    world.at = 10.0
    world.put("A", "")
    world.tell()
    world.passes(LONG_S)
    assert world.judge.whereabouts("3") is Whereabouts.GONE
    assert any(isinstance(order, CardGone) for order in world.given)
