"""Will Messages: when they are published and when not, with what, and the Will Delay Interval."""

import time

import wire
from harness import case, same, true
from wire import SESSION_EXPIRY, USER_PROPERTY, V5, V31, V311, WILL_DELAY, Will


def watch(t, name="watch", qos=2, options=0):
    watcher = t.connect(name)
    watcher.subscribe(t.topic("will"), qos | options)
    return watcher


def will(t, payload=b"gone", qos=1, retain=False, delay=None, properties=()):
    pairs = list(properties) + ([(WILL_DELAY, delay)] if delay is not None else [])
    return Will(t.topic("will"), payload, qos, retain, pairs)


@case(V31, V311, V5)
# [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-12] [MQTT3-3.1.2-8] [MQTT3-3.1.2-9] [MQTT3-3.1.2-14]
def dropped_connection_publishes_the_will(t):
    watcher = watch(t)
    for qos in (0, 1, 2):
        for reset in (False, True):
            t.connect(will=will(t, b"%d" % qos, qos)).drop(reset)
            watcher.message(t.topic("will"), b"%d" % qos, qos, False)


@case(V31, V311, V5)
# [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.14.4-3] [MQTT3-3.1.2-8] [MQTT3-3.1.2-10] [MQTT3-3.14.4-3]
def disconnect_deletes_the_will(t):
    watcher = watch(t)
    t.connect(will=will(t)).disconnect()
    t.nothing(watcher, t.connect(), window=0.3)  # the same client id: the same place in the server


@case(V5)
# [MQTT-3.1.2-8] [MQTT-3.14.4-3]
def disconnect_0_deletes_the_will_and_others_do_not(t):
    watcher = watch(t)
    t.connect(will=will(t)).disconnect(0)
    t.connect(will=will(t)).disconnect(0, [(wire.REASON_STRING, "bye")])
    t.nothing(watcher, t.connect(), window=0.3)
    for reason in (0x04, 0x80, 0x93, 0x98):
        t.connect(will=will(t, b"%d" % reason)).disconnect(reason)
        watcher.message(payload=b"%d" % reason)


@case(V31, V311, V5)
# [MQTT-3.1.2-10] [MQTT3-3.1.2-10] [MQTT3-3.1.2-12]
def the_will_is_published_once(t):
    watcher = watch(t)
    t.connect(will=will(t), expiry=60).drop()
    watcher.message(payload=b"gone")
    t.connect(expiry=60).drop()  # without a will this time
    t.nothing(watcher, t.connect(expiry=60), window=0.3)


@case(V31, V311, V5)
# [MQTT-3.1.2-14] [MQTT3-3.1.2-16]
def a_will_that_is_not_retained(t):
    watcher = watch(t)
    t.connect(will=will(t)).drop()
    watcher.message(payload=b"gone", retain=False)
    t.nothing(watch(t, "later"), watcher)


@case(V31, V311, V5)
# [MQTT-3.1.2-15] [MQTT3-3.1.2-17]
def a_retained_will(t):
    watcher = watch(t)
    for qos in (0, 1, 2):
        t.connect(will=will(t, b"%d" % qos, qos, retain=True)).drop()
        watcher.message(payload=b"%d" % qos, qos=qos, retain=False)
        later = watch(t, "later")
        later.message(payload=b"%d" % qos, qos=qos, retain=True)
        later.disconnect()
    watcher.publish(t.topic("will"), b"", 1, retain=True)


@case(V5)
# [MQTT-3.1.2-15] [MQTT-3.3.1-13]
def a_retained_will_with_retain_as_published(t):
    watcher = watch(t, options=0x08)
    t.connect(will=will(t, retain=True)).drop()
    watcher.message(payload=b"gone", retain=True)
    watcher.publish(t.topic("will"), b"", 1, retain=True)


@case(V311, V5)
# [MQTT-3.1.2-15] [MQTT-3.3.1-6] [MQTT3-3.1.2-17] [MQTT3-3.3.1-10]
def an_empty_retained_will_deletes(t):
    watcher = watch(t)
    watcher.publish(t.topic("will"), b"kept", 1, retain=True)
    watcher.message(payload=b"kept")
    t.connect(will=will(t, b"", retain=True)).drop()
    watcher.message(payload=b"")
    t.nothing(watch(t, "later"), watcher)


@case(V31, V311, V5)
# [MQTT-3.1.2-9] [MQTT-3.1.2-8] [MQTT3-3.1.2-9]
def will_payloads(t):
    watcher = watch(t)
    for payload in (b"", b"\0\xff", b"x" * 65535):
        t.connect(will=will(t, payload)).drop()
        watcher.message(payload=payload)


@case(V5)
# [MQTT-3.1.3-10] [MQTT-3.1.2-9] [MQTT-3.3.2-17] [MQTT-3.3.2-4]
def will_properties_are_published(t):
    watcher = watch(t)
    pairs = [(wire.PAYLOAD_FORMAT, 1), (wire.CONTENT_TYPE, "text"), (wire.RESPONSE_TOPIC, "r/s"), (wire.CORRELATION_DATA, b"\0\1"),
             (USER_PROPERTY, ("b", "1")), (USER_PROPERTY, ("a", "2")), (USER_PROPERTY, ("b", "0"))]
    t.connect(will=will(t, properties=pairs)).drop()
    message = watcher.message(payload=b"gone")
    same("properties", [p for p in message.properties if p[0] != USER_PROPERTY], [p for p in pairs if p[0] != USER_PROPERTY])
    same("user properties", message.all(USER_PROPERTY), [("b", "1"), ("a", "2"), ("b", "0")])


@case(V5)
# [MQTT-3.3.2-6]
def message_expiry_of_a_will(t):
    watcher = watch(t)
    t.connect(will=will(t, properties=[(wire.MESSAGE_EXPIRY, 30)])).drop()
    got = watcher.message().prop(wire.MESSAGE_EXPIRY)
    true(got in (29, 30), f"message expiry: sent 30, got {got}")


@case(V31, V311, V5)
# [MQTT-3.1.2-8] [MQTT-3.1.4-3] [MQTT3-3.1.2-8] [MQTT3-3.1.4-2]
def takeover_publishes_the_will(t):
    """Without a delay, the old connection's will is due; the new one's is not."""
    watcher = watch(t)
    t.connect(will=will(t, b"old"))
    new = t.connect(will=will(t, b"new"))
    watcher.message(payload=b"old")
    t.nothing(watcher, new)


@case(V5)
# [MQTT-3.1.3-9] [MQTT-3.1.2-8]
def takeover_with_a_delay_publishes_no_will(t):
    watcher = watch(t)
    t.connect(expiry=60, will=will(t, delay=30))
    new = t.connect(expiry=60)
    new.ping()
    t.nothing(watcher, new, window=0.3)


@case(V5)
# [MQTT-3.1.2-8] [MQTT-3.1.2-4]
def takeover_with_clean_start_ends_the_session_and_so_the_delay(t):
    watcher = watch(t)
    t.connect(expiry=60, will=will(t, delay=30))
    t.connect(clean=True)
    watcher.message(payload=b"gone")


@case(V5, slow=True)
# [MQTT-3.1.2-8]
def will_delay(t):
    watcher = watch(t)
    c = t.connect(expiry=60, will=will(t, delay=2))
    start = time.monotonic()
    c.drop()
    watcher.message(payload=b"gone")
    waited = time.monotonic() - start
    true(1.9 <= waited <= 5, f"the will came after {waited:.2f} s, the delay is 2 s")


@case(V5, slow=True)
# [MQTT-3.1.3-9] [MQTT-3.1.2-8] [MQTT-3.1.2-10]
def returning_within_the_delay(t):
    watcher = watch(t)
    t.connect(expiry=60, will=will(t, delay=1)).drop()
    c = t.connect(expiry=60)
    t.elapse(2)
    t.nothing(watcher, c)


@case(V5, slow=True)
# [MQTT-3.1.2-8] [MQTT-4.1.0-2]
def the_end_of_the_session_ends_the_delay(t):
    watcher = watch(t)
    t.connect(will=will(t, b"no session", delay=30)).drop()
    watcher.message(payload=b"no session")
    start = time.monotonic()
    t.connect(expiry=1, will=will(t, b"short session", delay=30)).drop()
    watcher.message(payload=b"short session")
    waited = time.monotonic() - start
    true(waited >= 0.9, f"the will came after {waited:.2f} s, the session lasts 1 s")


@case(V5, slow=True)
# [MQTT-3.1.2-8] [MQTT-3.14.4-3]
def disconnect_with_will_and_a_shorter_session(t):
    """DISCONNECT 0x04 with Session Expiry 0: the session ends at once, and so does the delay."""
    watcher = watch(t)
    t.connect(expiry=60, will=will(t, delay=30)).disconnect(0x04, [(SESSION_EXPIRY, 0)])
    watcher.message(payload=b"gone")


@case(V5)
# [MQTT-3.1.2-10] [MQTT-3.14.4-3]
def disconnect_deletes_a_delayed_will(t):
    watcher = watch(t)
    t.connect(expiry=60, will=will(t, delay=1)).disconnect()
    t.connect(clean=True).disconnect()  # ends the session
    t.nothing(watcher, t.connect(), window=0.3)


@case(V31, V311, V5)
# [MQTT-3.1.2-8] [MQTT-4.5.0-1] [MQTT3-4.5.0-1]
def a_will_waits_for_subscribers_that_are_away(t):
    watcher = t.connect("watch", expiry=60)
    watcher.subscribe(t.topic("will"), 1)
    watcher.disconnect()
    other = watch(t, "other")
    t.connect(will=will(t)).drop()
    other.message(payload=b"gone")
    t.connect("watch", expiry=60).message(t.topic("will"), b"gone", 1)


@case(V311, V5)
# [MQTT-3.1.2-8] [MQTT3-3.1.2-8]
def will_of_a_refused_connect_is_not_published(t):
    watcher = watch(t)
    bad = wire.connect(t.v, t.id(), will=will(t), tail=b"\0")
    t.refused(bad)
    t.nothing(watcher, t.connect(), window=0.2)


@case(V311, V5)
# [MQTT-3.1.2-8] [MQTT3-3.1.2-8]
def will_to_its_own_session(t):
    """A session that subscribed to its own will finds it when it returns."""
    c = t.connect(expiry=60, will=will(t))
    c.subscribe(t.topic("will"), 1)
    c.drop()
    t.connect(expiry=60).message(t.topic("will"), b"gone")
