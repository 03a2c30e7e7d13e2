"""Malformed packets and protocol errors after CONNECT: the server closes; to a v5 client it says why with DISCONNECT first."""

import wire
from harness import ERRORS, Closed, Failure, case, true
from strings import BAD_STRINGS
from wire import PUBACK, PUBCOMP, PUBREC, PUBREL, V5, V31, V311, publish, string, subscribe, unsubscribe, varint

BAD_NAME = ERRORS | {0x90}     # where the broken part is a topic name
BAD_FILTER = ERRORS | {0x8F}


# ---- fixed header

@case(V311, V5)
# [MQTT-2.1.3-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2] [MQTT-4.13.1-1]
def flags_of_acknowledgements(t):
    for kind in (PUBACK, PUBREC, PUBCOMP):
        for flags in (1, 2, 4, 8):
            t.rejected(wire.ack(kind, 1, flags=flags))


@case(V311, V5)
# [MQTT-3.6.1-1] [MQTT3-3.6.1-1]
def flags_of_pubrel(t):
    for flags in (0, 1, 3, 6, 10):
        t.rejected(wire.ack(PUBREL, 1, flags=flags))


@case(V311, V5)
# [MQTT-3.8.1-1] [MQTT3-3.8.1-1]
def flags_of_subscribe(t):
    for flags in (0, 1, 3, 6, 10):
        t.rejected(subscribe(t.v, 1, [(t.topic(), 0)], flags=flags))


@case(V311, V5)
# [MQTT-3.10.1-1] [MQTT3-3.10.1-1]
def flags_of_unsubscribe(t):
    for flags in (0, 1, 3, 6, 10):
        t.rejected(unsubscribe(t.v, 1, [t.topic()], flags=flags))


@case(V311, V5)
# [MQTT-2.1.3-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]
def flags_of_pingreq(t):
    for flags in (1, 2, 4, 8):
        t.rejected(wire.packet(0xC0 | flags))


@case(V311, V5)
# [MQTT-3.14.1-1] [MQTT-2.1.3-1] [MQTT3-3.14.1-1] [MQTT3-2.2.2-2]
def flags_of_disconnect(t):
    for flags in (1, 2, 4, 8):
        t.rejected(wire.disconnect(t.v, flags=flags), {0x81})


@case(V5)
# [MQTT-3.15.1-1] [MQTT-2.1.3-1]
def flags_of_auth(t):
    for flags in (1, 2, 4, 8):
        t.rejected(wire.auth(0x18, [(wire.AUTH_METHOD, "m")], flags=flags))


@case(V31, V311, V5)
# [MQTT3-4.8.0-1] [MQTT-4.13.1-1]
def packet_types_that_do_not_exist(t):
    for first in (0x00, 0x02, 0x0F) + ((0xF0, 0xF2) if t.v != V5 else ()):
        t.rejected(wire.packet(first))
        t.rejected(wire.packet(first, b"\0\1"))


@case(V31, V311, V5)
# [MQTT3-4.8.0-1] [MQTT-4.13.1-1]
def packets_that_only_a_server_sends(t):
    t.rejected(wire.packet(0x20, b"\0\0" + (b"\0" if t.v == V5 else b"")))
    t.rejected(wire.packet(0x90, b"\0\1" + (b"\0\0" if t.v == V5 else b"\0")))
    t.rejected(wire.packet(0xB0, b"\0\1" + (b"\0\0" if t.v == V5 else b"")))
    t.rejected(wire.packet(0xD0))


@case(V311, V5)
# [MQTT3-4.8.0-1] [MQTT-4.13.1-1]
def pingreq_with_a_body(t):
    t.rejected(wire.packet(0xC0, b"\0"))


@case(V31, V311, V5)
# [MQTT-1.5.5-1] [MQTT3-4.8.0-1]
def remaining_length_of_five_bytes(t):
    for first in (0x30, 0xC0, 0x82):
        t.rejected(wire.packet(first, b"", b"\xff\xff\xff\xff\x01"), ERRORS | {0x95})
        t.rejected(wire.packet(first, b"", b"\x80\x80\x80\x80\x00"), ERRORS | {0x95})


@case(V5)
# [MQTT-1.5.5-1]
def remaining_length_longer_than_needed(t):
    t.rejected(wire.packet(0xC0, b"", b"\x80\x00"))
    body = publish(t.v, t.topic(), b"x")[2:]
    t.rejected(wire.packet(0x30, body, bytes([len(body) | 0x80, 0x80, 0])))


@case(V5)
# [MQTT-3.2.2-15]
def packet_above_the_servers_maximum(t):
    """The server tells 0x95 from the length alone, the body need not arrive."""
    size = t.connect("ask").connack.prop(wire.PACKET_SIZE_MAX)
    if size is None or size > 268_435_000:
        return
    t.rejected(b"\x30" + varint(size), {0x95})


# ---- PUBLISH

@case(V31, V311, V5)
# [MQTT-3.3.1-4] [MQTT3-3.3.1-4]
def publish_with_qos_3(t):
    t.rejected(publish(t.v, t.topic(), b"x", 3, 1))
    t.rejected(publish(t.v, t.topic(), b"x", 3, 1, dup=True, retain=True))


@case(V311, V5)
# [MQTT-3.3.1-2] [MQTT3-3.3.1-2]
def publish_with_dup_and_qos_0(t):
    t.rejected(publish(t.v, t.topic(), b"x", 0, dup=True))


@case(V311, V5)
# [MQTT-2.2.1-3] [MQTT3-2.3.1-1]
def publish_with_packet_identifier_0(t):
    for qos in (1, 2):
        t.rejected(publish(t.v, t.topic(), b"x", qos, 0))


@case(V311, V5)
# [MQTT-2.2.1-2] [MQTT-2.2.1-3] [MQTT3-2.3.1-1] [MQTT3-2.3.1-5] [MQTT3-4.8.0-1]
def publish_cut_short(t):
    data = publish(t.v, t.topic(), b"", 1, 5, properties=[(wire.CONTENT_TYPE, "abc")])
    for n in range(len(data) - 2):
        t.rejected(wire.packet(0x32, data[2:2 + n]))


@case(V311, V5)
# [MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT3-3.3.2-2] [MQTT3-4.7.1-1]
def publish_to_a_wildcard(t):
    for topic in ("#", "+", "a/#", "a/+/b", "a/b#", "a+"):
        t.rejected(publish(t.v, topic, b"x"), BAD_NAME)
        t.rejected(publish(t.v, topic, b"x", 1, 1), BAD_NAME)


@case(V311, V5)
# [MQTT-4.7.3-1] [MQTT-3.3.2-1] [MQTT3-4.7.3-1] [MQTT3-3.3.2-1]
def publish_to_an_empty_topic(t):
    t.rejected(publish(t.v, "", b"x"), BAD_NAME)


@case(V311, V5)
# [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.3.2-1] [MQTT-4.7.3-2] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT3-3.3.2-1] [MQTT3-4.7.3-2]
def publish_to_an_ill_formed_topic(t):
    for bad in BAD_STRINGS:
        t.rejected(publish(t.v, b"mt/" + bad, b"x"), BAD_NAME)


@case(V5)
# [MQTT-3.3.4-6]
def publish_with_a_subscription_identifier(t):
    t.rejected(publish(t.v, t.topic(), b"x", properties=[(wire.SUBSCRIPTION_ID, 1)]))


@case(V5)
def publish_property_twice(t):
    for ident, value in ((wire.PAYLOAD_FORMAT, 0), (wire.MESSAGE_EXPIRY, 5), (wire.TOPIC_ALIAS, 1), (wire.RESPONSE_TOPIC, "r"),
                         (wire.CORRELATION_DATA, b"c"), (wire.CONTENT_TYPE, "t")):
        t.rejected(publish(t.v, t.topic(), b"x", properties=[(ident, value), (ident, value)]))


@case(V5)
def publish_property_that_does_not_belong_there(t):
    for ident, value in ((wire.SESSION_EXPIRY, 1), (wire.WILL_DELAY, 1), (wire.RECEIVE_MAX, 1), (wire.REASON_STRING, "x"), (0x00, b""),
                         (0x04, b"\0"), (0x2B, b"\0"), (0x7F, b"\0")):
        t.rejected(publish(t.v, t.topic(), b"x", properties=[(ident, value)]))


@case(V5)
def publish_with_payload_format_2(t):
    t.rejected(publish(t.v, t.topic(), b"x", properties=[(wire.PAYLOAD_FORMAT, 2)]))


@case(V5)
# [MQTT-3.3.2-13] [MQTT-3.3.2-14]
def publish_with_a_bad_response_topic(t):
    for topic in ("a/#", "+", "a/+/b", b"a/\xff", b"a\0"):
        t.rejected(publish(t.v, t.topic(), b"x", properties=[(wire.RESPONSE_TOPIC, topic)]), BAD_NAME)


@case(V5)
# [MQTT-3.3.2-19] [MQTT-1.5.4-1] [MQTT-1.5.4-2]
def publish_with_an_ill_formed_content_type(t):
    for bad in BAD_STRINGS:
        t.rejected(publish(t.v, t.topic(), b"x", properties=[(wire.CONTENT_TYPE, bad)]))


@case(V5)
# [MQTT-1.5.7-1] [MQTT-1.5.4-1] [MQTT-1.5.4-2]
def publish_with_an_ill_formed_user_property(t):
    for bad in BAD_STRINGS:
        t.rejected(publish(t.v, t.topic(), b"x", properties=[(wire.USER_PROPERTY, (bad, b"v"))]))
        t.rejected(publish(t.v, t.topic(), b"x", properties=[(wire.USER_PROPERTY, (b"k", bad))]))


@case(V5)
# [MQTT-1.5.5-1] [MQTT-2.2.2-1]
def publish_property_length(t):
    """Missing, beyond the packet, cutting a property, of five bytes, or not in its shortest form."""
    head = string(t.topic())
    for rest in (b"", b"\x05", b"\x01\x01", b"\x04\x03\0\x05a", b"\xff\xff\xff\xff\x01", b"\x80", b"\x80\x00", b"\x82\x00\x01\x00"):
        t.rejected(wire.packet(0x30, head + rest))


@case(V5)
# [MQTT-3.3.2-8] [MQTT-3.2.2-17] [MQTT-3.3.2-9]
def topic_alias_0(t):
    t.rejected(publish(t.v, t.topic(), b"x", properties=[(wire.TOPIC_ALIAS, 0)]), ERRORS | {0x94})


@case(V5)
# [MQTT-3.3.2-9] [MQTT-3.2.2-17] [MQTT-3.2.2-18]
def topic_alias_above_the_maximum(t):
    most = t.connect("ask").connack.prop(wire.TOPIC_ALIAS_MAX, 0)
    if most < 65535:
        t.rejected(publish(t.v, t.topic(), b"x", properties=[(wire.TOPIC_ALIAS, most + 1)]), {0x94})
        t.rejected(publish(t.v, t.topic(), b"x", properties=[(wire.TOPIC_ALIAS, 65535)]), {0x94})


@case(V5)
def topic_alias_without_a_mapping(t):
    if t.connect("ask").connack.prop(wire.TOPIC_ALIAS_MAX, 0):
        t.rejected(publish(t.v, "", b"x", properties=[(wire.TOPIC_ALIAS, 1)]), {0x82, 0x94})


@case(V5)
# [MQTT-3.3.2-7]
def topic_alias_does_not_survive_the_connection(t):
    c = t.connect("again", expiry=60)
    if c.connack.prop(wire.TOPIC_ALIAS_MAX, 0):
        c.publish(t.topic(), b"x", 1, properties=[(wire.TOPIC_ALIAS, 1)])
        c.disconnect()
        c = t.connect("again", expiry=60)
        true(c.connack.session_present, "no session present")
        c.send(publish(t.v, "", b"x", properties=[(wire.TOPIC_ALIAS, 1)]))
        c.error({0x82, 0x94})


# ---- SUBSCRIBE and UNSUBSCRIBE

@case(V311, V5)
# [MQTT-3.8.3-2] [MQTT3-3.8.3-3]
def subscribe_without_filters(t):
    t.rejected(subscribe(t.v, 1, []))


@case(V311, V5)
# [MQTT-3.10.3-2] [MQTT3-3.10.3-2]
def unsubscribe_without_filters(t):
    t.rejected(unsubscribe(t.v, 1, []))


@case(V311, V5)
# [MQTT-2.2.1-3] [MQTT3-2.3.1-1]
def subscribe_and_unsubscribe_with_packet_identifier_0(t):
    t.rejected(subscribe(t.v, 0, [(t.topic(), 0)]))
    t.rejected(unsubscribe(t.v, 0, [t.topic()]))


@case(V31, V311, V5)
# [MQTT3-3.8.3-4]
def subscribe_with_qos_3(t):
    t.rejected(subscribe(t.v, 1, [(t.topic(), 3)]))
    t.rejected(subscribe(t.v, 1, [(t.topic("a"), 0), (t.topic("b"), 3)]))


@case(V311, V5)
# [MQTT-3.8.3-5] [MQTT3-3.8.3-4]
def subscribe_with_reserved_option_bits(t):
    for bit in (0x40, 0x80) if t.v == V5 else (0x04, 0x08, 0x10, 0x20, 0x40, 0x80):
        t.rejected(subscribe(t.v, 1, [(t.topic(), bit)]))


@case(V5)
def subscribe_with_retain_handling_3(t):
    t.rejected(subscribe(t.v, 1, [(t.topic(), 0x30)]))


@case(V311, V5)
# [MQTT-3.8.3-2] [MQTT3-3.8.3-3] [MQTT3-4.8.0-1]
def subscribe_cut_short(t):
    for payload in (string(t.topic()), string(t.topic("a")) + b"\0" + string(t.topic("b")), b"\0", b"\0\x20short"):
        t.rejected(subscribe(t.v, 1, payload), BAD_FILTER)
    t.rejected(wire.packet(0x82))
    t.rejected(wire.packet(0x82, b"\1"))


@case(V311, V5)
# [MQTT-3.10.3-2] [MQTT3-3.10.3-1] [MQTT3-4.8.0-1]
def unsubscribe_cut_short(t):
    for payload in (b"\0", b"\0\x20short", string(t.topic()) + b"\0"):
        t.rejected(unsubscribe(t.v, 1, payload), BAD_FILTER)
    t.rejected(wire.packet(0xA2))
    t.rejected(wire.packet(0xA2, b"\1"))


@case(V311, V5)
# [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.8.3-1] [MQTT-4.7.3-2] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT3-3.8.3-1] [MQTT3-4.7.3-2]
def subscribe_to_ill_formed_utf8(t):
    for bad in BAD_STRINGS:
        t.rejected(subscribe(t.v, 1, [(b"mt/" + bad, 0)]), BAD_FILTER)


@case(V311, V5)
# [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.10.3-1] [MQTT-4.7.3-2] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT3-3.10.3-1]
def unsubscribe_from_ill_formed_utf8(t):
    for bad in BAD_STRINGS:
        t.rejected(unsubscribe(t.v, 1, [b"mt/" + bad]), BAD_FILTER)


def filter_refused(t, topic_filter, options=0):
    """DISCONNECT or close, or a SUBACK that refuses this filter; never a subscription."""
    c = t.connect("bad")
    c.send(subscribe(t.v, 1, [(topic_filter, options)]))
    try:
        answer = c.recv()
    except Closed:
        true(t.v != V5, f"{topic_filter!r}: closed without DISCONNECT")
        return
    if answer.kind == wire.DISCONNECT:
        true(answer.reason in BAD_FILTER, f"{topic_filter!r}: {answer}")
        c.closed()
    elif answer.kind != wire.SUBACK or answer.codes not in ([0x80], [0x8F]):
        raise Failure(f"{topic_filter!r}: expected a refusal, got {answer}")
    c.close()


@case(V31, V311, V5)
# [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT3-4.7.1-2] [MQTT3-4.7.1-3]
def misplaced_wildcards(t):
    for bad in ("a#", "#a", "#/a", "a/#/b", "a/b#", "##", "a/##", "a+", "+a", "a/b+", "a/+b/c", "++", "a/++", "+#", "#+", "/#/", "$x/#/y"):
        filter_refused(t, bad)


@case(V311, V5)
# [MQTT-4.7.3-1] [MQTT3-4.7.3-1]
def empty_topic_filter(t):
    filter_refused(t, "")


@case(V5)
# [MQTT-4.8.2-1] [MQTT-4.8.2-2]
def ill_formed_shared_filter(t):
    for bad in ("$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/#/a", "$share/g+/a", "$share/g#/a", "$share/#",
                "$share/g/a#", "$share/g/#/a", "$share/g/a+"):
        filter_refused(t, bad)


@case(V5)
# [MQTT-3.8.3-4]
def no_local_on_a_shared_subscription(t):
    t.rejected(subscribe(t.v, 1, [("$share/g/" + t.topic(), 0x04 | 1)]))


@case(V5)
def subscription_identifier_out_of_range(t):
    for value in (0, b"\xff\xff\xff\xff\x01", b"\x80\x80\x80\x80\x01"):
        t.rejected(subscribe(t.v, 1, [(t.topic(), 0)], [(wire.SUBSCRIPTION_ID, value)]))
    t.rejected(subscribe(t.v, 1, [(t.topic(), 0)], [(wire.SUBSCRIPTION_ID, 1), (wire.SUBSCRIPTION_ID, 2)]))


@case(V5)
def subscribe_and_unsubscribe_properties_that_do_not_belong(t):
    for ident, value in ((wire.TOPIC_ALIAS, 1), (wire.REASON_STRING, "x"), (wire.MESSAGE_EXPIRY, 1), (0x7F, b"")):
        t.rejected(subscribe(t.v, 1, [(t.topic(), 0)], [(ident, value)]))
        t.rejected(unsubscribe(t.v, 1, [t.topic()], [(ident, value)]))
    t.rejected(unsubscribe(t.v, 1, [t.topic()], [(wire.SUBSCRIPTION_ID, 1)]))


# ---- acknowledgements

@case(V311, V5)
# [MQTT-2.2.1-5] [MQTT3-4.8.0-1]
def acknowledgement_cut_short(t):
    for first in (0x40, 0x50, 0x62, 0x70):
        t.rejected(wire.packet(first))
        t.rejected(wire.packet(first, b"\0"))


@case(V311, V5)
# [MQTT-2.2.1-3] [MQTT3-2.3.1-1]
def acknowledgement_of_packet_identifier_0(t):
    for kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        t.rejected(wire.ack(kind, 0))


@case(V31, V311)
# [MQTT3-4.8.0-1]
def acknowledgement_too_long_before_v5(t):
    for first in (0x40, 0x50, 0x62, 0x70):
        t.rejected(wire.packet(first, b"\0\1\0"))


@case(V5)
# [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
def acknowledgement_with_a_wrong_reason_code(t):
    for kind, wrong in ((PUBACK, (0x01, 0x11, 0x82, 0x92, 0xFF)), (PUBREC, (0x02, 0x81, 0x92)), (PUBREL, (0x10, 0x80, 0x87)),
                        (PUBCOMP, (0x10, 0x80, 0x87))):
        for reason in wrong:
            t.rejected(wire.ack(kind, 1, reason))


@case(V5)
# [MQTT-1.5.5-1] [MQTT-1.5.7-1]
def acknowledgement_with_wrong_properties(t):
    for kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        for pairs in ([(wire.REASON_STRING, "a"), (wire.REASON_STRING, "b")], [(wire.TOPIC_ALIAS, 1)], [(wire.REASON_STRING, b"\xff")], b"\x05",
                      [(wire.USER_PROPERTY, (b"\0", b""))], b"\x80\x00"):
            t.rejected(wire.ack(kind, 1, 0, pairs))


# ---- DISCONNECT and AUTH

@case(V5)
# [MQTT-3.14.2-1]
def disconnect_with_a_wrong_reason_code(t):
    for reason in (0x01, 0x10, 0x18, 0x84, 0xFF):
        t.rejected(wire.disconnect(t.v, reason))


@case(V5)
def disconnect_with_wrong_properties(t):
    for pairs in ([(wire.SESSION_EXPIRY, 1), (wire.SESSION_EXPIRY, 1)], [(wire.TOPIC_ALIAS, 1)], [(wire.REASON_STRING, b"\xed\xa0\x80")], b"\x09"):
        t.rejected(wire.disconnect(t.v, 0, pairs), expiry=5)


@case(V5)
def disconnect_raises_session_expiry_from_0(t):
    t.rejected(wire.disconnect(t.v, 0, [(wire.SESSION_EXPIRY, 10)]), {0x82})


@case(V31, V311)
# [MQTT3-4.8.0-1]
def disconnect_with_a_body_before_v5(t):
    t.rejected(wire.packet(0xE0, b"\0"))


@case(V5)
# [MQTT-3.15.2-1]
def auth_with_a_wrong_reason_code(t):
    for reason in (0x01, 0x80, 0x8C):
        t.rejected(wire.auth(reason, [(wire.AUTH_METHOD, "m")]), ERRORS | {0x87, 0x8C})


@case(V311, V5)
# [MQTT-4.13.1-1] [MQTT-3.1.2-8] [MQTT3-4.8.0-1] [MQTT3-3.1.2-8]
def an_error_publishes_the_will(t):
    watcher = t.connect("watch")
    watcher.subscribe(t.topic("will"))
    c = t.connect(will=wire.Will(t.topic("will"), b"broken", 1))
    c.send(publish(t.v, "a/#", b"x"))
    c.error(BAD_NAME)
    watcher.message(t.topic("will"), b"broken", 1)


@case(V311, V5)
# [MQTT-4.13.1-1] [MQTT3-4.8.0-1]
def an_error_concerns_one_connection(t):
    other = t.connect("other")
    other.subscribe(t.topic())
    c = t.connect("bad")
    c.publish(t.topic(), b"before", 1)
    c.send(publish(t.v, t.topic(), b"bad", 3, 9) + publish(t.v, t.topic(), b"after", 1, 10))
    other.message(t.topic(), b"before")
    t.nothing(other, t.connect("fence"))
    other.ping()


@case(V5)
# [MQTT-3.14.2-3] [MQTT-3.14.2-4] [MQTT-3.1.2-24] [MQTT-3.14.2-2]
def disconnect_fits_the_clients_maximum(t):
    least = t.connect("ask").connack.size  # a smaller maximum would not let the CONNACK through
    for size in (least, least + 8):
        c = t.connect("small", properties=[(wire.PACKET_SIZE_MAX, size)])
        c.send(publish(t.v, "a/#", b"x"))
        answer = c.error(BAD_NAME)
        true(answer.size <= size, f"a DISCONNECT of {answer.size} bytes, the maximum is {size}")
