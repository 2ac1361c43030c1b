"""The command line at the limits of a volume and with images that are no good: the same code and words every time."""

import json
import os
import pathlib
import re
import shutil

import pytest

import vexfs
from vexfs import _vexfs

from .children import as_user, read_only_for_others
from .damage import change_superblocks, flip, set_feature, set_version


@pytest.fixture
def filled(image):
    """A volume with a file, a directory and a loop of links, closed."""
    with vexfs.mkfs(image, "32MiB") as vol:
        vol.mkdir("/d/e", parents=True)
        vol.write_bytes("/f", b"x" * 9000)
        vol.symlink("two", "/one")
        vol.symlink("one", "/two")
    return image


def check_refused(done, code, pattern):
    assert (done.code, done.out) == (code, ""), done
    assert len(done.err.splitlines()) == 1
    assert re.search(pattern, done.err), done


COMMANDS = [(("ls",), 1), (("info",), 1), (("df",), 1), (("stats",), 1), (("tune", "-L", "x"), 1), (("checkpoint",), 1)]


@pytest.mark.parametrize(("command", "code"), [*COMMANDS, (("recover",), 8), (("fsck",), 8)])
def test_what_is_no_volume(cli, tmp_path, command, code):
    image = tmp_path / "no volume"
    for content in (b"", b"\0" * 100, os.urandom(1 << 20)):
        image.write_bytes(content)
        check_refused(cli(*command, image), code, "not a VexFS volume")
    image.unlink()
    check_refused(cli(*command, image), code, "no such file")
    image.mkdir()
    check_refused(cli(*command, image), code, "is a directory")


@pytest.mark.parametrize(("command", "code"), [*COMMANDS, (("recover",), 8), (("fsck",), 8)])
def test_newer_formats(cli, filled, command, code):
    change_superblocks(filled, set_version)
    check_refused(cli(*command, filled), code, "upgrade vexfs")


def test_features_that_may_be_read(cli, filled):
    change_superblocks(filled, set_feature(160))
    assert cli("ls", filled).code == 0
    check_refused(cli("mkdir", f"{filled}:/x"), 1, "cannot write")


@pytest.mark.parametrize(("command", "code"), [*COMMANDS, (("recover",), 4), (("fsck",), 4)])
def test_an_image_that_was_cut_short(cli, filled, command, code):
    os.truncate(filled, 1 << 20)
    check_refused(cli(*command, filled), code, "cut short")


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (("mkdir", "{}:/" + "x" * 256), "longer than 255 bytes"),
        (("cp", "{}:/f", "{}:/" + "x" * 256), "longer than 255 bytes"),
        (("rm", "-r", "{}:/"), "cannot be removed"),
        (("rm", "{}:/"), "use -r"),
        (("mkdir", "{}:/"), "exists"),
        (("cat", "{}:/one"), "40 symbolic links"),
        (("cat", "{}:/one/x"), "40 symbolic links"),
        (("ls", "{}:/one"), "40 symbolic links"),
        (("mv", "{}:/d", "{}:/d/e"), "under itself"),
        (("mv", "{}:/", "{}:/d"), "root|removed or renamed|under itself"),
        (("truncate", "-s", "17TiB", "{}:/f"), "16 TiB"),
        (("ln", "{}:/d", "{}:/hard"), "directory|permitted"),
        (("chmod", "600", "{}:/none"), "/none"),
        (("xattr", "get", "{}:/f", "user.none"), "user.none"),
        (("xattr", "set", "{}:/f", "bad.k", "v"), "user., trusted. or security."),
    ],
)
def test_what_no_volume_can_do(cli, filled, arguments, pattern):
    before = cli("ls", "-R", "--json", filled).out
    check_refused(cli(*(argument.format(filled) for argument in arguments)), 1, pattern)
    assert cli("ls", "-R", "--json", filled).out == before


def test_a_full_volume(cli, image, tmp_path):
    vexfs.mkfs(image, "4MiB").close()
    (tmp_path / "big").write_bytes(os.urandom(8 << 20))
    check_refused(cli("cp", tmp_path / "big", f"{image}:/big"), 1, "no space left.*larger volume")
    assert cli("ls", image).out == ""
    assert cli("cp", "-", f"{image}:/small", stdin=b"x").code == 0


def test_a_volume_without_free_inodes(cli, image):
    with vexfs.mkfs(image, "24MiB") as vol:
        made = 0
        while free := min(vol.statvfs().f_ffree, 256):
            vol.write_many({f"/{number}": b"" for number in range(made, made + free)})
            made += free
    check_refused(cli("touch", f"{image}:/one-more"), 1, "inode numbers.*larger volume")
    assert cli("rm", f"{image}:/0").code == 0
    assert cli("touch", f"{image}:/one-more").code == 0


def test_a_file_that_may_not_be_written(cli, filled):
    read_only_for_others(filled)

    def work():
        check_refused(cli("mkdir", f"{filled}:/x"), 1, "permission denied")
        check_refused(cli("mkfs", "--force", filled), 8, "permission denied")
        return cli("ls", filled).out == "d\nf\none\ntwo\n"

    assert as_user(65534, work)


def blocks_of(image, area):
    """The blocks of a part of the layout that hold something."""
    shown = (json.loads(_vexfs.debug_show(image, "block", block)) for block in range(256))
    return [found["block"] for found in shown if area in found["area"] and not found["zero"]]


def test_a_damaged_bitmap(cli, filled, tmp_path):
    for block in blocks_of(filled, "bitmap"):
        flip(filled, block * 4096 + 1000)
    assert cli("cp", f"{filled}:/f", tmp_path / "out").code == 0  # reading needs none
    check_refused(cli("cp", tmp_path / "out", f"{filled}:/g"), 1, "bitmap of group 0 is corrupt.*fsck")
    checked = cli("fsck", filled)
    assert checked.code == 4
    assert "bitmap" in checked.out


@pytest.mark.parametrize("area", ["checkpoint ring A", "journal"])
def test_damage_that_a_second_copy_or_a_closed_volume_makes_up_for(cli, filled, tmp_path, area):
    for block in blocks_of(filled, area):
        flip(filled, block * 4096 + 1000)
    shutil.copyfile(filled, tmp_path / "before")
    assert cli("cat", f"{filled}:/f").bytes == b"x" * 9000
    checked = cli("fsck", filled)
    assert checked.code == (4 if "ring" in area else 0), checked
    assert (tmp_path / "before").read_bytes() == pathlib.Path(filled).read_bytes()
