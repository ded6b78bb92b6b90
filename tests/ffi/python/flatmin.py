"""flatmin through ctypes: the C interface on NumPy arrays, whose type (float32 or float64) picks the functions.

The library is the file that the environment variable FLATMIN_LIBRARY names, else `libflatmin.so` as the system finds it.
"""

import ctypes as c
import os

import numpy as np

from interface import ACTIVATIONS, FUNCTIONS, INITIALIZATIONS, STATUS_OK
from interface import Batch, Curvature, Evaluation, Hsr, Plan, Sam, Sgd, State, Step

__all__ = ["Curvature", "Error", "Evaluation", "Hsr", "Plan", "Sam", "Sgd", "Step", "Trainer"]
__all__ += ["instruction_set", "plan", "sampled", "version"]
__all__ += ["classes", "initialize", "logits", "probabilities"]

_library = c.CDLL(os.environ.get("FLATMIN_LIBRARY", "libflatmin.so"))
for _name, (_result, _arguments) in FUNCTIONS.items():
    _function = getattr(_library, _name)
    _function.restype, _function.argtypes = _result, _arguments


class Error(Exception):
    """What the library refused; `status` is its code."""

    def __init__(self, status):
        message = c.create_string_buffer(256)
        _library.flatmin_last_error(message, len(message))
        super().__init__(message.value.decode())
        self.status = status


def sampled(seed, **fields):
    """HSR with a sampled penalty."""
    made = Hsr(**fields)
    _check(_library.flatmin_hsr_sampled(seed, c.byref(made)))
    return made


def version():
    return _library.flatmin_version().decode()


def instruction_set():
    return _library.flatmin_instruction_set().decode()


def _check(status):
    if status != STATUS_OK:
        raise Error(status)


def plan(inputs, hidden, classes, activation, samples):
    """A plan for batches of up to `samples` samples."""
    made = Plan()
    _check(_library.flatmin_plan_new(inputs, hidden, classes, ACTIVATIONS[activation], samples, c.byref(made)))
    return made


def _array(numbers):
    """Pointer and length of an array, as two arguments."""
    if not numbers.flags.c_contiguous:
        raise ValueError("expected a contiguous array")
    return c.c_void_p(numbers.ctypes.data), c.c_size_t(numbers.size)


_SUFFIXES = {np.dtype(np.float32): "f32", np.dtype(np.float64): "f64"}


def initialize(made, seed, initialization="fan_in", number=np.float64):
    """Random parameters: "fan_in", as PyTorch's linear layers begin, or "glorot"."""
    theta = np.empty(made.parameters, number)
    function = getattr(_library, f"flatmin_initialize_{_SUFFIXES[theta.dtype]}")
    _check(function(c.byref(made), INITIALIZATIONS[initialization], seed, *_array(theta)))
    return theta


def _predict(name, made, theta, inputs, shape, number):
    inputs, output = np.ascontiguousarray(inputs, theta.dtype), np.empty(shape, number)
    workspace = np.empty(made.gradient_workspace_len, theta.dtype)
    function = getattr(_library, f"flatmin_{name}_{_SUFFIXES[theta.dtype]}")
    _check(function(c.byref(made), *_array(theta), *_array(inputs), *_array(output), *_array(workspace)))
    return output


def logits(made, theta, inputs):
    """N×K, of N×D inputs; at most as many as the plan's samples."""
    return _predict("logits", made, theta, inputs, (len(inputs), made.classes), theta.dtype)


def probabilities(made, theta, inputs):
    """N×K, of N×D inputs."""
    return _predict("probabilities", made, theta, inputs, (len(inputs), made.classes), theta.dtype)


def classes(made, theta, inputs):
    """The most probable class of each of N×D inputs."""
    return _predict("classes", made, theta, inputs, len(inputs), np.uint32)


class Trainer:
    """A plan, a batch, an optimizer's state and a workspace: all the memory that the calls take."""

    def __init__(self, made, inputs, targets):
        """`inputs` is N×D; `targets` N class indices, or N×K probabilities of the same type as the inputs."""
        self.plan, self.type = made, inputs.dtype
        self._suffix = _SUFFIXES[self.type]
        self.inputs = np.ascontiguousarray(inputs)
        self._batch = Batch(inputs=self.inputs.ctypes.data, inputs_len=self.inputs.size)
        if np.issubdtype(targets.dtype, np.integer):
            self.targets = np.ascontiguousarray(targets, dtype=np.uint32)
            self._batch.classes, self._batch.classes_len = self.targets.ctypes.data, self.targets.size
        else:
            self.targets = np.ascontiguousarray(targets, dtype=self.type)
            self._batch.distributions, self._batch.distributions_len = self.targets.ctypes.data, self.targets.size
        self.workspace = np.zeros(made.workspace_len, self.type)
        self.velocity = np.zeros(made.parameters, self.type)
        self._state = State(velocity=self.velocity.ctypes.data, velocity_len=self.velocity.size)

    def _call(self, name, *arguments):
        function = getattr(_library, f"flatmin_{name}_{self._suffix}")
        _check(function(c.byref(self.plan), *arguments))

    def _parameters(self, *vectors):
        for vector in vectors:
            if vector.dtype != self.type:
                raise TypeError(f"expected {self.type}, given {vector.dtype}")

    def loss(self, theta):
        self._parameters(theta)
        result = Evaluation()
        self._call("loss", *_array(theta), c.byref(self._batch), *_array(self.workspace), c.byref(result))
        return result

    def loss_gradient(self, theta):
        self._parameters(theta)
        gradient, loss = np.empty_like(theta), c.c_double()
        batch, space = c.byref(self._batch), _array(self.workspace)
        self._call("loss_gradient", *_array(theta), batch, *_array(gradient), *space, c.byref(loss))
        return gradient, loss.value

    def curvature(self, theta):
        self._parameters(theta)
        result = Curvature()
        self._call("curvature", *_array(theta), c.byref(self._batch), *_array(self.workspace), c.byref(result))
        return result

    def hessian_vector_product(self, theta, vector):
        self._parameters(theta, vector)
        product = np.empty_like(theta)
        batch, space = c.byref(self._batch), _array(self.workspace)
        self._call("hessian_vector_product", *_array(theta), batch, *_array(vector), *_array(product), *space)
        return product

    def step(self, method, theta):
        """One step of `Sgd`, `Sam` or `Hsr`, which changes `theta`."""
        self._parameters(theta)
        result = Step()
        if isinstance(method, Hsr):
            needed = c.c_size_t()
            _check(_library.flatmin_hsr_workspace_len(c.byref(self.plan), c.byref(method), c.byref(needed)))
            if needed.value > self.workspace.size:
                self.workspace = np.zeros(needed.value, self.type)
        name = f"{type(method).__name__.lower()}_step"
        batch, state, space = c.byref(self._batch), c.byref(self._state), _array(self.workspace)
        self._call(name, c.byref(method), *_array(theta), batch, state, *space, c.byref(result))
        return result
