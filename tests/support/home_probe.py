# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program in the place of the verifier: it starts a home reader with an order, asks it, and tells what came back.

Input: JSON with "order" (the keys of HomeOrder), "asked" (account and path of each question) and "time_s"; output: JSON
with, for each question, ["file", size, beginning], ["nothing"], or ["refused", reason or null, message].
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from pam_sc.errors import MapperError
from pam_sc.homes import HomeOrder, HomeReader, started_home_reader
from pam_sc.services import CannotMap

SHOWN = 200


def _ask(reader: HomeReader, account: str, path: str) -> list[Any]:
    try:
        content = reader.read(account, path)
    except CannotMap as error:
        return ["refused", error.reason.value, str(error)]
    except MapperError as error:
        return ["refused", None, str(error)]
    return ["nothing"] if content is None else ["file", len(content), content[:SHOWN].decode(errors="replace")]


def main() -> None:
    """Read what to do from standard input; argv has the path of pam_sc_worker."""
    wanted = json.load(sys.stdin)
    order = HomeOrder(**{**wanted["order"], "paths": tuple(wanted["order"]["paths"])})
    end = time.monotonic() + wanted["time_s"]
    with started_home_reader(sys.argv[1], order, lambda: end) as reader:
        json.dump([_ask(reader, account, path) for account, path in wanted["asked"]], sys.stdout)


if __name__ == "__main__":
    main()
