"""Each level of the built-in kernels is one object whose only global symbol is its entry, and whose registers are the level's.

usage: builtin_symbols_test.py NM OBJDUMP BUILD_TYPE builtin_v2.o builtin_v3.o builtin_v4.o
"""
import re
import subprocess
import sys

nm, objdump, build_type, *objects = sys.argv[1:]
widest = {"v2": "xmm", "v3": "ymm", "v4": "zmm"}
failures = []
for path in objects:
    level = re.search(r"builtin_(v\d)\.o$", path).group(1)
    lines = subprocess.run([nm, path], check=True, capture_output=True, text=True).stdout.splitlines()
    # Lower-case letters are local; U is undefined, w a weak reference without definition.
    defined = [line.split() for line in lines if len(line.split()) == 3]
    found = sorted(name for _, kind, name in defined if kind.isupper() or kind in "uvw")
    if found != ["cadre_builtin_" + level]:
        failures.append(f"{path}: global symbols are {found}")

    code = subprocess.run([objdump, "-d", "--no-show-raw-insn", path], check=True, capture_output=True, text=True).stdout
    if "zmm" in code and level != "v4" or re.search(r"%[yz]mm", code) and level == "v2":
        failures.append(f"{path}: registers wider than the level's")
    if build_type == "optimised" and len(re.findall(r"\t(?:v?(?:add|mul|div|sqrt)pd|vfmadd\d+pd) .*%" + widest[level], code)) < 20:
        failures.append(f"{path}: loops are not vectorised in {widest[level]}")
    undefined = [line.split()[-1] for line in lines if line.split()[0] in "Uw"]
    mathematics = {"exp", "log", "pow", "sin", "cos", "erf", "erfc", "exp2", "log2", "expf", "logf", "erff", "erfcf"}
    if forbidden := sorted(mathematics & set(undefined)):
        failures.append(f"{path}: calls the C library's dispatched {forbidden}")
    for name in undefined:
        if name.startswith("Sleef_") and not re.match(r"Sleef_(cinz_\w+sse4|finz_\w+(avx2|avx512f))$", name):
            failures.append(f"{path}: {name} is not one of SLEEF's explicit variants")
print("\n".join(failures) if failures else "only the entries are global")
sys.exit(bool(failures))
