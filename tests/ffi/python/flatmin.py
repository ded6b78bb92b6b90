"""flatmin through ctypes: the C interface on NumPy arrays, whose type (float32 or float64) picks the functions.

The library is the file that the environment variable FLATMIN_LIBRARY names, else `libflatmin.so` as the system finds it.
"""

import ctypes as c
import os

import numpy as np

ACTIVATIONS = {"tanh": 0, "sigmoid": 1, "softplus": 2, "gelu": 3, "silu": 4, "identity": 5}

_library = c.CDLL(os.environ.get("FLATMIN_LIBRARY", "libflatmin.so"))
_library.flatmin_version.restype = c.c_char_p
_library.flatmin_instruction_set.restype = c.c_char_p
_library.flatmin_last_error.argtypes = [c.c_char_p, c.c_size_t]
_library.flatmin_last_error.restype = c.c_size_t


class Error(Exception):
    """What the library refused; `status` is its code."""

    def __init__(self, status):
        message = c.create_string_buffer(256)
        _library.flatmin_last_error(message, len(message))
        super().__init__(message.value.decode())
        self.status = status


class _Structure(c.Structure):
    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)}' for name, *_ in self._fields_)})"


def _structure(name, fields):
    return type(name, (_Structure,), {"_fields_": fields})


def _doubles(*names):
    return [(name, c.c_double) for name in names]


Plan = _structure(
    "Plan",
    [(name, c.c_size_t) for name in ("inputs", "hidden", "classes", "samples")]
    + [(name, c.c_uint32) for name in ("activation", "route", "form", "reserved")]
    + [(name, c.c_size_t) for name in ("data_set", "parameters", "workspace_len", "gradient_workspace_len")],
)
_Batch = _structure(
    "_Batch",
    [
        ("inputs", c.c_void_p),
        ("inputs_len", c.c_size_t),
        ("classes", c.c_void_p),
        ("classes_len", c.c_size_t),
        ("distributions", c.c_void_p),
        ("distributions_len", c.c_size_t),
    ],
)
Averages = _structure("Averages", _doubles("trace", "trace_of_square") + [("count", c.c_uint64)])
_State = _structure(
    "_State",
    [("velocity", c.c_void_p), ("velocity_len", c.c_size_t), ("steps", c.c_uint64), ("averages", Averages)],
)
Evaluation = _structure("Evaluation", _doubles("loss", "accuracy"))
Bounds = _structure("Bounds", _doubles("lambda_max_upper", "lambda_max_lower", "lambda_min_upper", "lambda_min_lower"))
Curvature = _structure(
    "Curvature",
    _doubles("trace", "trace_of_square", "output", "hidden", "output_square", "cross_square", "hidden_square")
    + [("bounds", Bounds), ("differentiable", c.c_bool)],
)
Estimate = _structure(
    "Estimate", _doubles("trace", "trace_of_square") + [("kept", c.c_size_t), ("weight", c.c_double)]
)
Step = _structure(
    "Step",
    [
        ("loss", c.c_double),
        ("has_curvature", c.c_bool),
        ("has_estimate", c.c_bool),
        ("curvature", Curvature),
        ("estimate", Estimate),
    ],
)
Sgd = _structure("Sgd", _doubles("learning_rate", "momentum", "weight_decay"))
Sam = _structure("Sam", [("sgd", Sgd), ("radius", c.c_double)])
Sampling = _structure(
    "Sampling",
    [("subset", c.c_size_t), ("sketch", c.c_uint32), ("reserved", c.c_uint32)]
    + _doubles("alpha", "beta", "guard")
    + [("seed", c.c_uint64)],
)
Hsr = _structure(
    "Hsr",
    [
        ("sgd", Sgd),
        ("rho", c.c_double),
        ("every", c.c_uint64),
        ("direction", c.c_uint32),
        ("penalty", c.c_uint32),
        ("sampling", Sampling),
    ],
)


def sampled(sgd, rho, seed):
    """HSR with a sampled penalty."""
    made = Hsr(sgd, rho, penalty=1)
    _check(_library.flatmin_sampling_new(c.c_uint64(seed), c.byref(made.sampling)))
    return made


def version():
    return _library.flatmin_version().decode()


def instruction_set():
    return _library.flatmin_instruction_set().decode()


def _check(status):
    if status != 0:
        raise Error(status)


def plan(inputs, hidden, classes, activation, samples):
    """A plan for batches of up to `samples` samples."""
    made, sizes = Plan(), [c.c_size_t(size) for size in (inputs, hidden, classes)]
    _check(_library.flatmin_plan_new(*sizes, c.c_uint32(ACTIVATIONS[activation]), c.c_size_t(samples), c.byref(made)))
    return made


def _array(numbers):
    """Pointer and length of an array, as two arguments."""
    if not numbers.flags.c_contiguous:
        raise ValueError("expected a contiguous array")
    return c.c_void_p(numbers.ctypes.data), c.c_size_t(numbers.size)


class Trainer:
    """A plan, a batch, an optimizer's state and a workspace: all the memory that the calls take."""

    def __init__(self, made, inputs, targets):
        """`inputs` is N×D; `targets` N class indices, or N×K probabilities of the same type as the inputs."""
        self.plan, self.type = made, inputs.dtype
        self._suffix = {np.dtype(np.float32): "f32", np.dtype(np.float64): "f64"}[self.type]
        self.inputs = np.ascontiguousarray(inputs)
        self._batch = _Batch(inputs=self.inputs.ctypes.data, inputs_len=self.inputs.size)
        if np.issubdtype(targets.dtype, np.integer):
            self.targets = np.ascontiguousarray(targets, dtype=np.uint32)
            self._batch.classes, self._batch.classes_len = self.targets.ctypes.data, self.targets.size
        else:
            self.targets = np.ascontiguousarray(targets, dtype=self.type)
            self._batch.distributions, self._batch.distributions_len = self.targets.ctypes.data, self.targets.size
        self.workspace = np.zeros(made.workspace_len, self.type)
        self.velocity = np.zeros(made.parameters, self.type)
        self._state = _State(velocity=self.velocity.ctypes.data, velocity_len=self.velocity.size)

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
