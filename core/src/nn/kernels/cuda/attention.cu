// Attention without the matrix of scores, for any storage: tiles of TILE queries by TILE keys, a block
// of 256 threads as 16 by 16, each with SIDE by SIDE of a tile's scores. Rows of tiles in shared memory
// are padded by a value, so that a column of a tile lies in different banks.

#include "attention.cuh"

#define TILE (HEAD > 128 ? 16 : 32)
#define SIDE (TILE / 16)
#define WIDE (HEAD + 1)
#define PADDED (TILE + 1)

// Takes up the rows from `first` on, zeros beyond the last and beyond the width.
DEVICE void load_tile(float *tile, const real *x, int first, int count, wide stride, int d) {
    for (int i = threadIdx.x; i < TILE * HEAD; i += blockDim.x) {
        int row = i / HEAD, c = i % HEAD;
        tile[row * WIDE + c] = first + row < count && c < d ? get(x[(first + row) * stride + c]) : 0.0f;
    }
}

// The products of the thread's rows of `a` with its rows of `b`.
DEVICE void scores(float *s, const float *a, const float *b, int ty, int tx) {
    for (int i = 0; i < SIDE * SIDE; i++) s[i] = 0.0f;
    for (int c = 0; c < HEAD; c++)
UNROLL
        for (int i = 0; i < SIDE; i++)
UNROLL
            for (int j = 0; j < SIDE; j++)
                s[i * SIDE + j] += a[(ty * SIDE + i) * WIDE + c] * b[(tx + 16 * j) * WIDE + c];
}

// out[row][c] += the sum over j of p[row][j] b[j][c]; or, turned, of p[j][row] b[j][c].
DEVICE void accumulate(float *out, const float *p, int turned, const float *b, int ty, int tx) {
    for (int j = 0; j < TILE; j++)
UNROLL
        for (int i = 0; i < SIDE; i++) {
            int row = ty * SIDE + i;
            float x = turned ? p[j * PADDED + row] : p[row * PADDED + j];
UNROLL
            for (int c = 0; c < HEAD / 16; c++) out[i * (HEAD / 16) + c] += x * b[j * WIDE + tx + 16 * c];
        }
}

DEVICE void store_rows(real *y, const float *x, float factor, int first, int count, wide stride, int d, int ty,
                       int tx) {
    for (int i = 0; i < SIDE; i++)
        for (int c = 0; c < HEAD / 16; c++) {
            int row = first + ty * SIDE + i, column = tx + 16 * c;
            if (row < count && column < d) y[row * stride + column] = put(x[i * (HEAD / 16) + c] * factor);
        }
}

KERNEL attention(real *__restrict__ out, float *__restrict__ sums, const real *__restrict__ q,
                 const real *__restrict__ k, const real *__restrict__ v, SIZES) {
    sizes s = ALL_SIZES;
    DYNAMIC_SHARED(float, tiles);
    float *queries = tiles, *keys = queries + TILE * WIDE, *p = keys + TILE * WIDE;
    int count = (nq + TILE - 1) / TILE, tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    int q0 = (int)(blockIdx.x % count) * TILE, h = blockIdx.x / count % heads, b = blockIdx.x / count / heads;
    wide q_row = (wide)heads * d, k_row = (wide)key_heads * d;
    q += b * nq * q_row + h * d, out += b * nq * q_row + h * d;
    k += b * nk * k_row + h / (heads / key_heads) * d, v += b * nk * k_row + h / (heads / key_heads) * d;
    load_tile(queries, q, q0, nq, q_row, d);
    float all[SIDE * (HEAD / 16)], most[SIDE], sum[SIDE], part[SIDE * SIDE];
    for (int i = 0; i < SIDE * (HEAD / 16); i++) all[i] = 0.0f;
    for (int i = 0; i < SIDE; i++) most[i] = -INFINITE, sum[i] = 0.0f;
    int end = seen_by(&s, b, (q0 + TILE < nq ? q0 + TILE : nq) - 1);
    for (int k0 = 0; k0 < end; k0 += TILE) {
        __syncthreads();
        load_tile(keys, k, k0, nk, k_row, d);
        __syncthreads();
        scores(part, queries, keys, ty, tx);
        for (int i = 0; i < SIDE; i++) {
            int row = q0 + ty * SIDE + i, seen = row < nq ? seen_by(&s, b, row) : 0;
            float top = most[i];
            for (int j = 0; j < SIDE; j++) {
                int key = k0 + tx + 16 * j;
                float *x = part + i * SIDE + j;
                *x = key < seen ? *x * scale + bias_of(&s, b, h, row, key) : -INFINITE;
                top = fmaxf(top, *x);
            }
            for (int lanes = 8; lanes > 0; lanes /= 2) top = fmaxf(top, SHUFFLE_XOR(top, lanes));
            float kept = top == -INFINITE ? 1.0f : expf(most[i] - top), total = 0.0f;
            for (int j = 0; j < SIDE; j++) {
                float x = top == -INFINITE ? 0.0f : expf(part[i * SIDE + j] - top);
                p[(ty * SIDE + i) * PADDED + tx + 16 * j] = x;
                total += x;
            }
            for (int lanes = 8; lanes > 0; lanes /= 2) total += SHUFFLE_XOR(total, lanes);
            most[i] = top, sum[i] = sum[i] * kept + total;
            for (int c = 0; c < HEAD / 16; c++) all[i * (HEAD / 16) + c] *= kept;
        }
        __syncthreads();
        load_tile(keys, v, k0, nk, k_row, d);
        __syncthreads();
        accumulate(all, p, 0, keys, ty, tx);
    }
    for (int i = 0; i < SIDE; i++) {
        int row = q0 + ty * SIDE + i, none = most[i] == -INFINITE;
        for (int c = 0; c < HEAD / 16; c++) all[i * (HEAD / 16) + c] *= none ? 0.0f : 1.0f / sum[i];
        if (row < nq && tx == 0)
            sums[((wide)b * heads + h) * nq + row] = none ? INFINITE : most[i] + logf(sum[i]);
    }
    store_rows(out, all, 1.0f, q0, nq, q_row, d, ty, tx);
}

// The sum of each query's output times the output's gradient; a warp for each.
KERNEL attention_delta(float *__restrict__ delta, const real *__restrict__ gradient,
                       const real *__restrict__ out, wide count, int nq, int heads, int d) {
    wide row = (wide)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    float sum = 0.0f;
    if (row < count)
        for (int c = threadIdx.x % 32; c < d; c += 32) sum += get(gradient[row * d + c]) * get(out[row * d + c]);
    sum = warp_sum(sum);
    if (row < count && threadIdx.x % 32 == 0)
        delta[(row / heads / nq * heads + row % heads) * nq + row / heads % nq] = sum;
}

// The probabilities of a tile, and the gradients of its scores, of this thread.
DEVICE void tile_gradients(const sizes *s, float *p, float *ds, const float *queries, const float *gradients,
                           const float *keys, const float *values, const float *sums, const float *delta,
                           int b, int h, int q0, int k0, int ty, int tx) {
    scores(p, queries, keys, ty, tx);
    scores(ds, gradients, values, ty, tx);
    for (int i = 0; i < SIDE; i++) {
        int row = q0 + ty * SIDE + i, seen = row < s->nq ? seen_by(s, b, row) : 0;
        wide at = ((wide)b * s->heads + h) * s->nq + row;
        for (int j = 0; j < SIDE; j++) {
            int key = k0 + tx + 16 * j, x = i * SIDE + j;
            p[x] = key < seen ? expf(p[x] * s->scale + bias_of(s, b, h, row, key) - sums[at]) : 0.0f;
            ds[x] = key < seen ? p[x] * (ds[x] - delta[at]) : 0.0f;
        }
    }
}

// The gradient of the queries, and, where they are given, of the rows and columns of the keys' grid.
KERNEL attention_backward_queries(real *__restrict__ dq, float *__restrict__ drows,
                                  float *__restrict__ dcolumns, const real *__restrict__ gradient,
                                  const real *__restrict__ q, const real *__restrict__ k,
                                  const real *__restrict__ v, const float *__restrict__ sums,
                                  const float *__restrict__ delta, SIZES) {
    sizes s = ALL_SIZES;
    DYNAMIC_SHARED(float, tiles);
    float *queries = tiles, *gradients = queries + TILE * WIDE, *keys = gradients + TILE * WIDE;
    float *values = keys + TILE * WIDE, *turned = values + TILE * WIDE;
    int count = (nq + TILE - 1) / TILE, tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    int q0 = (int)(blockIdx.x % count) * TILE, h = blockIdx.x / count % heads, b = blockIdx.x / count / heads;
    wide q_row = (wide)heads * d, k_row = (wide)key_heads * d;
    q += b * nq * q_row + h * d, gradient += b * nq * q_row + h * d, dq += b * nq * q_row + h * d;
    k += b * nk * k_row + h / (heads / key_heads) * d, v += b * nk * k_row + h / (heads / key_heads) * d;
    load_tile(queries, q, q0, nq, q_row, d);
    load_tile(gradients, gradient, q0, nq, q_row, d);
    float all[SIDE * (HEAD / 16)], p[SIDE * SIDE], ds[SIDE * SIDE];
    for (int i = 0; i < SIDE * (HEAD / 16); i++) all[i] = 0.0f;
    int end = seen_by(&s, b, (q0 + TILE < nq ? q0 + TILE : nq) - 1);
    for (int k0 = 0; k0 < end; k0 += TILE) {
        __syncthreads();
        load_tile(keys, k, k0, nk, k_row, d);
        load_tile(values, v, k0, nk, k_row, d);
        __syncthreads();
        tile_gradients(&s, p, ds, queries, gradients, keys, values, sums, delta, b, h, q0, k0, ty, tx);
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++) turned[(ty * SIDE + i) * PADDED + tx + 16 * j] = ds[i * SIDE + j];
        __syncthreads();
        accumulate(all, turned, 0, keys, ty, tx);
        if (drows) add_grid_gradients(&s, drows, dcolumns, turned, PADDED, b, h, q0, TILE, k0, TILE);
    }
    store_rows(dq, all, scale, q0, nq, q_row, d, ty, tx);
}

// The gradients of keys and values; the block owns a tile of a key head's.
KERNEL attention_backward_keys(real *__restrict__ dk, real *__restrict__ dv, const real *__restrict__ gradient,
                               const real *__restrict__ q, const real *__restrict__ k,
                               const real *__restrict__ v, const float *__restrict__ sums,
                               const float *__restrict__ delta, SIZES) {
    sizes s = ALL_SIZES;
    DYNAMIC_SHARED(float, tiles);
    float *queries = tiles, *gradients = queries + TILE * WIDE, *keys = gradients + TILE * WIDE;
    float *values = keys + TILE * WIDE, *p_tile = values + TILE * WIDE, *ds_tile = p_tile + TILE * PADDED;
    int count = (nk + TILE - 1) / TILE, tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    int k0 = (int)(blockIdx.x % count) * TILE, hk = blockIdx.x / count % key_heads;
    int b = blockIdx.x / count / key_heads, group = heads / key_heads;
    wide q_row = (wide)heads * d, k_row = (wide)key_heads * d;
    wide k_at = b * nk * k_row + hk * d;
    load_tile(keys, k + k_at, k0, nk, k_row, d);
    load_tile(values, v + k_at, k0, nk, k_row, d);
    float all_k[SIDE * (HEAD / 16)], all_v[SIDE * (HEAD / 16)], p[SIDE * SIDE], ds[SIDE * SIDE];
    for (int i = 0; i < SIDE * (HEAD / 16); i++) all_k[i] = all_v[i] = 0.0f;
    // The first query that sees a key of the tile.
    int first = causal && k0 > offset ? (k0 - offset) / TILE * TILE : 0;
    if (lengths && k0 >= lengths[b]) first = nq;
    for (int h = hk * group; h < (hk + 1) * group; h++) {
        wide q_at = b * nq * q_row + h * d;
        for (int q0 = first; q0 < nq; q0 += TILE) {
            __syncthreads();
            load_tile(queries, q + q_at, q0, nq, q_row, d);
            load_tile(gradients, gradient + q_at, q0, nq, q_row, d);
            __syncthreads();
            tile_gradients(&s, p, ds, queries, gradients, keys, values, sums, delta, b, h, q0, k0, ty, tx);
            for (int i = 0; i < SIDE; i++)
                for (int j = 0; j < SIDE; j++) {
                    p_tile[(ty * SIDE + i) * PADDED + tx + 16 * j] = p[i * SIDE + j];
                    ds_tile[(ty * SIDE + i) * PADDED + tx + 16 * j] = ds[i * SIDE + j];
                }
            __syncthreads();
            accumulate(all_v, p_tile, 1, gradients, ty, tx);
            accumulate(all_k, ds_tile, 1, queries, ty, tx);
        }
    }
    store_rows(dk + k_at, all_k, scale, k0, nk, k_row, d, ty, tx);
    store_rows(dv + k_at, all_v, 1.0f, k0, nk, k_row, d, ty, tx);
}

// The first of two steps to the gradient of a bias with a value for each score, shared by the batch or
// by the heads where it has one of them: sums over `per_part` batch elements each,
// `[parts, bias batch, bias heads, Nq, Nk]`.
KERNEL attention_backward_bias(float *__restrict__ parts, const real *__restrict__ gradient,
                               const real *__restrict__ q, const real *__restrict__ k,
                               const real *__restrict__ v, const float *__restrict__ sums,
                               const float *__restrict__ delta, int batch, int bias_batch, int bias_heads,
                               int per_part, SIZES) {
    sizes s = ALL_SIZES;
    DYNAMIC_SHARED(float, tiles);
    float *queries = tiles, *gradients = queries + TILE * WIDE, *keys = gradients + TILE * WIDE;
    float *values = keys + TILE * WIDE;
    int across = (nk + TILE - 1) / TILE, down = (nq + TILE - 1) / TILE;
    int tx = threadIdx.x % 16, ty = threadIdx.x / 16, tile = blockIdx.x % (across * down);
    int k0 = tile % across * TILE, q0 = tile / across * TILE, owner = blockIdx.x / (across * down);
    int of_h = owner % bias_heads, of_b = owner / bias_heads % bias_batch, part = owner / bias_heads / bias_batch;
    int b0 = bias_batch == 1 ? part * per_part : of_b, b1 = bias_batch == 1 ? b0 + per_part : of_b + 1;
    int h0 = bias_heads == 1 ? 0 : of_h, h1 = bias_heads == 1 ? heads : of_h + 1;
    wide q_row = (wide)heads * d, k_row = (wide)key_heads * d;
    float all[SIDE * SIDE], p[SIDE * SIDE], ds[SIDE * SIDE];
    for (int i = 0; i < SIDE * SIDE; i++) all[i] = 0.0f;
    for (int b = b0; b < b1 && b < batch; b++)
        for (int h = h0; h < h1; h++) {
            wide q_at = b * nq * q_row + h * d, k_at = b * nk * k_row + h / (heads / key_heads) * d;
            __syncthreads();
            load_tile(queries, q + q_at, q0, nq, q_row, d);
            load_tile(gradients, gradient + q_at, q0, nq, q_row, d);
            load_tile(keys, k + k_at, k0, nk, k_row, d);
            load_tile(values, v + k_at, k0, nk, k_row, d);
            __syncthreads();
            tile_gradients(&s, p, ds, queries, gradients, keys, values, sums, delta, b, h, q0, k0, ty, tx);
            for (int i = 0; i < SIDE * SIDE; i++) all[i] += ds[i];
        }
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            int row = q0 + ty * SIDE + i, key = k0 + tx + 16 * j;
            if (row < nq && key < nk) parts[((wide)owner * nq + row) * nk + key] = all[i * SIDE + j];
        }
}
