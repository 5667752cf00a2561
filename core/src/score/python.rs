//! Texts and numbers as Python has them: the reference scorers are defined by what `str.split`,
//! `float` and `round` do.

/// The first of each run of ten decimal digits (Unicode's category Nd), which `\d`, `int` and
/// `float` accept.
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66,
    0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
    0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50,
    0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// What a decimal digit of any script is worth.
#[must_use]
pub fn digit(c: char) -> Option<u32> {
    let point = u32::from(c);
    let run = ZEROS.partition_point(|zero| *zero <= point).checked_sub(1)?;
    Some(point - ZEROS[run]).filter(|value| *value < 10)
}

/// `str.isspace`: Unicode's white space and the four ASCII separators.
#[must_use]
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// `str.strip()`.
#[must_use]
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str.split()`.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// `text.capitalize()`: the first letter large, the others small.
#[must_use]
pub fn capitalise(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    first + &chars.as_str().to_lowercase()
}

/// `len(text)`: code points.
#[must_use]
pub fn len(text: &str) -> usize {
    text.chars().count()
}

/// `float(text)`; none where Python raises a `ValueError`.
#[must_use]
pub fn float(text: &str) -> Option<f64> {
    plain(strip(text))?.parse().ok()
}

/// `int(text)`, as `str` writes it; none where Python raises a `ValueError`.
#[must_use]
pub fn int(text: &str) -> Option<String> {
    let text = plain(strip(text))?;
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(&text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    Some(if digits.is_empty() { "0".into() } else { format!("{sign}{digits}") })
}

/// `str(int(x))`; none where Python raises: no number has infinitely many digits.
#[must_use]
pub fn truncated(x: f64) -> Option<String> {
    let text = x.is_finite().then(|| format!("{:.0}", x.trunc()))?;
    Some(if text == "-0" { "0".into() } else { text })
}

/// `round(x, decimals)`: of the decimal digits that the number really has, half to even.
#[must_use]
pub fn round(x: f64, decimals: usize) -> f64 {
    if x.is_finite() { format!("{x:.decimals$}").parse().unwrap_or(x) } else { x }
}

/// `str(x)`: the fewest digits that read back as `x`.
#[must_use]
pub fn repr(x: f64) -> String {
    if x.is_nan() {
        return "nan".into();
    }
    let size = x.abs();
    if x.is_infinite() || size == 0.0 || (1e-4..1e16).contains(&size) {
        return format!("{x:?}");
    }
    let text = format!("{x:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

/// ASCII digits for digits of any script, without the underscores that stand between two digits;
/// none where an underscore stands elsewhere.
fn plain(text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    for (at, &c) in chars.iter().enumerate() {
        let is_digit = |at: Option<usize>| {
            at.and_then(|at| chars.get(at)).is_some_and(|c| digit(*c).is_some())
        };
        match digit(c) {
            Some(value) => out.extend(char::from_digit(value, 10)),
            None if c != '_' => out.push(c),
            None if is_digit(at.checked_sub(1)) && is_digit(Some(at + 1)) => {}
            None => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_in_python() {
        for (text, value) in [(" 1_000 ", 1000.0), ("１２.5", 12.5), (".5", 0.5), ("1e3", 1000.0)]
        {
            assert_eq!(float(text), Some(value), "{text}");
        }
        for text in ["", ".", "1__0", "_1", "1,000", "0x10", "five", "1 2", "--1"] {
            assert_eq!(float(text), None, "{text}");
        }
        assert_eq!(float("-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(int(" -007 ").as_deref(), Some("-7"));
        assert_eq!(int("-0").as_deref(), Some("0"));
        assert_eq!(int("7.0"), None);
    }

    #[test]
    fn numbers_write_as_in_python() {
        for (value, text) in [
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (123.0, "123.0"),
            (-0.0, "-0.0"),
            (1e300, "1e+300"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(repr(value), text);
        }
        assert_eq!(round(2.675, 2), 2.67, "the number is a little below its digits");
        assert_eq!(round(0.125, 2), 0.12);
        assert_eq!(truncated(1e22).as_deref(), Some("10000000000000000000000"));
        assert_eq!(truncated(-0.9).as_deref(), Some("0"));
        assert_eq!(truncated(f64::NAN), None);
    }
}
