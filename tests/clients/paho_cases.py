"""paho-mqtt (Python) against the broker, in versions 3.1, 3.1.1 and 5."""

import socket
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from kit import BURST, DEADLINE_S, Inbox, case, check, same

ME = "paho"
V31, V311, V5 = mqtt.MQTTv31, mqtt.MQTTv311, mqtt.MQTTv5
NAMES = {V31: "v3.1", V311: "v3.1.1", V5: "v5"}


def properties(kind, **values):
    out = Properties(kind)
    for name, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            setattr(out, name, one)
    return out


class Client:
    """A connected paho client with its network thread; what happens arrives in inboxes."""

    def __init__(self, t, name="c", version=V5, clean=True, expiry=None, will=None, whole_id=None, connect=None, keep_alive=60):
        self.t, self.version = t, version
        self.messages, self.connects, self.ends = Inbox(), Inbox("CONNACK"), Inbox("end of the connection")
        self.subacks, self.unsubacks, self.published = {}, {}, {}
        options = {} if version == V5 else {"clean_session": clean}
        identifier = t.id(name) if whole_id is None else whole_id
        self.paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, identifier, protocol=version, reconnect_on_failure=False, **options)
        self.paho.on_message = lambda _c, _u, m: self.messages.put(m)
        self.paho.on_connect = lambda _c, _u, flags, code, props: self.connects.put((flags, code, props))
        self.paho.on_disconnect = lambda _c, _u, _f, code, _p: self.ends.put(code)
        self.waiting, self.answers = threading.Condition(), {}
        self.paho.on_subscribe = lambda _c, _u, mid, codes, _p: self.answer(("sub", mid), codes)
        self.paho.on_unsubscribe = lambda _c, _u, mid, codes, _p: self.answer(("unsub", mid), codes)
        self.paho.on_publish = lambda _c, _u, mid, code, _p: self.answer(("pub", mid), code)
        if will:
            self.paho.will_set(**will)
        arguments = {}
        if version == V5:
            arguments["clean_start"] = clean
            props = connect or Properties(PacketTypes.CONNECT)
            if expiry is not None:
                props.SessionExpiryInterval = expiry
            arguments["properties"] = props
        self.paho.connect(t.host, t.port, keep_alive, **arguments)
        self.paho.loop_start()
        t.finally_(self.close)
        self.flags, self.code, self.connack = self.connects.take()
        check(not self.code.is_failure, f"refused: {self.code}")

    def answer(self, key, value):
        with self.waiting:
            self.answers[key] = value
            self.waiting.notify_all()

    def wait(self, key):
        with self.waiting:
            check(self.waiting.wait_for(lambda: key in self.answers, DEADLINE_S), f"no answer to {key[0]} {key[1]}")
            return self.answers.pop(key)

    def subscribe(self, topic, qos=1, options=None, props=None):
        """Waits for the SUBACK; gives its codes as numbers."""
        if options is not None or isinstance(topic, list):
            argument = topic if isinstance(topic, list) else [(topic, options)]
            result, mid = self.paho.subscribe(argument, properties=props)
        else:
            result, mid = self.paho.subscribe(topic, qos, properties=props)
        check(result == 0, f"subscribe: {result}")
        return [code.value for code in self.wait(("sub", mid))]

    def unsubscribe(self, topic):
        _, mid = self.paho.unsubscribe(topic)
        return [code.value for code in self.wait(("unsub", mid))]

    def publish(self, topic, payload=b"x", qos=1, retain=False, props=None):
        """Waits for the end of the handshake; gives the reason code."""
        info = self.paho.publish(topic, payload, qos, retain, props)
        return self.wait(("pub", info.mid)).value

    def message(self, topic=None, payload=None, qos=None, retain=None):
        message = self.messages.take()
        for what, expected in (("topic", topic), ("payload", payload), ("qos", qos), ("retain", retain)):
            if expected is not None:
                same(what, getattr(message, what), expected)
        return message

    def nothing(self, publisher=None):
        """Nothing came before a message that is published now."""
        fence = self.t.topic("fence/of/nothing")
        self.subscribe(fence, 1)
        (publisher or self).publish(fence, b"fence")
        same("message", self.message().topic, fence)

    def disconnect(self, reason=None, props=None):
        if self.version == V5:
            self.paho.disconnect(reason, props)
        else:
            self.paho.disconnect()
        self.ends.take()
        self.paho.loop_stop()

    def drop(self):
        """Ends the connection without DISCONNECT."""
        self.paho.socket().shutdown(socket.SHUT_RDWR)
        self.ends.take()
        self.paho.loop_stop()

    def close(self):
        self.paho.on_disconnect = None
        self.paho.disconnect()
        self.paho.loop_stop()


def each_version(title, *versions):
    """Registers a function of (context, version) for each version."""
    def register(function):
        for version in versions or (V31, V311, V5):
            case(ME, f"{title}, {NAMES[version]}")(lambda t, version=version: function(t, version))
        return function
    return register


@each_version("QoS 0, 1 and 2")
def _(t, v):
    sub, pub = Client(t, "sub", v), Client(t, "pub", v)
    same("granted", sub.subscribe(t.topic(), 2), [2])
    for qos in (0, 1, 2):
        pub.publish(t.topic(), b"hello", qos)
        sub.message(t.topic(), b"hello", qos, False)


@each_version("granted QoS bounds the delivery")
def _(t, v):
    pub = Client(t, "pub", v)
    for granted in (0, 1, 2):
        sub = Client(t, f"sub{granted}", v)
        same("granted", sub.subscribe(t.topic(), granted), [granted])
        for qos in (0, 1, 2):
            pub.publish(t.topic(), b"x", qos)
            sub.message(qos=min(qos, granted))
        sub.disconnect()


@each_version("retained: set, replay, replace, delete")
def _(t, v):
    pub = Client(t, "pub", v)
    for payload in (b"first", b"second"):
        pub.publish(t.topic("kept"), payload, 1, True)
        sub = Client(t, "sub", v)
        sub.subscribe(t.topic("+"), 1)
        sub.message(t.topic("kept"), payload, 1, True)
        sub.disconnect()
    pub.publish(t.topic("kept"), b"", 1, True)
    sub = Client(t, "sub", v)
    sub.subscribe(t.topic("+"), 1)
    sub.nothing(pub)


@each_version("will: none after DISCONNECT, sent after a drop, retained")
def _(t, v):
    watcher = Client(t, "watch", v)
    watcher.subscribe(t.topic("will"), 2)
    for qos in (0, 1, 2):
        will = {"topic": t.topic("will"), "payload": b"gone", "qos": qos, "retain": qos == 2}
        Client(t, f"clean{qos}", v, will=will).disconnect()
        watcher.nothing()
        Client(t, f"drop{qos}", v, will=will).drop()
        watcher.message(t.topic("will"), b"gone", qos, False)
    later = Client(t, "later", v)
    later.subscribe(t.topic("will"), 2)
    later.message(t.topic("will"), b"gone", 2, True)
    later.publish(t.topic("will"), b"", 1, True)


@each_version("session: resumed, with its messages in order")
def _(t, v):
    pub = Client(t, "pub", v)
    sub = Client(t, "sub", v, clean=False, expiry=60)
    check(not sub.flags.session_present, "session present at first")
    sub.subscribe(t.topic(), 2)
    sub.disconnect()
    for i in range(50):
        pub.publish(t.topic(), b"%d" % i, 1)
    for i in range(50, 100):
        pub.publish(t.topic(), b"%d" % i, 2)
    sub = Client(t, "sub", v, clean=False, expiry=60)
    if v != V31:
        check(sub.flags.session_present, "no session present")
    for i in range(100):
        sub.message(t.topic(), b"%d" % i, 1 if i < 50 else 2)
    sub.disconnect()
    sub = Client(t, "sub", v, clean=True)
    check(not sub.flags.session_present, "session present after a clean start")
    pub.publish(t.topic(), b"x", 1)
    sub.nothing(pub)


@each_version("takeover")
def _(t, v):
    first = Client(t, "same", v)
    second = Client(t, "same", v)
    code = first.ends.take()
    if v == V5:  # this client reads the reason code only where properties follow it; else it says 0
        check(code.value in (0x8E, 0), f"the reason is {code}")
    second.subscribe(t.topic(), 1)
    second.publish(t.topic(), b"here", 1)
    second.message(payload=b"here")


@each_version("wildcards, overlapping subscriptions, unsubscribe")
def _(t, v):
    c = Client(t, "c", v)
    c.subscribe(t.topic("a/+/c"), 1)
    c.subscribe(t.topic("b/#"), 1)
    for name in ("a/c", "a/b/c/d", "a/b/c", "b", "b/x/y"):
        c.publish(t.topic(name), name.encode())
    for name in ("a/b/c", "b", "b/x/y"):
        c.message(t.topic(name), name.encode())
    c.subscribe(t.topic("b/x"), 2)
    c.publish(t.topic("b/x"), b"both", 2)
    check(2 in [c.message(payload=b"both").qos], "the highest QoS of overlapping subscriptions counts")
    c.nothing()
    for topic in (t.topic("a/+/c"), t.topic("b/#"), t.topic("b/x")):
        c.unsubscribe(topic)
    for name in ("a/b/c", "b/x"):
        c.publish(t.topic(name), b"gone")
    c.nothing()


def burst(v, qos):
    @case(ME, f"{BURST} messages in order, QoS {qos}, {NAMES[v]}")
    def _(t):
        sub, pub = Client(t, "sub", v), Client(t, "pub", v)
        sub.subscribe(t.topic(), 2)
        for i in range(BURST):
            pub.paho.publish(t.topic(), b"%d" % i, qos)
        for i, message in enumerate(sub.messages.take_all(BURST)):
            check(message.payload == b"%d" % i and message.qos == qos, f"expected {i}, got {message.payload} with QoS {message.qos}")


for _v, _qos in ((V311, 0), (V311, 1), (V5, 1), (V5, 2)):
    burst(_v, _qos)


@each_version("payload of 1 MiB and an empty one", V311, V5)
def _(t, v):
    c = Client(t, "c", v)
    c.subscribe(t.topic(), 2)
    large = bytes(range(256)) * 4096
    for qos in (0, 1, 2):
        for payload in (large, b""):
            c.publish(t.topic(), payload, qos)
            check(c.message(t.topic(), qos=qos).payload == payload, "the payload came damaged")


@each_version("empty client id", V311, V5)
def _(t, v):
    a, b = Client(t, version=v, whole_id=""), Client(t, version=v, whole_id="")
    for c in (a, b):
        c.subscribe(t.topic(), 1)
    a.publish(t.topic(), b"x")
    a.message(payload=b"x")
    b.message(payload=b"x")
    if v == V5:
        check(a.connack.AssignedClientIdentifier != b.connack.AssignedClientIdentifier, "the same assigned identifier twice")


@each_version("$SYS topics")
def _(t, v):
    c = Client(t, "c", v)
    c.subscribe("$SYS/#", 0)
    check(c.messages.take().topic.startswith("$SYS/"), "another topic")


# ---- version 5

@case(ME, "v5: properties of a message")
def _(t):
    c = Client(t)
    c.subscribe(t.topic(), 2, props=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=77))
    pairs = [("b", "1"), ("a", "2"), ("b", "1")]
    sent = properties(PacketTypes.PUBLISH, PayloadFormatIndicator=1, ContentType="text/plain", ResponseTopic="to/me", CorrelationData=b"\0\1",
                      MessageExpiryInterval=300)
    sent.UserProperty = pairs
    for qos in (0, 1, 2):
        c.publish(t.topic(), b"x", qos, props=sent)
        got = c.message(qos=qos).properties
        same("properties", (got.PayloadFormatIndicator, got.ContentType, got.ResponseTopic, got.CorrelationData, got.UserProperty, got.SubscriptionIdentifier),
             (1, "text/plain", "to/me", b"\0\1", pairs, [77]))
        check(295 <= got.MessageExpiryInterval <= 300, f"expiry {got.MessageExpiryInterval}")


@case(ME, "v5: message expiry while away")
def _(t):
    sub, pub = Client(t, "sub", expiry=60), Client(t, "pub")
    sub.subscribe(t.topic(), 1)
    sub.disconnect()
    pub.publish(t.topic(), b"short", props=properties(PacketTypes.PUBLISH, MessageExpiryInterval=1))
    pub.publish(t.topic(), b"long", props=properties(PacketTypes.PUBLISH, MessageExpiryInterval=100))
    marks = Client(t, "marks")  # time passes: a will with a delay of 2 s tells when it is over
    marks.subscribe(t.topic("will"), 1)
    will = {"topic": t.topic("will"), "payload": b"now", "qos": 1, "properties": properties(PacketTypes.WILLMESSAGE, WillDelayInterval=2)}
    Client(t, "dying", expiry=60, will=will).drop()
    marks.message(payload=b"now")
    sub = Client(t, "sub", clean=False, expiry=60)
    left = sub.message(payload=b"long").properties.MessageExpiryInterval
    check(90 <= left <= 98, f"the remaining expiry is {left}")
    sub.nothing(pub)


@case(ME, "v5: session expiry")
def _(t):
    watcher = Client(t, "watch")
    watcher.subscribe(t.topic("end"), 1)
    c = Client(t, expiry=60, will={"topic": t.topic("end"), "payload": b"gone", "qos": 1})
    c.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"), properties(PacketTypes.DISCONNECT, SessionExpiryInterval=0))
    # Its will says that the broker has read the DISCONNECT: the next connection cannot overtake it.
    watcher.message(payload=b"gone")
    check(not Client(t, clean=False).flags.session_present, "the session outlived its expiry")


@case(ME, "v5: will with delay and properties, and DISCONNECT 0x04")
def _(t):
    watcher = Client(t, "watch")
    watcher.subscribe(t.topic("will"), 1)

    def will(payload, delay):
        props = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=delay, ContentType="bye", MessageExpiryInterval=50)
        props.UserProperty = [("k", "1"), ("k", "2")]
        return {"topic": t.topic("will"), "payload": payload, "qos": 1, "properties": props}
    Client(t, "late", expiry=60, will=will(b"late", 1)).drop()
    Client(t, "back", expiry=60, will=will(b"never", 1)).drop()
    Client(t, "back", clean=False, expiry=60)
    Client(t, "asked", will=will(b"asked", 30)).disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
    watcher.message(payload=b"asked")
    late = watcher.message(payload=b"late")
    same("properties", (late.properties.ContentType, late.properties.UserProperty), ("bye", [("k", "1"), ("k", "2")]))
    watcher.nothing()


@case(ME, "v5: request and response")
def _(t):
    asker, server = Client(t, "asker"), Client(t, "server")
    server.subscribe(t.topic("do"), 1)
    asker.subscribe(t.topic("answer"), 1)
    asker.publish(t.topic("do"), b"2+2", props=properties(PacketTypes.PUBLISH, ResponseTopic=t.topic("answer"), CorrelationData=b"7"))
    request = server.message(payload=b"2+2").properties
    server.publish(request.ResponseTopic, b"4", props=properties(PacketTypes.PUBLISH, CorrelationData=request.CorrelationData))
    same("correlation data", asker.message(payload=b"4").properties.CorrelationData, b"7")


@case(ME, "v5: subscription identifiers of overlapping subscriptions")
def _(t):
    c = Client(t)
    for i, name in ((1, "#"), (2, "a/+"), (3, "a/b")):
        c.subscribe(t.topic(name), 1, props=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=i))
    c.publish(t.topic("a/b"))
    same("identifiers", sorted(c.message().properties.SubscriptionIdentifier), [1, 2, 3])


@case(ME, "v5: topic aliases of the publisher")
def _(t):
    c = Client(t)
    most = getattr(c.connack, "TopicAliasMaximum", 0)
    check(most > 0, "the broker takes no topic aliases")
    c.subscribe(t.topic("#"), 1)
    for alias in {1, min(most, 50)}:
        c.publish(t.topic(f"{alias}"), b"set", props=properties(PacketTypes.PUBLISH, TopicAlias=alias))
        c.publish("", b"use", props=properties(PacketTypes.PUBLISH, TopicAlias=alias))
        for payload in (b"set", b"use"):
            c.message(t.topic(f"{alias}"), payload)


@case(ME, "v5: receive maximum of the subscriber")
def _(t):
    sub, pub = Client(t, "sub", connect=properties(PacketTypes.CONNECT, ReceiveMaximum=2)), Client(t, "pub")
    sub.subscribe(t.topic(), 2)
    for i in range(100):
        pub.publish(t.topic(), b"%d" % i, 1 + i // 50)
    for i in range(100):
        sub.message(payload=b"%d" % i)


@case(ME, "v5: maximum packet size of the subscriber")
def _(t):
    sub, pub = Client(t, "sub", connect=properties(PacketTypes.CONNECT, MaximumPacketSize=200)), Client(t, "pub")
    sub.subscribe(t.topic(), 2)
    for qos in (0, 1, 2):
        pub.publish(t.topic(), b"x" * 300, qos)
        pub.publish(t.topic(), b"small", qos)
        sub.message(payload=b"small", qos=qos)


@case(ME, "v5: shared subscriptions")
def _(t):
    members, pub = [Client(t, f"m{i}") for i in range(3)], Client(t, "pub")
    for member in members:
        member.messages = members[0].messages  # all into one
        member.subscribe(f"$share/g/{t.topic()}", 1)
    for i in range(60):
        pub.publish(t.topic(), b"%d" % i)
    same("messages", sorted(int(m.payload) for m in members[0].messages.take_all(60)), list(range(60)))


@case(ME, "v5: a member of a shared subscription leaves with messages in flight")
def _(t):
    leaver, pub = Client(t, "leaver"), Client(t, "pub")
    leaver.paho.manual_ack_set(True)
    leaver.subscribe(f"$share/g/{t.topic()}", 1)
    for i in range(10):
        pub.publish(t.topic(), b"%d" % i)
    leaver.messages.take_all(10)
    heir = Client(t, "heir")
    heir.subscribe(f"$share/g/{t.topic()}", 1)
    leaver.drop()
    same("messages", sorted(int(m.payload) for m in heir.messages.take_all(10)), list(range(10)))


@case(ME, "v5: no local, retain as published, retain handling")
def _(t):
    c, other = Client(t, "c"), Client(t, "other")
    other.publish(t.topic(), b"kept", 1, True)
    c.subscribe(t.topic(), options=SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND))
    c.publish(t.topic(), b"own")
    other.publish(t.topic(), b"new", 1, True)
    c.message(payload=b"new", retain=True)
    c.nothing(other)
    options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
    other.subscribe(t.topic(), options=options)
    other.message(payload=b"new", retain=True)
    other.subscribe(t.topic(), options=options)
    other.nothing(c)
    other.publish(t.topic(), b"", 1, True)


@case(ME, "v5: reason codes")
def _(t):
    c = Client(t)
    check(c.publish(t.topic("nobody"), b"x", 1) in (0, 0x10), "PUBACK")
    check(c.publish(t.topic("nobody"), b"x", 2) in (0, 0x10), "PUBREC")
    same("SUBACK", c.subscribe([(t.topic("a"), SubscribeOptions(0)), (t.topic("b"), SubscribeOptions(2)), (t.topic("c"), SubscribeOptions(1))]), [0, 2, 1])
    same("UNSUBACK", c.unsubscribe([t.topic("a"), t.topic("x"), t.topic("b")]), [0, 0x11, 0])


@case(ME, "versions 3.1, 3.1.1 and 5 hear each other")
# [MQTT3-7.0.0-2]
def _(t):
    clients = [Client(t, NAMES[v].replace(".", ""), v) for v in (V31, V311, V5)]
    for c in clients:
        c.subscribe(t.topic(), 2)
    for i, c in enumerate(clients):
        c.publish(t.topic(), b"%d" % i, 2)
        for other in clients:
            other.message(t.topic(), b"%d" % i, 2, False)
