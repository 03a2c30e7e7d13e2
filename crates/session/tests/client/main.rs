//! The client role against scripted servers, on a clock that is a number: one file a behaviour.

mod qos1;
mod qos2;
mod resume;
mod scripted;
mod session_present;
