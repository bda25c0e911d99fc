# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table of one [[mapper]] while a block of pam_pkcs11.conf is translated into it, and the key that most blocks have."""

from __future__ import annotations

from pam_sc.config.notes import NoteKind
from pam_sc.config.pam_pkcs11_section import Notes, Section, shown
from pam_sc.config.schema import Parsed

_FILE = "file://"


class MapperTable:
    """The keys of one of our mappers, each with the line it comes from."""

    def __init__(self, name: str, line: int) -> None:
        self._keys: dict[str, tuple[Parsed, int]] = {"name": (name, line)}

    def has(self, key: str) -> bool:
        """Say whether the key is set."""
        return key in self._keys

    def put(self, section: Section, said: str, key: str, value: Parsed) -> None:
        """Set a key from what the block says under the name `said`."""
        self._keys[key] = (value, section.line_of(said))

    def drop(self, key: str) -> None:
        """Unset a key."""
        self._keys.pop(key, None)

    def take_words(self, section: Section, key: str) -> None:
        """Set a list of ours, where the block has it under our own name."""
        words = section.words(key)
        if words:
            self.put(section, key, key, list(words))
        elif words is not None:
            section.note(NoteKind.ERROR, key, "has no value")

    def take_word(self, section: Section, said: str, key: str) -> None:
        """Set a string, where the block has it and it is not empty."""
        word = section.word(said)
        if word:
            self.put(section, said, key, word)

    def put_into(self, notes: Notes, index: int) -> None:
        """Put the table into the tree, as its mapper number `index`."""
        for key, (value, line) in self._keys.items():
            notes.put(("mapper", index, key), value, line)


def read_mapfile_key(section: Section, table: MapperTable, *, is_account: bool = True) -> None:
    """Set `mapfile` and `unlisted`. Without our `unlisted` the file is an allow-list, which the peer's is not.

    `is_account`: a value can be the name of an account by itself, so that there is something to fall back to.
    """
    url = section.word("mapfile")
    unlisted = section.word("unlisted") if is_account else None
    if not url or url == "none":
        return
    path = url.removeprefix(_FILE)
    if not path.startswith("/"):
        section.note(NoteKind.ERROR, "mapfile", f"found {shown(url)}: a login fetches no mapfile; put it into a file that only"
                     " root can write, and name that: mapfile = file:///etc/pam_pkcs11/NAME;")
        return
    if path == url:
        section.note(NoteKind.DIFFERENT, "mapfile", "is read as a path; pam_pkcs11 needs a URL: file://" + path)
    table.put(section, "mapfile", "mapfile", path)
    if unlisted:
        table.put(section, "unlisted", "unlisted", unlisted)
    if unlisted == "same":
        section.note(NoteKind.UNSAFE, "unlisted", "what the mapfile does not list is taken as the account's name itself")
    elif is_account and not unlisted:
        section.note(NoteKind.UNSAFE, "mapfile", "only what the file lists maps; pam_pkcs11 takes what it does not list as the"
                     " account's name itself; to insist: unlisted = same;")
