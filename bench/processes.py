#!/usr/bin/env python3
"""The same as bench_processes does, with Python's multiprocessing: prints 'name microseconds' lines, medians.

    processes.py ROUNDS"""
import multiprocessing
import os
import signal
import statistics
import sys
import time


def nothing():
    pass


def take(lock, taken):
    lock.acquire()
    taken.set()
    signal.pause()


def start_and_join(method, rounds):
    context = multiprocessing.get_context(method)
    times = []
    for i in range(rounds + 2):
        begin = time.perf_counter()
        p = context.Process(target=nothing)
        p.start()
        p.join()
        if i >= 2:  # the fork server is started by the first
            times.append(time.perf_counter() - begin)
        assert p.exitcode == 0
    return statistics.median(times) * 1e6


def uncontended(lock, rounds=200_000):
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(rounds):
            lock.acquire()
            lock.release()
        times.append((time.perf_counter() - begin) / rounds)
    return statistics.median(times) * 1e6


def main():
    rounds = int(sys.argv[1])
    for method in "fork", "forkserver", "spawn":
        print(f"start+join,{method} {start_and_join(method, rounds)}", flush=True)
    print(f"Lock {uncontended(multiprocessing.Lock())}")
    print(f"RLock {uncontended(multiprocessing.RLock())}")
    print(f"Semaphore {uncontended(multiprocessing.Semaphore(1))}")


if __name__ == "__main__":
    main()
