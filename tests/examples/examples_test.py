#!/usr/bin/env python3
"""Runs an example under a start method and compares what it prints with what is said of it.

    examples_test.py PROGRAM METHOD [RUNS]   RUNS: so many times; how many hung (30 s) or printed something else is told"""
import pathlib
import re
import subprocess
import sys

# Regular expressions of all of stdout, and of what must be in stderr.
SAID = {
    "five_processes": (r"0 0 0 0 0\n", [rf"\[INFO/Process-{i}:\d+\] {say}\n" for i, say in enumerate(
        ["worker 0 says hello", "worker 1 says hello", "worker 2 says hello", "hello, Ada", "hello, Charles"], 1)]),
    "shared_value": (r"2\.0\n", []),
    "shared_structs": (r"5\.0625\nHELLO WORLD\n\(1, 1296\) \(625, 16\) \(16, 6561\)\n", []),
    "not_thread_safe": (r"threads: (crash|wrong|hang)\nprocesses: right\n", []),
    "signals_and_files": (r"exit code 0, state saved\nsum of squares 338350\n", []),
    "pool_map": (r"0 1 4 9 16 25 36 49 64 81\nexception: std::out_of_range: no such row: 123\nworker died: signal 11 in risky \(pool_map\.cpp:\d+\)\n998 results\nand on: 144\n", []),
    "producers_consumers": (r"1000000 items of four producers arrived, each once\nthe killed one: exit code -9, every item that it had put arrived once\n", []),
    "pipe_ping_pong": (r"2001\n65536\.0\nping, pong\nexit code 7\n", []),
    "listener_client": (r"(open sesame: let in, exit code 0\nopen barley: refused, exit code 1\n){2}", []),
    "manager_dict": (r"(Process-[2-6] \d+\n){5}", []),
    "nested_manager": (r"400 in the list, their sum is 79800\n(worker \d: 100\n){4}together: 400\n", []),
    "two_hosts": (r"30 squares, the last is 900; the sum is 465\n", []),
    "posix_queue": (r"9 the kitchen is on fire\n5 mind the step\n1 tea at five\n", []),
}


def fault(program, method):
    name = pathlib.Path(program).name
    stdout, stderr = SAID[name]
    try:
        done = subprocess.run([program, method], capture_output=True, text=True, timeout=100)
    except subprocess.TimeoutExpired:
        return "hung"
    if done.returncode != 0:
        return f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    if not re.fullmatch(stdout, done.stdout):
        return f"printed {done.stdout!r}, not {stdout!r}\n{done.stderr}"
    missing = [line for line in stderr if not re.search(line, done.stderr)]
    # Every line of a log is whole.
    torn = [line for line in done.stderr.splitlines() if stderr and not re.fullmatch(r"\[[A-Z]+/[\w:-]+:\d+\] .+", line)]
    if missing or torn:
        return f"missing on stderr: {missing}, torn: {torn}\n{done.stderr}"
    return None


def main():
    program, method = sys.argv[1:3]
    faults = [f for f in (fault(program, method) for _ in range(int((sys.argv[3:] or [1])[0]))) if f]
    if len(sys.argv) > 3:
        print(f"{pathlib.Path(program).name} {method}: {sys.argv[3]} runs, {faults.count('hung')} hung, {len(faults) - faults.count('hung')} otherwise wrong")
    sys.exit("\n".join(faults[:3]) if faults else 0)


if __name__ == "__main__":
    main()
