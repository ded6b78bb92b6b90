"""flatmin through ctypes: the C interface on NumPy arrays, whose type (float32 or float64) picks the functions.

The library is the file that the environment variable FLATMIN_LIBRARY names, else `libflatmin.so` as the system finds it.
"""

import ctypes as c
import os

import numpy as np

from interface import ACTIVATIONS, FUNCTIONS, INITIALIZATIONS, STATUS_OK
from interface import Batch, Curvature, Evaluation, Optimizer, Plan, State, Step
from interface import ADAM, ADAMW, HSR, NESTEROV, PLAIN, SAM, SGD

__all__ = ["Curvature", "DataSet", "Error", "Evaluation", "Optimizer", "Plan", "Step", "Trainer"]
__all__ += ["PLAIN", "SAM", "HSR", "SGD", "NESTEROV", "ADAM", "ADAMW"]
__all__ += ["adam", "cosine", "instruction_set", "plan", "sampled", "version", "warm_up"]
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


def adam(**fields):
    """Adam with its defaults but for these fields; AdamW with `update=ADAMW`."""
    made = Optimizer()
    _check(_library.flatmin_optimizer_adam(c.byref(made)))
    return _with(made, fields)


def sampled(seed, **fields):
    """HSR with a sampled penalty, with its defaults but for these fields."""
    made = Optimizer()
    _check(_library.flatmin_optimizer_sampled(seed, c.byref(made)))
    return _with(made, fields)


def _with(made, fields):
    unknown = fields.keys() - {name for name, _ in Optimizer._fields_}
    if unknown:
        raise TypeError(f"no fields of an optimizer: {', '.join(sorted(unknown))}")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def warm_up(step, steps):
    """A factor of the learning rate: a line up to 1, over so many steps."""
    return _library.flatmin_warm_up(step, steps)


def cosine(step, steps):
    """A factor of the learning rate: half a wave of the cosine, from 1 to 0, over so many steps."""
    return _library.flatmin_cosine(step, steps)


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


class _Samples:
    """A plan, samples and a workspace, and the quantities of them."""

    _prefix = ""

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

    def _call(self, name, *arguments):
        function = getattr(_library, f"flatmin_{name}_{self._suffix}")
        _check(function(c.byref(self.plan), *arguments))

    def _value(self, name, theta, result):
        self._parameters(theta)
        batch, space = c.byref(self._batch), _array(self.workspace)
        self._call(self._prefix + name, *_array(theta), batch, *space, c.byref(result))
        return result

    def _parameters(self, *vectors):
        for vector in vectors:
            if vector.dtype != self.type:
                raise TypeError(f"expected {self.type}, given {vector.dtype}")

    def loss(self, theta):
        return self._value("loss", theta, Evaluation())

    def loss_gradient(self, theta):
        self._parameters(theta)
        gradient, loss = np.empty_like(theta), c.c_double()
        batch, space = c.byref(self._batch), _array(self.workspace)
        self._call(self._prefix + "loss_gradient", *_array(theta), batch, *_array(gradient), *space, c.byref(loss))
        return gradient, loss.value

    def curvature(self, theta):
        return self._value("curvature", theta, Curvature())

    def hessian_vector_product(self, theta, vector):
        self._parameters(theta, vector)
        product = np.empty_like(theta)
        batch, space = c.byref(self._batch), _array(self.workspace)
        vectors = *_array(vector), *_array(product)
        self._call(self._prefix + "hessian_vector_product", *_array(theta), batch, *vectors, *space)
        return product


class DataSet(_Samples):
    """The quantities of a data set of any size, by chunks of the plan's samples."""

    _prefix = "data_set_"

    def __init__(self, made, inputs, targets):
        super().__init__(made, inputs, targets)
        needed = c.c_size_t()
        _check(_library.flatmin_data_set_workspace_len(c.byref(made), c.byref(needed)))
        self.workspace = np.zeros(max(made.workspace_len, needed.value), self.type)

    def curvature_estimate(self, theta):
        """tr H², unbiased where the samples are in random order; tr H, exact."""
        return self._value("curvature_estimate", theta, Curvature())


class Trainer(_Samples):
    """A plan, a batch, an optimizer's state and a workspace: all the memory that the calls take."""

    def __init__(self, made, inputs, targets):
        super().__init__(made, inputs, targets)
        self.restart()

    def restart(self):
        """Forgets what the optimizer remembered: the state before the first step."""
        self.moments, self._state = np.zeros(0, self.type), State()

    @property
    def steps(self):
        """Steps taken."""
        return self._state.steps

    def step(self, optimizer, theta):
        """One step of an `Optimizer`, which changes `theta`."""
        self._parameters(theta)
        self._remember(optimizer)
        needed, result = self._length("workspace", optimizer), Step()
        if needed > self.workspace.size:
            self.workspace = np.zeros(needed, self.type)
        batch, state, space = c.byref(self._batch), c.byref(self._state), _array(self.workspace)
        self._call("step", c.byref(optimizer), *_array(theta), batch, state, *space, c.byref(result))
        return result

    def update(self, optimizer, theta, gradient):
        """The last part of a step, along this gradient, which is scratch; changes `theta`."""
        self._parameters(theta, gradient)
        self._remember(optimizer)
        state = c.byref(self._state)
        self._call("update", c.byref(optimizer), *_array(theta), *_array(gradient), state)

    def _length(self, of, optimizer):
        needed = c.c_size_t()
        function = getattr(_library, f"flatmin_optimizer_{of}_len")
        _check(function(c.byref(self.plan), c.byref(optimizer), c.byref(needed)))
        return needed.value

    def _remember(self, optimizer):
        """Before the first step, makes as many moments as the optimizer takes."""
        if self.steps == 0:
            self.moments = np.zeros(self._length("moments", optimizer), self.type)
            self._state.moments, self._state.moments_len = self.moments.ctypes.data, self.moments.size
