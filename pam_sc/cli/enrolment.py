# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `pam-sc enroll` and `pam-sc unenroll` do with a chosen certificate: change the mapfile of one mapper.

The value of a certificate is the mapper's own, and a new mapfile is asked through that mapper before it takes the place
of the old one. Nothing is guessed: where two answers are possible, nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pam_sc.cli.certificate_choice import Refusal
from pam_sc.config.model import Configuration, MapperSettings
from pam_sc.decision.admission import judge_account
from pam_sc.decision.distinguished_name import VALUE_MAX
from pam_sc.decision.identity import Subject
from pam_sc.decision.policy import Policy
from pam_sc.decision.request import Account, AccountLookup, NoSuchAccount
from pam_sc.decision.verdict import Denied
from pam_sc.errors import ConfigError
from pam_sc.mapfile import Mapfile, mapfile_of
from pam_sc.mapfile_edit import (
    Change,
    NumberedLine,
    changing,
    line_of,
    lines_of,
    read,
    same_value,
    with_line,
    without_lines,
)
from pam_sc.mapping import ALIASES, Mapper, load_mappers
from pam_sc.record import record
from pam_sc.value_mapper import ValueMapper


@record(kw_only=True)
class Outcome:
    """What was done, or would be: for people `text` and `notes`."""

    text: str
    notes: tuple[str, ...]
    mapfile: str
    lines: tuple[str, ...]
    """The lines that were added or removed."""


# ---------------------------------------------------------------- which mapper, which account


def find_mapper(configuration: Configuration, named: str | None) -> MapperSettings:
    """Return the mapper that is named, by its name or its index from 0, else the first that has a mapfile."""
    usable = [each for each in configuration.mappers if isinstance(each.table.get("mapfile"), str)]
    if named is None:
        if not usable:
            raise ConfigError(f"{configuration.source}: no mapper has a mapfile that could be changed; set its mapfile first")
        return usable[0]
    if named.isascii() and named.isdigit():
        meant = list(configuration.mappers[int(named) : int(named) + 1])
    else:
        meant = [each for each in configuration.mappers if ALIASES.get(each.name, each.name) == ALIASES.get(named, named)]
    chosen = [each for each in meant if each in usable]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        raise ConfigError(f"{configuration.source}: {len(chosen)} mappers {named!r} have a mapfile; name one by its index")
    why = "has no mapfile" if meant else "is not configured"
    raise ConfigError(f"{configuration.source}: the mapper {named!r} {why}")


def require_account(lookup: AccountLookup, name: str, policy: Policy) -> None:
    """Return if a card may be enrolled for this account; Refusal otherwise."""
    if isinstance(lookup, NoSuchAccount):
        raise Refusal(f"there is no account {name!r}")
    judged = judge_account(lookup, name, policy)
    if isinstance(judged, Denied):
        raise Refusal(f"{judged.reason.value}: {judged.detail}")


def make_mapper(settings: MapperSettings, trusted_uids: frozenset[int], mapfile: str | None = None) -> Mapper:
    """Make a configured mapper, with another mapfile if one is given."""
    table = settings.table if mapfile is None else {**settings.table, "mapfile": mapfile}
    return load_mappers([(settings.name, table, settings.where)], trusted_uids)[0].mapper


def _values(mapper: Mapper, subject: Subject) -> tuple[str, ...]:
    """Every value of a certificate that the mapper would look for in its mapfile."""
    return mapper.spellings(subject) if isinstance(mapper, ValueMapper) else mapper.sees(subject)


def _ignores_case(mapper: Mapper) -> bool:
    return bool(getattr(mapper, "ignore_case", False))


# ---------------------------------------------------------------- enroll


@record(kw_only=True)
class Enrolment:
    """Who is enrolled, with what, by which mapper."""

    settings: MapperSettings
    subject: Subject
    account: str
    trusted_uids: frozenset[int]
    look_up: Callable[[str], AccountLookup]

    @property
    def mapfile(self) -> str:
        """The path as it is configured."""
        return str(self.settings.table["mapfile"])

    def run(self, *, dry_run: bool) -> Outcome:
        """Add the line; Refusal where that would be wrong, ConfigError where it cannot be written."""
        if dry_run:
            now = read(self.mapfile, self.trusted_uids)
            line = self._plan(now)[0]
            return self._outcome(f"would enroll {self.account}", line)
        with changing(self.mapfile, self.trusted_uids) as now:
            line, content = self._plan(now)
            now.replace(content, self._require_that_it_maps)
        return self._outcome(f"enrolled {self.account}", line)

    def _outcome(self, text: str, line: bytes) -> Outcome:
        return Outcome(text=text, notes=(), mapfile=self.mapfile, lines=(line.decode(),))

    def _plan(self, now: Change) -> tuple[bytes, bytes]:
        """Return the line and the content with it."""
        mapper = make_mapper(self.settings, self.trusted_uids)
        values = mapper.sees(self.subject)
        if not values:
            raise Refusal(f"the mapper {self.settings.name!r} sees no usable value in the certificate", self.subject.unusable)
        try:
            line = line_of(values[0], self.account)
        except ValueError as error:
            raise Refusal(f"the mapfile cannot hold it: {error}") from error
        self._require_free(_mapfile(now, now.content, mapper), _values(mapper, self.subject))
        content = with_line(now.content, line)
        if _mapfile(now, content, mapper).account_of(values[0]) != self.account:
            raise Refusal("the new line would not count")
        return line, content

    def _require_free(self, mapfile: Mapfile, values: Sequence[str]) -> None:
        for listed in mapfile.accounts_of(values):
            if listed == self.account:
                raise Refusal(f"already enrolled: {self.mapfile} maps this certificate to {self.account!r}")
            if listed is not None:
                raise Refusal(f"{self.mapfile} maps this certificate to another account, {listed!r};"
                              f" pam-sc unenroll {listed} first")  # fmt: skip

    def _require_that_it_maps(self, mapfile: str) -> None:
        """Ask the mapper itself about the new file: it gives this account, and no other that exists."""
        found = make_mapper(self.settings, self.trusted_uids, mapfile).accounts(self.subject)
        if self.account not in found:
            raise Refusal(f"the mapper {self.settings.name!r} would not map the certificate to {self.account!r} even so")
        for other in found:
            if other != self.account and isinstance(self.look_up(other), Account):
                raise Refusal(f"the mapper {self.settings.name!r} would map the certificate to {other!r} as well")


def _mapfile(now: Change, content: bytes, mapper: Mapper) -> Mapfile:
    return mapfile_of(now.path, content, ignore_case=_ignores_case(mapper))


# ---------------------------------------------------------------- unenroll


@record(kw_only=True)
class Removal:
    """Whose lines go: those of some certificates, or all of the account (`subjects` is None)."""

    settings: MapperSettings
    subjects: tuple[Subject, ...] | None
    account: str
    trusted_uids: frozenset[int]

    @property
    def mapfile(self) -> str:
        """The path as it is configured."""
        return str(self.settings.table["mapfile"])

    def run(self, *, dry_run: bool) -> Outcome:
        """Remove the lines; Refusal if there is none, ConfigError where it cannot be written."""
        if dry_run:
            lines, _content, notes = self._plan(read(self.mapfile, self.trusted_uids))
            return self._outcome(f"would remove {len(lines)} of", lines, notes)
        with changing(self.mapfile, self.trusted_uids) as now:
            lines, content, notes = self._plan(now)
            now.replace(content, self._require_that_it_loads)
        return self._outcome(f"removed {len(lines)} of", lines, notes)

    def _outcome(self, done: str, lines: Sequence[NumberedLine], notes: Sequence[str]) -> Outcome:
        written = tuple(f"{each.line.value} -> {each.line.account}" for each in lines)
        text = f"{done} {self.account}'s lines"
        return Outcome(text=text, notes=tuple(notes), mapfile=self.mapfile, lines=written)

    def _plan(self, now: Change) -> tuple[list[NumberedLine], bytes, list[str]]:
        mapper = make_mapper(self.settings, self.trusted_uids)
        ignore_case = _ignores_case(mapper)
        values = None
        if self.subjects is not None:
            values = [value for subject in self.subjects for value in _values(mapper, subject)]
        theirs = lines_of(now.content, self.account, ignore_case=ignore_case)
        lines = [each for each in theirs if each.line.pattern is None and _is_about(each, values, ignore_case=ignore_case)]
        patterns = [each for each in theirs if each.line.pattern is not None
                    and _is_about(each, values, ignore_case=ignore_case)]  # fmt: skip
        notes = [f"the pattern {each.line.value} still maps to {self.account}" for each in patterns]
        if not lines:
            whose = "the certificate" if values is not None else "any certificate"
            raise Refusal(f"not enrolled: no line of {self.mapfile} maps {whose} to {self.account!r}", notes)
        content = without_lines(now.content, frozenset(each.number for each in lines))
        return lines, content, [*notes, *self._still_mapped(_mapfile(now, content, mapper), lines)]

    def _still_mapped(self, mapfile: Mapfile, lines: Sequence[NumberedLine]) -> Iterator[str]:
        """Say what a value maps to by a line that was behind the removed one."""
        for value in dict.fromkeys(each.line.value for each in lines):
            left = mapfile.account_of(value)
            if left is not None and left != self.account:
                yield f"{value} now maps to {left}, by a line that did not count before"

    def _require_that_it_loads(self, mapfile: str) -> None:
        make_mapper(self.settings, self.trusted_uids, mapfile)


def _is_about(each: NumberedLine, values: Sequence[str] | None, *, ignore_case: bool) -> bool:
    if values is None:
        return True
    if each.line.pattern is not None:
        return any(len(value) <= VALUE_MAX and each.line.pattern.fullmatch(value) for value in values)
    return any(same_value(each.line.value, value, ignore_case=ignore_case) for value in values)
