#!/usr/bin/env python3
"""Opens a report of `cadre compare` in Chromium, headless, at desktop and phone width and as it is printed: every plot shows something, no script fails, nothing is wider than the screen or cut off on paper, no number
is broken, and reference lines leave the curves the plot.

    page_test.py CADRE       exit 77, which skips, where there is no Chromium

The suite is run as well, small and in little time: every entry gets to its end, and what must crash does.
"""
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np

# Before anything of the page runs.
WATCH = """<script>
window.failures = [];
addEventListener('error', e => failures.push(e.message + ' at ' + e.lineno));
const complain = console.error;
console.error = (...words) => { failures.push(words.join(' ')); complain(...words); };
</script>"""

# After all of it: of each plot, how many of its pixels within the axes have a colour, which grids and backgrounds have not.
ASK = """<script>
addEventListener('load', () => setTimeout(() => {
  const plots = [...document.querySelectorAll('canvas')].map(canvas => {
    const chart = Chart.getChart(canvas), title = canvas.closest('section').querySelector('h2').textContent;
    if (!chart) return { title, coloured: 0, shown: 0 };
    const area = chart.chartArea, r = canvas.width / canvas.clientWidth;
    const pixels = canvas.getContext('2d').getImageData(area.left * r, area.top * r, area.width * r, area.height * r).data;
    let coloured = 0;
    for (let i = 0; i < pixels.length; i += 4) coloured += pixels[i + 3] > 100 && Math.max(pixels[i], pixels[i + 1], pixels[i + 2]) - Math.min(pixels[i], pixels[i + 1], pixels[i + 2]) > 60;
    const measured = chart.data.datasets.filter(d => !d.borderDash).flatMap(d => d.data).filter(p => p);
    return { title, coloured, shown: chart.data.datasets.filter((d, i) => chart.isDatasetVisible(i) && d.data.some(p => p !== null && p.y !== null)).length, width: canvas.clientWidth, height: canvas.clientHeight,
             max: chart.scales.y.max, highest: Math.max(...measured.map(p => p.high || p.y)), ticks: chart.scales.x.ticks.length, labels: chart.data.labels, bars: chart.data.datasets[0].data, fills: chart.data.datasets[0].backgroundColor };
  });
  const broken = [], texts = document.createTreeWalker(document.getElementById('cards'), NodeFilter.SHOW_TEXT);
  for (let t = texts.nextNode(); t; t = texts.nextNode()) {
    if (!t.parentElement.closest('td, th')) continue;
    for (const word of t.data.matchAll(/\S+/g)) {
      const range = document.createRange();
      range.setStart(t, word.index);
      range.setEnd(t, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(r => r.top)).size > 1) broken.push(word[0]);
    }
  }
  const cut = [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 40));
  const wide = [...document.querySelectorAll('section, h1, h2, p, .plot, .scroll')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + ' ' + e.textContent.slice(0, 40));
  const tell = document.createElement('pre');
  tell.id = 'told';
  tell.textContent = JSON.stringify({ failures, plots, wide, cut, broken, inner: innerWidth, scroll: document.documentElement.scrollWidth, tables: document.querySelectorAll('tbody tr').length, verdict: document.getElementById('verdict').textContent });
  document.body.append(tell);
}, 50));
</script>"""

EXPECTED = ["Throughput", "Speed-up against serial", "Every warm run", "Chunk times", "Memory of a worker"]


def expect(condition, message):
    if not condition:
        sys.exit(message)


def look(chromium, page, width, folder):
    command = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={folder}/profile", f"--window-size={width},2000", "--virtual-time-budget=20000", "--dump-dom",
               page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    told = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.S)
    expect(told, f"the page says nothing at width {width}: exit {done.returncode}\n{done.stdout[-500:]}\n{done.stderr[-2000:]}")
    return json.loads(html.unescape(told.group(1)))


def check(told, title, backends, width):
    where = f"{title} at width {width}"
    expect(not told["failures"], f"{where}: scripts failed: {told['failures']}")
    titles = [p["title"] for p in told["plots"]]
    wanted = [e for e in EXPECTED if not title.startswith("suite") or not e.startswith("Speed-up")] + [f"One run, {b}" for b in backends]
    expect(all(w in titles for w in wanted), f"{where}: there are {titles}, not all of {wanted}")
    for plot in told["plots"]:
        # What cannot be told has no colour: the overview of a suite in so little time may have none.
        expect(plot["shown"] > 0 and (plot["coloured"] > 50 or plot["title"] == "Overview") and plot["width"] > 150 and plot["height"] > 100, f"{where}: a plot is empty: {plot}")
        if plot["title"] in ("Throughput", "Speed-up against serial"):
            expect(plot["max"] <= 1.51 * plot["highest"], f"{where}: what was measured is squashed: {plot}")
        if plot["title"] == "Throughput by size":
            expect(plot["ticks"] == 2, f"{where}: not a tick for each size: {plot}")
    expect(not told["wide"] and told["scroll"] <= told["inner"], f"{where}: wider than the screen: {told['wide']}, {told['scroll']} > {told['inner']}")
    expect(not told["broken"], f"{where}: broken within a word: {told['broken']}")
    expect(width < 1280 and "printed" not in title or not told["cut"], f"{where}: cut off: {told['cut']}")
    expect(told["tables"] >= 2 * len(backends) + 5, f"{where}: the tables have {told['tables']} rows")
    expect(len(told["verdict"]) > 20, f"{where}: the verdict is {told['verdict']!r}")


def check_suite(suite):
    expect(len(suite["suite"]) >= 10, f"the suite has {len(suite['suite'])} entries")
    for entry in suite["suite"]:
        for contestant in entry["comparison"]["points"][0]["contestants"]:
            dies = entry["name"] == "a crash" and contestant["backend"] != "processes"
            expect((contestant["error"] is not None) == dies, f"{entry['name']}: {contestant['backend']}: {contestant['error']}")


def check_overview(told, suite):
    """A win or a loss has a colour of its own, what cannot be told is grey or hollow, and where there is no ratio there is no bar."""
    plot = next(p for p in told["plots"] if p["title"] == "Overview")
    expect(plot["labels"] == [e["name"] for e in suite["suite"]], f"the overview shows {plot['labels']}")
    grey, coloured = set(), set()
    for entry, bar, fill in zip(suite["suite"], plot["bars"], plot["fills"]):
        pair = {c["backend"]: c.get("to_other") or {} for c in entry["comparison"]["points"][-1]["contestants"]}
        ratio = pair["processes"]
        expect((bar is not None) == bool(ratio.get("value") and pair["threads"].get("value")), f"{entry['name']}: the bar is {bar}, the ratios are {pair}")
        expect(bar is None or (fill == "transparent") == (ratio["low"] is None), f"{entry['name']}: the bar is {fill}, the ratio {ratio}")
        if bar and fill != "transparent":
            (grey if ratio["low"] <= 1 <= ratio["high"] else coloured).add(fill)
    expect(len(grey) <= 1 and not grey & coloured, f"the overview has {grey} for what cannot be told, and {coloured}")


def main():
    cadre = pathlib.Path(sys.argv[1]).resolve()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory(prefix="cadre-page-", ignore_cleanup_errors=True) as folder:
        work = pathlib.Path(folder)
        np.save(work / "x.npy", np.random.default_rng(3).random(400_000))
        # One number of workers makes bars, several make lines; a name that is markup must stay text.
        odd = work / "a<b>&'.npy"
        shutil.copy(work / "x.npy", odd)
        runs = {
            "bars": ["histogram", "--in", str(odd), "--param", "bins=5000", "--param", "lo=0", "--param", "hi=1", "--workers", "2"],
            "lines": ["moments", "--in", str(work / "x.npy"), "--workers", "1,2,3", "--sizes", "100K,400K", "--backends", "serial,threads,processes,processes"],
            "suite": ["--suite", "--sizes", "4K", "--workers", "2"],
        }
        for title, arguments in runs.items():
            report = work / f"{title}.html"
            done = subprocess.run([cadre, "compare", *arguments, "--max-time", "1", "--report", report, "--json"], capture_output=True, text=True, env=os.environ | {"CADRE_CACHE_DIR": str(work / "cache")})
            expect(done.returncode == 0, f"{title}: exit {done.returncode}\n{done.stdout}{done.stderr}")
            if title == "suite":
                suite = json.loads(done.stdout)
                check_suite(suite)
            page = report.read_text()
            if not chromium:
                continue
            expect(not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page.split('<script type="application/json"')[0]), f"{title}: the page fetches something")
            copy = work / f"{title}-watched.html"
            copy.write_text(page.replace("<head>", "<head>" + WATCH, 1).replace("</body>", ASK + "</body>"))
            backends = ["serial", "threads", "processes #1", "processes #2"] if title == "lines" else ["serial", "threads", "processes"]
            if title == "suite":
                backends.append("processes:pages=4k")
            for width in (1280, 500):  # 500: the least that Chromium opens; narrower is left to the layout's own minimum
                told = look(chromium, copy, width, folder)
                check(told, title, backends, width)
                if title == "suite":
                    check_overview(told, suite)
            # Paper does not scroll: what is printed on A4, which is 718 pixels wide between its margins, is not cut off.
            printed = work / f"{title}-printed.html"
            printed.write_text(copy.read_text().replace("@media print", "@media all"))
            check(look(chromium, printed, 718, folder), f"{title}, printed", backends, 718)
    if not chromium:
        print("skipped: there is no Chromium; to open the pages: apt-get install --no-install-recommends chromium")
        sys.exit(77)
    print("no faults")


if __name__ == "__main__":
    main()
