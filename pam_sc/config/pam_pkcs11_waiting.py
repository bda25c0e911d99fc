# SPDX-License-Identifier: LGPL-2.1-or-later
"""What pam_pkcs11.conf says of a card that is not there: card_only, wait_for_card, screen_savers and err_display_time.

In pam_pkcs11, which looks for a token before anything else:

    card_only  wait_for_card  screen saver, login without card  no token
    ---------  -------------  --------------------------------  -------------------------------------------------------
    no         -              -                                 not a word, the next module goes on
    yes        no             no                                "No smart card found", the next module goes on
    yes        yes            no                                waits for ever
    yes        -              yes                               the token is not looked for: PAM_IGNORE

A screen saver in a session that was opened with a card waits for that card, with card_only alone.
"""

from __future__ import annotations

from pam_sc.config.keys import WAIT_MAX_S
from pam_sc.config.notes import NoteKind
from pam_sc.config.pam_pkcs11_section import Section

_SILENT = ("no-reader", "no-card", "token-not-selected")
"""The texts of a token that is not there."""
_DEAD = "counts only with card_only = true"


def read_waiting(section: Section) -> None:
    """Put what the block says into the tree."""
    if section.number("err_display_time"):
        section.note(NoteKind.DIFFERENT, "err_display_time", "no pause is made after a message: the application shows it for as"
                     " long as it likes")
    card_only = section.flag("card_only", default=False)
    waits = section.flag("wait_for_card", default=False)
    savers = [word for word in section.words("screen_savers") or () if word]
    if card_only:
        section.note(NoteKind.DIFFERENT, "card_only", "lets wait_for_card and screen_savers count, and the person read that there"
                     " is no card; whether a stack may go on without one is said by a key of ours, card = required; or card ="
                     " optional;")
        _read_wait(section, savers, everywhere=waits)
        _read_savers(section, savers)
        return
    for key, given in (("wait_for_card", waits), ("screen_savers", savers)):
        if given:
            section.note(NoteKind.DEAD, key, _DEAD)
    if section.word("card") != "required":
        for name in _SILENT:
            section.put(("texts", name), "", "card_only")


def _read_wait(section: Section, savers: list[str], *, everywhere: bool) -> None:
    limit = section.number("wait") if section.has("wait") else WAIT_MAX_S
    if everywhere:
        section.put(("wait",), WAIT_MAX_S, "wait_for_card")
        section.note(NoteKind.DIFFERENT, "wait_for_card", f"a card is waited for, for {limit} seconds at most; pam_pkcs11 waits"
                     " for ever")
    elif not section.has("wait"):
        for name in savers:
            section.put(("service", name.lower(), "wait"), WAIT_MAX_S, "screen_savers")


def _read_savers(section: Section, savers: list[str]) -> None:
    if not savers:
        return
    names = list(dict.fromkeys(name.lower() for name in savers))
    section.put(("unlock", "services"), names, "screen_savers")
    section.put(("unlock", "same_card"), True, "screen_savers")
    section.put(("unlock", "otherwise"), "ignore", "screen_savers")
    section.note(NoteKind.DIFFERENT, "screen_savers", "the very card that opened the session unlocks it, not another of the same"
                 f" name; it is waited for, for {WAIT_MAX_S} seconds at most; which card that was is known only where a line"
                 " `session optional pam_sc.so` stands below pam_systemd.so, and without it pam_sc.so is passed over"
                 " (PAM_IGNORE)")
