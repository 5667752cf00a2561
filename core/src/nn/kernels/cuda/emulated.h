// CUDA's threads on the CPU, for the kernels' tests: every thread of a block is a coroutine that runs
// until it waits for its warp or its block. The order in which threads (and blocks) run is chosen from
// outside, so that a kernel with a missing barrier gives different results in different orders.
//
// A barrier that not all threads reach is an error. Shared memory is filled with NaN for every block.

#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

typedef struct { unsigned x, y, z; } emu_index;
typedef struct { float x, y, z, w; } float4;
typedef struct { float x, y; } float2;
typedef struct { unsigned x, y; } uint2;
typedef struct { unsigned x, y, z, w; } uint4;

enum { EMU_READY, EMU_WARP, EMU_BLOCK, EMU_DONE };

typedef struct {
    // Where it goes on: at the start by the first, later by the second, which needs no system call.
    ucontext_t context;
    jmp_buf place;
    int started;
    emu_index index;
    int state;
    unsigned rank;
    int turn;
} emu_thread;

typedef void (*emu_entry)(void **);

static emu_index blockIdx, blockDim, gridDim;
static emu_thread emu_threads[1024], *emu_now;
static jmp_buf emu_scheduler;
static emu_entry emu_kernel;
static void **emu_args;
static unsigned long emu_block_number;
static char *emu_dynamic;
// What the lanes of a warp hand to each other, two exchanges at a time.
static unsigned char emu_slots[2][1024][32];

#define threadIdx (emu_now->index)
#define EMU_STACK (128 << 10)

static void emu_wait(int state) {
    emu_now->state = state;
    if (!_setjmp(emu_now->place)) _longjmp(emu_scheduler, 1);
}

// A coroutine runs the same thread of one block after another.
static void emu_thread_main(void) {
    for (;;) {
        emu_kernel(emu_args);
        emu_wait(EMU_DONE);
    }
}

static void emu_resume(emu_thread *thread) {
    emu_now = thread;
    if (_setjmp(emu_scheduler)) return;
    if (thread->started) _longjmp(thread->place, 1);
    thread->started = 1;
    setcontext(&thread->context);
}

#define __syncthreads() emu_wait(EMU_BLOCK)
#define __syncwarp() emu_wait(EMU_WARP)

// Hands `bytes` bytes to the other lanes, and gives the first of the warp's slots.
static unsigned char (*emu_exchange(const void *value, size_t bytes))[32] {
    int turn = emu_now->turn;
    emu_now->turn = 1 - turn;
    memcpy(emu_slots[turn][emu_now->rank], value, bytes);
    emu_wait(EMU_WARP);
    return &emu_slots[turn][emu_now->rank / 32 * 32];
}

static float emu_shuffle_xor(float x, int lanes) {
    unsigned char (*slots)[32] = emu_exchange(&x, sizeof x);
    memcpy(&x, slots[(emu_now->rank % 32) ^ lanes], sizeof x);
    return x;
}

// A bit for every lane in which the condition holds.
static unsigned emu_ballot(int holds) {
    unsigned char (*slots)[32] = emu_exchange(&holds, sizeof holds);
    unsigned bits = 0;
    for (unsigned lane = 0; lane < 32; lane++) {
        int x;
        memcpy(&x, slots[lane], sizeof x);
        bits |= (unsigned)(x != 0) << lane;
    }
    return bits;
}

static int emu_popc(unsigned bits) {
    int count = 0;
    for (; bits; bits &= bits - 1) count++;
    return count;
}

static void emu_poison(unsigned long *seen, void *memory, size_t bytes) {
    if (*seen != emu_block_number) {
        *seen = emu_block_number;
        memset(memory, 0xff, bytes);
    }
}

static void emu_start(unsigned rank, char *stack) {
    emu_thread *thread = &emu_threads[rank];
    getcontext(&thread->context);
    thread->context.uc_stack.ss_sp = stack;
    thread->context.uc_stack.ss_size = EMU_STACK;
    thread->context.uc_link = NULL;
    thread->index.x = rank, thread->index.y = thread->index.z = 0;
    thread->rank = rank, thread->started = 0;
    makecontext(&thread->context, emu_thread_main, 0);
}

// Runs the threads of a block to their ends; the index of the first that waits in vain, or -1.
static int emu_run_block(unsigned count, int descending) {
    for (;;) {
        int ran = 0, done = 0;
        for (unsigned i = 0; i < count; i++) {
            emu_thread *thread = &emu_threads[descending ? count - 1 - i : i];
            if (thread->state == EMU_READY) {
                emu_resume(thread);
                ran = 1;
            }
        }
        unsigned blocked = 0;
        for (unsigned first = 0; first < count; first += 32) {
            unsigned waiting = 0, end = first + 32 < count ? first + 32 : count;
            for (unsigned i = first; i < end; i++) {
                waiting += emu_threads[i].state == EMU_WARP;
                blocked += emu_threads[i].state == EMU_BLOCK;
                done += emu_threads[i].state == EMU_DONE;
            }
            if (waiting == end - first) {
                for (unsigned i = first; i < end; i++) emu_threads[i].state = EMU_READY;
                ran = 1;
            }
        }
        if (blocked == count) {
            for (unsigned i = 0; i < count; i++) emu_threads[i].state = EMU_READY;
            ran = 1;
        }
        if ((unsigned)done == count) return -1;
        if (!ran) {
            for (unsigned i = 0; i < count; i++)
                if (emu_threads[i].state != EMU_DONE) return (int)i;
        }
    }
}

// Runs a kernel on a grid; 0, or 1 where a barrier was not reached by all, or 2 where a kernel wrote
// beyond its dynamic shared memory.
static int emu_run(emu_entry kernel, void **args, const unsigned *grid, unsigned threads,
                   unsigned shared, int descending) {
    enum { BEYOND = 64 };
    char *stacks = malloc((size_t)threads * EMU_STACK), *memory = malloc(shared + BEYOND + 16);
    emu_dynamic = (char *)(((uintptr_t)memory + 15) / 16 * 16);
    memset(emu_dynamic + shared, 0x5a, BEYOND);
    emu_kernel = kernel, emu_args = args;
    blockDim.x = threads, blockDim.y = blockDim.z = 1;
    gridDim.x = grid[0], gridDim.y = grid[1], gridDim.z = grid[2];
    unsigned long blocks = (unsigned long)grid[0] * grid[1] * grid[2];
    for (unsigned rank = 0; rank < threads; rank++) emu_start(rank, stacks + (size_t)rank * EMU_STACK);
    int stuck = -1;
    for (unsigned long i = 0; i < blocks && stuck < 0; i++) {
        unsigned long block = descending ? blocks - 1 - i : i;
        blockIdx.x = block % grid[0];
        blockIdx.y = block / grid[0] % grid[1];
        blockIdx.z = block / grid[0] / grid[1];
        emu_block_number++;
        memset(emu_dynamic, 0xff, shared);
        for (unsigned rank = 0; rank < threads; rank++)
            emu_threads[rank].state = EMU_READY, emu_threads[rank].turn = 0;
        stuck = emu_run_block(threads, descending);
    }
    int beyond = 0;
    for (int i = 0; i < BEYOND; i++) beyond |= emu_dynamic[shared + i] != 0x5a;
    free(stacks), free(memory);
    return stuck >= 0 ? 1 : beyond ? 2 : 0;
}

#define KERNEL static void
#define DEVICE static
#define INFINITE INFINITY
#define UNROLL
#define SHARED(type, name, count)                                                                      \
    static type name[count] __attribute__((aligned(16)));                                              \
    static unsigned long name##_seen;                                                                  \
    emu_poison(&name##_seen, name, sizeof name)
#define DYNAMIC_SHARED(type, name) type *name = (type *)emu_dynamic
#define SHUFFLE_XOR(x, lanes) emu_shuffle_xor(x, lanes)
#define __ballot_sync(mask, holds) emu_ballot(holds)
#define __popc emu_popc
#define __launch_bounds__(...)

#if STORAGE == 0
typedef float real;
static float get(real x) { return x; }
static real put(float x) { return x; }
#else
typedef unsigned short real;

#if STORAGE == 1
static float get(real x) {
    uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}
static real put(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return (real)(bits >> 16 | 0x40);
    return (real)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
#else
static float get(real x) {
    int exponent = x >> 10 & 31, mantissa = x & 1023;
    float y = exponent == 31 ? (mantissa ? NAN : INFINITY)
            : exponent ? ldexpf((float)(mantissa + 1024), exponent - 25)
                       : ldexpf((float)mantissa, -24);
    return x >> 15 ? -y : y;
}
static real put(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    real sign = (real)(bits >> 16 & 0x8000);
    float size = fabsf(x);
    if (x != x) return (real)(sign | 0x7e00);
    if (size >= 65520.0f) return (real)(sign | 0x7c00);
    int exponent;
    frexpf(size, &exponent);
    // The distance between neighbours here, and the value in it, rounded to even.
    int step = (exponent < -13 ? -13 : exponent) - 11;
    uint32_t count = (uint32_t)nearbyintf(ldexpf(size, -step));
    if (size == 0.0f) return sign;
    while (count >= 2048) count /= 2, step++;
    return (real)(sign | (count < 1024 ? count : (uint32_t)(step + 25) << 10 | (count & 1023)));
}
#endif

static unsigned put2(float low, float high) { return (unsigned)put(high) << 16 | put(low); }

static float emu_half(unsigned word, int high) { return get((real)(high ? word >> 16 : word)); }

static void multiply(float *d, const unsigned *a, const unsigned *b) {
    unsigned mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    unsigned char (*slots)[32] = emu_exchange(mine, sizeof mine);
    int lane = (int)(emu_now->rank % 32);
    for (int i = 0; i < 4; i++) {
        int row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
        float sum = 0.0f;
        for (int k = 0; k < 16; k++) {
            unsigned left[6], right[6];
            memcpy(left, slots[row % 8 * 4 + k % 8 / 2], sizeof left);
            memcpy(right, slots[column * 4 + k % 8 / 2], sizeof right);
            sum += emu_half(left[row / 8 + 2 * (k / 8)], k % 2) * emu_half(right[4 + k / 8], k % 2);
        }
        d[i] += sum;
    }
}

static void emu_load4(unsigned *to, const real *row, int transposed) {
    unsigned char (*slots)[32] = emu_exchange(&row, sizeof row);
    int lane = (int)(emu_now->rank % 32);
    for (int i = 0; i < 4; i++) {
        unsigned word = 0;
        for (int half = 0; half < 2; half++) {
            int r = lane / 4, c = 2 * (lane % 4) + half;
            const real *from;
            memcpy(&from, slots[8 * i + (transposed ? c : r)], sizeof from);
            word |= (unsigned)from[transposed ? r : c] << 16 * half;
        }
        to[i] = word;
    }
}

static void load4(unsigned *to, const real *row) { emu_load4(to, row, 0); }
static void load4_transposed(unsigned *to, const real *row) { emu_load4(to, row, 1); }
#endif
