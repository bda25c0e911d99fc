# SPDX-License-Identifier: LGPL-2.1-or-later
"""Configurations of pam_pkcs11 for tests: Debian's own, DISA's, one for each mapper block, and generated ones."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

DEBIAN_EXAMPLES = Path("/usr/share/doc/libpam-pkcs11/examples")
MODULE = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"

MAPPER_BLOCKS: dict[str, str] = {
    "cn": "ignorecase = true; mapfile = file:///etc/pam_pkcs11/cn_map;",
    "cn insisting": "mapfile = file:///etc/pam_pkcs11/cn_map; unlisted = same;",
    "digest": "algorithm = sha256; mapfile = file:///etc/pam_pkcs11/digest_map;",
    "digest old": "algorithm = sha1; mapfile = file:///etc/pam_pkcs11/digest_map;",
    "generic": "cert_item = serial; ignorecase = false; use_getpwent = true; mapfile = none;",
    "krb": "realms = EXAMPLE.TEST, OTHER.TEST;",
    "ldap": 'uri = "ldaps://a.example.test/ ldaps://b.example.test"; base = "ou=People,o=example"; scope = 2; ssl = on;'
            ' tls_cacertfile = /etc/ssl/ca.pem; filter = "(&(objectClass=posixAccount)(uid=%s))"; tls_checkpeer = 0;'
            ' attribute = "userCertificate;binary"; uid_attribute = uid; binddn = "cn=pam,o=example";'
            ' password_file = /etc/pam_sc/ldap.secret; attribute_map = "uid=cn", "mail=email&cn=cn";',
    "mail": "ignorecase = true; ignoredomain = true;",
    "mail domains": "domains = example.test;",
    "ms": 'ignorecase = false; ignoredomain = false; domainname = "example.test"; domainnickname = EX;',
    "ms ignoring": "ignoredomain = true;",
    "null": "default_match = true; default_user = nobody; i_know_that_any_trusted_card_opens_this_account = true;",
    "opensc": "",
    "openssh": "file = .ssh/authorized_keys;",
    "pwent": "ignorecase = true;",
    "subject": "ignorecase = false; mapfile = file:///etc/pam_pkcs11/subject_mapping;",
    "uid": "mapfile = none;",
}
"""A block for each mapper; what follows a blank in the name tells two of a kind apart."""

STIG: dict[str, str] = {
    "as the fix text has it": "cert_policy = ca,signature,ocsp_on,crl_auto;",
    "without blanks": "cert_policy=ca,signature,ocsp_on,crl_auto;",
    "offline": "cert_policy = ca, signature, ocsp_on, crl_offline;",
}


def configuration(  # noqa: PLR0913 - what such a file is made of
    *, top: str = "", module: str = MODULE, block: str = "cert_policy = ca,signature;", mappers: str = "cn",
    blocks: str = "", ca_dir: str = "/etc/pam_pkcs11/cacerts", crl_dir: str = "/etc/pam_pkcs11/crls",
) -> str:
    """A pam_pkcs11.conf with these lines at the top, in the block of its module, and for its mappers."""
    return f"""\
pam_pkcs11 {{
  {top}
  use_pkcs11_module = card;
  pkcs11_module card {{
    module = {module};
    ca_dir = {ca_dir};
    crl_dir = {crl_dir};
    {block}
  }}
  use_mappers = {mappers};
  {blocks}
}}
"""


def with_mapper(name: str) -> str:
    """A configuration whose only mapper has this block of MAPPER_BLOCKS."""
    mapper = name.partition(" ")[0]
    return configuration(mappers=mapper, blocks=f"mapper {mapper} {{ module = internal; {MAPPER_BLOCKS[name]} }}")


def debian_sample() -> str | None:
    """The sample that Debian's libpam-pkcs11 brings; None where it is not installed."""
    plain, packed = (DEBIAN_EXAMPLES / f"pam_pkcs11.conf.example{suffix}" for suffix in ("", ".gz"))
    if plain.exists():
        return plain.read_text()
    return gzip.decompress(packed.read_bytes()).decode() if packed.exists() else None


# ---------------------------------------------------------------- generated

_BOOLEANS = st.sampled_from(["true", "false", "yes", "on", "1", "off"])
_WORDS = st.text(st.sampled_from("abcXYZ .-_=ü/'"), min_size=1, max_size=12).map(lambda word: f'"{word.strip() or "x"}"')
_PATHS = st.sampled_from(["/etc/a", '"/etc/with blank"', "file:///etc/b", "/etc/ü"])
_GLOBALS = {
    "nullok": _BOOLEANS, "debug": _BOOLEANS, "quiet": _BOOLEANS, "card_only": _BOOLEANS, "wait_for_card": _BOOLEANS,
    "use_first_pass": _BOOLEANS, "screen_savers": st.just("xscreensaver, kde"), "err_display_time": st.just("3"),
    "allow_root": _BOOLEANS, "services": st.just("login, sudo"), "remote": st.sampled_from(["allow", "refuse"]),
    "allow_last_try": _BOOLEANS, "card": st.sampled_from(["required", "optional"]), "nonsense": st.just("1"),
}  # fmt: skip
_MODULE_KEYS = {
    "ca_dir": _PATHS, "crl_dir": _PATHS, "token_type": _WORDS, "slot_num": st.sampled_from(["0", "1", "3"]),
    "support_threads": _BOOLEANS, "description": _WORDS, "strict": _BOOLEANS, "partial_paths": _BOOLEANS,
    "algorithms": st.sampled_from(["current", "legacy"]), "timeout": st.sampled_from(["5", "0x10"]),
    "intermediates": st.just("/etc/i"), "policies": st.just("1.2.3, 2.5.29"), "max_size": st.just('"1 MiB"'),
    "environment": st.just('"A=b c", "D=e"'), "allow": st.just("fsync"), "mode": st.sampled_from(["require", "named"]),
    "cert_policy": st.lists(
        st.sampled_from(["ca", "signature", "no_signature", "crl_online", "crl_offline", "crl_auto", "ocsp_on", "none"]),
        min_size=1, unique=True,
    ).map(", ".join),
}  # fmt: skip
_ASSIGNED = st.sampled_from([" = ", "=", " =\t"])


def _lines(keys: dict[str, Any]) -> st.SearchStrategy[str]:
    values = st.fixed_dictionaries({}, optional=keys)
    return st.tuples(values, _ASSIGNED).map(
        lambda drawn: "\n".join(f"{key}{drawn[1]}{value};" for key, value in drawn[0].items())
    )


@st.composite
def generated(draw: st.DrawFn) -> str:
    """A configuration over the keys: each there or not, with values that may stand there, and any of the mappers."""
    chosen = draw(st.lists(st.sampled_from(sorted(MAPPER_BLOCKS)), min_size=1, max_size=4, unique_by=lambda n: n.split()[0]))
    blocks = "\n".join(f"mapper {name.split()[0]} {{ {MAPPER_BLOCKS[name]} }}" for name in chosen)
    keys = draw(_lines(_MODULE_KEYS))
    return (f"pam_pkcs11 {{\n{draw(_lines(_GLOBALS))}\npkcs11_module default {{\nmodule = {MODULE};\n{keys}\n}}\n"
            f"use_mappers = {', '.join(name.split()[0] for name in chosen)};\n{blocks}\n}}\n")  # fmt: skip
