//! Clients that break rules: random bytes, damaged packets, acknowledgements for nothing, endless
//! silence. Nothing they do may harm others. Their topics and identifiers are their own. Must not
//! know the oracles.

use martlet_proto::{
    Ack, Connect, ConnectProperties, Packet, PacketId, Publish, Qos, ReasonCode, Subscribe,
    SubscribeFilters, SubscriptionOptions, UserProperties, Version, Will,
};

use crate::random::Random;
use crate::wire::ClientEnd;
use crate::world::World;

/// One of them.
#[derive(Debug)]
pub struct Evil {
    id: String,
    version: Version,
    /// It damages its packets; else they are well formed and only out of place.
    damages: bool,
    wire: Option<usize>,
}

impl Evil {
    /// A client that has not done anything yet.
    #[must_use]
    pub fn new(number: usize, damages: bool, random: &mut Random) -> Self {
        let version = random.pick(&[Version::V31, Version::V311, Version::V5, Version::V5]);
        let kind = if damages { "evil" } else { "unruly" };
        Self { id: format!("{kind}-{number}"), version, damages, wire: None }
    }

    /// Does something.
    pub fn act(&mut self, world: &mut World, random: &mut Random) {
        world.step += 1;
        let Some(wire) = self.wire else {
            self.wire = Some(world.open(random));
            if !self.damages || random.chance(80) {
                let connect = self.connect(random);
                self.write(world, random, &connect);
            }
            return;
        };
        let transport = &mut world.wires[wire];
        if transport.client_end.is_some() || transport.server_ended {
            transport.client_ends(ClientEnd::Fin, 0);
            transport.stop_reading();
            self.wire = None;
            return;
        }
        match random.below(20) {
            0 => transport.client_ends(ClientEnd::Fin, 0),
            1 => {
                let kept = random.below(transport.readable() + 1);
                transport.client_ends(ClientEnd::Reset, kept);
            }
            2..=5 => {
                let count = random.between(1, 2000);
                transport.client_reads(count);
                world.unblock(wire);
            }
            6 if self.damages => {
                let count = random.between(1, 60);
                let noise: Vec<u8> = (0..count).map(|_| random.bits() as u8).collect();
                transport.client_writes(&noise);
            }
            _ => {
                let packet = self.packet(random);
                self.write(world, random, &packet);
            }
        }
    }

    /// Leaves for good.
    pub fn leave(&mut self, world: &mut World) {
        if let Some(wire) = self.wire.take() {
            world.wires[wire].client_ends(ClientEnd::Reset, 0);
        }
    }

    fn write(&self, world: &mut World, random: &mut Random, packet: &[u8]) {
        let Some(wire) = self.wire else { return };
        let mut packet = packet.to_vec();
        if self.damages && random.chance(40) {
            for _ in 0..random.between(1, 3) {
                let at = random.below(packet.len());
                packet[at] = random.bits() as u8;
            }
        }
        if self.damages && random.chance(5) {
            packet.truncate(random.between(0, packet.len()));
        }
        world.wires[wire].client_writes(&packet);
    }

    fn connect(&self, random: &mut Random) -> Vec<u8> {
        let mut connect = Connect::new(self.version, &self.id, random.chance(30));
        if random.chance(20) {
            connect.will = Some(Will::new("evil/will", b"boo", Qos::AtLeastOnce, false));
        }
        connect.user_name = Some("somebody");
        connect.password = Some(b"good");
        if self.version.is_v5() {
            connect.properties = ConnectProperties {
                session_expiry_s: Some(random.pick(&[0, 10, 1000])),
                receive_max: Some(random.pick(&[1, 2, 5])),
                topic_alias_max: Some(random.pick(&[0, 3])),
                auth_method: random.chance(10).then_some("scripted"),
                ..ConnectProperties::default()
            };
        }
        let mut bytes = Vec::new();
        connect.put(self.version, &mut bytes);
        bytes
    }

    fn packet(&self, random: &mut Random) -> Vec<u8> {
        let id = PacketId::new(random.between(1, 6) as u16);
        let Some(packet_id) = id else { return Vec::new() };
        let ack = Ack::new(packet_id, ReasonCode::Success);
        let options = SubscriptionOptions::new(random.pick(&[Qos::AtLeastOnce, Qos::ExactlyOnce]));
        let wide = if self.damages { "evil/#" } else { random.pick(&["a/#", "+/b", "evil/#"]) };
        let filters = [(wide, options)];
        let publish = |qos: Qos| Publish {
            qos,
            topic: "evil/deed",
            packet_id: if qos == Qos::AtMostOnce { None } else { Some(packet_id) },
            payload: b"whatever",
            ..Publish::default()
        };
        let packet = match random.below(12) {
            0 | 1 => Packet::PubAck(ack),
            2 | 3 => Packet::PubRec(ack),
            4 | 5 => Packet::PubComp(ack),
            6 => Packet::PubRel(ack),
            7 => Packet::PingReq,
            8 => Packet::Publish(publish(Qos::ExactlyOnce)),
            9 => Packet::Publish(publish(random.pick(&[Qos::AtMostOnce, Qos::AtLeastOnce]))),
            _ => Packet::Subscribe(Subscribe {
                packet_id,
                subscription_id: None,
                user_properties: UserProperties::default(),
                filters: SubscribeFilters::from(&filters[..]),
            }),
        };
        let mut bytes = Vec::new();
        packet.put(self.version, &mut bytes);
        bytes
    }
}
