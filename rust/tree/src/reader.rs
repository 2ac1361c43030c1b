//! Looking up a key.

use std::borrow::Cow;
use std::sync::Arc;

use vexfs_device::Device;
use vexfs_format::{Key, NodePtr};

use crate::cache::{NodeCache, Place};
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
        let (index, found) = step.node().search(key);
        if !found {
            return Ok(None);
        }
        let leaf = match step {
            Step::Held(leaf) => Cow::Borrowed(leaf),
            Step::Own(leaf) => Cow::Owned(leaf),
        };
        Ok(load::item(&*self.device, leaf, index)?.map(|(_, value)| value))
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
        let node = self.fetch(&Child { ptr, span: Span::default() }, None)?;
        Ok(root.top.get_or_init(|| node))
    }

    /// The child `index` of `parent`, which is about to be replaced: not kept if it was not there.
    pub(crate) fn child_once(&self, parent: &Node, index: usize, child: &Child) -> Result<Arc<Node>> {
        match parent.held(index).and_then(|place| place.get()) {
            Some(held) => {
                load::check_span(&held.node, &child.span)?;
                Ok(Arc::clone(&held.node))
            }
            None => self.fetch_once(child, parent.place(index)),
        }
    }

    /// The child `index` of `parent`, held by it if it may be.
    pub(crate) fn child(&self, parent: &Node, index: usize, child: &Child) -> Result<Arc<Node>> {
        let Some(place) = parent.held(index) else { return self.fetch(child, parent.place(index)) };
        if let Some(held) = place.get() {
            load::check_span(&held.node, &child.span)?;
            return Ok(Arc::clone(&held.node));
        }
        let node = self.fetch(child, None)?;
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

    /// The node from the cache or the device; `near` is where the parent last found it.
    #[inline]
    fn fetch(&self, child: &Child, near: Option<&Place>) -> Result<Arc<Node>> {
        if let Some(node) = self.cache.get(&child.ptr, near) {
            load::check_span(&node, &child.span)?;
            return Ok(node);
        }
        let node = self.load(child)?;
        self.cache.insert(Arc::clone(&node));
        Ok(node)
    }

    /// As [`Reader::fetch`], without keeping a node that was not there.
    pub(crate) fn fetch_once(&self, child: &Child, near: Option<&Place>) -> Result<Arc<Node>> {
        match self.cache.get(&child.ptr, near) {
            Some(node) => load::check_span(&node, &child.span).map(|()| node),
            None => self.load(child),
        }
    }

    /// The node from the device, without keeping it.
    pub(crate) fn load(&self, child: &Child) -> Result<Arc<Node>> {
        self.cache.note_load();
        load::node(&*self.device, self.volume, child)
    }
}
