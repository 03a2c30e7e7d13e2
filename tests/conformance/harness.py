"""What a conformance case works with: `Case` (names, clients, clean-up) and `Client` (one connection with its trace).

Owns: sockets, deadlines, expectations with their failure texts. Must not know: which broker answers, or any particular case.
"""

import collections
import contextlib
import random
import socket
import struct
import threading
import time

import wire
from wire import (AUTH, CONNACK, DISCONNECT, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, UNSUBACK,
                  V5, V31)

DEADLINE_S = 8.0       # for whatever must happen
CASES = []             # (function, version, title), filled by @case
ERRORS = {0x81, 0x82}  # Malformed Packet or Protocol Error: where a clause names one, a case names it


class Failure(AssertionError):
    """An expectation did not hold."""


class Closed(Exception):
    """The server closed the connection."""


def case(*versions, slow=False):
    """Registers a case, once for each protocol version given (default: 5). `slow`: it waits; start it early."""
    def register(function):
        function.slow = slow
        for version in versions or (V5,):
            CASES.append((function, version, f"{function.__name__}[v{ {3: '3.1', 4: '3.1.1', 5: '5'}[version] }]"))
        return function
    return register


class Case:
    """One run of one case: makes names that no other case uses, keeps the trace, closes what it opened."""

    run = "".join(random.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(5))
    retained, sessions, lock = set(), set(), threading.Lock()  # left behind by cases; the runner deletes them at the end

    def __init__(self, number, version, host, port):
        self.number, self.v, self.host, self.port = number, version, host, port
        self.head, self.tail = [], collections.deque(maxlen=24)  # of the trace
        self.clients, self.start, self.fences = [], time.monotonic(), 0

    def id(self, name="c"):
        """A client id of its own, of at most 23 letters and digits."""
        return f"{Case.run}{self.number:04d}{name}"[:23]

    def topic(self, name="t"):
        return f"mt/{Case.run}/{self.number}/{name}"

    def client(self, v=None):
        """A TCP connection on which nothing was sent."""
        return Client(self, self.v if v is None else v)

    def connect(self, name="c", v=None, expiry=None, properties=(), **options):
        """A connected client. `expiry` (s): Session Expiry Interval with Clean Start 0; before v5, CleanSession 0."""
        client = self.client(v)
        client.open(name, expiry=expiry, properties=properties, **options)
        if client.connack.reason != 0:
            raise Failure(f"expected CONNACK success, got {client.connack}")
        return client

    def refused(self, data, codes5=ERRORS, codes3=(), must_answer=False):
        """Sends `data` as the first bytes: the server closes; a CONNACK before that has one of these codes."""
        client = self.client()
        client.send(data)
        allowed = codes5 if self.v == V5 else codes3
        try:
            answer = client.recv()
        except Closed:
            if must_answer:
                raise Failure(f"expected CONNACK {hexes(allowed)}, got a close without it") from None
            return None
        if answer.kind != CONNACK or answer.reason not in allowed:
            raise Failure(f"expected a close{' or CONNACK ' + hexes(allowed) if allowed else ' without CONNACK'}, got {answer}")
        client.closed()
        client.close()
        return answer

    def rejected(self, data, codes=ERRORS, v=None, **options):
        """A connected client sends `data`: DISCONNECT with one of these codes (v5), then a close."""
        client = self.connect("bad", v, **options)
        client.send(data)
        client.error(codes)
        client.close()

    def elapse(self, seconds):
        """Lets time itself pass, where a rule is about time."""
        time.sleep(seconds)

    def drain(self, subscriber, publisher, window=0.1):
        """What had been sent to `subscriber` before a message that `publisher` sends now, acknowledged; then a short look."""
        self.fences += 1
        topic = f"mtfence/{Case.run}/{self.number}/{self.fences}"
        subscriber.subscribe(topic, 0)
        publisher.publish(topic, b"fence")
        found = []
        while True:
            message = subscriber.message()
            if message.topic == topic:
                break
            found.append(message)
        return found + [m for m in subscriber.rest(window) if m.topic != topic]

    def nothing(self, subscriber, publisher, window=0.1):
        found = self.drain(subscriber, publisher, window)
        if found:
            raise Failure(f"expected no message, got {found}")

    def close(self):
        for client in self.clients:
            client.close()


def hexes(codes):
    return "{" + ", ".join(f"0x{c:02X}" for c in sorted(codes)) + "}"


def same(what, got, expected):
    if got != expected:
        raise Failure(f"{what}: expected {expected!r}, got {got!r}")


def true(condition, text):
    if not condition:
        raise Failure(text)


class Client:
    """One connection. Packets that arrive while another kind is awaited stay in `inbox`, in order."""

    def __init__(self, owner, version):
        self.case, self.v, self.number = owner, version, len(owner.clients) + 1
        self.buffer, self.inbox, self.aliases = bytearray(), [], {}
        self.pid, self.connack, self.alias_max, self.eof = 0, None, 0, False
        self.socket = socket.create_connection((owner.host, owner.port), timeout=DEADLINE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        owner.clients.append(self)

    # ---- bytes

    def note(self, mark, data, text=""):
        shown = data[:48].hex(" ") + (f" ... ({len(data)} bytes)" if len(data) > 48 else "")
        line = f"{time.monotonic() - self.case.start:7.3f} c{self.number} {mark} {shown} {text}".rstrip()
        (self.case.head if len(self.case.head) < 12 else self.case.tail).append(line)

    def send(self, data, quiet=False):
        if not quiet:
            first = data[0] if data else 0
            self.note(">", data, wire.NAMES[first >> 4])
        self.socket.settimeout(DEADLINE_S)
        with contextlib.suppress(ConnectionError):  # a close by the server shows when reading
            self.socket.sendall(data)

    def fill(self, until):
        """Reads more bytes; False when the time is over."""
        left = until - time.monotonic()
        if left <= 0:
            return False
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(262144)
        except (TimeoutError, BlockingIOError):
            return False
        except ConnectionError:
            data = b""
        if not data:
            if not self.eof:
                self.note("<", b"", "(closed)")
            self.eof = True
            raise Closed
        self.buffer += data
        return True

    def parse(self):
        """The next whole packet in the buffer, or None."""
        length = shift = 0
        for i in range(1, 6):
            if i >= len(self.buffer):
                return None
            if i == 5:
                raise Failure(f"the server sent a Remaining Length of five bytes: {self.buffer[:8].hex(' ')}")
            length |= (self.buffer[i] & 0x7F) << shift
            shift += 7
            if not self.buffer[i] & 0x80:
                break
        end = i + 1 + length
        if len(self.buffer) < end:
            return None
        data = bytes(self.buffer[:end])
        del self.buffer[:end]
        try:
            packet = wire.decode(data[0], data[i + 1:], self.v)
        except wire.Broken as broken:
            self.note("<", data, "?")
            raise Failure(f"the server sent a broken packet: {broken}") from None
        self.note("<", data, repr(packet))
        if packet.kind == PUBLISH and self.v == V5:
            self.resolve(packet)
        elif packet.kind == PUBLISH and not packet.topic:
            raise Failure("PUBLISH with an empty topic")
        return packet

    def resolve(self, packet):
        """Applies the server's topic aliases."""
        alias = packet.prop(wire.TOPIC_ALIAS)
        packet.alias, packet.plain_topic = alias, packet.topic
        if alias is None:
            true(packet.topic, "PUBLISH with neither topic nor alias")
            return
        true(1 <= alias <= self.alias_max, f"topic alias {alias}, but the maximum is {self.alias_max}")
        if packet.topic:
            self.aliases[alias] = packet.topic
        elif alias in self.aliases:
            packet.topic = self.aliases[alias]
        else:
            raise Failure(f"PUBLISH with the unknown topic alias {alias}")

    def next(self, until):
        """The next packet from the wire, or None when the time is over; `Closed` at the end of the stream."""
        while True:
            packet = self.parse()
            if packet is not None:
                return packet
            if not self.fill(until):
                return None

    # ---- packets

    def recv(self, timeout=DEADLINE_S):
        """The next packet, whatever it is."""
        if self.inbox:
            return self.inbox.pop(0)
        packet = self.next(time.monotonic() + timeout)
        if packet is None:
            raise Failure(f"expected a packet, none came within {timeout} s")
        return packet

    def take(self, *kinds, timeout=DEADLINE_S, pid=None):
        """The next packet of one of these kinds (and with this packet identifier); others wait in the inbox."""
        for i, packet in enumerate(self.inbox):
            if packet.kind in kinds and pid in (None, packet.pid):
                return self.inbox.pop(i)
        until = time.monotonic() + timeout
        while True:
            wanted = "/".join(wire.NAMES[k] for k in kinds) + (f" with id {pid}" if pid else "")
            try:
                packet = self.next(until)
            except Closed:
                raise Failure(f"expected {wanted}, the server closed instead") from None
            if packet is None:
                raise Failure(f"expected {wanted}, none came within {timeout} s (others: {self.inbox})")
            if packet.kind in kinds and pid in (None, packet.pid):
                return packet
            if packet.kind == DISCONNECT:
                raise Failure(f"expected {wanted}, got {packet}")
            self.inbox.append(packet)

    def open(self, name="c", clean=None, expiry=None, properties=(), whole_id=None, tail=b"", **options):
        """CONNECT and CONNACK; the latter is kept in `connack`."""
        properties = list(properties)
        if clean is None:
            clean = expiry is None
        if expiry and self.v == V5:
            properties.append((wire.SESSION_EXPIRY, expiry))
        self.alias_max = next((x for i, x in properties if i == wire.TOPIC_ALIAS_MAX), 0)
        client_id = self.case.id(name) if whole_id is None else whole_id
        if expiry and (self.v != V5 or expiry > 300):
            with Case.lock:
                Case.sessions.add((client_id, self.v))
        self.send(wire.connect(self.v, client_id, clean, properties=properties, **options) + tail)
        self.connack = self.recv()
        if self.connack.kind != CONNACK:
            raise Failure(f"expected CONNACK first, got {self.connack}")
        return self.connack

    def new_id(self):
        self.pid = self.pid % 65535 + 1
        return self.pid

    def subscribe(self, filters, options=1, properties=()):
        """Subscribes to a filter, or to (filter, options) pairs; gives the SUBACK's codes."""
        pairs = [(filters, options)] if isinstance(filters, (str, bytes)) else filters
        pid = self.new_id()
        self.send(wire.subscribe(self.v, pid, pairs, properties))
        codes = self.take(SUBACK, pid=pid).codes
        same("number of codes in the SUBACK", len(codes), len(pairs))
        if any(code >= 0x80 for code in codes):
            raise Failure(f"the subscription {pairs} was refused: {codes}")
        return codes

    def unsubscribe(self, *filters):
        pid = self.new_id()
        self.send(wire.unsubscribe(self.v, pid, filters))
        return self.take(UNSUBACK, pid=pid).codes

    def publish(self, topic, payload=b"x", qos=0, retain=False, properties=(), dup=False, pid=None, ok=True):
        """Publishes and completes the handshake; gives the reason code (None for QoS 0)."""
        payload = wire.raw(payload)
        if qos and pid is None:
            pid = self.new_id()
        if retain and payload:
            with Case.lock:
                Case.retained.add(wire.raw(topic))
        self.send(wire.publish(self.v, topic, payload, qos, pid, retain, dup, properties))
        if not qos:
            return None
        answer = self.take(PUBACK if qos == 1 else PUBREC, pid=pid)
        if qos == 2 and answer.reason < 0x80:
            self.send(wire.ack(PUBREL, pid))
            done = self.take(PUBCOMP, pid=pid)
            same("reason code of the PUBCOMP", done.reason, 0)
        if ok:
            true(answer.reason < 0x80, f"the PUBLISH was refused: {answer}")
        return answer.reason

    def message(self, topic=None, payload=None, qos=None, retain=None, dup=None, acknowledge=True, timeout=DEADLINE_S):
        """The next PUBLISH, checked against what is given, and (unless told otherwise) acknowledged to the end."""
        packet = self.take(PUBLISH, timeout=timeout)
        for what, expected in (("topic", topic), ("payload", payload), ("qos", qos), ("retain", retain), ("dup", dup)):
            if expected is not None:
                got = getattr(packet, what)
                expected = wire.raw(expected) if what == "payload" else expected
                if got != expected:
                    if isinstance(got, bytes):
                        got, expected = got[:60], expected[:60]
                    raise Failure(f"{what}: expected {expected!r}, got {got!r} in {packet}")
        if acknowledge:
            self.acknowledge(packet)
        return packet

    def acknowledge(self, packet):
        if packet.qos == 1:
            self.send(wire.ack(PUBACK, packet.pid))
        elif packet.qos == 2:
            self.send(wire.ack(PUBREC, packet.pid))
            self.take(PUBREL, pid=packet.pid)
            self.send(wire.ack(PUBCOMP, packet.pid))

    def rest(self, window=0.1):
        """Every further message that comes within a short time."""
        found = []
        until = time.monotonic() + window
        while True:
            waiting = next((i for i, p in enumerate(self.inbox) if p.kind == PUBLISH), None)
            if waiting is not None:
                packet = self.inbox.pop(waiting)
            else:
                try:
                    packet = self.next(until)
                except Closed:
                    raise Failure("the server closed the connection") from None
                if packet is None:
                    return found
                if packet.kind != PUBLISH:
                    self.inbox.append(packet)
                    continue
            found.append(packet)
            self.acknowledge(packet)

    def silent(self, window=0.2):
        """Nothing at all arrives for a short time; the inbox is empty too."""
        true(not self.inbox, f"expected nothing, got {self.inbox}")
        try:
            packet = self.next(time.monotonic() + window)
        except Closed:
            raise Failure("expected nothing, the server closed") from None
        true(packet is None, f"expected nothing, got {packet}")

    def ping(self):
        self.send(wire.packet(wire.PINGREQ << 4))
        self.take(PINGRESP)

    def closed(self, timeout=DEADLINE_S):
        """The stream ends, and nothing comes before its end."""
        true(not self.inbox, f"expected the close, got {self.inbox}")
        try:
            packet = self.next(time.monotonic() + timeout)
        except Closed:
            return
        if packet is None:
            raise Failure(f"expected the server to close, it did not within {timeout} s")
        raise Failure(f"expected the close, got {packet}")

    def error(self, codes=ERRORS, timeout=DEADLINE_S, must_tell=True):
        """v5: DISCONNECT with one of these codes, then the close. v3.x: the close. Messages may come before."""
        until = time.monotonic() + timeout
        self.inbox.clear()
        while True:
            try:
                packet = self.next(until)
            except Closed:
                if self.v == V5 and must_tell:
                    raise Failure(f"expected DISCONNECT {hexes(codes)}, got a close without it") from None
                return None
            if packet is None:
                what = f"DISCONNECT {hexes(codes)}" if self.v == V5 else "the close"
                raise Failure(f"expected {what}, nothing came within {timeout} s")
            if packet.kind == DISCONNECT:
                true(packet.reason in codes, f"expected DISCONNECT {hexes(codes)}, got {packet}")
                self.closed()
                return packet
            if packet.kind not in (PUBLISH, PINGRESP):
                raise Failure(f"expected {'DISCONNECT ' + hexes(codes) if self.v == V5 else 'the close'}, got {packet}")

    def disconnect(self, reason=None, properties=None):
        """DISCONNECT, then waits until the server has closed too: it has then dealt with the end of the connection."""
        self.send(wire.disconnect(self.v, reason, properties))
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        self.drain_to_end()
        self.close()

    def drain_to_end(self):
        until = time.monotonic() + DEADLINE_S
        try:
            while self.next(until) is not None:
                pass
        except Closed:
            return
        raise Failure("the server did not close after DISCONNECT")

    def drop(self, reset=False):
        """Ends the connection without DISCONNECT; with `reset` by a TCP reset. Does not wait for the server."""
        self.note(">", b"", "(dropped)")
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
                with contextlib.suppress(Failure):
                    self.drain_to_end()
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.close()


def clean_up(host, port):
    """Deletes the retained messages and the long-lived sessions that the cases left."""
    keeper = Case(9999, V5, host, port)
    try:
        client = keeper.connect("cleaner")
        for topic in Case.retained:
            client.send(wire.publish(V5, topic, b"", retain=True), quiet=True)
        client.ping()
        for client_id, version in Case.sessions:
            keeper.client(version).open(whole_id=client_id, clean=True)
    except (Failure, Closed, OSError):
        pass
    finally:
        keeper.close()


__all__ = ["AUTH", "Case", "Client", "Closed", "DEADLINE_S", "ERRORS", "Failure", "V31", "case", "hexes", "same", "true"]
