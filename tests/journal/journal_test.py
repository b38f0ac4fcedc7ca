#!/usr/bin/env python3
"""--journal and --resume of the real program: everything is killed at random moments and carried on with, and what must be refused is.

    journal_test.py PROGRAM CASE PLUGIN [START]      CASE: a function of the class Cases; START: how workers come to be
"""
import json
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

import numpy as np

PROGRAM, CASE = os.path.abspath(sys.argv[1]), sys.argv[2]
PLUGIN = os.path.abspath(sys.argv[3]) if len(sys.argv) > 3 else ""  # doze.c
START = ["--start", sys.argv[4]] if len(sys.argv) > 4 else []
PAGE = 4096
REMEDY = "remove j and the temporaries beside the outputs (.NAME.ID.tmp), and begin it again without --resume"
ROUNDS = int(os.environ.get("CADRE_JOURNAL_ROUNDS", "3"))


class Run:
    """One run of the program to its end."""

    def __init__(self, *arguments, folder, environment=None, limit=None, timeout=100):
        command = [PROGRAM, "run", *map(str, arguments), *([] if "--backend" in arguments else START)]
        if "--json" not in command:
            command.append("--json")
        if limit:
            command = ["bash", "-c", f'{limit}; exec "$@"', "bash", *command]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", env={**os.environ, **(environment or {})}, timeout=timeout)
        self.exit, self.err, self.out = done.returncode, done.stderr, done.stdout
        self.report = json.loads(done.stdout) if done.stdout.strip() else {}

    def __getattr__(self, key):
        return self.report.get(key)

    @property
    def resumed(self):
        return self.report["faults"]["resumed_chunks"]


def run_and_kill(folder, arguments, after):
    """Starts the program and kills all its processes after that many seconds. Whether it was still running then."""
    child = subprocess.Popen([PROGRAM, "run", *map(str, arguments), *START, "--json"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        child.wait(timeout=after)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return True


def expect(condition, *what):
    if not condition:
        raise AssertionError(" ".join(map(str, what)))


def expect_equal(a, b, *what):
    expect(a == b, *what, f"\n  {a!r}\n  is not\n  {b!r}")


class Cases:
    def __init__(self, folder):
        self.folder = folder
        self.random = random.Random(int(os.environ.get("CADRE_JOURNAL_SEED", "11")))
        self.numbers = np.random.default_rng(5)

    def save(self, name, array):
        np.save(self.folder / name, array)
        return name

    def run(self, *arguments, **options):
        return Run(*arguments, folder=self.folder, **options)

    def journal(self):
        shutil.rmtree(self.folder / "j", ignore_errors=True)
        return ["--journal", "j"]

    def read(self, files):
        return {f: (self.folder / f).read_bytes() if (self.folder / f).exists() else None for f in files}

    def no_leftovers(self):
        left = [p.name for p in self.folder.iterdir() if p.name.endswith(".tmp")]
        expect_equal(left, [], "temporaries are left")
        expect(not (self.folder / "j" / "journal.arena").exists(), "the arena of a finished journal is left")

    def same_after_kills(self, arguments, outputs=(), rounds=ROUNDS, exit=0):
        """Undisturbed, then killed some times at random moments and carried on with by as many workers as chance has it."""
        undisturbed = self.run(*arguments)
        expect_equal(undisturbed.exit, exit, undisturbed.err)
        files = self.read(outputs)
        begin = time.monotonic()
        expect_equal(self.run(*arguments, *self.journal()).digest, undisturbed.digest)
        length = time.monotonic() - begin
        expect_equal(self.read(outputs), files, "with a journal")
        killed = resumed = number = 0
        while number < rounds or (killed == 0 and number < rounds + 10):
            for file in outputs:
                (self.folder / file).unlink(missing_ok=True)
            journal = self.journal()
            for kill in range(self.random.randint(1, 4)):
                workers = self.random.choice([1, 2, 3, 4])
                when = self.random.uniform(0, length * 1.1)
                killed += run_and_kill(self.folder, [*arguments, *journal, "--resume", "--workers", workers], when)
            last = self.run(*arguments, *journal, "--resume", "--workers", self.random.choice([1, 2, 3, 4]))
            expect_equal(last.exit, exit, "round", number, last.err)
            expect_equal([p["index"] for p in last.faults["poison"]], [p["index"] for p in undisturbed.faults["poison"]], "round", number)
            expect_equal(last.digest, undisturbed.digest, "round", number)
            expect_equal(last.result, undisturbed.result, "round", number)
            if len(arguments) == 1:
                expect_equal([s["result"] for s in last.steps or []], [s["result"] for s in undisturbed.steps or []], "round", number)
            expect_equal(self.read(outputs), files, "round", number)
            resumed += last.resumed > 0
            again = self.run(*arguments, *journal, "--resume")
            expect_equal(again.report, last.report, "a finished journal tells its report again")
            self.no_leftovers()
            number += 1
        print(f"{number} rounds, {killed} kills, {resumed} resumed with chunks done, {length:.2f} s undisturbed")
        expect(killed > 0, "no kill met the program")

    # ---- C2 ----

    def sum(self):
        self.save("x.npy", self.numbers.random(4_000_000))
        self.same_after_kills(["sum", "--in", "x.npy", "--chunk", 500])

    def dense_histogram(self):
        self.save("x.npy", self.numbers.random(2_000_000).astype(np.float32))
        self.same_after_kills(["histogram", "--in", "x.npy", "--param", "bins=200000", "--param", "lo=0", "--param", "hi=1", "--out", "h.npy", "--chunk", 5000], ["h.npy"])

    def sparse_histogram(self):
        self.save("x.npy", self.numbers.random(2_000_000))
        self.same_after_kills(["histogram", "--in", "x.npy", "--param", "bins=4000000", "--param", "lo=0", "--param", "hi=1", "--out", "h.npy", "--chunk", 40_000], ["h.npy"])

    def ordered_sums(self):
        self.save("key.npy", self.numbers.integers(0, 30_000, 1_000_000).astype(np.int32))
        self.save("x.npy", self.numbers.normal(size=1_000_000))
        outputs = ["c.npy", "s.npy", "lo.npy", "hi.npy"]
        out = [part for name, file in zip(["count", "sum", "min", "max"], outputs) for part in ("--out", f"{name}={file}")]
        self.same_after_kills(["group_sum", "--in", "key.npy", "--in", "x.npy", *out, "--chunk", 5000], outputs)

    def map_to_a_file(self):
        self.save("x.npy", self.numbers.random(8_000_000))
        self.same_after_kills(["sqrt", "--in", "x.npy", "--out", "y.npy", "--chunk", 2000], ["y.npy"])

    def passes(self):
        self.save("x.npy", self.numbers.normal(size=2_000_000))
        self.same_after_kills(["standardize", "--in", "x.npy", "--out", "y.npy", "--chunk", 1000], ["y.npy"])

    def repeated_passes(self):
        self.save("X.npy", self.numbers.normal(size=(200_000, 4)))
        self.save("centers.npy", self.numbers.normal(size=(8, 4)))
        outputs = ["c.npy", "n.npy", "l.npy"]
        out = [part for name, file in zip(["centers", "count", "label"], outputs) for part in ("--out", f"{name}={file}")]
        self.same_after_kills(["kmeans", "--in", "X.npy", "--in", "centers.npy", "--param", "max_iter=25", *out, "--chunk", 2000], outputs)

    def arrays_between_passes(self):
        self.save("x.npy", self.numbers.normal(size=4_000_000))
        self.same_after_kills(["sort", "--in", "x.npy", "--out", "y.npy"], ["y.npy"])

    def steps(self):
        self.save("fare.npy", self.numbers.random(2_000_000) + 1)
        self.save("tip.npy", self.numbers.random(2_000_000))
        (self.folder / "job.toml").write_text(
            """
name = "steps"
chunk = 4000
[arrays]
fare = "fare.npy"
tip = "tip.npy"
[[steps]]
kernel = "divide"
in = ["tip", "fare"]
out = ["share"]
[[steps]]
kernel = "sqrt"
in = ["share"]
out = ["share"]
[[steps]]
kernel = "moments"
in = ["share"]
[[steps]]
kernel = "sqrt"
in = ["share"]
out = ["root.npy"]
[[steps]]
kernel = "histogram"
in = ["root.npy"]
params = { bins = 100000, lo = 0.0, hi = 1.0 }
out = ["histogram.npy"]
"""
        )
        self.same_after_kills(["job.toml"], ["root.npy", "histogram.npy"], rounds=ROUNDS + 2)

    def skipped_elements(self):
        """What was left out stays left out, is listed once, and is not tried again where its chunk was done."""
        naps = self.numbers.random(400) * 1e-3
        naps[[0, 41, 42, 200, 399]] = -1
        self.save("t.npy", naps)
        for kernel in ("doze", "doze_sum"):
            self.same_after_kills([kernel, "--in", "t.npy", "--out", "n.npy", "--plugin", PLUGIN, "--chunk", 8, "--retries", 0, "--on-poison", "skip"], ["n.npy"], exit=3)

    # ---- a journal left in the middle, for what comes then ----

    def killed_in_the_middle(self, kernel="doze"):
        """A job of naps that is killed when some of its chunks are done and some are not; returns its arguments."""
        self.save("t.npy", np.full(60, 0.01))
        arguments = [kernel, "--in", "t.npy", "--out", "n.npy", "--plugin", PLUGIN, "--workers", 2, "--chunk", 1]
        child = subprocess.Popen([PROGRAM, "run", *map(str, arguments), *self.journal()], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        arena = self.folder / "j" / "journal.arena"
        while not (self.folder / "j" / "journal").exists():
            time.sleep(0.001)
        time.sleep(0.15)
        os.killpg(child.pid, signal.SIGKILL)
        expect_equal(child.wait(), -signal.SIGKILL, "killed before it was done")
        expect(arena.exists(), "the arena is there")
        return arguments

    def expect_refused(self, run, *reasons):
        expect_equal(run.exit, 2, run.err, run.out)
        expect_equal(list(run.report), ["error"])
        for reason in reasons:
            expect(reason in run.err, f"{reason!r} is not in: {run.err}")

    def expect_goes_on(self, arguments):
        last = self.run(*arguments, "--journal", "j", "--resume")
        expect_equal(last.exit, 0, last.err)
        expect(last.resumed > 0, "nothing was resumed")
        self.no_leftovers()
        return last

    def what_was_done_is_not_run_again(self):
        log = self.folder / "log"
        os.environ["DOZE_LOG"] = str(log)
        arguments = self.killed_in_the_middle()
        last = self.expect_goes_on(arguments)
        expect(0 < last.resumed < 60, last.report)
        calls = log.read_text().splitlines()
        expect_equal(len(set(calls)), 60)
        expect(len(calls) <= 62, "more than a chunk for each of the two workers was run twice", calls)

    def more_and_fewer_workers_finish_what_others_left(self):
        for workers in (1, 4, 40):
            arguments = self.killed_in_the_middle()
            last = self.expect_goes_on([*arguments, "--workers", workers])
            expect_equal(last.workers, workers)

    # ---- refused ----

    def a_journal_that_is_there_is_not_overwritten(self):
        arguments = self.killed_in_the_middle()
        before = self.read(["j/journal"])
        self.expect_refused(self.run(*arguments, "--journal", "j"), "there is a journal in", "--resume")
        expect_equal(self.read(["j/journal"]), before)
        self.expect_goes_on(arguments)

    def resume_without_a_journal_begins_one(self):
        self.save("x.npy", self.numbers.random(1000))
        (self.folder / "j").mkdir()
        (self.folder / "j" / "journal.arena").write_bytes(b"of a creation that was cut short")
        (self.folder / "j" / "journal.new").write_bytes(b"cadre journal 1 ")
        done = self.run("sum", "--in", "x.npy", "--journal", "j", "--resume")
        expect_equal((done.exit, done.resumed), (0, 0), done.err)

    def flags_that_do_not_go_together(self):
        self.save("x.npy", self.numbers.random(1000))
        for backend in ("serial", "threads"):
            self.expect_refused(self.run("sum", "--in", "x.npy", "--journal", "j", "--backend", backend), "--journal", "--backend " + backend)
        self.expect_refused(self.run("sum", "--in", "x.npy", "--resume"), "--resume", "--journal DIR")
        self.expect_refused(self.run("sum", "--in", "x.npy", "--journal", "x.npy"), "x.npy")
        self.expect_refused(self.run("sum", "--in", "x.npy", "--journal", ""), "no directory is named")
        expect(not (self.folder / "j").exists(), "a refused job leaves no journal")

    def bad_input_leaves_no_journal(self):
        self.save("x.npy", self.numbers.random(1000))
        self.expect_refused(self.run("sum", "--in", "y.npy", "--journal", "j"), "y.npy: there is no such file")
        self.expect_refused(self.run("sqrt", "--in", "x.npy", "--journal", "j"), "--out")
        expect(not (self.folder / "j").exists(), "a refused job leaves no journal")

    def another_job_is_refused(self):
        arguments = self.killed_in_the_middle()
        self.save("x.npy", self.numbers.random(1000))
        resume = ["--journal", "j", "--resume"]
        self.expect_refused(self.run("sum", "--in", "x.npy", "--plugin", PLUGIN, "--chunk", 1, *resume), "is of another job", "doze")
        self.expect_refused(self.run(*arguments, "--chunk", 2, *resume), "is of another job", "--chunk was 1 and is now 2")
        self.expect_refused(self.run(*["m.npy" if a == "n.npy" else a for a in arguments], *resume), "is of another job", "n.npy", "m.npy")
        self.expect_refused(self.run(*arguments, "--isa", "v2", *resume), "--isa was", "is now v2")
        shutil.copy(PLUGIN, self.folder / "other.so")
        self.expect_refused(self.run(*[str(self.folder / "other.so") if a == PLUGIN else a for a in arguments], *resume), "the plug-in", "other.so")
        self.expect_goes_on(arguments)

    def another_parameter_is_refused(self):
        self.save("x.npy", self.numbers.random(1000))
        arguments = ["histogram", "--in", "x.npy", "--param", "bins=10", "--param", "lo=0", "--param"]
        expect_equal(self.run(*arguments, "hi=1", "--journal", "j").exit, 0)
        self.expect_refused(self.run(*arguments, "hi=2", "--journal", "j", "--resume"), "is of another job", "hi=1", "hi=2")

    def changed_input_is_refused(self):
        arguments = self.killed_in_the_middle()
        stat = os.stat(self.folder / "t.npy")
        os.utime(self.folder / "t.npy", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
        changed = self.run(*arguments, "--journal", "j", "--resume")
        self.expect_refused(changed, "an input has changed", "t.npy", "put it back")
        for ns in (stat.st_mtime_ns, stat.st_mtime_ns + 1):
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(ns // 10**9)) + f".{ns % 10**9:09} UTC"
            expect(when in changed.err, when, "is not in", changed.err)
        os.utime(self.folder / "t.npy", ns=(stat.st_atime_ns, stat.st_mtime_ns))
        self.expect_goes_on(arguments)

    def rewrite(self, change):
        """The journal's text with another body under a right checksum, as another machine or program would have written it."""
        import xxhash

        path = self.folder / "j" / "journal"
        body = change(path.read_bytes().split(b"\n", 1)[1])
        path.write_bytes(b"cadre journal 1 %d %s\n" % (len(body), xxhash.xxh3_128(body, seed=1).hexdigest().encode()) + body)

    def foreign_machines_builds_and_boots_are_refused(self):
        arguments = self.killed_in_the_middle()
        path = self.folder / "j" / "journal"
        good = path.read_bytes()
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        build = re.search(rb'build",\s+"([0-9a-f]+)"', good)[1]
        for change, reason in [
            (lambda b: b.replace(b'"x86_64"', b'"riscv64"'), "the machine type was riscv64"),
            (lambda b: b.replace(b'"4096"', b'"65536"'), "the page size was 65536"),
            (lambda b: b.replace(build, b"0123456789abcdef"), "the program's build was 0123456789abcdef"),
            (lambda b: b.replace(boot.encode(), b"2c1f3f3e-0000-0000-0000-000000000000"), "before the machine was started again"),
        ]:
            path.write_bytes(good)
            self.rewrite(change)
            expect(path.read_bytes() != good, reason)
            self.expect_refused(self.run(*arguments, "--journal", "j", "--resume"), reason)
        path.write_bytes(good.replace(b"journal 1 ", b"journal 2 ", 1))
        self.expect_refused(self.run(*arguments, "--journal", "j", "--resume"), "of version 2; this program reads version 1")
        path.write_bytes(good)
        self.expect_goes_on(arguments)

    def damaged_journals_are_refused(self):
        arguments = self.killed_in_the_middle()
        path, arena = self.folder / "j" / "journal", self.folder / "j" / "journal.arena"
        good = path.read_bytes()
        resume = [*arguments, "--journal", "j", "--resume"]
        for at in [0, 14, 17, 40, 60, len(good) // 2, len(good) - 1, *(self.random.randrange(len(good)) for _ in range(12))]:
            path.write_bytes(good[:at] + bytes([good[at] ^ 1 << self.random.randrange(8)]) + good[at + 1 :])
            self.expect_refused(self.run(*resume), "journal")
        for length in [0, 5, 16, 30, 52, len(good) // 2, len(good) - 1]:
            path.write_bytes(good[:length])
            self.expect_refused(self.run(*resume), "journal", REMEDY)
        path.write_bytes(good)
        size = arena.stat().st_size
        os.truncate(arena, size - 4096)
        self.expect_refused(self.run(*resume), "journal.arena: is truncated", REMEDY)
        os.truncate(arena, size)
        arena.rename(self.folder / "away")
        self.expect_refused(self.run(*resume), "journal.arena", REMEDY)
        (self.folder / "away").rename(arena)
        temporary = next(self.folder.glob(".n.npy.*.tmp"))
        temporary.rename(self.folder / "away")
        self.expect_refused(self.run(*resume), temporary.name, REMEDY)
        temporary.write_bytes((self.folder / "away").read_bytes()[:-8])
        self.expect_refused(self.run(*resume), temporary.name, "bytes instead of", REMEDY)
        (self.folder / "away").rename(temporary)
        self.expect_goes_on(arguments)

    # ---- damaged memory: each control word that a resumed run looks at ----

    def snapshot(self):
        """What a kill left, as {file: its bytes} and the arena as {offset: page that is not zero}."""
        arena = self.folder / "j" / "journal.arena"
        pages = {}
        with open(arena, "rb") as f:
            size, at = os.fstat(f.fileno()).st_size, 0
            while at < size:
                try:
                    at = os.lseek(f.fileno(), at, os.SEEK_DATA) // PAGE * PAGE
                except OSError:
                    break
                end = os.lseek(f.fileno(), at, os.SEEK_HOLE)
                while at < end:
                    page = os.pread(f.fileno(), PAGE, at)
                    if page.count(0) != len(page):
                        pages[at] = page
                    at += PAGE
        files = [self.folder / "j" / "journal", *self.folder.glob(".*.tmp")]
        return {f: f.read_bytes() for f in files}, size, pages

    def put_back(self, snapshot, flip=None):
        """`flip`: (offset, bits) of the arena to be changed."""
        files, size, pages = snapshot
        shutil.rmtree(self.folder / "j")
        (self.folder / "j").mkdir()
        for file, content in files.items():
            file.write_bytes(content)
        with open(self.folder / "j" / "journal.arena", "xb") as f:
            os.truncate(f.fileno(), size)
            for at, page in pages.items():
                os.pwrite(f.fileno(), page, at)
            if flip:
                page = pages.get(flip[0] // PAGE * PAGE, bytes(PAGE))
                os.pwrite(f.fileno(), bytes([page[flip[0] % PAGE] ^ flip[1]]), flip[0])

    def control_words(self, snapshot):
        """{what: [offset of each byte]} in the arena, None where no chunks were running. As laid out by engine/ledger.hpp, pool/board.hpp, pool/slot.hpp, engine/work.hpp and engine/poison.hpp."""
        files, size, pages = snapshot
        base = json.loads(files[self.folder / "j" / "journal"].split(b"\n", 1)[1])["arena"][0]
        number = lambda at, length=8: int.from_bytes(pages.get(at // PAGE * PAGE, bytes(PAGE))[at % PAGE : at % PAGE + length], "little")
        board = next((at for at in sorted(pages) if 0 < number(at + 12, 4) <= 1024 and number(at + 16, 4) == number(at + 12, 4) << 16 ^ number(at + 12, 4) ^ 0xFFFF), None)
        if board is None:
            return None
        ledger = board - (4 << 20)
        entries, workers, chunks = number(ledger + 64, 4), number(board + 12, 4), number(board + 4, 4)
        words = board + (384 + 1024 * 128 + PAGE - 1) // PAGE * PAGE
        states = [number(words + 8 * c, 4) for c in range(chunks)]
        if chunks < 2 or all(state == 0xFFFFFFFF for state in states) or not any(states):
            return None
        fields = {
            "ledger": range(ledger, ledger + 72 + 40 * entries),
            "board": range(board, board + 344),
            "records": [board + 384 + 64 * slot + i for slot in range(workers) for i in range(8)],
            "slots": [board + 384 + 64 * slot + i for slot in range(workers + 1) for i in range(8, 64)],
            "watches": range(board + 384 + 1024 * 64, board + 384 + 1024 * 64 + 64 * workers),
            "words": range(words, words + 8 * chunks),
        }
        for entry in range(ledger + 72, ledger + 72 + 40 * entries, 40):
            at, length = number(entry + 8) - base, number(entry + 16)
            if number(entry, 4) == 3:
                fields["segments"] = [at + s + i for s in range(0, length, 64) for i in range(12)]
            if number(entry, 4) == 4:
                stride = length // 1024
                fields["parts"] = [at + slot * stride + i for slot in range(workers) for i in range(24)]
        # What is written down of kernels that fail lies before the ledger, on pages that are not zero where one has failed.
        fields["troubles"] = [at + i for at in pages if (6 << 20) < ledger - at < (120 << 20) for i in range(PAGE) if pages[at][i]]
        return fields

    def flipped_words(self, arguments, name, moments, seconds, exit=0):
        """Flips bits and bytes of the control words of a job killed at some moments. It is refused, with the remedy, or ends as if nothing had been."""
        undisturbed = self.run(*arguments)
        expect_equal(undisturbed.exit, exit, undisturbed.err)
        seconds = float(os.environ.get("CADRE_JOURNAL_FLIPS", seconds))  # with enough of them, all
        count = {"refused": 0, "the same": 0, "another result": 0}
        for moment in range(moments):
            for attempt in range(200):
                fields = None
                for file in self.folder.glob(".*.tmp"):
                    file.unlink()
                killed = run_and_kill(self.folder, [*arguments, *self.journal()], self.random.uniform(0.03, 0.3))
                if killed and all((self.folder / "j" / file).exists() for file in ("journal", "journal.arena")):
                    left = self.snapshot()
                    fields = self.control_words(left)
                if fields:
                    break
            expect(fields, "no kill met the job while chunks ran")
            tries = [(what, at, bits) for what, offsets in fields.items() for at in offsets for bits in (1 << self.random.randrange(8), 0xFF)]
            self.random.shuffle(tries)
            end = time.monotonic() + seconds / moments
            kinds = [[t for t in tries if t[0] == what] for what in fields]
            tries = [kind[i] for i in range(max(map(len, kinds))) for kind in kinds if i < len(kind)]  # of each kind in turn
            for done, (what, at, bits) in enumerate(tries):
                if time.monotonic() > end and done >= 2 * len(fields):  # where each takes seconds, two of each kind
                    break
                self.put_back(left, (at, bits))
                where = f"{name}: byte {at:#x} of {what} with bits {bits:#x} changed:"
                try:
                    run = Run(*arguments, "--journal", "j", "--resume", folder=self.folder, timeout=20)
                except subprocess.TimeoutExpired:
                    raise AssertionError(f"{where} hangs") from None
                expect(run.exit in (exit, 2), where, "exit", run.exit, run.err)
                if run.exit == 2:
                    expect("damaged" in run.err and REMEDY in run.err or "cut, or is laid out" in run.err, where, run.err)
                    count["refused"] += 1
                elif run.digest == undisturbed.digest:
                    count["the same"] += 1
                else:  # a record may tell of another place that is possible; the rest may not
                    expect(what == "records", where, "another result")
                    count["another result"] += 1
            self.put_back(left)
            expect_equal(self.run(*arguments, "--journal", "j", "--resume").digest, undisturbed.digest, "with nothing changed")
        print(name, {what: len(offsets) for what, offsets in fields.items()}, count)
        expect(count["refused"] > 0, "nothing was refused")

    def damaged_memory_of_a_map(self):
        self.save("t.npy", np.full(120, 0.002))
        self.flipped_words(["doze", "--in", "t.npy", "--out", "n.npy", "--plugin", PLUGIN, "--workers", 2, "--chunk", 1], "map", 2, 4)

    def damaged_memory_of_ordered_sums(self):
        self.save("key.npy", self.numbers.integers(0, 30_000, 300_000).astype(np.int32))
        self.save("x.npy", self.numbers.normal(size=300_000))
        self.flipped_words(["group_sum", "--in", "key.npy", "--in", "x.npy", "--out", "sum=s.npy", "--workers", 3, "--chunk", 600], "ordered sums", 2, 6)

    def damaged_memory_of_a_sparse_histogram(self):
        self.save("x.npy", self.numbers.random(400_000))
        self.flipped_words(["histogram", "--in", "x.npy", "--param", "bins=1000000", "--param", "lo=0", "--param", "hi=1", "--out", "h.npy", "--workers", 3, "--chunk", 4000], "sparse histogram", 2, 5)

    def damaged_memory_of_a_job_that_skips(self):
        naps = np.full(60, 0.002)
        naps[[0, 7, 41, 42, 59]] = -1
        self.save("t.npy", naps)
        for kernel in ("doze", "doze_sum"):
            self.flipped_words([kernel, "--in", "t.npy", "--out", "n.npy", "--plugin", PLUGIN, "--workers", 2, "--chunk", 4, "--retries", 0, "--on-poison", "skip"], kernel, 1, 3, exit=3)

    def a_journal_in_use_is_refused(self):
        self.save("t.npy", np.full(100, 0.01))
        arguments = ["doze", "--in", "t.npy", "--out", "n.npy", "--plugin", PLUGIN, "--workers", 2, "--chunk", 1]
        child = subprocess.Popen([PROGRAM, "run", *map(str, arguments), *self.journal()], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (self.folder / "j" / "journal").exists():
            time.sleep(0.001)
        self.expect_refused(self.run(*arguments, "--journal", "j", "--resume"), f"is in use by process {child.pid}")
        expect_equal(child.wait(), 0)

    # ---- ends ----

    def finished_journals_need_nothing_any_more(self):
        self.save("x.npy", self.numbers.random(1000))
        arguments = ["sqrt", "--in", "x.npy", "--out", "y.npy", "--journal", "j"]
        first = self.run(*arguments)
        for file in ("x.npy", "y.npy"):
            (self.folder / file).unlink()
        again = self.run(*arguments, "--resume")
        expect_equal((again.exit, again.report), (0, first.report), again.err)
        expect(not (self.folder / "y.npy").exists(), "outputs are not written again")
        self.save("x.npy", self.numbers.random(1000))
        self.expect_refused(self.run(*arguments), "there is a journal in")

    def stopped_jobs_go_on(self):
        for number, name in ((signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM")):
            self.save("t.npy", np.full(100, 0.01))
            arguments = ["doze", "--in", "t.npy", "--out", "n.npy", "--plugin", PLUGIN, "--workers", 2, "--chunk", 1]
            child = subprocess.Popen([PROGRAM, "run", *map(str, arguments), *self.journal(), "--json"], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            while not (self.folder / "j" / "journal").exists():
                time.sleep(0.001)
            time.sleep(0.1)
            child.send_signal(number)
            out, err = child.communicate()
            expect_equal(child.returncode, 128 + number, err)
            expect("--resume" in json.loads(out)["error"] and "--resume" in err, out, err)
            # Closed: the reboot that another boot id stands for does it no harm.
            self.rewrite(lambda b: b.replace(pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip().encode(), b"2c1f3f3e-0000-0000-0000-000000000000"))
            self.expect_goes_on(arguments)

    def failed_jobs_go_on(self):
        """A kernel that aborts fails the job while others are applying what they computed; repaired, the job goes on."""
        for kernel in ("doze", "doze_sum"):
            self.save("t.npy", self.numbers.random(400) * 1e-4)
            arguments = [kernel, "--in", "t.npy", "--out", "n.npy", "--plugin", PLUGIN, "--chunk", 1, "--retries", 0]
            undisturbed = self.run(*arguments)
            for fail in (60, 220):
                journal = self.journal()
                failed = self.run(*arguments, *journal, "--workers", 4, environment={"DOZE_FAIL": str(fail)})
                expect_equal(failed.exit, 1, failed.err)
                expect("--resume" in failed.err and "--resume" in failed.error, failed.err)
                again = self.run(*arguments, *journal, "--resume", environment={"DOZE_FAIL": str(fail)})
                expect_equal(again.exit, 1, again.err)
                last = self.expect_goes_on(arguments)
                expect_equal(last.digest, undisturbed.digest)

    def full_disks_are_errors(self):
        """A file size limit stands for a disk that is full: writes and reservations beyond it fail."""
        self.save("x.npy", self.numbers.random(2_000_000))
        arguments = ["sqrt", "--in", "x.npy", "--out", "y.npy", "--journal", "j"]
        small = self.run(*arguments, environment={"CADRE_ARENA_SIZE": "0x20000000"}, limit="ulimit -f 8192")  # 8 MiB: less than the output
        expect(small.exit in (1, 2), small.report)
        expect(small.err.startswith("cadre: "), small.err)
        expect(not (self.folder / "y.npy").exists(), "no half output")
        shutil.rmtree(self.folder / "j", ignore_errors=True)
        expect_equal(self.run(*arguments).exit, 0)

    def a_small_file_system(self):
        """Said before anything is computed, with both figures; nothing is left. Mounted in a namespace of its own, where that is allowed."""
        self.save("x.npy", self.numbers.random(200_000))
        (self.folder / "small").mkdir()
        for size in ("100k", "600k", "5m"):
            script = f'mount -t tmpfs -o size={size} none small || exit 77; "$@"; code=$?; ls -A small; exit $code'
            command = [PROGRAM, "run", "sqrt", "--in", "x.npy", "--out", "y.npy", "--journal", "small/j"]
            done = subprocess.run(["unshare", "-Urm", "bash", "-c", script, "bash", *command], cwd=self.folder, capture_output=True, text=True, timeout=100)
            if done.returncode != 2 and ("unshare" in done.stderr or done.returncode == 77):
                print("skipped: no file system can be mounted here")
                return
            expect_equal((done.returncode, done.stdout), (2, ""), size, done.stderr)
            expect(re.search(r"journal.arena.*: needs .*, but .* are free on its file system", done.stderr), size, done.stderr)
        expect_equal(sorted(os.listdir(self.folder)), ["small", "x.npy"])


def main():
    with tempfile.TemporaryDirectory(prefix="cadre-journal-") as folder:
        getattr(Cases(pathlib.Path(folder)), CASE)()


main()
