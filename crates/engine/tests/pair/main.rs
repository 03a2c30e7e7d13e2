//! The client role of `martlet-session` against whole shards, over byte pipes on a virtual clock:
//! one file a behaviour. Every script runs on one, two and eight shards with several seeds, which
//! decide who is next and how many bytes come at once, and must give the same result.

mod rig;

mod aliases;
mod assigned_id;
mod authentication;
mod cuts;
mod keep_alive;
mod large;
mod packet_size;
mod qos;
mod receive_maximum;
mod sessions;
mod wills;
