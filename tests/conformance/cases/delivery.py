"""PUBLISH: the QoS 0, 1 and 2 handshakes on both sides, effective QoS, order, packet identifiers, payloads."""

import wire
from harness import case, same, true
from wire import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, V5, V31, V311


@case(V31, V311, V5)
# [MQTT-4.3.1-1] [MQTT-3.3.1-2] [MQTT-3.3.4-1] [MQTT3-4.3.1-1] [MQTT3-3.3.1-2] [MQTT3-3.3.4-1] [MQTT-2.2.1-2] [MQTT3-2.3.1-5]
def qos_0(t):
    c = t.connect()
    c.subscribe(t.topic(), 0)
    c.publish(t.topic(), b"hello")
    message = c.message(t.topic(), b"hello", 0, False, False)
    same("packet identifier", message.pid, None)
    c.silent(0.05)


@case(V31, V311, V5)
# [MQTT-4.3.2-4] [MQTT-3.3.4-1] [MQTT-2.2.1-5] [MQTT-3.4.2-1] [MQTT3-4.3.2-2] [MQTT3-3.3.4-1] [MQTT3-2.3.1-6]
def qos_1_from_a_client(t):
    c = t.connect()
    for pid in (1, 2, 300, 65535):
        c.send(wire.publish(t.v, t.topic(), b"x", 1, pid))
        answer = c.recv()
        same("answer", (answer.kind, answer.pid), (PUBACK, pid))
        true(answer.reason in (0, 0x10), f"{answer}")


@case(V31, V311, V5)
# [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-3.3.4-1] [MQTT-2.2.1-5] [MQTT-3.5.2-1] [MQTT-3.7.2-1] [MQTT3-4.3.3-2] [MQTT3-2.3.1-6]
def qos_2_from_a_client(t):
    c = t.connect()
    for pid in (1, 2, 300, 65535):
        c.send(wire.publish(t.v, t.topic(), b"x", 2, pid))
        answer = c.recv()
        same("answer", (answer.kind, answer.pid), (PUBREC, pid))
        true(answer.reason in (0, 0x10), f"{answer}")
        c.send(wire.ack(PUBREL, pid))
        answer = c.recv()
        same("answer", (answer.kind, answer.pid, answer.reason), (PUBCOMP, pid, 0))


@case(V31, V311, V5)
# [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-2.2.1-4] [MQTT3-4.3.2-1] [MQTT3-2.3.1-4]
def qos_1_to_a_client(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 1)
    for i in range(5):
        p.publish(t.topic(), b"%d" % i, 1)
    seen = [c.message(t.topic(), b"%d" % i, 1, False, False, acknowledge=False).pid for i in range(5)]
    same("distinct identifiers in flight", len(set(seen)), 5)
    for pid in seen:
        c.send(wire.ack(PUBACK, pid))
    c.ping()
    c.silent(0.05)


@case(V31, V311, V5)
# [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-4] [MQTT-4.3.3-6] [MQTT-2.2.1-5] [MQTT-3.6.2-1] [MQTT3-4.3.3-1] [MQTT3-2.3.1-6]
def qos_2_to_a_client(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 2)
    for i in range(4):
        p.publish(t.topic(), b"%d" % i, 2)
    seen = [c.message(t.topic(), b"%d" % i, 2, False, False, acknowledge=False).pid for i in range(4)]
    same("distinct identifiers in flight", len(set(seen)), 4)
    for pid in seen:
        c.send(wire.ack(PUBREC, pid))
    for pid in seen:  # in the order of the PUBRECs
        answer = c.recv()
        same("answer", (answer.kind, answer.pid, answer.reason), (PUBREL, pid, 0))
    for pid in seen:
        c.send(wire.ack(PUBCOMP, pid))
    c.ping()
    c.silent(0.05)


@case(V31, V311, V5)
# [MQTT-3.8.4-8] [MQTT3-3.8.4-6] [MQTT-3.2.2-9] [MQTT-3.2.2-10]
def effective_qos_is_the_smaller_one(t):
    p = t.connect("pub")
    for granted in (0, 1, 2):
        c = t.connect(f"sub{granted}")
        same("granted", c.subscribe(t.topic(), granted), [granted])
        for sent in (0, 1, 2):
            p.publish(t.topic(), b"%d" % sent, sent)
            c.message(t.topic(), b"%d" % sent, min(sent, granted))
        c.disconnect()


@case(V311, V5)
# [MQTT-3.3.1-3] [MQTT3-3.3.1-3]
def dup_is_not_passed_on(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 2)
    for qos in (1, 2):
        p.publish(t.topic(), b"d", qos, dup=True)
        c.message(t.topic(), b"d", qos, dup=False)


@case(V31, V311, V5)
# [MQTT-4.3.2-5] [MQTT3-4.3.2-2]
def qos_1_identifier_is_free_after_puback(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 1)
    p.publish(t.topic(), b"one", 1, pid=7)
    p.publish(t.topic(), b"two", 1, pid=7, dup=True)
    p.publish(t.topic(), b"two", 1, pid=7)
    for payload in (b"one", b"two", b"two"):
        c.message(t.topic(), payload, 1)


@case(V31, V311, V5)
# [MQTT-4.3.3-10] [MQTT3-4.3.3-2]
def qos_2_duplicate_before_pubrel(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 2)
    for dup in (False, True, True):
        p.send(wire.publish(t.v, t.topic(), b"once", 2, 9, dup=dup))
        answer = p.take(PUBREC, pid=9)
        true(answer.reason in (0, 0x10, 0x91), f"{answer}")
    p.send(wire.ack(PUBREL, 9))
    p.take(PUBCOMP, pid=9)
    c.message(t.topic(), b"once", 2)
    t.nothing(c, p)


@case(V31, V311, V5)
# [MQTT-4.3.3-12] [MQTT3-4.3.3-2]
def qos_2_identifier_is_free_after_pubcomp(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 2)
    for _ in range(3):
        p.publish(t.topic(), b"again", 2, pid=9)
        c.message(t.topic(), b"again", 2)


@case(V311, V5)
# [MQTT-4.3.3-10] [MQTT-3.1.2-5] [MQTT3-4.3.3-2] [MQTT3-3.1.2-4]
def qos_2_duplicate_after_reconnect(t):
    c, p = t.connect("sub"), t.connect("pub", expiry=60)
    c.subscribe(t.topic(), 2)
    p.send(wire.publish(t.v, t.topic(), b"once", 2, 9))
    p.take(PUBREC, pid=9)
    p.drop()
    p = t.connect("pub", expiry=60)
    true(p.connack.session_present, "no session present")
    p.send(wire.publish(t.v, t.topic(), b"once", 2, 9, dup=True))
    p.take(PUBREC, pid=9)
    p.send(wire.ack(PUBREL, 9))
    p.take(PUBCOMP, pid=9)
    c.message(t.topic(), b"once", 2)
    t.nothing(c, p)


@case(V31, V311, V5)
# [MQTT-4.3.3-11] [MQTT3-4.3.3-2]
def pubrel_after_reconnect_or_twice(t):
    p = t.connect("pub", expiry=60)
    p.send(wire.publish(t.v, t.topic(), b"once", 2, 9))
    p.take(PUBREC, pid=9)
    p.drop()
    p = t.connect("pub", expiry=60)
    p.send(wire.ack(PUBREL, 9))
    same("reason of the PUBCOMP", p.take(PUBCOMP, pid=9).reason, 0)
    p.send(wire.ack(PUBREL, 9))
    true(p.take(PUBCOMP, pid=9).reason in (0, 0x92), "another reason code in the second PUBCOMP")


@case(V31, V311, V5)
# [MQTT-4.3.3-11] [MQTT3-4.3.3-2]
def pubrel_of_an_unknown_identifier(t):
    c = t.connect()
    c.send(wire.ack(PUBREL, 77))
    true(c.take(PUBCOMP, pid=77).reason in (0, 0x92), "neither success nor Packet Identifier not found")
    c.ping()


@case(V31, V311, V5)
def acknowledgements_of_unknown_identifiers(t):
    """Not an error of the wire: the connection goes on. (v5 answers PUBREC with PUBREL 0x92.)"""
    c = t.connect()
    c.send(wire.ack(PUBACK, 77) + wire.ack(PUBCOMP, 78) + wire.ack(PUBREC, 79))
    answer = c.take(PUBREL, wire.PINGRESP) if t.v == V5 else None
    if answer is not None:
        same("answer", (answer.kind, answer.pid, answer.reason), (PUBREL, 79, 0x92))
    c.ping()


@case(V31, V311, V5)
# [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT3-4.3.3-1]
def pubrec_twice(t):
    """The second PUBREC gets a PUBREL again; the message is not sent again."""
    c = t.connect()
    c.subscribe(t.topic(), 2)
    c.publish(t.topic(), b"x", 0)
    c.message(qos=0)
    c.publish(t.topic(), b"y", 2)
    pid = c.message(t.topic(), b"y", 2, acknowledge=False).pid
    for _ in range(2):
        c.send(wire.ack(PUBREC, pid))
        same("answer", c.take(PUBREL, PUBLISH).kind, PUBREL)
    c.send(wire.ack(PUBCOMP, pid))
    c.ping()
    same("others", c.inbox, [])


@case(V311, V5, slow=True)
# [MQTT-4.4.0-1] [MQTT-4.3.2-3] [MQTT-4.3.3-3]
def nothing_is_sent_again_while_connected(t):
    c = t.connect()
    c.subscribe(t.topic(), 2)
    c.publish(t.topic(), b"1", 1)
    c.publish(t.topic(), b"2", 2)
    c.message(payload=b"1", acknowledge=False)
    c.message(payload=b"2", acknowledge=False)
    c.silent(2.5)


@case(V5)
# [MQTT-4.4.0-2] [MQTT-4.3.3-4]
def error_in_pubrec_ends_the_flow(t):
    c, p = t.connect("sub", expiry=60, properties=[(wire.RECEIVE_MAX, 1)]), t.connect("pub")
    c.subscribe(t.topic(), 2)
    for payload in (b"bad", b"good"):
        p.publish(t.topic(), payload, 2)
    c.send(wire.ack(PUBREC, c.message(payload=b"bad", acknowledge=False).pid, 0x80))
    c.message(payload=b"good", dup=False)  # the quota is free again; a PUBREL for the first would be left over
    c.ping()
    same("others", c.inbox, [])
    c.disconnect()
    c = t.connect("sub", expiry=60)
    t.nothing(c, p)


@case(V5)
# [MQTT-4.4.0-2]
def error_in_puback_is_an_acknowledgement(t):
    c, p = t.connect("sub", expiry=60, properties=[(wire.RECEIVE_MAX, 1)]), t.connect("pub")
    c.subscribe(t.topic(), 1)
    for payload in (b"bad", b"good"):
        p.publish(t.topic(), payload, 1)
    c.send(wire.ack(PUBACK, c.message(payload=b"bad", acknowledge=False).pid, 0x97))
    c.message(payload=b"good", dup=False)
    c.disconnect()
    c = t.connect("sub", expiry=60)
    t.nothing(c, p)


@case(V31, V311, V5)
# [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT3-4.6.0-5] [MQTT3-4.6.0-6]
def order_of_a_publisher(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 2)
    for qos in (0, 1, 2):
        for i in range(0, 200, 20):  # within anybody's receive maximum
            data = b"".join(wire.publish(t.v, t.topic(), b"%d" % n, qos, n + 1 if qos else None) for n in range(i, i + 20))
            p.send(data)
            for n in range(i, i + 20):
                if qos == 1:
                    p.take(PUBACK, pid=n + 1)
                elif qos == 2:
                    p.take(PUBREC, pid=n + 1)
                    p.send(wire.ack(PUBREL, n + 1))
            for n in range(i, i + 20):
                c.message(t.topic(), b"%d" % n, qos)
                if qos == 2:
                    p.take(PUBCOMP, pid=n + 1)


@case(V311, V5)
# [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT3-4.6.0-6] [MQTT-4.5.0-1] [MQTT3-4.5.0-1]
def order_of_several_publishers(t):
    subscribers = [t.connect(f"s{i}") for i in range(3)]
    publishers = [t.connect(f"p{i}") for i in range(3)]
    for c in subscribers:
        c.subscribe(t.topic("+"), 1)
    for n in range(40):
        for i, p in enumerate(publishers):
            p.publish(t.topic("same"), b"%d %d" % (i, n), 1)
    for c in subscribers:
        following = [0, 0, 0]
        for _ in range(120):
            i, n = map(int, c.message(t.topic("same"), qos=1).payload.split())
            same(f"number of the message of publisher {i}", n, following[i])
            following[i] += 1


@case(V31, V311, V5)
# [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4] [MQTT3-4.6.0-2] [MQTT3-4.6.0-3] [MQTT3-4.6.0-4]
def order_of_the_servers_acknowledgements(t):
    c = t.connect()
    ids = [40, 3, 77, 1, 9, 8, 100, 2, 65535, 5]
    c.send(b"".join(wire.publish(t.v, t.topic("a"), b"x", 1, i) for i in ids))
    same("PUBACKs", [c.take(PUBACK).pid for _ in ids], ids)
    c.send(b"".join(wire.publish(t.v, t.topic("b"), b"x", 2, i) for i in ids))
    same("PUBRECs", [c.take(PUBREC).pid for _ in ids], ids)
    c.send(b"".join(wire.ack(PUBREL, i) for i in reversed(ids)))
    same("PUBCOMPs", [c.take(PUBCOMP).pid for _ in ids], ids[::-1])


@case(V311, V5)
# [MQTT-2.2.1-5] [MQTT-4.3.2-3]
def acknowledgements_in_any_order(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 2)
    for i in range(10):
        p.publish(t.topic(), b"%d" % i, 1 + i % 2)
    messages = [c.message(payload=b"%d" % i, acknowledge=False) for i in range(10)]
    for message in messages[::-1]:
        c.acknowledge(message)
    p.publish(t.topic(), b"more", 1)
    c.message(payload=b"more", dup=False)


@case(V31, V311, V5)
# [MQTT-2.2.1-4] [MQTT-2.2.1-3] [MQTT3-2.3.1-2]
def same_identifier_in_both_directions(t):
    """Identifiers of the two directions are independent."""
    c = t.connect()
    c.subscribe(t.topic(), 2)
    c.publish(t.topic(), b"a", 2)
    there = c.message(payload=b"a", acknowledge=False).pid
    c.send(wire.publish(t.v, t.topic("x"), b"b", 2, there))
    c.take(PUBREC, pid=there)
    c.send(wire.ack(PUBREC, there))
    c.take(PUBREL, pid=there)
    c.send(wire.ack(PUBREL, there))
    c.take(PUBCOMP, pid=there)
    c.send(wire.ack(PUBCOMP, there))
    c.ping()
    same("others", c.inbox, [])


@case(V31, V311, V5)
def payloads_of_many_sizes(t):
    """Around the steps of the Remaining Length, and all byte values."""
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 1)
    base = len(t.topic()) + 2 + 2 + (1 if t.v == V5 else 0)
    sizes = [0, 1] + [n - base + d for n in (128, 16384, 2097152) for d in (-1, 0, 1)] + [70000]
    for size in sizes:
        payload = bytes(i & 0xFF for i in range(256)) * (size // 256 + 1)
        p.publish(t.topic(), payload[:size], 1)
        c.message(t.topic(), payload[:size], 1)


@case(V311, V5)
def empty_payload_is_a_message(t):
    c = t.connect()
    c.subscribe(t.topic(), 2)
    for qos in (0, 1, 2):
        c.publish(t.topic(), b"", qos)
        c.message(t.topic(), b"", qos)


@case(V5)
# [MQTT-3.4.2-1] [MQTT-3.5.2-1]
def no_subscriber_is_not_an_error(t):
    c = t.connect()
    true(c.publish(t.topic("nobody"), b"x", 1) in (0, 0x10), "PUBACK")
    true(c.publish(t.topic("nobody"), b"x", 2) in (0, 0x10), "PUBREC")


@case(V5)
# [MQTT-4.5.0-1] [MQTT-3.8.4-8]
def every_subscriber_gets_it_in_its_version_and_qos(t):
    subscribers = [(t.connect(f"s{v}q{qos}", v), qos) for v in (V31, V311, V5) for qos in (0, 1, 2)]
    for c, qos in subscribers:
        c.subscribe(t.topic(), qos)
    for v in (V31, V311, V5):
        p = t.connect(f"p{v}", v)
        p.publish(t.topic(), b"from %d" % v, 2, properties=[(wire.CONTENT_TYPE, "text"), (wire.USER_PROPERTY, ("k", "v"))])
        for c, qos in subscribers:
            message = c.message(t.topic(), b"from %d" % v, qos)
            expected = "text" if c.v == V5 and v == V5 else None
            same("content type", message.prop(wire.CONTENT_TYPE), expected)


@case(V311, V5)
# [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT3-2.3.1-4]
def identifiers_in_use_are_skipped(t):
    """One message stays unacknowledged while the identifiers run around once."""
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 1)
    p.publish(t.topic(), b"held", 1)
    held = c.message(payload=b"held", acknowledge=False).pid
    for _ in range(0, 66000, 600):
        p.send(b"".join(wire.publish(t.v, t.topic(), b"n", 1, i + 1) for i in range(600)), quiet=True)
        acks = bytearray()
        for i in range(600):
            pid = c.take(PUBLISH).pid
            true(pid != held, f"the identifier {pid} is in use")
            acks += wire.ack(PUBACK, pid)
            if i % 10 == 9:
                c.send(bytes(acks), quiet=True)
                acks.clear()
        for _ in range(600):
            p.take(PUBACK)
