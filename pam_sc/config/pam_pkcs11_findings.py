# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `pam-sc check-config` makes of a pam_pkcs11.conf: how much each note weighs, and what an assessor would find.

A difference is a warning where a line lets in somebody whom pam_pkcs11 would not, because it passes over that line; what
is only stricter here, or does not concern who may log in, is a note. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.notes import Note, NoteKind
from pam_sc.config.scconf import Block, parse_scconf
from pam_sc.config.schema import KeyPath
from pam_sc.config.stig import StigAnswer, Written, stig_of_peer

_WEIGHTS: Mapping[NoteKind, Weight] = {
    NoteKind.DEAD: Weight.NOTE,
    NoteKind.UNKNOWN: Weight.WARNING,
    NoteKind.UNSAFE: Weight.WARNING,
    NoteKind.DIFFERENT: Weight.NOTE,
    NoteKind.ERROR: Weight.ERROR,
}
_COUNTS_ONLY_HERE = (
    "pam_pkcs11 passes over this line", "pam_pkcs11 takes it as no", "pam_pkcs11 needs a URL",
    "pam_pkcs11 looks at the first alone",
)  # fmt: skip
"""How a note says that what is written counts here and not there."""


def findings_of(notes: Iterable[Note]) -> tuple[Finding, ...]:
    """Return the notes as findings, in their order."""
    return tuple(Finding(weight_of(note), note.key, note.text, note.kind, note.line or None) for note in notes)


def weight_of(note: Note) -> Weight:
    """Say how much a note matters."""
    if note.kind is NoteKind.DIFFERENT and any(words in note.text for words in _COUNTS_ONLY_HERE):
        return Weight.WARNING
    return _WEIGHTS[note.kind]


def nearest_line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    """Return the line that a value of the tree comes from, or the block around it; None for neither."""
    around = [path[:length] for length in range(len(path), 0, -1) if isinstance(path[length - 1], int)]
    return next((line for at in (path, *around) if (line := lines.get(at))), None)


def stig_of_text(text: str, path: str) -> tuple[StigAnswer, ...]:
    """Judge the words of a file as an assessor does: each cert_policy, used or not, and use_mappers."""
    blocks = tuple(_blocks(parse_scconf(text, path).root))
    return stig_of_peer(_written(blocks, "cert_policy"), next(iter(_written(blocks, "use_mappers")), None))


def _blocks(block: Block) -> Iterator[Block]:
    yield block
    for inner in block.blocks:
        yield from _blocks(inner)


def _written(blocks: Sequence[Block], key: str) -> list[Written]:
    items = (item for block in blocks for item in block.items if item.key == key)
    return [Written(item.line, tuple(word.lower() for word in item.values if word)) for item in items]
