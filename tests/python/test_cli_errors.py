"""What the command line does with bad arguments, odd terminals and damage: one line each, and its exit code."""

import base64
import json
import os
import pty
import subprocess
import sys

import pytest

import vexfs

from .damage import flip_text

MAIN = "from vexfs.cli import main; main()"


@pytest.fixture
def filled(image):
    """A volume with a few things in it, closed."""
    with vexfs.mkfs(image, "32MiB") as vol:
        vol.mkdir("/d")
        vol.write_bytes("/a", b"first\n")
        vol.write_bytes("/b", b"second\n")
        vol.write_bytes("/bad", b"precious" * 1024)
    flip_text(image, b"precious" * 512)
    return image


def program(*arguments, code=MAIN, **environment):
    """Runs a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        env={**os.environ, **environment},
    )


# the helper programs


@pytest.mark.parametrize("name", ["mkfs", "fsck"])
@pytest.mark.parametrize("option", ["--version", "-V"])
def test_helper_programs_tell_their_version_and_touch_nothing(filled, name, option):
    with open(filled, "rb") as file:
        before = file.read()
    done = program(
        "--force" if name == "mkfs" else "-f", option, filled, code=f"import vexfs.cli.helpers as h; h.{name}()"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert vexfs.__version__ in done.stdout
    with open(filled, "rb") as file:
        assert file.read() == before


# several arguments


def test_commands_go_on_after_a_bad_argument(cli, filled, tmp_path):
    at = f"{filled}:".__add__
    shown = cli("cat", at("/none"), at("/a"), at("/bad"), at("/d"), at("/b"))
    assert (shown.code, shown.bytes) == (1, b"first\nsecond\n")
    assert len(shown.err.splitlines()) == 3
    assert all(filled in line for line in shown.err.splitlines())
    for command in (("ls",), ("stat",), ("touch", "-c"), ("chmod", "600"), ("chown", "1:2"), ("du",), ("mkdir", "-p")):
        done = cli(*command, at("/a/x"), at("/d"), tmp_path / "none.vexfs", at("/d"))
        assert done.code == 1, (command, done)
        assert len(done.err.splitlines()) == (2 if command != ("touch", "-c") else 1), (command, done)
    assert [row["path"] for row in json.loads(cli("stat", "--json", at("/none"), at("/a")).out)] == ["/a"]
    (tmp_path / "out").mkdir()
    copied = cli("cp", at("/none"), at("/a"), at("/d"), at("/bad"), at("/b"), tmp_path / "out")
    assert copied.code == 1
    assert "use -r" in copied.err
    assert sorted(os.listdir(tmp_path / "out")) == ["a", "b"]
    spaces = cli("df", "--json", tmp_path / "none.vexfs", filled)
    assert (spaces.code, [row["image"] for row in json.loads(spaces.out)]) == (1, [filled])
    removed = cli("rm", at("/d"), at("/none"), at("/a"))
    assert removed.code == 1
    assert f"{filled}:/d is a directory: use -r" in removed.err
    assert cli("ls", filled).out == "b\nbad\nd\n"


def test_errors_name_the_image_and_the_path(cli, filled):
    for command in (("ls",), ("tree",), ("find",), ("xattr", "list"), ("mv", f"{filled}:/nope")):
        done = cli(*command, f"{filled}:/nope/x")
        assert done.code == 1
        assert filled in done.err
        assert "/nope" in done.err


# bad numbers and names


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (16, ("mkdir", "-m", "777777777777777", "{}:/x")),
        (16, ("mkdir", "-m", "-1", "{}:/x")),
        (16, ("debug", "show", "{}", "block", "--", "-5")),
        (16, ("debug", "show", "{}", "block", str(1 << 70))),
        (1, ("debug", "show", "{}", "checkpoint", "999")),
        (1, ("debug", "show", "{}", "inode", "999")),
        (16, ("tune", "{}", "-L", "\udcff")),
        (16, ("mkfs", "{}", "--force", "-L", "\udcff")),
        (16, ("mkfs", "{}", "--force", "--size", "9999999999999999TiB")),
        (16, ("mkfs", "{}", "--force", "--size", "64MiB", "--journal-size", "9999999999999999TiB")),
        (1, ("truncate", "-s", "99999999999TiB", "{}:/a")),
        (1, ("chown", str(1 << 70), "{}:/a")),
    ],
)
def test_impossible_numbers_and_names_are_no_traceback(cli, filled, code, arguments):
    done = cli(*(argument.format(filled) for argument in arguments))
    assert (done.code, done.out) == (code, ""), done
    assert done.err


# JSON


def test_an_error_is_json_too(cli, filled, tmp_path):
    missing = cli("stat", "--json", tmp_path / "none")
    assert missing.code == 1
    info = cli("info", "--json", tmp_path / "none")
    assert (info.code, json.loads(info.out)["error"]["code"]) == (1, "not_found")
    os.truncate(filled, 1 << 20)
    checked = cli("fsck", "--json", filled)
    assert checked.code == 4
    error = json.loads(checked.out)["error"]
    assert (error["code"], error["image"]) == ("truncated", filled)
    assert error["message"] in checked.err


def test_attributes_as_json_are_base64(cli, filled):
    values = {"user.zero": b"\0", "user.text": rb"\x00", "user.bytes": b"\xff\xfe"}
    with vexfs.open(filled) as vol:
        for name, value in values.items():
            vol.setxattr("/a", name, value)
    shown = json.loads(cli("xattr", "list", "--json", f"{filled}:/a").out)
    assert {name: base64.b64decode(value) for name, value in shown.items()} == values


# terminals


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_that_cannot_show_everything(image, encoding):
    with vexfs.mkfs(image, "32MiB") as vol:
        vol.mkdir("/d")
        vol.write_bytes("/d/ä€", b"")
        vol.write_bytes(b"/d/\xff", b"")
    drawn = program("tree", image, PYTHONIOENCODING=encoding)
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert "`-- d" in drawn.stdout
    listed = subprocess.run(
        [sys.executable, "-c", MAIN, "ls", f"{image}:/d"],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert b"\xff" in listed.stdout
    assert "€".encode() in listed.stdout


def on_a_terminal(*arguments, **environment):
    """Runs a command with a terminal as its standard error; its exit code and what the terminal got."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        stdin=slave,
        stdout=subprocess.DEVNULL,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    ) as process:
        os.close(slave)
        shown = b""
        try:
            while piece := os.read(master, 65536):
                shown += piece
        except OSError:  # the end of a terminal
            pass
        os.close(master)
    return process.returncode, shown.decode()


@pytest.mark.parametrize("colour", [True, False])
def test_progress_bars_take_names_as_they_are(image, tmp_path, colour):
    path = "/a[/b] [red]\x1b"
    with vexfs.mkfs(image, "32MiB") as vol:
        vol.write_bytes(f"{path}/f", b"x" * 100_000, parents=True)
    environment = {} if colour else {"NO_COLOR": "1"}
    code, shown = on_a_terminal("cp", "-r", f"{image}:{path}", tmp_path / "out", **environment)
    assert code == 0, shown
    assert r"/a[/b] [red]\x1b" in shown
    assert "1/1 files" in shown
    assert ("\x1b[38;" in shown) is colour
    code, shown = on_a_terminal("fsck", "--data", image, **environment)
    assert code == 0, shown
    assert "Traceback" not in shown
