"""Clients of our own, many in one thread: publishers that resend, subscribers that remember.

Owns: connections, and the client's half of both handshakes as the standard asks for it, kept over
reconnects. Must not know: brokers' processes, or which messages a subscriber should get (see world.py).
The packets are those of the conformance suite (tests/conformance/wire.py).
"""

import pathlib
import selectors
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "conformance"))

import wire  # noqa: E402
from wire import CONNACK, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, UNSUBACK, V5  # noqa: E402

FOREVER = 0xFFFFFFFF
NOT_FOUND = 0x92


class Failure(AssertionError):
    """A promise was broken."""


class Loop:
    """The connections of one test, turned by whoever waits for something."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()

    def turn(self, timeout=0.01):
        for key, events in self.selector.select(timeout):
            key.data.on_ready(events)

    def until(self, condition, within, what):
        """Turns until `condition()` holds."""
        end = time.monotonic() + within
        while not condition():
            if time.monotonic() > end:
                raise Failure(f"after {within} s still waiting for {what() if callable(what) else what}")
            self.turn()

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.data.drop()
        self.selector.close()


class Peer:
    """A client with its session. Subclasses say what is sent once connected, and what packets mean."""

    def __init__(self, loop, client_id, version, expiry=FOREVER, receive_max=None):
        self.loop, self.id, self.v, self.expiry, self.receive_max = loop, client_id, version, expiry, receive_max
        self.socket, self.inbound, self.outbound, self.online, self.pid = None, bytearray(), bytearray(), False, 0
        self.may_be_refused, self.refusals = False, 0
        self.has_session = False  # a CONNACK said so: from then on the broker must know it
        self.clean = False
        self.deaf = False  # reads nothing behind its CONNACK: what the broker sends then is lost with the connection

    # ---- connection

    def connect(self, port):
        assert self.socket is None
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(("127.0.0.1", port))
        self.inbound.clear()
        self.outbound.clear()
        properties = [(wire.SESSION_EXPIRY, self.expiry)] if self.v == V5 and self.expiry else []
        if self.v == V5 and self.receive_max:
            properties.append((wire.RECEIVE_MAX, self.receive_max))
        self.outbound += wire.connect(self.v, self.id, clean=self.clean, keep_alive=0, properties=properties)
        self.loop.selector.register(self.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def drop(self):
        """Ends the connection without a word."""
        if self.socket:
            if not (self.deaf and self.online):
                self.loop.selector.unregister(self.socket)
            self.socket.close()
            self.socket, self.online = None, False
            self.on_drop()

    def disconnect(self):
        """DISCONNECT, then the end of the connection once the broker has closed it."""
        self.send(wire.disconnect(self.v))
        self.loop.until(lambda: self.socket is None, 10, "the broker to close after DISCONNECT")

    def on_ready(self, events):
        try:
            if events & selectors.EVENT_READ:
                data = self.socket.recv(8 if self.deaf else 1 << 18)
                if not data:
                    return self.drop()
                self.inbound += data
                self.parse()
            if self.outbound and self.socket and not (self.deaf and self.online):
                sent = self.socket.send(self.outbound)
                del self.outbound[:sent]
                self.watch()
        except BlockingIOError:
            pass
        except OSError:
            self.drop()

    def send(self, data):
        if self.socket:
            was_empty = not self.outbound
            self.outbound += data
            if was_empty:
                self.watch()

    def watch(self):
        if self.deaf and self.online:
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.outbound else 0)
        self.loop.selector.modify(self.socket, events, self)

    def parse(self):
        at, buffer = 0, bytes(self.inbound)
        while len(buffer) - at >= 2:
            length = shift = 0
            start = at + 1
            while start < len(buffer):
                byte = buffer[start]
                length |= (byte & 0x7F) << shift
                shift += 7
                start += 1
                if byte < 0x80:
                    break
            else:
                break
            if len(buffer) < start + length:
                break
            packet = wire.decode(buffer[at], buffer[start:start + length], self.v)
            at = start + length
            self.on_packet(packet)
            if self.socket is None:
                return
        del self.inbound[:at]

    # ---- packets

    def new_pid(self, used):
        while True:
            self.pid = self.pid % 65535 + 1
            if self.pid not in used:
                return self.pid

    def on_packet(self, packet):
        if packet.kind == CONNACK:
            if packet.reason and self.may_be_refused:
                self.refusals += 1
                return self.drop()
            if packet.reason:
                raise Failure(f"{self.id}: refused with {packet}")
            if self.has_session and not packet.session_present and not self.clean and self.v != wire.V31:
                raise Failure(f"{self.id}: the session is not there any more")
            self.online = True
            self.on_connected(packet)
            self.has_session = not self.clean
            if self.deaf:
                self.loop.selector.unregister(self.socket)
        elif not (packet.kind == wire.DISCONNECT and self.may_be_refused):
            self.on_other(packet)
        return None

    def on_connected(self, packet):
        pass

    def on_drop(self):
        pass

    def on_other(self, packet):
        raise Failure(f"{self.id}: unexpected {packet}")


class Flight:
    """A message on its way to the broker."""

    def __init__(self, topic, seq, qos, payload, retain, properties):
        self.topic, self.seq, self.qos, self.payload = topic, seq, qos, payload
        self.retain, self.properties, self.released = retain, properties, False


class Publisher(Peer):
    """Keeps what is not acknowledged, and resends it in order. `on_sent`, `on_acknowledged`: of messages;
    a message counts as acknowledged by its PUBACK, or PUBREC."""

    def __init__(self, *arguments, window=16, on_acknowledged=None, **options):
        super().__init__(*arguments, **options)
        self.flights, self.window, self.on_acknowledged, self.refused = {}, window, on_acknowledged, []

    def has_room(self):
        return self.online and len(self.flights) < self.window

    def publish(self, topic, seq, qos, payload, retain=False, properties=()):
        pid = self.new_pid(self.flights)
        self.flights[pid] = flight = Flight(topic, seq, qos, payload, retain, properties)
        self.send(self.packet(pid, flight, False))

    def packet(self, pid, flight, dup):
        return wire.publish(self.v, flight.topic, flight.payload, flight.qos, pid, flight.retain, dup, flight.properties)

    def on_connected(self, packet):
        for pid, flight in self.flights.items():
            self.send(wire.ack(PUBREL, pid) if flight.released else self.packet(pid, flight, True))

    def on_other(self, packet):
        flight = self.flights.get(packet.pid)
        if packet.kind not in (PUBACK, PUBREC, PUBCOMP) or not flight or (packet.kind == PUBACK) != (flight.qos == 1):
            raise Failure(f"{self.id}: unexpected {packet}")
        if packet.kind == PUBCOMP:
            if packet.reason not in (0, NOT_FOUND):
                raise Failure(f"{self.id}: {packet}")
            del self.flights[packet.pid]
            return
        if packet.reason >= 0x80:
            self.refused.append((packet.reason, flight))
            del self.flights[packet.pid]
            return
        if packet.kind == PUBACK:
            del self.flights[packet.pid]
        else:
            self.send(wire.ack(PUBREL, packet.pid))
            if flight.released:
                return
            flight.released = True
        if self.on_acknowledged:
            self.on_acknowledged(flight)


class Subscriber(Peer):
    """Hands each message on (`on_message(subscriber, packet)`), a QoS 2 one when it comes first. It
    acknowledges `patience` messages of a connection and then no more (None: all of them)."""

    def __init__(self, *arguments, on_message=None, **options):
        super().__init__(*arguments, **options)
        self.on_message, self.received, self.patience, self.left = on_message, {}, None, None
        self.requests, self.granted = {}, {}  # pid -> (SUBSCRIBE or UNSUBSCRIBE, filter, qos); filter -> qos
        self.on_answer = lambda kind, topic_filter: None

    def subscribe(self, topic_filter, qos):
        self.request(wire.SUBSCRIBE, topic_filter, qos)

    def unsubscribe(self, topic_filter):
        self.request(wire.UNSUBSCRIBE, topic_filter, None)

    def request(self, kind, topic_filter, qos):
        pid = self.new_pid(self.requests)
        self.requests[pid] = (kind, topic_filter, qos)
        if self.online:
            self.ask(pid)

    def ask(self, pid):
        kind, topic_filter, qos = self.requests[pid]
        self.send(wire.subscribe(self.v, pid, [(topic_filter, qos)]) if kind == wire.SUBSCRIBE
                  else wire.unsubscribe(self.v, pid, [topic_filter]))

    def on_connected(self, packet):
        self.left = self.patience
        if not packet.session_present and self.v != wire.V31:
            self.received.clear()
        for pid in self.requests:
            self.ask(pid)

    def on_other(self, packet):
        if packet.kind == PUBLISH:
            self.take(packet)
        elif packet.kind == PUBREL:
            self.received.pop(packet.pid, None)
            self.send(wire.ack(PUBCOMP, packet.pid))
        elif packet.kind in (SUBACK, UNSUBACK) and packet.pid in self.requests:
            kind, topic_filter, qos = self.requests.pop(packet.pid)
            if packet.codes and packet.codes[0] >= 0x80:
                raise Failure(f"{self.id}: {topic_filter} was refused: {packet}")
            if kind == wire.SUBSCRIBE:
                self.granted[topic_filter] = qos
            else:
                self.granted.pop(topic_filter, None)
            self.on_answer(kind, topic_filter)
        else:
            raise Failure(f"{self.id}: unexpected {packet}")

    def take(self, packet):
        if packet.qos == 2:
            message = (packet.topic, packet.payload)
            known = self.received.setdefault(packet.pid, message)
            if known is message:
                self.on_message(self, packet)
            elif known != message:
                raise Failure(f"{self.id}: packet identifier {packet.pid} of {known[0]} {known[1][:20]} is under way and came with "
                              f"another message, {packet.topic} {packet.payload[:20]}")
        else:
            self.on_message(self, packet)
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                return
        if packet.qos:
            self.send(wire.ack(PUBACK if packet.qos == 1 else PUBREC, packet.pid))

    def rests(self):
        """Nothing is under way that it has begun."""
        return self.online and not self.received and not self.requests
