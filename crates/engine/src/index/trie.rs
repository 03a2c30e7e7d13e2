//! Owns the trie of wildcard filters: which of them match a topic. Each filter stands for a `u32`
//! that its owner chose. Must not know subscribers, shards or exact filters.
//!
//! All nodes are in one table keyed by the hash of their path, and tell by (parent, level) which
//! one they are: a node costs 32 bytes however many children it has, and the processor can look for
//! a level before the one above it has arrived from memory. A node is visited at most once a walk,
//! and no walk or change recurses, whatever the number of levels.

use super::directory::Directory;
use super::hash::{NONE, Seed, reserve_one, text_bytes};
use super::level::{Level, Levels, Part};

const ROOT: u32 = 0;
/// The hash of the path to the root.
const ROOT_PATH: u64 = 0;

/// One level of one or more filters.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// The two words of the level, apart because together they would be padded.
    low: u64,
    high: u32,
    /// A free node keeps the next free one here.
    parent: u32,
    /// The child for `+`.
    plus: u32,
    /// The filter that ends with this level.
    here: u32,
    /// The filter that goes on with `#` as its last level.
    multi: u32,
    /// How many children it has for literal levels.
    literals: u32,
}

const _: () = assert!(size_of::<Node>() == 32);

impl Node {
    fn new(parent: u32, level: Level) -> Self {
        let Level { low, high } = level;
        Self { low, high, parent, plus: NONE, here: NONE, multi: NONE, literals: 0 }
    }

    #[inline]
    fn level(&self) -> Level {
        Level { low: self.low, high: self.high }
    }

    fn is_unused(&self) -> bool {
        self.plus == NONE && self.here == NONE && self.multi == NONE && self.literals == 0
    }
}

/// Where a filter ends in the trie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    node: u32,
    multi: bool,
}

/// Wildcard filters, each with the number that its owner gave it.
#[derive(Debug)]
pub(crate) struct Trie {
    seed: Seed,
    nodes: Vec<Node>,
    free_node: u32,
    /// The nodes of literal levels, by the hash of their path.
    literals: Directory,
    /// Texts of the levels that a node does not hold whole.
    long: Vec<LongText>,
    free_long: u32,
    long_bytes: usize,
    filters: usize,
}

#[derive(Debug)]
enum LongText {
    Free { next: u32 },
    Text(Box<[u8]>),
}

impl Trie {
    /// An empty trie. Allocates nothing.
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            seed,
            nodes: Vec::new(),
            free_node: NONE,
            literals: Directory::default(),
            long: Vec::new(),
            free_long: NONE,
            long_bytes: 0,
            filters: 0,
        }
    }

    /// The number of filters.
    pub(crate) fn len(&self) -> usize {
        self.filters
    }

    /// Bytes on the heap, capacity included.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.literals.heap_bytes()
            + self.long.capacity() * size_of::<LongText>()
            + self.long_bytes
    }

    /// The number of nodes in use, without the root: what a test of leaks looks at.
    pub(crate) fn nodes_len(&self) -> usize {
        let mut free = 0;
        let mut next = self.free_node;
        while next != NONE {
            free += 1;
            next = self.nodes[next as usize].parent;
        }
        self.nodes.len().saturating_sub(1) - free
    }

    /// Calls `emit` with the number of every filter that matches `topic`, each once, in an order
    /// that only the filters and the topic decide.
    #[inline]
    pub(crate) fn walk(&self, topic: &str, mut emit: impl FnMut(u32)) {
        if self.filters == 0 {
            return;
        }
        // [MQTT-4.7.2-1] [MQTT3-4.7.2-1] a leading wildcard does not match a topic that begins with
        // `$`.
        let mut plus_matches = !topic.starts_with('$');
        let root = &self.nodes[ROOT as usize];
        if plus_matches && root.multi != NONE {
            emit(root.multi);
        }
        let mut frontiers = (Frontier::new(), Frontier::new());
        let (mut active, mut next) = (&mut frontiers.0, &mut frontiers.1);
        active.push(Reached { node: ROOT, path: ROOT_PATH });
        let mut levels = Levels::of(topic);
        loop {
            // [MQTT-4.7.3-4] [MQTT3-4.7.3-4] levels are compared byte for byte.
            let part = levels.next(&self.seed);
            next.clear();
            for at in 0..active.len() {
                let Reached { node: id, path } = active.get(at);
                let node = &self.nodes[id as usize];
                if node.plus != NONE && plus_matches {
                    let path = Level::PLUS.path(&self.seed, path);
                    self.reach(node.plus, path, part.is_last, next, &mut emit);
                }
                if node.literals != 0 {
                    let path = part.level.path(&self.seed, path);
                    if let Some(child) = self.child(id, path, &part) {
                        self.reach(child, path, part.is_last, next, &mut emit);
                    }
                }
            }
            if next.len() == 0 {
                return;
            }
            plus_matches = true;
            core::mem::swap(&mut active, &mut next);
        }
    }

    /// A walk has come to a node: names the filters that end here and, before the last level, notes
    /// where it goes on.
    #[inline(always)]
    fn reach(
        &self,
        id: u32,
        path: u64,
        is_last: bool,
        next: &mut Frontier,
        emit: &mut impl FnMut(u32),
    ) {
        let node = &self.nodes[id as usize];
        if node.multi != NONE {
            emit(node.multi); // `#` stands for the parent level as well
        }
        if is_last {
            if node.here != NONE {
                emit(node.here);
            }
        } else if node.plus != NONE || node.literals != 0 {
            next.push(Reached { node: id, path });
        }
    }

    /// The number given to `filter`.
    pub(crate) fn find(&self, filter: &str) -> Option<u32> {
        let id = self.get(self.place(filter)?);
        (id != NONE).then_some(id)
    }

    /// Where `filter` ends, if all its levels are in the trie.
    pub(crate) fn place(&self, filter: &str) -> Option<Place> {
        if self.filters == 0 {
            return None;
        }
        let (mut node, mut path) = (ROOT, ROOT_PATH);
        let mut levels = Levels::of(filter);
        loop {
            let part = levels.next(&self.seed);
            if part.text == b"#" {
                return Some(Place { node, multi: true });
            }
            if part.text == b"+" {
                path = Level::PLUS.path(&self.seed, path);
                node = Some(self.nodes[node as usize].plus).filter(|&plus| plus != NONE)?;
            } else {
                path = part.level.path(&self.seed, path);
                node = self.child(node, path, &part)?;
            }
            if part.is_last {
                return Some(Place { node, multi: false });
            }
        }
    }

    /// Where `filter` ends; adds the levels that are missing. The caller gives the place a number
    /// at once.
    pub(crate) fn ensure(&mut self, filter: &str) -> Place {
        if self.nodes.is_empty() {
            self.nodes.push(Node::new(NONE, Level::PLUS));
        }
        let (mut node, mut path) = (ROOT, ROOT_PATH);
        let mut levels = Levels::of(filter);
        loop {
            let part = levels.next(&self.seed);
            if part.text == b"#" {
                debug_assert!(part.is_last, "a filter is checked before it is stored");
                return Place { node, multi: true };
            }
            if part.text == b"+" {
                path = Level::PLUS.path(&self.seed, path);
                node = self.ensure_plus(node);
            } else {
                path = part.level.path(&self.seed, path);
                node = self.ensure_child(node, path, &part);
            }
            if part.is_last {
                return Place { node, multi: false };
            }
        }
    }

    /// The number at a place, or [`NONE`].
    pub(crate) fn get(&self, place: Place) -> u32 {
        let node = &self.nodes[place.node as usize];
        if place.multi { node.multi } else { node.here }
    }

    /// Gives a number to the filter at a place that has none.
    pub(crate) fn set(&mut self, place: Place, id: u32) {
        let node = &mut self.nodes[place.node as usize];
        let cell = if place.multi { &mut node.multi } else { &mut node.here };
        debug_assert!(*cell == NONE && id != NONE);
        *cell = id;
        self.filters += 1;
    }

    /// Takes the filter at a place out, and every node that nothing else needs.
    pub(crate) fn remove(&mut self, place: Place) {
        let node = &mut self.nodes[place.node as usize];
        let cell = if place.multi { &mut node.multi } else { &mut node.here };
        assert!(*cell != NONE, "a place that is removed holds a filter");
        *cell = NONE;
        self.filters -= 1;
        if self.filters == 0 {
            // Also gives the memory of a large trie back.
            *self = Self::new(self.seed.clone());
            return;
        }
        if self.nodes[place.node as usize].is_unused() {
            self.unlink_unused(place.node);
        }
    }

    #[inline(always)]
    fn child(&self, parent: u32, path: u64, part: &Part<'_>) -> Option<u32> {
        let level = part.level;
        self.literals.find(path, |child| {
            let node = &self.nodes[child as usize];
            node.parent == parent
                && node.high == level.high
                && (node.low == level.low || (level.is_long() && self.is_long_text(node.low, part)))
        })
    }

    #[cold]
    fn is_long_text(&self, low: u64, part: &Part<'_>) -> bool {
        low >> 32 == part.level.low >> 32
            && matches!(&self.long[low as u32 as usize], LongText::Text(own) if **own == *part.text)
    }

    fn ensure_plus(&mut self, parent: u32) -> u32 {
        let plus = self.nodes[parent as usize].plus;
        if plus != NONE {
            return plus;
        }
        let id = self.take_node(Node::new(parent, Level::PLUS));
        self.nodes[parent as usize].plus = id;
        id
    }

    fn ensure_child(&mut self, parent: u32, path: u64, part: &Part<'_>) -> u32 {
        if let Some(child) = self.child(parent, path, part) {
            return child;
        }
        let mut level = part.level;
        if level.is_long() {
            level.low |= u64::from(self.take_long(part.text));
        }
        let id = self.take_node(Node::new(parent, level));
        self.nodes[parent as usize].literals += 1;
        self.literals.insert(path, id);
        id
    }

    /// Frees a node that nothing needs, and those above it that nothing needs then.
    fn unlink_unused(&mut self, node: u32) {
        let mut trail = Vec::new();
        let mut id = node;
        while id != ROOT {
            trail.push((id, 0));
            id = self.nodes[id as usize].parent;
        }
        let mut path = ROOT_PATH;
        for (id, path_to) in trail.iter_mut().rev() {
            path = self.nodes[*id as usize].level().path(&self.seed, path);
            *path_to = path;
        }
        for (id, path) in trail {
            if !self.nodes[id as usize].is_unused() {
                return;
            }
            self.unlink(id, path);
        }
    }

    /// Takes a node out of its parent and frees it.
    fn unlink(&mut self, id: u32, path: u64) {
        let node = &self.nodes[id as usize];
        let (level, parent) = (node.level(), node.parent);
        if level.is_plus() {
            self.nodes[parent as usize].plus = NONE;
        } else {
            self.literals.remove(path, id);
            self.nodes[parent as usize].literals -= 1;
            if level.is_long() {
                self.free_long(level.low as u32);
            }
        }
        self.nodes[id as usize] = Node::new(self.free_node, Level::PLUS);
        self.free_node = id;
    }

    fn take_node(&mut self, node: Node) -> u32 {
        if self.free_node == NONE {
            reserve_one(&mut self.nodes);
            self.nodes.push(node);
            let id = self.nodes.len() - 1;
            return u32::try_from(id).ok().filter(|&id| id != NONE).expect("fewer than 2^32 nodes");
        }
        let id = self.free_node;
        self.free_node = self.nodes[id as usize].parent;
        self.nodes[id as usize] = node;
        id
    }

    fn take_long(&mut self, text: &[u8]) -> u32 {
        self.long_bytes += text_bytes(text.len());
        let text = LongText::Text(text.into());
        if self.free_long == NONE {
            reserve_one(&mut self.long);
            self.long.push(text);
            return (self.long.len() - 1) as u32; // fewer than there are nodes
        }
        let id = self.free_long;
        let slot = &mut self.long[id as usize];
        let LongText::Free { next } = *slot else { unreachable!("the free list holds free texts") };
        self.free_long = next;
        *slot = text;
        id
    }

    fn free_long(&mut self, id: u32) {
        let slot = &mut self.long[id as usize];
        if let LongText::Text(text) = slot {
            self.long_bytes -= text_bytes(text.len());
        }
        *slot = LongText::Free { next: self.free_long };
        self.free_long = id;
    }
}

/// A node that a walk has reached.
#[derive(Clone, Copy)]
struct Reached {
    node: u32,
    path: u64,
}

/// The nodes that a walk has reached on one level. Few in practice, so the first ones need no
/// allocation.
struct Frontier {
    inline: [Reached; Frontier::INLINE],
    len: usize,
    spilled: Vec<Reached>,
}

impl Frontier {
    const INLINE: usize = 8;

    #[inline]
    fn new() -> Self {
        let unused = Reached { node: ROOT, path: ROOT_PATH };
        Self { inline: [unused; Self::INLINE], len: 0, spilled: Vec::new() }
    }

    #[inline]
    fn push(&mut self, reached: Reached) {
        if let Some(cell) = self.inline.get_mut(self.len) {
            *cell = reached;
            self.len += 1;
        } else {
            self.spilled.push(reached);
        }
    }

    #[inline]
    fn clear(&mut self) {
        self.len = 0;
        self.spilled.clear();
    }

    #[inline]
    fn len(&self) -> usize {
        self.len + self.spilled.len()
    }

    #[inline]
    fn get(&self, at: usize) -> Reached {
        match self.inline.get(at) {
            Some(&reached) => reached,
            None => self.spilled[at - Self::INLINE],
        }
    }
}
