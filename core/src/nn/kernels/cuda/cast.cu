// Between f32 and 16 bits, rounding to the nearest even.

KERNEL widen(float *__restrict__ y, const real *__restrict__ x, wide n) {
    FOR_EACH(i, n / 4) {
        float a[4];
        get4(a, x + 4 * i);
        for (int j = 0; j < 4; j++) y[4 * i + j] = a[j];
    }
    FOR_EACH(i, n % 4) y[n / 4 * 4 + i] = get(x[n / 4 * 4 + i]);
}

KERNEL narrow(real *__restrict__ y, const float *__restrict__ x, wide n) {
    FOR_EACH(i, n / 4) {
        float a[4];
        for (int j = 0; j < 4; j++) a[j] = x[4 * i + j];
        put4(y + 4 * i, a);
    }
    FOR_EACH(i, n % 4) y[n / 4 * 4 + i] = put(x[n / 4 * 4 + i]);
}
