# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether a pattern occurs in a value, by following all ways at once: no value can make that take long. Pure.

Python's `re` backtracks: a name of 2,048 characters and three times `.*`, which real rules have, would be billions of
steps. Here the work is at most the length of the value times the length of the program, and both are bounded. Which of
several ways is taken makes no difference to a yes or no.
"""

from __future__ import annotations

from collections.abc import Iterable

from pam_sc.record import record

PROGRAM_MAX = 1_000
"""Instructions. Intervals count as often as they repeat."""
VALUE_LENGTH_MAX = 2_048
"""Characters of a value; a longer one never matches."""
_VISITS_MAX = 10_000


@record
class Characters:
    """One character of these ranges, or with `negated` one of none of them."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def take(self, character: str) -> bool:
        """Say whether this character is meant."""
        return any(low <= character <= high for low, high in self.ranges) is not self.negated


@record
class Anchor:
    """The start of the value (`^`) or its end (`$`)."""

    sign: str


@record
class Then:
    """One after the other."""

    nodes: tuple[Node, ...]


@record
class Either:
    """One of them."""

    nodes: tuple[Node, ...]


@record
class Repeat:
    """From `least` to `most` times; None: as often as there are."""

    node: Node
    least: int
    most: int | None


Node = Characters | Anchor | Then | Either | Repeat
ANYTHING = Characters((), negated=True)
AT_START, AT_END = Anchor("^"), Anchor("$")


@record
class _Split:
    """Go on at any of these: a set of places, a bit each."""

    targets: int


@record
class Program:
    """A pattern: instructions, of which the place behind the last is the goal. Sets of places are numbers, a bit each."""

    steps: tuple[Characters | Anchor | _Split, ...]

    def search(self, value: str) -> bool:
        """Say whether the pattern occurs anywhere in the value. One that is too long never matches."""
        if len(value) > VALUE_LENGTH_MAX:
            return False
        taking = {character: self._taking(character) for character in set(value)}
        known: dict[int, int] = {}
        goal = 1 << len(self.steps)
        active = self._reached(1, at_start=True, at_end=not value)
        for left, character in zip(range(len(value) - 1, -1, -1), value, strict=True):
            if active & goal:
                return True
            places = (active & taking[character]) << 1 | 1
            if not left:
                return bool(self._reached(places, at_end=True) & goal)
            if places not in known:
                known[places] = self._reached(places)
            active = known[places]
        return bool(active & goal)

    def _taking(self, character: str) -> int:
        """The places that take a character."""
        return sum(
            1 << place for place, step in enumerate(self.steps) if isinstance(step, Characters) and step.take(character)
        )

    def _reached(self, places: int, *, at_start: bool = False, at_end: bool = False) -> int:
        """Every place that can be reached without taking a character."""
        found = 0
        while places:
            bit = places & -places
            found |= bit
            place = bit.bit_length() - 1
            match self.steps[place] if place < len(self.steps) else None:
                case _Split(targets):
                    places |= targets
                case Anchor(sign) if at_start if sign == "^" else at_end:
                    places |= bit << 1
            places &= ~found
        return found


def compile_node(node: Node) -> Program:
    """Return the program of a pattern; ValueError if it would be too large."""
    writer = _Writer()
    writer.write(node)
    return Program(tuple(writer.steps))


class _Writer:
    def __init__(self) -> None:
        self.steps: list[Characters | Anchor | _Split] = []
        self._visits = 0

    def write(self, node: Node) -> None:
        self._visits += 1
        if len(self.steps) > PROGRAM_MAX or self._visits > _VISITS_MAX:
            raise ValueError(f"the pattern is too large: its repetitions written out are over {PROGRAM_MAX} characters")
        match node:
            case Then(nodes):
                for each in nodes:
                    self.write(each)
            case Either(nodes):
                self._either(nodes)
            case Repeat(repeated, least, most):
                self._repeat(repeated, least, most)
            case _:
                self.steps.append(node)

    def _hole(self) -> int:
        self.steps.append(_Split(0))
        return len(self.steps) - 1

    def _fill(self, hole: int, targets: Iterable[int]) -> None:
        self.steps[hole] = _Split(sum(1 << target for target in set(targets)))

    def _either(self, nodes: tuple[Node, ...]) -> None:
        fork, starts, exits = self._hole(), [], []
        for each in nodes:
            starts.append(len(self.steps))
            self.write(each)
            exits.append(self._hole())
        self._fill(fork, starts)
        for each_exit in exits:
            self._fill(each_exit, (len(self.steps),))

    def _repeat(self, node: Node, least: int, most: int | None) -> None:
        for _time in range(least):
            self.write(node)
        if most is None:
            fork = self._hole()
            self.write(node)
            back = self._hole()
            self._fill(back, (fork,))
            self._fill(fork, (fork + 1, len(self.steps)))
            return
        forks = []
        for _time in range(most - least):
            forks.append(self._hole())
            self.write(node)
        for fork in forks:
            self._fill(fork, (fork + 1, len(self.steps)))
