//! What a volume says about itself, as dictionaries.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use vexfs_format::BLOCK_SIZE;

use crate::session::Session;

const BLOCK: u64 = BLOCK_SIZE as u64;

/// Sets the fields of a dictionary: `fields!(dict; name = value, ...)`.
macro_rules! fields {
    ($dict:expr; $($name:ident = $value:expr),+ $(,)?) => {{
        let dict = $dict;
        $(dict.set_item(stringify!($name), $value)?;)+
        dict
    }};
}

fn uuid(bytes: &[u8; 16]) -> String {
    let hex = |range: std::ops::Range<usize>| -> String {
        bytes.get(range).unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    format!("{}-{}-{}-{}-{}", hex(0..4), hex(4..6), hex(6..8), hex(8..10), hex(10..16))
}

/// Geometry and features.
pub fn info<'py>(py: Python<'py>, session: &Session) -> PyResult<Bound<'py, PyDict>> {
    let found = session.run(py, |state| {
        let fs = &state.fs;
        let bad = vexfs_store::superblock::read(&**fs.store().device())?.bad;
        Ok((fs.statfs()?, bad, fs.clone()))
    });
    let (status, bad, fs) = found.map_err(|failure| failure.raise(py))?;
    let store = fs.store();
    let (superblock, geometry, newest) = (store.superblock(), store.geometry(), store.newest_checkpoint());
    let features = fields!(PyDict::new(py);
        compat = superblock.features.compat,
        ro_compat = superblock.features.ro_compat,
        incompat = superblock.features.incompat,
    );
    let checkpoint = fields!(PyDict::new(py);
        number = newest.id.0,
        kind = format!("{:?}", newest.kind).to_lowercase(),
        time_ns = newest.time_ns,
        inodes = newest.counts.inodes,
        tree_nodes = newest.counts.nodes,
        tree_items = newest.counts.items,
    );
    Ok(fields!(PyDict::new(py);
        label = superblock.label.as_str(),
        uuid = uuid(&superblock.uuid),
        device = store.device().name(),
        format_version = 1,
        created_ns = superblock.created_ns,
        size_bytes = geometry.block_count * BLOCK,
        block_size = BLOCK,
        blocks = status.blocks,
        blocks_free = status.blocks_free,
        blocks_available = status.blocks_available,
        inodes = status.inodes,
        inodes_free = status.inodes_free,
        groups = geometry.group_count,
        journal_bytes = geometry.journal.bytes(),
        reserve_bytes = u64::from(geometry.reserve_units) * u64::from(vexfs_format::NODE_BLOCKS) * BLOCK,
        superblocks = geometry.superblocks.iter().map(|block| block.0).collect::<Vec<_>>(),
        bad_superblocks = bad.iter().map(|(block, _)| block.0).collect::<Vec<_>>(),
        features = features,
        checkpoint = checkpoint,
    ))
}

/// Counters and latencies.
pub fn stats<'py>(py: Python<'py>, session: &Session) -> PyResult<Bound<'py, PyDict>> {
    let found = session.run(py, |state| {
        let fs = &state.fs;
        fs.statfs()?;
        let store = fs.store();
        let space = store.space().map(|space| space.scatter().map(|scatter| (space.stats(), scatter)));
        let space = space.transpose().map_err(vexfs_store::Error::from)?;
        Ok((store.stats(), store.cache_stats(), store.journal_stats(), space))
    });
    let (store, cache, journal, space) = found.map_err(|failure| failure.raise(py))?;
    let dict = fields!(PyDict::new(py);
        visible_commits = latency(py, &store.visible_commits)?,
        durable_commits = latency(py, &store.durable_commits)?,
        checkpoints = latency(py, &store.checkpoints)?,
        conflicts = store.conflicts,
        memtable_bytes = store.memtable_bytes,
        deferred_blocks = store.deferred_blocks,
        reclaimed_blocks = store.reclaimed_blocks,
        sequence = store.seq,
        cache = fields!(PyDict::new(py);
            budget_bytes = cache.budget_bytes,
            used_bytes = cache.used_bytes,
            held_bytes = cache.held_bytes,
            loads = cache.loads,
        ),
    );
    if let Some(journal) = journal {
        dict.set_item("journal", self::journal(py, &journal)?)?;
    }
    if let Some((space, scatter)) = space {
        dict.set_item("space", self::space(py, &space, &scatter)?)?;
    }
    Ok(dict)
}

/// How often something was done, and how many microseconds it took.
fn latency<'py>(py: Python<'py>, found: &vexfs_store::Latency) -> PyResult<Bound<'py, PyDict>> {
    let micros = |elapsed: Duration| elapsed.as_nanos() as f64 / 1e3;
    Ok(fields!(PyDict::new(py);
        count = found.count,
        mean_us = micros(found.mean),
        median_us = micros(found.median),
        p99_us = micros(found.p99),
        longest_us = micros(found.longest),
    ))
}

/// What opening had to do.
pub fn recovery<'py>(py: Python<'py>, session: &Session) -> PyResult<Bound<'py, PyDict>> {
    let report = session.run(py, |state| Ok(state.fs.store().recovery().clone()));
    let report = report.map_err(|failure| failure.raise(py))?;
    let phases = report
        .phases
        .iter()
        .map(|(phase, elapsed)| Ok(fields!(PyDict::new(py); name = *phase, seconds = elapsed.as_secs_f64())));
    let phases = PyList::new(py, phases.collect::<PyResult<Vec<_>>>()?)?;
    Ok(fields!(PyDict::new(py);
        clean = report.clean,
        checkpoint = report.checkpoint,
        transactions = report.transactions,
        operations = report.operations,
        frames = report.frames,
        bytes = report.bytes,
        verified_blocks = report.verified_blocks,
        carried_blocks = report.carried_blocks,
        ended_because = report.cut.clone(),
        workers = report.workers,
        seconds = report.elapsed().as_secs_f64(),
        phases = phases,
    ))
}

fn journal<'py>(py: Python<'py>, stats: &vexfs_journal::Stats) -> PyResult<Bound<'py, PyDict>> {
    let counters = &stats.counters;
    Ok(fields!(PyDict::new(py);
        capacity_bytes = stats.capacity,
        used_bytes = stats.used,
        queued_bytes = stats.queued,
        written_bytes = counters.bytes,
        payload_bytes = counters.payload,
        records = counters.records,
        frames = counters.frames,
        rounds = counters.rounds,
        flushes = counters.flushes,
        durable_writes = counters.durable_writes,
        marks = counters.marks,
        records_per_frame_mean = counters.records as f64 / counters.frames.saturating_sub(counters.pads).max(1) as f64,
    ))
}

fn space<'py>(
    py: Python<'py>,
    stats: &vexfs_space::Stats,
    scatter: &vexfs_space::Scatter,
) -> PyResult<Bound<'py, PyDict>> {
    Ok(fields!(PyDict::new(py);
        allocations = stats.data.allocations,
        allocated_bytes = stats.data.bytes(),
        vector_allocations = stats.vector.allocations,
        vector_allocated_bytes = stats.vector.bytes(),
        metadata_allocations = stats.meta.allocations,
        metadata_allocated_bytes = stats.meta.bytes(),
        frees = stats.frees,
        freed_bytes = stats.freed_blocks * BLOCK,
        inode_allocations = stats.inode_allocations,
        inode_frees = stats.inode_frees,
        free_blocks = stats.free_blocks,
        free_units = stats.free_units,
        free_inodes = stats.free_inodes,
        largest_free_run_bytes = u64::from(scatter.largest_run) * BLOCK,
        fragmentation = scatter.fragmentation,
    ))
}
