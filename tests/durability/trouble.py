"""A disk that is full or fails for a while; and data folders that cannot be used.

Owns: what durable and other clients see meanwhile and afterwards. Must not know: which way the disk was
spoiled (see run.py for the list: the shim of disk.c, a small tmpfs where mounting is allowed).
"""

import subprocess
import time

from peers import FOREVER, Failure, Loop, Peer, Publisher, Subscriber, wire

WAIT_S = 30
STILL_S = 1.0
PAYLOAD = 10_000
REFUSALS = (0x97, 0x83)
LOCKED_EXIT = 9


class Story:
    """A broker, its disk, and clients of all kinds."""

    def __init__(self, broker, options):
        self.broker, self.options, self.loop = broker, options, Loop()
        self.got, self.light, self.acknowledged, self.numbers = set(), set(), set(), iter(range(1, 1_000_000))
        self.keeper = Subscriber(self.loop, "keeper", wire.V311, on_message=lambda _, p: self.got.add((p.topic, number_of(p.payload))))
        self.listener = Subscriber(self.loop, "listener", wire.V5, expiry=0, on_message=lambda _, p: self.light.add(number_of(p.payload)))
        self.five = Publisher(self.loop, "five", wire.V5, on_acknowledged=self.on_acknowledged, window=8)
        self.three = Publisher(self.loop, "three", wire.V311, on_acknowledged=self.on_acknowledged, window=8)
        self.plain = Publisher(self.loop, "plain", wire.V5, expiry=0)
        self.passer = Publisher(self.loop, "passer", wire.V5, expiry=0, on_acknowledged=self.on_acknowledged)
        self.newcomer = Peer(self.loop, "newcomer", wire.V5)
        self.newcomer.may_be_refused = True
        self.plain.clean = self.passer.clean = self.listener.clean = True

    def on_acknowledged(self, flight):
        self.acknowledged.add((flight.topic, flight.seq))

    def send(self, publisher):
        n = next(self.numbers)
        publisher.publish(f"durable/{publisher.id}", n, 1 + n % 2, b"%d\n" % n + bytes(PAYLOAD))

    def connect(self, *peers):
        for peer in peers:
            peer.connect(self.broker.port)
        self.loop.until(lambda: all(p.online or p.socket is None for p in peers), WAIT_S, "CONNACKs")

    def connect_in_the_end(self, peer):
        """A disk that works again may not be known to the broker at once."""
        peer.may_be_refused, end = True, time.monotonic() + WAIT_S
        while not peer.online:
            assert time.monotonic() < end, f"{peer.id}: still refused {WAIT_S} s after the disk works again"
            self.connect(peer)
        peer.may_be_refused = False

    def begin(self):
        self.broker.start(**self.options)
        self.connect(self.keeper, self.listener)
        self.keeper.subscribe("durable/#", 2)
        self.listener.subscribe("light/#", 1)
        self.loop.until(lambda: self.keeper.rests() and self.listener.rests(), WAIT_S, "the first subscriptions")
        self.keeper.drop()
        self.connect(self.five, self.three, self.plain)
        for _ in range(20):
            for publisher in (self.five, self.three):
                self.loop.until(publisher.has_room, WAIT_S, "room")
                self.send(publisher)
        self.loop.until(lambda: not self.five.flights and not self.three.flights, WAIT_S, "the first acknowledgements")
        assert not self.five.refused, f"refused on a healthy disk: {self.five.refused[0]}"

    def until_refused(self):
        """5.0: what was sent before the broker knew stays unanswered, and what follows on the same connection with it;
        whoever comes then is refused."""
        five, passer, end = self.five, self.passer, time.monotonic() + WAIT_S
        five.window = 50
        while len(passer.refused) < 20:
            if time.monotonic() > end:
                raise Failure(f"{len(passer.refused)} refusals within {WAIT_S} s; {len(self.acknowledged)} acknowledged")
            if five.has_room():
                self.send(five)
                sent = time.monotonic()
            elif not passer.online:
                self.connect(passer)
            elif not passer.flights:
                self.send(passer)
                sent = time.monotonic()
            elif time.monotonic() > sent + STILL_S:
                passer.drop()
                passer.flights.clear()
            self.loop.turn(0.001)
        codes = {reason for reason, _ in five.refused + passer.refused}
        assert codes <= set(REFUSALS), f"refused with {sorted(map(hex, codes))}, expected 0x97 or 0x83"
        passer.drop()
        passer.flights.clear()
        return "/".join(sorted(map(hex, codes)))

    def until_held(self, room):
        """3.1.1: acknowledgements stop; what the disk has no room for was not acknowledged."""
        three, most = self.three, len(self.acknowledged) + room // PAYLOAD
        three.window, count, moved = 50, len(self.acknowledged), time.monotonic()
        while time.monotonic() < moved + STILL_S:
            if three.has_room():
                self.send(three)
            self.loop.turn(0.001)
            if len(self.acknowledged) != count:
                count, moved = len(self.acknowledged), time.monotonic()
            assert count <= most, f"3.1.1: more was acknowledged than the disk has room for ({room} bytes)"
        assert three.flights, "3.1.1: nothing waits for its acknowledgement"

    def others_go_on(self):
        """What needs no disk: QoS 0 and 1 to clean sessions, new clean sessions."""
        zero, one = next(self.numbers), next(self.numbers)
        self.plain.send(wire.publish(wire.V5, "light/0", b"%d\n" % zero))
        self.plain.publish("light/1", one, 1, b"%d\n" % one)
        self.loop.until(lambda: {zero, one} <= self.light and not self.plain.flights, WAIT_S,
                        "messages between clean sessions on a bad disk")
        assert not self.plain.refused, f"QoS 1 to a clean session was refused: {self.plain.refused}"
        guest = Peer(self.loop, "guest", wire.V311)
        guest.clean = True
        self.connect(guest)
        assert guest.online, "a new clean session was refused"
        guest.drop()

    def start_again(self):
        """In the middle of the trouble."""
        self.broker.kill()
        peers = (self.five, self.three, self.plain, self.listener, self.newcomer)
        self.loop.until(lambda: not any(p.socket for p in peers), WAIT_S, "the ends of connections")
        self.broker.start(**self.options)
        self.connect(self.plain, self.listener)
        self.listener.subscribe("light/#", 1)
        self.loop.until(self.listener.rests, WAIT_S, "SUBACK of a clean session on a bad disk")
        self.others_go_on()

    def until_healed(self):
        """Acknowledgements flow; a few messages may still be refused while the broker finds out."""
        for peer in (self.three, self.five):
            if not peer.online:
                self.connect_in_the_end(peer)
        self.loop.until(lambda: not self.three.flights, WAIT_S, "acknowledgements for 3.1.1 once the disk works")
        self.loop.until(lambda: not self.five.flights, WAIT_S, "answers for 5.0 once the disk works")
        end = time.monotonic() + WAIT_S
        while True:
            refused = len(self.five.refused)
            self.send(self.five)
            self.loop.until(lambda: not self.five.flights, WAIT_S, "an answer")
            if len(self.five.refused) == refused:
                return
            assert time.monotonic() < end, f"durable messages are still refused {WAIT_S} s after the disk works again"

    def all_is_there(self):
        self.connect(self.keeper, self.newcomer)
        self.loop.until(lambda: self.acknowledged <= self.got, WAIT_S,
                        lambda: f"{len(self.acknowledged - self.got)} of {len(self.acknowledged)} acknowledged messages, "
                                f"{sorted(self.acknowledged - self.got)[:5]}")
        self.loop.until(self.keeper.rests, WAIT_S, "the end of handshakes")


def trouble(broker, say, spoil, heal, words, room=0, restart=lambda: None, starts_in_trouble=True, **options):
    """The whole story, once. `spoil()` and `heal()` change the disk; the log must contain one of `words`; the spoiled
    disk takes `room` bytes more at most."""
    story = Story(broker, options)
    try:
        story.begin()
        before = len(story.acknowledged)
        spoil()
        codes = story.until_refused()
        story.newcomer.connect(broker.port)
        story.others_go_on()
        story.until_held(room)
        story.others_go_on()
        story.loop.until(lambda: any(w in broker.said().lower() for w in words), 10,
                         lambda: f"a line about the disk ({words}): {broker.tail()}")
        broker.runs()
        if starts_in_trouble:
            story.start_again()
        promised = len(story.acknowledged)
        heal()
        story.until_healed()
        broker.kill()
        for peer in (story.five, story.three, story.plain, story.listener, story.newcomer):
            peer.drop()
        restart()
        broker.start(**options)
        story.all_is_there()
    finally:
        broker.kill()
        story.loop.close()
    refused = len(story.five.refused + story.passer.refused)
    say(f"{before} acknowledged before, {promised - before} in trouble, {len(story.acknowledged) - promised} after; {refused} "
        f"refused with {codes}; all acknowledged ones are there")


def number_of(payload):
    return int(payload.partition(b"\n")[0])


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
        peer.connect(broker.port)
        loop.until(lambda: peer.online, WAIT_S, "CONNACK")
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
