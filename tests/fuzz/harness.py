# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a target of `make fuzz` runs under atheris: nothing but our own errors may come out of `one_input`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path


def fuzz(one_input: Callable[[bytes], None], seeds: Iterable[bytes]) -> None:
    """Fuzz until the time that the command line gives is over. Usage: target.py CORPUS-FOLDER [libFuzzer options]."""
    import atheris  # only `make fuzz` installs it

    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *sys.argv[2:], str(corpus)], one_input)
    atheris.Fuzz()
