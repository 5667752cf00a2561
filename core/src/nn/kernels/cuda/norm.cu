// Layer norm and RMS norm over rows of `c` values, a block for each row. `per_row` says which: 2
// statistics are a mean and a reciprocal deviation, 1 is a reciprocal root mean square.

KERNEL norm_rows(real *__restrict__ y, float *__restrict__ stats, const real *__restrict__ x,
                 const real *__restrict__ w, const real *__restrict__ b, float eps, int c, int per_row) {
    wide row = blockIdx.x;
    x += row * c, y += row * c, stats += row * per_row;
    float mean = 0.0f;
    if (per_row == 2) {
        float sum = 0.0f;
        for (int i = threadIdx.x; i < c; i += blockDim.x) sum += get(x[i]);
        mean = block_sum(sum) / (float)c;
    }
    float square = 0.0f;
    for (int i = threadIdx.x; i < c; i += blockDim.x) {
        float d = get(x[i]) - mean;
        square += d * d;
    }
    float scale = 1.0f / sqrtf(block_sum(square) / (float)c + eps);
    if (threadIdx.x == 0) {
        stats[per_row - 1] = scale;
        if (per_row == 2) stats[0] = mean;
    }
    for (int i = threadIdx.x; i < c; i += blockDim.x) {
        float value = (get(x[i]) - mean) * scale * get(w[i]);
        y[i] = put(per_row == 2 ? value + get(b[i]) : value);
    }
}

KERNEL norm_backward_input(real *__restrict__ dx, const real *__restrict__ gradient,
                           const float *__restrict__ stats, const real *__restrict__ x,
                           const real *__restrict__ w, int c, int per_row) {
    wide row = blockIdx.x;
    x += row * c, dx += row * c, gradient += row * c, stats += row * per_row;
    float mean = per_row == 2 ? stats[0] : 0.0f, scale = stats[per_row - 1];
    float sum = 0.0f, dot = 0.0f;
    for (int i = threadIdx.x; i < c; i += blockDim.x) {
        float g = get(gradient[i]) * get(w[i]);
        sum += g;
        dot += g * (get(x[i]) - mean);
    }
    sum = per_row == 2 ? block_sum(sum) / (float)c : 0.0f;
    dot = block_sum(dot) * scale / (float)c;
    for (int i = threadIdx.x; i < c; i += blockDim.x) {
        float g = get(gradient[i]) * get(w[i]);
        dx[i] = put(scale * (g - sum - (get(x[i]) - mean) * scale * dot));
    }
}

// The first of two steps to the gradients of weight and, with 2 statistics, bias: sums over
// `per_part` rows each, `parts` `[parts, per_row, c]`. A block is 32 columns by 8 rows at a time.
KERNEL norm_backward_parameters(float *__restrict__ parts, const real *__restrict__ gradient,
                                const float *__restrict__ stats, const real *__restrict__ x, int rows,
                                int c, int per_row, int per_part) {
    SHARED(float, sums, 512);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    wide column = (wide)blockIdx.x * 32 + lane;
    wide first = (wide)blockIdx.y * per_part, last = first + per_part < rows ? first + per_part : rows;
    float dw = 0.0f, db = 0.0f;
    if (column < c) {
        for (wide row = first + warp; row < last; row += 8) {
            float g = get(gradient[row * c + column]);
            float mean = per_row == 2 ? stats[row * 2] : 0.0f;
            float scale = stats[row * per_row + per_row - 1];
            dw += g * ((get(x[row * c + column]) - mean) * scale);
            db += g;
        }
    }
    sums[warp * 32 + lane] = dw;
    sums[256 + warp * 32 + lane] = db;
    __syncthreads();
    if (warp < per_row && column < c) {
        float sum = 0.0f;
        for (int i = 0; i < 8; i++) sum += sums[warp * 256 + i * 32 + lane];
        parts[((wide)blockIdx.y * per_row + warp) * c + column] = sum;
    }
}
