"""The table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from benches.common import Bench, Line

console = Console(width=None if Console().is_terminal else 150, highlight=False)
progress = Console(stderr=True, width=150, highlight=False)


def number(value: float | None) -> str:
    """Three digits or more, thousands apart."""
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def verdict(line: Line) -> str:
    """ok, MISSED, or nothing if there is no bar."""
    return {None: "", True: "[green]ok[/]", False: "[bold red]MISSED[/]"}[line.ok]


def show(line: Line) -> None:
    """A line as soon as it is known, on standard error."""
    against = f"  {line.rival} {number(line.theirs)}" if line.rival else ""
    ratio = f"  {line.ratio:.2f}x" if line.ratio is not None else ""
    bar = f"  (bar {line.bar})" if line.bar else ""
    progress.print(
        f"[dim]{line.area}[/] {line.what}: {number(line.ours)} {line.unit}{against}{ratio}{bar} {verdict(line)}"
    )


def print_table(bench: Bench, title: str) -> None:
    """All lines, and how many bars were missed."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("area", style="dim")
    table.add_column("what", ratio=1)
    for name in ("ours", "theirs", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("bar", no_wrap=True)
    table.add_column("", no_wrap=True)
    for line in bench.lines:
        theirs = f"{line.rival} {number(line.theirs)}" if line.rival else ""
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}x"
        ours = f"{number(line.ours)} {line.unit}"
        table.add_row(line.area, line.what, ours, theirs, ratio, line.bar or "", verdict(line))
    console.print(table)
    bars = [line for line in bench.lines if line.ok is not None]
    missed = sum(not line.ok for line in bars)
    console.print(f"\n{len(bars) - missed} of {len(bars)} bars reached" + (f", {missed} MISSED" if missed else ""))
