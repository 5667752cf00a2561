//! VQA's soft accuracy, on texts as EvalAI normalises them: VQAv2, VizWiz, TextVQA.
//!
//! Source: mmf's `EvalAIAnswerProcessor`, in lmms-eval `tasks/_task_utils/vqa_eval_metric.py`, and
//! the `process_results` of its tasks. Three of its oddities are part of the standard and kept:
//! the look-behind of its regular expression for periods is misspelt (`(?!<=\d)`), so that a period
//! goes unless a digit follows it, whatever stands before; the flag that it hands to `sub` is taken
//! for a count, so that at most 32 periods go; a number with a comma anywhere in the text turns all
//! replacements by a space into removals.

use super::python;

/// Characters that are removed, or replaced by a space.
const PUNCTUATION: [char; 21] = [
    ';', '/', '[', ']', '"', '{', '}', '(', ')', '=', '+', '\\', '_', '-', '>', '<', '@', '`', ',',
    '?', '!',
];

const NUMBERS: [(&str, &str); 12] = [
    ("none", "0"),
    ("zero", "0"),
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
];

/// `re.UNICODE` as a number: how many periods are removed at most.
const PERIODS: usize = 32;

/// An answer as TextVQA and VizWiz compare it.
#[must_use]
pub fn normalise(text: &str) -> String {
    let text = text.to_lowercase().replace([',', '?'], "").replace("'s", " 's");
    let text = python::strip(&text).replace(['\n', '\t'], " ");
    words(&punctuation(python::strip(&text)))
}

/// An answer as VQAv2 compares it.
#[must_use]
pub fn normalise_vqa_v2(text: &str) -> String {
    let text = text.replace(['\n', '\t'], " ");
    words(&punctuation(python::strip(&text)))
}

/// The mean over the annotators of how many *others* say the same, three being enough. All texts
/// are normalised.
#[must_use]
pub fn soft_accuracy(prediction: &str, answers: &[String]) -> f64 {
    let same = answers.iter().filter(|answer| *answer == prediction).count();
    let worth = |others: usize| match others {
        0 => 0,
        1 => THIRD,
        2 => 2 * THIRD,
        _ => ONE,
    };
    let others = answers.len() - same;
    let sum = same as u128 * worth(same.saturating_sub(1)) + others as u128 * worth(same);
    exact_ratio(sum, answers.len() as u128 * ONE)
}

/// 1 in units of 2^-54, and 1/3 as a double has it.
const ONE: u128 = 1 << 54;
const THIRD: u128 = 0x15_5555_5555_5555;

/// The double nearest to a ratio, as Python's `statistics.mean` finds it. Nothing over nothing is 0.
fn exact_ratio(above: u128, below: u128) -> f64 {
    if below == 0 {
        return 0.0;
    }
    // Far more bits than a double has; what is lost is remembered in the last one.
    let scaled = above << 62;
    let bits = (scaled / below) | u128::from(!scaled.is_multiple_of(below));
    bits as f64 / (1u64 << 62) as f64
}

fn punctuation(text: &str) -> String {
    let number_with_comma = has_number_with_comma(text);
    let mut out = text.to_owned();
    for p in PUNCTUATION {
        let at_a_space = text.contains(&format!("{p} ")) || text.contains(&format!(" {p}"));
        out = out.replace(p, if at_a_space || number_with_comma { "" } else { " " });
    }
    let mut left = PERIODS;
    let mut chars = out.chars().peekable();
    let mut kept = String::new();
    while let Some(c) = chars.next() {
        let before_digit = chars.peek().is_some_and(|next| python::digit(*next).is_some());
        if c == '.' && !before_digit && left > 0 {
            left -= 1;
        } else {
            kept.push(c);
        }
    }
    kept
}

/// A digit, one or more commas, a digit.
fn has_number_with_comma(text: &str) -> bool {
    let mut number = false;
    let mut commas = false;
    for c in text.chars() {
        if python::digit(c).is_some() {
            if commas {
                return true;
            }
            number = true;
        } else {
            commas = c == ',' && (number || commas);
            number = false;
        }
    }
    false
}

fn words(text: &str) -> String {
    let text = text.to_lowercase();
    let look_up = |table: &[(&'static str, &'static str)], word: &str| {
        table.iter().find(|(from, _)| *from == word).map(|(_, to)| (*to).to_owned())
    };
    let words = python::split(&text)
        .map(|word| look_up(&NUMBERS, word).unwrap_or_else(|| word.to_owned()))
        .filter(|word| !["a", "an", "the"].contains(&word.as_str()))
        .map(|word| look_up(CONTRACTIONS, &word).unwrap_or(word));
    words.collect::<Vec<_>>().join(" ")
}

/// As the reference has them; those that it spells with a capital letter can't be met.
#[rustfmt::skip]
const CONTRACTIONS: &[(&str, &str)] = &[
    ("aint", "ain't"), ("arent", "aren't"), ("cant", "can't"), ("couldve", "could've"),
    ("couldnt", "couldn't"), ("couldn'tve", "couldn't've"), ("couldnt've", "couldn't've"),
    ("didnt", "didn't"), ("doesnt", "doesn't"), ("dont", "don't"), ("hadnt", "hadn't"),
    ("hadnt've", "hadn't've"), ("hadn'tve", "hadn't've"), ("hasnt", "hasn't"),
    ("havent", "haven't"), ("hed", "he'd"), ("hed've", "he'd've"), ("he'dve", "he'd've"),
    ("hes", "he's"), ("howd", "how'd"), ("howll", "how'll"), ("hows", "how's"), ("isnt", "isn't"),
    ("itd", "it'd"), ("itd've", "it'd've"), ("it'dve", "it'd've"), ("itll", "it'll"),
    ("maam", "ma'am"), ("mightnt", "mightn't"), ("mightnt've", "mightn't've"),
    ("mightn'tve", "mightn't've"), ("mightve", "might've"), ("mustnt", "mustn't"),
    ("mustve", "must've"), ("neednt", "needn't"), ("notve", "not've"), ("oclock", "o'clock"),
    ("oughtnt", "oughtn't"), ("ow's'at", "'ow's'at"), ("'ows'at", "'ow's'at"),
    ("'ow'sat", "'ow's'at"), ("shant", "shan't"), ("shed've", "she'd've"), ("she'dve", "she'd've"),
    ("shouldve", "should've"), ("shouldnt", "shouldn't"), ("shouldnt've", "shouldn't've"),
    ("shouldn'tve", "shouldn't've"), ("somebody'd", "somebodyd"),
    ("somebodyd've", "somebody'd've"), ("somebody'dve", "somebody'd've"),
    ("somebodyll", "somebody'll"), ("somebodys", "somebody's"), ("someoned", "someone'd"),
    ("someoned've", "someone'd've"), ("someone'dve", "someone'd've"), ("someonell", "someone'll"),
    ("someones", "someone's"), ("somethingd", "something'd"), ("somethingd've", "something'd've"),
    ("something'dve", "something'd've"), ("somethingll", "something'll"), ("thats", "that's"),
    ("thered", "there'd"), ("thered've", "there'd've"), ("there'dve", "there'd've"),
    ("therere", "there're"), ("theres", "there's"), ("theyd", "they'd"), ("theyd've", "they'd've"),
    ("they'dve", "they'd've"), ("theyll", "they'll"), ("theyre", "they're"), ("theyve", "they've"),
    ("twas", "'twas"), ("wasnt", "wasn't"), ("wed've", "we'd've"), ("we'dve", "we'd've"),
    ("weve", "we've"), ("werent", "weren't"), ("whatll", "what'll"), ("whatre", "what're"),
    ("whats", "what's"), ("whatve", "what've"), ("whens", "when's"), ("whered", "where'd"),
    ("wheres", "where's"), ("whereve", "where've"), ("whod", "who'd"), ("whod've", "who'd've"),
    ("who'dve", "who'd've"), ("wholl", "who'll"), ("whos", "who's"), ("whove", "who've"),
    ("whyll", "why'll"), ("whyre", "why're"), ("whys", "why's"), ("wont", "won't"),
    ("wouldve", "would've"), ("wouldnt", "wouldn't"), ("wouldnt've", "wouldn't've"),
    ("wouldn'tve", "wouldn't've"), ("yall", "y'all"), ("yall'll", "y'all'll"),
    ("y'allll", "y'all'll"), ("yall'd've", "y'all'd've"), ("y'alld've", "y'all'd've"),
    ("y'all'dve", "y'all'd've"), ("youd", "you'd"), ("youd've", "you'd've"),
    ("you'dve", "you'd've"), ("youll", "you'll"), ("youre", "you're"), ("youve", "you've"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oddities_are_kept() {
        assert_eq!(normalise("St. Mary's"), "st mary 's");
        assert_eq!(normalise("3.5"), "3.5");
        assert_eq!(normalise("3."), "3", "not what the expression was meant to do");
        assert_eq!(normalise_vqa_v2("1,000 red-blue"), "1000 redblue");
        assert_eq!(normalise_vqa_v2("red-blue"), "red blue");
        assert_eq!(normalise("The ten apples"), "10 apples");
        assert_eq!(normalise(&".".repeat(40)), ".".repeat(8));
    }

    #[test]
    fn three_who_agree_are_enough() {
        let answers = |yes: usize, no: usize| {
            [vec!["yes".to_owned(); yes], vec!["no".to_owned(); no]].concat()
        };
        assert_eq!(soft_accuracy("yes", &answers(10, 0)), 1.0);
        assert_eq!(soft_accuracy("yes", &answers(3, 7)), 0.9);
        assert_eq!(soft_accuracy("yes", &answers(1, 9)), 0.3);
        assert_eq!(soft_accuracy("maybe", &answers(1, 9)), 0.0);
        assert_eq!(soft_accuracy("", &[]), 0.0);
    }
}
