#!/usr/bin/env python3
"""Makes each call of a job into the system fail, one at a time: the job must end with an error or with the right answer, never hang, and leave nothing behind.

    sweep.py PROGRAM LIBRARY [--most N]     N: calls of one name that are tried, evenly spread (0, if not given: all)
"""
import argparse
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

HANG = 30  # seconds; a job takes a twentieth of one
SHORT = ("write", "pwrite", "read", "pread")
PR_SET_CHILD_SUBREAPER = 36

JOB = """
[arrays]
key = "{folder}/key.npy"
x = "{folder}/x.npy"

[[steps]]
kernel = "sqrt"
in = ["x"]
out = ["y"]

[[steps]]
kernel = "clip"
in = ["y"]
out = ["y"]
params = {{ lo = 0.1, hi = 0.9 }}

[[steps]]
kernel = "axpy"
in = ["y", "x"]
out = ["{folder}/z.npy"]
params = {{ a = 2.0 }}

[[steps]]
kernel = "group_sum"
in = ["key", "y"]
out = ["{folder}/count.npy", "{folder}/sum.npy"]
"""


class Sweep:
    def __init__(self, program, library, folder):
        self.program, self.library, self.folder = program, library, pathlib.Path(folder)
        rng = np.random.default_rng(1)
        np.save(self.folder / "x.npy", rng.random(200_000))
        np.save(self.folder / "key.npy", rng.integers(0, 5_000, 200_000, dtype=np.int32))
        (self.folder / "job.toml").write_text(JOB.format(folder=self.folder))
        self.inputs = sorted(os.listdir(self.folder))
        self.before = shm()

    def run(self, **environment):
        """Runs the job; returns what there is to say about it, and whether it left anything."""
        for name in set(os.listdir(self.folder)) - set(self.inputs):
            (self.folder / name).unlink()
        process = subprocess.Popen([self.program, "run", str(self.folder / "job.toml"), "--workers", "2", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=os.environ | {"LD_PRELOAD": self.library} | environment, start_new_session=True)
        hung = False
        try:
            out, err = process.communicate(timeout=HANG)
        except subprocess.TimeoutExpired:
            hung = True
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        return process.returncode, out.decode(), err.decode(), hung, self.left()

    def left(self):
        """Descendants that live on: this process is their subreaper."""
        until = time.monotonic() + 10
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    if time.monotonic() > until:
                        break
                    time.sleep(0.001)
            except ChildProcessError:
                return []
        left = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        for pid in left:
            os.kill(int(pid), signal.SIGKILL)
        return left

    def outputs(self):
        return {name: (self.folder / name).read_bytes() for name in set(os.listdir(self.folder)) - set(self.inputs)}


def shm():
    return sorted(os.listdir("/dev/shm"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("library")
    parser.add_argument("--most", type=int, default=0)
    a = parser.parse_args()
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("this process can not become a subreaper")
    wrong, tried, right, failed = [], 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        sweep = Sweep(a.program, a.library, folder)
        counts_file = f"{folder}.counts"
        code, out, err, hung, left = sweep.run(CADRE_FAIL_COUNTS=counts_file)
        if code != 0 or hung or left:
            sys.exit(f"the undisturbed job: exit {code}\n{out}{err}")
        digest, files = json.loads(out)["digest"], sweep.outputs()
        counts = {name: int(n) for name, n in (line.split() for line in pathlib.Path(counts_file).read_text().splitlines())}
        os.unlink(counts_file)
        print("calls of the undisturbed job:", ", ".join(f"{name} {n}" for name, n in counts.items() if n))
        for name, count in counts.items():
            numbers = range(1, count + 1)
            if a.most and count > a.most:
                numbers = sorted({1 + i * (count - 1) // (a.most - 1) for i in range(a.most)})
            for mode in ("", ":s") if name in SHORT else ("",):
                for number in numbers:
                    fault = f"{name}:{number}{mode}"
                    code, out, err, hung, left = sweep.run(CADRE_FAIL=fault)
                    now = sweep.outputs()
                    tried += 1

                    def note(what):
                        wrong.append(f"{fault}: {what}\n  exit {code}\n  {out.strip()[:300]}\n  {err.strip()[:600]}")

                    if hung:
                        note(f"hangs for {HANG} s")
                    elif left:
                        note(f"processes are left: {left}")
                    elif shm() != sweep.before:
                        note("something is left in /dev/shm")
                    elif code == 0:
                        right += 1
                        try:
                            said = json.loads(out)["digest"]
                        except (json.JSONDecodeError, KeyError):
                            said = None
                        if said != digest:
                            note("exit 0, and not the digest")
                        elif now != files:
                            note(f"exit 0, and other files: {sorted(now)}")
                    elif code < 0:
                        note(f"died of signal {-code}")
                    else:
                        failed += 1
                        if not err.strip() and '"error"' not in out:
                            note("failed without a word")
                        if name != "write" and any(now.get(file) != files[file] for file in now):
                            note(f"failed, and half an output is left: {sorted(now)}")
                        elif set(now) - set(files):
                            note(f"failed, and these files are left: {sorted(set(now) - set(files))}")
    print(f"{tried} calls made to fail: {right} times the right answer all the same, {failed} times an error")
    if wrong:
        sys.exit(f"{len(wrong)} wrong:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main()
