#!/usr/bin/env python3
"""Builds the plug-in, runs its kernels on the arguments of values.csv and on a million more, and compares with the table and with SciPy.

    compare.py [PROGRAM]      by default cadre"""
import csv
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import scipy.special as sp

HERE = pathlib.Path(__file__).resolve().parent
PARAMETER = {"bessel_j": "n", "hurwitz_zeta": "q"}
SCIPY = {
    "bessel_j": (lambda x, n: sp.jn(int(n), x), (0, 50), 3, 1e-10),
    "airy_ai": (lambda x, _: sp.airy(x)[0], (-10, 10), None, 1e-10),
    "hurwitz_zeta": (lambda s, q: sp.zeta(s, q), (1.5, 20), 0.75, 1e-12),
    "dilogarithm": (lambda x, _: sp.spence(1 - x), (-5, 1), None, 1e-12),
}

cadre = sys.argv[1] if len(sys.argv) > 1 else "cadre"
with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    plugin = folder / "special.so"
    subprocess.run([cadre, "build", HERE / "special.cpp", "-o", plugin, "--", "-lgsl", "-lgslcblas"], check=True)

    def run(kernel, x, parameter):
        np.save(folder / "x.npy", np.asarray(x, dtype=float))
        given = ["--param", f"{PARAMETER[kernel]}={parameter}"] if parameter else []
        subprocess.run([cadre, "run", kernel, "--plugin", plugin, "--in", folder / "x.npy", "--out", folder / "y.npy", "--quiet", *given], check=True)
        return np.load(folder / "y.npy")

    rows = list(csv.DictReader(line for line in open(HERE / "values.csv") if not line.startswith("#")))
    for kernel, parameter in dict.fromkeys((r["kernel"], r["parameter"]) for r in rows):
        these = [r for r in rows if (r["kernel"], r["parameter"]) == (kernel, parameter)]
        got = run(kernel, [float(r["x"]) for r in these], parameter)
        np.testing.assert_allclose(got, [float(r["value"]) for r in these], rtol=2e-14, err_msg=f"{kernel} {parameter}")
    print(f"{len(rows)} values of the table: right")

    for kernel, (function, (lo, hi), parameter, tolerance) in SCIPY.items():
        x = np.random.default_rng(5).uniform(lo, hi, 1_000_000)
        expected = function(x, parameter)
        got = run(kernel, x, parameter)
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=tolerance, err_msg=kernel)
        print(f"{kernel}: a million arguments from {lo} to {hi} agree with SciPy")
    assert np.isnan(run("bessel_j", [np.nan], 0)).all()
