"""The volume: what `vexfs.open` and `vexfs.mkfs` return."""

from __future__ import annotations

import html
import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from vexfs import _vexfs
from vexfs.errors import Conflict, ForkedHandle, InvalidArgument
from vexfs.file import invalid
from vexfs.files import Files
from vexfs.report import Info, RecoveryReport, Stats
from vexfs.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Isolation", "Volume"]

Isolation = Literal["snapshot", "serializable"]
Result = TypeVar("Result")


class Volume(_vexfs.Volume, Files):
    """An open volume. Made by [`vexfs.open`][] and [`vexfs.mkfs`][]; close it, or use it as a context manager.

    Every verb is a transaction of its own: visible to everybody when it returns, durable with the next group commit
    (within 5 seconds, or at `sync`, at a durable write, at `close`). After a crash the volume holds a prefix of the
    transactions in the order of their commits. Any number of threads may use it.
    """

    __slots__ = ("__weakref__",)

    def transaction(self, isolation: Isolation = "snapshot", durable: bool = True) -> Transaction:
        """Begins a transaction; as a context manager it commits at the end of the block.

        Args:
            isolation: "snapshot": sees one moment, conflicts with whoever changed what it changes. "serializable":
                conflicts also with whoever changed what it only read.
            durable: whether the commit returns only when the changes are on the device.

        Raises:
            ReadOnly: the volume is open for reading.
        """
        return Transaction(self, isolation, durable)

    def run(
        self,
        function: Callable[[Transaction], Result],
        retries: int = 10,
        isolation: Isolation = "snapshot",
        durable: bool = True,
    ) -> Result:
        """Calls `function` with a transaction and commits it; on a conflict it does so again, after a short pause.

        Args:
            function: gets the transaction; runs once more for each conflict, so it should do nothing else.
            retries: how many conflicts to put up with.
            isolation: as in `transaction`.
            durable: as in `transaction`.

        Returns:
            What the function returned in the run that was committed.

        Raises:
            Conflict: one conflict more than `retries`.
            InvalidArgument: `retries` is negative.
        """
        if retries < 0:
            raise invalid(f"retries cannot be negative: {retries}")
        for attempt in range(retries):
            try:
                with self.transaction(isolation, durable) as transaction:
                    return function(transaction)
            except Conflict:
                time.sleep(random.uniform(0, min(0.0005 * 2 ** min(attempt, 7), 0.05)))
        with self.transaction(isolation, durable) as transaction:
            return function(transaction)

    @property
    def recovery(self) -> RecoveryReport:
        """What opening this volume had to do."""
        return RecoveryReport(self.recovery_fields())

    @property
    def as_of(self) -> datetime | None:
        """Opened for reading beside a writer: when the checkpoint that is shown was made; else None."""
        time_ns = self.as_of_ns()
        return None if time_ns is None else datetime.fromtimestamp(time_ns / 1e9, UTC)

    def info(self) -> Info:
        """Geometry and features: size, label, UUID, groups, journal, and how much of it is used."""
        return Info(self.info_fields())

    def stats(self) -> Stats:
        """Counters and latencies since the volume was opened."""
        return Stats(self.stats_fields())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            state = "closed" if self.closed else f"mode={self.mode!r} label={self.label!r}"
        except ForkedHandle:
            state = "of the parent process"
        return f"<vexfs.Volume {self.path!r} {state}>"

    def _repr_html_(self) -> str:
        try:
            return self.info()._repr_html_()
        except InvalidArgument:
            return html.escape(repr(self))
