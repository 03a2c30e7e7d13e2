"""Properties of PUBLISH that a server passes on, topic aliases both ways, message expiry."""

import wire
from harness import case, same, true
from wire import (CONTENT_TYPE, CORRELATION_DATA, MESSAGE_EXPIRY, PAYLOAD_FORMAT, PUBACK, PUBCOMP, PUBREC, PUBREL, RESPONSE_TOPIC,
                  TOPIC_ALIAS, USER_PROPERTY, V5, V311)


def passed_on(t, *properties):
    """The subscriber gets the property as it was sent, at every QoS, live and retained."""
    c = t.connect("sub")
    c.subscribe(t.topic(), 2)
    for qos in (0, 1, 2):
        for pairs in properties:
            c.publish(t.topic(), b"x", qos, properties=pairs)
            same("properties", [p for p in c.message(qos=qos).properties], list(pairs))
    c.publish(t.topic("kept"), b"x", 1, retain=True, properties=properties[0])
    c.subscribe(t.topic("kept"), 1)
    same("properties of the retained message", c.message(retain=True).properties, list(properties[0]))


@case(V5)
# [MQTT-3.3.2-4]
def payload_format_is_passed_on(t):
    passed_on(t, [(PAYLOAD_FORMAT, 1)], [(PAYLOAD_FORMAT, 0)])


@case(V5)
# [MQTT-3.3.2-20]
def content_type_is_passed_on(t):
    passed_on(t, [(CONTENT_TYPE, "text/plain; charset=utf-8")], [(CONTENT_TYPE, "")], [(CONTENT_TYPE, "\ufeff\u00e9\U0001F600")])


@case(V5)
# [MQTT-3.3.2-15]
def response_topic_is_passed_on(t):
    passed_on(t, [(RESPONSE_TOPIC, "answers/to me/\u00e9")], [(RESPONSE_TOPIC, "/")])


@case(V5)
# [MQTT-3.3.2-16]
def correlation_data_is_passed_on(t):
    passed_on(t, [(CORRELATION_DATA, bytes(range(256)))], [(CORRELATION_DATA, b"")], [(CORRELATION_DATA, b"\0" * 65535)])


@case(V5)
# [MQTT-3.3.2-17] [MQTT-3.3.2-18]
def user_properties_are_passed_on_in_order(t):
    pairs = [("b", "1"), ("a", "2"), ("b", "1"), ("a", "3"), ("", ""), ("c" * 300, "d" * 300), ("\ufeff", "\U0001F600")]
    passed_on(t, [(USER_PROPERTY, p) for p in pairs], [(USER_PROPERTY, ("k", str(i))) for i in range(100)])


@case(V5)
# [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
def all_properties_in_any_order(t):
    pairs = [(USER_PROPERTY, ("a", "1")), (CONTENT_TYPE, "t"), (USER_PROPERTY, ("b", "2")), (CORRELATION_DATA, b"c"), (PAYLOAD_FORMAT, 1),
             (USER_PROPERTY, ("a", "0")), (RESPONSE_TOPIC, "r/s")]
    c = t.connect()
    c.subscribe(t.topic(), 1)
    for order in (pairs, pairs[::-1]):
        c.publish(t.topic(), b"x", 1, properties=order)
        message = c.message()
        same("user properties", message.all(USER_PROPERTY), [v for i, v in order if i == USER_PROPERTY])
        for ident in (CONTENT_TYPE, CORRELATION_DATA, PAYLOAD_FORMAT, RESPONSE_TOPIC):
            same(f"property 0x{ident:02X}", message.prop(ident), dict(pairs)[ident])


@case(V5)
# [MQTT-3.3.2-17]
def properties_reach_a_client_that_was_away(t):
    c, p = t.connect("sub", expiry=60), t.connect("pub")
    c.subscribe(t.topic(), 2)
    c.disconnect()
    pairs = [(PAYLOAD_FORMAT, 1), (CONTENT_TYPE, "t"), (RESPONSE_TOPIC, "r"), (CORRELATION_DATA, b"c"), (USER_PROPERTY, ("a", "1"))]
    for qos in (1, 2):
        p.publish(t.topic(), b"x", qos, properties=pairs)
    c = t.connect("sub", expiry=60)
    for qos in (1, 2):
        same("properties", sorted(map(str, c.message(qos=qos).properties)), sorted(map(str, pairs)))


@case(V5)
def requests_and_responses(t):
    asker, server = t.connect("asker"), t.connect("server")
    server.subscribe(t.topic("do"), 1)
    asker.subscribe(t.topic("answers"), 1)
    asker.publish(t.topic("do"), b"2+2", 1, properties=[(RESPONSE_TOPIC, t.topic("answers")), (CORRELATION_DATA, b"\x07")])
    request = server.message(payload=b"2+2")
    server.publish(request.prop(RESPONSE_TOPIC), b"4", 1, properties=[(CORRELATION_DATA, request.prop(CORRELATION_DATA))])
    same("correlation data", asker.message(t.topic("answers"), b"4").prop(CORRELATION_DATA), b"\x07")


# ---- topic aliases

@case(V5)
# [MQTT-3.3.2-12]
def topic_aliases_from_a_client(t):
    c = t.connect()
    most = c.connack.prop(wire.TOPIC_ALIAS_MAX, 0)
    c.subscribe(t.topic("#"), 2)
    for alias in {1, most // 2, most} - {0}:
        c.publish(t.topic(f"a{alias}"), b"set", properties=[(TOPIC_ALIAS, alias)])
        c.message(t.topic(f"a{alias}"), b"set")
        for qos in (0, 1, 2):
            c.publish("", b"use", qos, properties=[(TOPIC_ALIAS, alias)])
            c.message(t.topic(f"a{alias}"), b"use", qos)
        c.publish(t.topic(f"b{alias}"), b"move", 1, properties=[(TOPIC_ALIAS, alias)])
        c.message(t.topic(f"b{alias}"), b"move")
        c.publish("", b"moved", properties=[(TOPIC_ALIAS, alias)])
        c.message(t.topic(f"b{alias}"), b"moved")


@case(V5)
# [MQTT-3.3.2-12] [MQTT-3.3.2-7]
def topic_aliases_belong_to_one_connection(t):
    a, b, c = t.connect("a"), t.connect("b"), t.connect("sub")
    if a.connack.prop(wire.TOPIC_ALIAS_MAX, 0):
        c.subscribe(t.topic("#"), 1)
        for p, name in ((a, "a"), (b, "b")):
            p.publish(t.topic(name), b"set", 1, properties=[(TOPIC_ALIAS, 1)])
            c.message(t.topic(name))
        for p, name in ((a, "a"), (b, "b")):
            p.publish("", b"use", 1, properties=[(TOPIC_ALIAS, 1)])
            c.message(t.topic(name), b"use")


@case(V5)
# [MQTT-3.1.2-27] [MQTT-3.1.2-26]
def no_topic_aliases_unless_allowed(t):
    for i, properties in enumerate(([], [(wire.TOPIC_ALIAS_MAX, 0)])):
        c, p = t.connect(f"sub{i}", properties=properties), t.connect("pub")
        c.subscribe(t.topic("#"), 1)
        for _ in range(5):
            p.publish(t.topic("one"), b"x", 1, properties=[(TOPIC_ALIAS, 1)] if p.connack.prop(wire.TOPIC_ALIAS_MAX, 0) else [])
            same("alias", c.message(t.topic("one")).prop(TOPIC_ALIAS), None)


@case(V5)
# [MQTT-3.1.2-26] [MQTT-3.3.2-11] [MQTT-3.3.2-10] [MQTT-3.3.2-8]
def topic_aliases_of_the_server_stay_in_bounds(t):
    """The client of this suite resolves aliases and fails on one that is 0, too large or unknown."""
    for most in (1, 2, 5, 65535):
        c, p = t.connect(f"sub{most}", properties=[(wire.TOPIC_ALIAS_MAX, most)]), t.connect("pub")
        c.subscribe(t.topic("#"), 1)
        for round_ in range(3):
            for i in range(8):
                for qos in (0, 1):
                    p.publish(t.topic(f"n{i}"), b"%d" % i, qos)
                    c.message(t.topic(f"n{i}"), b"%d" % i, qos)
        c.disconnect()


@case(V5)
# [MQTT-3.3.2-7] [MQTT-3.1.2-26]
def topic_aliases_of_the_server_end_with_the_connection(t):
    p = t.connect("pub")
    for round_ in range(3):
        c = t.connect("sub", expiry=60, properties=[(wire.TOPIC_ALIAS_MAX, 10)])
        if round_ == 0:
            c.subscribe(t.topic("#"), 1)
        for _ in range(3):
            p.publish(t.topic("x"), b"x", 1)
            c.message(t.topic("x"), b"x")
        p.publish(t.topic("x"), b"unacknowledged", 1)
        c.message(t.topic("x"), b"unacknowledged", acknowledge=False)
        c.drop()
        c = t.connect("sub", expiry=60, properties=[(wire.TOPIC_ALIAS_MAX, 10)])
        c.message(t.topic("x"), b"unacknowledged")
        c.disconnect()


# ---- message expiry

@case(V5)
# [MQTT-3.3.2-6]
def message_expiry_is_passed_on(t):
    c = t.connect()
    c.subscribe(t.topic(), 2)
    for qos in (0, 1, 2):
        for seconds in (100, 0xFFFFFFFF):
            c.publish(t.topic(), b"x", qos, properties=[(MESSAGE_EXPIRY, seconds)])
            got = c.message().prop(MESSAGE_EXPIRY)
            true(got is not None and seconds - 5 <= got <= seconds, f"message expiry: sent {seconds}, got {got}")
        c.publish(t.topic(), b"x", qos)
        same("message expiry", c.message().prop(MESSAGE_EXPIRY), None)


@case(V5, slow=True)
# [MQTT-3.3.2-6] [MQTT-3.3.2-5]
def message_expiry_counts_the_time_in_the_queue(t):
    c, p = t.connect("sub", expiry=60), t.connect("pub")
    c.subscribe(t.topic(), 2)
    c.disconnect()
    for qos in (1, 2):
        p.publish(t.topic(), b"short", qos, properties=[(MESSAGE_EXPIRY, 1)])
        p.publish(t.topic(), b"long", qos, properties=[(MESSAGE_EXPIRY, 100)])
        p.publish(t.topic(), b"ever", qos)
    t.elapse(2.2)
    c = t.connect("sub", expiry=60)
    for qos in (1, 2):
        got = c.message(payload=b"long", qos=qos).prop(MESSAGE_EXPIRY)
        true(got is not None and 90 <= got <= 98, f"message expiry: sent 100, after 2.2 s got {got}")
        same("message expiry", c.message(payload=b"ever", qos=qos).prop(MESSAGE_EXPIRY), None)
    t.nothing(c, p)


@case(V5, slow=True)
# [MQTT-3.3.2-6] [MQTT-3.3.2-5]
def message_expiry_of_retained_messages(t):
    p = t.connect("pub")
    p.publish(t.topic("short"), b"short", 1, retain=True, properties=[(MESSAGE_EXPIRY, 1)])
    p.publish(t.topic("long"), b"long", 1, retain=True, properties=[(MESSAGE_EXPIRY, 100)])
    t.elapse(2.2)
    c = t.connect("sub")
    c.subscribe(t.topic("+"), 1)
    got = c.message(payload=b"long", retain=True).prop(MESSAGE_EXPIRY)
    true(got is not None and 90 <= got <= 98, f"message expiry: sent 100, after 2.2 s got {got}")
    t.nothing(c, p)
    c.subscribe(t.topic("short"), 1)
    t.nothing(c, p)


@case(V5, slow=True)
# [MQTT-3.3.2-5]
def message_expiry_behind_a_full_window(t):
    c, p = t.connect("sub", properties=[(wire.RECEIVE_MAX, 1)]), t.connect("pub")
    c.subscribe(t.topic(), 1)
    p.publish(t.topic(), b"first", 1)
    p.publish(t.topic(), b"expires", 1, properties=[(MESSAGE_EXPIRY, 1)])
    p.publish(t.topic(), b"last", 1, properties=[(MESSAGE_EXPIRY, 50)])
    first = c.message(payload=b"first", acknowledge=False)
    t.elapse(2.2)
    c.acknowledge(first)
    got = c.message(payload=b"last").prop(MESSAGE_EXPIRY)
    true(got is not None and 40 <= got <= 48, f"message expiry: sent 50, after 2.2 s got {got}")


@case(V5, slow=True)
# [MQTT-4.3.3-7] [MQTT-3.3.1-1]
def message_expiry_does_not_apply_once_sent(t):
    c, p = t.connect("sub", expiry=60), t.connect("pub")
    c.subscribe(t.topic(), 2)
    p.publish(t.topic(), b"two", 2, properties=[(MESSAGE_EXPIRY, 1)])
    pid = c.message(payload=b"two", acknowledge=False).pid
    c.drop()
    t.elapse(2.2)
    c = t.connect("sub", expiry=60)
    same("identifier", c.message(payload=b"two", qos=2, dup=True).pid, pid)


@case(V5, slow=True)
# [MQTT-4.3.3-13]
def message_expiry_does_not_stop_the_handshake(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 2)
    p.send(wire.publish(t.v, t.topic(), b"x", 2, 5, properties=[(MESSAGE_EXPIRY, 1)]))
    p.take(PUBREC, pid=5)
    t.elapse(1.6)
    p.send(wire.ack(PUBREL, 5))
    same("reason", p.take(PUBCOMP, pid=5).reason, 0)


@case(V5, slow=True)
# [MQTT-4.3.3-5] [MQTT-4.3.3-7]
def message_expiry_does_not_stop_the_servers_handshake(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 2)
    p.publish(t.topic(), b"x", 2, properties=[(MESSAGE_EXPIRY, 1)])
    pid = c.message(acknowledge=False).pid
    t.elapse(1.6)
    c.send(wire.ack(PUBREC, pid))
    c.take(PUBREL, pid=pid)
    c.send(wire.ack(PUBCOMP, pid))
    c.ping()


@case(V5)
# [MQTT-3.1.2-29]
def no_reason_strings_unless_wanted(t):
    c = t.connect(properties=[(wire.REQUEST_PROBLEM_INFO, 0)])
    for data, kind in ((wire.publish(t.v, t.topic(), b"x", 1, 1), PUBACK), (wire.publish(t.v, t.topic(), b"x", 2, 2), PUBREC), (wire.ack(PUBREL, 2), PUBCOMP),
                       (wire.ack(PUBREL, 99), PUBCOMP), (wire.ack(PUBREC, 98), PUBREL), (wire.subscribe(t.v, 3, [(t.topic(), 0)]), wire.SUBACK),
                       (wire.unsubscribe(t.v, 4, [t.topic("none")]), wire.UNSUBACK)):
        c.send(data)
        same("properties", c.take(kind).properties, [])


@case(V311)
def messages_of_v5_without_their_properties(t):
    c, p = t.connect("sub"), t.connect("pub", V5)
    c.subscribe(t.topic(), 1)
    p.publish(t.topic(), b"plain", 1, properties=[(CONTENT_TYPE, "x"), (USER_PROPERTY, ("a", "b")), (MESSAGE_EXPIRY, 50)])
    c.message(t.topic(), b"plain", 1)
