"""Sessions: clean start, resumption, expiry, what is kept while a client is away, resending on its return."""

import wire
from harness import ERRORS, case, same, true
from wire import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SESSION_EXPIRY, V5, V31, V311


def present(client, expected):
    if client.v != wire.V31:  # 3.1 has no such flag
        same("session present", client.connack.session_present, expected)


@case(V31, V311, V5)
# [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.2.2-3] [MQTT-3.1.2-23] [MQTT3-3.1.2-4] [MQTT3-3.2.2-2] [MQTT3-3.2.2-3] [MQTT3-4.1.0-1] [MQTT3-4.1.0-2]
def session_is_created_and_resumed(t):
    c = t.connect(expiry=60)
    present(c, False)
    c.subscribe(t.topic(), 1)
    for end in ("disconnect", "drop", "drop"):
        getattr(c, end)()
        c = t.connect(expiry=60)
        present(c, True)
        c.publish(t.topic(), b"still subscribed", 1)
        c.message(t.topic(), b"still subscribed", 1)


@case(V31, V311, V5)
# [MQTT-3.1.2-4] [MQTT-3.2.2-2] [MQTT-3.1.4-4] [MQTT3-3.1.2-6] [MQTT3-3.2.2-1] [MQTT3-3.1.4-3]
def clean_start_discards_the_session(t):
    p = t.connect("pub")
    c = t.connect(expiry=60)
    c.subscribe(t.topic(), 2)
    c.disconnect()
    p.publish(t.topic(), b"queued", 1)
    c = t.connect(clean=True, expiry=60 if t.v == V5 else None)
    present(c, False)
    p.publish(t.topic(), b"later", 1)
    t.nothing(c, p)
    c.disconnect()
    c = t.connect(expiry=60)
    present(c, t.v == V5)  # before v5, the clean session ended with its connection


@case(V31, V311, V5)
# [MQTT-3.1.2-4] [MQTT3-3.1.2-6]
def clean_start_discards_messages_in_flight(t):
    p = t.connect("pub")
    c = t.connect(expiry=60)
    c.subscribe(t.topic(), 2)
    p.publish(t.topic(), b"1", 1)
    p.publish(t.topic(), b"2", 2)
    c.message(payload=b"1", acknowledge=False)
    c.message(payload=b"2", acknowledge=False)
    c.drop()
    c = t.connect(clean=True)
    t.nothing(c, p)


@case(V311, V5)
# [MQTT-3.1.2-6] [MQTT-3.1.2-23] [MQTT3-3.1.2-6]
def session_without_expiry_ends_with_the_connection(t):
    c = t.connect()
    c.subscribe(t.topic(), 1)
    for end in ("disconnect", "drop"):
        getattr(c, end)()
        c = t.connect(clean=False) if t.v == V5 else t.connect(expiry=60)
        present(c, False)
        c.publish(t.topic(), b"x", 1)
        t.nothing(c, c)
        c.disconnect()
        c = t.connect()
        c.subscribe(t.topic(), 1)


@case(V5, slow=True)
# [MQTT-4.1.0-2] [MQTT-3.2.2-3]
def session_expires(t):
    c = t.connect(expiry=1)
    c.subscribe(t.topic(), 1)
    c.disconnect()
    t.elapse(2.5)
    present(t.connect(clean=False), False)


@case(V5, slow=True)
# [MQTT-4.1.0-1] [MQTT-4.1.0-2] [MQTT-3.1.2-23]
def session_expiry_starts_at_the_close(t):
    c = t.connect(expiry=2)
    c.subscribe(t.topic(), 1)
    t.elapse(3)
    c.publish(t.topic(), b"x", 1)
    c.message(payload=b"x")
    c.drop()
    c = t.connect(expiry=2)
    present(c, True)
    t.elapse(1)
    c.disconnect()
    t.elapse(1)
    present(t.connect(clean=False, expiry=2), True)


@case(V5)
# [MQTT-3.1.2-23]
def session_expiry_without_end(t):
    c = t.connect(clean=False, expiry=0xFFFFFFFF)
    c.disconnect()
    c = t.connect(clean=False, expiry=0xFFFFFFFF)
    present(c, True)
    c.disconnect(0, [(SESSION_EXPIRY, 0)])
    present(t.connect(clean=False), False)


@case(V5)
# [MQTT-4.1.0-2] [MQTT-3.14.4-3]
def disconnect_changes_the_session_expiry(t):
    c = t.connect(expiry=60)
    c.disconnect(0, [(SESSION_EXPIRY, 0)])
    c = t.connect(expiry=1)
    present(c, False)
    c.disconnect(0, [(SESSION_EXPIRY, 60)])
    c = t.connect(clean=False, expiry=60)
    present(c, True)


@case(V5)
# [MQTT-3.1.2-23] [MQTT-4.1.0-2]
def every_connect_sets_the_session_expiry(t):
    t.connect(expiry=60).disconnect()
    c = t.connect(clean=False)  # absent: 0
    present(c, True)
    c.disconnect()
    present(t.connect(clean=False), False)


@case(V31, V311, V5)
# [MQTT-4.5.0-1] [MQTT-3.1.2-5] [MQTT-3.1.2-23] [MQTT3-3.1.2-5] [MQTT3-4.5.0-1] [MQTT3-4.6.0-6]
def messages_wait_for_a_client_that_is_away(t):
    p = t.connect("pub")
    for qos in (1, 2):
        c = t.connect(f"q{qos}", expiry=60)
        c.subscribe(t.topic(f"{qos}"), qos)
        c.disconnect()
        for i in range(60):
            p.publish(t.topic(f"{qos}"), b"%d" % i, qos)
        c = t.connect(f"q{qos}", expiry=60)
        present(c, True)
        for i in range(60):
            c.message(t.topic(f"{qos}"), b"%d" % i, qos, dup=False)
        t.nothing(c, p)


@case(V31, V311, V5)
# [MQTT-4.5.0-1] [MQTT3-3.1.2-5]
def messages_wait_after_a_dropped_connection(t):
    p, c = t.connect("pub"), t.connect(expiry=60)
    c.subscribe(t.topic(), 2)
    c.drop(reset=True)
    for i in range(10):
        p.publish(t.topic(), b"%d" % i, 1 + i % 2)
    c = t.connect(expiry=60)
    for i in range(10):
        c.message(t.topic(), b"%d" % i, 1 + i % 2)  # DUP depends on when the server saw the reset
    t.nothing(c, p)


@case(V31, V311, V5)
# [MQTT-3.3.1-1] [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-4.3.2-3] [MQTT3-3.3.1-1] [MQTT3-4.4.0-1] [MQTT3-4.6.0-1] [MQTT3-2.3.1-3]
def unacknowledged_qos_1_is_sent_again(t):
    p, c = t.connect("pub"), t.connect(expiry=60)
    c.subscribe(t.topic(), 1)
    for i in range(8):
        p.publish(t.topic(), b"%d" % i, 1)
    sent = [c.message(payload=b"%d" % i, dup=False, acknowledge=False) for i in range(8)]
    for i in (2, 5):
        c.acknowledge(sent[i])
    c.ping()  # the server has the PUBACKs
    for _ in range(2):
        c.drop()
        c = t.connect(expiry=60)
        present(c, True)
        for i in (0, 1, 3, 4, 6, 7):
            again = c.message(t.topic(), b"%d" % i, 1, dup=True, acknowledge=False)
            same("identifier", again.pid, sent[i].pid)
        c.silent(0.1)
    for i in (0, 1, 3, 4, 6, 7):
        c.acknowledge(sent[i])
    p.publish(t.topic(), b"new", 1)
    c.message(payload=b"new", dup=False)


@case(V31, V311, V5)
# [MQTT-4.4.0-1] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.6.0-1] [MQTT3-4.4.0-1] [MQTT3-4.3.3-1] [MQTT3-4.6.0-1]
def unfinished_qos_2_is_sent_again(t):
    """PUBLISH where no PUBREC came, PUBREL where no PUBCOMP came, nothing for what is finished."""
    p, c = t.connect("pub"), t.connect(expiry=60)
    c.subscribe(t.topic(), 2)
    for i in range(6):
        p.publish(t.topic(), b"%d" % i, 2)
    sent = [c.message(payload=b"%d" % i, dup=False, acknowledge=False).pid for i in range(6)]
    for i in (0, 1, 3):
        c.send(wire.ack(PUBREC, sent[i]))
        c.take(PUBREL, pid=sent[i])
    c.send(wire.ack(PUBCOMP, sent[3]))
    c.ping()
    for _ in range(2):
        c.drop()
        c = t.connect(expiry=60)
        got = [c.take(PUBLISH, PUBREL) for _ in range(5)]
        c.silent(0.1)
        same("PUBRELs", [x.pid for x in got if x.kind == PUBREL], [sent[0], sent[1]])
        same("PUBLISHes", [(x.pid, x.payload, x.dup) for x in got if x.kind == PUBLISH], [(sent[i], b"%d" % i, True) for i in (2, 4, 5)])
    for i in (2, 4, 5):
        c.send(wire.ack(PUBREC, sent[i]))
        c.take(PUBREL, pid=sent[i])
    for i in (0, 1, 2, 4, 5):
        c.send(wire.ack(PUBCOMP, sent[i]))
    t.nothing(c, p)


@case(V311, V5)
# [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT3-4.4.0-1] [MQTT3-4.6.0-1]
def qos_1_and_2_are_sent_again_in_their_order(t):
    p, c = t.connect("pub"), t.connect(expiry=60)
    c.subscribe(t.topic(), 2)
    for i in range(10):
        p.publish(t.topic(), b"%d" % i, 1 + i % 2)
    sent = [c.message(payload=b"%d" % i, acknowledge=False).pid for i in range(10)]
    c.drop()
    p.publish(t.topic(), b"while away", 1)
    c = t.connect(expiry=60)
    for i in range(10):
        same("identifier", c.message(payload=b"%d" % i, qos=1 + i % 2, dup=True, acknowledge=False).pid, sent[i])
    c.message(payload=b"while away", dup=False)


@case(V311, V5)
# [MQTT-4.4.0-1] [MQTT-3.1.4-3] [MQTT3-4.4.0-1] [MQTT3-3.1.4-2]
def takeover_sends_again_what_was_in_flight(t):
    p, old = t.connect("pub"), t.connect(expiry=60)
    old.subscribe(t.topic(), 1)
    p.publish(t.topic(), b"x", 1)
    pid = old.message(payload=b"x", acknowledge=False).pid
    new = t.connect(expiry=60)
    present(new, True)
    same("identifier", new.message(payload=b"x", qos=1, dup=True).pid, pid)
    old.error({0x8E})
    t.nothing(new, p)


@case(V311, V5)
# [MQTT-3.1.4-3] [MQTT3-3.1.4-2] [MQTT-4.5.0-1]
def takeover_loses_no_message(t):
    """A publisher goes on while the client moves from connection to connection."""
    p, c = t.connect("pub"), t.connect(expiry=60)
    c.subscribe(t.topic(), 1)
    seen = []
    for round_ in range(8):
        data = b"".join(wire.publish(t.v, t.topic(), b"%d" % (round_ * 10 + i), 1, i + 1) for i in range(10))
        p.send(data)
        seen.append(int(c.message().payload))
        old, c = c, t.connect(expiry=60)
        for _ in range(10):
            p.take(PUBACK)
        old.close()
    seen += [int(m.payload) for m in t.drain(c, p, window=0.3)]
    same("messages that arrived", sorted(set(seen)), list(range(80)))


@case(V5)
# [MQTT-3.1.4-3] [MQTT-3.1.2-4]
def takeover_with_clean_start_discards_the_session(t):
    p, old = t.connect("pub"), t.connect(expiry=60)
    old.subscribe(t.topic(), 1)
    p.publish(t.topic(), b"x", 1)
    old.message(payload=b"x", acknowledge=False)
    new = t.connect(clean=True)
    old.error({0x8E})
    p.publish(t.topic(), b"y", 1)
    t.nothing(new, p)


@case(V311, V5)
# [MQTT-3.1.3-2] [MQTT3-3.1.3-2]
def sessions_of_other_clients_are_apart(t):
    a, b, p = t.connect("a", expiry=60), t.connect("b", expiry=60), t.connect("pub")
    a.subscribe(t.topic("a"), 1)
    b.subscribe(t.topic("b"), 1)
    a.disconnect()
    b.disconnect()
    for name in "ab":
        p.publish(t.topic(name), name.encode(), 1)
    b, a = t.connect("b", expiry=60), t.connect("a", expiry=60)
    b.message(t.topic("b"), b"b")
    a.message(t.topic("a"), b"a")
    t.nothing(a, p)
    t.nothing(b, p)


@case(V311, V5)
# [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-3.1.2-5] [MQTT3-4.3.3-2] [MQTT3-3.1.2-4]
def received_qos_2_identifiers_are_part_of_the_session(t):
    watcher = t.connect("watch")
    watcher.subscribe(t.topic(), 2)
    c = t.connect(expiry=60)
    for pid in (10, 11, 12):
        c.send(wire.publish(t.v, t.topic(), b"%d" % pid, 2, pid))
        c.take(PUBREC, pid=pid)
    c.drop()
    c = t.connect(expiry=60)
    for pid in (10, 11, 12):
        c.send(wire.publish(t.v, t.topic(), b"%d" % pid, 2, pid, dup=True))
        c.take(PUBREC, pid=pid)
    for pid in (10, 11, 12):
        c.send(wire.ack(PUBREL, pid))
        same("reason", c.take(PUBCOMP, pid=pid).reason, 0)
    for pid in (10, 11, 12):
        watcher.message(t.topic(), b"%d" % pid, 2)
    t.nothing(watcher, c)


@case(V311, V5)
# [MQTT-3.1.2-4] [MQTT-4.3.3-12] [MQTT3-3.1.2-6]
def received_qos_2_identifiers_end_with_the_session(t):
    watcher = t.connect("watch")
    watcher.subscribe(t.topic(), 2)
    c = t.connect(expiry=60)
    c.send(wire.publish(t.v, t.topic(), b"old", 2, 10))
    c.take(PUBREC, pid=10)
    c.drop()
    c = t.connect(clean=True)
    c.publish(t.topic(), b"new", 2, pid=10)
    got = [m.payload for m in t.drain(watcher, c)]
    true(b"new" in got, f"expected 'new' among {got}")


@case(V311, V5)
def qos_0_may_be_dropped_while_away_but_qos_1_is_not(t):
    p, c = t.connect("pub"), t.connect(expiry=60)
    c.subscribe(t.topic(), 1)
    c.disconnect()
    for i in range(10):
        p.publish(t.topic(), b"zero", 0)
        p.publish(t.topic(), b"%d" % i, 1)
    c = t.connect(expiry=60)
    got = [m.payload for m in t.drain(c, p) if m.payload != b"zero"]
    same("QoS 1 messages", got, [b"%d" % i for i in range(10)])


@case(V311, V5)
# [MQTT-3.1.2-5] [MQTT-4.1.0-1] [MQTT3-3.1.2-4]
def subscription_options_survive(t):
    p, c = t.connect("pub"), t.connect(expiry=60)
    options = 0x01 | (0x08 if t.v == V5 else 0)  # Retain As Published
    properties = [(wire.SUBSCRIPTION_ID, 5)] if t.v == V5 else []
    c.subscribe([(t.topic(), options)], properties=properties)
    c.disconnect()
    c = t.connect(expiry=60)
    p.publish(t.topic(), b"x", 2, retain=True)
    message = c.message(t.topic(), b"x", 1, retain=t.v == V5)
    same("subscription identifiers", message.all(wire.SUBSCRIPTION_ID), [5] if t.v == V5 else [])


@case(V5)
# [MQTT-3.14.2-1] [MQTT-3.14.1-1]
def every_disconnect_reason_of_a_client_is_accepted(t):
    for reason in (0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99):
        c = t.connect()
        c.disconnect(reason, [(wire.REASON_STRING, "bye"), (wire.USER_PROPERTY, ("a", "b"))])


@case(V31, V311, V5)
# [MQTT3-3.14.4-1] [MQTT3-3.14.4-2] [MQTT-3.14.4-1] [MQTT-3.14.4-2]
def nothing_is_processed_after_disconnect(t):
    watcher, c = t.connect("watch"), t.connect()
    watcher.subscribe(t.topic(), 1)
    c.send(wire.disconnect(t.v) + wire.publish(t.v, t.topic(), b"never", 1, 1))
    c.drop()
    t.nothing(watcher, t.connect("pub"))


@case(V5)
# [MQTT-3.2.2-3]
def clean_start_off_without_a_session(t):
    c = t.connect(clean=False)
    present(c, False)
    true(c.connack.prop(SESSION_EXPIRY, 0) == 0, f"{c.connack}")
    c.ping()


@case(V5)
# [MQTT-3.14.2-2] [MQTT-4.13.2-1]
def the_session_outlives_a_protocol_error(t):
    c = t.connect(expiry=60)
    c.subscribe(t.topic(), 1)
    c.send(wire.publish(t.v, t.topic(), b"x", 3, 1))
    c.error(ERRORS)
    c = t.connect(expiry=60)
    present(c, True)
    c.publish(t.topic(), b"x", 1)
    c.message(payload=b"x")
