//! The figures as a picture: two panels, one by the number of nodes, one by the number of names.

use std::fmt::Write as _;

use super::Scale;

/// A line of the picture: its name, its colour, and what it shows of a run.
type Series = (&'static str, &'static str, fn(&Scale) -> f64);

const SERIES: [Series; 5] = [
    ("taken over, ms", "#c0392b", |row| row.taken_over.as_secs_f64() * 1e3),
    ("messages per node", "#1b6ca8", |row| row.messages as f64),
    ("bytes per node", "#27804a", |row| row.bytes as f64),
    ("idle bytes/s per node", "#8e6c1a", |row| row.idle as f64),
    ("memory, MiB", "#6b3fa0", |row| row.memory.unwrap_or(0) as f64 / 1_024.0),
];

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 260.0;
const TOP: f64 = 50.0;

/// One panel: rows, where it stands, what it says above, and what is told along the bottom.
struct Panel<'a> {
    rows: Vec<&'a Scale>,
    left: f64,
    title: String,
    along: fn(&Scale) -> usize,
}

/// The figures as a picture: each as a share of its highest in the panel, against the number of nodes with the smallest number
/// of names, and against the number of names with the number of nodes for which there are most rows. The axes below are logarithmic.
#[must_use]
pub fn picture(rows: &[Scale]) -> String {
    let names = rows.iter().map(|row| row.names).min().unwrap_or(0);
    let of = |nodes: usize| rows.iter().filter(|row| row.nodes == nodes).count();
    let most = rows.iter().max_by_key(|row| (of(row.nodes), row.nodes)).map_or(0, |row| row.nodes);
    let by_nodes = Panel {
        rows: rows.iter().filter(|row| row.names == names).collect(),
        left: 30.0,
        title: format!("by nodes, with {names} names and children"),
        along: |row| row.nodes,
    };
    let by_names = Panel {
        rows: rows.iter().filter(|row| row.nodes == most).collect(),
        left: 590.0,
        title: format!("by names and children, on {most} nodes"),
        along: |row| row.names,
    };
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1140 370\" font-family=\"sans-serif\" font-size=\"12\">\n",
    );
    svg.push_str("<rect width=\"1140\" height=\"370\" fill=\"white\"/>\n");
    for panel in [by_nodes, by_names] {
        panel.draw(&mut svg);
    }
    svg.push_str("</svg>\n");
    svg
}

impl Panel<'_> {
    // Writing to a string does not fail.
    fn draw(&self, svg: &mut String) {
        let (left, bottom) = (self.left, TOP + HEIGHT);
        let along = || self.rows.iter().map(|row| (self.along)(row).max(1) as f64);
        let (first, last) = (along().fold(f64::MAX, f64::min), along().fold(1.0, f64::max));
        let whole = (last / first).ln().max(f64::MIN_POSITIVE);
        let x = |row: &Scale| left + WIDTH * ((self.along)(row).max(1) as f64 / first).ln() / whole;
        let _ = writeln!(
            svg,
            "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{}</text>",
            TOP - 20.0,
            self.title
        );
        let right = left + WIDTH;
        let _ = writeln!(svg, "<path d=\"M{left} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#444\"/>");
        for (number, row) in self.rows.iter().enumerate() {
            // Neighbours do not write over each other.
            let below = bottom + if number % 2 == 0 { 18.0 } else { 32.0 };
            let (at, label) = (x(row), (self.along)(row));
            let _ = writeln!(svg, "<text x=\"{at:.0}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>");
        }
        for (number, (name, colour, value)) in SERIES.iter().enumerate() {
            let highest = self.rows.iter().map(|row| value(row)).fold(f64::MIN_POSITIVE, f64::max);
            let points: Vec<String> = self
                .rows
                .iter()
                .map(|row| format!("{:.1},{:.1}", x(row), bottom - HEIGHT * value(row) / highest))
                .collect();
            let points = points.join(" ");
            let _ = writeln!(
                svg,
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
            );
            let (at, y) = (right + 12.0, TOP + 20.0 * number as f64);
            let _ = writeln!(svg, "<text x=\"{at}\" y=\"{y}\" fill=\"{colour}\">{name}: {highest:.0}</text>");
        }
    }
}
