// What the kernels of attention share: its sizes, and what a query sees. q, out and their gradients are
// `[B, Nq, H, D]`; k, v and theirs `[B, Nk, Hk, D]`; the log-sum-exp of every query, and the sum of its
// output times the output's gradient, `[B, H, Nq]`. HEAD is D, rounded up to a multiple of 16.

typedef struct {
    int nq, nk, heads, key_heads, d;
    float scale;
    int causal, offset;
    const int *lengths;
    const real *bias, *columns;
    wide bias_b, bias_h, bias_q, bias_k;
    int grid;
} sizes;

// `bias` is added to the scores, by the distances between its values along each axis (0 where it is the
// same for all); with `columns`, it is a value for each row of the keys' grid, which is `grid` wide, and
// `columns` one for each column.
#define SIZES                                                                                          \
    int nq, int nk, int heads, int key_heads, int d, float scale, int causal, int offset,              \
        const int *lengths, const real *bias, const real *columns, wide bias_b, wide bias_h,           \
        wide bias_q, wide bias_k, int grid
#define ALL_SIZES                                                                                      \
    {nq,     nk,     heads,  key_heads, d,      scale, causal, offset, lengths, bias, columns, bias_b, \
     bias_h, bias_q, bias_k, grid}

// Keys that a query may see.
DEVICE int seen_by(const sizes *s, int b, int q) {
    int length = s->nk, last = s->offset + q + 1;
    if (s->lengths && s->lengths[b] < length) length = s->lengths[b];
    return s->causal && last < length ? last : length;
}

DEVICE float bias_of(const sizes *s, int b, int h, int q, int k) {
    if (!s->bias) return 0.0f;
    const real *row = s->bias + b * s->bias_b + h * s->bias_h + q * s->bias_q;
    if (!s->columns) return get(row[k * s->bias_k]);
    const real *columns = s->columns + (((wide)b * s->heads + h) * s->nq + q) * s->grid;
    return get(row[k / s->grid]) + get(columns[k % s->grid]);
}

// Adds the gradients of the scores of `rows` queries from q0 on, by `count` keys from k0 on, to those of
// the rows and columns of the keys' grid. All threads of the block that owns the queries call it.
DEVICE void add_grid_gradients(const sizes *s, float *of_rows, float *of_columns, const float *scores,
                               int stride, int b, int h, int q0, int rows, int k0, int count) {
    int w = s->grid, height = s->nk / w;
    if (k0 + count > s->nk) count = s->nk - k0;
    if (q0 + rows > s->nq) rows = s->nq - q0;
    wide first = ((wide)b * s->heads + h) * s->nq + q0;
    int top = k0 / w, lines = (k0 + count - 1) / w - top + 1, columns = count < w ? count : w;
    for (int i = threadIdx.x; i < rows * lines; i += blockDim.x) {
        int q = i / lines, y = top + i % lines;
        int from = y * w > k0 ? y * w : k0, to = (y + 1) * w < k0 + count ? (y + 1) * w : k0 + count;
        float sum = 0.0f;
        for (int k = from; k < to; k++) sum += scores[q * stride + k - k0];
        of_rows[(first + q) * height + y] += sum;
    }
    for (int i = threadIdx.x; i < rows * columns; i += blockDim.x) {
        int q = i / columns, at = i % columns;
        float sum = 0.0f;
        for (int k = at; k < count; k += w) sum += scores[q * stride + k];
        of_columns[(first + q) * w + (k0 + at) % w] += sum;
    }
}
