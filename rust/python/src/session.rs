//! What every verb runs in: the volume itself, where each call is a transaction of its own, or a transaction.
//!
//! Invariants: the engine runs without Python's lock, and no lock of this crate is held when Python's is taken back;
//! once a volume is closed nothing of it is used, by whatever handle.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use pyo3::prelude::*;
use vexfs_device::FileDevice;
use vexfs_fs::{Caller, Durability, Fs, FsTx, FsView};

use crate::error::{Failure, Result};
use crate::fork::Inherited;

/// An open volume as one caller sees it, through a transaction if there is one.
#[derive(Clone)]
pub struct Session(Arc<Inherited<State>>);

/// The open volume, which all its handles share.
struct Shared {
    device: Arc<FileDevice>,
    /// Held shared by whatever uses the volume, so that closing waits for it.
    closed: RwLock<bool>,
}

/// See [`Session`].
pub struct State {
    pub fs: Fs,
    shared: Arc<Shared>,
    pub caller: Caller,
    /// What `st_dev` shows for the files of the volume.
    pub device: u64,
    /// The transaction, until it is ended; `None` outside of one.
    pub tx: Option<Mutex<Option<FsTx>>>,
}

/// What reading verbs read.
#[expect(clippy::large_enum_variant, reason = "lives on the stack for one call")]
pub enum Pinned<'a> {
    View(FsView),
    Tx(&'a Mutex<Option<FsTx>>),
}

impl State {
    /// The newest state, or the transaction's.
    pub fn pin(&self) -> Result<Pinned<'_>> {
        Ok(match &self.tx {
            None => Pinned::View(self.fs.view(&self.caller)?),
            Some(tx) => Pinned::Tx(tx),
        })
    }
}

impl Session {
    pub fn new(fs: Fs, file: Arc<FileDevice>, caller: Caller) -> Self {
        let device = fs.store().superblock().volume() >> 1;
        let shared = Arc::new(Shared { device: file, closed: RwLock::new(false) });
        Self::of(State { fs, shared, caller, device, tx: None })
    }

    /// The same volume and caller, within a transaction.
    pub fn within(state: &State, tx: FsTx) -> Self {
        let (fs, shared) = (state.fs.clone(), Arc::clone(&state.shared));
        let (caller, device) = (state.caller.clone(), state.device);
        Self::of(State { fs, shared, caller, device, tx: Some(Mutex::new(Some(tx))) })
    }

    fn of(state: State) -> Self {
        Self(Arc::new(Inherited::new(state)))
    }

    /// The state, unless this process is a forked child of the one that opened the volume.
    pub fn state(&self) -> Result<&State> {
        match self.0.foreign() {
            None => Ok(&self.0),
            Some(pid) => Err(Failure::Forked(pid)),
        }
    }

    /// Runs `work` without Python's lock.
    pub fn run<'a, T: Send>(
        &'a self,
        py: Python<'_>,
        work: impl FnOnce(&'a State) -> Result<T> + Send,
    ) -> Result<T> {
        let state = self.state()?;
        py.detach(|| {
            let closed = state.shared.closed.read();
            if *closed {
                return Err(vexfs_store::Error::Closed.into());
            }
            work(state)
        })
    }

    /// As [`Session::run`], for work that begins anew: if the reader has fallen behind the writer beside it, once more
    /// on the writer's newest checkpoint.
    pub fn run_fresh<'a, T: Send>(
        &'a self,
        py: Python<'_>,
        work: impl Fn(&'a State) -> Result<T> + Send,
    ) -> Result<T> {
        self.run(py, move |state| match work(state) {
            Err(failure) if failure.is_late() => {
                state.fs.store().refresh()?;
                work(state)
            }
            done => done,
        })
    }

    /// As [`Session::run_fresh`], for a read of several steps with Python between them.
    pub fn read_anew<T>(&self, py: Python<'_>, read: impl Fn() -> PyResult<T>) -> PyResult<T> {
        let late = |error: &PyErr| {
            let code = error.value(py).getattr("code");
            code.is_ok_and(|code| code.extract::<&str>().is_ok_and(|code| code == "fell_behind"))
        };
        match read() {
            Err(error) if late(&error) => {
                let refreshed = self.run(py, |state| Ok(state.fs.store().refresh()?));
                refreshed.map_err(|failure| failure.raise(py))?;
                read()
            }
            done => done,
        }
    }

    /// Whether the volume can be used just now; if not, [`Session::run`] tells why, or waits.
    pub fn is_usable(&self) -> bool {
        let usable = |state: &State| state.shared.closed.try_read().is_some_and(|closed| !*closed);
        self.state().is_ok_and(usable)
    }

    /// Whether the volume was closed.
    pub fn is_closed(&self) -> Result<bool> {
        Ok(*self.state()?.shared.closed.read())
    }

    /// Closes the volume when nothing uses it any more, and lets others have its file.
    pub fn close(&self, py: Python<'_>) -> Result<()> {
        let state = self.state()?;
        py.detach(|| {
            let mut closed = state.shared.closed.write();
            if std::mem::replace(&mut *closed, true) {
                return Ok(());
            }
            let done = state.fs.close();
            state.shared.device.release();
            Ok(done?)
        })
    }

    /// Makes a change, in the transaction or as one.
    pub fn change<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnMut(&mut FsTx) -> vexfs_fs::Result<T> + Send,
    ) -> Result<T> {
        self.change_with(py, Durability::Visible, work)
    }

    /// As [`Session::change`], with a choice of what the return waits for; in a transaction its commit decides.
    pub fn change_with<T: Send>(
        &self,
        py: Python<'_>,
        durability: Durability,
        mut work: impl FnMut(&mut FsTx) -> vexfs_fs::Result<T> + Send,
    ) -> Result<T> {
        self.run(py, |state| match &state.tx {
            None => Ok(state.fs.auto_with(&state.caller, durability, work)?),
            Some(tx) => Ok(work(tx.lock().as_mut().ok_or(Failure::Ended)?)?),
        })
    }

    /// As [`Session::change_with`] for a change of several steps: if one fails, a transaction keeps none of them.
    pub fn change_whole<T: Send>(
        &self,
        py: Python<'_>,
        durability: Durability,
        mut work: impl FnMut(&mut FsTx) -> vexfs_fs::Result<T> + Send,
    ) -> Result<T> {
        if self.state()?.tx.is_none() {
            return self.change_with(py, durability, work);
        }
        self.change(py, |tx| {
            let savepoint = tx.savepoint();
            let result = work(tx);
            match result {
                Ok(_) => tx.release(savepoint),
                Err(_) => tx.rollback_to(savepoint),
            }
            result
        })
    }
}

/// Evaluates `$work` with `$scope` as what was pinned. A macro, because view and transaction are two types.
macro_rules! in_pinned {
    ($pinned:expr, |$scope:ident| $work:expr) => {
        match $pinned {
            $crate::session::Pinned::View(view) => {
                let $scope = view;
                $work
            }
            $crate::session::Pinned::Tx(tx) => {
                let guard = tx.lock();
                let $scope = guard.as_ref().ok_or($crate::error::Failure::Ended)?;
                $work
            }
        }
    };
}

/// Reads, in the transaction or in the newest state: `read!(session, py, |scope| ...)`.
macro_rules! read {
    ($session:expr, $py:expr, |$scope:ident| $work:expr) => {
        $session.run_fresh($py, |state| {
            let pinned = state.pin()?;
            $crate::session::in_pinned!(&pinned, |$scope| Ok($work?))
        })
    };
}

/// As [`read!`], for what goes on from an earlier read: it is not carried over to a newer checkpoint.
macro_rules! read_once {
    ($session:expr, $py:expr, |$scope:ident| $work:expr) => {
        $session.run($py, |state| {
            let pinned = state.pin()?;
            $crate::session::in_pinned!(&pinned, |$scope| Ok($work?))
        })
    };
}

pub(crate) use {in_pinned, read, read_once};

/// What the argument `durable` asks for.
pub const fn durability(durable: bool) -> Durability {
    if durable { Durability::Durable } else { Durability::Visible }
}

/// What the argument `follow_symlinks` asks for.
pub const fn follow(follow_symlinks: bool) -> vexfs_fs::Follow {
    if follow_symlinks { vexfs_fs::Follow::Always } else { vexfs_fs::Follow::Never }
}
