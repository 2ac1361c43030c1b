"""What all commands share: exit codes, and errors as one line on standard error, never a traceback."""

from __future__ import annotations

import codecs
import os
import sys
import warnings
from typing import Any, NoReturn

import click

from vexfs.cli.show import escaped, print_json
from vexfs.errors import Error

__all__ = ["USAGE", "Check", "Format", "Judged", "Verb", "fail", "refused", "run", "sentence", "warn"]

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
            image = _only_image(ctx)
            warn(sentence(error, image))
            if ctx.params.get("as_json"):
                print_json({"error": _described(error, image)})
            code = self.code_of(error)
        ctx.exit(code or 0)


class Judged(Verb):
    """A command whose arguments only the engine can judge: what it does not take is a matter of usage."""

    def code_of(self, error: Exception) -> int:
        """16 for bad arguments."""
        return USAGE if isinstance(error, ValueError) else self.failure


class Format(Judged):
    """mkfs(8): 0 done, 8 failed, 16 usage."""

    failure = 8
    cancelled = 8


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
    codecs.register_error("vexfs.bytes", _bytes_of_name)
    for stream, errors in ((sys.stdout, "vexfs.bytes"), (sys.stderr, "backslashreplace")):
        stream.reconfigure(errors=errors)  # type: ignore[union-attr]
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: warn(str(message))
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


def _bytes_of_name(error: UnicodeError) -> tuple[bytes, int]:
    """What standard output cannot encode goes out as the bytes that the volume has for it."""
    assert isinstance(error, UnicodeEncodeError)
    return error.object[error.start : error.end].encode("utf-8", "surrogateescape"), error.end


def refused(message: str) -> OSError:
    """Why one of several arguments is left out: an error whose text is all there is to say."""
    return OSError(message)


def sentence(error: BaseException, image: str | None = None) -> str:
    """What happened, to what, in which image, and what to do."""
    said = _said(error)
    return said if image is None or image in said else f"{image}: {said}"


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and not isinstance(error, Error) and error.strerror:
        names = " -> ".join(os.fsdecode(name) for name in (error.filename, error.filename2) if name is not None)
        return f"{names}: {error.strerror}" if names else error.strerror
    return str(error) or type(error).__name__


def _described(error: BaseException, image: str | None) -> dict[str, Any]:
    """An error as JSON has it."""
    names = [getattr(error, name, None) for name in ("filename", "filename2")]
    return {
        "code": getattr(error, "code", type(error).__name__),
        "errno": getattr(error, "errno", None),
        "message": _said(error),
        "image": image,
        "paths": [os.fsdecode(name) for name in names if name is not None],
    }


def _only_image(context: click.Context) -> str | None:
    """The image of a command line that has one."""
    from vexfs.cli.place import Place

    given = [value for value in context.params.values() if value is not None]
    places = [place for value in given for place in (value if isinstance(value, tuple) else (value,))]
    images = {place.image for place in places if isinstance(place, Place) and place.image is not None}
    if not images and isinstance(image := context.params.get("image"), str):
        return image
    return images.pop() if len(images) == 1 else None
