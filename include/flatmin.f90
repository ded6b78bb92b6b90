! flatmin for Fortran 2018: the C interface of flatmin.h, whose comments are its manual. Compile this file with your program.
!
! Arrays are the caller's, contiguous, and passed with their length. Row-major N x D in C is (D, N) in Fortran: inputs(D, N),
! distributions(K, N); theta = [W(D, M), b(M), V(M, K), c(K)]. Class indices count from 0. Functions return a status, 0 on success.
! Their generic names (flatmin_loss and so on) take real(c_float) or real(c_double), in arrays of rank 1; rows(1:size(inputs)) => inputs
! makes one of inputs(D, N) without a copy.
!
! Every structure is initialised when it is declared: its size, that of systems with addresses of 64 bits, and zeros. The pointers of
! a batch and of a state are c_loc of arrays of the caller's, or stay c_null_ptr.
!
! Generated with flatmin.h by `cargo run --manifest-path tests/ffi/Cargo.toml --bin header`; do not edit.

module flatmin
  use, intrinsic :: iso_c_binding, only: c_char, c_double, c_f_pointer, c_float, c_int32_t, c_int64_t, c_null_ptr, c_ptr, c_size_t
  implicit none
  private :: c_char, c_double, c_f_pointer, c_float, c_int32_t, c_int64_t, c_null_ptr, c_ptr, c_size_t
  private :: text_of
  public

  integer(c_int32_t), parameter :: flatmin_tanh = 0
  integer(c_int32_t), parameter :: flatmin_sigmoid = 1
  integer(c_int32_t), parameter :: flatmin_softplus = 2
  integer(c_int32_t), parameter :: flatmin_gelu = 3
  integer(c_int32_t), parameter :: flatmin_silu = 4
  integer(c_int32_t), parameter :: flatmin_identity = 5
  integer(c_int32_t), parameter :: flatmin_pairs = 0
  integer(c_int32_t), parameter :: flatmin_blocks = 1
  integer(c_int32_t), parameter :: flatmin_flat = 0
  integer(c_int32_t), parameter :: flatmin_tangent = 1
  integer(c_int32_t), parameter :: flatmin_plain = 0
  integer(c_int32_t), parameter :: flatmin_sam = 1
  integer(c_int32_t), parameter :: flatmin_hsr = 2
  integer(c_int32_t), parameter :: flatmin_sgd = 0
  integer(c_int32_t), parameter :: flatmin_nesterov = 1
  integer(c_int32_t), parameter :: flatmin_adam = 2
  integer(c_int32_t), parameter :: flatmin_adamw = 3
  integer(c_int32_t), parameter :: flatmin_gradient = 0
  integer(c_int32_t), parameter :: flatmin_unit = 1
  integer(c_int32_t), parameter :: flatmin_exact = 0
  integer(c_int32_t), parameter :: flatmin_sampled = 1
  integer(c_int32_t), parameter :: flatmin_fan_in = 0
  integer(c_int32_t), parameter :: flatmin_glorot = 1
  integer(c_int32_t), parameter :: flatmin_status_ok = 0
  integer(c_int32_t), parameter :: flatmin_status_null_pointer = 1
  integer(c_int32_t), parameter :: flatmin_status_misaligned = 2
  integer(c_int32_t), parameter :: flatmin_status_overlap = 3
  integer(c_int32_t), parameter :: flatmin_status_structure_size = 4
  integer(c_int32_t), parameter :: flatmin_status_unknown_field = 5
  integer(c_int32_t), parameter :: flatmin_status_reserved = 6
  integer(c_int32_t), parameter :: flatmin_status_unknown_code = 7
  integer(c_int32_t), parameter :: flatmin_status_targets = 8
  integer(c_int32_t), parameter :: flatmin_status_too_small = 9
  integer(c_int32_t), parameter :: flatmin_status_too_large = 10
  integer(c_int32_t), parameter :: flatmin_status_length = 11
  integer(c_int32_t), parameter :: flatmin_status_workspace = 12
  integer(c_int32_t), parameter :: flatmin_status_samples = 13
  integer(c_int32_t), parameter :: flatmin_status_not_finite = 14
  integer(c_int32_t), parameter :: flatmin_status_class_index = 15
  integer(c_int32_t), parameter :: flatmin_status_target_entry = 16
  integer(c_int32_t), parameter :: flatmin_status_target_sum = 17
  integer(c_int32_t), parameter :: flatmin_status_hyperparameter = 18
  integer(c_int32_t), parameter :: flatmin_status_pair_weights = 19
  integer(c_int32_t), parameter :: flatmin_status_overflow = 20
  integer(c_int32_t), parameter :: flatmin_status_internal = 21

  type, bind(C) :: flatmin_plan
    integer(c_size_t) :: size = 88
    integer(c_size_t) :: inputs = 0
    integer(c_size_t) :: hidden = 0
    integer(c_size_t) :: classes = 0
    integer(c_size_t) :: samples = 0
    integer(c_int32_t) :: activation = 0
    integer(c_int32_t) :: route = 0
    integer(c_int32_t) :: form = 0
    integer(c_int32_t) :: reserved = 0
    integer(c_size_t) :: data_set = 0
    integer(c_size_t) :: parameters = 0
    integer(c_size_t) :: workspace_len = 0
    integer(c_size_t) :: gradient_workspace_len = 0
  end type

  type, bind(C) :: flatmin_batch
    integer(c_size_t) :: size = 56
    type(c_ptr) :: inputs = c_null_ptr
    integer(c_size_t) :: inputs_len = 0
    type(c_ptr) :: classes = c_null_ptr
    integer(c_size_t) :: classes_len = 0
    type(c_ptr) :: distributions = c_null_ptr
    integer(c_size_t) :: distributions_len = 0
  end type

  type, bind(C) :: flatmin_evaluation
    integer(c_size_t) :: size = 24
    real(c_double) :: loss = 0
    real(c_double) :: accuracy = 0
  end type

  type, bind(C) :: flatmin_curvature
    integer(c_size_t) :: size = 104
    real(c_double) :: trace = 0
    real(c_double) :: trace_of_square = 0
    real(c_double) :: output = 0
    real(c_double) :: hidden = 0
    real(c_double) :: output_square = 0
    real(c_double) :: cross_square = 0
    real(c_double) :: hidden_square = 0
    real(c_double) :: lambda_max_upper = 0
    real(c_double) :: lambda_max_lower = 0
    real(c_double) :: lambda_min_upper = 0
    real(c_double) :: lambda_min_lower = 0
    integer(c_int64_t) :: differentiable = 0
  end type

  type, bind(C) :: flatmin_optimizer
    integer(c_size_t) :: size = 160
    integer(c_int32_t) :: method = 0
    integer(c_int32_t) :: update = 0
    real(c_double) :: learning_rate = 0
    real(c_double) :: momentum = 0
    real(c_double) :: beta1 = 0
    real(c_double) :: beta2 = 0
    real(c_double) :: epsilon = 0
    real(c_double) :: clip = 0
    real(c_double) :: weight_decay = 0
    integer(c_int32_t) :: weights_only = 0
    integer(c_int32_t) :: direction = 0
    real(c_double) :: radius = 0
    real(c_double) :: rho = 0
    integer(c_int64_t) :: every = 0
    integer(c_int32_t) :: penalty = 0
    integer(c_int32_t) :: sketch = 0
    integer(c_int64_t) :: subset = 0
    real(c_double) :: alpha = 0
    real(c_double) :: beta = 0
    real(c_double) :: own_share = 0
    real(c_double) :: limited_share = 0
    integer(c_int64_t) :: seed = 0
  end type

  type, bind(C) :: flatmin_step
    integer(c_size_t) :: size = 160
    real(c_double) :: loss = 0
    integer(c_int64_t) :: has_curvature = 0
    integer(c_int64_t) :: has_estimate = 0
    real(c_double) :: trace = 0
    real(c_double) :: trace_of_square = 0
    real(c_double) :: output = 0
    real(c_double) :: hidden = 0
    real(c_double) :: output_square = 0
    real(c_double) :: cross_square = 0
    real(c_double) :: hidden_square = 0
    real(c_double) :: lambda_max_upper = 0
    real(c_double) :: lambda_max_lower = 0
    real(c_double) :: lambda_min_upper = 0
    real(c_double) :: lambda_min_lower = 0
    integer(c_int64_t) :: differentiable = 0
    real(c_double) :: estimated_trace = 0
    real(c_double) :: estimated_trace_of_square = 0
    integer(c_int64_t) :: kept = 0
    real(c_double) :: weight = 0
  end type

  type, bind(C) :: flatmin_bounds
    integer(c_size_t) :: size = 40
    real(c_double) :: lambda_max_upper = 0
    real(c_double) :: lambda_max_lower = 0
    real(c_double) :: lambda_min_upper = 0
    real(c_double) :: lambda_min_lower = 0
  end type

  type, bind(C) :: flatmin_state
    integer(c_size_t) :: size = 80
    type(c_ptr) :: moments = c_null_ptr
    integer(c_size_t) :: moments_len = 0
    integer(c_int64_t) :: steps = 0
    real(c_double) :: average_trace = 0
    real(c_double) :: average_trace_of_square = 0
    real(c_double) :: average_limit = 0
    real(c_double) :: average_whole = 0
    real(c_double) :: average_limited = 0
    integer(c_int64_t) :: average_count = 0
  end type

  interface
    function flatmin_data_set_workspace_len(plan, length) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      integer(c_size_t), intent(inout) :: length
      integer(c_int32_t) :: returned
    end function

    function flatmin_optimizer_adam(optimizer) &
        bind(C) result(returned)
      import
      type(flatmin_optimizer), intent(inout) :: optimizer
      integer(c_int32_t) :: returned
    end function

    function flatmin_optimizer_sampled(seed, optimizer) &
        bind(C) result(returned)
      import
      integer(c_int64_t), value :: seed
      type(flatmin_optimizer), intent(inout) :: optimizer
      integer(c_int32_t) :: returned
    end function

    function flatmin_optimizer_workspace_len(plan, optimizer, length) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      type(flatmin_optimizer), intent(in) :: optimizer
      integer(c_size_t), intent(inout) :: length
      integer(c_int32_t) :: returned
    end function

    function flatmin_optimizer_moments_len(plan, optimizer, length) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      type(flatmin_optimizer), intent(in) :: optimizer
      integer(c_size_t), intent(inout) :: length
      integer(c_int32_t) :: returned
    end function

    function flatmin_plan_new(inputs, hidden, classes, activation, samples, plan) &
        bind(C) result(returned)
      import
      integer(c_size_t), value :: inputs
      integer(c_size_t), value :: hidden
      integer(c_size_t), value :: classes
      integer(c_int32_t), value :: activation
      integer(c_size_t), value :: samples
      type(flatmin_plan), intent(inout) :: plan
      integer(c_int32_t) :: returned
    end function

    function flatmin_plan_update(plan) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(inout) :: plan
      integer(c_int32_t) :: returned
    end function

    function flatmin_bounds_new(trace, trace_of_square, rows, bounds) &
        bind(C) result(returned)
      import
      real(c_double), value :: trace
      real(c_double), value :: trace_of_square
      integer(c_size_t), value :: rows
      type(flatmin_bounds), intent(inout) :: bounds
      integer(c_int32_t) :: returned
    end function

    function flatmin_status_message_c(status) &
        bind(C, name="flatmin_status_message") result(returned)
      import
      integer(c_int32_t), value :: status
      type(c_ptr) :: returned
    end function

    function flatmin_last_error_c(buffer, length) &
        bind(C, name="flatmin_last_error") result(returned)
      import
      character(kind=c_char), intent(inout) :: buffer(*)
      integer(c_size_t), value :: length
      integer(c_size_t) :: returned
    end function

    function flatmin_warm_up(step, steps) &
        bind(C) result(returned)
      import
      integer(c_int64_t), value :: step
      integer(c_int64_t), value :: steps
      real(c_double) :: returned
    end function

    function flatmin_cosine(step, steps) &
        bind(C) result(returned)
      import
      integer(c_int64_t), value :: step
      integer(c_int64_t), value :: steps
      real(c_double) :: returned
    end function

    function flatmin_version_c() &
        bind(C, name="flatmin_version") result(returned)
      import
      type(c_ptr) :: returned
    end function

    function flatmin_instruction_set_c() &
        bind(C, name="flatmin_instruction_set") result(returned)
      import
      type(c_ptr) :: returned
    end function
  end interface

  interface flatmin_data_set_loss
    function flatmin_data_set_loss_f32(plan, theta, theta_len, data, workspace, workspace_len, result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: data
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_evaluation), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
    function flatmin_data_set_loss_f64(plan, theta, theta_len, data, workspace, workspace_len, result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: data
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_evaluation), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_data_set_curvature
    function flatmin_data_set_curvature_f32(plan, theta, theta_len, data, workspace, workspace_len, result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: data
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_curvature), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
    function flatmin_data_set_curvature_f64(plan, theta, theta_len, data, workspace, workspace_len, result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: data
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_curvature), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_data_set_curvature_estimate
    function flatmin_data_set_curvature_estimate_f32(plan, theta, theta_len, data, workspace, workspace_len, &
        result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: data
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_curvature), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
    function flatmin_data_set_curvature_estimate_f64(plan, theta, theta_len, data, workspace, workspace_len, &
        result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: data
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_curvature), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_data_set_loss_gradient
    function flatmin_data_set_loss_gradient_f32(plan, theta, theta_len, data, gradient, gradient_len, &
        workspace, workspace_len, loss) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: data
      real(c_float), intent(inout) :: gradient(*)
      integer(c_size_t), value :: gradient_len
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      real(c_double), intent(inout) :: loss
      integer(c_int32_t) :: returned
    end function
    function flatmin_data_set_loss_gradient_f64(plan, theta, theta_len, data, gradient, gradient_len, &
        workspace, workspace_len, loss) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: data
      real(c_double), intent(inout) :: gradient(*)
      integer(c_size_t), value :: gradient_len
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      real(c_double), intent(inout) :: loss
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_data_set_hessian_vector_product
    function flatmin_data_set_hessian_vector_product_f32(plan, theta, theta_len, data, vector, vector_len, &
        product, product_len, workspace, workspace_len) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: data
      real(c_float), intent(in) :: vector(*)
      integer(c_size_t), value :: vector_len
      real(c_float), intent(inout) :: product(*)
      integer(c_size_t), value :: product_len
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      integer(c_int32_t) :: returned
    end function
    function flatmin_data_set_hessian_vector_product_f64(plan, theta, theta_len, data, vector, vector_len, &
        product, product_len, workspace, workspace_len) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: data
      real(c_double), intent(in) :: vector(*)
      integer(c_size_t), value :: vector_len
      real(c_double), intent(inout) :: product(*)
      integer(c_size_t), value :: product_len
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_initialize
    function flatmin_initialize_f32(plan, initialization, seed, theta, theta_len) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      integer(c_int32_t), value :: initialization
      integer(c_int64_t), value :: seed
      real(c_float), intent(inout) :: theta(*)
      integer(c_size_t), value :: theta_len
      integer(c_int32_t) :: returned
    end function
    function flatmin_initialize_f64(plan, initialization, seed, theta, theta_len) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      integer(c_int32_t), value :: initialization
      integer(c_int64_t), value :: seed
      real(c_double), intent(inout) :: theta(*)
      integer(c_size_t), value :: theta_len
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_logits
    function flatmin_logits_f32(plan, theta, theta_len, inputs, inputs_len, logits, logits_len, workspace, &
        workspace_len) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      real(c_float), intent(in) :: inputs(*)
      integer(c_size_t), value :: inputs_len
      real(c_float), intent(inout) :: logits(*)
      integer(c_size_t), value :: logits_len
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      integer(c_int32_t) :: returned
    end function
    function flatmin_logits_f64(plan, theta, theta_len, inputs, inputs_len, logits, logits_len, workspace, &
        workspace_len) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      real(c_double), intent(in) :: inputs(*)
      integer(c_size_t), value :: inputs_len
      real(c_double), intent(inout) :: logits(*)
      integer(c_size_t), value :: logits_len
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_probabilities
    function flatmin_probabilities_f32(plan, theta, theta_len, inputs, inputs_len, probabilities, &
        probabilities_len, workspace, workspace_len) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      real(c_float), intent(in) :: inputs(*)
      integer(c_size_t), value :: inputs_len
      real(c_float), intent(inout) :: probabilities(*)
      integer(c_size_t), value :: probabilities_len
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      integer(c_int32_t) :: returned
    end function
    function flatmin_probabilities_f64(plan, theta, theta_len, inputs, inputs_len, probabilities, &
        probabilities_len, workspace, workspace_len) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      real(c_double), intent(in) :: inputs(*)
      integer(c_size_t), value :: inputs_len
      real(c_double), intent(inout) :: probabilities(*)
      integer(c_size_t), value :: probabilities_len
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_classes
    function flatmin_classes_f32(plan, theta, theta_len, inputs, inputs_len, classes, classes_len, workspace, &
        workspace_len) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      real(c_float), intent(in) :: inputs(*)
      integer(c_size_t), value :: inputs_len
      integer(c_int32_t), intent(inout) :: classes(*)
      integer(c_size_t), value :: classes_len
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      integer(c_int32_t) :: returned
    end function
    function flatmin_classes_f64(plan, theta, theta_len, inputs, inputs_len, classes, classes_len, workspace, &
        workspace_len) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      real(c_double), intent(in) :: inputs(*)
      integer(c_size_t), value :: inputs_len
      integer(c_int32_t), intent(inout) :: classes(*)
      integer(c_size_t), value :: classes_len
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_loss
    function flatmin_loss_f32(plan, theta, theta_len, batch, workspace, workspace_len, result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_evaluation), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
    function flatmin_loss_f64(plan, theta, theta_len, batch, workspace, workspace_len, result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_evaluation), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_curvature
    function flatmin_curvature_f32(plan, theta, theta_len, batch, workspace, workspace_len, result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_curvature), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
    function flatmin_curvature_f64(plan, theta, theta_len, batch, workspace, workspace_len, result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_curvature), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_loss_gradient
    function flatmin_loss_gradient_f32(plan, theta, theta_len, batch, gradient, gradient_len, workspace, &
        workspace_len, loss) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(inout) :: gradient(*)
      integer(c_size_t), value :: gradient_len
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      real(c_double), intent(inout) :: loss
      integer(c_int32_t) :: returned
    end function
    function flatmin_loss_gradient_f64(plan, theta, theta_len, batch, gradient, gradient_len, workspace, &
        workspace_len, loss) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(inout) :: gradient(*)
      integer(c_size_t), value :: gradient_len
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      real(c_double), intent(inout) :: loss
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_trace_gradient
    function flatmin_trace_gradient_f32(plan, theta, theta_len, batch, gradient, gradient_len, workspace, &
        workspace_len, trace) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(inout) :: gradient(*)
      integer(c_size_t), value :: gradient_len
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      real(c_double), intent(inout) :: trace
      integer(c_int32_t) :: returned
    end function
    function flatmin_trace_gradient_f64(plan, theta, theta_len, batch, gradient, gradient_len, workspace, &
        workspace_len, trace) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(inout) :: gradient(*)
      integer(c_size_t), value :: gradient_len
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      real(c_double), intent(inout) :: trace
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_trace_of_square_gradient
    function flatmin_trace_of_square_gradient_f32(plan, theta, theta_len, batch, gradient, gradient_len, &
        workspace, workspace_len, result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(inout) :: gradient(*)
      integer(c_size_t), value :: gradient_len
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_curvature), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
    function flatmin_trace_of_square_gradient_f64(plan, theta, theta_len, batch, gradient, gradient_len, &
        workspace, workspace_len, result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(inout) :: gradient(*)
      integer(c_size_t), value :: gradient_len
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_curvature), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_bound_gradient
    function flatmin_bound_gradient_f32(plan, theta, theta_len, batch, gradient, gradient_len, workspace, &
        workspace_len, result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(inout) :: gradient(*)
      integer(c_size_t), value :: gradient_len
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_curvature), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
    function flatmin_bound_gradient_f64(plan, theta, theta_len, batch, gradient, gradient_len, workspace, &
        workspace_len, result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(inout) :: gradient(*)
      integer(c_size_t), value :: gradient_len
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_curvature), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_hsr_gradient
    function flatmin_hsr_gradient_f32(plan, theta, theta_len, batch, rho, gradient, gradient_len, workspace, &
        workspace_len, result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_double), value :: rho
      real(c_float), intent(inout) :: gradient(*)
      integer(c_size_t), value :: gradient_len
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_step), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
    function flatmin_hsr_gradient_f64(plan, theta, theta_len, batch, rho, gradient, gradient_len, workspace, &
        workspace_len, result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_double), value :: rho
      real(c_double), intent(inout) :: gradient(*)
      integer(c_size_t), value :: gradient_len
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_step), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_hessian_vector_product
    function flatmin_hessian_vector_product_f32(plan, theta, theta_len, batch, vector, vector_len, product, &
        product_len, workspace, workspace_len) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(in) :: vector(*)
      integer(c_size_t), value :: vector_len
      real(c_float), intent(inout) :: product(*)
      integer(c_size_t), value :: product_len
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      integer(c_int32_t) :: returned
    end function
    function flatmin_hessian_vector_product_f64(plan, theta, theta_len, batch, vector, vector_len, product, &
        product_len, workspace, workspace_len) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(in) :: vector(*)
      integer(c_size_t), value :: vector_len
      real(c_double), intent(inout) :: product(*)
      integer(c_size_t), value :: product_len
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_dense_hessian
    function flatmin_dense_hessian_f32(plan, theta, theta_len, batch, hessian, hessian_len, workspace, &
        workspace_len) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(inout) :: hessian(*)
      integer(c_size_t), value :: hessian_len
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      integer(c_int32_t) :: returned
    end function
    function flatmin_dense_hessian_f64(plan, theta, theta_len, batch, hessian, hessian_len, workspace, &
        workspace_len) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(inout) :: hessian(*)
      integer(c_size_t), value :: hessian_len
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_step
    function flatmin_step_f32(plan, optimizer, theta, theta_len, batch, state, workspace, workspace_len, &
        result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      type(flatmin_optimizer), intent(in) :: optimizer
      real(c_float), intent(inout) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      type(flatmin_state), intent(inout) :: state
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_step), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
    function flatmin_step_f64(plan, optimizer, theta, theta_len, batch, state, workspace, workspace_len, &
        result) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      type(flatmin_optimizer), intent(in) :: optimizer
      real(c_double), intent(inout) :: theta(*)
      integer(c_size_t), value :: theta_len
      type(flatmin_batch), intent(in) :: batch
      type(flatmin_state), intent(inout) :: state
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: workspace_len
      type(flatmin_step), intent(inout) :: result
      integer(c_int32_t) :: returned
    end function
  end interface

  interface flatmin_update
    function flatmin_update_f32(plan, optimizer, theta, theta_len, gradient, gradient_len, state) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      type(flatmin_optimizer), intent(in) :: optimizer
      real(c_float), intent(inout) :: theta(*)
      integer(c_size_t), value :: theta_len
      real(c_float), intent(inout) :: gradient(*)
      integer(c_size_t), value :: gradient_len
      type(flatmin_state), intent(inout) :: state
      integer(c_int32_t) :: returned
    end function
    function flatmin_update_f64(plan, optimizer, theta, theta_len, gradient, gradient_len, state) &
        bind(C) result(returned)
      import
      type(flatmin_plan), intent(in) :: plan
      type(flatmin_optimizer), intent(in) :: optimizer
      real(c_double), intent(inout) :: theta(*)
      integer(c_size_t), value :: theta_len
      real(c_double), intent(inout) :: gradient(*)
      integer(c_size_t), value :: gradient_len
      type(flatmin_state), intent(inout) :: state
      integer(c_int32_t) :: returned
    end function
  end interface

contains

  function flatmin_status_message(status) result(text)
    integer(c_int32_t), intent(in) :: status
    character(:), allocatable :: text
    text = text_of(flatmin_status_message_c(status))
  end function

  function flatmin_version() result(text)
    character(:), allocatable :: text
    text = text_of(flatmin_version_c())
  end function

  function flatmin_instruction_set() result(text)
    character(:), allocatable :: text
    text = text_of(flatmin_instruction_set_c())
  end function

  ! The message of this thread's last error.
  function flatmin_last_error() result(message)
    character(:), allocatable :: message
    character(kind=c_char) :: buffer(256)
    integer :: index, length
    length = int(min(flatmin_last_error_c(buffer, int(256, c_size_t)), int(255, c_size_t)))
    message = ""
    do index = 1, length
      message = message // buffer(index)
    end do
  end function

  ! A string of C.
  function text_of(pointer) result(text)
    type(c_ptr), intent(in) :: pointer
    character(:), allocatable :: text
    character(kind=c_char), pointer :: characters(:)
    integer :: index
    call c_f_pointer(pointer, characters, [256])
    text = ""
    do index = 1, size(characters)
      if (characters(index) == char(0)) exit
      text = text // characters(index)
    end do
  end function

end module flatmin
