//! Grouped bars as SVG, without a plotting library.

use std::fmt::Write;

/// One chart: for each group one value per series.
pub struct Panel {
    /// The line above it.
    pub title: String,
    /// What the groups are called.
    pub groups: Vec<String>,
    /// Values by group, then by series.
    pub values: Vec<Vec<f64>>,
}

const COLOURS: [&str; 8] =
    ["#1b6ca8", "#3aa17e", "#8c564b", "#d98c21", "#9aa0a6", "#b9a7c9", "#c0c9a0", "#777777"];
const WIDTH: f64 = 900.0;
const LEFT: f64 = 50.0;
const HEIGHT: f64 = 240.0;

/// Draws the panels below each other with one legend; the axes start at 0.9, so that 1 stands out.
pub fn bars(series: &[&str], panels: &[Panel]) -> String {
    let total = 60.0 + panels.len() as f64 * (HEIGHT + 70.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {total}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{total}\" fill=\"#ffffff\"/>\n"
    );
    let mut x = LEFT;
    for (at, name) in series.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let _ = writeln!(svg, "<rect x=\"{x}\" y=\"12\" width=\"12\" height=\"12\" fill=\"{colour}\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"22\" font-size=\"11\">{name}</text>", x + 16.0);
        x += 40.0 + 7.0 * name.len() as f64;
    }
    for (at, one) in panels.iter().enumerate() {
        panel(&mut svg, one, 60.0 + at as f64 * (HEIGHT + 70.0));
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, panel: &Panel, top: f64) {
    let most = panel.values.iter().flatten().copied().fold(1.1, f64::max);
    let y = |value: f64| top + 20.0 + (HEIGHT - 20.0) * (1.0 - (value - 0.9).max(0.0) / (most - 0.9));
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{top}\" font-size=\"14\">{}</text>", panel.title);
    let steps = 5;
    for step in 0..=steps {
        let value = 0.9 + (most - 0.9) * f64::from(step) / f64::from(steps);
        let line = y(value);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{line:.1}\" y2=\"{line:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.2}</text>",
            WIDTH - 10.0,
            LEFT - 5.0,
            line + 4.0
        );
    }
    let group_width = (WIDTH - LEFT - 10.0) / panel.groups.len().max(1) as f64;
    for (group, (name, values)) in panel.groups.iter().zip(&panel.values).enumerate() {
        let x = LEFT + group as f64 * group_width;
        let width = group_width * 0.85 / values.len().max(1) as f64;
        for (at, &value) in values.iter().enumerate() {
            let (bar, line) = (x + group_width * 0.07 + at as f64 * width, y(value));
            let _ = writeln!(
                svg,
                "<rect x=\"{bar:.1}\" y=\"{line:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\">\
                 <title>{value:.3}</title></rect>\
                 <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\" text-anchor=\"middle\">{value:.2}</text>",
                width * 0.9,
                y(0.9) - line,
                COLOURS[at % COLOURS.len()],
                bar + width * 0.45,
                line - 3.0
            );
        }
        let middle = x + group_width / 2.0;
        let below = y(0.9) + 16.0;
        let _ =
            writeln!(svg, "<text x=\"{middle:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{name}</text>");
    }
    let one = y(1.0);
    let _ = writeln!(
        svg,
        "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{one:.1}\" y2=\"{one:.1}\" stroke=\"#444444\" stroke-dasharray=\"4 3\"/>",
        WIDTH - 10.0
    );
}
