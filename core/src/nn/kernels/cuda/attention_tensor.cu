// Attention without the matrix of scores on tensor cores, for values of 16 bits and heads of up to 128
// channels. A block is four warps of 16 rows of a tile each: rows of queries in the forward pass and for
// the gradient of the queries, rows of keys for those of keys and values, so that nothing is shared
// between blocks and no sum depends on their order. Rows in shared memory are padded by 16 bytes, so
// that eight of them lie in different banks.
//
// Fragments of a product of 16 x 16 by 16 x 8 (PTX's m16n8k16): lane l holds of the result the columns
// 2 (l % 4) and the next, of the rows l / 4 (values 0, 1) and l / 4 + 8 (values 2, 3).

#include "attention.cuh"

#define ROWS 64
#define PART 32
#define WIDE (HEAD + 8)
#define STEPS (HEAD / 16)
#define LOG2E 1.44269504f

// Takes up `rows` rows from `first` on, zeros beyond the last and beyond the width.
DEVICE void load_rows(real *tile, int rows, const real *x, int first, int count, wide stride, int d) {
    if (d % 8 == 0) {
        for (int i = threadIdx.x; i < rows * (HEAD / 8); i += blockDim.x) {
            int row = i / (HEAD / 8), c = i % (HEAD / 8) * 8;
            uint4 values;
            values.x = values.y = values.z = values.w = 0;
            if (first + row < count && c < d) values = *(const uint4 *)(x + (first + row) * stride + c);
            *(uint4 *)(tile + row * WIDE + c) = values;
        }
        return;
    }
    for (int i = threadIdx.x; i < rows * HEAD; i += blockDim.x) {
        int row = i / HEAD, c = i % HEAD;
        tile[row * WIDE + c] = first + row < count && c < d ? x[(first + row) * stride + c] : put(0.0f);
    }
}

// A left operand: 16 rows from `row` on, 16 channels from `c` on.
DEVICE void left(unsigned *a, const real *tile, int row, int c) {
    int lane = threadIdx.x % 32;
    load4(a, tile + (row + lane % 16) * WIDE + c + lane / 16 * 8);
}

// Two right operands whose columns are rows of the tile, 16 from `row` on, by 16 channels from `c` on.
DEVICE void right_rows(unsigned *b, const real *tile, int row, int c) {
    int lane = threadIdx.x % 32;
    load4(b, tile + (row + lane % 8 + lane / 16 * 8) * WIDE + c + lane / 8 % 2 * 8);
}

// Two right operands whose rows are rows of the tile, 16 from `row` on; columns from `c` on.
DEVICE void right(unsigned *b, const real *tile, int row, int c) {
    int lane = threadIdx.x % 32;
    load4_transposed(b, tile + (row + lane % 16) * WIDE + c + lane / 16 * 8);
}

// 16 rows of `a`, from `row` on, times the first PART rows of `b`: a product over the channels.
DEVICE void products(float *s, const real *a, int row, const real *b) {
    UNROLL
    for (int i = 0; i < PART / 2; i++) s[i] = 0.0f;
    UNROLL
    for (int step = 0; step < STEPS; step++) {
        unsigned of_a[4], of_b[4];
        left(of_a, a, row, step * 16);
        UNROLL
        for (int n = 0; n < PART / 16; n++) {
            right_rows(of_b, b, n * 16, step * 16);
            multiply(s + n * 8, of_a, of_b);
            multiply(s + n * 8 + 4, of_a, of_b + 2);
        }
    }
}

// out += p b: p of 16 rows by PART, in fragments of a result, by PART rows of the tile.
DEVICE void accumulate(float *out, const float *p, const real *b) {
    UNROLL
    for (int step = 0; step < PART / 16; step++) {
        const float *x = p + step * 8;
        unsigned of_p[4] = {put2(x[0], x[1]), put2(x[2], x[3]), put2(x[4], x[5]), put2(x[6], x[7])}, of_b[4];
        UNROLL
        for (int n = 0; n < STEPS; n++) {
            right(of_b, b, step * 16, n * 16);
            multiply(out + n * 8, of_p, of_b);
            multiply(out + n * 8 + 4, of_p, of_b + 2);
        }
    }
}

// Stores 16 rows from `first` on, each half of them times a factor.
DEVICE void store_rows(real *y, const float *x, float upper, float lower, int first, int count, wide stride,
                       int d) {
    int lane = threadIdx.x % 32;
    UNROLL
    for (int i = 0; i < HEAD / 2; i++) {
        int row = first + lane / 4 + i % 4 / 2 * 8, c = i / 4 * 8 + lane % 4 * 2 + i % 2;
        if (row < count && c < d) y[row * stride + c] = put(x[i] * (i % 4 < 2 ? upper : lower));
    }
}

KERNEL attention_tensor(real *__restrict__ out, float *__restrict__ sums, const real *__restrict__ q,
                        const real *__restrict__ k, const real *__restrict__ v, SIZES) {
    sizes s = ALL_SIZES;
    DYNAMIC_SHARED(real, tiles);
    real *queries = tiles, *keys = queries + ROWS * WIDE, *values = keys + PART * WIDE;
    int count = (nq + ROWS - 1) / ROWS, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    // The last queries, which see the most keys, first.
    int q0 = (count - 1 - (int)(blockIdx.x % count)) * ROWS;
    int h = blockIdx.x / count % heads, b = blockIdx.x / count / heads;
    wide q_row = (wide)heads * d, k_row = (wide)key_heads * d;
    q += b * nq * q_row + h * d, out += b * nq * q_row + h * d;
    k += b * nk * k_row + h / (heads / key_heads) * d, v += b * nk * k_row + h / (heads / key_heads) * d;
    load_rows(queries, ROWS, q, q0, nq, q_row, d);
    float all[HEAD / 2], p[PART / 2], most[2] = {-INFINITE, -INFINITE}, sum[2] = {0.0f, 0.0f};
    int rows[2], seen[2];
    UNROLL
    for (int i = 0; i < 2; i++) {
        rows[i] = q0 + warp * 16 + lane / 4 + 8 * i;
        seen[i] = rows[i] < nq ? seen_by(&s, b, rows[i]) : 0;
    }
    UNROLL
    for (int i = 0; i < HEAD / 2; i++) all[i] = 0.0f;
    int end = seen_by(&s, b, (q0 + ROWS < nq ? q0 + ROWS : nq) - 1);
    for (int k0 = 0; k0 < end; k0 += PART) {
        __syncthreads();
        load_rows(keys, PART, k, k0, nk, k_row, d);
        load_rows(values, PART, v, k0, nk, k_row, d);
        __syncthreads();
        products(p, queries, warp * 16, keys);
        float top[2] = {most[0], most[1]};
        UNROLL
        for (int i = 0; i < PART / 2; i++) {
            int half = i % 4 / 2, key = k0 + i / 4 * 8 + lane % 4 * 2 + i % 2;
            p[i] = key < seen[half] ? p[i] * scale + bias_of(&s, b, h, rows[half], key) : -INFINITE;
            top[half] = fmaxf(top[half], p[i]);
        }
        float kept[2], base[2];
        UNROLL
        for (int i = 0; i < 2; i++) {
            top[i] = fmaxf(top[i], SHUFFLE_XOR(top[i], 1));
            top[i] = fmaxf(top[i], SHUFFLE_XOR(top[i], 2));
            // Of a row that has seen nothing yet every exponential is 0.
            base[i] = top[i] == -INFINITE ? 0.0f : top[i];
            kept[i] = exp2f((most[i] - base[i]) * LOG2E);
            most[i] = top[i], sum[i] *= kept[i];
        }
        UNROLL
        for (int i = 0; i < PART / 2; i++) {
            p[i] = exp2f((p[i] - base[i % 4 / 2]) * LOG2E);
            sum[i % 4 / 2] += p[i];
        }
        UNROLL
        for (int i = 0; i < HEAD / 2; i++) all[i] *= kept[i % 4 / 2];
        accumulate(all, p, values);
    }
    float factor[2];
    UNROLL
    for (int i = 0; i < 2; i++) {
        sum[i] += SHUFFLE_XOR(sum[i], 1);
        sum[i] += SHUFFLE_XOR(sum[i], 2);
        int none = most[i] == -INFINITE;
        factor[i] = none ? 0.0f : 1.0f / sum[i];
        if (rows[i] < nq && lane % 4 == 0)
            sums[((wide)b * heads + h) * nq + rows[i]] = none ? INFINITE : most[i] + logf(sum[i]);
    }
    store_rows(out, all, factor[0], factor[1], q0 + warp * 16, nq, q_row, d);
}

// The gradient of the queries, and, where they are given, of the rows and columns of the keys' grid.
KERNEL attention_tensor_queries(real *__restrict__ dq, float *__restrict__ drows,
                                float *__restrict__ dcolumns, const real *__restrict__ gradient,
                                const real *__restrict__ q, const real *__restrict__ k,
                                const real *__restrict__ v, const float *__restrict__ sums,
                                const float *__restrict__ delta, SIZES) {
    sizes s = ALL_SIZES;
    DYNAMIC_SHARED(real, tiles);
    real *queries = tiles, *gradients = queries + ROWS * WIDE, *keys = gradients + ROWS * WIDE;
    real *values = keys + PART * WIDE;
    float *scores = (float *)(values + PART * WIDE);
    int count = (nq + ROWS - 1) / ROWS, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int q0 = (count - 1 - (int)(blockIdx.x % count)) * ROWS;
    int h = blockIdx.x / count % heads, b = blockIdx.x / count / heads;
    wide q_row = (wide)heads * d, k_row = (wide)key_heads * d;
    q += b * nq * q_row + h * d, gradient += b * nq * q_row + h * d, dq += b * nq * q_row + h * d;
    k += b * nk * k_row + h / (heads / key_heads) * d, v += b * nk * k_row + h / (heads / key_heads) * d;
    load_rows(queries, ROWS, q, q0, nq, q_row, d);
    load_rows(gradients, ROWS, gradient, q0, nq, q_row, d);
    float all[HEAD / 2], p[PART / 2], ds[PART / 2], log_sum[2], mean[2];
    int rows[2], seen[2];
    UNROLL
    for (int i = 0; i < 2; i++) {
        rows[i] = q0 + warp * 16 + lane / 4 + 8 * i;
        int inside = rows[i] < nq;
        wide at = ((wide)b * heads + h) * nq + (inside ? rows[i] : 0);
        seen[i] = inside ? seen_by(&s, b, rows[i]) : 0, log_sum[i] = sums[at], mean[i] = delta[at];
    }
    UNROLL
    for (int i = 0; i < HEAD / 2; i++) all[i] = 0.0f;
    int end = seen_by(&s, b, (q0 + ROWS < nq ? q0 + ROWS : nq) - 1);
    for (int k0 = 0; k0 < end; k0 += PART) {
        __syncthreads();
        load_rows(keys, PART, k, k0, nk, k_row, d);
        load_rows(values, PART, v, k0, nk, k_row, d);
        __syncthreads();
        products(p, queries, warp * 16, keys);
        products(ds, gradients, warp * 16, values);
        UNROLL
        for (int i = 0; i < PART / 2; i++) {
            int half = i % 4 / 2, column = i / 4 * 8 + lane % 4 * 2 + i % 2, key = k0 + column;
            float x = 0.0f;
            if (key < seen[half]) {
                float score = p[i] * scale + bias_of(&s, b, h, rows[half], key);
                x = exp2f((score - log_sum[half]) * LOG2E) * (ds[i] - mean[half]);
            }
            ds[i] = x;
            if (drows) scores[(rows[half] - q0) * (PART + 1) + column] = x;
        }
        if (drows) {
            __syncthreads();
            add_grid_gradients(&s, drows, dcolumns, scores, PART + 1, b, h, q0, ROWS, k0, PART);
        }
        accumulate(all, ds, keys);
    }
    store_rows(dq, all, scale, scale, q0 + warp * 16, nq, q_row, d);
}

// The gradients of keys and values; the block owns a tile of a key head's.
KERNEL attention_tensor_keys(real *__restrict__ dk, real *__restrict__ dv, const real *__restrict__ gradient,
                             const real *__restrict__ q, const real *__restrict__ k,
                             const real *__restrict__ v, const float *__restrict__ sums,
                             const float *__restrict__ delta, SIZES) {
    sizes s = ALL_SIZES;
    DYNAMIC_SHARED(real, tiles);
    real *keys = tiles, *values = keys + ROWS * WIDE, *queries = values + ROWS * WIDE;
    real *gradients = queries + PART * WIDE;
    float *log_sums = (float *)(gradients + PART * WIDE), *means = log_sums + PART;
    int count = (nk + ROWS - 1) / ROWS, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int k0 = (int)(blockIdx.x % count) * ROWS, hk = blockIdx.x / count % key_heads;
    int b = blockIdx.x / count / key_heads, group = heads / key_heads;
    wide q_row = (wide)heads * d, k_row = (wide)key_heads * d, k_at = b * nk * k_row + hk * d;
    load_rows(keys, ROWS, k + k_at, k0, nk, k_row, d);
    load_rows(values, ROWS, v + k_at, k0, nk, k_row, d);
    float all_k[HEAD / 2], all_v[HEAD / 2], p[PART / 2], ds[PART / 2];
    UNROLL
    for (int i = 0; i < HEAD / 2; i++) all_k[i] = all_v[i] = 0.0f;
    // The first query that sees a key of the tile.
    int first = causal && k0 > offset ? (k0 - offset) / PART * PART : 0;
    if (lengths && k0 >= lengths[b]) first = nq;
    for (int h = hk * group; h < (hk + 1) * group; h++) {
        wide q_at = b * nq * q_row + h * d, row = ((wide)b * heads + h) * nq;
        for (int q0 = first; q0 < nq; q0 += PART) {
            __syncthreads();
            load_rows(queries, PART, q + q_at, q0, nq, q_row, d);
            load_rows(gradients, PART, gradient + q_at, q0, nq, q_row, d);
            if (threadIdx.x < PART) {
                int inside = q0 + (int)threadIdx.x < nq;
                log_sums[threadIdx.x] = inside ? sums[row + q0 + threadIdx.x] : INFINITE;
                means[threadIdx.x] = inside ? delta[row + q0 + threadIdx.x] : 0.0f;
            }
            __syncthreads();
            products(p, keys, warp * 16, queries);
            products(ds, values, warp * 16, gradients);
            UNROLL
            for (int i = 0; i < PART / 2; i++) {
                int key = k0 + warp * 16 + lane / 4 + i % 4 / 2 * 8, column = i / 4 * 8 + lane % 4 * 2 + i % 2;
                int query = q0 + column;
                float x = 0.0f;
                if (query < nq && key < seen_by(&s, b, query)) {
                    float score = p[i] * scale + bias_of(&s, b, h, query, key);
                    x = exp2f((score - log_sums[column]) * LOG2E);
                }
                p[i] = x, ds[i] = x * (ds[i] - means[column]);
            }
            accumulate(all_v, p, gradients);
            accumulate(all_k, ds, queries);
        }
    }
    store_rows(dk + k_at, all_k, scale, scale, k0 + warp * 16, nk, k_row, d);
    store_rows(dv + k_at, all_v, 1.0f, 1.0f, k0 + warp * 16, nk, k_row, d);
}
