//! Verbs of several steps of the engine, without Python in them.

use rayon::prelude::*;
use vexfs_fs::{
    Attr, Error, FileType, Follow, FsTx, Ino, OpenOptions, Result, Scope, SetAttr, SetTime, perm,
};
use vexfs_store::Read;

const WRITE: OpenOptions = OpenOptions {
    read: false,
    write: true,
    create: true,
    exclusive: false,
    truncate: false,
    directory: false,
    no_follow: false,
    mode: 0o666,
};

/// What a path leads to, if it is a file that the caller may read.
pub fn file_to_read<R: Read>(scope: &Scope<R>, path: &[u8]) -> Result<Attr> {
    let attr = scope.stat(path, Follow::Always)?;
    if attr.file_type != FileType::Regular {
        return Err(not_regular(path, &attr));
    }
    if !scope.caller().is_super() {
        scope.access(attr.ino, perm::READ).map_err(|error| error.at(path))?;
    }
    Ok(attr)
}

fn not_regular(path: &[u8], attr: &Attr) -> Error {
    match attr.file_type {
        FileType::Directory => Error::IsADirectory(path.into()),
        _ => Error::NotSupported { what: "only a regular file has content" },
    }
}

/// The inode of a file that is to be written, made if it is missing.
pub fn file_to_write(tx: &mut FsTx, path: &[u8]) -> Result<Ino> {
    let file = tx.open_file(path, &WRITE)?;
    match file.file_type {
        FileType::Regular => Ok(file.ino()),
        _ => Err(Error::NotSupported { what: "only a regular file has content" }),
    }
}

/// As [`file_to_write`], with the directories above it.
pub fn file_with_parents(tx: &mut FsTx, path: &[u8]) -> Result<Ino> {
    match file_to_write(tx, path) {
        Err(Error::NotFound(_)) => {
            tx.mkdir_all(parent(path), 0o777)?;
            file_to_write(tx, path)
        }
        result => result,
    }
}

/// Makes `data` the content of a file.
pub fn write_file(tx: &mut FsTx, path: &[u8], data: &[u8], parents: bool) -> Result<()> {
    let ino = if parents { file_with_parents(tx, path)? } else { file_to_write(tx, path)? };
    tx.write_all(ino, data)
}

/// Makes each of `data` the content of its file.
pub fn write_files(tx: &mut FsTx, files: &[(&[u8], &[u8])], parents: bool) -> Result<()> {
    let found = files.iter().map(|(path, data)| {
        let ino = if parents { file_with_parents(tx, path)? } else { file_to_write(tx, path)? };
        Ok((ino, *data))
    });
    let found: Vec<(Ino, &[u8])> = found.collect::<Result<_>>()?;
    tx.write_files(&found)
}

/// Copies content, holes and permissions.
pub fn copy_file(tx: &mut FsTx, from: &[u8], to: &[u8]) -> Result<()> {
    let source = file_to_read(tx, from)?;
    let options = OpenOptions { mode: source.permissions & 0o777, ..WRITE };
    let target = tx.open_file(to, &options)?;
    if target.ino() == source.ino {
        return Err(Error::Invalid { what: "source and target are the same file" });
    }
    if target.file_type != FileType::Regular {
        return Err(Error::NotSupported { what: "only a regular file has content" });
    }
    tx.truncate(target.ino(), 0)?;
    tx.copy_range(source.ino, 0, target.ino(), 0, source.size)?;
    tx.setattr(target.ino(), &SetAttr { mode: Some(source.permissions & 0o777), ..SetAttr::default() })?;
    Ok(())
}

/// Makes an empty file, or sets the times of what is there to now.
pub fn touch(tx: &mut FsTx, path: &[u8], mode: u32, exist_ok: bool) -> Result<()> {
    let Some(attr) = tx.try_stat(path, Follow::Always)? else {
        return tx.open_file(path, &OpenOptions { mode, ..WRITE }).map(drop);
    };
    if !exist_ok {
        return Err(Error::Exists(path.into()));
    }
    let now = Some(SetTime::Now);
    tx.setattr(attr.ino, &SetAttr { atime: now, mtime: now, ..SetAttr::default() }).map(drop)
}

/// Makes a directory.
pub fn mkdir(tx: &mut FsTx, path: &[u8], mode: u32, parents: bool, exist_ok: bool) -> Result<()> {
    let made = match tx.mkdir_path(path, mode) {
        Err(Error::NotFound(_)) if parents => {
            tx.mkdir_all(parent(path), 0o777)?;
            tx.mkdir_path(path, mode)
        }
        made => made,
    };
    match made {
        Err(Error::Exists(_)) if exist_ok && tx.stat(path, Follow::Always)?.is_dir() => Ok(()),
        made => made.map(drop),
    }
}

/// The path up to its last name.
fn parent(path: &[u8]) -> &[u8] {
    let end = path.len() - path.iter().rev().take_while(|&&byte| byte == b'/').count();
    let path = path.get(..end).unwrap_or_default();
    let name = path.iter().rev().take_while(|&&byte| byte != b'/').count();
    path.get(..path.len() - name).unwrap_or_default()
}

/// So many files at a time are one thread's.
const SHARE: usize = 16;

/// An error, and the number of the path that it is about.
pub type At = (usize, Error);

/// What is there of each path: `None` only where something may be missing and is.
pub type Found<T> = std::result::Result<Vec<Option<T>>, At>;

/// The attributes of files that the caller may read, by several threads.
pub fn files_to_read<R: Read + Sync>(scope: &Scope<R>, paths: &[&[u8]], missing_ok: bool) -> Found<Attr> {
    found(shared(scope, paths, |path| file_to_read(scope, path)), missing_ok)
}

/// Reads the content of each file into its place, by several threads; returns how many bytes there were.
pub fn read_files<R: Read + Sync, P: Send>(
    scope: &Scope<R>,
    files: &mut [(Attr, P)],
    bytes: impl Fn(&mut P) -> &mut [u8] + Send + Sync,
) -> std::result::Result<Vec<usize>, At> {
    let read = |(file, place): &mut (Attr, P)| scope.content(file, bytes(place));
    let done: Vec<Result<usize>> = match files.len() {
        0..=SHARE => files.iter_mut().map(read).collect(),
        _ => scope.fs().store().share(|| files.par_iter_mut().with_min_len(SHARE).map(read).collect()),
    };
    done.into_iter().enumerate().map(|(number, done)| done.map_err(|error| (number, error))).collect()
}

/// The attributes of what paths lead to, by several threads.
pub fn stat_files<R: Read + Sync>(
    scope: &Scope<R>,
    paths: &[&[u8]],
    follow: Follow,
    missing_ok: bool,
) -> Found<Attr> {
    found(shared(scope, paths, |path| scope.stat(path, follow)), missing_ok)
}

/// What `look` finds for each path, a few at a time by each thread.
fn shared<R: Read + Sync, T: Send>(
    scope: &Scope<R>,
    paths: &[&[u8]],
    look: impl Fn(&&[u8]) -> Result<T> + Send + Sync,
) -> Vec<Result<T>> {
    match paths.len() {
        0..=SHARE => paths.iter().map(look).collect(),
        _ => scope.fs().store().share(|| paths.par_iter().with_min_len(SHARE).map(look).collect()),
    }
}

fn found<T>(results: Vec<Result<T>>, missing_ok: bool) -> Found<T> {
    let found = results.into_iter().enumerate().map(|(number, result)| match result {
        Err(Error::NotFound(_)) if missing_ok => Ok(None),
        result => result.map(Some).map_err(|error| (number, error)),
    });
    found.collect()
}
