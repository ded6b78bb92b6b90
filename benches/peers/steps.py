#!/usr/bin/env python3
"""SGD, SAM and HSR steps written in JAX and in PyTorch, timed like ours and beside ours.

Both compute what a user would write: the loss of a tanh network, and for HSR the closed form of tr H and tr H² in batched matrix
products, all differentiated automatically; float32, one thread. Prints a JSON object for each shape and framework: the median time of a
step in microseconds, or null where the time limit had passed.

    python3 -m venv venv && venv/bin/pip install jax torch numpy
    cargo bench --bench step --no-run
    taskset -c 1 venv/bin/python benches/peers/steps.py jax torch                         SGD and SAM
    taskset -c 1 venv/bin/python benches/peers/steps.py jax torch --steps hsr --limit 60
    taskset -c 1 venv/bin/python benches/peers/steps.py jax torch --ours                  a table with ours, in turn with theirs

With --ours, `cargo bench --bench step` runs its contest for a shape just before and just after the frameworks have run theirs, and the
mean of both is printed beside them."""
import argparse
import json
import os
import re
import subprocess
import time
from pathlib import Path

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

# Samples, inputs, hidden units, classes.
SHAPES = ["105x4x16x3", "64x64x32x10", "256x64x32x10", "32x784x128x10", "128x784x128x10", "128x784x256x10", "256x30x64x2",
          "32x3072x512x10", "4096x2x32x2"]
RATE, RADIUS, STRENGTH = 1e-6, 0.05, 0.01


def problem(shape):
    """Parameters W, b, V, c, inputs and classes."""
    n, d, m, k = shape
    random = np.random.default_rng(0)
    single = lambda a: a.astype(np.float32)
    theta = [random.normal(size=(m, d)) / d**0.5, np.zeros(m), random.normal(size=(k, m)) / m**0.5, np.zeros(k)]
    return [single(t) for t in theta], single(random.normal(size=(n, d))), np.arange(n) % k


def bound(lib, size, h, p, y, x, v):
    """The upper bound of λ_max, of h = tanh(u) and p = softmax(z), for either library."""
    n, m = h.shape
    f = 1 - h * h
    e = -2 * h * f
    with_one = lambda z: lib.concatenate([z, lib.ones((n, 1))], 1)
    inner = lambda z, w: z.reshape(n, -1) @ w.reshape(n, -1).T
    a, g, r = with_one(x), with_one(h), p - y
    q, mean, p2 = r @ v, p @ v, p * p
    omega = p @ (v * v) - mean * mean
    trace = ((1 - p2.sum(1)) * (g * g).sum(1) + (a * a).sum(1) * (f * f * omega + e * q).sum(1)).mean()

    kernel_a, kernel_g, pp = inner(a, a), inner(g, g), inner(p, p)
    ss = pp - inner(p, p2) - inner(p2, p) + pp * pp
    c = (v[None] - mean[:, None, :]) * f[:, None, :]
    b = p[:, :, None] * c
    cross = inner(b * h[:, None, :], r[:, :, None] * f[:, None, :])
    hidden = lib.einsum("nkj,nkl->njl", b, c) + (e * q)[:, :, None] * lib.eye(m)[None]
    mixed = inner(b, b) * kernel_g + 2 * cross + inner(r, r) * inner(f, f)
    square = (ss * kernel_g**2 + 2 * kernel_a * mixed + kernel_a**2 * inner(hidden, hidden)).sum() / n**2
    mu = trace / size
    return mu + lib.sqrt((square / size - mu * mu) * (size - 1))


def jax_steps(shape):
    import jax
    import jax.numpy as jnp

    theta, x, classes = problem(shape)
    size = sum(t.size for t in theta)
    theta, x, y = [jnp.asarray(t) for t in theta], jnp.asarray(x), jnp.asarray(np.eye(shape[3], dtype=np.float32)[classes])

    def forward(t, x):
        h = jnp.tanh(x @ t[0].T + t[1])
        return h, h @ t[2].T + t[3]

    def loss(t, x, y):
        return -(y * jax.nn.log_softmax(forward(t, x)[1])).sum(1).mean()

    def objective(t, x, y):
        h, z = forward(t, x)
        return loss(t, x, y) + STRENGTH * bound(jnp, size, h, jax.nn.softmax(z), y, x, t[2])

    def sam(t, x, y):
        gradient = jax.grad(loss)(t, x, y)
        norm = jnp.sqrt(sum((g * g).sum() for g in gradient))
        return jax.grad(loss)([p + RADIUS * g / norm for p, g in zip(t, gradient)], x, y)

    def step(gradient):
        # The batch is an argument: as a constant, parts of the step would be computed at compile time.
        compiled = jax.jit(lambda t, x, y: [p - RATE * g for p, g in zip(t, gradient(t, x, y))])
        return lambda: jax.block_until_ready(compiled(theta, x, y))

    return {"sgd": step(jax.grad(loss)), "sam": step(sam), "hsr": step(jax.grad(objective))}


def torch_steps(shape):
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    theta, x, classes = problem(shape)
    size = sum(t.size for t in theta)
    theta, x, classes = [torch.tensor(t, requires_grad=True) for t in theta], torch.tensor(x), torch.tensor(classes)
    y = functional.one_hot(classes, shape[3]).float()

    def forward(t):
        h = torch.tanh(functional.linear(x, t[0], t[1]))
        return h, functional.linear(h, t[2], t[3])

    def loss(t):
        return functional.cross_entropy(forward(t)[1], classes)

    def objective(t):
        h, z = forward(t)
        return functional.cross_entropy(z, classes) + STRENGTH * bound(torch, size, h, torch.softmax(z, 1), y, x, t[2])

    def step(value, radius=None):
        at = theta
        if radius is not None:
            gradient = torch.autograd.grad(value(theta), theta)
            with torch.no_grad():
                norm = torch.sqrt(sum((g * g).sum() for g in gradient))
                at = [(p + radius * g / norm).requires_grad_() for p, g in zip(theta, gradient)]
        gradient = torch.autograd.grad(value(at), at)
        with torch.no_grad():
            for p, g in zip(theta, gradient):
                p -= RATE * g

    return {"sgd": lambda: step(loss), "sam": lambda: step(loss, RADIUS), "hsr": lambda: step(objective)}


def median(step, seconds):
    """Median time of a step in microseconds, after two to warm up."""
    step(), step()
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        step()
        times.append(time.perf_counter() - before)
    return round(1e6 * float(np.median(times)), 1)


def ours(shape, root):
    """Our times, from the table that the benchmark prints."""
    command = ["cargo", "bench", "--quiet", "--bench", "step", "--", f"step/hsr/f32/{shape}"]
    found = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    line = next(line for line in found.splitlines() if line.startswith("f32") and f" {shape} " in line)
    numbers = [re.findall(r"[\d.]+", cell) for cell in line.split("|")[1:]]
    return {name: float(cell[0]) for name, cell in zip(["sgd", "sam", "hsr"], numbers)}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("frameworks", nargs="+", choices=["jax", "torch"])
    arguments.add_argument("--shapes", default=",".join(SHAPES), help="NxDxMxK, with commas between them")
    arguments.add_argument("--steps", default="sgd,sam", help="some of sgd, sam, hsr")
    arguments.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    arguments.add_argument("--limit", type=float, default=float("inf"), help="seconds after which nothing more is begun")
    arguments.add_argument("--ours", action="store_true", help="run our benchmark too, and print a table")
    options = arguments.parse_args()
    root, start, rows = Path(__file__).resolve().parents[2], time.perf_counter(), []
    names = options.steps.split(",")
    for shape in options.shapes.split(","):
        runs = [ours(shape, root)] if options.ours else []
        row = {}
        for framework in options.frameworks:
            steps = {"jax": jax_steps, "torch": torch_steps}[framework](tuple(map(int, shape.split("x"))))
            late = lambda: time.perf_counter() - start > options.limit
            row[framework] = {name: None if late() else median(steps[name], options.seconds) for name in names}
            print(json.dumps({"shape": shape, "framework": framework, **row[framework]}), flush=True)
        if options.ours:
            runs.append(ours(shape, root))
            row["ours"] = {name: sum(run[name] for run in runs) / len(runs) for name in names}
            print(json.dumps({"shape": shape, "framework": "ours", **row["ours"]}), flush=True)
        rows.append((shape, row))
    if options.ours:
        print("\n| N×D×M×K, µs |", *(f"{name} ours | {' | '.join(options.frameworks)} |" for name in names))
        print("|---|" + "--:|" * (len(names) * (1 + len(options.frameworks))))
        for shape, row in rows:
            cells = []
            for name in names:
                mine = row["ours"][name]
                cells.append(f"{mine:,.1f}")
                cells += [f"{t:,.0f} ({t / mine:.1f}×)" if (t := row[f][name]) else "–" for f in options.frameworks]
            print(f"| {shape} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
