//! A file tree in maps, what a volume shows of its own, and how the two differ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vexfs_fs::{Attr, FileType, FsView, Ino};

pub type Id = usize;
pub type Path = Vec<u8>;

/// Where the number of the transaction is kept, so that a state tells which prefix it is.
pub const STEP: &[u8] = b"user.step";

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Dir(BTreeMap<Vec<u8>, Id>),
    File(Arc<Vec<u8>>),
    Link(Vec<u8>),
}

#[derive(Clone, Debug)]
pub struct Node {
    pub kind: Kind,
    pub mode: u32,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The nodes by number; the root is 0.
#[derive(Clone, Debug)]
pub struct Model {
    nodes: BTreeMap<Id, Node>,
    next: Id,
}

impl Model {
    pub fn new() -> Self {
        let root = Node { kind: Kind::Dir(BTreeMap::new()), mode: 0o755, xattrs: BTreeMap::new() };
        Self { nodes: BTreeMap::from([(0, root)]), next: 1 }
    }

    pub fn node(&mut self, id: Id) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }

    pub fn kind(&self, id: Id) -> &Kind {
        &self.nodes[&id].kind
    }

    pub fn entries(&mut self, id: Id) -> &mut BTreeMap<Vec<u8>, Id> {
        match &mut self.node(id).kind {
            Kind::Dir(entries) => entries,
            _ => panic!("not a directory"),
        }
    }

    /// The bytes of the file, to be changed.
    pub fn bytes(&mut self, path: &[u8]) -> &mut Vec<u8> {
        let id = self.find(path);
        match &mut self.node(id).kind {
            Kind::File(bytes) => Arc::make_mut(bytes),
            _ => panic!("not a file"),
        }
    }

    pub fn find(&self, path: &[u8]) -> Id {
        let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        names.fold(0, |dir, name| match self.kind(dir) {
            Kind::Dir(entries) => entries[name],
            _ => panic!("not a directory"),
        })
    }

    pub fn insert(&mut self, path: &[u8], id: Id) {
        let (dir, name) = split(path);
        let dir = self.find(dir);
        self.entries(dir).insert(name.to_vec(), id);
    }

    pub fn make(&mut self, path: &[u8], kind: Kind, mode: u32) {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, Node { kind, mode, xattrs: BTreeMap::new() });
        self.insert(path, id);
    }

    /// Takes a name away, and with it what no name leads to any more.
    pub fn remove(&mut self, path: &[u8]) -> Id {
        let (dir, name) = split(path);
        let dir = self.find(dir);
        self.entries(dir).remove(name).unwrap()
    }

    pub fn collect(&mut self) {
        let reached: BTreeSet<Id> = self.paths().into_iter().map(|(_, id)| id).collect();
        self.nodes.retain(|id, _| reached.contains(id));
    }

    /// Every path and what it leads to, the root first, parents before their children.
    pub fn paths(&self) -> Vec<(Path, Id)> {
        let mut paths = vec![(Vec::new(), 0)];
        let mut next = 0;
        while let Some((path, id)) = paths.get(next).cloned() {
            if let Kind::Dir(entries) = self.kind(id) {
                let children = entries.iter().map(|(name, id)| ([&path, &b"/"[..], name].concat(), *id));
                paths.extend(children);
            }
            next += 1;
        }
        paths
    }

    pub fn set_step(&mut self, step: u64) {
        self.node(0).xattrs.insert(STEP.to_vec(), step.to_le_bytes().to_vec());
    }

    /// What a volume in this state shows.
    pub fn tree(&self) -> Tree {
        let paths = self.paths();
        let mut names: BTreeMap<Id, Vec<&Path>> = BTreeMap::new();
        paths.iter().for_each(|(path, id)| names.entry(*id).or_default().push(path));
        let is_dir = |id: &&Id| matches!(self.kind(**id), Kind::Dir(_));
        let seen = |id: &Id| {
            let Node { kind, mode, xattrs } = self.nodes[id].clone();
            let (what, nlink) = match kind {
                Kind::Dir(entries) => (What::Dir, 2 + entries.values().filter(is_dir).count()),
                Kind::File(bytes) => (What::File(bytes), names[id].len()),
                Kind::Link(target) => (What::Link(target), names[id].len()),
            };
            let first = names[id].iter().min().unwrap().to_vec();
            Seen { what, mode, nlink: nlink as u32, first, xattrs }
        };
        paths.iter().map(|(path, id)| (path.clone(), seen(id))).collect()
    }
}

pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|byte| *byte == b'/').unwrap();
    (&path[..slash], &path[slash + 1..])
}

/// What can be seen of an inode.
#[derive(Debug, PartialEq)]
pub struct Seen {
    what: What,
    mode: u32,
    nlink: u32,
    /// The first of all its paths: two paths have it in common if they are names of one inode.
    first: Path,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Debug, PartialEq)]
enum What {
    Dir,
    File(Arc<Vec<u8>>),
    Link(Vec<u8>),
}

/// All that can be seen, by path.
pub type Tree = BTreeMap<Path, Seen>;

/// Reads all of a volume.
pub fn tree_of(view: &FsView) -> Tree {
    let root = view.getattr(view.resolve(b"/", Default::default()).unwrap()).unwrap();
    let mut open = vec![(Vec::new(), root)];
    let mut found: BTreeMap<Path, Attr> = BTreeMap::new();
    while let Some((path, attr)) = open.pop() {
        if attr.is_dir() {
            for entry in view.list(attr.ino).unwrap() {
                let child = view.getattr(entry.ino).unwrap();
                assert_eq!(child.file_type, entry.file_type);
                open.push(([&path, &b"/"[..], &entry.name].concat(), child));
            }
        }
        found.insert(path, attr);
    }
    let mut first: BTreeMap<Ino, &Path> = BTreeMap::new();
    for (path, attr) in &found {
        first.entry(attr.ino).or_insert(path);
    }
    found.iter().map(|(path, attr)| (path.clone(), seen(view, attr, first[&attr.ino]))).collect()
}

fn seen(view: &FsView, attr: &Attr, first: &[u8]) -> Seen {
    let what = match attr.file_type {
        FileType::Directory => What::Dir,
        FileType::Symlink => What::Link(view.readlink(attr.ino).unwrap()),
        _ => What::File(Arc::new(view.read_all(attr.ino).unwrap())),
    };
    if let What::File(bytes) = &what {
        assert_eq!(bytes.len() as u64, attr.size);
    }
    let names = view.listxattr(attr.ino).unwrap();
    let xattrs = names.into_iter().map(|name| {
        let value = view.getxattr(attr.ino, &name).unwrap();
        (name, value)
    });
    // A link's permissions mean nothing.
    let mode = if attr.file_type == FileType::Symlink { 0o777 } else { attr.permissions };
    Seen { what, mode, nlink: attr.nlink, first: first.to_vec(), xattrs: xattrs.collect() }
}

/// Which transaction was the last that this tree has.
pub fn step_of(tree: &Tree) -> u64 {
    tree[&Vec::new()].xattrs.get(STEP).map_or(0, |bytes| u64::from_le_bytes(bytes[..].try_into().unwrap()))
}

/// Where two trees differ, if they do, in words that fit a screen.
pub fn difference(found: &Tree, expected: &Tree) -> Option<String> {
    let paths: BTreeSet<&Path> = found.keys().chain(expected.keys()).collect();
    let path = paths.into_iter().find(|path| found.get(*path) != expected.get(*path))?;
    let name = String::from_utf8_lossy(path);
    Some(match (found.get(path), expected.get(path)) {
        (None, _) => format!("{name} is missing"),
        (_, None) => format!("{name} should not be there"),
        (Some(Seen { what: What::File(a), .. }), Some(Seen { what: What::File(b), .. })) if a != b => {
            let at = a.iter().zip(b.iter()).position(|(a, b)| a != b);
            format!("{name}: {} bytes instead of {}, first different byte {at:?}", a.len(), b.len())
        }
        (Some(a), Some(b)) => {
            let short = |seen: &Seen| (seen.mode, seen.nlink, seen.first.clone(), seen.xattrs.len());
            format!("{name}: mode, links, first name, attributes {:?} instead of {:?}", short(a), short(b))
        }
    })
}
