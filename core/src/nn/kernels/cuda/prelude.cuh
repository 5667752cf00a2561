// What every kernel is written with, in the common subset of C and CUDA C. STORAGE is 0 for values of
// 32 bits, 1 for bf16, 2 for f16; HEAD is the width of an attention's heads, where that matters.
//
// `real` is a stored value, `get` and `put` are the ways out and in; everything is computed in float.

typedef long long wide;

#ifdef __CUDACC__

#define KERNEL extern "C" __global__ void
#define DEVICE static __device__ __forceinline__
#define SHARED(type, name, count) __shared__ __align__(16) type name[count]
#define DYNAMIC_SHARED(type, name) extern __shared__ __align__(16) type name[]
#define INFINITE __int_as_float(0x7f800000)
#define UNROLL _Pragma("unroll")

#if STORAGE == 0
typedef float real;
DEVICE float get(real x) { return x; }
DEVICE real put(float x) { return x; }
#elif STORAGE == 1
typedef unsigned short real;
DEVICE float get(real x) { return __uint_as_float((unsigned)x << 16); }
DEVICE real put(float x) {
    unsigned short y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}
DEVICE unsigned put2(float low, float high) {
    unsigned y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}
#else
typedef unsigned short real;
DEVICE float get(real x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
    return y;
}
DEVICE real put(float x) {
    unsigned short y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}
DEVICE unsigned put2(float low, float high) {
    unsigned y;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}
#endif

#if STORAGE != 0
// d += a b for a of 16 x 16, b of 16 x 8 and d of 16 x 8 values, a fragment in each lane of a warp.
DEVICE void multiply(float *d, const unsigned *a, const unsigned *b) {
#if STORAGE == 1
#define MMA "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
#else
#define MMA "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"
#endif
    asm volatile(MMA " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four 8 x 8 matrices from shared memory, lane `8 i + r` naming row r of matrix i.
DEVICE void load4(unsigned *to, const real *row) {
    unsigned at = (unsigned)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(at) : "memory");
}

// The same, each matrix transposed.
DEVICE void load4_transposed(unsigned *to, const real *row) {
    unsigned at = (unsigned)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(at) : "memory");
}
#endif

#define SHUFFLE_XOR(x, lanes) __shfl_xor_sync(0xffffffffu, x, lanes)

#endif

// A grid strides over `count` pieces of work.
#define FOR_EACH(i, count)                                                                             \
    for (wide i = (wide)blockIdx.x * blockDim.x + threadIdx.x, stride_ = (wide)gridDim.x * blockDim.x; \
         i < (count); i += stride_)

// Four values whose address is a multiple of four values'.
#if STORAGE == 0
DEVICE void get4(float *to, const real *from) {
    float4 x = *(const float4 *)from;
    to[0] = x.x, to[1] = x.y, to[2] = x.z, to[3] = x.w;
}
DEVICE void put4(real *to, const float *from) {
    float4 x;
    x.x = from[0], x.y = from[1], x.z = from[2], x.w = from[3];
    *(float4 *)to = x;
}
#else
DEVICE void get4(float *to, const real *from) {
    uint2 x = *(const uint2 *)from;
    to[0] = get((real)(x.x & 0xffffu)), to[1] = get((real)(x.x >> 16));
    to[2] = get((real)(x.y & 0xffffu)), to[3] = get((real)(x.y >> 16));
}
DEVICE void put4(real *to, const float *from) {
    uint2 x;
    x.x = put2(from[0], from[1]), x.y = put2(from[2], from[3]);
    *(uint2 *)to = x;
}
#endif

DEVICE float warp_sum(float x) {
    for (int lanes = 16; lanes > 0; lanes /= 2) x += SHUFFLE_XOR(x, lanes);
    return x;
}

DEVICE float warp_max(float x) {
    for (int lanes = 16; lanes > 0; lanes /= 2) x = fmaxf(x, SHUFFLE_XOR(x, lanes));
    return x;
}

// The sum over a block of whole warps, the same bits in every thread.
DEVICE float block_sum(float x) {
    SHARED(float, parts, 32);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    x = warp_sum(x);
    __syncthreads();
    if (lane == 0) parts[warp] = x;
    __syncthreads();
    return warp_sum(lane < warps ? parts[lane] : 0.0f);
}

DEVICE float block_max(float x) {
    SHARED(float, parts, 32);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    x = warp_max(x);
    __syncthreads();
    if (lane == 0) parts[warp] = x;
    __syncthreads();
    return warp_max(lane < warps ? parts[lane] : -INFINITE);
}
