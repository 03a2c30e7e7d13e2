//! The state machines of one MQTT peer, both roles, without I/O, clocks, threads or randomness.
//!
//! Two lifetimes run through the crate: what dies with the network connection (topic aliases,
//! negotiated limits, keep alive) and what survives it (the QoS 1 and 2 flows, packet
//! identifiers). [`outgoing`], [`incoming`] and [`alias`] are the parts that both roles share;
//! [`client`] is the client role. Nothing here knows sockets, routing, stores or files: time
//! comes in as an argument, bytes come in as slices and go out into a caller's buffer.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod alias;
pub mod client;
pub mod incoming;
pub mod outgoing;
pub mod server;
