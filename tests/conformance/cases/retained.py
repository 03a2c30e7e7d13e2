"""Retained messages: set, replace, delete, replay, Retain Handling, Retain As Published."""

from harness import case, same, true
from options import AS_PUBLISHED, RETAIN_IF_NEW, RETAIN_NEVER
from wire import SUBSCRIPTION_ID, V5, V31, V311


@case(V31, V311, V5)
# [MQTT-3.3.1-5] [MQTT-3.3.1-9] [MQTT3-3.3.1-5] [MQTT3-3.3.1-6] [MQTT3-3.3.1-8]
def retained_message_is_replayed(t):
    p = t.connect("pub")
    for sent in (0, 1, 2):
        p.publish(t.topic(f"{sent}"), b"kept", sent, retain=True)
        for granted in (0, 1, 2):
            c = t.connect("sub")
            c.subscribe(t.topic(f"{sent}"), granted)
            c.message(t.topic(f"{sent}"), b"kept", min(sent, granted), True, False)
            t.nothing(c, p, window=0.02)


@case(V31, V311, V5)
# [MQTT-3.3.1-5] [MQTT3-3.3.1-5] [MQTT3-3.3.1-7]
def retained_message_is_replaced(t):
    p = t.connect("pub")
    for i, qos in enumerate((1, 0, 2, 0)):
        p.publish(t.topic(), b"%d" % i, qos, retain=True)
        p.ping()
        c = t.connect("sub")
        c.subscribe(t.topic(), 2)
        c.message(t.topic(), b"%d" % i, qos, True)
        t.nothing(c, p, window=0.02)


@case(V31, V311, V5)
# [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT3-3.3.1-10] [MQTT3-3.3.1-11]
def empty_retained_message_deletes(t):
    p, live = t.connect("pub"), t.connect("live")
    for qos in (0, 1, 2):
        p.publish(t.topic(), b"kept", 1, retain=True)
        live.subscribe(t.topic(), 2)
        live.message(payload=b"kept", retain=True)
        p.publish(t.topic(), b"", qos, retain=True)
        live.message(t.topic(), b"", qos, retain=False)  # processed normally for those who are subscribed
        live.unsubscribe(t.topic())
        c = t.connect("sub")
        c.subscribe([(t.topic(), 2), (t.topic("#"), 2)])
        t.nothing(c, p)


@case(V31, V311, V5)
# [MQTT-3.3.1-8] [MQTT3-3.3.1-12]
def other_messages_leave_it_alone(t):
    p = t.connect("pub")
    p.publish(t.topic("a"), b"kept", 1, retain=True)
    p.publish(t.topic("a"), b"passing", 1)
    p.publish(t.topic("a"), b"", 1)
    p.publish(t.topic("b"), b"passing", 1)
    c = t.connect("sub")
    c.subscribe(t.topic("+"), 1)
    c.message(t.topic("a"), b"kept", 1, True)
    t.nothing(c, p)


@case(V31, V311, V5)
# [MQTT-3.3.1-12] [MQTT3-3.3.1-9]
def retain_flag_is_off_for_live_messages(t):
    c, p = t.connect("sub"), t.connect("pub")
    c.subscribe(t.topic(), 2)
    for qos in (0, 1, 2):
        p.publish(t.topic(), b"x", qos, retain=True)
        c.message(t.topic(), b"x", qos, False)


@case(V5)
# [MQTT-3.3.1-13] [MQTT-3.3.1-12]
def retain_as_published(t):
    yes, no, p = t.connect("yes"), t.connect("no"), t.connect("pub")
    yes.subscribe(t.topic(), 2 | AS_PUBLISHED)
    no.subscribe(t.topic(), 2)
    for qos in (0, 1, 2):
        for retain in (True, False):
            p.publish(t.topic(), b"x", qos, retain=retain)
            yes.message(t.topic(), b"x", qos, retain)
            no.message(t.topic(), b"x", qos, False)
    p.publish(t.topic(), b"", 1, retain=True)
    yes.message(t.topic(), b"", 1, True)


@case(V5)
# [MQTT-3.3.1-13] [MQTT-3.3.1-12]
def retain_as_published_while_away(t):
    p = t.connect("pub")
    for name, options in (("yes", 1 | AS_PUBLISHED), ("no", 1)):
        c = t.connect(name, expiry=60)
        c.subscribe(t.topic(), options)
        c.disconnect()
    p.publish(t.topic(), b"x", 1, retain=True)
    t.connect("yes", expiry=60).message(t.topic(), b"x", 1, True)
    t.connect("no", expiry=60).message(t.topic(), b"x", 1, False)


@case(V5)
# [MQTT-3.3.1-9] [MQTT-3.3.1-12]
def replayed_messages_have_the_flag_whatever_the_option(t):
    p = t.connect("pub")
    p.publish(t.topic(), b"kept", 1, retain=True)
    for i, options in enumerate((1, 1 | AS_PUBLISHED)):
        c = t.connect(f"sub{i}")
        c.subscribe(t.topic(), options)
        c.message(t.topic(), b"kept", 1, True)


@case(V5)
# [MQTT-3.3.1-9] [MQTT-3.8.4-4]
def retain_handling_0(t):
    p, c = t.connect("pub"), t.connect("sub")
    p.publish(t.topic(), b"kept", 1, retain=True)
    for _ in range(3):
        c.subscribe(t.topic(), 1)
        c.message(t.topic(), b"kept", 1, True)


@case(V5)
# [MQTT-3.3.1-10]
def retain_handling_1(t):
    p, c = t.connect("pub"), t.connect("sub")
    p.publish(t.topic(), b"kept", 1, retain=True)
    for _ in range(2):
        c.subscribe(t.topic(), 1 | RETAIN_IF_NEW)
        c.message(t.topic(), b"kept", 1, True)
        c.subscribe(t.topic(), 1 | RETAIN_IF_NEW)
        c.subscribe(t.topic(), 0 | RETAIN_IF_NEW)
        t.nothing(c, p)
        c.unsubscribe(t.topic())


@case(V5)
# [MQTT-3.3.1-10] [MQTT-3.1.2-5]
def retain_handling_1_in_a_resumed_session(t):
    p, c = t.connect("pub"), t.connect("sub", expiry=60)
    p.publish(t.topic(), b"kept", 1, retain=True)
    c.subscribe(t.topic(), 1 | RETAIN_IF_NEW)
    c.message(t.topic(), b"kept", 1, True)
    c.disconnect()
    c = t.connect("sub", expiry=60)
    c.subscribe(t.topic(), 1 | RETAIN_IF_NEW)
    t.nothing(c, p)


@case(V5)
# [MQTT-3.3.1-11]
def retain_handling_2(t):
    p, c = t.connect("pub"), t.connect("sub")
    p.publish(t.topic(), b"kept", 1, retain=True)
    c.subscribe(t.topic(), 1 | RETAIN_NEVER)
    t.nothing(c, p)
    p.publish(t.topic(), b"live", 1, retain=True)
    c.message(t.topic(), b"live", 1, False)


@case(V5)
# [MQTT-3.3.1-9] [MQTT-3.3.1-11] [MQTT-3.8.4-5]
def retain_handling_of_each_filter(t):
    p, c = t.connect("pub"), t.connect("sub")
    for n in "abc":
        p.publish(t.topic(n), n.encode(), 1, retain=True)
    c.subscribe([(t.topic("a"), 1), (t.topic("b"), 1 | RETAIN_NEVER), (t.topic("c"), 1 | RETAIN_IF_NEW)])
    same("topics", sorted(m.topic for m in t.drain(c, p)), [t.topic("a"), t.topic("c")])


@case(V31, V311)
# [MQTT3-3.8.4-3] [MQTT3-3.3.1-6]
def subscribing_again_replays(t):
    p, c = t.connect("pub"), t.connect("sub")
    p.publish(t.topic(), b"kept", 1, retain=True)
    for _ in range(3):
        c.subscribe(t.topic(), 1)
        c.message(t.topic(), b"kept", 1, True)


@case(V31, V311, V5)
# [MQTT-3.3.1-9] [MQTT3-3.3.1-6] [MQTT-4.7.1-1] [MQTT-4.7.1-2]
def wildcards_replay_all_that_match(t):
    p = t.connect("pub")
    names = ["a", "a/b", "a/b/c", "a/c", "b", "b/b", "/", "a/", "a//c"]
    for n in names:
        p.publish(t.topic("r/" + n), n.encode(), 1, retain=True)
    for topic_filter, expected in (("#", names), ("+", ["a", "b"]), ("a/#", ["a", "a/b", "a/b/c", "a/c", "a/", "a//c"]), ("+/b", ["a/b", "b/b"]),
                                   ("a/+", ["a/b", "a/c", "a/"]), ("a/+/c", ["a/b/c", "a//c"]), ("+/+", ["a/b", "a/c", "b/b", "/", "a/"]), ("x/#", [])):
        c = t.connect("sub")
        c.subscribe(t.topic("r/" + topic_filter), 1)
        got = [m for m in t.drain(c, p, window=0.05)]
        true(all(m.retain for m in got), f"{got}")
        same(f"replayed for {topic_filter}", sorted(m.payload.decode() for m in got), sorted(expected))


@case(V311, V5)
# [MQTT-3.3.1-9] [MQTT3-3.3.1-6] [MQTT-3.3.4-9]
def many_retained_messages(t):
    p, c = t.connect("pub"), t.connect("sub")
    for i in range(300):
        p.publish(t.topic(f"m/{i}"), b"%d" % i, 0 if i % 3 else 1, retain=True)
    p.ping()
    c.subscribe(t.topic("m/#"), 1)
    same("replayed", sorted(int(c.message(retain=True).payload) for _ in range(300)), list(range(300)))
    t.nothing(c, p)


@case(V31, V311, V5)
# [MQTT3-3.1.2-7] [MQTT-4.1.0-2]
def retained_messages_outlive_the_session(t):
    p = t.connect("pub")
    p.publish(t.topic(), b"kept", 1, retain=True)
    p.disconnect()
    t.connect("pub").disconnect()
    c = t.connect("sub")
    c.subscribe(t.topic(), 1)
    c.message(t.topic(), b"kept", 1, True)


@case(V5)
# [MQTT-3.3.1-9] [MQTT-3.8.4-5]
def two_filters_replay_each(t):
    """A SUBSCRIBE with two filters is two subscriptions: each replays."""
    p, c = t.connect("pub"), t.connect("sub")
    p.publish(t.topic("a"), b"kept", 1, retain=True)
    c.subscribe([(t.topic("a"), 1), (t.topic("+"), 1)])
    got = t.drain(c, p)
    same("payloads", {m.payload for m in got}, {b"kept"})
    true(1 <= len(got) <= 2, f"{got}")


@case(V311, V5)
def own_retained_message(t):
    c = t.connect()
    c.publish(t.topic(), b"mine", 1, retain=True)
    c.subscribe(t.topic(), 1)
    c.message(t.topic(), b"mine", 1, True)


@case(V5)
# [MQTT-3.3.4-3]
def replay_carries_the_identifier_of_its_subscription(t):
    p, c = t.connect("pub"), t.connect("sub")
    p.publish(t.topic("a"), b"kept", 1, retain=True)
    c.subscribe(t.topic("a"), 1, [(SUBSCRIPTION_ID, 11)])
    true(11 in c.message(retain=True).all(SUBSCRIPTION_ID), "identifier 11 is missing")
    c.subscribe(t.topic("+"), 1, [(SUBSCRIPTION_ID, 12)])
    true(12 in c.message(retain=True).all(SUBSCRIPTION_ID), "identifier 12 is missing")


@case(V311, V5)
# [MQTT-3.3.1-5] [MQTT3-3.3.1-5]
def last_of_many_updates_wins(t):
    p = t.connect("pub")
    for i in range(200):
        p.publish(t.topic(), b"%d" % i, i % 2, retain=True)
    p.ping()
    c = t.connect("sub")
    c.subscribe(t.topic(), 1)
    c.message(t.topic(), b"199", 1, True)
