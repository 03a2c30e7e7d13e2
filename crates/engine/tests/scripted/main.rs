//! The scripted tests of the engine: one file per kind of event. Every script runs on one, two and
//! eight shards, with whole packets and with packets that come byte by byte, and must give the same
//! result.

mod rig;

mod aliases;
mod auth;
mod backpressure;
mod connect;
mod disconnect;
mod expiry;
mod keep_alive;
mod limits;
mod malformed;
mod ordering;
mod overlapping;
mod publish_qos;
mod retained_replay;
mod sessions;
mod shared;
mod subscribe;
mod sys_topics;
mod takeover;
mod unsubscribe;
mod wills;
