"""paho-mqtt and Mosquitto's clients through `kill -9` of the broker.

Owns: these programs, and what they must have got. Must not know: how the broker keeps it.

paho-mqtt (3.1.1 and 5.0) publishes and subscribes with persistent sessions and reconnects by itself, as
mosquitto_sub does. Each run of mosquitto_pub that ends with 0 has had its message acknowledged; what one
that failed had published may arrive or not.

Two faults of the clients are kept out of the way, because they look like faults of the broker:
  paho-mqtt 2.1 forgets in a second attempt to reconnect that it had sent a PUBREL, and publishes the
  message again; so it reconnects when the broker is there, and not before;
  libmosquitto 2.0 queues a QoS 2 message that comes again beside the first, and hands the older one out
  when its packet identifier is used for another; so mosquitto_sub subscribes with QoS 1.
"""

import random
import shutil
import subprocess
import threading
import time

PROGRAMS = ("mosquitto_pub", "mosquitto_sub")
WAIT_S = 40
FOREVER = 0xFFFFFFFF


def until(condition, what, within=WAIT_S):
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"after {within} s still waiting for {what() if callable(what) else what}"
        time.sleep(0.002)


class Ledger:
    """What was published and acknowledged, and what each subscriber has got."""

    def __init__(self):
        self.lock, self.sent, self.acknowledged, self.got, self.problems = threading.Lock(), {}, {}, {}, []

    def arrived(self, who, topic, seq):
        with self.lock:
            seen = self.got.setdefault((who, topic), {})
            if seq in seen and topic.endswith("/2") and not who.endswith("q1"):
                self.problems.append(f"{who} got {seq} of {topic} twice")
            if seq not in seen and seen and seq < max(seen):
                self.problems.append(f"{who} got {seq} of {topic} for the first time after {max(seen)}")
            seen[seq] = True

    def missing(self, subscribers):
        with self.lock:
            return [(who, topic, seq) for topic, seqs in self.acknowledged.items() for who in subscribers
                    for seq in seqs if seq not in self.got.get((who, topic), ())]


class PahoPublisher:
    def __init__(self, ledger, name, version, port):
        self.ledger, self.flights, self.early, self.lock = ledger, {}, set(), threading.Lock()
        self.paused = False
        self.topics = [f"real/{name}/{q}" for q in (1, 2)]
        for topic in self.topics:
            ledger.sent[topic], ledger.acknowledged[topic] = 0, set()
        self.client = paho_client(name, version, port)
        self.client.on_publish = self.published
        self.thread = Thread(self.client)

    def publish(self, rng):
        topic = rng.choice(self.topics)
        self.ledger.sent[topic] += 1
        seq = self.ledger.sent[topic]
        # paho holds a lock of its own here and in its callbacks: never take ours around it.
        mid = self.client.publish(topic, f"{seq} {'x' * rng.choice((0, 100, 3000))}", int(topic[-1])).mid
        with self.lock:
            if mid in self.early:
                self.early.remove(mid)
                self.ledger.acknowledged[topic].add(seq)
            else:
                self.flights[mid] = (topic, seq)

    def published(self, client, userdata, mid, reason, properties):
        with self.lock, self.ledger.lock:
            # As the answer to a PUBREL that is repeated after a reconnect, 0x92 is as good as success.
            if reason.is_failure and reason.value != 0x92:
                self.ledger.problems.append(f"a message was refused: {reason}")
            if mid not in self.flights:
                self.early.add(mid)
                return
            topic, seq = self.flights.pop(mid)
            self.ledger.acknowledged[topic].add(seq)

    def has_room(self):
        # What is published while paho resends may overtake it: that would be paho's order, not the broker's.
        self.paused = self.paused and bool(self.flights)
        return not self.paused and self.client.is_connected() and len(self.flights) < 15


class PahoSubscriber:
    def __init__(self, ledger, name, version, port, qos):
        self.ledger, self.name, self.filter, self.qos, self.subscribed = ledger, name, "real/#", qos, False
        self.connections = 0
        self.client = paho_client(name, version, port)
        self.client.on_connect, self.client.on_subscribe, self.client.on_message = self.connected, self.suback, self.message
        self.thread = Thread(self.client)

    def connected(self, client, userdata, flags, reason, properties):
        self.connections += 1
        if not self.subscribed:
            client.subscribe(self.filter, self.qos)
        elif not flags.session_present:
            self.ledger.problems.append(f"{self.name}: the session is not there any more")

    def suback(self, *_):
        self.subscribed = True

    def message(self, client, userdata, message):
        self.ledger.arrived(self.name, message.topic, int(message.payload.split()[0]))


class Thread:
    """Drives a client of paho: its own thread would reconnect when nobody listens."""

    there = threading.Event()  # whether the broker is

    def __init__(self, client):
        self.client, self.stopped = client, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopped.is_set():
            if self.client.loop(0.05) != 0 and self.there.wait(0.05) and not self.stopped.is_set():
                self.client.reconnect()

    def end(self):
        self.client.disconnect()
        self.stopped.set()
        self.thread.join(WAIT_S)


def paho_client(name, version, port):
    from paho.mqtt import client as paho
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
    v5 = version == 5
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5 if v5 else paho.MQTTv311,
                         **({} if v5 else {"clean_session": False}))
    client.max_inflight_messages_set(20)
    options = {}
    if v5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = FOREVER
        options = {"clean_start": False, "properties": properties}
    client.connect("127.0.0.1", port, keepalive=60, **options)
    return client


class MosquittoSub:
    def __init__(self, ledger, name, version, port):
        self.ledger, self.name = ledger, name
        command = ["stdbuf", "-oL", "mosquitto_sub", "-p", str(port), "-i", name, "-q", "1", "-t", "real/#", "-F", "%t %p", "-c"]
        command += ["-V", "5", "-x", "∞"] if version == 5 else ["-V", "311"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            topic, seq = line.split()[:2]
            self.ledger.arrived(self.name, topic, int(seq))

    def end(self):
        self.process.kill()
        self.process.wait(20)
        self.process.stdout.close()


class MosquittoPub:
    """Runs mosquitto_pub again and again until it is told to stop."""

    def __init__(self, ledger, port):
        self.ledger, self.port, self.stopped, self.sent = ledger, port, threading.Event(), 0
        self.topics = ["real/mpub/1", "real/mpub/2"]
        for topic in self.topics:
            ledger.acknowledged[topic] = set()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopped.is_set():
            self.sent += 1
            topic = self.topics[self.sent % 2]
            # Without a session: it would forget at its end which packet identifiers are in use.
            done = subprocess.run(["mosquitto_pub", "-p", str(self.port), "-q", topic[-1], "-t", topic, "-m", str(self.sent)],
                                  capture_output=True, timeout=WAIT_S)
            if done.returncode == 0:
                with self.ledger.lock:
                    self.ledger.acknowledged[topic].add(self.sent)
            else:
                # Nobody listens: no need to ask hundreds of times a second.
                self.stopped.wait(0.02)

    def end(self):
        self.stopped.set()
        self.thread.join(WAIT_S)


def kills(broker, seed, rounds, say, options=None, shards=(1, 2, 4), seconds=None):
    """`rounds` lives with all of them, or as many as fit into `seconds`."""
    missing = [p for p in PROGRAMS + ("stdbuf",) if shutil.which(p) is None]
    assert not missing, f"missing: {', '.join(missing)} (apt install mosquitto-clients coreutils)"
    rng, ledger, begin = random.Random(seed), Ledger(), time.monotonic()
    options = options or {}
    broker.start(shards=rng.choice(shards), **options)
    Thread.there.set()
    port = broker.port
    publishers, subscribers, mosquittos = [], [], []
    try:
        subscribers += [PahoSubscriber(ledger, "psub311", 4, port, 2), PahoSubscriber(ledger, "psub5", 5, port, 2),
                        PahoSubscriber(ledger, "psub5q1", 5, port, 1)]
        until(lambda: all(s.subscribed for s in subscribers), "SUBACKs of paho-mqtt")
        publishers += [PahoPublisher(ledger, "ppub311", 4, port), PahoPublisher(ledger, "ppub5", 5, port)]
        for name, version in (("msub311q1", 4), ("msub5q1", 5)):
            prepare_mosquitto_session(name, version, port)
            mosquittos.append(MosquittoSub(ledger, name, version, port))
        mosquittos.append(MosquittoPub(ledger, port))
        names = [s.name for s in subscribers] + [m.name for m in mosquittos[:2]]
        number = 0
        while number < rounds and (seconds is None or time.monotonic() - begin < seconds):
            number += 1
            deadline = time.monotonic() + rng.uniform(0.02, 0.5)
            while time.monotonic() < deadline:
                for publisher in publishers:
                    if publisher.has_room():
                        publisher.publish(rng)
                time.sleep(0.001)
            broker.runs()
            for publisher in publishers:
                publisher.paused = True
            Thread.there.clear()
            broker.kill()
            broker.start(shards=rng.choice(shards), **options)
            Thread.there.set()
            until(lambda: all(p.client.is_connected() for p in publishers + subscribers), "paho-mqtt to come back")
            assert not ledger.problems, f"round {number}: {ledger.problems[:5]}"
        mosquittos[2].end()
        until(lambda: not any(p.flights for p in publishers), "acknowledgements of paho-mqtt's messages")
        until(lambda: not ledger.missing(names) or ledger.problems,
              lambda: f"acknowledged messages of (subscriber, topic, number) {ledger.missing(names)[:8]}")
        assert not ledger.problems, f"after {number} rounds: {ledger.problems[:5]}"
        # Once more, so that what comes too often has come.
        for publisher in publishers:
            publisher.publish(rng)
        until(lambda: not any(p.flights for p in publishers) and not ledger.missing(names), "the last messages")
        assert not ledger.problems, f"after {number} rounds: {ledger.problems[:5]}"
        broker.runs()
    finally:
        for client in publishers + subscribers:
            client.thread.end()
        for program in mosquittos:
            program.end()
        broker.kill()
    total = sum(len(s) for s in ledger.acknowledged.values())
    by_pub = sum(len(ledger.acknowledged[t]) for t in mosquittos[2].topics)
    say(f"{number} rounds (seed {seed}); {total} acknowledged, {by_pub} of them by mosquitto_pub, "
        f"{sum(len(s) for s in ledger.got.values())} received")


def prepare_mosquitto_session(name, version, port):
    """mosquitto_sub -E subscribes, waits for the SUBACK and ends: its session is there from then on."""
    command = ["mosquitto_sub", "-p", str(port), "-i", name, "-q", "1", "-t", "real/#", "-c", "-E"]
    command += ["-V", "5", "-x", "∞"] if version == 5 else ["-V", "311"]
    subprocess.run(command, check=True, timeout=WAIT_S)
