//! `eagle-lab chat`: a trained model answers, as it answered in its run.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use eagle_core::chat::Chat;
use eagle_core::data::{DataError, Picture, Sample};
use eagle_core::graph::{Benchmark, Graph};
use eagle_core::lab;
use eagle_core::model;
use eagle_core::record::Prediction;
use eagle_core::registry::Registry;
use eagle_core::spec::{Generation, problem::did_you_mean};
use eagle_core::tensor::Dev;

use crate::{Failure, print, trained};

/// Ask a trained model: one question, or a conversation, a question a line
///
/// A conversation takes /image PATH, /sample BENCHMARK:NUMBER, /reset (forgets what was said, keeps
/// the picture), /help and /quit.
#[derive(clap::Args)]
pub struct Arguments {
    /// A run that is done: its id or the beginning of it, its folder, its trial's name, or an
    /// experiment's file that was run once.
    run: PathBuf,
    /// What to ask; without it, questions are read line by line.
    #[arg(conflicts_with = "sample")]
    question: Option<String>,
    /// The picture, PNG or JPEG; none: text alone.
    #[arg(long, value_name = "FILE", conflicts_with = "sample")]
    image: Option<PathBuf>,
    /// A question of one of the run's benchmarks, by its number from 0 or its id: `mini-colour:17`.
    #[arg(long, value_name = "BENCHMARK:NUMBER")]
    sample: Option<String>,
    /// Choose tokens by chance, their logits divided by this; 0 is the likeliest token each time.
    /// The default is what the experiment says.
    #[arg(long, allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Keep the likeliest tokens that together have this probability.
    #[arg(long, requires = "temperature", allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// Keep so many of the likeliest tokens.
    #[arg(long, requires = "temperature")]
    top_k: Option<usize>,
    /// The root of chance.
    #[arg(long, requires = "temperature")]
    seed: Option<u64>,
    /// The longest answer, in tokens; by default the longest that a benchmark of the run allows.
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<usize>,
    /// Answers alone, each when it is whole; so it is without a terminal.
    #[arg(long)]
    plain: bool,
    /// Threads; all cores by default. The answers don't depend on it.
    #[arg(long)]
    threads: Option<usize>,
    /// The results folder.
    #[arg(long, default_value = "results", value_name = "DIR")]
    out: PathBuf,
}

/// Answers what is asked, on standard output; all else is said on standard error.
pub fn main(arguments: &Arguments, registry: &Registry) -> Result<(), Failure> {
    let run = trained::find(&arguments.run, &arguments.out)?;
    trained::finished(&run)?;
    if let Some(threads) = arguments.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        pool.map_err(Failure::running)?;
    }
    let (graph, base) = trained::experiment(&run, registry)?;
    let text = lab::asked(&graph, &base).map_err(Failure::running)?;
    let model =
        model::build(&graph, &Dev::open().map_err(Failure::running)?).map_err(Failure::running)?;
    run.load(&graph, &base, &model).map_err(Failure::running)?;
    let longest = graph.benchmarks.iter().map(|one| one.plugin.max_new_tokens()).max();
    let generation = arguments.generation(graph.generation)?;
    let mut talk = Talk {
        chat: Chat::new(&model, &text, generation),
        graph: &graph,
        base: &base,
        most: arguments.max_new_tokens,
        longest: longest.unwrap_or(64),
        plain: arguments.plain || !std::io::stdout().is_terminal(),
    };
    if let Some(sample) = &arguments.sample {
        return talk.examine(sample);
    }
    if let Some(image) = &arguments.image {
        talk.show(image)?;
    }
    match &arguments.question {
        Some(question) => talk.ask(question),
        None => {
            let id = &run.manifest.run[..12.min(run.manifest.run.len())];
            talk.note(&format!("{} ({id}); /help says what there is", run.manifest.trial));
            converse(&mut talk)
        }
    }
}

impl Arguments {
    /// How answers are written, `own` being the experiment's way.
    fn generation(&self, own: Generation) -> Result<Generation, Failure> {
        let Some(temperature) = self.temperature else { return Ok(own) };
        if temperature == 0.0 {
            return Ok(Generation::Greedy);
        }
        let top_p = self.top_p.unwrap_or(1.0);
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(Failure::input(format!(
                "--temperature {temperature}: a number from 0 on divides logits"
            )));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(Failure::input(format!("--top-p {top_p}: a probability above 0, up to 1")));
        }
        let (top_k, seed) = (self.top_k.unwrap_or(0), self.seed.unwrap_or(0));
        Ok(Generation::Sample { temperature, top_p, top_k, seed })
    }
}

/// A conversation with what it needs beside the model.
struct Talk<'a> {
    chat: Chat<'a>,
    graph: &'a Graph,
    base: &'a Path,
    most: Option<usize>,
    longest: usize,
    plain: bool,
}

/// Reads questions and commands until there are none. In a conversation a mistake is said and not
/// the end of it; in a script it is.
fn converse(talk: &mut Talk<'_>) -> Result<(), Failure> {
    let typed = std::io::stdin().is_terminal();
    let mut lines = std::io::stdin().lock().lines();
    loop {
        if typed {
            eprint!("> ");
            let _ = std::io::stderr().flush();
        }
        let Some(line) = lines.next() else { return Ok(()) };
        let line = line.map_err(Failure::running)?;
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if line == "/quit" {
            return Ok(());
        }
        match talk.hear(line) {
            Err(Failure::Input(message) | Failure::Running(message)) if typed => {
                eprintln!("{message}");
            }
            heard => heard?,
        }
    }
}

const HELP: &str = "\
a line is a question; besides there are
  /image PATH               a picture (PNG, JPEG); begins again
  /sample BENCHMARK:NUMBER  a question of a benchmark, with its picture and its right answer
  /reset                    forgets what was said, keeps the picture
  /quit                     ends";

impl Talk<'_> {
    /// A line of a conversation.
    fn hear(&mut self, line: &str) -> Result<(), Failure> {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "/image" if !rest.trim().is_empty() => self.show(Path::new(rest.trim())),
            "/image" => Err(Failure::input("/image PATH: the picture's file is missing")),
            "/sample" => self.examine(rest.trim()),
            "/help" => {
                eprintln!("{HELP}");
                Ok(())
            }
            "/reset" => {
                self.chat.reset();
                Ok(())
            }
            command if command.starts_with('/') && !command[1..].contains('/') => {
                let known = ["/image", "/sample", "/reset", "/help", "/quit"];
                let help = did_you_mean(command, "commands", &known);
                Err(Failure::input(format!("there is no command {command}; {help}")))
            }
            _ => self.ask(line),
        }
    }

    fn show(&mut self, image: &Path) -> Result<(), Failure> {
        if self.graph.visual_tokens() == 0 {
            return Err(Failure::input(
                "this model reads text alone: its LLM has no visual tokens",
            ));
        }
        self.chat.show(Some(Picture::File(image.to_owned()))).map_err(Failure::input)
    }

    /// Asks, and prints the answer as it comes.
    fn ask(&mut self, question: &str) -> Result<(), Failure> {
        let most = self.most.unwrap_or(self.longest);
        self.answer(question, most, &format!("answer {}", self.chat.turns().len())).map(drop)
    }

    fn answer(&mut self, question: &str, most: usize, purpose: &str) -> Result<String, Failure> {
        let plain = self.plain;
        let mut hear = |new: &str| {
            if !plain {
                print(new);
            }
        };
        let answer = self.chat.ask(question, most, purpose, &mut hear).map_err(Failure::input)?;
        print(&if plain { format!("{answer}\n") } else { "\n".to_owned() });
        if answer.is_empty() {
            self.note("(nothing was answered; the question is forgotten)");
        }
        Ok(answer)
    }

    /// Puts a question of a benchmark as its run did, and says what would be right.
    fn examine(&mut self, name: &str) -> Result<(), Failure> {
        let (benchmark, index, sample) = self.sample(name)?;
        let Some((last, before)) = sample.turns.split_last() else { return Ok(()) };
        if !before.is_empty() {
            return Err(Failure::input(format!("{name} has turns before its question")));
        }
        self.chat.show(sample.picture.clone()).map_err(Failure::input)?;
        self.note(&format!("question: {}", last.question));
        self.note(&format!("right:    {}", last.answer));
        let plugin = &benchmark.plugin;
        let most = self.most.unwrap_or(plugin.max_new_tokens());
        // The chance of a sampled answer is that of the run's, too.
        let purpose = format!("answer {index} of {}", plugin.name());
        let answer = self.answer(&last.question, most, &purpose)?;
        let judged = Prediction::judge(plugin.as_ref(), &sample, answer);
        self.note(&format!("score:    {:.2}", judged.verdict.score));
        Ok(())
    }

    fn sample(&self, name: &str) -> Result<(Benchmark, usize, Sample), Failure> {
        let (benchmark, which) = name.rsplit_once(':').ok_or_else(|| {
            Failure::input(format!("`{name}`: write BENCHMARK:NUMBER, as in mini-colour:17"))
        })?;
        let known = self.graph.benchmarks.iter().find(|known| known.name == benchmark);
        let known = known.ok_or_else(|| {
            let names: Vec<&str> =
                self.graph.benchmarks.iter().map(|known| known.name.as_str()).collect();
            let help = did_you_mean(benchmark, "benchmarks", &names);
            Failure::input(format!("the run has no benchmark `{benchmark}`; {help}"))
        })?;
        let questions = known.plugin.open(self.base).map_err(Failure::input)?;
        let numbered = which.parse().ok().filter(|index| *index < questions.len());
        let index = match numbered {
            Some(index) => index,
            None => (0..questions.len())
                .find(|index| questions.sample(*index).is_ok_and(|sample| sample.id == which))
                .ok_or_else(|| {
                    let count = questions.len();
                    Failure::input(format!(
                        "`{which}` is none of the {count} questions of {benchmark}: name a number \
                         below {count}, or an id"
                    ))
                })?,
        };
        let sample = questions.sample(index).map_err(|error: DataError| Failure::input(error))?;
        Ok((known.clone(), index, sample))
    }

    /// Says something beside the answers.
    fn note(&self, text: &str) {
        if !self.plain {
            eprintln!("{text}");
        }
    }
}
