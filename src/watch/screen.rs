//! What runs are at, on the whole terminal.

use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use ratatui::backend::TermionBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::termion::event::Key;
use ratatui::termion::input::TermRead;
use ratatui::termion::raw::IntoRawMode;
use ratatui::termion::screen::IntoAlternateScreen;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph, Row, Table, TableState};
use ratatui::{Frame, Terminal};

use super::state::{State, Study, Trial, time};
use crate::{Failure, spark};

/// Shows studies until a key ends it.
pub fn show(
    look: &dyn Fn() -> Result<Vec<Study>, Failure>,
    every: Duration,
) -> Result<(), Failure> {
    let mut view = View::new(look()?);
    // Both go back to what was when they are dropped, on a panic, too.
    let screen =
        std::io::stdout().into_raw_mode().and_then(IntoAlternateScreen::into_alternate_screen);
    let backend = TermionBackend::new(screen.map_err(Failure::running)?);
    let mut terminal = Terminal::new(backend).map_err(Failure::running)?;
    view.run(&mut terminal, &keys(), look, every)
}

/// The keys that are pressed, read by a thread that ends with the program.
fn keys() -> Receiver<Key> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for key in std::io::stdin().keys().flatten() {
            if sender.send(key).is_err() {
                return;
            }
        }
    });
    receiver
}

/// What is shown.
pub struct View {
    studies: Vec<Study>,
    /// The chosen row, counted over the trials of all studies.
    chosen: usize,
    /// Whether the chosen trial's curve is shown.
    curve: bool,
}

impl View {
    /// A view of these studies, the first trial that runs chosen.
    pub fn new(studies: Vec<Study>) -> View {
        let mut view = View { studies, chosen: 0, curve: false };
        let running = |(_, trial): &(&Study, &Trial)| trial.state == State::Running;
        view.chosen = view.trials().iter().position(running).unwrap_or(0);
        view
    }

    fn trials(&self) -> Vec<(&Study, &Trial)> {
        self.studies.iter().flat_map(|s| s.trials.iter().map(move |trial| (s, trial))).collect()
    }

    fn run<W: Write>(
        &mut self,
        terminal: &mut Terminal<TermionBackend<W>>,
        keys: &Receiver<Key>,
        look: &dyn Fn() -> Result<Vec<Study>, Failure>,
        every: Duration,
    ) -> Result<(), Failure> {
        let mut looked = Instant::now();
        loop {
            terminal.draw(|frame| self.draw(frame)).map_err(Failure::running)?;
            match keys.recv_timeout(every.saturating_sub(looked.elapsed())) {
                Ok(key) if self.key(key) => {}
                Ok(_) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    self.studies = look()?;
                    looked = Instant::now();
                }
            }
        }
    }

    /// Does what a key says; `false` if that is to leave.
    pub fn key(&mut self, key: Key) -> bool {
        let last = self.trials().len().saturating_sub(1);
        match key {
            Key::Ctrl('c') | Key::Char('q') => return false,
            Key::Esc if !self.curve => return false,
            Key::Esc => self.curve = false,
            Key::Char('\n') => self.curve = !self.curve,
            Key::Up | Key::Char('k') => self.chosen = self.chosen.saturating_sub(1),
            Key::Down | Key::Char('j') => self.chosen = (self.chosen + 1).min(last),
            Key::Home => self.chosen = 0,
            Key::End => self.chosen = last,
            _ => {}
        }
        true
    }

    /// Draws everything.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(3), Constraint::Length(1)])
                .areas(frame.area());
        let summary =
            self.studies.iter().map(|study| format!("{}: {}", study.name, study.summary()));
        let summary = summary.collect::<Vec<_>>().join("   ");
        frame.render_widget(Line::styled(summary, Style::new().bold()), head);
        let keys = "↑ ↓ choose   Enter curve   q leave";
        frame.render_widget(Line::styled(keys, Style::new().dim()), foot);
        let chosen = self.trials().get(self.chosen).map(|(_, trial)| (*trial).clone());
        match chosen.filter(|_| self.curve) {
            Some(trial) => {
                let [table, curve] =
                    Layout::vertical([Constraint::Percentage(45), Constraint::Fill(1)]).areas(body);
                self.table(frame, table);
                draw_trial(frame, curve, &trial);
            }
            None => self.table(frame, body),
        }
    }

    fn table(&self, frame: &mut Frame<'_>, area: Rect) {
        let trials = self.trials();
        if trials.is_empty() {
            frame.render_widget(Paragraph::new("nothing is run or planned here"), area);
            return;
        }
        let heads =
            ["study", "trial", "seed", "state", "at", "loss", "samples/s", "left", "scores"];
        let head = Row::new(heads).style(Style::new().bold());
        let rows = trials.iter().enumerate().map(|(at, (study, trial))| {
            // A study's name stands once.
            let first = at == 0 || trials[at - 1].0.name != study.name;
            row(if first { &study.name } else { "" }, trial)
        });
        // Where nobody trains there is nothing to say of speed.
        let trains = trials.iter().any(|(_, trial)| trial.speed().is_some());
        let of_training = |width| Constraint::Length(if trains { width } else { 0 });
        let widths = [
            Constraint::Max(14),
            Constraint::Fill(3),
            Constraint::Length(4),
            Constraint::Length(11),
            Constraint::Fill(3),
            of_training(18),
            of_training(9),
            of_training(7),
            Constraint::Fill(4),
        ];
        let table = Table::new(rows, widths)
            .header(head)
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        let mut state = TableState::default().with_selected(Some(self.chosen));
        frame.render_stateful_widget(table, area, &mut state);
    }
}

fn row(study: &str, trial: &Trial) -> Row<'static> {
    let colour = match trial.state {
        State::Queued | State::Idle => Style::new().dim(),
        State::Running => Style::new().fg(Color::Cyan),
        State::Interrupted => Style::new().fg(Color::Yellow),
        State::Done => Style::new().fg(Color::Green),
        State::Failed => Style::new().fg(Color::Red),
    };
    let (speed, left) = match trial.speed() {
        Some((samples, left)) => (format!("{samples:.0}"), left.map_or(String::new(), time)),
        None => (String::new(), String::new()),
    };
    let losses = if speed.is_empty() { Vec::new() } else { trial.losses(out(trial)) };
    let last = losses.last().map_or(String::new(), |loss| format!(" {loss:.4}"));
    Row::new([
        Line::raw(study.to_owned()),
        Line::raw(trial.name.clone()),
        Line::raw(trial.seed.to_string()),
        Line::styled(trial.state.name(), colour),
        Line::raw(trial.at()),
        Line::raw(spark::of(&losses, 10) + &last),
        Line::raw(speed),
        Line::raw(left),
        Line::raw(trial.told()),
    ])
}

/// The results folder of a trial's run.
fn out(trial: &Trial) -> &Path {
    let out = trial.folder.as_deref().and_then(Path::parent).and_then(Path::parent);
    out.unwrap_or(Path::new(""))
}

/// A trial's curve, or why it failed.
fn draw_trial(frame: &mut Frame<'_>, area: Rect, trial: &Trial) {
    let title = format!(" {}, seed {}: {} ", trial.name, trial.seed, trial.at());
    let block = Block::bordered().title(title);
    if let Some(error) = &trial.error {
        let text = Paragraph::new(error.clone()).wrap(ratatui::widgets::Wrap { trim: false });
        frame.render_widget(text.block(block), area);
        return;
    }
    let losses = trial.losses(out(trial));
    if losses.len() < 2 {
        frame.render_widget(Paragraph::new("no losses yet").block(block), area);
        return;
    }
    let wide = usize::from(area.width).max(8) * 2;
    let means = spark::stretches(&losses, wide);
    let step = losses.len() as f64 / means.len() as f64;
    let points: Vec<(f64, f64)> =
        means.iter().enumerate().map(|(at, loss)| ((at as f64 + 0.5) * step, *loss)).collect();
    let low = means.iter().copied().fold(f64::MAX, f64::min);
    let high = means.iter().copied().fold(f64::MIN, f64::max).max(low + 1e-6);
    let data = Dataset::default()
        .marker(Marker::Braille)
        .graph_type(GraphType::Line)
        .style(Style::new().fg(Color::Cyan))
        .data(&points);
    let label = |value: f64| format!("{value:.3}");
    let chart = Chart::new(vec![data])
        .block(block)
        .x_axis(
            Axis::default()
                .bounds([0.0, losses.len() as f64])
                .labels(["step 0".to_owned(), format!("{}", losses.len())]),
        )
        .y_axis(Axis::default().bounds([low, high]).labels([
            label(low),
            label((low + high) / 2.0),
            label(high),
        ]));
    frame.render_widget(chart, area);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]

    use ratatui::backend::TestBackend;

    use super::*;
    use crate::watch::state::look;

    /// What the screen shows.
    fn shown(view: &View) -> String {
        let mut terminal = Terminal::new(TestBackend::new(120, 24)).expect("a terminal");
        terminal.draw(|frame| view.draw(frame)).expect("drawn");
        let buffer = terminal.backend().buffer().clone();
        let rows = buffer.content().chunks(120);
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n").collect()
    }

    #[test]
    fn keys_choose_a_trial_and_show_its_curve_or_why_it_failed() {
        let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/watch");
        let studies = look(&out, &[]).unwrap_or_else(|_| Vec::new());
        let mut view = View::new(studies);
        let table = shown(&view);
        for part in ["study", "queued", "idle", "failed", "done", "fusion"] {
            assert!(table.contains(part), "no {part} in\n{table}");
        }
        let down = |view: &mut View, times: usize| {
            view.key(Key::Home);
            (0..times).for_each(|_| assert!(view.key(Key::Down)));
        };
        down(&mut view, 0);
        view.key(Key::Char('\n'));
        assert!(shown(&view).contains("step 0"), "{}", shown(&view));
        down(&mut view, 2);
        let failed = shown(&view);
        assert!(failed.contains("the gradient norm of step 13 is NaN"), "{failed}");
        assert!(view.key(Key::Esc), "the curve is closed first");
        assert!(!view.key(Key::Esc) && !view.key(Key::Char('q')));
    }
}
