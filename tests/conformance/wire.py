"""MQTT packets as raw bytes: the suite's own small codec.

Owns: encoding of client packets (broken ones too: every part can be overridden), strict decoding of server packets.
Must not know: sockets, the broker under test, or what a case expects.
"""

import struct

V31, V311, V5 = 3, 4, 5

(CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ,
 PINGRESP, DISCONNECT, AUTH) = range(1, 16)
NAMES = ("RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
         "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH")

# Properties (v5, table 2-4).
PAYLOAD_FORMAT, MESSAGE_EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION_DATA = 0x01, 0x02, 0x03, 0x08, 0x09
SUBSCRIPTION_ID, SESSION_EXPIRY, ASSIGNED_CLIENT_ID, SERVER_KEEP_ALIVE = 0x0B, 0x11, 0x12, 0x13
AUTH_METHOD, AUTH_DATA, REQUEST_PROBLEM_INFO, WILL_DELAY = 0x15, 0x16, 0x17, 0x18
REQUEST_RESPONSE_INFO, RESPONSE_INFO, SERVER_REFERENCE, REASON_STRING = 0x19, 0x1A, 0x1C, 0x1F
RECEIVE_MAX, TOPIC_ALIAS_MAX, TOPIC_ALIAS, QOS_MAX, RETAIN_AVAILABLE = 0x21, 0x22, 0x23, 0x24, 0x25
USER_PROPERTY, PACKET_SIZE_MAX, WILDCARD_AVAILABLE = 0x26, 0x27, 0x28
SUBSCRIPTION_IDS_AVAILABLE, SHARED_AVAILABLE = 0x29, 0x2A

KINDS = {
    PAYLOAD_FORMAT: "u8", MESSAGE_EXPIRY: "u32", CONTENT_TYPE: "str", RESPONSE_TOPIC: "str", CORRELATION_DATA: "bin",
    SUBSCRIPTION_ID: "var", SESSION_EXPIRY: "u32", ASSIGNED_CLIENT_ID: "str", SERVER_KEEP_ALIVE: "u16",
    AUTH_METHOD: "str", AUTH_DATA: "bin", REQUEST_PROBLEM_INFO: "u8", WILL_DELAY: "u32", REQUEST_RESPONSE_INFO: "u8",
    RESPONSE_INFO: "str", SERVER_REFERENCE: "str", REASON_STRING: "str", RECEIVE_MAX: "u16", TOPIC_ALIAS_MAX: "u16",
    TOPIC_ALIAS: "u16", QOS_MAX: "u8", RETAIN_AVAILABLE: "u8", USER_PROPERTY: "pair", PACKET_SIZE_MAX: "u32",
    WILDCARD_AVAILABLE: "u8", SUBSCRIPTION_IDS_AVAILABLE: "u8", SHARED_AVAILABLE: "u8",
}

# What a server may put where.
REASON_PROPS = {REASON_STRING, USER_PROPERTY}
SERVER_PROPS = {
    CONNACK: {SESSION_EXPIRY, RECEIVE_MAX, QOS_MAX, RETAIN_AVAILABLE, PACKET_SIZE_MAX, ASSIGNED_CLIENT_ID,
              TOPIC_ALIAS_MAX, REASON_STRING, USER_PROPERTY, WILDCARD_AVAILABLE, SUBSCRIPTION_IDS_AVAILABLE,
              SHARED_AVAILABLE, SERVER_KEEP_ALIVE, RESPONSE_INFO, SERVER_REFERENCE, AUTH_METHOD, AUTH_DATA},
    PUBLISH: {PAYLOAD_FORMAT, MESSAGE_EXPIRY, TOPIC_ALIAS, RESPONSE_TOPIC, CORRELATION_DATA, USER_PROPERTY,
              SUBSCRIPTION_ID, CONTENT_TYPE},
    PUBACK: REASON_PROPS, PUBREC: REASON_PROPS, PUBREL: REASON_PROPS, PUBCOMP: REASON_PROPS, SUBACK: REASON_PROPS,
    UNSUBACK: REASON_PROPS,
    DISCONNECT: {REASON_STRING, USER_PROPERTY, SERVER_REFERENCE},  # no Session Expiry from a server: 3.14.2.2.2
    AUTH: {AUTH_METHOD, AUTH_DATA, REASON_STRING, USER_PROPERTY},
}
SERVER_REASONS = {
    CONNACK: {0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99,
              0x9A, 0x9B, 0x9C, 0x9D, 0x9F},
    PUBACK: {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    PUBREC: {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    PUBREL: {0x00, 0x92}, PUBCOMP: {0x00, 0x92},
    SUBACK: {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2},
    UNSUBACK: {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91},
    DISCONNECT: {0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97,
                 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2},
    AUTH: {0x00, 0x18},
}


class Broken(Exception):
    """The server sent bytes that no server may send."""


# ---- writing -------------------------------------------------------------------------------------------------------

def u8(n):
    return struct.pack("!B", n)


def u16(n):
    return struct.pack("!H", n)


def u32(n):
    return struct.pack("!I", n)


def varint(n):
    out = bytearray()
    while True:
        n, low = n >> 7, n & 0x7F
        out.append(low | (0x80 if n else 0))
        if not n:
            return bytes(out)


def raw(s):
    return s if isinstance(s, (bytes, bytearray)) else s.encode("utf-8", "surrogatepass")


def string(s):
    """A length-prefixed string or binary; `bytes` go out as they are, well-formed or not."""
    s = raw(s)
    return u16(len(s)) + s


def prop(ident, value):
    kind = KINDS.get(ident)
    if kind == "u8":
        body = u8(value)
    elif kind == "u16":
        body = u16(value)
    elif kind == "u32":
        body = u32(value)
    elif kind == "var":
        body = value if isinstance(value, bytes) else varint(value)
    elif kind == "pair":
        body = string(value[0]) + string(value[1])
    elif kind in ("str", "bin"):
        body = string(value)
    else:
        body = raw(value)
    return varint(ident) + body


def props(pairs):
    """A property section. A `bytes` argument is the whole section, its length field included."""
    if isinstance(pairs, (bytes, bytearray)):
        return bytes(pairs)
    body = b"".join(prop(i, v) for i, v in pairs)
    return varint(len(body)) + body


def packet(first, body=b"", length=None):
    """A packet; `length` (bytes) replaces the Remaining Length field."""
    return u8(first) + (varint(len(body)) if length is None else length) + body


class Will:
    """A Will Message for `connect`."""

    def __init__(self, topic, payload=b"will", qos=0, retain=False, properties=()):
        self.topic, self.payload, self.qos, self.retain, self.properties = topic, payload, qos, retain, properties


def connect(version, client_id="", clean=True, keep_alive=60, properties=(), will=None, user=None, password=None,
            name=None, level=None, flags=None, payload=None, tail=b"", first=0x10):
    bits = 0x02 if clean else 0
    body = string(client_id)
    if will is not None:
        bits |= 0x04 | will.qos << 3 | (0x20 if will.retain else 0)
        if version == V5:
            body += props(will.properties)
        body += string(will.topic) + string(will.payload)
    if user is not None:
        bits |= 0x80
        body += string(user)
    if password is not None:
        bits |= 0x40
        body += string(password)
    if name is None:
        name = "MQIsdp" if version == V31 else "MQTT"
    head = string(name) + u8(version if level is None else level) + u8(bits if flags is None else flags) + u16(keep_alive)
    if version == V5:
        head += props(properties)
    return packet(first, head + (body if payload is None else payload) + tail)


def publish(version, topic, payload=b"", qos=0, pid=None, retain=False, dup=False, properties=()):
    body = string(topic)
    if pid is not None:
        body += u16(pid)
    if version == V5:
        body += props(properties)
    return packet(PUBLISH << 4 | (8 if dup else 0) | qos << 1 | (1 if retain else 0), body + raw(payload))


def ack(kind, pid, reason=None, properties=None, flags=None):
    """PUBACK, PUBREC, PUBREL, PUBCOMP; the short form unless a reason is given."""
    body = u16(pid)
    if reason is not None:
        body += u8(reason)
    if properties is not None:
        body += props(properties)
    if flags is None:
        flags = 2 if kind == PUBREL else 0
    return packet(kind << 4 | flags, body)


def subscribe(version, pid, filters, properties=(), flags=2):
    """`filters`: (filter, options byte) pairs, or the whole payload as bytes."""
    body = u16(pid) + (props(properties) if version == V5 else b"")
    body += filters if isinstance(filters, bytes) else b"".join(string(f) + u8(o) for f, o in filters)
    return packet(SUBSCRIBE << 4 | flags, body)


def unsubscribe(version, pid, filters, properties=(), flags=2):
    body = u16(pid) + (props(properties) if version == V5 else b"")
    body += filters if isinstance(filters, bytes) else b"".join(string(f) for f in filters)
    return packet(UNSUBSCRIBE << 4 | flags, body)


def disconnect(version, reason=None, properties=None, flags=0):
    body = b"" if reason is None else u8(reason)
    if properties is not None:
        body += props(properties)
    return packet(DISCONNECT << 4 | flags, body)


def auth(reason=None, properties=None, flags=0):
    body = b"" if reason is None else u8(reason)
    if properties is not None:
        body += props(properties)
    return packet(AUTH << 4 | flags, body)


# ---- reading -------------------------------------------------------------------------------------------------------

class Reader:
    """A cursor over a packet's body; runs out with `Broken`."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, n):
        if self.left() < n:
            raise Broken(f"field of {n} bytes, {self.left()} left")
        self.at += n
        return self.data[self.at - n:self.at]

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return struct.unpack("!H", self.take(2))[0]

    def u32(self):
        return struct.unpack("!I", self.take(4))[0]

    def var(self):
        value = 0
        for i in range(4):
            byte = self.u8()
            value |= (byte & 0x7F) << 7 * i
            if not byte & 0x80:
                if i and not byte:
                    raise Broken("Variable Byte Integer longer than needed")
                return value
        raise Broken("Variable Byte Integer of more than four bytes")

    def bin(self):
        return bytes(self.take(self.u16()))

    def str(self):
        data = self.bin()
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Broken(f"ill-formed UTF-8 string {data!r}") from error
        if "\0" in text:
            raise Broken("U+0000 in a string")
        return text

    def props(self, kind):
        """The property section of a packet of this kind, checked against table 2-4."""
        section = Reader(self.take(self.var()))
        found = []
        while section.left():
            ident = section.var()
            if ident not in SERVER_PROPS[kind]:
                raise Broken(f"property 0x{ident:02X} in {NAMES[kind]} from a server")
            repeatable = ident == USER_PROPERTY or (ident == SUBSCRIPTION_ID and kind == PUBLISH)
            if not repeatable and any(i == ident for i, _ in found):
                raise Broken(f"property 0x{ident:02X} twice in {NAMES[kind]}")
            what = KINDS[ident]
            value = (section.str(), section.str()) if what == "pair" else getattr(section, what)()
            if what == "u8" and value > 1:
                raise Broken(f"property 0x{ident:02X} has the value {value}")
            if ident in (RECEIVE_MAX, PACKET_SIZE_MAX, TOPIC_ALIAS, SUBSCRIPTION_ID) and value == 0:
                raise Broken(f"property 0x{ident:02X} has the value 0")
            found.append((ident, value))
        return found


class Packet:
    """A decoded server packet; only the fields of its kind are set."""

    def __init__(self, kind, flags, size):
        self.kind, self.flags, self.size, self.properties = kind, flags, size, []
        self.pid = self.reason = self.topic = self.payload = self.codes = self.session_present = None
        self.dup, self.qos, self.retain = bool(flags & 8), flags >> 1 & 3, bool(flags & 1)

    def prop(self, ident, default=None):
        return next((v for i, v in self.properties if i == ident), default)

    def all(self, ident):
        return [v for i, v in self.properties if i == ident]

    def __repr__(self):
        text = NAMES[self.kind]
        if self.kind == PUBLISH:
            shown = self.payload if len(self.payload) <= 40 else self.payload[:40] + b"..."
            text += f" q{self.qos}{' DUP' if self.dup else ''}{' RETAIN' if self.retain else ''} {self.topic!r} {shown!r}"
        for name in ("pid", "codes", "session_present"):
            value = getattr(self, name)
            if value is not None:
                text += f" {name}={value}"
        if self.reason is not None:
            text += f" reason=0x{self.reason:02X}"
        if self.properties:
            text += " {" + ", ".join(f"0x{i:02X}: {v!r}" for i, v in self.properties) + "}"
        return text


def decode(first, body, version):
    """A packet from a server, or `Broken`. Every reserved bit, code, property and length is checked."""
    kind, flags = first >> 4, first & 15
    out = Packet(kind, flags, 1 + len(varint(len(body))) + len(body))
    if kind not in (CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, PINGRESP, DISCONNECT, AUTH):
        raise Broken(f"{NAMES[kind]} from a server")
    if version != V5 and kind in (DISCONNECT, AUTH):
        raise Broken(f"{NAMES[kind]} from a server before version 5")
    if kind != PUBLISH and flags != (2 if kind == PUBREL else 0):
        raise Broken(f"{NAMES[kind]} with flags 0x{flags:X}")
    r = Reader(body)
    if kind == PUBLISH:
        decode_publish(out, r, version)
    elif kind == CONNACK:
        acknowledge, out.reason = r.u8(), r.u8()
        if acknowledge & 0xFE or (acknowledge and version == V31):
            raise Broken(f"CONNACK flags 0x{acknowledge:02X}")
        out.session_present = bool(acknowledge)
        if version == V5:
            out.properties = r.props(kind)
        elif out.reason > 5:
            raise Broken(f"CONNACK return code {out.reason}")
        if out.reason and out.session_present:
            raise Broken("CONNACK refuses with Session Present 1")
    elif kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        out.pid, out.reason = r.u16(), 0
        if version == V5 and r.left():
            out.reason = r.u8()
            if r.left():
                out.properties = r.props(kind)
    elif kind in (SUBACK, UNSUBACK):
        out.pid = r.u16()
        if version == V5:
            out.properties = r.props(kind)
        out.codes = list(r.take(r.left())) if version == V5 or kind == SUBACK else None
        allowed = SERVER_REASONS[kind] if version == V5 else {0, 1, 2, 0x80}
        if out.codes is not None and not set(out.codes) <= allowed:
            raise Broken(f"{NAMES[kind]} codes {out.codes}")
    elif kind in (DISCONNECT, AUTH):
        out.reason = r.u8() if r.left() else 0
        if r.left():
            out.properties = r.props(kind)
    if r.left():
        raise Broken(f"{NAMES[kind]} with {r.left()} bytes too many")
    if version == V5 and out.reason is not None and out.reason not in SERVER_REASONS[kind]:
        raise Broken(f"{NAMES[kind]} with reason code 0x{out.reason:02X}")
    if out.pid == 0:
        raise Broken(f"{NAMES[kind]} with packet identifier 0")
    return out


def decode_publish(out, r, version):
    if out.qos == 3:
        raise Broken("PUBLISH with QoS 3")
    if out.dup and out.qos == 0:
        raise Broken("PUBLISH with QoS 0 and DUP 1")
    out.topic = r.str()
    if "+" in out.topic or "#" in out.topic:
        raise Broken(f"PUBLISH to {out.topic!r}")
    if out.qos:
        out.pid = r.u16()
    if version == V5:
        out.properties = r.props(PUBLISH)
    out.payload = bytes(r.take(r.left()))
