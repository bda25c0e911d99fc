# SPDX-License-Identifier: LGPL-2.1-or-later
"""The builtin module of pam_sc_worker (pam_shim/sandbox_module.c): one way in, no way out; and the account database."""

def drop_and_confine_verifier(uid: int, gid: int, groups: list[int], writable: list[str]) -> None:
    """Become the account for good (uid -1: stay) and enter the verifier's sandbox; OSError, ValueError name the step.

    `writable`: at most one absolute path of a folder beneath which regular files may be made, written and removed. One
    that does not exist is passed over; a symlink or something else in its place is an error.
    """

def drop_and_confine_network(uid: int, gid: int, groups: list[int]) -> None:
    """The same for the network process: sockets of the internet, no file written, nobody served."""

def drop_and_confine_card(uid: int, gid: int, groups: list[int], allow: list[str]) -> None:
    """The same for the card process; `allow` names system calls that its filter lets through all the same."""

def look_up_name(name: str) -> tuple[str, int] | None:
    """Return pw_name and pw_uid of an account, None if there is no such account; OSError if the name service failed."""

def look_up_uid(uid: int) -> tuple[str, int] | None:
    """Return the same by number."""
