#!/usr/bin/env python3
"""Installs a build to a temporary prefix and uses it as a stranger would.

    install_test.py SOURCE BUILD program    a project with find_package(cadre) builds and runs examples/five_lines.cpp
    install_test.py SOURCE BUILD plugin     a plug-in in C is built with pkg-config's flags and run by the installed program
    install_test.py SOURCE BUILD kernels    the README's section on kernels of one's own, command by command
    install_test.py SOURCE BUILD project    what `cadre new` writes builds with CMake and passes its tests
    install_test.py SOURCE BUILD gsl        the example with the GNU Scientific Library, against its table and SciPy
    install_test.py SOURCE BUILD headers    every installed header compiles by itself
"""
import concurrent.futures
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def expect(condition, message):
    if not condition:
        sys.exit(message)


def program(source, prefix, work):
    """The sum of 2 sqrt(i/n), i < n, by Euler and Maclaurin: 2 (2n/3 - 1/2 + zeta(-1/2)/sqrt(n) + 1/(24n) + O(n^-3))."""
    project = work / "consumer"
    shutil.copytree(source / "tests/install/consumer", project)
    shutil.copy(source / "examples/five_lines.cpp", project)
    shutil.copy(source / "examples/processes/nested_manager.cpp", project)
    run("cmake", "-G", "Ninja", "-S", project, "-B", work / "build", f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", work / "build")
    total, bins = run(work / "build/five_lines").split()
    n = 50_000_000
    expected = 2 * (2 * n / 3 - 0.5 - 0.20788622497735457 / math.sqrt(n) + 1 / (24 * n))
    # The worst that adding n numbers one after the other in chunks of 2^20, then the chunks, can do to the last digits.
    bound = 2**20 * 2.0**-53 * expected
    expect(abs(float(total) - expected) <= bound, f"the sum is {total}, not {expected:.6f} within {bound:.3g}")
    expect(bins == "1000000", f"{bins} bins, not 1000000")
    said = run(work / "build/nested_manager", "spawn")
    expect("together: 400" in said, f"nested_manager said {said}")
    expect("--listen" in run(prefix / "bin/cadre", "manager", "--help"), "cadre manager does not find its program")


def plugin(source, prefix, work):
    (pc,) = prefix.rglob("cadre.pc")
    flags = run("pkg-config", "--cflags", "cadre", env=os.environ | {"PKG_CONFIG_PATH": str(pc.parent)}).split()
    library = work / "growth.so"
    run("cc", "-std=c11", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Werror", "-shared", "-fPIC", "-O2", *flags,
        source / "examples/plugin/growth.c", "-lm", "-o", library)
    x = np.random.default_rng(7).lognormal(size=100_000)
    np.save(work / "x.npy", x)
    cadre = prefix / "bin/cadre"

    for backend in "serial", "threads", "processes":
        common = ["--plugin", library, "--in", work / "x.npy", "--backend", backend, "--workers", 2, "--json"]
        run(cadre, "run", "logistic", *common, "--param", "k=2", "--param", "x0=0.5", "--out", work / "y.npy")
        expected = 1 / (1 + np.exp(-2 * (x - 0.5)))
        expect(np.allclose(np.load(work / "y.npy"), expected, rtol=1e-14, atol=0), f"logistic is wrong on {backend}")
        report = json.loads(run(cadre, "run", "geometric_mean", *common))
        mean = report["result"]["geometric_mean"]
        expect(math.isclose(mean, np.exp(np.mean(np.log(x))), rel_tol=1e-12), f"geometric_mean is {mean} on {backend}")

    refused = subprocess.run([cadre, "run", "logistic", "--plugin", library, "--in", work / "x.npy", "--param", "k=0", "--out", work / "z.npy"],
                             capture_output=True, text=True)
    expect(refused.returncode == 2 and "the curve would be flat" in refused.stderr, f"k=0: exit {refused.returncode}, {refused.stderr}")
    np.save(work / "x.npy", -x)
    refused = subprocess.run([cadre, "run", "geometric_mean", "--plugin", library, "--in", work / "x.npy"], capture_output=True, text=True)
    expect(refused.returncode == 1 and "positive numbers" in refused.stderr, f"negative x: exit {refused.returncode}, {refused.stderr}")


def kernels(source, prefix, work):
    """The files of the commands are the examples'; what comes out is computed again with NumPy."""
    for file in (source / "examples/plugin").iterdir():
        shutil.copy(file, work)
    rng = np.random.default_rng(11)
    x, y = rng.random(50_000), rng.normal(size=50_000)
    places = {name: rng.uniform(-90, 90, 1000) for name in ("lat1", "lat2")} | {name: rng.uniform(-180, 180, 1000) for name in ("lon1", "lon2")}
    np.save(work / "x.npy", x)
    for name, values in places.items():
        np.save(work / f"{name}.npy", values)
    section = re.search(r"^## Kernels of your own$(.*?)^## ", (source / "README.md").read_text(), re.S | re.M).group(1)
    commands = [line.split("#")[0].strip() for block in re.findall(r"^```sh\n(.*?)^```", section, re.S | re.M) for line in block.splitlines()]
    expect(len(commands) >= 13, f"the README's section has {len(commands)} commands")
    environment = os.environ | {"PATH": f"{prefix}/bin:{os.environ['PATH']}", "CADRE_CACHE_DIR": str(work / "cache")}
    told = {}
    for command in commands:
        told[command] = run("sh", "-c", command, cwd=work, env=environment)
        if command.startswith("cadre run sigmoid"):
            expect(np.allclose(np.load(work / "y.npy"), 1 / (1 + np.exp(-2 * x)), rtol=1e-15, atol=0), "sigmoid is wrong")
            np.save(work / "y.npy", y)
    both = json.loads(run("sh", "-c", "cadre run bin_mean --plugin ./bin_mean.so --in x=x.npy --in y=y.npy --json", cwd=work, env=environment))["result"]
    bins = np.minimum((x / 0.1).astype(int), 9)
    expect(both["count"] == np.bincount(bins, minlength=10).tolist(), f"bin_mean counts {both['count']}")
    expect(np.allclose(both["sum"], np.bincount(bins, y, 10), rtol=1e-10, atol=1e-10), f"bin_mean sums {both['sum']}")
    expect(both["largest"] == [float(y[bins == b].max()) for b in range(10)], f"bin_mean's largest are {both['largest']}")
    rms = json.loads(run("sh", "-c", "cadre run rms --plugin ./rms.so --in x.npy --json", cwd=work, env=environment))["result"]["rms"]
    expect(math.isclose(rms, np.sqrt(np.mean(x * x)), rel_tol=1e-12), f"rms is {rms}")
    a1, o1, a2, o2 = (np.radians(places[name]) for name in ("lat1", "lon1", "lat2", "lon2"))
    h = np.sin((a2 - a1) / 2) ** 2 + np.cos(a1) * np.cos(a2) * np.sin((o2 - o1) / 2) ** 2
    expect(np.allclose(np.load(work / "km.npy"), 2 * 6371.0088 * np.arcsin(np.sqrt(h)), rtol=1e-9), "haversine is wrong")
    expect(np.allclose(np.load(work / "z.npy"), 2 * np.sqrt(x) + np.log1p(x), rtol=1e-15, atol=0), "the expression is wrong")


def project(source, prefix, work):
    environment = os.environ | {"CADRE_CACHE_DIR": str(work / "cache")}
    run(prefix / "bin/cadre", "new", "logistic", cwd=work, env=environment)
    run("cmake", "-G", "Ninja", "-S", work / "logistic", "-B", work / "build", f"-DCMAKE_PREFIX_PATH={prefix}", env=environment)
    run("cmake", "--build", work / "build", env=environment)
    run("ctest", "--test-dir", work / "build", "--no-tests=error", env=environment)


def gsl(source, prefix, work):
    shutil.copytree(source / "examples/gsl", work / "gsl")
    run(sys.executable, work / "gsl/compare.py", prefix / "bin/cadre", env=os.environ | {"CADRE_CACHE_DIR": str(work / "cache")})


def headers(source, prefix, work):
    """One that its own source includes before all others was compiled by itself when Cadre was built; the others are now, and all together, which needs whatever they include."""
    top = prefix / "include"
    found = sorted(top.rglob("*.hpp")) + sorted(top.rglob("*.h"))
    names = [str(header.relative_to(top)) for header in found]
    expect("cadre/cadre.hpp" in names, "cadre/cadre.hpp is not installed")

    def compiled_by_itself(name):
        own = source / pathlib.Path(name).relative_to("cadre").with_suffix(".cpp")
        return own.exists() and re.search(r'^#include [<"](.*)[>"]', own.read_text(), re.M).group(1) == name

    def compile_unit(included):
        language = ["cc", "-std=c11", "-x", "c"] if included[0].endswith(".h") else ["c++", "-std=c++20", "-x", "c++"]
        unit = "".join(f"#include <{name}>\n" for name in included)
        return subprocess.run([*language, "-fsyntax-only", "-I", top, "-I", "/usr/include/eigen3", "-"], input=unit, capture_output=True, text=True)

    units = [[name for name in names if name.endswith(".hpp")]] + [[name] for name in names if not compiled_by_itself(name)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = [f"{unit[0] if len(unit) == 1 else 'all headers'}:\n{done.stderr}" for unit, done in zip(units, pool.map(compile_unit, units)) if done.returncode != 0]
    expect(not wrong, "\n".join(wrong))


def main():
    source, build = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory(prefix="cadre-install-") as folder:
        work = pathlib.Path(folder)
        prefix = work / "prefix"
        run("cmake", "--install", build, "--prefix", prefix, "--strip")
        {"program": program, "plugin": plugin, "kernels": kernels, "project": project, "gsl": gsl, "headers": headers}[sys.argv[3]](source, prefix, work)


if __name__ == "__main__":
    main()
