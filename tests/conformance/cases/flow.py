"""Receive Maximum both ways and Maximum Packet Size."""

import wire
from harness import case, same, true
from wire import PACKET_SIZE_MAX, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, RECEIVE_MAX, V5


@case(V5)
# [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
def receive_maximum_of_the_client_qos_1(t):
    for most in (1, 2, 7):
        c, p = t.connect(f"sub{most}", properties=[(RECEIVE_MAX, most)]), t.connect("pub")
        c.subscribe(t.topic(), 1)
        for i in range(20):
            p.publish(t.topic(), b"%d" % i, 1)
        window = [c.message(payload=b"%d" % i, acknowledge=False) for i in range(most)]
        c.ping()
        same("more than the receive maximum", c.inbox, [])
        for i in range(most, 20):
            c.acknowledge(window.pop(0))
            window.append(c.message(payload=b"%d" % i, acknowledge=False))
            same("more than the receive maximum", c.inbox, [])
        c.silent(0.05)
        c.disconnect()


@case(V5)
# [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
def receive_maximum_of_the_client_qos_2(t):
    """A place is free after PUBCOMP, not after PUBREC."""
    c, p = t.connect("sub", properties=[(RECEIVE_MAX, 2)]), t.connect("pub")
    c.subscribe(t.topic(), 2)
    for i in range(6):
        p.publish(t.topic(), b"%d" % i, 2)
    window = [c.message(payload=b"%d" % i, acknowledge=False).pid for i in range(2)]
    for i in range(2, 6):
        pid = window.pop(0)
        c.send(wire.ack(PUBREC, pid))
        c.take(PUBREL, pid=pid)
        c.ping()
        c.silent(0.05)
        c.send(wire.ack(PUBCOMP, pid))
        window.append(c.message(payload=b"%d" % i, acknowledge=False).pid)


@case(V5)
# [MQTT-3.3.4-10] [MQTT-4.9.0-3]
def other_packets_go_on_when_the_quota_is_used_up(t):
    c, p = t.connect("sub", properties=[(RECEIVE_MAX, 1)]), t.connect("pub")
    c.subscribe(t.topic(), 1)
    for i in range(3):
        p.publish(t.topic(), b"%d" % i, 1)
    first = c.message(payload=b"0", acknowledge=False)
    c.ping()
    c.subscribe(t.topic("other"), 1)
    c.unsubscribe(t.topic("other"))
    c.publish(t.topic("elsewhere"), b"x", 1)
    c.publish(t.topic("elsewhere"), b"x", 2)
    same("messages", c.inbox, [])
    c.acknowledge(first)
    c.message(payload=b"1")
    c.message(payload=b"2")


@case(V5)
# [MQTT-4.9.0-1] [MQTT-4.4.0-1] [MQTT-3.3.4-9]
def receive_maximum_on_return(t):
    """Each connection sets it anew, for messages that are sent again too."""
    c, p = t.connect("sub", expiry=60), t.connect("pub")
    c.subscribe(t.topic(), 1)
    for i in range(6):
        p.publish(t.topic(), b"%d" % i, 1)
    for i in range(6):
        c.message(payload=b"%d" % i, acknowledge=False)
    c.drop()
    c = t.connect("sub", expiry=60, properties=[(RECEIVE_MAX, 2)])
    window = [c.message(payload=b"%d" % i, dup=True, acknowledge=False) for i in range(2)]
    c.ping()
    c.silent(0.1)
    for i in range(2, 6):
        c.acknowledge(window.pop(0))
        window.append(c.message(payload=b"%d" % i, acknowledge=False))
        same("more than the receive maximum", c.inbox, [])


@case(V5)
# [MQTT-4.9.0-2]
def pubcomp_sent_twice_makes_no_room(t):
    """The quota never grows above its initial value."""
    c, p = t.connect("sub", properties=[(RECEIVE_MAX, 1)]), t.connect("pub")
    c.subscribe(t.topic(), 2)
    p.publish(t.topic(), b"0", 2)
    pid = c.message(payload=b"0", acknowledge=False).pid
    c.send(wire.ack(PUBREC, pid))
    c.take(PUBREL, pid=pid)
    c.send(wire.ack(PUBCOMP, pid) * 3)
    c.ping()
    for i in range(1, 4):
        p.publish(t.topic(), b"%d" % i, 2)
    c.message(payload=b"1", acknowledge=False)
    c.ping()
    c.silent(0.1)


@case(V5)
# [MQTT-3.3.4-7]
def receive_maximum_of_the_server(t):
    """The server's own maximum is usable to its end; one more QoS 2 message is an error 0x93."""
    c = t.connect()
    most = c.connack.prop(RECEIVE_MAX, 65535)
    if most > 5000:
        most = 5000
    for start in range(0, most, 500):
        ids = range(start + 1, min(start + 500, most) + 1)
        c.send(b"".join(wire.publish(t.v, t.topic(), b"x", 2, i) for i in ids), quiet=True)
        for i in ids:
            same("identifier", c.take(PUBREC).pid, i)
    if c.connack.prop(RECEIVE_MAX, 65535) == most:
        c.send(wire.publish(t.v, t.topic(), b"x", 2, most + 1))
        c.error({0x93})
    else:
        c.ping()


@case(V5)
# [MQTT-3.3.4-7] [MQTT-4.3.3-11]
def room_after_pubcomp(t):
    c = t.connect()
    most = min(c.connack.prop(RECEIVE_MAX, 65535), 100)
    for _ in range(3):
        for i in range(1, most + 1):
            c.send(wire.publish(t.v, t.topic(), b"x", 2, i))
        for i in range(1, most + 1):
            c.take(PUBREC, pid=i)
        for i in range(1, most + 1):
            c.send(wire.ack(PUBREL, i))
        for i in range(1, most + 1):
            c.take(PUBCOMP, pid=i)


def oversized(t, qos):
    c, p = t.connect("sub", properties=[(PACKET_SIZE_MAX, 200)]), t.connect("pub")
    c.subscribe(t.topic(), qos)
    for i in range(3):
        p.publish(t.topic(), b"x" * 300, qos)
        p.publish(t.topic(), b"%d" % i, qos)
        c.message(t.topic(), b"%d" % i, qos)
    c.ping()
    same("others", c.inbox, [])


@case(V5)
# [MQTT-3.1.2-24] [MQTT-3.1.2-25]
def too_large_for_the_subscriber_qos_0(t):
    oversized(t, 0)


@case(V5)
# [MQTT-3.1.2-24] [MQTT-3.1.2-25]
def too_large_for_the_subscriber_qos_1(t):
    oversized(t, 1)


@case(V5)
# [MQTT-3.1.2-24] [MQTT-3.1.2-25]
def too_large_for_the_subscriber_qos_2(t):
    oversized(t, 2)


@case(V5)
# [MQTT-3.1.2-24] [MQTT-3.1.2-25]
def maximum_packet_size_to_the_byte(t):
    """A packet of just that size is sent, one byte more is not."""
    head = 1 + 2 + 2 + len(t.topic()) + 1  # a two-byte Remaining Length, topic, no properties
    c, p = t.connect("sub", properties=[(PACKET_SIZE_MAX, 400)]), t.connect("pub")
    c.subscribe(t.topic(), 0)
    p.publish(t.topic(), b"x" * (400 - head + 1))
    p.publish(t.topic(), b"y" * (400 - head))
    message = c.message()
    same("size", (message.size, message.payload[:1]), (400, b"y"))


@case(V5)
# [MQTT-3.1.2-25]
def too_large_takes_no_room_in_the_window(t):
    c, p = t.connect("sub", properties=[(PACKET_SIZE_MAX, 200), (RECEIVE_MAX, 1)]), t.connect("pub")
    c.subscribe(t.topic(), 2)
    p.publish(t.topic(), b"first", 2)
    for qos in (1, 2, 1, 2):
        p.publish(t.topic(), b"x" * 1000, qos)
    p.publish(t.topic(), b"last", 1)
    c.message(payload=b"first")
    c.message(payload=b"last")


@case(V5)
# [MQTT-3.1.2-24] [MQTT-3.1.2-25]
def too_large_on_return(t):
    """The maximum is one of the connection: the session may have kept larger messages."""
    c, p = t.connect("sub", expiry=60), t.connect("pub")
    c.subscribe(t.topic(), 1)
    p.publish(t.topic(), b"a" * 300, 1)
    c.message(payload=b"a" * 300, acknowledge=False)
    c.disconnect()
    p.publish(t.topic(), b"b" * 300, 1)
    p.publish(t.topic(), b"small", 1)
    c = t.connect("sub", expiry=60, properties=[(PACKET_SIZE_MAX, 200)])
    c.message(payload=b"small")
    c.ping()
    same("others", c.inbox, [])


@case(V5)
# [MQTT-3.1.2-24] [MQTT-3.1.2-25]
def too_large_when_retained(t):
    p = t.connect("pub")
    p.publish(t.topic("large"), b"x" * 300, 1, retain=True)
    p.publish(t.topic("small"), b"small", 1, retain=True)
    c = t.connect("sub", properties=[(PACKET_SIZE_MAX, 200)])
    c.subscribe(t.topic("+"), 1)
    c.message(t.topic("small"), b"small", 1, True)
    t.nothing(c, p)


@case(V5)
# [MQTT-3.1.2-24] [MQTT-3.1.2-25]
def too_large_for_one_of_two(t):
    small, large, p = t.connect("s", properties=[(PACKET_SIZE_MAX, 200)]), t.connect("l"), t.connect("pub")
    for c in (small, large):
        c.subscribe(t.topic(), 1)
    p.publish(t.topic(), b"x" * 500, 1)
    p.publish(t.topic(), b"y", 1)
    large.message(payload=b"x" * 500)
    large.message(payload=b"y")
    small.message(payload=b"y")


@case(V5)
# [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2]
def acknowledgements_fit_a_small_maximum(t):
    least = t.connect("ask").connack.size
    c = t.connect(properties=[(PACKET_SIZE_MAX, least)])
    for data, kind in ((wire.publish(t.v, t.topic("none"), b"x", 1, 1), PUBACK), (wire.publish(t.v, t.topic("none"), b"x", 2, 2), PUBREC),
                       (wire.ack(PUBREL, 2), PUBCOMP), (wire.ack(PUBREL, 99), PUBCOMP), (wire.ack(PUBREC, 98), PUBREL),
                       (wire.subscribe(t.v, 3, [("a", 0)]), wire.SUBACK), (wire.unsubscribe(t.v, 4, ["none"]), wire.UNSUBACK)):
        c.send(data)
        answer = c.take(kind)
        true(answer.size <= least, f"{answer} has {answer.size} bytes, the maximum is {least}")


@case(V5)
# [MQTT-3.3.4-9] [MQTT-4.6.0-5]
def a_slow_reader_gets_everything_in_order(t):
    """Nothing is read for a while; the window keeps order over many messages."""
    c, p = t.connect("sub", properties=[(RECEIVE_MAX, 10)]), t.connect("pub")
    c.subscribe(t.topic(), 1)
    for i in range(300):
        p.publish(t.topic(), b"%d" % i + b"." * 500, 1)
    for i in range(300):
        c.message(payload=b"%d" % i + b"." * 500, dup=False)
    same("left over", [x for x in c.inbox if x.kind == PUBLISH], [])
