#!/usr/bin/env python3
"""cadre run --expr against numexpr (Debian's python3-numexpr) on 100 million float64 and two threads each.

    expressions.py [PROGRAM [ELEMENTS]]

Both compute from arrays in memory into an array in memory: Cadre in a job file whose first steps copy the inputs, of which the time of the expression's step is taken; numexpr into an
array that is there already. Beside it, for people who work on files, Cadre's time from files to a new file. Medians and quartiles of 7 rounds in turn."""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numexpr
import numpy as np

cadre = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "cadre"
n = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000_000
numexpr.set_num_threads(2)
CASES = [("exp(-x)*log(y)", 3), ("2.5*x + 1.5*y - 0.5", 1.2)]
JOB = """plugin = ["{plugin}"]
workers = 2
no-digest = true
[arrays]
x = "x.npy"
y = "y.npy"
[[steps]]
kernel = "scale"
params = {{ factor = 1.0 }}
in = ["x"]
out = ["x_copy"]
[[steps]]
kernel = "scale"
params = {{ factor = 1.0 }}
in = ["y"]
out = ["y_copy"]
[[steps]]
kernel = "expression"
in = ["x=x_copy", "y=y_copy"]
out = ["result"]
[[steps]]
kernel = "sum"
in = ["result"]
"""

with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)

    def run(*arguments, cache="cache"):
        environment = dict(os.environ, CADRE_CACHE_DIR=str(folder / cache))
        out = subprocess.run([cadre, "run", *arguments, "--json"], check=True, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment).stdout
        return json.loads(out)

    def spread(values):
        q = statistics.quantiles(values, n=4)
        return f"{q[1]:.2f} ({q[0]:.2f} to {q[2]:.2f})"

    rng = np.random.default_rng(1)
    x, y = rng.random(n) + 0.5, rng.random(n) + 0.5
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    out = np.empty(n)
    for number, (expression, wanted) in enumerate(CASES):
        from_files = ["--expr", expression, "--in", "x=x.npy", "--in", "y=y.npy", "--out", "out=out.npy", "--workers", "2", "--no-digest"]
        run(*from_files, cache=f"cache{number}")
        plugin = next((folder / f"cache{number}").glob("**/*.so"))
        (folder / "job.toml").write_text(JOB.format(plugin=plugin))
        ours, files, theirs = [], [], []
        for _ in range(7):
            begin = time.perf_counter()
            numexpr.evaluate(expression, out=out)
            theirs.append(time.perf_counter() - begin)
            told = run("job.toml")
            ours.append(told["steps"][2]["seconds"])
            files.append(run(*from_files, cache=f"cache{number}")["seconds"])
        result = np.load(folder / "out.npy", mmap_mode="r")
        np.testing.assert_allclose(result[::1000], out[::1000], rtol=1e-14, atol=1e-15)
        np.testing.assert_allclose(told["result"]["sum"], out.sum(), rtol=1e-12)
        print(f"{expression:24} cadre {1e3 * statistics.median(ours):6.1f} ms, numexpr {1e3 * statistics.median(theirs):6.1f} ms: {spread([b / a for a, b in zip(ours, theirs)])} times (wanted {wanted})")
        print(f"{'':24} from files to a new file: cadre {1e3 * statistics.median(files):6.1f} ms")
