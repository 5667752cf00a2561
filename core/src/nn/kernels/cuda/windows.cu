// Cutting maps `[B, H, W, C]` into windows `[B * windows, wh * ww, C]`, and joining them again.

// What lies beyond the map is zero.
KERNEL cut(real *__restrict__ y, const real *__restrict__ x, wide count, int h, int w, int c, int wh, int ww) {
    int rows = (h + wh - 1) / wh, columns = (w + ww - 1) / ww;
    FOR_EACH(i, count) {
        int k = (int)(i % c), dx = (int)(i / c % ww), dy = (int)(i / c / ww % wh);
        wide window = i / c / ww / wh, b = window / columns / rows;
        int row = (int)(window / columns % rows) * wh + dy, column = (int)(window % columns) * ww + dx;
        y[i] = row < h && column < w ? x[((b * h + row) * w + column) * c + k] : put(0.0f);
    }
}

KERNEL join(real *__restrict__ y, const real *__restrict__ x, wide count, int h, int w, int c, int wh, int ww) {
    int rows = (h + wh - 1) / wh, columns = (w + ww - 1) / ww;
    FOR_EACH(i, count) {
        int k = (int)(i % c), column = (int)(i / c % w), row = (int)(i / c / w % h);
        wide window = (i / c / w / h * rows + row / wh) * columns + column / ww;
        y[i] = x[((window * wh + row % wh) * ww + column % ww) * c + k];
    }
}
