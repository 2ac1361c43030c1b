"""What the arguments of `vexfs.open` do, and a reader beside a writer."""

import os
import shutil
import threading
import time

import pytest

import vexfs

MIB = 1 << 20


def within(seconds, holds):
    """Whether something comes to hold before time is up."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def made(image):
    """A closed volume."""
    vexfs.mkfs(image, "64MiB").close()
    return image


def survives_a_crash_now(image, path):
    """Whether a path would be there if the machine stopped now."""
    shutil.copyfile(image, f"{image}.crashed")
    with vexfs.open(f"{image}.crashed", "r") as crashed:
        return crashed.exists(path)


def test_preallocate_takes_the_room_on_the_host_at_once(tmp_path):
    sparse, full = tmp_path / "sparse", tmp_path / "full"
    with vexfs.mkfs(sparse, "64MiB"), vexfs.mkfs(full, "64MiB", preallocate=True) as vol:
        assert sparse.stat().st_blocks * 512 < 16 * MIB
        assert full.stat().st_blocks * 512 >= 64 * MIB
        assert full.stat().st_size == 64 * MIB
        vol.write_bytes("/f", b"x" * MIB, durable=True)
        assert vol.read_bytes("/f") == b"x" * MIB
    assert vexfs.fsck(full, data=True).clean


def test_preallocate_without_room_leaves_no_file(tmp_path):
    free = os.statvfs(tmp_path)
    size = (free.f_bavail + 1024) * free.f_frsize // 4096 * 4096 + (1 << 30)
    if size > 16 << 40:
        pytest.skip("the host has more room than a volume can take")
    with pytest.raises(vexfs.NoSpace) as caught:
        vexfs.mkfs(tmp_path / "v", size, preallocate=True)
    assert caught.value.code == "no_host_space"
    assert not (tmp_path / "v").exists()


def test_the_commit_interval_bounds_what_a_crash_takes(made):
    with vexfs.open(made, commit_interval=0.05) as vol:
        vol.write_bytes("/soon", b"x")
        assert within(5, lambda: survives_a_crash_now(made, "/soon"))
    with vexfs.open(made, commit_interval=3600) as vol:
        vol.write_bytes("/late", b"x")
        time.sleep(0.2)
        assert not survives_a_crash_now(made, "/late")
        vol.write_bytes("/now", b"x", durable=True)
        assert survives_a_crash_now(made, "/late")


def test_the_checkpoint_interval(made):
    with vexfs.open(made, checkpoint_interval=0.05) as vol:
        vol.write_bytes("/f", b"x")
        assert within(5, lambda: vol.stats().checkpoints.count > 0)
    with vexfs.open(made) as vol:
        vol.write_bytes("/f", b"y")
        time.sleep(0.2)
        assert vol.stats().checkpoints.count == 0


def test_the_memtable_size_begins_checkpoints(made):
    with vexfs.open(made, memtable_size="64KiB") as vol:
        for number in range(300):
            vol.write_bytes(f"/{number}", b"x" * 1000)
        assert within(5, lambda: vol.stats().checkpoints.count > 0 and vol.stats().memtable_bytes < 300_000)
        assert vol.read_many([f"/{number}" for number in range(300)]) == [b"x" * 1000] * 300
    with vexfs.open(made) as vol:
        for number in range(300):
            vol.write_bytes(f"/{number}", b"y" * 1000)
        assert vol.stats().checkpoints.count == 0


def test_a_small_cache_reads_everything_all_the_same(made):
    contents = {f"/{number}": os.urandom(600) for number in range(3000)}
    with vexfs.open(made, cache_size="1MiB") as vol:
        for part in range(0, 3000, 250):
            vol.write_many(dict(list(contents.items())[part : part + 250]))
        vol.checkpoint()
        for _ in range(2):
            assert vol.read_many(contents) == list(contents.values())


def test_a_commit_delay_gathers_what_comes_together(made):
    data = {f"/{number}": os.urandom(100) for number in range(16)}
    with vexfs.open(made, commit_delay=0.05, commit_batch="8KiB") as vol:

        def write(path):
            vol.write_bytes(path, data[path], durable=True)

        threads = [threading.Thread(target=write, args=(path,)) for path in data]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - begun >= 0.05
        assert vol.stats().journal.rounds < 8
    with vexfs.open(made) as vol:
        assert vol.read_many(data) == list(data.values())
    for wrong in ({"commit_delay": -1}, {"commit_delay": float("nan")}, {"commit_batch": -1}, {"commit_batch": "x"}):
        with pytest.raises(vexfs.InvalidArgument):
            vexfs.open(made, **wrong)


def test_recovery_tells_how_far_it_has_come_and_can_be_stopped(made):
    with vexfs.open(made) as vol:
        for number in range(50):
            vol.write_bytes(f"/{number}", b"x" * 1000)
        vol.sync()
        for copy in ("crashed", "stopped"):
            shutil.copyfile(made, f"{made}.{copy}")

    def stop(phase, operations, read):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vexfs.recover(f"{made}.stopped", progress=stop)
    with vexfs.open(f"{made}.stopped") as vol:
        assert len(vol.listdir("/")) == 50
    told = []
    report = vexfs.recover(f"{made}.crashed", progress=lambda *progress: told.append(progress))
    assert report.operations > 0
    assert told[-1][:2] == ("sort", report.operations)
    assert 0 < told[-1][2] <= report.bytes
    assert vexfs.recover(f"{made}.crashed").clean


def test_stats_tell_of_free_space_and_the_cache(made):
    with vexfs.open(made) as vol:
        space = vol.stats().space
        assert MIB < space.largest_free_run_bytes <= 64 * MIB
        assert 0 <= space.fragmentation < 0.5
        vol.write_many({f"/{number}": b"x" * 4096 for number in range(2000)})
        vol.checkpoint()
        for number in range(0, 2000, 2):
            vol.unlink(f"/{number}")
        vol.checkpoint()
        assert vol.stats().space.largest_free_run_bytes <= space.largest_free_run_bytes
        vol.stat("/1")
        cache = vol.stats().cache
        assert 0 < cache.used_bytes <= cache.budget_bytes


@pytest.mark.parametrize("discard", [False, True])
def test_discard_gives_freed_space_back_to_the_machine(made, discard):
    with vexfs.open(made, discard=discard) as vol:
        vol.write_bytes("/big", os.urandom(20 * MIB))
        vol.sync()
        before = os.stat(made).st_blocks * 512
        vol.unlink("/big")
        for number in range(4):
            vol.write_bytes(f"/{number}", b"")
            vol.checkpoint()
        freed = before - os.stat(made).st_blocks * 512
        assert (freed > 15 * MIB) if discard else (freed < MIB)
    assert vexfs.fsck(made, data=True).clean


# a reader beside a writer


@pytest.fixture
def writer(image):
    """A volume of which the writer soon uses blocks again."""
    with vexfs.mkfs(image, "16MiB") as vol:
        vol.mkdir("/d")
        change(vol, 1)
        yield vol


def change(vol, number):
    vol.write_many({f"/d/{name}": b"%d" % number * 50 for name in range(200)})
    vol.write_bytes("/small", b"%d" % number)
    vol.write_bytes("/big", bytes([number]) * 2 * MIB)
    vol.checkpoint()


@pytest.mark.parametrize(
    ("read", "wanted"),
    [
        (lambda vol: vol.read_bytes("/small"), b"20"),
        (lambda vol: vol.read_bytes("/big"), bytes([20]) * 2 * MIB),
        (lambda vol: vol.read_many(["/small", "/big"]), [b"20", bytes([20]) * 2 * MIB]),
        (lambda vol: [found.st_size for found in vol.stat_many(["/small", "/big"])], [2, 2 * MIB]),
        (lambda vol: vol.stat("/d/7").st_size, 100),
        (lambda vol: len(vol.listdir("/d")), 200),
        (lambda vol: vol.exists("/none"), False),
        (lambda vol: vol.open("/small", "rb").read(), b"20"),
        (lambda vol: sum(len(names) for _, _, names in vol.walk("/")), 202),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_reader_that_fell_behind_goes_on_with_the_newest_checkpoint(writer, image, read, wanted):
    with vexfs.open(image, "r") as reader:
        shown = reader.as_of
        for number in range(2, 21):
            change(writer, number)
        assert read(reader) == wanted
        assert reader.as_of > shown
        assert reader.read_bytes("/small") == b"20"


def test_what_was_open_when_a_reader_fell_behind_is_stale(writer, image):
    with vexfs.open(image, "r") as reader, reader.open("/big", "rb", buffering=0) as file:
        assert file.read(10) == bytes([1]) * 10
        for number in range(2, 21):
            change(writer, number)
        with pytest.raises(vexfs.Stale, match="opened anew") as caught:
            file.pread(10, MIB)
        assert (caught.value.code, caught.value.filename) == ("fell_behind", "/big")
        reader.refresh()
        with reader.open("/big", "rb") as again:
            assert again.read(10) == bytes([20]) * 10
