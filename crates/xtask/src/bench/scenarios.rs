//! The scenarios and what Martlet has to reach in each.
//!
//! Owns their table. One row, one scenario.

use super::run::Broker;

/// What a goal is held against.
pub(super) enum Goal {
    /// At most so many times the floor's CPU per delivery in the same scenario.
    CpuToFloor(f64),
    /// At most so many times the floor's CPU per delivery in p2p0: the floor knows QoS 0 only.
    CpuToFloorP2p0(f64),
    /// At most so many times the floor's median latency.
    LatencyToFloor(f64),
    /// At most so many bytes of user space per idle connection, and CPU microseconds per connect.
    Idle { bytes: f64, connect_us: f64 },
    /// Measured for the record.
    None,
}

/// One way to load a broker.
pub(super) struct Scenario {
    /// Its name in the tables and on the command line.
    pub(super) name: &'static str,
    /// What it is, in a few words.
    pub(super) about: &'static str,
    /// mload's arguments.
    pub(super) load: &'static [&'static str],
    /// What is to be reached.
    pub(super) goal: Goal,
    /// Whether the floor can do it: QoS 0 and exact topics only.
    pub(super) floor: bool,
}

impl Scenario {
    /// Whether a broker can do it.
    pub(super) fn suits(&self, broker: Broker) -> bool {
        self.floor || broker != Broker::Floor
    }
}

/// `p2p1` may cost 1.0 us and `p2p2` 1.7 us where the floor's p2p0 costs 0.24 us.
const FLOOR_P2P0_US: f64 = 0.24;

/// All scenarios in the order of the tables.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "p2p0",
        about: "500 pairs, QoS 0, 16 undelivered messages a topic",
        load: &[
            "--pubs", "500", "--subs", "500", "--topics", "500", "--qos", "0", "--window", "16",
        ],
        goal: Goal::CpuToFloor(2.0),
        floor: true,
    },
    Scenario {
        name: "p2p0w1",
        about: "500 pairs, QoS 0, one undelivered message a topic",
        load: &["--pubs", "500", "--subs", "500", "--topics", "500", "--qos", "0", "--window", "1"],
        goal: Goal::CpuToFloor(1.25),
        floor: true,
    },
    Scenario {
        name: "p2p0v5",
        about: "p2p0 with MQTT 5",
        load: &[
            "--pubs", "500", "--subs", "500", "--topics", "500", "--qos", "0", "--window", "16",
            "--v5",
        ],
        goal: Goal::None,
        floor: true,
    },
    Scenario {
        name: "fanout0",
        about: "5 publishers to 200 subscribers each, QoS 0",
        load: &["--pubs", "5", "--subs", "1000", "--topics", "5", "--qos", "0", "--window", "4"],
        goal: Goal::CpuToFloor(1.3),
        floor: true,
    },
    Scenario {
        name: "fanout1",
        about: "5 publishers to 200 subscribers each, QoS 1",
        load: &["--pubs", "5", "--subs", "1000", "--topics", "5", "--qos", "1", "--window", "4"],
        goal: Goal::None,
        floor: false,
    },
    Scenario {
        name: "fanin0",
        about: "1000 publishers, one # subscriber, QoS 0",
        load: &[
            "--pubs", "1000", "--subs", "1", "--topics", "1000", "--qos", "0", "--window", "4",
            "--wild", "2",
        ],
        goal: Goal::None,
        floor: false,
    },
    Scenario {
        name: "big",
        about: "50 pairs, QoS 0, payload 64 KiB",
        load: &[
            "--pubs",
            "50",
            "--subs",
            "50",
            "--topics",
            "50",
            "--qos",
            "0",
            "--payload",
            "65536",
            "--window",
            "4",
        ],
        goal: Goal::CpuToFloor(1.3),
        floor: true,
    },
    Scenario {
        name: "p2p1",
        about: "500 pairs, QoS 1",
        load: &[
            "--pubs", "500", "--subs", "500", "--topics", "500", "--qos", "1", "--window", "16",
        ],
        goal: Goal::CpuToFloorP2p0(1.0 / FLOOR_P2P0_US),
        floor: false,
    },
    Scenario {
        name: "p2p2",
        about: "500 pairs, QoS 2",
        load: &[
            "--pubs", "500", "--subs", "500", "--topics", "500", "--qos", "2", "--window", "16",
        ],
        goal: Goal::CpuToFloorP2p0(1.7 / FLOOR_P2P0_US),
        floor: false,
    },
    Scenario {
        name: "idle",
        about: "8000 idle connections",
        load: &["--pubs", "0", "--subs", "0", "--idle", "8000"],
        goal: Goal::Idle { bytes: 700.0, connect_us: 10.0 },
        floor: true,
    },
    Scenario {
        name: "lat",
        about: "100 pairs, QoS 0, 10,000 messages/s",
        load: &[
            "--pubs", "100", "--subs", "100", "--topics", "100", "--qos", "0", "--rate", "10000",
        ],
        goal: Goal::LatencyToFloor(1.3),
        floor: true,
    },
];
