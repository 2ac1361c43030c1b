"""Many small changes in few transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vexfs.errors import TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Batch"]

CHANGES = 1000
BYTES = 16 << 20
RETRIES = 10


class Batch:
    """Collects changes and makes them, in order, a transaction for each batch.

    In a transaction they are made at once and are part of it. On a volume a batch that is too large for its log is
    halved until its parts fit, and one that meets a conflict is made again: a change may run more than once, always
    from a clean state.
    """

    def __init__(self, target: Any, made: Callable[[], object] = lambda: None) -> None:
        self._target = target
        self._made = made
        self._direct = not hasattr(target, "transaction")
        self._changes: list[Callable[[Any], object]] = []
        self._bytes = 0

    def add(self, change: Callable[[Any], object], size: int = 0) -> None:
        """Adds a change that carries `size` bytes; makes the batch if it is full."""
        if self._direct:
            change(self._target)
            self._made()
            return
        self._changes.append(change)
        self._bytes += size
        if len(self._changes) >= CHANGES or self._bytes >= BYTES:
            self.flush()

    def flush(self) -> None:
        """Makes what was collected."""
        changes, self._changes, self._bytes = self._changes, [], 0
        if changes:
            self._make(changes)
        self._made()

    def _make(self, changes: list[Callable[[Any], object]]) -> None:
        try:
            self._retry(changes)
        except TooLarge:
            if len(changes) == 1:
                raise
            half = len(changes) // 2
            self._make(changes[:half])
            self._make(changes[half:])

    def _retry(self, changes: list[Callable[[Any], object]]) -> None:
        def make(transaction: Any) -> None:
            for change in changes:
                change(transaction)

        self._target.run(make, retries=RETRIES, durable=False)
