"""Images that earlier versions made are read as they were written; `tools/freeze.py` says what they hold."""

import gzip
import importlib.util
import json
import pathlib

import pytest

import vexfs

ROOT = pathlib.Path(__file__).parents[2]
FROZEN = pathlib.Path(__file__).parent / "frozen"
VERSIONS = sorted(path.stem for path in FROZEN.glob("v*.json"))


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_an_image_of_the_first_version():
    assert VERSIONS[0] == "v1"


@pytest.mark.parametrize("mode", ["r", "rw"])
@pytest.mark.parametrize("state", ["closed", "crashed"])
@pytest.mark.parametrize("version", VERSIONS)
def test_what_an_earlier_version_wrote_is_all_there(tmp_path, version, state, mode):
    image = tmp_path / "image"
    image.write_bytes(gzip.decompress((FROZEN / f"{version}-{state}.img.gz").read_bytes()))
    assert vexfs.fsck(image, data=True).clean
    with vexfs.open(image, mode) as vol:
        assert vol.recovery.clean == (state == "closed")
        assert load("freeze").contents(vol) == json.loads((FROZEN / f"{version}.json").read_text())[state]
    assert vexfs.fsck(image, data=True).clean
    with vexfs.open(image) as vol:
        vol.write_bytes("/new", b"of a later version")
        vol.rmtree("/many")
    assert vexfs.fsck(image, data=True).clean
