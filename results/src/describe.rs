//! What can be asked of a results folder: `query --schema`.

use std::path::Path;

use crate::{ResultsError, query};

/// The tables of SQL with their columns, and the axes that the runs in `out` vary with their values: for
/// reading, and without runs as well.
///
/// # Errors
/// What [`crate::query`] returns, but for a folder without runs.
pub fn describe(out: &Path) -> Result<String, ResultsError> {
    let mut text = String::new();
    for table in crate::schema() {
        text += &format!("{}: one row is {}\n", table.name, table.row);
        for column in table.columns {
            let unit =
                if column.unit.is_empty() { String::new() } else { format!(" [{}]", column.unit) };
            text += &format!(
                "  {:20} {:8} {}{unit}\n",
                column.name,
                column.kind.to_string(),
                column.meaning
            );
        }
        if table.name == "runs" {
            text += &axes(out)?;
        }
        text += "\n";
    }
    Ok(
        text + "All tables join by `run`; a benchmark's table metric has `main`, and `blind` scores withhold the picture.\n"
    )
}

fn axes(out: &Path) -> Result<String, ResultsError> {
    let all = match query(out, "SELECT * FROM runs LIMIT 0") {
        Err(ResultsError::NoRuns { .. }) => {
            let name = format!("{}NAME", crate::AXIS_PREFIX);
            return Ok(format!("  {name:20} text     the value of what a study varies\n"));
        }
        frame => frame?,
    };
    let mut text = String::new();
    for column in all.columns().into_iter().filter(|name| name.starts_with(crate::AXIS_PREFIX)) {
        // A name that is no plain word is quoted in SQL.
        let plain = column.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let name = if plain { column.to_owned() } else { format!("\"{column}\"") };
        let sql =
            format!("SELECT DISTINCT {name} FROM runs WHERE {name} IS NOT NULL ORDER BY {name}");
        let values = query(out, &sql)?;
        let shown: Vec<String> = values.rows().take(6).map(|row| row[0].text()).collect();
        let more = if values.height() > 6 { ", …" } else { "" };
        text += &format!("  {name:20} text     {}{more}\n", shown.join(", "));
    }
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    #[test]
    fn without_runs_the_description_still_names_every_column() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = super::describe(folder.path()).expect("a description");
        for table in crate::schema() {
            assert!(table.columns.iter().all(|column| text.contains(column.name)));
        }
        assert!(text.contains("axis_NAME"));
    }
}
