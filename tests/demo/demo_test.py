#!/usr/bin/env python3
"""demo_test.py ROOT BIN table|picture|own|given"""
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy as np

ROOT, BIN = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])


def run(*command, **environment):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=os.environ | environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def expect(condition, message):
    if not condition:
        sys.exit(message)


def table(folder):
    """600,000 rows are three blocks: one thread makes all of them, or each of several some."""
    cpu = min(os.sched_getaffinity(0))
    run("taskset", "-c", cpu, BIN / "demo_table", folder / "one", 600_000)
    run(BIN / "demo_table", folder / "all", 600_000)
    for name, dtype in ("delay", np.int16), ("distance", np.int16), ("time", np.float32):
        one, other = (np.load(folder / who / f"{name}.npy") for who in ("one", "all"))
        expect(one.dtype == dtype and one.shape == (600_000,), f"{name} is {one.dtype} {one.shape}")
        expect(np.array_equal(one, other), f"{name} differs with the number of threads")
    delay, distance, time = (np.load(folder / "one" / f"{n}.npy").astype(float) for n in ("delay", "distance", "time"))
    expect(abs(np.median(delay)) < 10 and delay.max() > 600 and delay.min() > -121, "delay is not skewed as described")
    expect(distance.min() > 0 and 0 <= time.min() and time.max() < 24, "a distance or time is out of range")
    expect(delay[(time >= 20)].mean() > delay[(time > 4) & (time < 9)].mean() + 2, "delays do not grow in the course of the day")


def picture_size(path):
    """Width and height of a PNG whose parts have the check sums that they claim."""
    data = path.read_bytes()
    expect(data[:8] == b"\x89PNG\r\n\x1a\n", f"{path} is no PNG")
    at = 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at:at + 4])
        (claimed,) = struct.unpack(">I", data[at + 8 + length:at + 12 + length])
        expect(zlib.crc32(data[at + 4:at + 8 + length]) == claimed, f"{path} is damaged")
        at += 12 + length
    return struct.unpack(">II", data[16:24])


def pixels(path):
    """The palette's indexes of a PNG with one byte for a pixel."""
    width, height = picture_size(path)
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at:at + 4])
        packed += data[at + 8:at + 8 + length] if data[at + 4:at + 8] == b"IDAT" else b""
        at += 12 + length
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, width + 1)
    expect(not lines[:, 0].any(), "the picture's lines are filtered; this test reads unfiltered ones")
    return lines[:, 1:]


def picture(folder):
    """A picture of equal counts has one colour, however many bins share a pixel; a single count is seen where it belongs."""
    def plot(counts):
        np.save(folder / "counts.npy", counts)
        run(BIN / "heatmap", folder / "counts.npy", folder / "out.png", "--size", 300, 130)
        drawn, unit = pixels(folder / "out.png"), 10
        return drawn[4 * unit:4 * unit + 130, 6 * unit:6 * unit + 300]

    for shape in (1000, 1000), (300, 130), (7, 11):
        expect(len(np.unique(plot(np.full(shape, 1000, np.int64)))) == 1, f"equal counts of {shape} have several colours")
    one = np.zeros((300, 130), np.int64)
    one[20, 30] = 5
    drawn = plot(one)
    expect(np.argwhere(drawn != drawn[0, 0]).tolist() == [[130 - 1 - 30, 20]], "a single count is not where it belongs")


def demo(folder, *files, **environment):
    said = run(sys.executable, ROOT / "examples/demo/demo.py", BIN, folder / "demo", *files, **environment)
    expect("The digest and all files are those of the undisturbed run." in said, said)
    expect(min(picture_size(folder / "demo/delays.png")) > 500, "the picture is too small")


def check(folder, delay, distance, x_edges, y_edges):
    """The results, against NumPy on the same columns."""
    heat = np.load(folder / "demo/heat.npy")
    expect(np.array_equal(heat, np.histogram2d(distance, delay, bins=[x_edges, y_edges])[0]), "the histogram is wrong")
    expect(np.array_equal(np.load(folder / "demo/flights.npy"), np.bincount(distance)), "the counts are wrong")
    sums = np.bincount(distance, weights=delay)
    expect(np.allclose(np.load(folder / "demo/late.npy"), sums, rtol=1e-12, atol=1e-6 * len(delay) * 1e-6), "the sums are wrong")


def own(folder):
    demo(folder, CADRE_DEMO_ROWS="10000000")
    delay, distance = (np.load(folder / f"demo/{n}.npy") for n in ("delay", "distance"))
    check(folder, delay, distance, -0.5 + 3.0 * np.arange(1001), -100.5 + np.arange(1001))


def given(folder):
    random = np.random.default_rng(11)
    distance = random.integers(3, 900, 10_000_000, dtype=np.uint32)
    delay = random.normal(5, 40, len(distance))
    np.save(folder / "late.npy", delay)
    np.save(folder / "far.npy", distance)
    demo(folder, folder / "late.npy", folder / "far.npy")
    check(folder, delay, distance, 2.5 + np.arange(1001), np.linspace(delay.min(), delay.max(), 1001))


def main():
    with tempfile.TemporaryDirectory(prefix="cadre-demo-") as folder:
        {"table": table, "picture": picture, "own": own, "given": given}[sys.argv[3]](pathlib.Path(folder))


if __name__ == "__main__":
    main()
