"""SUBSCRIBE, UNSUBSCRIBE, subscription options and identifiers, overlapping subscriptions."""

import wire
from harness import case, same, true
from options import NO_LOCAL
from wire import PUBACK, PUBLISH, SUBACK, SUBSCRIPTION_ID, UNSUBACK, V5, V31, V311


@case(V31, V311, V5)
# [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-2.2.1-6] [MQTT3-3.8.4-1] [MQTT3-3.8.4-2] [MQTT3-2.3.1-7]
def suback_has_the_identifier(t):
    c = t.connect()
    for pid in (1, 5, 256, 65535):
        c.send(wire.subscribe(t.v, pid, [(t.topic(), 0)]))
        answer = c.recv()
        same("answer", (answer.kind, answer.pid, answer.codes), (SUBACK, pid, [0]))


@case(V31, V311, V5)
# [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2] [MQTT3-3.8.4-4] [MQTT3-3.8.4-5] [MQTT3-3.9.3-1] [MQTT3-3.9.3-2]
def suback_codes_are_in_order(t):
    c = t.connect()
    wanted = [0, 1, 2, 2, 1, 0, 1]
    same("codes", c.subscribe([(t.topic(f"{i}"), q) for i, q in enumerate(wanted)]), wanted)
    many = [i % 3 for i in range(300)]
    same("codes", c.subscribe([(t.topic(f"m{i}"), q) for i, q in enumerate(many)]), many)
    c.publish(t.topic("m299"), b"x", 2)
    c.message(t.topic("m299"), b"x", 2)


@case(V31, V311, V5)
# [MQTT-3.8.4-5] [MQTT-3.8.4-3] [MQTT3-3.8.4-4] [MQTT3-3.8.4-3]
def same_filter_twice_in_one_packet(t):
    c = t.connect()
    same("codes", c.subscribe([(t.topic(), 2), (t.topic(), 0)]), [2, 0])
    c.publish(t.topic(), b"x", 2)
    c.message(t.topic(), b"x", 0)
    t.nothing(c, c)


@case(V31, V311, V5)
# [MQTT-3.8.4-3] [MQTT3-3.8.4-3] [MQTT-3.8.4-8]
def subscribing_again_replaces(t):
    c = t.connect()
    for qos in (2, 0, 1):
        c.subscribe(t.topic("+"), qos)
        c.publish(t.topic("x"), b"%d" % qos, 2)
        c.message(payload=b"%d" % qos, qos=qos)
    t.nothing(c, c)
    c.unsubscribe(t.topic("+"))
    c.publish(t.topic("x"), b"gone", 1)
    t.nothing(c, c)


@case(V311, V5)
# [MQTT-3.8.4-4] [MQTT-3.8.4-3] [MQTT3-3.8.4-3]
def replacing_interrupts_nothing(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 1)
    for i in range(100):
        p.send(wire.publish(t.v, t.topic(), b"%d" % i, 1, i + 1))
        if i % 5 == 0:
            c.send(wire.subscribe(t.v, 1000 + i, [(t.topic(), 1 + i // 5 % 2)]))
        c.message(t.topic(), b"%d" % i, 1)
    for _ in range(20):
        c.take(SUBACK)
    for _ in range(100):
        p.take(PUBACK)


@case(V31, V311, V5)
# [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-2.2.1-6] [MQTT3-3.10.4-4] [MQTT3-3.10.4-5] [MQTT3-2.3.1-7]
def unsuback_has_the_identifier(t):
    c = t.connect()
    for pid in (1, 5, 256, 65535):
        c.send(wire.unsubscribe(t.v, pid, [t.topic("never subscribed")]))
        answer = c.recv()
        same("answer", (answer.kind, answer.pid), (UNSUBACK, pid))


@case(V5)
# [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT-3.10.4-6]
def unsuback_codes_are_in_order(t):
    c = t.connect()
    c.subscribe([(t.topic("a"), 1), (t.topic("b/+"), 1)])
    same("codes", c.unsubscribe(t.topic("x"), t.topic("a"), t.topic("y"), t.topic("b/+"), t.topic("a")), [0x11, 0, 0x11, 0, 0x11])


@case(V31, V311, V5)
# [MQTT-3.10.4-2] [MQTT-3.10.4-6] [MQTT3-3.10.4-2] [MQTT3-3.10.4-6]
def unsubscribe_ends_the_subscription(t):
    c = t.connect()
    c.subscribe([(t.topic(n), 1) for n in "abc"])
    c.unsubscribe(t.topic("a"), t.topic("c"))
    for n in "abc":
        c.publish(t.topic(n), n.encode(), 1)
    c.message(t.topic("b"), b"b")
    t.nothing(c, c)


@case(V31, V311, V5)
# [MQTT-3.10.4-1] [MQTT3-3.10.4-1]
def unsubscribe_compares_characters(t):
    """Not what the filter matches: only the same filter goes."""
    c = t.connect()
    c.subscribe([(t.topic("a/+"), 1), (t.topic("b/c"), 1)])
    for other in ("a/b", "a/#", "#", "+/+", "a/+/", "/a/+", "A/+", "b/+", "b/C", "b/c/#"):
        c.unsubscribe(t.topic(other))
    c.publish(t.topic("a/b"), b"1", 1)
    c.message(t.topic("a/b"), b"1")
    c.publish(t.topic("b/c"), b"2", 1)
    c.message(t.topic("b/c"), b"2")


@case(V31, V311, V5)
# [MQTT-3.10.4-3] [MQTT3-3.10.4-3]
def unsubscribe_lets_deliveries_finish(t):
    c = t.connect()
    c.subscribe(t.topic(), 2)
    c.publish(t.topic(), b"2", 2)
    two = c.message(payload=b"2", acknowledge=False)
    c.unsubscribe(t.topic())
    c.send(wire.ack(wire.PUBREC, two.pid))
    c.take(wire.PUBREL, pid=two.pid)
    c.send(wire.ack(wire.PUBCOMP, two.pid))
    c.ping()


@case(V311, V5)
# [MQTT-3.10.4-3] [MQTT-4.4.0-1] [MQTT3-3.10.4-3]
def unsubscribe_lets_resends_happen(t):
    c = t.connect(expiry=60)
    c.subscribe(t.topic(), 1)
    c.publish(t.topic(), b"1", 1)
    pid = c.message(payload=b"1", acknowledge=False).pid
    c.unsubscribe(t.topic())
    c.drop()
    c = t.connect(expiry=60)
    same("identifier", c.message(payload=b"1", dup=True).pid, pid)


@case(V311, V5)
# [MQTT-3.10.4-2] [MQTT3-3.10.4-2]
def unsubscribe_outlives_the_connection(t):
    p, c = t.connect("pub"), t.connect(expiry=60)
    c.subscribe([(t.topic("a"), 1), (t.topic("b"), 1)])
    c.unsubscribe(t.topic("a"))
    c.disconnect()
    p.publish(t.topic("a"), b"a", 1)
    p.publish(t.topic("b"), b"b", 1)
    c = t.connect(expiry=60)
    c.message(t.topic("b"), b"b")
    t.nothing(c, p)


@case(V31, V311, V5)
# [MQTT-3.8.4-1] [MQTT3-3.8.4-1] [MQTT-4.5.0-1]
def subscribed_means_subscribed(t):
    """After the SUBACK, whoever publishes reaches the subscriber, wherever in the server both live."""
    for i in range(25):
        c, p = t.connect(f"s{i}"), t.connect(f"p{i}")
        c.subscribe(t.topic(f"{i}/+" if i % 2 else f"{i}/x"), 1)
        p.publish(t.topic(f"{i}/x"), b"x", i % 3)
        c.message(t.topic(f"{i}/x"))
        c.close()
        p.close()


@case(V31, V311, V5)
# [MQTT-3.3.4-2] [MQTT3-3.3.5-1]
def overlapping_subscriptions_respect_the_highest_qos(t):
    """One copy at the highest QoS, or a copy a subscription of which one has the highest QoS."""
    c = t.connect()
    c.subscribe([(t.topic("#"), 0), (t.topic("a/+"), 2), (t.topic("a/b"), 1)])
    for sent in (2, 1, 0):
        c.publish(t.topic("a/b"), b"%d" % sent, sent)
        got = [c.message(payload=b"%d" % sent)] + t.drain(c, c)
        same("highest QoS", max(m.qos for m in got), sent)
        true(len(got) <= 3, f"{len(got)} copies for three subscriptions")


@case(V5)
# [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]
def subscription_identifiers_of_overlapping_subscriptions(t):
    c = t.connect()
    for i, (name, qos) in enumerate((("#", 0), ("a/+", 2), ("a/b", 1), ("+/b", 1)), 1):
        c.subscribe(t.topic(name), qos, [(SUBSCRIPTION_ID, i)] if i != 4 else [])
    c.publish(t.topic("a/b"), b"x", 2)
    got = [c.message()] + t.drain(c, c)
    ids = sorted(x for m in got for x in m.all(SUBSCRIPTION_ID))
    same("identifiers", ids, [1, 2, 3])
    same("highest QoS", max(m.qos for m in got), 2)
    if len(got) > 1:
        true(all(len(m.all(SUBSCRIPTION_ID)) <= 1 for m in got), f"{got}")


@case(V5)
# [MQTT-3.3.4-3] [MQTT-3.3.4-4]
def subscription_identifier_values(t):
    c, p = t.connect("sub"), t.connect("pub")
    for value in (1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455):
        c.subscribe(t.topic(), 1, [(SUBSCRIPTION_ID, value)])
        for qos in (0, 1):
            p.publish(t.topic(), b"x", qos)
            same("identifiers", c.message().all(SUBSCRIPTION_ID), [value])
    c.subscribe(t.topic(), 1)
    p.publish(t.topic(), b"x", 1)
    same("identifiers", c.message().all(SUBSCRIPTION_ID), [])


@case(V5)
# [MQTT-3.3.4-3] [MQTT-3.3.4-6]
def subscription_identifiers_belong_to_one_client(t):
    a, b, p = t.connect("a"), t.connect("b"), t.connect("pub")
    a.subscribe(t.topic("#"), 1, [(SUBSCRIPTION_ID, 7)])
    b.subscribe(t.topic("#"), 1)
    for qos in (0, 1, 2):
        p.publish(t.topic("x"), b"x", qos)
        same("identifiers", a.message().all(SUBSCRIPTION_ID), [7])
        same("identifiers", b.message().all(SUBSCRIPTION_ID), [])


@case(V5)
# [MQTT-3.3.4-3] [MQTT-3.3.4-4]
def one_subscription_identifier_for_several_filters(t):
    c = t.connect()
    c.subscribe([(t.topic("a/#"), 1), (t.topic("+/b"), 1)], properties=[(SUBSCRIPTION_ID, 9)])
    c.publish(t.topic("a/b"), b"x", 1)
    got = [c.message()] + t.drain(c, c)
    same("identifiers", {x for m in got for x in m.all(SUBSCRIPTION_ID)}, {9})
    c.publish(t.topic("c/b"), b"y", 1)
    same("identifiers", c.message(payload=b"y").all(SUBSCRIPTION_ID), [9])


@case(V5)
# [MQTT-3.3.4-3]
def subscription_identifiers_with_retained_and_queued_messages(t):
    p, c = t.connect("pub"), t.connect(expiry=60)
    p.publish(t.topic("kept"), b"kept", 1, retain=True)
    c.subscribe(t.topic("+"), 1, [(SUBSCRIPTION_ID, 3)])
    same("identifiers", c.message(payload=b"kept", retain=True).all(SUBSCRIPTION_ID), [3])
    c.disconnect()
    p.publish(t.topic("queued"), b"queued", 1)
    c = t.connect(expiry=60)
    same("identifiers", c.message(payload=b"queued").all(SUBSCRIPTION_ID), [3])


@case(V5)
# [MQTT-3.8.3-3]
def no_local(t):
    c, other = t.connect(), t.connect("other")
    c.subscribe(t.topic("quiet"), 2 | NO_LOCAL)
    c.subscribe(t.topic("loud"), 2)
    other.subscribe(t.topic("quiet"), 2)
    for qos in (0, 1, 2):
        c.publish(t.topic("quiet"), b"mine", qos)
        c.publish(t.topic("loud"), b"mine", qos)
        c.message(t.topic("loud"), b"mine", qos)
        other.message(t.topic("quiet"), b"mine", qos)
        other.publish(t.topic("quiet"), b"theirs", qos)
        c.message(t.topic("quiet"), b"theirs", qos)
        other.message(t.topic("quiet"), b"theirs", qos)
    t.nothing(c, other)


@case(V5)
# [MQTT-3.8.3-3] [MQTT-3.8.4-3]
def no_local_is_an_option_of_one_subscription(t):
    """Another subscription of the client, without No Local, still gets its own messages; replacing switches it."""
    c = t.connect()
    c.subscribe(t.topic("a/#"), 1 | NO_LOCAL, [(SUBSCRIPTION_ID, 1)])
    c.subscribe(t.topic("a/b"), 1, [(SUBSCRIPTION_ID, 2)])
    c.publish(t.topic("a/b"), b"1", 1)
    same("identifiers", c.message(payload=b"1").all(SUBSCRIPTION_ID), [2])
    c.publish(t.topic("a/c"), b"2", 1)
    t.nothing(c, c)
    c.subscribe(t.topic("a/#"), 1)
    c.publish(t.topic("a/c"), b"3", 1)
    c.message(payload=b"3")


@case(V5)
# [MQTT-3.8.3-3]
def no_local_by_client_id(t):
    """What a session published before it reconnected is its own, too: it was not queued for it."""
    c = t.connect(expiry=60)
    c.subscribe(t.topic(), 1 | NO_LOCAL)
    c.publish(t.topic(), b"mine", 1)
    c.drop()
    c = t.connect(expiry=60)
    c.publish(t.topic(), b"mine", 1)
    t.nothing(c, c)


@case(V5)
def subscribe_and_unsubscribe_with_user_properties(t):
    c = t.connect()
    c.send(wire.subscribe(t.v, 1, [(t.topic(), 1)], [(wire.USER_PROPERTY, ("a", "b")), (SUBSCRIPTION_ID, 5), (wire.USER_PROPERTY, ("a", "c"))]))
    same("codes", c.take(SUBACK, pid=1).codes, [1])
    c.send(wire.unsubscribe(t.v, 2, [t.topic()], [(wire.USER_PROPERTY, ("a", "b"))]))
    same("codes", c.take(UNSUBACK, pid=2).codes, [0])


@case(V31)
def dup_flag_of_3_1_requests(t):
    """3.1 allows DUP in SUBSCRIBE, UNSUBSCRIBE and PUBREL."""
    c = t.connect()
    c.send(wire.subscribe(t.v, 1, [(t.topic(), 1)], flags=10))
    same("codes", c.take(SUBACK, pid=1).codes, [1])
    c.send(wire.unsubscribe(t.v, 2, [t.topic()], flags=10))
    c.take(UNSUBACK, pid=2)
    c.send(wire.publish(t.v, t.topic(), b"x", 2, 3))
    c.take(wire.PUBREC, pid=3)
    c.send(wire.ack(wire.PUBREL, 3, flags=10))
    c.take(wire.PUBCOMP, pid=3)


@case(V311, V5)
# [MQTT-4.5.0-1] [MQTT3-4.5.0-1] [MQTT-3.3.2-3] [MQTT3-3.3.2-3]
def many_subscriptions_of_one_client(t):
    c, p = t.connect("sub"), t.connect("pub")
    for start in range(0, 2000, 500):
        c.subscribe([(t.topic(f"{i}/+" if i % 3 == 0 else f"{i}/v"), 1) for i in range(start, start + 500)])
    for i in (0, 1, 2, 999, 1998, 1999):
        p.publish(t.topic(f"{i}/v"), b"%d" % i, 1)
        c.message(t.topic(f"{i}/v"), b"%d" % i)
    c.unsubscribe(*[t.topic(f"{i}/+" if i % 3 == 0 else f"{i}/v") for i in range(2000)])
    for i in (0, 1, 2, 999, 1998, 1999):
        p.publish(t.topic(f"{i}/v"), b"gone", 1)
    t.nothing(c, p)
    same("left over", [x for x in c.inbox if x.kind == PUBLISH], [])
