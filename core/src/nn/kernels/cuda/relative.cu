// Products of queries `[B, N, H, D]` on a grid of `width` columns with a table `[2 L - 1, D]` of relative
// positions along one of its axes: `[B, H, N, L]`. Row p - k + L - 1 of the table belongs to a query at p
// and a key at k.

DEVICE int position(int query, int width, int by_rows) { return by_rows ? query / width : query % width; }

KERNEL relative(real *__restrict__ y, const real *__restrict__ q, const real *__restrict__ table, wide count,
                int tokens, int heads, int d, int len, int width, int by_rows) {
    FOR_EACH(i, count) {
        int k = (int)(i % len), query = (int)(i / len % tokens), h = (int)(i / len / tokens % heads);
        wide b = i / len / tokens / heads;
        const real *of_q = q + ((b * tokens + query) * heads + h) * d;
        const real *of_table = table + (wide)(position(query, width, by_rows) - k + len - 1) * d;
        float sum = 0.0f;
        for (int c = 0; c < d; c++) sum += get(of_q[c]) * get(of_table[c]);
        y[i] = put(sum);
    }
}

KERNEL relative_backward_queries(real *__restrict__ dq, const real *__restrict__ gradient,
                                 const real *__restrict__ table, wide count, int tokens, int heads, int d,
                                 int len, int width, int by_rows) {
    FOR_EACH(i, count) {
        int c = (int)(i % d), h = (int)(i / d % heads), query = (int)(i / d / heads % tokens);
        wide b = i / d / heads / tokens;
        const real *of_g = gradient + ((b * heads + h) * tokens + query) * len;
        int last = position(query, width, by_rows) + len - 1;
        float sum = 0.0f;
        for (int k = 0; k < len; k++) sum += get(of_g[k]) * get(table[(wide)(last - k) * d + c]);
        dq[i] = put(sum);
    }
}

// The first of two steps to the gradient of the table: sums over `per_part` heads of batch elements
// each, `[parts, 2 L - 1, D]`; a block for each row.
KERNEL relative_backward_table(float *__restrict__ parts, const real *__restrict__ gradient,
                               const real *__restrict__ q, int all, int tokens, int heads, int d, int len,
                               int width, int by_rows, int per_part) {
    int row = blockIdx.x, first = blockIdx.y * per_part;
    int last = first + per_part < all ? first + per_part : all;
    for (int c = threadIdx.x; c < d; c += blockDim.x) {
        float sum = 0.0f;
        for (int i = first; i < last; i++) {
            int b = i / heads, h = i % heads;
            for (int query = 0; query < tokens; query++) {
                int k = position(query, width, by_rows) + len - 1 - row;
                if (k < 0 || k >= len) continue;
                sum += get(gradient[((wide)i * tokens + query) * len + k]) *
                       get(q[(((wide)b * tokens + query) * heads + h) * d + c]);
            }
        }
        parts[((wide)blockIdx.y * gridDim.x + row) * d + c] = sum;
    }
}
