"""The C interface for ctypes: constants, structures, functions.

Generated with include/flatmin.h by `cargo run --manifest-path tests/ffi/Cargo.toml --bin header`; do not edit.
"""

import ctypes as c


class Structure(c.Structure):
    """Initialised with its size, and zeros for what is not given."""

    def __init__(self, **fields):
        super().__init__(size=c.sizeof(self), **fields)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)}' for name, _ in self._fields_)})"


TANH = 0
SIGMOID = 1
SOFTPLUS = 2
GELU = 3
SILU = 4
IDENTITY = 5
PAIRS = 0
BLOCKS = 1
FLAT = 0
TANGENT = 1
PLAIN = 0
SAM = 1
HSR = 2
SGD = 0
NESTEROV = 1
ADAM = 2
ADAMW = 3
GRADIENT = 0
UNIT = 1
EXACT = 0
SAMPLED = 1
FAN_IN = 0
GLOROT = 1
STATUS_OK = 0
STATUS_NULL_POINTER = 1
STATUS_MISALIGNED = 2
STATUS_OVERLAP = 3
STATUS_STRUCTURE_SIZE = 4
STATUS_UNKNOWN_FIELD = 5
STATUS_RESERVED = 6
STATUS_UNKNOWN_CODE = 7
STATUS_TARGETS = 8
STATUS_TOO_SMALL = 9
STATUS_TOO_LARGE = 10
STATUS_LENGTH = 11
STATUS_WORKSPACE = 12
STATUS_SAMPLES = 13
STATUS_NOT_FINITE = 14
STATUS_CLASS_INDEX = 15
STATUS_TARGET_ENTRY = 16
STATUS_TARGET_SUM = 17
STATUS_HYPERPARAMETER = 18
STATUS_PAIR_WEIGHTS = 19
STATUS_OVERFLOW = 20
STATUS_INTERNAL = 21

# By the names that the library gives them.
ACTIVATIONS = {
    "tanh": TANH,
    "sigmoid": SIGMOID,
    "softplus": SOFTPLUS,
    "gelu": GELU,
    "silu": SILU,
    "identity": IDENTITY,
}

INITIALIZATIONS = {
    "fan_in": FAN_IN,
    "glorot": GLOROT,
}


class Plan(Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("inputs", c.c_size_t),
        ("hidden", c.c_size_t),
        ("classes", c.c_size_t),
        ("samples", c.c_size_t),
        ("activation", c.c_uint32),
        ("route", c.c_uint32),
        ("form", c.c_uint32),
        ("reserved", c.c_uint32),
        ("data_set", c.c_size_t),
        ("parameters", c.c_size_t),
        ("workspace_len", c.c_size_t),
        ("gradient_workspace_len", c.c_size_t),
    ]


class Batch(Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("inputs", c.c_void_p),
        ("inputs_len", c.c_size_t),
        ("classes", c.c_void_p),
        ("classes_len", c.c_size_t),
        ("distributions", c.c_void_p),
        ("distributions_len", c.c_size_t),
    ]


class Evaluation(Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("loss", c.c_double),
        ("accuracy", c.c_double),
    ]


class Curvature(Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("trace", c.c_double),
        ("trace_of_square", c.c_double),
        ("output", c.c_double),
        ("hidden", c.c_double),
        ("output_square", c.c_double),
        ("cross_square", c.c_double),
        ("hidden_square", c.c_double),
        ("lambda_max_upper", c.c_double),
        ("lambda_max_lower", c.c_double),
        ("lambda_min_upper", c.c_double),
        ("lambda_min_lower", c.c_double),
        ("differentiable", c.c_uint64),
    ]


class Optimizer(Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("method", c.c_uint32),
        ("update", c.c_uint32),
        ("learning_rate", c.c_double),
        ("momentum", c.c_double),
        ("beta1", c.c_double),
        ("beta2", c.c_double),
        ("epsilon", c.c_double),
        ("clip", c.c_double),
        ("weight_decay", c.c_double),
        ("weights_only", c.c_uint32),
        ("direction", c.c_uint32),
        ("radius", c.c_double),
        ("rho", c.c_double),
        ("every", c.c_uint64),
        ("penalty", c.c_uint32),
        ("sketch", c.c_uint32),
        ("subset", c.c_uint64),
        ("alpha", c.c_double),
        ("beta", c.c_double),
        ("own_share", c.c_double),
        ("limited_share", c.c_double),
        ("seed", c.c_uint64),
    ]


class Step(Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("loss", c.c_double),
        ("has_curvature", c.c_uint64),
        ("has_estimate", c.c_uint64),
        ("trace", c.c_double),
        ("trace_of_square", c.c_double),
        ("output", c.c_double),
        ("hidden", c.c_double),
        ("output_square", c.c_double),
        ("cross_square", c.c_double),
        ("hidden_square", c.c_double),
        ("lambda_max_upper", c.c_double),
        ("lambda_max_lower", c.c_double),
        ("lambda_min_upper", c.c_double),
        ("lambda_min_lower", c.c_double),
        ("differentiable", c.c_uint64),
        ("estimated_trace", c.c_double),
        ("estimated_trace_of_square", c.c_double),
        ("kept", c.c_uint64),
        ("weight", c.c_double),
    ]


class Bounds(Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("lambda_max_upper", c.c_double),
        ("lambda_max_lower", c.c_double),
        ("lambda_min_upper", c.c_double),
        ("lambda_min_lower", c.c_double),
    ]


class State(Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("moments", c.c_void_p),
        ("moments_len", c.c_size_t),
        ("steps", c.c_uint64),
        ("average_trace", c.c_double),
        ("average_trace_of_square", c.c_double),
        ("average_limit", c.c_double),
        ("average_whole", c.c_double),
        ("average_limited", c.c_double),
        ("average_count", c.c_uint64),
    ]


# Result, and arguments.
FUNCTIONS = {
    "flatmin_data_set_loss_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # data
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Evaluation),  # result
        ],
    ),
    "flatmin_data_set_curvature_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # data
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Curvature),  # result
        ],
    ),
    "flatmin_data_set_curvature_estimate_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # data
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Curvature),  # result
        ],
    ),
    "flatmin_data_set_loss_gradient_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # data
            c.c_void_p,  # gradient
            c.c_size_t,  # gradient_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(c.c_double),  # loss
        ],
    ),
    "flatmin_data_set_hessian_vector_product_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # data
            c.c_void_p,  # vector
            c.c_size_t,  # vector_len
            c.c_void_p,  # product
            c.c_size_t,  # product_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
        ],
    ),
    "flatmin_data_set_loss_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # data
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Evaluation),  # result
        ],
    ),
    "flatmin_data_set_curvature_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # data
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Curvature),  # result
        ],
    ),
    "flatmin_data_set_curvature_estimate_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # data
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Curvature),  # result
        ],
    ),
    "flatmin_data_set_loss_gradient_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # data
            c.c_void_p,  # gradient
            c.c_size_t,  # gradient_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(c.c_double),  # loss
        ],
    ),
    "flatmin_data_set_hessian_vector_product_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # data
            c.c_void_p,  # vector
            c.c_size_t,  # vector_len
            c.c_void_p,  # product
            c.c_size_t,  # product_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
        ],
    ),
    "flatmin_data_set_workspace_len": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.POINTER(c.c_size_t),  # length
        ],
    ),
    "flatmin_initialize_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_uint32,  # initialization
            c.c_uint64,  # seed
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
        ],
    ),
    "flatmin_initialize_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_uint32,  # initialization
            c.c_uint64,  # seed
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
        ],
    ),
    "flatmin_optimizer_adam": (
        c.c_int32,
        [
            c.POINTER(Optimizer),  # optimizer
        ],
    ),
    "flatmin_optimizer_sampled": (
        c.c_int32,
        [
            c.c_uint64,  # seed
            c.POINTER(Optimizer),  # optimizer
        ],
    ),
    "flatmin_optimizer_workspace_len": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.POINTER(Optimizer),  # optimizer
            c.POINTER(c.c_size_t),  # length
        ],
    ),
    "flatmin_optimizer_moments_len": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.POINTER(Optimizer),  # optimizer
            c.POINTER(c.c_size_t),  # length
        ],
    ),
    "flatmin_plan_new": (
        c.c_int32,
        [
            c.c_size_t,  # inputs
            c.c_size_t,  # hidden
            c.c_size_t,  # classes
            c.c_uint32,  # activation
            c.c_size_t,  # samples
            c.POINTER(Plan),  # plan
        ],
    ),
    "flatmin_plan_update": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
        ],
    ),
    "flatmin_logits_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.c_void_p,  # inputs
            c.c_size_t,  # inputs_len
            c.c_void_p,  # logits
            c.c_size_t,  # logits_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
        ],
    ),
    "flatmin_probabilities_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.c_void_p,  # inputs
            c.c_size_t,  # inputs_len
            c.c_void_p,  # probabilities
            c.c_size_t,  # probabilities_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
        ],
    ),
    "flatmin_classes_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.c_void_p,  # inputs
            c.c_size_t,  # inputs_len
            c.c_void_p,  # classes
            c.c_size_t,  # classes_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
        ],
    ),
    "flatmin_logits_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.c_void_p,  # inputs
            c.c_size_t,  # inputs_len
            c.c_void_p,  # logits
            c.c_size_t,  # logits_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
        ],
    ),
    "flatmin_probabilities_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.c_void_p,  # inputs
            c.c_size_t,  # inputs_len
            c.c_void_p,  # probabilities
            c.c_size_t,  # probabilities_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
        ],
    ),
    "flatmin_classes_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.c_void_p,  # inputs
            c.c_size_t,  # inputs_len
            c.c_void_p,  # classes
            c.c_size_t,  # classes_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
        ],
    ),
    "flatmin_loss_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Evaluation),  # result
        ],
    ),
    "flatmin_curvature_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Curvature),  # result
        ],
    ),
    "flatmin_loss_gradient_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # gradient
            c.c_size_t,  # gradient_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(c.c_double),  # loss
        ],
    ),
    "flatmin_trace_gradient_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # gradient
            c.c_size_t,  # gradient_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(c.c_double),  # trace
        ],
    ),
    "flatmin_trace_of_square_gradient_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # gradient
            c.c_size_t,  # gradient_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Curvature),  # result
        ],
    ),
    "flatmin_bound_gradient_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # gradient
            c.c_size_t,  # gradient_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Curvature),  # result
        ],
    ),
    "flatmin_hsr_gradient_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_double,  # rho
            c.c_void_p,  # gradient
            c.c_size_t,  # gradient_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Step),  # result
        ],
    ),
    "flatmin_hessian_vector_product_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # vector
            c.c_size_t,  # vector_len
            c.c_void_p,  # product
            c.c_size_t,  # product_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
        ],
    ),
    "flatmin_dense_hessian_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # hessian
            c.c_size_t,  # hessian_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
        ],
    ),
    "flatmin_loss_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Evaluation),  # result
        ],
    ),
    "flatmin_curvature_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Curvature),  # result
        ],
    ),
    "flatmin_loss_gradient_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # gradient
            c.c_size_t,  # gradient_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(c.c_double),  # loss
        ],
    ),
    "flatmin_trace_gradient_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # gradient
            c.c_size_t,  # gradient_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(c.c_double),  # trace
        ],
    ),
    "flatmin_trace_of_square_gradient_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # gradient
            c.c_size_t,  # gradient_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Curvature),  # result
        ],
    ),
    "flatmin_bound_gradient_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # gradient
            c.c_size_t,  # gradient_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Curvature),  # result
        ],
    ),
    "flatmin_hsr_gradient_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_double,  # rho
            c.c_void_p,  # gradient
            c.c_size_t,  # gradient_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Step),  # result
        ],
    ),
    "flatmin_hessian_vector_product_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # vector
            c.c_size_t,  # vector_len
            c.c_void_p,  # product
            c.c_size_t,  # product_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
        ],
    ),
    "flatmin_dense_hessian_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.c_void_p,  # hessian
            c.c_size_t,  # hessian_len
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
        ],
    ),
    "flatmin_bounds_new": (
        c.c_int32,
        [
            c.c_double,  # trace
            c.c_double,  # trace_of_square
            c.c_size_t,  # rows
            c.POINTER(Bounds),  # bounds
        ],
    ),
    "flatmin_status_message": (
        c.c_char_p,
        [
            c.c_int32,  # status
        ],
    ),
    "flatmin_last_error": (
        c.c_size_t,
        [
            c.c_char_p,  # buffer
            c.c_size_t,  # length
        ],
    ),
    "flatmin_step_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.POINTER(Optimizer),  # optimizer
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.POINTER(State),  # state
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Step),  # result
        ],
    ),
    "flatmin_update_f32": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.POINTER(Optimizer),  # optimizer
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.c_void_p,  # gradient
            c.c_size_t,  # gradient_len
            c.POINTER(State),  # state
        ],
    ),
    "flatmin_step_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.POINTER(Optimizer),  # optimizer
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.POINTER(Batch),  # batch
            c.POINTER(State),  # state
            c.c_void_p,  # workspace
            c.c_size_t,  # workspace_len
            c.POINTER(Step),  # result
        ],
    ),
    "flatmin_update_f64": (
        c.c_int32,
        [
            c.POINTER(Plan),  # plan
            c.POINTER(Optimizer),  # optimizer
            c.c_void_p,  # theta
            c.c_size_t,  # theta_len
            c.c_void_p,  # gradient
            c.c_size_t,  # gradient_len
            c.POINTER(State),  # state
        ],
    ),
    "flatmin_warm_up": (
        c.c_double,
        [
            c.c_uint64,  # step
            c.c_uint64,  # steps
        ],
    ),
    "flatmin_cosine": (
        c.c_double,
        [
            c.c_uint64,  # step
            c.c_uint64,  # steps
        ],
    ),
    "flatmin_version": (
        c.c_char_p,
        [
        ],
    ),
    "flatmin_instruction_set": (
        c.c_char_p,
        [
        ],
    ),
}
