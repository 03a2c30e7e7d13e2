"""Topic names and filters: wildcards, $-topics, no normalisation, lengths."""

import wire
from harness import Closed, case, same, true
from strings import ODD_STRINGS
from wire import V5, V31, V311

# filter, topics that match, topics that do not
MATCHES = (
    ("sport/tennis/#", ("sport/tennis", "sport/tennis/a", "sport/tennis/a/b", "sport/tennis/"), ("sport", "sport/tennisa", "a/sport/tennis")),
    ("sport/#", ("sport", "sport/", "sport/a"), ("sports", "/sport")),
    ("sport/tennis/+", ("sport/tennis/a", "sport/tennis/"), ("sport/tennis", "sport/tennis/a/b")),
    ("sport/+", ("sport/", "sport/a"), ("sport", "sport//")),
    ("+/+", ("/finance", "a/b", "/"), ("a", "a/b/c", "//")),
    ("/+", ("/finance", "/"), ("finance", "/a/b")),
    ("+", ("finance",), ("/finance", "finance/")),
    ("+/tennis/#", ("a/tennis", "/tennis", "b/tennis/c/d"), ("tennis", "a/b/tennis")),
    ("a/+/c", ("a/b/c", "a//c"), ("a/b/b/c", "a/c", "a/b/C")),
    ("a/b", ("a/b",), ("a/b/", "/a/b", "A/b", "a", "a/bc")),
    ("/", ("/",), ("", "//", "a/", "/a")),
    ("a//b", ("a//b",), ("a/b", "a/x/b")),
    ("+/", ("a/", "/"), ("a", "a/b")),
    ("#", ("a", "a/b", "/", "a/b/c/d/e"), ()),
    ("/#", ("/", "/a", "//"), ("a", "a/")),
    ("+/#", ("a", "a/b", "/"), ()),
    ("a/+/+/#", ("a/b/c", "a/b/c/d", "a//"), ("a/b", "a")),
    ("a b/+", ("a b/c d",), ("ab/c",)),
)


@case(V31, V311, V5)
# [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-3.3.2-3] [MQTT3-4.7.1-2] [MQTT3-4.7.1-3] [MQTT3-3.3.2-3] [MQTT3-3.8.3-2]
def wildcards_match_as_written(t):
    """Each filter below a prefix of its own; matching and other topics in turn, a message a topic."""
    for i, (topic_filter, yes, no) in enumerate(MATCHES):
        prefix = t.topic(str(i))
        c = t.connect("sub")
        c.subscribe(f"{prefix}/{topic_filter}", 1)
        for topic in no:
            if topic:
                c.publish(f"{prefix}/{topic}", b"no", 1)
        for topic in yes:
            c.publish(f"{prefix}/{topic}", b"yes", 1)
        for topic in yes:
            c.message(f"{prefix}/{topic}", b"yes", 1)
        c.disconnect()


@case(V311, V5)
# [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-3.3.2-3] [MQTT3-4.7.1-2] [MQTT3-4.7.1-3]
def wildcards_at_the_first_level(t):
    mark = t.id()  # other cases publish too: only topics with this mark count
    for topic_filter, topics in (("#", (mark, f"{mark}/a", f"/{mark}")), ("+", (mark,)), (f"+/{mark}", (f"a/{mark}", f"/{mark}")),
                                 (f"+/+/{mark}", (f"a/b/{mark}", f"//{mark}")), (f"+/{mark}/#", (f"/{mark}", f"a/{mark}/b"))):
        c = t.connect("sub")
        c.subscribe(topic_filter, 1)
        for topic in topics:
            c.publish(topic, mark, 1)
        for topic in topics:
            while True:
                message = c.message()
                if message.payload == mark.encode():
                    break
            same("topic", message.topic, topic)
        c.disconnect()


@case(V31, V311, V5)
# [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
def leading_wildcards_skip_dollar_topics(t):
    """A message to a $-topic, which reaches its own filter (if the server lets clients use such topics), not # or +."""
    mark = t.id()
    c, own = t.connect("wild"), t.connect("own")
    c.subscribe([("#", 0), ("+/#", 0), (f"+/{mark}", 0), (f"+/{mark}/#", 0)])
    own.subscribe(f"$mt/{mark}", 0)
    p = t.connect("pub")
    p.publish(f"$mt/{mark}", mark, 1, ok=False)
    p.publish(f"$mt/{mark}/b", mark, 1, ok=False)
    for message in t.drain(c, p):
        true(not message.topic.startswith("$"), f"{message}")
    for message in t.drain(own, p):
        same("topic", message.topic, f"$mt/{mark}")


@case(V31, V311, V5, slow=True)
# [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
def leading_wildcards_skip_sys_topics(t):
    sys, wild = t.connect("sys"), t.connect("wild")
    sys.subscribe("$SYS/#", 0)
    wild.subscribe([("#", 0), ("+/broker/#", 0), ("+/+/+/#", 0)])
    message = sys.message(timeout=15)  # there is at least one retained or it comes within the interval
    true(message.topic.startswith("$SYS/"), f"{message}")
    p = t.connect("pub")
    for message in t.drain(wild, p):
        true(not message.topic.startswith("$"), f"{message}")


@case(V311, V5)
# [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
def leading_wildcards_skip_retained_dollar_topics(t):
    mark = t.id()
    p = t.connect("pub")
    p.publish(f"$mt/{mark}", mark, 1, retain=True, ok=False)
    c = t.connect("wild")
    c.subscribe([(f"+/{mark}", 0)])
    t.nothing(c, p)


@case(V31, V311, V5)
# [MQTT-4.7.3-4] [MQTT-1.5.4-3] [MQTT3-4.7.3-4] [MQTT3-1.5.3-3]
def topics_are_not_normalised(t):
    """Names that look alike are different topics: composed and decomposed letters, case, U+FEFF, spaces, slashes."""
    names = ["e\u0301", "\u00e9", "E", "e", "\ufeffe", "e\ufeff", " e", "e ", "e/", "/e", "e//", "\u212b", "\u00c5", "A\u030a", "\ufb01", "fi"]
    everything = t.connect("all")
    everything.subscribe(t.topic("#"), 1)
    clients = []
    for i, name in enumerate(names):
        c = t.connect(f"n{i}")
        c.subscribe(t.topic(name), 1)
        clients.append(c)
    p = t.connect("pub")
    for i, name in enumerate(names):
        p.publish(t.topic(name), b"%d" % i, 1)
        everything.message(t.topic(name), b"%d" % i)
    for i, (c, name) in enumerate(zip(clients, names)):
        c.message(t.topic(name), b"%d" % i)
    for c in clients:
        t.nothing(c, p, window=0.01)


@case(V31, V311, V5)
# [MQTT-1.5.4-3] [MQTT-4.7.3-3] [MQTT3-1.5.3-3] [MQTT3-4.7.3-3]
def unusual_characters_and_lengths(t):
    c = t.connect()
    prefix = t.topic("")
    for name in ODD_STRINGS + ("x" * 5000, "a/" * 100):
        c.subscribe(prefix + name, 1)
        c.publish(prefix + name, b"x", 1)
        c.message(prefix + name)


@case(V5)
# [MQTT-4.7.3-3] [MQTT3-4.7.3-3]
def the_longest_topic(t):
    """65,535 bytes may be more than a server takes; then it says so and does not break."""
    c = t.connect()
    topic = t.topic("").ljust(65535, "x")
    c.send(wire.subscribe(t.v, 1, [(topic, 0)]))
    try:
        answer = c.recv()
    except Closed:
        true(False, "closed without DISCONNECT")
    if answer.kind == wire.SUBACK and answer.codes == [0]:
        c.publish(topic, b"x")
        c.message(topic, b"x")


@case(V311, V5)
# [MQTT-4.5.0-1] [MQTT3-4.5.0-1]
def many_levels(t):
    c = t.connect()
    topic = t.topic("/".join("abcdefghij" * 3))
    c.subscribe([(topic, 1)])
    c.publish(topic, b"deep", 1)
    c.message(topic, b"deep")
