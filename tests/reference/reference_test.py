#!/usr/bin/env python3
"""reference_test.py CADRE flights|weather|zipcodes: jobs on real tables, on processes and on threads, against NumPy and SciPy.

The tables are flights_delay.npy, flights_distance.npy (200,000 rows), weather.npy (n x 8) and zipcodes.npy (n x 2) in the folder $CADRE_TEST_DATA;
without it the test is skipped: exit 77."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import scipy.stats

CADRE, CASE = sys.argv[1:3]
DATA = pathlib.Path(os.environ.get("CADRE_TEST_DATA", ""))
HANDS = [("processes", 2), ("processes", 5), ("threads", 2)]
TILES = 100


def expect(condition, message):
    if not condition:
        sys.exit(f"{CASE}: {message}")


def close(found, wanted, tolerance, what):
    found, wanted = np.asarray(found, float), np.asarray(wanted, float)
    worst = np.max(np.abs(found - wanted) / np.maximum(np.abs(wanted), 1e-3), initial=0)
    expect(found.shape == wanted.shape and worst <= tolerance, f"{what}: relative error {worst:g}, allowed are {tolerance:g}")


def run(folder, *arguments):
    """The report, the same from all hands."""
    reports = []
    for backend, workers in HANDS:
        done = subprocess.run([CADRE, "run", *map(str, arguments), "--backend", backend, "--workers", str(workers), "--json"], cwd=folder, capture_output=True, text=True)
        expect(done.returncode == 0, f"exit {done.returncode} of {arguments} on {backend}\n{done.stderr}")
        reports.append(json.loads(done.stdout))
    for report in reports[1:]:
        expect(report["digest"] == reports[0]["digest"], f"{arguments}: digest {report['digest']} on {report['backend']}, {reports[0]['digest']} on processes")
        expect([s["result"] for s in report.get("steps", [])] == [s["result"] for s in reports[0].get("steps", [])], f"{arguments}: the results of a step differ")
    return reports[0]


def flights(folder):
    """The main job on 20 million rows. A tile's counts and whole-number sums, a hundred times, are those of the table, exactly."""
    delay, distance = (np.load(DATA / f"flights_{name}.npy") for name in ("delay", "distance"))
    rows = len(delay)
    np.save(folder / "delay.npy", np.tile(delay, TILES))
    np.save(folder / "distance.npy", np.tile(distance, TILES))
    (folder / "job.toml").write_text('''
name = "delays"
[arrays]
delay = "delay.npy"
distance = "distance.npy"
[[steps]]
kernel = "clip"
in = ["delay"]
params = { lo = -60, hi = 600 }
out = ["clean"]
[[steps]]
kernel = "standardize"
in = ["clean"]
out = ["./z.npy"]
[[steps]]
kernel = "moments"
in = ["./z.npy"]
[[steps]]
kernel = "histogram2d"
in = ["distance", "delay"]
params = { bins_x = 1000, bins_y = 1000, lo_x = -0.5, hi_x = 2999.5, lo_y = -100.5, hi_y = 899.5 }
out = ["./heat.npy"]
[[steps]]
kernel = "group_sum"
in = ["distance", "delay"]
out = ["./count.npy", "./sum.npy", "./min.npy", "./max.npy"]
''')
    report = run(folder, "job.toml")
    steps = {s["kernel"]: s["result"] for s in report["steps"]}
    expect(report["elements"] == rows * TILES, f"{report['elements']} elements")

    clean = np.clip(delay, -60, 600).astype(float)
    close(steps["standardize"]["mean"], clean.mean(), 1e-12, "mean")
    close(steps["standardize"]["std"], clean.std(), 1e-12, "std")
    z = np.load(folder / "z.npy", mmap_mode="r").reshape(TILES, rows)
    expect(all(np.array_equal(tile, z[0]) for tile in z), "equal delays are not standardised alike")
    close(z[0], (clean - clean.mean()) / clean.std(), 1e-10, "standardised delay")
    close([1 + steps["moments"]["mean"], steps["moments"]["variance"]], [1, 1], 1e-10, "moments of the standardised delay")
    close([steps["moments"][k] for k in ("skewness", "kurtosis")], [scipy.stats.skew(clean), scipy.stats.kurtosis(clean)], 1e-9, "skewness and kurtosis")

    heat = np.histogram2d(distance, delay, bins=[-0.5 + 3.0 * np.arange(1001), -100.5 + np.arange(1001)])[0]
    expect(np.array_equal(np.load(folder / "heat.npy"), TILES * heat), "the 2-d histogram is not NumPy's")
    expect(steps["histogram2d"]["outside"] == TILES * (rows - int(heat.sum())), "the number outside is not NumPy's")
    counts = np.bincount(distance)
    expect(np.array_equal(np.load(folder / "count.npy"), TILES * counts), "the counts by distance are not NumPy's")
    expect(np.array_equal(np.load(folder / "sum.npy"), TILES * np.bincount(distance, weights=delay)), "the sums by distance are not NumPy's")
    for name, of in ("min", np.minimum), ("max", np.maximum):
        wanted = np.full(len(counts), np.inf if name == "min" else -np.inf)
        of.at(wanted, distance, delay.astype(float))
        wanted[counts == 0] = np.nan
        expect(np.array_equal(np.load(folder / f"{name}.npy"), wanted, equal_nan=True), f"{name} by distance is not NumPy's")


def weather(folder):
    table = np.load(DATA / "weather.npy")
    result = run(folder, "covariance", "--in", DATA / "weather.npy")["result"]
    close(result["mean"], table.mean(axis=0), 1e-12, "mean")
    close(result["covariance"], np.cov(table, rowvar=False), 1e-10, "covariance")
    for i, column in enumerate(table.T):
        np.save(folder / "column.npy", column)
        found = run(folder, "moments", "--in", "column.npy")["result"]
        expect(found["count"] == len(column), f"count of column {i}")
        close([found[k] for k in ("mean", "variance", "skewness", "kurtosis")],
              [column.mean(), column.var(), scipy.stats.skew(column), scipy.stats.kurtosis(column)], 1e-9, f"moments of column {i}")


def zipcodes(folder):
    """Five steps of k-means, each from the centres that Cadre found."""
    points = np.load(DATA / "zipcodes.npy")
    k = 16
    np.save(folder / "centers.npy", points[:: len(points) // k][:k])
    for _ in range(5):
        centers = np.load(folder / "centers.npy")
        result = run(folder, "kmeans_step", "--in", DATA / "zipcodes.npy", "--in", "centers.npy",
                     "--out", "centers=next.npy", "--out", "count=count.npy", "--out", "label=label.npy")["result"]
        distance = ((points[:, None, :] - centers[None]) ** 2).sum(axis=2)
        label = np.load(folder / "label.npy")
        chosen = distance[np.arange(len(points)), label]
        expect(np.all(chosen <= distance.min(axis=1) * (1 + 1e-12)), "a point is not given to its nearest centre")
        expect(np.mean(label == distance.argmin(axis=1)) > 0.999, "labels are not those of argmin")
        close(result["inertia"], chosen.sum(), 1e-11, "inertia")
        count = np.bincount(label, minlength=k)
        expect(np.array_equal(np.load(folder / "count.npy"), count), "counts are not those of the labels")
        found = np.load(folder / "next.npy")
        for c in range(k):
            close(found[c], points[label == c].mean(axis=0) if count[c] else centers[c], 1e-11, f"centre {c}")
        np.save(folder / "centers.npy", found)


def main():
    if not DATA.name or not DATA.is_dir():
        print("CADRE_TEST_DATA does not name a folder with the real tables: skipped")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="cadre-reference-") as folder:
        {"flights": flights, "weather": weather, "zipcodes": zipcodes}[CASE](pathlib.Path(folder))


if __name__ == "__main__":
    main()
