"""Reports: what a volume says about itself, as attributes, as a table, as JSON."""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["FsckReport", "Info", "RecoveryReport", "Report", "Stats"]


class Report:
    """Named figures. `report.name` and `report["name"]` are one; nested groups are reports themselves."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_fields", {name: _wrap(value) for name, value in fields.items()})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._fields[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {', '.join(self._fields)}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._fields]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Report) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain dictionaries and lists."""
        return {name: _unwrap(value) for name, value in self._fields.items()}

    def to_json(self, indent: int | None = None) -> str:
        """The same as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of every figure as text, groups joined by dots."""
        return list(_rows("", self._fields))

    def __repr__(self) -> str:
        rows = self.rows()
        width = max((len(name) for name, _ in rows), default=0)
        lines = (f"  {name:<{width}}  {value}".rstrip() for name, value in rows)
        return "\n".join([type(self).__name__, *lines])

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for name, value in self.rows()
        )
        return f"<table><caption>{type(self).__name__}</caption>{cells}</table>"


class Info(Report):
    """Geometry and features of a volume: what mkfs and tune decided, and what is used of it."""

    __slots__ = ()


class Stats(Report):
    """Counters and latencies since the volume was opened."""

    __slots__ = ()


class RecoveryReport(Report):
    """What opening a volume had to do: phases, transactions, bytes, seconds."""

    __slots__ = ()


class FsckReport(Report):
    """What a check found.

    Attributes:
        clean: True if nothing was found.
        findings: one report per finding: number, name, what it is about, whether a repair is known.
    """

    __slots__ = ()


def _wrap(value: Any) -> Any:
    if isinstance(value, dict):
        return Report(value)
    if isinstance(value, (list, tuple)):
        return [_wrap(item) for item in value]
    return value


def _unwrap(value: Any) -> Any:
    if isinstance(value, Report):
        return value.to_dict()
    if isinstance(value, list):
        return [_unwrap(item) for item in value]
    return value


def _rows(prefix: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, Report):
            yield from _rows(f"{prefix}{name}.", value._fields)
        elif isinstance(value, list) and any(isinstance(item, Report) for item in value):
            for number, item in enumerate(value):
                yield from _rows(f"{prefix}{name}[{number}].", item._fields)
        elif isinstance(value, list):
            yield prefix + name, ", ".join(map(str, value)) or "none"
        elif name.endswith("_ns") and isinstance(value, int):
            time = datetime.fromtimestamp(value // 1_000_000_000, UTC)
            yield prefix + name.removesuffix("_ns"), f"{time:%Y-%m-%d %H:%M:%S} UTC"
        elif isinstance(value, float):
            yield prefix + name, f"{value:.6g}"
        else:
            yield prefix + name, "" if value is None else str(value)
