//! eagle-lab: a declarative laboratory for how a multimodal language model should see.
//!
//! A binary with plugins of its own is three lines: mention their crate and call [`main`].
//!
//! ```ignore
//! use my_encoder as _;
//! fn main() -> std::process::ExitCode { eagle_lab::main() }
//! ```

#![forbid(unsafe_code)]

mod cache;
mod chat;
mod check;
mod data;
mod diff;
mod export;
mod file;
mod findings;
mod forecast;
mod page;
mod plan;
mod plugins;
mod progress;
mod query;
mod queue;
mod report;
mod reproduce;
mod run;
mod sample;
mod score;
mod search;
mod spark;
mod studies;
mod table;
mod trace;
mod trained;
mod watch;
mod why;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use eagle_core::nn::kernels::allocator::Recycling;
use eagle_core::registry::Registry;
use tracing_subscriber::EnvFilter;

/// Freed buffers are used again instead of going back to the system: a training step allocates the
/// same sizes over and over.
#[global_allocator]
static ALLOCATOR: Recycling = Recycling;

/// A declarative laboratory for how a multimodal language model should see.
#[derive(Parser)]
#[command(name = "eagle-lab", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Arguments),
    Data(data::Arguments),
    Plan(plan::Arguments),
    Sample(sample::Arguments),
    Run(run::Arguments),
    Reproduce(reproduce::Arguments),
    Trace(trace::Arguments),
    Export(export::Arguments),
    Query(query::Arguments),
    Table(table::Arguments),
    Score(score::Arguments),
    Findings(findings::Arguments),
    Plugins(plugins::Arguments),
    Watch(watch::Arguments),
    Report(report::Arguments),
    Diff(diff::Arguments),
    Chat(chat::Arguments),
    Cache(cache::Arguments),
    Why(why::Arguments),
}

/// How a command ended badly.
enum Failure {
    /// The input is wrong; the message is complete.
    Input(String),
    /// Something failed while running.
    Running(String),
}

impl Failure {
    fn input(error: impl ToString) -> Failure {
        Failure::Input(error.to_string())
    }

    fn running(error: impl ToString) -> Failure {
        Failure::Running(error.to_string())
    }
}

/// Runs the program on the command line's arguments with every plugin that is linked in. The exit
/// code is 0 when done, 1 when something failed while running, 2 when the input is wrong.
pub fn main() -> ExitCode {
    let filter =
        EnvFilter::try_from_env("EAGLE_LAB_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let result = eagle_plugins::registry()
        .map_err(Failure::input)
        .and_then(|registry| dispatch(arguments.command, &registry));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Input(message)) => fail(&message, 2),
        Err(Failure::Running(message)) => fail(&message, 1),
    }
}

fn dispatch(command: Command, registry: &Registry) -> Result<(), Failure> {
    match command {
        Command::Check(arguments) => check::main(&arguments, registry),
        Command::Data(arguments) => data::main(&arguments, registry),
        Command::Plan(arguments) => plan::main(&arguments, registry),
        Command::Sample(arguments) => sample::main(&arguments, registry),
        Command::Run(arguments) => run::main(&arguments, registry),
        Command::Reproduce(arguments) => reproduce::main(&arguments, registry),
        Command::Trace(arguments) => trace::main(&arguments, registry),
        Command::Export(arguments) => export::main(&arguments, registry),
        Command::Query(arguments) => query::main(&arguments),
        Command::Table(arguments) => table::main(&arguments),
        Command::Score(arguments) => score::main(&arguments, registry),
        Command::Findings(arguments) => findings::main(&arguments),
        Command::Plugins(arguments) => plugins::main(&arguments, registry),
        Command::Watch(arguments) => watch::main(&arguments),
        Command::Report(arguments) => report::main(&arguments, registry),
        Command::Diff(arguments) => diff::main(&arguments, registry),
        Command::Chat(arguments) => chat::main(&arguments, registry),
        Command::Cache(arguments) => cache::main(&arguments),
        Command::Why(arguments) => why::main(&arguments, registry),
    }
}

fn fail(message: &str, code: u8) -> ExitCode {
    // A rendered problem begins with its own `error`.
    if message.contains("error:") || message.contains("\u{1b}[") {
        eprintln!("{}", message.trim_end());
    } else {
        eprintln!("error: {message}");
    }
    ExitCode::from(code)
}

/// Writes to standard output; a reader that went away (`| head`) is no error.
fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Whether problems are drawn in colour.
fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
