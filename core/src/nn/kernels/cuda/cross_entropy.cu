// Cross-entropies of rows of logits, and their gradients; a block for each row.

// The greatest logit of the block's row, and the sum of the exponentials of the distances to it.
DEVICE void row_sums(float *most, float *sum, const float *x, int classes) {
    float m = -INFINITE, s = 0.0f;
    for (int i = threadIdx.x; i < classes; i += blockDim.x) {
        float value = x[i];
        if (value > m) {
            s = s * expf(m - value) + 1.0f;
            m = value;
        } else {
            s += expf(value - m);
        }
    }
    *most = block_max(m);
    *sum = block_sum(m == -INFINITE ? 0.0f : s * expf(m - *most));
}

// At one label each, perhaps weighted.
KERNEL label_cross_entropy(float *__restrict__ losses, real *__restrict__ gradient,
                           const float *__restrict__ logits, const int *__restrict__ labels,
                           const float *__restrict__ weights, int classes) {
    wide row = blockIdx.x;
    const float *x = logits + row * classes;
    int label = labels[row];
    float weight = weights ? weights[row] : 1.0f, most, sum;
    row_sums(&most, &sum, x, classes);
    if (threadIdx.x == 0) losses[row] = weight * (logf(sum) + most - x[label]);
    if (!gradient) return;
    float factor = 1.0f / sum;
    for (int i = threadIdx.x; i < classes; i += blockDim.x) {
        float p = expf(x[i] - most) * factor;
        gradient[row * classes + i] = put(weight * (i == label ? p - 1.0f : p));
    }
}

// Against rows of non-negative targets.
KERNEL soft_cross_entropy(float *__restrict__ losses, real *__restrict__ gradient,
                          const float *__restrict__ logits, const float *__restrict__ targets,
                          int classes) {
    wide row = blockIdx.x;
    const float *x = logits + row * classes, *target = targets + row * classes;
    float most, sum;
    row_sums(&most, &sum, x, classes);
    float log = logf(sum) + most, mass = 0.0f, loss = 0.0f;
    for (int i = threadIdx.x; i < classes; i += blockDim.x) {
        mass += target[i];
        loss += target[i] * (log - x[i]);
    }
    mass = block_sum(mass);
    loss = block_sum(loss);
    if (threadIdx.x == 0) losses[row] = loss;
    for (int i = threadIdx.x; i < classes; i += blockDim.x)
        gradient[row * classes + i] = put(mass * expf(x[i] - log) - target[i]);
}
