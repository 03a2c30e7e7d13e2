"""Much data: how fast the broker serves again, and what a long queue costs in memory.

Owns: fast loading (packets written in blocks, acknowledgements counted by their size), and both figures.
Must not know: anything about crashes beyond one kill.
"""

import itertools
import random
import selectors
import socket
import time

from peers import Loop, Subscriber, wire

BLOCK = 1000
WAIT_S = 120
START_S = 5.0
MEMORY_MAX = 150 << 20


class Loader:
    """One connection that publishes with QoS 1 as fast as it is acknowledged."""

    def __init__(self, port, client_id):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(wire.connect(wire.V311, client_id, clean=True, keep_alive=0))
        assert self.read(4)[3] == 0, "refused"

    def read(self, count):
        parts = []
        while count:
            part = self.socket.recv(min(count, 1 << 18))
            assert part, "the broker closed the connection"
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def packet(topic, payload, pid, retain):
    return wire.publish(wire.V311, topic, payload, 1, pid, retain)


def load(port, messages, retain, connections=4):
    """Publishes (topic, payload) pairs over several connections in turn; gives the seconds it took."""
    begin = time.monotonic()
    loaders = [Loader(port, f"load{n}") for n in range(connections)]
    waiting, blocks = {}, iter(lambda: list(itertools.islice(messages, BLOCK)), [])
    done = False
    while not done or waiting:
        for loader in loaders:
            if loader in waiting:
                answer = loader.read(4 * waiting.pop(loader))
                assert set(answer[::4]) == {0x40}, "expected PUBACKs"
            block = next(blocks, None) if not done else None
            if block is None:
                done = True
                continue
            loader.socket.sendall(b"".join(packet(t, p, 1 + n, retain) for n, (t, p) in enumerate(block)))
            waiting[loader] = len(block)
    for loader in loaders:
        loader.socket.sendall(wire.disconnect(wire.V311))
        loader.socket.close()
    return time.monotonic() - begin


def make_sessions(port, sessions):
    """Persistent sessions `s0`.. that are subscribed to `q/s0`.. and then leave."""
    loop, at_once = Loop(), 500
    for first in range(0, sessions, at_once):
        peers = [Subscriber(loop, f"s{n}", wire.V311) for n in range(first, min(first + at_once, sessions))]
        for peer in peers:
            peer.connect(port)
            peer.subscribe(f"q/{peer.id}", 1)
        loop.until(lambda: all(p.rests() for p in peers), WAIT_S, "SUBACKs")
        for peer in peers:
            peer.send(wire.disconnect(wire.V311))
        loop.until(lambda: all(p.socket is None for p in peers), WAIT_S, "the ends of connections")
    loop.close()


def start_up(broker, say, sessions=10_000, queued=1_000_000, retained=1_000_000, limit=START_S, **options):
    """Much is queued and retained; after `kill -9` the broker serves again within `limit` seconds, and all is there."""
    try:
        broker.start(**options)
        make_sessions(broker.port, sessions)
        each = queued // sessions
        seconds = load(broker.port, ((f"q/s{n % sessions}", b"%08d" % (n // sessions) + bytes(56)) for n in range(each * sessions)), False)
        more = load(broker.port, ((f"keep/{n // 1000}/{n % 1000}", b"%08d" % n + bytes(24)) for n in range(retained)), True)
        say(f"{each * sessions} queued in {sessions} sessions ({seconds:.1f} s), {retained} retained ({more:.1f} s)")
        for how in ("kill -9", "TERM"):
            broker.kill() if how == "kill -9" else broker.end(within=60)
            broker.start(within=120, **options)
            lines = broker.said().splitlines()
            say(f"after {how}: serves in {broker.start_s:.2f} s ({broker.cpu_s():.2f} s of processor time), {broker.memory() >> 20} MiB; "
                f"{len(lines)} lines: {' / '.join(lines[:2])}")
            assert broker.start_s < limit, f"after {how} it took {broker.start_s:.1f} s until it served"
            check(broker.port, sessions, each, retained)
            if broker.start_s > 1.5:
                assert any(c.isdigit() and ("session" in line or "message" in line) for line in lines for c in line), "no progress shown"
        broker.runs()
    finally:
        broker.kill()


def check(port, sessions, each, retained):
    """A few sessions and retained messages, wholly; left unacknowledged, so that they stay."""
    loop, rng = Loop(), random.Random(1)
    for number in rng.sample(range(sessions), 20):
        got = []
        peer = Subscriber(loop, f"s{number}", wire.V311, on_message=lambda _, p: got.append(int(p.payload[:8])))
        peer.has_session, peer.patience = True, 0
        peer.connect(port)
        loop.until(lambda: len(got) >= each, WAIT_S, lambda: f"the queue of s{number}: {len(got)} of {each}")
        assert sorted(got) == list(range(each)), f"the queue of s{number} is not what was published"
        peer.drop()
    values = {}
    reader = Subscriber(loop, "reader", wire.V311, on_message=lambda _, p: values.update({p.topic: int(p.payload[:8])}))
    reader.clean = True
    reader.connect(port)
    numbers = rng.sample(range(retained), 50)
    wanted = {f"keep/{n // 1000}/{n % 1000}": n for n in numbers}
    for topic in wanted:
        reader.subscribe(topic, 0)
    loop.until(lambda: values.keys() >= wanted.keys(), WAIT_S, lambda: f"retained {sorted(wanted.keys() - values.keys())[:5]}")
    assert values == wanted, "retained values are not what was published"
    loop.close()


def long_queue(broker, say, messages=1_000_000, **options):
    """One session that is away: its queue is on disk, not in memory; all of it arrives, in order."""
    payload = 64
    try:
        broker.start(**options)
        loop = Loop()
        peer = Subscriber(loop, "s0", wire.V311)
        peer.connect(broker.port)
        peer.subscribe("q/s0", 1)
        loop.until(peer.rests, WAIT_S, "SUBACK")
        peer.disconnect()
        load(broker.port, (("q/none", bytes(payload)) for _ in range(10_000)), False)
        idle = broker.memory()
        peak, begin = idle, time.monotonic()
        part = max(messages // 20, 1)
        for first in range(0, messages, part):
            load(broker.port, (("q/s0", b"%08d" % n + bytes(payload - 8)) for n in range(first, min(first + part, messages))), False, 1)
            peak = max(peak, broker.memory())
        say(f"{messages} queued for one session in {time.monotonic() - begin:.1f} s; memory {idle >> 20} MiB idle, {peak >> 20} at most, "
            f"{broker.memory() >> 20} at the end")
        assert peak - idle < MEMORY_MAX, f"a queue of {messages} costs {(peak - idle) >> 20} MiB of memory"
        broker.kill()
        broker.start(within=120, **options)
        again = broker.memory()
        seconds, most = drain(broker, messages, payload)
        say(f"started again: {broker.start_s:.2f} s, {again >> 20} MiB; drained in {seconds:.1f} s, {most >> 20} MiB at most")
        assert most - idle < MEMORY_MAX, f"draining {messages} costs {(most - idle) >> 20} MiB of memory"
        broker.runs()
    finally:
        broker.kill()


def drain(broker, messages, payload):
    """Receives and acknowledges the whole queue of `s0`; gives seconds and the most memory."""
    begin, most = time.monotonic(), 0
    link = socket.create_connection(("127.0.0.1", broker.port), timeout=WAIT_S)
    link.sendall(wire.connect(wire.V311, "s0", clean=False, keep_alive=0))
    head = link.recv(4, socket.MSG_WAITALL)
    assert head == b"\x20\x02\x01\x00", f"expected CONNACK with a session, got {head.hex()}"
    size = len(packet("q/s0", bytes(payload), 1, False))
    pid_at, text_at = size - payload - 2, size - payload
    buffer, expected = bytearray(), 0
    selector = selectors.DefaultSelector()
    selector.register(link, selectors.EVENT_READ)
    while expected < messages:
        assert selector.select(WAIT_S), f"the queue stops after {expected} of {messages} messages"
        data = link.recv(1 << 20)
        assert data, f"the broker closed the connection after {expected} messages"
        buffer += data
        acks, at = [], 0
        while at + size <= len(buffer):
            number = int(buffer[at + text_at:at + text_at + 8])
            assert number == expected, f"message {number} came in place of {expected}"
            acks.append(b"\x40\x02" + buffer[at + pid_at:at + pid_at + 2])
            expected += 1
            at += size
        del buffer[:at]
        link.sendall(b"".join(acks))
        if expected % 16 == 0:
            most = max(most, broker.memory())
    link.close()
    return time.monotonic() - begin, max(most, broker.memory())
