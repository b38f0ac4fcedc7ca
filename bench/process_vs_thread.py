#!/usr/bin/env python3
"""Runs `cadre compare --suite` and puts its figures and pictures into docs/process-vs-thread.md, between the marks; the words around them are written by hand.

    process_vs_thread.py CADRE            measures (some two minutes; on a machine that does nothing else), then writes
    process_vs_thread.py CADRE JSON PAGE  the same from a measurement that is there: what --json printed and --report wrote

Pictures need Chromium; without it the old ones stay.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/process-vs-thread.md"
IMAGES = ROOT / "docs/images"


def seconds(s):
    for unit, name in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
        if s >= unit:
            v = s / unit
            return f"{v:.{0 if v >= 99.95 else 1 if v >= 9.995 else 2}f} {name}"
    return "0"


def row(entry):
    contestants = {c["name"]: c for c in entry["comparison"]["points"][0]["contestants"]}

    def told(name):
        c = contestants[name]
        return seconds(c["median"]) if "median" in c else "dies"

    processes = contestants["processes"]
    ratio = processes.get("to_other")
    words = f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})" if ratio and ratio["low"] is not None else "too short" if "median" in processes and "median" in contestants["threads"] else ""
    return f"| {entry['name']} | {told('serial')} | {told('threads')} | {told('processes')} | {words} |"


def table(suite):
    head = "| job | serial | threads | processes | processes against threads |\n|---|---|---|---|---|\n"

    def key(entry):
        ratio = {c["name"]: c for c in entry["comparison"]["points"][0]["contestants"]}["processes"].get("to_other")
        return ratio["value"] if ratio else 1e9

    return head + "\n".join(row(e) for e in sorted(suite, key=key))


def machine(suite):
    m = suite[0]["comparison"]["machine"]
    roofs = "; ".join(f"{r['cores']} core{'s' if r['cores'] > 1 else ''}: {r['read'] / 1e9:.1f} GB/s read, {r['triad'] / 1e9:.1f} GB/s triad, {r['fma'] / 1e9:.0f} GFLOP/s" for r in m["roofs"])
    noisy = sorted({w for e in suite for w in e["comparison"]["warnings"] if w.startswith(("other programs", "the hypervisor"))})
    return f"{m['cpu']}, {m['cpus']} usable CPUs, {m['system']}; {roofs}." + ("" if not noisy else " Not all was quiet: " + "; ".join(noisy[:2]) + ".")


def verdicts(suite):
    return "\n".join(f"- *{e['name']}* ({e['what']}): {e['comparison']['verdict']}" for e in suite)


def picture(page, style, file, size):
    chromium = shutil.which("chromium")
    if not chromium:
        print("there is no Chromium: the pictures stay as they were")
        return
    with tempfile.TemporaryDirectory(prefix="cadre-picture-", ignore_cleanup_errors=True) as folder:
        copy = pathlib.Path(folder) / "page.html"
        copy.write_text(page.replace("</head>", f"<style>{style}</style></head>", 1))
        subprocess.run([chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/profile", f"--window-size={size}", "--blink-settings=preferredColorScheme=1",
                        f"--screenshot={file}", copy.as_uri()], check=True, capture_output=True)


def main():
    cadre = pathlib.Path(sys.argv[1]).resolve()
    if len(sys.argv) == 4:
        suite, page = json.loads(pathlib.Path(sys.argv[2]).read_text())["suite"], pathlib.Path(sys.argv[3]).read_text()
    else:
        with tempfile.TemporaryDirectory() as folder:
            report = pathlib.Path(folder) / "suite.html"
            done = subprocess.run([cadre, "compare", "--suite", "--json", "--report", report], stdout=subprocess.PIPE, text=True, check=True)
            suite, page = json.loads(done.stdout)["suite"], report.read_text()
    IMAGES.mkdir(exist_ok=True)
    picture(page, "main, footer, label, header > p, header > h1, #warnings, #subtitle, #verdict { display: none !important; } body { padding: .5rem; }", IMAGES / "process-vs-thread.png", "900,520")
    text = DOCUMENT.read_text()
    for name, new in (("machine", machine(suite)), ("table", table(suite)), ("verdicts", verdicts(suite))):
        text = re.sub(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", lambda m: m.group(1) + new + m.group(2), text, count=1, flags=re.S)
    DOCUMENT.write_text(text)


if __name__ == "__main__":
    main()
