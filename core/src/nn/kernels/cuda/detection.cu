// Losses of dense detectors, with their gradients: focal loss, generalised intersection over union; in
// double precision, as on the CPU. Each block leaves the sum of its losses in `parts`.

// The sum over a block of 256 threads, in its first thread.
DEVICE double block_total(double x) {
    SHARED(double, totals, 256);
    totals[threadIdx.x] = x;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half) totals[threadIdx.x] += totals[threadIdx.x + half];
    }
    return totals[0];
}

KERNEL sigmoid_focal(double *__restrict__ parts, real *__restrict__ gradient, const real *__restrict__ logits,
                     const int *__restrict__ labels, wide n, int classes, float alpha, float gamma) {
    double sum = 0.0;
    FOR_EACH(i, n) {
        int right = labels[i / classes] == i % classes + 1;
        // Of the right answer: its logit, the logarithm of its probability, its weight.
        double x = right ? (double)get(logits[i]) : -(double)get(logits[i]);
        double log = fmin(x, 0.0) - log1p(exp(-fabs(x)));
        double p = exp(log), weight = right ? (double)alpha : 1.0 - (double)alpha;
        double easy = pow(1.0 - p, (double)gamma);
        sum -= weight * easy * log;
        double slope = weight * easy * ((double)gamma * p * log - (1.0 - p));
        gradient[i] = put((float)(right ? slope : -slope));
    }
    sum = block_total(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// 1 - GIoU of two boxes around one point, by their distances to its left, top, right and bottom, and its
// derivative by those of the first.
DEVICE double giou_of(double *slopes, const double *a, const double *b) {
    double inner[2], outer[2], size[2] = {a[0] + a[2], a[1] + a[3]};
    for (int axis = 0; axis < 2; axis++) {
        inner[axis] = fmin(a[axis], b[axis]) + fmin(a[axis + 2], b[axis + 2]);
        outer[axis] = fmax(a[axis], b[axis]) + fmax(a[axis + 2], b[axis + 2]);
    }
    double both = inner[0] * inner[1], hull = outer[0] * outer[1];
    double together = size[0] * size[1] + (b[0] + b[2]) * (b[1] + b[3]) - both;
    for (int i = 0; i < 4; i++) {
        int other = 1 - i % 2;
        double d_both = a[i] < b[i] ? inner[other] : 0.0, d_hull = a[i] > b[i] ? outer[other] : 0.0;
        double d_union = size[other] - d_both;
        slopes[i] = -(d_both * together - both * d_union) / (together * together) -
                    (d_union * hull - together * d_hull) / (hull * hull);
    }
    return 2.0 - both / together - together / hull;
}

// Boxes by the logarithms of their distances, of at most `farthest`; a thread for each.
KERNEL giou(double *__restrict__ parts, real *__restrict__ gradient, const real *__restrict__ logs,
            const float *__restrict__ right, const float *__restrict__ weights, wide n, float farthest) {
    double sum = 0.0;
    FOR_EACH(i, n) {
        double a[4], b[4], slopes[4], weight = (double)weights[i];
        if (weights[i] == 0.0f) {
            for (int j = 0; j < 4; j++) gradient[4 * i + j] = put(0.0f);
            continue;
        }
        for (int j = 0; j < 4; j++) {
            a[j] = (double)expf(fminf(get(logs[4 * i + j]), farthest));
            b[j] = (double)right[4 * i + j];
        }
        sum += weight * giou_of(slopes, a, b);
        for (int j = 0; j < 4; j++) {
            double moves = get(logs[4 * i + j]) < farthest ? a[j] : 0.0;
            gradient[4 * i + j] = put((float)(weight * slopes[j] * moves));
        }
    }
    sum = block_total(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// The sum of the parts, by one block.
KERNEL sum_doubles(float *__restrict__ y, double *__restrict__ parts, wide n) {
    double sum = 0.0;
    for (wide i = threadIdx.x; i < n; i += blockDim.x) sum += parts[i];
    sum = block_total(sum);
    if (threadIdx.x == 0) y[0] = (float)sum;
}
