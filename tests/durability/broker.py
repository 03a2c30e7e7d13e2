"""The broker under test as a process: started, killed, ended, started again on the same data.

Owns: processes, ports, logs. Must not know: MQTT beyond one packet, or what a case expects.

`Martlet` is what the tests are for. `Mosquitto` is there so that the tests can be seen to fail: with its
persistence it keeps less than what is asked here.
"""

import os
import pathlib
import signal
import socket
import subprocess
import time

START_S = 60
reserved = []
CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05probe"  # 3.1.1, clean session


def free_port():
    """A port below those that the system gives to clients; for this process until it ends: while its broker
    is down, nobody else may take it."""
    for port in range(25_001 + os.getpid() % 3000 * 2, 32_000, 2):
        keeper = socket.socket()
        try:
            keeper.bind(("127.0.0.1", port))
        except OSError:
            keeper.close()
            continue
        # From now on the broker may bind it, too; another call of this function may not.
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.append(keeper)
        return port
    raise AssertionError("no free port")


class Process:
    """A broker that is started again and again with the same port and data."""

    def __init__(self, program, folder, data=None, disk=None):
        self.program, self.folder, self.disk = program, pathlib.Path(folder), disk
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = pathlib.Path(data) if data else (disk.root if disk else self.folder) / "data"
        self.log, self.port, self.process, self.lives = self.folder / "broker.log", free_port(), None, 0
        self.start_s = 0.0

    def command(self, options):
        raise NotImplementedError

    def spawn(self, **options):
        """Starts it; does not wait."""
        self.lives += 1
        environment = dict(os.environ) | (self.disk.environment() if self.disk else {})
        with open(self.log, "ab") as log:
            log.write(f"---- life {self.lives} {options}\n".encode())
            log.flush()
            self.process = subprocess.Popen(self.command(options), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        return self

    def listen(self, within=START_S, **options):
        """Starts it and waits until connections can be made; it may still be reading its data."""
        begin = time.monotonic()
        self.spawn(**options)
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            code = self.process.poll()
            if code is not None:
                raise AssertionError(f"the broker ended with {code} when it was started: {self.tail()}")
            if time.monotonic() > begin + within:
                self.kill()
                raise AssertionError(f"the broker did not listen within {within} s: {self.tail()}")
            time.sleep(0.001)
        return self

    def start(self, within=START_S, **options):
        """Starts it and waits until it answers; `start_s` says how long that took."""
        begin = time.monotonic()
        self.listen(within, **options)
        with socket.create_connection(("127.0.0.1", self.port), timeout=within) as probe:
            probe.sendall(CONNECT)
            try:
                answer = probe.recv(4, socket.MSG_WAITALL)
            except OSError as error:
                raise AssertionError(f"no CONNACK from a broker that was just started: {error}; {self.tail()}") from None
            assert answer == b"\x20\x02\x00\x00", f"instead of CONNACK came {answer!r} ({self.process.poll()}): {self.tail()}"
            probe.sendall(b"\xe0\x00")
        self.start_s = time.monotonic() - begin
        return self

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)

    def end(self, within=30):
        """Asks it to end, and gives the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the broker did not end within {within} s after TERM") from None

    def runs(self):
        code = self.process.poll()
        assert code is None, f"the broker ended by itself with {code}: {self.tail()}"

    def said(self):
        """What this life has written."""
        text = self.log.read_text(errors="replace")
        return text.rpartition("---- life ")[2].partition("\n")[2]

    def tail(self):
        return " | ".join(self.said().splitlines()[-6:]) or "(it said nothing)"

    def memory(self):
        """Resident bytes that belong to it alone, without pages of files."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no RssAnon")


    def cpu_s(self):
        """Processor time that it has used."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Martlet(Process):
    name = "martlet"

    def command(self, options):
        words = [self.program, "serve", "--port", str(self.port), "--data", str(self.data)]
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        return words


class Mosquitto(Process):
    name = "mosquitto"

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.data.mkdir()

    def command(self, options):
        path = self.folder / "mosquitto.conf"
        path.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n"
                        f"persistence_location {self.data}/\nautosave_interval 1\nautosave_on_changes true\n"
                        "max_queued_messages 0\n")
        return [self.program, "-c", str(path)]
