#!/usr/bin/env python3
"""What plug-ins cost beside their own work: building, crossing the boundary once per chunk, the sandbox.

    plugins.py [PROGRAM]

Medians and quartiles; where two are compared they take turns, and the ratio is that within a turn."""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

cadre = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "cadre"
example = pathlib.Path(__file__).resolve().parent.parent / "examples/plugin/sigmoid.cpp"
SCALE = '#include <cadre/kernels/plugin.hpp>\nCADRE_MAP(twice, (double x, double factor = 1.0), factor * x, "A multiple of x.")\n'


def spread(values):
    q = statistics.quantiles(values, n=4)
    return f"{q[1]:.4g} ({q[0]:.4g} to {q[2]:.4g})"


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)

    def run(*arguments, cache="cache"):
        environment = dict(os.environ, CADRE_CACHE_DIR=str(folder / cache))
        begin = time.perf_counter()
        out = subprocess.run([cadre, *map(str, arguments)], check=True, capture_output=True, text=True, cwd=folder, env=environment).stdout
        return time.perf_counter() - begin, out

    def seconds(*arguments):
        return json.loads(run("run", *arguments, "--json", "--no-digest")[1])["seconds"]

    cold = [run("build", example, "-o", "sigmoid.so", cache=f"cold{k}")[0] for k in range(5)]
    cached = [run("build", example, "-o", "sigmoid.so", cache="cold0")[0] for _ in range(21)]
    print(f"cadre build, cold: {spread(cold)} s (wanted: below 3)")
    print(f"cadre build, kept: {spread([1e3 * t for t in cached])} ms (wanted: below 20)")

    # Chunks of one element: all that is left is what a chunk costs. The built-in scale is the same work without the boundary.
    (folder / "twice.cpp").write_text(SCALE)
    run("build", "twice.cpp")
    n = 1_000_000
    np.save(folder / "x.npy", np.random.default_rng(1).random(n))
    common = ["--in", "x=x.npy", "--out", "out=y.npy", "--param", "factor=2", "--chunk", "1", "--backend", "serial"]
    plugin, builtin = [], []
    for _ in range(15):
        plugin.append(1e9 * seconds("twice", "--plugin", "./twice.so", *common) / n)
        builtin.append(1e9 * seconds("scale", *common) / n)
    print(f"a chunk of one element, all of the engine's work with it: plug-in {spread(plugin)} ns, built-in {spread(builtin)} ns")
    print(f"  the boundary: {spread([p - b for p, b in zip(plugin, builtin)])} ns (wanted: below 100)")

    np.save(folder / "x.npy", np.random.default_rng(1).random(50_000_000))
    ratios = []
    for turn in range(15):
        both = {}
        for sandbox in ([], ["--sandbox"])[:: 1 if turn % 2 else -1]:
            both[bool(sandbox)] = seconds("sigmoid", "--plugin", "./sigmoid.so", "--in", "x=x.npy", "--out", "out=y.npy", "--workers", "2", *sandbox)
        ratios.append(100 * (both[True] / both[False] - 1))
    print(f"the sandbox, sigmoid of 50 million numbers: {spread(ratios)} % (wanted: below 1)")
