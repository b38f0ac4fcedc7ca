#!/usr/bin/env python3
"""A client of a manager by gRPC's own library, which knows nothing of ours: reads root["from"], writes root["to"]; then asks for a call that there is not.

    grpc_client.py ADDRESS CERTIFICATES"""
import pathlib
import queue
import struct
import sys

import grpc


def size(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def encode(v):
    if v is None:
        return b"\0"
    if isinstance(v, int):
        return b"\3" + size(v << 1 if v >= 0 else (-v << 1) - 1)
    if isinstance(v, str):
        return b"\5" + size(len(v.encode())) + v.encode()
    return b"\7" + size(len(v)) + b"".join(map(encode, v))


def decode(b, at=0):
    def take_size():
        nonlocal at
        n = shift = 0
        while True:
            byte = b[at]
            at += 1
            n |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return n
    tag = b[at]
    at += 1
    if tag <= 2:
        return [None, False, True][tag], at
    if tag == 3:
        n = take_size()
        return (n >> 1) ^ -(n & 1), at
    if tag == 4:
        return struct.unpack_from("<d", b, at)[0], at + 8
    n = take_size()
    if tag in (5, 6):
        return (b[at:at + n].decode() if tag == 5 else b[at:at + n]), at + n
    assert tag == 7
    all = []
    for _ in range(n):
        v, at = decode(b, at)
        all.append(v)
    return all, at


address, folder = sys.argv[1], pathlib.Path(sys.argv[2])
files = [(folder / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem")]
with grpc.secure_channel(address, grpc.ssl_channel_credentials(*files)) as channel:
    calls = queue.Queue()
    answers = channel.stream_stream("/cadre.Manager/Session")(iter(calls.get, None))

    def call(*parts):
        calls.put(encode([7, 1, *parts]))
        number, fine, result = decode(next(answers))[0]
        assert number == 7 and fine, result
        return result

    call(None, [], "hello", [1, None])
    print(call(0, ["from"], "value", []))
    call(0, ["to"], "assign", ["Python"])
    calls.put(None)
    assert list(answers) == []
    try:
        channel.unary_unary("/cadre.Manager/Nothing")(b"", timeout=10)
    except grpc.RpcError as e:
        print(e.code().name, e.details())
