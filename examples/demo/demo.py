#!/usr/bin/env python3
"""The main job, shown. Called by scripts/demo, which builds the programs first:

    demo.py BIN FOLDER [DELAY.npy DISTANCE.npy]

FOLDER gets the table (where none is given), the job file, the results and the picture."""
import array
import ast
import hashlib
import json
import math
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time

BINS = 1000
ROUNDS = 3
KILLS = 20  # attempts to hit a worker that holds a chunk


def say(text=""):
    print(text, flush=True)


def stop(text):
    sys.exit(f"scripts/demo: {text}")


def npy(path):
    """Descriptor, shape and offset of the data, from the header."""
    with open(path, "rb") as file:
        magic = file.read(8)
        if magic[:6] != b"\x93NUMPY":
            stop(f"{path} is not a .npy file")
        size = struct.unpack("<H", file.read(2))[0] if magic[6] == 1 else struct.unpack("<I", file.read(4))[0]
        header = ast.literal_eval(file.read(size).decode("latin1"))
        return header["descr"], header["shape"], file.tell()


def column(path):
    """The numbers of a one-dimensional file of 8-byte elements."""
    descr, (rows,), offset = npy(path)
    values = array.array({"i8": "q", "f8": "d"}[descr[1:]])
    with open(path, "rb") as file:
        file.seek(offset)
        values.fromfile(file, rows)
    return values


class Axis:
    """BINS equal bins over [lo, hi]; for whole numbers each bin holds equally many of them, or the picture would be striped."""

    def __init__(self, path, lo, hi):
        if npy(path)[0][1] in "iu":
            first = math.ceil(lo)
            width = max(1, math.ceil((math.floor(hi) - first + 1) / BINS))
            lo, hi = first - 0.5, first - 0.5 + width * BINS
        elif not lo < hi:
            lo, hi = lo - 0.5, lo + 0.5
        self.lo, self.hi = float(lo), float(hi)


class Demo:
    def __init__(self, bin_folder, folder):
        self.bin, self.folder = bin_folder.resolve(), folder.resolve()
        self.cadre = self.bin / "cadre"
        self.job = self.folder / "delays.toml"
        self.folder.mkdir(parents=True, exist_ok=True)

    def run(self, *arguments):
        """The report of cadre run --json."""
        done = subprocess.run([self.cadre, "run", *map(str, arguments), "--json"], stdout=subprocess.PIPE)
        if done.returncode != 0:
            stop(f"cadre run {' '.join(map(str, arguments))}: exit {done.returncode}")
        return json.loads(done.stdout)

    def result(self, kernel, path):
        return self.run(kernel, "--in", path)["result"]

    # ---- input ----
    def make_table(self, rows):
        say(f"1. A table of {rows:,} made-up flights (examples/demo/flights.hpp says how), in {shown(self.folder)}")
        started = time.monotonic()
        if subprocess.run([self.bin / "demo_table", self.folder, str(rows)]).returncode != 0:
            stop("the table could not be made")
        say(f"   ready after {time.monotonic() - started:.1f} s")
        self.delay, self.distance = self.folder / "delay.npy", self.folder / "distance.npy"
        self.x, self.y = Axis(self.distance, 0, 2999), Axis(self.delay, -100, 899)
        self.clean = (-60, 600)

    def take_table(self, delay, distance):
        say(f"1. Your table: {delay} and {distance}; Cadre looks for their ranges")
        self.delay, self.distance = pathlib.Path(delay), pathlib.Path(distance)
        (d_lo, d_hi), (x_lo, x_hi) = ((self.result("min", f)["min"], self.result("max", f)["max"]) for f in (delay, distance))
        if None in (d_lo, d_hi):
            stop(f"{delay} holds NaN or infinities: min and max have no answer")
        spread = self.result("moments", delay)
        low, high = (spread["mean"] + k * math.sqrt(spread["variance"]) for k in (-10, 20))
        low, high = max(d_lo, low), min(d_hi, high)  # a single outlier shall not fill the picture with nothing
        say(f"   delay {d_lo:g} to {d_hi:g}, distance {x_lo:g} to {x_hi:g}")
        self.x, self.y = Axis(distance, x_lo, x_hi), Axis(delay, low, high)
        whole = npy(delay)[0][1] in "iu"
        self.clean = (math.ceil(low), math.floor(high)) if whole else (low, high)

    # ---- the job ----
    def write_job(self):
        self.results = [self.folder / name for name in ("heat.npy", "flights.npy", "late.npy", "earliest.npy", "latest.npy")]
        heat, *groups = (f.name for f in self.results)
        text = f'''# Written by scripts/demo; run it yourself: cadre run {self.job.name}
name = "delays"

[arrays]
delay = {json.dumps(str(self.delay))}
distance = {json.dumps(str(self.distance))}

[[steps]]                                # clean: what lies outside is a recording error
kernel = "clip"
in = ["delay"]
params = {{ lo = {self.clean[0]}, hi = {self.clean[1]} }}
out = ["clean"]                          # a temporary in shared memory, as no file has that name

[[steps]]                                # and standardise
kernel = "standardize"
in = ["clean"]
out = ["z"]

[[steps]]
kernel = "moments"
in = ["z"]

[[steps]]
kernel = "histogram2d"
in = ["distance", "delay"]
params = {{ bins_x = {BINS}, bins_y = {BINS}, lo_x = {self.x.lo}, hi_x = {self.x.hi}, lo_y = {self.y.lo}, hi_y = {self.y.hi} }}
out = ["./{heat}"]

[[steps]]                                # by distance: how many, how late together, at least, at most
kernel = "group_sum"
in = ["distance", "delay"]
out = [{", ".join(json.dumps("./" + name) for name in groups)}]
'''
        self.job.write_text(text)
        say(f"2. The job, {shown(self.job)}: clip, standardize, moments, histogram2d of {BINS} x {BINS} bins, group_sum by distance")

    def hashes(self):
        return [hashlib.sha256(f.read_bytes()).hexdigest() for f in self.results]

    def time_backends(self):
        say(f"3. The job on worker processes and on threads, in turn, {ROUNDS} times each; the best time of each counts")
        reports, hashes = {}, {}
        for _ in range(ROUNDS):
            for backend in "processes", "threads":
                say(f"   cadre run {self.job.name} --backend {backend}")
                report = self.run(self.job, "--backend", backend)
                if backend in reports and report["digest"] != reports[backend]["digest"]:
                    stop("the digests of two runs differ: this is a fault of Cadre")
                if backend not in reports or report["seconds"] < reports[backend]["seconds"]:
                    reports[backend] = report
                hashes[backend] = self.hashes()
        self.expected, self.expected_hashes = reports["processes"], hashes["processes"]
        say()
        table(reports)
        steps_table(reports)
        if reports["threads"]["digest"] != self.expected["digest"] or hashes["threads"] != self.expected_hashes:
            stop("the results differ: this is a fault of Cadre")
        say(f"   The digests are equal, and so are all bytes of the {len(self.results)} files.")

    # ---- the kill ----
    def kill_one(self):
        say("4. Once more on processes; in the middle one worker gets SIGKILL")
        for attempt in range(KILLS):
            report, pid = self.run_and_kill(self.expected["seconds"] * (0.3 + 0.4 * (attempt % 5) / 5))
            if pid and report["faults"]["crashes"] > 0:
                break
        else:
            say(f"   in {KILLS} runs no worker could be hit in the middle of a chunk: they are too quick with a table of this size")
            return
        say(f"   killed worker {pid}; it held a chunk, which its successor in the same slot finished")
        say()
        table({"one killed": report})
        if report["digest"] != self.expected["digest"] or self.hashes() != self.expected_hashes:
            stop("the results differ from those of the undisturbed run: this is a fault of Cadre")
        say("   The digest and all files are those of the undisturbed run.")

    def run_and_kill(self, after):
        with subprocess.Popen([self.cadre, "run", self.job, "--backend", "processes", "--json"], stdout=subprocess.PIPE) as program:
            while program.poll() is None and not workers_of(program.pid):
                time.sleep(0.001)
            time.sleep(after)
            pid = None
            if busy := workers_of(program.pid):
                pid = max(busy, key=busy.get)
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pid = None
            output = program.stdout.read()
        if program.returncode != 0:
            stop(f"cadre run ended with exit {program.returncode} after a worker was killed")
        return json.loads(output), pid

    # ---- what came out ----
    def show(self, title, x_label, y_label):
        steps = {step["kernel"]: step["result"] for step in self.expected["steps"]}
        delay, shape, heat = steps["standardize"], steps["moments"], steps["histogram2d"]
        rows = npy(self.delay)[1][0]
        say("5. What came out")
        say(f"   delay: mean {delay['mean']:.2f}, deviation {delay['std']:.2f}, skewness {shape['skewness']:.2f}, excess kurtosis {shape['kurtosis']:.1f}")
        counts, sums = column(self.results[1]), column(self.results[2])
        often = max(range(len(counts)), key=counts.__getitem__)
        say(f"   {sum(1 for c in counts if c):,} distances; the most frequent is {often:,}: {counts[often]:,} rows, {sums[often] / counts[often]:.2f} late on average")
        picture = self.folder / "delays.png"
        drawn = subprocess.run([self.bin / "heatmap", self.results[0], picture, "--title", title.format(rows=rows),
                                "--x", str(self.x.lo), str(self.x.hi), x_label, "--y", str(self.y.lo), str(self.y.hi), y_label])
        if drawn.returncode != 0:
            stop("the picture could not be drawn")
        say(f"   the histogram as a picture; {heat['outside']:,} of {rows:,} rows lie outside of it")
        say()
        say("Files written:")
        for path in [self.job, *self.results, picture]:
            say(f"   {shown(path):34} {path.stat().st_size:>12,} bytes")


def shown(path):
    return os.path.relpath(path)


def workers_of(program):
    """The workers of a running program, with the time that each has computed, in clock ticks: those of its descendants that have no
    children themselves (between it and them are the processes that supervise)."""
    parent, ticks = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = pathlib.Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parent[int(entry)], ticks[int(entry)] = int(fields[1]), int(fields[11]) + int(fields[12])

    def is_descendant(pid):
        while pid in parent and pid != program:
            pid = parent[pid]
        return pid == program

    leaves = set(parent) - set(parent.values())
    return {pid: ticks[pid] for pid in leaves if pid != program and parent[pid] != program and is_descendant(pid)}


def table(reports):
    say(f"   {'':12}{'workers':>8}{'seconds':>10}{'GB/s':>8}{'crashes':>9}   digest")
    for name, r in reports.items():
        say(f"   {name:12}{r['workers']:>8}{r['seconds']:>10.3f}{r['bytes_per_second'] / 1e9:>8.2f}{r['faults']['crashes']:>9}   {r['digest']}")
    say()


def steps_table(reports):
    """Where the time went: a row for each step."""
    for index, step in enumerate(next(iter(reports.values()))["steps"]):
        times = "".join(f"{r['steps'][index]['seconds']:>12.3f}" for r in reports.values())
        say(f"   {step['kernel']:18}{times}" if index else f"   {'seconds':18}" + "".join(f"{name:>12}" for name in reports) + f"\n   {step['kernel']:18}{times}")
    say()


def main():
    demo = Demo(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
    if len(sys.argv) > 3:
        demo.take_table(*sys.argv[3:5])
        labels = "{rows:,} rows", pathlib.Path(sys.argv[4]).stem, pathlib.Path(sys.argv[3]).stem
    else:
        demo.make_table(int(os.environ.get("CADRE_DEMO_ROWS", "50000000")))
        labels = "{rows:,} flights: how late, by distance", "distance, miles", "delay, minutes"
    demo.write_job()
    demo.time_backends()
    demo.kill_one()
    demo.show(*labels)


if __name__ == "__main__":
    main()
