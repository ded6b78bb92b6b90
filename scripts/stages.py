#!/usr/bin/env python3
"""Where the time of a sampled step goes beyond SGD's: functions of both steps, by their share of samples that perf takes.

    RUSTFLAGS=-Csymbol-mangling-version=v0 cargo bench --bench step --no-run     # prints the path of the benchmark
    scripts/stages.py PATH [64x64x32x10]

Runs the contest of one shape for the times of both steps, and each step by itself under perf (linux-perf) for the shares. A stage is what its
functions take in a sampled step, less what they take in SGD's. Products of all stages share their functions, and are one line.
"""

import re
import subprocess
import sys

STAGES = [
    ("matrix products", r"gemm::"),
    ("activation and its derivatives", r"Activate|elementwise::Higher"),
    ("drawing the subset", r"sampled::subset"),
    ("gathering the kept samples", r"Features<.*>>::new|features::(Gather|Classes)"),
    ("sketch of the classes", r"features::Sketch"),
    ("features of units", r"features::Combine"),
    ("inner products of units", r"sampled::inner"),
    ("values of the pairs", r"pairs::Values|KeptPairs<.*>>::diagonals"),
    ("coefficients of the pairs", r"pairs::Coefficients"),
    ("way back to units", r"sampled::units_back"),
    ("way back to logits", r"sampled::logits_back|back::SecondsBack"),
    ("limit of the contributions", r"sampled::limit"),
    ("copies and zeros", r"^__mem"),
    ("sums for the sweep", r"sweep|vector::|cross_entropy|update::"),
]


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def times(bench, shape):
    """Microseconds of a step of SGD and of the sampled penalty."""
    for line in output(bench, "--bench", f"step/hsr/f32/{shape}").splitlines():
        if line.startswith("f32") and shape in line:
            fields = [part.split() for part in line.split("|")]
            return float(fields[1][0]), float(fields[4][0])
    sys.exit(f"no line of {shape} in the contest")


def shares(bench, optimizer, shape):
    """Share of the samples of each function of the program or of libc."""
    data = "target/stages.perf"
    step = f"step/{optimizer}/f32/{shape}"
    output("perf", "record", "-q", "-e", "cpu-clock", "-F", "10000", "-o", data, bench, "--bench", "--profile-time", "3", step)
    report = output("perf", "report", "-i", data, "--no-children", "--stdio", "-g", "none", "--percent-limit", "0")
    found = {}
    for line in report.splitlines():
        match = re.match(r"\s+([\d.]+)%\s+\S+\s+\S+\s+\[\.\]\s+(.*\S)", line)
        if match:
            name = match[2].replace("<flatmin::simd::avx512::Avx512 as flatmin::simd::lanes::Simd>::run::trampoline", "")
            found[name] = found.get(name, 0.0) + float(match[1]) / 100
    return found


def main():
    bench = sys.argv[1]
    shape = sys.argv[2] if len(sys.argv) > 2 else "64x64x32x10"
    sgd, sampled = times(bench, shape)
    stages = [(name, re.compile(pattern), [0.0, 0.0]) for name, pattern in STAGES]
    rest = [0.0, 0.0]
    for at, (optimizer, micros) in enumerate([("sgd", sgd), ("hsr-sampled", sampled)]):
        for function, share in shares(bench, optimizer, shape).items():
            nanos = next((nanos for _, pattern, nanos in stages if pattern.search(function)), rest)
            nanos[at] += 1e3 * micros * share
    print(f"{shape}: SGD {1e3 * sgd:.0f} ns, sampled {1e3 * sampled:.0f} ns\n\n| stage | SGD, ns | sampled, ns | more |\n|---|---|---|---|")
    for name, nanos in [(name, nanos) for name, _, nanos in stages] + [("all else", rest)]:
        print(f"| {name} | {nanos[0]:.0f} | {nanos[1]:.0f} | {nanos[1] - nanos[0]:.0f} |")


if __name__ == "__main__":
    main()
