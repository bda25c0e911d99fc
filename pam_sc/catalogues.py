# SPDX-License-Identifier: LGPL-2.1-or-later
"""The translations that come with pam_sc: which of them a host's language means, and how a text reads in it.

The language is the name of a locale, and data from the host: it must have the form of one, it only picks from the list of
what is shipped, and it never becomes a part of a path. No environment variable is asked. A catalogue that cannot be read
is the same as none: the person then reads English.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable

LANGUAGES = ("de", "es", "fr", "it", "ka", "nl", "pl", "pt_BR", "ru", "tr", "zh_CN")
FOLDER = os.path.join(os.path.dirname(__file__), "locale")

_LOCALE = re.compile(r"([a-z]{2,3})(?:_([A-Z]{2}))?(?:\.([A-Za-z0-9-]{1,16}))?(?:@[a-z]{1,16})?", re.ASCII)
_UTF8 = ("utf-8", "utf8")
_NEAREST = {("pt", None): "pt_BR", ("pt", "PT"): "pt_BR", ("zh", None): "zh_CN", ("zh", "SG"): "zh_CN"}
"""Who has no catalogue but reads another with ease. Not Traditional Chinese, which is another script."""


def catalogue_for(language: str) -> str | None:
    """Return the name of the catalogue for a locale (`de_AT.UTF-8`), None for English.

    A locale whose name says another encoding than UTF-8 gets English, because all that is shown is UTF-8. One whose name
    says none gets its language: which encoding holds is then the matter of another category.
    """
    found = _LOCALE.fullmatch(language)
    if found is None:
        return None
    spoken, country, encoding = found.groups()
    if encoding is not None and encoding.lower() not in _UTF8:
        return None
    names = (f"{spoken}_{country}", spoken, _NEAREST.get((spoken, country)))
    return next((name for name in names if name in LANGUAGES), None)


def translator(language: str) -> Callable[[str], str]:
    """Return what gives an English text in a language. It gives the text itself where there is no translation."""
    name = catalogue_for(language)
    if name is None:
        return str
    from gettext import GNUTranslations

    try:
        with open(os.path.join(FOLDER, name, "LC_MESSAGES", "pam_sc.mo"), "rb") as file:
            return GNUTranslations(file).gettext
    except (OSError, ValueError, LookupError, struct.error):
        return str
