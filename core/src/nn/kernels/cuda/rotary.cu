// Rotary position embedding: pairs of channels turned by an angle that depends on the position; turned
// back, with a sign of -1, in the backward pass. A thread turns one pair.

KERNEL rotary(real *__restrict__ y, const real *__restrict__ x, const float *__restrict__ cosines,
              const float *__restrict__ sines, wide pairs, int tokens, int heads, int half,
              int interleaved, float sign) {
    FOR_EACH(i, pairs) {
        int pair = (int)(i % half);
        wide row = i / half;
        wide angle = row / heads % tokens * half + pair;
        wide first = row * 2 * half + (interleaved ? 2 * pair : pair), second = first + (interleaved ? 1 : half);
        float c = cosines[angle], s = sines[angle] * sign, a = get(x[first]), b = get(x[second]);
        y[first] = put(a * c - b * s);
        y[second] = put(b * c + a * s);
    }
}
