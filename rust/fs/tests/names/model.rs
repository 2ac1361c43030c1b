//! A namespace in twenty lines of maps, and the volume beside it: whatever is done to both, in whatever order, with
//! transactions, savepoints, held files, crashes and reopening, they answer alike and end alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use vexfs_device::{Device, MemoryDevice};
use vexfs_fs::{
    Caller, Durability, FormatOptions, Fs, FsTx, Hold, Isolation, Options, RenameFlags, RootOptions,
};

use crate::audit::audit;

type Id = usize;
type Outcome = Result<(), &'static str>;

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Dir(BTreeMap<u8, Id>),
    File(Vec<u8>),
    Link,
}

/// The model: nodes by number, the root first. A node without a name stays in the list and is not looked at.
#[derive(Clone, Debug)]
struct Model {
    nodes: Vec<Kind>,
}

/// One to three names of an alphabet of four.
type Path = Vec<u8>;

#[derive(Clone, Debug)]
enum Op {
    Create(Path),
    Mkdir(Path),
    Symlink(Path),
    Link(Path, Path),
    Unlink(Path),
    Rmdir(Path),
    Rmtree(Path),
    Rename(Path, Path, RenameFlags),
    Write(Path, u16),
    Attribute(Path, u8),
}

#[derive(Clone, Debug)]
enum Step {
    Auto(Op),
    /// Operations of one transaction, with a savepoint before the one and a rollback before the other, and whether
    /// it is committed.
    Tx(Vec<Op>, usize, usize, bool),
    Hold(Path),
    Release(usize),
    Checkpoint,
    Reopen,
    Crash,
}

impl Model {
    fn new() -> Self {
        Self { nodes: vec![Kind::Dir(BTreeMap::new())] }
    }

    fn dir(&mut self, id: Id) -> &mut BTreeMap<u8, Id> {
        match &mut self.nodes[id] {
            Kind::Dir(entries) => entries,
            _ => panic!("not a directory"),
        }
    }

    fn is_dir(&self, id: Id) -> bool {
        matches!(self.nodes[id], Kind::Dir(_))
    }

    fn end(&self, path: &[u8]) -> Result<(Id, u8), &'static str> {
        let (name, way) = path.split_last().unwrap();
        let mut dir = 0;
        for name in way {
            let Kind::Dir(entries) = &self.nodes[dir] else { return Err("not_a_directory") };
            dir = *entries.get(name).ok_or("not_found")?;
            match self.nodes[dir] {
                Kind::Dir(_) => {}
                Kind::File(_) => return Err("not_a_directory"),
                // All symbolic links of the model lead nowhere.
                Kind::Link => return Err("not_found"),
            }
        }
        Ok((dir, *name))
    }

    fn find(&self, path: &[u8]) -> Result<Id, &'static str> {
        let (dir, name) = self.end(path)?;
        self.entry(dir, name).ok_or("not_found")
    }

    fn entry(&self, dir: Id, name: u8) -> Option<Id> {
        match &self.nodes[dir] {
            Kind::Dir(entries) => entries.get(&name).copied(),
            _ => None,
        }
    }

    fn make(&mut self, path: &[u8], kind: Kind) -> Outcome {
        let (dir, name) = self.end(path)?;
        if self.entry(dir, name).is_some() {
            return Err("exists");
        }
        self.nodes.push(kind);
        let id = self.nodes.len() - 1;
        self.dir(dir).insert(name, id);
        Ok(())
    }

    fn is_under(&self, id: Id, ancestor: Id) -> bool {
        let Kind::Dir(entries) = &self.nodes[ancestor] else { return false };
        id == ancestor || entries.values().any(|child| self.is_under(id, *child))
    }

    fn rename(&mut self, from: &[u8], to: &[u8], flags: RenameFlags) -> Outcome {
        let ((dir, name), (new_dir, new_name)) = (self.end(from)?, self.end(to)?);
        let moved = self.entry(dir, name).ok_or("not_found")?;
        let replaced = self.entry(new_dir, new_name);
        match (flags, replaced) {
            (RenameFlags::NoReplace, Some(_)) => return Err("exists"),
            (RenameFlags::Exchange, None) => return Err("not_found"),
            (_, Some(replaced)) if replaced == moved => return Ok(()),
            _ => {}
        }
        if self.is_dir(moved) && dir != new_dir && self.is_under(new_dir, moved) {
            return Err("into_itself");
        }
        if flags == RenameFlags::Exchange {
            let other = replaced.unwrap();
            if self.is_dir(other) && dir != new_dir && self.is_under(dir, other) {
                return Err("into_itself");
            }
            self.dir(dir).insert(name, other);
            self.dir(new_dir).insert(new_name, moved);
            return Ok(());
        }
        match replaced.map(|id| &self.nodes[id]) {
            Some(Kind::Dir(entries)) if self.is_dir(moved) && !entries.is_empty() => return Err("not_empty"),
            Some(Kind::Dir(_)) if !self.is_dir(moved) => return Err("is_a_directory"),
            Some(Kind::File(_) | Kind::Link) if self.is_dir(moved) => return Err("not_a_directory"),
            _ => {}
        }
        self.dir(dir).remove(&name);
        self.dir(new_dir).insert(new_name, moved);
        Ok(())
    }

    fn apply(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Create(path) => self.make(path, Kind::File(Vec::new())),
            Op::Mkdir(path) => self.make(path, Kind::Dir(BTreeMap::new())),
            Op::Symlink(path) => self.make(path, Kind::Link),
            Op::Link(path, new) => {
                let id = self.find(path)?;
                let (dir, name) = self.end(new)?;
                match self.entry(dir, name) {
                    Some(_) => Err("exists"),
                    None if self.is_dir(id) => Err("not_permitted"),
                    None => {
                        self.dir(dir).insert(name, id);
                        Ok(())
                    }
                }
            }
            Op::Unlink(path) => {
                let (dir, name) = self.end(path)?;
                match self.entry(dir, name) {
                    None => Err("not_found"),
                    Some(id) if self.is_dir(id) => Err("is_a_directory"),
                    Some(_) => {
                        self.dir(dir).remove(&name);
                        Ok(())
                    }
                }
            }
            Op::Rmdir(path) => {
                let (dir, name) = self.end(path)?;
                match self.entry(dir, name).map(|id| &self.nodes[id]) {
                    None => Err("not_found"),
                    Some(Kind::Dir(entries)) if entries.is_empty() => {
                        self.dir(dir).remove(&name);
                        Ok(())
                    }
                    Some(Kind::Dir(_)) => Err("not_empty"),
                    Some(_) => Err("not_a_directory"),
                }
            }
            Op::Rmtree(path) => {
                let (dir, name) = self.end(path)?;
                self.dir(dir).remove(&name).map(drop).ok_or("not_found")
            }
            Op::Rename(from, to, flags) => self.rename(from, to, *flags),
            Op::Write(path, len) => {
                let id = self.find(path)?;
                match &mut self.nodes[id] {
                    Kind::File(content) => {
                        *content = content_of(*len);
                        Ok(())
                    }
                    Kind::Dir(_) => Err("is_a_directory"),
                    Kind::Link => Err("invalid_argument"),
                }
            }
            Op::Attribute(path, _) => match self.nodes[self.find(path)?] {
                Kind::Link => Err("not_permitted"),
                _ => Ok(()),
            },
        }
    }

    /// Every path, with what is there; files with the number that their names share.
    fn paths(&self) -> BTreeMap<Vec<u8>, (Kind, Id)> {
        let mut paths = BTreeMap::new();
        let mut open = vec![(Vec::new(), 0)];
        while let Some((path, id)) = open.pop() {
            if let Kind::Dir(entries) = &self.nodes[id] {
                open.extend(
                    entries.iter().map(|(name, id)| ([path.as_slice(), b"/", &[*name]].concat(), *id)),
                );
            }
            paths.insert(path, (self.nodes[id].clone(), id));
        }
        paths
    }
}

fn content_of(len: u16) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8 ^ len as u8).collect()
}

fn text(path: &[u8]) -> Vec<u8> {
    path.iter().flat_map(|name| [b'/', *name]).collect()
}

fn run(tx: &mut FsTx, op: &Op) -> vexfs_fs::Result<()> {
    match op {
        Op::Create(path) => tx.create_path(&text(path), 0o644).map(drop),
        Op::Mkdir(path) => tx.mkdir_path(&text(path), 0o755).map(drop),
        Op::Symlink(path) => tx.symlink_path(b"/nowhere", &text(path)).map(drop),
        Op::Link(path, new) => tx.link_path(&text(path), &text(new), vexfs_fs::Follow::Never).map(drop),
        Op::Unlink(path) => tx.unlink_path(&text(path)),
        Op::Rmdir(path) => tx.rmdir_path(&text(path)),
        Op::Rmtree(path) => tx.rmtree(&text(path)),
        Op::Rename(from, to, flags) => tx.rename_path(&text(from), &text(to), *flags),
        Op::Write(path, len) => {
            let ino = tx.resolve(&text(path), vexfs_fs::Follow::Never)?;
            tx.write_all(ino, &content_of(*len))
        }
        Op::Attribute(path, name) => {
            let (path, name) = (text(path), [b"user.", [*name].as_slice()].concat());
            tx.setxattr_path(&path, &name, b"value", Default::default(), vexfs_fs::Follow::Never)
        }
    }
}

/// The volume beside the model.
struct Volume {
    device: Arc<MemoryDevice>,
    fs: Fs,
    model: Model,
    holds: Vec<(Hold, Vec<u8>)>,
}

fn open(device: &Arc<MemoryDevice>) -> Fs {
    let options = Options { background: false, memtable_bytes: 1 << 20, ..Options::default() };
    Fs::open(Arc::clone(device) as Arc<dyn Device>, options).unwrap()
}

fn caller() -> Caller {
    Caller::privileged(0, 0, 0)
}

impl Volume {
    fn new() -> Self {
        let device = Arc::new(MemoryDevice::new(8 << 20));
        let options = FormatOptions { hash_seed: Some([3; 16]), ..FormatOptions::default() };
        Fs::mkfs(Arc::clone(&device) as Arc<dyn Device>, options, RootOptions::default()).unwrap();
        let fs = open(&device);
        Self { device, fs, model: Model::new(), holds: Vec::new() }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Auto(Op::Rmtree(path)) => {
                let result = self.fs.rmtree(&caller(), &text(path)).map_err(|error| error.code());
                assert_eq!(result, self.model.apply(&Op::Rmtree(path.clone())), "{step:?}");
            }
            Step::Auto(op) => {
                let result = self.fs.auto(&caller(), |tx| run(tx, op)).map_err(|error| error.code());
                assert_eq!(result, self.model.apply(op), "{step:?}");
            }
            Step::Tx(ops, savepoint, rollback, commit) => {
                self.transaction(ops, *savepoint, *rollback, *commit)
            }
            Step::Hold(path) => self.hold(path),
            Step::Release(which) if !self.holds.is_empty() => {
                let which = which % self.holds.len();
                drop(self.holds.swap_remove(which));
            }
            Step::Release(_) => {}
            Step::Checkpoint => drop(self.fs.store().checkpoint(Default::default()).unwrap()),
            Step::Reopen => {
                self.holds.clear();
                self.fs.close().unwrap();
                self.fs = open(&self.device);
                self.check();
            }
            Step::Crash => {
                self.fs.sync().unwrap();
                let image = self.device.image();
                self.holds.clear();
                self.device = Arc::new(MemoryDevice::from_image(image));
                self.fs = open(&self.device);
                self.check();
            }
        }
    }

    fn transaction(&mut self, ops: &[Op], savepoint_at: usize, rollback_at: usize, commit: bool) {
        let mut tx = self.fs.begin(&caller(), Isolation::Snapshot).unwrap();
        let mut model = self.model.clone();
        let mut savepoint = None;
        for (i, op) in ops.iter().enumerate() {
            if i == savepoint_at {
                savepoint = Some((tx.savepoint(), model.clone()));
            }
            if i == rollback_at
                && let Some((savepoint, before)) = savepoint.take()
            {
                tx.rollback_to(savepoint);
                model = before;
            }
            assert_eq!(run(&mut tx, op).map_err(|error| error.code()), model.apply(op), "{op:?}");
        }
        if let Some((savepoint, _)) = savepoint {
            tx.release(savepoint);
        }
        if commit {
            tx.commit(Durability::Visible).unwrap();
            self.model = model;
        }
    }

    fn hold(&mut self, path: &[u8]) {
        let Ok(id) = self.model.find(path) else { return };
        let Kind::File(content) = self.model.nodes[id].clone() else { return };
        let attr = self.fs.view(&caller()).unwrap().stat(&text(path), vexfs_fs::Follow::Never).unwrap();
        // What is held may be written later under a name that it keeps; only the nameless are looked at.
        self.holds.push((self.fs.hold(attr.ino, Some(attr.generation)).unwrap(), content));
    }

    fn check(&self) {
        let (found, nameless) = audit(&self.fs);
        let expected = self.model.paths();
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        let view = self.fs.view(&caller()).unwrap();
        let mut numbers = BTreeMap::new();
        for (path, (kind, id)) in expected {
            let attr = found[&path];
            assert_eq!(*numbers.entry(id).or_insert(attr.ino), attr.ino, "names of one inode");
            match kind {
                Kind::Dir(_) => assert!(attr.is_dir()),
                Kind::File(content) => assert_eq!(view.read_all(attr.ino).unwrap(), content),
                Kind::Link => assert_eq!(view.readlink(attr.ino).unwrap(), b"/nowhere"),
            }
        }
        for ino in nameless {
            assert!(self.holds.iter().any(|(hold, _)| hold.ino() == ino), "an orphan that nobody holds");
        }
        for (hold, _) in &self.holds {
            assert_eq!(view.getattr(hold.ino()).unwrap().generation, hold.generation());
        }
    }
}

fn path() -> impl Strategy<Value = Path> {
    prop::collection::vec(prop::sample::select(b"abcd".to_vec()), 1..=3)
}

fn op() -> impl Strategy<Value = Op> {
    let flags = prop_oneof![
        3 => Just(RenameFlags::Replace),
        1 => Just(RenameFlags::NoReplace),
        1 => Just(RenameFlags::Exchange),
    ];
    prop_oneof![
        4 => path().prop_map(Op::Create),
        5 => path().prop_map(Op::Mkdir),
        1 => path().prop_map(Op::Symlink),
        3 => (path(), path()).prop_map(|(path, new)| Op::Link(path, new)),
        3 => path().prop_map(Op::Unlink),
        2 => path().prop_map(Op::Rmdir),
        1 => path().prop_map(Op::Rmtree),
        7 => (path(), path(), flags).prop_map(|(from, to, flags)| Op::Rename(from, to, flags)),
        3 => (path(), 0..20_000_u16).prop_map(|(path, len)| Op::Write(path, len)),
        1 => (path(), any::<u8>().prop_map(|name| name | 1)).prop_map(|(path, name)| Op::Attribute(path, name)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => op().prop_map(Step::Auto),
        6 => (prop::collection::vec(op(), 1..12), 0..12_usize, 0..12_usize, any::<bool>())
            .prop_map(|(ops, a, b, commit)| Step::Tx(ops, a.min(b), a.max(b) + 1, commit)),
        3 => path().prop_map(Step::Hold),
        2 => any::<usize>().prop_map(Step::Release),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 3000, ..ProptestConfig::default() })]

    #[test]
    fn the_volume_does_what_a_map_of_maps_does(steps in prop::collection::vec(step(), 1..120)) {
        let mut volume = Volume::new();
        for step in &steps {
            volume.step(step);
        }
        volume.check();
        volume.step(&Step::Crash);
        volume.step(&Step::Reopen);
        assert!(audit(&volume.fs).1.is_empty());
    }
}
