// Softmax over rows, a block for each.

KERNEL softmax(real *__restrict__ y, const real *__restrict__ x, int width) {
    wide start = (wide)blockIdx.x * width;
    x += start, y += start;
    float most = -INFINITE;
    for (int i = threadIdx.x; i < width; i += blockDim.x) most = fmaxf(most, get(x[i]));
    most = block_max(most);
    float sum = 0.0f;
    for (int i = threadIdx.x; i < width; i += blockDim.x) sum += expf(get(x[i]) - most);
    float factor = 1.0f / block_sum(sum);
    for (int i = threadIdx.x; i < width; i += blockDim.x) y[i] = put(expf(get(x[i]) - most) * factor);
}

KERNEL softmax_backward(real *__restrict__ dx, const real *__restrict__ gradient,
                        const real *__restrict__ y, int width) {
    wide start = (wide)blockIdx.x * width;
    dx += start, gradient += start, y += start;
    float dot = 0.0f;
    for (int i = threadIdx.x; i < width; i += blockDim.x) dot += get(gradient[i]) * get(y[i]);
    dot = block_sum(dot);
    for (int i = threadIdx.x; i < width; i += blockDim.x)
        dx[i] = put(get(y[i]) * (get(gradient[i]) - dot));
}
