//! The few packets of MQTT 3.1.1 that the load needs, written by hand.
//!
//! Owns their bytes. Shares nothing with the broker's codec, so that a mistake there shows here.

/// Connects; `clean` is the clean session flag. The keep-alive is off.
pub(crate) fn connect(client_id: &str, clean: bool) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x04".to_vec();
    body.extend([if clean { 2 } else { 0 }, 0, 0]);
    put_text(&mut body, client_id);
    frame(0x10, &body)
}

/// Subscribes to one topic with QoS 1.
pub(crate) fn subscribe(topic: &str) -> Vec<u8> {
    let mut body = vec![0, 1];
    put_text(&mut body, topic);
    body.push(1);
    frame(0x82, &body)
}

/// Leaves in order: a session of clean session 0 stays.
pub(crate) const DISCONNECT: [u8; 2] = [0xE0, 0];

/// Acknowledges.
pub(crate) fn puback(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40, 2, high, low]
}

/// A PUBLISH of QoS 1 whose identifier and number are written in place.
pub(crate) struct Publish {
    bytes: Vec<u8>,
    id_at: usize,
}

/// Bytes of the number at the beginning of each payload.
pub(crate) const NUMBER_BYTES: usize = 8;

impl Publish {
    pub(crate) fn new(topic: &str, payload_len: usize) -> Self {
        let mut body = Vec::new();
        put_text(&mut body, topic);
        let id_in_body = body.len();
        body.extend([0, 0]);
        // Text as devices send it: it compresses a little.
        body.extend(b"{\"temperature\":21.5,\"humidity\":48}".iter().cycle().take(payload_len));
        let bytes = frame(0x32, &body);
        let id_at = bytes.len() - body.len() + id_in_body;
        Self { bytes, id_at }
    }

    /// The frame with this identifier and number.
    pub(crate) fn numbered(&mut self, id: u16, number: u64) -> &[u8] {
        self.bytes[self.id_at..][..2].copy_from_slice(&id.to_be_bytes());
        self.bytes[self.id_at + 2..][..NUMBER_BYTES].copy_from_slice(&number.to_be_bytes());
        &self.bytes
    }
}

/// What a broker sends.
pub(crate) enum Packet {
    /// With its return code.
    ConnAck(u8),
    /// With its return code.
    SubAck(u8),
    /// With its identifier (0 for QoS 0) and the number in its payload.
    Publish(u16, u64),
    PubAck(u16),
    /// Something else, by its first byte.
    Other(u8),
}

/// The first packet of `bytes` and its length; `None` when it is not complete.
pub(crate) fn first(bytes: &[u8]) -> Option<(Packet, usize)> {
    let mut len = 0;
    let mut at = 1;
    loop {
        let byte = *bytes.get(at)?;
        len |= usize::from(byte & 0x7F) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let body = bytes.get(at..at + len)?;
    let id = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    let packet = match bytes[0] >> 4 {
        2 => Packet::ConnAck(body[1]),
        9 => Packet::SubAck(body[2]),
        4 => Packet::PubAck(id(0)),
        3 => {
            let topic_end = 2 + usize::from(id(0));
            let with_id = bytes[0] & 6 != 0;
            let payload = &body[topic_end + if with_id { 2 } else { 0 }..];
            let number = payload[..NUMBER_BYTES].try_into().expect("eight bytes");
            Packet::Publish(if with_id { id(topic_end) } else { 0 }, u64::from_be_bytes(number))
        }
        _ => Packet::Other(bytes[0]),
    };
    Some((packet, at + len))
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u16).to_be_bytes());
    bytes.extend(text.as_bytes());
}

fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut len = body.len();
    loop {
        let more = len > 0x7F;
        bytes.push((len & 0x7F) as u8 | if more { 0x80 } else { 0 });
        len >>= 7;
        if !more {
            break;
        }
    }
    bytes.extend(body);
    bytes
}
