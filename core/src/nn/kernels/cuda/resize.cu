// Taps along the middle axis of `[outer, n, inner]`: output i reads the inputs `indices[starts[i]]` to
// `indices[starts[i + 1]]`, each times its weight.

KERNEL resample(real *__restrict__ y, const real *__restrict__ x, const int *__restrict__ starts,
                const int *__restrict__ indices, const float *__restrict__ weights, wide count, wide n,
                wide outputs, wide inner) {
    FOR_EACH(i, count) {
        wide output = i / inner % outputs;
        const real *from = x + i / inner / outputs * n * inner + i % inner;
        float sum = 0.0f;
        for (int tap = starts[output]; tap < starts[output + 1]; tap++)
            sum += get(from[indices[tap] * inner]) * weights[tap];
        y[i] = put(sum);
    }
}
