//! The scripted authentication port: verdicts late and out of order. Must not know connections.

use martlet_engine::{AuthRequest, AuthStep, Verdict};
use martlet_proto::ReasonCode;

use crate::host::Letter;
use crate::random::Random;
use crate::world::World;

/// Answers one of the open questions, whichever.
pub(crate) fn answer_one(world: &mut World, random: &mut Random) {
    if world.questions.is_empty() {
        return;
    }
    let at = random.below(world.questions.len());
    let (shard, request) = world.questions.remove(at);
    let verdict = judge(&request, random);
    let (step, who) = (world.step, &request.client_id);
    world.trace.line(step, format_args!("port: {who}: {verdict:?}"));
    world.hosts[shard].mailbox.push_back(Letter::Verdict(request.token, verdict));
}

/// `good` is let in, now or after another question; anything else is not.
fn judge(request: &AuthRequest, random: &mut Random) -> Verdict {
    let (secret, is_enhanced) = match &request.step {
        AuthStep::Connect { password, method: None, .. } => (password, false),
        AuthStep::Connect { data, .. }
        | AuthStep::Continue { data, .. }
        | AuthStep::ReAuthenticate { data, .. } => (data, true),
    };
    if is_enhanced && random.chance(40) {
        return Verdict::Continue { data: Some(b"and?".as_slice().into()) };
    }
    match secret.as_deref() == Some(b"good") {
        true => Verdict::Allow { data: None },
        false => Verdict::Refuse { reason: ReasonCode::NotAuthorized },
    }
}
