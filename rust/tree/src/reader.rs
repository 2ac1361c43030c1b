//! Looking up a key.

use std::sync::Arc;

use vexfs_device::Device;
use vexfs_format::{Key, NodePtr};

use crate::cache::NodeCache;
use crate::error::Result;
use crate::load;
use crate::node::{Child, Held, Node, Span};
use crate::range::Range;
use crate::root::Root;
use crate::value::Value;

/// Reads the trees of one volume, and writes new ones. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) device: Arc<dyn Device>,
    pub(crate) cache: Arc<NodeCache>,
    pub(crate) volume: u64,
}

/// A node on the way down: held by its parent, or for this look-up.
enum Step<'a> {
    Held(&'a Arc<Node>),
    Own(Arc<Node>),
}

impl Step<'_> {
    fn node(&self) -> &Arc<Node> {
        match self {
            Self::Held(node) => node,
            Self::Own(node) => node,
        }
    }
}

impl Reader {
    /// A reader of the volume with these UUID bits on `device`.
    #[must_use]
    pub fn new(device: Arc<dyn Device>, cache: Arc<NodeCache>, volume: u64) -> Self {
        Self { device, cache, volume }
    }

    /// The device that it reads and writes.
    #[must_use]
    pub const fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    /// The cache that its nodes are in.
    #[must_use]
    pub const fn cache(&self) -> &Arc<NodeCache> {
        &self.cache
    }

    /// The value of `key`.
    pub fn get(&self, root: &Root, key: Key) -> Result<Option<Value>> {
        let Some(ptr) = root.ptr() else { return Ok(None) };
        let mut span = Span::default();
        let mut step = Step::Held(self.top(root, ptr)?);
        while !step.node().is_leaf() {
            let Some(index) = step.node().child_index(key) else { return Ok(None) };
            let Some(child) = step.node().child(index, &span) else { return Ok(None) };
            step = self.step(&step, index, &child)?;
            span = child.span;
        }
        let leaf = step.node();
        match leaf.search(key) {
            (index, true) => leaf.item(index).map(|slot| load::item_value(&*self.device, leaf, slot)).transpose(),
            (_, false) => Ok(None),
        }
    }

    /// The items from `from` up to and including `to`, in order; `rev()` gives them in reverse.
    #[must_use]
    pub fn range(&self, root: &Root, from: Key, to: Key) -> Range {
        Range::new(self.clone(), root.clone(), from, to)
    }

    /// The uppermost node of a root.
    pub(crate) fn top<'a>(&self, root: &'a Root, ptr: NodePtr) -> Result<&'a Arc<Node>> {
        if let Some(node) = root.top.get() {
            return Ok(node);
        }
        let node = self.fetch(&Child { ptr, span: Span::default() })?;
        Ok(root.top.get_or_init(|| node))
    }

    /// The child `index` of `parent`, held by it if it may be.
    pub(crate) fn child(&self, parent: &Node, index: usize, child: &Child) -> Result<Arc<Node>> {
        let Some(place) = parent.held(index) else { return self.fetch(child) };
        if let Some(held) = place.get() {
            load::check_span(&held.node, &child.span)?;
            return Ok(Arc::clone(&held.node));
        }
        let node = self.fetch(child)?;
        if let Some(_pin) = self.cache.pin() {
            // If another thread was first, its node is as good.
            let _ = place.set(Held { node: Arc::clone(&node), _pin });
        }
        Ok(node)
    }

    /// As [`Reader::child`], without counting references where the way down is held.
    #[inline]
    fn step<'a>(&self, step: &Step<'a>, index: usize, child: &Child) -> Result<Step<'a>> {
        if let Step::Held(parent) = *step
            && let Some(held) = parent.held(index).and_then(|place| place.get())
        {
            load::check_span(&held.node, &child.span)?;
            return Ok(Step::Held(&held.node));
        }
        self.child(step.node(), index, child).map(Step::Own)
    }

    /// The node from the cache or the device.
    pub(crate) fn fetch(&self, child: &Child) -> Result<Arc<Node>> {
        if let Some(node) = self.cache.get(&child.ptr) {
            load::check_span(&node, &child.span)?;
            return Ok(node);
        }
        let node = self.load(child)?;
        self.cache.insert(Arc::clone(&node));
        Ok(node)
    }

    /// The node from the device, without keeping it.
    pub(crate) fn load(&self, child: &Child) -> Result<Arc<Node>> {
        self.cache.note_load();
        load::node(&*self.device, self.volume, child)
    }
}
