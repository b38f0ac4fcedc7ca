#!/usr/bin/env python3
"""digest_test.py CADRE: the digest that the program prints is the one that digest.py computes from what the program wrote."""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from digest import digest  # noqa: E402

CADRE = sys.argv[1]


def run(folder, *arguments):
    done = subprocess.run([CADRE, "run", *map(str, arguments), "--json"], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cadre run {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def inputs(folder):
    random = np.random.default_rng(5)
    np.save(folder / "x.npy", random.normal(0, 1, 300_007))           # 2.3 blocks
    np.save(folder / "whole.npy", random.uniform(1, 2, 2 * 131_072))  # two blocks and no more
    np.save(folder / "bytes.npy", random.integers(0, 200, 1_500_001, dtype=np.uint8))
    np.save(folder / "float.npy", random.uniform(1, 2, 70_000).astype(np.float32))
    np.save(folder / "nothing.npy", np.zeros(0))
    np.save(folder / "key.npy", random.integers(0, 50_000, 300_007, dtype=np.int32))
    np.save(folder / "points.npy", random.normal(0, 1, (100_003, 3)))
    np.save(folder / "centers.npy", random.normal(0, 1, (4, 3)))
    (folder / "job.toml").write_text('''
name = "steps"
[arrays]
x = "x.npy"
key = "key.npy"
[[steps]]
kernel = "standardize"
in = ["x"]
out = ["./early.npy"]
[[steps]]
kernel = "axpy"
in = ["./early.npy", "x"]
params = { a = 3 }
out = ["y"]
[[steps]]
kernel = "group_sum"
in = ["key", "y"]
out = ["./count.npy", "./sum.npy", "./min.npy", "./max.npy"]
''')


# What is run, and the files of its digest in declared order.
JOBS = [
    (["sum", "--in", "x.npy"], []),
    (["sum", "--in", "bytes.npy"], []),
    (["moments", "--in", "float.npy"], []),
    (["sum", "--in", "nothing.npy"], []),
    (["covariance", "--in", "points.npy"], []),
    (["covariance", "--in", "points.npy", "--out", "covariance.npy"], ["covariance.npy"]),
    (["axpy", "--in", "x.npy", "--in", "x.npy", "--out", "y.npy"], ["y.npy"]),
    (["sqrt", "--in", "whole.npy", "--out", "y.npy"], ["y.npy"]),
    (["sqrt", "--in", "float.npy", "--out", "y.npy"], ["y.npy"]),
    (["exp", "--in", "nothing.npy", "--out", "y.npy"], ["y.npy"]),
    (["clip", "--in", "bytes.npy", "--param", "hi=100", "--out", "y.npy"], ["y.npy"]),
    (["standardize", "--in", "x.npy", "--out", "y.npy"], ["y.npy"]),
    (["histogram", "--in", "x.npy", "--param", "bins=10", "--param", "lo=-1", "--param", "hi=1"], []),
    (["histogram", "--in", "x.npy", "--param", "bins=1000000", "--param", "lo=-1", "--param", "hi=1", "--out", "y.npy"], ["y.npy"]),
    (["bincount", "--in", "key.npy", "--out", "y.npy"], ["y.npy"]),
    (["group_sum", "--in", "key.npy", "--in", "x.npy", *(a for n in ("max", "count", "min", "sum") for a in ("--out", f"{n}={n}.npy"))],
     ["count.npy", "sum.npy", "min.npy", "max.npy"]),
    (["kmeans_step", "--in", "points.npy", "--in", "centers.npy"], []),
    (["kmeans_step", "--in", "points.npy", "--in", "centers.npy", "--out", "label=label.npy", "--out", "centers=c.npy", "--out", "count=n.npy"], ["c.npy", "n.npy", "label.npy"]),
    (["kmeans_step", "--in", "points.npy", "--in", "centers.npy", "--out", "label=label.npy"], ["label.npy"]),
    (["matmul", "--in", "points.npy", "--in", "right.npy", "--out", "y.npy"], ["y.npy"]),
    (["job.toml"], ["count.npy", "sum.npy", "min.npy", "max.npy"]),
]


def main():
    with tempfile.TemporaryDirectory(prefix="cadre-digest-") as name:
        folder = pathlib.Path(name)
        inputs(folder)
        np.save(folder / "right.npy", np.arange(12.0).reshape(3, 4))
        wrong = 0
        for arguments, files in JOBS:
            for backend in ("serial", "--workers=1"), ("threads", "--workers=3"), ("processes", "--workers=2"):
                report = run(folder, *arguments, "--backend", *backend)
                expected = digest([np.load(folder / f) for f in files], report["result"])
                if report["digest"] != expected:
                    print(f"cadre run {' '.join(arguments)} on {backend[0]}: digest {report['digest']}, recomputed {expected}")
                    wrong += 1
        print(f"{3 * len(JOBS)} runs, {wrong} digests differ")
        sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
