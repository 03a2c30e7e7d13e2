"""mosquitto_pub, mosquitto_sub and mosquitto_rr (Debian's mosquitto-clients) against the broker."""

import os
import tempfile

from kit import BURST, Child, case, check, same

ME = "mosquitto"
PROGRAMS = ("mosquitto_pub", "mosquitto_sub", "mosquitto_rr", "stdbuf")
VERSIONS = ("mqttv31", "mqttv311", "mqttv5")


def publish(t, topic, *options, version="mqttv311", data=None):
    t.run("mosquitto_pub", "-h", t.host, "-p", str(t.port), "-V", version, "-t", topic, *options, data=data)


def once(t, *options, version="mqttv311"):
    """mosquitto_sub that subscribes and leaves with DISCONNECT."""
    t.run("mosquitto_sub", "-h", t.host, "-p", str(t.port), "-V", version, "-E", *options)


class Subscriber(Child):
    """mosquitto_sub, subscribed; messages come as (topic, QoS, retained, payload)."""

    def __init__(self, t, *options, version="mqttv311", more=""):
        form = "MESSAGE|%t|%q|%r|%x" + more
        super().__init__(t, "mosquitto_sub", "-h", t.host, "-p", str(t.port), "-V", version, "-d", "-F", form, *options)
        self.until(b"received SUBACK")

    def message(self):
        return self.parse(self.until(b"MESSAGE|"))

    @staticmethod
    def parse(line):
        _, topic, qos, retain, payload, *rest = line.split(b"|")
        return (topic.decode(), int(qos), int(retain), bytes.fromhex(payload.decode()), *rest)


def qos_case(version):
    @case(ME, f"QoS 0, 1 and 2, {version}")
    def _(t):
        sub = Subscriber(t, "-q", "2", "-t", t.topic(), version=version)
        for qos in (0, 1, 2):
            publish(t, t.topic(), "-q", str(qos), "-m", f"hello {qos}", version=version)
            same("message", sub.message(), (t.topic(), qos, 0, b"hello %d" % qos))


def retained_case(version):
    @case(ME, f"retained: set, replay, replace, delete, {version}")
    def _(t):
        for payload in ("first", "second"):
            publish(t, t.topic("kept"), "-q", "1", "-r", "-m", payload, version=version)
            sub = Subscriber(t, "-q", "1", "-t", t.topic("kept"), version=version)
            same("message", sub.message(), (t.topic("kept"), 1, 1, payload.encode()))
            sub.end()
        publish(t, t.topic("kept"), "-q", "1", "-r", "-n", version=version)
        sub = Subscriber(t, "-q", "1", "-t", t.topic("kept"), version=version)
        publish(t, t.topic("kept"), "-q", "1", "-m", "live", version=version)
        same("first message", sub.message(), (t.topic("kept"), 1, 0, b"live"))


def will_case(version):
    @case(ME, f"will: none after a clean end, sent after a kill, {version}")
    def _(t):
        watcher = Subscriber(t, "-q", "1", "-t", t.topic("will"), version=version)
        options = ("-t", t.topic("x"), "--will-topic", t.topic("will"), "--will-payload", "gone", "--will-qos", "1")
        once(t, *options, version=version)
        publish(t, t.topic("will"), "-q", "1", "-m", "fence", version=version)
        same("message", watcher.message()[3], b"fence")
        Subscriber(t, *options, version=version).end()
        same("message", watcher.message(), (t.topic("will"), 1, 0, b"gone"))
        Subscriber(t, *options, "--will-retain", version=version).end()
        same("message", watcher.message(), (t.topic("will"), 1, 0, b"gone"))
        later = Subscriber(t, "-q", "1", "-t", t.topic("will"), version=version)
        same("retained will", later.message(), (t.topic("will"), 1, 1, b"gone"))
        publish(t, t.topic("will"), "-r", "-n", version=version)


def session_case(version):
    @case(ME, f"persistent session: messages wait, in order, {version}")
    def _(t):
        options = ["-c", "-i", t.id(), "-q", "2", "-t", t.topic()]
        if version == "mqttv5":
            options += ["-x", "60"]
        once(t, *options, version=version)
        for i in range(10):
            publish(t, t.topic(), "-q", str(1 + i % 2), "-m", str(i), version=version)
        sub = Child(t, "mosquitto_sub", "-h", t.host, "-p", str(t.port), "-V", version, *options, "-F", "MESSAGE|%t|%q|%r|%x")
        got = [Subscriber.parse(sub.until(b"MESSAGE|"))[1::2] for _ in range(10)]
        for qos in (1, 2):  # the client shows QoS 2 only after PUBREL, so the two are ordered each for itself
            same(f"messages with QoS {qos}", [m for m in got if m[0] == qos], [(qos, b"%d" % i) for i in range(qos - 1, 10, 2)])
        sub.end()
        once(t, "-i", t.id(), "-t", t.topic(), version=version)  # a clean session takes its place


for _version in VERSIONS:
    qos_case(_version)
    retained_case(_version)
    will_case(_version)
    session_case(_version)


def burst_case(qos):
    @case(ME, f"{BURST} messages in order, QoS {qos}")
    def _(t):
        sub = Subscriber(t, "-q", "2", "-t", t.topic())
        data = b"".join(b"%d\n" % i for i in range(BURST))
        publish(t, t.topic(), "-q", str(qos), "-l", data=data)
        for i in range(BURST):
            message = sub.message()
            check(message[1] == qos and message[3] == b"%d" % i, f"expected message {i} with QoS {qos}, got {message}")


for _qos in (0, 1, 2):
    burst_case(_qos)


@case(ME, "payload of 1 MiB, QoS 0, 1 and 2")
def _(t):
    payload = bytes(range(256)) * 4096
    sub = Subscriber(t, "-q", "2", "-t", t.topic())
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "payload")
        with open(name, "wb") as file:
            file.write(payload)
        for qos in (0, 1, 2):
            publish(t, t.topic(), "-q", str(qos), "-f", name)
            check(sub.message() == (t.topic(), qos, 0, payload), f"the payload with QoS {qos} came damaged")


@case(ME, "empty payload")
def _(t):
    sub = Subscriber(t, "-q", "2", "-t", t.topic())
    for qos in (0, 1, 2):
        publish(t, t.topic(), "-q", str(qos), "-n")
        same("message", sub.message(), (t.topic(), qos, 0, b""))


@case(ME, "wildcards, and several filters in one subscription")
def _(t):
    sub = Subscriber(t, "-q", "1", "-t", t.topic("a/+/c"), "-t", t.topic("b/#"))
    for name in ("a/c", "a/b/c/d", "c", "a/b/c", "b", "b/x/y"):
        publish(t, t.topic(name), "-q", "1", "-m", name)
    for name in ("a/b/c", "b", "b/x/y"):
        same("topic", sub.message()[0], t.topic(name))


@case(ME, "unsubscribe")
def _(t):
    sub = Child(t, "mosquitto_sub", "-h", t.host, "-p", str(t.port), "-d", "-F", "MESSAGE|%t|%q|%r|%x", "-q", "1", "-t", t.topic("#"),
                "-t", t.topic("stay"), "-U", t.topic("#"))
    sub.until(b"received UNSUBACK")
    publish(t, t.topic("gone"), "-q", "1", "-m", "x")
    publish(t, t.topic("stay"), "-q", "1", "-m", "x")
    same("topic", Subscriber.parse(sub.until(b"MESSAGE|"))[0], t.topic("stay"))


@case(ME, "$SYS topics can be read")
def _(t):
    out = t.run("mosquitto_sub", "-h", t.host, "-p", str(t.port), "-t", "$SYS/#", "-C", "1", "-W", "15", "-v")
    check(out.startswith(b"$SYS/"), f"got {out!r}")


@case(ME, "empty client id, v3.1.1 and v5")
def _(t):
    for version in ("mqttv311", "mqttv5"):
        subs = [Subscriber(t, "-t", t.topic(), version=version) for _ in range(2)]  # without -i the client sends an empty one
        publish(t, t.topic(), "-q", "1", "-m", version, version=version)
        for sub in subs:
            same("payload", sub.message()[3], version.encode())


@case(ME, "v5: properties arrive as they were sent")
def _(t):
    sub = Subscriber(t, "-q", "1", "-t", t.topic(), "-D", "SUBSCRIBE", "subscription-identifier", "42", version="mqttv5",
                     more="|%C|%R|%D|%E|%F|%P|%S")
    publish(t, t.topic(), "-q", "1", "-m", "x", "-D", "PUBLISH", "content-type", "text/plain", "-D", "PUBLISH", "response-topic", "to/me",
            "-D", "PUBLISH", "correlation-data", "abc", "-D", "PUBLISH", "message-expiry-interval", "300",
            "-D", "PUBLISH", "payload-format-indicator", "1", "-D", "PUBLISH", "user-property", "k", "1",
            "-D", "PUBLISH", "user-property", "k", "2", version="mqttv5")
    got = sub.message()[4:]
    check(got[:3] == (b"text/plain", b"to/me", b"abc"), f"{got}")
    check(295 <= int(got[3]) <= 300 and got[4] == b"1", f"{got}")
    check(got[5].split() == [b"k:1", b"k:2"] and got[6] == b"42", f"{got}")


@case(ME, "v5: shared subscription")
def _(t):
    members = [Subscriber(t, "-q", "1", "-t", f"$share/group/{t.topic()}", version="mqttv5") for _ in range(2)]
    for member in members:
        member.lines = members[0].lines  # from here on all print into one
    publish(t, t.topic(), "-q", "1", "-l", version="mqttv5", data=b"".join(b"%d\n" % i for i in range(40)))
    same("messages", sorted(int(members[0].message()[3]) for _ in range(40)), list(range(40)))


@case(ME, "v5: retain as published")
def _(t):
    publish(t, t.topic(), "-q", "1", "-r", "-m", "kept", version="mqttv5")
    as_published = Subscriber(t, "-q", "1", "-t", t.topic(), "--retain-as-published", version="mqttv5")
    same("replayed", as_published.message()[2:], (1, b"kept"))
    publish(t, t.topic(), "-q", "1", "-r", "-m", "new", version="mqttv5")
    same("live", as_published.message()[2:], (1, b"new"))
    publish(t, t.topic(), "-r", "-n", version="mqttv5")


@case(ME, "v5: maximum packet size and receive maximum of the subscriber")
def _(t):
    sub = Subscriber(t, "-q", "2", "-t", t.topic(), "-D", "CONNECT", "maximum-packet-size", "200", "-D", "CONNECT", "receive-maximum", "1",
                     version="mqttv5")
    for i in range(5):
        publish(t, t.topic(), "-q", "1", "-m", "x" * 500, version="mqttv5")
        publish(t, t.topic(), "-q", str(i % 3), "-m", str(i), version="mqttv5")
    for i in range(5):
        same("payload", sub.message()[3], b"%d" % i)


@case(ME, "v5: topic alias of the publisher")
def _(t):
    sub = Subscriber(t, "-q", "1", "-t", t.topic(), version="mqttv5")
    publish(t, t.topic(), "-q", "1", "-l", "-D", "PUBLISH", "topic-alias", "3", version="mqttv5", data=b"1\n2\n3\n")
    for i in (1, 2, 3):
        same("message", sub.message()[:4], (t.topic(), 1, 0, b"%d" % i))


@case(ME, "v5: mosquitto_rr asks, mosquitto_pub answers")
def _(t):
    asks = Child(t, "mosquitto_rr", "-h", t.host, "-p", str(t.port), "-t", t.topic("ask"), "-e", t.topic("answer"), "-m", "2+2", "-W", "20", "-d")
    asks.until(b"received SUBACK")
    sub = Subscriber(t, "-t", t.topic("nothing"), version="mqttv5")  # a client that stays while the answer is published
    publish(t, t.topic("answer"), "-q", "1", "-m", "4", version="mqttv5")
    asks.until(b"4")
    sub.end()


@case(ME, "v5: will delay and session expiry")
def _(t):
    watcher = Subscriber(t, "-q", "1", "-t", t.topic("will"), version="mqttv5")
    dying = Subscriber(t, "-c", "-i", t.id(), "-x", "60", "-t", t.topic("x"), "--will-topic", t.topic("will"), "--will-payload", "late",
                       "--will-qos", "1", "-D", "WILL", "will-delay-interval", "1", version="mqttv5")
    dying.end()
    publish(t, t.topic("will"), "-q", "1", "-m", "first", version="mqttv5")
    same("messages", [watcher.message()[3] for _ in range(2)], [b"first", b"late"])


@case(ME, "clients of three versions hear each other")
def _(t):
    subs = [Subscriber(t, "-q", "2", "-t", t.topic(), version=v) for v in VERSIONS]
    for version in VERSIONS:
        publish(t, t.topic(), "-q", "2", "-m", version, version=version)
        for sub in subs:
            same("message", sub.message()[:4], (t.topic(), 2, 0, version.encode()))
