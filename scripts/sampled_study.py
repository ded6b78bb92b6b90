#!/usr/bin/env python3
"""The tables of docs/sampled.md and its figure: the sampled penalty against the exact one and SAM, in six settings.

    scripts/sampled_study.py --images FOLDER --figure docs/sampled.svg    all of it, some minutes; FOLDER holds IDX files, here MNIST-10k's
    scripts/sampled_study.py --settings A,B --parts time                  some of it: equal time
    scripts/sampled_study.py --images FOLDER --reuse                      what is there is not run again

Every run is `cargo run --release --example pareto -- …` with the options that stand in each table's head, into a folder of its own below --out.
--pareto takes the path of the built example instead. --reuse takes runs of the same options that are there, whatever the library then was.

λ_max is a geometric mean over seeds, accuracy a mean. A run has *diverged* if its λ_max is above SGD's of the same seed, or is no number, or if its
test accuracy is more than five points below SGD's of the same seed.
"""

import argparse
import csv
import math
import pathlib
import shlex
import subprocess
import sys

import sampled_figure

MNIST = "--data FOLDER --epochs 10 --hessian-samples 1000"
# Name, what it is, options, the ρ of the tables.
SETTINGS = {
    "A": ("Digits, 64-32-10", "--hidden 32 --learning-rate 0.3 --epochs 60", [0.03, 0.05, 0.1, 0.2]),
    "B": ("Digits, 64-16-10, η = 1", "--data digits", [0.02, 0.05, 0.1]),
    "C": ("MNIST-10k, 784-32-10", MNIST + " --learning-rate 0.3", [0.02, 0.05, 0.1]),
    "D": ("MNIST-10k, momentum", MNIST + " --learning-rate 0.03 --momentum 0.9", [0.02, 0.05, 0.1]),
    "E": ("breast cancer, 30-16-2", "--data breast-cancer --learning-rate 0.2 --batch 64 --epochs 50", [0.02, 0.05, 0.1]),
    "F": ("wine, 13-16-3", "--data wine --learning-rate 0.3 --batch 32 --epochs 60", [0.02, 0.05, 0.1]),
}
RHOS = [0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5]
RADII = [0.05, 0.1, 0.2, 0.3, 0.5, 1, 2]
ACTIVATIONS = ["sigmoid", "softplus", "gelu", "silu", "identity"]
VARIANTS = [(name, f"{SETTINGS['A'][1]} --activation {name}") for name in ACTIVATIONS]
VARIANTS += [("tanh, momentum 0.9, η = 0.03", "--hidden 32 --learning-rate 0.03 --epochs 60 --momentum 0.9")]
SUBSETS = [8, 12, 16, 32]
PARAMETERS = ["--own-share 0 --limited-share 0", "--limited-share 0", "--own-share 0", "--own-share 0.5", "--own-share 0.75"]
PARAMETERS += [f"--limited-share {share:g}" for share in (0.1, 0.3, 0.4)]
PARAMETERS += [f"--alpha {alpha:g}" for alpha in (0.05, 0.2, 0.5, 1)] + [f"--beta {beta:g}" for beta in (0.8, 0.9, 0.99)]
# Where they are tried: setting and ρ.
TRIED = {"A": [0.1, 0.2], "B": [0.05], "C": [0.1], "E": [0.1], "F": [0.1]}
FAR = 0.05
PARTS = ["epochs", "time", "robust", "parameters", "figure"]


def listed(numbers):
    return ",".join(f"{number:g}" for number in numbers)


class Study:
    def __init__(self, options):
        self.options = options
        self.seeds = options.seeds
        self.done = set()

    def run(self, name, arguments, seeds=None):
        """The runs of a call of pareto, as {(kind, strength): {seed: (λ_max, accuracy)}}."""
        arguments = f"{arguments.strip()} --seed {self.options.seed} --seeds {seeds or self.seeds}"
        out = self.options.out / name
        table, done = out / "pareto.csv", out / "arguments.txt"
        there = done.exists() and table.exists() and done.read_text() == arguments
        if name not in self.done and not (self.options.reuse and there):
            program = [self.options.pareto] if self.options.pareto else "cargo run --release --quiet --example pareto --".split()
            out.mkdir(parents=True, exist_ok=True)
            done.unlink(missing_ok=True)
            given = [self.options.images if word == "FOLDER" else word for word in shlex.split(arguments)]
            print(f"{name}: {arguments}", file=sys.stderr)
            subprocess.run([*program, *given, "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
            done.write_text(arguments)
        self.done.add(name)
        runs = {}
        with table.open(newline="") as lines:
            for line in csv.DictReader(lines):
                key = line["kind"], float(line["strength"])
                runs.setdefault(key, {})[int(line["seed"])] = float(line["lambda_max"]), float(line["test_accuracy"])
        return runs

    def epochs(self, setting):
        _, arguments, _ = SETTINGS[setting]
        return self.run(f"{setting}-epochs", f"{arguments} --terms epochs --rho {listed(RHOS)} --radius {listed(RADII)}")

    def time(self, setting):
        _, arguments, _ = SETTINGS[setting]
        rest = f"--terms time --methods sgd,sam,hsr-sampled --rho {listed(RHOS)} --radius {listed(RADII)}"
        return self.run(f"{setting}-time", f"{arguments} {rest}")


def mean(values):
    return sum(values) / len(values)


def error(values):
    """Standard error of the mean."""
    middle = mean(values)
    return math.sqrt(sum((value - middle) ** 2 for value in values) / max(len(values) - 1, 1) / len(values))


def lambdas(runs):
    return [lambda_max for lambda_max, _ in runs.values()]


def accuracies(runs):
    return [100 * accuracy for _, accuracy in runs.values()]


def geometric(runs):
    found = lambdas(runs)
    # A network that is certain of everything has a λ_max of nothing, or less by rounding.
    return math.exp(mean([math.log(max(value, 1e-12)) for value in found])) if all(map(math.isfinite, found)) else math.nan


def small(value):
    return f"{value:.3f}" if value >= 0.0995 else f"{value:.2g}" if value < 0.00995 else f"{value:.4f}"


def diverged(runs, sgd):
    """How many runs of a method diverged."""
    stand = lambda seed: math.isfinite(runs[seed][0]) and runs[seed][0] <= sgd[seed][0] and runs[seed][1] >= sgd[seed][1] - FAR
    return sum(not stand(seed) for seed in runs)


def against(exact, sampled):
    """Change of the geometric mean of λ_max in percent, its standard error, and the differences of accuracies, seed by seed."""
    logs = [math.log(max(sampled[seed][0], 1e-12) / max(exact[seed][0], 1e-12)) for seed in sampled]
    return 100 * math.expm1(mean(logs)), 100 * error(logs), [100 * (sampled[seed][1] - exact[seed][1]) for seed in sampled]


def signed(value, digits):
    return f"{value:+.{digits}f}".replace("-", "−")


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def head(*cells):
    return row(*cells) + "\n" + "|---" * len(cells) + "|"


COMPARED = ["exact: λ_max (seeds)", "accuracy", "sampled: λ_max (seeds)", "accuracy", "change of λ_max", "of accuracy", "diverged: exact, sampled"]


def compared(exact, sampled, sgd):
    """Cells of a line that sets the sampled penalty against the exact one."""
    cells = []
    for runs in (exact, sampled):
        cells += [f"{small(geometric(runs))} ({small(min(lambdas(runs)))} … {small(max(lambdas(runs)))})", f"{mean(accuracies(runs)):.2f}"]
    change, uncertain, difference = against(exact, sampled)
    cells += [f"{signed(change, 1)} ± {uncertain:.1f} %", f"{signed(mean(difference), 2)} ± {error(difference):.2f}"]
    return cells + [f"{diverged(exact, sgd)}, {diverged(sampled, sgd)}"]


def verdicts(exact, sampled, sgd, own_spread):
    """Which criteria fail: λ_max within 5 % of the exact penalty's, or within the spread of its seeds; accuracy no more than 0.3 points lower."""
    difference = against(exact, sampled)[2]
    failed = []
    if diverged(exact, sgd) == 0 and diverged(sampled, sgd) > 0:
        failed.append("diverges")
    least, greatest = (min(lambdas(exact)), max(lambdas(exact))) if own_spread else (0.95 * geometric(exact), 1.05 * geometric(exact))
    if geometric(sampled) > greatest:
        failed.append("steeper")
    if geometric(sampled) < least:
        failed.append("flatter")
    if mean(difference) < -0.3:
        failed.append("accuracy")
    return ", ".join(failed) or "–"


def main_table(study, settings):
    print("## Exact and sampled\n\n" + head("setting", "ρ", *COMPARED, "not within 5 %, 0.3 points"))
    for setting in settings:
        runs = study.epochs(setting)
        sgd = runs["SGD", 0.0]
        for rho in SETTINGS[setting][2]:
            exact, sampled = runs["HSR", rho], runs["HSR sampled", rho]
            failed = verdicts(exact, sampled, sgd, setting == "B")
            print(row(setting, f"{rho:g}", *compared(exact, sampled, sgd), failed))
    print("\nOptions: " + "; ".join(f"{setting}: `{SETTINGS[setting][1]}`" for setting in settings))
    print("\nSGD: " + "; ".join(f"{s}: {small(geometric(r))}, {mean(accuracies(r)):.2f}" for s in settings for r in [study.epochs(s)["SGD", 0.0]]))


def tuned(runs, kind, floor):
    """The flattest strength whose mean accuracy reaches the floor, or the most accurate, and whether it does."""
    own = [(strength, of) for (name, strength), of in runs.items() if name == kind]
    able = [(strength, of) for strength, of in own if mean(accuracies(of)) >= floor]
    if able:
        return *min(able, key=lambda entry: geometric(entry[1])), True
    return *max(own, key=lambda entry: mean(accuracies(entry[1]))), False


def tuned_table(study, settings, title, runs_of, kinds, exact_takes_part):
    symbol = {"SGD": "", "SAM": "r = ", "HSR": "ρ = ", "HSR sampled": "ρ = "}
    print(f"\n## {title}\n\n" + head("setting", "least accuracy", *kinds, "sampled / SAM"))
    for setting in settings:
        runs = runs_of(setting)
        rivals = [of for (kind, _), of in runs.items() if kind in ("SAM", "HSR sampled") or exact_takes_part and kind == "HSR"]
        best = max(rivals, key=lambda of: mean(accuracies(of)))
        floor = mean(accuracies(best)) - error(accuracies(best))
        cells, flattest = [], {}
        for kind in kinds:
            strength, of, able = tuned(runs, kind, floor)
            flattest[kind] = geometric(of)
            strength = f" ({symbol[kind]}{strength:g})" if symbol[kind] else ""
            cells.append(f"{small(geometric(of))}{strength}, {mean(accuracies(of)):.2f} ± {error(accuracies(of)):.2f}{'' if able else ' ↓'}")
        print(row(setting, f"{floor:.2f}", *cells, f"{flattest['HSR sampled'] / flattest['SAM']:.2f}"))


def robust_tables(study, settings):
    rhos = [0.05, 0.1]
    if "A" in settings:
        print("\n## Other activations, momentum: setting A\n\n" + head("", "ρ", *COMPARED))
    for name, arguments in VARIANTS if "A" in settings else []:
        rest = f"--terms epochs --methods sgd,hsr,hsr-sampled --rho {listed(rhos)}"
        runs = study.run(f"A-{name.split(',')[-1].strip().replace(' ', '')}", f"{arguments} {rest}", study.options.few_seeds)
        for rho in rhos:
            print(row(name, f"{rho:g}", *compared(runs["HSR", rho], runs["HSR sampled", rho], runs["SGD", 0.0])))
    settings = [setting for setting in settings if setting in "ABCD"]
    print("\n## Kept samples: change of λ_max, of accuracy; diverged\n\n" + head("setting", "ρ", *(f"`--subset {count}`" for count in SUBSETS)))
    for setting in settings:
        rhos = SETTINGS[setting][2]
        columns = [changes(study, setting, rhos, f"--subset {count}") for count in SUBSETS]
        for rho, *cells in zip(rhos, *columns):
            print(row(setting, f"{rho:g}", *cells))


def changes(study, setting, rhos, options):
    """What options of the sampled penalty change against the exact one, at each ρ."""
    arguments = f"{SETTINGS[setting][1]} --terms epochs --methods hsr-sampled --rho {listed(rhos)} {options}"
    runs = study.run((setting + options.replace("--", "-").replace(" ", "")) if options else f"{setting}-default", arguments)
    exact = study.epochs(setting)
    cells = []
    for rho in rhos:
        sampled = runs["HSR sampled", rho]
        change, _, difference = against(exact["HSR", rho], sampled)
        lost = diverged(sampled, exact["SGD", 0.0])
        cells.append(f"{signed(change, 1)} %, {signed(mean(difference), 2)}{f'; {lost}' if lost else ''}")
    return cells


def parameter_table(study, settings):
    tried = {setting: rhos for setting, rhos in TRIED.items() if setting in settings}
    places = [f"{setting}, ρ = {rho:g}" for setting, rhos in tried.items() for rho in rhos]
    print("\n## Parameters: change of λ_max, of accuracy; diverged\n\n" + head("options", *places))
    for options in ["", *PARAMETERS]:
        cells = [cell for setting, rhos in tried.items() for cell in changes(study, setting, rhos, options)]
        print(row(f"`{options}`" if options else "none", *cells))


def figure(study, settings, path):
    panels = []
    for setting in settings:
        runs = study.epochs(setting)
        sgd = runs["SGD", 0.0]
        curves = {
            kind: [(rho, min(lambdas(of)), geometric(of), max(lambdas(of)), diverged(of, sgd) > 0) for rho in RHOS for of in [runs[kind, rho]]]
            for kind in ("HSR", "HSR sampled")
        }
        panels.append((f"{setting}: {SETTINGS[setting][0]}", geometric(sgd), curves))
    path.write_text(sampled_figure.draw(panels))
    print(f"\nfigure: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", metavar="FOLDER", help="folder of IDX files, for settings C and D, which are left out without it")
    parser.add_argument("--settings", default=",".join(SETTINGS), metavar="A,B,…")
    parser.add_argument("--parts", default=",".join(PARTS), metavar=",".join(PARTS))
    parser.add_argument("--seeds", type=int, default=5, metavar="COUNT")
    parser.add_argument("--few-seeds", type=int, default=3, metavar="COUNT", help="of the other activations")
    parser.add_argument("--seed", type=int, default=200, metavar="FIRST", help="constants were chosen on seeds 100 to 109")
    parser.add_argument("--pareto", metavar="PATH", help="the built example")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("target/sampled_study"), metavar="FOLDER")
    parser.add_argument("--figure", type=pathlib.Path, metavar="FILE", help="where the figure goes, instead of into --out")
    parser.add_argument("--reuse", action="store_true", help="do not run again what has been run with the same options")
    options = parser.parse_args()
    settings, parts = options.settings.split(","), options.parts.split(",")
    unknown = [name for name in settings if name not in SETTINGS] + [part for part in parts if part not in PARTS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    if not options.images:
        settings = [setting for setting in settings if "FOLDER" not in SETTINGS[setting][1]]
    study = Study(options)
    print(f"Seeds {options.seed} to {options.seed + options.seeds - 1}.\n")
    if "epochs" in parts:
        main_table(study, settings)
        tuned_table(study, settings, "Flattest at no lower accuracy, equal epochs", study.epochs, ["SGD", "SAM", "HSR", "HSR sampled"], True)
    if "time" in parts:
        tuned_table(study, settings, "Flattest at no lower accuracy, in the time of SAM's epochs", study.time, ["SGD", "SAM", "HSR sampled"], False)
    if "robust" in parts:
        robust_tables(study, settings)
    if "parameters" in parts:
        parameter_table(study, settings)
    if "figure" in parts:
        figure(study, settings, options.figure or options.out / "sampled.svg")


if __name__ == "__main__":
    main()
