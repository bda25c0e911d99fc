# SPDX-License-Identifier: LGPL-2.1-or-later
"""The notes that logins leave for `pam-sc refresh`: where a certificate says its revocation can be looked up.

A login may not write into the store and usually not use the network, so what a new card names becomes known this way: one
small file for each issuer and serial, written by the account of the verifier into <store>/requests, which is its own
(mode 0700). The certificate itself is not kept, only its serial and its issuers. Where the folder is missing or not
ours, a login leaves nothing and says nothing.

`pam-sc refresh` reads them as root, so to the reader all of it is hostile: no link is followed, every size and count has
a bound, and no URL counts before the issuers were found to have a valid path under the anchors of that day.
"""

from __future__ import annotations

import base64
import os
import re
import stat
import time
from contextlib import suppress
from typing import Any, Final

from pam_sc.decision.digest import sha256
from pam_sc.decision.evidence import Unparsable
from pam_sc.record import record
from pam_sc.transfer import REQUESTS_FOLDER
from pam_sc.trust.anchors import PathCertificate, read_path_certificate
from pam_sc.trust.locations import URLS_MAX, is_fetchable

REQUESTS_MAX: Final = 1_000
REQUEST_BYTES_MAX: Final = 64 << 10
ISSUERS_MAX: Final = 10
KEPT_S: Final = 30 * 86_400
"""A request that no login has left again for so long is removed; till then its OCSP answers are renewed. A CRL that it
made known is kept fresh also after that."""
UNREADABLE_KEPT_S: Final = 3_600
"""One that cannot be read may still be being written."""
_RENEWED_S: Final = 3_600
"""A login that finds its request there already renews its time at most so often."""

_SERIAL_DIGITS_MAX = 40
_NAME = re.compile(r"[0-9a-f]{64}\.json")
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@record(kw_only=True)
class Request:
    """What one login asks for. `issuers` begins with the certificate's issuer and ends below or at the anchor."""

    issuers: tuple[PathCertificate, ...]
    serial: int
    crl_urls: tuple[str, ...] = ()
    ocsp_urls: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of its file: the same for the same issuer key and serial."""
        key = sha256(self.issuers[0].public_key).hex()
        return sha256(f"{key} {self.serial:x}".encode("ascii")).hex() + ".json"


@record(kw_only=True)
class LeftRequest:
    """A request as it was found. Its issuers have no valid path until somebody has looked for one."""

    request: Request
    age_s: float
    """Since a login last left it."""


@record(kw_only=True)
class LeftRequests:
    """All that was found: requests, in the order of their names, and what could not be read, a sentence each."""

    requests: tuple[LeftRequest, ...] = ()
    problems: tuple[str, ...] = ()


# ---------------------------------------------------------------- a login leaves one


def leave_request(store: str, request: Request) -> None:
    """Leave a request in the store's folder of requests, once. Where that cannot be done, nothing happens."""
    with suppress(OSError):
        folder = os.open(os.path.join(store, REQUESTS_FOLDER), _OPEN_FOLDER)
        try:
            if os.fstat(folder).st_uid == os.geteuid():
                _leave(folder, request)
        finally:
            os.close(folder)


def _leave(folder: int, request: Request) -> None:
    """Write the request; one that is there and not new is made anew, because a confined login may not set a time."""
    with suppress(FileNotFoundError):
        left_at = os.stat(request.name, dir_fd=folder, follow_symlinks=False).st_mtime
        if 0 <= time.time() - left_at < _RENEWED_S:
            return
        os.unlink(request.name, dir_fd=folder)
    content = _written(request)
    if len(content) <= REQUEST_BYTES_MAX and len(os.listdir(folder)) < REQUESTS_MAX:
        _write(folder, request.name, content)


def _written(request: Request) -> bytes:
    import json

    values = {
        "issuers": [base64.b64encode(each.der).decode("ascii") for each in request.issuers],
        "serial": f"{request.serial:x}",
        "crl_urls": request.crl_urls[:URLS_MAX],
        "ocsp_urls": request.ocsp_urls[:URLS_MAX],
    }
    return json.dumps(values).encode("ascii")


def _write(folder: int, name: str, content: bytes) -> None:
    descriptor = os.open(name, _CREATE, 0o600, dir_fd=folder)
    try:
        whole = os.write(descriptor, content) == len(content)
    except OSError:
        whole = False
    finally:
        os.close(descriptor)
    if not whole:
        os.unlink(name, dir_fd=folder)


# ---------------------------------------------------------------- refresh reads them


def read_requests(store: str) -> LeftRequests:
    """Return the requests that can be read; those that cannot be are removed when they are old. Never raises."""
    try:
        folder = os.open(os.path.join(store, REQUESTS_FOLDER), _OPEN_FOLDER)
    except FileNotFoundError:
        return LeftRequests()
    except OSError as error:
        return LeftRequests(problems=(f"cannot read the requests in {store!r}: {error.strerror}",))
    try:
        return _read_all(folder)
    except OSError as error:
        return LeftRequests(problems=(f"cannot read the requests in {store!r}: {error.strerror}",))
    finally:
        os.close(folder)


def remove_request(store: str, request: Request) -> None:
    """Remove a request. If it is gone already, or cannot be removed, nothing happens."""
    with suppress(OSError):
        folder = os.open(os.path.join(store, REQUESTS_FOLDER), _OPEN_FOLDER)
        try:
            os.unlink(request.name, dir_fd=folder)
        finally:
            os.close(folder)


def _read_all(folder: int) -> LeftRequests:
    names = sorted(os.listdir(folder))
    found: list[LeftRequest] = []
    problems: list[str] = []
    if len(names) > REQUESTS_MAX:
        problems.append(f"found {len(names)} requests, read the first {REQUESTS_MAX}")
    for name in names[:REQUESTS_MAX]:
        each = _read_one(folder, name)
        if isinstance(each, LeftRequest):
            found.append(each)
        else:
            problems.append(f"the request {name[:80]!r} does not count: {each}")
            _remove_if_old(folder, name)
    return LeftRequests(requests=tuple(found), problems=tuple(problems))


def _remove_if_old(folder: int, name: str) -> None:
    with suppress(OSError):
        if time.time() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime > UNREADABLE_KEPT_S:
            os.unlink(name, dir_fd=folder)


def _read_one(folder: int, name: str) -> LeftRequest | str:
    """Return the request, or why it does not count."""
    if not _NAME.fullmatch(name):
        return "its name is not one of ours"
    try:
        descriptor = os.open(name, _READ, dir_fd=folder)
    except OSError as error:
        return f"{error.strerror}"
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            return "expected a regular file of one name"
        content = os.read(descriptor, REQUEST_BYTES_MAX + 1)
    except OSError as error:
        return f"{error.strerror}"
    finally:
        os.close(descriptor)
    request = _parsed(content)
    if isinstance(request, Request) and request.name != name:
        return "its name is not that of its content"
    if isinstance(request, str):
        return request
    return LeftRequest(request=request, age_s=max(0.0, time.time() - status.st_mtime))


def _parsed(content: bytes) -> Request | str:
    if len(content) > REQUEST_BYTES_MAX:
        return f"it is larger than {REQUEST_BYTES_MAX} bytes"
    import json

    try:
        return _request(json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return f"it cannot be read: {type(error).__name__}"


def _request(values: Any) -> Request | str:
    if not isinstance(values, dict) or set(values) != {"issuers", "serial", "crl_urls", "ocsp_urls"}:
        return "its keys are not the expected ones"
    issuers = [_certificate(each) for each in _texts(values["issuers"], ISSUERS_MAX, REQUEST_BYTES_MAX)]
    certificates = tuple(each for each in issuers if each is not None)
    serial = values["serial"]
    if not certificates or len(certificates) != len(issuers):
        return "an issuer is not a certificate"
    if not isinstance(serial, str) or not re.fullmatch(f"[1-9a-f][0-9a-f]{{0,{_SERIAL_DIGITS_MAX - 1}}}", serial):
        return "its serial is not a serial number"
    urls = [_urls(values[kind]) for kind in ("crl_urls", "ocsp_urls")]
    return Request(issuers=certificates, serial=int(serial, 16), crl_urls=urls[0], ocsp_urls=urls[1])


def _certificate(text: str) -> PathCertificate | None:
    found = read_path_certificate(base64.b64decode(text, validate=True))
    return None if isinstance(found, Unparsable) or not found.public_key else found


def _urls(value: Any) -> tuple[str, ...]:
    urls = _texts(value, URLS_MAX, REQUEST_BYTES_MAX)
    if not all(is_fetchable(url) for url in urls):
        raise ValueError("a URL is not one that can be fetched")
    return urls


def _texts(value: Any, most: int, longest: int) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError("not a list, or too long")
    if not all(isinstance(each, str) and len(each) <= longest for each in value):
        raise ValueError("not texts, or too long")
    return tuple(value)
