"""Text for people: escaping, tables, times, modes, progress."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import unicodedata
from typing import TYPE_CHECKING, Any

from vexfs.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from vexfs.report import Report
    from vexfs.tree import Transferred

__all__ = [
    "escaped",
    "name_of",
    "print_json",
    "print_report",
    "print_rows",
    "printable",
    "time_of",
    "transfer_progress",
]


def escaped(text: str) -> str:
    """The text with control characters, and bytes that are no text, as escapes: no name can drive a terminal."""
    if text.isprintable():
        return text
    return "".join(character if _harmless(character) else _escape(character) for character in text)


def _harmless(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def name_of(name: str) -> str:
    """A name for standard output: escaped on a terminal, as it is in a pipe."""
    return escaped(name) if sys.stdout.isatty() else name


def printable(text: str) -> bool:
    """Whether standard output can show the text."""
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True


def time_of(nanoseconds: int) -> str:
    """A time in the machine's zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(nanoseconds // 1_000_000_000))


def print_json(value: Any) -> None:
    """One JSON document."""
    print(json.dumps(value, indent=2))


def print_report(report: Report, as_json: bool) -> None:
    """A report as JSON or as lines of name and value."""
    if as_json:
        print_json(report.to_dict())
        return
    rows = report.rows()
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        size = f"  ({format_size(int(value))})" if name.endswith("bytes") and value.isdigit() else ""
        print(f"{name:<{width}}  {escaped(value)}{size}".rstrip())


def print_rows(rows: Iterable[Sequence[str]], right: str = "") -> None:
    """Columns as wide as they must be; `right` has an "r" where a column is set to the right."""
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in table), strict=True)] if table else []
    for row in table:
        cells = [
            cell.rjust(width) if right[number : number + 1] == "r" else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        print(" ".join([*cells, row[-1]]))


@contextlib.contextmanager
def bar(label: str) -> Iterator[Callable[[float, float | None, str], None] | None]:
    """A progress bar on standard error, updated by calls of `(done, total, text)`; None if it is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    # Names are text, not markup.
    name, text = (TextColumn("{task." + field + "}", markup=False) for field in ("description", "fields[text]"))
    columns = name, BarColumn(), text, TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(escaped(label), total=None, text="")

        def update(done: float, total: float | None, text: str) -> None:
            progress.update(task, completed=done, total=total, text=text)

        yield update


class Rate:
    """Bytes a second since it was made."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def of(self, done: int) -> str:
        """The rate at which so many bytes were done."""
        return f"{format_size(int(done / max(time.monotonic() - self._begun, 1e-3)))}/s"


@contextlib.contextmanager
def transfer_progress(label: str) -> Iterator[Callable[[Transferred], None] | None]:
    """A progress bar for an import or export."""
    with bar(label) as update:
        if update is None:
            yield None
            return

        def tell(done: Transferred) -> None:
            files = f"{done.files}/{done.files_total} files" if done.files_total else f"{done.files} files"
            update(done.bytes, done.bytes_total, f"{files}, {format_size(done.bytes)}")

        yield tell
