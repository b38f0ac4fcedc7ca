#!/usr/bin/env python3
"""The same as bench_processes does, with Python's multiprocessing: prints 'name microseconds' (of queues: items per second) lines, medians.

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


def plus_one(x):
    return x + 1


def pool_map():
    with multiprocessing.Pool(2) as pool:
        pool.map(plus_one, range(1000))
        times = []
        for _ in range(7):
            begin = time.perf_counter()
            found = pool.map(plus_one, range(100_000))
            times.append(time.perf_counter() - begin)
            assert found[-1] == 100_000
        return statistics.median(times) * 1e6


def pool_apply():
    with multiprocessing.Pool(2) as pool:
        times = []
        for _ in range(500):
            begin = time.perf_counter()
            assert pool.apply(plus_one, (1,)) == 2
            times.append(time.perf_counter() - begin)
        return statistics.median(times) * 1e6


def put_many(queue, begin, n):
    begin.wait()
    for i in range(n):
        queue.put(i)


def get_many(queue, begin, n):
    begin.wait()
    for _ in range(n):
        queue.get()


def queue(producers, consumers, items):
    q = multiprocessing.Queue(10_000)
    begin = multiprocessing.Barrier(producers + consumers + 1)
    processes = [multiprocessing.Process(target=put_many, args=(q, begin, items // producers)) for _ in range(producers)]
    processes += [multiprocessing.Process(target=get_many, args=(q, begin, items // consumers)) for _ in range(consumers)]
    for p in processes:
        p.start()
    begin.wait()
    start = time.perf_counter()
    for p in processes:
        p.join()
    return items / (time.perf_counter() - start)


def receive_messages(connection, n):
    room = bytearray(1 << 20)
    for _ in range(n):
        connection.recv_bytes_into(room)
    connection.send(1)


def pipe(n=200):
    here, there = multiprocessing.Pipe()
    p = multiprocessing.Process(target=receive_messages, args=(there, n))
    p.start()
    message = bytes(1 << 20)
    begin = time.perf_counter()
    for _ in range(n):
        here.send_bytes(message)
    here.recv()
    taken = time.perf_counter() - begin
    p.join()
    return taken / n * 1e6


def main():
    rounds = int(sys.argv[1])
    for method in "fork", "forkserver", "spawn":
        print(f"start+join,{method} {start_and_join(method, rounds)}", flush=True)
    print(f"Lock {uncontended(multiprocessing.Lock())}")
    print(f"RLock {uncontended(multiprocessing.RLock())}")
    print(f"Semaphore {uncontended(multiprocessing.Semaphore(1))}")
    print(f"map {pool_map()}")
    print(f"apply {pool_apply()}")
    print(f"queue,1,1 {queue(1, 1, 100_000)}")
    print(f"queue,4,4 {queue(4, 4, 100_000)}")
    print(f"pipe {pipe()}")


if __name__ == "__main__":
    main()
