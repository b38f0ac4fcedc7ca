! A map in Fortran: great-circle distances.
!
!     cadre build haversine.f90
!     cadre run haversine --plugin ./haversine.so --in lat1.npy --in lon1.npy --in lat2.npy --in lon2.npy --out km.npy
include 'cadre/kernels/kernel.f90'

module haversine_kernel
  use cadre
  implicit none
  private
  public :: cadre_plugin

  type(cadre_input), target, save :: inputs(4)
  type(cadre_output), target, save :: outputs(1)
  type(cadre_param), target, save :: params(1)
  type(cadre_kernel), target, save :: kernel
  type(c_ptr), target, save :: kernels(1)
  type(cadre_library), target, save :: library

contains

  integer(c_int) function plan(p) bind(c)
    type(cadre_plan), intent(inout) :: p
    call cadre_plan_map(p)
    plan = CADRE_OK
  end function

  integer(c_int) function run(c) bind(c)
    type(cadre_chunk), intent(in) :: c
    real(c_double), pointer, contiguous :: lat1(:), lon1(:), lat2(:), lon2(:), km(:)
    real(c_double), parameter :: degree = acos(-1d0) / 180
    real(c_double) :: radius
    radius = cadre_real_param(c, 1)
    lat1 => cadre_in(c, 1); lon1 => cadre_in(c, 2); lat2 => cadre_in(c, 3); lon2 => cadre_in(c, 4)
    km => cadre_out(c, 1)
    km = sin((lat2 - lat1) * degree / 2)**2 + cos(lat1 * degree) * cos(lat2 * degree) * sin((lon2 - lon1) * degree / 2)**2
    km = 2 * radius * asin(min(1d0, sqrt(km)))
    run = CADRE_OK
  end function

  function cadre_plugin() bind(c) result(address)
    type(c_ptr) :: address
    integer :: i
    character(len=4), parameter :: names(4) = ['lat1', 'lon1', 'lat2', 'lon2']
    do i = 1, 4
      inputs(i) = cadre_input(cadre_text(names(i)), cadre_text('degrees'), CADRE_F64, CADRE_ROWS, 1, 1)
    end do
    outputs(1) = cadre_output(cadre_text('out'), cadre_text('distance, in the unit of the radius'), CADRE_OUT_MAP, 0, 0d0, 0, 0)
    params(1) = cadre_param(cadre_text('radius'), cadre_text('of the sphere'), CADRE_REAL, CADRE_PARAM_DEFAULT, 6371.0088d0)
    kernel%size = int(c_sizeof(kernel), c_int32_t)
    kernel%name = cadre_text('haversine')
    kernel%doc = cadre_text('Great-circle distance of two places.')
    kernel%flags = CADRE_ELEMENTWISE
    kernel%n_inputs = 4; kernel%inputs = c_loc(inputs)
    kernel%n_outputs = 1; kernel%outputs = c_loc(outputs)
    kernel%n_params = 1; kernel%params = c_loc(params)
    kernel%plan = c_funloc(plan)
    kernel%run = c_funloc(run)
    kernels(1) = c_loc(kernel)
    library%size = int(c_sizeof(library), c_int32_t)
    library%count = 1
    library%kernels = c_loc(kernels)
    address = c_loc(library)
  end function
end module
