// Bilinear sampling. Points may share pixels: a block owns a pixel and looks for the points that read
// it among all, in their order, so that no sum depends on the order of the blocks.

// A point this far out reads nothing; it must not overflow an integer.
DEVICE float bounded(float at) { return fminf(fmaxf(at, -1e6f), 1e6f); }

// What a point at `at` reads of a pixel along an axis.
DEVICE float share(float at, int pixel) {
    float first = floorf(at), t = at - first;
    return pixel == (int)first ? 1.0f - t : pixel == (int)first + 1 ? t : 0.0f;
}

// Puts the numbers of the threads whose weight is not 0 into a list, in their order, and gives their
// count. All 256 threads of a block call it.
DEVICE int collect(int *list, float *weights, int number, float weight) {
    SHARED(int, counts, 8);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, count = 0;
    unsigned hits = __ballot_sync(0xffffffffu, weight != 0.0f);
    __syncthreads();
    if (lane == 0) counts[warp] = __popc(hits);
    __syncthreads();
    int at = __popc(hits & ((1u << lane) - 1));
    for (int i = 0; i < 8; i++) {
        if (i < warp) at += counts[i];
        count += counts[i];
    }
    if (weight != 0.0f) list[at] = number, weights[at] = weight;
    __syncthreads();
    return count;
}
