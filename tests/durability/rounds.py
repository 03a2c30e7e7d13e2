"""Lives of a broker that all end in the same hard way, over one data folder.

Owns: `kill -9` and power cuts at random moments, and when everything is checked.
Must not know: what the clients do meanwhile (see world.py).
"""

import random
import time

from disk import FOLDERS, UNSYNCED
from world import World

SHARDS = (1, 2, 1, 2, 3, 8)


def run(broker, seed, rounds, say, seconds=None, options=None, shards=SHARDS, on_killed=None, before=None, messages=(20, 400)):
    """`rounds` lives, or as many as fit into `seconds`; every few lives everything is checked."""
    rng, world = random.Random(seed), World(seed)
    world.port, begin, options = broker.port, time.monotonic(), options or {}

    def start():
        if before:
            before()
        broker.start(shards=rng.choice(shards), **options)

    start()
    world.first_subscriptions()
    settles, slowest, number = 0, 0.0, 0
    try:
        while number < rounds and (seconds is None or time.monotonic() - begin < seconds):
            number += 1
            for subscriber in world.subscribers:
                subscriber.drop()
            deadline = time.monotonic() + rng.choice((rng.uniform(0, 0.05), rng.uniform(0, 0.3), rng.uniform(0.1, 0.5)))
            world.live(lambda: time.monotonic() > deadline, rng.randrange(*messages))
            broker.runs()
            broker.kill()
            world.power_off()
            if on_killed:
                on_killed(rng)
            start()
            slowest = max(slowest, broker.start_s)
            if rng.random() < 0.5:
                world.check_retained()
            if rng.random() < 0.2 or number == rounds:
                world.settle()
                settles += 1
                for peer in world.publishers + world.subscribers:
                    peer.drop()
        world.settle()
        broker.runs()
        code = broker.end()
        assert code == 0, f"TERM: the broker ended with {code}: {broker.tail()}"
    except AssertionError as error:
        raise AssertionError(f"round {number}: {error}") from None
    finally:
        broker.kill()
        world.loop.close()
    say(f"{number} rounds (seed {seed}), {settles + 1} times all checked; {world.summary()}; slowest start {slowest:.2f} s")
    return world


def run_cuts(broker, seed, rounds, say, **more):
    """Power cuts: each life begins with what the model of a disk has left of the one before."""
    disk = broker.disk
    disk["sync_delay_us"] = 4000

    def on_killed(rng):
        unsynced, broker.last_cut = rng.choice(UNSYNCED), None
        broker.last_cut = f"{unsynced}, {disk.base.folders}: {disk.cut(rng, unsynced)}"

    chooser = random.Random(seed)
    world = run(broker, seed, rounds, say, before=lambda: disk.begin(chooser.choice(FOLDERS)), on_killed=on_killed, **more)
    disk.followed()
    return world
