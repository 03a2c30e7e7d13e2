//! The client role against scripted servers, on a clock that is a number: one file a behaviour.

mod ack_order;
mod aliases;
mod authentication;
mod goodbye;
mod handshake;
mod keep_alive;
mod packet_size;
mod pieces;
mod publish_limits;
mod qos1;
mod qos2;
mod receive_maximum;
mod requests;
mod resume;
mod scripted;
mod session_present;
mod violations;
