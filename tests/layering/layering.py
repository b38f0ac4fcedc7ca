#!/usr/bin/env python3
"""Fails when a folder of the tree includes what it must not know, when TBB is used outside the thread backend, or when a process is
made outside pool/fork.cpp. Which way the folders point is written in docs/architecture.md.

    layering.py ROOT           checks a tree; exit 1 and one line for each fault
    layering.py ROOT --self    plants faults in a copy of the tree, one at a time, and fails unless each is found
"""
import pathlib
import re
import shutil
import sys
import tempfile

# Folder -> folders of ours that it may include. Whoever may include "engine" may include <cadre/cadre.hpp>, which is all of it.
ARROWS = {
    "shm": {"shm"},
    "kernels": {"kernels"},
    "sync": {"sync", "shm"},
    "pool": {"pool", "sync", "shm"},
    "logging": {"logging", "pool", "sync", "shm"},
    "talk": {"talk", "pool", "sync", "shm"},
    "sockets": {"sockets", "talk", "pool", "sync", "shm"},
    "manager": {"manager", "sockets", "talk", "pool", "sync", "shm"},
    "engine": {"engine", "pool", "kernels", "sync", "shm"},
    "compare": {"compare", "engine", "pool", "kernels", "sync", "shm"},
    "tasks": {"tasks", "engine", "talk", "pool", "sync", "shm"},
    "cadre.hpp": {"tasks", "engine", "sockets", "talk", "logging", "pool", "kernels", "sync", "shm"},
    "cli": {"cli", "compare", "cadre.hpp", "tasks", "engine", "sockets", "talk", "logging", "pool", "kernels", "sync", "shm"},
}
SUFFIXES = {".hpp", ".cpp", ".h", ".c", ".inc", ".ipp"}

COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
TBB = re.compile(r"^(oneapi/)?tbb(/|\.h$)")
FORKS = re.compile(r"(?<![\w.>])(?:v?fork|_Fork|clone3?|forkpty)\s*\(|\bSYS_(?:v?fork|clone3?)\b|\b__NR_(?:v?fork|clone3?)\b")


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def folder_of(root, path):
    return path.relative_to(root).parts[0]


def sources(root):
    for name in ARROWS:
        top = root / name
        files = [top] if top.is_file() else sorted(top.rglob("*"))
        yield from (f for f in files if f.is_file() and f.suffix in SUFFIXES)


def faults_of(root, path):
    text = path.read_text(encoding="utf-8")
    where = path.relative_to(root)
    own = folder_of(root, path)

    def at(match):
        return f"{where}:{text.count(chr(10), 0, match.start()) + 1}"

    without_comments = COMMENT_OR_STRING.sub(lambda m: m.group() if m.group()[0] in "\"'" else blank(m), text)
    for match in INCLUDE.finditer(without_comments):
        form, name = match.groups()
        target = None
        if name.startswith("cadre/"):
            target = name.split("/")[1]
        elif form == '"':
            file = (path.parent / name).resolve()
            if root in file.parents:
                target = folder_of(root, file)
        if target is not None and target not in ARROWS[own]:
            yield f"{at(match)}: {own} must not include {name}: it may know {', '.join(sorted(ARROWS[own]))}"
        if TBB.match(name) and not (own == "engine" and path.name.startswith("threads")):
            yield f"{at(match)}: only engine/threads*.cpp may use TBB"
    if str(where) != "pool/fork.cpp":
        for match in FORKS.finditer(COMMENT_OR_STRING.sub(blank, text)):
            yield f"{at(match)}: processes are made in pool/fork.cpp alone"


def check(root):
    return [fault for path in sources(root) for fault in faults_of(root, path)]


# What is planted -> what must be said about it.
PLANTS = [
    ("shm/array.hpp", "#include <cadre/pool/slot.hpp>", "shm must not include"),
    ("shm/array.hpp", '#include "../kernels/kernel.h"', "shm must not include"),
    ("kernels/kernel.h", "#  include <cadre/shm/array.hpp>", "kernels must not include"),
    ("pool/fork.cpp", "#include <cadre/kernels/kernel.h>", "pool must not include"),
    ("engine/job.hpp", "#include <cadre/cli/run.hpp>", "engine must not include"),
    ("engine/job.hpp", "#include <cadre/sockets/listener.hpp>", "engine must not include"),
    ("engine/job.hpp", "#include <cadre/manager/manager.hpp>", "engine must not include"),
    ("cadre.hpp", "#include <cadre/manager/manager.hpp>", "cadre.hpp must not include"),
    ("talk/queue.hpp", "#include <cadre/sockets/listener.hpp>", "talk must not include"),
    ("engine/job.hpp", "#include <tbb/parallel_for.h>", "may use TBB"),
    ("engine/job.hpp", "#include <oneapi/tbb.h>", "may use TBB"),
    ("pool/fork.cpp", "#include <tbb/task_arena.h>", "may use TBB"),
    ("engine/job.hpp", "inline int child() { return ::fork (); }", "pool/fork.cpp alone"),
    ("kernels/kernel.h", "static long child(void) { return syscall(SYS_clone3, 0, 0); }", "pool/fork.cpp alone"),
]
HARMLESS = [
    ("shm/array.hpp", "// #include <cadre/engine/engine.hpp>"),
    ("shm/array.hpp", "/*\n#include <cadre/engine/engine.hpp>\nfork() */"),
    ("engine/job.hpp", '#include <cadre/shm/array.hpp>\ninline const char* text() { return "fork()"; }'),
    ("engine/threads_planted.cpp", "#include <tbb/parallel_for.h>"),
    ("pool/fork.cpp", "int child() { return fork(); }"),
]


def self_test(root):
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder).resolve()
        for name in ARROWS:
            if (root / name).is_dir():
                shutil.copytree(root / name, copy / name)
            elif (root / name).is_file():
                shutil.copy(root / name, copy / name)
        before = set(check(copy))

        def planted(name, text):
            file = copy / name
            original = file.read_bytes() if file.exists() else None
            file.parent.mkdir(exist_ok=True)
            file.write_bytes((original or b"") + b"\n" + text.encode() + b"\n")
            found = [f for f in check(copy) if f not in before]
            file.write_bytes(original) if original is not None else file.unlink()
            return found

        for name, text, said in PLANTS:
            found = planted(name, text)
            if len(found) != 1 or said not in found[0]:
                wrong.append(f"planted in {name}: {text!r}: expected one fault with {said!r}, found {found}")
        for name, text in HARMLESS:
            if found := planted(name, text):
                wrong.append(f"harmless in {name}: {text!r}: found {found}")
    return wrong


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    if not any(sources(root)):
        sys.exit(f"{root} holds none of {', '.join(ARROWS)}")
    faults = self_test(root) if "--self" in sys.argv[2:] else check(root)
    print("\n".join(faults) or "no faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
