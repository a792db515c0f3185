//! Tables on the screen.

/// Which side of its column a cell stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Prints a table: `rows`, of which the first is the header and the last the sum, with a rule behind the one and before the
/// other. A cell may have several lines.
pub(crate) fn print<const N: usize>(sides: [Side; N], rows: &[[String; N]]) {
    println!();
    for line in lines(sides, rows) {
        println!("{line}");
    }
    println!();
}

fn lines<const N: usize>(sides: [Side; N], rows: &[[String; N]]) -> Vec<String> {
    let widest = |column: usize| {
        rows.iter().flat_map(|row| row[column].lines()).map(|line| line.chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(widest);
    let rule = widths.map(|width| "─".repeat(width + 2)).join("┼");
    let mut lines = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        if index == 1 || index + 1 == rows.len() {
            lines.push(rule.clone());
        }
        let height = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(0).max(1);
        for at in 0..height {
            let cell = |column: usize| {
                let (text, width) = (row[column].lines().nth(at).unwrap_or(""), widths[column]);
                match sides[column] {
                    Side::Left => format!(" {text:<width$} "),
                    Side::Right => format!(" {text:>width$} "),
                }
            };
            let cells: [String; N] = std::array::from_fn(cell);
            lines.push(cells.join("│").trim_end().to_owned());
        }
    }
    lines
}

/// A text in lines of at most `width` characters, parted at spaces; a longer word has a line of its own.
pub(crate) fn wrap(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_line_and_cells_may_have_several() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned);
        let rows = [row(["кто", "коп."]), row([&wrap("да приду конечно", 9), "40"]), row(["итого", "40"])];
        let lines = lines([Side::Left, Side::Right], &rows);
        assert_eq!(
            lines,
            [
                " кто      │ коп.",
                "──────────┼──────",
                " да приду │   40",
                " конечно  │",
                "──────────┼──────",
                " итого    │   40",
            ]
        );
    }
}
