//! One run: clients, shards and time in whatever order chance gives, then the finale. Must not know
//! any rule: it calls the oracles at the moments for which they are made.

use martlet_engine::store::StoreHealth;
use martlet_proto::{Qos, RetainHandling, SubscriptionOptions, Version};

use crate::client::{AckPolicy, Client, Profile, Stage, all_topics};
use crate::evil::Evil;
use crate::finale;
use crate::oracle::{Book, ClientRecord, Failure};
use crate::plan::Plan;
use crate::port;
use crate::random::Random;
use crate::trace::Trace;
use crate::wire::Place;
use crate::world::World;

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The number that stands for everything that happened.
    pub hash: u64,
    /// Steps.
    pub steps: u64,
    /// What was published.
    pub messages: usize,
    /// What was delivered.
    pub deliveries: usize,
    /// The rule that was broken, if one was.
    pub failure: Option<Failure>,
}

/// A run under way.
#[derive(Debug)]
pub struct Run {
    /// Its parameters.
    pub plan: Plan,
    /// Its chance.
    pub random: Random,
    /// The broker.
    pub world: World,
    /// The oracles.
    pub book: Book,
    /// The clients: the monitor first, the probe last.
    pub clients: Vec<Client>,
    /// Somebody does the same again and again, and nothing can be said about the rest.
    pub circles: bool,
    /// The others.
    pub evil: Vec<Evil>,
}

/// Runs one seed.
#[must_use]
pub fn run_seed(seed: u64, printing: bool) -> Outcome {
    let mut run = Run::new(Plan::new(seed), printing);
    run.prologue();
    run.middle();
    if run.book.failure().is_none() {
        finale::finish(&mut run);
    }
    Outcome {
        hash: run.world.trace.hash(),
        steps: run.world.step,
        messages: run.book.messages.len(),
        deliveries: run.book.sessions.iter().map(|session| session.deliveries.len()).sum(),
        failure: run.book.failure().cloned(),
    }
}

/// What the scheduler may choose.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Shard,
    Read,
    Act,
    Evil,
    Time,
    Port,
    Unblock,
    Store,
    Health,
    Monitor,
}

impl Run {
    /// A run as planned; nobody is connected.
    #[must_use]
    pub fn new(plan: Plan, printing: bool) -> Self {
        let mut random = Random::new(plan.seed);
        let trace = Trace::new(printing);
        trace.line(0, format_args!("{plan:?}"));
        let world = World::new(&plan, trace);
        let mut first = monitor();
        if plan.store.as_ref().is_some_and(|store| store.monitored) {
            (first.clean_percent, first.expiry_s) = (0, u32::MAX);
        }
        let mut clients = vec![Client::new(0, "monitor".to_owned(), first)];
        for number in 1..=plan.clients {
            let profile = any_profile(&mut random);
            clients.push(Client::new(number, format!("client-{number}"), profile));
        }
        clients.push(Client::new(plan.clients + 1, "probe".to_owned(), monitor()));
        let evil = (0..plan.evil + plan.unruly)
            .map(|number| Evil::new(number, number < plan.evil, &mut random))
            .collect();
        let records = clients.iter().map(record).collect();
        let mut book = Book::new(records, usize::from(plan.shards), plan.limits.clone());
        book.store = plan.store.is_some();
        book.has_strangers = plan.evil + plan.unruly > 0;
        Self { plan, random, world, book, clients, evil, circles: false }
    }

    /// Lets one client do something.
    pub fn with_client(&mut self, number: usize, act: impl FnOnce(&mut Client, &mut Stage<'_>)) {
        let Self { plan, random, world, book, clients, .. } = self;
        book.step = world.step;
        book.now_ms = world.time_ms();
        let mut stage = Stage { world, book, random, plan };
        act(&mut clients[number], &mut stage);
    }

    /// The monitor subscribes to everything before anything happens.
    pub fn prologue(&mut self) {
        self.with_client(0, |monitor, stage| monitor.connect(stage, true));
        finale::drain(self);
        self.subscribe_monitor();
        finale::drain(self);
    }

    fn subscribe_monitor(&mut self) {
        let mut options = SubscriptionOptions::new(Qos::ExactlyOnce);
        options.retain_handling = RetainHandling::DoNotSend;
        let filters = [("#", options), ("$x/#", options)];
        self.with_client(0, |monitor, stage| monitor.subscribe(stage, &filters, 0));
    }

    /// After a crash the monitor comes back and subscribes anew, if it has to.
    fn keep_monitor(&mut self) {
        let monitor = &self.clients[0];
        let Some(wire) = monitor.wire() else {
            return self.with_client(0, |monitor, stage| monitor.connect(stage, false));
        };
        let session = self.book.session_of(wire).map(|session| &self.book.sessions[session]);
        if monitor.is_open() && session.is_some_and(|session| session.ops.is_empty()) {
            self.subscribe_monitor();
        }
    }

    fn middle(&mut self) {
        let mut acts_left = self.plan.acts;
        // Every act is surrounded by some turns and reads.
        for _ in 0..self.plan.acts * 40 {
            if acts_left == 0 || self.book.failure().is_some() {
                return;
            }
            self.tick(&mut acts_left);
            self.absorb();
        }
    }

    fn tick(&mut self, acts_left: &mut usize) {
        let port = if self.world.questions.is_empty() { 0 } else { 10 };
        let evil = if self.evil.is_empty() { 0 } else { 8 };
        let plan = self.plan.store.as_ref();
        let store = plan.filter(|_| self.world.store_is_runnable()).map_or(0, |plan| plan.weight);
        let health =
            plan.filter(|plan| plan.stalls || plan.sickens || plan.damages).map_or(0, |_| 1);
        if let Some(plan) = plan
            && self.random.below(1000) < plan.crash_permille
        {
            return self.crash();
        }
        let choice = self.random.weighted(&[
            (45, Choice::Shard),
            (30, Choice::Read),
            (18, Choice::Act),
            (evil, Choice::Evil),
            (2, Choice::Time),
            (port, Choice::Port),
            (3, Choice::Unblock),
            (store, Choice::Store),
            (health, Choice::Health),
            (if self.world.life > 0 { 2 } else { 0 }, Choice::Monitor),
        ]);
        match choice {
            Choice::Shard => self.run_a_shard(),
            Choice::Read => self.read_a_client(),
            Choice::Act => {
                *acts_left -= 1;
                let number = self.random.between(1, self.plan.clients);
                self.with_client(number, |client, stage| client.act(stage));
            }
            Choice::Evil => {
                let number = self.random.below(self.evil.len());
                self.evil[number].act(&mut self.world, &mut self.random);
            }
            Choice::Time => self.pass_time(),
            Choice::Port => port::answer_one(&mut self.world, &mut self.random),
            Choice::Store => self.world.run_store(&mut self.random),
            Choice::Health => self.change_health(),
            Choice::Monitor => self.keep_monitor(),
            Choice::Unblock => {
                if !self.world.live.is_empty() {
                    let at = self.random.below(self.world.live.len());
                    let wire = self.world.live[at];
                    self.world.unblock(wire);
                }
            }
        }
    }

    fn run_a_shard(&mut self) {
        let ready: Vec<usize> =
            (0..self.world.hosts.len()).filter(|shard| self.world.is_runnable(*shard)).collect();
        if ready.is_empty() {
            return;
        }
        let shard = self.random.pick(&ready);
        if self.plan.slow_shard == Some(shard) && self.random.chance(90) {
            return;
        }
        self.world.run(shard, &mut self.random);
        if self.random.chance(self.plan.atomic_percent) {
            self.world.finish_chores(shard, &mut self.random);
        }
    }

    /// Something happens to the store, or is over.
    fn change_health(&mut self) {
        let Some(plan) = &self.plan.store else { return };
        let (stalls, sickens, damages) = (plan.stalls, plan.sickens, plan.damages);
        let Some(store) = &mut self.world.store else { return };
        if stalls && self.random.chance(30) {
            self.world.store_stuck = !self.world.store_stuck;
        }
        if sickens && self.random.chance(50) {
            let well = StoreHealth::Healthy;
            store.set_health(match store.health() {
                StoreHealth::Healthy => {
                    self.random.pick(&[StoreHealth::Full, StoreHealth::Failing])
                }
                _ => well,
            });
            self.book.health_changed(store.health());
        }
        if damages && self.random.chance(20) {
            store.damage_one(&mut self.random);
        }
        self.world.step += 1;
        let (step, stuck) = (self.world.step, self.world.store_stuck);
        self.world.trace.line(step, format_args!("the store is stuck: {stuck}"));
        self.world.hear_store();
    }

    fn read_a_client(&mut self) {
        let number = self.random.below(self.clients.len());
        let readable = self.clients[number].readable(&self.world);
        if readable.is_empty() {
            return;
        }
        let wire = self.random.pick(&readable);
        let count = match self.random.below(4) {
            0 => self.random.between(1, 20),
            1 => self.random.between(1, 2000),
            _ => usize::MAX,
        };
        self.with_client(number, |client, stage| client.read(stage, wire, count));
    }

    fn pass_time(&mut self) {
        let most = self.random.pick(&[10, self.plan.time_step_max_ms]);
        let mut by_ms = self.random.between(1, most) as u64;
        if self.random.chance(15)
            && let Some(at_ms) = self.world.next_deadline_ms()
        {
            by_ms = at_ms.saturating_sub(self.world.now.mono_ms).clamp(1, 100_000);
        }
        self.keep_alive(by_ms);
        self.advance(by_ms);
    }

    /// Clients that have to say something within `by_ms` do, mostly.
    pub fn keep_alive(&mut self, by_ms: u64) {
        let until_ms = self.world.time_ms() + by_ms;
        for number in 0..self.clients.len() {
            let is_due = self.clients[number].keep_alive_ms().is_some_and(|at| at <= until_ms);
            if is_due && (self.clients[number].finishing || self.random.chance(90)) {
                self.with_client(number, |client, stage| client.ping(stage));
            }
        }
    }

    /// Moves the clocks on.
    pub fn advance(&mut self, by_ms: u64) {
        self.world.step += 1;
        self.world.now.mono_ms += by_ms;
        self.world.now.wall_ms += by_ms;
        let (step, now) = (self.world.step, self.world.time_ms());
        self.world.trace.line(step, format_args!("it is {now} ms"));
    }

    /// Shows the oracles what has happened since they last looked.
    pub fn absorb(&mut self) {
        self.book.step = self.world.step;
        self.book.now_ms = self.world.time_ms();
        for (wire, step, now_ms) in std::mem::take(&mut self.world.ends) {
            self.book.transport_ended(wire, step, now_ms);
        }
        for (shard, event) in std::mem::take(&mut self.world.log) {
            self.book.on_log(shard, &event);
            self.judge_wire(&event);
        }
        for (id, client) in std::mem::take(&mut self.world.births) {
            self.book.born(id, &client);
        }
        for (shard, host) in self.world.hosts.iter().enumerate() {
            self.book.turned_at_ms[shard] = host.turned_at_ms;
        }
        if self.world.is_settled() {
            self.on_quiet();
        } else if self.world.is_quiet() {
            self.check_unheld();
        }
    }

    fn judge_wire(&mut self, event: &martlet_engine::LogEvent) {
        use martlet_engine::LogEvent::{Disconnected, Refused};
        if let Disconnected { peer: Some(peer), .. } | Refused { peer: Some(peer), .. } = event {
            let number = crate::wire::Wire::number(*peer);
            self.book.check_end(number, &self.world.wires[number]);
        }
    }

    /// No mail is under way: every shard knows at least what the others want.
    fn check_interest(&mut self) {
        let name = self.random.pick(&all_topics());
        let hosts = &self.world.hosts;
        for (i, knower) in hosts.iter().enumerate() {
            for (j, wanter) in hosts.iter().enumerate().filter(|(j, _)| i != *j) {
                if let (false, true) = knower.shard.interest_of(&wanter.shard, name) {
                    let text = format!("shard {i} does not know that {j} wants {name}");
                    return self.book.fail("interest", text);
                }
            }
        }
    }

    /// The shards have nothing to do but to wait for the store: what does not depend on it has been
    /// done.
    fn check_unheld(&mut self) {
        for number in 0..self.clients.len() {
            let client = &self.clients[number];
            let Some(wire) = client.wire().filter(|_| client.is_open()) else { continue };
            if self.world.is_drained(wire) {
                let waiting = self.clients[number].unanswered();
                self.book.check_unheld(number, wire, &waiting);
            }
        }
    }

    fn on_quiet(&mut self) {
        for number in 0..self.clients.len() {
            self.with_client(number, |client, stage| client.settle_unsure(stage));
        }
        self.book.on_quiet();
        self.check_interest();
        for wire in &self.world.live {
            let transport = &self.world.wires[*wire];
            if matches!(transport.place, Place::At(..)) {
                self.book.check_silence(*wire, transport);
            }
        }
        for number in 0..self.clients.len() {
            let client = &self.clients[number];
            let Some(wire) = client.wire().filter(|_| client.is_at_rest()) else { continue };
            if self.world.is_drained(wire)
                && let Some(session) = self.book.session_of(wire)
            {
                self.book.sessions[session].drained = self.world.step;
                self.book.check_replays(wire);
            }
        }
    }
}

fn record(client: &Client) -> ClientRecord {
    let profile = &client.profile;
    ClientRecord {
        id: client.id.clone(),
        version: profile.version,
        packet_size_max: profile.packet_size_max.map_or(usize::MAX, |max| max as usize),
        receive_max: usize::from(profile.receive_max.unwrap_or(u16::MAX)),
        alias_max: profile.alias_max.unwrap_or(0),
        session: None,
        connected: None,
        expires_at_ms: u64::MAX,
        gone_at_ms: u64::MAX,
        unwritten: false,
    }
}

/// A client to which nothing bad happens.
fn monitor() -> Profile {
    Profile {
        version: Version::V5,
        clean_percent: 100,
        expiry_s: 0,
        keep_alive_s: 0,
        receive_max: None,
        alias_max: None,
        packet_size_max: None,
        acks: AckPolicy::Prompt,
        early_percent: 0,
        enhanced: false,
        is_monitor: true,
    }
}

fn any_profile(random: &mut Random) -> Profile {
    let version =
        random.pick(&[Version::V31, Version::V311, Version::V311, Version::V5, Version::V5]);
    let is_v5 = version.is_v5();
    let maybe = |random: &mut Random, values: &[u32]| {
        (is_v5 && random.chance(60)).then(|| random.pick(values))
    };
    Profile {
        version,
        clean_percent: random.pick(&[0, 20, 100]),
        expiry_s: random.pick(&[0, 2, 60, 100_000, u32::MAX]),
        keep_alive_s: random.pick(&[0, 0, 2, 60]),
        receive_max: maybe(random, &[1, 2, 5, 100]).map(|max| max as u16),
        alias_max: maybe(random, &[1, 3, 100]).map(|max| max as u16),
        packet_size_max: maybe(random, &[40, 90, 600, 8_000]).filter(|_| random.chance(50)),
        acks: random.pick(&[AckPolicy::Prompt, AckPolicy::Late, AckPolicy::Late, AckPolicy::Never]),
        early_percent: 10,
        enhanced: is_v5 && random.chance(50),
        is_monitor: false,
    }
}
