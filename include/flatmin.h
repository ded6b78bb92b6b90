/* flatmin: training a three-layer network toward flat minima, in closed form.
 *
 * Parameters lie in memory as [W | b | V | c], row-major: W is M x D, b has M numbers, V is K x M, c has K numbers.
 * Structures and arrays are the caller's; arrays are passed with their length in elements. Nothing is allocated.
 * Every function returns a status, 0 on success, and only then has written to outputs, parameters or state; a workspace
 * may hold anything before and after. An array that is written to may overlap no other array of the same call.
 * Threads may call at once, on arrays of their own.
 *
 * Generated from src/capi by `cargo run --manifest-path tests/ffi/Cargo.toml --bin header`; do not edit. */

#ifndef FLATMIN_H
#define FLATMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// tanh u
#define FLATMIN_TANH 0

// The logistic function σ(u).
#define FLATMIN_SIGMOID 1

// ln(1 + eᵘ)
#define FLATMIN_SOFTPLUS 2

// u Φ(u), by the error function.
#define FLATMIN_GELU 3

// u σ(u)
#define FLATMIN_SILU 4

// u: a linear network.
#define FLATMIN_IDENTITY 5

// tr H² by pairs of samples.
#define FLATMIN_PAIRS 0

// tr H² by the explicit blocks of H.
#define FLATMIN_BLOCKS 1

// Pairs by inner products of flat rows.
#define FLATMIN_FLAT 0

// Pairs by blocks of the tangent kernel.
#define FLATMIN_TANGENT 1

// HSR descends L + ρΛ.
#define FLATMIN_GRADIENT 0

// HSR takes ∇L + ρ∇Λ/‖∇Λ‖: a step of constant length toward flatness.
#define FLATMIN_UNIT 1

// The penalty is the batch's own, exactly.
#define FLATMIN_EXACT 0

// The penalty is estimated from a few samples, at about the price of SGD.
#define FLATMIN_SAMPLED 1

// What became of a call: 0 on success.
enum flatmin_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Done.
    FLATMIN_STATUS_OK = 0,
    // A pointer is null where memory is needed.
    FLATMIN_STATUS_NULL_POINTER = 1,
    // A pointer is not a multiple of its type's alignment.
    FLATMIN_STATUS_MISALIGNED = 2,
    // An array that is written to overlaps another one.
    FLATMIN_STATUS_OVERLAP = 3,
    // A code of an activation, route, form or direction that is none of those defined.
    FLATMIN_STATUS_UNKNOWN_CODE = 4,
    // A batch with neither kind of targets, or with both.
    FLATMIN_STATUS_TARGETS = 5,
    // A size is below the smallest that makes sense: one; two for classes.
    FLATMIN_STATUS_TOO_SMALL = 6,
    // Sizes or a length that memory cannot address.
    FLATMIN_STATUS_TOO_LARGE = 7,
    // An array of the wrong length.
    FLATMIN_STATUS_LENGTH = 8,
    // A workspace shorter than the plan asks for.
    FLATMIN_STATUS_WORKSPACE = 9,
    // A batch of another shape than the plan's.
    FLATMIN_STATUS_SHAPE = 10,
    // A batch of more samples than the plan's.
    FLATMIN_STATUS_SAMPLES = 11,
    // A parameter, an input or a direction is NaN or infinite.
    FLATMIN_STATUS_NOT_FINITE = 12,
    // A class index that is not below the number of classes.
    FLATMIN_STATUS_CLASS_INDEX = 13,
    // A target distribution with an entry that is negative or not finite.
    FLATMIN_STATUS_TARGET_ENTRY = 14,
    // A target distribution that does not sum to one.
    FLATMIN_STATUS_TARGET_SUM = 15,
    // A hyperparameter out of its range.
    FLATMIN_STATUS_HYPERPARAMETER = 16,
    // A data set that does not go with the batch's size.
    FLATMIN_STATUS_PAIR_WEIGHTS = 17,
    // A result that overflows the range of the type.
    FLATMIN_STATUS_OVERFLOW = 18,
    // A bug in this library.
    FLATMIN_STATUS_INTERNAL = 19,
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
// The caller may change any of the fields up to `data_set` and call `flatmin_plan_update`, which sets the lengths anew. The functions
// that take a plan check it, and go by those fields alone.
typedef struct flatmin_plan {
    // D, the length of an input row.
    size_t inputs;
    // M, the number of hidden units.
    size_t hidden;
    // K, the number of classes.
    size_t classes;
    // The largest batch that the plan allows.
    size_t samples;
    // `FLATMIN_TANH` and so on.
    uint32_t activation;
    // `FLATMIN_PAIRS` or `FLATMIN_BLOCKS`: how tr H² and its gradient are computed.
    uint32_t route;
    // `FLATMIN_FLAT` or `FLATMIN_TANGENT`: the form of `FLATMIN_PAIRS`.
    uint32_t form;
    // 0.
    uint32_t reserved;
    // What a batch's tr H² stands for. 0: the batch's own. T: an unbiased estimate for a data set of T samples.
    size_t data_set;
    // P = MD + M + KM + K, the length of θ, of gradients, of a velocity.
    size_t parameters;
    // Elements of workspace with which every function runs.
    size_t workspace_len;
    // Elements of workspace with which loss, loss gradient, SGD and SAM steps run.
    size_t gradient_workspace_len;
} flatmin_plan;

// The four Wolkowicz–Styan bounds on the extreme eigenvalues.
typedef struct flatmin_bounds {
    // Λ ≥ λ_max
    double lambda_max_upper;
    // ≤ λ_max
    double lambda_max_lower;
    // ≥ λ_min
    double lambda_min_upper;
    // ≤ λ_min
    double lambda_min_lower;
} flatmin_bounds;

// How a sampled penalty is drawn. Filled in by `flatmin_sampling_new`.
typedef struct flatmin_sampling {
    // Samples that are kept; 0 for as many as cost little beside the loss gradient.
    size_t subset;
    // Not 0: the classes are sketched by a random vector. 0: they are taken exactly.
    uint32_t sketch;
    // 0.
    uint32_t reserved;
    // α, in (0, 1]: the share of the scores that is the same for all samples.
    double alpha;
    // β, in [0, 1): how much of the averages of the traces a step keeps.
    double beta;
    // γ, in [0, 1]: an estimate of tr H² counts at least so much in the slopes of its own step.
    double guard;
    // Where the random numbers come from, with the count of steps.
    uint64_t seed;
} flatmin_sampling;

// Gradient descent: v ← μv + d + ωθ, θ ← θ − ηv, with d = ∇L.
typedef struct flatmin_sgd {
    // η, finite and not negative.
    double learning_rate;
    // μ, in [0, 1).
    double momentum;
    // ω, finite and not negative.
    double weight_decay;
} flatmin_sgd;

// Hessian Spectral Range regularization: d = ∇L + ρ∇Λ.
typedef struct flatmin_hsr {
    // The update.
    struct flatmin_sgd sgd;
    // ρ, finite and not negative.
    double rho;
    // k: the penalty is taken on steps 0, k, 2k, … of the state's count. 0 counts as 1.
    uint64_t every;
    // `FLATMIN_GRADIENT` or `FLATMIN_UNIT`.
    uint32_t direction;
    // `FLATMIN_EXACT` or `FLATMIN_SAMPLED`.
    uint32_t penalty;
    // How a sampled penalty is drawn; not read for an exact one.
    struct flatmin_sampling sampling;
} flatmin_hsr;

// N samples: inputs, and either kind of targets. The other kind is null, of length 0.
//
// Inputs and targets are checked by every call, at the cost of reading them once.
typedef struct flatmin_batch_f32 {
    // N×D, row-major.
    const float *inputs;
    // N·D.
    size_t inputs_len;
    // One class index a sample, or null.
    const uint32_t *classes;
    // N, or 0.
    size_t classes_len;
    // One probability distribution over the classes a sample, N×K, row-major, or null.
    const float *distributions;
    // N·K, or 0.
    size_t distributions_len;
} flatmin_batch_f32;

// Loss and accuracy of a batch.
typedef struct flatmin_evaluation {
    // L = −(1/N) Σ Σ y log p, in nats.
    double loss;
    // The share of samples whose most probable class is the target's.
    double accuracy;
} flatmin_evaluation;

// What is known of the Hessian at a point: both traces, whole and by block of H, and the bounds.
typedef struct flatmin_curvature {
    // tr H
    double trace;
    // tr H²
    double trace_of_square;
    // The share of V and c in tr H.
    double output;
    // The share of W and b in tr H.
    double hidden;
    // The share of V and c in tr H².
    double output_square;
    // The share of the two blocks that couple both in tr H².
    double cross_square;
    // The share of W and b in tr H².
    double hidden_square;
    // The four bounds.
    struct flatmin_bounds bounds;
    // Whether Λ is differentiable here. Where it is not, its gradient is taken to be ∇tr H / P.
    bool differentiable;
} flatmin_curvature;

// Estimates of both traces.
typedef struct flatmin_estimate {
    // Of tr H.
    double trace;
    // Of tr H²; can be negative.
    double trace_of_square;
    // How many samples were kept.
    size_t kept;
    // The sum of their weights, whose mean is the number of samples in the batch.
    double weight;
} flatmin_estimate;

// What a step or an HSR gradient saw, at the parameters from which it set out.
typedef struct flatmin_step {
    // L, in nats.
    double loss;
    // Whether an exact penalty was taken. Where it was not, `curvature` is zero.
    bool has_curvature;
    // Whether a sampled penalty was taken. Where it was not, `estimate` is zero.
    bool has_estimate;
    // Traces and bounds.
    struct flatmin_curvature curvature;
    // Estimates of the traces.
    struct flatmin_estimate estimate;
} flatmin_step;

// Running averages of the estimates of the traces.
typedef struct flatmin_averages {
    // Of tr H.
    double trace;
    // Of tr H².
    double trace_of_square;
    // Estimates that went in, modulo 2⁶⁴.
    uint64_t count;
} flatmin_averages;

// What an optimizer remembers between steps. All zero, but for `velocity`, before the first step.
typedef struct flatmin_state_f32 {
    // v, laid out like θ, zero before the first step; may be null where momentum is zero.
    float *velocity;
    // P, or 0.
    size_t velocity_len;
    // Steps taken, modulo 2⁶⁴; with the seed, all that random numbers depend on.
    uint64_t steps;
    // Averages of a sampled penalty's traces.
    struct flatmin_averages averages;
} flatmin_state_f32;

// Sharpness-Aware Minimization: d = ∇L(θ + r ∇L(θ)/‖∇L(θ)‖).
typedef struct flatmin_sam {
    // The update.
    struct flatmin_sgd sgd;
    // r, finite and not negative.
    double radius;
} flatmin_sam;

// N samples: inputs, and either kind of targets. The other kind is null, of length 0.
//
// Inputs and targets are checked by every call, at the cost of reading them once.
typedef struct flatmin_batch_f64 {
    // N×D, row-major.
    const double *inputs;
    // N·D.
    size_t inputs_len;
    // One class index a sample, or null.
    const uint32_t *classes;
    // N, or 0.
    size_t classes_len;
    // One probability distribution over the classes a sample, N×K, row-major, or null.
    const double *distributions;
    // N·K, or 0.
    size_t distributions_len;
} flatmin_batch_f64;

// What an optimizer remembers between steps. All zero, but for `velocity`, before the first step.
typedef struct flatmin_state_f64 {
    // v, laid out like θ, zero before the first step; may be null where momentum is zero.
    double *velocity;
    // P, or 0.
    size_t velocity_len;
    // Steps taken, modulo 2⁶⁴; with the seed, all that random numbers depend on.
    uint64_t steps;
    // Averages of a sampled penalty's traces.
    struct flatmin_averages averages;
} flatmin_state_f64;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library, as `"0.1.0"`.
const char *flatmin_version(void);

// The instruction set in use: `"portable"`, `"neon"`, `"avx2"` or `"avx512"`. The environment variable `FLATMIN_INSTRUCTION_SET`
// names another one. Results are the same bits wherever it is the same.
const char *flatmin_instruction_set(void);

// Plans for a network and batches of up to `samples` samples, by the route that takes less time.
flatmin_status flatmin_plan_new(size_t inputs,
                                size_t hidden,
                                size_t classes,
                                uint32_t activation,
                                size_t samples,
                                struct flatmin_plan *plan);

// Checks a plan whose fields were changed, and sets its lengths anew.
flatmin_status flatmin_plan_update(struct flatmin_plan *plan);

// The Wolkowicz–Styan bounds of any symmetric matrix of `rows ≥ 2` rows with these traces.
flatmin_status flatmin_bounds_new(double trace, double trace_of_square, size_t rows, struct flatmin_bounds *bounds);

// The default way to draw a sampled penalty, with this seed.
flatmin_status flatmin_sampling_new(uint64_t seed, struct flatmin_sampling *sampling);

// Elements of workspace that an HSR step takes: the plan's `workspace_len` for an exact penalty.
flatmin_status flatmin_hsr_workspace_len(const struct flatmin_plan *plan,
                                         const struct flatmin_hsr *hsr,
                                         size_t *length);

// Mean cross-entropy and accuracy. Takes `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_loss_f32(const struct flatmin_plan *plan,
                                const float *theta,
                                size_t theta_len,
                                const struct flatmin_batch_f32 *batch,
                                float *workspace,
                                size_t workspace_len,
                                struct flatmin_evaluation *result);

// ∇L, laid out like θ, and L. Takes `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_loss_gradient_f32(const struct flatmin_plan *plan,
                                         const float *theta,
                                         size_t theta_len,
                                         const struct flatmin_batch_f32 *batch,
                                         float *gradient,
                                         size_t gradient_len,
                                         float *workspace,
                                         size_t workspace_len,
                                         double *loss);

// tr H and tr H², by block, and the four bounds. Takes `workspace_len` elements of workspace, as do all below but two steps.
flatmin_status flatmin_curvature_f32(const struct flatmin_plan *plan,
                                     const float *theta,
                                     size_t theta_len,
                                     const struct flatmin_batch_f32 *batch,
                                     float *workspace,
                                     size_t workspace_len,
                                     struct flatmin_curvature *result);

// ∇tr H, laid out like θ, and tr H.
flatmin_status flatmin_trace_gradient_f32(const struct flatmin_plan *plan,
                                          const float *theta,
                                          size_t theta_len,
                                          const struct flatmin_batch_f32 *batch,
                                          float *gradient,
                                          size_t gradient_len,
                                          float *workspace,
                                          size_t workspace_len,
                                          double *trace);

// ∇tr H², laid out like θ; traces and bounds.
flatmin_status flatmin_trace_of_square_gradient_f32(const struct flatmin_plan *plan,
                                                    const float *theta,
                                                    size_t theta_len,
                                                    const struct flatmin_batch_f32 *batch,
                                                    float *gradient,
                                                    size_t gradient_len,
                                                    float *workspace,
                                                    size_t workspace_len,
                                                    struct flatmin_curvature *result);

// ∇Λ, the gradient of the upper bound on λ_max, laid out like θ; traces and bounds.
flatmin_status flatmin_bound_gradient_f32(const struct flatmin_plan *plan,
                                          const float *theta,
                                          size_t theta_len,
                                          const struct flatmin_batch_f32 *batch,
                                          float *gradient,
                                          size_t gradient_len,
                                          float *workspace,
                                          size_t workspace_len,
                                          struct flatmin_curvature *result);

// ∇(L + ρΛ), laid out like θ; loss, traces and bounds. With ρ = 0 this is the loss gradient, at its cost.
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

// H·v, exact, without forming H; `vector` and `product` are laid out like θ.
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

// H itself, P×P, row-major and symmetric; written to also where it overflows. `hessian_len` is P².
flatmin_status flatmin_dense_hessian_f32(const struct flatmin_plan *plan,
                                         const float *theta,
                                         size_t theta_len,
                                         const struct flatmin_batch_f32 *batch,
                                         float *hessian,
                                         size_t hessian_len,
                                         float *workspace,
                                         size_t workspace_len);

// One step of gradient descent; θ and the state are changed. Takes `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_sgd_step_f32(const struct flatmin_plan *plan,
                                    const struct flatmin_sgd *sgd,
                                    float *theta,
                                    size_t theta_len,
                                    const struct flatmin_batch_f32 *batch,
                                    struct flatmin_state_f32 *state,
                                    float *workspace,
                                    size_t workspace_len,
                                    struct flatmin_step *result);

// One step of Sharpness-Aware Minimization; θ and the state are changed. Takes `gradient_workspace_len` elements of
// workspace.
flatmin_status flatmin_sam_step_f32(const struct flatmin_plan *plan,
                                    const struct flatmin_sam *sam,
                                    float *theta,
                                    size_t theta_len,
                                    const struct flatmin_batch_f32 *batch,
                                    struct flatmin_state_f32 *state,
                                    float *workspace,
                                    size_t workspace_len,
                                    struct flatmin_step *result);

// One step of Hessian Spectral Range regularization; θ and the state are changed. Takes
// `flatmin_hsr_workspace_len` elements of workspace.
flatmin_status flatmin_hsr_step_f32(const struct flatmin_plan *plan,
                                    const struct flatmin_hsr *hsr,
                                    float *theta,
                                    size_t theta_len,
                                    const struct flatmin_batch_f32 *batch,
                                    struct flatmin_state_f32 *state,
                                    float *workspace,
                                    size_t workspace_len,
                                    struct flatmin_step *result);

// Mean cross-entropy and accuracy. Takes `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_loss_f64(const struct flatmin_plan *plan,
                                const double *theta,
                                size_t theta_len,
                                const struct flatmin_batch_f64 *batch,
                                double *workspace,
                                size_t workspace_len,
                                struct flatmin_evaluation *result);

// ∇L, laid out like θ, and L. Takes `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_loss_gradient_f64(const struct flatmin_plan *plan,
                                         const double *theta,
                                         size_t theta_len,
                                         const struct flatmin_batch_f64 *batch,
                                         double *gradient,
                                         size_t gradient_len,
                                         double *workspace,
                                         size_t workspace_len,
                                         double *loss);

// tr H and tr H², by block, and the four bounds. Takes `workspace_len` elements of workspace, as do all below but two steps.
flatmin_status flatmin_curvature_f64(const struct flatmin_plan *plan,
                                     const double *theta,
                                     size_t theta_len,
                                     const struct flatmin_batch_f64 *batch,
                                     double *workspace,
                                     size_t workspace_len,
                                     struct flatmin_curvature *result);

// ∇tr H, laid out like θ, and tr H.
flatmin_status flatmin_trace_gradient_f64(const struct flatmin_plan *plan,
                                          const double *theta,
                                          size_t theta_len,
                                          const struct flatmin_batch_f64 *batch,
                                          double *gradient,
                                          size_t gradient_len,
                                          double *workspace,
                                          size_t workspace_len,
                                          double *trace);

// ∇tr H², laid out like θ; traces and bounds.
flatmin_status flatmin_trace_of_square_gradient_f64(const struct flatmin_plan *plan,
                                                    const double *theta,
                                                    size_t theta_len,
                                                    const struct flatmin_batch_f64 *batch,
                                                    double *gradient,
                                                    size_t gradient_len,
                                                    double *workspace,
                                                    size_t workspace_len,
                                                    struct flatmin_curvature *result);

// ∇Λ, the gradient of the upper bound on λ_max, laid out like θ; traces and bounds.
flatmin_status flatmin_bound_gradient_f64(const struct flatmin_plan *plan,
                                          const double *theta,
                                          size_t theta_len,
                                          const struct flatmin_batch_f64 *batch,
                                          double *gradient,
                                          size_t gradient_len,
                                          double *workspace,
                                          size_t workspace_len,
                                          struct flatmin_curvature *result);

// ∇(L + ρΛ), laid out like θ; loss, traces and bounds. With ρ = 0 this is the loss gradient, at its cost.
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

// H·v, exact, without forming H; `vector` and `product` are laid out like θ.
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

// H itself, P×P, row-major and symmetric; written to also where it overflows. `hessian_len` is P².
flatmin_status flatmin_dense_hessian_f64(const struct flatmin_plan *plan,
                                         const double *theta,
                                         size_t theta_len,
                                         const struct flatmin_batch_f64 *batch,
                                         double *hessian,
                                         size_t hessian_len,
                                         double *workspace,
                                         size_t workspace_len);

// One step of gradient descent; θ and the state are changed. Takes `gradient_workspace_len` elements of workspace.
flatmin_status flatmin_sgd_step_f64(const struct flatmin_plan *plan,
                                    const struct flatmin_sgd *sgd,
                                    double *theta,
                                    size_t theta_len,
                                    const struct flatmin_batch_f64 *batch,
                                    struct flatmin_state_f64 *state,
                                    double *workspace,
                                    size_t workspace_len,
                                    struct flatmin_step *result);

// One step of Sharpness-Aware Minimization; θ and the state are changed. Takes `gradient_workspace_len` elements of
// workspace.
flatmin_status flatmin_sam_step_f64(const struct flatmin_plan *plan,
                                    const struct flatmin_sam *sam,
                                    double *theta,
                                    size_t theta_len,
                                    const struct flatmin_batch_f64 *batch,
                                    struct flatmin_state_f64 *state,
                                    double *workspace,
                                    size_t workspace_len,
                                    struct flatmin_step *result);

// One step of Hessian Spectral Range regularization; θ and the state are changed. Takes
// `flatmin_hsr_workspace_len` elements of workspace.
flatmin_status flatmin_hsr_step_f64(const struct flatmin_plan *plan,
                                    const struct flatmin_hsr *hsr,
                                    double *theta,
                                    size_t theta_len,
                                    const struct flatmin_batch_f64 *batch,
                                    struct flatmin_state_f64 *state,
                                    double *workspace,
                                    size_t workspace_len,
                                    struct flatmin_step *result);

// What a status means, in English; never null. For a number that is no status, says so.
const char *flatmin_status_message(int32_t status);

// Copies the message of the calling thread's last failure, as UTF-8 that ends in a zero, to `buffer`, cut to `length` bytes.
//
// Returns the length of the whole message without the zero: 0 where no call of the thread has failed. A null `buffer` is not written to.
size_t flatmin_last_error(char *buffer,
                          size_t length);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FLATMIN_H */
