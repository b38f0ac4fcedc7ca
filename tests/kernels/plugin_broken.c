/* Plug-ins that must be refused, one for each value of BROKEN. */
#include <cadre/kernels/kernel.h>

#define NO_SYMBOL 1
#define WRONG_ABI 2
#define NULL_LIBRARY 3
#define TWICE 4
#define NO_RUN 5
#define BAD_TYPES 6
#define NO_NAME 7
#define TOO_MANY 8
#define UNDEFINED 9

static int plan(cadre_plan* p) { (void)p; return CADRE_OK; }
#if BROKEN == UNDEFINED
int function_that_nobody_defines(cadre_chunk*);
#define RUN function_that_nobody_defines
#elif BROKEN == NO_RUN
#define RUN 0
#else
static int run(cadre_chunk* c) { (void)c; return CADRE_OK; }
#define RUN run
#endif

static const cadre_input inputs[] = {{BROKEN == NO_NAME ? (const char*)0 : "x", "values", BROKEN == BAD_TYPES ? 1u << 20 : CADRE_F64, CADRE_ROWS, 1, 1}};
static const cadre_output outputs[] = {{"out", "the values", CADRE_OUT_MAP, 0, 0, 0, 0}};
static const cadre_kernel kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "copy", .doc = "copies", .passes = 1,
    .n_inputs = BROKEN == TOO_MANY ? 99 : 1, .n_outputs = 1, .inputs = inputs, .outputs = outputs, .plan = plan, .run = RUN};
static const cadre_kernel* const kernels[] = {&kernel, &kernel};
static const cadre_library library = {BROKEN == WRONG_ABI ? 77 : CADRE_KERNEL_ABI, sizeof(cadre_library), BROKEN == TWICE ? 2 : 1, 0, kernels};

#if BROKEN == NO_SYMBOL
CADRE_EXPORT const cadre_library* another_name(void) { return &library; }
#else
CADRE_EXPORT const cadre_library* cadre_plugin(void) { return BROKEN == NULL_LIBRARY ? (const cadre_library*)0 : &library; }
#endif
