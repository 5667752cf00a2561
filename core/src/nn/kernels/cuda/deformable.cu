// Multi-scale deformable attention: `value` `[B, N, H, D]`, the levels one after the other; `at`
// `[B, Q, H, L, P, 2]` (x, y) of [0, 1]; `weights` `[B, Q, H, L, P]`. `levels` has three numbers a level:
// its rows, its columns, the place of its first vector.

#include "sampling.cuh"

KERNEL deformable(real *__restrict__ y, const real *__restrict__ value, const float *__restrict__ at,
                  const float *__restrict__ weights, const int *__restrict__ levels, wide count, int n,
                  int queries, int heads, int d, int depth, int points) {
    FOR_EACH(i, count) {
        wide row = i / d, b = row / heads / queries;
        int h = (int)(row % heads);
        float sum = 0.0f;
        for (int read = 0; read < depth * points; read++) {
            const int *level = levels + read / points * 3;
            const float *point = at + (row * depth * points + read) * 2;
            float x = bounded(point[0] * (float)level[1] - 0.5f), z = bounded(point[1] * (float)level[0] - 0.5f);
            for (int corner = 0; corner < 4; corner++) {
                int column = (int)floorf(x) + corner % 2, line = (int)floorf(z) + corner / 2;
                if (column < 0 || column >= level[1] || line < 0 || line >= level[0]) continue;
                wide pixel = b * n + level[2] + line * level[1] + column;
                sum += share(x, column) * share(z, line) * weights[row * depth * points + read] *
                       get(value[(pixel * heads + h) * d + i % d]);
            }
        }
        y[i] = put(sum);
    }
}

// The gradients of points and weights; a warp for each point.
KERNEL deformable_backward_points(float *__restrict__ dat, float *__restrict__ dweights,
                                  const real *__restrict__ gradient, const real *__restrict__ value,
                                  const float *__restrict__ at, const float *__restrict__ weights,
                                  const int *__restrict__ levels, wide count, int n, int queries, int heads,
                                  int d, int depth, int points) {
    wide read = (wide)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, row = read / (depth * points);
    int lane = threadIdx.x % 32, inside = read < count, h = (int)(row % heads);
    wide b = row / heads / queries;
    const int *level = levels + (inside ? read / points % depth * 3 : 0);
    float by_x = 0.0f, by_y = 0.0f, by_weight = 0.0f, x = 0.0f, z = 0.0f;
    if (inside) {
        x = bounded(at[2 * read] * (float)level[1] - 0.5f);
        z = bounded(at[2 * read + 1] * (float)level[0] - 0.5f);
    }
    for (int corner = 0; corner < 4; corner++) {
        int column = (int)floorf(x) + corner % 2, line = (int)floorf(z) + corner / 2;
        float along = 0.0f;
        if (inside && column >= 0 && column < level[1] && line >= 0 && line < level[0]) {
            const real *pixel = value + ((b * n + level[2] + line * level[1] + column) * heads + h) * d;
            for (int k = lane; k < d; k += 32) along += get(gradient[row * d + k]) * get(pixel[k]);
        }
        along = warp_sum(along);
        by_weight += along * share(x, column) * share(z, line);
        by_x += along * (corner % 2 ? 1.0f : -1.0f) * (float)level[1] * share(z, line);
        by_y += along * (corner / 2 ? 1.0f : -1.0f) * (float)level[0] * share(x, column);
    }
    if (inside && lane == 0) {
        dweights[read] = by_weight;
        dat[2 * read] = by_x * weights[read], dat[2 * read + 1] = by_y * weights[read];
    }
}

// The gradient of the values; a block for each vector of a head, and 256 of its channels.
KERNEL deformable_backward_value(real *__restrict__ dvalue, const real *__restrict__ gradient,
                                 const float *__restrict__ at, const float *__restrict__ weights,
                                 const int *__restrict__ levels, int n, int queries, int heads, int d,
                                 int depth, int points) {
    SHARED(int, list, 256);
    SHARED(float, shares, 256);
    int h = blockIdx.x % heads, vector = blockIdx.x / heads % n, l = 0;
    wide b = blockIdx.x / heads / n, k = (wide)blockIdx.y * 256 + threadIdx.x;
    while (l + 1 < depth && levels[3 * (l + 1) + 2] <= vector) l++;
    int rows = levels[3 * l], columns = levels[3 * l + 1], pixel = vector - levels[3 * l + 2];
    float sum = 0.0f;
    for (int first = 0; first < queries * points; first += 256) {
        int number = first + threadIdx.x, query = number / points;
        float weight = 0.0f;
        if (query < queries) {
            wide read = (((b * queries + query) * heads + h) * depth + l) * points + number % points;
            float x = bounded(at[2 * read] * (float)columns - 0.5f), z = bounded(at[2 * read + 1] * (float)rows - 0.5f);
            weight = share(x, pixel % columns) * share(z, pixel / columns) * weights[read];
        }
        int count = collect(list, shares, query, weight);
        if (k < d)
            for (int i = 0; i < count; i++)
                sum += shares[i] * get(gradient[((b * queries + list[i]) * heads + h) * d + k]);
    }
    if (k < d) dvalue[(wide)blockIdx.x * d + k] = put(sum);
}
