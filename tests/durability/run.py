#!/usr/bin/env python3
"""Durability from outside: kill -9, power cuts, full and failing disks, owners, much data.

    python3 tests/durability/run.py --broker target/release/martlet            # about two minutes
    python3 tests/durability/run.py --broker target/release/martlet --full     # 200 rounds, a million messages
    ... [-k PATTERN] [--rounds N] [--seed N] [--jobs N] [--list] [--keep]

Needs: Linux, gcc, mosquitto-clients, paho-mqtt in the Python that runs this (tests/clients/requirements.txt).
No privileges; where mounting is allowed, a disk that is really full is tried, too.

Owns: the list of cases, and their running side by side, each in a process of its own with a limit in time.
A missing program is a failure, never a skip. Exit code 0 only when every case passed. The seed is printed;
`--seed` repeats what does not depend on timing.
"""

import argparse
import concurrent.futures
import contextlib
import errno
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import disk as disks  # noqa: E402
import promises  # noqa: E402
import real_clients  # noqa: E402
import rounds  # noqa: E402
import trouble  # noqa: E402
import volume  # noqa: E402
from broker import Martlet, Mosquitto  # noqa: E402
from world import LARGE  # noqa: E402

CHILDREN = set()  # leaders of process groups
CASES = {}  # name -> (function, only in the full run)
LIMIT_S, FULL_LIMIT_S = 150, 1500
MANY = 1_000_000


def case(name, full_only=False):
    def register(function):
        CASES[name] = (function, full_only)
        return function
    return register


class Run:
    """What a case works with: a folder of its own, brokers, disks, and how long it may go on."""

    def __init__(self, options, folder):
        self.options, self.folder, self.full, self.seed = options, pathlib.Path(folder), options.full, options.seed
        self.folder.mkdir(parents=True, exist_ok=True)

    def broker(self, name="broker", **more):
        kind = Mosquitto if "mosquitto" in pathlib.Path(self.options.broker).name else Martlet
        return kind(str(self.options.broker), self.folder / name, **more)

    def on_disk(self, journal=True):
        disk = disks.Disk(self.folder / "device", journal)
        return self.broker(disk=disk), disk

    def rounds(self, seconds, full=200):
        """How many rounds, and for how long at most: in the ordinary run as many as fit."""
        if self.options.rounds:
            return {"rounds": self.options.rounds}
        return {"rounds": full} if self.full else {"rounds": full, "seconds": seconds}

    def say(self, text):
        print(f"      {text}", flush=True)


# ---- the tests of the tests: each promise must be seen broken where it is not given

FORGETFUL = """
import os, sys
root = sys.argv[1]
def write(name, sync):
    file = os.open(f"{root}/{name}", os.O_CREAT | os.O_WRONLY)
    os.write(file, b"x" * 5000)
    if sync:
        os.fsync(file)
os.mkdir(f"{root}/folder")
write("folder/not synced", False)
write("folder/synced", True)
os.fsync(os.open(f"{root}/folder", os.O_RDONLY))
write("folder/name not synced", True)
os.fsync(os.open(root, os.O_RDONLY))
with open(f"{root}/folder/by stdio", "w") as file:
    file.write("text")
os.rename(f"{root}/folder/synced", f"{root}/folder/renamed")
os.kill(os.getpid(), 9)
"""


@case("disk-forgets")
def disk_forgets(run):
    """A small program that does not sync loses what it wrote; what is synced stays."""
    program = os.path.realpath(sys.executable)
    for folders, expected in (("strict", {"folder", "folder/not synced", "folder/synced"}),
                              ("ordered", {"folder", "folder/not synced", "folder/synced", "folder/name not synced"})):
        disk = disks.Disk(run.folder / folders)
        disk.begin(folders)
        subprocess.run([program, "-c", FORGETFUL, str(disk.root)], env=dict(os.environ) | disk.environment(), check=False)
        disk.followed()
        disk.cut(random.Random(1), "lost")
        found = {str(p.relative_to(disk.root)): p for p in disk.root.rglob("*")}
        assert found.keys() == expected, f"{folders}: after the cut there is {sorted(found)}"
        sizes = found["folder/not synced"].stat().st_size, found["folder/synced"].stat().st_size
        assert sizes == (0, 5000), f"{folders}: sizes {sizes}"
    run.say("a cut takes unsynced bytes and names, and leaves the others")


def must_fail(run, what, test):
    """The promise is not given, so the oracle must find it broken."""
    try:
        test()
    except AssertionError as error:
        run.say(f"{what}: found, as it should be: {str(error)[:150]}")
        return
    raise AssertionError(f"{what}: the oracle did not notice")


@case("oracle-notices")
def oracle_notices(run):
    """Levels that promise less are found out by the oracle of `sync`."""
    broker, disk = run.on_disk()
    must_fail(run, "interval = 1 h and a power cut",
              lambda: rounds.run_cuts(broker, run.seed, 20, run.say, options={"durability": "interval=3600s"}, wait_s=4, shards=(2,)))
    must_fail(run, "memory and kill -9",
              lambda: rounds.run(run.broker("memory"), run.seed, 20, run.say, options={"durability": "memory"}, wait_s=4))


# ---- kill -9

@case("kill-sync")
def kill_sync(run):
    rounds.run(run.broker(), run.seed, say=run.say, **run.rounds(30))


@case("kill-interval")
def kill_interval(run):
    """Killed, not cut: nothing that was acknowledged is lost at this level either."""
    rounds.run(run.broker(), run.seed + 1, say=run.say, options={"durability": "interval=200ms"}, **run.rounds(12))


@case("kill-clients")
def kill_clients(run):
    real_clients.kills(run.broker(), run.seed, say=run.say, **run.rounds(15))


@case("kill-order")
def kill_order(run):
    rounds.order_rounds(run.broker(), run.seed, say=run.say, **run.rounds(10))


@case("kill-promises")
def kill_promises(run):
    promises.promises(run.broker(), run.say)


# ---- power cuts

@case("cut-sync")
def cut_sync(run):
    broker, _ = run.on_disk()
    rounds.run_cuts(broker, run.seed, say=run.say, **run.rounds(40))


@case("cut-large", full_only=True)
def cut_large(run):
    """Large messages: tables are written and merged while the power goes."""
    broker, _ = run.on_disk()
    rounds.run_cuts(broker, run.seed + 2, say=run.say, spread=LARGE, **run.rounds(40, full=100))


@case("kill-large", full_only=True)
def kill_large(run):
    rounds.run(run.broker(), run.seed + 3, say=run.say, spread=LARGE, **run.rounds(40))


@case("cut-new", full_only=True)
def cut_new(run):
    broker, _ = run.on_disk()
    rounds.cut_new(broker, run.seed, run.say)


@case("cut-interval")
def cut_interval(run):
    broker, _ = run.on_disk()
    rounds.interval_cuts(broker, run.seed, say=run.say, **run.rounds(15, full=60))


# ---- full and failing disks

def full(run, tells):
    broker, disk = run.on_disk(journal=False)
    disk["tells"] = tells
    disk["capacity"] = 160 << 20

    def spoil():
        disk["capacity"] = disk["used"] + 200_000

    def heal():
        disk["capacity"] = 160 << 20
    trouble.trouble(broker, run.say, spoil, heal, ("full", "space"), room=40 << 20, shards=2)
    assert tells or disk["refused"], "the disk was never full"


@case("full-foreseen")
def full_foreseen(run):
    """statfs says that it is nearly full."""
    full(run, tells=1)


@case("full-surprise")
def full_surprise(run):
    """statfs tells nothing (a quota): writes fail with ENOSPC, short writes before that."""
    full(run, tells=0)


@case("full-tmpfs")
def full_tmpfs(run):
    """A real file system that is full, where mounting is allowed."""
    if "--mounted" not in sys.argv:
        # In a mount namespace of our own: what is mounted there goes with this process.
        for words in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
            with contextlib.suppress(OSError):
                if subprocess.run([*words, "mount", "-t", "tmpfs", "tmpfs", run.folder], capture_output=True, check=False).returncode == 0:
                    os.execvp(words[0], [*words, sys.executable, *sys.argv, "--mounted"])
        run.say("no right to mount here: the two cases above show the same without it")
        return
    mount, filler = run.folder / "mount", run.folder / "mount/filler"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(mount)], check=True)

    def spoil():
        free = os.statvfs(mount).f_bavail * os.statvfs(mount).f_frsize
        with open(filler, "wb") as file:
            for _ in range(max(0, free - 200_000) // 100_000):
                file.write(bytes(100_000))
    trouble.trouble(run.broker(data=mount / "data"), run.say, spoil, filler.unlink, ("full", "space"), room=40 << 20, shards=2)


@case("failing-write")
def failing_write(run):
    broker, disk = run.on_disk(journal=False)
    trouble.trouble(broker, run.say, lambda: disk.__setitem__("write_errno", errno.EIO), lambda: disk.__setitem__("write_errno", 0),
                    ("failed", "failing", "error"), starts_in_trouble=False, shards=2)


@case("failing-sync")
def failing_sync(run):
    """fsync fails, what it should have written is lost, later ones succeed: then the power goes."""
    broker, disk = run.on_disk()
    disk.begin("ordered")
    trouble.trouble(broker, run.say, lambda: disk.__setitem__("sync_errno", errno.EIO), lambda: disk.__setitem__("sync_errno", 0),
                    ("failed", "failing", "error"), restart=lambda: (disk.cut(random.Random(run.seed), "lost"), disk.begin("ordered")),
                    starts_in_trouble=False, shards=2)


# ---- owners

@case("owner")
def owner(run):
    trouble.one_owner(run.broker(), run.broker("second"), run.say)


@case("owner-unwritable")
def owner_unwritable(run):
    trouble.unwritable(run.broker(), run.say)
    broker, disk = run.on_disk(journal=False)
    disk["write_errno"] = errno.EACCES
    run.say(trouble.refuses_to_start(broker, "a folder without the right to write"))


# ---- much data

@case("start-up", full_only=True)
def start_up(run):
    """A million queued in ten thousand sessions and a million retained: served again within 5 s."""
    volume.start_up(run.broker(), run.say)


@case("long-queue", full_only=True)
def long_queue(run):
    """A million messages for one session cost memory for a window, not for the queue."""
    volume.long_queue(run.broker(), run.say, MANY)


@case("long-queue-short")
def long_queue_short(run):
    volume.long_queue(run.broker(), run.say, 50_000)


@case("start-up-short")
def start_up_short(run):
    volume.start_up(run.broker(), run.say, sessions=500, queued=20_000, retained=20_000)


# ---- running

def run_one(name, options):
    """In a process of its own."""
    folder = pathlib.Path(options.work) / name
    try:
        CASES[name][0](Run(options, folder))
    except Exception as error:
        if isinstance(error, AssertionError):
            print(f"      {error}", flush=True)
        else:
            traceback.print_exc()
        for log in sorted(folder.glob("**/broker.log"))[:2]:
            print(f"      {log}: " + " | ".join(log.read_text(errors="replace").splitlines()[-4:]))
        return 1
    return 0


def run_child(name, options):
    words = [sys.executable, __file__, "--one", name, "--work", options.work, "--broker", str(options.broker), "--seed", str(options.seed)]
    words += ["--full"] if options.full else []
    words += ["--rounds", str(options.rounds)] if options.rounds else []
    begin = time.monotonic()
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    CHILDREN.add(child.pid)
    try:
        said, _ = child.communicate(timeout=FULL_LIMIT_S if options.full else LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        said, _ = child.communicate()
        said += "      took too long\n"
    CHILDREN.discard(child.pid)
    seconds = time.monotonic() - begin
    print(f"{'ok  ' if child.returncode == 0 else 'FAIL'}  {name} ({seconds:.1f} s)\n{said}", end="", flush=True)
    return child.returncode == 0


def give_up(number, _):
    """Told to end: with everything that was started."""
    for leader in list(CHILDREN):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)
    os._exit(128 + number)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default="target/release/martlet", help="the program")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rounds", type=int, help="lives of the broker in each case with kills or cuts")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--jobs", type=int, default=2, help="cases at the same time")
    parser.add_argument("-k", metavar="PATTERN", default="", help="only cases whose name matches")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--keep", action="store_true", help="do not delete data and logs")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--mounted", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return run_one(options.one, options)
    chosen = [n for n, (_, full_only) in CASES.items() if re.search(options.k, n) and (options.full or not full_only)]
    if options.list:
        print("\n".join(f"{n:<18} {(CASES[n][0].__doc__ or '').strip()}" for n in CASES))
        return 0
    options.broker = pathlib.Path(options.broker).resolve()
    options.work = tempfile.mkdtemp(prefix="martlet-durability-")
    disks.build(pathlib.Path(options.work) / "disk.so")
    print(f"durability: seed {options.seed}, data and logs in {options.work}", flush=True)
    for name in chosen:
        folder = pathlib.Path(options.work) / name
        folder.mkdir()
        (folder / "disk.so").symlink_to(pathlib.Path(options.work) / "disk.so")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, give_up)
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda name: run_child(name, options), chosen))
    failed = results.count(False)
    print(f"durability: {len(results)} cases in {time.monotonic() - begin:.1f} s (seed {options.seed})")
    print(f"{len(results) - failed} passed, {failed} failed")
    if failed or options.keep:
        print(f"data and logs are kept in {options.work}")
    else:
        shutil.rmtree(options.work)
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
