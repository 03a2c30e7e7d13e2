//! What a client allows is never exceeded. Must not know messages.

use super::Book;

impl Book {
    /// A client has `unfinished` QoS 1 and 2 messages of the broker.
    pub fn check_receive_max(&mut self, client: usize, unfinished: usize) {
        // [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
        let record = &self.clients[client];
        let limit = record.receive_max.min(usize::from(self.limits.in_flight_max));
        if unfinished > limit {
            let text = format!("{} has {unfinished} unfinished messages of {limit}", record.id);
            self.fail("limits", text);
        }
    }

    /// A packet of so many bytes came to a client.
    pub fn check_packet_size(&mut self, client: usize, bytes: usize) {
        // [MQTT-3.1.2-24]
        let record = &self.clients[client];
        if bytes > record.packet_size_max {
            let text = format!("{} gets {bytes} bytes of {}", record.id, record.packet_size_max);
            self.fail("limits", text);
        }
    }

    /// A topic alias came to a client; `is_known` unless the packet sets it.
    pub fn check_alias(&mut self, client: usize, alias: u16, is_known: bool) {
        // [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-8]
        let record = &self.clients[client];
        if alias > record.alias_max || !is_known {
            let text =
                format!("{}: alias {alias} of {}, known: {is_known}", record.id, record.alias_max);
            self.fail("limits", text);
        }
    }
}
