"""Trains a network that comes from, and goes back to, the layout of two linear layers of a deep-learning framework.

The network is a dictionary of arrays, as the `state_dict` of `Sequential(Linear(4, 16), Tanh(), Linear(16, 3))`. It is trained on Iris by
SGD and by HSR; the trained dictionaries are then evaluated by NumPy alone.

usage: train.py iris.csv
"""

import sys

import numpy as np

import flatmin

LAYERS = ("0.weight", "0.bias", "2.weight", "2.bias")
HIDDEN, STEPS = 16, 400


def iris(path):
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    numbers, classes = table[:, :4], table[:, 4].astype(np.uint32)
    return (numbers - numbers.mean(0)) / numbers.std(0), classes


def linear(rng, inputs, outputs):
    """Weight and bias, initialised as frameworks do: uniform within ±1/√inputs."""
    bound = inputs**-0.5
    return rng.uniform(-bound, bound, (outputs, inputs)), rng.uniform(-bound, bound, outputs)


def export(network):
    """θ: the four arrays one after the other."""
    return np.concatenate([network[name].ravel() for name in LAYERS])


def load(network, theta):
    """The dictionary, with the numbers of θ in the shapes of `network`."""
    loaded, start = {}, 0
    for name in LAYERS:
        shape, size = network[name].shape, network[name].size
        loaded[name] = theta[start : start + size].reshape(shape).copy()
        start += size
    assert start == theta.size
    return loaded


def forward(network, inputs):
    hidden = np.tanh(inputs @ network["0.weight"].T + network["0.bias"])
    return hidden @ network["2.weight"].T + network["2.bias"]


def cross_entropy(logits, classes):
    shifted = logits - logits.max(1, keepdims=True)
    return np.mean(np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(classes)), classes])


def main(path):
    inputs, classes = iris(path)
    assert inputs.shape == (150, 4) and np.bincount(classes).tolist() == [50, 50, 50]
    rng = np.random.default_rng(1)
    network = dict(zip(LAYERS, (*linear(rng, 4, HIDDEN), *linear(rng, HIDDEN, 3))))
    plan = flatmin.plan(4, HIDDEN, 3, "tanh", len(inputs))
    sgd = flatmin.Optimizer(learning_rate=0.1, momentum=0.9)
    hsr = flatmin.Optimizer(method=flatmin.HSR, learning_rate=0.1, momentum=0.9, rho=0.05)
    upper = {}
    for number, tolerance in ((np.float32, 1e-6), (np.float64, 1e-13)):
        for name, optimizer in (("SGD", sgd), ("HSR", hsr)):
            theta = export(network).astype(number)
            trainer = flatmin.Trainer(plan, inputs.astype(number), classes)
            for _ in range(STEPS):
                trainer.step(optimizer, theta)
            evaluation, bounds = trainer.loss(theta), trainer.curvature(theta)

            logits = forward(load(network, theta.astype(np.float64)), inputs.astype(number).astype(np.float64))
            accuracy = np.mean(logits.argmax(1) == classes)
            predicted = flatmin.logits(plan, theta, inputs)
            assert np.abs(predicted - logits).max() <= 10 * tolerance * (1 + np.abs(logits).max())
            assert np.array_equal(flatmin.classes(plan, theta, inputs), logits.argmax(1))
            loss = cross_entropy(logits, classes)
            kind = np.dtype(number).name
            print(f"{name} {kind}: loss {loss:.4f}, accuracy {accuracy:.3f}, "
                  f"{bounds.lambda_max_lower:.3f} ≤ λ_max ≤ {bounds.lambda_max_upper:.3f}")
            assert abs(evaluation.loss - loss) <= tolerance * (1 + loss), (evaluation.loss, loss)
            assert evaluation.accuracy == accuracy >= 0.95
            upper[name, kind] = bounds.lambda_max_upper
    for kind in ("float32", "float64"):
        assert upper["HSR", kind] < 0.5 * upper["SGD", kind], upper
    try:
        flatmin.Trainer(plan, inputs[:, :3], classes).loss(export(network))
    except flatmin.Error as error:
        print(f"refused: {error}")
    else:
        raise AssertionError("a batch of too few inputs was taken")


if __name__ == "__main__":
    main(sys.argv[1])
