"""Lives of a broker that all end in the same hard way, over one data folder.

Owns: `kill -9` and power cuts at random moments, and when everything is checked.
Must not know: what the clients do meanwhile (see world.py).
"""

import random
import time

from disk import FOLDERS, UNSYNCED
from peers import Loop, Publisher, Subscriber, wire
from world import World

SHARDS = (1, 2, 1, 2, 3, 8)


def run(broker, seed, rounds, say, seconds=None, options=None, shards=SHARDS, on_killed=None, before=None,
        messages=(20, 400), **world_options):
    """`rounds` lives, or as many as fit into `seconds`; every few lives everything is checked."""
    rng, world = random.Random(seed), World(seed, **world_options)
    world.port, begin, options = broker.port, time.monotonic(), options or {}

    def start():
        if before:
            before()
        # Some lives end while the broker still reads its data.
        starting = broker.listen if rng.random() < 0.5 else broker.start
        starting(shards=rng.choice(shards), **options)

    start()
    world.first_subscriptions()
    settles, slowest, number = 0, 0.0, 0
    try:
        while number < rounds and (seconds is None or time.monotonic() - begin < seconds):
            number += 1
            for subscriber in world.subscribers:
                subscriber.drop()
            deadline = time.monotonic() + rng.choice((rng.uniform(0, 0.05), rng.uniform(0, 0.3), rng.uniform(0.1, 0.5), 1.0))
            # Or in the middle of queues that are being delivered.
            enough = world.deliveries + (rng.randrange(1, 400) if rng.random() < 0.5 else 1_000_000)
            world.live(lambda d=deadline, e=enough: time.monotonic() > d or world.deliveries > e, rng.randrange(*messages))
            broker.runs()
            broker.kill()
            world.power_off()
            if on_killed:
                on_killed(rng)
            start()
            slowest = max(slowest, broker.start_s)
            if rng.random() < 0.5:
                world.check_retained()
            if rng.random() < 0.2 or number == rounds:
                world.settle()
                settles += 1
                for peer in world.publishers + world.subscribers:
                    peer.drop()
        world.settle()
        broker.runs()
        code = broker.end()
        assert code == 0, f"TERM: the broker ended with {code}: {broker.tail()}"
    except AssertionError as error:
        raise AssertionError(f"round {number}: {error}") from None
    finally:
        broker.kill()
        world.loop.close()
    say(f"{number} rounds (seed {seed}), {settles + 1} times all checked; {world.summary()}; slowest start {slowest:.2f} s")
    return world


def order_rounds(broker, seed, rounds, say, seconds=None):
    """A queue is on its way to a client that does not read it, new messages follow, the broker is killed: afterwards
    all come in the order of their publication, whatever of that was written."""
    rng, loop, begin, number = random.Random(seed), Loop(), time.monotonic(), 0
    sent, highest, seen = {1: 0, 2: 0}, {1: 0, 2: 0}, {1: set(), 2: set()}

    def arrived(_, packet):
        qos, n = int(packet.topic[-1]), int(packet.payload)
        if n not in seen[qos]:
            assert n > highest[qos], (f"published with QoS {qos}: {n} came for the first time after {highest[qos]}, with packet "
                                      f"identifier {packet.pid}{' and DUP' if packet.dup else ''}")
            highest[qos] = n
            seen[qos].add(n)
    reader = Subscriber(loop, "reader", wire.V311, on_message=arrived)
    others = [Subscriber(loop, f"other{n}", wire.V5, on_message=lambda *_: None) for n in range(3)]  # who do read
    publisher = Publisher(loop, "publisher", wire.V311)
    everybody = (reader, publisher, *others)

    def pump():
        while publisher.has_room():
            sent[qos] += 1
            publisher.publish(f"order/{qos}", sent[qos], qos, b"%d" % sent[qos])
        loop.turn(0.001)
    try:
        broker.start(shards=2)
        for subscriber in (reader, *others):
            subscriber.connect(broker.port)
            subscriber.subscribe("order/+", 1 if subscriber is reader else 2)
        loop.until(lambda: all(s.rests() for s in (reader, *others)), 30, "SUBACKs")
        for subscriber in (reader, *others):
            subscriber.drop()
        while number < rounds and (seconds is None or time.monotonic() - begin < seconds):
            number += 1
            qos = rng.choice((1, 2, 2, 2))
            for peer in everybody[1:]:
                peer.connect(broker.port)
            goal = sent[qos] + rng.randrange(100, 300)
            loop.until(lambda: pump() or sent[qos] >= goal, 30, "acknowledgements")
            reader.deaf = rng.random() < 0.6
            reader.connect(broker.port)
            loop.until(lambda: reader.online, 30, "CONNACK")
            deadline = time.monotonic() + rng.uniform(0, rng.choice((0.008, 0.03)))
            while time.monotonic() < deadline:
                pump()
            broker.runs()
            broker.kill()
            if reader.deaf:
                reader.drop()
                reader.deaf = False
            loop.until(lambda: not any(p.socket for p in everybody), 30, "the ends of connections")
            broker.listen(shards=rng.choice((1, 2, 4)))
        for peer in everybody:
            peer.connect(broker.port)
        loop.until(lambda: not publisher.flights and all(len(seen[q]) == sent[q] for q in sent), 30, "the last messages")
    except AssertionError as error:
        raise AssertionError(f"round {number}: {error}") from None
    finally:
        broker.kill()
        loop.close()
    say(f"{number} rounds (seed {seed}), {sum(sent.values())} published, in order")


def cut_new(broker, seed, say):
    """The power goes in the life that has made the data folder: a name counts only once its folder was synced."""
    loop, disk = Loop(), broker.disk
    try:
        disk.begin("strict")
        broker.start()
        peer = Subscriber(loop, "first", wire.V311)
        peer.connect(broker.port)
        loop.until(lambda: peer.online, 30, "CONNACK")
        broker.kill()
        loop.until(lambda: peer.socket is None, 20, "the end of the connection")
        unsynced = disk.unsynced_names()
        disk.cut(random.Random(seed), "lost")
        disk.begin("strict")
        broker.start()
        peer.connect(broker.port)
        try:
            loop.until(lambda: peer.online, 30, "CONNACK")
        except AssertionError as error:
            raise AssertionError(f"{error}; names made in folders that were not synced afterwards: {', '.join(unsynced)}") from None
    finally:
        broker.kill()
        loop.close()
    say(f"the session is there; names that were not synced: {', '.join(unsynced) or 'none'}")


def interval_cuts(broker, seed, rounds, say, seconds=None, interval_s=0.1, slack_s=0.2):
    """Power cuts at the level `interval`: what was acknowledged longer ago than the interval is there."""
    rng, disk, begin, number, worst, lost = random.Random(seed), broker.disk, time.monotonic(), 0, 0.0, 0
    options = {"durability": f"interval={interval_s * 1000:.0f}ms"}
    disk["sync_delay_us"] = 4000
    try:
        while number < rounds and (seconds is None or time.monotonic() - begin < seconds):
            number += 1
            loop, got, acknowledged = Loop(), set(), {}
            disk.begin("ordered" if number == 1 else rng.choice(FOLDERS))
            broker.start(shards=rng.choice(SHARDS), **options)
            keeper = Subscriber(loop, f"keeper{number}", wire.V311, on_message=lambda _, p, g=got: g.add(int(p.payload)))
            keeper.connect(broker.port)
            keeper.subscribe(f"interval/{number}", 1)
            loop.until(keeper.rests, 30, "SUBACK")
            keeper.drop()
            synced, old = disk["syncs"], time.monotonic() + interval_s + slack_s
            publisher = Publisher(loop, f"publisher{number}", wire.V311,
                                  on_acknowledged=lambda f, a=acknowledged: a.update({f.seq: time.monotonic()}))
            publisher.connect(broker.port)
            # The session is to be older than the interval.
            send(loop, publisher, f"interval/{number}", lambda: time.monotonic() > old and disk["syncs"] >= synced + 2)
            deadline = time.monotonic() + rng.uniform(0, 0.5)
            send(loop, publisher, f"interval/{number}", lambda: time.monotonic() > deadline)
            broker.runs()
            broker.kill()
            end = time.monotonic()
            loop.until(lambda: publisher.socket is None, 20, "the end of a connection")
            disk.cut(rng, rng.choice(UNSYNCED))
            disk.begin()
            broker.start(shards=rng.choice(SHARDS), **options)
            keeper.has_session = True
            keeper.connect(broker.port)
            fence = Publisher(loop, f"fence{number}", wire.V311)
            fence.connect(broker.port)
            loop.until(lambda: keeper.online and fence.online, 30, "CONNACKs")
            fence.publish(f"interval/{number}", 0, 1, b"0")
            loop.until(lambda: 0 in got, 30, "a message behind those that survived")
            missing = acknowledged.keys() - got
            window = max((end - acknowledged[n] for n in missing), default=0.0)
            worst, lost = max(worst, window), lost + len(missing)
            assert window <= interval_s + slack_s, (
                f"round {number}: {len(missing)} of {len(acknowledged)} are lost, the oldest acknowledged {window:.3f} s before the cut")
            broker.kill()
            loop.close()
    finally:
        broker.kill()
    say(f"{number} cuts (seed {seed}): {lost} messages lost, the oldest acknowledged {worst * 1000:.0f} ms before its cut")


def send(loop, publisher, topic, stop):
    """Publishes numbers as fast as they are acknowledged."""
    end = time.monotonic() + 30
    while not stop():
        assert time.monotonic() < end, "nothing is synced, though messages are published"
        while publisher.has_room():
            publisher.sent = getattr(publisher, "sent", 0) + 1
            publisher.publish(topic, publisher.sent, 1, b"%d" % publisher.sent)
        loop.turn(0.005)


def run_cuts(broker, seed, rounds, say, **more):
    """Power cuts: each life begins with what the model of a disk has left of the one before."""
    disk = broker.disk
    disk["sync_delay_us"] = 4000

    def on_killed(rng):
        unsynced, broker.last_cut = rng.choice(UNSYNCED), None
        broker.last_cut = f"{unsynced}, {disk.base.folders}: {disk.cut(rng, unsynced)}"

    # The life that makes the folders has a case of its own, cut_new.
    chooser, first = random.Random(seed), iter(["ordered"])
    world = run(broker, seed, rounds, say, before=lambda: disk.begin(next(first, None) or chooser.choice(FOLDERS)),
                on_killed=on_killed, **more)
    disk.followed()
    return world
