! flatmin for Fortran 2018: the C interface of include/flatmin.h, by iso_c_binding. Compile this file with your program.
!
! Arrays are the caller's, contiguous, and passed with their length. Row-major N x D in C is (D, N) in Fortran: inputs(D, N),
! distributions(K, N); theta = [W(D, M), b(M), V(M, K), c(K)]. Class indices count from 0. Functions return a status, 0 on success.
! Their generic names (flatmin_loss and so on) take real(c_float) or real(c_double).

module flatmin
  use, intrinsic :: iso_c_binding, only: c_bool, c_char, c_double, c_f_pointer, c_float, c_int32_t, c_int64_t, c_null_ptr, c_ptr, &
      c_size_t
  implicit none
  private :: c_bool, c_char, c_double, c_f_pointer, c_float, c_int32_t, c_int64_t, c_null_ptr, c_ptr, c_size_t
  public

  integer(c_int32_t), parameter :: flatmin_ok = 0
  integer(c_int32_t), parameter :: flatmin_tanh = 0, flatmin_sigmoid = 1, flatmin_softplus = 2, flatmin_gelu = 3, &
      flatmin_silu = 4, flatmin_identity = 5
  integer(c_int32_t), parameter :: flatmin_pairs = 0, flatmin_blocks = 1
  integer(c_int32_t), parameter :: flatmin_flat = 0, flatmin_tangent = 1
  integer(c_int32_t), parameter :: flatmin_gradient = 0, flatmin_unit = 1
  integer(c_int32_t), parameter :: flatmin_exact = 0, flatmin_sampled = 1

  type, bind(C) :: flatmin_plan
    integer(c_size_t) :: inputs, hidden, classes, samples
    integer(c_int32_t) :: activation, route, form, reserved
    integer(c_size_t) :: data_set, parameters, workspace_len, gradient_workspace_len
  end type

  ! Inputs, and either class indices or distributions (the other kind: c_null_ptr, 0): c_loc of arrays of the caller's.
  type, bind(C) :: flatmin_batch
    type(c_ptr) :: inputs = c_null_ptr
    integer(c_size_t) :: inputs_len = 0
    type(c_ptr) :: classes = c_null_ptr
    integer(c_size_t) :: classes_len = 0
    type(c_ptr) :: distributions = c_null_ptr
    integer(c_size_t) :: distributions_len = 0
  end type

  type, bind(C) :: flatmin_averages
    real(c_double) :: trace = 0, trace_of_square = 0
    integer(c_int64_t) :: count = 0
  end type

  ! velocity: c_loc of P zeros; c_null_ptr, 0 where momentum is zero.
  type, bind(C) :: flatmin_state
    type(c_ptr) :: velocity = c_null_ptr
    integer(c_size_t) :: velocity_len = 0
    integer(c_int64_t) :: steps = 0
    type(flatmin_averages) :: averages
  end type

  type, bind(C) :: flatmin_evaluation
    real(c_double) :: loss, accuracy
  end type

  type, bind(C) :: flatmin_bounds
    real(c_double) :: lambda_max_upper, lambda_max_lower, lambda_min_upper, lambda_min_lower
  end type

  type, bind(C) :: flatmin_curvature
    real(c_double) :: trace, trace_of_square, output, hidden, output_square, cross_square, hidden_square
    type(flatmin_bounds) :: bounds
    logical(c_bool) :: differentiable
  end type

  type, bind(C) :: flatmin_estimate
    real(c_double) :: trace, trace_of_square
    integer(c_size_t) :: kept
    real(c_double) :: weight
  end type

  type, bind(C) :: flatmin_step
    real(c_double) :: loss
    logical(c_bool) :: has_curvature, has_estimate
    type(flatmin_curvature) :: curvature
    type(flatmin_estimate) :: estimate
  end type

  type, bind(C) :: flatmin_sgd
    real(c_double) :: learning_rate = 0, momentum = 0, weight_decay = 0
  end type

  type, bind(C) :: flatmin_sam
    type(flatmin_sgd) :: sgd
    real(c_double) :: radius = 0
  end type

  ! Filled in by flatmin_sampling_new.
  type, bind(C) :: flatmin_sampling
    integer(c_size_t) :: subset = 0
    integer(c_int32_t) :: sketch = 1, reserved = 0
    real(c_double) :: alpha = 0.1_c_double, beta = 0.95_c_double, guard = 0.25_c_double
    integer(c_int64_t) :: seed = 0
  end type

  type, bind(C) :: flatmin_hsr
    type(flatmin_sgd) :: sgd
    real(c_double) :: rho = 0
    integer(c_int64_t) :: every = 1
    integer(c_int32_t) :: direction = flatmin_gradient, penalty = flatmin_exact
    type(flatmin_sampling) :: sampling
  end type

  interface
    function flatmin_version_c() bind(C, name="flatmin_version") result(text)
      import :: c_ptr
      type(c_ptr) :: text
    end function

    function flatmin_last_error_c(buffer, length) bind(C, name="flatmin_last_error") result(whole)
      import :: c_char, c_size_t
      character(kind=c_char), intent(out) :: buffer(*)
      integer(c_size_t), value :: length
      integer(c_size_t) :: whole
    end function

    function flatmin_plan_new(inputs, hidden, classes, activation, samples, plan) bind(C) result(status)
      import :: c_int32_t, c_size_t, flatmin_plan
      integer(c_size_t), value :: inputs, hidden, classes, samples
      integer(c_int32_t), value :: activation
      type(flatmin_plan), intent(out) :: plan
      integer(c_int32_t) :: status
    end function

    function flatmin_plan_update(plan) bind(C) result(status)
      import :: c_int32_t, flatmin_plan
      type(flatmin_plan), intent(inout) :: plan
      integer(c_int32_t) :: status
    end function

    function flatmin_bounds_new(trace, trace_of_square, rows, bounds) bind(C) result(status)
      import :: c_double, c_int32_t, c_size_t, flatmin_bounds
      real(c_double), value :: trace, trace_of_square
      integer(c_size_t), value :: rows
      type(flatmin_bounds), intent(out) :: bounds
      integer(c_int32_t) :: status
    end function

    function flatmin_sampling_new(seed, sampling) bind(C) result(status)
      import :: c_int32_t, c_int64_t, flatmin_sampling
      integer(c_int64_t), value :: seed
      type(flatmin_sampling), intent(out) :: sampling
      integer(c_int32_t) :: status
    end function

    function flatmin_hsr_workspace_len(plan, hsr, length) bind(C) result(status)
      import :: c_int32_t, c_size_t, flatmin_plan, flatmin_hsr
      type(flatmin_plan), intent(in) :: plan
      type(flatmin_hsr), intent(in) :: hsr
      integer(c_size_t), intent(out) :: length
      integer(c_int32_t) :: status
    end function
  end interface

  interface flatmin_loss
    function flatmin_loss_f32(plan, theta, theta_len, batch, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_float, c_int32_t, c_size_t, flatmin_batch, flatmin_evaluation, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, workspace_len
      type(flatmin_evaluation), intent(out) :: result
      integer(c_int32_t) :: status
    end function
    function flatmin_loss_f64(plan, theta, theta_len, batch, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_double, c_int32_t, c_size_t, flatmin_batch, flatmin_evaluation, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, workspace_len
      type(flatmin_evaluation), intent(out) :: result
      integer(c_int32_t) :: status
    end function
  end interface

  interface flatmin_loss_gradient
    function flatmin_loss_gradient_f32(plan, theta, theta_len, batch, &
        gradient, gradient_len, workspace, workspace_len, value) &
        bind(C) result(status)
      import :: c_double, c_float, c_int32_t, c_size_t, flatmin_batch, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(inout) :: gradient(*)
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, gradient_len, workspace_len
      real(c_double), intent(out) :: value
      integer(c_int32_t) :: status
    end function
    function flatmin_loss_gradient_f64(plan, theta, theta_len, batch, &
        gradient, gradient_len, workspace, workspace_len, value) &
        bind(C) result(status)
      import :: c_double, c_int32_t, c_size_t, flatmin_batch, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(inout) :: gradient(*)
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, gradient_len, workspace_len
      real(c_double), intent(out) :: value
      integer(c_int32_t) :: status
    end function
  end interface

  interface flatmin_curvature
    function flatmin_curvature_f32(plan, theta, theta_len, batch, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_float, c_int32_t, c_size_t, flatmin_batch, flatmin_curvature, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, workspace_len
      type(flatmin_curvature), intent(out) :: result
      integer(c_int32_t) :: status
    end function
    function flatmin_curvature_f64(plan, theta, theta_len, batch, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_double, c_int32_t, c_size_t, flatmin_batch, flatmin_curvature, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, workspace_len
      type(flatmin_curvature), intent(out) :: result
      integer(c_int32_t) :: status
    end function
  end interface

  interface flatmin_trace_gradient
    function flatmin_trace_gradient_f32(plan, theta, theta_len, batch, &
        gradient, gradient_len, workspace, workspace_len, value) &
        bind(C) result(status)
      import :: c_double, c_float, c_int32_t, c_size_t, flatmin_batch, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(inout) :: gradient(*)
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, gradient_len, workspace_len
      real(c_double), intent(out) :: value
      integer(c_int32_t) :: status
    end function
    function flatmin_trace_gradient_f64(plan, theta, theta_len, batch, &
        gradient, gradient_len, workspace, workspace_len, value) &
        bind(C) result(status)
      import :: c_double, c_int32_t, c_size_t, flatmin_batch, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(inout) :: gradient(*)
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, gradient_len, workspace_len
      real(c_double), intent(out) :: value
      integer(c_int32_t) :: status
    end function
  end interface

  interface flatmin_trace_of_square_gradient
    function flatmin_trace_of_square_gradient_f32(plan, theta, theta_len, batch, &
        gradient, gradient_len, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_float, c_int32_t, c_size_t, flatmin_batch, flatmin_curvature, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(inout) :: gradient(*)
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, gradient_len, workspace_len
      type(flatmin_curvature), intent(out) :: result
      integer(c_int32_t) :: status
    end function
    function flatmin_trace_of_square_gradient_f64(plan, theta, theta_len, batch, &
        gradient, gradient_len, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_double, c_int32_t, c_size_t, flatmin_batch, flatmin_curvature, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(inout) :: gradient(*)
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, gradient_len, workspace_len
      type(flatmin_curvature), intent(out) :: result
      integer(c_int32_t) :: status
    end function
  end interface

  interface flatmin_bound_gradient
    function flatmin_bound_gradient_f32(plan, theta, theta_len, batch, &
        gradient, gradient_len, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_float, c_int32_t, c_size_t, flatmin_batch, flatmin_curvature, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(inout) :: gradient(*)
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, gradient_len, workspace_len
      type(flatmin_curvature), intent(out) :: result
      integer(c_int32_t) :: status
    end function
    function flatmin_bound_gradient_f64(plan, theta, theta_len, batch, &
        gradient, gradient_len, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_double, c_int32_t, c_size_t, flatmin_batch, flatmin_curvature, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(inout) :: gradient(*)
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, gradient_len, workspace_len
      type(flatmin_curvature), intent(out) :: result
      integer(c_int32_t) :: status
    end function
  end interface

  interface flatmin_hsr_gradient
    function flatmin_hsr_gradient_f32(plan, theta, theta_len, batch, rho, &
        gradient, gradient_len, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_double, c_float, c_int32_t, c_size_t, flatmin_batch, flatmin_plan, flatmin_step
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_double), value :: rho
      real(c_float), intent(inout) :: gradient(*)
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, gradient_len, workspace_len
      type(flatmin_step), intent(out) :: result
      integer(c_int32_t) :: status
    end function
    function flatmin_hsr_gradient_f64(plan, theta, theta_len, batch, rho, &
        gradient, gradient_len, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_double, c_int32_t, c_size_t, flatmin_batch, flatmin_plan, flatmin_step
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_double), value :: rho
      real(c_double), intent(inout) :: gradient(*)
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, gradient_len, workspace_len
      type(flatmin_step), intent(out) :: result
      integer(c_int32_t) :: status
    end function
  end interface

  interface flatmin_hessian_vector_product
    function flatmin_hessian_vector_product_f32(plan, theta, theta_len, batch, vector, &
        vector_len, product, product_len, workspace, workspace_len) &
        bind(C) result(status)
      import :: c_float, c_int32_t, c_size_t, flatmin_batch, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(in) :: vector(*)
      real(c_float), intent(inout) :: product(*)
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, vector_len, product_len, workspace_len
      integer(c_int32_t) :: status
    end function
    function flatmin_hessian_vector_product_f64(plan, theta, theta_len, batch, vector, &
        vector_len, product, product_len, workspace, workspace_len) &
        bind(C) result(status)
      import :: c_double, c_int32_t, c_size_t, flatmin_batch, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(in) :: vector(*)
      real(c_double), intent(inout) :: product(*)
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, vector_len, product_len, workspace_len
      integer(c_int32_t) :: status
    end function
  end interface

  interface flatmin_dense_hessian
    function flatmin_dense_hessian_f32(plan, theta, theta_len, batch, &
        hessian, hessian_len, workspace, workspace_len) &
        bind(C) result(status)
      import :: c_float, c_int32_t, c_size_t, flatmin_batch, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_float), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_float), intent(inout) :: hessian(*)
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, hessian_len, workspace_len
      integer(c_int32_t) :: status
    end function
    function flatmin_dense_hessian_f64(plan, theta, theta_len, batch, &
        hessian, hessian_len, workspace, workspace_len) &
        bind(C) result(status)
      import :: c_double, c_int32_t, c_size_t, flatmin_batch, flatmin_plan
      type(flatmin_plan), intent(in) :: plan
      real(c_double), intent(in) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      real(c_double), intent(inout) :: hessian(*)
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, hessian_len, workspace_len
      integer(c_int32_t) :: status
    end function
  end interface

  interface flatmin_sgd_step
    function flatmin_sgd_step_f32(plan, sgd, theta, theta_len, batch, state, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_float, c_int32_t, c_size_t, flatmin_batch, flatmin_plan, flatmin_sgd, flatmin_state, flatmin_step
      type(flatmin_plan), intent(in) :: plan
      type(flatmin_sgd), intent(in) :: sgd
      real(c_float), intent(inout) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      type(flatmin_state), intent(inout) :: state
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, workspace_len
      type(flatmin_step), intent(out) :: result
      integer(c_int32_t) :: status
    end function
    function flatmin_sgd_step_f64(plan, sgd, theta, theta_len, batch, state, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_double, c_int32_t, c_size_t, flatmin_batch, flatmin_plan, flatmin_sgd, flatmin_state, flatmin_step
      type(flatmin_plan), intent(in) :: plan
      type(flatmin_sgd), intent(in) :: sgd
      real(c_double), intent(inout) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      type(flatmin_state), intent(inout) :: state
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, workspace_len
      type(flatmin_step), intent(out) :: result
      integer(c_int32_t) :: status
    end function
  end interface

  interface flatmin_sam_step
    function flatmin_sam_step_f32(plan, sam, theta, theta_len, batch, state, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_float, c_int32_t, c_size_t, flatmin_batch, flatmin_plan, flatmin_sam, flatmin_state, flatmin_step
      type(flatmin_plan), intent(in) :: plan
      type(flatmin_sam), intent(in) :: sam
      real(c_float), intent(inout) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      type(flatmin_state), intent(inout) :: state
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, workspace_len
      type(flatmin_step), intent(out) :: result
      integer(c_int32_t) :: status
    end function
    function flatmin_sam_step_f64(plan, sam, theta, theta_len, batch, state, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_double, c_int32_t, c_size_t, flatmin_batch, flatmin_plan, flatmin_sam, flatmin_state, flatmin_step
      type(flatmin_plan), intent(in) :: plan
      type(flatmin_sam), intent(in) :: sam
      real(c_double), intent(inout) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      type(flatmin_state), intent(inout) :: state
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, workspace_len
      type(flatmin_step), intent(out) :: result
      integer(c_int32_t) :: status
    end function
  end interface

  interface flatmin_hsr_step
    function flatmin_hsr_step_f32(plan, hsr, theta, theta_len, batch, state, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_float, c_int32_t, c_size_t, flatmin_batch, flatmin_hsr, flatmin_plan, flatmin_state, flatmin_step
      type(flatmin_plan), intent(in) :: plan
      type(flatmin_hsr), intent(in) :: hsr
      real(c_float), intent(inout) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      type(flatmin_state), intent(inout) :: state
      real(c_float), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, workspace_len
      type(flatmin_step), intent(out) :: result
      integer(c_int32_t) :: status
    end function
    function flatmin_hsr_step_f64(plan, hsr, theta, theta_len, batch, state, workspace, workspace_len, result) &
        bind(C) result(status)
      import :: c_double, c_int32_t, c_size_t, flatmin_batch, flatmin_hsr, flatmin_plan, flatmin_state, flatmin_step
      type(flatmin_plan), intent(in) :: plan
      type(flatmin_hsr), intent(in) :: hsr
      real(c_double), intent(inout) :: theta(*)
      type(flatmin_batch), intent(in) :: batch
      type(flatmin_state), intent(inout) :: state
      real(c_double), intent(inout) :: workspace(*)
      integer(c_size_t), value :: theta_len, workspace_len
      type(flatmin_step), intent(out) :: result
      integer(c_int32_t) :: status
    end function
  end interface

contains

  ! The version of the library, as "0.1.0".
  function flatmin_version() result(version)
    character(:), allocatable :: version
    character(kind=c_char), pointer :: text(:)
    integer :: length
    call c_f_pointer(flatmin_version_c(), text, [32])
    version = ""
    do length = 1, size(text)
      if (text(length) == char(0)) exit
      version = version // text(length)
    end do
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

end module flatmin
