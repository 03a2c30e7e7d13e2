"""A population of clients that outlives many lives of a broker, and the oracle that watches it.

Owns: who publishes what to whom, what must, may and must not arrive, and in which order.
Must not know: how a broker is started or ended (see rounds.py).

The oracle, for every persistent subscriber and topic:
  - what was published arrives (a publisher resends until it is acknowledged);
  - QoS 2 all the way: once, in order; otherwise first deliveries are in order;
  - an acknowledged subscription, unsubscription, session and end of a session stay what they are;
  - a retained value is the last acknowledged one or a later one; a share group gets each message at one
    member.
"""

import random

from peers import Failure, Loop, Publisher, Subscriber, wire

QUIET_S = 30
SPREAD = (0, 0, 0, 0, 3, 20, 200, 3000)  # bytes of padding
LARGE = (20, 10_000, 60_000)


class Topic:
    """One topic, published to by one client with one QoS."""

    def __init__(self, name, qos, retain=False):
        self.name, self.qos, self.retain, self.sent, self.acknowledged = name, qos, retain, 0, 0
        self.open, self.values = True, {}


class Receipts:
    """What one subscriber has got on one topic."""

    def __init__(self):
        self.last, self.seen = 0, set()


class World:
    def __init__(self, seed, wait_s=QUIET_S, spread=SPREAD):
        self.spread, self.wait_s, self.rng, self.loop, self.port = spread, wait_s, random.Random(seed), Loop(), None
        self.topics, self.receipts, self.deliveries, self.repeats = {}, {}, 0, 0
        self.sides = {}  # topic name -> Side
        self.group_seen = {}
        self.away = {}  # subscriber -> further lives without it
        versions = (wire.V31, wire.V311, wire.V5)
        self.publishers = [Publisher(self.loop, f"pub{n}", versions[n % 3], on_acknowledged=self.acknowledged) for n in range(3)]
        self.subscribers, self.filters = [], {}
        for n, filters in enumerate(([("all/#", 2)], [("all/#", 1)], [("all/+/1", 1), ("all/+/2", 2)], [("all/#", 2)],
                                     [("$share/g/group/#", 2)], [("$share/g/group/#", 2)])):
            subscriber = Subscriber(self.loop, f"sub{n}", versions[(n + 1) % 3], on_message=self.arrived, receive_max=(20, None)[n % 2])
            if filters[0][0].startswith("$share"):
                subscriber.v = wire.V5
            subscriber.on_answer = lambda kind, topic_filter, s=subscriber: self.answered(s, kind, topic_filter)
            self.subscribers.append(subscriber)
            self.filters[subscriber.id] = filters
        for publisher in self.publishers:
            publisher.topics = [self.topic(f"all/{publisher.id}/{q}", q) for q in (1, 2)]
            publisher.topics += [self.topic(f"group/{publisher.id}/{q}", q) for q in (1, 2)]
            publisher.topics += [self.topic(f"keep/{publisher.id}/{n}", 1 + n % 2, retain=True) for n in range(4)]
            publisher.budget = 0
        self.mayfly = Mayfly(self)

    def topic(self, name, qos, retain=False):
        self.topics[name] = topic = Topic(name, qos, retain)
        return topic

    # ---- traffic

    def pump(self):
        """Publishers that may send more do so."""
        for publisher in self.publishers:
            while publisher.has_room() and publisher.budget > 0:
                publisher.budget -= 1
                topics = [t for t in publisher.topics if t.open]
                self.publish(publisher, self.rng.choice(topics))

    def publish(self, publisher, topic):
        topic.sent += 1
        payload = b"%d\n" % topic.sent + self.rng.randbytes(self.rng.choice(self.spread))
        if topic.retain and self.rng.random() < 0.2:
            payload = b""
        topic.values[topic.sent] = payload
        publisher.publish(topic.name, topic.sent, topic.qos, payload, topic.retain)

    def acknowledged(self, flight):
        topic = self.topics[flight.topic]
        topic.acknowledged = max(topic.acknowledged, flight.seq)
        if topic.retain:
            for seq in [s for s in topic.values if s < topic.acknowledged]:
                del topic.values[seq]
        else:
            topic.values.pop(flight.seq, None)

    def arrived(self, subscriber, packet):
        topic = self.topics.get(packet.topic)
        if topic is None or not self.may_arrive(subscriber, topic):
            raise Failure(f"{subscriber.id} got {packet}, to which it is not subscribed")
        seq = int(packet.payload.partition(b"\n")[0])
        where = f"{subscriber.id}: message {seq} of {topic.name} (QoS {topic.qos}, delivered with {packet.qos})"
        if not 1 <= seq <= topic.sent:
            raise Failure(f"{where} was never published")
        side = self.sides.get(topic.name)
        if side and side.closed_at is not None and seq >= side.closed_at:
            raise Failure(f"{where} was published after the unsubscription had been acknowledged")
        self.deliveries += 1
        if topic.name.startswith("group/"):
            return self.arrived_at_group(where, topic, seq, packet)
        receipts = self.receipts.setdefault((subscriber.id, topic.name), Receipts())
        if seq in receipts.seen:
            self.repeats += 1
            if topic.qos == 2 and packet.qos == 2:
                raise Failure(f"{where} came twice")
            return None
        if seq < receipts.last:
            raise Failure(f"{where} came for the first time after {receipts.last}")
        receipts.last = seq
        receipts.seen.add(seq)
        return None

    def arrived_at_group(self, where, topic, seq, packet):
        seen = self.group_seen.setdefault(topic.name, set())
        if seq in seen and topic.qos == 2 and packet.qos == 2:
            raise Failure(f"{where} came twice to the share group")
        seen.add(seq)

    def may_arrive(self, subscriber, topic):
        if topic.name.startswith("side/"):
            return self.sides[topic.name].subscriber is subscriber
        if topic.name.startswith("group/"):
            return subscriber.id in ("sub4", "sub5")
        return topic.name.startswith("all/") and any(
            f == "all/#" or topic.name.endswith(f[-2:]) for f, _ in self.filters[subscriber.id])

    # ---- subscriptions that come and go, each with a topic of its own

    def change_side(self, subscriber):
        mine = [s for s in self.sides.values() if s.subscriber is subscriber and s.closed_at is None]
        if any(side.asked for side in mine):
            return
        if len(mine) > 2:
            side = self.rng.choice(mine)
            side.asked = True
            side.topic.open = False
            side.required_until = 0
            subscriber.unsubscribe(side.topic.name)
        else:
            qos = self.rng.choice((1, 2))
            side = Side(subscriber, self.topic(f"side/{subscriber.id}/{len(self.sides)}", qos))
            self.sides[side.topic.name] = side
            subscriber.subscribe(side.topic.name, qos)

    def answered(self, subscriber, kind, topic_filter):
        side = self.sides.get(topic_filter)
        if side is None:
            return
        side.asked = False
        if kind == wire.SUBSCRIBE:
            side.publisher = self.rng.choice(self.publishers)
            side.publisher.topics.append(side.topic)
        else:
            side.closed_at = side.topic.sent + 1
            side.topic.open, side.probes = True, 3

    # ---- phases

    def connect(self, peers=None):
        for peer in peers or self.publishers + self.subscribers:
            peer.connect(self.port)

    def first_subscriptions(self):
        """Once, before any message."""
        self.connect(self.subscribers)
        for subscriber in self.subscribers:
            for topic_filter, qos in self.filters[subscriber.id]:
                subscriber.subscribe(topic_filter, qos)
        self.loop.until(lambda: all(s.rests() for s in self.subscribers), self.wait_s, "the first subscriptions")

    def live(self, stop, messages):
        """A life: some are there, some are not, all do something until `stop()`."""
        for publisher in self.publishers:
            publisher.budget = messages
            publisher.connect(self.port)
        for subscriber in self.subscribers:
            if self.away.get(subscriber.id, 0):
                self.away[subscriber.id] -= 1
                continue
            if self.rng.random() < 0.15:
                self.away[subscriber.id] = self.rng.randrange(4)
                continue
            subscriber.patience = self.rng.choice((None, None, 0, 5, 30))
            subscriber.deaf = self.rng.random() < 0.15 and subscriber.has_session and not subscriber.requests
            subscriber.connect(self.port)
            if self.rng.random() < 0.4 and not subscriber.deaf and subscriber.v != wire.V31 and subscriber.id < "sub4":
                self.change_side(subscriber)
        self.mayfly.live()
        while not stop():
            self.pump()
            self.loop.turn(0.005)

    def power_off(self):
        """The broker was killed: what it had sent is still read."""
        for subscriber in self.subscribers:
            if subscriber.deaf:
                subscriber.drop()
                subscriber.deaf = False
        peers = self.publishers + self.subscribers + [self.mayfly.peer]
        self.loop.until(lambda: all(p.socket is None for p in peers), 20, "the end of the connections of a killed broker")

    def settle(self):
        """Everybody comes, and everything arrives."""
        for subscriber in self.subscribers:
            subscriber.patience = None
        self.connect()
        for publisher in self.publishers:
            publisher.budget = 0
        self.loop.until(lambda: all(p.online and not p.flights for p in self.publishers), self.wait_s, self.unacknowledged)
        for side in self.sides.values():  # into closed subscriptions: must not arrive
            if side.closed_at and side.probes and side.publisher:
                side.probes -= 1
                self.publish(side.publisher, side.topic)
        self.loop.until(lambda: not any(p.flights for p in self.publishers), self.wait_s, self.unacknowledged)
        self.loop.until(self.is_quiet, self.wait_s, self.missing)
        self.check_retained(exact=True)

    def unacknowledged(self):
        return "acknowledgements of " + ", ".join(
            f"{p.id}: {[(f.topic, f.seq, f.released) for f in p.flights.values()][:3]}" for p in self.publishers if p.flights)

    def is_quiet(self):
        return all(s.rests() for s in self.subscribers) and not any(self.lacks())

    def lacks(self):
        """Subscriber (or group), topic, number of messages that it must get and has not got."""
        for topic in self.topics.values():
            if topic.name.startswith("group/"):
                if len(self.group_seen.get(topic.name, ())) < topic.sent:
                    yield "the share group", topic, topic.sent - len(self.group_seen.get(topic.name, ()))
                continue
            if topic.retain:
                continue
            for subscriber in self.subscribers:
                side = self.sides.get(topic.name)
                if not self.may_arrive(subscriber, topic) or (side and side.required_until is not None):
                    continue
                got = self.receipts.get((subscriber.id, topic.name))
                count = len(got.seen) if got else 0
                if count < topic.sent:
                    yield subscriber.id, topic, topic.sent - count

    def missing(self):
        found = []
        for who, topic, count in self.lacks():
            got = self.receipts.get((who, topic.name))
            seen = got.seen if got else self.group_seen.get(topic.name, set())
            first = [n for n in range(1, topic.sent + 1) if n not in seen][:5]
            found.append(f"{who}: {count} of {topic.name} ({topic.sent} published, all acknowledged), {first}...")
        restless = [s.id for s in self.subscribers if not s.rests()]
        return "messages: " + "; ".join(found[:6]) + (f"; unfinished: {restless}" if restless else "")

    def check_retained(self, exact=False):
        """A client without a session reads all retained values. Nobody publishes meanwhile."""
        found = {}

        def on_message(_, packet):
            found.setdefault(packet.topic, packet.payload)
        reader = Subscriber(self.loop, "reader", wire.V311, on_message=on_message)
        reader.clean = True
        reader.connect(self.port)
        reader.subscribe("keep/#", 0)
        keep = [t for t in self.topics.values() if t.retain]

        def must_exist(topic):
            return topic.acknowledged and all(v for s, v in topic.values.items() if s >= topic.acknowledged)
        wanted = {t.name for t in keep if must_exist(t)}
        self.loop.until(lambda: reader.rests() and wanted <= found.keys(), self.wait_s,
                        lambda: f"acknowledged retained values of {sorted(wanted - found.keys())}")
        for topic in keep:
            allowed = [v for s, v in topic.values.items() if s >= topic.acknowledged]
            if not topic.acknowledged:
                allowed.append(b"")
            value = found.get(topic.name, b"")
            if exact and len(allowed) > 1:
                raise Failure(f"{topic.name}: the test is wrong: {len(allowed)} values")
            if value not in allowed:
                raise Failure(f"{topic.name}: the retained value is {value[:20]}, allowed are {[v[:20] for v in allowed]}: "
                              f"{topic.acknowledged} of {topic.sent} were acknowledged")
        reader.drop()

    def summary(self):
        sent = sum(t.sent for t in self.topics.values())
        return f"{sent} published, {self.deliveries} delivered ({self.repeats} of them repeated), {len(self.sides)} further subscriptions"


class Side:
    """A subscription that comes and goes."""

    def __init__(self, subscriber, topic):
        self.subscriber, self.topic, self.asked, self.publisher = subscriber, topic, True, None
        self.closed_at, self.required_until, self.probes = None, None, 0


class Mayfly:
    """A client whose session is made and ended again and again: an ended one stays ended."""

    def __init__(self, world):
        self.world, self.state = world, "none"  # none, unknown, there
        self.peer = Subscriber(world.loop, "mayfly", wire.V5, on_message=lambda *_: None)
        self.peer.on_connected = self.connected

    def live(self):
        self.ending = self.world.rng.random() < 0.5
        self.peer.clean, self.peer.expiry = self.ending, 0 if self.ending else 0xFFFFFFFF
        self.peer.has_session = False  # judged here
        self.before, self.state = self.state, "unknown"
        self.peer.connect(self.world.port)

    def connected(self, packet):
        if not self.ending and self.before == "none" and packet.session_present:
            raise Failure("mayfly: a session that had been ended is there again")
        if not self.ending and self.before == "there" and not packet.session_present:
            raise Failure("mayfly: the session is not there any more")
        self.state = "none" if self.ending else "there"
