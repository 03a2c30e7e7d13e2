"""A disk that loses power, is full or fails: the Python side of disk.c, and the models of a cut.

Owns: building the shim, its settings, its journal, and the folder as a power cut leaves it.
Must not know: brokers, MQTT, or what a case expects.

Chosen: a seccomp filter with a SIGSYS handler, loaded by LD_PRELOAD (see disk.c). It needs no privilege,
no device and no kernel module, it can be set at run time, and it decides about each write. dm-flakey
needs root and a block device; FUSE needs /dev/fuse and a user-space file system of our own.

What a cut leaves, conservatively:
  files    what was written before the last fsync/fdatasync *began* that also *returned 0*; of later
           writes nothing, or any of them, whole or torn at borders of 512 or 4096 bytes, in any order.
           After an fsync that failed, what it should have written counts as lost even when a later
           fsync succeeds (as Linux does it).
  folders  model "strict" (POSIX): a name made, renamed or removed is there for sure only after an fsync
           of its folder; of later changes any prefix of each folder's may be there. A rename is atomic.
           Model "ordered" (ext4, XFS, btrfs): names change in one order on the whole device; any fsync
           takes all earlier changes with it; of later ones a prefix may be there.
"""

import mmap
import os
import pathlib
import shutil
import struct
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
RECORD = struct.Struct("<IIQQQII")
CONTROL = {"capacity": ("<Q", 0), "write_errno": ("<I", 8), "sync_errno": ("<I", 12), "sync_delay_us": ("<I", 16),
           "ready": ("<I", 20), "used": ("<Q", 24), "refused": ("<Q", 32), "syncs": ("<Q", 40), "tells": ("<I", 48)}
MAGIC = 0x4B534944
CREATE, WRITE, SIZE, SYNC_BEGIN, SYNC_END, RENAME, UNLINK, LINK = range(1, 9)
UNSYNCED = ("lost", "whole", 512, 4096)  # what happens to unsynced writes
FOLDERS = ("strict", "ordered")


def build(target):
    """The shim as a shared object; made anew when its source is newer."""
    target = pathlib.Path(target)
    if target.exists() and target.stat().st_mtime >= (HERE / "disk.c").stat().st_mtime:
        return target
    part = target.with_suffix(f".{os.getpid()}")
    command = ["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(part), str(HERE / "disk.c"), "-lpthread"]
    subprocess.run(command, check=True)
    part.rename(target)
    return target


class Content:
    """Bytes of a file; behind `data` there are only zeros up to `size`."""

    def __init__(self, data=b"", size=0):
        self.data, self.size = bytearray(data), size

    def write(self, offset, data):
        end = offset + len(data)
        if len(self.data) < end:
            self.data.extend(bytes(end - len(self.data)))
        self.data[offset:end] = data
        self.size = max(self.size, end)

    def resize(self, size):
        del self.data[size:]
        self.size = size


class File:
    def __init__(self, content=None):
        self.content, self.pending = content or Content(), []  # (index, offset, data) or (index, size, None)

    def sync(self, until):
        done = [op for op in self.pending if op[0] < until]
        self.pending = [op for op in self.pending if op[0] >= until]
        for _, at, data in done:
            self.put(at, data)

    def put(self, at, data):
        if data is None:
            self.content.resize(at)
        else:
            self.content.write(at, data)

    def forsake(self, until):
        self.pending = [op for op in self.pending if op[0] >= until]

    def cut(self, rng, unsynced):
        kept = rng.choice((0.0, 0.5, 0.5, 1.0)) if unsynced != "lost" else 0.0
        for _, at, data in self.pending:
            if data is None or unsynced == "whole" or not kept:
                if rng.random() < kept:
                    self.put(at, data)
                continue
            start = 0
            while start < len(data):
                end = min(len(data), start + unsynced - (at + start) % unsynced)
                if rng.random() < kept:
                    self.put(at + start, data[start:end])
                start = end
        self.pending = []


class Folder:
    def __init__(self):
        self.live, self.durable = {}, {}


class Change:
    """A change of names: steps of (folder, name, node or None to remove)."""

    def __init__(self, index, steps):
        self.index, self.steps = index, steps

    def apply(self):
        for folder, name, node in self.steps:
            if node is None:
                folder.durable.pop(name, None)
            else:
                folder.durable[name] = node


class Replay:
    """The device as the journal tells it, from the folder as it was when the process started."""

    def __init__(self, root, folders="strict", at_once=False):
        self.nodes, self.changes, self.syncs = {}, [], {}
        self.folders, self.at_once, self.index = folders, at_once, 0
        self.root = self.load(root)

    def load(self, path):
        folder = Folder()
        self.nodes[os.stat(path).st_ino] = folder
        for entry in os.scandir(path):
            number = entry.inode()
            if not entry.is_dir() and not entry.is_file():
                continue  # a socket
            if entry.is_dir():
                node = self.load(entry.path)
            elif number in self.nodes:
                node = self.nodes[number]
            else:
                data = pathlib.Path(entry.path).read_bytes()
                node = File(Content(data.rstrip(b"\0"), len(data)))
            self.nodes[number] = folder.live[entry.name] = folder.durable[entry.name] = node
        return folder

    def run(self, journal):
        """Takes every whole record; a torn one at the end was never carried out."""
        with open(journal, "rb") as file:
            data = file.read()
        at = 0
        while at + RECORD.size <= len(data):
            magic, op, a, b, c, length, _ = RECORD.unpack_from(data, at)
            if magic != MAGIC:
                raise AssertionError(f"the disk's journal is broken at {at}")
            start = at + RECORD.size
            at = start + (length if op in (CREATE, WRITE, RENAME, UNLINK, LINK) else 0)
            if at > len(data):
                break
            self.take(op, a, b, c, data[start:at])
        return self

    def take(self, op, a, b, c, data):
        self.index += 1
        if op == WRITE:
            self.file_op(self.nodes[a], b, data)
        elif op == SIZE:
            self.file_op(self.nodes[a], b, None)
        elif op == CREATE:
            self.nodes[b] = Folder() if c else File()
            self.change([(self.nodes[a], data.decode(), self.nodes[b])])
        elif op == LINK:
            self.change([(self.nodes[a], data.decode(), self.nodes[b])])
        elif op == UNLINK:
            self.change([(self.nodes[a], data.decode(), None)])
        elif op == RENAME:
            old, _, new = data.decode().partition("/")
            node = self.nodes[a].live[old]
            self.change([(self.nodes[a], old, None), (self.nodes[b], new, node)])
        elif op == SYNC_BEGIN:
            self.syncs[b] = self.index
        elif op == SYNC_END:
            self.sync(a, self.syncs.pop(b), failed=bool(c))

    def file_op(self, node, at, data):
        if self.at_once:
            node.put(at, data)
        else:
            node.pending.append((self.index, at, data))

    def change(self, steps):
        for folder, name, node in steps:
            if node is None:
                folder.live.pop(name)
            else:
                folder.live[name] = node
        change = Change(self.index, steps)
        if self.at_once:
            change.apply()
        else:
            self.changes.append(change)

    def sync(self, number, until, failed):
        nodes = [self.nodes[number]] if number else set(self.nodes.values())
        for node in nodes:
            if isinstance(node, File):
                node.forsake(until) if failed else node.sync(until)
        if failed:
            return
        rest = []
        for change in self.changes:
            whole = self.folders == "ordered" or not number
            if change.index < until and (whole or change.steps[-1][0] is nodes[0]):
                change.apply()
            else:
                rest.append(change)
        self.changes = rest

    def cut(self, rng, unsynced):
        """The power goes."""
        if unsynced != "lost":
            stopped = set()
            for change in self.changes:
                key = None if self.folders == "ordered" else change.steps[-1][0]
                if key in stopped or rng.random() < 0.3:
                    stopped.add(key)
                else:
                    change.apply()
        for node in set(self.nodes.values()):
            if isinstance(node, File):
                node.cut(rng, unsynced)
        return self

    def files(self):
        """Path -> content of the durable tree; a folder is None."""
        found = {}

        def visit(folder, path):
            for name, node in folder.durable.items():
                below = f"{path}/{name}" if path else name
                if isinstance(node, Folder):
                    found[below] = None
                    visit(node, below)
                else:
                    found[below] = node.content
        visit(self.root, "")
        return found


class Disk:
    """One device: the folder `root`, on which a process works that was started with `environment`."""

    def __init__(self, folder, journal=True):
        self.folder = pathlib.Path(folder).resolve()
        self.root, self.journal, self.control = (self.folder / n for n in ("disk", "disk.journal", "disk.control"))
        self.root.mkdir(parents=True)
        self.control.write_bytes(bytes(4096))
        self.shim = build(self.folder.parent / "disk.so")
        self.with_journal, self.base = journal, None
        with open(self.control, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)

    def environment(self):
        values = {"DISK_ROOT": str(self.root), "DISK_CONTROL": str(self.control), "LD_PRELOAD": str(self.shim)}
        return values | ({"DISK_JOURNAL": str(self.journal)} if self.with_journal else {})

    def __setitem__(self, name, value):
        form, at = CONTROL[name]
        struct.pack_into(form, self.map, at, value)

    def __getitem__(self, name):
        form, at = CONTROL[name]
        return struct.unpack_from(form, self.map, at)[0]

    def begin(self, folders="strict"):
        """Before a process starts: what is there now is durable."""
        self["ready"] = 0
        self.journal.unlink(missing_ok=True)
        self.base = Replay(self.root, folders)
        self.check, self.names = Replay(self.root, at_once=True), Replay(self.root, folders)

    def cut(self, rng, unsynced):
        """After the process was killed: the folder becomes what the cut has left. Gives a line about it."""
        assert self["ready"] == 1, "the shim was not loaded: is the program statically linked?"
        replay = self.base.run(self.journal)
        left = sum(len(data or b"") for node in set(replay.nodes.values()) if isinstance(node, File)
                   for _, _, data in node.pending)
        text = f"{replay.index} calls, {left} bytes and {len(replay.changes)} names unsynced"
        files = replay.cut(rng, unsynced).files()
        shutil.rmtree(self.root)
        self.root.mkdir()
        for path, content in files.items():
            if content is None:
                (self.root / path).mkdir(exist_ok=True)
                continue
            with open(self.root / path, "wb") as file:
                file.write(content.data)
                file.truncate(content.size)
        return text

    def unsynced_names(self):
        """Of the life that has just ended, as paths."""
        paths = {}

        def visit(folder, path):
            paths[id(folder)] = path
            for name, node in folder.live.items():
                if isinstance(node, Folder):
                    visit(node, f"{path}{name}/")
        self.names.run(self.journal)
        visit(self.names.root, "")
        return [paths.get(id(folder), "?/") + name for change in self.names.changes for folder, name, node in change.steps if node]

    def followed(self):
        """After the process has ended: whether the journal tells the whole truth about the folder. A call
        that the shim had missed would show here."""
        assert self["ready"] == 1, "the shim was not loaded: is the program statically linked?"
        told, found = self.check.run(self.journal).files(), Replay(self.root).files()
        for path in sorted(told.keys() | found.keys()):
            a, b = told.get(path, "nothing"), found.get(path, "nothing")
            same = a == b if not (isinstance(a, Content) and isinstance(b, Content)) else (
                a.size == b.size and bytes(a.data).rstrip(b"\0") == bytes(b.data).rstrip(b"\0"))
            assert same, f"the shim missed a change of {path}"
