"""What the Python cases of real clients share: registration, names of their own, deadlines, child processes.

Owns: the list of cases and their running. Must not know: any particular client or broker.
"""

import contextlib
import queue
import random
import subprocess
import threading
import time

DEADLINE_S = 20
BURST = 10_000
CASES = []  # (client, title, function)
RUN = "".join(random.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(5))
counter, counter_lock = 0, threading.Lock()


def case(client, title):
    """Registers a case; the function gets a `Context`."""
    def register(function):
        CASES.append((client, title, function))
        return function
    return register


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def same(what, got, expected):
    check(got == expected, f"{what}: expected {shorten(expected)}, got {shorten(got)}")


def shorten(value):
    text = repr(value)
    return text if len(text) < 300 else text[:300] + "..."


class Inbox:
    """Messages as they arrive, taken with a deadline."""

    def __init__(self, what="message"):
        self.queue, self.what = queue.Queue(), what

    def put(self, item):
        self.queue.put(item)

    def take(self, timeout=DEADLINE_S):
        try:
            return self.queue.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no {self.what} within {timeout} s") from None

    def take_all(self, count, timeout=DEADLINE_S):
        """`count` items; the deadline holds between two of them."""
        found = []
        for _ in range(count):
            try:
                found.append(self.queue.get(timeout=timeout))
            except queue.Empty:
                last = shorten(found[-1]) if found else "none"
                raise AssertionError(f"only {len(found)} of {count}, the last one {last}") from None
        return found

    def is_empty(self):
        return self.queue.empty()


class Context:
    """A case's own names, and what is to be undone at its end."""

    def __init__(self, host, port):
        global counter
        with counter_lock:
            counter += 1
            self.number = counter
        self.host, self.port, self.stack = host, port, contextlib.ExitStack()

    def topic(self, name="t"):
        return f"clients/{RUN}/{self.number}/{name}"

    def id(self, name="c"):
        return f"{RUN}{self.number}{name}"[:23]

    def finally_(self, function, *arguments):
        self.stack.callback(function, *arguments)

    def run(self, *command, data=None, timeout=DEADLINE_S):
        """A program to its end; its exit code must be 0. Gives its output."""
        done = subprocess.run(command, input=data, capture_output=True, timeout=timeout)
        check(done.returncode == 0, f"{' '.join(command[:1])} ended with {done.returncode}: {done.stderr.decode()[:300]}")
        return done.stdout


class Child:
    """A program that keeps running; `lines` yields what it prints."""

    def __init__(self, context, *command):
        # Line by line also where the program would collect its output.
        self.process = subprocess.Popen(["stdbuf", "-oL", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL)
        self.lines, self.seen = Inbox("line"), []
        context.finally_(self.end)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip(b"\n"))

    def until(self, *wanted):
        """The next line that contains one of these; others are passed over."""
        stop = time.monotonic() + DEADLINE_S
        while True:
            try:
                line = self.lines.take(max(0.01, stop - time.monotonic()))
            except AssertionError:
                raise AssertionError(f"no line with {wanted}; seen: {self.seen[-5:]}") from None
            self.seen.append(line)
            if any(w in line for w in wanted):
                return line

    def end(self):
        """Kills the program and waits for it. (Asked to end, mosquitto_sub may hang when it is just in a callback.)"""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        self.reader.join(DEADLINE_S)


def run_case(entry, host, port):
    """None, or what went wrong."""
    client, title, function = entry
    context = Context(host, port)
    try:
        with context.stack:
            function(context)
        return None
    except AssertionError as error:
        return str(error) or "assertion"
    except Exception as error:
        at = error.__traceback__
        while at.tb_next:
            at = at.tb_next
        return f"{type(error).__name__}: {error} ({at.tb_frame.f_code.co_filename.rpartition('/')[2]}:{at.tb_lineno})"
