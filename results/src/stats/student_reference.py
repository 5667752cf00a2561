"""Writes student_reference.rs, what student.rs is tested against: python student_reference.py (scipy 1.17.1)."""

from pathlib import Path

from scipy import stats

out = ["// Written by student_reference.py.\n"]
points = [(t, n) for t in (0.1, 1.0, 2.776, 4.303, 12.706, 40.0) for n in (1.0, 2.0, 4.0, 29.0, 599.0)]
out.append(f"const TWO_SIDED: [(f64, f64, f64); {len(points)}] = [\n")
out += [f"    ({t!r}, {n!r}, {float(2 * stats.t.sf(t, n))!r}),\n" for t, n in points]
degrees = [1.0, 2.0, 3.0, 4.0, 9.0, 199.0, 1799.0]
out.append(f"];\n\nconst QUANTILES: [(f64, f64); {len(degrees)}] = [\n")
out += [f"    ({n!r}, {float(stats.t.ppf(0.975, n))!r}),\n" for n in degrees]
pairs = [
    ([0.61, 0.58, 0.64], [0.52, 0.55, 0.53]),
    ([0.61, 0.58, 0.64], [0.60, 0.59, 0.62]),
    ([0.41, 0.44, 0.39], [0.52, 0.55, 0.53]),
]
out.append(f"];\n\nconst PAIRED: [([f64; 3], [f64; 3], f64); {len(pairs)}] = [\n")
out += [f"    ({a}, {b}, {float(stats.ttest_rel(a, b).pvalue)!r}),\n" for a, b in pairs]
out.append("];\n")
Path(__file__).with_name("student_reference.rs").write_text("".join(out))
