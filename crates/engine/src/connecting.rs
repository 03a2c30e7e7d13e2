//! A CONNECT that was taken and waits for its verdict: what has to be remembered of it. Must not
//! know who judges.

use martlet_proto::{Connect, Will as WillFields};
use martlet_session::server::Grant;

use crate::frame_pool::FramePool;
use crate::ids::Publisher;
use crate::message::{NEVER, PublishView};
use crate::will::Will;

/// The owned rest of a CONNECT.
#[derive(Debug)]
pub(crate) struct Connecting {
    pub(crate) client_id: Box<str>,
    /// The server chose the identifier.
    pub(crate) assigned: bool,
    pub(crate) clean_start: bool,
    pub(crate) grant: Grant,
    pub(crate) will: Option<Box<Will>>,
    pub(crate) response_information: bool,
}

impl Connecting {
    pub(crate) fn new(
        connect: &Connect<'_>,
        client_id: &str,
        grant: Grant,
        frames: &mut FramePool,
    ) -> Self {
        Self {
            client_id: client_id.into(),
            assigned: connect.client_id.is_empty(),
            clean_start: connect.clean_start,
            grant,
            will: connect.will.as_ref().map(|will| Box::new(keep_will(will, frames))),
            response_information: connect.properties.request_response_information,
        }
    }
}

/// The Will Message as it will be published [MQTT-3.1.2-7] [MQTT3-3.1.2-8].
fn keep_will(will: &WillFields<'_>, frames: &mut FramePool) -> Will {
    let mut view = PublishView {
        topic: will.topic,
        // [MQTT-3.1.3-10] The forwarded properties keep their order.
        forward: will.forward,
        payload: will.payload,
        qos: will.qos,
        // [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT3-3.1.2-16] [MQTT3-3.1.2-17]
        retain: will.retain,
        expires_at_ms: NEVER,
        origin: Publisher::BROKER,
        body: None,
        frame: None,
        kept: None,
    };
    Will { message: view.keep(frames), delay_s: will.delay_s, expiry_s: will.message_expiry_s }
}
