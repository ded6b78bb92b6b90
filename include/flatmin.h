/* flatmin: training a three-layer network toward flat minima, in closed form.
 *
 * Parameters lie in memory as [W | b | V | c], row-major: W is M x D, b has M numbers, V is K x M, c has K numbers.
 * Structures and arrays are the caller's; arrays are passed with their length in elements. Nothing is allocated.
 * Every function that can fail returns a status, 0 on success, and only then has written to outputs, parameters or state;
 * flatmin_dense_hessian_f32 and _f64 also where they overflow. A workspace may hold anything before and after. Memory that
 * is written to may overlap no other memory of the same call. Threads may call at once, on arrays of their own.
 *
 * Every structure begins with its size: flatmin_plan_init() and so on make one with its size, and zeros in all other
 * fields. Later versions add fields at the end of structures, whose zero means what was before; programs and libraries of
 * different versions go together where no unknown field is set.
 *
 * Generated from src/capi by `cargo run --manifest-path tests/ffi/Cargo.toml --bin header`; do not edit. */

#ifndef FLATMIN_H
#define FLATMIN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// tanh u
#define FLATMIN_TANH 0

// The logistic function sigma(u).
#define FLATMIN_SIGMOID 1

// ln(1 + e^u)
#define FLATMIN_SOFTPLUS 2

// u Phi(u), by the error function.
#define FLATMIN_GELU 3

// u sigma(u)
#define FLATMIN_SILU 4

// u: a linear network.
#define FLATMIN_IDENTITY 5

// tr H^2 by pairs of samples.
#define FLATMIN_PAIRS 0

// tr H^2 by the explicit blocks of H.
#define FLATMIN_BLOCKS 1

// Pairs by inner products of flat rows.
#define FLATMIN_FLAT 0

// Pairs by blocks of the tangent kernel.
#define FLATMIN_TANGENT 1

// The gradient is grad L.
#define FLATMIN_PLAIN 0

// Sharpness-Aware Minimization: grad L at the point nearby where the loss is greatest, to first order.
#define FLATMIN_SAM 1

// Hessian Spectral Range regularization: grad L + rho grad Lambda.
#define FLATMIN_HSR 2

// Gradient descent with momentum.
#define FLATMIN_SGD 0

// Gradient descent with Nesterov's momentum.
#define FLATMIN_NESTEROV 1

// Adam: weight decay is added to the gradient.
#define FLATMIN_ADAM 2

// AdamW: weight decay acts on theta itself.
#define FLATMIN_ADAMW 3

// HSR descends L + rho Lambda.
#define FLATMIN_GRADIENT 0

// HSR takes grad L + rho grad Lambda/|grad Lambda|: a step of constant length toward flatness.
#define FLATMIN_UNIT 1

// The penalty is the batch's own, exactly.
#define FLATMIN_EXACT 0

// The penalty is estimated from a few samples, at about the price of SGD.
#define FLATMIN_SAMPLED 1

// Weights and biases uniform within +-1/sqrt fan-in, as PyTorch's `nn.Linear` begins. A layer's fan-in is D or M, its fan-out M or K.
#define FLATMIN_FAN_IN 0

// Weights uniform within +-sqrt (6/(fan-in + fan-out)), biases zero.
#define FLATMIN_GLOROT 1

// What became of a call: 0 on success.
enum flatmin_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Done
    FLATMIN_STATUS_OK = 0,
    // A pointer is null where memory is needed
    FLATMIN_STATUS_NULL_POINTER = 1,
    // A pointer is not a multiple of its type's alignment
    FLATMIN_STATUS_MISALIGNED = 2,
    // Memory that is written to overlaps other memory of the call
    FLATMIN_STATUS_OVERLAP = 3,
    // A structure whose `size` is that of no version: most often one that was not initialised
    FLATMIN_STATUS_STRUCTURE_SIZE = 4,
    // A structure uses a field of a version later than this library's
    FLATMIN_STATUS_UNKNOWN_FIELD = 5,
    // A reserved field is not zero
    FLATMIN_STATUS_RESERVED = 6,
    // A code of an activation, route, form, method, update, direction, penalty or initialization that is none of those defined
    FLATMIN_STATUS_UNKNOWN_CODE = 7,
    // A batch with neither kind of targets, or with both
    FLATMIN_STATUS_TARGETS = 8,
    // A size is below the smallest that makes sense: one; two for classes, a subset and the rows of bounds
    FLATMIN_STATUS_TOO_SMALL = 9,
    // Sizes or a length that memory cannot address
    FLATMIN_STATUS_TOO_LARGE = 10,
    // An array of the wrong length
    FLATMIN_STATUS_LENGTH = 11,
    // A workspace shorter than the function takes
    FLATMIN_STATUS_WORKSPACE = 12,
    // A batch of more samples than the plan's
    FLATMIN_STATUS_SAMPLES = 13,
    // A parameter, an input or an entry of a vector is NaN or infinite
    FLATMIN_STATUS_NOT_FINITE = 14,
    // A class index that is not below the number of classes
    FLATMIN_STATUS_CLASS_INDEX = 15,
    // A target distribution with an entry that is negative or not finite
    FLATMIN_STATUS_TARGET_ENTRY = 16,
    // A target distribution that does not sum to one
    FLATMIN_STATUS_TARGET_SUM = 17,
    // A hyperparameter out of its range
    FLATMIN_STATUS_HYPERPARAMETER = 18,
    // A data set that does not go with the batch's size
    FLATMIN_STATUS_PAIR_WEIGHTS = 19,
    // A result that overflows the range of the type
    FLATMIN_STATUS_OVERFLOW = 20,
    // A bug in this library
    FLATMIN_STATUS_INTERNAL = 21,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum flatmin_status flatmin_status;
#else
typedef int32_t flatmin_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Network, batch size and route: all that fixes cost and memory of a computation. Filled in by `flatmin_plan_new`.
//
// The caller may change any of the fields from `inputs` to `data_set` and call `flatmin_plan_update`, which sets the lengths anew. The
// functions that take a plan check it, and go by those fields alone.
typedef struct flatmin_plan {
    // Bytes of this structure, as the caller knows it.
    size_t size;
    // D, the length of an input row.
    size_t inputs;
    // M, the number of hidden units.
    size_t hidden;
    // K, the number of classes.
    size_t classes;
    // The largest batch that the plan allows; of a data set, the size of a chunk.
    size_t samples;
    // `FLATMIN_TANH`, `FLATMIN_SIGMOID`, `FLATMIN_SOFTPLUS`, `FLATMIN_GELU`, `FLATMIN_SILU` or `FLATMIN_IDENTITY`.
    uint32_t activation;
    // `FLATMIN_PAIRS` or `FLATMIN_BLOCKS`: how tr H^2 and its gradient are computed.
    uint32_t route;
    // `FLATMIN_FLAT` or `FLATMIN_TANGENT`: the form of `FLATMIN_PAIRS`.
    uint32_t form;
    // 0.
    uint32_t reserved;
    // What a batch's tr H^2 stands for. 0: the batch's own. T: an unbiased estimate for a data set of T samples.
    size_t data_set;
    // P = MD + M + KM + K, the length of theta, of gradients, of each moment.
    size_t parameters;
    // Elements of workspace that the functions of the Hessian take, and exact HSR steps: each function says which length it takes.
    // A sampled HSR step takes what `flatmin_optimizer_workspace_len` says, which can be more, as the exact curvature of a data set takes
    // what `flatmin_data_set_workspace_len` says.
    size_t workspace_len;
    // Elements of workspace that the functions of the loss take, and all steps but those of HSR. No more than `workspace_len`.
    size_t gradient_workspace_len;
} flatmin_plan;

// A batch, or a data set: N samples, with inputs and either kind of targets. The other kind is null, of length 0.
//
// Inputs and targets are checked by every call, at the cost of reading them once.
typedef struct flatmin_batch_f32 {
    // Bytes of this structure, as the caller knows it.
    size_t size;
    // N x D, row-major.
    const float *inputs;
    // N*D.
    size_t inputs_len;
    // One class index a sample, or null.
    const uint32_t *classes;
    // N, or 0.
    size_t classes_len;
    // One probability distribution over the classes a sample, N x K, row-major, or null.
    const float *distributions;
    // N*K, or 0.
    size_t distributions_len;
} flatmin_batch_f32;

// Loss and accuracy of a batch.
typedef struct flatmin_evaluation {
    // Bytes of this structure, as the caller knows it.
    size_t size;
    // L = -(1/N) sum sum y log p, in nats.
    double loss;
    // The share of samples whose most probable class is the target's.
    double accuracy;
} flatmin_evaluation;

// What is known of the Hessian at a point: both traces, whole and by block of H, and the bounds.
typedef struct flatmin_curvature {
    // Bytes of this structure, as the caller knows it.
    size_t size;
    // tr H
    double trace;
    // tr H^2
    double trace_of_square;
    // The share of V and c in tr H.
    double output;
    // The share of W and b in tr H.
    double hidden;
    // The share of V and c in tr H^2.
    double output_square;
    // The share of the two blocks that couple both in tr H^2.
    double cross_square;
    // The share of W and b in tr H^2.
    double hidden_square;
    // Lambda >= lambda_max
    double lambda_max_upper;
    // <= lambda_max
    double lambda_max_lower;
    // >= lambda_min
    double lambda_min_upper;
    // <= lambda_min
    double lambda_min_lower;
    // 1 where Lambda is differentiable. 0 where it is not: its gradient is taken to be grad tr H / P.
    uint64_t differentiable;
} flatmin_curvature;

// A batch, or a data set: N samples, with inputs and either kind of targets. The other kind is null, of length 0.
//
// Inputs and targets are checked by every call, at the cost of reading them once.
typedef struct flatmin_batch_f64 {
    // Bytes of this structure, as the caller knows it.
    size_t size;
    // N x D, row-major.
    const double *inputs;
    // N*D.
    size_t inputs_len;
    // One class index a sample, or null.
    const uint32_t *classes;
    // N, or 0.
    size_t classes_len;
    // One probability distribution over the classes a sample, N x K, row-major, or null.
    const double *distributions;
    // N*K, or 0.
    size_t distributions_len;
} flatmin_batch_f64;

// An optimizer: which gradient a step takes, and what the update makes of it. All zero but for `size` it is plain gradient descent, of
// learning rate 0. Fields that the method, the update or the penalty does not use are not read.
//
// The norm of the gradient is limited, then weight decay is added: this is g. With SGD, velocity <- mu velocity + g and
// theta <- theta - eta velocity; with Nesterov, theta <- theta - eta (g + mu velocity). With Adam, first <- beta1 first + (1 - beta1) g and
// second <- beta2 second + (1 - beta2) g^2, entry by entry, and at step t, from 1,
// theta <- theta - eta (first/(1 - beta1^t)) / (sqrt (second/(1 - beta2^t)) + epsilon).
typedef struct flatmin_optimizer {
    // Bytes of this structure, as the caller knows it.
    size_t size;
    // `FLATMIN_PLAIN`, `FLATMIN_SAM` or `FLATMIN_HSR`: the gradient.
    uint32_t method;
    // `FLATMIN_SGD`, `FLATMIN_NESTEROV`, `FLATMIN_ADAM` or `FLATMIN_ADAMW`: what is made of it.
    uint32_t update;
    // eta, finite and not negative. It may be another one at each step: `flatmin_warm_up` and `flatmin_cosine` are factors of it.
    double learning_rate;
    // mu, in [0, 1). Of SGD and Nesterov.
    double momentum;
    // beta1, in [0, 1): what the first moment keeps at a step. Of Adam and AdamW; `flatmin_optimizer_adam` sets 0.9.
    double beta1;
    // beta2, in [0, 1): what the second moment keeps at a step. Of Adam and AdamW; `flatmin_optimizer_adam` sets 0.999.
    double beta2;
    // Finite, and positive in the number type. Of Adam and AdamW; `flatmin_optimizer_adam` sets 10^-8.
    double epsilon;
    // The largest norm of the gradient, finite and positive: a longer one is shortened to it, before weight decay is added. 0: no limit.
    double clip;
    // nu, finite and not negative. nu theta is added to the gradient; AdamW has theta <- (1 - eta nu)theta before the step instead.
    double weight_decay;
    // Not 0: the weights W and V decay, the biases do not; 0: all of theta decays.
    uint32_t weights_only;
    // `FLATMIN_GRADIENT` or `FLATMIN_UNIT`. Of HSR.
    uint32_t direction;
    // r, finite and not negative: the gradient is grad L(theta + r grad L(theta)/|grad L(theta)|). Of SAM.
    double radius;
    // rho, finite and not negative: the gradient is grad L + rho grad Lambda. With rho = 0 the step is the plain one, at its cost. Of HSR, as all that
    // follows.
    double rho;
    // k: the penalty is taken on steps 0, k, 2k, ... of the state's count. 0 counts as 1.
    uint64_t every;
    // `FLATMIN_EXACT` or `FLATMIN_SAMPLED`: set by `flatmin_optimizer_sampled`, with what it draws by.
    uint32_t penalty;
    // Not 0: the classes are sketched by a random vector; 0: they are taken exactly. Of a sampled penalty, as all that follows.
    uint32_t sketch;
    // Samples that are kept, at least 2; 0 for as many as cost little beside the loss gradient.
    uint64_t subset;
    // alpha, in [2^-20, 1]: the share of the scores that is the same for all samples.
    double alpha;
    // beta, in [0, 1): how much of the averages of the traces a step keeps.
    double beta;
    // gamma, in [0, 1]: the share of a step's own estimates in the traces at which it takes Lambda's slopes; the rest is that of the averages.
    double own_share;
    // The share of the contributions' length that a limit on the largest takes away, and a factor gives back; in [0, 1). 0: no limit.
    double limited_share;
    // Where the random numbers come from, with the count of steps.
    uint64_t seed;
} flatmin_optimizer;

// What a step or an HSR gradient saw, at the parameters from which it set out.
typedef struct flatmin_step {
    // Bytes of this structure, as the caller knows it.
    size_t size;
    // L, in nats.
    double loss;
    // 1 where an exact penalty was taken. 0 where it was not: then the fields from `trace` to `differentiable` are zero.
    uint64_t has_curvature;
    // 1 where a sampled penalty was taken. 0 where it was not: then the fields from `estimated_trace` to `weight` are zero.
    uint64_t has_estimate;
    // tr H
    double trace;
    // tr H^2
    double trace_of_square;
    // The share of V and c in tr H.
    double output;
    // The share of W and b in tr H.
    double hidden;
    // The share of V and c in tr H^2.
    double output_square;
    // The share of the two blocks that couple both in tr H^2.
    double cross_square;
    // The share of W and b in tr H^2.
    double hidden_square;
    // Lambda >= lambda_max
    double lambda_max_upper;
    // <= lambda_max
    double lambda_max_lower;
    // >= lambda_min
    double lambda_min_upper;
    // <= lambda_min
    double lambda_min_lower;
    // 1 where Lambda is differentiable. 0 where it is not: its gradient is taken to be grad tr H / P.
    uint64_t differentiable;
    // The estimate of tr H.
    double estimated_trace;
    // The estimate of tr H^2; can be negative.
    double estimated_trace_of_square;
    // How many samples were kept.
    uint64_t kept;
    // The sum of their weights, whose mean is the number of samples in the batch.
    double weight;
} flatmin_step;

// The four Wolkowicz-Styan bounds on the extreme eigenvalues.
typedef struct flatmin_bounds {
    // Bytes of this structure, as the caller knows it.
    size_t size;
    // Lambda >= lambda_max
    double lambda_max_upper;
    // <= lambda_max
    double lambda_max_lower;
    // >= lambda_min
    double lambda_min_upper;
    // <= lambda_min
    double lambda_min_lower;
} flatmin_bounds;

// What an optimizer remembers between steps. Before the first step all zero but for `size` and `moments`.
typedef struct flatmin_state_f32 {
    // Bytes of this structure, as the caller knows it.
    size_t size;
    // What the update remembers, laid out like theta, zero before the first step: nothing, then it may be null; SGD's velocity; or Adam's first
    // moments, and behind them the second.
    float *moments;
    // 0, P or 2P: as `flatmin_optimizer_moments_len` says.
    size_t moments_len;
    // Steps taken, modulo 2^64; with the seed, all that random numbers depend on.
    uint64_t steps;
    // The running average of a sampled penalty's estimates of tr H.
    double average_trace;
    // The same of tr H^2.
    double average_trace_of_square;
    // The size to which contributions to grad Lambda are limited; 0 while there is none.
    double average_limit;
    // The average of the sum of the contributions' sizes, before they are limited.
    double average_whole;
    // The same after they are limited.
    double average_limited;
    // Estimates that went into both, modulo 2^64.
    uint64_t average_count;
} flatmin_state_f32;

// What an optimizer remembers between steps. Before the first step all zero but for `size` and `moments`.
typedef struct flatmin_state_f64 {
    // Bytes of this structure, as the caller knows it.
    size_t size;
    // What the update remembers, laid out like theta, zero before the first step: nothing, then it may be null; SGD's velocity; or Adam's first
    // moments, and behind them the second.
    double *moments;
    // 0, P or 2P: as `flatmin_optimizer_moments_len` says.
    size_t moments_len;
    // Steps taken, modulo 2^64; with the seed, all that random numbers depend on.
    uint64_t steps;
    // The running average of a sampled penalty's estimates of tr H.
    double average_trace;
    // The same of tr H^2.
    double average_trace_of_square;
    // The size to which contributions to grad Lambda are limited; 0 while there is none.
    double average_limit;
    // The average of the sum of the contributions' sizes, before they are limited.
    double average_whole;
    // The same after they are limited.
    double average_limited;
    // Estimates that went into both, modulo 2^64.
    uint64_t average_count;
} flatmin_state_f64;

// One of each structure with its size, and zeros in all other fields.

static inline struct flatmin_plan flatmin_plan_init(void) {
    struct flatmin_plan made;
    memset(&made, 0, sizeof made);
    made.size = sizeof made;
    return made;
}

static inline struct flatmin_batch_f32 flatmin_batch_f32_init(void) {
    struct flatmin_batch_f32 made;
    memset(&made, 0, sizeof made);
    made.size = sizeof made;
    return made;
}

static inline struct flatmin_evaluation flatmin_evaluation_init(void) {
    struct flatmin_evaluation made;
    memset(&made, 0, sizeof made);
    made.size = sizeof made;
    return made;
}

static inline struct flatmin_curvature flatmin_curvature_init(void) {
    struct flatmin_curvature made;
    memset(&made, 0, sizeof made);
    made.size = sizeof made;
    return made;
}

static inline struct flatmin_batch_f64 flatmin_batch_f64_init(void) {
    struct flatmin_batch_f64 made;
    memset(&made, 0, sizeof made);
    made.size = sizeof made;
    return made;
}

static inline struct flatmin_optimizer flatmin_optimizer_init(void) {
    struct flatmin_optimizer made;
    memset(&made, 0, sizeof made);
    made.size = sizeof made;
    return made;
}

static inline struct flatmin_step flatmin_step_init(void) {
    struct flatmin_step made;
    memset(&made, 0, sizeof made);
    made.size = sizeof made;
    return made;
}

static inline struct flatmin_bounds flatmin_bounds_init(void) {
    struct flatmin_bounds made;
    memset(&made, 0, sizeof made);
    made.size = sizeof made;
    return made;
}

static inline struct flatmin_state_f32 flatmin_state_f32_init(void) {
    struct flatmin_state_f32 made;
    memset(&made, 0, sizeof made);
    made.size = sizeof made;
    return made;
}

static inline struct flatmin_state_f64 flatmin_state_f64_init(void) {
    struct flatmin_state_f64 made;
    memset(&made, 0, sizeof made);
    made.size = sizeof made;
    return made;
}

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Mean cross-entropy and accuracy of a data set of any number of samples, by chunks of the plan's `samples`. Takes the plan's
// `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_data_set_loss_f32(const struct flatmin_plan *plan,
                                         const float *theta,
                                         size_t theta_len,
                                         const struct flatmin_batch_f32 *data,
                                         float *workspace,
                                         size_t workspace_len,
                                         struct flatmin_evaluation *result);

// tr H and tr H^2, by block, and the four bounds, of a data set of any number of samples T, by chunks of the plan's `samples`: exact,
// over all pairs of samples, of weight 1/T^2 whatever the plan's `data_set`. With `FLATMIN_PAIRS` the cost is quadratic in T, with
// `FLATMIN_BLOCKS` linear, for more memory. Takes as many elements of workspace as `flatmin_data_set_workspace_len` says.
flatmin_status flatmin_data_set_curvature_f32(const struct flatmin_plan *plan,
                                              const float *theta,
                                              size_t theta_len,
                                              const struct flatmin_batch_f32 *data,
                                              float *workspace,
                                              size_t workspace_len,
                                              struct flatmin_curvature *result);

// tr H, exact, and an unbiased estimate of tr H^2, of a data set of any number of samples T, by chunks of at most the plan's
// `samples`; the bounds are functions of both. The pairs within a chunk stand for all, so the samples have to be in random order.
// The estimate can be negative. The cost is linear in T. `FLATMIN_STATUS_PAIR_WEIGHTS` where a chunk would be one sample of a
// larger data set. Takes the plan's `workspace_len` elements of workspace.
flatmin_status flatmin_data_set_curvature_estimate_f32(const struct flatmin_plan *plan,
                                                       const float *theta,
                                                       size_t theta_len,
                                                       const struct flatmin_batch_f32 *data,
                                                       float *workspace,
                                                       size_t workspace_len,
                                                       struct flatmin_curvature *result);

// grad L, laid out like theta, and L, of a data set of any number of samples, by chunks of the plan's `samples`. Takes the plan's
// `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_data_set_loss_gradient_f32(const struct flatmin_plan *plan,
                                                  const float *theta,
                                                  size_t theta_len,
                                                  const struct flatmin_batch_f32 *data,
                                                  float *gradient,
                                                  size_t gradient_len,
                                                  float *workspace,
                                                  size_t workspace_len,
                                                  double *loss);

// H*v, exact, for the H of a data set of any number of samples, by chunks of the plan's `samples`; `vector` and `product` are laid
// out like theta. Takes the plan's `workspace_len` elements of workspace.
flatmin_status flatmin_data_set_hessian_vector_product_f32(const struct flatmin_plan *plan,
                                                           const float *theta,
                                                           size_t theta_len,
                                                           const struct flatmin_batch_f32 *data,
                                                           const float *vector,
                                                           size_t vector_len,
                                                           float *product,
                                                           size_t product_len,
                                                           float *workspace,
                                                           size_t workspace_len);

// Mean cross-entropy and accuracy of a data set of any number of samples, by chunks of the plan's `samples`. Takes the plan's
// `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_data_set_loss_f64(const struct flatmin_plan *plan,
                                         const double *theta,
                                         size_t theta_len,
                                         const struct flatmin_batch_f64 *data,
                                         double *workspace,
                                         size_t workspace_len,
                                         struct flatmin_evaluation *result);

// tr H and tr H^2, by block, and the four bounds, of a data set of any number of samples T, by chunks of the plan's `samples`: exact,
// over all pairs of samples, of weight 1/T^2 whatever the plan's `data_set`. With `FLATMIN_PAIRS` the cost is quadratic in T, with
// `FLATMIN_BLOCKS` linear, for more memory. Takes as many elements of workspace as `flatmin_data_set_workspace_len` says.
flatmin_status flatmin_data_set_curvature_f64(const struct flatmin_plan *plan,
                                              const double *theta,
                                              size_t theta_len,
                                              const struct flatmin_batch_f64 *data,
                                              double *workspace,
                                              size_t workspace_len,
                                              struct flatmin_curvature *result);

// tr H, exact, and an unbiased estimate of tr H^2, of a data set of any number of samples T, by chunks of at most the plan's
// `samples`; the bounds are functions of both. The pairs within a chunk stand for all, so the samples have to be in random order.
// The estimate can be negative. The cost is linear in T. `FLATMIN_STATUS_PAIR_WEIGHTS` where a chunk would be one sample of a
// larger data set. Takes the plan's `workspace_len` elements of workspace.
flatmin_status flatmin_data_set_curvature_estimate_f64(const struct flatmin_plan *plan,
                                                       const double *theta,
                                                       size_t theta_len,
                                                       const struct flatmin_batch_f64 *data,
                                                       double *workspace,
                                                       size_t workspace_len,
                                                       struct flatmin_curvature *result);

// grad L, laid out like theta, and L, of a data set of any number of samples, by chunks of the plan's `samples`. Takes the plan's
// `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_data_set_loss_gradient_f64(const struct flatmin_plan *plan,
                                                  const double *theta,
                                                  size_t theta_len,
                                                  const struct flatmin_batch_f64 *data,
                                                  double *gradient,
                                                  size_t gradient_len,
                                                  double *workspace,
                                                  size_t workspace_len,
                                                  double *loss);

// H*v, exact, for the H of a data set of any number of samples, by chunks of the plan's `samples`; `vector` and `product` are laid
// out like theta. Takes the plan's `workspace_len` elements of workspace.
flatmin_status flatmin_data_set_hessian_vector_product_f64(const struct flatmin_plan *plan,
                                                           const double *theta,
                                                           size_t theta_len,
                                                           const struct flatmin_batch_f64 *data,
                                                           const double *vector,
                                                           size_t vector_len,
                                                           double *product,
                                                           size_t product_len,
                                                           double *workspace,
                                                           size_t workspace_len);

// Elements of workspace that `flatmin_data_set_curvature_f32` and `_f64` take, by chunks of the plan's `samples`, whatever the number of
// samples in the data set.
flatmin_status flatmin_data_set_workspace_len(const struct flatmin_plan *plan,
                                              size_t *length);

// Writes random parameters to theta, by `FLATMIN_FAN_IN` or `FLATMIN_GLOROT`: the same ones for the same seed, on every platform.
flatmin_status flatmin_initialize_f32(const struct flatmin_plan *plan,
                                      uint32_t initialization,
                                      uint64_t seed,
                                      float *theta,
                                      size_t theta_len);

// Writes random parameters to theta, by `FLATMIN_FAN_IN` or `FLATMIN_GLOROT`: the same ones for the same seed, on every platform.
flatmin_status flatmin_initialize_f64(const struct flatmin_plan *plan,
                                      uint32_t initialization,
                                      uint64_t seed,
                                      double *theta,
                                      size_t theta_len);

// Makes the update Adam's: sets `update`, and `beta1`, `beta2` and `epsilon` to the defaults. The other fields stay as they are. For AdamW,
// set `update` to `FLATMIN_ADAMW` afterwards.
flatmin_status flatmin_optimizer_adam(struct flatmin_optimizer *optimizer);

// Makes the method HSR with a penalty that is sampled with this seed: sets `method`, and the fields from `penalty` to `seed`, these to the
// defaults. The other fields stay as they are.
flatmin_status flatmin_optimizer_sampled(uint64_t seed,
                                         struct flatmin_optimizer *optimizer);

// Elements of workspace that a step takes: the plan's `gradient_workspace_len`; with HSR the plan's `workspace_len` for an exact penalty, and
// for a sampled one another length, which can be less or more.
flatmin_status flatmin_optimizer_workspace_len(const struct flatmin_plan *plan,
                                               const struct flatmin_optimizer *optimizer,
                                               size_t *length);

// How many numbers the state's `moments` hold: P with momentum, 2P with Adam and AdamW, else 0.
flatmin_status flatmin_optimizer_moments_len(const struct flatmin_plan *plan,
                                             const struct flatmin_optimizer *optimizer,
                                             size_t *length);

// Plans for a network and batches of up to `samples` samples, by the route that takes less time. `plan` is initialised, by
// `flatmin_plan_init` in C.
flatmin_status flatmin_plan_new(size_t inputs,
                                size_t hidden,
                                size_t classes,
                                uint32_t activation,
                                size_t samples,
                                struct flatmin_plan *plan);

// Checks a plan whose fields were changed, and sets its lengths anew.
flatmin_status flatmin_plan_update(struct flatmin_plan *plan);

// The logits z of the samples of `inputs`, N x D, row-major: N x K, row-major. N is at least 1 and at most the plan's `samples`. Takes the
// plan's `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_logits_f32(const struct flatmin_plan *plan,
                                  const float *theta,
                                  size_t theta_len,
                                  const float *inputs,
                                  size_t inputs_len,
                                  float *logits,
                                  size_t logits_len,
                                  float *workspace,
                                  size_t workspace_len);

// The class probabilities p = softmax(z), N x K, row-major. Takes what the logits take.
flatmin_status flatmin_probabilities_f32(const struct flatmin_plan *plan,
                                         const float *theta,
                                         size_t theta_len,
                                         const float *inputs,
                                         size_t inputs_len,
                                         float *probabilities,
                                         size_t probabilities_len,
                                         float *workspace,
                                         size_t workspace_len);

// The most probable class of each sample, N; the first one, among equals. Takes what the logits take.
flatmin_status flatmin_classes_f32(const struct flatmin_plan *plan,
                                   const float *theta,
                                   size_t theta_len,
                                   const float *inputs,
                                   size_t inputs_len,
                                   uint32_t *classes,
                                   size_t classes_len,
                                   float *workspace,
                                   size_t workspace_len);

// The logits z of the samples of `inputs`, N x D, row-major: N x K, row-major. N is at least 1 and at most the plan's `samples`. Takes the
// plan's `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_logits_f64(const struct flatmin_plan *plan,
                                  const double *theta,
                                  size_t theta_len,
                                  const double *inputs,
                                  size_t inputs_len,
                                  double *logits,
                                  size_t logits_len,
                                  double *workspace,
                                  size_t workspace_len);

// The class probabilities p = softmax(z), N x K, row-major. Takes what the logits take.
flatmin_status flatmin_probabilities_f64(const struct flatmin_plan *plan,
                                         const double *theta,
                                         size_t theta_len,
                                         const double *inputs,
                                         size_t inputs_len,
                                         double *probabilities,
                                         size_t probabilities_len,
                                         double *workspace,
                                         size_t workspace_len);

// The most probable class of each sample, N; the first one, among equals. Takes what the logits take.
flatmin_status flatmin_classes_f64(const struct flatmin_plan *plan,
                                   const double *theta,
                                   size_t theta_len,
                                   const double *inputs,
                                   size_t inputs_len,
                                   uint32_t *classes,
                                   size_t classes_len,
                                   double *workspace,
                                   size_t workspace_len);

// Mean cross-entropy and accuracy. Takes the plan's `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_loss_f32(const struct flatmin_plan *plan,
                                const float *theta,
                                size_t theta_len,
                                const struct flatmin_batch_f32 *batch,
                                float *workspace,
                                size_t workspace_len,
                                struct flatmin_evaluation *result);

// tr H and tr H^2, by block, and the four bounds. Takes the plan's `workspace_len` elements of workspace.
flatmin_status flatmin_curvature_f32(const struct flatmin_plan *plan,
                                     const float *theta,
                                     size_t theta_len,
                                     const struct flatmin_batch_f32 *batch,
                                     float *workspace,
                                     size_t workspace_len,
                                     struct flatmin_curvature *result);

// grad L, laid out like theta, and L. Takes the plan's `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_loss_gradient_f32(const struct flatmin_plan *plan,
                                         const float *theta,
                                         size_t theta_len,
                                         const struct flatmin_batch_f32 *batch,
                                         float *gradient,
                                         size_t gradient_len,
                                         float *workspace,
                                         size_t workspace_len,
                                         double *loss);

// grad tr H, laid out like theta, and tr H. Takes the plan's `workspace_len` elements of workspace.
flatmin_status flatmin_trace_gradient_f32(const struct flatmin_plan *plan,
                                          const float *theta,
                                          size_t theta_len,
                                          const struct flatmin_batch_f32 *batch,
                                          float *gradient,
                                          size_t gradient_len,
                                          float *workspace,
                                          size_t workspace_len,
                                          double *trace);

// grad tr H^2, laid out like theta; traces and bounds. Takes the plan's `workspace_len` elements of workspace.
flatmin_status flatmin_trace_of_square_gradient_f32(const struct flatmin_plan *plan,
                                                    const float *theta,
                                                    size_t theta_len,
                                                    const struct flatmin_batch_f32 *batch,
                                                    float *gradient,
                                                    size_t gradient_len,
                                                    float *workspace,
                                                    size_t workspace_len,
                                                    struct flatmin_curvature *result);

// grad Lambda, the gradient of the upper bound on lambda_max, laid out like theta; traces and bounds. Takes the plan's `workspace_len` elements of
// workspace.
flatmin_status flatmin_bound_gradient_f32(const struct flatmin_plan *plan,
                                          const float *theta,
                                          size_t theta_len,
                                          const struct flatmin_batch_f32 *batch,
                                          float *gradient,
                                          size_t gradient_len,
                                          float *workspace,
                                          size_t workspace_len,
                                          struct flatmin_curvature *result);

// grad(L + rho Lambda), laid out like theta; loss, traces and bounds. With rho = 0 this is the loss gradient, at its cost, without traces and bounds.
// Takes the plan's `workspace_len` elements of workspace, for any rho.
flatmin_status flatmin_hsr_gradient_f32(const struct flatmin_plan *plan,
                                        const float *theta,
                                        size_t theta_len,
                                        const struct flatmin_batch_f32 *batch,
                                        double rho,
                                        float *gradient,
                                        size_t gradient_len,
                                        float *workspace,
                                        size_t workspace_len,
                                        struct flatmin_step *result);

// H*v, exact, without forming H; `vector` and `product` are laid out like theta. Takes the plan's `workspace_len` elements of
// workspace.
flatmin_status flatmin_hessian_vector_product_f32(const struct flatmin_plan *plan,
                                                  const float *theta,
                                                  size_t theta_len,
                                                  const struct flatmin_batch_f32 *batch,
                                                  const float *vector,
                                                  size_t vector_len,
                                                  float *product,
                                                  size_t product_len,
                                                  float *workspace,
                                                  size_t workspace_len);

// H itself, P x P, row-major and symmetric; written to also where it overflows. `hessian_len` is P^2. Takes the plan's `workspace_len`
// elements of workspace.
flatmin_status flatmin_dense_hessian_f32(const struct flatmin_plan *plan,
                                         const float *theta,
                                         size_t theta_len,
                                         const struct flatmin_batch_f32 *batch,
                                         float *hessian,
                                         size_t hessian_len,
                                         float *workspace,
                                         size_t workspace_len);

// Mean cross-entropy and accuracy. Takes the plan's `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_loss_f64(const struct flatmin_plan *plan,
                                const double *theta,
                                size_t theta_len,
                                const struct flatmin_batch_f64 *batch,
                                double *workspace,
                                size_t workspace_len,
                                struct flatmin_evaluation *result);

// tr H and tr H^2, by block, and the four bounds. Takes the plan's `workspace_len` elements of workspace.
flatmin_status flatmin_curvature_f64(const struct flatmin_plan *plan,
                                     const double *theta,
                                     size_t theta_len,
                                     const struct flatmin_batch_f64 *batch,
                                     double *workspace,
                                     size_t workspace_len,
                                     struct flatmin_curvature *result);

// grad L, laid out like theta, and L. Takes the plan's `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_loss_gradient_f64(const struct flatmin_plan *plan,
                                         const double *theta,
                                         size_t theta_len,
                                         const struct flatmin_batch_f64 *batch,
                                         double *gradient,
                                         size_t gradient_len,
                                         double *workspace,
                                         size_t workspace_len,
                                         double *loss);

// grad tr H, laid out like theta, and tr H. Takes the plan's `workspace_len` elements of workspace.
flatmin_status flatmin_trace_gradient_f64(const struct flatmin_plan *plan,
                                          const double *theta,
                                          size_t theta_len,
                                          const struct flatmin_batch_f64 *batch,
                                          double *gradient,
                                          size_t gradient_len,
                                          double *workspace,
                                          size_t workspace_len,
                                          double *trace);

// grad tr H^2, laid out like theta; traces and bounds. Takes the plan's `workspace_len` elements of workspace.
flatmin_status flatmin_trace_of_square_gradient_f64(const struct flatmin_plan *plan,
                                                    const double *theta,
                                                    size_t theta_len,
                                                    const struct flatmin_batch_f64 *batch,
                                                    double *gradient,
                                                    size_t gradient_len,
                                                    double *workspace,
                                                    size_t workspace_len,
                                                    struct flatmin_curvature *result);

// grad Lambda, the gradient of the upper bound on lambda_max, laid out like theta; traces and bounds. Takes the plan's `workspace_len` elements of
// workspace.
flatmin_status flatmin_bound_gradient_f64(const struct flatmin_plan *plan,
                                          const double *theta,
                                          size_t theta_len,
                                          const struct flatmin_batch_f64 *batch,
                                          double *gradient,
                                          size_t gradient_len,
                                          double *workspace,
                                          size_t workspace_len,
                                          struct flatmin_curvature *result);

// grad(L + rho Lambda), laid out like theta; loss, traces and bounds. With rho = 0 this is the loss gradient, at its cost, without traces and bounds.
// Takes the plan's `workspace_len` elements of workspace, for any rho.
flatmin_status flatmin_hsr_gradient_f64(const struct flatmin_plan *plan,
                                        const double *theta,
                                        size_t theta_len,
                                        const struct flatmin_batch_f64 *batch,
                                        double rho,
                                        double *gradient,
                                        size_t gradient_len,
                                        double *workspace,
                                        size_t workspace_len,
                                        struct flatmin_step *result);

// H*v, exact, without forming H; `vector` and `product` are laid out like theta. Takes the plan's `workspace_len` elements of
// workspace.
flatmin_status flatmin_hessian_vector_product_f64(const struct flatmin_plan *plan,
                                                  const double *theta,
                                                  size_t theta_len,
                                                  const struct flatmin_batch_f64 *batch,
                                                  const double *vector,
                                                  size_t vector_len,
                                                  double *product,
                                                  size_t product_len,
                                                  double *workspace,
                                                  size_t workspace_len);

// H itself, P x P, row-major and symmetric; written to also where it overflows. `hessian_len` is P^2. Takes the plan's `workspace_len`
// elements of workspace.
flatmin_status flatmin_dense_hessian_f64(const struct flatmin_plan *plan,
                                         const double *theta,
                                         size_t theta_len,
                                         const struct flatmin_batch_f64 *batch,
                                         double *hessian,
                                         size_t hessian_len,
                                         double *workspace,
                                         size_t workspace_len);

// The Wolkowicz-Styan bounds of any symmetric matrix of `rows >= 2` rows with these traces.
flatmin_status flatmin_bounds_new(double trace, double trace_of_square, size_t rows, struct flatmin_bounds *bounds);

// What a status means, in English; never null. For a number that is no status, says so.
const char *flatmin_status_message(int32_t status);

// Copies the message of the calling thread's last failure, as UTF-8 that ends in a zero, to `buffer`, cut to `length` bytes.
//
// Returns the length of the whole message without the zero: 0 where no call of the thread has failed. A null `buffer` is not written to.
size_t flatmin_last_error(char *buffer,
                          size_t length);

// One step of an optimizer; theta and the state are changed. Takes as many elements of workspace as `flatmin_optimizer_workspace_len`
// says, and as many moments as `flatmin_optimizer_moments_len`.
flatmin_status flatmin_step_f32(const struct flatmin_plan *plan,
                                const struct flatmin_optimizer *optimizer,
                                float *theta,
                                size_t theta_len,
                                const struct flatmin_batch_f32 *batch,
                                struct flatmin_state_f32 *state,
                                float *workspace,
                                size_t workspace_len,
                                struct flatmin_step *result);

// The last part of a step, along a gradient of the caller's, laid out like theta: weight decay, the limit of the norm, moments, theta. The
// method does not matter. theta and the state are changed. What `gradient` holds afterwards, after an error too, is not specified.
flatmin_status flatmin_update_f32(const struct flatmin_plan *plan,
                                  const struct flatmin_optimizer *optimizer,
                                  float *theta,
                                  size_t theta_len,
                                  float *gradient,
                                  size_t gradient_len,
                                  struct flatmin_state_f32 *state);

// One step of an optimizer; theta and the state are changed. Takes as many elements of workspace as `flatmin_optimizer_workspace_len`
// says, and as many moments as `flatmin_optimizer_moments_len`.
flatmin_status flatmin_step_f64(const struct flatmin_plan *plan,
                                const struct flatmin_optimizer *optimizer,
                                double *theta,
                                size_t theta_len,
                                const struct flatmin_batch_f64 *batch,
                                struct flatmin_state_f64 *state,
                                double *workspace,
                                size_t workspace_len,
                                struct flatmin_step *result);

// The last part of a step, along a gradient of the caller's, laid out like theta: weight decay, the limit of the norm, moments, theta. The
// method does not matter. theta and the state are changed. What `gradient` holds afterwards, after an error too, is not specified.
flatmin_status flatmin_update_f64(const struct flatmin_plan *plan,
                                  const struct flatmin_optimizer *optimizer,
                                  double *theta,
                                  size_t theta_len,
                                  double *gradient,
                                  size_t gradient_len,
                                  struct flatmin_state_f64 *state);

// A factor of the learning rate: a line from 1/steps at step 0 to 1 at the last of so many steps, and 1 from there on.
double flatmin_warm_up(uint64_t step, uint64_t steps);

// A factor of the learning rate: half a wave of the cosine, (1 + cos(pi step/steps))/2, from 1 at step 0 to 0 at `steps`, and 0 from there on.
double flatmin_cosine(uint64_t step,
                      uint64_t steps);

// The version of the library, as `"0.1.0"`.
const char *flatmin_version(void);

// The instruction set in use: `"portable"`, `"neon"`, `"avx2"` or `"avx512"`. The widest that CPU and system have, or the one that the
// environment variable `FLATMIN_INSTRUCTION_SET` names, if they have it; decided once. Results are the same bits wherever it is the same.
const char *flatmin_instruction_set(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FLATMIN_H */
