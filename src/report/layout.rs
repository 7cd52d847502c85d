//! Styled cells flowed into lines: what fits stays on one line, what does not moves to the next, and nothing is cut.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::style::{Look, Role};
use crate::text;

/// A piece of a line that stays together: a few texts, each with its role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    parts: Vec<(Role, String)>,
    /// Columns it fills at least when another cell follows.
    min_width: usize,
}

impl Cell {
    /// A cell of one text.
    pub(super) fn of(role: Role, text: impl Into<String>) -> Self {
        Self::default().and(role, text)
    }

    /// An ordinary text.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::of(Role::Plain, text)
    }

    /// With one text more.
    pub(super) fn and(mut self, role: Role, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.parts.push((role, text));
        }
        self
    }

    /// One cell a word, so that the text may break at every space.
    pub(super) fn words(role: Role, text: &str) -> impl Iterator<Item = Self> {
        text.split_whitespace().map(move |word| Self::of(role, word))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Columns of its texts.
    fn width(&self, look: Look) -> usize {
        self.parts.iter().map(|(_, part)| text::clean(part, look.unicode).width()).sum()
    }

    /// One cell a word: the cell broken at its spaces, not where one text follows another.
    fn broken(&self) -> Vec<Self> {
        let mut words: Vec<Self> = Vec::new();
        let mut glued = false;
        for (role, part) in &self.parts {
            for (index, word) in part.split(' ').enumerate() {
                match words.pop_if(|_| glued && index == 0) {
                    Some(begun) => words.push(begun.and(*role, word)),
                    None if word.is_empty() => {}
                    None => words.push(Self::of(*role, word)),
                }
            }
            glued = !part.ends_with(' ');
        }
        words
    }
}

/// Gives the cells of each column the width of its widest, and drops columns that are empty in every row.
pub(super) fn align(rows: &mut [Vec<Cell>], look: Look) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    for column in (0..columns).rev() {
        let widest = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width(look)).max().unwrap_or(0);
        for row in &mut *rows {
            if widest == 0 && column < row.len() {
                row.remove(column);
            } else if let Some(cell) = row.get_mut(column) {
                cell.min_width = widest;
            }
        }
    }
}

/// The cells as they were before [`align`], without the empty ones.
pub(super) fn unaligned(mut cells: Vec<Cell>) -> Vec<Cell> {
    cells.retain(|cell| !cell.is_empty());
    for cell in &mut cells {
        cell.min_width = 0;
    }
    cells
}

/// Columns that cells take on one line with `gap` between them.
pub(super) fn line_width(cells: &[Cell], gap: usize, look: Look) -> usize {
    let texts: usize = cells.iter().map(|cell| cell.width(look).max(cell.min_width)).sum();
    texts + gap * cells.len().saturating_sub(1)
}

/// Writes lines of a given look.
pub(super) struct Page<'a> {
    out: &'a mut dyn Write,
    /// How it looks.
    pub(super) look: Look,
}

impl<'a> Page<'a> {
    pub(super) fn new(out: &'a mut dyn Write, look: Look) -> Self {
        Self { out, look }
    }

    /// An empty line.
    pub(super) fn blank(&mut self) -> io::Result<()> {
        self.out.write_all(b"\n")
    }

    /// Flows cells into lines, `gap` columns apart. The first line begins with `first`, each further one with `rest`. A cell
    /// that does not fit on a line of its own is broken at its spaces; a word that does not fit sticks out.
    pub(super) fn flow(&mut self, first: &str, rest: &str, cells: &[Cell], gap: usize) -> io::Result<()> {
        let look = self.look;
        let (first_width, rest_width) = (self.prefix(first)?, text::clean(rest, look.unicode).width());
        let mut column = first_width;
        let mut fresh = true;
        let mut padding = 0;
        for cell in cells.iter().filter(|cell| !cell.is_empty() || cell.min_width > 0) {
            let width = cell.width(look);
            if !fresh && column + padding + gap + width > look.width {
                self.blank()?;
                column = self.prefix(rest)?;
                (fresh, padding) = (true, 0);
            }
            if width + rest_width > look.width && column + width > look.width {
                column = self.broken(cell, column, fresh, rest, gap)?;
                (fresh, padding) = (false, 0);
                continue;
            }
            if !cell.is_empty() {
                let space = padding + if fresh { 0 } else { gap };
                self.space(space)?;
                self.cell(cell)?;
                column += space + width;
                (fresh, padding) = (false, cell.min_width.saturating_sub(width));
            } else if !fresh {
                padding += gap + cell.min_width;
            } else {
                // An empty first column keeps its place.
                padding += cell.min_width;
                fresh = false;
            }
        }
        self.blank()
    }

    /// Writes a cell that fits on no line, word by word; gives the column where it ends.
    fn broken(&mut self, cell: &Cell, mut column: usize, mut fresh: bool, rest: &str, gap: usize) -> io::Result<usize> {
        let mut space = gap;
        for word in cell.broken() {
            let width = word.width(self.look);
            if !fresh && column + space + width > self.look.width {
                self.blank()?;
                column = self.prefix(rest)?;
                fresh = true;
            }
            if !fresh {
                self.space(space)?;
                column += space;
            }
            self.cell(&word)?;
            column += width;
            (fresh, space) = (false, 1);
        }
        Ok(column)
    }

    fn prefix(&mut self, prefix: &str) -> io::Result<usize> {
        self.part(Role::Dim, prefix)?;
        Ok(text::clean(prefix, self.look.unicode).width())
    }

    fn space(&mut self, columns: usize) -> io::Result<()> {
        write!(self.out, "{:columns$}", "")
    }

    fn cell(&mut self, cell: &Cell) -> io::Result<()> {
        cell.parts.iter().try_for_each(|(role, part)| self.part(*role, part))
    }

    fn part(&mut self, role: Role, part: &str) -> io::Result<()> {
        let cleaned = text::clean(part, self.look.unicode);
        if self.look.color && role != Role::Plain && !cleaned.trim().is_empty() {
            let style = role.style();
            write!(self.out, "{style}{cleaned}{style:#}")
        } else {
            self.out.write_all(cleaned.as_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flowed(width: usize, cells: &[Cell], gap: usize) -> String {
        let mut out = Vec::new();
        let look = Look { width, ..Look::default() };
        Page::new(&mut out, look).flow("> ", "  ", cells, gap).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_that_do_not_fit_move_to_the_next_line() {
        let cells = ["one", "two words", "three"].map(Cell::plain);
        assert_eq!(flowed(80, &cells, 2), "> one  two words  three\n");
        assert_eq!(flowed(18, &cells, 2), "> one  two words\n  three\n");
        assert_eq!(flowed(12, &cells, 2), "> one\n  two words\n  three\n");
        assert_eq!(flowed(8, &cells, 2), "> one\n  two\n  words\n  three\n");
        assert_eq!(flowed(2, &cells, 2), "> one\n  two\n  words\n  three\n");
        let joined = [Cell::plain("a HMAC").and(Role::Good, ": seen").and(Role::Plain, " 12 ").and(Role::Dim, "now")];
        assert_eq!(flowed(8, &joined, 2), "> a\n  HMAC:\n  seen\n  12 now\n");
    }

    #[test]
    fn aligned_columns_leave_no_trailing_space() {
        let mut rows = vec![
            vec![Cell::plain("a"), Cell::default(), Cell::plain("long"), Cell::plain("x")],
            vec![Cell::plain("bcd"), Cell::default(), Cell::default(), Cell::plain("y")],
            vec![Cell::plain("e"), Cell::default(), Cell::plain("z"), Cell::default()],
        ];
        align(&mut rows, Look::default());
        assert_eq!(flowed(80, &rows[0], 1), "> a   long x\n");
        assert_eq!(flowed(80, &rows[1], 1), "> bcd      y\n");
        assert_eq!(flowed(80, &rows[2], 1), "> e   z\n");
        assert_eq!(line_width(&rows[0], 1, Look::default()), 10);
    }
}
