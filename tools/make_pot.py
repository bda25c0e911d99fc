# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the template of the translations from the tables of texts: `python tools/make_pot.py > pam_sc/locale/pam_sc.pot`.

`make texts` does that, and brings the translations up to date with it.
"""

from __future__ import annotations

import sys

from pam_sc.decision.reasons import Reason
from pam_sc.texts import UNFILLED, Text, english

HEAD = """# SPDX-License-Identifier: LGPL-2.1-or-later
# Every text that a person at a prompt can read. {places} are filled in, each must stay; a prompt ends as it does here.
# At most 200 characters. tools/make_pot.py writes this file.
msgid ""
msgstr ""
"Project-Id-Version: pam_sc\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"""


def template() -> str:
    """The whole template."""
    return HEAD + "".join(f"\n#. {', '.join(names)}\nmsgid {quoted(text)}\nmsgstr \"\"\n" for text, names in texts().items())


def texts() -> dict[str, list[str]]:
    """Every English text, once, with the names of those who say it, in the order of the tables."""
    found: dict[str, list[str]] = {}
    for what in (*Text, *Reason):
        for text in filter(None, (english(what), UNFILLED.get(what))):
            found.setdefault(text, []).append(what.value)
    return found


def quoted(text: str) -> str:
    """A text as gettext writes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


if __name__ == "__main__":
    sys.stdout.write(template())
