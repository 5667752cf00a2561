//! A file much larger than what is held of it, alone in its process: memory is the process's.
#![cfg(target_os = "linux")]

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use eagle_core::registry::DatasetConfig;
use eagle_plugins::datasets::llava_json::LlavaJson;

/// The most memory that the process ever had, in kB.
fn peak() -> Result<usize, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}

/// Entry number `number` of a file of entries of about 1 kB.
fn entry(number: usize) -> String {
    let words = format!("word{number} ").repeat(80);
    format!(
        r#"{{"id": "{number}", "conversations": [{{"from": "human", "value": "what?"}}, {{"from": "gpt", "value": "{words}"}}]}}"#
    )
}

#[test]
fn a_large_file_is_opened_in_bounded_memory_and_at_once_the_second_time()
-> Result<(), Box<dyn Error>> {
    const COUNT: usize = 150_000;
    let folder = std::env::temp_dir().join(format!("eagle-large-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let path = folder.join("large.json");
    let mut file = BufWriter::new(File::create(&path)?);
    for number in 0..COUNT {
        let before = if number == 0 { "[" } else { ",\n" };
        write!(file, "{before}{}", entry(number))?;
    }
    file.write_all(b"]")?;
    file.flush()?;
    drop(file);
    let size = usize::try_from(fs::metadata(&path)?.len())? / 1024;
    let before = peak()?;
    let open = || LlavaJson { path: path.clone(), images: None }.open(Path::new(""));
    let first = open()?;
    for number in [COUNT - 1, 0, 77_777] {
        let sample = first.sample(number)?;
        assert_eq!(sample.id, number.to_string());
        assert!(sample.turns[0].answer.starts_with(&format!("word{number} ")));
        assert_eq!(first.words(number)?, -81);
    }
    // What is parsed at once, and 48 bytes a sample.
    let grown = peak()? - before;
    assert!(size > 110_000 && grown < 56_000, "{grown} kB for a file of {size} kB");
    // The second time the index is read, and agrees; nothing else is.
    let index = folder.join("large.json.eagle-index");
    let written = fs::metadata(&index)?.modified()?;
    let again = open()?;
    assert_eq!(fs::metadata(&index)?.modified()?, written);
    assert_eq!(again.len(), COUNT);
    assert_eq!(again.sample(77_777)?.turns, first.sample(77_777)?.turns);
    Ok(fs::remove_dir_all(Path::new(&folder))?)
}
