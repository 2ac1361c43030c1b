"""What all commands share: exit codes, and errors as one line on standard error, never a traceback."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

from vexfs.cli.show import escaped
from vexfs.errors import Error

__all__ = ["USAGE", "Check", "Format", "Verb", "fail", "run", "warn"]

USAGE = 16


class Verb(click.Command):
    """A command that ends with the code its function returns (None is 0), or with `failure` and a sentence."""

    SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
    failure = 1
    cancelled = 1

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("context_settings", self.SETTINGS)
        super().__init__(*args, **options)

    def code_of(self, error: Exception) -> int:
        """The exit code for an error."""
        return self.failure

    def invoke(self, ctx: click.Context) -> NoReturn:
        """Runs the command and ends with its exit code."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except (KeyboardInterrupt, click.Abort):
            warn("cancelled")
            code = self.cancelled
        except BrokenPipeError:
            # Nobody reads any more; flushing at the end must not complain about it again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = self.failure
        except (OSError, MemoryError) as error:
            warn(_sentence(error))
            code = self.code_of(error)
        ctx.exit(code or 0)


class Format(Verb):
    """mkfs(8): 0 done, 8 failed, 16 usage."""

    failure = 8
    cancelled = 8

    def code_of(self, error: Exception) -> int:
        """What cannot be a volume is a matter of usage."""
        return USAGE if isinstance(error, ValueError) else self.failure


class Check(Verb):
    """fsck(8): 0 clean, 1 corrected, 4 left uncorrected, 8 failed, 16 usage, 32 cancelled."""

    failure = 8
    cancelled = 32

    def code_of(self, error: Exception) -> int:
        """Damage that stops the check is damage left."""
        from vexfs.errors import Corrupt

        return 4 if isinstance(error, Corrupt) else self.failure


def fail(message: str) -> NoReturn:
    """Ends the command with a usage error."""
    raise click.UsageError(message, click.get_current_context(silent=True))


def warn(message: str) -> None:
    """A line on standard error, with the name of the command before it."""
    context = click.get_current_context(silent=True)
    click.echo(f"{context.command_path if context else 'vexfs'}: {escaped(message)}", err=True)


def run(command: click.Command, name: str) -> NoReturn:
    """Runs a command as a program."""
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        stream.reconfigure(errors=errors)  # type: ignore[union-attr]
    try:
        code: Any = command.main(prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = USAGE
    except (KeyboardInterrupt, click.Abort):
        code = 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code or 0)


def _sentence(error: BaseException) -> str:
    if isinstance(error, Error):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        names = " -> ".join(os.fsdecode(name) for name in (error.filename, error.filename2) if name is not None)
        return f"{names}: {error.strerror}" if names else error.strerror
    return str(error) or type(error).__name__
