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

def drop_and_confine_watcher(uid: int, gid: int, groups: list[int], allow: list[str]) -> None:
    """The same for a watcher, which has no limit of CPU time."""

def drop_and_confine_programs(uid: int, gid: int, groups: list[int]) -> None:
    """The same for the program runner and what it runs: programs, signals and sockets, nothing of the machine's."""

def program_dies_with(pid: int) -> None:
    """Have this process killed when its parent dies; OSError if the parent is not `pid`."""

def look_up_name(name: str) -> tuple[str, int, str] | None:
    """Return pw_name, pw_uid and pw_gecos of an account, None if there is none; OSError if the name service failed.

    A byte that is not UTF-8 becomes a surrogate.
    """

def look_up_uid(uid: int) -> tuple[str, int, str] | None:
    """Return the same by number."""

def look_up_group(name: str) -> tuple[str, int, list[str]] | None:
    """Return (name, gid, members) of the group, None if there is none; OSError if that cannot be said."""

def list_accounts(most: int) -> list[tuple[str, int, str]]:
    """Return the same of all accounts; OSError if the name service failed, E2BIG if there are more."""
