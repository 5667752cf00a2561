// Activations and gated activations, with their derivatives. The codes of the activations are those of
// `activation.rs`.

DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

DEVICE float activated(float x, int activation) {
    switch (activation) {
    case 1: return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case 2: return x * sigmoid(2.0f * 0.7978846f * x * (1.0f + 0.044715f * x * x));
    case 3: return x * sigmoid(1.702f * x);
    case 4: return x * sigmoid(x);
    case 5: return fmaxf(x, 0.0f);
    case 6: return tanhf(x);
    default: return x;
    }
}

DEVICE float logistic_slope(float x, float steepness) {
    float s = sigmoid(steepness * x);
    return s * (1.0f + steepness * x * (1.0f - s));
}

DEVICE float slope(float x, int activation) {
    switch (activation) {
    case 1: return x * 0.3989423f * expf(-0.5f * x * x) + 0.5f * (1.0f + erff(x * 0.70710678f));
    case 2: {
        float s = sigmoid(2.0f * 0.7978846f * x * (1.0f + 0.044715f * x * x));
        return s * (1.0f + x * (1.0f - s) * 2.0f * 0.7978846f * (1.0f + 3.0f * 0.044715f * x * x));
    }
    case 3: return logistic_slope(x, 1.702f);
    case 4: return logistic_slope(x, 1.0f);
    case 5: return x > 0.0f ? 1.0f : 0.0f;
    case 6: {
        float t = tanhf(x);
        return 1.0f - t * t;
    }
    default: return 1.0f;
    }
}

KERNEL activate(real *__restrict__ y, const real *__restrict__ x, wide n, int activation) {
    FOR_EACH(i, n / 4) {
        float a[4];
        get4(a, x + 4 * i);
        for (int j = 0; j < 4; j++) a[j] = activated(a[j], activation);
        put4(y + 4 * i, a);
    }
    FOR_EACH(i, n % 4) y[n / 4 * 4 + i] = put(activated(get(x[n / 4 * 4 + i]), activation));
}

KERNEL activate_backward(real *__restrict__ dx, const real *__restrict__ gradient,
                         const real *__restrict__ x, wide n, int activation) {
    FOR_EACH(i, n / 4) {
        float a[4], g[4];
        get4(a, x + 4 * i), get4(g, gradient + 4 * i);
        for (int j = 0; j < 4; j++) g[j] *= slope(a[j], activation);
        put4(dx + 4 * i, g);
    }
    FOR_EACH(i, n % 4) {
        wide at = n / 4 * 4 + i;
        dx[at] = put(get(gradient[at]) * slope(get(x[at]), activation));
    }
}

// What follows a product, in place: rows of `width` values plus a bias, if there is one; those values
// are kept in `before`, if it is given; then the activation.
KERNEL bias_activate(real *__restrict__ x, real *__restrict__ before, const real *__restrict__ bias, wide n,
                     wide width, int activation) {
    if (width % 4 == 0) {
        FOR_EACH(i, n / 4) {
            float a[4], b[4];
            get4(a, x + 4 * i);
            if (bias) {
                get4(b, bias + 4 * i % width);
                for (int j = 0; j < 4; j++) a[j] += b[j];
            }
            if (before) put4(before + 4 * i, a);
            for (int j = 0; j < 4; j++) a[j] = activated(a[j], activation);
            put4(x + 4 * i, a);
        }
        return;
    }
    FOR_EACH(i, n) {
        float a = get(x[i]) + (bias ? get(bias[i % width]) : 0.0f);
        if (before) before[i] = put(a);
        x[i] = put(activated(a, activation));
    }
}

KERNEL swiglu(real *__restrict__ y, const real *__restrict__ gate, const real *__restrict__ up, wide n) {
    FOR_EACH(i, n / 4) {
        float a[4], b[4];
        get4(a, gate + 4 * i), get4(b, up + 4 * i);
        for (int j = 0; j < 4; j++) a[j] = a[j] * sigmoid(a[j]) * b[j];
        put4(y + 4 * i, a);
    }
    FOR_EACH(i, n % 4) {
        wide at = n / 4 * 4 + i;
        float a = get(gate[at]);
        y[at] = put(a * sigmoid(a) * get(up[at]));
    }
}

DEVICE void swiglu_slopes(float *dgate, float *dup, float g, float gate, float up) {
    float s = sigmoid(gate);
    *dup = g * gate * s;
    *dgate = g * up * s * (1.0f + gate * (1.0f - s));
}

KERNEL swiglu_backward(real *__restrict__ dgate, real *__restrict__ dup, const real *__restrict__ gradient,
                       const real *__restrict__ gate, const real *__restrict__ up, wide n) {
    FOR_EACH(i, n / 4) {
        float a[4], b[4], g[4], da[4], db[4];
        get4(a, gate + 4 * i), get4(b, up + 4 * i), get4(g, gradient + 4 * i);
        for (int j = 0; j < 4; j++) swiglu_slopes(da + j, db + j, g[j], a[j], b[j]);
        put4(dgate + 4 * i, da), put4(dup + 4 * i, db);
    }
    FOR_EACH(i, n % 4) {
        wide at = n / 4 * 4 + i;
        float da, db;
        swiglu_slopes(&da, &db, get(gradient[at]), get(gate[at]), get(up[at]));
        dgate[at] = put(da), dup[at] = put(db);
    }
}
