# SPDX-License-Identifier: LGPL-2.1-or-later
"""Regular expressions from a mapfile, held to a bounded amount of work on any value that a certificate can carry.

Python's `re` backtracks and has no time limit, and the value is chosen by whoever made the certificate. So a pattern is
measured before it is used: the number of ways in which it can be tried on a value of the greatest length. Look-around
and back-references are not taken at all.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

from pam_sc.decision.distinguished_name import VALUE_MAX

PATTERN_MAX = 1_000
"""Characters of a pattern."""
WAYS_MAX = 20_000_000

_ONE_CHARACTER = {"LITERAL", "NOT_LITERAL", "ANY", "IN", "CATEGORY", "RANGE", "AT"}


def compile_pattern(text: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """Return the pattern, to be used with fullmatch; ValueError if it is malformed or could take long.

    \\w and the like, and ignore_case, know the letters a to z only.
    """
    if len(text) > PATTERN_MAX:
        raise ValueError(f"the pattern has {len(text)} characters, expected at most {PATTERN_MAX}")
    flags = re.ASCII | (re.IGNORECASE if ignore_case else 0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python warns of is ambiguous
            ways = _ways(_parser.parse(text, flags))
            if ways > WAYS_MAX:
                raise ValueError(f"the pattern {text!r:.100} could take too long: too many repetitions")
            return re.compile(text, flags)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise ValueError(f"the pattern {text!r:.100} is malformed: {error}") from error


def _ways(pieces: Iterable[tuple[Any, Any]]) -> int:
    """Return in how many ways a sequence of pieces can be tried: the product of each one's ways."""
    ways = 1
    for operation, argument in pieces:
        ways = min(ways * _ways_of(str(operation), argument), WAYS_MAX + 1)
    return ways


def _ways_of(operation: str, argument: Any) -> int:  # noqa: ANN401 - what the parser gives
    if operation in _ONE_CHARACTER:
        return 1
    if operation == "BRANCH":
        return sum(_ways(branch) for branch in argument[1])
    if operation == "SUBPATTERN":
        return _ways(argument[-1])
    if operation in ("MAX_REPEAT", "MIN_REPEAT"):
        return _ways_of_repeat(*argument)
    raise ValueError(f"the pattern uses {operation.lower()}, which is not supported here")


def _ways_of_repeat(least: int, most: Any, body: Iterable[tuple[Any, Any]]) -> int:  # noqa: ANN401 - int or MAXREPEAT
    inner = _ways(body)
    times: int = VALUE_MAX if most is _constants.MAXREPEAT else min(int(most), VALUE_MAX)
    counts = max(times - min(least, VALUE_MAX), 0) + 1
    if inner == 1:
        return counts
    return int(min(counts * inner ** min(times, 64), WAYS_MAX + 1))
