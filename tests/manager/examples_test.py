#!/usr/bin/env python3
"""The examples whose manager `cadre manager` starts, over TCP with certificates.

    examples_test.py BIN tree METHOD [RUNS]       manager_dict: one tree of processes writes, another reads
    examples_test.py BIN two_hosts METHOD [RUNS]  the manager in one network namespace, workers in another; exit 77 where they can not be made"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SKIPPED = 77


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Manager:
    def __init__(self, bin, listen, environment, before=()):
        self.process = subprocess.Popen([*before, bin / "cadre", "manager", "--listen", listen], stdout=subprocess.PIPE, text=True, env=environment)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            sys.exit(f"cadre manager said {line!r}")
        self.address = line.split()[-1]

    def __enter__(self):
        return self.address

    def __exit__(self, *_):
        self.process.terminate()
        code = self.process.wait(timeout=30)
        self.process.stdout.close()
        if code != 143:
            sys.exit(f"cadre manager ended with {code}, not 143, after SIGTERM")


def tree(bin, method, environment):
    with Manager(bin, "127.0.0.1:0", environment) as address:
        example = bin / "examples/manager_dict"
        reader = subprocess.Popen([example, method, address], stdout=subprocess.PIPE, text=True, env=environment)
        run(example, method, address, "workers", env=environment)
        out, _ = reader.communicate(timeout=60)
    names = re.findall(r"^Process-(\d) (\d+)$", out, re.M)
    if reader.returncode != 0 or len(out.splitlines()) != 5 or sorted(n for n, _ in names) != list("12345") or len({pid for _, pid in names}) != 5:
        sys.exit(f"exit {reader.returncode}, printed {out!r}")


def two_hosts(bin, method, environment):
    left, right = f"cadre-l{os.getpid()}", f"cadre-r{os.getpid()}"
    pair = f"cad{os.getpid()}"
    try:
        subprocess.run(["ip", "netns", "add", left], check=True, capture_output=True)
        subprocess.run(["ip", "netns", "exec", left, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        subprocess.run(["sh", "-c", f"ip netns del {left}"], capture_output=True)
        print(f"skipped: network namespaces can not be made here: {error}")
        sys.exit(SKIPPED)
    try:
        run("ip", "netns", "add", right)
        run("ip", "link", "add", pair + "l", "netns", left, "type", "veth", "peer", "name", pair + "r", "netns", right)
        for space, end, address in (left, pair + "l", "10.97.0.1/24"), (right, pair + "r", "10.97.0.2/24"):
            run("ip", "-n", space, "addr", "add", address, "dev", end)
            run("ip", "-n", space, "link", "set", end, "up")
        with Manager(bin, "10.97.0.1:0", environment, ["ip", "netns", "exec", left]) as address:
            out = run("ip", "netns", "exec", right, bin / "examples/two_hosts", method, address, env=environment)
        if out != "30 squares, the last is 900; the sum is 465\n":
            sys.exit(f"printed {out!r}")
    finally:
        for space in left, right:
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


def main():
    bin, what, method = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3]
    with tempfile.TemporaryDirectory(prefix="cadre-manager-") as folder:
        environment = os.environ | {"CADRE_MANAGER_CERTIFICATES": folder + "/certificates"}
        run(bin / "cadre", "manager", "init", "--host", "127.0.0.1", "--host", "10.97.0.1", env=environment)
        runs = int((sys.argv[4:] or [1])[0])
        for _ in range(runs):
            {"tree": tree, "two_hosts": two_hosts}[what](bin, method, environment)
        if runs > 1:
            print(f"{what} {method}: {runs} runs, all as they should be")


if __name__ == "__main__":
    main()
