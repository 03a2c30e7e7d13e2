//! What happened, as one number and, on demand, as lines. Must not know what the lines mean.

use std::fmt;

/// The trace of a run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    printing: bool,
}

impl Trace {
    /// A trace that prints its lines or not.
    #[must_use]
    pub fn new(printing: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, printing }
    }

    /// Takes bytes into the hash.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Takes numbers into the hash.
    pub fn numbers(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3);
            self.hash ^= self.hash >> 29;
        }
    }

    /// Prints a line, when lines are wanted.
    #[allow(clippy::print_stdout)] // --trace asks for it
    pub fn line(&self, step: u64, line: fmt::Arguments<'_>) {
        if self.printing {
            println!("{step:>6} {line}");
        }
    }

    /// The number that stands for the run so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }
}
