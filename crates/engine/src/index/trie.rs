//! Owns the trie of wildcard filters: which of them match a topic. Each filter stands for a `u32` that its owner chose.
//! Must not know subscribers, shards or exact filters.
//!
//! All edges are in one hash table keyed by (parent, level), so a node costs 32 bytes however many children it has.
//! A node is visited at most once a walk, and no walk or change recurses, whatever the number of levels.

use hashbrown::HashTable;

use super::hash::{NONE, Seed, reserve_one, text_bytes};
use super::level::{Level, split};

const ROOT: u32 = 0;

/// One level of one or more filters; 32 bytes.
#[derive(Debug, Clone, Copy)]
struct Node {
    level: Level,
    /// A free node keeps the next free one here.
    parent: u32,
    /// The child for `+`.
    plus: u32,
    /// The filter that ends with this level.
    here: u32,
    /// The filter that goes on with `#` as its last level.
    multi: u32,
    /// How many children for literal levels there are in the table of edges.
    literals: u32,
}

impl Node {
    fn new(parent: u32, level: Level) -> Self {
        Self { level, parent, plus: NONE, here: NONE, multi: NONE, literals: 0 }
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
    edges: HashTable<u32>,
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
            edges: HashTable::new(),
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
            + self.edges.allocation_size()
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
        // [MQTT-4.7.2-1] [MQTT3-4.7.2-1] a leading wildcard does not match a topic that begins with `$`.
        let mut plus_matches = !topic.starts_with('$');
        let root = &self.nodes[ROOT as usize];
        if plus_matches && root.multi != NONE {
            emit(root.multi);
        }
        let mut frontiers = (Frontier::new(), Frontier::new());
        let (mut active, mut next) = (&mut frontiers.0, &mut frontiers.1);
        active.push(ROOT);
        let mut rest = topic.as_bytes();
        loop {
            let (text, tail) = split(rest);
            // [MQTT-4.7.3-4] [MQTT3-4.7.3-4] levels are compared byte for byte.
            let level = Level::pack(&self.seed, text);
            next.clear();
            let mut reach = |id: u32| {
                let node = &self.nodes[id as usize];
                if node.multi != NONE {
                    emit(node.multi); // `#` stands for the parent level as well
                }
                match tail {
                    Some(_) if node.plus != NONE || node.literals != 0 => next.push(id),
                    None if node.here != NONE => emit(node.here),
                    _ => {}
                }
            };
            active.for_each(|id| {
                let node = &self.nodes[id as usize];
                if node.plus != NONE && plus_matches {
                    reach(node.plus);
                }
                if node.literals != 0
                    && let Some(child) = self.child(id, level, text)
                {
                    reach(child);
                }
            });
            let Some(tail) = tail else { return };
            if next.is_empty() {
                return;
            }
            plus_matches = true;
            rest = tail;
            core::mem::swap(&mut active, &mut next);
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
        let mut node = ROOT;
        let mut rest = filter.as_bytes();
        loop {
            let (text, tail) = split(rest);
            match text {
                b"#" => return Some(Place { node, multi: true }),
                b"+" => node = Some(self.nodes[node as usize].plus).filter(|&id| id != NONE)?,
                _ => node = self.child(node, Level::pack(&self.seed, text), text)?,
            }
            match tail {
                None => return Some(Place { node, multi: false }),
                Some(tail) => rest = tail,
            }
        }
    }

    /// Where `filter` ends; adds the levels that are missing. The caller gives the place a number at once.
    pub(crate) fn ensure(&mut self, filter: &str) -> Place {
        if self.nodes.is_empty() {
            self.nodes.push(Node::new(NONE, Level::PLUS));
        }
        let mut node = ROOT;
        let mut rest = filter.as_bytes();
        loop {
            let (text, tail) = split(rest);
            match text {
                b"#" => {
                    debug_assert!(tail.is_none(), "a filter is checked before it is stored");
                    return Place { node, multi: true };
                }
                b"+" => node = self.ensure_plus(node),
                _ => node = self.ensure_child(node, text),
            }
            match tail {
                None => return Place { node, multi: false },
                Some(tail) => rest = tail,
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
        let mut id = place.node;
        while id != ROOT && self.nodes[id as usize].is_unused() {
            id = self.unlink(id);
        }
    }

    #[inline]
    fn child(&self, parent: u32, level: Level, text: &[u8]) -> Option<u32> {
        let found = self.edges.find(level.edge_hash(&self.seed, parent), |&child| {
            let node = &self.nodes[child as usize];
            node.parent == parent
                && node.level.high == level.high
                && (node.level.low == level.low
                    || (level.is_long() && self.is_long_text(node.level, level, text)))
        });
        found.copied()
    }

    #[cold]
    fn is_long_text(&self, of_node: Level, level: Level, text: &[u8]) -> bool {
        of_node.low >> 32 == level.low >> 32
            && matches!(&self.long[of_node.low as u32 as usize], LongText::Text(own) if **own == *text)
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

    fn ensure_child(&mut self, parent: u32, text: &[u8]) -> u32 {
        let mut level = Level::pack(&self.seed, text);
        if let Some(child) = self.child(parent, level, text) {
            return child;
        }
        if level.is_long() {
            level.low |= u64::from(self.take_long(text));
        }
        let id = self.take_node(Node::new(parent, level));
        self.nodes[parent as usize].literals += 1;
        let (seed, nodes) = (&self.seed, &self.nodes);
        self.edges.insert_unique(level.edge_hash(seed, parent), id, |&id| {
            let node = &nodes[id as usize];
            node.level.edge_hash(seed, node.parent)
        });
        id
    }

    /// Takes a node out of its parent, frees it, and names the parent.
    fn unlink(&mut self, id: u32) -> u32 {
        let Node { level, parent, .. } = self.nodes[id as usize];
        if level.is_plus() {
            self.nodes[parent as usize].plus = NONE;
        } else {
            let hash = level.edge_hash(&self.seed, parent);
            let edge = self.edges.find_entry(hash, |&child| child == id);
            edge.expect("a literal node has an edge").remove();
            self.nodes[parent as usize].literals -= 1;
            if level.is_long() {
                self.free_long(level.low as u32);
            }
        }
        self.nodes[id as usize] = Node::new(self.free_node, Level::PLUS);
        self.free_node = id;
        parent
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

/// The nodes that a walk has reached on one level. Few in practice, so the first ones need no allocation.
struct Frontier {
    inline: [u32; Frontier::INLINE],
    len: usize,
    spilled: Vec<u32>,
}

impl Frontier {
    const INLINE: usize = 16;

    #[inline]
    fn new() -> Self {
        Self { inline: [0; Self::INLINE], len: 0, spilled: Vec::new() }
    }

    #[inline]
    fn push(&mut self, node: u32) {
        if let Some(cell) = self.inline.get_mut(self.len) {
            *cell = node;
            self.len += 1;
        } else {
            self.spilled.push(node);
        }
    }

    #[inline]
    fn clear(&mut self) {
        self.len = 0;
        self.spilled.clear();
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    fn for_each(&self, f: impl FnMut(u32)) {
        self.inline[..self.len].iter().chain(&self.spilled).copied().for_each(f);
    }
}
