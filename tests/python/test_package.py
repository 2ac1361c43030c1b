"""The package as a whole: stubs, documentation, reports, what importing it does."""

import json
import pathlib
import pickle
import subprocess
import sys
import sysconfig

import pytest

import vexfs
from vexfs.sizes import format_size, parse_size

ROOT = pathlib.Path(__file__).parents[2]


def test_the_stubs_are_those_of_the_module():
    pytest.importorskip("ruff")
    done = subprocess.run([sys.executable, ROOT / "tools" / "stubs.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_everything_public_is_documented():
    undocumented = []
    for name in vexfs.__all__:
        thing = getattr(vexfs, name)
        if not callable(thing):
            continue
        if not thing.__doc__:
            undocumented.append(name)
        if isinstance(thing, type):
            for attribute, value in vars(thing).items():
                shown = not attribute.startswith("_") and (callable(value) or isinstance(value, property))
                if shown and not value.__doc__:
                    undocumented.append(f"{name}.{attribute}")
    assert undocumented == []


def test_volume_and_transaction_have_the_same_verbs():
    of_volume = {name for name in dir(vexfs.Volume) if not name.startswith("_")}
    of_transaction = {name for name in dir(vexfs.Transaction) if not name.startswith("_")}
    verbs = {name for name in dir(vexfs._vexfs.Verbs) if not name.startswith("_")}
    python = {"open", "read_text", "write_text", "walk", "glob", "rmtree", "import_tree", "export_tree"}
    assert verbs | python <= of_volume & of_transaction
    assert of_volume - of_transaction == {
        "as_of",
        "as_of_ns",
        "bad_superblocks",
        "checkpoint",
        "close",
        "closed",
        "info",
        "info_fields",
        "label",
        "mode",
        "path",
        "recovery",
        "recovery_fields",
        "refresh",
        "run",
        "stats",
        "stats_fields",
        "statvfs",
        "sync",
        "transaction",
    }


def test_every_code_of_the_engine_has_a_class_and_is_in_the_documentation():
    import importlib.util

    from vexfs import errors

    specification = importlib.util.spec_from_file_location("errors_page", ROOT / "tools" / "errors.py")
    tool = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tool)
    assert set(tool.messages()) == set(errors._BY_CODE)
    assert all(tool.messages().values())
    assert tool.page() == tool.PAGE.read_text(), "make errors"


def test_importing_takes_no_other_package_and_little_time():
    script = (
        "import sys, vexfs; print([name for name in sys.modules if name.split('.')[0] in ('click', 'rich', 'numpy')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_debug_build_warns(monkeypatch):
    script = (
        "import sys, types, warnings, vexfs._vexfs as module\n"
        "copy = types.ModuleType('vexfs._vexfs'); copy.__dict__.update(module.__dict__, DEBUG=True)\n"
        "for name in [name for name in sys.modules if name.startswith('vexfs')]: del sys.modules[name]\n"
        "sys.modules['vexfs._vexfs'] = copy\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    import vexfs\n"
        "print([str(warning.message) for warning in seen if warning.category is RuntimeWarning])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "debug build" in done.stdout


def test_this_is_a_release_build():
    assert vexfs._vexfs.DEBUG is False


def test_the_module_needs_no_symbol_beyond_the_stable_interface():
    path = pathlib.Path(vexfs._vexfs.__file__)
    assert path.name.endswith(".abi3.so"), path
    assert sysconfig.get_config_var("SOABI")


def test_reports_show_themselves(vol):
    info = vol.info()
    assert repr(info).startswith("Info\n")
    assert "<table>" in info._repr_html_()
    assert json.loads(info.to_json()) == info.to_dict()
    assert pickle.loads(pickle.dumps(info)) == info
    assert "label" in dir(info)
    assert set(info) == set(info.to_dict())
    with pytest.raises(AttributeError, match="has no 'nothing'"):
        _ = info.nothing
    with pytest.raises(AttributeError, match="cannot be changed"):
        info.label = "x"
    assert "<table>" in vol._repr_html_()
    assert repr(vol).startswith("<vexfs.Volume '")
    with vol.transaction() as tx:
        assert repr(tx) == "<vexfs.Transaction active isolation='snapshot' durable=True>"
    assert "ended" in repr(tx)
    vol.close()
    assert repr(vol).endswith("closed>")
    assert "closed" in vol._repr_html_()


def test_stat_is_like_that_of_os(vol):
    vol.write_bytes("/f", b"12345")
    found = vol.stat("/f")
    assert len(found) == 10
    assert (found[6], found[-1]) == (5, int(found.st_ctime))
    assert tuple(found)[1] == found.st_ino
    with pytest.raises(IndexError):
        _ = found[10]
    assert found == vol.stat("/f")
    assert hash(found) == hash(vol.stat("/f"))
    assert found != vol.stat("/")
    assert "st_size=5" in repr(found)
    assert found.st_birthtime_ns <= found.st_ctime_ns
    assert "f_bsize=4096" in repr(vol.statvfs())


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("1KiB", 1024),
        ("512MiB", 512 << 20),
        ("1.5GiB", 3 << 29),
        ("16TiB", 16 << 40),
        ("2k", 2048),
        (" 7 MiB ", 7 << 20),
        ("10B", 10),
        (123, 123),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


def test_bad_sizes():
    for text in ("", "x", "1 parsec", "-1", "1.5", "MiB", "1KB"):
        with pytest.raises(vexfs.InvalidArgument):
            parse_size(text)
    for thing in (None, 1.5, True, []):
        with pytest.raises(TypeError):
            parse_size(thing)
    assert [format_size(n) for n in (0, 1023, 1024, 1536 << 10, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1 KiB",
        "1.5 MiB",
        "5 TiB",
    ]


def test_the_command_lines_of_the_readme_run(tmp_path):
    commands = (ROOT / "README.md").read_text().partition("On the command line\n\n```\n")[2].partition("```")[0]
    assert commands.count("vexfs ") >= 5
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").write_text("print('hello')\n")
    main = f"{sys.executable} -W error -c 'from vexfs.cli import main; main()'"
    script = f'set -e\nvexfs() {{ {main} "$@"; }}\n{commands}'
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "main.py\nprint('hello')\n" in done.stdout
    assert "clean" in done.stdout


def test_the_example_of_the_readme_runs(tmp_path):
    text = (ROOT / "README.md").read_text()
    example = text.partition("```python\n")[2].partition("```")[0]
    assert "import vexfs" in example
    subprocess.run([sys.executable, "-W", "error", "-c", example], cwd=tmp_path, check=True)
