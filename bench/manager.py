#!/usr/bin/env python3
"""Python's multiprocessing.Manager for bench_manager: prints 'name microseconds' lines, medians.

    manager.py CALLS"""
import multiprocessing
import multiprocessing.managers
import statistics
import sys
import time


def median(call, calls):
    for _ in range(100):
        call()
    times = []
    for _ in range(calls):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e6


def measure(name, manager, calls):
    d = manager.dict()
    for i in range(1000):
        d[i] = i
    print(f"{name},get {median(lambda: d[7], calls)}")

    def put():
        d[7] = 7

    print(f"{name},set {median(put, calls)}")
    print(f"{name},1000 {thousand(d)}", flush=True)


def thousand(d):
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        found = [d[i] for i in range(1000)]
        times.append(time.perf_counter() - begin)
        assert found == list(range(1000))
    return statistics.median(times) * 1e6


def main():
    calls = int(sys.argv[1])
    with multiprocessing.Manager() as manager:
        measure("unix", manager, calls)
    with multiprocessing.managers.SyncManager(("127.0.0.1", 0), authkey=b"key") as manager:
        measure("tcp", manager, calls)


if __name__ == "__main__":
    main()
