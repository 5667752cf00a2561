// Bilinear sampling of `[B, H, W, C]` at points `[B, N, 2]` (x, y) of [-1, 1], zeros outside.

#include "sampling.cuh"

DEVICE float pixels(float at, int size, int align) {
    return bounded(align ? (at + 1.0f) * (((float)size - 1.0f) / 2.0f) : ((at + 1.0f) * (float)size - 1.0f) / 2.0f);
}

KERNEL grid_sample(real *__restrict__ y, const real *__restrict__ x, const float *__restrict__ points,
                   wide count, int n, int h, int w, int c, int align) {
    FOR_EACH(i, count) {
        wide point = i / c;
        float at_x = pixels(points[2 * point], w, align), at_y = pixels(points[2 * point + 1], h, align);
        const real *map = x + point / n * h * w * c + i % c;
        float sum = 0.0f;
        for (int corner = 0; corner < 4; corner++) {
            int column = (int)floorf(at_x) + corner % 2, row = (int)floorf(at_y) + corner / 2;
            if (column < 0 || column >= w || row < 0 || row >= h) continue;
            sum += share(at_x, column) * share(at_y, row) * get(map[((wide)row * w + column) * c]);
        }
        y[i] = put(sum);
    }
}

// The gradient of the points; a warp for each.
KERNEL grid_sample_backward_points(float *__restrict__ dpoints, const real *__restrict__ gradient,
                                   const real *__restrict__ x, const float *__restrict__ points, wide count,
                                   int n, int h, int w, int c, int align) {
    wide point = (wide)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    int lane = threadIdx.x % 32, inside = point < count;
    float slope_x = align ? ((float)w - 1.0f) / 2.0f : (float)w / 2.0f;
    float slope_y = align ? ((float)h - 1.0f) / 2.0f : (float)h / 2.0f, by_x = 0.0f, by_y = 0.0f;
    for (int corner = 0; corner < 4; corner++) {
        float along = 0.0f, at_x = 0.0f, at_y = 0.0f;
        int column = 0, row = 0;
        if (inside) {
            at_x = pixels(points[2 * point], w, align), at_y = pixels(points[2 * point + 1], h, align);
            column = (int)floorf(at_x) + corner % 2, row = (int)floorf(at_y) + corner / 2;
            if (column >= 0 && column < w && row >= 0 && row < h) {
                const real *pixel = x + ((point / n * h + row) * w + column) * c;
                for (int k = lane; k < c; k += 32) along += get(gradient[point * c + k]) * get(pixel[k]);
            }
        }
        along = warp_sum(along);
        by_x += along * (corner % 2 ? slope_x : -slope_x) * share(at_y, row);
        by_y += along * (corner / 2 ? slope_y : -slope_y) * share(at_x, column);
    }
    if (inside && lane == 0) dpoints[2 * point] = by_x, dpoints[2 * point + 1] = by_y;
}

// The gradient of the map; a block for each pixel and 256 channels.
KERNEL grid_sample_backward_map(real *__restrict__ dx, const real *__restrict__ gradient,
                                const float *__restrict__ points, int n, int h, int w, int c, int align) {
    SHARED(int, list, 256);
    SHARED(float, weights, 256);
    int column = blockIdx.x % w, row = blockIdx.x / w % h;
    wide b = blockIdx.x / w / h, k = (wide)blockIdx.y * 256 + threadIdx.x;
    float sum = 0.0f;
    for (int first = 0; first < n; first += 256) {
        int point = first + threadIdx.x;
        float weight = 0.0f;
        if (point < n) {
            const float *at = points + (b * n + point) * 2;
            weight = share(pixels(at[0], w, align), column) * share(pixels(at[1], h, align), row);
        }
        int count = collect(list, weights, point, weight);
        if (k < c)
            for (int i = 0; i < count; i++) sum += weights[i] * get(gradient[(b * n + list[i]) * c + k]);
    }
    if (k < c) dx[(wide)blockIdx.x * c + k] = put(sum);
}
