"""Keeps the stubs of the compiled module true: names, parameters and docstrings are those of the module itself.

Types are written by hand in `python/vexfs/_vexfs.pyi`; everything that the module knows is taken from it. With
`--check` nothing is written, and a difference is exit status 1.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vexfs import _vexfs

if TYPE_CHECKING:
    from types import ModuleType

STUBS = Path(__file__).parent.parent / "python" / "vexfs" / "_vexfs.pyi"
UNDOCUMENTED = {"__new__", "__iter__", "__next__", "__enter__", "__exit__", "__len__", "__getitem__", "__fspath__"}

Definition = ast.ClassDef | ast.FunctionDef


class Drift(Exception):
    """The stubs and the module say different things."""


def public(thing: type | ModuleType) -> set[str]:
    """The names that a class or the module defines for others."""
    return {name for name in vars(thing) if not name.startswith("_")}


def definitions(node: ast.Module | ast.ClassDef) -> dict[str, Definition]:
    """Classes and functions directly within a node, by name."""
    return {child.name: child for child in node.body if isinstance(child, Definition)}


def parameters(node: ast.FunctionDef, *, bound: bool) -> list[tuple[str, str, str | None]]:
    """Name, kind and default of each parameter of a stub."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    kinds = ["/"] * len(arguments.posonlyargs) + ["+"] * len(arguments.args)
    found = [
        (argument.arg, kind, ast.unparse(default) if default else None)
        for argument, kind, default in zip(positional, kinds, defaults, strict=True)
    ][1 if bound else 0 :]
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append((argument.arg, "*", ast.unparse(default) if default else None))
    return [(name, kind, str(ast.literal_eval(default)) if default else None) for name, kind, default in found]


def signature(thing: object) -> list[tuple[str, str, str | None]]:
    """Name, kind and default of each parameter of the module's function."""
    kinds = {
        inspect.Parameter.POSITIONAL_ONLY: "/",
        inspect.Parameter.POSITIONAL_OR_KEYWORD: "+",
        inspect.Parameter.KEYWORD_ONLY: "*",
    }
    return [
        (found.name, kinds[found.kind], None if found.default is found.empty else str(found.default))
        for found in inspect.signature(thing).parameters.values()  # type: ignore[arg-type]
        if found.name != "self"
    ]


def document(node: Definition, text: str | None, where: str) -> None:
    """Puts a docstring in the place of the one that is there."""
    if not text:
        raise Drift(f"{where} has no documentation")
    if ast.get_docstring(node, clean=False) is not None:
        del node.body[0]
    depth = "    " * (where.count(".") + 1)
    lines = "\n".join(depth + line if line else "" for line in inspect.cleandoc(text).splitlines()).strip()
    if "\n" in lines:
        lines += "\n" + depth
    node.body.insert(0, ast.Expr(ast.Constant(lines)))
    rest = node.body[1:]
    if (
        rest
        and isinstance(rest[0], ast.Expr)
        and isinstance(rest[0].value, ast.Constant)
        and rest[0].value.value is ...
    ):
        del node.body[1]


def update_class(node: ast.ClassDef, thing: type) -> None:
    """Brings a class of the stubs up to the module's."""
    document(node, thing.__doc__, node.name)
    stubs = definitions(node)
    if missing := public(thing) ^ {name for name in stubs if not name.startswith("_")}:
        raise Drift(f"{node.name}: only on one side: {', '.join(sorted(missing))}")
    for name, stub in stubs.items():
        if not isinstance(stub, ast.FunctionDef) or name in UNDOCUMENTED:
            continue
        where = f"{node.name}.{name}"
        found = getattr(thing, name)
        if not stub.decorator_list and parameters(stub, bound=True) != signature(found):
            raise Drift(f"{where}: {parameters(stub, bound=True)} in the stubs, {signature(found)} in the module")
        document(stub, found.__doc__, where)


def update(tree: ast.Module) -> None:
    """Brings the stubs up to the module."""
    stubs = definitions(tree)
    if missing := {name for name in public(_vexfs) if name != "DEBUG"} ^ stubs.keys():
        raise Drift(f"only on one side: {', '.join(sorted(missing))}")
    for name, stub in stubs.items():
        found = getattr(_vexfs, name)
        if isinstance(stub, ast.ClassDef):
            update_class(stub, found)
            continue
        if parameters(stub, bound=False) != signature(found):
            raise Drift(f"{name}: {parameters(stub, bound=False)} in the stubs, {signature(found)} in the module")
        document(stub, found.__doc__, name)


def formatted(source: str) -> str:
    """The source as ruff formats it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(STUBS), "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Checks or writes the stubs."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true")
    check = arguments.parse_args().check
    before = STUBS.read_text()
    tree = ast.parse(before)
    try:
        update(tree)
    except Drift as drift:
        print(f"{STUBS.name}: {drift}", file=sys.stderr)
        return 1
    after = formatted(ast.unparse(tree))
    if check and after != before:
        print(f"{STUBS.name} is not what the module says: run make stubs", file=sys.stderr)
        return 1
    if not check:
        STUBS.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
