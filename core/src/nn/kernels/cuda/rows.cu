// Moving rows and blocks: embedding lookup, gathering, concatenation, pixel shuffles, pooling.

// The rows of `first` that its list names; where that has none (-1), those of `second` that its list
// names; where neither has one, zeros. A block for each row.
KERNEL gather(real *__restrict__ y, const real *__restrict__ first, const int *__restrict__ rows,
              const real *__restrict__ second, const int *__restrict__ others, wide width) {
    wide at = blockIdx.x;
    int row = rows ? rows[at] : -1, other = row < 0 && others ? others[at] : -1;
    const real *x = row >= 0 ? first + row * width : other >= 0 ? second + other * width : 0;
    y += at * width;
    if (width % 4 == 0) {
        for (wide i = 4 * threadIdx.x; i < width; i += 4 * blockDim.x) {
            float a[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            if (x) get4(a, x + i);
            put4(y + i, a);
        }
        return;
    }
    for (wide i = threadIdx.x; i < width; i += blockDim.x) y[i] = x ? x[i] : put(0.0f);
}

// Adds rows of `x` to rows of the table: block `i` owns the row `targets[i]`, and adds to it the rows
// `sources[starts[i]]` to `sources[starts[i + 1]]`, in that order.
KERNEL scatter_add(float *__restrict__ table, const real *__restrict__ x, const int *__restrict__ targets,
                   const int *__restrict__ starts, const int *__restrict__ sources, wide width) {
    int from = starts[blockIdx.x], to = starts[blockIdx.x + 1];
    table += targets[blockIdx.x] * width;
    for (wide i = threadIdx.x; i < width; i += blockDim.x) {
        float sum = table[i];
        for (int j = from; j < to; j++) sum += get(x[sources[j] * width + i]);
        table[i] = sum;
    }
}

// `len` values out of each of the blocks of `from_size` values, from `from_start` on, into blocks of
// `to_size` values, from `to_start` on: joining, cutting and (into zeros) widening.
KERNEL copy_blocks(real *__restrict__ y, const real *__restrict__ x, wide count, wide len, wide to_size,
                   wide to_start, wide from_size, wide from_start) {
    FOR_EACH(i, count * len) {
        wide block = i / len, at = i % len;
        y[block * to_size + to_start + at] = x[block * from_size + from_start + at];
    }
}

// The mean of the `n` rows of each batch element.
KERNEL mean_rows(real *__restrict__ y, const real *__restrict__ x, wide count, wide n, wide width) {
    FOR_EACH(i, count) {
        const real *from = x + i / width * n * width + i % width;
        float sum = 0.0f;
        for (wide row = 0; row < n; row++) sum += get(from[row * width]);
        y[i] = put(sum / (float)n);
    }
}

KERNEL mean_rows_backward(real *__restrict__ dx, const real *__restrict__ gradient, wide count, wide n,
                          wide width) {
    FOR_EACH(i, count) dx[i] = put(get(gradient[i / (n * width) * width + i % width]) / (float)n);
}

// Where a channel of a `[B, H, W, C]` map lies in its unshuffled form `[B, H/f, W/f, C*f*f]`.
DEVICE wide unshuffled(wide i, int h, int w, int c, int f) {
    int k = (int)(i % c), x = (int)(i / c % w), y = (int)(i / c / w % h);
    wide b = i / c / w / h;
    return (((b * (h / f) + y / f) * (w / f) + x / f) * c + k) * f * f + y % f * f + x % f;
}

// `to` says whether the map becomes its unshuffled form, or the reverse; h, w, c are the map's.
KERNEL pixel_shuffle(real *__restrict__ y, const real *__restrict__ x, wide count, int h, int w, int c, int f,
                     int to) {
    FOR_EACH(i, count) {
        wide other = unshuffled(i, h, w, c, f);
        if (to) y[other] = x[i];
        else y[i] = x[other];
    }
}

// The mean of each f x f square; a value of the result is one piece of work.
KERNEL average_pool(real *__restrict__ y, const real *__restrict__ x, wide count, int h, int w, int c, int f) {
    int rows = h / f, columns = w / f;
    FOR_EACH(i, count) {
        wide pixel = i / c, b = pixel / columns / rows;
        int left = (int)(pixel % columns) * f, top = (int)(pixel / columns % rows) * f;
        float sum = 0.0f;
        for (int dy = 0; dy < f; dy++)
            for (int dx = 0; dx < f; dx++) sum += get(x[((b * h + top + dy) * w + left + dx) * c + i % c]);
        y[i] = put(sum / (float)(f * f));
    }
}

KERNEL average_pool_backward(real *__restrict__ dx, const real *__restrict__ gradient, wide count, int h,
                             int w, int c, int f) {
    int rows = h / f, columns = w / f;
    FOR_EACH(i, count) {
        wide pixel = i / c, b = pixel / w / h;
        int column = (int)(pixel % w) / f, row = (int)(pixel / w % h) / f;
        float g = 0.0f;
        if (row < rows && column < columns) g = get(gradient[((b * rows + row) * columns + column) * c + i % c]);
        dx[i] = put(g / (float)(f * f));
    }
}
