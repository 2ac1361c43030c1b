"""What the tests of the Python package share."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import hypothesis
import pytest

import vexfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIZE = 32 << 20

hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def image(tmp_path: Path) -> str:
    """Where a volume goes that the test makes itself."""
    return str(tmp_path / "test.vexfs")


@pytest.fixture
def vol(image: str) -> Iterator[vexfs.Volume]:
    """An empty volume, open for writing."""
    with vexfs.mkfs(image, SIZE) as volume:
        yield volume


class Finished:
    """How a command ended."""

    def __init__(self, code: int, out: bytes, err: str) -> None:
        self.code, self.bytes, self.err = code, out, err

    @property
    def out(self) -> str:
        return self.bytes.decode("utf-8", "surrogateescape")

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Finished]:
    """Runs the command `vexfs` in this process."""
    from vexfs.cli import main

    def run(*arguments: object, stdin: bytes = b"") -> Finished:
        import io

        monkeypatch.setattr(sys, "argv", ["vexfs", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        sys.stdout.flush()
        captured = capsysbinary.readouterr()
        code = end.value.code
        assert isinstance(code, int)
        finished = Finished(code, captured.out, captured.err.decode())
        assert "Traceback" not in finished.err, finished
        return finished

    return run
