# SPDX-License-Identifier: LGPL-2.1-or-later
"""`@record`: a class of frozen values with named fields. To a type checker it is a dataclass (PEP 681).

The standard library's decorator compiles source text for each class, and imports `inspect`. A login defines some ninety
such classes in two fresh interpreters, and that was the largest single part of its time (`make bench BENCH=imports`
shows both). This one defines the same behaviour by closures: construction by position or name, defaults, equality,
hash, repr, `match` by position, `replace`, and no change after construction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, dataclass_transform, overload

T = TypeVar("T")
_MISSING: Final = object()


class FrozenRecordError(AttributeError):
    """Somebody tried to change a record."""


class Field:
    """How one field differs from a plain one. Made by `field`."""

    __slots__ = ("compare", "default_factory", "repr")

    def __init__(self, default_factory: Callable[[], Any] | None, *, compare: bool, repr: bool) -> None:  # noqa: A002
        self.default_factory = default_factory
        self.compare = compare
        self.repr = repr


def field(
    *, default_factory: Callable[[], Any] | None = None, compare: bool = True, repr: bool = True  # noqa: A002
) -> Any:  # noqa: ANN401 - the type is the field's own
    """Describe a field: a default made anew for each record, or one that equality, hash or repr leave out."""
    return Field(default_factory, compare=compare, repr=repr)


@overload
def record(cls: type[T]) -> type[T]: ...


@overload
def record(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T] | None = None, *, kw_only: bool = False) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a class with annotated fields a record; with `kw_only` its fields are given by name alone."""
    if cls is None:
        return lambda decorated: _made(decorated, kw_only)
    return _made(cls, kw_only)


def replace(instance: T, **changes: Any) -> T:  # noqa: ANN401 - each change has its field's type
    """Return a record like this one but for the given fields."""
    return type(instance)(**{**vars(instance), **changes})


def _made(cls: type[T], kw_only: bool) -> type[T]:
    names = tuple(cls.__dict__.get("__annotations__", {}))  # noqa: RUF063 - inspect is what this file avoids
    described = {name: cls.__dict__.get(name, _MISSING) for name in names}
    special = {name: value for name, value in described.items() if isinstance(value, Field)}
    compared = tuple(name for name in names if name not in special or special[name].compare)
    shown = tuple(name for name in names if name not in special or special[name].repr)
    _set(cls, "__init__", _init(cls.__name__, names, described, kw_only))
    _set(cls, "__eq__", _eq(compared))
    _set(cls, "__hash__", lambda self: hash(tuple(vars(self)[name] for name in compared)))
    _set(cls, "__repr__", _repr(shown))
    _set(cls, "__setattr__", _refuse)
    _set(cls, "__delattr__", _refuse)
    _set(cls, "__match_args__", () if kw_only else names)
    for name in special:
        delattr(cls, name)
    return cls


def _set(cls: type, name: str, value: object) -> None:
    setattr(cls, name, value)


def _init(
    cls_name: str, names: tuple[str, ...], described: dict[str, Any], kw_only: bool
) -> Callable[..., None]:
    plain = {n: d for n, d in described.items() if d is not _MISSING and not isinstance(d, Field)}
    made = {n: d.default_factory for n, d in described.items() if isinstance(d, Field) and d.default_factory is not None}

    def __init__(self: object, *positional: Any, **named: Any) -> None:  # noqa: ANN401, N807
        if not positional and named.keys() == described.keys():  # the usual ways first: all by name, or all by position
            vars(self).update(named)
            return
        if not named and len(positional) == len(names) and not kw_only:
            vars(self).update(zip(names, positional, strict=True))
            return
        if len(positional) > (0 if kw_only else len(names)):
            raise TypeError(f"{cls_name} takes fewer positional arguments")
        values = dict(zip(names, positional, strict=False))
        for name, value in named.items():
            if name in values or name not in described:
                raise TypeError(f"{cls_name} got {name!r} twice, or has no such field")
            values[name] = value
        for name in names:
            if name not in values:
                values[name] = _default(cls_name, name, plain, made)
        vars(self).update(values)

    return __init__


def _default(cls_name: str, name: str, plain: dict[str, Any], made: dict[str, Callable[[], Any]]) -> object:
    if name in plain:
        return plain[name]
    if name in made:
        return made[name]()
    raise TypeError(f"{cls_name} is missing the field {name!r}")


def _eq(compared: tuple[str, ...]) -> Callable[[object, object], Any]:
    def __eq__(self: object, other: object) -> Any:  # noqa: ANN401, N807
        if type(self) is not type(other):
            return NotImplemented
        ours, theirs = vars(self), vars(other)
        return all(ours[name] == theirs[name] for name in compared)

    return __eq__


def _repr(shown: tuple[str, ...]) -> Callable[[object], str]:
    def __repr__(self: object) -> str:  # noqa: N807
        values = vars(self)
        return f"{type(self).__qualname__}({', '.join(f'{name}={values[name]!r}' for name in shown)})"

    return __repr__


def _refuse(self: object, name: str, *_value: object) -> None:
    raise FrozenRecordError(f"cannot change {name!r} of a {type(self).__name__}: a record is frozen")
