"""Damaged volumes: each kind of damage has its own error, and what is not damaged is there."""

import json
import os
import pathlib
import re
import shutil
import warnings
from contextlib import suppress

import pytest

import vexfs
from vexfs import _vexfs

from .damage import flip, flip_text

CONTENTS = {f"/d{n % 5}/f{n}": bytes([n]) * (n * 700) for n in range(40)}


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """The same small volume twice: closed, and as it was when it crashed."""
    closed, crashed = (str(tmp_path_factory.mktemp("states") / name) for name in ("closed", "crashed"))
    with vexfs.mkfs(closed, "2MiB") as vol:
        vol.write_many(CONTENTS, parents=True)
        vol.checkpoint()
        for number in range(20):
            vol.write_bytes(f"/d1/late{number}", b"late" * 300, durable=True)
        shutil.copyfile(closed, crashed)
    return {"closed": closed, "crashed": crashed}


def shown(image, what, number=None):
    return json.loads(_vexfs.debug_show(image, what, number))


def areas(image):
    """The area of the layout that each block is in."""
    return [shown(image, "block", block)["area"] for block in range(os.path.getsize(image) // 4096)]


def losses(image, mode):
    """The error that opening or closing met; the errors of the files that cannot be read; the others are right."""
    try:
        volume = vexfs.open(image, mode)
    except vexfs.Corrupt as error:
        return error, {}
    lost = {}
    for path, data in CONTENTS.items():
        try:
            assert volume.read_bytes(path) == data
        except vexfs.Corrupt as error:
            lost[path] = error
    with suppress(vexfs.Corrupt):  # a checkpoint reads the tree, too
        volume.close()
    return None, lost


@pytest.mark.parametrize(
    ("state", "mode", "step"), [("closed", "r", 1), ("closed", "rw", 5), ("crashed", "r", 3), ("crashed", "rw", 7)]
)
def test_any_corrupt_block_costs_what_it_holds_and_nothing_else(states, tmp_path, state, mode, step):
    """Every `step`th block in turn: nothing but Corrupt, no wrong byte, and the error names the block."""
    warnings.simplefilter("ignore", RuntimeWarning)  # of superblocks
    image = tmp_path / "bad"
    wide, unopened = [], []
    for block, area in list(enumerate(areas(states[state])))[::step]:
        shutil.copyfile(states[state], image)
        flip(image, block * 4096 + 128, 512)
        error, lost = losses(image, mode)
        if error is not None:
            unopened.append(area)
            assert error.filename == image
        elif any(error.code != "corrupt_data" for error in lost.values()):
            wide.append(block)
        elif lost:
            ((path, error),) = lost.items()
            assert f"block {block} is corrupt" in str(error)
            assert error.filename == path
    # The nodes of the tree, four blocks each; what opening must read to write: their like, the group table, the log.
    assert len(wide) <= 32
    assert len(unopened) <= (20 if mode == "rw" else 8)
    assert "superblock" not in unopened
    assert not [area for area in unopened if "checkpoint" in area]


def kinds_of_damage(states):
    """Damages a copy in a way that has an error of its own: the state, the blocks to damage, the code."""
    ring = {}
    for block, area in enumerate(areas(states["closed"])):
        if "checkpoint" in area and shown(states["closed"], "block", block)["structure"]:
            ring.setdefault(area, []).append(block)
    newest = [blocks[-1] for blocks in ring.values()]
    journal = [block for block, area in enumerate(areas(states["crashed"])) if area == "journal"]
    written = [block for block in journal if not shown(states["crashed"], "block", block)["zero"]]
    return {
        "every checkpoint": ("closed", [block for blocks in ring.values() for block in blocks], "no_checkpoint"),
        "the newest checkpoint": ("closed", newest, "log_damaged"),
        "the log": ("crashed", written[-8:-6], "log_damaged"),
    }


@pytest.mark.parametrize("what", ["every checkpoint", "the newest checkpoint", "the log"])
def test_damage_that_stops_opening(cli, states, tmp_path, what):
    image = tmp_path / "bad"
    state, blocks, code = kinds_of_damage(states)[what]
    shutil.copyfile(states[state], image)
    for block in blocks:
        flip(image, block * 4096 + 128, 3000)
    before = image.read_bytes()
    for mode in ("r", "rw"):
        with pytest.raises(vexfs.Corrupt, match="vexfs fsck") as caught:
            vexfs.open(image, mode)
        assert caught.value.code == code
    assert image.read_bytes() == before
    listed = cli("ls", image)
    assert (listed.code, listed.out) == (1, "")
    assert "vexfs fsck" in listed.err
    recovered = cli("recover", "--json", image)
    assert (recovered.code, json.loads(recovered.out)["error"]["code"]) == (4, code)
    checked = cli("fsck", image)
    assert checked.code == 4
    assert re.search(r"^fatal|^error", checked.out, re.MULTILINE)
    assert image.read_bytes() == before


def test_a_damaged_superblock_is_said_by_every_command(cli, states, tmp_path, monkeypatch):
    monkeypatch.setattr(warnings, "filters", [("default", None, Warning, None, 0)])
    image = tmp_path / "bad"
    shutil.copyfile(states["closed"], image)
    flip(image, 0)
    for command in (("ls",), ("info",), ("recover",), ("df",)):
        done = cli(*command, image)
        assert done.code == 0
        assert f"{image}: the copy of the superblock in block 0 is damaged" in done.err
    assert re.search(r"^bad_superblocks +0$", cli("info", image).out, re.MULTILINE)
    whole = cli("info", states["closed"])
    assert re.search(r"^bad_superblocks +none$", whole.out, re.MULTILINE)
    assert re.search(r"^created +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", whole.out, re.MULTILINE)
    assert whole.err == ""


def test_all_superblocks_damaged(cli, states, tmp_path):
    image = tmp_path / "bad"
    shutil.copyfile(states["closed"], image)
    for copy in (0, 4096, os.path.getsize(image) - 4096):
        flip(image, copy + 40)
    checked = cli("fsck", "--json", image)
    assert checked.code == 4
    assert json.loads(checked.out)["error"]["code"] == "superblocks_lost"
    assert "restore" in checked.err
    assert "fsck`" not in checked.err


def test_a_check_names_paths_and_repairs_and_counts_everything(cli, image):
    many = os.urandom(1100 * 4096)
    with vexfs.mkfs(image, "64MiB") as vol:
        vol.write_bytes("/docs/one", b"precious" * 512, parents=True)
        vol.write_bytes("/many", many)
    flip_text(image, b"precious" * 512)
    done = cli("fsck", "--data", image)
    assert done.code == 4
    assert re.search(r"^error \d+ [\w-]+: /docs/one: .*\n    repair: ", done.out, re.MULTILINE), done
    assert ": 1 finding, " in done.out
    raw = pathlib.Path(image).read_bytes()
    for begin in range(0, len(many), 4096):
        flip(image, raw.index(many[begin : begin + 4096]))
    done = cli("fsck", "--data", image)
    assert ": 1101 findings, " in done.out
    assert re.search(r"^\d+ [\w-]+: 101 more, 1101 in all$", done.out, re.MULTILINE)


def test_a_check_says_what_it_could_not_check(cli, image):
    with vexfs.mkfs(image, "64MiB") as vol:
        vol.write_many({f"/{n}": b"x" for n in range(600)})
    newest = max(shown(image, "checkpoint"), key=lambda found: found["id"])
    flip(image, newest["root"]["block"] * 4096 + 200)
    done = cli("fsck", image)
    assert done.code == 4
    assert re.search(r"^pass \d+ [\w-]+ was (partial|skipped): \w+", done.out, re.MULTILINE), done
