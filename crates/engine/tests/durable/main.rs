//! What becomes durable when, and what waits for it: scripts with a store that says what it is told
//! to say. One file per promise. Every script runs on one, two and eight shards, unless it is about
//! some number of them.

mod rig;

mod answers;
mod bodies;
mod full;
mod groups;
mod health;
mod pressure;
mod queues;
mod restore;
mod sending;
