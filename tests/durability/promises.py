"""What else a restart must keep: properties, what is left of an expiry, subscription options, a pending will.

Owns: one story with `kill -9` in its middle. Must not know: how the broker keeps it.
"""

import time

from peers import Loop, Peer, Publisher, Subscriber, wire

WAIT_S = 30
PROPERTIES = [(wire.PAYLOAD_FORMAT, 1), (wire.CONTENT_TYPE, "text/plain"), (wire.RESPONSE_TOPIC, "answer/to"),
              (wire.CORRELATION_DATA, b"\x00\x01\x02"), (wire.USER_PROPERTY, ("b", "2")), (wire.USER_PROPERTY, ("a", "1")),
              (wire.USER_PROPERTY, ("b", "2"))]
SHORT_S, LONG_S, WILL_DELAY_S = 1, 100, 3


class Described(Subscriber):
    """Asks with a subscription identifier, RETAIN as published, no local."""

    def ask(self, pid):
        _, topic_filter, qos = self.requests[pid]
        self.send(wire.subscribe(self.v, pid, [(topic_filter, qos | 0x04 | 0x08)], [(wire.SUBSCRIPTION_ID, 77)]))


class Testator(Peer):
    """Has a will that waits."""

    def connect(self, port):
        super().connect(port)
        will = wire.Will("promise/will", b"will", 1, properties=[(wire.WILL_DELAY, WILL_DELAY_S), *PROPERTIES])
        self.outbound[:] = wire.connect(wire.V5, self.id, clean=False, keep_alive=0, will=will,
                                        properties=[(wire.SESSION_EXPIRY, LONG_S)])


def promises(broker, say):
    loop, got, late = Loop(), {}, {}
    try:
        broker.start(shards=2)
        keeper = Described(loop, "keeper", wire.V5, on_message=lambda _, p: got.update({p.payload: p}))
        slow = Subscriber(loop, "slow", wire.V5, on_message=lambda _, p: late.update({p.payload: p}))
        brief = Subscriber(loop, "brief", wire.V5, expiry=SHORT_S, on_message=lambda *_: None)
        publisher, testator = Publisher(loop, "publisher", wire.V5), Testator(loop, "testator", wire.V5)
        for peer in (keeper, slow, brief, publisher, testator):
            peer.connect(broker.port)
        for peer in (keeper, slow, brief):
            peer.subscribe("promise/#", 2)
        loop.until(lambda: all(p.rests() for p in (keeper, slow, brief)) and publisher.online and testator.online, WAIT_S, "SUBACKs")
        for peer in (keeper, slow, brief):
            peer.disconnect()  # what is on its way to a client does not expire

        def publish(payload, qos, expiry=None, retain=False):
            properties = PROPERTIES + ([(wire.MESSAGE_EXPIRY, expiry)] if expiry else [])
            publisher.publish(f"promise/{payload.decode()}", 0, qos, payload, retain, properties)
        publish(b"long", 1, LONG_S)
        publish(b"for ever", 2)
        publish(b"short", 2, SHORT_S)
        publish(b"retained", 1, LONG_S, retain=True)
        publish(b"retained briefly", 1, SHORT_S, retain=True)
        loop.until(lambda: not publisher.flights, WAIT_S, "acknowledgements")
        testator.drop()
        published = time.monotonic()
        # The will is pending once the broker has seen the end; its session is taken over by nobody.
        witness = Publisher(loop, "witness", wire.V5)
        witness.connect(broker.port)
        loop.until(lambda: witness.online, WAIT_S, "CONNACK")
        witness.publish("promise/last", 0, 1, b"last")
        loop.until(lambda: not witness.flights, WAIT_S, "PUBACK")
        broker.kill()
        broker.start(shards=3)
        keeper.connect(broker.port)
        loop.until(lambda: b"last" in got, WAIT_S, "the queue")
        check_messages(got, published)
        loop.until(lambda: b"will" in got, WAIT_S, "the will that was pending when the broker was killed")
        compare("the will", got[b"will"])
        loop.until(lambda: time.monotonic() > published + SHORT_S + 1.1, WAIT_S, "time")
        slow.connect(broker.port)
        loop.until(lambda: b"will" in late, WAIT_S, "the second queue")
        assert not {b"short", b"retained briefly"} & late.keys(), f"expired messages came: {sorted(late)}"
        assert {b"long", b"for ever", b"retained"} <= late.keys(), f"messages are missing: {sorted(late)}"
        check_ended(loop, broker, brief)
    finally:
        broker.kill()
        loop.close()
    say(f"properties, expiry ({got[b'long'].prop(wire.MESSAGE_EXPIRY)} of {LONG_S} s left), subscription identifier and options, "
        "will, ended session")


def compare(what, packet):
    found = [p for p in packet.properties if p[0] not in (wire.MESSAGE_EXPIRY, wire.SUBSCRIPTION_ID)]

    def ordered(pairs):
        return (sorted(p for p in pairs if p[0] != wire.USER_PROPERTY), [p for p in pairs if p[0] == wire.USER_PROPERTY])
    assert ordered(found) == ordered(PROPERTIES), f"{what} has the properties {found}"
    assert packet.all(wire.SUBSCRIPTION_ID) == [77], f"{what} has subscription identifiers {packet.all(wire.SUBSCRIPTION_ID)}"


def check_messages(got, published):
    for payload, qos, expires, retain in ((b"long", 1, True, False), (b"for ever", 2, False, False), (b"retained", 1, True, True)):
        packet = got.get(payload)
        assert packet, f"{payload} is missing"
        compare(payload, packet)
        assert (packet.qos, packet.retain) == (qos, retain), f"{payload}: {packet}"
        left = packet.prop(wire.MESSAGE_EXPIRY)
        gone = time.monotonic() - published
        assert (left is not None) == expires, f"{payload}: {packet}"
        assert left is None or LONG_S - gone - 3 <= left <= LONG_S, f"{payload}: {left} s of {LONG_S} left after {gone:.1f} s"


def check_ended(loop, broker, brief):
    """Its session has ended while the broker was away, or soon after."""
    answers = []
    brief.on_connected = answers.append
    brief.has_session = False
    brief.connect(broker.port)
    loop.until(lambda: answers, WAIT_S, "CONNACK")
    assert not answers[0].session_present, "a session that has expired is still there"
