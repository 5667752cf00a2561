// Sums, products and broadcasts, value by value, and sums over rows in two steps.

KERNEL add_assign(real *__restrict__ y, const real *__restrict__ x, wide n) {
    FOR_EACH(i, n / 4) {
        float a[4], b[4];
        get4(a, y + 4 * i), get4(b, x + 4 * i);
        for (int j = 0; j < 4; j++) a[j] += b[j];
        put4(y + 4 * i, a);
    }
    FOR_EACH(i, n % 4) y[n / 4 * 4 + i] = put(get(y[n / 4 * 4 + i]) + get(x[n / 4 * 4 + i]));
}

// The same into f32 values.
KERNEL add_assign_float(float *__restrict__ y, const real *__restrict__ x, wide n) {
    FOR_EACH(i, n) y[i] += get(x[i]);
}

#define BINARY(name, expression)                                                                       \
    DEVICE float name##_of(float a, float b) { return expression; }                                    \
    DEVICE void name##_all(real *y, const real *x, const real *z, wide n) {                            \
        FOR_EACH(i, n / 4) {                                                                           \
            float a[4], b[4];                                                                          \
            get4(a, x + 4 * i), get4(b, z + 4 * i);                                                    \
            for (int j = 0; j < 4; j++) a[j] = name##_of(a[j], b[j]);                                  \
            put4(y + 4 * i, a);                                                                        \
        }                                                                                              \
        FOR_EACH(i, n % 4) {                                                                           \
            wide at = n / 4 * 4 + i;                                                                   \
            y[at] = put(name##_of(get(x[at]), get(z[at])));                                            \
        }                                                                                              \
    }

BINARY(add, a + b)
BINARY(sub, a - b)
BINARY(mul, a *b)

KERNEL add(real *__restrict__ y, const real *__restrict__ x, const real *__restrict__ z, wide n) {
    add_all(y, x, z, n);
}

KERNEL sub(real *__restrict__ y, const real *__restrict__ x, const real *__restrict__ z, wide n) {
    sub_all(y, x, z, n);
}

KERNEL mul(real *__restrict__ y, const real *__restrict__ x, const real *__restrict__ z, wide n) {
    mul_all(y, x, z, n);
}

// y = x times a factor, and times the one at `by`, if there is one.
KERNEL scale(real *__restrict__ y, const real *__restrict__ x, const float *__restrict__ by, float factor,
             wide n) {
    if (by) factor *= by[0];
    FOR_EACH(i, n / 4) {
        float a[4];
        get4(a, x + 4 * i);
        for (int j = 0; j < 4; j++) a[j] *= factor;
        put4(y + 4 * i, a);
    }
    FOR_EACH(i, n % 4) y[n / 4 * 4 + i] = put(get(x[n / 4 * 4 + i]) * factor);
}

KERNEL scale_assign(real *__restrict__ x, const float *__restrict__ by, float factor, wide n) {
    if (by) factor *= by[0];
    FOR_EACH(i, n) x[i] = put(get(x[i]) * factor);
}

KERNEL exponential(real *__restrict__ y, const real *__restrict__ x, wide n) {
    FOR_EACH(i, n) y[i] = put(expf(get(x[i])));
}

// y = x + rows, `rows` of `width` values repeated.
KERNEL add_rows(real *__restrict__ y, const real *__restrict__ x, const real *__restrict__ rows, wide n,
                wide width) {
    FOR_EACH(i, n) y[i] = put(get(x[i]) + get(rows[i % width]));
}

KERNEL mul_rows(real *__restrict__ y, const real *__restrict__ x, const real *__restrict__ rows, wide n,
                wide width) {
    FOR_EACH(i, n) y[i] = put(get(x[i]) * get(rows[i % width]));
}

KERNEL scale_rows(real *__restrict__ y, const real *__restrict__ x, const real *__restrict__ factors,
                  wide n, wide width) {
    FOR_EACH(i, n) y[i] = put(get(x[i]) * get(factors[i / width]));
}

// A block for each row.
KERNEL dot_rows(real *__restrict__ y, const real *__restrict__ a, const real *__restrict__ b, wide width) {
    wide row = blockIdx.x;
    float sum = 0.0f;
    for (wide i = threadIdx.x; i < width; i += blockDim.x)
        sum += get(a[row * width + i]) * get(b[row * width + i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) y[row] = put(sum);
}

// The first of two steps to the sum over rows of `a`, or of `a` times `b`: sums over `per_part` rows
// each. A block is 32 columns by 8 rows at a time.
KERNEL sum_rows(float *__restrict__ parts, const real *__restrict__ a, const real *__restrict__ b,
                wide rows, wide width, wide per_part) {
    SHARED(float, sums, 256);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    wide column = (wide)blockIdx.x * 32 + lane;
    wide first = blockIdx.y * per_part, last = first + per_part < rows ? first + per_part : rows;
    float sum = 0.0f;
    if (column < width) {
        for (wide row = first + warp; row < last; row += 8) {
            float x = get(a[row * width + column]);
            sum += b ? x * get(b[row * width + column]) : x;
        }
    }
    sums[warp * 32 + lane] = sum;
    __syncthreads();
    if (warp == 0 && column < width) {
        sum = 0.0f;
        for (int i = 0; i < 8; i++) sum += sums[i * 32 + lane];
        parts[(wide)blockIdx.y * width + column] = sum;
    }
}

// The second: `count` parts of `width` values, `stride` apart from `start` on, added in their order.
KERNEL sum_parts(float *__restrict__ y, const float *__restrict__ parts, wide count, wide width,
                 wide stride, wide start) {
    FOR_EACH(i, width) {
        float sum = 0.0f;
        for (wide part = 0; part < count; part++) sum += parts[part * stride + start + i];
        y[i] = sum;
    }
}

// The sum of `n` values by one block.
KERNEL sum_all(float *__restrict__ y, const float *__restrict__ x, wide n) {
    SHARED(double, sums, 256);
    double sum = 0.0;
    for (wide i = threadIdx.x; i < n; i += blockDim.x) sum += (double)x[i];
    sums[threadIdx.x] = sum;
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) y[0] = (float)sums[0];
}
