# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which of several valid paths of one certificate a login takes, where revocation refuses the first.

Finds no path and looks nothing up: both are given. Whether a path is refused is decision/revocation.py's answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from pam_sc.decision.evidence import PathFinding, RevocationFinding, Situation, ValidPath
from pam_sc.decision.policy import RevocationMode
from pam_sc.decision.revocation import judge_revocation

OTHER_PATHS_MAX = 8
"""Paths that are looked at beside the first."""


def choose_path(
    first: ValidPath,
    others: Iterable[PathFinding],
    look: Callable[[ValidPath], tuple[RevocationFinding, ...]],
    mode: RevocationMode,
) -> tuple[ValidPath, tuple[RevocationFinding, ...]]:
    """Return the first of the valid paths of a certificate that revocation does not refuse, with its findings.

    A cross-certificate that was revoked, or about which nothing is known, must not lock out who has another path. If
    every path is refused the first one is returned, and a leaf that is revoked has no other path.
    """
    found = look(first)
    if _is_final(found, mode):
        return first, found
    for other in islice(others, OTHER_PATHS_MAX):
        if isinstance(other, ValidPath):
            elsewhere = look(other)
            if _is_final(elsewhere, mode):
                return other, elsewhere
    return first, found


def _is_final(found: tuple[RevocationFinding, ...], mode: RevocationMode) -> bool:
    return judge_revocation(found, mode) is None or (bool(found) and found[0].situation is Situation.REVOKED)
