#!/usr/bin/env python3
"""Recomputes the digest of a result from its files and its report, by the description alone:

    cadre run ... --json > report.json; digest.py report.json [FILE.npy ...]

The files are those of the last step, in the order of the kernel's declaration; those of the report where none are named. Prints the digest;
exit 1 when it is not the report's. Needs NumPy and xxhash (Debian: python3-numpy, python3-xxhash)."""
import json
import struct
import sys

import numpy as np
import xxhash

BLOCK = 1 << 20


def numbers(value):
    """The numbers of a small result in C order; nested lists are rows."""
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    else:
        yield value


def small_bytes(result):
    """Integers as int64, floats as float64, little-endian. JSON has no NaN: null stands for it, whose bits are the usual ones."""
    data = b""
    for value in result.values():
        for number in numbers(value):
            if isinstance(number, int):
                data += (number % (1 << 64)).to_bytes(8, "little")
            else:
                data += struct.pack("<d", float("nan") if number is None else number)
    return data


def digest(arrays, result):
    hashes = b""
    for array in arrays:
        data = np.ascontiguousarray(array).tobytes()
        for at in range(0, len(data), BLOCK):
            hashes += xxhash.xxh3_128_digest(data[at:at + BLOCK])
    hashes += xxhash.xxh3_128_digest(small_bytes(result))
    return xxhash.xxh3_128_hexdigest(hashes)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    files = sys.argv[2:] or list(report["outputs"].values())
    found = digest([np.load(f) for f in files], report["result"])
    print(found)
    sys.exit(0 if found == report["digest"] else 1)


if __name__ == "__main__":
    main()
