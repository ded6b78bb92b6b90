"""Evaluates a case of `tests/vectors` and takes ten exact and ten sampled HSR steps, in both number types, and prints the bits of every number.

usage: agree.py VECTOR.json
"""

import json
import sys

import numpy as np

import flatmin


def evaluate(case, kind, number):
    def show(name, numbers):
        numbers = np.atleast_1d(numbers)
        for bits in numbers.view(f"u{numbers.itemsize}"):
            print(kind, name, f"{bits:0{2 * numbers.itemsize}x}")

    shape = case["shape"]
    inputs, targets = np.array(case["inputs"]).astype(number), np.array(case["targets"]).astype(number)
    theta = np.array(case["theta"]).astype(number)
    plan = flatmin.plan(shape["inputs"], shape["hidden"], shape["classes"], case["activation"], len(inputs))
    trainer = flatmin.Trainer(plan, inputs, targets)

    evaluation = trainer.loss(theta)
    gradient, _ = trainer.loss_gradient(theta)
    curvature = trainer.curvature(theta)
    product = trainer.hessian_vector_product(theta, gradient)
    for name in ("loss", "accuracy"):
        show(name, np.float64(getattr(evaluation, name)))
    for name in ("trace", "trace_of_square"):
        show(name, np.float64(getattr(curvature, name)))
    for name in ("lambda_max_upper", "lambda_max_lower", "lambda_min_upper", "lambda_min_lower"):
        show(name, np.float64(getattr(curvature, name)))
    show("class", flatmin.classes(plan, theta, inputs).astype(np.float64))
    predicted = [("logits", flatmin.logits(plan, theta, inputs).ravel())]
    predicted += [("probabilities", flatmin.probabilities(plan, theta, inputs).ravel())]
    fields = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.001, "rho": 0.05}
    hsr, sampled = flatmin.Hsr(**fields), flatmin.sampled(1, **fields)
    for _ in range(10):
        step = trainer.step(hsr, theta)
        show("step_loss", np.float64(step.loss))
        show("step_lambda_max_upper", np.float64(step.lambda_max_upper))
    for _ in range(10):
        step = trainer.step(sampled, theta)
        show("sampled_loss", np.float64(step.loss))
        show("sampled_trace_of_square", np.float64(step.estimated_trace_of_square))
    for name, numbers in (("gradient", gradient), ("product", product), ("theta", theta), ("velocity", trainer.velocity)):
        show(name, numbers)
    for name in ("fan_in", "glorot"):
        show(name, flatmin.initialize(plan, 42, name, number))
    for name, numbers in predicted:
        show(name, numbers)


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        vector = json.load(file)
    evaluate(vector, "f32", np.float32)
    evaluate(vector, "f64", np.float64)
