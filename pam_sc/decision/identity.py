# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a certificate says about its owner, read strictly: the input of every mapper."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a certificate says about its owner: strings without NUL or control characters, all values of each kind.

    A value that cannot be used is not in its tuple but in `unusable`, with the reason, so that `pam-sc inspect` shows
    it and no mapper meets it.
    """

    common_names: tuple[str, ...] = ()
    """commonName (2.5.4.3) of the subject, in the order of the encoding."""
    unusable: tuple[str, ...] = ()
    """Sentences such as: commonName 'alice\\x00.evil' holds a control character."""
