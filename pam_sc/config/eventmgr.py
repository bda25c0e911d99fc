# SPDX-License-Identifier: LGPL-2.1-or-later
"""Translates pkcs11_eventmgr.conf and card_eventmgr.conf, and the arguments of these tools, into the tree of a [monitor].

The same schema then reads the tree. Of repeated blocks the first counts and repeated keys add up, as in the peer. What is
dead, different or cannot be carried over gets a note with its line; line 0 is an argument. Pure: no file is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pam_sc.config.eventmgr_events import put_absence, put_insertion, put_removal
from pam_sc.config.monitor_keys import POLL_MAX_S, POLL_MIN_S
from pam_sc.config.notes import NoteKind
from pam_sc.config.pam_pkcs11 import Translation
from pam_sc.config.pam_pkcs11_section import Notes, Section, shown
from pam_sc.config.scconf import Block, Item, parse_scconf
from pam_sc.record import record, replace

PKCS11, PCSC = "pkcs11_eventmgr", "card_eventmgr"
EVENTS: Mapping[str, tuple[str, ...]] = {
    PKCS11: ("card_insert", "card_remove", "expire_time"),
    PCSC: ("card_insert", "card_remove", "timeout"),
}
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    PKCS11: ("polling_time", "expire_time", "pkcs11_module", "nss_dir"),
    PCSC: ("timeout", "timeout_limit", "pidfile"),
}
"""What each tool takes with a value, beside config_file."""
FLAGS: Mapping[str, tuple[str, str]] = {
    "debug": ("debug", "true"), "nodebug": ("debug", "false"), "daemon": ("daemon", "true"), "nodaemon": ("daemon", "false"),
}  # fmt: skip


@record
class EventManager:
    """What such a file says: [monitor] as tomllib would give it, with notes and lines, and the PKCS#11 module it names."""

    translation: Translation
    module: str | None
    module_line: int


def is_eventmgr(text: str, path: str) -> bool:
    """Say whether a file is one of these; ConfigError if it is no scconf."""
    return any(block.name in EVENTS for block in parse_scconf(text, path).root.blocks)


def config_file_of(arguments: Sequence[str]) -> str | None:
    """Return the file that `config_file=` of a tool's arguments names: the first, as there."""
    found = (argument.partition("=")[2] for argument in arguments if argument.startswith("config_file="))
    return next(found, None)


def translate_eventmgr(text: str, path: str, arguments: Sequence[str] = ()) -> EventManager:
    """Return what a file and the arguments of its tool mean for the monitor; ConfigError if the file is no scconf."""
    parsed = parse_scconf(text, path)
    notes = Notes()
    for oddity in parsed.oddities:
        notes.add(NoteKind.DIFFERENT, oddity.line, oddity.key, oddity.text)
    for item in parsed.root.items:
        notes.add(NoteKind.UNKNOWN, item.line, item.key, f"stands outside of the block {PKCS11} or {PCSC}, where nobody reads it")
    root = _root(parsed.root.blocks, notes)
    section = Section(None, notes, 1)
    if root is not None:
        section = _with_arguments(root, arguments, notes)
        _translate(section, root, notes)
    ordered = tuple(sorted(notes.all, key=lambda note: note.line))
    module = section.word("pkcs11_module") or None
    return EventManager(Translation(tree=notes.tree, notes=ordered, lines=notes.lines), module, section.line_of("pkcs11_module"))


def _root(blocks: Sequence[Block], notes: Notes) -> Block | None:
    ours = [block for block in blocks if block.name in EVENTS]
    for block in blocks:
        if block not in ours:
            said = f"is no block {PKCS11} or {PCSC}: {_extent(block)} change nothing"
            notes.add(NoteKind.DEAD, block.line, block.name, said)
    if len({block.name for block in ours}) != 1:
        found = "both of the blocks" if ours else "none of the blocks"
        notes.add(NoteKind.ERROR, ours[-1].line if ours else 1, PKCS11, f"found {found} {PKCS11} and {PCSC}, expected one")
        return None
    for again in ours[1:]:
        notes.add(NoteKind.DEAD, again.line, again.name, f"stands twice, and the first counts, that of line {ours[0].line}:"
                  f" {_extent(again)} change nothing")  # fmt: skip
    return ours[0]


def _extent(block: Block) -> str:
    return f"lines {block.line} to {block.end_line}"


def _with_arguments(root: Block, arguments: Sequence[str], notes: Notes) -> Section:
    """The keys of the whole; an argument of the tool comes before the key of its name."""
    given = _given(root.name, arguments, notes)
    joined = _joined(root, notes)
    for item in joined.items:
        if item.key in given:
            notes.add(NoteKind.DEAD, item.line, item.key, "the argument of the command holds instead")
    kept = tuple(item for item in joined.items if item.key not in given)
    return Section(replace(joined, items=(*kept, *given.values())), notes, root.line)


def _given(tool: str, arguments: Sequence[str], notes: Notes) -> dict[str, Item]:
    """The arguments as items of line 0; the last of a kind holds, as there. An ERROR note for one that is none."""
    given: dict[str, Item] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals and name in FLAGS:
            key, word = FLAGS[name]
            given[key] = Item(key=key, values=(word,), line=0)
        elif equals and name in ARGUMENTS[tool] and value:
            given[name] = Item(key=name, values=(value,), line=0)
        elif equals and name in ARGUMENTS[tool]:
            notes.add(NoteKind.ERROR, 0, name, f"{shown(argument)} has no value")
        elif equals and name == "config_file":
            notes.add(NoteKind.DEAD, 0, name, "named the file")
        elif argument == "kill" and tool == PCSC:
            notes.add(NoteKind.ERROR, 0, name, "nothing is ended in this way: systemctl stop ends what systemctl start began")
        else:
            notes.add(NoteKind.ERROR, 0, name, f"{shown(argument)} is no argument of {tool}")
    return given


def _joined(block: Block, notes: Notes) -> Block:
    """A block in which each key stands once: actions add up, of anything else the first value counts."""
    found: dict[str, Item] = {}
    for item in block.items:
        before = found.get(item.key)
        values = (*before.values, *item.values) if before is not None else item.values
        kept = values if item.key == "action" else values[:1]
        if len(kept) < len(values):
            notes.add(NoteKind.DEAD, item.line, item.key, f"the first value counts, {shown(kept[0])}, and no other")
        if before is not None and item.key == "action":
            notes.add(NoteKind.DIFFERENT, item.line, item.key, f"adds to the actions of line {before.line}, as there")
        first = before or item
        found[item.key] = Item(key=item.key, values=kept, line=first.line, column=first.column)
    return replace(block, items=tuple(found.values()))


# ---------------------------------------------------------------- the whole


def _translate(section: Section, root: Block, notes: Notes) -> None:
    _note_corrections(section, root)
    section.dead("each step is in the log in any case, and nothing more is said for debugging", "debug")
    section.dead("pam-sc monitor stays in the foreground, and systemd starts and ends it", "daemon")
    section.dead("none is written: systemd knows the process", "pidfile")
    after_s = 0
    if root.name == PKCS11:
        _put_poll(section, "polling_time", section.number("polling_time"), 1)
        after_s = section.number("expire_time") or 0
        section.words("pkcs11_module")
        section.dead("NSS databases are not read", "nss_dir")
    else:
        _put_poll(section, "timeout", section.number("timeout"), 1000)
        section.dead(f"{PCSC} reads it and never uses it", "timeout_limit")
    _translate_events(section, root, notes, after_s)
    section.finish()


def _note_corrections(section: Section, root: Block) -> None:
    seen = "the card that opened a session counts for it, and no other" if root.name == PCSC else (
        "the card that opened a session counts for it; for the peer any token does, one that is always there too")
    for text in (
        seen,
        "a card that is not there when the monitor starts is acted on; the peer passes over the first change after its start",
        "errors are told and tried again; the peer ends without a word",
    ):
        section.note(NoteKind.DIFFERENT, root.name, text, root.line)


def _put_poll(section: Section, key: str, value: int | None, a_second: int) -> None:
    if value is None:
        return
    wanted = value / a_second
    held = min(max(wanted, POLL_MIN_S), POLL_MAX_S)
    section.put(("monitor", "poll"), int(held) if held == int(held) else held, key)
    changed = f"{held:g} seconds and not {wanted:g}; " if held != wanted else ""
    section.note(NoteKind.DIFFERENT, key, f"{changed}counts only where nothing tells of removals: neither PC/SC nor the events of"
                 " PKCS#11")


# ---------------------------------------------------------------- the events


def _translate_events(section: Section, root: Block, notes: Notes, after_s: int) -> None:
    events = _events(root, notes)
    removal, insertion, absence = (events.get(name) for name in ("card_remove", "card_insert", "expire_time"))
    put_removal(_of_event(removal, section, notes))
    if insertion is not None:
        put_insertion(_of_event(insertion, section, notes))
    if absence is not None and after_s > 0:
        put_absence(_of_event(absence, section, notes), after_s, notes.tree)
    elif absence is not None:
        why = "expire_time is 0, so this never happens" if not after_s else f"expire_time is {after_s}, so this never happens"
        notes.add(NoteKind.DEAD, absence.line, "event expire_time", why)
    elif after_s:
        section.note(NoteKind.DEAD, "expire_time", "there is no event expire_time with an action")
    if timeout := events.get("timeout"):
        notes.add(NoteKind.DEAD, timeout.line, "event timeout", f"{PCSC} never comes to it: {_extent(timeout)} change nothing")
    for block in events.values():
        _finish(block, notes)


def _events(root: Block, notes: Notes) -> dict[str, Block]:
    """The first block of each event that the tool knows."""
    found: dict[str, Block] = {}
    for block in root.blocks:
        label = (block.label or "").lower()
        if block.name != "event" or label not in EVENTS[root.name]:
            known = ", ".join(EVENTS[root.name])
            notes.add(NoteKind.UNKNOWN, block.line, f"{block.name} {block.label or ''}".rstrip(), f"is no event of {root.name},"
                      f" which are {known}: nobody reads {_extent(block)}")
        elif label in found:
            notes.add(NoteKind.DEAD, block.line, f"event {label}", f"stands twice, and the first counts, that of line"
                      f" {found[label].line}: {_extent(block)} change nothing")
        else:
            found[label] = block
    return found


def _of_event(block: Block | None, whole: Section, notes: Notes) -> Section:
    return Section(None, notes, whole.line) if block is None else Section(_joined(block, notes), notes, block.line)


def _finish(block: Block, notes: Notes) -> None:
    """Note what nobody reads in an event."""
    for item in block.items:
        if item.key not in ("action", "on_error"):
            notes.add(NoteKind.UNKNOWN, item.line, item.key, "is no key of an event: action and on_error are")
    for inner in block.blocks:
        notes.add(NoteKind.ERROR, inner.line, inner.name, f"stands inside of the event of line {block.line}, where nobody reads"
                  " it; is there a } missing before it?")
