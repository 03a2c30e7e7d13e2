#!/usr/bin/env python3
"""Real clients against a broker that is already listening: mosquitto_pub/sub/rr, paho-mqtt, mqtt.js, rumqttc.

    python tests/clients/run.py --port 1883 [--host 127.0.0.1] [-k PATTERN] [--only mosquitto,paho,mqttjs,rumqttc]

Needs: mosquitto-clients (apt); paho-mqtt from requirements.txt in the Python that runs this; `npm ci` done in mqttjs/; cargo for rumqttc/.
A missing program is a failure, never a skip. Exit code 0 only when every case passed.
"""

import argparse
import concurrent.futures
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import kit  # noqa: E402

CLIENTS = ("mosquitto", "paho", "mqttjs", "rumqttc")
OTHER_PROGRAM_LIMIT_S = 120


class Tally:
    """Counts results and prints each as a line, from any thread."""

    def __init__(self):
        self.lock, self.passed, self.failed = threading.Lock(), 0, 0

    def add(self, client, title, problem, seconds=None):
        with self.lock:
            took = "" if seconds is None else f" ({seconds:.1f} s)"
            if problem is None:
                self.passed += 1
                print(f"ok    {client}: {title}{took}", flush=True)
            else:
                self.failed += 1
                print(f"FAIL  {client}: {title}{took}\n      {problem}", flush=True)


def run_python_cases(client, options, tally):
    """The cases that are written in Python, a few at a time."""
    def one(entry):
        start = time.monotonic()
        problem = kit.run_case(entry, options.host, options.port)
        tally.add(client, entry[1], problem, time.monotonic() - start)
    entries = [e for e in kit.CASES if e[0] == client and options.k in f"{client}: {e[1]}"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(one, entries))


def run_program(client, command, options, tally):
    """A program with cases of its own: a line `ok TITLE` or `FAIL TITLE :: PROBLEM` for each, then `end`."""
    environment = dict(os.environ, MQTT_HOST=options.host, MQTT_PORT=str(options.port), MQTT_RUN=kit.RUN, MQTT_ONLY=options.k,
                       MQTT_BURST=str(kit.BURST))
    try:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True)
    except OSError as error:
        tally.add(client, "start", str(error))
        return
    timer = threading.Timer(OTHER_PROGRAM_LIMIT_S, child.kill)
    timer.start()
    ended, others = False, []
    for line in child.stdout:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "ok":
            tally.add(client, rest, None)
        elif word == "FAIL":
            title, _, problem = rest.partition(" :: ")
            tally.add(client, title, problem)
        elif word == "end":
            ended = True
        else:
            others.append(line.rstrip("\n"))
    code = child.wait()
    timer.cancel()
    if not ended or code != 0:
        tally.add(client, "the program", f"ended with {code} before its last case; it said: " + " | ".join(others[-8:]))


def start_mosquitto(options, tally):
    import mosquitto_cases
    missing = [p for p in mosquitto_cases.PROGRAMS if shutil.which(p) is None]
    if missing:
        tally.add("mosquitto", "programs", f"missing: {', '.join(missing)} (apt install mosquitto-clients coreutils)")
        return
    run_python_cases("mosquitto", options, tally)


def start_paho(options, tally):
    try:
        __import__("paho_cases")  # registers its cases
    except ImportError as error:
        tally.add("paho", "module", f"{error} (pip install -r tests/clients/requirements.txt)")
        return
    run_python_cases("paho", options, tally)


def start_mqttjs(options, tally):
    if shutil.which("node") is None or not (HERE / "mqttjs/node_modules/mqtt").is_dir():
        tally.add("mqttjs", "program", "missing: node, or 'npm ci' was not run in tests/clients/mqttjs")
        return
    run_program("mqttjs", ["node", str(HERE / "mqttjs/cases.mjs")], options, tally)


def start_rumqttc(options, tally):
    cargo = os.environ.get("CARGO") or shutil.which("cargo")
    if cargo is None:
        tally.add("rumqttc", "program", "missing: cargo")
        return
    manifest = str(HERE / "rumqttc/Cargo.toml")
    built = subprocess.run([cargo, "build", "--quiet", "--locked", "--manifest-path", manifest], capture_output=True, text=True)
    if built.returncode:
        tally.add("rumqttc", "build", built.stderr[-2000:])
        return
    run_program("rumqttc", [cargo, "run", "--quiet", "--locked", "--manifest-path", manifest], options, tally)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("-k", metavar="PATTERN", default="", help="only cases whose title contains this")
    parser.add_argument("--only", default=",".join(CLIENTS), help="clients, separated by commas")
    options = parser.parse_args()
    try:
        socket.create_connection((options.host, options.port), timeout=5).close()
    except OSError as error:
        print(f"nothing listens on {options.host} port {options.port}: {error}")
        return 2
    tally, start = Tally(), time.monotonic()
    starts = {"mosquitto": start_mosquitto, "paho": start_paho, "mqttjs": start_mqttjs, "rumqttc": start_rumqttc}
    with concurrent.futures.ThreadPoolExecutor(len(CLIENTS)) as pool:
        for done in [pool.submit(starts[name], options, tally) for name in options.only.split(",")]:
            done.result()
    print(f"clients: {tally.passed + tally.failed} cases in {time.monotonic() - start:.1f} s")
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
