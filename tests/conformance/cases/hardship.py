"""Races, cut connections and slow readers: the same rules, where they are hard to keep."""

import random
import threading

import wire
from harness import Closed, Failure, case, same, true
from wire import PUBACK, PUBCOMP, PUBREC, PUBREL, V5, V31, V311


def together(*functions):
    """Runs functions at the same time; the first failure counts."""
    problems = []

    def guarded(function):
        try:
            function()
        except Exception as problem:
            problems.append(problem)
    threads = [threading.Thread(target=guarded, args=(f,), daemon=True) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        true(not thread.is_alive(), "it takes too long")
    if problems:
        raise problems[0]


@case(V311, V5)
# [MQTT-4.2-1] [MQTT3-7.1.1-1] [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT3-4.3.3-2]
def any_split_of_the_stream(t):
    c, chance = t.connect(), random.Random(7)
    c.subscribe(t.topic(), 2)
    count, data = 120, b""
    for i in range(1, count + 1):
        data += wire.publish(t.v, t.topic(), b"%d " % i + b"." * chance.randrange(300), 1, i)
        data += wire.packet(0xC0)
    at = 0
    while at < len(data):
        step = chance.choice((1, 2, 3, 5, 17, 100, 1000, 5000))
        c.send(data[at:at + step], quiet=True)
        at += step
    for i in range(1, count + 1):
        c.take(PUBACK, pid=i)
        c.take(wire.PINGRESP)
        same("number", int(c.message(qos=1).payload.split()[0]), i)


@case(V311, V5)
# [MQTT-3.1.4-3] [MQTT3-3.1.4-2]
def many_takeovers_at_once(t):
    """Whoever comes last stays; of all connections with a client id exactly one is left."""
    clients = [t.client() for _ in range(12)]
    hello = wire.connect(t.v, t.id("same"))
    together(*[lambda c=c: c.send(hello) for c in clients])
    alive = []
    watcher = t.connect("watch")
    watcher.subscribe(t.topic(), 0)
    for c in clients:
        try:
            same("first packet", c.recv().kind, wire.CONNACK)
            c.send(wire.publish(t.v, t.topic(), b"%d" % c.number, 1, 1))
            while True:
                packet = c.recv()
                if packet.kind == PUBACK:
                    alive.append(c)
                    break
        except Closed:
            pass
    alive = [c for c in alive if is_open(c)]
    same("connections left", len(alive), 1)


def is_open(c):
    try:
        c.send(wire.packet(0xC0))
        while c.recv().kind != wire.PINGRESP:
            pass
        return True
    except Closed:
        return False


@case(V5)
# [MQTT-3.3.1-5] [MQTT-3.3.1-9] [MQTT-4.6.0-5]
def replay_never_brings_back_an_older_value(t):
    """Subscribers come while a retained topic changes: numbers never fall, and the last one is the last."""
    p, last = t.connect("pub"), 150

    def publish():
        for i in range(1, last + 1):
            p.publish(t.topic("v"), b"%d" % i, 1, retain=True)

    def watch(name, topic_filter):
        c = t.connect(name)
        c.subscribe(t.topic(topic_filter), 1)
        seen = 0
        while seen < last:
            number = int(c.message().payload)
            true(number >= seen, f"{number} after {seen}")
            seen = number
    together(publish, *[lambda i=i: watch(f"s{i}", ("v", "+", "#")[i % 3]) for i in range(9)])


@case(V31, V311, V5)
# [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT3-4.3.3-2] [MQTT-3.1.2-5]
def exactly_once_from_a_publisher_that_is_cut_off(t):
    """A publisher loses its connection at every step of the handshake and goes on where it was."""
    c, chance = t.connect("sub"), random.Random(t.number)
    c.subscribe(t.topic(), 2)
    p = t.connect("pub", expiry=60)
    for i in range(40):
        pid = i % 5 + 1
        dup = False
        while True:  # until the PUBREC is here
            p.send(wire.publish(t.v, t.topic(), b"%d" % i, 2, pid, dup=dup))
            if chance.random() < 0.3:
                p, dup = again(t, p), True
                continue
            p.take(PUBREC, pid=pid)
            break
        while True:  # until the PUBCOMP is here
            if chance.random() < 0.3:
                p = again(t, p)
            p.send(wire.ack(PUBREL, pid))
            if chance.random() < 0.3:
                p = again(t, p)
                continue
            p.take(PUBCOMP, pid=pid)
            break
    for i in range(40):
        c.message(t.topic(), b"%d" % i, 2)
    t.nothing(c, p)


def again(t, client):
    """Cuts the connection (after the server has read all, or at once) and resumes the session."""
    client.drop(reset=client.case.fences % 2 == 1)
    client.case.fences += 1
    return t.connect("pub", expiry=60)


@case(V31, V311, V5)
# [MQTT-4.4.0-1] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.6.0-1] [MQTT3-4.4.0-1] [MQTT3-4.3.3-1] [MQTT3-4.6.0-1]
def exactly_once_to_a_subscriber_that_is_cut_off(t):
    """A subscriber loses its connection at any step; it drops what it knows by its identifier, as the standard has it."""
    p, chance, count = t.connect("pub"), random.Random(t.number), 40
    c = t.connect("sub", expiry=60)
    c.subscribe(t.topic(), 2)
    for i in range(count):
        p.publish(t.topic(), b"%d" % i, 2)
    got, known = [], set()
    while len(got) < count or known:
        if chance.random() < 0.15:
            c.drop()
            c = t.connect("sub", expiry=60)
        packet = c.take(wire.PUBLISH, PUBREL)
        if packet.kind == PUBREL:
            known.discard(packet.pid)
            c.send(wire.ack(PUBCOMP, packet.pid))
            continue
        if packet.pid not in known:
            got.append(int(packet.payload))
        known.add(packet.pid)
        c.send(wire.ack(PUBREC, packet.pid))
    same("messages", got, list(range(count)))


@case(V311, V5)
# [MQTT-4.5.0-1] [MQTT-4.4.0-1] [MQTT-4.6.0-5] [MQTT3-4.5.0-1] [MQTT3-4.6.0-6]
def at_least_once_and_in_order_while_connections_break(t):
    """A publisher goes on while the subscriber is cut off again and again: nothing is missing, new ones come in order."""
    p, count = t.connect("pub"), 300
    c = t.connect("sub", expiry=60)
    c.subscribe(t.topic(), 1)

    def publish():
        for i in range(count):
            p.publish(t.topic(), b"%d" % i, 1)

    def consume():
        nonlocal c
        chance, expected, since = random.Random(t.number), 0, 0
        while expected < count:
            message = c.message()
            number = int(message.payload)
            if number >= expected:
                same("next new message", number, expected)
                expected += 1
            else:
                true(message.dup, f"{number} came again without DUP")
            since += 1
            if since > 10 and chance.random() < 0.1:
                since = 0
                c.drop(reset=chance.random() < 0.5)
                c = t.connect("sub", expiry=60)
    together(publish, consume)


@case(V5)
# [MQTT-4.5.0-1] [MQTT-3.3.4-10]
def a_reader_that_stopped_stalls_nobody(t):
    """One QoS 0 subscriber reads nothing while 32 MiB go by; another one gets everything."""
    stuck, fine, p = t.connect("stuck"), t.connect("fine"), t.connect("pub")
    stuck.subscribe(t.topic(), 0)
    fine.subscribe(t.topic(), 1)
    payload, count = b"x" * 65536, 512

    def publish():
        for i in range(count):
            p.publish(t.topic(), b"%d " % i + payload, 1)

    def read():
        for i in range(count):
            same("number", int(fine.message(qos=1).payload.split(b" ")[0]), i)
    together(publish, read)
    fine.ping()


@case(V5)
# [MQTT-4.5.0-1]
def a_client_that_reads_nothing_is_served_when_it_does(t):
    """Bytes wait in the socket and in the server; the order stays, the connection stays."""
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 1)
    for i in range(100):
        p.publish(t.topic(), b"%d " % i + b"." * 20000, 1)
    for i in range(100):
        same("number", int(c.message(qos=1).payload.split()[0]), i)


@case(V311, V5)
# [MQTT-3.1.4-5] [MQTT3-3.1.4-4] [MQTT-3.2.2-2]
def many_short_connections(t):
    def some(part):
        for i in range(40):
            c = t.connect(f"n{part}x{i}")
            c.publish(t.topic(), b"x", 1)
            (c.disconnect if i % 2 else c.drop)()
    together(*[lambda part=part: some(part) for part in range(6)])


@case(V5)
# [MQTT-3.8.4-1] [MQTT-3.10.4-2] [MQTT-3.8.4-4]
def subscribing_and_unsubscribing_in_turns(t):
    """After each SUBACK messages come, after each UNSUBACK they do not; the parts of the server agree every time."""
    c, p = t.connect("sub"), t.connect("pub")
    for i in range(40):
        topic_filter = t.topic("a/+" if i % 2 else "a/b")
        c.subscribe(topic_filter, 1)
        p.publish(t.topic("a/b"), b"in %d" % i, 1)
        c.message(payload=b"in %d" % i)
        same("codes", c.unsubscribe(topic_filter), [0])
        p.publish(t.topic("a/b"), b"out %d" % i, 1)
    t.nothing(c, p)


@case(V5)
# [MQTT-3.1.2-8] [MQTT-4.5.0-1]
def many_wills_at_once(t):
    watcher = t.connect("watch")
    watcher.subscribe(t.topic("#"), 1)
    dying = [t.connect(f"d{i}", will=wire.Will(t.topic(f"{i}"), b"%d" % i, 1)) for i in range(30)]
    for c in dying:
        c.drop(reset=True)
    same("wills", sorted(int(watcher.message(qos=1).payload) for _ in dying), list(range(30)))


@case(V5)
# [MQTT-4.8.2-1] [MQTT-4.5.0-1]
def a_group_while_members_come_and_go(t):
    """Publishing never pauses while members subscribe, unsubscribe and leave: each message is acknowledged by at least one."""
    stay, p, count, done = t.connect("stay"), t.connect("pub"), 300, set()
    stay.subscribe(f"$share/g/{t.topic()}", 1)
    finished = threading.Event()

    def publish():
        for i in range(count):
            p.publish(t.topic(), b"%d" % i, 1)
        finished.set()

    def visit(name):
        turn = 0
        while not finished.is_set():
            turn += 1
            c = t.connect(f"{name}{turn}")
            c.subscribe(f"$share/g/{t.topic()}", 1)
            done.update(int(m.payload) for m in c.rest(0.03))
            if turn % 2:
                c.unsubscribe(f"$share/g/{t.topic()}")
                done.update(int(m.payload) for m in c.rest(0.05))
                c.disconnect()
            else:
                c.drop()
    together(publish, lambda: visit("a"), lambda: visit("b"))
    done.update(int(m.payload) for m in t.drain(stay, p, 0.5))
    missing = sorted(set(range(count)) - done)
    if missing:
        raise Failure(f"nobody got {missing}")
