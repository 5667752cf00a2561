// AdamW, with PyTorch's arithmetic and the CPU kernel's order of operations, and sums of squares for
// the global norm.

DEVICE float step(float *p, float *m, float *v, float g, float keep, float one_minus_beta1, float beta2,
                  float one_minus_beta2, float size, float per_root, float eps) {
    *m += (g - *m) * one_minus_beta1;
    *v = *v * beta2 + one_minus_beta2 * g * g;
    *p = *p * keep - size * (*m / (sqrtf(*v) * per_root + eps));
    return *p;
}

// One step, by a gradient of f32; `copy` gets the parameter as it is computed with, if it is given.
KERNEL adamw(float *__restrict__ p, const float *__restrict__ gradient, float *__restrict__ m,
             float *__restrict__ v, real *__restrict__ copy, wide n, float keep, float one_minus_beta1,
             float beta2, float one_minus_beta2, float size, float per_root, float eps, float factor) {
    FOR_EACH(i, n) {
        float x = step(p + i, m + i, v + i, gradient[i] * factor, keep, one_minus_beta1, beta2,
                       one_minus_beta2, size, per_root, eps);
        if (copy) copy[i] = put(x);
    }
}

// The same by a gradient stored like the copy.
KERNEL adamw_stored(float *__restrict__ p, const real *__restrict__ gradient, float *__restrict__ m,
                    float *__restrict__ v, real *__restrict__ copy, wide n, float keep,
                    float one_minus_beta1, float beta2, float one_minus_beta2, float size, float per_root,
                    float eps, float factor) {
    FOR_EACH(i, n) {
        float x = step(p + i, m + i, v + i, get(gradient[i]) * factor, keep, one_minus_beta1, beta2,
                       one_minus_beta2, size, per_root, eps);
        if (copy) copy[i] = put(x);
    }
}

// The first of two steps to a sum of squares: each block's part, in `parts` from `start` on.
KERNEL squares(double *__restrict__ parts, const real *__restrict__ x, wide n, wide start) {
    SHARED(double, sums, 256);
    double sum = 0.0;
    FOR_EACH(i, n) sum += (double)get(x[i]) * (double)get(x[i]);
    sums[threadIdx.x] = sum;
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) parts[start + blockIdx.x] = sums[0];
}
