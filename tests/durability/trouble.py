"""A disk that is full or fails for a while; and data folders that cannot be used.

Owns: what durable and other clients see meanwhile and afterwards. Must not know: which way the disk was
spoiled (see run.py for the list: the shim of disk.c, a small tmpfs where mounting is allowed).
"""

import subprocess
import time

from peers import FOREVER, Failure, Loop, Peer, Publisher, Subscriber, wire

WAIT_S = 40
REFUSALS = (0x97, 0x83)
LOCKED_EXIT = 9


class Newcomer(Peer):
    """Asks for a session while the disk is in trouble: a refusal or no answer is fine, a promise is kept."""

    def on_packet(self, packet):
        if packet.kind == wire.CONNACK and packet.reason:
            self.drop()
        elif packet.kind != wire.DISCONNECT:
            super().on_packet(packet)


def trouble(broker, say, spoil, heal, words, restart=lambda: None, starts_in_trouble=True, **options):
    """The whole story, once. `spoil()` and `heal()` change the disk; the log must contain one of `words`."""
    loop, got, acknowledged = Loop(), set(), set()
    try:
        broker.start(**options)
        light = set()
        keeper = Subscriber(loop, "keeper", wire.V311, on_message=lambda _, p: got.add((p.topic, number_of(p.payload))))
        listener = Subscriber(loop, "listener", wire.V5, on_message=lambda _, p: light.add(number_of(p.payload)), expiry=0)
        listener.clean = True
        connect(loop, broker, keeper, listener)
        keeper.subscribe("durable/#", 2)
        listener.subscribe("light/#", 1)
        loop.until(lambda: keeper.rests() and listener.rests(), WAIT_S, "the first subscriptions")
        keeper.drop()

        def on_acknowledged(flight):
            acknowledged.add((flight.topic, flight.seq))
        five = Publisher(loop, "five", wire.V5, on_acknowledged=on_acknowledged, window=8)
        three = Publisher(loop, "three", wire.V311, on_acknowledged=on_acknowledged, window=8)
        plain = Publisher(loop, "plain", wire.V5, expiry=0)
        plain.clean = True
        connect(loop, broker, five, three, plain)
        numbers = iter(range(1, 1_000_000))

        def send(publisher):
            n = next(numbers)
            publisher.publish(f"durable/{publisher.id}", n, 1 + n % 2, b"%d\n" % n + bytes(10_000))
        for _ in range(20):
            for publisher in (five, three):
                loop.until(publisher.has_room, WAIT_S, "room")
                send(publisher)
        loop.until(lambda: not five.flights and not three.flights, WAIT_S, "the first acknowledgements")
        assert not five.refused, f"refused on a healthy disk: {five.refused[0]}"
        before = len(acknowledged)

        spoil()
        end = time.monotonic() + WAIT_S
        while len(five.refused) < 20:
            if time.monotonic() > end:
                raise Failure(f"{len(five.refused)} refusals within {WAIT_S} s; {len(acknowledged) - before} acknowledged, "
                              f"{len(five.flights)} unanswered")
            if five.has_room():
                send(five)
            elif five.window < 500 and len(five.flights) == five.window:
                five.window += 1  # those that came before the broker knew stay unanswered
            loop.turn()
        codes = {reason for reason, _ in five.refused}
        assert codes <= set(REFUSALS), f"refused with {sorted(map(hex, codes))}, expected 0x97 or 0x83"
        for _ in range(5):
            send(three)
        held = {(f.topic, f.seq) for f in three.flights.values()}
        newcomer = Newcomer(loop, "newcomer", wire.V5)
        newcomer.connect(broker.port)
        still_works(loop, broker, plain, light, numbers)
        promised = len(acknowledged)
        assert not held & acknowledged, f"3.1.1: acknowledged while others are refused: {sorted(held & acknowledged)}"
        loop.until(lambda: any(w in broker.said().lower() for w in words), 10, lambda: f"a line about the disk ({words}): {broker.tail()}")
        broker.runs()

        if starts_in_trouble:
            broker.kill()
            loop.until(lambda: not any(p.socket for p in (five, three, plain, listener, newcomer)), WAIT_S, "the ends of connections")
            broker.start(**options)
            connect(loop, broker, five, three, plain, listener)
            listener.subscribe("light/#", 1)
            loop.until(listener.rests, WAIT_S, "SUBACK of a clean session on a bad disk")
            still_works(loop, broker, plain, light, numbers)
        heal()
        loop.until(lambda: not three.flights, WAIT_S, "acknowledgements for 3.1.1 once the disk works")
        loop.until(lambda: not five.flights, WAIT_S, "answers for 5.0 once the disk works")
        healed(loop, five, send)
        broker.kill()
        for peer in (five, three, plain, listener, newcomer):
            peer.drop()
        restart()
        broker.start(**options)
        connect(loop, broker, keeper, newcomer)
        loop.until(lambda: acknowledged <= got, WAIT_S, lambda: f"{len(acknowledged - got)} of {len(acknowledged)} acknowledged messages, "
                                                                f"{sorted(acknowledged - got)[:5]}")
        loop.until(keeper.rests, WAIT_S, "the end of handshakes")
    finally:
        broker.kill()
        loop.close()
    say(f"{before} acknowledged before, {promised - before} in trouble, {len(acknowledged) - promised} after; {len(five.refused)} refused with "
        f"{'/'.join(sorted(map(hex, codes)))}; all acknowledged ones are there")


def number_of(payload):
    return int(payload.partition(b"\n")[0])


def connect(loop, broker, *peers):
    for peer in peers:
        peer.connect(broker.port)
    loop.until(lambda: all(p.online or p.socket is None for p in peers), WAIT_S, "CONNACKs")


def still_works(loop, broker, plain, light, numbers):
    """What needs no disk: QoS 0 and 1 to clean sessions, new clean sessions."""
    zero, one = next(numbers), next(numbers)
    plain.send(wire.publish(wire.V5, "light/0", b"%d\n" % zero))
    plain.publish("light/1", one, 1, b"%d\n" % one)
    loop.until(lambda: {zero, one} <= light and not plain.flights, WAIT_S, "messages between clean sessions on a bad disk")
    assert not plain.refused, f"QoS 1 to a clean session was refused: {plain.refused}"
    guest = Peer(loop, "guest", wire.V311)
    guest.clean = True
    connect(loop, broker, guest)
    guest.drop()


def healed(loop, five, send):
    """Durable messages are accepted again; a few may still be refused while the broker finds out."""
    end = time.monotonic() + WAIT_S
    while True:
        five.refused.append(None)
        send(five)
        loop.until(lambda: not five.flights, WAIT_S, "an answer")
        if five.refused[-1] is None:
            five.refused = [r for r in five.refused if r]
            return
        assert time.monotonic() < end, f"durable messages are still refused {WAIT_S} s after the disk works again"


# ---- data folders that cannot be used

def refuses_to_start(broker, what, **options):
    """It ends with exit code 9 and one line that names the folder."""
    command = broker.command(options)
    environment = broker.disk.environment() if broker.disk else {}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL,
                              env={"PATH": "/usr/bin:/bin"} | environment)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{what}: it did not end") from None
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == LOCKED_EXIT, f"{what}: expected exit code {LOCKED_EXIT}, got {done.returncode}: {done.stderr[:300]}"
    assert len(lines) == 1, f"{what}: expected one line, got {lines}"
    assert str(broker.data) in lines[0], f"{what}: the line does not name the folder {broker.data}: {lines[0]}"
    return lines[0]


def one_owner(broker, second, say):
    """Two brokers want the same folder: the second ends, the first does not notice."""
    loop = Loop()
    try:
        broker.start()
        second.data = broker.data
        say(refuses_to_start(second, "a second owner"))
        peer = Peer(loop, "after", wire.V5, expiry=FOREVER)
        connect(loop, broker, peer)
        broker.kill()
        broker.start()  # the lock of a killed broker is no obstacle
        broker.runs()
    finally:
        broker.kill()
        loop.close()


def unwritable(broker, say):
    """No folder can be made there: a file is in its way."""
    obstacle = broker.folder / "obstacle"
    obstacle.write_text("a file")
    broker.data = obstacle / "data"
    say(refuses_to_start(broker, "a folder that cannot be made"))
    broker.data = obstacle
    say(refuses_to_start(broker, "a file in place of the folder"))
