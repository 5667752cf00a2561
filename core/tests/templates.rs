//! Templates: ids and labels against what EAGLE's own functions give
//! (`tests/fixtures/templates/make.py`), and against texts written by hand.

use std::error::Error;
use std::path::PathBuf;

use eagle_core::data::{Picture, Sample, Turn};
use eagle_core::text::{Encoded, Fitted, Piece, Template, Tokenizer, TooLong};
use serde_json::Value;

type Outcome = Result<(), Box<dyn Error>>;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/templates")).join(name)
}

fn llama_like() -> Result<Tokenizer, Box<dyn Error>> {
    Ok(Tokenizer::from_file(&fixture("llama_like.json"))?)
}

fn sample(picture: bool, turns: &[(&str, &str)]) -> Sample {
    let turn = |&(question, answer): &(&str, &str)| Turn {
        question: question.to_string(),
        answer: answer.to_string(),
    };
    Sample {
        id: "sample-7".into(),
        picture: picture.then(|| Picture::File("unread.png".into())),
        turns: turns.iter().map(turn).collect(),
        ..Sample::default()
    }
}

/// As LLaVA writes it: -200 for the picture, -100 for what isn't learnt.
fn as_llava(encoded: &Encoded) -> (Vec<i64>, Vec<i64>) {
    let pair = |piece: &Piece| match *piece {
        Piece::Image => (-200, -100),
        Piece::Token { id, label } => (id.into(), if label { id.into() } else { -100 }),
    };
    encoded.pieces.iter().map(pair).unzip()
}

fn numbers(value: &Value) -> Vec<i64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
}

/// The text with its tokens run together: spaces for `▁`, no `|`.
fn read(encoded: &Encoded, tokenizer: &Tokenizer) -> String {
    let shown = encoded.show(tokenizer).replace('|', "").replace('▁', " ");
    // Characters that the small vocabulary spells in bytes.
    [("<0x0A>", "\n"), ("<0x59>", "Y"), ("<0x6B>", "k")]
        .iter()
        .fold(shown, |text, (byte, character)| text.replace(byte, character))
}

#[test]
fn ids_and_labels_are_eagles() -> Outcome {
    let cases: Value = serde_json::from_str(&std::fs::read_to_string(fixture("expected.json"))?)?;
    let cases = cases.as_array().ok_or("no cases")?;
    assert_eq!(cases.len(), 32);
    for case in cases {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let tokenizer = Tokenizer::from_file(&fixture(&format!("{}.json", text("tokenizer"))))?;
        let turns = case["turns"].as_array().into_iter().flatten();
        let turns: Vec<(&str, &str)> = turns
            .map(|turn| (turn[0].as_str().unwrap_or(""), turn[1].as_str().unwrap_or("")))
            .collect();
        let sample = sample(case["picture"] == true, &turns);
        let template = Template::named(text("template")).ok_or("no template")?;
        let encoded = template.encode(&tokenizer, &sample)?;
        let (ids, labels) = as_llava(&encoded);
        let shown = encoded.show(&tokenizer);
        let name = format!("{template}, {}: {shown}", text("name"));
        assert_eq!(ids, numbers(&case["ids"]), "{name}");
        assert_eq!(labels, numbers(&case["labels"]), "{name}");
    }
    Ok(())
}

#[test]
fn vicuna_learns_each_answer_and_its_end_and_nothing_else() -> Outcome {
    let tokenizer = llama_like()?;
    let sample = sample(true, &[("Is this <image> it?", "No."), ("Why?", "Because. ")]);
    // A space is prepended to each text, as Llama's tokenizer does after every special token.
    assert_eq!(
        read(&Template::VicunaV1.encode(&tokenizer, &sample)?, &tokenizer),
        "<s> A chat between a curious user and an artificial intelligence assistant. The \
         assistant gives helpful, detailed, and polite answers to the user's questions. USER: \
         <image> \nIs this  it? ASSISTANT:[ No.</s>] USER: Why? ASSISTANT:[ Because. </s>]"
    );
    Ok(())
}

#[test]
fn the_short_templates_read_as_documented() -> Outcome {
    let tokenizer = llama_like()?;
    let sample = sample(true, &[("<image>\nWhat is this?", "a red circle"), ("Why?", "Because.")]);
    let read = |template: Template| -> Result<String, Box<dyn Error>> {
        Ok(read(&template.encode(&tokenizer, &sample)?, &tokenizer))
    };
    assert_eq!(
        read(Template::Mini)?,
        "<s><image> What is this?\n[ a red circle</s>] Why?\n[ Because.</s>]"
    );
    assert_eq!(
        read(Template::ChatMl)?,
        "<s><im_start> system\nAnswer the questions.<im_end><im_start> user\n<image> \nWhat is \
         this?<im_end><im_start> assistant\n[a red circle<im_end>]<im_start> user\n\
         Why?<im_end><im_start> assistant\n[Because.<im_end>]"
    );
    assert_eq!(
        read(Template::Llama3)?,
        "<s><begin_of_text><start_header_id> system<end_header_id> \n\nA chat between a curious \
         user and an artificial intelligence assistant. The assistant gives helpful, detailed, \
         and polite answers to the user's questions.<eot_id><start_header_id> user<end_header_id> \n\n<image> \nWhat is \
         this?<eot_id><start_header_id> assistant<end_header_id> \n\n[a red \
         circle<eot_id>]<start_header_id> user<end_header_id> \n\nWhy?<eot_id>\
         <start_header_id> assistant<end_header_id> \n\n[Because.<eot_id>]"
    );
    Ok(())
}

#[test]
fn a_prompt_is_the_beginning_of_what_is_learnt() -> Outcome {
    let tokenizer = llama_like()?;
    let two = sample(true, &[("<image>\nWhat is this?", "a red circle"), ("Why?", "Because.")]);
    let one = sample(true, &[("<image>\nWhat is this?", "a red circle")]);
    let all = [
        (Template::Plain, &one),
        (Template::Mini, &two),
        (Template::VicunaV1, &two),
        (Template::Llama3, &two),
        (Template::ChatMl, &two),
    ];
    for (template, sample) in all {
        let whole = template.encode(&tokenizer, sample)?;
        let (ids, labels) = as_llava(&whole);
        for turn in 0..sample.turns.len() {
            let pieces = template.prompt(&tokenizer, sample, turn)?;
            let (prompt, unlearnt) = as_llava(&Encoded { pieces });
            assert_eq!(prompt, ids[..prompt.len()], "{template} {turn}");
            assert!(unlearnt.iter().all(|&label| label == -100));
            assert_ne!(labels[prompt.len()], -100, "{template}: the answer begins here");
            let length = labels[prompt.len()..].iter().take_while(|&&label| label != -100).count();
            let stop = i64::from(template.stop(&tokenizer)?);
            let answer = &ids[prompt.len()..prompt.len() + length];
            assert_eq!(answer.last(), Some(&stop), "{template}: and ends here");
        }
    }
    Ok(())
}

#[test]
fn an_answer_that_was_generated_reads_as_it_was_taught() -> Outcome {
    let tokenizer = llama_like()?;
    for template in [Template::Plain, Template::Mini, Template::VicunaV1, Template::ChatMl] {
        let encoded =
            template.encode(&tokenizer, &sample(true, &[("What?", "It is blue, 猫.")]))?;
        let learnt = encoded.pieces.iter().filter_map(|piece| match *piece {
            Piece::Token { id, label: true } => Some(id),
            _ => None,
        });
        let mut ids: Vec<u32> = learnt.collect();
        assert_eq!(ids.pop(), Some(template.stop(&tokenizer)?));
        assert_eq!(tokenizer.decode(&ids)?, "It is blue, 猫.", "{template}");
    }
    Ok(())
}

#[test]
fn every_error_names_its_sample_and_the_turn() -> Outcome {
    let tokenizer = llama_like()?;
    let cases = [
        (Template::Mini, sample(true, &[]), "it has no turns"),
        (Template::Mini, sample(false, &[("<image> q", "a")]), "turn 0 says `<image>`, but"),
        (Template::Mini, sample(true, &[("<image><image>", "a")]), "`<image>` occurs 2 times"),
        (Template::Mini, sample(true, &[("<image>", "a"), ("<image>", "a")]), "occurs 2 times"),
        (Template::Mini, sample(true, &[("q", "an <image>")]), "the answer of turn 0 says"),
        (Template::Mini, sample(true, &[("q", "a"), ("q", " ")]), "the answer of turn 1 is empty"),
        (Template::VicunaV1, sample(true, &[("q", "</s>")]), "turn 0 says \"</s>\""),
        (Template::Plain, sample(false, &[("q", "a")]), "1 turns, no picture"),
        (Template::Plain, sample(true, &[("q", "a"), ("q", "a")]), "2 turns, a picture"),
    ];
    for (template, sample, expected) in cases {
        let message = template.encode(&tokenizer, &sample).err().map(|error| error.to_string());
        let message = message.ok_or(format!("{expected}: no error"))?;
        assert!(message.starts_with("sample \"sample-7\": "), "{message}");
        assert!(message.contains(expected), "{message} should say {expected}");
    }
    let message = Template::Mini.prompt(&tokenizer, &sample(true, &[("q", "a")]), 1).err();
    assert!(message.is_some_and(|error| error.to_string().contains("no turn 1")));
    Ok(())
}

#[test]
fn a_vocabulary_without_the_templates_mark_is_refused() -> Outcome {
    let text = std::fs::read_to_string(fixture("llama_like.json"))?.replace("<|im_end|>", "<|x|>");
    let tokenizer = Tokenizer::from_json(&text, "without")?;
    let error = Template::ChatMl.encode(&tokenizer, &sample(false, &[("q", "a")])).err();
    let message = error.ok_or("no error")?.to_string();
    assert!(message.contains("no token \"<|im_end|>\"") && message.contains("ChatMl"), "{message}");
    Ok(())
}

#[test]
fn a_token_across_prompt_and_answer_is_an_error_and_no_shifted_mask() -> Outcome {
    // One line's end after another is a single token here, as in many vocabularies.
    let text = r#"{"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
        "post_processor": null, "decoder": null, "model": {"type": "BPE", "merges": [["\n", "\n"]],
        "vocab": {"\n": 0, "\n\n": 1, "a": 2, "q": 3, "<|im_end|>": 4, "x": 5}, "unk_token": "x"}}"#;
    let tokenizer = Tokenizer::from_json(text, "merging")?;
    assert!(Template::ChatMl.encode(&tokenizer, &sample(false, &[("q", "a")])).is_ok());
    let error = Template::ChatMl.encode(&tokenizer, &sample(false, &[("q", "\na")])).err();
    let message = error.ok_or("no error")?.to_string();
    assert!(message.contains("sample-7") && message.contains("trim the answer"), "{message}");
    Ok(())
}

#[test]
fn what_is_too_long_is_refused_cut_or_skipped_as_asked() -> Outcome {
    let tokenizer = llama_like()?;
    let sample = sample(true, &[("<image>\nWhat is this?", "a red circle"), ("Why?", "Because.")]);
    let encoded = Template::Mini.encode(&tokenizer, &sample)?;
    let (visual, first) = (16, Template::Mini.prompt(&tokenizer, &sample, 0)?.len() - 1 + 16);
    let length = encoded.len(visual);
    let fit = |max_length, policy| encoded.clone().fit(&sample.id, max_length, visual, policy);

    assert_eq!(fit(length, TooLong::Error)?, Fitted::Whole(encoded.clone()));
    let message = fit(length - 1, TooLong::Error).err().ok_or("no error")?.to_string();
    assert_eq!(
        message,
        format!("sample \"sample-7\": it is {length} positions long, the context {}", length - 1)
    );
    assert_eq!(fit(length - 1, TooLong::Skip)?, Fitted::Skipped);
    let Fitted::Truncated(cut) = fit(first + 1, TooLong::Truncate)? else {
        return Err("not cut".into());
    };
    assert_eq!((cut.len(visual), cut.labels()), (first + 1, 1));
    assert_eq!(fit(first, TooLong::Truncate)?, Fitted::Skipped, "no label is left");
    assert_eq!(fit(visual - 1, TooLong::Truncate)?, Fitted::Skipped, "half a picture is none");
    Ok(())
}

#[test]
fn a_tokenizer_file_that_is_none_is_refused_by_name() {
    let errors = [
        Tokenizer::from_file(&fixture("gone.json")).err(),
        Tokenizer::from_file(&fixture("expected.json")).err(),
    ];
    for (error, name) in errors.into_iter().zip(["gone.json", "expected.json"]) {
        assert!(error.is_some_and(|error| error.to_string().contains(name)));
    }
}
