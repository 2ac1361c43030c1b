"""Writes docs/errors.md: every stable code with its class, number and message, from the crates and `vexfs.errors`.

With `--check` nothing is written, and a difference is exit status 1.
"""

from __future__ import annotations

import argparse
import errno
import re
import sys
from pathlib import Path

from vexfs import errors

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "errors.md"
BINDING = {
    "closed": "the volume, transaction or file was closed; open it again",
    "forked": "opened by another process, and this is its forked child; open it again here",
}
HEAD = """# Errors

Every failure has one stable code. In Python it is `error.code` of a `vexfs.Error`, whose class and `errno` follow from
it; `--json` on the command line prints it too. Codes are made to be compared: they never change their meaning. The
texts say what to do, and may change.

`make errors` writes this page from the crates; a test compares the two.

| code | class | errno | what happened, and what to do |
|---|---|---|---|
"""


def variants(text: str) -> dict[str, str]:
    """The variants of the enums of a file, each with its message, or with its comment if the message is another's."""
    found = {}
    pattern = r"((?: *///[^\n]*\n)+) *#\[error\(\s*(.*?)\s*\)\]\n *(\w+)"
    for comment, message, name in re.findall(pattern, text, re.DOTALL):
        literal = re.match(r'"((?:[^"\\]|\\.)*)"', message)
        if literal and literal[1] != "{0}":
            found[name] = re.sub(r"\\\n\s*", "", literal[1]).replace('\\"', '"')
        else:
            found[name] = " ".join(re.findall(r"/// ?(.*)", comment))
    return found


def codes(text: str) -> dict[str, str]:
    """The codes of a file with the name of the variant that each stands for."""
    found: dict[str, str] = {}
    for body in re.findall(r"fn code\(&self\).*?\n    \}\n", text, re.DOTALL):
        variant, fresh = "", True
        for name, code in re.findall(r'Self::(\w+)|=> (?:"(\w+)")?', body):
            if name:
                variant, fresh = (name if fresh else variant), False  # of `A | B => code` the first
            else:
                fresh = True
                found.update({code: variant} if code else {})
    return found


def messages() -> dict[str, str]:
    """Every code of the crates with its message; of several that of the layer nearest to the user."""
    found = dict(BINDING)
    for crate in ("fs", "store", "check", "tree", "journal", "space", "format", "device"):
        text = (ROOT / "rust" / crate / "src" / "error.rs").read_text()
        texts = variants(text)
        for code, variant in codes(text).items():
            found.setdefault(code, texts[variant])
    return found


def shown(message: str) -> str:
    """A message with what differs each time as a name."""
    named = re.sub(r"\{([a-z_]\w*)[^}]*\}", r"*\1*", message)
    return re.sub(r"\{[^}]*\}", "…", named).replace("|", "\\|")


def page() -> str:
    """The whole page."""
    rows = []
    for code, message in sorted(messages().items()):
        error = errors.build(code, errno.EIO, message)
        number = errno.errorcode[error.errno or 0]
        rows.append(f"| `{code}` | `{type(error).__name__}` | {number} | {shown(message)} |\n")
    return HEAD + "".join(rows)


def main() -> int:
    """Writes or compares the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is out of date")
    if parser.parse_args().check:
        if PAGE.read_text() == page():
            return 0
        print(f"{PAGE} is out of date: make errors", file=sys.stderr)
        return 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
