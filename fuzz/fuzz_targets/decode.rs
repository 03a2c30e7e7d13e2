//! Any bytes through frame and decode, as every version and from both senders.
//!
//! Owns three claims: decoding never panics; what decodes can be written again so that it reads the
//! same; and a part of a stream is judged as the whole is. Knows nothing of sessions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use martlet_proto::{Framing, Packet, Sender, Version, connect_version, decode, frame};

/// Larger than any input that libFuzzer tries.
const PACKET_SIZE_MAX: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((&head, stream)) = input.split_first() else { return };
    let version = match head % 3 {
        0 => Version::V31,
        1 => Version::V311,
        _ => Version::V5,
    };
    let sender = if head & 0x80 == 0 { Sender::Client } else { Sender::Server };
    check_parts(stream);
    let mut rest = stream;
    while let Ok(Framing::Complete(whole)) = frame(rest, PACKET_SIZE_MAX) {
        assert!(whole.len <= rest.len() && whole.body.len() < whole.len);
        rest = &rest[whole.len..];
        let _ = connect_version(&whole);
        if let Ok(packet) = decode(&whole, version, sender) {
            check_round_trip(&packet, version, sender);
        }
    }
});

/// What is said of the first bytes stays true when more arrive.
fn check_parts(stream: &[u8]) {
    let whole = frame(stream, PACKET_SIZE_MAX);
    for cut in [1, 2, 3, 4, 5, stream.len() / 2, stream.len().saturating_sub(1)] {
        let part = frame(&stream[..cut.min(stream.len())], PACKET_SIZE_MAX);
        match (part, &whole) {
            (Ok(Framing::Complete(part)), Ok(Framing::Complete(whole))) => {
                assert_eq!(part.len, whole.len);
            }
            (Ok(Framing::Incomplete { total: Some(total) }), Ok(Framing::Complete(whole))) => {
                assert_eq!(total, whole.len);
            }
            (Ok(Framing::Incomplete { .. }), _) => {}
            (Err(part), Err(whole)) => assert_eq!(part, *whole),
            (part, whole) => panic!("{part:?}, but with more bytes {whole:?}"),
        }
    }
}

/// Written and read again it is the same packet, and its length was told before.
fn check_round_trip(packet: &Packet<'_>, version: Version, sender: Sender) {
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let mut first = Vec::new();
    packet.put(version, &mut first);
    assert_eq!(first.len(), packet.encoded_len(version), "{packet:?}");
    let Ok(Framing::Complete(whole)) = frame(&first, PACKET_SIZE_MAX) else {
        panic!("cannot frame what was written: {packet:?}");
    };
    assert_eq!(whole.len, first.len());
    match decode(&whole, version, sender) {
        Ok(again) => {
            let mut second = Vec::new();
            again.put(version, &mut second);
            assert_eq!(first, second, "{packet:?}");
        }
        Err(error) => panic!("cannot read what was written: {error}: {packet:?}"),
    }
}
