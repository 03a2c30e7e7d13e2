#!/usr/bin/env python3
"""Runs the black-box conformance cases against a broker that is already listening. Needs Python 3.11 and nothing else.

    python3 tests/conformance/run.py --port 1883 [--host 127.0.0.1] [-k PATTERN] [--jobs 64] [-v] [--list]
"""

import argparse
import concurrent.futures
import importlib
import pathlib
import socket
import sys
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import harness  # noqa: E402


def load():
    for file in sorted((HERE / "cases").glob("*.py")):
        importlib.import_module(f"cases.{file.stem}")


def run_case(number, entry, host, port):
    """(title, seconds, None or the report of the failure)"""
    function, version, title = entry
    start = time.monotonic()
    case = harness.Case(number, version, host, port)
    report = None
    try:
        function(case)
    except harness.Failure as failure:
        report = str(failure)
    except harness.Closed:
        report = "the server closed the connection unexpectedly"
    except OSError as error:
        report = f"socket: {error!r}"
    except Exception:  # a mistake of the suite must not look like one of the broker
        report = "BUG in the case:\n" + traceback.format_exc()
    finally:
        case.close()
    if report is not None:
        lines = case.head + (["    ..."] if len(case.tail) == case.tail.maxlen else []) + list(case.tail)
        at = f"{pathlib.Path(function.__code__.co_filename).name}:{function.__code__.co_firstlineno}"
        report = f"FAIL {title} ({at})\n  {report}\n" + "".join(f"    {line}\n" for line in lines)
    return title, time.monotonic() - start, report


def answers(host, port):
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("-k", metavar="PATTERN", default="", help="only cases whose module, name or version contain this")
    parser.add_argument("--jobs", type=int, default=64, help="cases at a time (most of them wait)")
    parser.add_argument("-v", action="store_true", help="a line for every case")
    parser.add_argument("--list", action="store_true", help="name the cases, run none")
    options = parser.parse_args()
    load()
    chosen = [(i, e) for i, e in enumerate(harness.CASES)
              if options.k in f"{e[0].__module__}.{e[2]}" or options.k in (e[0].__doc__ or "")]
    if options.list:
        for _, entry in chosen:
            print(f"{entry[0].__module__.removeprefix('cases.')}.{entry[2]}")
        return 0
    if not answers(options.host, options.port):
        print(f"nothing listens on {options.host} port {options.port}")
        return 2
    # Slow ones first, so that their waiting overlaps with the rest.
    chosen.sort(key=lambda pair: not getattr(pair[1][0], "slow", False))
    threading.stack_size(512 * 1024)
    passed, failures, times = 0, [], []
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = [pool.submit(run_case, i, e, options.host, options.port) for i, e in chosen]
        for done in concurrent.futures.as_completed(runs):
            title, seconds, report = done.result()
            times.append((seconds, title))
            if report is None:
                passed += 1
            else:
                failures.append(report)
            if options.v:
                print(f"{'ok  ' if report is None else 'FAIL'} {title} {seconds:.2f} s", flush=True)
    harness.clean_up(options.host, options.port)
    for report in sorted(failures):
        print(report)
    if options.v:
        print("slowest:", ", ".join(f"{t} {s:.1f} s" for s, t in sorted(times, reverse=True)[:8]))
    print(f"conformance: {len(chosen)} cases in {time.monotonic() - start:.1f} s")
    if not chosen:
        print("no case matches")
        return 2
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
