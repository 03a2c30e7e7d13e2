//! Share groups whose home is this shard: who belongs to each, whose turn it is. Must not know
//! where the members' connections are, nor routing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::SessionKey;

/// A member of a group.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) session: SessionKey,
    /// Subscription options as bits.
    pub(crate) options: u8,
    /// 0: none.
    pub(crate) subscription_id: u32,
    /// Whether it has a connection.
    pub(crate) online: bool,
    /// Whether what it gets has to be made durable.
    pub(crate) durable: bool,
}

impl Member {
    /// Whether its session keeps messages for it: not with QoS 0 granted.
    fn takes_what_waits(&self) -> bool {
        self.options & 0b11 != 0
    }
}

/// The subscribers that share one filter under one name.
#[derive(Debug)]
pub(crate) struct Group {
    /// The whole filter, `$share/NAME/FILTER`.
    pub(crate) filter: Arc<str>,
    pub(crate) members: Vec<Member>,
    next: usize,
}

impl Group {
    /// The member whose turn it is: connected ones in turn; without any, for a message that can
    /// wait, the others in turn. Never `except`.
    pub(crate) fn choose(&mut self, can_wait: bool, except: Option<SessionKey>) -> Option<Member> {
        let count = self.members.len();
        let eligible = |member: &Member| Some(member.session) != except;
        let in_turn = |online: bool| {
            let turn = (0..count).map(|step| (self.next + step) % count);
            turn.into_iter().find(|i| {
                let member = &self.members[*i];
                eligible(member) && (member.online || !online && member.takes_what_waits())
            })
        };
        let index = in_turn(true).or_else(|| if can_wait { in_turn(false) } else { None })?;
        self.next = (index + 1) % count;
        Some(self.members[index].clone())
    }
}

/// All groups of a shard.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    by_filter: BTreeMap<Arc<str>, u32>,
    slots: Vec<Option<Group>>,
    free: Vec<u32>,
}

impl Groups {
    pub(crate) fn find(&self, filter: &str) -> Option<u32> {
        self.by_filter.get(filter).copied()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Group> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Adds or replaces a member; whether the group is new.
    pub(crate) fn join(&mut self, filter: &str, member: Member) -> (u32, bool) {
        if let Some(slot) = self.find(filter) {
            let group = self.get_mut(slot).expect("named groups exist");
            match group.members.iter_mut().find(|known| known.session == member.session) {
                Some(known) => *known = member,
                None => group.members.push(member),
            }
            return (slot, false);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        let filter: Arc<str> = filter.into();
        let group = Group { filter: Arc::clone(&filter), members: vec![member], next: 0 };
        self.slots[slot as usize] = Some(group);
        self.by_filter.insert(filter, slot);
        (slot, true)
    }

    /// Removes a member. The slot of the group when that was the last one; the group is gone then.
    pub(crate) fn leave(&mut self, filter: &str, session: SessionKey) -> Option<u32> {
        let slot = self.find(filter)?;
        let group = self.get_mut(slot).expect("named groups exist");
        group.members.retain(|member| member.session != session);
        if !group.members.is_empty() {
            return None;
        }
        self.slots[slot as usize] = None;
        self.free.push(slot);
        self.by_filter.remove(filter);
        Some(slot)
    }

    /// Whether a member of the group is a durable session.
    pub(crate) fn is_durable(&self, filter: &str) -> bool {
        let group = self.find(filter).and_then(|slot| self.slots[slot as usize].as_ref());
        group.is_some_and(|group| group.members.iter().any(|member| member.durable))
    }

    /// A member's connection came or went.
    pub(crate) fn set_online(&mut self, filter: &str, session: SessionKey, online: bool) {
        let Some(slot) = self.find(filter) else { return };
        let group = self.get_mut(slot).expect("named groups exist");
        if let Some(member) = group.members.iter_mut().find(|m| m.session == session) {
            member.online = online;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_filter.len()
    }

    pub(crate) fn check_invariants(&self, indexed: usize) {
        assert_eq!(self.len(), indexed, "every group is indexed once");
        for (filter, slot) in &self.by_filter {
            let group = self.slots[*slot as usize].as_ref().expect("named groups exist");
            assert_eq!(&group.filter, filter, "the name leads to its group");
            assert!(!group.members.is_empty(), "an empty group is removed");
        }
    }
}
