//! Merges layers of items into one ordered sequence in which the uppermost layer wins.

use vexfs_format::Key;

use crate::{Result, Value};

/// What a layer knows of a key: a value, or that it was deleted.
pub(crate) type Known = Option<Value>;

/// A layer's items in the direction of the merge.
pub(crate) type Layer<'a> = Box<dyn Iterator<Item = Result<(Key, Known)>> + Send + 'a>;

/// Which way items come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

/// The merged sequence: each key once, deleted keys left out.
pub(crate) struct Merge<'a> {
    layers: Vec<Head<'a>>,
    direction: Direction,
    failed: bool,
}

struct Head<'a> {
    rest: Layer<'a>,
    next: Option<(Key, Known)>,
}

impl<'a> Head<'a> {
    fn advance(&mut self) -> Result<()> {
        self.next = self.rest.next().transpose()?;
        Ok(())
    }
}

impl<'a> Merge<'a> {
    /// Merges `layers`, uppermost first.
    pub(crate) fn new(layers: Vec<Layer<'a>>, direction: Direction) -> Result<Self> {
        let mut heads = Vec::with_capacity(layers.len());
        for rest in layers {
            let mut head = Head { rest, next: None };
            head.advance()?;
            if head.next.is_some() {
                heads.push(head);
            }
        }
        Ok(Self { layers: heads, direction, failed: false })
    }

    fn step(&mut self) -> Result<Option<(Key, Known)>> {
        if let [only] = self.layers.as_mut_slice() {
            let item = only.next.take();
            if item.is_some() {
                only.advance()?;
            }
            return Ok(item);
        }
        let keys = self.layers.iter().filter_map(|head| head.next.as_ref().map(|(key, _)| *key));
        let nearest = match self.direction {
            Direction::Ascending => keys.min(),
            Direction::Descending => keys.max(),
        };
        let Some(nearest) = nearest else { return Ok(None) };
        let mut found = None;
        for head in &mut self.layers {
            if head.next.as_ref().is_some_and(|(key, _)| *key == nearest) {
                let item = head.next.take();
                found = found.or(item);
                head.advance()?;
            }
        }
        Ok(found)
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<(Key, Value)>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            match self.step() {
                Ok(Some((key, Some(value)))) => return Some(Ok((key, value))),
                Ok(Some((_, None))) => {}
                Ok(None) => return None,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
