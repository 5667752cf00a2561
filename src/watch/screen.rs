//! What runs are at, on the whole terminal.

use std::path::Path;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph, Row, Table, TableState};
use ratatui::{DefaultTerminal, Frame};

use super::state::{State, Study, Trial, time};
use crate::{Failure, spark};

/// Shows studies until a key ends it.
pub fn show(
    look: &dyn Fn() -> Result<Vec<Study>, Failure>,
    every: Duration,
) -> Result<(), Failure> {
    let mut view = View::new(look()?);
    // It restores the terminal on a panic, too.
    let mut terminal = ratatui::try_init().map_err(Failure::running)?;
    let ended = view.run(&mut terminal, look, every);
    ratatui::restore();
    ended
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

    fn run(
        &mut self,
        terminal: &mut DefaultTerminal,
        look: &dyn Fn() -> Result<Vec<Study>, Failure>,
        every: Duration,
    ) -> Result<(), Failure> {
        let mut looked = Instant::now();
        loop {
            terminal.draw(|frame| self.draw(frame)).map_err(Failure::running)?;
            let wait = every.saturating_sub(looked.elapsed());
            if event::poll(wait).map_err(Failure::running)? {
                if let Event::Key(key) = event::read().map_err(Failure::running)?
                    && key.kind == KeyEventKind::Press
                {
                    let stops = key.modifiers.contains(KeyModifiers::CONTROL);
                    if !self.key(key.code, stops) {
                        return Ok(());
                    }
                }
                continue;
            }
            self.studies = look()?;
            looked = Instant::now();
        }
    }

    /// Does what a key says; `false` if that is to leave.
    pub fn key(&mut self, key: KeyCode, control: bool) -> bool {
        let last = self.trials().len().saturating_sub(1);
        match key {
            KeyCode::Char('c') if control => return false,
            KeyCode::Char('q') => return false,
            KeyCode::Esc if !self.curve => return false,
            KeyCode::Esc => self.curve = false,
            KeyCode::Enter => self.curve = !self.curve,
            KeyCode::Up | KeyCode::Char('k') => self.chosen = self.chosen.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.chosen = (self.chosen + 1).min(last),
            KeyCode::Home => self.chosen = 0,
            KeyCode::End => self.chosen = last,
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
        let widths = [
            Constraint::Max(18),
            Constraint::Fill(2),
            Constraint::Length(4),
            Constraint::Length(11),
            Constraint::Fill(2),
            Constraint::Length(19),
            Constraint::Length(9),
            Constraint::Length(7),
            Constraint::Fill(3),
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

    use ratatui::Terminal;
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
            view.key(KeyCode::Home, false);
            (0..times).for_each(|_| assert!(view.key(KeyCode::Down, false)));
        };
        down(&mut view, 0);
        view.key(KeyCode::Enter, false);
        assert!(shown(&view).contains("step 0"), "{}", shown(&view));
        down(&mut view, 2);
        let failed = shown(&view);
        assert!(failed.contains("the gradient norm of step 13 is NaN"), "{failed}");
        assert!(view.key(KeyCode::Esc, false), "the curve is closed first");
        assert!(!view.key(KeyCode::Esc, false) && !view.key(KeyCode::Char('q'), false));
    }
}
