#!/usr/bin/env python3
"""cadre run --expr against numexpr (Debian's python3-numexpr) on 100 million float64 and two threads each.

    expressions.py [PROGRAM [ELEMENTS]]

Cadre's side is the time of the work that --json tells, with the first touch of a new output file in it; numexpr writes into an array that is there already. Medians of
7 rounds in turn."""
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numexpr
import numpy as np

cadre = sys.argv[1] if len(sys.argv) > 1 else "cadre"
n = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000_000
numexpr.set_num_threads(2)
CASES = [("exp(-x)*log(y)", 3), ("2.5*x + 1.5*y - 0.5", 1.2)]
with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    rng = np.random.default_rng(1)
    x, y = rng.random(n) + 0.5, rng.random(n) + 0.5
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    out = np.empty(n)
    for expression, wanted in CASES:
        ours, theirs = [], []
        for _ in range(7):
            begin = time.perf_counter()
            numexpr.evaluate(expression, out=out)
            theirs.append(time.perf_counter() - begin)
            told = subprocess.run([cadre, "run", "--expr", expression, "--in", f"x={folder}/x.npy", "--in", f"y={folder}/y.npy", "--out", f"out={folder}/out.npy",
                                   "--workers", "2", "--json", "--no-digest"], check=True, capture_output=True, text=True).stdout
            ours.append(json.loads(told)["seconds"])
        result = np.load(folder / "out.npy", mmap_mode="r")
        np.testing.assert_allclose(result[::1000], out[::1000], rtol=1e-14, atol=1e-15)
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"{expression:24} cadre {a * 1e3:7.1f} ms, numexpr {b * 1e3:7.1f} ms, {b / a:.2f} times (wanted {wanted})")
