//! A program without std and without alloc that decodes and encodes an MQTT packet.
//!
//! Owns the proof that martlet-proto works in such a program. It has its own panic handler (with
//! std in the program there would be two, an error) and no allocator (with alloc in it one would
//! be missing, an error). Exit status 0: the packet came out as it went in.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use martlet_proto::{Framing, Sender, SliceBuf, Version, decode, frame};

/// A PUBLISH with QoS 1, topic `a/b`, packet identifier 10, payload `hi`, for MQTT 3.1.1.
const PUBLISH: [u8; 11] = [0x32, 9, 0, 3, b'a', b'/', b'b', 0, 10, b'h', b'i'];

// SAFETY: nothing is declared; the C library brings the program's entry and `memcpy`.
#[link(name = "c")]
unsafe extern "C" {}

/// What the C library calls.
// SAFETY: the only symbol of this name in the program.
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    i32::from(!survives(&PUBLISH))
}

/// Whether a packet comes out of decode and encode as it went in.
fn survives(bytes: &[u8]) -> bool {
    let Ok(Framing::Complete(whole)) = frame(bytes, 1024) else { return false };
    let Ok(packet) = decode(&whole, Version::V311, Sender::Client) else { return false };
    let mut room = [0; 64];
    let mut out = SliceBuf::new(&mut room);
    packet.put(Version::V311, &mut out);
    let length = packet.encoded_len(Version::V311);
    room.get(..length) == Some(bytes)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
