#ifndef CADRE_KERNELS_KERNEL_H
#define CADRE_KERNELS_KERNEL_H
/* The kernel contract, in C11 (docs/kernel-abi.md has the rules in prose). A kernel declares its inputs, outputs, parameters and results, and gives plain
   functions. Map, fold and scatter are one thing with different parts present:

     map      run() writes outputs of kind CADRE_OUT_MAP, row by row of the index space
     fold     plan() asks for accumulator_bytes; run() fills one accumulator per chunk, combine() merges two,
              finish() turns the last one into outputs of kind CADRE_OUT_FINISH and small results
     scatter  plan() asks for scatter.rows; run() adds (index, value) to columns, which are the outputs of kind
              CADRE_OUT_COLUMN; only the built-in operations of cadre_op are applied to the shared columns

   A pass may be a map and a fold, or a map and a scatter, at once; a scatter has no accumulator. A kernel may have several passes; what
   finish() leaves in the accumulator of a pass is `previous` in the next (standardize: moments, then map). finish() may ask for its pass to be run again
   (kmeans: one step after the other, then the labels). Bigger things go from one pass to the next in an array, `plan.carried`: run() writes its rows as
   outputs[0], and the next pass sees all of it as one more input behind those declared (sort: sorted runs, then what they give together).

   The index space is [0, elements), cut into chunks by the engine. run() is called for [first, first + count): possibly
   for part of a chunk, possibly again after its process was killed, in any process and in any order. It must be
   a pure function of its inputs: everything that it writes (outputs, accumulator, scatter) it writes afresh each time.

   Calls allowed in run(): anything that does not outlive it. Memory: all pointers belong to the engine and are valid
   during the call only. Inputs are mapped read-only. Alignment: 64 bytes for whole arrays in memory, only that of the element type
   for slices and for files (data begins at any multiple of the element's size).

   Versioning: `abi` is raised when a field changes meaning; fields are only ever added at the end of a struct, whose `size` tells
   what the other side knows. */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CADRE_KERNEL_ABI 1u

/* ---- arrays: DLPack's DLTensor (version 0.6), restated so that this header stands alone ---- */
typedef struct cadre_dtype {
  uint8_t code;   /* CADRE_INT, CADRE_UINT or CADRE_FLOAT */
  uint8_t bits;   /* 8, 16, 32 or 64 */
  uint16_t lanes; /* 1 */
} cadre_dtype;
enum { CADRE_INT = 0, CADRE_UINT = 1, CADRE_FLOAT = 2 };

typedef struct cadre_tensor {
  void* data;
  struct { int32_t device_type, device_id; } device; /* 1, 0: the CPU */
  int32_t ndim;
  cadre_dtype dtype;
  int64_t* shape;
  int64_t* strides;     /* NULL: C order, compact. The engine gives no others */
  uint64_t byte_offset; /* 0 */
} cadre_tensor;

/* ---- declarations ---- */
enum {
  CADRE_F64 = 1 << 0, CADRE_F32 = 1 << 1,
  CADRE_I8 = 1 << 2, CADRE_I16 = 1 << 3, CADRE_I32 = 1 << 4, CADRE_I64 = 1 << 5,
  CADRE_U8 = 1 << 6, CADRE_U16 = 1 << 7, CADRE_U32 = 1 << 8, CADRE_U64 = 1 << 9,
  CADRE_FLOATS = CADRE_F64 | CADRE_F32,
  CADRE_INTEGERS = 0x3fc,
  CADRE_NUMBERS = 0x3ff
};

enum { CADRE_ROWS = 0,   /* cut with the index space along axis 0: run() sees its chunk's rows */
       CADRE_WHOLE = 1   /* every call sees all of it */ };

typedef struct cadre_input {
  const char* name;
  const char* doc;
  uint32_t types;        /* CADRE_F64 | ... : what it accepts */
  uint32_t role;         /* CADRE_ROWS or CADRE_WHOLE */
  uint32_t min_ndim, max_ndim;
} cadre_input;

enum { CADRE_OUT_MAP = 0, CADRE_OUT_FINISH = 1, CADRE_OUT_COLUMN = 2 };
enum { CADRE_OUT_OPTIONAL = 1 };

typedef enum cadre_op { CADRE_ADD = 0, CADRE_MIN = 1, CADRE_MAX = 2 } cadre_op; /* min and max propagate NaN */

typedef struct cadre_output {
  const char* name;
  const char* doc;
  uint32_t kind;         /* CADRE_OUT_... */
  uint32_t flags;        /* CADRE_OUT_OPTIONAL: computed only when asked for */
  double fill;           /* what a skipped element gets in a map output (integers: converted, NaN as 0) */
  /* CADRE_OUT_COLUMN only */
  uint32_t op;           /* cadre_op */
  uint32_t counts;       /* 1: each entry contributes 1 (integer column); 0: the entry's value */
} cadre_output;

enum { CADRE_REAL = 0, CADRE_INTEGER = 1 };
enum { CADRE_PARAM_REQUIRED = 0, CADRE_PARAM_DEFAULT = 1, CADRE_PARAM_OPTIONAL = 2 };

typedef struct cadre_param {
  const char* name;
  const char* doc;
  uint32_t kind;         /* CADRE_REAL or CADRE_INTEGER */
  uint32_t presence;     /* required; has default_value; or may be absent */
  double default_value;
} cadre_param;

typedef struct cadre_value {
  uint32_t kind;         /* CADRE_REAL or CADRE_INTEGER, as declared */
  uint32_t present;
  double real;           /* for an integer parameter, its value as double */
  int64_t integer;
} cadre_value;

typedef struct cadre_result { /* a small result, printed by name */
  const char* name;
  const char* doc;
} cadre_result;

/* ---- the plan: what a pass will read and write, told by plan() from headers and parameters alone ---- */
enum { CADRE_MAX_INPUTS = 8, CADRE_MAX_OUTPUTS = 8, CADRE_MAX_PARAMS = 16, CADRE_MAX_RESULTS = 8, CADRE_MAX_NDIM = 8 };

typedef struct cadre_shape {
  cadre_dtype dtype;
  int32_t ndim;
  int64_t shape[CADRE_MAX_NDIM];
} cadre_shape;

typedef struct cadre_plan {
  /* given */
  uint32_t size, pass;
  uint32_t n_inputs, n_params;
  uint32_t outputs_wanted;                 /* bit i: output i is asked for (always set unless optional) */
  uint32_t reserved;
  cadre_shape inputs[CADRE_MAX_INPUTS];
  cadre_value params[CADRE_MAX_PARAMS];
  const void* previous;                    /* the finished accumulator of the pass before, or NULL */
  /* told, zero when plan() is called */
  uint64_t elements;                       /* the index space: rows of the ROWS inputs */
  double cost_ns;                          /* time for one element on one core; 0: not known */
  uint64_t bytes;                          /* memory read and written per element, for the cache size of a chunk */
  uint64_t grain;                          /* chunks are multiples of this (0: 1) */
  uint64_t accumulator_bytes;              /* fold: size of one accumulator */
  uint64_t scratch_bytes;                  /* working memory that run() needs, 64-byte aligned, contents undefined */
  cadre_shape outputs[CADRE_MAX_OUTPUTS];  /* type and shape; MAP outputs have `elements` rows on axis 0 */
  cadre_shape results[CADRE_MAX_RESULTS];  /* int64, uint64 or float64; 0 to 2 dimensions */
  struct {
    uint64_t rows;                         /* rows of every column, visible in the outputs; below 2^32 - 2^20 */
    uint64_t hidden;                       /* further rows after them that only finish() sees (counts of outsiders) */
    cadre_dtype value;                     /* type of an entry's value; bits 0: entries are only counted.
                                              Columns with counts == 0 must have this type */
  } scatter;
  char message[256];                       /* when plan() refuses: what is wrong and what would be right */
  cadre_shape carried;                     /* told, in a pass before the last: an array of `elements` rows that it hands on (bits 0: none). Since 0.2 */
  double operations;                       /* told: float64 operations for one element, a fused multiply-add two (0: not known); reports say what share of
                                              the machine's that is. Since 0.2: plan->size tells whether it is there */
} cadre_plan;

/* ---- scatter: where run() adds ---- */
typedef struct cadre_scatter {
  uint64_t rows;                           /* indexes are 0 .. rows - 1, hidden rows included */
  uint32_t n_columns;                      /* COLUMN outputs in declared order */
  uint32_t value_bytes;
  void* const* dense;                      /* not NULL: this chunk's own columns, set to the operation's identity; a kernel may
                                              add to dense[column][index] itself, which is faster than the list. NULL: only the list */
  uint32_t* index;                         /* the list: index[used], value[used * value_bytes]; call flush() when used == capacity */
  void* value;
  uint64_t used, capacity;                 /* capacity >= 4096 */
  int (*flush)(struct cadre_scatter*);     /* takes over the list, sets used = 0; CADRE_FULL: return that from run() at once */
  void* engine;
} cadre_scatter;

/* ---- running ---- */
enum { CADRE_OK = 0,
       CADRE_BAD_DATA = 1,   /* the data are at fault: bad_row and message say where and what; the job fails, exit 1 */
       CADRE_FULL = 2        /* the scatter list's room is used up; the engine calls again with fewer elements */ };

enum { CADRE_STREAM = 1 /* map outputs are far bigger than the caches and not read again soon: stores past the cache pay */ };

typedef struct cadre_chunk {
  uint32_t size, pass;
  uint64_t first, count;                   /* elements [first, first + count) of the index space */
  const cadre_plan* plan;                  /* shapes, parameters, previous */
  const cadre_tensor* inputs;              /* ROWS: the chunk's rows; WHOLE: everything */
  const cadre_tensor* outputs;             /* MAP: the chunk's rows, data NULL if not wanted; others: data NULL */
  void* accumulator;                       /* fold: identity() was applied to it */
  cadre_scatter* scatter;                  /* scatter: else NULL */
  void* scratch;
  void* state;                             /* the kernel's own pointer */
  uint64_t bad_row;
  char message[256];
  uint32_t flags;                          /* CADRE_STREAM */
  uint32_t reserved;
  void* worker;                            /* what set_up() left, else NULL. Since 0.2: c->size tells whether it is there */
} cadre_chunk;

/* What one worker (a process, or a thread of the thread backend) keeps from chunk to chunk: an opened library, a table read once. */
typedef struct cadre_worker {
  uint32_t size, slot;
  void* state;                             /* the kernel's own pointer */
  void* worker;                            /* set_up() tells it, tear_down() gets it */
  char message[256];                       /* when set_up() fails: why */
} cadre_worker;

typedef struct cadre_finish {
  uint32_t size, pass;
  const cadre_plan* plan;
  void* accumulator;                       /* fold: the combined one; what is left in it is `previous` for the next pass */
  void* const* columns;                    /* scatter: the combined columns, rows + hidden long; may be changed, idempotently */
  cadre_tensor* outputs;                   /* FINISH outputs: to be written; data NULL if not wanted */
  cadre_tensor* results;                   /* small results: to be written, types and shapes as planned */
  void* state;
  char message[256];
  uint32_t again;                          /* told: 1, this pass is run once more, what is left in the accumulator its `previous`. Not for the last pass. Since 0.2 */
  uint32_t reserved;
} cadre_finish;

enum { CADRE_ELEMENTWISE = 1 /* out[i] depends on in[i] alone: an output may be the same array as an input */ };

typedef struct cadre_kernel {
  uint32_t abi, size;
  const char* name;
  const char* doc;                         /* one line */
  const char* accuracy;                    /* one line: the numerical error */
  const char* example;                     /* a command line that runs: "cadre run sum --in x.npy" */
  uint32_t flags, passes;
  uint32_t n_inputs, n_outputs, n_params, n_results;
  const cadre_input* inputs;
  const cadre_output* outputs;
  const cadre_param* params;
  const cadre_result* results;
  int (*plan)(cadre_plan*);                                                /* CADRE_OK, or CADRE_BAD_DATA with message */
  int (*run)(cadre_chunk*);
  void (*identity)(const cadre_plan*, void* accumulator);                  /* folds only, as combine */
  void (*combine)(const cadre_plan*, void* into, const void* from);        /* `from` holds the later elements */
  int (*finish)(cadre_finish*);                                            /* NULL where there is nothing to finish */
  void* state;
  /* Since 0.2; both may be NULL. set_up() is called once by each worker before its first chunk, again by the successor of one that died;
     tear_down() when a worker leaves in order, as when the engine is closed, never when it was killed. A worker has five seconds for it. */
  int (*set_up)(cadre_worker*);                                            /* CADRE_OK, or CADRE_BAD_DATA with message */
  void (*tear_down)(cadre_worker*);
} cadre_kernel;
/* The size of a cadre_kernel of version 0.1, the least that is taken. */
#define CADRE_KERNEL_LEAST_SIZE offsetof(cadre_kernel, set_up)

typedef struct cadre_library {
  uint32_t abi, size;
  uint32_t count, reserved;
  const cadre_kernel* const* kernels;
} cadre_library;

/* What a plug-in exports: const cadre_library* cadre_plugin(void); */
#define CADRE_PLUGIN_SYMBOL "cadre_plugin"
#if defined(__GNUC__)
#define CADRE_EXPORT __attribute__((visibility("default")))
#else
#define CADRE_EXPORT
#endif

/* Adds one entry to the list; value: value_bytes bytes, or NULL where entries are only counted. Returns what run() must return
   when it is not CADRE_OK. An index out of range must be found out by the kernel, which knows the row: the engine
   only refuses it, without naming one. */
static inline int cadre_scatter_push(cadre_scatter* s, uint32_t index, const void* value) {
  if (s->used == s->capacity) {
    int full = s->flush(s);
    if (full != CADRE_OK) return full;
  }
  s->index[s->used] = index;
  if (value)
    for (uint32_t b = 0; b < s->value_bytes; ++b)
      ((unsigned char*)s->value)[s->used * s->value_bytes + b] = ((const unsigned char*)value)[b];
  s->used++;
  return CADRE_OK;
}

#ifdef __cplusplus
}
#endif
#endif
