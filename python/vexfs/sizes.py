"""Sizes as people write them: plain bytes, or with KiB, MiB, GiB, TiB."""

from __future__ import annotations

import re

from vexfs.file import invalid

__all__ = ["format_size", "parse_size"]

_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:([KMGT])(?:iB)?|B)?\s*", re.IGNORECASE)


def parse_size(size: int | str) -> int:
    """Bytes of a size such as `4096`, `"512MiB"` or `"1.5GiB"`; K, M, G and T alone count as KiB to TiB.

    Raises:
        InvalidArgument: it is not a size.
    """
    if isinstance(size, bool) or not isinstance(size, (int, str)):
        raise TypeError(f"a size is an int or a str such as '1GiB', not {type(size).__name__}")
    if isinstance(size, int):
        count, unit = str(size), ""
    elif match := _SIZE.fullmatch(size):
        count, unit = match[1], (match[2] or "").upper()
    else:
        raise invalid(f"{size!r} is not a size: write bytes, or a number with KiB, MiB, GiB or TiB")
    if count.startswith("-"):
        raise invalid(f"a size cannot be negative: {size!r}")
    whole, _, fraction = count.partition(".")
    scale: int = 1024 ** _UNITS[unit]
    numerator, denominator = int(whole + fraction) * scale, 10 ** len(fraction)
    if numerator % denominator and unit == "":
        raise invalid(f"{size!r} is not a whole number of bytes")
    return int(numerator // denominator)


def format_size(size: int) -> str:
    """A size for people: the largest unit that keeps it at or above one, with three digits."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    amount = float(size)
    while abs(amount) >= 1024 and len(units) > 1:
        amount /= 1024
        del units[0]
    if units[0] == "B":
        return f"{size} B"
    return f"{amount:.3g} {units[0]}" if amount < 1000 else f"{amount:.0f} {units[0]}"
