"""Transactions and savepoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from vexfs import _vexfs
from vexfs.errors import InvalidArgument
from vexfs.files import Files

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Savepoint", "Transaction"]


class Transaction(_vexfs.Transaction, Files):
    """Changes that happen together or not at all; made by [`Volume.transaction`][vexfs.Volume.transaction].

    It has every verb of a volume. It sees the volume as it was when the transaction began, and its own changes, which
    nobody else sees before the commit. As a context manager it commits at the end of the block and aborts if the
    block raises. One transaction is for one thread at a time.
    """

    __slots__ = ()

    def savepoint(self) -> Savepoint:
        """A place to undo to, as a context manager: an exception in the block undoes what the block did and goes on
        up; `abort()` undoes it and nothing else."""
        return Savepoint(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.active:
            return
        if kind is None:
            self.commit()
        else:
            self.abort()

    def __repr__(self) -> str:
        try:
            state = "active" if self.active else "ended"
        except InvalidArgument:
            state = "ended"
        return f"<vexfs.Transaction {state} isolation={self.isolation!r} durable={self.durable}>"


class Savepoint:
    """A place in a transaction to undo to; see [`Transaction.savepoint`][vexfs.Transaction.savepoint]."""

    __slots__ = ("_mark", "_transaction")

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._mark: int | None = None

    @property
    def active(self) -> bool:
        """Whether the block is running and has not been undone."""
        return self._mark is not None

    def abort(self) -> None:
        """Undoes everything since the block began; the rest of the block belongs to the transaction around it."""
        if self._mark is not None:
            mark, self._mark = self._mark, None
            self._transaction.rollback_to(mark)

    def __enter__(self) -> Self:
        self._mark = self._transaction.mark()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mark is None or not self._transaction.active:
            return
        if kind is None:
            mark, self._mark = self._mark, None
            self._transaction.release(mark)
        else:
            self.abort()
