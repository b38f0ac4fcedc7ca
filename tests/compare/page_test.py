#!/usr/bin/env python3
"""Opens a report of `cadre compare` in Chromium, headless, at desktop and phone width and as it is printed: every plot shows something, no script fails, nothing is wider than the screen or cut off on paper.

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
    return { title, coloured, shown: chart.data.datasets.filter((d, i) => chart.isDatasetVisible(i) && d.data.some(p => p !== null && p.y !== null)).length, width: canvas.clientWidth, height: canvas.clientHeight };
  });
  const cut = [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 40));
  const wide = [...document.querySelectorAll('section, h1, h2, p, .plot, .scroll')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + ' ' + e.textContent.slice(0, 40));
  const tell = document.createElement('pre');
  tell.id = 'told';
  tell.textContent = JSON.stringify({ failures, plots, wide, cut, inner: innerWidth, scroll: document.documentElement.scrollWidth, tables: document.querySelectorAll('tbody tr').length, verdict: document.getElementById('verdict').textContent });
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
        expect(plot["shown"] > 0 and plot["coloured"] > 50 and plot["width"] > 150 and plot["height"] > 100, f"{where}: a plot is empty: {plot}")
    expect(not told["wide"] and told["scroll"] <= told["inner"], f"{where}: wider than the screen: {told['wide']}, {told['scroll']} > {told['inner']}")
    expect(told["tables"] >= 2 * len(backends) + 5, f"{where}: the tables have {told['tables']} rows")
    expect(len(told["verdict"]) > 20, f"{where}: the verdict is {told['verdict']!r}")


def check_suite(suite):
    expect(len(suite["suite"]) >= 10, f"the suite has {len(suite['suite'])} entries")
    for entry in suite["suite"]:
        for contestant in entry["comparison"]["points"][0]["contestants"]:
            dies = entry["name"] == "a crash" and contestant["backend"] != "processes"
            expect((contestant["error"] is not None) == dies, f"{entry['name']}: {contestant['backend']}: {contestant['error']}")


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
                check_suite(json.loads(done.stdout))
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
                check(look(chromium, copy, width, folder), title, backends, width)
            # Paper does not scroll: what is printed on A4, whose width is that of 794 pixels, is not cut off.
            printed = work / f"{title}-printed.html"
            printed.write_text(copy.read_text().replace("@media print", "@media all"))
            told = look(chromium, printed, 794, folder)
            check(told, f"{title}, printed", backends, 794)
            expect(not told["cut"], f"{title}, printed: cut off: {told['cut']}")
    if not chromium:
        print("skipped: there is no Chromium; to open the pages: apt-get install --no-install-recommends chromium")
        sys.exit(77)
    print("no faults")


if __name__ == "__main__":
    main()
