! Evaluates a case, at once and by chunks, and takes ten steps of every optimizer and an update, in single and double precision, and prints
! the bits of every number.
!
! usage: agree CASE.txt; the file as the program `reference` writes it.

program agree
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: error_unit
  use flatmin
  implicit none

  type :: network_case
    integer(c_size_t) :: inputs, hidden, classes, samples
    integer(c_int32_t) :: activation
    real(c_double), allocatable :: theta(:), input_rows(:,:), target_rows(:,:)
  end type

  interface print_all
    procedure :: print_all_f32, print_all_f64
  end interface

  type :: named_optimizer
    character(8) :: name
    type(flatmin_optimizer) :: optimizer
  end type

  type(network_case) :: given
  character(1024) :: path
  integer :: unit

  call get_command_argument(1, path)
  open (newunit=unit, file=trim(path), status="old", action="read")
  read (unit, *) given%inputs, given%hidden, given%classes, given%samples, given%activation
  allocate (given%theta((given%inputs + 1) * given%hidden + (given%hidden + 1) * given%classes))
  allocate (given%input_rows(given%inputs, given%samples), given%target_rows(given%classes, given%samples))
  read (unit, *) given%theta, given%input_rows, given%target_rows
  close (unit)
  call check_sizes()
  call evaluate_f32()
  call evaluate_f64()

contains

  ! The sizes that the module gives its structures are the compiler's.
  subroutine check_sizes()
    type(flatmin_plan) :: plan
    type(flatmin_batch) :: batch
    type(flatmin_state) :: state
    type(flatmin_evaluation) :: evaluation
    type(flatmin_bounds) :: bounds
    type(flatmin_curvature) :: curvature
    type(flatmin_step) :: step
    type(flatmin_optimizer) :: optimizer
    if (any([plan%size, batch%size, state%size, evaluation%size, bounds%size, curvature%size, step%size, optimizer%size] /= &
        [c_sizeof(plan), c_sizeof(batch), c_sizeof(state), c_sizeof(evaluation), c_sizeof(bounds), c_sizeof(curvature), &
        c_sizeof(step), c_sizeof(optimizer)])) then
      error stop "a structure of another size than the module says"
    end if
  end subroutine

  ! The optimizers: every update and every method.
  function optimizers() result(list)
    type(named_optimizer) :: list(7)
    type(flatmin_optimizer) :: sgd, adam
    sgd%learning_rate = 0.1_c_double
    sgd%momentum = 0.9_c_double
    sgd%weight_decay = 0.001_c_double
    adam%learning_rate = 0.01_c_double
    adam%weight_decay = 0.001_c_double
    call check(flatmin_optimizer_adam(adam))

    list%name = [character(8) :: "hsr", "sampled", "sam", "nesterov", "adam", "adamw", "hsr_adam"]
    list%optimizer = [sgd, sgd, sgd, sgd, adam, adam, adam]
    list([1, 7])%optimizer%method = flatmin_hsr
    list([1, 2, 7])%optimizer%rho = 0.05_c_double
    call check(flatmin_optimizer_sampled(1_c_int64_t, list(2)%optimizer))
    list(3)%optimizer%method = flatmin_sam
    list(3)%optimizer%radius = 0.05_c_double
    list(4)%optimizer%update = flatmin_nesterov
    list(4)%optimizer%clip = 0.5_c_double
    list(6)%optimizer%update = flatmin_adamw
    list(6)%optimizer%weights_only = 1
  end function

  subroutine evaluate_f32()
    integer, parameter :: rk = c_float
    character(3), parameter :: kind_name = "f32"
    include "evaluate.inc"
  end subroutine

  subroutine evaluate_f64()
    integer, parameter :: rk = c_double
    character(3), parameter :: kind_name = "f64"
    include "evaluate.inc"
  end subroutine

  subroutine check(status)
    integer(c_int32_t), intent(in) :: status
    if (status /= flatmin_status_ok) then
      write (error_unit, "(a)") flatmin_last_error()
      error stop 1
    end if
  end subroutine

  subroutine print_scalar(kind_name, name, x)
    character(*), intent(in) :: kind_name, name
    real(c_double), intent(in) :: x
    write (*, "(a, 1x, a, 1x, a)") kind_name, name, bits_of(x)
  end subroutine

  ! The bits of a number, as the other programs print them: lower-case hexadecimal digits.
  function bits_of(x) result(text)
    real(c_double), intent(in) :: x
    character(16) :: text
    write (text, "(z16.16)") transfer(x, 0_c_int64_t)
    call lower(text)
  end function

  function bits_of_single(x) result(text)
    real(c_float), intent(in) :: x
    character(8) :: text
    write (text, "(z8.8)") transfer(x, 0_c_int32_t)
    call lower(text)
  end function

  subroutine lower(text)
    character(*), intent(inout) :: text
    integer :: i
    do i = 1, len(text)
      if (text(i:i) >= "A" .and. text(i:i) <= "F") text(i:i) = achar(iachar(text(i:i)) + 32)
    end do
  end subroutine

  subroutine print_all_f32(name, numbers)
    character(*), intent(in) :: name
    real(c_float), intent(in) :: numbers(:)
    integer :: i
    do i = 1, size(numbers)
      write (*, "(a, 1x, a, 1x, a)") "f32", name, bits_of_single(numbers(i))
    end do
  end subroutine

  subroutine print_all_f64(name, numbers)
    character(*), intent(in) :: name
    real(c_double), intent(in) :: numbers(:)
    integer :: i
    do i = 1, size(numbers)
      write (*, "(a, 1x, a, 1x, a)") "f64", name, bits_of(numbers(i))
    end do
  end subroutine

end program agree
