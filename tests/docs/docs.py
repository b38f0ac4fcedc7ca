#!/usr/bin/env python3
"""The code that the documentation shows is the code that the tests build, and its links lead somewhere.

    docs.py ROOT"""
import pathlib
import re
import sys

# Document -> language of its blocks, files one of which holds each of them.
QUOTED = {
    "README.md": ("cpp", "examples/five_lines.cpp", "examples/plugin/sigmoid.cpp", "examples/plugin/bin_mean.cpp"),
    "docs/adding-a-kernel.md": ("c", "examples/plugin/growth.c"),
    "docs/manager.md": ("cpp", "examples/processes/nested_manager.cpp"),
    "docs/from-multiprocessing.md": ("cpp", "examples/processes/*.cpp"),
}


def main():
    root = pathlib.Path(sys.argv[1])
    faults = []
    for document, (language, *sources) in QUOTED.items():
        codes = [file.read_text() for source in sources for file in sorted(root.glob(source))]
        blocks = re.findall(rf"^```{language}\n(.*?)^```", (root / document).read_text(), re.S | re.M)
        if not blocks:
            faults.append(f"{document}: no block of {language}")
        faults += [f"{document}: not in {', '.join(sources)}:\n{block}" for block in blocks if not any(block.strip() in code for code in codes)]
    for document in [root / "README.md", *sorted(root.glob("docs/*.md")), *sorted(root.glob("bench/*.md"))]:
        prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.S | re.M)
        for link in re.findall(r"\]\(([^)#\s]+)", prose):
            if "://" not in link and not (document.parent / link).exists():
                faults.append(f"{document.relative_to(root)}: {link} does not exist")
    print("\n".join(faults) or "no faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
