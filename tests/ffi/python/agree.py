"""Evaluates a case of `tests/vectors`, at once and by chunks, and takes ten steps of every optimizer and an update, in both number types, and prints
the bits of every number.

usage: agree.py VECTOR.json
"""

import json
import sys

import numpy as np

import flatmin


def optimizers():
    """By name: every update and every method."""
    sgd = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.001}
    adam = {"learning_rate": 0.01, "weight_decay": 0.001}
    return {
        "hsr": flatmin.Optimizer(method=flatmin.HSR, rho=0.05, **sgd),
        "sampled": flatmin.sampled(1, rho=0.05, **sgd),
        "sam": flatmin.Optimizer(method=flatmin.SAM, radius=0.05, **sgd),
        "nesterov": flatmin.Optimizer(update=flatmin.NESTEROV, clip=0.5, **sgd),
        "adam": flatmin.adam(**adam),
        "adamw": flatmin.adam(update=flatmin.ADAMW, weights_only=1, **adam),
        "hsr_adam": flatmin.adam(method=flatmin.HSR, rho=0.05, **adam),
    }


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
    chunks = flatmin.plan(shape["inputs"], shape["hidden"], shape["classes"], case["activation"], 3)
    data = flatmin.DataSet(chunks, inputs, targets)
    evaluation, (data_set_gradient, loss) = data.loss(theta), data.loss_gradient(theta)
    show("data_set_loss", np.float64(evaluation.loss))
    show("data_set_accuracy", np.float64(evaluation.accuracy))
    show("data_set_loss", np.float64(loss))
    for name, found in (("curvature", data.curvature(theta)), ("estimate", data.curvature_estimate(theta))):
        for number_of in ("trace", "trace_of_square", "lambda_max_upper"):
            show(f"data_set_{name}", np.float64(getattr(found, number_of)))
    predicted = [("logits", flatmin.logits(plan, theta, inputs).ravel())]
    predicted += [("probabilities", flatmin.probabilities(plan, theta, inputs).ravel())]
    predicted += [("data_set_gradient", data_set_gradient)]
    predicted += [("data_set_product", data.hessian_vector_product(theta, gradient))]
    for name, numbers in (("gradient", gradient), ("product", product)):
        show(name, numbers)
    for name in ("fan_in", "glorot"):
        show(name, flatmin.initialize(plan, 42, name, number))
    for name, numbers in predicted:
        show(name, numbers)

    for name, optimizer in optimizers().items():
        trainer.restart()
        rate = optimizer.learning_rate
        for _ in range(10):
            optimizer.learning_rate = rate * flatmin.warm_up(trainer.steps, 4) * flatmin.cosine(trainer.steps, 20)
            step = trainer.step(optimizer, theta)
            for number in (step.loss, step.lambda_max_upper, step.estimated_trace_of_square):
                show(name, np.float64(number))
        trainer.update(optimizer, theta, gradient.copy())
        show(name, theta)
        show(name, trainer.moments)


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        vector = json.load(file)
    evaluate(vector, "f32", np.float32)
    evaluate(vector, "f64", np.float64)
