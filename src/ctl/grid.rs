//! Tables: the same rows for a person at a terminal and for `grep`.
//!
//! On a terminal a table has a ruled heading and wraps to its width; anywhere else it is plain
//! aligned text, one line per row, whatever its length. It never holds a box: columns align,
//! and that is enough to copy a line out of it.

use comfy_table::presets::NOTHING;
use comfy_table::{
    Attribute, Cell as Drawn, CellAlignment, Color, ColumnConstraint, ContentArrangement,
    LineStyle, Table, Width,
};

use super::screen::{Paper, Tone};

/// A column of sentences is not squeezed below this many characters.
const NARROWEST: u16 = 24;

/// A table under construction.
pub(super) struct Grid {
    heading: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// One column: its heading, and where its cells stand.
#[derive(Clone, Copy)]
pub(super) enum Column {
    /// Words, never broken over lines.
    Left(&'static str),
    /// Numbers, never broken either.
    Right(&'static str),
    /// Sentences: the one kind that is broken over lines when the terminal is narrow.
    Wide(&'static str),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    /// What its colour says.
    pub(super) tone: Tone,
}

impl Grid {
    /// A table without rows.
    pub(super) fn new(heading: &[Column]) -> Grid {
        Grid { heading: heading.to_vec(), rows: Vec::new() }
    }

    /// Adds a row below.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The whole table with a newline behind each line.
    pub(super) fn render(&self, paper: Paper) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING);
        arrange(&mut table, paper);
        table.set_header(self.heading.iter().map(|column| column.draw(paper)));
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| cell.draw(paper)));
        }
        for (column, kind) in table.column_iter_mut().zip(&self.heading) {
            column.set_padding((0, if paper.terminal { 1 } else { 2 }));
            column.set_constraint(kind.constraint());
            if matches!(kind, Column::Right(_)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = String::new();
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn arrange(table: &mut Table, paper: Paper) {
    if !paper.terminal {
        table.force_no_tty();
        return;
    }
    if paper.stderr {
        table.use_stderr();
    }
    if paper.colour {
        table.enforce_styling();
    }
    // Terminals without a size, such as those of `expect`, call themselves 0 columns wide.
    if table.width().is_some_and(|width| width > NARROWEST) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    let rule = LineStyle::none().fill('─').junction('─');
    let style = table.style().header_separator(rule);
    table.load_style(style);
}

impl Column {
    /// Names and numbers are never broken: a table too wide for its terminal is easier to read
    /// than one letter per line.
    fn constraint(self) -> ColumnConstraint {
        match self {
            Column::Left(_) | Column::Right(_) => ColumnConstraint::ContentWidth,
            Column::Wide(_) => ColumnConstraint::LowerBoundary(Width::Fixed(NARROWEST)),
        }
    }

    fn draw(self, paper: Paper) -> Drawn {
        let (Column::Left(text) | Column::Right(text) | Column::Wide(text)) = self;
        let cell = Drawn::new(text);
        if paper.colour { cell.add_attribute(Attribute::Bold) } else { cell }
    }
}

impl Cell {
    /// A cell in a tone.
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Cell {
        Cell { text: text.into(), tone }
    }

    /// The text, or a dash where there is none.
    pub(super) fn or_dash(text: Option<impl Into<String>>) -> Cell {
        text.map_or_else(|| Cell::toned("-", Tone::Dim), |text| Cell::from(text.into()))
    }

    fn draw(&self, paper: Paper) -> Drawn {
        let cell = Drawn::new(&self.text);
        if !paper.colour {
            return cell;
        }
        match self.tone {
            Tone::Plain => cell,
            Tone::Good => cell.fg(Color::Green),
            Tone::Warn => cell.fg(Color::Yellow),
            Tone::Bad => cell.fg(Color::Red),
            Tone::Dim => cell.add_attribute(Attribute::Dim),
            Tone::Bold => cell.add_attribute(Attribute::Bold),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell { text: text.into(), tone: Tone::Plain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new(&[Column::Left("MODEL"), Column::Right("CALLS")]);
        grid.row(vec!["gpt-4o".into(), "7".into()]);
        grid.row(vec![Cell::toned("a longer name", Tone::Bad), "1200".into()]);
        grid
    }

    #[test]
    fn off_a_terminal_a_table_is_plain_aligned_text() {
        let wanted = "MODEL          CALLS\ngpt-4o             7\na longer name   1200\n";
        assert_eq!(grid().render(Paper::default()), wanted);
    }

    #[test]
    fn colours_come_only_when_they_are_wanted() {
        let terminal = Paper { terminal: true, ..Paper::default() };
        assert!(!grid().render(terminal).contains('\x1b'));
        let coloured = Paper { colour: true, ..terminal };
        assert!(grid().render(coloured).contains("\x1b["));
    }
}
