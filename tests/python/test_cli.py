"""Every line of the interface's command line, its exit codes, and what it does with bad input."""

import contextlib
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys

import pytest

import vexfs
from vexfs.cli import COMMANDS


@pytest.fixture
def filled(image):
    """A volume with a few things in it, closed."""
    with vexfs.mkfs(image, "32MiB", label="work") as vol:
        vol.write_bytes("/docs/a.txt", b"hello\n", parents=True)
        vol.write_bytes("/docs/deep/b.py", b"x = 1\n" * 1000, parents=True)
        vol.symlink("docs/a.txt", "/link")
        vol.chmod("/docs/a.txt", 0o640)
        vol.utime("/docs/a.txt", ns=(0, 1_700_000_000_000_000_000))
    return image


def program(*arguments, **options):
    """Runs a command in a process of its own."""
    code = "import sys; from vexfs.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, **options)


# mkfs, tune, info, df, stats, checkpoint


def test_mkfs(cli, image):
    done = cli("mkfs", image, "--size", "64MiB", "--label", "work", "--journal-size", "4MiB")
    assert done.code == 0
    assert "64 MiB" in done.out
    assert "'work'" in done.out
    again = cli("mkfs", image, "--size", "64MiB")
    assert again.code == 8
    assert "force" in again.err
    assert cli("mkfs", image, "--size", "64MiB", "--force").code == 0
    made = json.loads(cli("mkfs", image, "--force", "--json").out)
    assert made["size_bytes"] == 64 << 20
    assert cli("mkfs", image, "--force", "--preallocate").code == 0
    assert os.stat(image).st_blocks * 512 >= 64 << 20


@pytest.mark.parametrize(
    "arguments",
    [(), ("--size", "big"), ("--size", "1MiB"), ("--size", "17TiB"), ("--size", "64MiB", "--label", "x" * 65), ("-Z",)],
)
def test_mkfs_usage_is_16_and_leaves_nothing_behind(cli, image, arguments):
    assert cli("mkfs", image, *arguments).code == 16
    assert not os.path.exists(image)


def test_mkfs_without_an_image_or_where_there_is_no_directory(cli, tmp_path):
    assert cli("mkfs").code == 16
    assert cli("mkfs", tmp_path / "no" / "where", "--size", "32MiB").code == 8


def test_tune_changes_the_label(cli, filled):
    assert cli("tune", filled, "-L", "other").code == 0
    assert json.loads(cli("info", filled, "--json").out)["label"] == "other"
    assert cli("tune", filled).code == 16
    with vexfs.open(filled):
        busy = cli("tune", filled, "-L", "again")
        assert busy.code == 1
        assert "in use" in busy.err


def test_info_df_stats_checkpoint(cli, filled):
    assert re.search(r"^label +work$", cli("info", filled).out, re.MULTILINE)
    info = json.loads(cli("info", filled, "--json").out)
    assert info["size_bytes"] == 32 << 20
    row = json.loads(cli("df", filled, "--json").out)[0]
    assert row["used_bytes"] + row["available_bytes"] <= row["size_bytes"]
    assert "Use%" in cli("df", filled).out
    assert cli("checkpoint", filled).code == 0
    assert json.loads(cli("checkpoint", filled, "--json").out)["checkpoint"] >= 1


def test_stats_are_of_the_volume(cli, filled):
    def stats():
        return json.loads(cli("stats", filled, "--json").out)

    before = stats()
    assert before["inodes"]["used"] == info_of(cli, filled)["inodes"] - info_of(cli, filled)["inodes_free"]
    assert before["space"]["groups"] == info_of(cli, filled)["groups"]
    assert 0 < before["space"]["longest_free_run_bytes"] <= before["space"]["free_bytes"]
    assert before["log"]["transactions"] == 0
    with vexfs.open(filled) as vol:
        vol.write_bytes("/f", b"x" * 9000, durable=True)
        beside = stats()
        assert beside["log"]["transactions"] == 1
        assert 0 < beside["log"]["used_bytes"] < beside["log"]["capacity_bytes"]
        for number in range(3):
            vol.write_bytes(f"/{number}", b"")
            vol.checkpoint()
    after = stats()
    assert after["checkpoint"]["number"] > before["checkpoint"]["number"]
    assert after["retained"]["checkpoints"] > 0
    assert after["space"]["used_bytes"] > before["space"]["used_bytes"]
    assert re.search(r"^log.capacity_bytes +\d+  \(1 MiB\)$", cli("stats", filled).out, re.MULTILINE)


def info_of(cli, image):
    return json.loads(cli("info", image, "--json").out)


# ls, tree, stat, cat, find, du


def test_ls(cli, filled):
    assert cli("ls", f"{filled}:/").out == "docs\nlink\n"
    assert cli("ls", filled).out == "docs\nlink\n"
    long = cli("ls", "-l", f"{filled}:/docs").out
    assert re.search(r"^-rw-r----- +1 \S+ \S+ +6 2023-11-1\d \d\d:\d\d:20 a\.txt$", long, re.MULTILINE)
    assert re.search(r"^drwx.* deep$", long, re.MULTILINE)
    assert "link -> docs/a.txt" in cli("ls", "-l", f"{filled}:/").out
    assert cli("ls", "-R", f"{filled}:/docs").out == "/docs:\na.txt\ndeep\n\n/docs/deep:\nb.py\n"
    assert [row["path"] for row in json.loads(cli("ls", "--json", "-R", f"{filled}:/").out)] == [
        "/docs",
        "/link",
        "/docs/a.txt",
        "/docs/deep",
        "/docs/deep/b.py",
    ]
    missing = cli("ls", f"{filled}:/none")
    assert missing.code == 1
    assert "/none" in missing.err
    assert missing.out == ""


def test_tree(cli, filled):
    lines = cli("tree", f"{filled}:/").out.splitlines()
    assert lines[1:] == [
        "├── docs",
        "│   ├── a.txt",
        "│   └── deep",
        "│       └── b.py",
        "└── link -> docs/a.txt",
        "",
        "2 directories, 3 files",
    ]
    assert json.loads(cli("tree", "--json", f"{filled}:/docs").out)["entries"][0]["name"] == "a.txt"


def test_stat_and_cat(cli, filled):
    found = json.loads(cli("stat", "--json", f"{filled}:/docs/a.txt").out)
    assert (found["type"], found["mode"], found["size"]) == ("file", "0640", 6)
    assert re.search(r"^ +size  6$", cli("stat", f"{filled}:/docs/a.txt").out, re.MULTILINE)
    assert json.loads(cli("stat", "--json", f"{filled}:/link").out)["target"] == "docs/a.txt"
    assert cli("cat", f"{filled}:/docs/a.txt", f"{filled}:/link").bytes == b"hello\nhello\n"
    assert cli("cat", f"{filled}:/docs").code == 1


def test_find(cli, filled):
    assert cli("find", f"{filled}:/", "-name", "*.py").out == "/docs/deep/b.py\n"
    assert cli("find", f"{filled}:/docs", "-type", "d").out == "/docs\n/docs/deep\n"
    assert cli("find", f"{filled}:/", "-size", "+1KiB", "-type", "f").out == "/docs/deep/b.py\n"
    assert cli("find", f"{filled}:/docs", "-newer", "/docs/a.txt", "-type", "f").out == "/docs/deep/b.py\n"
    assert json.loads(cli("find", f"{filled}:/", "--name", "a.txt", "--json").out)[0]["size"] == 6
    assert cli("find", f"{filled}:/", "-size", "many").code == 16


def test_du(cli, filled):
    sums = {row["path"]: row["bytes"] for row in json.loads(cli("du", "-b", "--json", f"{filled}:/").out)}
    assert sums["/docs/deep"] >= 6000
    assert sums["/"] >= sums["/docs"] >= sums["/docs/deep"] + 6
    assert cli("du", "-s", f"{filled}:/docs").out.count("\n") == 1


# cp


def test_cp_in_and_out(cli, filled, tmp_path):
    source = tmp_path / "host.bin"
    source.write_bytes(os.urandom(300_000))
    source.chmod(0o600)
    assert cli("cp", source, f"{filled}:/docs").code == 0
    assert cli("cp", source, f"{filled}:/docs/other.bin").code == 0
    assert cli("cp", f"{filled}:/docs/host.bin", tmp_path / "back").code == 0
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert (tmp_path / "back").stat().st_mode == source.stat().st_mode
    assert (tmp_path / "back").stat().st_mtime_ns == source.stat().st_mtime_ns
    (tmp_path / "into").mkdir()
    assert cli("cp", f"{filled}:/docs/a.txt", f"{filled}:/docs/other.bin", tmp_path / "into").code == 0
    assert sorted(os.listdir(tmp_path / "into")) == ["a.txt", "other.bin"]


def test_cp_trees(cli, filled, tmp_path):
    assert cli("cp", "-r", f"{filled}:/docs", tmp_path / "out").code == 0
    assert (tmp_path / "out/deep/b.py").read_bytes() == b"x = 1\n" * 1000
    assert cli("cp", "-r", tmp_path / "out", f"{filled}:/again").code == 0
    assert cli("cp", "-r", f"{filled}:/again", f"{filled}:/docs").code == 0
    assert cli("cat", f"{filled}:/docs/again/deep/b.py").bytes == b"x = 1\n" * 1000
    refused = cli("cp", f"{filled}:/docs", tmp_path / "no")
    assert refused.code == 1
    assert "-r" in refused.err
    assert cli("cp", "-r", f"{filled}:/docs", f"{filled}:/docs/inside").code == 16


def test_cp_standard_input_and_output(cli, filled):
    assert cli("cp", "-", f"{filled}:/piped", stdin=b"\x00\xff" * 1000).code == 0
    assert cli("cp", f"{filled}:/piped", "-").bytes == b"\x00\xff" * 1000


def test_cp_between_volumes(cli, filled, tmp_path):
    other = str(tmp_path / "other.vexfs")
    assert cli("mkfs", other, "--size", "32MiB").code == 0
    assert cli("cp", "-r", f"{filled}:/docs", f"{other}:/").code == 0
    assert cli("cat", f"{other}:/docs/deep/b.py").bytes == b"x = 1\n" * 1000
    assert cli("cp", tmp_path / "a", tmp_path / "b").code == 16


# mv, rm, mkdir, ln, chmod, chown, touch, truncate, xattr


def test_mv_rm_mkdir_ln_touch_truncate(cli, filled):
    at = f"{filled}:".__add__
    assert cli("mkdir", at("/new")).code == 0
    assert cli("mkdir", at("/new")).code == 1
    assert cli("mkdir", "-p", at("/new"), at("/x/y/z")).code == 0
    assert cli("mv", at("/docs/a.txt"), at("/new")).code == 0
    assert cli("mv", at("/new/a.txt"), at("/docs/c.txt")).code == 0
    assert cli("mv", "-n", at("/docs/c.txt"), at("/docs/deep/b.py")).code == 1
    assert cli("ln", at("/docs/c.txt"), at("/hard")).code == 0
    assert cli("ln", "-s", "docs/c.txt", at("/soft")).code == 0
    assert cli("ln", "-s", "elsewhere", at("/soft")).code == 1
    assert cli("ln", "-sf", "elsewhere", at("/soft")).code == 0
    assert cli("touch", at("/t")).code == 0
    assert cli("truncate", "-s", "1MiB", at("/t")).code == 0
    assert cli("truncate", "-s", "-1", at("/t")).code == 16
    assert cli("rm", at("/x")).code == 1
    assert cli("rm", "-r", at("/x")).code == 0
    assert cli("rm", at("/x")).code == 1
    assert cli("rm", "-f", at("/x")).code == 0
    with vexfs.open(filled) as vol:
        assert vol.stat("/hard").st_nlink == 2
        assert vol.readlink("/soft") == "elsewhere"
        assert vol.stat("/t").st_size == 1 << 20
        assert sorted(vol.listdir("/")) == ["docs", "hard", "link", "new", "soft", "t"]


def test_chmod_chown_xattr(cli, filled):
    at = f"{filled}:".__add__
    assert cli("chmod", "600", at("/docs/a.txt")).code == 0
    assert cli("chmod", "u+x,go=r", at("/docs/a.txt")).code == 0
    assert cli("chown", "12:34", at("/docs/a.txt")).code == 0
    assert cli("chown", "-R", "56", at("/docs")).code == 0
    assert cli("chmod", "u=q", at("/docs/a.txt")).code == 16
    assert cli("chown", "no such user", at("/docs/a.txt")).code == 16
    assert cli("xattr", "set", at("/docs/a.txt"), "user.k", "v").code == 0
    assert cli("xattr", "get", at("/docs/a.txt"), "user.k").bytes == b"v"
    assert cli("xattr", "list", at("/docs/a.txt")).out == "user.k\n"
    assert cli("xattr", "rm", at("/docs/a.txt"), "user.k").code == 0
    assert cli("xattr", "get", at("/docs/a.txt"), "user.k").code == 1
    with vexfs.open(filled) as vol:
        found = vol.stat("/docs/a.txt")
        assert found.st_mode & 0o7777 == 0o744
        assert (found.st_uid, found.st_gid) == (56, 34)


@pytest.mark.parametrize(
    ("mode", "before", "after"),
    [
        ("755", 0o600, 0o755),
        ("+x", 0o644, 0o755),
        ("a-w", 0o666, 0o444),
        ("u=rwx,g=rx,o=", 0o777, 0o750),
        ("g+s", 0o755, 0o2755),
        ("+t", 0o777, 0o1777),
        ("a+X", 0o644, 0o644),
        ("a+X", 0o744, 0o755),
        ("u=s", 0o755, 0o4055),
        ("4755", 0o0, 0o4755),
    ],
)
def test_modes_as_chmod_reads_them(mode, before, after):
    from vexfs.cli.attributes import changed_mode

    assert changed_mode(mode)(before, False) == after


# fsck, recover, debug


def test_fsck(cli, filled, tmp_path):
    checked = cli("fsck", filled)
    assert (checked.code, checked.out.count("\n")) == (0, 1)
    assert cli("fsck", "-n", "-f", "--data", filled).code == 0
    assert json.loads(cli("fsck", "--json", filled).out)["clean"] is True
    passes = cli("fsck", "--list-passes")
    assert passes.code == 0
    assert passes.out.count("\n") >= 5
    for option in ("-p", "-y", "-a"):
        refused = cli("fsck", option, filled)
        assert refused.code == 16
        assert "repair" in refused.err
    assert cli("fsck").code == 16
    assert cli("fsck", "--bad-option", filled).code == 16
    (tmp_path / "junk").write_bytes(bytes(4 << 20))
    assert cli("fsck", tmp_path / "junk").code == 8
    assert cli("fsck", tmp_path / "none").code == 8
    with vexfs.open(filled):
        assert cli("fsck", filled).code == 8


def test_fsck_of_a_damaged_volume_is_4(cli, filled):
    with vexfs.open(filled) as vol:
        vol.write_bytes("/whole blocks", b"precious" * 1024)
    data = pathlib.Path(filled).read_bytes()
    with open(filled, "r+b") as f:
        f.seek(data.index(b"precious"))
        f.write(b"y")
    done = cli("fsck", "--data", filled)
    assert done.code == 4
    assert done.out
    assert json.loads(cli("fsck", "--data", "--json", filled).out)["findings"]


def test_recover(cli, image, tmp_path):
    with vexfs.mkfs(image, "32MiB") as vol:
        vol.write_bytes("/f", b"x", durable=True)
        crashed = tmp_path / "crashed"
        crashed.write_bytes(pathlib.Path(image).read_bytes())
    before = crashed.read_bytes()
    assert cli("recover", "--dry-run", crashed).code == 4
    assert crashed.read_bytes() == before
    done = cli("recover", "--workers", "2", "--json", crashed)
    assert done.code == 1
    assert json.loads(done.out)["transactions"] >= 1
    assert cli("recover", crashed).code == 0
    assert cli("recover", tmp_path / "none").code == 8
    assert cli("recover", "--workers", "many", crashed).code == 16


def test_debug_show(cli, filled):
    shown = {what: cli("debug", "show", filled, what, "--json") for what in ("superblock", "checkpoint", "journal")}
    assert all(done.code == 0 for done in shown.values()), shown
    assert json.loads(shown["superblock"].out)[0]["label"] == "work"
    newest = max(json.loads(shown["checkpoint"].out), key=lambda found: found["id"])
    assert json.loads(shown["journal"].out)["checkpoint"] == newest["id"]
    root = json.loads(cli("debug", "show", filled, "inode", "1", "--json").out)
    assert root["record"]["type"] == "directory"
    assert {item["key"]["kind"] for item in root["items"]} == {"inode", "dirent"}
    node = json.loads(cli("debug", "show", filled, "node", newest["root"]["block"], "--json").out)
    assert node["count"] == newest["items"]
    block = json.loads(cli("debug", "show", filled, "block", newest["root"]["block"], "--json").out)
    assert (block["area"], block["structure"]) == ("data", "tree node")
    assert "tree node" in cli("debug", "show", filled, "block", newest["root"]["block"]).out
    assert "damaged" in json.loads(cli("debug", "show", filled, "node", "0", "--json").out)
    for bad in (("node",), ("superblock", "1"), ("nothing",), ("block", "x")):
        assert cli("debug", "show", filled, *bad).code == 16
    assert cli("debug", "show", filled, "block", 10**9).code == 1


# what all commands share


@pytest.mark.parametrize("name", [*COMMANDS, None])
def test_help_works_everywhere(cli, name):
    arguments = [name] if name else []
    for option in ("-h", "--help"):
        done = cli(*arguments, option)
        assert done.code == 0
        assert done.out.startswith("Usage: vexfs")


def test_usage_errors_are_16(cli):
    assert cli("nonsense").code == 16
    assert cli("ls").code == 16
    assert cli("ls", "--what").code == 16
    assert cli("cat").code == 16


def test_version(cli):
    assert vexfs.__version__ in cli("--version").out


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "{}"),
        ("df", "{}"),
        ("ls", "{}:/"),
        ("cat", "{}:/x"),
        ("du", "{}:/"),
        ("rm", "{}:/x"),
        ("stats", "{}"),
        ("checkpoint", "{}"),
        ("cp", "{}:/x", "/tmp/never"),
    ],
)
def test_what_is_no_volume_is_one_line_and_exit_1(cli, tmp_path, arguments):
    junk = tmp_path / "junk"
    junk.write_bytes(os.urandom(1 << 20))
    for image in (junk, tmp_path / "none", tmp_path):
        done = cli(*(argument.format(image) for argument in arguments))
        assert done.code == 1, done
        assert done.err.count("\n") == 1
        assert done.out == ""


def test_names_with_control_characters_are_escaped_on_a_terminal(cli, image, monkeypatch):
    name = "evil\x1b[31m\n\x07"
    with vexfs.mkfs(image, "32MiB") as vol:
        vol.write_bytes(f"/{name}", b"")
        vol.write_bytes(b"/\xff\xfe", b"")
    assert cli("ls", image).bytes == name.encode() + b"\n\xff\xfe\n"
    monkeypatch.setattr("vexfs.cli.show.sys.stdout.isatty", lambda: True, raising=False)
    assert cli("ls", image).out.splitlines() == [r"evil\x1b[31m\x0a\x07", r"\xff\xfe"]
    missing = cli("cat", f"{image}:/{name}x")
    assert "\x1b" not in missing.err
    assert json.loads(cli("ls", "--json", image).out)[1]["path"] == "/\udcff\udcfe"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(cli, shell):
    assert "_VEXFS_COMPLETE" in cli("completion", shell).out


def in_bash(directory, typed):
    """What an interactive bash with the completion prints when `typed` is typed into its terminal."""
    program = directory / "bin" / "vexfs"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!{sys.executable}\nfrom vexfs.cli import main\nmain()\n")
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PS1": "", "TERM": "dumb"}
    master, slave = pty.openpty()
    command = ["bash", "--norc", "--noprofile", "-i"]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=directory, env=environment):
        os.close(slave)
        os.write(master, b'eval "$(vexfs completion bash)"\n' + typed.encode() + b"\nexit\n")
        shown = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while piece := os.read(master, 65536):
                shown += piece
        os.close(master)
    return shown.decode()


def test_bash_completes_paths_of_a_volume(filled, tmp_path):
    with vexfs.open(filled) as vol:
        vol.write_bytes("/docs/two words", b"spaces\n")
        vol.write_bytes("/docs/with:colon", b"colons\n")
    image = os.path.basename(filled)
    typed = f"vexfs ls {image}:/do\t\nvexfs cat {image}:/docs/a\t\n"
    shown = in_bash(tmp_path, f"{typed}vexfs cat {image}:/docs/two\t\nvexfs cat {image}:/docs/with:c\t\n")
    assert "a.txt\r\n" in shown
    assert "hello\r\n" in shown
    assert "spaces\r\n" in shown
    assert "colons\r\n" in shown
    assert re.search(r"label +work", in_bash(tmp_path, f"vexfs info {image[:4]}\t\n"))  # files of the machine


def test_install_helpers(cli, tmp_path):
    done = cli("install-helpers", "--directory", tmp_path)
    if done.code == 1:
        assert "not installed" in done.err
        pytest.skip("the programs are not installed beside this Python")
    assert (tmp_path / "mkfs.vexfs").is_symlink()
    assert (tmp_path / "fsck.vexfs").exists()
    assert cli("install-helpers", "--directory", tmp_path).code == 0


def test_helper_programs(image):
    for name, arguments, code in [
        ("mkfs", ["-L", "x", image, "32MiB"], 0),
        ("mkfs", [image, "32MiB"], 8),
        ("mkfs", [], 16),
        ("fsck", [image], 0),
        ("fsck", ["-p", image], 16),
    ]:
        script = f"from vexfs.cli.helpers import {name}; {name}()"
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
        assert done.returncode == code, done
        assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_traceback(filled):
    with vexfs.open(filled) as vol:
        vol.write_bytes("/big", bytes(10_000_000))
    code = "import sys; from vexfs.cli import main; main()"
    command = [sys.executable, "-c", code, "cat", f"{filled}:/big"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait() == 1


def test_an_interrupted_check_is_32(image):
    """The signal arrives while the check reports its progress."""
    vexfs.mkfs(image, "32MiB").close()
    script = (
        "import os, signal, sys, vexfs\n"
        "vexfs.fsck = lambda *a, **k: os.kill(os.getpid(), signal.SIGINT)\n"
        "from vexfs.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script, "fsck", image], capture_output=True)
    assert done.returncode == 32
    assert b"Traceback" not in done.stderr
    assert signal.SIGINT


def test_no_colour_and_no_progress_when_nobody_watches(filled, tmp_path):
    done = program("cp", "-r", f"{filled}:/docs", tmp_path / "out")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_colon_in_a_directory_of_the_machine_is_no_image(cli, filled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd:").mkdir()
    assert cli("cp", f"{filled}:/docs/a.txt", "odd:/a.txt").code == 0
    assert (tmp_path / "odd:" / "a.txt").read_bytes() == b"hello\n"
