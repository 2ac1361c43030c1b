"""Killed processes, forked children, and many threads."""

import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

import vexfs

KILLS = 200


def writer(image, first, pipe):
    """Commits durable records and says so, until it is killed."""
    with vexfs.open(image) as volume:
        number = first
        while True:
            with volume.transaction() as tx:
                for part in "abc":
                    tx.write_bytes(f"/{part}/{number % 50}", f"{number}".encode() * 300)
                tx.write_bytes("/last", str(number).encode())
            os.write(pipe, b"%d\n" % number)
            number += 1


def check(image):
    """Nothing is wrong, neither as the kill left it nor as recovery did."""
    report = vexfs.fsck(image, data=True)
    assert report.clean, report


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_no_acknowledged_record_is_lost_by_a_killed_process(image):
    """The writer is a forked child, so that a round takes milliseconds; it is killed at a random moment."""
    with vexfs.mkfs(image, "16MiB", journal_size="512KiB") as vol:
        for part in "abc":
            vol.mkdir(f"/{part}")
    random_source = random.Random(7)
    last = -1
    for _ in range(KILLS):
        reader, pipe = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(reader)
                writer(image, last + 1, pipe)
            finally:
                os._exit(1)
        os.close(pipe)
        with os.fdopen(reader, "rb", closefd=True) as output:
            first = output.readline()
            assert first, "the writer ended by itself"
            time.sleep(random_source.random() * 0.02)
            os.kill(child, signal.SIGKILL)
            said = (first + output.read()).splitlines(keepends=True)
        os.waitpid(child, 0)
        acknowledged = max(int(line) for line in said if line.endswith(b"\n"))
        check(image)
        with vexfs.open(image) as vol:
            last = int(vol.read_bytes("/last"))
            assert acknowledged <= last <= acknowledged + 1
            for number in range(max(0, last - 49), last + 1):
                wanted = str(number).encode() * 300
                assert all(vol.read_bytes(f"/{part}/{number % 50}") == wanted for part in "abc")
        check(image)


def use_in_a_child(image, queue):
    with vexfs.open(image) as vol:
        vol.write_many({f"/child{number}": b"c" * 5000 for number in range(200)})
        queue.put(len(vol.read_many([f"/child{number}" for number in range(200)])))


def test_a_forked_child_opens_its_own_volume(tmp_path):
    """Also after the parent has read and written by several threads, which a forked child does not have."""
    own = str(tmp_path / "own")
    with vexfs.mkfs(own, "32MiB") as vol:
        vol.write_many({f"/{number}": b"p" * 5000 for number in range(200)})
        vol.read_many([f"/{number}" for number in range(200)])
        vol.stat_many([f"/{number}" for number in range(200)])
        vol.read_bytes("/1")
        other = str(tmp_path / "other")
        vexfs.mkfs(other, "32MiB").close()
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        child = context.Process(target=use_in_a_child, args=(other, queue))
        child.start()
        assert queue.get(timeout=30) == 200
        child.join(30)
        assert child.exitcode == 0
        assert len(vol.listdir("/")) == 200


def test_a_forked_child_may_end_normally(image):
    """What it inherited is neither closed nor written when its interpreter ends."""
    script = f"""
import os, vexfs
volume = vexfs.mkfs({image!r}, "32MiB")
transaction = volume.transaction()
transaction.write_bytes("/t", b"x")
file = volume.open("/f", "wb", buffering=0)
if os.fork() == 0:
    del transaction, file, volume
    raise SystemExit(0)
pid, status = os.wait()
assert status == 0, status
transaction.commit()
file.write(b"parent")
file.close()
volume.close()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
    with vexfs.open(image) as vol:
        assert vol.read_bytes("/f") == b"parent"
        assert vol.exists("/t")


@pytest.mark.parametrize("shared", [False, True])
def test_eight_threads_on_one_volume(image, shared):
    """Each keeps its own account of what it wrote; directories are shared or not."""
    threads, rounds = 8, 60
    failures = []
    with vexfs.mkfs(image, "128MiB") as vol:
        for number in range(threads):
            vol.mkdir(f"/{0 if shared else number}", exist_ok=True)
        vol.write_bytes("/counter", b"0")

        def increment(tx):
            tx.write_bytes("/counter", b"%d" % (int(tx.read_bytes("/counter")) + 1))

        def work(number):
            try:
                choose = random.Random(number)
                directory = f"/{0 if shared else number}"
                mine = {}
                for step in range(rounds):
                    path = f"{directory}/{number}-{choose.randrange(10)}"
                    action = choose.randrange(5)
                    if action == 0 and path in mine:
                        vol.unlink(path)
                        del mine[path]
                    elif action == 1 and path in mine:
                        goal = path + "moved"
                        vol.rename(path, goal)
                        mine[goal] = mine.pop(path)
                    else:
                        mine[path] = os.urandom(choose.choice([10, 3000, 50_000]))
                        vol.write_bytes(path, mine[path])
                    if step % 10 == 0:
                        vol.run(increment, 1000)
                for path, data in mine.items():
                    assert vol.read_bytes(path) == data
                found = {name for name in vol.listdir(directory) if name.startswith(f"{number}-")}
                assert found == {path.rpartition("/")[2] for path in mine}
            except BaseException as error:
                failures.append(error)

        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert not failures
        assert int(vol.read_bytes("/counter")) == threads * len(range(0, rounds, 10))
    assert vexfs.fsck(image, data=True).clean


def test_closing_waits_for_what_is_under_way(image):
    """Threads that are in the middle of something see it through or are told that the volume is closed."""
    vol = vexfs.mkfs(image, "64MiB")
    outcomes = []

    def work(number):
        done = 0
        try:
            while True:
                vol.write_bytes(f"/{number}-{done}", b"x" * 10_000)
                done += 1
        except vexfs.InvalidArgument as error:
            outcomes.append((number, done, error.code))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    time.sleep(0.1)
    vol.close()
    for worker in workers:
        worker.join()
    assert sorted(code for _, _, code in outcomes) == ["closed"] * 4
    with vexfs.open(image) as again:
        names = set(again.listdir("/"))
    assert names == {f"{number}-{step}" for number, done, _ in outcomes for step in range(done)}


def test_readers_of_an_image_that_is_copied_away(vol, image, tmp_path):
    """Two readers share a volume that nobody writes."""
    vol.write_bytes("/f", b"x")
    vol.close()
    copy = tmp_path / "copy"
    shutil.copyfile(image, copy)
    with vexfs.open(copy, "r") as one, vexfs.open(copy, "r") as two:
        assert one.read_bytes("/f") == two.read_bytes("/f")
        assert one.as_of is None
        with pytest.raises(vexfs.Busy):
            vexfs.open(copy)
    assert pathlib.Path(copy).exists()


def test_the_interpreter_runs_on_while_the_engine_works(vol):
    """Python's lock is free during a call that waits for the device."""
    ticks = []
    stop = threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.0005)

    ticker = threading.Thread(target=tick)
    ticker.start()
    for _ in range(50):
        vol.write_bytes("/f", b"x" * 100_000, durable=True)
    stop.set()
    ticker.join()
    assert len(ticks) > 10
