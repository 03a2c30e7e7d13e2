//! One table of named packets: bytes, version, sender, and what they decode to or which fault they
//! have.
//!
//! The rows come from the examples of the standards, from what real clients and a real server put
//! on the wire (Mosquitto 2.0, Eclipse Paho for Python 2.2), and one row for each rule about bytes.
//! In the column of bytes, hexadecimal stands as it is, and what is in quotes is ASCII.

mod acks;
mod connack;
mod connect;
mod framing;
mod publish;
mod subscribe;
mod summary;

use std::collections::BTreeSet;

use martlet_proto::{
    DecodeError, DecodeErrorKind, Frame, Framing, Packet, PacketType, ReasonCode, Sender, Version,
    decode, frame,
};

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    name: &'static str,
    version: Version,
    sender: Sender,
    bytes: &'static str,
    expect: Expect,
}

#[derive(Debug, Clone, Copy)]
enum Expect {
    /// Decodes to this, and is written in the same bytes.
    Same(&'static str),
    /// Decodes to this; Martlet writes it in another form that decodes to the same.
    Other(&'static str),
    /// Is refused, with this reason code.
    Fault(DecodeErrorKind, u8),
    /// More bytes are needed; the length of the whole packet, if known.
    Incomplete(Option<usize>),
}

const fn same(
    name: &'static str,
    version: Version,
    sender: Sender,
    bytes: &'static str,
    summary: &'static str,
) -> Case {
    Case { name, version, sender, bytes, expect: Expect::Same(summary) }
}

const fn other(
    name: &'static str,
    version: Version,
    sender: Sender,
    bytes: &'static str,
    summary: &'static str,
) -> Case {
    Case { name, version, sender, bytes, expect: Expect::Other(summary) }
}

const fn fault(
    name: &'static str,
    version: Version,
    sender: Sender,
    bytes: &'static str,
    kind: DecodeErrorKind,
    reason: u8,
) -> Case {
    Case { name, version, sender, bytes, expect: Expect::Fault(kind, reason) }
}

const fn part(name: &'static str, bytes: &'static str, total: Option<usize>) -> Case {
    let (version, sender) = (Version::V5, Sender::Client);
    Case { name, version, sender, bytes, expect: Expect::Incomplete(total) }
}

/// The greatest packet that the table assumes a receiver to take.
const PACKET_SIZE_MAX: usize = 1 << 20;

fn cases() -> impl Iterator<Item = &'static Case> {
    [connect::CASES, connack::CASES, publish::CASES, acks::CASES, subscribe::CASES, framing::CASES]
        .into_iter()
        .flatten()
}

/// The bytes of a row.
fn bytes_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, piece) in text.split('\'').enumerate() {
        if at % 2 == 1 {
            bytes.extend_from_slice(piece.as_bytes());
            continue;
        }
        let digits: Vec<u32> = piece
            .chars()
            .filter(|one| !one.is_whitespace())
            .map(|c| c.to_digit(16).unwrap())
            .collect();
        assert!(digits.len().is_multiple_of(2), "half a byte in {text}");
        bytes.extend(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8));
    }
    bytes
}

fn whole(bytes: &[u8]) -> Result<Option<Frame<'_>>, DecodeError> {
    match frame(bytes, PACKET_SIZE_MAX)? {
        Framing::Complete(frame) => Ok(Some(frame)),
        Framing::Incomplete { .. } => Ok(None),
    }
}

fn try_decode(bytes: &[u8], version: Version, sender: Sender) -> Result<Packet<'_>, DecodeError> {
    let frame = whole(bytes)?.expect("the row has a whole packet");
    assert_eq!(frame.len, bytes.len(), "the row has one packet and nothing else");
    decode(&frame, version, sender)
}

fn check_written(packet: &Packet<'_>, bytes: &[u8], case: &Case, exact: bool) {
    let mut written = Vec::new();
    packet.put(case.version, &mut written);
    assert_eq!(packet.encoded_len(case.version), written.len(), "length of {}", case.name);
    if exact {
        assert_eq!(written, bytes, "bytes of {}", case.name);
    }
    let again = try_decode(&written, case.version, case.sender);
    assert_eq!(again.as_ref(), Ok(packet), "decoded again: {}", case.name);
}

#[test]
fn every_row_decodes_as_it_says() {
    let mut wrong = Vec::new();
    for case in cases() {
        let bytes = bytes_of(case.bytes);
        let got = match frame(&bytes, PACKET_SIZE_MAX) {
            Ok(Framing::Incomplete { total }) => format!("incomplete {total:?}"),
            Ok(Framing::Complete(_)) => match try_decode(&bytes, case.version, case.sender) {
                Ok(packet) => summary::of(&packet),
                Err(error) => format!("{:?} 0x{:02X}", error.kind(), error.reason() as u8),
            },
            Err(error) => format!("{:?} 0x{:02X}", error.kind(), error.reason() as u8),
        };
        let expected = match case.expect {
            Expect::Same(summary) | Expect::Other(summary) => summary.to_string(),
            Expect::Fault(kind, reason) => format!("{kind:?} 0x{reason:02X}"),
            Expect::Incomplete(total) => format!("incomplete {total:?}"),
        };
        if got != expected {
            wrong.push(format!("{}\n  expected {expected}\n  got      {got}", case.name));
        }
    }
    assert!(wrong.is_empty(), "rows that decode differently:\n{}", wrong.join("\n"));
}

#[test]
fn every_good_row_is_written_again() {
    for case in cases() {
        let bytes = bytes_of(case.bytes);
        let exact = match case.expect {
            Expect::Same(_) => true,
            Expect::Other(_) => false,
            Expect::Fault(..) | Expect::Incomplete(_) => continue,
        };
        let packet = try_decode(&bytes, case.version, case.sender).expect(case.name);
        check_written(&packet, &bytes, case, exact);
    }
}

#[test]
fn names_are_unique_and_rows_are_many() {
    let names: BTreeSet<_> = cases().map(|case| case.name).collect();
    assert_eq!(names.len(), cases().count());
    assert!(names.len() >= 150);
}

#[test]
fn the_beginning_of_a_good_row_is_incomplete() {
    for case in cases() {
        let bytes = bytes_of(case.bytes);
        if matches!(case.expect, Expect::Same(_) | Expect::Other(_)) {
            for end in 0..bytes.len() {
                match frame(&bytes[..end], PACKET_SIZE_MAX) {
                    Ok(Framing::Incomplete { total: None }) => {}
                    Ok(Framing::Incomplete { total }) => assert_eq!(total, Some(bytes.len())),
                    other => panic!("{}: {end} bytes gave {other:?}", case.name),
                }
            }
        }
    }
}

/// No row with a changed byte, and no row with its body cut short, does more than decode or fail.
#[test]
fn damaged_rows_do_not_panic() {
    for case in cases() {
        let bytes = bytes_of(case.bytes);
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7F, 0x80, 0xC0, 0xFF, bytes[at] ^ 1, bytes[at] ^ 0x80] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                try_all(&damaged);
            }
        }
        if let Ok(Some(frame)) = whole(&bytes) {
            for end in 0..frame.body.len() {
                decode_all(&Frame { body: &frame.body[..end], ..frame });
            }
        }
    }
}

fn try_all(bytes: &[u8]) {
    if let Ok(Some(frame)) = whole(bytes) {
        decode_all(&frame);
    }
}

fn decode_all(frame: &Frame<'_>) {
    for version in [Version::V31, Version::V311, Version::V5] {
        for sender in [Sender::Client, Sender::Server] {
            match decode(frame, version, sender) {
                Ok(packet) => {
                    let mut written = Vec::new();
                    packet.put(version, &mut written);
                    assert_eq!(try_decode(&written, version, sender), Ok(packet));
                }
                Err(error) => assert!(!format!("{error}").is_empty() && error.reason().is_error()),
            }
        }
    }
}

/// Between them the rows have every packet type in every version and direction it exists in, and
/// every kind of fault.
#[test]
fn the_table_is_complete() {
    let mut packets = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    for case in cases() {
        let bytes = bytes_of(case.bytes);
        match case.expect {
            Expect::Same(_) | Expect::Other(_) => {
                let packet = try_decode(&bytes, case.version, case.sender).expect(case.name);
                packets.insert((
                    packet.packet_type() as u8,
                    case.version,
                    case.sender == Sender::Client,
                ));
            }
            Expect::Fault(kind, _) => {
                let name = format!("{kind:?}");
                kinds.insert(name.split('(').next().unwrap().to_string());
            }
            Expect::Incomplete(_) => {}
        }
    }
    for packet in PacketType::ALL {
        for version in [Version::V31, Version::V311, Version::V5] {
            for sender in [Sender::Client, Sender::Server] {
                if packet.sent_by(sender, version) {
                    let key = (packet as u8, version, sender == Sender::Client);
                    assert!(packets.contains(&key), "no {packet} of {version} from {sender:?}");
                }
            }
        }
    }
    assert_eq!(kinds.len(), 42, "kinds of faults: {kinds:#?}");
}

#[test]
fn every_fault_names_its_clause() {
    for case in cases() {
        if let Expect::Fault(kind, reason) = case.expect {
            assert_eq!(kind.reason() as u8, reason);
            let clause = kind.clause();
            assert!(clause.starts_with("MQTT") || clause.starts_with("section "), "{clause}");
            assert!(DecodeError::from(kind).to_string().ends_with(&format!("({clause})")));
            assert!(!kind.to_string().contains("what the standard does not allow"), "{kind:?}");
            // What a server may answer with. [MQTT-3.2.2-8] [MQTT-3.14.2-1]
            let reason = kind.reason();
            assert!(
                reason.allowed_in(PacketType::Disconnect)
                    || reason == ReasonCode::UnsupportedProtocolVersion
            );
        }
    }
}
