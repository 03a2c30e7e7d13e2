//! `martlet pub` and `martlet sub` as processes, against scripted servers on loopback.

mod publish;
mod scripted;
mod subscribe;
