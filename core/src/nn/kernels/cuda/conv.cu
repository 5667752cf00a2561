// Convolutions on channels-last maps: patches of planar images, the inputs of every output copied out
// for a matrix product, and depthwise ones.

// `[B, Cin, H, W]` to `[B * N, Cin * P * P]`, the patches as rows.
KERNEL patches(real *__restrict__ y, const real *__restrict__ x, wide count, int channels, int h, int w, int p) {
    int rows = h / p, columns = w / p;
    FOR_EACH(i, count) {
        int dx = (int)(i % p), dy = (int)(i / p % p), c = (int)(i / p / p % channels);
        wide patch = i / p / p / channels, b = patch / columns / rows;
        int row = (int)(patch / columns % rows) * p + dy, column = (int)(patch % columns) * p + dx;
        y[i] = x[((b * channels + c) * h + row) * w + column];
    }
}

KERNEL patches_backward(real *__restrict__ dx, const real *__restrict__ gradient, wide count, int channels,
                        int h, int w, int p) {
    int rows = h / p, columns = w / p;
    FOR_EACH(i, count) {
        int column = (int)(i % w), row = (int)(i / w % h), c = (int)(i / w / h % channels);
        wide b = i / w / h / channels, patch = (b * rows + row / p) * columns + column / p;
        int inside = row / p < rows && column / p < columns;
        dx[i] = inside ? gradient[((patch * channels + c) * p + row % p) * p + column % p] : put(0.0f);
    }
}

// `[A, B, K]` to `[A, K, B]`.
KERNEL swap_last(real *__restrict__ y, const real *__restrict__ x, wide count, int b, int k) {
    FOR_EACH(i, count) {
        wide a = i / b / k;
        y[i] = x[(a * b + i % b) * k + i / b % k];
    }
}

// The inputs of every output: `[B, H, W, C]` to `[B * rows * columns, side * side * C]`.
KERNEL unfold(real *__restrict__ y, const real *__restrict__ x, wide count, int h, int w, int c, int rows,
              int columns, int side, int stride, int padding) {
    FOR_EACH(i, count) {
        int k = (int)(i % c), kx = (int)(i / c % side), ky = (int)(i / c / side % side);
        wide output = i / c / side / side, b = output / columns / rows;
        int row = (int)(output / columns % rows) * stride + ky - padding;
        int column = (int)(output % columns) * stride + kx - padding;
        int inside = row >= 0 && row < h && column >= 0 && column < w;
        y[i] = inside ? x[((b * h + row) * w + column) * c + k] : put(0.0f);
    }
}

// The reverse: what every input was copied to, added up input by input.
KERNEL fold(real *__restrict__ dx, const real *__restrict__ gradient, wide count, int h, int w, int c, int rows,
            int columns, int side, int stride, int padding) {
    FOR_EACH(i, count) {
        int k = (int)(i % c), column = (int)(i / c % w) + padding, row = (int)(i / c / w % h) + padding;
        wide b = i / c / w / h;
        float sum = 0.0f;
        for (int ky = 0; ky < side && ky <= row; ky++) {
            int y = (row - ky) / stride;
            if ((row - ky) % stride != 0 || y >= rows) continue;
            for (int kx = 0; kx < side && kx <= column; kx++) {
                int x = (column - kx) / stride;
                if ((column - kx) % stride != 0 || x >= columns) continue;
                sum += get(gradient[((((b * rows + y) * columns + x) * side + ky) * side + kx) * c + k]);
            }
        }
        dx[i] = put(sum);
    }
}

// Depthwise, of stride 1, with `weight` `[side, side, C]`, perhaps turned around.
KERNEL depthwise(real *__restrict__ y, const real *__restrict__ x, const real *__restrict__ weight,
                 const real *__restrict__ bias, wide count, int h, int w, int c, int rows, int columns,
                 int side, int padding, int turned) {
    FOR_EACH(i, count) {
        int k = (int)(i % c), left = (int)(i / c % columns) - padding;
        int top = (int)(i / c / columns % rows) - padding;
        wide b = i / c / columns / rows;
        float sum = bias ? get(bias[k]) : 0.0f;
        for (int ky = 0; ky < side; ky++) {
            int row = top + ky;
            if (row < 0 || row >= h) continue;
            for (int kx = 0; kx < side; kx++) {
                int column = left + kx, tap = ky * side + kx;
                if (column < 0 || column >= w) continue;
                if (turned) tap = side * side - 1 - tap;
                sum += get(x[((b * h + row) * w + column) * c + k]) * get(weight[tap * c + k]);
            }
        }
        y[i] = put(sum);
    }
}

// The first of two steps to the gradient of a depthwise weight: sums over `per_part` rows of outputs
// each, `[parts, side * side, C]`. A block is one tap, and 32 channels by 8 outputs at a time.
KERNEL depthwise_backward_weight(float *__restrict__ parts, const real *__restrict__ gradient,
                                 const real *__restrict__ x, wide total, int h, int w, int c, int rows,
                                 int columns, int side, int padding, int per_part) {
    SHARED(float, sums, 256);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, tap = blockIdx.z;
    wide k = (wide)blockIdx.x * 32 + lane, first = (wide)blockIdx.y * per_part;
    wide last = first + per_part < total ? first + per_part : total;
    float sum = 0.0f;
    if (k < c) {
        for (wide line = first; line < last; line++) {
            wide b = line / rows;
            int row = (int)(line % rows) + tap / side - padding;
            if (row < 0 || row >= h) continue;
            for (int output = warp; output < columns; output += 8) {
                int column = output + tap % side - padding;
                if (column < 0 || column >= w) continue;
                sum += get(x[((b * h + row) * w + column) * c + k]) * get(gradient[(line * columns + output) * c + k]);
            }
        }
    }
    sums[warp * 32 + lane] = sum;
    __syncthreads();
    if (warp == 0 && k < c) {
        sum = 0.0f;
        for (int i = 0; i < 8; i++) sum += sums[i * 32 + lane];
        parts[((wide)blockIdx.y * gridDim.z + tap) * c + k] = sum;
    }
}
