"""CONNECT, CONNACK and the first moments of a connection. Broken CONNECT packets are in broken_connect.py."""

import time

import wire
from harness import ERRORS, Closed, Failure, case, same, true
from wire import V5, V31, V311


@case(V31, V311, V5)
# [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-8] [MQTT3-3.1.4-4] [MQTT3-3.2.0-1] [MQTT3-3.2.2-1]
def connack_success(t):
    c = t.connect()
    same("session present", c.connack.session_present, False)
    c.ping()


@case(V31, V311, V5)
# [MQTT-3.2.0-2]
def only_one_connack(t):
    c = t.connect()
    c.subscribe(t.topic())
    c.ping()
    same("packets besides", c.inbox, [])
    c.silent()


@case(V31, V311, V5)
# [MQTT-3.12.4-1] [MQTT3-3.12.4-1]
def pingreq_is_answered(t):
    c = t.connect()
    for _ in range(3):
        c.send(wire.packet(0xC0))
        same("answer", c.recv().kind, wire.PINGRESP)


@case(V31, V311, V5)
# [MQTT-3.1.3-2] [MQTT-3.1.3-5] [MQTT3-3.1.3-2] [MQTT3-3.1.3-5]
def client_ids_that_must_be_allowed(t):
    short = {V31: "q", V311: "r", V5: "s"}[t.v]  # cases of other versions run at the same time
    for name in (short, short + "0123456789abcdefghijkl", short + "mnopqrstuvwxyzABCDEFGH", short + "IJKLMNOPQRSTUVWXYZ0000"):
        true(len(name) <= 23, name)
        c = t.connect(whole_id=name)
        c.ping()
        c.disconnect()


@case(V5)
# [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]
def empty_client_id_is_assigned(t):
    names = set()
    for _ in range(3):
        c = t.connect(whole_id="")
        name = c.connack.prop(wire.ASSIGNED_CLIENT_ID)
        true(name, f"no Assigned Client Identifier in {c.connack}")
        names.add(name)
    same("distinct assigned identifiers", len(names), 3)


@case(V5)
# [MQTT-3.1.3-7] [MQTT-3.2.2-3]
def assigned_client_id_names_the_session(t):
    c = t.connect(whole_id="", clean=False, expiry=60)
    same("session present", c.connack.session_present, False)
    name = c.connack.prop(wire.ASSIGNED_CLIENT_ID)
    c.subscribe(t.topic())
    c.disconnect()
    c = t.connect(whole_id=name, clean=False)
    same("session present", c.connack.session_present, True)


@case(V5)
def no_assigned_client_id_when_the_client_has_one(t):
    same("assigned", t.connect().connack.prop(wire.ASSIGNED_CLIENT_ID), None)


@case(V311)
# [MQTT3-3.1.3-6]
def empty_client_id_with_clean_session(t):
    a = t.client()
    if a.open(whole_id="").reason == 2:  # a server may refuse it
        a.closed()
        return
    b = t.connect(whole_id="")
    a.ping()  # the second one has another identity
    b.ping()


@case(V311)
# [MQTT3-3.1.3-7] [MQTT3-3.1.3-8] [MQTT3-3.1.3-9] [MQTT3-3.2.2-4] [MQTT3-3.2.2-5]
def empty_client_id_without_clean_session(t):
    t.refused(wire.connect(t.v, "", clean=False), codes3={2}, must_answer=True)


@case(V31)
def empty_client_id_in_3_1(t):
    c = t.client()
    if c.open(whole_id="").reason:
        same("return code", c.connack.reason, 2)
        c.closed()


@case(V31, V311, V5)
# [MQTT-3.1.3-4] [MQTT-4.7.3-4]
def client_ids_differ_by_case_and_form(t):
    names = [t.id("k") + tail for tail in ("a", "A", "\u00e9", "e\u0301", "\ufeff")]
    clients = [t.connect(whole_id=name) for name in names if t.v != V31 or name.isascii()]
    for c in clients:
        c.ping()


@case(V311, V5)
def long_client_id_is_kept_apart(t):
    """A server may refuse more than 23 bytes; if it accepts them it tells them apart."""
    a, b = t.client(), t.client()
    for c, end in ((a, "a"), (b, "b")):
        if c.open(whole_id=t.id() + "x" * 200 + end).reason:
            true(c.connack.reason in ({0x85} if t.v == V5 else {2}), f"{c.connack}")
            return
    a.ping()


@case(V31, V311, V5)
# [MQTT-3.1.4-3] [MQTT3-3.1.4-2] [MQTT-3.14.4-1] [MQTT-3.14.4-2]
def takeover_closes_the_old_connection(t):
    old = t.connect("same")
    new = t.connect("same")
    old.error({0x8E})
    new.ping()


@case(V5)
# [MQTT-3.1.4-3]
def takeover_by_an_older_version(t):
    old = t.connect("same")
    new = t.connect("same", V311)
    old.error({0x8E})
    new.ping()


@case(V311)
# [MQTT3-3.1.4-2]
def takeover_by_version_5(t):
    old = t.connect("same")
    new = t.connect("same", V5)
    old.error()
    new.ping()


@case(V311, V5)
# [MQTT-3.1.4-3] [MQTT3-3.1.4-2] [MQTT-4.1.0-1]
def takeover_many_times(t):
    clients = [t.connect("same", expiry=60) for _ in range(12)]
    for old in clients[:-1]:
        old.error({0x8E})
    clients[-1].subscribe(t.topic(), 0)
    clients[-1].publish(t.topic(), b"still here")
    clients[-1].message(payload=b"still here")


@case(V311, V5)
# [MQTT-3.1.0-2] [MQTT3-3.1.0-2] [MQTT-4.13.1-1] [MQTT3-4.8.0-1]
def second_connect(t):
    t.rejected(wire.connect(t.v, t.id("bad")), {0x82})


@case(V31, V311, V5)
# [MQTT-3.1.0-1] [MQTT3-3.1.0-1] [MQTT-3.14.0-1] [MQTT3-3.2.0-1]
def first_packet_is_not_connect(t):
    for data in (wire.publish(t.v, t.topic(), b"x"), wire.subscribe(t.v, 1, [(t.topic(), 0)]),
                 wire.unsubscribe(t.v, 1, [t.topic()]), wire.packet(0xC0), wire.packet(0xE0), wire.ack(wire.PUBACK, 1),
                 wire.ack(wire.PUBREL, 1), wire.packet(0xF0), wire.packet(0x20, b"\0\0"), wire.packet(0x00)):
        c = t.client()
        c.send(data)
        c.closed()


@case(V5)
# [MQTT-3.1.0-1] [MQTT3-3.1.0-1]
def other_protocols_are_closed(t):
    for data in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40, b"\r\n\r\n\r\n",
                 b"SSH-2.0-x\r\n", b"\0" * 32, b"\xff" * 32):
        c = t.client()
        c.send(data)
        c.closed()


@case(V311, V5)
# [MQTT-3.1.2-1] [MQTT3-3.1.2-1]
def wrong_protocol_name(t):
    for name in ("MQTX", "mqtt", "", "MQTTX", "MQT", "MQTT\0", "\ufeffMQTT"):
        c = t.client()
        c.send(wire.connect(t.v, t.id(), name=name))
        closed_with_version_error(c)


def closed_with_version_error(c, must_answer=False):
    """The end of the stream, before it at most a CONNACK that tells that the version is not served, in either dialect."""
    answers = (b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00", b"\x20\x03\x00\x81\x00", b"\x20\x03\x00\x82\x00")
    c.parse = lambda: None
    try:
        while c.fill(time.monotonic() + 8):
            pass
    except Closed:
        got = bytes(c.buffer)
        if got == b"" and not must_answer:
            return
        if got in answers or (got[:1] == b"\x20" and got[2:4] == b"\x00\x84"):
            return
        raise Failure(f"expected a CONNACK about the version, then the close; got {got.hex(' ')}") from None
    raise Failure("the connection stays open")


@case(V311, V5)
# [MQTT-3.1.2-2] [MQTT3-3.1.2-2] [MQTT-3.2.2-7] [MQTT3-3.2.2-5]
def wrong_protocol_level(t):
    for level in (0, 1, 2, 6, 7, 127):
        c = t.client()
        c.send(wire.connect(t.v, t.id(), level=level))
        closed_with_version_error(c, must_answer=t.v == V311)


@case(V311)
# [MQTT-3.1.2-2] [MQTT3-3.1.2-2]
def level_of_one_version_under_the_name_of_another(t):
    for name, level in (("MQIsdp", 4), ("MQIsdp", 5), ("MQTT", 3)):
        c = t.client()
        c.send(wire.connect(V5 if level == 5 else V311, t.id(), name=name, level=level))
        closed_with_version_error(c)


@case(V311, V5)
# [MQTT-3.1.4-6] [MQTT3-3.1.4-5]
def nothing_is_processed_after_a_refused_connect(t):
    watcher = t.connect("watch")
    watcher.subscribe(t.topic())
    c = t.client()
    if t.v == V311:
        bad = wire.connect(t.v, "", clean=False)
    else:
        bad = wire.connect(t.v, t.id("bad"), properties=[(wire.AUTH_METHOD, "no-such-method")])
    c.send(bad + wire.publish(t.v, t.topic(), b"never"))
    try:
        while True:
            c.recv()
    except Closed:
        pass
    t.nothing(watcher, t.connect("fence"))


@case(V31, V311, V5)
# [MQTT-3.2.0-1] [MQTT3-3.2.0-1] [MQTT-4.2-1] [MQTT3-7.1.1-1]
def packets_right_behind_connect(t):
    for i in range(20):  # the client ids live in different parts of the server
        c = t.client()
        c.open(f"c{i}", tail=wire.subscribe(t.v, 7, [(t.topic(i), 1)]) + wire.publish(t.v, t.topic(i), b"early", 1, 8) + wire.packet(0xC0))
        same("return code", c.connack.reason, 0)
        same("codes", c.take(wire.SUBACK, pid=7).codes, [1])
        c.take(wire.PUBACK, pid=8)
        c.message(t.topic(i), b"early", 1)
        c.take(wire.PINGRESP)


@case(V31, V311, V5)
# [MQTT-4.2-1] [MQTT3-7.1.1-1]
def a_byte_at_a_time(t):
    c = t.client()
    data = wire.connect(t.v, t.id()) + wire.subscribe(t.v, 1, [(t.topic(), 2)]) + wire.publish(t.v, t.topic(), b"slow", 2, 2)
    for i in range(len(data)):
        c.send(data[i:i + 1], quiet=True)
    same("answer", c.recv().kind, wire.CONNACK)
    c.take(wire.SUBACK, pid=1)
    c.take(wire.PUBREC, pid=2)
    c.send(wire.ack(wire.PUBREL, 2))
    c.message(t.topic(), b"slow", 2)
    c.take(wire.PUBCOMP, pid=2)


@case(V5)
def a_connection_that_says_nothing_hurts_nobody(t):
    silent = [t.client() for _ in range(5)]
    half = t.client()
    half.send(wire.connect(t.v, t.id("half"))[:9])
    c = t.connect()
    c.ping()
    for one in silent:
        one.drop(reset=True)
    c.ping()


@case(V5)
# [MQTT-3.1.2-28]
def no_response_information_unless_asked(t):
    for properties in ([], [(wire.REQUEST_RESPONSE_INFO, 0)]):
        c = t.connect(properties=properties)
        same("response information", c.connack.prop(wire.RESPONSE_INFO), None)
    t.connect(properties=[(wire.REQUEST_RESPONSE_INFO, 1)]).ping()


@case(V5)
def every_connect_property_is_accepted(t):
    c = t.connect(expiry=5, properties=[
        (wire.RECEIVE_MAX, 10), (wire.PACKET_SIZE_MAX, 4096), (wire.TOPIC_ALIAS_MAX, 3), (wire.REQUEST_RESPONSE_INFO, 1),
        (wire.REQUEST_PROBLEM_INFO, 1), (wire.USER_PROPERTY, ("a", "1")), (wire.USER_PROPERTY, ("a", "1")), (wire.USER_PROPERTY, ("", ""))])
    c.ping()


@case(V5)
# [MQTT-4.12.0-6]
def no_authentication_method_without_one(t):
    c = t.connect()
    same("authentication method", c.connack.prop(wire.AUTH_METHOD), None)
    same("authentication data", c.connack.prop(wire.AUTH_DATA), None)
    c.ping()
    c.silent()


@case(V5)
# [MQTT-4.12.0-1] [MQTT-4.12.0-4] [MQTT-4.13.2-1] [MQTT-3.1.4-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-4.12.0-5]
def unknown_authentication_method(t):
    t.refused(wire.connect(t.v, t.id(), properties=[(wire.AUTH_METHOD, "no-such-method"), (wire.AUTH_DATA, b"\1\2")]),
              {0x8C, 0x87})


@case(V5)
# [MQTT-4.12.0-7] [MQTT-4.12.1-1] [MQTT-4.12.1-2]
def auth_without_a_method(t):
    for data in (wire.auth(0x18, [(wire.AUTH_METHOD, "m")]), wire.auth(0x19, [(wire.AUTH_METHOD, "m")]), wire.auth()):
        t.rejected(data, ERRORS | {0x8C, 0x87})


@case(V5)
# [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.1.2-24]
def refusing_connack_fits_the_clients_maximum(t):
    for size in (8, 16, 24):
        answer = t.refused(wire.connect(t.v, t.id(), properties=[(wire.PACKET_SIZE_MAX, size), (wire.AUTH_METHOD, "no-such-method")]),
                           {0x8C, 0x87})
        if answer is not None:
            true(answer.size <= size, f"a CONNACK of {answer.size} bytes, the maximum is {size}")


@case(V5)
# [MQTT-3.1.2-19] [MQTT-3.1.2-17]
def password_without_user_name(t):
    """Version 5 allows it; whether the server lets the client in is its policy."""
    c = t.client()
    true(c.open(password=b"secret").reason in (0, 0x86, 0x87), f"{c.connack}")


@case(V31, V311, V5)
# [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT-3.1.3-1] [MQTT3-3.1.2-19] [MQTT3-3.1.2-21] [MQTT3-3.1.3-1]
def all_payload_fields(t):
    c = t.client()
    c.open(user="someone", password=b"\x00\xff", will=wire.Will(t.topic("will"), b"w", 1, False))
    true(c.connack.reason in ({0, 0x86, 0x87} if t.v == V5 else {0, 4, 5}), f"{c.connack}")


@case(V31, V311, V5, slow=True)
# [MQTT-3.1.2-22] [MQTT-3.2.2-22] [MQTT3-3.1.2-24]
def keep_alive_passes(t):
    c = t.connect(keep_alive=1)
    given = c.connack.prop(wire.SERVER_KEEP_ALIVE, 1)
    before = time.monotonic()
    c.error({0x8D}, timeout=given * 1.5 + 6, must_tell=False)
    after = time.monotonic() - before
    true(after >= given * 1.5 - 0.1, f"closed after {after:.2f} s, 1.5 times the keep alive is {given * 1.5} s")
    true(after <= given * 1.5 + 3, f"closed after {after:.2f} s only")


@case(V311, V5, slow=True)
# [MQTT-3.1.2-20] [MQTT-3.1.2-22] [MQTT3-3.1.2-23] [MQTT3-3.1.2-24]
def keep_alive_is_kept_by_any_packet(t):
    c, d = t.connect("ping", keep_alive=1), t.connect("publish", keep_alive=1)
    for _ in range(6):
        t.elapse(0.5)
        c.ping()
        d.publish(t.topic(), b"x")
    c.ping()
    d.ping()


@case(V311, V5, slow=True)
# [MQTT-3.1.2-22] [MQTT3-3.1.2-24]
def keep_alive_is_not_kept_by_what_the_server_sends(t):
    c, p = t.connect("listener", keep_alive=1), t.connect("publisher")
    c.subscribe(t.topic(), 0)
    given = c.connack.prop(wire.SERVER_KEEP_ALIVE, 1)
    until = time.monotonic() + given * 1.5 + 6
    try:
        while time.monotonic() < until:
            p.publish(t.topic(), b"x")
            step = time.monotonic() + 0.2
            while c.fill(step):
                pass
    except Closed:
        return
    raise Failure("the connection stays open")


@case(V311, V5, slow=True)
# [MQTT-3.1.2-22] [MQTT3-3.1.2-24]
def keep_alive_zero_never_closes(t):
    c = t.connect(keep_alive=0)
    t.elapse(3)
    c.ping()


@case(V31, V311, V5, slow=True)
# [MQTT-3.1.2-22] [MQTT-3.1.2-8] [MQTT3-3.1.2-24] [MQTT3-3.1.2-8]
def keep_alive_failure_publishes_the_will(t):
    watcher = t.connect("watch")
    watcher.subscribe(t.topic("will"))
    t.connect(keep_alive=1, will=wire.Will(t.topic("will"), b"lost", 1))
    watcher.message(t.topic("will"), b"lost", 1)
