! The kernel contract of kernel.h for Fortran, through ISO_C_BINDING. A source begins with
!
!     include 'cadre/kernels/kernel.f90'
!
! and then has a module that uses `cadre`; examples/plugin/haversine.f90 is one. Unsigned numbers of the contract are signed
! here, of the same width.
module cadre
  use, intrinsic :: iso_c_binding
  implicit none
  public

  integer(c_int32_t), parameter :: CADRE_KERNEL_ABI = 1
  integer(c_int8_t), parameter :: CADRE_INT = 0, CADRE_UINT = 1, CADRE_FLOAT = 2
  integer(c_int32_t), parameter :: CADRE_F64 = 1, CADRE_F32 = 2
  integer(c_int32_t), parameter :: CADRE_I8 = 4, CADRE_I16 = 8, CADRE_I32 = 16, CADRE_I64 = 32
  integer(c_int32_t), parameter :: CADRE_ROWS = 0, CADRE_WHOLE = 1
  integer(c_int32_t), parameter :: CADRE_OUT_MAP = 0, CADRE_OUT_FINISH = 1, CADRE_OUT_COLUMN = 2
  integer(c_int32_t), parameter :: CADRE_ADD = 0, CADRE_MIN = 1, CADRE_MAX = 2
  integer(c_int32_t), parameter :: CADRE_REAL = 0, CADRE_INTEGER = 1
  integer(c_int32_t), parameter :: CADRE_PARAM_REQUIRED = 0, CADRE_PARAM_DEFAULT = 1, CADRE_PARAM_OPTIONAL = 2
  integer(c_int), parameter :: CADRE_OK = 0, CADRE_BAD_DATA = 1, CADRE_FULL = 2
  integer(c_int32_t), parameter :: CADRE_ELEMENTWISE = 1

  type, bind(c) :: cadre_dtype
    integer(c_int8_t) :: code = 0, bits = 0
    integer(c_int16_t) :: lanes = 0
  end type

  type, bind(c) :: cadre_tensor
    type(c_ptr) :: data
    integer(c_int32_t) :: device_type, device_id
    integer(c_int32_t) :: ndim
    type(cadre_dtype) :: dtype
    type(c_ptr) :: shape, strides
    integer(c_int64_t) :: byte_offset
  end type

  type, bind(c) :: cadre_input
    type(c_ptr) :: name, doc
    integer(c_int32_t) :: types, role, min_ndim, max_ndim
  end type

  type, bind(c) :: cadre_output
    type(c_ptr) :: name, doc
    integer(c_int32_t) :: kind, flags
    real(c_double) :: fill
    integer(c_int32_t) :: op, counts
  end type

  type, bind(c) :: cadre_param
    type(c_ptr) :: name, doc
    integer(c_int32_t) :: kind, presence
    real(c_double) :: default_value
  end type

  type, bind(c) :: cadre_value
    integer(c_int32_t) :: kind, present
    real(c_double) :: real
    integer(c_int64_t) :: integer
  end type

  type, bind(c) :: cadre_result
    type(c_ptr) :: name, doc
  end type

  type, bind(c) :: cadre_shape
    type(cadre_dtype) :: dtype
    integer(c_int32_t) :: ndim
    integer(c_int64_t) :: shape(8)
  end type

  type, bind(c) :: cadre_columns
    integer(c_int64_t) :: rows, hidden
    type(cadre_dtype) :: value
  end type

  type, bind(c) :: cadre_plan
    integer(c_int32_t) :: size, pass, n_inputs, n_params, outputs_wanted, reserved
    type(cadre_shape) :: inputs(8)
    type(cadre_value) :: params(16)
    type(c_ptr) :: previous
    integer(c_int64_t) :: elements
    real(c_double) :: cost_ns
    integer(c_int64_t) :: bytes, grain, accumulator_bytes, scratch_bytes
    type(cadre_shape) :: outputs(8), results(8)
    type(cadre_columns) :: scatter
    character(kind=c_char) :: message(256)
  end type

  type, bind(c) :: cadre_chunk
    integer(c_int32_t) :: size, pass
    integer(c_int64_t) :: first, count
    type(c_ptr) :: plan, inputs, outputs, accumulator, scatter, scratch, state
    integer(c_int64_t) :: bad_row
    character(kind=c_char) :: message(256)
    integer(c_int32_t) :: flags, reserved
    type(c_ptr) :: worker
  end type

  type, bind(c) :: cadre_finish
    integer(c_int32_t) :: size, pass
    type(c_ptr) :: plan, accumulator, columns, outputs, results, state
    character(kind=c_char) :: message(256)
  end type

  type, bind(c) :: cadre_kernel
    integer(c_int32_t) :: abi = CADRE_KERNEL_ABI, size = 0
    type(c_ptr) :: name = c_null_ptr, doc = c_null_ptr, accuracy = c_null_ptr, example = c_null_ptr
    integer(c_int32_t) :: flags = 0, passes = 1
    integer(c_int32_t) :: n_inputs = 0, n_outputs = 0, n_params = 0, n_results = 0
    type(c_ptr) :: inputs = c_null_ptr, outputs = c_null_ptr, params = c_null_ptr, results = c_null_ptr
    type(c_funptr) :: plan = c_null_funptr, run = c_null_funptr
    type(c_funptr) :: identity = c_null_funptr, combine = c_null_funptr, finish = c_null_funptr
    type(c_ptr) :: state = c_null_ptr
    type(c_funptr) :: set_up = c_null_funptr, tear_down = c_null_funptr
  end type

  type, bind(c) :: cadre_library
    integer(c_int32_t) :: abi = CADRE_KERNEL_ABI, size = 0, count = 0, reserved = 0
    type(c_ptr) :: kernels = c_null_ptr
  end type

  type(cadre_dtype), parameter :: float64 = cadre_dtype(CADRE_FLOAT, 64_c_int8_t, 1_c_int16_t)
  type(cadre_dtype), parameter :: int64 = cadre_dtype(CADRE_INT, 64_c_int8_t, 1_c_int16_t)

contains

  ! A text of the declarations, as C wants it; it lives as long as the library.
  function cadre_text(text) result(address)
    character(len=*), intent(in) :: text
    type(c_ptr) :: address
    character(kind=c_char), pointer :: copy(:)
    integer :: i
    allocate (copy(len(text) + 1))
    do i = 1, len(text)
      copy(i) = text(i:i)
    end do
    copy(len(text) + 1) = c_null_char
    address = c_loc(copy(1))
  end function

  ! The chunk's rows of input k (from 1), one number each.
  function cadre_in(chunk, k) result(values)
    type(cadre_chunk), intent(in) :: chunk
    integer, intent(in) :: k
    real(c_double), pointer :: values(:)
    type(cadre_tensor), pointer :: tensors(:)
    call c_f_pointer(chunk%inputs, tensors, [k])
    call c_f_pointer(tensors(k)%data, values, [chunk%count])
  end function

  ! The chunk's rows of map output k.
  function cadre_out(chunk, k) result(values)
    type(cadre_chunk), intent(in) :: chunk
    integer, intent(in) :: k
    real(c_double), pointer :: values(:)
    type(cadre_tensor), pointer :: tensors(:)
    call c_f_pointer(chunk%outputs, tensors, [k])
    call c_f_pointer(tensors(k)%data, values, [chunk%count])
  end function

  ! The value of parameter k.
  function cadre_real_param(chunk, k) result(value)
    type(cadre_chunk), intent(in) :: chunk
    integer, intent(in) :: k
    real(c_double) :: value
    type(cadre_plan), pointer :: plan
    call c_f_pointer(chunk%plan, plan)
    value = plan%params(k)%real
  end function

  ! One float64 for each row of the first input.
  subroutine cadre_plan_map(plan)
    type(cadre_plan), intent(inout) :: plan
    plan%elements = plan%inputs(1)%shape(1)
    plan%outputs(1)%dtype = float64
    plan%outputs(1)%ndim = 1
    plan%outputs(1)%shape(1) = plan%elements
  end subroutine
end module
