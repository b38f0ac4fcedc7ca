#!/usr/bin/env python3
"""Searches every state of the model of the combine protocol with Spin.

    check.py holds -DNC=2 ...    exit 0 when no state is wrong and none was left out
    check.py fails -DNC=2 ...    exit 0 when a wrong state is found: the options plant a mistake
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
MODEL = pathlib.Path(__file__).with_name("slots.pml")


def search(options):
    """What the verifier prints, for the model with these options."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(MODEL, folder)
        for command in (
            ["spin", *options, "-a", MODEL.name],
            ["gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=2000", "-o", "pan", "pan.c"],
            ["./pan", "-m500000", "-w24"],
        ):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main():
    expected, options = sys.argv[1], sys.argv[2:]
    if shutil.which("spin") is None or shutil.which("gcc") is None:
        print("skipped: spin or gcc is not installed (scripts/setup installs both)")
        sys.exit(SKIPPED)
    said = search(options)
    errors = int(re.search(r"errors: (\d+)", said).group(1))
    states = re.search(r"(\d+) states, stored", said).group(1)
    complete = "Search not completed" not in said and "max search depth too small" not in said
    wrong = re.search(r"pan:1: (.*)", said)
    print(f"{' '.join(options)}: {states} states, {errors} errors{': ' + wrong.group(1) if wrong else ''}")
    if expected == "holds":
        if errors or not complete:
            sys.exit(said)
    elif errors == 0:
        sys.exit("the planted mistake was not found:\n" + said)


if __name__ == "__main__":
    main()
