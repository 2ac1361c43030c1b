//! A device that fails, and a host that is full, under files.

use vexfs_device::sim::{Fault, Injection, Op, SimDevice};

use super::*;
use vexfs_fs::{Durability, Follow, Isolation, errno};

fn sim() -> Arc<SimDevice> {
    let sim = Arc::new(SimDevice::new(16 << 20));
    Fs::mkfs(Arc::clone(&sim) as _, FormatOptions::default(), RootOptions::default()).unwrap();
    sim
}

fn open_sim(sim: &Arc<SimDevice>) -> Fs {
    open(&(Arc::clone(sim) as Arc<dyn Device>))
}

fn content(fs: &Fs, path: &str) -> Vec<u8> {
    let view = fs.view(&Caller::root()).unwrap();
    view.read_all(view.resolve(path.as_bytes(), Follow::Always).unwrap()).unwrap()
}

#[test]
fn after_a_failed_flush_files_can_be_read_and_nothing_is_written_before_the_next_open() {
    let sim = sim();
    let fs = open_sim(&sim);
    let kept = make_file(&fs, "/kept", 0o644).ino;
    root(&fs, |tx| tx.write_all(kept, &[1; 300_000])).unwrap();
    fs.sync().unwrap();
    let hold = fs.hold(kept, None).unwrap();
    sim.inject(Injection::new(Op::Flush, Fault::Io));
    let late = make_file(&fs, "/late", 0o644).ino;
    root(&fs, |tx| tx.write_all(late, &[2; 300_000])).unwrap();
    let error = fs.fsync(late).unwrap_err();
    assert_eq!((error.code(), error.errno()), ("failed", errno::EROFS));
    // The device is well again, but what it forgot nobody knows.
    for result in [
        fs.sync(),
        root(&fs, |tx| tx.write(kept, 0, b"x")),
        root(&fs, |tx| tx.unlink(ROOT, b"kept")),
        fs.begin(&Caller::root(), Isolation::Snapshot).map(drop),
        fs.close(),
    ] {
        assert_eq!(code(result), "failed");
    }
    drop(hold);
    drop(fs);
    let fs = open_sim(&sim);
    assert_eq!(content(&fs, "/kept"), [1; 300_000]);
    assert!(stat(&fs, "/late").is_err() || content(&fs, "/late").iter().all(|byte| *byte == 2));
    root(&fs, |tx| tx.write(kept, 0, b"x")).unwrap();
    fs.close().unwrap();
}

#[test]
fn reading_goes_on_after_a_failure() {
    let sim = sim();
    let fs = open_sim(&sim);
    let ino = make_file(&fs, "/f", 0o644).ino;
    root(&fs, |tx| tx.write_all(ino, &[1; 300_000])).unwrap();
    sim.inject(Injection::new(Op::Flush, Fault::Io).lasting());
    assert_eq!(code(fs.sync()), "failed");
    assert_eq!(content(&fs, "/f"), [1; 300_000], "also what was not durable yet");
    assert_eq!(names(&fs, "/"), ["f"]);
}

#[test]
fn a_full_host_refuses_a_write_and_costs_nothing_else() {
    let sim = sim();
    let fs = open_sim(&sim);
    let ino = make_file(&fs, "/f", 0o644).ino;
    root(&fs, |tx| tx.write_all(ino, &[1; 300_000])).unwrap();
    fs.sync().unwrap();
    let free = fs.statfs().unwrap().blocks_free;
    sim.inject(Injection::new(Op::Write, Fault::NoSpace).lasting());
    let error = root(&fs, |tx| tx.write(ino, 100_000, &[2; 500_000])).unwrap_err();
    assert_eq!(error.errno(), errno::ENOSPC, "{error}");
    sim.heal();
    assert_eq!(content(&fs, "/f"), [1; 300_000]);
    assert_eq!(fs.statfs().unwrap().blocks_free, free);
    root(&fs, |tx| tx.append(ino, &[3; 100_000]).map(drop)).unwrap();
    let mut tx = fs.begin(&Caller::root(), Isolation::Snapshot).unwrap();
    tx.create(ROOT, b"other", 0o644).unwrap();
    tx.commit(Durability::Durable).unwrap();
    std::mem::forget(fs);
    let fs = open_sim(&sim);
    assert_eq!(content(&fs, "/f"), [vec![1; 300_000], vec![3; 100_000]].concat());
    assert_eq!(names(&fs, "/"), ["f", "other"]);
}
