"""CONNECT packets that are not well-formed: the connection is closed, v5 may say why in a CONNACK first, v3.1.1 may not."""

import wire
from harness import case
from strings import BAD_STRINGS
from wire import V5, V311, string


@case(V311, V5)
# [MQTT-3.1.2-3] [MQTT3-3.1.2-3] [MQTT-3.1.4-1] [MQTT3-3.1.4-1]
def reserved_connect_flag(t):
    t.refused(wire.connect(t.v, t.id(), flags=0x03))


@case(V311, V5)
# [MQTT-2.1.3-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2] [MQTT-3.1.4-1]
def connect_with_fixed_header_flags(t):
    for first in (0x11, 0x12, 0x14, 0x18, 0x1F):
        t.refused(wire.connect(t.v, t.id(), first=first))


@case(V311, V5)
# [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT3-3.1.2-11] [MQTT3-3.1.2-13] [MQTT3-3.1.2-15]
def will_qos_or_retain_without_will_flag(t):
    for flags in (0x0A, 0x12, 0x22, 0x1A):
        t.refused(wire.connect(t.v, t.id(), flags=flags))


@case(V311, V5)
# [MQTT-3.1.2-12] [MQTT3-3.1.2-14]
def will_qos_3(t):
    t.refused(wire.connect(t.v, t.id(), will=wire.Will(t.topic(), qos=3)))


@case(V311, V5)
# [MQTT-3.1.2-9] [MQTT3-3.1.2-9]
def will_flag_without_will_fields(t):
    t.refused(wire.connect(t.v, t.id(), flags=0x06))
    body = string(t.id()) + (b"\0" if t.v == V5 else b"")
    t.refused(wire.connect(t.v, flags=0x06, payload=body))
    t.refused(wire.connect(t.v, flags=0x06, payload=body + string(t.topic())))
    t.refused(wire.connect(t.v, flags=0x06, payload=body + string(t.topic()) + b"\0\x09short"))


@case(V5)
# [MQTT-3.1.2-9]
def will_without_will_properties(t):
    t.refused(wire.connect(t.v, flags=0x06, payload=string(t.id()) + string(t.topic()) + string("payload")))


@case(V311, V5)
# [MQTT3-3.1.2-11] [MQTT-3.1.4-1] [MQTT3-3.1.4-1]
def will_fields_without_will_flag(t):
    extra = (b"\0" if t.v == V5 else b"") + string(t.topic()) + string("will")
    t.refused(wire.connect(t.v, t.id(), tail=b"", payload=string(t.id()) + extra))


@case(V311, V5)
# [MQTT-3.1.2-16] [MQTT-3.1.2-18] [MQTT3-3.1.2-18] [MQTT3-3.1.2-20]
def user_name_or_password_without_flag(t):
    t.refused(wire.connect(t.v, payload=string(t.id()) + string("user")))
    t.refused(wire.connect(t.v, flags=0x82, payload=string(t.id()) + string("user") + string("password")))


@case(V311, V5)
# [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT3-3.1.2-19] [MQTT3-3.1.2-21]
def flag_without_user_name_or_password(t):
    t.refused(wire.connect(t.v, t.id(), flags=0x82))
    t.refused(wire.connect(t.v, flags=0xC2, payload=string(t.id()) + string("user")))
    if t.v == V5:
        t.refused(wire.connect(t.v, t.id(), flags=0x42))


@case(V311)
# [MQTT3-3.1.2-22]
def password_flag_without_user_name_flag(t):
    t.refused(wire.connect(t.v, flags=0x42, payload=string(t.id()) + string("password")))


@case(V311, V5)
# [MQTT-3.1.3-3] [MQTT3-3.1.3-3]
def no_client_id_field(t):
    t.refused(wire.connect(t.v, payload=b""))
    t.refused(wire.connect(t.v, payload=b"\0"))
    t.refused(wire.connect(t.v, payload=b"\0\x10ab"))


@case(V311, V5)
# [MQTT-3.1.4-1] [MQTT3-3.1.4-1]
def bytes_behind_the_payload(t):
    t.refused(wire.connect(t.v, t.id(), tail=b"\0"))


@case(V311, V5)
# [MQTT-3.1.4-1] [MQTT3-3.1.4-1] [MQTT-3.2.2-7] [MQTT3-3.2.2-6]
def truncated_connect(t):
    """Every prefix of the body, sent as a packet of that length."""
    data = wire.connect(t.v, t.id(), will=wire.Will(t.topic(), b"w", 1), user="u", password="p",
                        properties=[(wire.SESSION_EXPIRY, 5), (wire.USER_PROPERTY, ("a", "b"))])
    body = data[2:]
    for n in range(len(body)):
        t.refused(wire.packet(0x10, body[:n]), {0x81, 0x82, 0x84})


@case(V311, V5)
# [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.1.3-4] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT3-3.1.3-4]
def ill_formed_client_id(t):
    for bad in BAD_STRINGS:
        t.refused(wire.connect(t.v, b"a" + bad), {0x81, 0x82, 0x85}, codes3={2})


@case(V311, V5)
# [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.1.3-11] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT3-3.1.3-10]
def ill_formed_will_topic(t):
    for bad in BAD_STRINGS:
        t.refused(wire.connect(t.v, t.id(), will=wire.Will(b"a" + bad)), {0x81, 0x82, 0x90})


@case(V311, V5)
# [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.1.3-12] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT3-3.1.3-11]
def ill_formed_user_name(t):
    for bad in BAD_STRINGS:
        t.refused(wire.connect(t.v, t.id(), user=b"a" + bad, password=b"p"), {0x81, 0x82, 0x86}, codes3={4})


@case(V311, V5)
# [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT3-4.7.1-1] [MQTT3-4.7.3-1]
def will_topic_with_wildcards_or_empty(t):
    for topic in ("a/#", "a/+/b", "#", "+", ""):
        t.refused(wire.connect(t.v, t.id(), will=wire.Will(topic)), {0x81, 0x82, 0x90})


@case(V5)
def connect_property_twice(t):
    for ident, value in ((wire.SESSION_EXPIRY, 1), (wire.RECEIVE_MAX, 5), (wire.PACKET_SIZE_MAX, 1000), (wire.TOPIC_ALIAS_MAX, 1),
                         (wire.REQUEST_RESPONSE_INFO, 0), (wire.REQUEST_PROBLEM_INFO, 1), (wire.AUTH_METHOD, "a")):
        t.refused(wire.connect(t.v, t.id(), properties=[(ident, value), (ident, value)]), {0x81, 0x82, 0x8C, 0x87})


@case(V5)
def connect_property_out_of_range(t):
    for ident, value in ((wire.RECEIVE_MAX, 0), (wire.PACKET_SIZE_MAX, 0), (wire.REQUEST_RESPONSE_INFO, 2), (wire.REQUEST_PROBLEM_INFO, 2)):
        t.refused(wire.connect(t.v, t.id(), properties=[(ident, value)]))


@case(V5)
def connect_property_that_does_not_belong_there(t):
    for ident, value in ((wire.TOPIC_ALIAS, 1), (wire.WILL_DELAY, 1), (wire.MESSAGE_EXPIRY, 1), (wire.SERVER_KEEP_ALIVE, 1),
                         (wire.REASON_STRING, "x"), (wire.SUBSCRIPTION_ID, 1), (wire.ASSIGNED_CLIENT_ID, "x"), (0x00, b""), (0x7F, b"\0"), (0x2B, b"\0")):
        t.refused(wire.connect(t.v, t.id(), properties=[(ident, value)]))


@case(V5)
def authentication_data_without_method(t):
    t.refused(wire.connect(t.v, t.id(), properties=[(wire.AUTH_DATA, b"x")]), {0x81, 0x82, 0x8C, 0x87})


@case(V5)
# [MQTT-1.5.5-1]
def connect_property_length(t):
    """Longer than the packet, cutting a property, of five bytes, or not in its shortest form."""
    for section in (b"\x7f", b"\x03\x11\0\0", b"\x04\x11\0\0\0\1", b"\xff\xff\xff\xff\x01", b"\x80\x00", b"\x85\x00\x11\0\0\0\1"):
        t.refused(wire.connect(t.v, t.id(), properties=section))


@case(V5)
# [MQTT-1.5.7-1] [MQTT-1.5.4-1] [MQTT-1.5.4-2]
def ill_formed_user_property(t):
    for bad in BAD_STRINGS:
        t.refused(wire.connect(t.v, t.id(), properties=[(wire.USER_PROPERTY, (b"k", bad))]))
        t.refused(wire.connect(t.v, t.id(), properties=[(wire.USER_PROPERTY, (bad, b"v"))]))


@case(V5)
# [MQTT-3.1.3-1]
def will_properties_that_are_wrong(t):
    for pairs in ([(wire.PAYLOAD_FORMAT, 2)], [(wire.WILL_DELAY, 1), (wire.WILL_DELAY, 1)], [(wire.TOPIC_ALIAS, 1)], [(wire.SESSION_EXPIRY, 1)],
                  [(wire.CONTENT_TYPE, b"\xff")], [(wire.RESPONSE_TOPIC, "a/#")], [(wire.RESPONSE_TOPIC, "a\0b")], [(wire.SUBSCRIPTION_ID, 1)],
                  [(wire.CONTENT_TYPE, "a"), (wire.CONTENT_TYPE, "b")], [(0x7E, b"")], b"\x7f"):
        t.refused(wire.connect(t.v, t.id(), will=wire.Will(t.topic(), properties=pairs)), {0x81, 0x82, 0x90, 0x99})


@case(V311, V5)
# [MQTT-1.5.5-1]
def remaining_length_of_five_bytes(t):
    for length in (b"\xff\xff\xff\xff\x01", b"\x80\x80\x80\x80\x00"):
        t.refused(wire.packet(0x10, wire.connect(t.v, t.id())[2:], length), {0x81, 0x82, 0x95})


@case(V5)
# [MQTT-1.5.5-1]
def remaining_length_longer_than_needed(t):
    body = wire.connect(t.v, t.id())[2:]
    t.refused(wire.packet(0x10, body, bytes([len(body) | 0x80, 0])))
