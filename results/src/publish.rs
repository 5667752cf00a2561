//! All tables and findings of a results folder as files, with a README that says how they were made.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::cell::Cell;
use crate::findings::{Finding, FindingsFormat, findings, render_findings, studies};
use crate::store::write_atomically;
use crate::table::{Table, TableFormat, TableOptions, table};
use crate::{ResultsError, query};

/// Everything that is to be told of a results folder.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The table of each study, by the study's name.
    pub tables: Vec<Table>,
    /// The paper's findings.
    pub findings: Vec<Finding>,
    /// How the runs were made: a title and what it says.
    pub provenance: Vec<(&'static str, String)>,
}

/// The tables of all studies in `out` that have a finished run, the findings, and how they were made.
///
/// # Errors
/// What [`crate::table`] returns.
pub fn publication(out: &Path) -> Result<Publication, ResultsError> {
    let provenance = provenance(out)?;
    let options = TableOptions::default();
    let tables =
        studies(out)?.iter().map(|study| table(out, study, &options)).collect::<Result<_, _>>()?;
    Ok(Publication { tables, findings: findings(out)?, provenance })
}

/// Writes `to/README.md` and, per study, `to/tables/STUDY.md`, `.csv` and `.tex`, and the findings as
/// `to/tables/findings.md`, `.csv` and `.json`. The same runs give the same bytes.
///
/// # Errors
/// What [`publication`] returns, and files that cannot be written.
pub fn publish(out: &Path, to: &Path) -> Result<Vec<PathBuf>, ResultsError> {
    let publication = publication(out)?;
    let folder = to.join("tables");
    let mut files = Vec::new();
    for table in &publication.tables {
        for (end, format) in
            [("md", TableFormat::Md), ("csv", TableFormat::Csv), ("tex", TableFormat::Tex)]
        {
            files.push((folder.join(format!("{}.{end}", table.selection)), table.render(format)));
        }
    }
    for (end, format) in
        [("md", FindingsFormat::Md), ("csv", FindingsFormat::Csv), ("json", FindingsFormat::Json)]
    {
        let text = render_findings(&publication.findings, format);
        files.push((folder.join(format!("findings.{end}")), text));
    }
    files.push((to.join("README.md"), publication.readme()));
    for (path, text) in &files {
        write_atomically(path, text.as_bytes())?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

impl Publication {
    /// The README: how the runs were made, the findings first, then the tables.
    #[must_use]
    pub fn readme(&self) -> String {
        let mut out =
            "# Results\n\nWritten by `eagle-lab table --all --to results` from the runs in \
                       `results/runs/`: not to be edited. What the columns say: \
                       [docs/results.md](../docs/results.md).\n\n## How they were made\n\n"
                .to_owned();
        for (title, text) in &self.provenance {
            out += &format!("- {title}: {text}\n");
        }
        out += "\n## The paper's findings\n\n";
        out += &render_findings(&self.findings, FindingsFormat::Md);
        for table in &self.tables {
            let name = &table.selection;
            out += &format!("\n## {name}\n\n");
            out += &format!("Also as [CSV](tables/{name}.csv) and [LaTeX](tables/{name}.tex).\n\n");
            // Its findings stand above.
            let bare = Table { findings: Vec::new(), ..table.clone() };
            out += &bare.render(TableFormat::Md);
        }
        out
    }
}

/// What the manifests say of the runs that stand behind the tables.
fn provenance(out: &Path) -> Result<Vec<(&'static str, String)>, ResultsError> {
    let of = |sql: &str| -> Result<Vec<Vec<Cell>>, ResultsError> {
        Ok(query(out, sql)?.rows().collect())
    };
    let texts = |column: &str| -> Result<String, ResultsError> {
        let sql = format!(
            "SELECT DISTINCT {column} FROM runs WHERE study IS NOT NULL AND status = 'done' ORDER BY {column}"
        );
        let found: Vec<String> = of(&sql)?.iter().map(|row| row[0].text()).collect();
        let found = found.iter().filter(|text| !text.is_empty());
        Ok(found.map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", "))
    };
    let statuses = of("SELECT status, COUNT(*) AS n FROM runs WHERE study IS NOT NULL \
                       GROUP BY status ORDER BY status")?;
    let statuses: Vec<String> =
        statuses.iter().map(|row| format!("{} {}", row[1].text(), row[0].text())).collect();
    let time =
        of("SELECT SUM(seconds) AS seconds, MIN(started) AS started, MAX(finished) AS finished \
                   FROM runs WHERE study IS NOT NULL AND status = 'done'")?;
    let time = time.first().map_or_else(String::new, |row| {
        let Cell::Float(seconds) = row[0] else { return String::new() };
        format!(
            "{:.1} h of training and evaluation, one run after the other, between {} and {}",
            seconds / 3600.0,
            row[1].text(),
            row[2].text()
        )
    });
    let mut told = vec![
        ("runs of studies", statuses.join(", ")),
        ("time", time),
        ("machine", machines(out)?),
        ("commit", texts("commit")?),
        ("version", texts("version")?),
        ("command", commands(out)?),
    ];
    told.retain(|(_, text)| !text.is_empty());
    Ok(told)
}

fn machines(out: &Path) -> Result<String, ResultsError> {
    let sql = "SELECT DISTINCT os, arch, threads FROM runs WHERE study IS NOT NULL \
               AND status = 'done' ORDER BY os, arch, threads";
    let machine = |row: Vec<Cell>| {
        let threads = row[2].text();
        let s = if threads == "1" { "" } else { "s" };
        format!("{} {}, {threads} thread{s} a trial", row[0].text(), row[1].text())
    };
    Ok(query(out, sql)?.rows().map(machine).collect::<Vec<_>>().join("; "))
}

/// The commands, without the folder that the program lay in.
fn commands(out: &Path) -> Result<String, ResultsError> {
    let sql = "SELECT DISTINCT command FROM runs WHERE study IS NOT NULL AND status = 'done'";
    let frame = query(out, sql)?;
    let commands: BTreeSet<String> = frame
        .rows()
        .map(|row| {
            let command = row[0].text();
            let (program, rest) = command.split_once(' ').unwrap_or((&command, ""));
            let program = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
            format!("`{}`", format!("{program} {rest}").trim())
        })
        .filter(|command| command != "``")
        .collect();
    Ok(commands.into_iter().collect::<Vec<_>>().join(", "))
}
