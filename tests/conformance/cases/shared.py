"""Shared subscriptions (4.8.2)."""

import wire
from harness import case, same, true
from wire import PUBACK, RECEIVE_MAX, SUBSCRIPTION_ID, V5

GROUP_WINDOW_S = 0.3  # a look for copies that should not come: they take a longer way than other messages


def group(t, topic="t", name="g"):
    return f"$share/{name}/{t.topic(topic)}"


def everything(t, members, publisher):
    """The payloads each member had been sent."""
    return [[m.payload for m in t.drain(c, publisher, GROUP_WINDOW_S)] for c in members]


@case(V5)
# [MQTT-4.8.2-1] [MQTT-4.8.2-2]
def one_member_is_like_a_plain_subscription(t):
    c, p = t.connect("sub"), t.connect("pub")
    same("codes", c.subscribe([(group(t, "+/x"), 2)]), [2])
    for qos in (0, 1, 2):
        p.publish(t.topic("a/x"), b"%d" % qos, qos)
        c.message(t.topic("a/x"), b"%d" % qos, qos, False, False)
    p.publish(t.topic("a/y"), b"no", 1)
    t.nothing(c, p)


@case(V5)
# [MQTT-4.8.2-1]
def each_message_goes_to_one_member(t):
    members, p = [t.connect(f"s{i}") for i in range(4)], t.connect("pub")
    for c in members:
        c.subscribe(group(t), 2)
    for i in range(60):
        p.publish(t.topic(), b"%d" % i, i % 3)
    got = everything(t, members, p)
    same("messages", sorted(int(x) for part in got for x in part), list(range(60)))


@case(V5)
# [MQTT-4.8.2-1]
def every_group_and_every_plain_subscriber_gets_a_copy(t):
    clients = {"a1": group(t, name="a"), "a2": group(t, name="a"), "b1": group(t, name="b"), "plain": t.topic(), "A": group(t, name="A")}
    p, members = t.connect("pub"), {}
    for name, topic_filter in clients.items():
        members[name] = t.connect(name)
        members[name].subscribe(topic_filter, 1)
    for i in range(20):
        p.publish(t.topic(), b"%d" % i, 1)
    got = dict(zip(members, everything(t, members.values(), p)))
    want = [b"%d" % i for i in range(20)]
    same("group a", sorted(got["a1"] + got["a2"], key=int), want)
    for name in ("b1", "plain", "A"):
        same(name, got[name], want)


@case(V5)
# [MQTT-4.8.2-2]
def groups_with_the_same_name_and_other_filters_are_apart(t):
    a, b, p = t.connect("a"), t.connect("b"), t.connect("pub")
    a.subscribe(group(t, "x/+"), 1)
    b.subscribe(group(t, "x/#"), 1)
    for i in range(10):
        p.publish(t.topic("x/y"), b"%d" % i, 1)
    for c in (a, b):
        for i in range(10):
            c.message(payload=b"%d" % i)


@case(V5)
def shared_and_plain_in_one_client(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(group(t), 1, [(SUBSCRIPTION_ID, 1)])
    c.subscribe(t.topic(), 1, [(SUBSCRIPTION_ID, 2)])
    p.publish(t.topic(), b"x", 1)
    got = [c.message()] + t.drain(c, p, GROUP_WINDOW_S)
    true(1 <= len(got) <= 2, f"{got}")
    true(2 in [x for m in got for x in m.all(SUBSCRIPTION_ID)], f"the identifier of the plain subscription is missing: {got}")


@case(V5)
# [MQTT-3.3.4-3]
def shared_subscription_identifiers(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(group(t), 1, [(SUBSCRIPTION_ID, 77)])
    p.publish(t.topic(), b"x", 1)
    same("identifiers", c.message().all(SUBSCRIPTION_ID), [77])


@case(V5)
# [MQTT-4.8.2-3]
def shared_subscription_respects_the_granted_qos(t):
    for granted in (0, 1, 2):
        c, p = t.connect("sub"), t.connect("pub")
        c.subscribe(group(t, f"{granted}"), granted)
        for sent in (0, 1, 2):
            p.publish(t.topic(f"{granted}"), b"x", sent)
            c.message(qos=min(sent, granted))


@case(V5)
# [MQTT-4.8.2-3]
def members_with_different_qos(t):
    members, p = [t.connect(f"s{i}") for i in range(3)], t.connect("pub")
    for qos, c in enumerate(members):
        c.subscribe(group(t), qos)
    for i in range(30):
        p.publish(t.topic(), b"%d" % i, 2)
    seen = 0
    for qos, c in enumerate(members):
        for m in t.drain(c, p, GROUP_WINDOW_S):
            same("QoS", m.qos, qos)
            seen += 1
    same("messages", seen, 30)


@case(V5)
def shared_subscriptions_get_no_retained_messages(t):
    c, p = t.connect("sub"), t.connect("pub")
    p.publish(t.topic(), b"kept", 1, retain=True)
    c.subscribe(group(t), 1)
    t.nothing(c, p, GROUP_WINDOW_S)
    p.publish(t.topic(), b"live", 1, retain=True)
    c.message(payload=b"live", retain=False)


@case(V5)
# [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.11.3-2]
def leaving_a_group(t):
    a, b, p = t.connect("a"), t.connect("b"), t.connect("pub")
    for c in (a, b):
        c.subscribe(group(t), 1)
    same("codes", a.unsubscribe(t.topic()), [0x11])
    same("codes", a.unsubscribe(group(t)), [0])
    for i in range(20):
        p.publish(t.topic(), b"%d" % i, 1)
    for i in range(20):
        b.message(payload=b"%d" % i)
    t.nothing(a, p, GROUP_WINDOW_S)
    b.unsubscribe(group(t))
    p.publish(t.topic(), b"nobody", 1)
    t.nothing(b, p, GROUP_WINDOW_S)


@case(V5)
def joining_twice_is_joining_once(t):
    c, p = t.connect("sub"), t.connect("pub")
    for qos in (0, 1):
        same("codes", c.subscribe(group(t), qos), [qos])
    p.publish(t.topic(), b"x", 2)
    c.message(payload=b"x", qos=1)
    t.nothing(c, p, GROUP_WINDOW_S)
    c.unsubscribe(group(t))
    p.publish(t.topic(), b"y", 1)
    t.nothing(c, p, GROUP_WINDOW_S)


@case(V5)
# [MQTT-4.8.2-4] [MQTT-4.5.0-1]
def members_that_come_and_go(t):
    """The group changes while messages are published; each one arrives exactly once at somebody."""
    stay, p = t.connect("stay"), t.connect("pub")
    stay.subscribe(group(t), 1)
    got = []
    for round_ in range(6):
        c = t.connect(f"guest{round_}")
        c.subscribe(group(t), 1)
        for i in range(10):
            p.publish(t.topic(), b"%d" % (round_ * 10 + i), 1)
        got += [m.payload for m in t.drain(c, p, GROUP_WINDOW_S)]
        c.unsubscribe(group(t))
        c.disconnect()
    got += [m.payload for m in t.drain(stay, p, GROUP_WINDOW_S)]
    same("messages", sorted(map(int, got)), list(range(60)))


@case(V5)
def unacknowledged_qos_1_moves_on_when_the_session_ends(t):
    """4.8.2: another member should get it. QoS 1 loses nothing."""
    leaver, p = t.connect("leaver"), t.connect("pub")
    leaver.subscribe(group(t), 1)
    for i in range(10):
        p.publish(t.topic(), b"%d" % i, 1)
    held = [leaver.message(payload=b"%d" % i, acknowledge=False) for i in range(10)]
    for i in (0, 3):
        leaver.acknowledge(held[i])
    leaver.ping()
    heir = t.connect("heir")
    heir.subscribe(group(t), 1)
    leaver.drop()
    got = sorted(int(heir.message(qos=1).payload) for _ in range(8))
    same("messages", got, [i for i in range(10) if i not in (0, 3)])
    t.nothing(heir, p, GROUP_WINDOW_S)


@case(V5)
def queued_messages_move_on_when_the_session_ends(t):
    """Messages that a member's window kept back were not yet sent: any QoS above 0 must reach another member."""
    leaver, p = t.connect("leaver", properties=[(RECEIVE_MAX, 1)]), t.connect("pub")
    leaver.subscribe(group(t), 2)
    for i in range(10):
        p.publish(t.topic(), b"%d" % i, 1)
    leaver.message(payload=b"0", acknowledge=False)
    heir = t.connect("heir")
    heir.subscribe(group(t), 2)
    leaver.drop()
    same("messages", sorted(int(heir.message(qos=1).payload) for _ in range(10)), list(range(10)))


@case(V5)
# [MQTT-4.8.2-5]
def qos_2_in_delivery_goes_to_nobody_else(t):
    leaver, p = t.connect("leaver"), t.connect("pub")
    leaver.subscribe(group(t), 2)
    p.publish(t.topic(), b"once", 2)
    leaver.message(payload=b"once", qos=2, acknowledge=False)
    heir = t.connect("heir")
    heir.subscribe(group(t), 2)
    leaver.drop()
    t.connect("leaver").disconnect()  # the old session is over
    t.nothing(heir, p, GROUP_WINDOW_S)


@case(V5)
# [MQTT-4.8.2-4] [MQTT-4.4.0-1]
def qos_2_in_delivery_is_finished_on_return(t):
    c, other, p = t.connect("c", expiry=60), t.connect("other"), t.connect("pub")
    c.subscribe(group(t), 2)
    p.publish(t.topic(), b"once", 2)
    pid = c.message(payload=b"once", acknowledge=False).pid
    other.subscribe(group(t), 2)
    c.drop()
    c = t.connect("c", expiry=60)
    same("identifier", c.message(payload=b"once", qos=2, dup=True).pid, pid)
    t.nothing(other, p, GROUP_WINDOW_S)


@case(V5)
# [MQTT-4.8.2-6] [MQTT-4.4.0-2]
def a_refused_message_goes_to_nobody_else(t):
    c, p = t.connect("c"), t.connect("pub")
    c.subscribe(group(t), 2)
    for qos, kind in ((1, wire.PUBACK), (2, wire.PUBREC)):
        p.publish(t.topic(), b"bad", qos)
        c.send(wire.ack(kind, c.message(payload=b"bad", qos=qos, acknowledge=False).pid, 0x80))
    c.ping()
    heir = t.connect("heir")
    heir.subscribe(group(t), 2)
    c.drop()
    t.nothing(heir, p, GROUP_WINDOW_S)


@case(V5)
# [MQTT-4.5.0-1]
def a_group_whose_only_member_is_away(t):
    c, p = t.connect("c", expiry=60), t.connect("pub")
    c.subscribe(group(t), 1)
    c.disconnect()
    for i in range(10):
        p.publish(t.topic(), b"%d" % i, 1)
    c = t.connect("c", expiry=60)
    for i in range(10):
        c.message(payload=b"%d" % i, qos=1)


@case(V5)
# [MQTT-4.8.2-4] [MQTT-4.5.0-1]
def nothing_is_lost_when_members_crash(t):
    """Members drop their connections at random moments; every QoS 1 message is acknowledged by somebody in the end."""
    p, done = t.connect("pub"), set()
    members = [t.connect(f"m{i}") for i in range(3)]
    for c in members:
        c.subscribe(group(t), 1)
    for i in range(60):
        p.publish(t.topic(), b"%d" % i, 1)
        if i % 15 == 7:
            victim = members.pop(0)
            victim.drop(reset=True)
            members.append(t.connect(f"m{3 + i}"))
            members[-1].subscribe(group(t), 1)
    for _ in range(3):
        for c in members:
            done |= {int(m.payload) for m in t.drain(c, p, GROUP_WINDOW_S)}
    same("messages", sorted(done), list(range(60)))


@case(V5)
# [MQTT-4.6.0-5]
def one_member_keeps_the_order(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(group(t), 1)
    p.send(b"".join(wire.publish(t.v, t.topic(), b"%d" % i, 1, i + 1) for i in range(20)))
    for i in range(20):
        c.message(payload=b"%d" % i)
        p.take(PUBACK, pid=i + 1)


@case(V5)
# [MQTT-4.7.2-1]
def shared_wildcards_skip_dollar_topics(t):
    mark = t.id()
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe([(f"$share/{mark}/#", 0), (f"$share/{mark}/+/{mark}", 0)])
    p.publish(f"$mt/{mark}", mark, 1, ok=False)
    for message in t.drain(c, p, GROUP_WINDOW_S):
        true(not message.topic.startswith("$"), f"{message}")
